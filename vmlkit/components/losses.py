"""P4: contrast of a sentence with language-model variants of itself, one negative per sentence component.

Symbols: ``sigma_p, sigma_j`` similarity of the anchor with its positive and with the negative of component j (a cosine,
or :func:`vmlkit.nn.similarity.late_interaction`), ``tau`` temperature, ``omega`` importance.

| loss             | equation   | per sentence                                          |
| ---------------- | ---------- | ----------------------------------------------------- |
| simple           | P4 Eq. (2) | ``-log exp(s_p) / (exp(s_p) + sum_j exp(s_j))``       |
| most discernable | P4 Eq. (3) | ``min_j L_j``, ``L_j = log(1 + exp(s_j - s_p))``      |
| adaptive         | P4 Eq. (5) | ``sum_j omega_j L_j``                                 |

with ``s = sigma / tau``.  A component that the sentence lacks is left out by ``valid``.

    # PAPER: motivates P4 Eq. (3) by missing components and never removes them / CODE: none; here all three losses and
    # the softmax of omega leave them out -> use_invalid

**Where P4 Eq. (5) leads.**  ``dL/dm_j = omega_j (L_j - L)``: gradient descent raises the weight of components whose
loss is *below* the mean.  The weight slides to the easiest component, and P4 Eq. (5) into P4 Eq. (3).  The paper's
text says the opposite.  Watch the entropy of omega.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.components.importance import Importance
from vmlkit.errors import ConfigError

Kind = Literal["simple", "discernable", "adaptive"]


@dataclass(frozen=True, kw_only=True)
class ComponentLossConfig:
    """P4's loss.  The paper states neither tau nor the weight of the loss nor h.

    Raises:
        ConfigError: for a value out of range.
    """

    kind: Kind = "adaptive"
    tau: float = 0.07  #: temperature; as in Moment-DETR's own contrastive term
    weight: float = 1.0  #: lambda_c, weight of this loss in the total
    hidden: int = 128  #: h of the importance module
    scaled: bool = True  #: attention of the importance module divided by sqrt(h)
    detach_importance: bool = False  #: omega learns nothing (ablation)
    entropy_bonus: float = 0.0  #: beta of ``- beta H(omega)``; 0 is the paper
    use_invalid: bool = False  #: the literal equations: components that a sentence lacks take part

    def __post_init__(self) -> None:
        if self.kind not in ("simple", "discernable", "adaptive"):
            raise ConfigError(f"setting 'kind' is {self.kind!r}: choose 'simple', 'discernable' or 'adaptive'")
        if not self.tau > 0 or self.hidden < 1 or self.weight < 0 or self.entropy_bonus < 0:
            raise ConfigError("tau must be positive, hidden at least 1, weight and entropy_bonus not negative")
        if self.kind != "adaptive" and (self.detach_importance or self.entropy_bonus):
            raise ConfigError(f"detach_importance and entropy_bonus act on the adaptive loss, not on {self.kind!r}")


def single_losses(positive: Float[Tensor, " B"], negatives: Float[Tensor, "B K"], tau: float) -> Float[Tensor, "B K"]:
    """``L_ij = log(1 + exp((sigma_j - sigma_p) / tau))``: P4 Eq. (2) with negative j alone.

    >>> single_losses(torch.tensor([0.5]), torch.tensor([[0.5, -9.0]]), 0.5).round(decimals=3)
    tensor([[0.6930, 0.0000]])
    """
    return torch.nn.functional.softplus((negatives - positive[:, None]) / tau)


def simple_contrastive(
    positive: Float[Tensor, " B"], negatives: Float[Tensor, "B K"], tau: float, valid: Bool[Tensor, "B K"] | None = None
) -> Float[Tensor, " B"]:
    """P4 Eq. (2): ``-log e^{s_p} / (e^{s_p} + sum_{j valid} e^{s_j})``; 0 where no component is valid.

    Negatives of other samples of the batch are not used.
    """
    gaps = (negatives - positive[:, None]) / tau  # (B, K)
    if valid is not None:
        gaps = gaps.masked_fill(~valid, -torch.inf)
    return torch.logsumexp(torch.cat((torch.zeros_like(gaps[:, :1]), gaps), dim=1), dim=1)


def most_discernable(
    losses: Float[Tensor, "B K"], valid: Bool[Tensor, "B K"] | None = None
) -> tuple[Float[Tensor, " B"], Int[Tensor, " B"]]:
    """P4 Eq. (3): ``min_{j valid} L_ij`` and its j; gradient through the minimum alone, the first j on ties.

    Where no component is valid the loss is 0 and j is -1.
    """
    ranked = losses.detach()
    if valid is not None:
        ranked = ranked.masked_fill(~valid, torch.inf)
    chosen = ranked.argmin(dim=1)
    smallest = losses.gather(1, chosen[:, None])[:, 0]
    if valid is None:
        return smallest, chosen
    some = valid.any(dim=1)
    return smallest * some, torch.where(some, chosen, -1)


def adaptive(losses: Float[Tensor, "B K"], weights: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """P4 Eq. (5): ``sum_j omega_ij L_ij``; with uniform weights the mean of the L_ij, not P4 Eq. (2)."""
    return (losses * weights).sum(dim=1)


def entropy(weights: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """``H(omega) = -sum_j omega_j log omega_j`` in nats; 0 where all weight is on one component.

    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).round(decimals=3)
    tensor([0.0000, 0.6930])
    """
    # the slope of x log x is infinite at 0: a weight of exactly 0 gives none
    found: Tensor = torch.special.entr(weights.clamp_min(torch.finfo(weights.dtype).tiny)).sum(dim=1)
    return found


def mean_over_valid(values: Float[Tensor, " B"], valid: Bool[Tensor, "B K"] | None) -> Float[Tensor, ""]:
    """Mean over the samples that have a valid component; 0 if none has."""
    if valid is None:
        return values.mean()
    some = valid.any(dim=1)
    return (values * some).sum() / some.sum().clamp_min(1)


@dataclass(frozen=True)
class ComponentTerms:
    """The loss of a batch and what to watch."""

    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]  #: 0-d tensors, detached
    losses: Float[Tensor, "B K"]  #: L_ij
    weights: Float[Tensor, "B K"] | None  #: omega


def component_loss(
    positive: Float[Tensor, " B"],
    negatives: Float[Tensor, "B K"],
    valid: Bool[Tensor, "B K"],
    config: ComponentLossConfig,
    importance: Importance | None = None,
) -> ComponentTerms:
    """One of the three losses, averaged over the samples that have a valid component (not multiplied by its weight).

    Args:
        positive: similarity of each anchor with its positive.
        negatives: similarity of each anchor with the negative of each component.
        valid: True where the sentence has the component and its negative passed the checks.
        importance: what :class:`vmlkit.components.importance.ImportanceModule` says; needed by ``adaptive`` only.

    Raises:
        ConfigError: for the adaptive loss without an importance.
    """
    if config.use_invalid:
        valid = torch.ones_like(valid)
    losses = single_losses(positive, negatives, config.tau)
    terms: dict[str, Tensor] = {}
    weights = None
    if config.kind == "simple":
        value = mean_over_valid(simple_contrastive(positive, negatives, config.tau, valid), valid)
    elif config.kind == "discernable":
        value = mean_over_valid(most_discernable(losses, valid)[0], valid)
    else:
        if importance is None:
            raise ConfigError("the adaptive loss needs an importance module")
        weights = importance.weights(valid)
        if config.detach_importance:
            weights = weights.detach()
        spread = mean_over_valid(entropy(weights), valid)
        value = mean_over_valid(adaptive(losses, weights), valid) - config.entropy_bonus * spread
        terms["importance_entropy"] = spread.detach()
    closer = ((positive[:, None] > negatives) & valid).sum() / valid.sum().clamp_min(1)
    terms |= {"components": value.detach(), "component_accuracy": closer.detach()}
    return ComponentTerms(loss=value, terms=terms, losses=losses, weights=weights)
