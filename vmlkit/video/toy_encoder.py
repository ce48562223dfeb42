"""The toy world's own encoder: the numbers that its data sets are made of, from the pictures of a file.

No video trained its numbers: they measure six colours and their motions, so it refuses pictures of any other world.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from vmlkit.config import config_hash
from vmlkit.data.toyworld import ToyConfig
from vmlkit.data.toyworld.config import FEATURE_FPS
from vmlkit.data.toyworld.dataset import toy_scaler
from vmlkit.data.toyworld.features import RAW_DIM, Scaler, frame_features, resample
from vmlkit.errors import DataError
from vmlkit.video.decode import Frame
from vmlkit.video.encoders import Kept, Rows, VideoEncoder, row_times
from vmlkit.video.toy_reader import toy_reader, understand

#: its name, which stands where others have a folder
TOY = "toy"
#: side of the pictures that features are computed from
SIZE = ToyConfig().frame_px
#: a world needs this share of pictures that look like it; title cards do not, and may take most of a short video
_ENOUGH = 0.2
#: pictures whose features are computed together
_CHUNK = 256


class ToyEncoder(VideoEncoder):
    """Raw features of the toy world, two rows a second; :meth:`clips` makes of them what its data sets hold.

    Args:
        config: the world that the model was trained on, whose training videos scale the features.
        cache_dir: where a built world is kept; ``$VMLKIT_CACHE`` or ``~/.cache/vmlkit`` if ``None``.
        project: from the scaler, raw clips and a number of columns to what a model reads.
        progress: show a bar where the world has to be built first.
    """

    name, rate, size, dimension = TOY, float(FEATURE_FPS), SIZE, RAW_DIM
    norm = "scaled by the clips of the training videos, then mixed"

    def __init__(
        self,
        config: ToyConfig | None = None,
        *,
        cache_dir: Path | None = None,
        project: Callable[[Scaler, np.ndarray, int], np.ndarray] = Scaler.project,
        progress: bool = True,
    ) -> None:
        self.config = config or ToyConfig()
        self.size, self.revision = self.config.frame_px, config_hash(self.config)
        self._project = project
        self._where, self._progress = cache_dir, progress

    def encode(self, frames: Iterator[Frame]) -> Rows:
        """Raw features ``(T, 156)``, float32.

        Raises:
            DataError: where there is no picture, or too few show the toy world.
        """
        centers, pictures = list[float](), Kept()
        for time, picture in frames:
            centers.append(time)
            pictures.add(shrunk(picture, self.size))
        if not pictures:
            raise DataError("toy encoder", "was given no picture", "check the video")
        shown = pictures.stacked()
        parts = (shown[first : first + _CHUNK] for first in range(0, len(shown), _CHUNK))
        share = float(np.concatenate([looks_like_toy(part) for part in parts]).mean())
        if share < _ENOUGH:
            what = f"does not show the toy world ({share:.0%} of its pictures look like it)"
            raise DataError("toy encoder", what, "give an encoder of real pictures with --encoder FOLDER")
        return in_chunks(shown), row_times(centers, self.rate)

    def clips(self, rows: Float[np.ndarray, "T 156"], count: int) -> Float[np.ndarray, "count Dv"]:
        """What the toy data sets hold: resampled, scaled, clipped and mixed; float16 values in float32."""
        made = self._project(self.scaler, resample(rows, count), self.config.feature_dim)
        found: np.ndarray = made.astype(np.float32)
        return found

    @property
    def scaler(self) -> Scaler:
        """Statistics of the training videos; built on first use, which takes seconds, and kept in the cache."""
        return toy_scaler(self.config, self._where, self._progress)

    def text(self, sentences: Sequence[str]) -> None:
        """No vector: what a sentence says is compared frame by frame, see :meth:`similarity`."""

    def similarity(self, rows: Float[np.ndarray, "T 156"], sentences: Sequence[str]) -> Float[np.ndarray, "K T"]:
        """Probability that a frame shows what the sentence says, by :mod:`vmlkit.video.toy_reader`.

        Raises:
            DataError: for a sentence that has no colour, shape or action of the toy world.
        """
        said = [understand(sentence) for sentence in sentences]
        reading = toy_reader().read(rows)
        return np.stack([reading.curve(each) for each in said])


def in_chunks(shown: UInt8[np.ndarray, "F px px 3"]) -> Float[np.ndarray, "F 156"]:
    """:func:`~vmlkit.data.toyworld.features.frame_features`, the same bits, in memory that does not grow with F.

    A row depends on its picture and its two neighbours, which each chunk therefore has beside it.
    """
    rows = np.empty((len(shown), RAW_DIM), np.float32)
    for first in range(0, len(shown), _CHUNK):
        before = min(first, 1)
        part = frame_features(shown[first - before : first + _CHUNK + 1])
        rows[first : first + _CHUNK] = part[before : before + _CHUNK]
    return rows


def shrunk(picture: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A square of ``size`` pixels, each the mean of what it covers; a picture of that size stays as it is."""
    if picture.shape[:2] == (size, size):
        return picture
    planes = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    made = torch.nn.functional.interpolate(planes, (size, size), mode="area")
    found: np.ndarray = made[0].permute(1, 2, 0).round().byte().numpy()
    return found


def looks_like_toy(frames: UInt8[np.ndarray, "F px px 3"]) -> Bool[np.ndarray, " F"]:
    """Whether pictures show the toy world's stage: rows of one nearly grey tone, evenly brighter towards the top."""
    count, px = frames.shape[:2]
    rows = np.median(frames.reshape(count, px, px, 3).astype(np.float64), axis=2) / 255
    tone = rows.mean(axis=2) / (1.06 - 0.12 * (np.arange(px) + 0.5) / px)
    middle = np.median(tone, axis=1)
    even = (np.abs(tone - middle[:, None]) < 0.012).mean(axis=1)
    grey = (rows.max(axis=2) - rows.min(axis=2) < 0.12).mean(axis=1)
    raw = np.abs(frames / 255.0 - rows[:, :, None]).max(axis=3) < 0.06
    calm = raw.mean(axis=(1, 2))
    found: np.ndarray = (middle > 0.08) & (even > 0.6) & (grey > 0.6) & (calm > 0.5)
    return found
