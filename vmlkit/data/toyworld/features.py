"""Frame features of the toy world, computed from pixels alone.

For each of six hues a soft map of the pixels of that colour gives 18 numbers (size, place, shape, motion, change);
the responses of fixed random filters (48 numbers) see everything else.  Nothing here is trained, and nothing here
knows a script.
"""

from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from jaxtyping import Float, UInt8

from vmlkit.errors import DataError

#: centers of the hue bins, degrees
HUES = (0.0, 55.0, 122.0, 184.0, 233.0, 317.0)
HUE_HALF_WIDTH = 27.0

PER_HUE = 18
FILTERS = 24

#: columns of :func:`frame_features`
RAW_DIM = len(HUES) * PER_HUE + 2 * FILTERS

LIMIT = 4.0
_EPS = 1.5
_FILTER_SEED, _PROJECTION_SEED = 20240601, 20240602
_FILTER_STEPS = 64


def frame_features(frames: UInt8[np.ndarray, "F px px 3"]) -> Float[np.ndarray, "F 156"]:
    """Features of consecutive frames (half a second apart in the toy world), float32 in [-4, 4].

    Areas and lengths are measured on a grid of 32 by 32, whatever the size of the frames.

    Raises:
        DataError: for an array of another type or shape.
    """
    shape = frames.shape
    if frames.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise DataError(
            "frame features", f"frames are {frames.dtype} {shape}", "give square uint8 frames (F, px, px, 3)"
        )
    if shape[0] == 0 or shape[1] == 0 or shape[1] % 4:
        raise DataError("frame features", f"frames have shape {shape}", "give at least one, of a side divisible by 4")
    hues = _hue_features(_hue_maps(frames)).reshape(len(frames), -1)
    columns = np.concatenate((hues, _filter_responses(frames)), axis=1)
    found: np.ndarray = np.clip(columns, -LIMIT, LIMIT).astype(np.float32)
    return found


@dataclass(frozen=True)
class _HueMaps:
    """How much each pixel has of each hue, and the same as a list of the pixels that have any."""

    dense: np.ndarray  #: (F, hues, px, px) float32 in 0..1
    row: np.ndarray  #: frame * hues + hue of each listed pixel
    pixel: np.ndarray  #: its position in the flattened frame
    value: np.ndarray  #: float64


def _hue_maps(frames: np.ndarray) -> _HueMaps:
    count, px = frames.shape[:2]
    pixels = frames.reshape(count, -1, 3)
    highest = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    lowest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    frame, place = np.nonzero(highest - lowest > 0.25 * 255)
    red, green, blue = pixels[frame, place].astype(np.float64).T / 255
    top = np.maximum(np.maximum(red, green), blue)
    chroma = top - np.minimum(np.minimum(red, green), blue)
    from_green, from_blue = (blue - red) / chroma + 2, (red - green) / chroma + 4
    sector = np.where(top == red, (green - blue) / chroma, np.where(top == green, from_green, from_blue))
    distance = np.abs((60 * sector[:, None] - np.array(HUES) + 180) % 360 - 180)
    weight = np.clip(1 - distance / HUE_HALF_WIDTH, 0, 1) * np.clip((chroma - 0.25) / 0.35, 0, 1)[:, None]
    listed, hue = np.nonzero(weight)
    value, row, pixel = weight[listed, hue], frame[listed] * len(HUES) + hue, place[listed]
    dense = np.zeros((count * len(HUES), px * px), dtype=np.float32)
    dense[row, pixel] = value
    return _HueMaps(dense.reshape(count, len(HUES), px, px), row, pixel, value)


