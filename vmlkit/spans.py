"""Interval algebra on the time line.

A *span* is ``(start, end)`` with ``start <= end``; its other form is ``(center, width)``.  Both may be in
seconds or in fractions of the video, as long as the two sides of an operation agree.  Spans stand in the last axis of
an array; functions of two broadcast over the others.  The changes of form take arrays and tensors, what the losses use
takes tensors, what scores answers takes numpy arrays.

Programs that were released with papers divide the overlap by different unions, and their numbers are only reproduced
with their own: :func:`iou` (hull with an epsilon), :func:`hull_iou`, :func:`sum_iou` (sum of lengths less the overlap,
with ``plus=1`` where both ends count) and :func:`generalized_iou`.
"""

from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Array = TypeVar("Array", np.ndarray, torch.Tensor)

#: added to numerator and denominator of the IoU by the released CNM, CPL and PPS evaluation
REFERENCE_EPS = 1e-10


def to_center_width(spans: Array) -> Array:
    """``(..., 2)`` start/end -> ``(..., 2)`` center/width.

    >>> to_center_width(np.array([2.0, 6.0]))
    array([4., 4.])
    """
    start, end = _unbound(spans)
    found: Array = _stack((start + end) / 2, end - start)
    return found


def to_start_end(center_width: Array) -> Array:
    """``(..., 2)`` center/width -> ``(..., 2)`` start/end, not clipped.

    >>> to_start_end(np.array([4.0, 4.0]))
    array([2., 6.])
    """
    center, width = _unbound(center_width)
    if isinstance(center, Tensor):
        start, end = torch.sub(center, width, alpha=0.5), torch.add(center, width, alpha=0.5)
    else:
        start, end = center - width / 2, center + width / 2
    found: Array = _stack(start, end)
    return found


def iou(
    a: Float[np.ndarray, "*A 2"], b: Float[np.ndarray, "*B 2"], eps: float = REFERENCE_EPS
) -> Float[np.ndarray, "*AB"]:
    """Intersection over union, with the union from the smaller start to the larger end.

    ``eps`` reproduces the reference evaluation: two equal empty spans have IoU 1, an empty span inside another
    about 0, disjoint spans exactly 0 and spans that only touch about ``eps``.

    >>> float(iou(np.array([0.0, 2.0]), np.array([1.0, 3.0])).round(6))
    0.333333
    """
    common = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    return np.asarray(np.maximum((common + eps) / (_hull(a, b) + eps), 0))


def hull_iou(a: Float[np.ndarray, "*A 2"], b: Float[np.ndarray, "*B 2"]) -> Float[np.ndarray, "*AB"]:
    """The same without an epsilon; 0 where both spans are empty."""
    common, hull = _overlap(a, b), _hull(a, b)
    return np.asarray(np.divide(common, hull, out=np.zeros_like(common), where=hull > 0))


def sum_iou(
    a: Float[np.ndarray, "*A 2"], b: Float[np.ndarray, "*B 2"], *, plus: float = 0.0, empty: float = 0.0
) -> Float[np.ndarray, "*AB"]:
    """Intersection over the sum of the lengths less the intersection.

    A span may end before it starts (rounding to a grid makes such windows); it overlaps nothing.

    Args:
        plus: added to every length: 1 for intervals of whole frames whose both ends count.
        empty: the value where the union is 0: two empty spans, or a negative length that cancels the other's.
    """
    common = _overlap(a, b, plus)
    union = (a[..., 1] - a[..., 0] + plus) + (b[..., 1] - b[..., 0] + plus) - common
    return np.asarray(np.divide(common, union, out=np.full_like(common, empty), where=union != 0))


def generalized_iou(a: Float[Tensor, "*A 2"], b: Float[Tensor, "*B 2"]) -> Float[Tensor, "*AB"]:
    """Generalised IoU: ``IoU - (hull - union) / hull``, in [-1, 1].

    As in Moment-DETR: the union is the sum of lengths minus the overlap, and there is no epsilon, so two equal spans of
    length zero give NaN.

    >>> float(generalized_iou(torch.tensor([0.0, 1.0]), torch.tensor([3.0, 4.0])))
    -0.5
    """
    common, lengths, gap = _overlap_lengths_gap(a, b)
    union = lengths - common
    return common / union - gap / (union + gap)  # the hull is the union and what lies between


def overlap_and_union(
    a: Float[Tensor, "*A 2"], b: Float[Tensor, "*B 2"]
) -> tuple[Float[Tensor, "*AB"], Float[Tensor, "*AB"]]:
    """Lengths of the overlap and of the union (sum of lengths minus overlap)."""
    common, lengths, _ = _overlap_lengths_gap(a, b)
    return common, lengths - common


def _overlap_lengths_gap(
    a: Float[Tensor, "*A 2"], b: Float[Tensor, "*B 2"]
) -> tuple[Float[Tensor, "*AB"], Float[Tensor, "*AB"], Float[Tensor, "*AB"]]:
    """Length of the overlap, sum of both lengths, and length of what lies between the two."""
    (start, end), (other_start, other_end) = a.unbind(-1), b.unbind(-1)
    signed = torch.minimum(end, other_end) - torch.maximum(start, other_start)
    common = signed.relu()
    return common, (end - start) + (other_end - other_start), common - signed


def length(span: Float[np.ndarray, "*A 2"]) -> Float[np.ndarray, "*A"]:
    """End minus start, never negative."""
    return np.asarray(np.maximum(span[..., 1] - span[..., 0], 0))


def ion(
    positive: Float[np.ndarray, "*A 2"], negative: Float[np.ndarray, "*B 2"], truth: Float[np.ndarray, "*C 2"]
) -> Float[np.ndarray, "*ABC"]:
    """Intersection over negative: the share of a negative proposal that lies in the positive one, outside the truth.

    P0 Eq. (5): ``|(P and N) minus G| / |N|`` with all boundaries clipped to [0, 1] by the caller.  An empty
    negative or an empty positive gives 0.  The value is 0 when P lies within G and 1 when N lies within P, outside G.

    Args:
        positive: ``(..., 2)`` start/end of P.
        negative: ``(..., 2)`` start/end of N.
        truth: ``(..., 2)`` start/end of G.

    >>> float(ion(np.array([0.0, 0.75]), np.array([0.25, 0.75]), np.array([0.5, 1.0])))
    0.5
    """
    start = np.maximum(positive[..., 0], negative[..., 0])
    end = np.maximum(start, np.minimum(positive[..., 1], negative[..., 1]))
    before = np.maximum(np.minimum(end, truth[..., 0]) - start, 0)
    after = np.maximum(end - np.maximum(start, truth[..., 1]), 0)
    size = length(negative)
    # two rounded pieces may add up to an ulp more than the whole they were cut from
    outside = np.minimum(before + after, size)
    return np.asarray(outside / (size + (size == 0)))


def _overlap(a: np.ndarray, b: np.ndarray, plus: float = 0.0) -> np.ndarray:
    return np.asarray(np.maximum(np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]) + plus, 0))


def _hull(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0]))


def _unbound(spans: Any) -> Any:
    """The two entries of the last axis; of a tensor at once, so that there is one gradient to put together."""
    return spans.unbind(-1) if isinstance(spans, Tensor) else (spans[..., 0], spans[..., 1])


def _stack(first: Any, second: Any) -> Any:
    if isinstance(first, Tensor):
        return torch.stack((first, second), dim=-1)
    return np.stack((first, second), axis=-1)
