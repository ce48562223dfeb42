"""``vmlkit tour | check | train | import | evaluate | predict | negatives | claims | labels | variants``.

What a user can get wrong ends in one line on stderr and exit code 2, never in a traceback; a fault of vmlkit itself
ends in one line that says where to report it, and exit code 70.  ``--debug`` shows the traceback of either.  Everything
heavy is imported by the command that needs it, so ``vmlkit --help`` answers at once.
"""

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vmlkit import __version__
from vmlkit.components.variants.options import add_variants_command
from vmlkit.config import config_hash, with_overrides
from vmlkit.errors import ConfigError, DataError, MissingDependency, TrainingDiverged, escape_what_cannot_be_written
from vmlkit.experiments.predict_options import add_predict_command

if TYPE_CHECKING:
    from vmlkit.runs import RunDirectory
    from vmlkit.training.experiment import Experiment


class _Names:
    """The names that an option takes, read where they are defined, and only when the option is given or explained."""

    def __init__(self, module: str, names: str, *, checked: bool = True) -> None:
        self.module, self.names, self.checked = module, names, checked

    def __iter__(self) -> Iterator[str]:
        defined = getattr(importlib.import_module(self.module), self.names)
        return iter(get_args(defined) or defined)

    def __contains__(self, name: object) -> bool:
        return not self.checked or name in tuple(self)


METHODS = _Names("vmlkit.methods", "METHODS", checked=False)  # preset() refuses an unknown one in a sentence
DATA = _Names("vmlkit.methods", "DATA")
SIZES = _Names("vmlkit.training.experiment", "Size")
VOTES = _Names("vmlkit.metrics.moments", "VoteRule")
PROTOCOLS = _Names("vmlkit.experiments.prediction_report", "Protocol")

