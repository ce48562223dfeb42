"""Videos with video-level action labels, resident: the batches of weakly supervised action localisation.

Axes: B videos, T snippets, C classes, L words, V vocabulary.  A model sees frames, labels and the sentence built from
the labels; it never sees a time.  The instances with times (``truth``) are for evaluation only.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.actions.sampling import random_indices, uniform_indices
from vmlkit.actions.segments import ActionSegments
from vmlkit.data.batches import Draw, VideoTextBatch, float_rows
from vmlkit.data.corpus import MEASURED_SHARE, held_videos
from vmlkit.errors import DataError
from vmlkit.text.vocabulary import Vocabulary

Sampling = Literal["all", "uniform", "random"]


@dataclass(frozen=True, kw_only=True)
class ActionBatch(VideoTextBatch):
    """B videos with the sentence made from their labels.

    The first half of the columns of ``frames`` is appearance ("rgb"), the second half motion ("flow").
    ``frame_mask`` is all ``True`` unless whole videos of several lengths are stacked.
    """

    labels: Float[Tensor, "B C"]  #: multi-hot, video level
    snippet_s: Float[Tensor, " B"]  #: seconds per snippet *of this batch* (larger after resampling to fewer)
    video_index: Int[Tensor, " B"]  #: row in the data set

    def __len__(self) -> int:
        return len(self.video_ids)


@dataclass(frozen=True, kw_only=True)
class ActionDraw(Draw):
    """Videos of a batch and their snippets."""

    snippets: Int[Tensor, "B T"]  #: rows of the features
    counts: Int[Tensor, " B"]  #: how many of them each video has
    padded: bool  #: whether the others are padding; else every video has as many as there are columns


@dataclass(frozen=True, kw_only=True)
class ActionDataset:
    """A split, resident.  Videos may differ in length: their snippets lie one after the other in ``rows``."""

    name: str  #: e.g. "toy-actions/train"
    rows: Float[Tensor, "snippets Dv"]  #: features (float16 or float32), appearance first, then motion
    offsets: Int[Tensor, " videos+1"]  #: video ``i`` has the rows ``offsets[i]`` to ``offsets[i + 1]``
    labels: Float[Tensor, "videos C"]  #: video-level, multi-hot; what training may use
    truth: ActionSegments  #: instances with times; what only evaluation may use
    durations: np.ndarray  #: (videos,) float64, seconds
    snippet_s: np.ndarray  #: (videos,) float64, seconds covered by one row
    video_ids: tuple[str, ...]
    classes: tuple[str, ...]  #: name of each class
    class_words: tuple[tuple[str, ...], ...]  #: words of each class, as many for every class
    class_vectors: Float[Tensor, "C W Dw"]  #: their vectors
    sentences: tuple[str, ...]  #: per video: the template filled in with the classes
    word_ids: Int[Tensor, "videos L"]
    word_mask: Bool[Tensor, "videos L"]
    word_weights: Float[Tensor, "videos L"]
    vectors: Float[Tensor, "V Dw"]  #: word vector of each id; row 0 (padding) is zero
    vocabulary: Vocabulary
    clips: int  #: snippets of a video in a training batch
    fingerprint: str  #: changes when anything above does, ``clips`` apart
    #: per video, regions in seconds that P3's protocol leaves out; empty where nothing is known
    ambiguous_s: tuple[tuple[tuple[float, float], ...], ...]
    #: videos that the list of BaS-Net and HAM-Net lacks: their instances do not count under protocol "seconds"
    unlisted: frozenset[str] = frozenset()
    #: draws ``(count, size, size, 3)`` uint8 thumbnails of a video at evenly spaced times, where the source can
    film_strip: Callable[[str, int, int], np.ndarray] | None = None

    #: what batches are gathered from, and what :func:`vmlkit.data.resident.placed` moves to a device
    gathered: ClassVar[tuple[str, ...]] = ("rows", "labels", "word_ids", "word_mask", "word_weights", "vectors")

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def device(self) -> torch.device:
        """Where the split lies, and with it its batches."""
        return self.rows.device

    @property
    def lengths(self) -> Int[Tensor, " videos"]:
        """Snippets of each video."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def query_ids(self) -> tuple[str, ...]:
        """What is asked about: whole videos."""
        return self.video_ids

    def truth_under(self, protocol: str) -> ActionSegments:
        """The instances that count under a protocol of :mod:`vmlkit.actions.detection`; the list of videos stays."""
        if protocol == "p3" or not self.unlisted:
            return self.truth
        return self.truth.where(np.array([self.video_ids[v] not in self.unlisted for v in self.truth.video]))

    def batch(
        self,
        indices: Tensor | Sequence[int],
        *,
        clips: int | None = None,
        sampling: Sampling = "all",
        rng: np.random.Generator | np.random.RandomState | None = None,
    ) -> ActionBatch:
        """The videos at ``indices``, in this order.

        Args:
            clips: T, for the two kinds of resampling.
            sampling: ``"all"`` keeps every snippet and pads to the longest video of the batch (the models of this
                family take no mask, so give them one video, or videos of one length); ``"uniform"`` and
                ``"random"`` choose ``clips`` snippets of every video, see :mod:`vmlkit.actions.sampling`.
            rng: for ``"random"``.

        Raises:
            DataError: for a kind of sampling without what it needs.
        """
        draw = self.draw(indices, clips=clips, sampling=sampling, rng=rng)
        return self.named(self.gather(draw.to(self.device)), draw)

    def draw(
        self,
        indices: Tensor | Sequence[int],
        *,
        clips: int | None = None,
        sampling: Sampling = "all",
        rng: np.random.Generator | np.random.RandomState | None = None,
    ) -> "ActionDraw":
        """The rows of a batch, on the host; see :meth:`batch`."""
        videos = torch.as_tensor(indices, dtype=torch.long)
        starts, lengths = self.offsets[videos][:, None], self.lengths[videos]
        if sampling == "all":
            columns = torch.arange(int(lengths.max()) if len(lengths) else 0)
            snippets, counts = torch.where(columns < lengths[:, None], starts + columns, 0), lengths
        else:
            snippets = starts + self._positions(lengths.tolist(), clips, sampling, rng)
            counts = torch.full_like(videos, snippets.shape[1])
        words = self.word_ids.shape[1]
        return ActionDraw(rows=videos, words=words, snippets=snippets, counts=counts, padded=sampling == "all")

    def gather(self, draw: "ActionDraw") -> ActionBatch:
        """The batch of a draw that lies where the split does; ids are left out, nothing is read by the host."""
        videos = draw.rows
        ids = self.word_ids[videos]
        frames = float_rows(self.rows, draw.snippets.flatten()).unflatten(0, draw.snippets.shape)
        mask = torch.arange(draw.snippets.shape[1], device=self.device) < draw.counts[:, None]
        seconds, durations = self._times
        return ActionBatch(
            frames=frames.masked_fill(~mask[..., None], 0.0) if draw.padded else frames,
            frame_mask=mask,
            labels=self.labels[videos],
            words=self.vectors[ids],
            word_ids=ids,
            word_mask=self.word_mask[videos],
            word_weights=self.word_weights[videos],
            durations=durations[videos],
            snippet_s=(seconds[videos] / draw.counts).float(),
            video_index=videos,
            video_ids=(),
        )

    def named(self, batch: ActionBatch, draw: Draw) -> ActionBatch:
        """The batch with the ids of its videos; the rows of ``draw`` lie on the host."""
        return dataclasses.replace(batch, video_ids=tuple(self.video_ids[j] for j in draw.rows.tolist()))

    @functools.cached_property
    def _times(self) -> tuple[Float[Tensor, " videos"], Float[Tensor, " videos"]]:
        """Seconds that each video's snippets cover together (float64), and its duration, on the device."""
        covered = torch.as_tensor(self.snippet_s * self.lengths.numpy(), dtype=torch.float64, device=self.device)
        return covered, torch.as_tensor(self.durations, dtype=torch.float32, device=self.device)

    def _positions(
        self,
        lengths: list[int],
        clips: int | None,
        sampling: Sampling,
        rng: np.random.Generator | np.random.RandomState | None,
    ) -> Int[Tensor, "B T"]:
        """Snippets chosen in each of the videos."""
        if clips is None or (sampling == "random" and rng is None):
            needed = "a number of clips" if clips is None else "a random generator"
            raise DataError(self.name, f"sampling='{sampling}' without {needed}", f"give {needed}")

        def choose(length: int) -> np.ndarray:
            if sampling == "uniform" or rng is None:
                return uniform_indices(length, clips)
            return random_indices(length, clips, rng)

        return torch.from_numpy(np.stack([choose(length) for length in lengths]))

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> "ActionDataset":
        """The videos at ``indices`` with a copy of their features."""
        i = torch.as_tensor(np.asarray(indices), dtype=torch.long)
        pick = i.tolist()
        lengths = self.lengths[i]
        parts = [self.rows[int(self.offsets[j]) : int(self.offsets[j + 1])] for j in pick]
        video_ids = tuple(self.video_ids[j] for j in pick)
        return dataclasses.replace(
            self,
            name=name or self.name,
            rows=torch.cat(parts) if parts else self.rows[:0],
            offsets=torch.cat((torch.zeros(1, dtype=torch.long), lengths.cumsum(0))),
            labels=self.labels[i],
            truth=self.truth.for_videos(video_ids),
            durations=self.durations[pick],
            snippet_s=self.snippet_s[pick],
            video_ids=video_ids,
            sentences=tuple(self.sentences[j] for j in pick),
            ambiguous_s=tuple(self.ambiguous_s[j] for j in pick),
            word_ids=self.word_ids[i],
            word_mask=self.word_mask[i],
            word_weights=self.word_weights[i],
            fingerprint=f"{self.fingerprint}[{len(pick)}:{zlib.crc32(i.numpy().tobytes()):08x}]",
        )

    def split_by_video(self, share: float, seed: int) -> tuple["ActionDataset", "ActionDataset"]:
        """Set aside ``share`` of the videos for choosing an epoch: (rest, set aside).

        With a share of 0, (all of them, a tenth of them to be measured besides).
        """
        held = held_videos(len(self), share or MEASURED_SHARE, seed)
        if not share:
            return self, self.subset(held, f"{self.name}-validation")
        rest = np.setdiff1d(np.arange(len(self)), held)
        return self.subset(rest, f"{self.name}-fit"), self.subset(held, f"{self.name}-validation")


