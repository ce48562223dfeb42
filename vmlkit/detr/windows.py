"""From predictions to ranked windows in seconds, as the released inference of the DETR family does it.

Windows are rows ``[start, end, score]``; rounding may make them empty or equal, and they are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vmlkit import spans as sp

Step = Literal["clip_ts", "clip_window_l", "round_multiple"]


def ranked_windows(
    edges: Float[Tensor, "B Q 2"],
    scores: Float[Tensor, "B Q"],
    seconds: Float[Tensor, " B"],
    order: Int[Tensor, "B Q"] | None = None,
) -> Float[Tensor, "B Q 3"]:
    """``[start, end, score]`` from best to worst, every number rounded to four decimals.

    Args:
        edges: start and end in fractions.
        seconds: what a fraction of 1 lasts; the duration (BM-DETR: at most 75 clips).
        order: best first; by score (stable) unless given.
    """
    rows = torch.cat((edges * seconds[:, None, None], scores[..., None]), dim=-1)
    order = scores.argsort(dim=1, descending=True, stable=True) if order is None else order
    picked = rows.gather(1, order[..., None].expand(-1, -1, 3)).cpu().numpy()
    # through text, as released: rounding the float32 itself would not always give the same digits
    return torch.tensor([[[float(f"{v:.4f}") for v in row] for row in item] for item in picked], dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Steps applied to ranked windows, in order; defaults are those of QVHighlights."""

    steps: tuple[Step, ...] = ("clip_ts", "round_multiple")
    clip_length: float = 2.0  #: seconds; windows are rounded to its multiples, halves to the even one
    earliest: float = 0.0
    latest: float = 150.0  #: seconds; BM-DETR: 75 clips
    shortest: float = 2.0  #: seconds, for ``clip_window_l``
    longest: float = 70.0
    keep: Literal["left", "center", "right"] = "left"  #: which point of a window stays where it is

    def __call__(self, windows: Float[np.ndarray, "Q 3"]) -> Float[np.ndarray, "Q 3"]:
        """The windows of one query, in float32; scores are untouched."""
        edges = torch.as_tensor(np.asarray(windows)[:, :2], dtype=torch.float32)
        for step in self.steps:
            edges = getattr(self, f"_{step}")(edges)
        scores = np.asarray(windows, dtype=np.float64)[:, 2:]
        return np.concatenate((edges.numpy().astype(np.float64), scores), axis=1)

    def _clip_ts(self, edges: Tensor) -> Tensor:
        return edges.clamp(self.earliest, self.latest)

    def _round_multiple(self, edges: Tensor) -> Tensor:
        return torch.round(edges / self.clip_length) * self.clip_length

    def _clip_window_l(self, edges: Tensor) -> Tensor:
        start, end = edges.unbind(-1)
        size = end - start
        wanted = size.clamp(self.shortest, self.longest)
        middle = (start + end) / 2
        moved = {
            "left": (start, start + wanted),
            "center": (middle - wanted / 2, middle + wanted / 2),
            "right": (end - wanted, end),
        }[self.keep]
        return torch.where((wanted == size)[:, None], edges, torch.stack(moved, dim=-1))


def suppress(windows: Sequence[Sequence[float]], threshold: float, keep: int = 10) -> list[list[float]]:
    """Non-maximum suppression over ``[start, end, score]``: greedy, a later window goes where IoU > ``threshold``.

    A single window is returned untouched.  The union is the hull of both windows.  The released evaluation, where it is
    switched on, hands over the first ten windows.
    """
    if len(windows) == 1:
        return [list(w) for w in windows]
    left = sorted((list(w) for w in windows), key=lambda w: -w[2])
    kept: list[list[float]] = []
    while left and len(kept) < keep:
        best = left.pop(0)
        kept.append(best)
        rest = np.array([w[:2] for w in left], dtype=float).reshape(-1, 2)
        overlaps = sp.hull_iou(np.array(best[:2], dtype=float), rest)
        left = [w for w, overlap in zip(left, overlaps, strict=True) if overlap <= threshold]
    return kept
