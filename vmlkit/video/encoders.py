"""What an encoder of video is: from pictures to rows of features, and from sentences to what compares with them."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from vmlkit.data.features import resample_clips
from vmlkit.video.decode import Frame
from vmlkit.video.passport import Passport

Rows = tuple[Float[np.ndarray, "T D"], Float[np.ndarray, "T 2"]]


class VideoEncoder(Protocol):
    """Makes rows of features from pictures; one row for each picture, ``1 / rate`` seconds around it."""

    name: str
    revision: str  #: changes when weights, configuration or settings do
    dimension: int  #: D, columns of a row
    rate: float  #: pictures a second that it is given
    size: int  #: side of the pictures that it sees, in pixels
    norm: str  #: as of :class:`~vmlkit.video.passport.Passport`

    def encode(self, frames: Iterator[Frame]) -> Rows:
        """Rows, float32, and the seconds from which to which each stands.

        Raises:
            DataError: where there is no picture, or the pictures are not of the kind that the encoder knows.
        """

    def text(self, sentences: Sequence[str]) -> Float[np.ndarray, "K D"] | None:
        """A vector for each sentence in the space of the rows; ``None`` where the encoder knows pictures alone."""

    def similarity(self, rows: Float[np.ndarray, "T D"], sentences: Sequence[str]) -> Float[np.ndarray, "K T"] | None:
        """How well each row fits each sentence, without any training: the cosine, unless the encoder says otherwise."""
        texts = self.text(sentences)
        return None if texts is None else unit(texts) @ unit(rows).T

    def clips(self, rows: Float[np.ndarray, "T D"], count: int) -> Float[np.ndarray, "count Dv"]:
        """What a model of ``count`` clips reads of these rows: resampled as for training."""
        return resample_clips(rows, count)

    def passport(self) -> Passport:
        """How its features are made."""
        return Passport(
            encoder=self.name,
            revision=self.revision,
            rate=self.rate,
            size=self.size,
            norm=self.norm,
            dimension=self.dimension,
            clip_seconds=1 / self.rate,
        )


class Kept:
    """Small arrays of one shape that are kept while large ones come and go, in blocks made beforehand.

    Kept one by one they would lie between the large ones, whose memory could then not be used again: a video of an hour
    would need gigabytes.
    """

    def __init__(self, block: int = 1024) -> None:
        self._block, self._blocks, self._count = block, list[np.ndarray](), 0

    def __len__(self) -> int:
        return self._count

    def add(self, array: np.ndarray) -> None:
        """Copy an array to the end."""
        place = self._count % self._block
        if not place:
            self._blocks.append(np.empty((self._block, *array.shape), array.dtype))
        self._blocks[-1][place] = array
        self._count += 1

    def stacked(self) -> np.ndarray:
        """All of them, along a new first axis."""
        found: np.ndarray = np.concatenate(self._blocks)[: self._count]
        return found


def unit(rows: Float[np.ndarray, "T D"]) -> Float[np.ndarray, "T D"]:
    """Rows of length one; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: np.ndarray = rows / np.where(length > 0, length, 1)
    return found


def row_times(centers: Sequence[float], rate: float) -> Float[np.ndarray, "T 2"]:
    """From when to when rows stand whose pictures were shown at ``centers``."""
    middle = np.asarray(centers, dtype=np.float64)[:, None]
    found: np.ndarray = middle + np.array([-0.5, 0.5]) / rate
    return found
