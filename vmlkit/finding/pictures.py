"""The film strip of a file of video with what was found in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vmlkit.finding.moments import Moments
from vmlkit.video.decode import VideoInfo
from vmlkit.video.opening import decoder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def film_strip(
    path: str | Path, info: VideoInfo, count: int = 12, size: int = 96
) -> UInt8[np.ndarray, "count size size 3"]:
    """The squares in the middle of ``count`` evenly spaced pictures."""
    times = (np.arange(count) + 0.5) / count * info.duration_s
    found = [_square(picture, size) for _, picture in decoder().frames(path, times=times.tolist(), size=size)]
    # the end of a damaged file shows what was decoded last
    return np.stack([*found, *[found[-1]] * (count - len(found))])


def _square(picture: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    height, width = picture.shape[:2]
    top, left = (height - size) // 2, (width - size) // 2
    return picture[top : top + size, left : left + size]


def draw_answers(
    path: str | Path,
    info: VideoInfo,
    answers: Sequence[Moments],
    truths: Sequence[tuple[float, float] | None] = (),
) -> "Figure":
    """The film strip with a lane for each sentence.

    Args:
        truths: the true moment of each sentence, where it is known.
    """
    from vmlkit.viz.moments import Lane, draw_moments
    from vmlkit.viz.style import styled

    known = list(truths) or [None] * len(answers)
    lanes = [
        Lane(found.sentence, {str(k): v for k, v in found.by_source().items()}, found.curve, found.times, truth)
        for found, truth in zip(answers, known, strict=True)
    ]
    with styled():
        return draw_moments(film_strip(path, info), info.duration_s, lanes)
