"""What flows between rooms: a batch of moments, a resident data set, and the predictions of a method.

A batch is made in two steps.  :meth:`MomentDataset.draw` says on the host which rows it has (:class:`Draw`, a few whole
numbers); :meth:`MomentDataset.gather` is one index operation on the device where the split lies.

Axes: B queries, P positive proposals, M negatives, T clips, L words, V vocabulary, N queries of a split.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit import spans as sp
from vmlkit.text.vocabulary import Vocabulary

#: numbers of a row from which on it is copied by itself on a CPU
LARGE = 2**15


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tensors that travel together; a field may be another such group."""

    def map(self, move: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with ``move`` applied to every tensor."""
        moved: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                moved[name] = move(value)
            elif isinstance(value, Batch):
                moved[name] = value.map(move)
        return dataclasses.replace(self, **moved)

    def to(self, device: torch.device | str) -> Self:
        """The same batch with every tensor on ``device``."""
        return self.map(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory (for overlapped copies to a GPU)."""
        return self.map(Tensor.pin_memory)


@dataclass(frozen=True, kw_only=True)
class Draw(Batch):
    """Which rows of a split make a batch: all that crosses from the host to the device for it.

    Drawn with ``static=True``, everything but the row numbers is the same for all draws of one split and batch size:
    the shapes here and those of the batch.  ``gather`` reads the row numbers on their device alone, so that it may be
    part of a captured graph.
    """

    rows: Int[Tensor, " B"]
    words: int  #: columns that are kept of the padded word axis
    clips: int | None = None  #: columns that are kept of the clips; None: all

    def to(self, device: torch.device | str) -> Self:
        """On ``device``; by page-locked memory, for the host may wait for a card before it copies from any other."""
        lock = torch.device(device).type == "cuda" and self.rows.device.type == "cpu"
        return super(Draw, self.pin_memory() if lock else self).to(device)


def float_rows(table: Float[Tensor, "N *A"], rows: Int[Tensor, " B"]) -> Float[Tensor, "B *A"]:
    """``table[rows]`` in float32."""
    if table.dtype == torch.float32 or table.device.type != "cpu" or table.stride(0) < LARGE:
        return table.index_select(0, rows).float()
    found = torch.empty((len(rows), *table.shape[1:]))
    for made, row in zip(found, rows.tolist(), strict=True):
        made.copy_(table[row])  # halves the traffic of memory: no copy in half precision comes before that in full
    return found


@dataclass(frozen=True, kw_only=True)
class VideoTextBatch(Batch):
    """Padded tensors of B videos, each with a sentence; masks are ``True`` where there is data."""

    frames: Float[Tensor, "B T Dv"]
    frame_mask: Bool[Tensor, "B T"]
    words: Float[Tensor, "B L Dw"]  #: word vectors, zero on padding
    word_ids: Int[Tensor, "B L"]  #: 0 on padding
    word_mask: Bool[Tensor, "B L"]
    word_weights: Float[Tensor, "B L"]  #: probability with which a word is drawn for masking; sums to 1
    durations: Float[Tensor, " B"]  #: seconds
    video_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MomentBatch(VideoTextBatch):
    """B (video, sentence) pairs, each about one moment."""

    spans: Float[Tensor, "B 2"] | None  #: (center, width) in fractions of the video; None in weakly supervised training
    query_ids: tuple[str, ...]


V = TypeVar("V", bound=MomentBatch)


@dataclass(frozen=True, kw_only=True)
class MomentDataset:
    """A whole split, resident: a batch is one index operation.

    Tagging, tokenising and resampling happened once, when it was built.
    """

    name: str  #: e.g. "toy/train"
    frames: Float[Tensor, "videos T Dv"]  #: resampled clip features (float16 or float32)
    video_index: Int[Tensor, " N"]  #: row of ``frames`` for each query
    word_ids: Int[Tensor, "N L"]
    word_mask: Bool[Tensor, "N L"]
    word_weights: Float[Tensor, "N L"]
    vectors: Float[Tensor, "V Dw"]  #: word vector of each id; row 0 (padding) is zero
    #: rows of ``vectors`` where a word's vector depends on its sentence; None: those of the word ids
    vector_ids: Int[Tensor, "N L"] | None = None
    spans_s: np.ndarray  #: (N, 2) float64, start and end in seconds
    durations: np.ndarray  #: (N,) float64, seconds
    query_ids: tuple[str, ...]
    video_ids: tuple[str, ...]  #: per query
    sentences: tuple[str, ...]
    vocabulary: Vocabulary
    fingerprint: str  #: changes when anything above does
    #: draws ``(count, size, size, 3)`` uint8 thumbnails of a video at evenly spaced times, where the source can
    film_strip: Callable[[str, int, int], np.ndarray] | None = None

    #: what batches are gathered from, and what :func:`vmlkit.data.resident.placed` moves to a device
    gathered: ClassVar[tuple[str, ...]] = (
        "frames", "video_index", "word_ids", "word_mask", "word_weights", "vectors", "vector_ids",
    )  # fmt: skip

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def device(self) -> torch.device:
        """Where the split lies, and with it its batches."""
        return self.frames.device

    @property
    def word_rows(self) -> Int[Tensor, "N L"]:
        """Row of ``vectors`` of each word, 0 on padding."""
        return self.word_ids if self.vector_ids is None else self.vector_ids

    @property
    def spans(self) -> np.ndarray:
        """``(N, 2)`` start/end in fractions of the video."""
        found: np.ndarray = self.spans_s / self.durations[:, None]
        return found

    def batch(self, indices: Tensor | Sequence[int], *, with_spans: bool = False, static: bool = False) -> MomentBatch:
        """The queries at ``indices`` as a batch.

        Args:
            with_spans: hand the ground truth over.  Weakly supervised training leaves it out, so a method that
                looked at the time labels would fail rather than cheat.
            static: keep the padded word axis of the whole split (fixed shapes) instead of cutting it to the
                longest sentence of the batch.
        """
        draw = self.draw(indices, static=static)
        return self.named(self.gather(draw.to(self.device), with_spans=with_spans), draw)

    def draw(self, indices: Tensor | Sequence[int], *, static: bool = False) -> Draw:
        """The rows of a batch, on the host."""
        rows = torch.as_tensor(indices, dtype=torch.long)
        return Draw(rows=rows, words=self._columns(rows, static))

    def gather(self, draw: Draw, *, with_spans: bool = False) -> MomentBatch:
        """The batch of a draw that lies where the split does; ids are left out, nothing is read by the host."""
        rows, cut = draw.rows, draw.words
        ids = self.word_ids[rows, :cut]
        frames = float_rows(self.frames[:, : draw.clips], self.video_index[rows])
        spans, durations = self._times
        return MomentBatch(
            frames=frames,
            frame_mask=torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device),
            words=self.vectors[ids if self.vector_ids is None else self.vector_ids[rows, :cut]],
            word_ids=ids,
            word_mask=self.word_mask[rows, :cut],
            word_weights=self.word_weights[rows, :cut],
            spans=spans[rows] if with_spans else None,
            durations=durations[rows],
            query_ids=(),
            video_ids=(),
        )

    def named(self, batch: V, draw: Draw) -> V:
        """The batch with the ids of its queries and videos; the rows of ``draw`` lie on the host."""
        rows = draw.rows.tolist()
        queries, videos = (tuple(ids[j] for j in rows) for ids in (self.query_ids, self.video_ids))
        return dataclasses.replace(batch, query_ids=queries, video_ids=videos)

    def _columns(self, rows: Int[Tensor, " B"], static: bool) -> int:
        """Columns of the word axis that a batch of these queries needs; all of the split's with ``static``."""
        return self.word_ids.shape[1] if static else max(int(self._lengths[rows].max()), 1)

    @functools.cached_property
    def _lengths(self) -> Int[Tensor, " N"]:
        """Words of each query, on the host."""
        return self.word_mask.sum(1).cpu()

    @functools.cached_property
    def _times(self) -> tuple[Float[Tensor, "N 2"], Float[Tensor, " N"]]:
        """(center, width) in fractions and the duration in seconds of each query, on the device."""
        times = sp.to_center_width(torch.as_tensor(self.spans, dtype=torch.float32))
        return times.to(self.device), torch.as_tensor(self.durations, dtype=torch.float32, device=self.device)

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> "MomentDataset":
        """The queries at ``indices``, sharing the resident features."""
        i = torch.as_tensor(np.asarray(indices), dtype=torch.long)
        pick = i.tolist()
        return dataclasses.replace(
            self,
            name=name or self.name,
            video_index=self.video_index[i],
            word_ids=self.word_ids[i],
            word_mask=self.word_mask[i],
            word_weights=self.word_weights[i],
            vector_ids=None if self.vector_ids is None else self.vector_ids[i],
            spans_s=self.spans_s[pick],
            durations=self.durations[pick],
            query_ids=tuple(self.query_ids[j] for j in pick),
            video_ids=tuple(self.video_ids[j] for j in pick),
            sentences=tuple(self.sentences[j] for j in pick),
            fingerprint=f"{self.fingerprint}[{len(pick)}:{zlib.crc32(i.numpy().tobytes()):08x}]",
        )


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a method says about B queries; everything in fractions of the video."""

    centers: Float[Tensor, "B P"]
    widths: Float[Tensor, "B P"]
    starts: Float[Tensor, "B P"]  #: clipped to [0, 1]; for a mixture this is not center - width / 2
    ends: Float[Tensor, "B P"]
    nll: Float[Tensor, "B P"]  #: reconstruction loss of each proposal; the lower, the better it explains the query
    order: Int[Tensor, "B P"]  #: proposals from best to worst (ascending ``nll``)
    top1: Int[Tensor, " B"]  #: the answer (``order[:, 0]``, or the winner of a vote)
    negative_centers: Float[Tensor, "B M"] | None = None
    negative_widths: Float[Tensor, "B M"] | None = None
    negative_weights: Float[Tensor, "B M"] | None = None
    negative_nll: Float[Tensor, "B M"] | None = None
    #: signals per clip by name, such as a saliency; NaN on padding
    clip_scores: dict[str, Float[Tensor, "B T"]] = field(default_factory=dict)

    @classmethod
    def ranked(
        cls,
        centers: Float[Tensor, "B P"],
        widths: Float[Tensor, "B P"],
        nll: Float[Tensor, "B P"],
        **signals: Any,
    ) -> "Predictions":
        """Proposals ordered by ascending ``nll`` (stable); the best is the answer.  ``signals`` are further fields."""
        order = nll.argsort(dim=1, stable=True)
        return cls(
            centers=centers,
            widths=widths,
            starts=(centers - widths / 2).clamp(0, 1),
            ends=(centers + widths / 2).clamp(0, 1),
            nll=nll,
            order=order,
            top1=order[:, 0],
            **signals,
        )
