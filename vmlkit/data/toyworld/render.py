"""Drawing a script as frames, at any times and any resolution.

Shapes are signed distances, anti-aliased over one pixel and painted from back to front.  Backgrounds are nearly
grey, so saturated colours belong to actors only.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from vmlkit.data.toyworld.cards import paint_card
from vmlkit.data.toyworld.motion import Track, tracks
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.data.toyworld.world import COLORS, Distractor
from vmlkit.errors import DataError

#: frames are drawn together up to this many pixels, which bounds memory at about 50 MB
_CHUNK_PIXELS = 1 << 20


def render(video: ToyVideo, times_s: Float[np.ndarray, " n"], px: int) -> UInt8[np.ndarray, "n px px 3"]:
    """Frames of a video.

    Args:
        video: the script.
        times_s: seconds, in any order.
        px: side of the frames in pixels, at least 8.

    Raises:
        DataError: for a time outside the video or a size below 8.
    """
    times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
    if times.ndim != 1 or not np.all((times >= 0) & (times <= video.duration_s)):
        raise DataError(video.video_id, "a time outside the video", f"use seconds from 0 to {video.duration_s}")
    if px < 8:
        raise DataError(video.video_id, f"frames of {px} px cannot be drawn", "use a size of at least 8")
    frames = np.empty((len(times), px, px, 3), dtype=np.uint8)
    step = max(1, _CHUNK_PIXELS // px**2)
    for first in range(0, len(times), step):
        frames[first : first + step] = _draw(video, times[first : first + step], px)
    return frames


def _draw(video: ToyVideo, times: np.ndarray, px: int) -> np.ndarray:
    canvas = _background(video, times, px)
    for distractor in video.distractors:
        _paint(canvas, _idle(distractor, times))
    for event in video.events:
        for track in tracks(event, times):
            _paint(canvas, track)
    for card in video.cards:
        shown = np.flatnonzero((times >= card.start_s) & (times < card.end_s))
        if len(shown):
            canvas[shown] = paint_card(card, px)
    canvas += _noise(video.noise_seed, times, px)[..., None]
    canvas *= 255
    canvas += 0.5
    return np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)


def _background(video: ToyVideo, times: np.ndarray, px: int) -> np.ndarray:
    """A grey tone that drifts in time and is a little brighter at the top."""
    backdrop = video.backdrop
    tone = np.where((times < backdrop.cut_s)[:, None], backdrop.first, backdrop.second)
    tone = tone + 0.05 * np.sin(2 * np.pi * times / video.duration_s)[:, None]
    shade = 1.06 - 0.12 * (np.arange(px) + 0.5) / px
    columns = (tone[:, None, :] * shade[None, :, None]).astype(np.float32)
    return np.repeat(columns[:, :, None, :], px, axis=2)


def _idle(distractor: Distractor, times: np.ndarray) -> Track:
    shown = (times >= distractor.on_s) & (times < distractor.off_s)
    still = {"x": distractor.x, "y": distractor.y, "radius": distractor.radius, "angle": 0.0}
    return Track(actor=distractor.actor, visible=shown, **{k: np.full(len(times), v) for k, v in still.items()})


def _paint(canvas: np.ndarray, track: Track) -> None:
    """Blend one actor into the frames where it is visible, within the square that holds it in all of them."""
    shown = np.flatnonzero(track.visible)
    if not len(shown):
        return
    px = canvas.shape[1]
    reach = 1.2 * track.radius[shown] + 1 / px
    columns = _window(track.x[shown], reach, px)
    rows = _window(track.y[shown], reach, px)
    middle = ((np.arange(px) + 0.5) / px).astype(np.float32)
    x = middle[None, None, columns] - track.x[shown, None, None].astype(np.float32)
    y = middle[None, rows, None] - track.y[shown, None, None].astype(np.float32)
    angle = track.angle[shown, None, None].astype(np.float32)
    if np.any(angle):
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = x * cos + y * sin, y * cos - x * sin
    distance = DISTANCES[track.actor.shape](x, y, track.radius[shown, None, None].astype(np.float32))
    alpha = np.clip(0.5 - distance * px, 0, 1)
    color = COLORS[track.actor.color]
    for channel in range(3):
        view = canvas[shown, rows, columns, channel]
        canvas[shown, rows, columns, channel] = view + alpha * (np.float32(color[channel]) - view)


def _window(center: np.ndarray, reach: np.ndarray, px: int) -> slice:
    low = int(np.floor((center - reach).min() * px))
    return slice(max(low, 0), max(int(np.ceil((center + reach).max() * px)), 0))


def _noise(seed: int, times: np.ndarray, px: int) -> np.ndarray:
    """Grey noise of standard deviation .01 per frame and pixel, a pure function of seed, time and place.

    A counter-based hash (two rounds of multiply and xor-shift); the sum of its four bytes is close to normal.
    A frame is therefore the same whether it is drawn alone or with others.
    """
    ticks = np.round(times * 1000).astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32(seed)
    state = np.arange(px * px, dtype=np.uint32)[None] * np.uint32(0x9E3779B1) + ticks[:, None]
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        state ^= state >> np.uint32(shift)
        state *= np.uint32(factor)
    state ^= state >> np.uint32(16)
    byte = np.uint32(255)
    total = (state & byte) + (state >> np.uint32(8) & byte) + (state >> np.uint32(16) & byte) + (state >> np.uint32(24))
    spread = np.sqrt((256**2 - 1) / 3)
    found: np.ndarray = ((total.astype(np.float32) - 510) * np.float32(0.01 / spread)).reshape(len(times), px, px)
    return found


def _box(x: np.ndarray, y: np.ndarray, half_width: np.ndarray, half_height: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)
    return found


def _circle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sqrt(x * x + y * y) - r
    return found


def _ring(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.abs(np.sqrt(x * x + y * y) - 0.76 * r) - 0.24 * r
    return found


def _square(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.85 * r, 0.85 * r)


def _triangle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Equilateral, tip up: the base, and one slanted side mirrored."""
    found: np.ndarray = np.maximum(y, np.abs(x) * np.float32(0.8660254) - 0.5 * y) - 0.575 * r
    return found


def _cross(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.minimum(_box(x, y, r, 0.34 * r), _box(x, y, 0.34 * r, r))
    return found


def _star(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Five tips: fold the plane into one half tip, then measure to its straight edge."""
    tenth = np.float32(np.pi / 5)
    angle = np.abs((np.arctan2(x, -y) + tenth) % (2 * tenth) - tenth)
    length = np.sqrt(x * x + y * y)
    along, across = length * np.cos(angle), length * np.sin(angle)
    # The edge runs from the tip (1.15 r, 0) to the notch at .5 r, 36 degrees away.
    notch_x, notch_y = 0.5 * np.cos(tenth), 0.5 * np.sin(tenth)
    normal = np.array([notch_y, 1.15 - notch_x]) / np.hypot(notch_y, 1.15 - notch_x)
    found: np.ndarray = (along - 1.15 * r) * np.float32(normal[0]) + across * np.float32(normal[1])
    return found


#: signed distance to each shape of radius r around the origin, negative inside; y points down
DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "ring": _ring,
}
