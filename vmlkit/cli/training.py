"""``vmlkit train`` and ``vmlkit import``: commands that end in a run directory."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.cli.options import AGAIN, METHODS, add_experiment_options, default_run_dir, experiment_from
from vmlkit.cli.results import results

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
    train.add_argument("--run-dir", type=Path, metavar="DIR", help="default: runs/METHOD-DATA-SIZE-seedN")
    train.add_argument("--restart", action="store_true", help="start the run anew instead of continuing it")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=_train, stopped=AGAIN.format("the last saved state (leave out --restart)"))


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
    folder = options.run_dir or default_run_dir(options, experiment)
    run = run_experiment(experiment, folder, resume=not options.restart, progress=not options.quiet)
    return _show(experiment, run)


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
