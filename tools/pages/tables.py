"""The generated parts of ``docs/tables.md``: the list of published tables, contradictions, and location priors."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.pages.readme import updated
from vmlkit.experiments.priors import CONVENTIONS
from vmlkit.papers import papers
from vmlkit.tables import every, priors
from vmlkit.tables.forms import listing
from vmlkit.viz.notebook import markdown_table

#: how IoU is computed in each way of counting
_COMPUTED = {
    "released": "fractions of the duration in float64, 1e-10 added above and below",
    "plain": "fractions of the duration in float64",
    "exact": "whole numbers of nanoseconds",
}


def page(text: str) -> str:
    """The page with its generated parts as they are now."""
    for mark, body in {"tables": _tables(), "priors": _priors(), "conventions": _conventions()}.items():
        text = updated(text, body, "docs/tables.md", mark)
    return text


def _tables() -> str:
    parts = []
    for key, paper in papers().items():
        own = [table for table in every() if table.paper == key]
        rows = listing(own).itertuples(index=False)
        lines = [[f"`{r.table}`", r.about, r.data, r.rows, r.studies] for r in rows]
        parts.append(f"## {key}, {paper['short']}")
        parts.append(markdown_table(["table", "what it shows", "data", "rows in vmlkit", "measured in"], lines))
        notes = [f"- {table.label}: {note}" for table in own for note in table.notes]
        parts.append("Contradictions, and what else is to be known:\n\n" + "\n".join(notes))
    return "\n\n".join(parts)


def _priors() -> str:
    found = "\n\n".join(_of(source, record) for source, record in priors.records().items())
    head = ["table", "column", "cells", "below the whole video or random windows", "below fitted answers too"]
    return f"{found}\n\n### Published cells that such answers beat\n\n{markdown_table(head, list(_beaten()))}"


def _of(source: str, record: Mapping[str, Any]) -> str:
    parts = [f"### {source}"]
    for part in record["parts"]:
        if part["convention"] not in priors.BESIDE:
            continue
        columns = [name for name in next(iter(part["percent"].values())) if _wanted(name)]
        rows = [[name, *(f"{row[c]:.2f}" for c in columns)] for name, row in part["percent"].items()]
        gone = "".join(f", {count:,} left out ({why})" for why, count in part["left_out"].items())
        window = part["window"]
        fitted = "" if window is None else f"; best constant window [{window[0]:g}, {window[1]:g}] of the video"
        said = "".join(f" {note[0].upper()}{note[1:]}." for note in part["notes"])
        parts.append(f"**{part['split']}**, {part['scored']:,} scored{gone}, percent{fitted}.{said}")
        parts.append(markdown_table([f"`{part['file']}`", *columns], rows))
    return "\n\n".join(parts)


def _wanted(metric: str) -> bool:
    """Columns that some published table has; of the many averages of actions, the one that papers print."""
    return metric in {column.metric for table in every() for column in table.columns} or metric.endswith("mIoU")


def _beaten() -> Iterator[list[object]]:
    for table in every():
        blind, fitted = priors.below(table, blind=True), priors.below(table, blind=False)
        cells = table.frame().notna().sum()
        for head in fitted.index:
            if blind[head] or fitted[head]:
                yield [table.label, " ".join(head), cells[head], blind[head], max(blind[head], fitted[head])]


def _conventions() -> str:
    """The whole video on ActivityNet Captions in every way of counting."""
    parts = {p["convention"]: p for p in priors.records()["activitynet"]["parts"] if p["split"] == "val_2"}
    rows = []
    for way in CONVENTIONS:
        whole = parts[way]["percent"]["whole video"]
        rows.append([f"`{way}`", _COMPUTED[way], ", ".join(f"{whole[f'R@1,IoU={m}']:.2f}" for m in (0.1, 0.3, 0.5)),
                     f"{whole['R@1,mIoU']:.2f}"])  # fmt: skip
    head = ["`--convention`", "how IoU is computed", "whole video on val_2, R@1 at 0.1, 0.3, 0.5", "mIoU"]
    return markdown_table(head, rows)
