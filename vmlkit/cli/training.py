"""``vmlkit train``, ``continue`` and ``import``: commands that end in a run directory."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.cli.options import AGAIN, METHODS, add_experiment_options, default_run_dir, experiment_from
from vmlkit.cli.results import results
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError, MissingDependency, TrainingDiverged

if TYPE_CHECKING:
    from vmlkit.runs import RunDirectory
    from vmlkit.training.experiment import Experiment


def add_train_command(commands: Any) -> None:
    """Add ``train`` to the commands of an argument parser."""
    train = commands.add_parser(
        "train",
        help="train a method, or go on with an interrupted run",
        description="Train a method and score the chosen epoch on the test split, beside the baselines. "
        "The same command continues an interrupted run.",
    )
    train.add_argument("method", choices=METHODS, metavar="METHOD", help="%(choices)s")
    add_experiment_options(train, size="ci")
    help_seeds = "one run for each, in one process (on a card at the same time); not with --seed"
    train.add_argument("--seeds", type=int, nargs="+", metavar="N", help=help_seeds)
    help_dir = "default: runs/METHOD-DATA-SIZE-seedN; with --seeds, the folder of runs named seedN"
    train.add_argument("--run-dir", type=Path, metavar="DIR", help=help_dir)
    train.add_argument("--restart", action="store_true", help="start the run anew instead of continuing it")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=_train, stopped=AGAIN.format("the last saved state (leave out --restart)"))


def add_continue_command(commands: Any) -> None:
    """Add ``continue`` to the commands of an argument parser."""
    more = commands.add_parser(
        "continue",
        help="train a finished run for more epochs",
        description="Train a finished run until it has N epochs and score it anew, with the bits of N epochs from the "
        "start. What depends on the number of epochs, such as a curriculum, is named, and nothing is done.",
        epilog="example: vmlkit continue runs/cnm-toy-ci-seed0 --epochs 40",
    )
    more.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    more.add_argument("--epochs", type=int, required=True, metavar="N", help="how many the run has in the end")
    help_other = "go on although N epochs from the start would be another run; what differs is recorded"
    more.add_argument("--other-schedule", action="store_true", help=help_other)
    more.add_argument("--quiet", action="store_true", help="no progress bar")
    more.set_defaults(run=_continue, stopped=AGAIN.format("the last saved state"))


def add_import_command(commands: Any) -> None:
    """Add ``import`` to the commands of an argument parser."""
    imported = commands.add_parser(
        "import",
        help="turn a released checkpoint into a run directory",
        description="Load the weights that the authors of a method released, score them on the test split, and write "
        "a run directory that evaluate and the scrubber open. Nothing in the file is run.",
    )
    imported.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=".pt, .pth or .safetensors")
    imported.add_argument("--method", required=True, choices=METHODS, metavar="METHOD", help="%(choices)s")
    add_experiment_options(imported, size="paper")
    imported.add_argument("--run-dir", type=Path, metavar="DIR", help="default: runs/METHOD-DATA-SIZE-CHECKPOINT")
    imported.add_argument("--quiet", action="store_true", help="no progress bar")
    imported.set_defaults(run=_import)


def _train(options: argparse.Namespace) -> int:
    from vmlkit.experiments.experiment import run_experiment

    experiment = experiment_from(options)
    if options.seeds is not None:
        return _train_several(options, experiment)
    folder = options.run_dir or default_run_dir(options, experiment)
    run = run_experiment(experiment, folder, resume=not options.restart, progress=not options.quiet)
    return _show(experiment, run)


def _continue(options: argparse.Namespace) -> int:
    from vmlkit.experiments.continuing import continue_run
    from vmlkit.experiments.experiment import experiment_of

    more = {"other_schedule": options.other_schedule, "progress": not options.quiet}
    run = continue_run(options.run_dir, options.epochs, **more)
    return _show(experiment_of(run), run)


def _train_several(options: argparse.Namespace, experiment: "Experiment") -> int:
    """A run for each seed; the results of those that ended, and a line for each that failed."""
    from vmlkit.experiments.experiment import run_experiments, task_of

    if options.seed is not None or len(set(options.seeds)) < len(options.seeds):
        raise ConfigError("--seeds takes different numbers, and takes the place of --seed")
    task_of(experiment)  # settings that fit no seed are refused before anything is loaded
    seeded = {}
    for seed in options.seeds:
        one = with_overrides(experiment, {"train.seed": seed})
        folder = options.run_dir / f"seed{seed}" if options.run_dir else default_run_dir(options, one)
        seeded[folder] = one
    outcomes = run_experiments(seeded, resume=not options.restart, progress=not options.quiet)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        if not isinstance(outcome.error, (ConfigError, DataError, MissingDependency, TrainingDiverged, OSError)):
            assert outcome.error is not None
            raise outcome.error
    for outcome in outcomes:
        if outcome.error is None:
            _show(seeded[outcome.run_dir], outcome.run)
            print()
    if failed:
        several = "; ".join(f"{outcome.run_dir}: {outcome.error}" for outcome in failed)
        raise ConfigError(f"{len(failed)} of {len(outcomes)} runs failed: {several}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from vmlkit.experiments.importing import import_checkpoint, release_of

    experiment = experiment_from(options, release_of(options.method).settings)
    names = (experiment.method, options.data.replace(":", "_"), options.size, options.checkpoint.stem)
    folder = options.run_dir or Path("runs", "-".join(names))
    run = import_checkpoint(options.checkpoint, experiment, folder, progress=not options.quiet)
    return _show(experiment, run)


def _show(experiment: "Experiment", run: "RunDirectory") -> int:
    from vmlkit.experiments.experiment import task_of

    print(results(experiment.method, run.metrics, task_of(experiment).columns))
    print(f"\nrun directory: {run.path}")
    return 0
