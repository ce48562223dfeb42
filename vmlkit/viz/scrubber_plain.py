"""The scrubber without anywidget: ipywidgets controls over an SVG that Python writes for every epoch."""

import base64
import html
import os
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.errors import MissingDependency

try:
    import ipywidgets
except ImportError as error:
    raise MissingDependency("ipywidgets", "notebooks", "the epoch scrubber") from error

from vmlkit.viz.scrubber_source import MAX_BYTES, AnyRun, ScrubberSource
from vmlkit.viz.shapes import gaussian
from vmlkit.viz.snapshots import CurveShape, Snapshot
from vmlkit.viz.style import FAINT, ROLES, spread_apart

_WIDTH, _LEFT, _INNER = 900, 110, 774


class EpochScrubberPlain(ipywidgets.VBox):
    """Sliders and a picture: slower than :class:`EpochScrubber` and silent without a kernel, but with fewer needs.

    Args:
        run: a run directory or its path.
        query: the query to open with; the most instructive one unless given.
        epoch: the epoch to open with; -1 is the last.
        max_bytes: bound on what is embedded, as for the other form.

    Raises:
        DataError: when the run has no recorded proposals, or the query is not embedded.
    """

    def __init__(
        self, run: AnyRun, *, query: object | None = None, epoch: int = 0, max_bytes: int = MAX_BYTES, **arguments: Any
    ) -> None:
        self.source = ScrubberSource(run, max_bytes, query=query)
        sentences = [(f"“{q['sentence']}”", q["id"]) for q in self.source.packed.meta["queries"]]
        self.epochs = ipywidgets.SelectionSlider(
            options=self.source.epochs,
            value=self.source.nearest_epoch(epoch),
            description="epoch",
            layout={"width": "60%"},
        )
        self.queries = ipywidgets.Dropdown(
            options=sentences, value=self.source.query_id(query), description="query", layout={"width": "60%"}
        )
        self.picture = ipywidgets.HTML()
        note = ipywidgets.HTML(html.escape(self.source.packed.meta["left_out"]))
        for control in (self.epochs, self.queries):
            control.observe(self._draw, "value")
        super().__init__([self.epochs, self.queries, self.picture, note], **arguments)
        self._draw()

    def _draw(self, _: object = None) -> None:
        self.picture.value = timeline_svg(self.source, self.queries.value, self.epochs.value)

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the full scrubber as one self-contained page and return its path."""
        return self.source.save(path, self.source.fragment(self.epochs.value, self.queries.value))


def timeline_svg(source: ScrubberSource, query_id: str, epoch: int) -> str:
    """One query at one epoch as an SVG with its numbers as text."""
    view, meta = source.view, source.packed.meta
    query = meta["queries"][source.query_ids.index(query_id)]
    shot = view.snapshot(query_id, epoch)
    side, parts = _strip_svg(source, query["video"])
    cap, base = side + 18, side + 150
    floor = base + (92 if len(shot.negatives) else 8)
    parts += _truth_svg(query, cap, floor)
    parts += _axis_svg(query["duration"], base, floor)
    parts += _proposals_svg(shot, view.shapes(), base)
    score = "" if shot.chosen is None else f" · IoU {shot.chosen_iou:.2f}"
    score += f" · IoN up to {np.nanmax(shot.ion):.2f}" if np.isfinite(shot.ion).any() else ""
    words = f"epoch {epoch}{'' if epoch else ' (before training)'} · “{query['sentence']}”{score}"
    alt, body = html.escape(words, quote=True), "".join(parts)
    return (
        f'<p style="margin:4px 0">{html.escape(words)}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {floor + 26}" width="100%" style="max-width:{_WIDTH}px;background:#fff"'
        f' font-family="sans-serif" font-size="12" role="img" aria-label="{alt}">{body}</svg>'
    )


def _x(fraction: float) -> float:
    return _LEFT + _INNER * float(np.clip(fraction, 0, 1))


def _text(
    words: str, x: float, y: float, color: str, anchor: str = "end", size: float = 12, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y + 4:.1f}" fill="{color}" text-anchor="{anchor}" font-size="{size}"'
        f' font-weight="{weight}">{html.escape(words)}</text>'
    )


def _strip_svg(source: ScrubberSource, video: int) -> tuple[float, list[str]]:
    """Height of the strip and its elements; pictures stand where they were packed, side by side."""
    raw = source.packed.strip_bytes(video)
    if raw is None:
        return 0.0, []
    entry = source.packed.meta["strips"]["videos"][video]
    cell = _INNER / entry["count"]
    if entry["kind"] == "heat":
        color = ROLES["attention"].color
        return 20.0, [
            f'<rect x="{_LEFT + i * cell:.2f}" y="0" width="{cell + 0.3:.2f}" height="20" fill="{color}"'
            f' fill-opacity="{value / 255:.3f}"/>'
            for i, value in enumerate(raw)
        ]
    picture = base64.b64encode(raw).decode("ascii")
    return cell, [
        f'<image x="{_LEFT}" y="0" width="{_INNER}" height="{cell:.2f}" preserveAspectRatio="none"'
        f' href="data:image/jpeg;base64,{picture}"/>',
        *(f'<rect x="{_LEFT + i * cell - 1.5:.2f}" y="0" width="3" height="{cell:.2f}" fill="#fff"/>'
          for i in range(1, entry["count"])),
    ]  # fmt: skip


def _truth_svg(query: dict[str, Any], cap: float, floor: float) -> list[str]:
    role, parts = ROLES["truth"], [_text(ROLES["truth"].label, _LEFT - 10, cap, ROLES["truth"].text)]
    for start, end in query["truths"]:
        x0, x1 = _x(start / query["duration"]), _x(end / query["duration"])
        parts += [
            f'<rect x="{x0:.1f}" y="{cap}" width="{x1 - x0:.1f}" height="{floor - cap}" fill="{role.color}"'
            f' fill-opacity="0.16" stroke="{role.color}"/>',
            f'<rect x="{x0:.1f}" y="{cap - 4}" width="{x1 - x0:.1f}" height="8" fill="{role.color}"/>',
        ]
    (first, _), (start, last) = query["truths"][0], query["truths"][-1]
    words = f"{start:.1f}–{last:.1f} s" if len(query["truths"]) == 1 else f"{len(query['truths'])} windows"
    at = _x(last / query["duration"])
    right = at < _LEFT + 0.85 * _INNER
    place, side = (at + 7, "start") if right else (_x(first / query["duration"]) - 7, "end")
    return [*parts, _text(words, place, cap, role.text, side)]


def _axis_svg(duration: float, base: float, floor: float) -> list[str]:
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000) if duration / s <= 9)
    ticks = [_text(f"{s:g}", _x(s / duration), floor + 14, FAINT, "middle", 11) for s in np.arange(0, duration, step)]
    line = f'<line x1="{_LEFT}" x2="{_LEFT + _INNER}" y1="{base}" y2="{base}" stroke="{FAINT}"/>'
    return [line, _text("time (s)", _LEFT - 10, floor + 14, FAINT, size=11), *ticks]


def _proposals_svg(shot: Snapshot, shapes: tuple[CurveShape, CurveShape], base: float) -> list[str]:
    positive, negative = (gaussian(*astuple(s)) for s in shapes)
    t = np.linspace(0, 1, 388)
    several = len(shot.positives) > (shot.chosen is not None)
    parts = [_text("positives", _LEFT - 10, base - 50, ROLES["positive"].text)] if several else []
    for (center, width), name in zip(shot.negatives, shot.negative_roles, strict=True):
        parts.append(_curve_svg(name, t, negative(center, width, t), base, 66))
    for p in sorted(range(len(shot.positives)), key=lambda p: p == shot.chosen):
        center, width = shot.positives[p]
        name = "chosen" if p == shot.chosen else "positive"
        parts.append(_curve_svg(name, t, positive(center, width, t), base, -100))
    for i, name in enumerate(dict.fromkeys(shot.negative_roles)):
        parts.append(_text(ROLES[name].label, _LEFT - 10, base + 30 + 20 * i, ROLES[name].text))
    centers, weights = shot.negatives[:, 0], shot.negative_weights
    places = spread_apart([_x(c) for c in centers], 34, _LEFT + 14, _LEFT + _INNER - 14)
    for place, weight, name in zip(places, weights, shot.negative_roles, strict=True):
        if np.isfinite(weight):
            parts.append(_text(f"{weight:.2f}", place, base + 78, ROLES[name].text, "middle", 11))
    if shot.chosen is not None:
        start, end = shot.spans[shot.chosen]
        color, middle = (
            ROLES["chosen"].color,
            float(np.clip(_x(shot.positives[shot.chosen, 0]), _LEFT + 26, _WIDTH - 42)),
        )
        parts.append(
            f'<rect x="{_x(start):.1f}" y="{base - 3}" width="{_x(end) - _x(start):.1f}" height="6" fill="{color}"/>'
        )
        parts.append(_text("answer", _LEFT - 10, base, color, weight="600"))
        parts.append(_text(f"IoU {shot.chosen_iou:.2f}", middle, base - 110, color, "middle", 12.5, "600"))
    return parts


def _curve_svg(name: str, t: np.ndarray, height: np.ndarray, base: float, reach: float) -> str:
    """One curve without its tails, which would only thicken the base line."""
    role, seen = ROLES[name], height > 0.02
    points = [f"{_LEFT + _INNER * x:.1f},{base + reach * y:.1f}" for x, y in zip(t[seen], height[seen], strict=True)]
    if not points:
        return ""
    dash = f' stroke-dasharray="{" ".join(f"{d * role.width:.1f}" for d in role.dash)}"' if role.dash else ""
    stroke = f'stroke="{role.color}" stroke-width="{role.width * 1.2:.2f}"{dash}'
    line = f'<polyline points="{" ".join(points)}" fill="none" {stroke}/>'
    if name != "chosen":
        return line
    ends = [f"{points[0].split(',')[0]},{base}", *points, f"{points[-1].split(',')[0]},{base}"]
    return f'<polygon points="{" ".join(ends)}" fill="{role.color}" fill-opacity="0.2"/>{line}'