#: what to do after Ctrl-C
_AGAIN = "the same command goes on from {}"
#: exit code of a fault of vmlkit itself (EX_SOFTWARE of sysexits.h)
FAULT = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 (a check failed), 2 (bad input), 70 (a fault of vmlkit) or 130 (interrupted).
    """
    escape_what_cannot_be_written()
    options = parser().parse_args(arguments)
    try:
        found: int = options.run(options)
        return found
    except BrokenPipeError:
        # whoever read the output, such as `head`, has seen enough; Python would complain once more on leaving
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"\nvmlkit: stopped; {options.stopped}", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        code, message = _sentence(error)
        print(f"vmlkit: {' '.join(message.split())}", file=sys.stderr)
        return code


def _sentence(error: Exception) -> tuple[int, str]:
    """Exit code and message of an error."""
    if isinstance(error, (ConfigError, DataError, MissingDependency, TrainingDiverged)):
        return 2, str(error)
    if isinstance(error, OSError):
        return 2, f"{error.filename}: {error.strerror}" if error.filename else str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return FAULT, (
        f"unforeseen {type(error).__name__} in {Path(where.filename).name}, line {where.lineno}: {error}. This is a "
        "fault of vmlkit: please report it where you got vmlkit from, with this command, what it shows with --debug, "
        "and what `vmlkit check` shows."
    )


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="vmlkit", description="Weakly supervised video-language localisation.")
    top.add_argument("--version", action="version", version=f"vmlkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _tour_options,
        _check_options,
        _train_options,
        _import_options,
        _evaluate_options,
        add_predict_command,
        _negatives_options,
        _claims_options,
        _labels_options,
        add_variants_command,
    ):
        add(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(stopped=command.get_default("stopped") or "nothing is left half-written")
    return top


def _tour_options(commands: Any) -> None:
    tour = commands.add_parser("tour", help="run the first notebook and say where everything is")
    tour.add_argument("--notebooks", type=Path, metavar="DIR", help="folder of 00_tour.ipynb (default: look for it)")
    tour.add_argument("--out", type=Path, metavar="DIR", help="where page and executed notebook go (default: site)")
    tour.add_argument("--size", choices=SIZES, metavar="SIZE", help="%(choices)s; default: the notebook's own")
    tour.set_defaults(run=_tour)


def _check_options(commands: Any) -> None:
    check = commands.add_parser("check", help="versions, device, a second of training, optional parts")
    check.set_defaults(run=_check)


def _train_options(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a method, or go on with an interrupted run",
        description="Train a method and score the chosen epoch on the test split, beside the baselines. "
        "The same command continues an interrupted run.",
    )
    train.add_argument("method", choices=METHODS, metavar="METHOD", help="%(choices)s")
    _experiment_options(train, size="ci")
    train.add_argument("--run-dir", type=Path, metavar="DIR", help="default: runs/METHOD-DATA-SIZE-seedN")
    train.add_argument("--restart", action="store_true", help="start the run anew instead of continuing it")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=_train, stopped=_AGAIN.format("the last saved state (leave out --restart)"))


def _import_options(commands: Any) -> None:
    imported = commands.add_parser(
        "import",
        help="turn a released checkpoint into a run directory",
        description="Load the weights that the authors of a method released, score them on the test split, and write "
        "a run directory that evaluate and the scrubber open. Nothing in the file is run.",
    )
    imported.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=".pt, .pth or .safetensors")
    imported.add_argument("--method", required=True, choices=METHODS, metavar="METHOD", help="%(choices)s")
    _experiment_options(imported, size="paper")
    imported.add_argument("--run-dir", type=Path, metavar="DIR", help="default: runs/METHOD-DATA-SIZE-CHECKPOINT")
    imported.add_argument("--quiet", action="store_true", help="no progress bar")
    imported.set_defaults(run=_import)


def _experiment_options(command: Any, size: str) -> None:
    help_data = "%(choices)s, as far as the method has a preset for it; default: toy, which needs no download"
    command.add_argument("--data", choices=DATA, default="toy", metavar="DATA", help=help_data)
    command.add_argument("--annotations", metavar="PATH", help="annotation files (sets data.annotations)")
    command.add_argument("--features", metavar="PATH", help="clip features (sets data.features)")
    help_size = f"%(choices)s; default: {size}; ci takes a minute on two cores"
    command.add_argument("--size", choices=SIZES, default=size, metavar="SIZE", help=help_size)
    command.add_argument("--seed", type=int, metavar="N", help="sets train.seed")
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its dotted name, such as train.epochs=3 or model.proposals=5; may be repeated",
    )


def _evaluate_options(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="score a run's chosen epoch again, or a file of predictions",
        description="RUN_DIR: score the chosen epoch again and rewrite its metrics.json. "
        "PREDICTIONS --ground-truth FILE: the published protocol of the data set, beside the baselines.",
    )
    evaluate.add_argument("run_dir", type=Path, metavar="RUN_DIR|PREDICTIONS")
    evaluate.add_argument("--draws", type=int, metavar="N", help="draws of the masked words (default: the run's)")
    help_vote = "how the answer is chosen: %(choices)s (default: the run's)"
    evaluate.add_argument("--vote", choices=VOTES, metavar="RULE", help=help_vote)
    files = evaluate.add_argument_group("a file of predictions (JSON lines, may be .gz)")
    files.add_argument("--ground-truth", type=Path, metavar="FILE", help="annotations in the Moment-DETR layout")
    help_protocol = "%(choices)s; default: auto, by the fields of the file"
    files.add_argument("--protocol", choices=PROTOCOLS, default="auto", metavar="NAME", help=help_protocol)
    files.add_argument("--train", type=Path, metavar="FILE", help="training annotations, for the location priors")
    files.add_argument("--common-only", action="store_true", help="evaluate only queries that both files have")
    files.add_argument("--json", type=Path, metavar="OUT", help="write every number, denominator and dropped query")
    evaluate.set_defaults(run=_evaluate)


def _negatives_options(commands: Any) -> None:
    negatives = commands.add_parser("negatives", help="which queries of a file can serve as negatives of which")
    negatives.add_argument("annotations", type=Path, nargs="+", metavar="FILE", help="in the Moment-DETR layout")
    negatives.add_argument("--encoder", type=Path, metavar="DIR", help="a local sentence encoder (default: TF-IDF)")
    negatives.add_argument("--max-iou", type=float, default=0.5, metavar="X", help="default: 0.5, the paper's")
    negatives.add_argument("--max-similarity", type=float, default=0.8, metavar="X", help="default: 0.8")
    negatives.add_argument("--out", type=Path, metavar="OUT", help="write the file with neg_query_ids filled in")
    negatives.add_argument("--json", type=Path, metavar="OUT", help="write the numbers")
    negatives.set_defaults(run=_negatives)


def _claims_options(commands: Any) -> None:
    claims = commands.add_parser("claims", help="measure the claims of a paper over several seeds")
    claims.add_argument("name", metavar="NAME", help="such as cnm")
    claims.add_argument("--seeds", type=int, metavar="N", help="number of seeds (default: the claim's own)")
    claims.add_argument("--out", type=Path, metavar="DIR", help="default: results")
    claims.set_defaults(run=_claims, stopped=_AGAIN.format("the runs that are finished"))


def _labels_options(commands: Any) -> None:
    labels = commands.add_parser("labels", help="count what is wrong with the labels of an action data set")
    labels.add_argument("path", type=Path, metavar="PATH", help="annotation file, or the folder of the .npy files")
    labels.set_defaults(run=_labels)


def _labels(options: argparse.Namespace) -> int:
    from vmlkit.actions.label_report import label_report
    from vmlkit.actions.thumos import read_actions

    print(label_report(read_actions(options.path)))
    return 0


def _tour(options: argparse.Namespace) -> int:
    from vmlkit.experiments.notebooks import NotebookFailed
    from vmlkit.tour import run_tour

    try:
        print(run_tour(options.notebooks, options.out, options.size))
    except NotebookFailed as error:
        print(f"vmlkit: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options: argparse.Namespace) -> int:
    from vmlkit.check import run_check

    return 0 if run_check() else 1


def _train(options: argparse.Namespace) -> int:
    from vmlkit.experiments.experiment import run_experiment

    experiment = experiment_from(options)
    folder = options.run_dir or default_run_dir(options, experiment)
    run = run_experiment(experiment, folder, resume=not options.restart, progress=not options.quiet)
    return _show(experiment, run)


def _show(experiment: "Experiment", run: "RunDirectory") -> int:
    from vmlkit.experiments.experiment import task_of

    print(results(experiment.method, run.metrics, task_of(experiment).columns))
    print(f"\nrun directory: {run.path}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from vmlkit.experiments.importing import import_checkpoint, release_of

    experiment = experiment_from(options, release_of(options.method).settings)
    names = (experiment.method, options.data.replace(":", "_"), options.size, options.checkpoint.stem)
    folder = options.run_dir or Path("runs", "-".join(names))
    run = import_checkpoint(options.checkpoint, experiment, folder, progress=not options.quiet)
    return _show(experiment, run)


def _evaluate(options: argparse.Namespace) -> int:
    if options.ground_truth is not None:
        from vmlkit.experiments.prediction_report import evaluate_file

        print(evaluate_file(options.run_dir, options.ground_truth, options))
        return 0
    if options.run_dir.is_file():
        raise ConfigError(f"{options.run_dir} is a file, not a run: add --ground-truth FILE to score predictions")
    from vmlkit.experiments.experiment import load_run, task_of
    from vmlkit.training.final import final_evaluation

    method, splits, experiment = load_run(options.run_dir)
    given = {"vote": options.vote, "test_draws": options.draws}
    experiment = with_overrides(experiment, {name: value for name, value in given.items() if value is not None})
    task = task_of(experiment)
    parts = (splits.train, splits.validation, splits.test)
    metrics = final_evaluation(method, options.run_dir, *parts, task=task, draws=experiment.test_draws)
    print(results(experiment.method, metrics, task.columns))
    return 0


def _negatives(options: argparse.Namespace) -> int:
    from vmlkit.detr.negative_queries_report import negatives_of_files

    limits = options.max_iou, options.max_similarity
    print(negatives_of_files(options.annotations, options.encoder, *limits, options.out, options.json))
    return 0


def _claims(options: argparse.Namespace) -> int:
    from vmlkit.experiments.claims import run_claims

    given = {name: getattr(options, name) for name in ("seeds", "out") if getattr(options, name) is not None}
    run_claims(options.name, **given)
    return 0


def experiment_from(options: argparse.Namespace, release: Mapping[str, Any] | None = None) -> "Experiment":
    """The preset with the overrides of the command line, applied in the order: release, paths, seed, ``--set``.

    Raises:
        ConfigError: for an unknown name or setting, a file that the source does not read, or a value of the wrong type.
    """
    from vmlkit.methods import preset

    experiment = preset(options.method, options.data, options.size)
    named = {"data.annotations": options.annotations, "data.features": options.features, "train.seed": options.seed}
    given = {key: value for key, value in named.items() if value is not None}
    for name in ("annotations", "features"):
        if f"data.{name}" in given and not hasattr(experiment.data, name):
            raise ConfigError(f"the data '{options.data}' read no {name} from files: leave out --{name}")
    return with_overrides(experiment, {**(release or {}), **given, **parse_settings(options.settings)})


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` items as a dict; a value is read as JSON, and as a plain string where it is not JSON.

    >>> parse_settings(["train.epochs=3", "train.clip_norm=null", "train.device=cpu"])
    {'train.epochs': 3, 'train.clip_norm': None, 'train.device': 'cpu'}
    """
    parsed: dict[str, Any] = {}
    for item in items:
        key, sign, text = item.partition("=")
        if not sign or not key:
            raise ConfigError(f"--set takes KEY=VALUE, such as train.epochs=3, not {item!r}")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed


