"""Batches of the DETR family: a moment batch with endpoint features, windows and negative sentences.

A clip is one cell of the resident grid; times in *clips* run from 0 to n.
Axes: B queries, T clips, N windows, L words, M words of the negative sentence, K drawn clips.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.batches import MomentBatch
from vmlkit.spans import to_center_width, to_start_end


@dataclass(frozen=True)
class Targets:
    """True windows of a batch, padded."""

    windows: Float[Tensor, "B N 2"]  #: (center, width); any valid span on padding
    mask: Bool[Tensor, "B N"]
    clips: Int[Tensor, "B N 2"] | None = None  #: first and last clip, inclusive, where spans are clips

    @cached_property
    def edges(self) -> Float[Tensor, "B N 2"]:
        """Start and end of the windows."""
        return to_start_end(self.windows)


@dataclass(frozen=True, kw_only=True)
class DetrBatch(MomentBatch):
    """What fully supervised training needs beside the moment batch; ``frames`` end with two endpoint features."""

    windows: Float[Tensor, "B N 2"] | None = None  #: (center, width), (0.5, 1) on padding; None without supervision
    window_mask: Bool[Tensor, "B N"] | None = None
    #: what annotators say of the clips, NaN where a clip is not relevant; None where there are only windows
    ratings: Float[Tensor, "B T"] | None = None
    negative_words: Float[Tensor, "B M Dw"] | None = None  #: the negative sentence of each query
    negative_mask: Bool[Tensor, "B M"] | None = None

    @property
    def negative(self) -> tuple[Float[Tensor, "B M Dw"], Bool[Tensor, "B M"]] | None:
        """Words and mask of the negative sentences, where they were drawn."""
        if self.negative_words is None or self.negative_mask is None:
            return None
        return self.negative_words, self.negative_mask


def with_endpoints(frames: Float[Tensor, "B T Dv"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T Dv2"]:
    """Append ``i / n`` and ``(i + 1) / n`` to clip i of n (zero on padding, as all of a padded row)."""
    return torch.cat((frames, endpoints(mask).to(frames)), dim=-1)


def endpoints(mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T 2"]:
    """Start and end of each clip as fractions of the video's real number of clips."""
    count = mask.sum(1)[:, None, None]
    index = torch.arange(mask.shape[1], device=mask.device)[None, :, None] + torch.arange(2, device=mask.device)
    return torch.where(mask[..., None], index / count.clamp_min(1), 0.0)


def span_targets(windows_s: Float[Tensor, "... 2"], seconds: float | Tensor) -> Float[Tensor, "... 2"]:
    """Windows in seconds as (center, width); one that ends before it starts becomes empty, as released.

    Args:
        seconds: clips times clip length, *not* the annotated duration, so a target may exceed 1.
    """
    start = windows_s[..., 0]
    return to_center_width(torch.stack((start, torch.maximum(start, windows_s[..., 1])), dim=-1) / seconds)


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
    stop = (end.ceil() if whole else end).long()  # which truncates
    last = (torch.minimum(stop, count) - 1).clamp_min(0)
    return torch.minimum(start.long(), last).clamp_min(0), last


def window_edges(windows: Float[Tensor, "*A 2"], count: Int[Tensor, "*A"]) -> Float[Tensor, "*A 2"]:
    """(center, width) in fractions of the video -> start and end in clips, exact where they are whole clips."""
    edges = to_start_end(windows.double()) * count[..., None]
    # a float32 fraction falls a hair beside a whole clip, and truncation would make that a clip
    clips = edges.round()
    return torch.where((edges - clips).abs() < 1e-4, clips, edges)


def clips_of_windows(
    windows: Float[Tensor, "B N 2"], mask: Bool[Tensor, "B T"], *, whole: bool = False
) -> Int[Tensor, "B N 2"]:
    """First and last clip (inclusive) of windows (center, width)."""
    count = mask.sum(1, keepdim=True)
    edges = window_edges(windows, count)
    return torch.stack(clip_range(edges[..., 0], edges[..., 1], count, whole=whole), dim=-1)


def clips_inside(
    windows: Float[Tensor, "B N 2"], window_mask: Bool[Tensor, "B N"], mask: Bool[Tensor, "B T"], *, whole: bool = False
) -> Bool[Tensor, "B T"]:
    """Clips inside any window (center, width)."""
    first, last = clips_of_windows(windows, mask, whole=whole).unbind(-1)
    index = torch.arange(mask.shape[1], device=mask.device)
    inside = (index >= first[..., None]) & (index <= last[..., None]) & window_mask[..., None]  # (B, N, T)
    return inside.any(1) & mask


def clip_noise(mask: Bool[Tensor, "B T"], generator: torch.Generator) -> Float[Tensor, "2 B T"]:
    """What :func:`draw_clips` reads for the clips inside the windows, then for those outside."""
    return torch.rand((2, *mask.shape), device=mask.device, generator=generator)


def draw_clips(allowed: Bool[Tensor, "*A T"], noise: Float[Tensor, "*A T"], count: int = 2) -> Int[Tensor, "*A K"]:
    """``count`` distinct random clips of each row; the only one is repeated, and 0 stands for none.

    Args:
        noise: uniform numbers in [0, 1); the clips of the highest are drawn.
    """
    most = min(count, allowed.shape[-1])
    rank, chosen = noise.masked_fill(~allowed, -1.0).topk(most, dim=-1)
    if most < count:
        chosen = chosen.repeat(*(1 for _ in chosen.shape[1:]), count)[..., :count]
        rank = rank.repeat(*(1 for _ in rank.shape[1:]), count)[..., :count]
    chosen = torch.where(rank >= 0, chosen, chosen[..., :1])
    return chosen.masked_fill(rank[..., :1] < 0, 0)
