"""Interval algebra on the time line.

A *span* is ``(start, end)`` with ``start <= end``; its other form is ``(center, width)``.  Both may be in
seconds or in fractions of the video, as long as the two sides of an operation agree.  Every function takes
numpy arrays and torch tensors alike and broadcasts over leading axes.
"""

from typing import Any, TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)

#: added to numerator and denominator of the IoU by the released CNM, CPL and PPS evaluation
REFERENCE_EPS = 1e-10


def to_center_width(spans: Array) -> Array:
    """``(..., 2)`` start/end -> ``(..., 2)`` center/width.

    >>> to_center_width(np.array([2.0, 6.0]))
    array([4., 4.])
    """
    start, end = spans[..., 0], spans[..., 1]
    return _stack((start + end) / 2, end - start)


def to_start_end(center_width: Array) -> Array:
    """``(..., 2)`` center/width -> ``(..., 2)`` start/end, not clipped.

    >>> to_start_end(np.array([4.0, 4.0]))
    array([2., 6.])
    """
    center, width = center_width[..., 0], center_width[..., 1]
    return _stack(center - width / 2, center + width / 2)


def iou(a: Array, b: Array, eps: float = REFERENCE_EPS) -> Array:
    """Intersection over union of spans ``(..., 2)``, broadcast.

    ``eps`` reproduces the reference evaluation: two equal empty spans have IoU 1, an empty span inside another
    about 0, disjoint spans exactly 0 and spans that only touch about ``eps``.  The union is that of the reference:
    from the smaller start to the larger end.

    >>> float(iou(np.array([0.0, 2.0]), np.array([1.0, 3.0])).round(6))
    0.333333
    """
    overlap = _min(a[..., 1], b[..., 1]) - _max(a[..., 0], b[..., 0])
    hull = _max(a[..., 1], b[..., 1]) - _min(a[..., 0], b[..., 0])
    return _clip_low((overlap + eps) / (hull + eps))


def generalized_iou(a: Array, b: Array) -> Array:
    """Generalised IoU of spans ``(..., 2)``, broadcast: ``IoU - (hull - union) / hull``, in [-1, 1].

    As in Moment-DETR: the union is the sum of lengths minus the overlap, and there is no epsilon, so two equal spans of
    length zero give NaN.

    >>> float(generalized_iou(np.array([0.0, 1.0]), np.array([3.0, 4.0])))
    -0.5
    """
    common, union = overlap_and_union(a, b)
    hull = _clip_low(_max(a[..., 1], b[..., 1]) - _min(a[..., 0], b[..., 0]))
    return _array(common / union - (hull - union) / hull)


def overlap_and_union(a: Array, b: Array) -> tuple[Array, Array]:
    """Lengths of the overlap and of the union (sum of lengths minus overlap) of spans ``(..., 2)``, broadcast."""
    common = _clip_low(_min(a[..., 1], b[..., 1]) - _max(a[..., 0], b[..., 0]))
    return common, _array((a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - common)


def intersection(a: Array, b: Array) -> Array:
    """The span ``a and b`` ``(..., 2)``; where they are disjoint, an empty span (start == end)."""
    start = _max(a[..., 0], b[..., 0])
    return _stack(start, _max(start, _min(a[..., 1], b[..., 1])))


def length(span: Array) -> Array:
    """End minus start, never negative: ``(..., 2) -> (...)``."""
    return _clip_low(span[..., 1] - span[..., 0])


def ion(positive: Array, negative: Array, truth: Array) -> Array:
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
    common = intersection(positive, negative)
    start, end = common[..., 0], common[..., 1]
    before = _clip_low(_min(end, truth[..., 0]) - start)
    after = _clip_low(end - _max(start, truth[..., 1]))
    size = length(negative)
    # two rounded pieces may add up to an ulp more than the whole they were cut from
    outside = _min(before + after, size)
    return _array(outside / (size + (size == 0)))


def _stack(first: Any, second: Any) -> Any:
    if isinstance(first, torch.Tensor):
        return torch.stack((first, second), dim=-1)
    return np.stack((first, second), axis=-1)


def _min(a: Any, b: Any) -> Any:
    return torch.minimum(a, b) if isinstance(a, torch.Tensor) else np.minimum(a, b)


def _max(a: Any, b: Any) -> Any:
    return torch.maximum(a, b) if isinstance(a, torch.Tensor) else np.maximum(a, b)


def _clip_low(a: Any) -> Any:
    return a.clamp_min(0) if isinstance(a, torch.Tensor) else _array(np.maximum(a, 0))


def _array(a: Any) -> Any:
    # arithmetic turns a numpy array without axes into a scalar; the functions above promise an array
    return a if isinstance(a, torch.Tensor) else np.asarray(a)
