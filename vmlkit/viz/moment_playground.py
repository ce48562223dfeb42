"""Draw a moment by hand over a film strip, and read IoU with the truth and IoN against an answer."""

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vmlkit.errors import ConfigError, required
from vmlkit.viz.filmstrip import draw_film_strip
from vmlkit.viz.playgrounds import Kind, show
from vmlkit.viz.style import ROLES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = ("truth", "answer", "yours")


def moment_playground(
    frames: UInt8[np.ndarray, "n px px 3"],
    duration_s: float,
    sentence: str,
    truth: tuple[float, float],
    answer: tuple[float, float],
    yours: tuple[float, float] | None = None,
) -> Any:
    """Drag your own moment over the pictures; the numbers are those of :func:`vmlkit.spans.iou` and ``ion``.

    Args:
        frames: evenly spaced pictures of the video.
        duration_s: its length.
        truth: start and end of the true moment, seconds.
        answer: of the moment that IoN is measured against.
        yours: of the moment to begin with; the middle third of the video unless given.

    Raises:
        ConfigError: for a moment that does not lie in the video or ends before it starts.
    """
    spans = {"truth": truth, "answer": answer, "yours": yours or (duration_s / 3, 2 * duration_s / 3)}
    for name, (start, end) in spans.items():
        if not 0 <= start <= end <= duration_s:
            raise ConfigError(f"the moment '{name}' must be a start and an end within 0 and {duration_s:g} s")
    edges = {f"{n}_{e}": float(v) for n, span in spans.items() for e, v in zip(("start", "end"), span, strict=True)}
    given = {"duration": float(duration_s), "sentence": sentence, "strip": strip_address(frames)}
    return show(_MOMENT, {**edges, **given})


def strip_address(frames: UInt8[np.ndarray, "n px px 3"]) -> str:
    """Pictures side by side as an address that holds the picture itself.

    Raises:
        MissingDependency: without matplotlib.
    """
    image, out = required("matplotlib.image", "notebooks", "drawing a film strip"), io.BytesIO()
    image.imsave(out, np.ascontiguousarray(np.concatenate(list(frames), axis=1)), format="png")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _picture(state: dict[str, Any]) -> "Figure":
    """The three moments as bars, for places where scripts do not run."""
    image = required("matplotlib.image", "notebooks", "drawing a film strip")
    pictures = image.imread(io.BytesIO(base64.b64decode(state["strip"].partition(",")[2])))[..., :3]
    side = pictures.shape[0]
    frames = np.stack(np.split((255 * pictures).round().astype(np.uint8), pictures.shape[1] // side, axis=1))
    fig = new_figure(figsize=(8, 2.2))
    draw_film_strip(fig.add_axes((0.14, 0.62, 0.84, 0.36)), frames, state["duration"])
    ax = fig.add_axes((0.14, 0.2, 0.84, 0.4))
    for lane, (name, role) in enumerate(zip(_NAMES, ("truth", "positive", "chosen"), strict=True)):
        start, end = state[f"{name}_start"], state[f"{name}_end"]
        ax.barh(-lane, end - start, 0.7, start, color=ROLES[role].color)
    ax.set(xlim=(0, state["duration"]), yticks=[0, -1, -2], yticklabels=["ground truth", "answer", "yours"])
    ax.set_xlabel("time (s)")
    return fig


_MOMENT = Kind(
    "moment",
    "Your own moment",
    tuple(f"{name}_{edge}" for name in _NAMES for edge in ("start", "end")),
    _picture,
    parts=("spans", "moment"),
    given=("duration", "sentence", "strip"),
)
