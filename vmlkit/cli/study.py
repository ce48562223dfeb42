"""``vmlkit study run | list | status | merge``: measure what the papers claim over many seeds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.cli.options import AGAIN, add_measuring_options
from vmlkit.errors import ConfigError

if TYPE_CHECKING:
    from vmlkit.training.study import Study

HELP_OUT = "folder of the results; default: results/studies"
HELP_SEEDS = "seeds of every row, counted from 0; default: 10 of rows in primary claims, 5 of others"


def add_study_command(commands: Any) -> None:
    """Add ``study`` to the commands of an argument parser."""
    study = commands.add_parser(
        "study",
        help="measure claims over many seeds, on one machine or several",
        description="A study trains several settings with several seeds and compares them. Its cells, a setting with "
        "a seed each, are kept under runs/studies and never computed twice; any number of processes may share them.",
        epilog="example: vmlkit study run cpl --minutes 60",
    )
    actions = study.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_run(actions)
    listed = actions.add_parser(
        "list", help="the studies, and how much of each is measured", epilog="example: vmlkit study list"
    )
    listed.add_argument("--out", type=Path, metavar="DIR", help=HELP_OUT)
    listed.set_defaults(run=_list)
    status = actions.add_parser(
        "status", help="what is finished, begun and failed of a study", epilog="example: vmlkit study status cpl"
    )
    status.add_argument("name", metavar="NAME", help="such as cpl")
    status.add_argument("--seeds", type=int, metavar="N", help=HELP_SEEDS)
    status.add_argument("--out", type=Path, metavar="DIR", help=HELP_OUT)
    status.set_defaults(run=_status)
    merge = actions.add_parser(
        "merge",
        help="add results of other machines",
        description="Add the cells of other folders of results to one's own. A cell that both have is kept as it is "
        "here; a row with other settings is refused.",
        epilog="example: vmlkit study merge ../from-the-cluster/results/studies",
    )
    merge.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="with NAME.json and NAME.parquet")
    merge.add_argument("--out", type=Path, metavar="DIR", help=HELP_OUT)
    merge.set_defaults(run=_merge)
    for action in actions.choices.values():
        action.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        action.set_defaults(stopped=AGAIN.format("the cells that are finished and the epochs of others"))


def _add_run(actions: Any) -> None:
    run = actions.add_parser(
        "run",
        help="compute what is missing of a study",
        description="Compute the missing cells and write NAME.json and NAME.parquet with all that are finished. The "
        "same command goes on after a kill, with what is left.",
        epilog="example: vmlkit study run cnm --jobs 2 --minutes 120",
    )
    run.add_argument("name", metavar="NAME", help="see vmlkit study list")
    run.add_argument("--seeds", type=int, metavar="N", help=HELP_SEEDS)
    run.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="only these rows")
    add_measuring_options(run, "cell", "every page says so")
    help_executor = "local, or slurm: as many jobs of the cluster as --jobs says (needs the extra 'cluster')"
    run.add_argument("--executor", choices=("local", "slurm"), default="local", metavar="WHERE", help=help_executor)
    help_slurm = "an option of sbatch, such as partition=gpu; may be repeated"
    run.add_argument("--slurm", action="append", default=[], metavar="KEY=VALUE", help=help_slurm)
    run.add_argument("--out", type=Path, metavar="DIR", help=HELP_OUT)
    run.set_defaults(run=_run)


def _study(name: str) -> "Study":
    from vmlkit.methods import STUDIES

    if name not in STUDIES:
        raise ConfigError(f"unknown study '{name}': choose one of {', '.join(STUDIES)}")
    return STUDIES[name]()


def _results(options: argparse.Namespace) -> Path:
    from vmlkit.studies.results import STUDIES

    return options.out or STUDIES


def _run(options: argparse.Namespace) -> int:
    from vmlkit.studies.run import Options, run_study

    told = [item.partition("=") for item in options.slurm]
    if not all(key and value for key, _, value in told):
        raise ConfigError("--slurm takes KEY=VALUE, such as partition=gpu")
    asked = Options(
        seeds=options.seeds, rows=tuple(options.rows), jobs=options.jobs, device=options.device,
        minutes=options.minutes, executor=options.executor, cluster={key: value for key, _, value in told},
        allow_dirty=options.allow_dirty,
    )  # fmt: skip
    path = run_study(_study(options.name), asked, results=_results(options))
    print("nothing is written: no cell is finished" if path is None else f"results: {path}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from vmlkit.methods import STUDIES
    from vmlkit.studies.run import overview

    print(overview([make() for make in STUDIES.values()], _results(options)))
    return 0


def _status(options: argparse.Namespace) -> int:
    from vmlkit.studies.cells import Store, cells_of
    from vmlkit.studies.progress import status
    from vmlkit.studies.run import held_by

    study = _study(options.name)
    cells = cells_of(study, options.seeds)
    print(status(cells, Store(), held_by(study, cells, _results(options))))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from vmlkit.studies.merge import merge

    for name, lines in merge(options.folders, _results(options)).items():
        print("\n".join([f"{name}: merged into {_results(options)}", *lines]))
    return 0
