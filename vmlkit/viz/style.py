"""One look for every picture: a colour, a line style and a hatch per role, and how figures are saved.

A role keeps its colour in every figure, notebook and widget.  The colours differ in lightness by at least seven
CIE L* steps, so they stay apart on a grey printer, and stay apart under the three common forms of colour blindness;
line styles and hatches say the same once more.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.errors import DataError, required
from vmlkit.files import atomic_path
from vmlkit.viz.faults import figure_faults

if TYPE_CHECKING:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

#: dots per inch of pictures shown in a notebook, and of pictures written to disk
SCREEN_DPI, FILE_DPI = 100, 160

#: ``vmlkit.mplstyle``, as matplotlib names the style of a package
_STYLE = "vmlkit.viz.vmlkit"

INK, FAINT, HAIR = "#22262B", "#6B737C", "#D5DADF"


@dataclass(frozen=True)
class Role:
    """How one role is drawn.

    Args:
        label: the words a figure uses for it.
        color: on a light ground.
        text: the colour for words on a light ground (contrast of at least 4.5 to white).
        dark: on a dark ground.
        dash: lengths of dash and gap in line widths; empty for a solid line.
        width: line width in points.
        hatch: matplotlib's pattern for a filled area.
    """

    label: str
    color: str
    text: str
    dark: str
    dash: tuple[float, ...] = ()
    width: float = 1.4
    hatch: str = ""

    @property
    def colors(self) -> dict[str, str]:
        """Its colours by the names that live pictures have for them: ``light``, ``text``, ``dark``."""
        return {"light": self.color, "text": self.text, "dark": self.dark}

    @property
    def linestyle(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash pattern as matplotlib takes it."""
        return (0.0, self.dash) if self.dash else "-"


_DOTTED, _DASHED = (1.2, 1.6), (4.5, 1.8)

#: ``negative`` is a negative of no stated kind; it looks like a hard one.  ``pushed_negative`` and ``pulled_negative``
#: are the two phases of P0's clock: their dashes say which, and their colour is measured (:mod:`vmlkit.viz.hardness`)
ROLES: dict[str, Role] = {
    "truth": Role("ground truth", "#16956B", "#0E7A57", "#36C79A", width=1.0),
    "chosen": Role("chosen positive", "#12367A", "#12367A", "#E1EDFF", width=2.4),
    "positive": Role("other positives", "#5FA0DA", "#2C74B3", "#457BCB", width=1.3),
    "easy_negative": Role("easy negatives", "#E2A323", "#916208", "#F4CF62", _DOTTED, 1.7, "...."),
    "hard_negative": Role("hard negatives", "#A82A17", "#A82A17", "#F2694C", _DASHED, 1.5, "////"),
    "negative": Role("negatives", "#A82A17", "#A82A17", "#F2694C", _DASHED, 1.5, "////"),
    "pushed_negative": Role("negatives, c < 0", "#A82A17", "#A82A17", "#F2694C", _DOTTED, 1.7, "...."),
    "pulled_negative": Role("negatives, c > 0", "#A82A17", "#A82A17", "#F2694C", _DASHED, 1.5, "////"),
    "attention": Role("attention", "#A84D9B", "#96408A", "#A8408F", width=1.4),
}

#: for lines that are runs or models rather than roles: dark to light, each with its own dashes
SERIES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("#22262B", ()),
    ("#7A6A4F", (5, 2)),
    ("#4F7C86", (1.4, 1.6)),
    ("#8E97A1", (7, 2, 1.4, 2)),
    ("#A98F6B", ()),
    ("#7FB0B5", (3, 1.4)),
)


def pyplot() -> Any:
    """matplotlib's pyplot.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    return required("matplotlib.pyplot", "notebooks", "drawing a figure")


def new_figure(**arguments: Any) -> "Figure":
    """A figure that pyplot does not know: no global state, and a notebook shows it once, where it is the last value.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    pyplot()
    from matplotlib.figure import Figure

    return Figure(**arguments)


