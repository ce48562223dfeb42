"""``vmlkit evaluate``: the metrics of a run, or of a file of predictions."""

import argparse
from pathlib import Path
from typing import Any

from vmlkit.cli.options import Names
from vmlkit.cli.results import results
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
    rest = {"draws": experiment.test_draws, "account": splits.account()}
    metrics = final_evaluation(method, options.run_dir, *parts, task=task, **rest)
    print(results(experiment.method, metrics, task.columns))
    return 0
