"""Negatives on the CE curve: they roll uphill while P0's c is negative and downhill after, beside a recorded network.

What it shows is computed by :func:`vmlkit.reconstruction.free_negatives.curve_record`; the browser repeats its rule, so
every dial answers at once, without a kernel and without a network.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.errors import ConfigError
from vmlkit.viz.blocks import film_address
from vmlkit.viz.hardness import STOPS, HardnessScale, mix
from vmlkit.viz.playgrounds import Kind, show
from vmlkit.viz.style import FAINT, INK, ROLES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE = (
    "Balls: light is easy (the top of this curve), dark red is hard (as well explained as the answer); dotted while "
    "c < 0, solid after. Below the dashed line (answer + γ) a negative still costs L_mt. Left: each center follows the "
    "slope of c · CE on the curve of the trained, frozen network. Right: what the heads of the network learned from "
    "the same loss, recorded epoch by epoch with its own α and β, and drawn on the curve at its end; between epochs "
    "the drawing interpolates."
)


def uphill_playground(
    record: dict[str, Any], strips: Mapping[str, np.ndarray] | None = None, *, sentence: int = 0, epoch: int = -1
) -> Any:
    """Play with free negatives on the CE curve of a sentence, with what a network did beside them.

    Args:
        record: from :func:`vmlkit.reconstruction.free_negatives.curve_record`.
        strips: film strips (n, px, px, 3) uint8 by video id; sentences without one are shown without.
        sentence: which of the record's sentences opens.
        epoch: at which it opens; -1 is the last.

    Raises:
        ConfigError: for a sentence or an epoch that the record does not have.
    """
    if not 0 <= sentence < len(record["sentences"]):
        raise ConfigError(f"the record has sentences 0 to {len(record['sentences']) - 1}, not {sentence}")
    if not -1 <= epoch <= record["epochs"]:
        raise ConfigError(f"the record has epochs 0 to {record['epochs']}, not {epoch}")
    shown = [{**s, "strip": film_address((strips or {}).get(s["video"]))} for s in record["sentences"]]
    state = {
        "alpha": float(record["alpha"]),
        "beta": float(record["beta"]),
        "margin": float(record["margin"]),
        "width": float(len(record["widths"]) // 2),
        "sentence": float(sentence),
        "network": 0.0,
        "epoch": float(record["epochs"] if epoch < 0 else epoch),
        "record": {
            **record,
            "sentences": shown,
            "hardness": {"light": list(STOPS["color"]), "dark": list(STOPS["dark"])},
            "note": _NOTE,
        },
    }
    return show(_UPHILL, state)


def _still(state: dict[str, Any]) -> "Figure":
    """The curve with its free negatives at the end, and their way below it, at the dials of the beginning."""
    record = state["record"]
    sentence = record["sentences"][int(state["sentence"])]
    network = record["networks"][int(state["network"])]
    curve = np.array(network["ce"][int(state["sentence"])][len(record["widths"]) // 2])
    seconds, path = sentence["duration"], np.array(record["path"])[:, int(state["sentence"])]
    fig = new_figure(figsize=(8, 3.6), layout="constrained")
    upper, lower = fig.subplots(2, 1, sharex=True)
    places = np.linspace(0, seconds, len(curve))
    answer = network["answer"][int(state["sentence"])][2]
    scale = HardnessScale("gap", max(float(curve.max()) - answer, 0.01), 0.0)
    upper.plot(places, curve, color=INK)
    for way in path.T * seconds:
        height = float(np.interp(way[-1], places, curve))
        color = mix(STOPS["color"], float(scale.place(np.array(height - answer))))
        upper.plot(way[-1], height, "o", color=color, markeredgecolor=INK)
        lower.plot(way, range(len(way)), color=color)
    upper.set(ylabel="CE of the sentence", title=f"“{sentence['sentence']}”")
    lower.set(ylabel="epoch", xlabel="time (s)", ylim=(len(path) - 1, 0), xlim=(0, seconds))
    for ax in (upper, lower):
        ax.axvspan(*(t * seconds for t in sentence["truth"]), color=ROLES["truth"].color, alpha=0.16, linewidth=0)
        ax.tick_params(colors=FAINT)
    return fig


_UPHILL = Kind(
    "uphill",
    "Negatives on the CE curve",
    ("alpha", "beta", "margin", "width", "sentence", "network", "epoch"),
    _still,
    parts=("controls", "rolling", "uphill"),
    given=("record",),
    width=1560,
)
