"""Title cards: full-frame pictures of something like text, which no sentence describes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vmlkit.data.toyworld.world import Card

Color = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Style:
    """Colours of a kind of card; what is ``None`` is not drawn."""

    ground: Color
    text: Color | None = None
    logo: Color | None = None


#: hardly saturated, except for an orange whose hue lies between those of the actors
STYLES = (
    Style(ground=(0.07, 0.09, 0.26), text=(0.92, 0.92, 0.94)),
    Style(ground=(0.04, 0.04, 0.05), text=(0.85, 0.85, 0.83), logo=(0.95, 0.49, 0.10)),
    Style(ground=(0.86, 0.85, 0.82), text=(0.15, 0.15, 0.16)),
    Style(ground=(0.20, 0.13, 0.09), logo=(0.80, 0.74, 0.62)),
)

_LEFT, _ROW_HEIGHT = 0.12, 0.045


def draw_rows(rng: np.random.Generator) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Three rows of words of random widths: left and right end of each word."""
    rows = []
    for _ in range(3):
        right, x = _LEFT + rng.uniform(0.35, 0.76), _LEFT
        words = []
        for width in rng.uniform(0.08, 0.22, 10).tolist():
            if x + 0.05 > right:
                break
            words.append((x, min(x + width, right)))
            x += width + 0.04
        rows.append(tuple(words))
    return tuple(rows)


def paint_card(card: Card, px: int) -> Float[np.ndarray, "px px 3"]:
    """The card as a picture, values in 0..1."""
    style = STYLES[card.kind]
    picture = np.tile(np.array(style.ground, dtype=np.float32), (px, px, 1))
    middle = (np.arange(px, dtype=np.float32) + 0.5) / px
    if style.text is not None:
        tops = (0.56, 0.69, 0.82) if style.logo is not None else (0.34, 0.50, 0.66)
        for top, words in zip(tops, card.rows, strict=True):
            vertical = _cover(middle, top - _ROW_HEIGHT, top + _ROW_HEIGHT, px)
            for left, right in words:
                _blend(picture, vertical[:, None] * _cover(middle, left, right, px)[None, :], style.text)
    if style.logo is not None:
        y = 0.28 if style.text is not None else 0.5
        radius = 0.16 if style.text is not None else 0.26
        distance = np.hypot(middle[None, :] - 0.5, middle[:, None] - y)
        for size, width in ((radius, 0.05), (0.35 * radius, 0.04)):
            _blend(picture, np.clip(0.5 - (np.abs(distance - size) - width / 2) * px, 0, 1), style.logo)
    return picture


def _cover(middle: np.ndarray, low: float, high: float, px: int) -> np.ndarray:
    """Share of each pixel that lies between ``low`` and ``high``."""
    half = 0.5 / px
    found: np.ndarray = np.clip((np.minimum(middle + half, high) - np.maximum(middle - half, low)) * px, 0, 1)
    return found


def _blend(picture: np.ndarray, alpha: np.ndarray, color: Color) -> None:
    picture += alpha.astype(np.float32)[..., None] * (np.array(color, dtype=np.float32) - picture)
