"""Pictures to play with: a Gaussian and its attention, the dual-signed schedule, IoU and IoN as lengths.

Everything is computed in the browser, so they answer at once, in a live notebook as in an exported page; the tests hold
the browser's numbers against the package's functions.  Where anywidget is not installed a page without a kernel is
shown instead, with the same behaviour; only Python then does not see the values.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.errors import ConfigError
from vmlkit.viz.live import html_fragment, module, stylesheet, write_page
from vmlkit.viz.style import FAINT, ROLES, attention_colormap, new_figure, png_bytes, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Kind:
    """What one playground is: its file in ``web/``, its heading, the values that travel, and its still picture."""

    file: str
    title: str
    dials: tuple[str, ...]
    picture: Callable[[dict[str, Any]], "Figure"]
    parts: tuple[str, ...] = ()  #: files of ``web/`` that make the module, where it is more than ``file``
    given: tuple[str, ...] = ()  #: names of what the page reads and never changes
    width: int = 980  #: of a saved page, pixels

    @property
    def source(self) -> str:
        """The module that the browser runs."""
        return module(*(self.parts or (self.file,)))


class LivePage:
    """A playground without anywidget: shown as HTML, saved as a page."""

    def __init__(self, kind: Kind, state: dict[str, Any]) -> None:
        self.kind, self.state = kind, state

    def __repr__(self) -> str:
        return f"{self.kind.title}: {', '.join(f'{n} {self.state[n]:g}' for n in self.kind.dials)}"

    def fragment(self) -> str:
        """HTML that is live where scripts run, and a picture elsewhere."""
        with styled():
            preview = png_bytes(self.kind.picture(self.state))
        return html_fragment(self.kind.source, self.state, preview=preview, alt=repr(self))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.fragment(), "text/plain": repr(self)}

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write it as it stands as one self-contained page and return its path."""
        return write_page(path, self.kind.title, self.fragment(), self.kind.width)


def gaussian_playground(
    center: float = 0.5, width: float = 0.4, sigma: float = 4.0, *, cells: int = 16, queries: int = 6, seed: int = 0
) -> Any:
    """Drag a proposal's center, width and sigma; see its weights on the grid and the attention in both forms.

    The Gaussian is CPL's, :func:`vmlkit.reconstruction.gaussian.peak_gaussian`; the maps are those of
    :func:`vmlkit.nn.attention.weighted_attention` on random scores.

    Args:
        cells: S, cells of the grid.
        queries: rows of the maps.
        seed: of the scores.

    Raises:
        ConfigError: for a center outside [0, 1], or a width, sigma, or size that is not positive.
    """
    _require(0 <= center <= 1, "the center must lie in [0, 1]")
    _require(width > 0 and sigma > 0 and cells > 1 and queries > 0, "width, sigma and sizes must be positive")
    scores = np.random.default_rng(seed).normal(0, 1.2, (queries, cells)).round(3)
    return show(
        _GAUSSIAN, {"center": center, "width": width, "sigma": sigma, "cells": cells, "scores": scores.tolist()}
    )


def schedule_playground(alpha: float = 0.5, beta: float = 0.8, *, epochs: int = 30) -> Any:
    """Drag P0's schedule ``c(e) = (e / e_max)^alpha - beta`` and see where it crosses zero.

    Raises:
        ConfigError: for a negative alpha, a beta outside [0, 1], or no epochs.
    """
    _require(
        alpha >= 0 and 0 <= beta <= 1 and epochs >= 1, "the schedule needs alpha >= 0, 0 <= beta <= 1, epochs >= 1"
    )
    return show(_SCHEDULE, {"alpha": float(alpha), "beta": float(beta), "epochs": int(epochs)})


def overlap_playground(
    truth: tuple[float, float] = (0.4, 0.7),
    positive: tuple[float, float] = (0.25, 0.6),
    negative: tuple[float, float] = (0.1, 0.45),
) -> Any:
    """Drag three intervals and read IoU (positive, truth) and IoN (negative in positive, outside the truth).

    The numbers are those of :func:`vmlkit.spans.iou` and :func:`vmlkit.spans.ion`.

    Raises:
        ConfigError: for an interval that does not lie in [0, 1] or ends before it starts.
    """
    spans = {"truth": truth, "positive": positive, "negative": negative}
    for name, (start, end) in spans.items():
        _require(0 <= start <= end <= 1, f"the {name} must be a start and an end within [0, 1]")
    state = {f"{n}_{edge}": float(v) for n, s in spans.items() for edge, v in zip(("start", "end"), s, strict=True)}
    return show(_OVERLAP, state)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def show(kind: Kind, state: dict[str, Any]) -> Any:
    """The playground as a widget; as a page without a kernel where anywidget is not installed."""
    roles = {name: role.colors for name, role in ROLES.items()}
    state = {**state, "roles": roles}
    if importlib.util.find_spec("anywidget") is None:
        return LivePage(kind, state)
    return _widget_class(kind)(**state)


