"""Named lines in small panels side by side, over whatever the x axis is, with the two phases of P0's schedule behind.

:mod:`vmlkit.viz.curves` draws columns of runs; this draws tables that were computed from them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from vmlkit.errors import DataError
from vmlkit.viz.faults import PAGE_INCHES
from vmlkit.viz.style import ROLES, SERIES, name_line, new_figure, spread_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_panels(
    panels: Mapping[str, Mapping[str, pd.Series]],
    *,
    xlabel: str = "epoch",
    sign: "pd.Series | None" = None,
    zero: bool = False,
    same_y: bool = False,
    size: tuple[float, float] = (2.5, 2.0),
) -> "Figure":
    """Draw lines into panels, each line named where it ends.

    Args:
        panels: title -> name of a line -> values, indexed by x.  A name keeps its colour and dashes in all panels.
        xlabel: of every panel.
        sign: c by epoch: the epochs with c < 0 get the ground of easy negatives, those with c > 0 that of hard ones.
        zero: start the y axis at 0.
        same_y: one y axis for all panels.
        size: of a panel, in inches, without the room for names.

    Raises:
        DataError: for no panel, or more lines than can be told apart.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    if not panels or len(names) > len(SERIES):
        raise DataError("panels", f"{len(panels)} with {len(names)} names", f"draw 1 to {len(SERIES)} lines")
    styles = dict(zip(names, SERIES, strict=False))
    fig, axes = _lay_out(panels, size, same_y)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, line in lines.items():
            _draw(ax, line.dropna(), styles[name])
        ax.set_title(title)
        ax.set_xlabel(xlabel)
        ax.margins(y=0.09)
        ax.grid(axis="y")
        if zero:
            ax.set_ylim(bottom=0)
        if sign is not None:
            _ground(ax, sign.dropna())
    for ax, lines in zip(axes, panels.values(), strict=True):
        _name(ax, {name: line.dropna() for name, line in lines.items()}, styles, size[1])
    return fig


def _lay_out(
    panels: Mapping[str, Mapping[str, pd.Series]], size: tuple[float, float], same_y: bool
) -> "tuple[Figure, list[Axes]]":
    """Axes of equal size, each followed by the room that its own names need; all in inches."""
    left, top, bottom = 0.55, 0.32, 0.48
    rooms = [0.28 + 0.066 * max(map(len, lines)) for lines in panels.values()]
    # long names make panels narrower rather than the figure wider than a page
    across = min(size[0], max((PAGE_INCHES - sum(rooms)) / len(panels) - left, 1.2))
    width, height = sum(rooms) + (across + left) * len(panels), size[1] + top + bottom
    fig = new_figure(figsize=(width, height))
    axes: list[Axes] = []
    x = 0.0
    for room in rooms:
        box = ((x + left) / width, bottom / height, across / width, size[1] / height)
        axes.append(fig.add_axes(box, sharey=axes[0] if axes and same_y else None))
        x += left + across + room
    return fig, axes


def _draw(ax: "Axes", line: pd.Series, style: tuple[str, tuple[float, ...]]) -> None:
    color, dash = style
    linestyle: Any = (0, dash) if dash else "-"
    ax.plot(line.index, line, color=color, linewidth=1.6, linestyle=linestyle, zorder=3)
    ax.plot(line.index[-1:], line[-1:], "o", color=color, markersize=3.5, zorder=3)


def _ground(ax: "Axes", sign: pd.Series) -> None:
    """Colour each epoch by the sign of c, from half an epoch before to half an epoch after it."""
    for epoch, value in sign.items():
        if value:
            role = ROLES["easy_negative" if value < 0 else "hard_negative"]
            ax.axvspan(epoch - 0.5, epoch + 0.5, color=role.color, alpha=0.09, linewidth=0, zorder=0)


def _name(
    ax: "Axes", lines: Mapping[str, pd.Series], styles: Mapping[str, tuple[str, tuple[float, ...]]], inches: float
) -> None:
    low, high = ax.get_ylim()
    gap = 0.15 * (high - low) / inches
    places = spread_apart([float(line.iloc[-1]) for line in lines.values()], gap, low + gap / 2, high)
    right = max(line.index[-1] for line in lines.values())
    for name, place in zip(lines, places, strict=True):
        name_line(ax, name, (right, place), styles[name][0])
