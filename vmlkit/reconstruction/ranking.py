"""Margins between reconstructions, and the diversity of proposals."""

import torch
from jaxtyping import Float
from torch import Tensor


def margin(better: Float[Tensor, "*#A"], worse: Float[Tensor, "*#A"], gap: float) -> Float[Tensor, "*#A"]:
    """``max(better - worse + gap, 0)``: zero once ``better`` explains the sentence by ``gap`` more than ``worse``.

    CNM Eq. (11), CPL Eq. (10), P0 Eq. (4); both arguments are NLL values.
    """
    return (better - worse + gap).clamp_min(0)


def diversity(masks: Float[Tensor, "B P S"], target: float) -> Float[Tensor, ""]:
    """CPL Eq. (11): ``mean_b || lambda I - G G^T ||_F^2`` with the rows of G summing to one.

    Pushes proposals apart (off-diagonal towards 0) and, through the diagonal, fixes their width
    (:func:`vmlkit.reconstruction.gaussian.natural_width`).
    """
    rows = masks / masks.sum(dim=-1, keepdim=True)
    gram = rows @ rows.transpose(1, 2)  # (B, P, P)
    eye = torch.eye(gram.shape[1], device=gram.device, dtype=gram.dtype)
    return ((target * eye - gram) ** 2).sum(dim=(1, 2)).mean()