@cache
def _widget_class(kind: Kind) -> Any:
    """The anywidget of a playground; every value is a trait of that name."""
    import anywidget
    import traitlets

    class Playground(anywidget.AnyWidget):
        _esm = kind.source
        _css = stylesheet()
        roles = traitlets.Dict().tag(sync=True)

        def _page(self) -> LivePage:
            names = [n for n in self.trait_names(sync=True) if not n.startswith("_") and n not in _WIDGET_TRAITS]
            return LivePage(kind, {n: getattr(self, n) for n in names})

        def __repr__(self) -> str:
            return repr(self._page())

        def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
            bundle = super()._repr_mimebundle_()
            return None if bundle is None else ({**bundle[0], **self._page()._repr_mimebundle_()}, bundle[1])

        def save_html(self, path: str | os.PathLike[str]) -> Path:
            """Write it as it stands as one self-contained page and return its path."""
            return self._page().save_html(path)

    traits: dict[str, Any] = {n: traitlets.Float().tag(sync=True) for n in kind.dials}
    if kind.file == "schedule":
        traits["epochs"] = traitlets.Int(min=1).tag(sync=True)
    traits |= {n: traitlets.Any().tag(sync=True) for n in kind.given}
    return type(f"{kind.file.capitalize()}Playground", (Playground,), traits)


#: what every ipywidget synchronises beside its own traits
_WIDGET_TRAITS = {"layout", "tabbable", "tooltip", "comm", "keys"}


def _gaussian_picture(state: dict[str, Any]) -> "Figure":
    scores, grid = np.array(state["scores"]), np.linspace(0, 1, state["cells"])
    distance = (grid - state["center"]) ** 2
    deviation = max(state["width"], 0.01) / state["sigma"]
    weights = np.exp(-(distance - distance.min()) / (2 * deviation**2))
    maps = {
        "mask on probabilities (code)": scores + np.log(weights + 1e-10),
        "mask on scores (paper)": scores * weights,
    }
    fig = new_figure(figsize=(8, 3.2), layout="constrained")
    axes = fig.subplot_mosaic([["weights", "weights"], list(maps)])
    axes["weights"].bar(grid, weights, 0.012, color=ROLES["positive"].color)
    t = np.linspace(0, 1, 400)
    curve = np.exp(-((t - state["center"]) ** 2) / (2 * deviation**2))
    axes["weights"].plot(t, curve, color=ROLES["chosen"].color, linewidth=ROLES["chosen"].width)
    axes["weights"].set(ylabel="weight g", xlim=(-0.02, 1.02))
    for title, logits in maps.items():
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        axes[title].imshow(p / p.sum(axis=1, keepdims=True), aspect="auto", cmap=attention_colormap())
        axes[title].set(title=title, xticks=[], yticks=[])
    return fig


def _schedule_picture(state: dict[str, Any]) -> "Figure":
    epochs = np.arange(1, state["epochs"] + 1)
    c = (epochs / state["epochs"]) ** state["alpha"] - state["beta"]
    fig = new_figure(figsize=(8, 2.6), layout="constrained")
    ax = fig.add_subplot()
    for name, part in (("easy_negative", c <= 0), ("hard_negative", c > 0)):
        role = ROLES[name]
        ax.bar(epochs[part], c[part], 0.8, facecolor="none", edgecolor=role.color, hatch=role.hatch, label=role.label)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.set(xlabel="epoch", ylabel="c", ylim=(-1, 1))
    ax.legend(loc="upper left")
    return fig


def _overlap_picture(state: dict[str, Any]) -> "Figure":
    fig = new_figure(figsize=(8, 1.8), layout="constrained")
    ax = fig.add_subplot()
    lanes = (("truth", "truth"), ("positive", "chosen"), ("negative", "hard_negative"))
    for lane, (name, role) in enumerate(lanes):
        start, end = state[f"{name}_start"], state[f"{name}_end"]
        hatched: dict[str, Any] = (
            {"facecolor": "none", "hatch": ROLES[role].hatch} if ROLES[role].hatch else {"facecolor": ROLES[role].color}
        )
        ax.barh(-lane, end - start, 0.6, start, edgecolor=ROLES[role].color, **hatched)
    ax.set(xlim=(0, 1), yticks=[0, -1, -2], yticklabels=["ground truth G", "positive P", "negative N"])
    return fig


_GAUSSIAN = Kind(
    "gaussian",
    "A Gaussian and what attention makes of it",
    ("center", "width", "sigma"),
    _gaussian_picture,
    given=("cells", "scores"),
)
_SCHEDULE = Kind("schedule", "The dual-signed schedule", ("alpha", "beta", "epochs"), _schedule_picture)
_OVERLAP = Kind(
    "overlap",
    "IoU and IoN as lengths",
    ("truth_start", "truth_end", "positive_start", "positive_end", "negative_start", "negative_end"),
    _overlap_picture,
    parts=("spans", "overlap"),
)
