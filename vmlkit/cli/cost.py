"""``vmlkit cost``: parameters, operations and milliseconds of methods."""

import argparse
from pathlib import Path
from typing import Any

from vmlkit.cli.options import METHODS, add_experiment_options, experiment_from


def add_cost_command(commands: Any) -> None:
    """Add ``cost`` to the commands of an argument parser."""
    cost = commands.add_parser(
        "cost",
        help="parameters, floating-point operations and milliseconds of a method",
        description="Load the data, make one training step several times and answer the test split, and print the "
        "parameters, the operations that torch counts and the time of each, on the CPU and on a card where there is "
        "one, beside what the papers say. Nothing is kept.",
        epilog="example: vmlkit cost cnm lnp-cnm --data planted:activitynet",
    )
    cost.add_argument("methods", nargs="+", choices=METHODS, metavar="METHOD", help="%(choices)s")
    add_experiment_options(cost, size="ci")
    help_device = "such as cpu or cuda; default: auto, the CPU and the card where there is one"
    cost.add_argument("--device", default="auto", metavar="DEVICE", help=help_device)
    cost.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with settings and machine")
    cost.set_defaults(run=_cost)


def _cost(options: argparse.Namespace) -> int:
    from vmlkit.experiments.cost import cost_of, devices_of, published, record_of
    from vmlkit.files import write_json

    devices, costs, experiments = devices_of(options.device), {}, {}
    for method in options.methods:
        experiments[method] = experiment_from(argparse.Namespace(**{**vars(options), "method": method}))
        costs[method] = cost_of(experiments[method], devices)
        print("\n".join(costs[method].lines()))
    for table in published(options.methods):
        print(f"published, {table.label} ({table.about}):")
        for row in table.rows:
            cells = zip(table.columns, row.cells, strict=True)
            said = ", ".join(f"{c.metric} {cell:g} {c.unit}" for c, cell in cells if cell is not None)
            print(f"  {row.name}: {said}")
    if options.json is not None:
        write_json(options.json, record_of(costs, experiments))
    return 0
