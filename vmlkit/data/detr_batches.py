"""Batches of the DETR family: a moment batch with endpoint features, windows, and sentences to draw negatives from.

Specification 1 and 2.  A clip is one cell of the resident grid; times in *clips* run from 0 to n.
Axes: B queries, T clips, N windows, S queries of the same video, R queries of the split, V vocabulary.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.batches import MomentBatch
from vmlkit.spans import to_center_width, to_start_end


@dataclass(frozen=True, kw_only=True)
class DetrBatch(MomentBatch):
    """What fully supervised training needs beside the moment batch; ``frames`` end with two endpoint features."""

    windows: Float[Tensor, "B N 2"] | None = None  #: (center, width), (0.5, 1) on padding; None without supervision
    window_mask: Bool[Tensor, "B N"] | None = None
    rows: Int[Tensor, " B"] | None = None  #: position of each query in the split
    siblings: Int[Tensor, "B S"] | None = None  #: rows of the queries of the same video, ascending, R on padding
    allowed: Bool[Tensor, "B S"] | None = None  #: siblings that may serve as a negative query (the paper's rules)
    pool_ids: Int[Tensor, "R L"] | None = None  #: words of every query of the split (shared, not copied)
    pool_mask: Bool[Tensor, "R L"] | None = None
    vectors: Float[Tensor, "V Dw"] | None = None

    def sentences(self, rows: Int[Tensor, " B"]) -> tuple[Float[Tensor, "B L Dw"], Bool[Tensor, "B L"]]:
        """Word vectors and mask of other queries of the split."""
        assert self.pool_ids is not None
        assert self.pool_mask is not None
        assert self.vectors is not None
        return self.vectors[self.pool_ids[rows]], self.pool_mask[rows]


def with_endpoints(frames: Float[Tensor, "B T Dv"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T Dv2"]:
    """Append ``i / n`` and ``(i + 1) / n`` to clip i of n (zero on padding, as all of a padded row)."""
    return torch.cat((frames, endpoints(mask).to(frames)), dim=-1)


def endpoints(mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T 2"]:
    """Start and end of each clip as fractions of the video's real number of clips."""
    count = mask.sum(1)[:, None, None]
    index = torch.arange(mask.shape[1], device=mask.device)[None, :, None] + torch.arange(2, device=mask.device)
    return torch.where(mask[..., None], index / count.clamp_min(1), 0.0)


def clip_range(
    start: Float[Tensor, "..."], end: Float[Tensor, "..."], count: Int[Tensor, "..."], *, whole: bool = False
) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
    """First and last clip (inclusive) of a window given in clips.

    The released rule truncates both ends, so a clip that the moment ends in does not count; ``whole=True`` takes every
    clip that the window touches.

    >>> one = torch.tensor([2.7]), torch.tensor([5.2]), torch.tensor([9])
    >>> [int(i) for i in clip_range(*one)], [int(i) for i in clip_range(*one, whole=True)]
    ([2, 4], [2, 5])
    """
    stop = end.ceil() if whole else end.trunc()
    last = (torch.minimum(stop.long(), count) - 1).clamp_min(0)
    return torch.minimum(start.trunc().long(), last).clamp_min(0), last


def clips_inside(
    windows: Float[Tensor, "B N 2"], window_mask: Bool[Tensor, "B N"], mask: Bool[Tensor, "B T"], *, whole: bool = False
) -> Bool[Tensor, "B T"]:
    """Clips inside any window (center, width)."""
    count = mask.sum(1, keepdim=True)
    edges = to_start_end(windows.double()) * count[..., None]
    # fractions of float32 windows fall a hair beside whole clips; the releases truncate exact seconds
    edges = torch.where((edges - edges.round()).abs() < 1e-4, edges.round(), edges)
    first, last = clip_range(edges[..., 0], edges[..., 1], count, whole=whole)
    index = torch.arange(mask.shape[1], device=mask.device)
    inside = (index >= first[..., None]) & (index <= last[..., None]) & window_mask[..., None]  # (B, N, T)
    return inside.any(1) & mask


def draw_clips(allowed: Bool[Tensor, "B T"], generator: torch.Generator, count: int = 2) -> Int[Tensor, "B K"]:
    """``count`` distinct random clips of each row; the only one is repeated, and 0 stands for none."""
    noise = torch.rand(allowed.shape, device=allowed.device, generator=generator)
    chosen = torch.where(allowed, noise, -1.0).topk(count, dim=1).indices
    there = torch.where(allowed.gather(1, chosen), chosen, chosen[:, :1])
    return torch.where(allowed.any(1, keepdim=True), there, 0)


@dataclass(frozen=True)
class Shifted:
    """A moment cut out and put back elsewhere."""

    order: Int[Tensor, "B T"]  #: new clip t shows old clip order[b, t]; padding stays
    first: Int[Tensor, " B"]  #: new first clip of the moment
    last: Int[Tensor, " B"]
    moved: Bool[Tensor, " B"]  #: False where the moment fills the video: nothing changes


def shift_order(
    first: Int[Tensor, " B"], last: Int[Tensor, " B"], mask: Bool[Tensor, "B T"], start: Int[Tensor, " B"]
) -> Shifted:
    """The order of clips after the moment ``first..last`` moves to ``start`` among the remaining clips.

    ``order = remaining[:start] + moment + remaining[start:]`` (BM-DETR, Sec. 3.4).
    """
    count = mask.sum(1)
    size = last - first + 1
    moved = size < count
    at = torch.where(moved, start, first)
    index = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    begin, length, old = at[:, None], size[:, None], first[:, None]
    rank = torch.where(index < begin, index, index - length)  # among the remaining clips
    remaining = torch.where(rank < old, rank, rank + length)
    within = (index >= begin) & (index < begin + length)
    order = torch.where(within, index - begin + old, remaining)
    return Shifted(torch.where(mask, order, index), at, at + size - 1, moved)


def draw_shift(
    first: Int[Tensor, " B"],
    last: Int[Tensor, " B"],
    mask: Bool[Tensor, "B T"],
    generator: torch.Generator,
    *,
    to_the_end: bool,
) -> Shifted:
    """A uniform new place; the released code never puts the moment last, ``to_the_end`` allows it."""
    places = mask.sum(1) - (last - first + 1) + int(to_the_end)
    noise = torch.rand(first.shape, device=first.device, generator=generator)
    start = (noise * places).long().clamp_max((places - 1).clamp_min(0))
    return shift_order(first, last, mask, start)


def shifted_window_indices(shifted: Shifted, count: Int[Tensor, " B"], clip_s: float = 1.0) -> Float[Tensor, "B 2"]:
    """(center, width) as the release computes it: inclusive clip *indices* taken for seconds.

    # CODE: the width is one clip short, parts of a clip are lost, and a clip length other than 1 s scales the label.
    """
    edges = torch.stack((shifted.first, shifted.last), dim=-1) / (count[:, None] * clip_s)
    return to_center_width(edges)
