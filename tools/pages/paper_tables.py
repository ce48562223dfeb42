"""``docs/tables_p0.md`` to ``tables_p4.md``: published cells beside what studies measured, verdicts, priors, notes.

Also the rows of ``docs/weak_2026.md`` that are the five papers' and those of answers without video.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vmlkit.files import read_json
from vmlkit.papers import papers
from vmlkit.studies.results import STUDIES, load_results, studies_in
from vmlkit.studies.table_measures import measures_of
from vmlkit.studies.tables import PUBLISHED, measured_by_studies, measured_by_tables
from vmlkit.studies.verdicts import verdicts_of
from vmlkit.tables import every, load, priors
from vmlkit.tables.forms import written
from vmlkit.tables.records import PublishedTable

#: what ``benchmarks/finding.py`` measured
FILMS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "finding_cpu.json"
#: thresholds of the page about weak supervision
_IOUS = tuple(f"R@1,IoU={m}" for m in (0.3, 0.5, 0.7))
#: rows of P0 Table 1 that the page shows, with what they are trained with
_WEAK = {"CNM [58]": "2022", "CPL [59]": "2022", "PPS [20]": "2024", "Ours": "2024"}


def pages(results: Path = STUDIES) -> Iterator[tuple[str, str]]:
    """(file name, content) of a page for each paper."""
    for key, paper in papers().items():
        tables = [table for table in every() if table.paper == key]
        parts = [
            f"# The tables of {key}, {paper['short']}",
            "Every published cell, what studies and tables of this repository measured of the same rows on other "
            "data, and answers that never look at a video. Each data set has columns of its own: numbers of the toy "
            "world or of planted features are not the paper's. `vmlkit table ID --data SOURCE` measures a table "
            "([how](tables.md#measuring-a-table)). This page is written by `python -m tools.pages docs`.",
        ]
        parts += [_table(table, results) for table in tables]
        yield f"tables_{key.lower()}.md", "\n\n".join(parts) + "\n"


def _table(table: PublishedTable, results: Path) -> str:
    ours = [*measured_by_tables(table), *measures_of(table, *PUBLISHED), *measured_by_studies(table, results)]
    body = written(table, "markdown", ours).replace("### ", "## ", 1).rstrip()
    lines = [line.replace("- measured in the studies ", "- rows of studies: ") for line in body.splitlines()
             if not line.startswith("- --data ")]  # fmt: skip
    if table.lines and not ours:
        lines.append(f"- not measured yet: `vmlkit table {table.id}` says what it takes")
    return "\n".join([*lines, *_verdicts(results).get(table.label, ())])


@cache
def _verdicts(results: Path) -> dict[str, list[str]]:
    """What studies say of the claims that cite a table, by its label."""
    said: dict[str, list[str]] = {}
    for name in studies_in(results):
        for verdict in verdicts_of(load_results(name, results)):
            line = f"- {name}: {verdict.claim.text}, {verdict.claim.metric}: {verdict.effect}, {verdict.said}"
            said.setdefault(verdict.claim.source, []).append(line)
    return said


def weak() -> str:
    """Rows of weakly supervised methods and of answers without video on Charades-STA."""
    table = load("P0/1")
    frame, under = table.frame()["charades test"], priors.beside(table)["charades test"]
    lines = [f"| {name.partition(' [')[0] if name != 'Ours' else 'P0 on PPS'} | {year} | weak | "
             f"{_row(frame.loc[name])} | P0 Table 1 |" for name, year in _WEAK.items()]  # fmt: skip
    lines += [f"| {name} | | none, sees no video | {_row(under.loc[name])} | `vmlkit priors charades` |"
              for name in ("uniform random", "best constant window", "best constant window (IoU=0.5)")]  # fmt: skip
    return "\n".join(["| answer | year | supervision | R@1 at IoU 0.3 / 0.5 / 0.7 | source |",
                      "| --- | --- | --- | --- | --- |", *lines])  # fmt: skip


def without_training() -> str:
    """Answers by similarity alone beside a run that was trained weakly, on the rendered films of ``vmlkit find``."""
    found = read_json(FILMS)
    who = {"similarity": "similarity alone, by the toy world's encoder | none and no training on moments",
           "trained": f"`{found['run']}`, trained on short videos of the toy world | weak"}  # fmt: skip
    lines = ["| answer | supervision | IoU above 0.5 | mean IoU |", "| --- | --- | --- | --- |"]
    for name, said in who.items():
        numbers = found["answers"][name]
        lines.append(f"| {said} | {100 * numbers['IoU above 0.5']:.2f} | {100 * numbers['mIoU']:.2f} |")
    counts = {f"{n['sentences']} sentences on {n['films']} rendered films" for n in found["answers"].values()}
    made = f"Percent of {' and '.join(sorted(counts))} of 60 s; `{FILMS.relative_to(FILMS.parents[2])}`, "
    made += f"{found['hardware']['processor']}, revision {found['revision'][:10]}."
    return "\n".join([*lines, "", made])


def _row(cells: object) -> str:
    return " / ".join(f"{cells[name]:.2f}" for name in _IOUS)  # type: ignore[index]
