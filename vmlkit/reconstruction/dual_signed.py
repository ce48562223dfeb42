"""The dual-signed cross-entropy of P0, its schedule over the epochs, and the multi-triplet loss."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vmlkit.errors import ConfigError
from vmlkit.reconstruction.ranking import margin

Curve = Literal["constant", "logarithmic", "linear", "exponential"]


def dual_sign(epoch: float | int, max_epochs: int, alpha: float | int, beta: float | int) -> float:
    """P0, schedule of L_dce: ``c(e) = (e / e_max)^alpha - beta``.

    Negative c drives the negatives away from what explains the query (deconstruction), positive c towards it
    (reconstruction); with the paper's (0.5, 0.8) it changes sign at 64 % of the training and ends at 0.2.

    Args:
        epoch: e, counted from 1; beyond ``max_epochs`` the value stays at that of the last epoch.
        max_epochs: e_max.
        alpha: shape of the curve, see :func:`curve_family`; 0 means the constant ``1 - beta``.
        beta: offset.

    Raises:
        ConfigError: for a negative epoch or alpha, or ``max_epochs`` not above 0.

    >>> round(dual_sign(1, 30, alpha=0.5, beta=0.8), 3), round(dual_sign(30, 30, alpha=0.5, beta=0.8), 3)
    (-0.617, 0.2)
    >>> round(dual_sign(1, 30, alpha=0, beta=0.8), 3)
    0.2
    """
    if not max_epochs > 0 or not epoch >= 0:
        raise ConfigError(f"the schedule needs 0 <= epoch and 0 < max_epochs, not {epoch} and {max_epochs}")
    curve_family(alpha)
    return min(epoch / max_epochs, 1.0) ** alpha - beta


def sign_change(alpha: float | int, beta: float | int) -> float | None:
    """The share ``e / e_max = beta^(1 / alpha)`` of the training at which c is 0, or None where c keeps its sign.

    >>> round(sign_change(0.5, 0.8), 2)
    0.64
    """
    if curve_family(alpha) == "constant" or not 0 < beta <= 1:
        return None
    return beta ** (1 / alpha)


def curve_family(alpha: float | int) -> Curve:
    """P0's name for the shape that ``alpha`` gives the schedule.

    ``constant`` at 0; below 1 the curve rises fast and levels off (``logarithmic``), at 1 it is ``linear``, above 1 it
    starts slowly (``exponential``).  All are powers of e / e_max; the names describe the look.

    Raises:
        ConfigError: for a negative alpha.

    >>> [curve_family(alpha) for alpha in (0, 0.5, 1, 5)]
    ['constant', 'logarithmic', 'linear', 'exponential']
    """
    if not alpha >= 0:
        raise ConfigError(f"alpha must be 0 or larger, not {alpha}")
    if alpha == 0:
        return "constant"
    if alpha == 1:
        return "linear"
    return "logarithmic" if alpha < 1 else "exponential"


def dual_signed(nll: Float[Tensor, "B M"], counted: Float[Tensor, "B M"], c: float) -> Float[Tensor, ""]:
    """P0, L_dce: ``c(e) sum_m CE(negative m)``; mean over queries, sum over m.

    Args:
        nll: word NLL under each negative.
        counted: 1 for a term that counts, 0 for one that is dropped; any other weight scales it (A1, ``loss``).
        c: :func:`dual_sign`; while it is negative the loss *raises* the negatives' NLL.
    """
    return c * (nll * counted).sum(dim=1).mean()


def multi_triplet(
    positive: Float[Tensor, " B"], nll: Float[Tensor, "B M"], counted: Float[Tensor, "B M"], gap: float
) -> Float[Tensor, ""]:
    """P0, L_mt: ``sum_m max(CE(positive) - CE(negative m) + gamma, 0)``; mean over queries, sum over m."""
    return (margin(positive[:, None], nll, gap) * counted).sum(dim=1).mean()
