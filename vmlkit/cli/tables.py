"""``vmlkit tables | priors``: the papers' tables as data, and answers that never look at a video beside them."""

import argparse
from pathlib import Path
from typing import Any

from vmlkit.cli.options import DATA, Names
from vmlkit.errors import ConfigError

FORMS = Names("vmlkit.tables.forms", "Form")
CONVENTIONS = Names("vmlkit.experiments.priors", "CONVENTIONS")


def add_tables_command(commands: Any) -> None:
    """Add ``tables`` to the commands of an argument parser."""
    tables = commands.add_parser(
        "tables",
        help="the tables and figures of the five papers, every published cell",
        description="Without a name, list all tables and figures with their data and the studies that measure them. "
        "With names (P0/3, P0/5 for its parts, P2/fig3, or a whole paper, P1), print the published cells, what answers "
        "that never look at a video reach in the same columns, contradictions, and where the data are published. "
        "Example: vmlkit tables P0/3 P1/1",
    )
    tables.add_argument("names", nargs="*", metavar="TABLE", help="such as P0/3; default: list all")
    tables.add_argument("--format", choices=FORMS, metavar="FORM", help="%(choices)s; default: by the file, else text")
    help_out = "file (.txt .csv .md .tex .html) of one table, or with --format a folder for several"
    tables.add_argument("--out", type=Path, metavar="PATH", help=help_out)
    tables.set_defaults(run=_tables)


def _tables(options: argparse.Namespace) -> int:
    from vmlkit.files import write_text
    from vmlkit.tables import every, find
    from vmlkit.tables.forms import ENDINGS, overview, written

    if not options.names:
        if options.out or options.format:
            raise ConfigError("--format and --out write tables: name some, such as vmlkit tables P0/3")
        print(overview(every()))
        return 0
    chosen = list({table.id: table for name in options.names for table in find(name)}.values())
    out = options.out
    form = options.format or (ENDINGS.get(out.suffix) if out else "text")
    if form is None:
        raise ConfigError(f"{out}: a file of a table ends in {', '.join(ENDINGS)}; or give a folder and --format")
    if out is None:
        print("\n".join(written(table, form) for table in chosen))
    elif out.suffix in ENDINGS:
        if len(chosen) > 1:
            raise ConfigError(f"{len(chosen)} tables do not go into {out}: name a folder, and --format")
        write_text(out, written(chosen[0], form))
    else:
        ending = next(ending for ending, kind in ENDINGS.items() if kind == form)
        for table in chosen:
            write_text(out / f"{table.id.replace('/', '-')}{ending}", written(table, form))
    return 0


def add_priors_command(commands: Any) -> None:
    """Add ``priors`` to the commands of an argument parser."""
    priors = commands.add_parser(
        "priors",
        help="what answers that never look at a video reach on real labels; needs no features",
        description="Fit constant windows on the training moments of a data set, draw random answers, take the whole "
        "video, and score all of them on its other parts in the columns of the published tables, with the number of "
        "queries and what is left out. Example: vmlkit priors activitynet --annotations activitynet_captions "
        "--split val_2",
    )
    priors.add_argument("source", choices=DATA, metavar="SOURCE", help="%(choices)s")
    priors.add_argument("--annotations", metavar="PATH", help="annotation files; default: below $VMLKIT_DATA")
    priors.add_argument("--split", metavar="PART", help="such as test, val_1 or test-ood; default: all but training")
    help_convention = (
        "how moments that meet a threshold to the last digit count: released (as CNM's, CPL's and PPS's programs do; "
        "default), plain (float64 without their 1e-10) or exact (whole numbers)"
    )
    priors.add_argument("--convention", choices=CONVENTIONS, metavar="WAY", help=help_convention)
    priors.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, counted in every way unless told")
    priors.set_defaults(run=_priors)


def _priors(options: argparse.Namespace) -> int:
    from vmlkit.experiments.priors import CONVENTIONS, priors_of, write_priors

    given = {} if options.annotations is None else {"data.annotations": options.annotations}
    parts = priors_of(options.source, given, split=options.split, convention=options.convention)
    print("\n\n".join(map(str, parts)))
    if options.json is not None:
        others = [way for way in CONVENTIONS if parts[0].convention == CONVENTIONS[0] and way != CONVENTIONS[0]]
        for way in others if options.convention is None else ():
            parts += priors_of(options.source, given, split=options.split, convention=way)
        write_priors(options.json, options.source, parts)
    return 0
