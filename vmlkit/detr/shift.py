"""BM-DETR's temporal shifting: a moment cut out of its video and put back elsewhere (P2 Sec. 3.4).

# PAPER: P2 Sec. 3.4: only videos below 60 s / CODE: a flag of the data set, whatever the duration -> mode
# PAPER: P2 Sec. 3.4: (silent) / CODE: the new window counts clip indices, end included, as seconds -> mode
# PAPER: P2 Sec. 3.4: (silent) / CODE: endpoint features move along with their clips and give the old place away -> mode
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.detr.batches import DetrBatch, Targets, clip_range, clips_inside, endpoints, window_edges
from vmlkit.spans import to_center_width


@dataclass(frozen=True)
class Branch:
    """Clip features of a branch and their mask."""

    clips: Float[Tensor, "B T Dv"]
    mask: Bool[Tensor, "B T"]


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

    ``order = remaining[:start] + moment + remaining[start:]`` (P2 Sec. 3.4).
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


def shifted_window_indices(shifted: Shifted, count: Int[Tensor, " B"], clip_s: float = 1.0) -> Float[Tensor, "B 2"]:
    """(center, width) as the release computes it: inclusive clip *indices* taken for seconds.

    The width is one clip short, parts of a clip are lost, and a clip length other than 1 s scales the label.
    """
    edges = torch.stack((shifted.first, shifted.last), dim=-1) / (count[:, None] * clip_s)
    return to_center_width(edges)


def shifted_branch(
    batch: DetrBatch,
    inside: Bool[Tensor, "B T"],
    short: Bool[Tensor, " B"],
    generator: torch.Generator,
    *,
    as_released: bool,
) -> tuple[Branch, Targets, Bool[Tensor, "B T"]]:
    """The batch with the first window of each query moved to a random place.

    Args:
        inside: clips of the windows before.
        short: which videos are shifted; the others stay as they are, as do those that the moment fills.
        as_released: truncated clip range, label and endpoint features as the release has them; otherwise every clip
            that the moment touches moves, the window moves by as many clips, and endpoints are computed anew.

    Returns:
        The clips, the one window of each query, and the clips inside it.
    """
    assert batch.windows is not None
    mask, window = batch.frame_mask, batch.windows[:, 0]
    count = mask.sum(1)
    edges = window_edges(window, count)
    first, last = clip_range(edges[:, 0], edges[:, 1], count, whole=not as_released)
    # the released code never puts the moment last
    places = count - (last - first + 1) + int(not as_released)
    noise = torch.rand(first.shape, device=first.device, generator=generator)
    start = (noise * places).long().clamp_max((places - 1).clamp_min(0))
    drawn = shift_order(first, last, mask, start)
    moved = drawn.moved & short
    still = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    order = torch.where(moved[:, None], drawn.order, still)
    clips = batch.frames.gather(1, order[..., None].expand(-1, -1, batch.frames.shape[2]))
    if as_released:
        labels = shifted_window_indices(drawn, count).to(window)
        now_inside = inside.gather(1, order)
    else:
        clips = torch.cat((clips[..., :-2], endpoints(mask).to(clips)), dim=-1)
        step = ((drawn.first - first) / count).to(window)
        labels = torch.stack((window[:, 0] + step, window[:, 1]), dim=-1)
        now_inside = clips_inside(labels[:, None], torch.ones_like(moved)[:, None], mask)
    labels = torch.where(moved[:, None], labels, window)
    now_inside = torch.where(moved[:, None], now_inside, inside)
    return Branch(clips, mask), Targets(labels[:, None], torch.ones_like(moved)[:, None]), now_inside
