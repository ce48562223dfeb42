"""``vmlkit evaluate``: the metrics of a run, or of a file of predictions."""

import argparse
from pathlib import Path
from typing import Any

from vmlkit.cli.options import DEVICE_HELP, Names
from vmlkit.cli.prediction import SPLITS
from vmlkit.cli.results import beside_the_run, results
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError

VOTES = Names("vmlkit.metrics.moments", "VoteRule")
PROTOCOLS = Names("vmlkit.experiments.prediction_report", "Protocol")


def add_evaluate_command(commands: Any) -> None:
    """Add ``evaluate`` to the commands of an argument parser."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score a run's chosen epoch again, or a file of predictions",
        description="RUN_DIR: score the chosen epoch again and rewrite its metrics.json. "
        "PREDICTIONS --ground-truth FILE: the published protocol of the data set, beside the baselines. "
        "PREDICTIONS --run RUN_DIR: scored as that run was, beside the run's own numbers.",
        epilog="example: vmlkit evaluate predictions.jsonl --run runs/cpl-toy-ci-seed0",
    )
    evaluate.add_argument("run_dir", type=Path, metavar="RUN_DIR|PREDICTIONS")
    evaluate.add_argument("--device", default="auto", metavar="NAME", help=DEVICE_HELP)
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
    run = evaluate.add_argument_group("a file that vmlkit predict wrote, scored as its run")
    run.add_argument("--run", dest="of_run", type=Path, metavar="RUN_DIR", help="whose data and metrics are taken")
    run.add_argument("--split", choices=SPLITS, default="test", metavar="NAME", help="%(choices)s; default: test")
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if options.ground_truth is not None:
        from vmlkit.experiments.prediction_report import evaluate_file

        print(evaluate_file(options.run_dir, options.ground_truth, options))
        return 0
    if options.of_run is not None:
        return _score_file(options)
    if options.run_dir.is_file():
        remedy = "add --ground-truth FILE or --run RUN_DIR to score predictions"
        raise ConfigError(f"{options.run_dir} is a file, not a run: {remedy}")
    from vmlkit.experiments.experiment import load_run, task_of
    from vmlkit.training.final import final_evaluation
    from vmlkit.training.start import choose_device

    device = choose_device(options.device, "--device")
    method, splits, experiment = load_run(options.run_dir)
    given = {"vote": options.vote, "test_draws": options.draws}
    experiment = with_overrides(experiment, {name: value for name, value in given.items() if value is not None})
    task = task_of(experiment)
    parts = (splits.train, splits.validation, splits.test)
    rest: dict[str, Any] = {"draws": experiment.test_draws, "account": splits.account(), "device": device}
    metrics = final_evaluation(method, options.run_dir, *parts, task=task, **rest)
    print(results(experiment.method, metrics, task.columns))
    return 0


def _score_file(options: argparse.Namespace) -> int:
    from vmlkit.experiments.predict import score_file
    from vmlkit.files import write_json

    metrics, own = score_file(options.run_dir, options.of_run, options.split)
    if options.json is not None:
        write_json(options.json, {"metrics": metrics, "run": own.get(options.split)})
    print(beside_the_run(metrics, own.get(options.split), options.split))
    return 0
