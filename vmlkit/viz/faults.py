"""What a reader would see wrong with a figure: cut text, another font, a label without ticks, too much width."""

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: the width of a page for figures, inches: what is left of a window of 1,280 pixels beside prompts and margins
PAGE_INCHES = 11.0

#: the family of fonts that matplotlib ships, which ``vmlkit.mplstyle`` names
FONT = "DejaVu Sans"

#: text may stand out by so many points, which no reader sees
_SLACK = 1.0


def figure_faults(fig: "Figure") -> list[str]:
    """What is wrong with ``fig``, a sentence each; it is laid out and drawn for this, and otherwise left as it is.

    Text is cut where it stands out of the figure.  A label without ticks names an axis on which nothing can be read.
    Every text is in :data:`FONT`, which has all its letters.
    """
    canvas: Any = fig.canvas
    if not hasattr(canvas, "get_renderer"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(fig)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        canvas.draw()
    renderer, page, slack = canvas.get_renderer(), fig.bbox, _SLACK * fig.dpi / 72
    lacking = (re.search(r"Glyph \d+ \((.*)\) missing|does not have a glyph for (.*)", str(w.message)) for w in warned)
    found = [f"{FONT} has no letter {each[1] or each[2]}" for each in lacking if each]
    if fig.get_figwidth() > PAGE_INCHES:
        found.append(f"the figure is {fig.get_figwidth():.1f} inches wide; a page has {PAGE_INCHES:g}")
    for text in _texts(fig):
        if not (text.get_visible() and text.get_text().strip()):
            continue
        box = text.get_window_extent(renderer)
        out = {"left": page.x0 - box.x0, "right": box.x1 - page.x1, "bottom": page.y0 - box.y0, "top": box.y1 - page.y1}
        side = max(out, key=lambda name: out[name])
        if out[side] > slack:
            found.append(f"'{text.get_text()}' is cut at the {side}")
        family = _family(text)
        if not family.startswith(FONT):
            found.append(f"'{text.get_text()}' is in {family}, not in {FONT}")
    for ax in fig.axes:
        for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
            label = axis.label.get_text().strip()
            if label and axis.label.get_visible() and _shown(ax) and not any(_tick_labels(axis)):
                found.append(f"the {name} axis '{label}' has no ticks")
    return found


def _family(text: Any) -> str:
    """The font that a text is drawn in, or asked for and fell back from."""
    from matplotlib.font_manager import findfont, get_font

    asked = text.get_fontproperties()
    try:
        return str(get_font(findfont(asked, fallback_to_default=False)).family_name)
    except ValueError:
        return f"another font than '{', '.join(asked.get_family())}', which is not installed"


def _shown(ax: Any) -> bool:
    return bool(ax.get_visible() and ax.axison)


def _tick_labels(axis: Any) -> Iterator[Any]:
    """The labels of the ticks that are drawn."""
    for tick in axis._update_ticks():
        yield from (text for text in (tick.label1, tick.label2) if text.get_visible() and text.get_text().strip())


def _texts(fig: "Figure") -> Iterator[Any]:
    """Every text that is drawn; a text that an axes clips at its own frame is cut on purpose."""
    from matplotlib.text import Text

    yield from fig.texts
    for legend in (*fig.legends, *(ax.get_legend() for ax in fig.axes)):
        yield from () if legend is None else legend.findobj(Text)
    axes: list[Any] = [ax for ax in fig.axes if ax.get_visible()]
    for ax in axes:
        yield from (ax.title, ax._left_title, ax._right_title)
        yield from (text for text in ax.texts if not text.get_clip_on())
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            yield axis.label
            yield from _tick_labels(axis)