def default_run_dir(options: argparse.Namespace, experiment: "Experiment") -> Path:
    """``runs/METHOD-DATA-SIZE-seedN``, with a hash of the settings where some were changed by hand."""
    parts = [experiment.method, options.data.replace(":", "_"), options.size, f"seed{experiment.train.seed}"]
    changed = options.settings or options.annotations or options.features
    return Path("runs", "-".join([*parts, config_hash(experiment)] if changed else parts))


def results(method: str, metrics: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The test metrics in percent with the baselines beneath them; a cell is empty where a baseline lacks a metric."""
    from vmlkit.metrics.report import metrics_table

    rows = {method: metrics["test"], **metrics["baselines"]}
    measured = [column for column in columns if column in metrics["test"]]
    shown = {name: {column: row.get(column, float("nan")) for column in measured} for name, row in rows.items()}
    table = metrics_table(shown, metrics["n_test"]).to_string(float_format=lambda value: f"{value:.1f}", na_rep="")
    how = metrics["chosen_by"]
    epoch = f"epoch {metrics['chosen_epoch']}{' chosen by' if how.startswith('validation') else ','} {how}"
    lines = [f"test split, percent; {epoch}", "", table]
    spread = metrics["spread"].get("test", {}).get("R@1,mIoU")
    if spread is not None:
        lines += ["", f"R@1,mIoU varies by {100 * spread:.2f} (sd) over {metrics['draws']} draws of the masked words"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
