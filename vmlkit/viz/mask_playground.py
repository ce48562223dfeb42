"""Place a mask by hand over a film strip: which words a trained reconstructor then says, and who explains it better.

What it shows is computed by :func:`vmlkit.reconstruction.by_hand.mask_record` on a grid of masks, so that it answers
without a kernel and without a network; the browser computes overlaps alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.errors import ConfigError
from vmlkit.viz.blocks import film_address
from vmlkit.viz.playgrounds import Kind, show
from vmlkit.viz.style import ROLES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE = (
    "Each word is said from the words before it and from what the mask lets through. A button has how likely the "
    "trained network finds the true word, and the word that it finds likelier; dashed words were hidden from the words "
    "after them. Masks lie on a grid at which the network was asked, the same hidden words each time."
)


def mask_playground(
    record: dict[str, Any], strips: Mapping[str, np.ndarray] | None = None, *, sentence: int = 0
) -> Any:
    """Drag a mask, read the words and the loss of the sentence, click a word to see where it looks; then answer.

    The places of the mask, ``center`` and ``width``, count the centers and widths of the record's grid.

    Args:
        record: from :func:`vmlkit.reconstruction.by_hand.mask_record`.
        strips: film strips (n, px, px, 3) uint8 by video id; sentences without one are shown without.
        sentence: which of the record's sentences opens.

    Raises:
        ConfigError: for a sentence that the record does not have.
    """
    if not 0 <= sentence < len(record["sentences"]):
        raise ConfigError(f"the record has sentences 0 to {len(record['sentences']) - 1}, not {sentence}")
    shown = [{**s, "strip": film_address((strips or {}).get(s["video"]))} for s in record["sentences"]]
    state: dict[str, Any] = {
        "center": float(len(record["centers"]) // 2),
        "width": float(len(record["widths"]) // 3),
        "sentence": float(sentence),
        "answered": 0.0,
        "word": -1.0,
        "record": {**record, "sentences": shown, "note": _NOTE},
    }
    return show(_MASK, state)


def _still(state: dict[str, Any]) -> "Figure":
    """The loss of the sentence by the center of the mask, for places where scripts do not run."""
    record = state["record"]
    sentence = record["sentences"][int(state["sentence"])]
    seconds = sentence["duration"]
    fig = new_figure(figsize=(8, 2.4), layout="constrained")
    ax = fig.add_subplot()
    loss = sentence["loss"][int(state["width"])]
    ax.plot(np.array(record["centers"]) * seconds, loss, color=ROLES["chosen"].color)
    ax.axvspan(*(t * seconds for t in sentence["truth"]["span"]), color=ROLES["truth"].color, alpha=0.16, linewidth=0)
    ax.set(xlabel="center of the mask (s)", ylabel="loss", xlim=(0, seconds), title=f"“{sentence['sentence']}”")
    return fig


_MASK = Kind(
    "mask",
    "Your own mask",
    ("center", "width", "sentence", "answered", "word"),
    _still,
    parts=("spans", "mask"),
    given=("record",),
)
