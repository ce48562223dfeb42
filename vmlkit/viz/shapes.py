"""The curves that stand for proposals: height over time, from a center and a width."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from vmlkit.viz.snapshots import DEFAULT_SIGMA

#: curve(center, width, t): height at t, all three as fractions of the video
Curve: TypeAlias = Callable[[float, float, np.ndarray], np.ndarray]


def gaussian(sigma: float = DEFAULT_SIGMA, floor: float = 0.01, power: float = 2.0) -> Curve:
    """The Gaussian of the reconstruction methods: exp(-(t - c)^2 / (2 (w / sigma)^2)), w at least ``floor``.

    ``sigma = 9`` is CPL's; CNM's exp(-alpha (t - c)^2 / w^2) is ``sigma = sqrt(2 alpha)``, P0 Eq. (1) ``sqrt(2)``.  A
    ``power`` above 2 flattens it (see :class:`~vmlkit.viz.snapshots.CurveShape`).
    """

    def curve(center: float, width: float, t: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * np.abs((t - center) * sigma / max(width, floor)) ** power)

    return curve


def grid(center: float, width: float) -> Float[np.ndarray, " points"]:
    """Fractions at which a curve is drawn: evenly spaced, and densely where it is high."""
    near = np.clip(center + max(width, 0.01) * np.linspace(-1, 1, 161), 0, 1)
    return np.union1d(np.linspace(0, 1, 401), near)


def visible(height: np.ndarray) -> np.ndarray:
    """Without the tails: along the base line they would only thicken it."""
    return np.where(height > 0.02, height, np.nan)
