"""A figure of a published table with what was measured; of a grid of two settings a surface."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from vmlkit.errors import ConfigError
from vmlkit.tables import priors
from vmlkit.tables.ours import Ours
from vmlkit.tables.records import PublishedTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vmlkit.viz.published import Panel


def figures(table: PublishedTable, ours: Sequence[Ours]) -> Iterator[tuple[str, "Figure"]]:
    """(what to add to the name of the file, figure).

    Raises:
        ConfigError: where there is nothing to draw.
    """
    from vmlkit.viz.published import draw_surface, draw_table

    if any(group.curves for group in ours):
        yield from _over_epochs(table, ours)
        return
    panels = [*_published(table), *_measured(ours)]
    if not panels:
        raise ConfigError(f"{table.label} has no numbers to draw yet: measure it with --data, such as --data toy")
    grid = [row.set for row in table.lines]
    if table.draws is not None and grid and all(len(settings) == 2 for settings in grid) and len(grid) > 4:
        for i, panel in enumerate(panels):
            yield f"-{i}", draw_surface(_surface(table, panel), f"{table.label}: {panel.metric}, {panel.column}")
        return
    one = table.factors if len(table.factors) == 1 and table.lines is table.rows else ()
    names = [" ".join(filter(None, (row.group, row.name, *(f"{key} {row.factors[0]}" for key in one))))
             for row in table.lines]  # fmt: skip
    yield "", draw_table(panels, names, f"{table.label}: {table.about}")


def _over_epochs(table: PublishedTable, ours: Sequence[Ours]) -> Iterator[tuple[str, "Figure"]]:
    """A figure for each group, a panel for each metric, a line for each row that has the metric by epoch."""
    from vmlkit.viz.panels import draw_panels

    for i, group in enumerate(ours):
        panels: dict[str, dict[str, pd.Series]] = {}
        for (number, (_, metric)), curve in group.curves.items():
            panels.setdefault(metric, {})[table.lines[number].name] = pd.Series(dict(curve))
        if panels:
            yield (f"-{i}" if i else ""), draw_panels(panels, zero=True, same_y=True, size=(3.0, 2.4))


def _published(table: PublishedTable) -> "Iterator[Panel]":
    from vmlkit.viz.published import Panel

    frame = table.frame()
    under = priors.beside(table) if table.lines is table.rows else pd.DataFrame()
    for i, column in enumerate(table.columns if table.lines is table.rows else ()):
        values = frame.iloc[:, i].to_numpy()
        points = pd.DataFrame({"row": range(len(values)), "value": values, "low": float("nan"), "high": float("nan")})
        known = under.iloc[:, i].dropna().to_dict() if len(under) else {}
        where = " ".join(filter(None, (column.data, column.split, column.host)))
        yield Panel(column=f"published: {where}", metric=column.metric, points=points.dropna(subset=["value"]),
                    measured=False, priors=known)  # fmt: skip


def _measured(ours: Sequence[Ours]) -> "Iterator[Panel]":
    from vmlkit.viz.published import Panel

    for group in ours:
        for host, metric in group.heads:
            cells = {number: cell for (number, head), cell in group.cells.items() if head == (host, metric)}
            rows = [(number, cell.value, cell.low, cell.high) for number, cell in cells.items()]
            points = pd.DataFrame(rows, columns=["row", "value", "low", "high"]).astype(float)
            beside = {name: values[host, metric] for name, values in group.priors.items() if (host, metric) in values}
            label = " ".join(filter(None, (f"ours: {group.label}", host)))
            yield Panel(column=label, metric=metric, points=points, measured=True, priors=beside)


def _surface(table: PublishedTable, panel: "Panel") -> pd.DataFrame:
    settings = [table.lines[int(row)].set for row in panel.points["row"]]
    down, across = settings[0]
    long = pd.DataFrame({
        down.rpartition(".")[2]: [one[down] for one in settings],
        across.rpartition(".")[2]: [one[across] for one in settings],
        "value": panel.points["value"].to_numpy(),
    })  # fmt: skip
    return long.pivot(index=long.columns[0], columns=long.columns[1], values="value")