@dataclass(frozen=True)
class _Moments:
    """Area, place and shape of each map; all arrays are (F, hues), lengths in frame sides."""

    area: np.ndarray  #: pixels of a 32 by 32 grid
    center: np.ndarray  #: complex, each part in [-.5, .5]
    spread: np.ndarray  #: mean squared distance from the center
    codes: tuple[np.ndarray, ...]  #: complex central moments of order 3, 4, 5, normalised by area and size

    @property
    def presence(self) -> np.ndarray:
        found: np.ndarray = self.area / (self.area + 8)
        return found

    @property
    def size(self) -> np.ndarray:
        found: np.ndarray = np.sqrt(self.area) / 32
        return found


def _moments(maps: _HueMaps) -> _Moments:
    """Raw complex moments ``sum M z^k`` in one pass over the listed pixels; central ones by the binomial formula."""
    count, hues, px = maps.dense.shape[:3]
    powers = _powers(px)[:, maps.pixel] * (maps.value * (32 / px) ** 2)
    raw = np.stack([np.bincount(maps.row, column, minlength=count * hues) for column in powers])
    raw = raw.reshape(len(raw), count, hues)
    area, square = raw[0], raw[1]
    moment = [area.astype(complex), *(raw[2 * k] + 1j * raw[2 * k + 1] for k in range(1, 6))]
    center = moment[1] / (area + _EPS)
    spread = square - 2 * (center.conj() * moment[1]).real + area * np.abs(center) ** 2
    radius = np.sqrt(area) / 32 / np.sqrt(np.pi) + 0.02
    codes = []
    for k in (3, 4, 5):
        central = sum(comb(k, j) * moment[j] * (-center) ** (k - j) for j in range(k + 1))
        codes.append(central / (area + 3) / radius**k)
    return _Moments(area, center, np.maximum(spread, 0) / (area + _EPS), tuple(codes))


@cache
def _powers(px: int) -> np.ndarray:
    """(12, px * px): 1, |z|^2, then real and imaginary part of z^1 ... z^5 at each pixel."""
    middle = (np.arange(px) + 0.5) / px - 0.5
    z = (middle[None, :] + 1j * middle[:, None]).ravel()
    parts = [np.ones(px * px), np.abs(z) ** 2]
    for k in range(1, 6):
        parts += [(z**k).real, (z**k).imag]
    return np.stack(parts)


def _hue_features(maps: _HueMaps) -> np.ndarray:
    """(F, hues, 18): what each colour looks like, then how it moves and changes."""
    m = _moments(maps)
    p, root = m.presence, np.sqrt(m.area)
    velocity = _central(m.center) * _at(p, -1) * _at(p, 1)
    growth = _central(m.size)
    turn = sum(np.maximum(*_steps(code, p)) for code in m.codes)
    columns = (
        4 * m.size,
        p,
        2 * m.center.real,
        2 * m.center.imag,
        _outline(maps.dense) / (4 * root + _EPS) * p,
        np.sqrt(2 * np.pi * m.spread) / ((root + _EPS) / 32) * p,
        *(4 * np.abs(code) for code in m.codes),
        20 * velocity.real,
        20 * velocity.imag,
        20 * np.abs(velocity.real),
        20 * np.abs(velocity.imag),
        30 * growth,
        30 * np.abs(growth),
        30 * _change(maps.dense),
        2 * np.abs(_central(p)),
        2 * turn,
    )
    return np.stack(columns, axis=-1)


def _at(values: np.ndarray, offset: int) -> np.ndarray:
    """The values ``offset`` frames later; the ends are repeated."""
    return values[np.clip(np.arange(len(values)) + offset, 0, len(values) - 1)]


def _central(values: np.ndarray) -> np.ndarray:
    """Change per frame, from the frames before and after."""
    found: np.ndarray = (_at(values, 1) - _at(values, -1)) / 2
    return found


