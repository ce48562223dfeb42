"""Pull and push: what PPS asks of the components of a mixture proposal."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def pull(centers: Float[Tensor, "B P J"], present: Bool[Tensor, "P J"]) -> Float[Tensor, ""]:
    """``sum_i mean_b (max_j c_ij - min_j c_ij)^2``: the components of one proposal stay together.

    PPS, pull loss (specification 6.6).  A proposal with one component contributes zero.

    Args:
        centers: component centers in fractions of the video, padded to J components.
        present: which of them exist.

    >>> present = torch.tensor([[True, False], [True, True]])
    >>> round(float(pull(torch.tensor([[[0.3, 0.0], [0.2, 0.6]]]), present)), 4)
    0.16
    """
    most = centers.masked_fill(~present, -torch.inf).max(dim=-1).values
    least = centers.masked_fill(~present, torch.inf).min(dim=-1).values
    return ((most - least) ** 2).mean(dim=0).sum()


def component_diversity(
    masks: Float[Tensor, "B P J S"], present: Bool[Tensor, "P J"], target: float
) -> Float[Tensor, ""]:
    """``mean_b sum_i || lambda I - G_i G_i^T ||_F^2``, the rows of G_i being the components of proposal i.

    PPS, intra-proposal push (specification 6.6): CPL's diversity term (``ranking.diversity``) within
    each proposal that has at least two components; rows sum to one.
    """
    several = present.sum(dim=1) > 1  # (P,)
    total = masks.sum(dim=-1, keepdim=True)
    rows = masks / torch.where(present[..., None], total, 1.0)
    gram = rows @ rows.transpose(-1, -2)  # (B, P, J, J)
    eye = torch.diag_embed(present.to(gram.dtype))  # (P, J, J)
    error = ((target * eye - gram) ** 2).sum(dim=(-2, -1))  # (B, P)
    return (error * several).sum(dim=1).mean()