def use_style() -> None:
    """Set matplotlib's defaults for the whole session; in IPython, show figures as PNG at 100 dpi.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    pyplot().style.use(_STYLE)
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("png")


def styled() -> Any:
    """A context in which matplotlib has the look of :func:`use_style`, for pictures made behind the scenes.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    return pyplot().style.context(_STYLE)


_NO_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Creator": None, "Date": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def save_figure(fig: "Figure", path: str | os.PathLike[str]) -> Path:
    """Write ``fig`` at its own size and 160 dpi, without dates or program names, and return the path.

    The same figure written twice gives the same bytes; the file appears under its name only when complete.  Where
    ``$VMLKIT_CHECK_FIGURES`` is set, as in tests, a figure with cut text, another font than that of the style, a letter
    which that has not, a label without ticks, or more width than a page is refused (:mod:`vmlkit.viz.faults`).

    Raises:
        DataError: for a name that does not end in .png, .svg or .pdf, and for a figure that is refused.
    """
    path = Path(path)
    if path.suffix not in _NO_METADATA:
        raise DataError(path, f"cannot save a figure as '{path.suffix}'", "end the name in .png, .svg or .pdf")
    if os.environ.get("VMLKIT_CHECK_FIGURES") and (faults := figure_faults(fig)):
        raise DataError(path, "; ".join(faults), "give it more room, or draw less")
    with atomic_path(path) as partial, pyplot().rc_context({"svg.hashsalt": "vmlkit", "savefig.bbox": None}):
        _save(fig, partial, dpi=FILE_DPI, metadata=_NO_METADATA[path.suffix])
    return path


def png_bytes(fig: "Figure") -> bytes:
    """``fig`` as PNG at 100 dpi, the same bytes each time."""
    file = io.BytesIO()
    _save(fig, file, format="png", dpi=SCREEN_DPI, metadata=_NO_METADATA[".png"])
    return file.getvalue()


def _save(fig: "Figure", place: Any, **settings: Any) -> None:
    """Save a figure; a letter that no font here has is a box on the picture, and no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        fig.savefig(place, **settings)


def as_written(text: str, most: int = 200) -> str:
    r"""Somebody's text as a picture shows it: no formula between dollars, no control characters, not without end.

    >>> as_written("a $5 ticket\nand $x^{")
    'a \\$5 ticket and \\$x^{'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: most + 1]).split())
    return (line if len(text) <= most else f"{line[:most]}…").replace("$", r"\$")


def attention_colormap() -> "LinearSegmentedColormap":
    """White through the attention colour to near black; lightness falls steadily."""
    pyplot()
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#FFFFFF", "#EBCFE6", "#CE8FC4", ROLES["attention"].color, "#6A2563", "#2B0B2B"]
    return LinearSegmentedColormap.from_list("vmlkit_attention", stops)


def plain_axis(ax: Any) -> None:
    """Leave only the time axis of ``ax``: no frame, no vertical ticks."""
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.set_yticks([])


def name_line(ax: Any, text: str, end: tuple[float, float], color: str) -> None:
    """Write the name of a line to the right of where it ends."""
    ax.annotate(text, end, xytext=(7, 0), textcoords="offset points", va="center", fontsize=8, color=color,
                annotation_clip=False)  # fmt: skip


def spread_apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels along a line by as little as needed so that neighbours are ``gap`` apart, within low..high.

    >>> spread_apart([0.5, 0.5, 0.9], 0.2, 0.0, 1.0)
    [0.4, 0.6, 0.9]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [min(max(places[i], low), high) for i in order]
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    for _ in range(60):
        for i in range(1, len(moved)):
            push = (gap - (moved[i] - moved[i - 1])) / 2
            if push > 0:
                moved[i - 1], moved[i] = moved[i - 1] - push, moved[i] + push
        moved = [min(max(m, low + i * gap), high - (len(moved) - 1 - i) * gap) for i, m in enumerate(moved)]
    result = [0.0] * len(moved)
    for place, i in zip(moved, order, strict=True):
        result[i] = round(place, 6)
    return result