def _steps(code: np.ndarray, presence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Size of the change from the frame before and to the frame after, where the colour is present in both.

    One step, not two: over two, a star at the world's speed of spin turns by almost exactly one tip.
    """
    before = np.abs(code - _at(code, -1)) * presence * _at(presence, -1)
    after = np.abs(_at(code, 1) - code) * presence * _at(presence, 1)
    return before, after


def _outline(dense: np.ndarray) -> np.ndarray:
    """Sum of absolute differences of neighbouring pixels: about the outline's length on a 32 by 32 grid."""
    across = np.abs(np.diff(dense, axis=3)).sum(axis=(2, 3), dtype=np.float64)
    down = np.abs(np.diff(dense, axis=2)).sum(axis=(2, 3), dtype=np.float64)
    found: np.ndarray = (across + down) * (32 / dense.shape[2])
    return found


def _change(dense: np.ndarray) -> np.ndarray:
    """Mean absolute difference to the frame before or after, whichever is larger."""
    step = np.abs(np.diff(dense, axis=0)).mean(axis=(2, 3), dtype=np.float64)
    none = np.zeros((1, dense.shape[1]))
    found: np.ndarray = np.maximum(np.concatenate((none, step)), np.concatenate((step, none)))
    return found


def _filter_responses(frames: np.ndarray) -> np.ndarray:
    """(F, 48): rectified responses of random 4x4 filters, averaged over the frame; then those to its change.

    Filter weights are multiples of 1/64 and pixels are integers, so the matrix product is exact in float32 and the
    result does not depend on how the linear algebra library splits it.  One product per frame is small enough for
    the library to stay in its own thread, which on a busy machine is several times faster.
    """
    count, px = frames.shape[:2]
    grid = px // 4
    patches = frames.reshape(count, grid, 4, grid, 4, 3).transpose(0, 1, 3, 2, 4, 5)
    response = patches.reshape(count, grid * grid, 48).astype(np.float32) @ _filters()
    step = np.diff(response, axis=0, prepend=response[:1])
    scale = 1 / (255 * _FILTER_STEPS)
    still = np.maximum(response, 0).mean(axis=1, dtype=np.float64) * scale
    moving = np.maximum(step, 0).mean(axis=1, dtype=np.float64) * (6 * scale)
    return np.concatenate((still, moving), axis=1)


@cache
def _filters() -> np.ndarray:
    weights = np.random.default_rng(_FILTER_SEED).standard_normal((48, FILTERS)) / np.sqrt(48)
    found: np.ndarray = np.round(weights * _FILTER_STEPS).astype(np.float32)
    return found


def resample(rows: Float[np.ndarray, "F D"], clips: int) -> Float[np.ndarray, "T D"]:
    """``F`` rows as ``clips`` rows by the references' rule.

    Boundaries are ``k_j = round(j F / T)`` (half to even), at most ``F - 1``; clip ``j`` is the mean of rows
    ``k_j .. k_{j+1} - 1``, or row ``k_j`` where that is empty.
    """
    count = len(rows)
    edges = np.minimum(np.round(np.arange(clips + 1) / clips * count).astype(int), count - 1)
    first, last = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    sums = np.concatenate((np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)))
    found: np.ndarray = ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32)
    return found


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each column over the clips of the training videos."""

    mean: Float[np.ndarray, " 156"]
    deviation: Float[np.ndarray, " 156"]

    @classmethod
    def fit(cls, raw: Float[np.ndarray, "videos T 156"]) -> "Scaler":
        """Statistics of the training videos."""
        flat = raw.reshape(-1, raw.shape[-1]).astype(np.float64)
        return cls(flat.mean(axis=0), flat.std(axis=0))

    def project(self, raw: Float[np.ndarray, "videos T 156"], columns: int) -> Float[np.ndarray, "videos T Dv"]:
        """Standardise, clip to [-4, 4], and mix with a fixed Gaussian matrix; float16."""
        standard = np.clip((raw - self.mean) / (self.deviation + 1e-3), -LIMIT, LIMIT)
        mix = np.random.default_rng(_PROJECTION_SEED).standard_normal((raw.shape[-1], columns))
        found: np.ndarray = (standard @ (mix / np.sqrt(raw.shape[-1]))).astype(np.float16)
        return found