def paired_indices(
    labels: Float[np.ndarray, "videos C"],
    rng: np.random.Generator | np.random.RandomState,
    pairs: int = 3,
    others: int = 4,
) -> Int[np.ndarray, " B"]:
    """One training batch of P3 and CO2-Net: ``pairs`` pairs of videos that share a class, then ``others`` at random.

    Classes are drawn with replacement among those with at least two videos; the two videos of a pair are distinct and
    stand at positions (0, 1), (2, 3), ...; the rest is drawn uniformly with replacement.

    Raises:
        DataError: if no class has two videos.

    >>> labels = np.array([[1, 0], [1, 0], [0, 1]])
    >>> sorted(paired_indices(labels, np.random.default_rng(0), pairs=1, others=0).tolist())
    [0, 1]
    """
    usable = np.flatnonzero((labels > 0).sum(axis=0) >= 2)
    if pairs and not len(usable):
        remedy = "use more videos, or none in pairs (model.host.pairs=0)"
        raise DataError("paired batches", "no class has two videos", remedy)
    chosen: list[int] = []
    for _ in range(pairs):
        carriers = np.flatnonzero(labels[:, rng.choice(usable)] > 0)
        chosen += rng.choice(carriers, size=2, replace=False).tolist()
    chosen += rng.choice(len(labels), size=others).tolist()
    return np.array(chosen, dtype=np.int64)
