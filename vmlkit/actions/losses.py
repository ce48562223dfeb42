"""Losses of weakly supervised action localisation: a bag of snippets and the labels of the whole video.

Axes: B videos, T snippets, C classes, K = C + 1 with background as the *last* column, F features.  ``cas`` is the class
activation sequence (logits), ``attention`` the class-agnostic foreground weight in [0, 1].
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.actions.cross_modal import safe_cosine

Consistency = Literal["mse", "mae", "kl"]

#: added to the sum of a target before it is normalised (CO2-Net, HAM-Net)
_TARGET_EPS = 1e-4


def suppress(cas: Float[Tensor, "B T K"], attention: Float[Tensor, "B T"]) -> Float[Tensor, "B T K"]:
    """``S(X, a) = a (X - m) + m``, m the smallest logit of each snippet (kept in the graph).

    Where the attention is zero every class falls to the smallest logit, not to zero (CO2-Net code).
    """
    low = cas.amin(dim=2, keepdim=True)
    return attention[..., None] * (cas - low) + low


def topk_mean(cas: Float[Tensor, "*A T K"], count: int) -> Float[Tensor, "*A K"]:
    """Mean of the ``count`` largest values over time, class by class."""
    return cas.topk(count, dim=-2).values.mean(dim=-2)


def bag_target(labels: Float[Tensor, "B C"], background: float, eps: float = _TARGET_EPS) -> Float[Tensor, "B K"]:
    """``[y, b]`` divided by its sum (plus ``eps``)."""
    target = torch.nn.functional.pad(labels, (0, 1), value=background)
    return target / (target.sum(dim=1, keepdim=True) + eps)


def mil(
    cas: Float[Tensor, "B T K"], labels: Float[Tensor, "B C"], *, background: float, ratio: int
) -> Float[Tensor, " B"]:
    """Top-k multiple-instance loss of each video: cross-entropy of the bag with its labels.

    ``k = max(1, T // ratio)``; background belongs to the bag (1) or was suppressed (0).

    # PAPER: P3 Eq. (4) sums over the labels of a video / CODE: the target is divided by their number -> no switch,
    # because it only weighs a video by how many labels it has
    """
    return mil_of_bags([cas], labels, backgrounds=[background], ratio=ratio)[0]


def mil_of_bags(
    bags: Sequence[Float[Tensor, "B T K"]], labels: Float[Tensor, "B C"], *, backgrounds: Sequence[float], ratio: int
) -> Float[Tensor, "bags B"]:
    """:func:`mil` of several activation sequences of the same videos at once."""
    bag = topk_mean(torch.stack(list(bags)), max(1, bags[0].shape[1] // ratio))
    target = torch.stack([bag_target(labels, background) for background in backgrounds])
    return -(target * torch.log_softmax(bag, dim=-1)).sum(dim=-1)


def guide(attention: Float[Tensor, "*A B T"], cas: Float[Tensor, "B T K"]) -> Float[Tensor, ""]:
    """``mean |1 - a - softmax(X)_background|``: attention opposes the background probability (HAM-Net, CO2-Net).

    The mean is over several attentions where there are.
    """
    return (1 - attention - cas.softmax(dim=2)[..., -1]).abs().mean()


def coactivity(
    features: Float[Tensor, "B T F"],
    suppressed: Float[Tensor, "B T K"],
    labels: Float[Tensor, "B C"],
    *,
    pairs: int = 3,
    gap: float = 0.5,
) -> Float[Tensor, ""]:
    """Features where a class is active are alike in two videos of that class, and unlike where it is not (W-TALC).

    The videos at positions (0, 1), (2, 3), ... of the batch are pairs that share a class; nothing is detached.

    # PAPER: (silent) / CODE: without a shared class the released program divides 0 by 0, here the loss is 0 -> no
    # switch, because nobody wants the NaN
    """
    pairs = min(pairs, len(features) // 2)
    active = suppressed[: 2 * pairs].softmax(dim=1)  # (2P, T, K), over time
    used = features[: 2 * pairs].transpose(1, 2)  # (2P, F, T)
    high = used @ active  # (2P, F, K)
    low = used @ (1 - active) / max(suppressed.shape[1] - 1, 1)
    (high, others), (low, other_low) = (x.unflatten(0, (pairs, 2)).unbind(1) for x in (high, low))  # (P, F, K) each
    # active with active, then each one's active with the other's inactive
    cosine = safe_cosine(torch.cat((high, high, others)), torch.cat((others, other_low, low)))
    alike, *unlike = cosine.unflatten(0, (3, pairs)).unbind(0)  # (P, K)
    shared = labels[: 2 * pairs].unflatten(0, (pairs, 2)).prod(dim=1)  # (P, C)
    both = 0.5 * (torch.stack(unlike) - alike + gap).relu().sum(0)[:, : labels.shape[1]]
    found: Tensor = (shared * both).sum() / shared.sum().clamp_min(1)
    return found


def mutual(first: Float[Tensor, "B T"], second: Float[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Each modality's attention follows the other's, which is held fixed (CO2-Net)."""
    square = torch.nn.functional.mse_loss
    return 0.5 * square(first, second.detach()) + 0.5 * square(second, first.detach())


def consistency(own: Float[Tensor, "B T"], other: Float[Tensor, "B T"], kind: Consistency = "mse") -> Tensor:
    """P3 Eq. (11) and P3 Table 5: ``own`` attention approaches the ``other`` network's, which is held fixed.

    ``kl`` compares the attentions as distributions over time, ``KL(other || own)``, a mean over videos.
    """
    fixed = other.detach()
    if kind == "mse":
        return torch.nn.functional.mse_loss(own, fixed)
    if kind == "mae":
        return (own - fixed).abs().mean()
    p, q = (a / (a.sum(dim=1, keepdim=True) + 1e-8) for a in (fixed, own))
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).sum(dim=1).mean()


def reconstruction_error(pairs: tuple[tuple[Tensor, Tensor], ...]) -> list[Tensor]:
    """Mean squared error of each (prediction, target) of the cross-modal auto-encoders (P3, code only)."""
    return [torch.nn.functional.mse_loss(prediction, target) for prediction, target in pairs]


def bag_cross_entropy(
    score: Float[Tensor, "B K"], labels: Float[Tensor, "B C"], *, background: float
) -> Float[Tensor, ""]:
    """BaS-Net: element-wise binary cross-entropy of softmax scores with fractional targets, mean over B K."""
    return torch.nn.functional.binary_cross_entropy(score, bag_target(labels, background, eps=0.0))


def dropped_attention(attention: Float[Tensor, "B T"], ratio: float, from_min: bool = False) -> Float[Tensor, "B T"]:
    """HAM-Net's semi-soft drop: keep only attention *below* a threshold relative to the video's largest value.

    Without the most salient snippets the classifier has to find the rest of the action.  ``from_min`` measures the
    threshold from the smallest value.
    """
    high = attention.amax(dim=1, keepdim=True)
    low = attention.amin(dim=1, keepdim=True) if from_min else torch.zeros_like(high)
    kept: Bool[Tensor, "B T"] = attention < low + ratio * (high - low)
    return torch.where(kept, attention, 0.0)
