"""``vmlkit tour`` and ``vmlkit check``: the first commands that somebody runs."""

import argparse
import sys
from pathlib import Path
from typing import Any

from vmlkit.cli.options import Names

TOUR_SIZES = Names("vmlkit.experiments.page", "TOY_SIZES")


def add_tour_command(commands: Any) -> None:
    """Add ``tour`` to the commands of an argument parser."""
    tour = commands.add_parser("tour", help="run the first notebook and say where everything is")
    tour.add_argument("--notebooks", type=Path, metavar="DIR", help="folder of 00_tour.ipynb (default: look for it)")
    tour.add_argument("--out", type=Path, metavar="DIR", help="where page and executed notebook go (default: site)")
    tour.add_argument("--size", choices=TOUR_SIZES, metavar="SIZE", help="%(choices)s; default: the notebook's own")
    tour.set_defaults(run=_tour)


def _tour(options: argparse.Namespace) -> int:
    from vmlkit.experiments.notebooks import NotebookFailed
    from vmlkit.tour import run_tour

    try:
        print(run_tour(options.notebooks, options.out, options.size))
    except NotebookFailed as error:
        print(f"vmlkit: {error}", file=sys.stderr)
        return 2
    return 0


def add_check_command(commands: Any) -> None:
    """Add ``check`` to the commands of an argument parser."""
    check = commands.add_parser("check", help="versions, device, a second of training, optional parts")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from vmlkit.check import run_check

    return 0 if run_check() else 1
