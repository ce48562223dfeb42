"""How well a proposal explains its sentence (NLL of its words), margins, diversity, and one pass for two losses."""

from itertools import product
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.nn.attention import full_precision, no_autocast

EndSymbol = Literal["reference", "always", "never"]


def target_mask(word_mask: Bool[Tensor, "B L"], end_symbol: EndSymbol = "reference") -> Bool[Tensor, "B L_out"]:
    """Which columns count as targets; column j predicts word j + 1.

    ``reference``: a sentence shorter than the longest of its batch also predicts id 0 once, after
    its last word; the longest does not, so a value depends on its batch-mates.  ``always``: every sentence predicts the
    end symbol, on one more column.  ``never``: words only.  The rule looks at the longest sentence present, not at the
    padding, so that a statically padded batch gives the same numbers.
    """
    length = word_mask.sum(dim=1, keepdim=True)
    if end_symbol == "always":
        columns = torch.arange(word_mask.shape[1] + 1, device=word_mask.device)
        return columns < length + 1
    columns = torch.arange(word_mask.shape[1], device=word_mask.device)
    if end_symbol == "never":
        return columns < length
    return columns < torch.minimum(length + 1, length.max())


def word_nll(
    logits: Float[Tensor, "B R L V"],
    targets: Int[Tensor, "B L"],
    mask: Bool[Tensor, "B L"],
    *,
    smoothing: float = 0.1,
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, "B R"]:
    """Negative log-likelihood of each sentence under each of R reconstructions.

    P1 Eq. (11).  All words are targets, masked or not.  The released code smooths the labels by 0.1 and takes the mean
    over words (the defaults); the paper's equation is a plain sum (``smoothing=0``, ``reduction="sum"``).
    """
    rows = logits.shape[1]
    wide = targets[:, None].expand(-1, rows, -1)
    nll = torch.nn.functional.cross_entropy(
        full_precision(logits).flatten(0, 2), wide.flatten(), reduction="none", label_smoothing=smoothing
    ).view(wide.shape)  # (B, R, L)
    counted = mask[:, None]
    total = nll.masked_fill(~counted, 0.0).sum(-1)
    return total if reduction == "sum" else total / counted.sum(-1)


def margin(better: Float[Tensor, "*#A"], worse: Float[Tensor, "*#A"], gap: float) -> Float[Tensor, "*#A"]:
    """``max(better - worse + gap, 0)``: zero once ``better`` explains the sentence by ``gap`` more than ``worse``.

    The terms of P1 Eq. (13), of P0 Eq. (4) and of CPL's and PPS's ranking; both arguments are NLL values.
    """
    return (better - worse + gap).clamp_min(0)


def diversity(masks: Float[Tensor, "B P S"], target: float) -> Float[Tensor, ""]:
    """CPL: ``mean_b || lambda I - G G^T ||_F^2`` with the rows of G summing to one.

    Pushes proposals apart (off-diagonal towards 0) and, through the diagonal, fixes their width
    (:func:`vmlkit.reconstruction.gaussian.natural_width`).
    """
    rows = masks / masks.sum(dim=-1, keepdim=True)
    with no_autocast(rows):
        gram = rows @ rows.transpose(1, 2)  # (B, P, P)
    eye = torch.eye(gram.shape[1], device=gram.device, dtype=gram.dtype)
    return ((target * eye - gram) ** 2).sum(dim=(1, 2)).mean()


class Divide(torch.autograd.Function):
    """Masks and weights ``(B, M)`` as they are, and a channel of zeros: the gradient of the channel scales theirs."""

    @staticmethod
    def forward(ctx: Any, masks: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return masks.clone(), weights.clone(), torch.zeros_like(weights)

    @staticmethod
    def backward(ctx: Any, masks: Tensor, weights: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        return masks * share[..., None], weights * share


class Unite(torch.autograd.Function):
    """The NLL twice, for L_dce and for L_mt; backwards their sum, and L_dce's share of it through the channel.

    The NLL of a row depends on its own mask and weight alone.  So where L_mt may train the reconstructor but not the
    masks (A10 i), one pass does for both losses: the reconstructor gets the whole gradient of each row, and what
    arrives at its mask is scaled back to L_dce's share.  Plain tensors all the way: the compiler and autocast see it.
    """

    @staticmethod
    def forward(ctx: Any, nll: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
        return nll.clone(), nll.clone()

    @staticmethod
    def backward(ctx: Any, signed: Tensor, triplet: Tensor) -> tuple[Tensor, Tensor]:
        total = signed + triplet
        return total, torch.where(total == 0, 0.0, signed / torch.where(total == 0, 1.0, total))


def gradient_norms(losses: dict[str, Tensor], parts: dict[str, list[nn.Parameter]]) -> dict[str, Tensor]:
    """Norm of each loss's gradient on each part that has parameters, as ``"<loss> on <part>"`` (0-d tensors)."""
    norms = {}
    for (term, loss), (part, parameters) in product(losses.items(), parts.items()):
        if parameters:
            found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            norms[f"{term} on {part}"] = torch.nn.utils.get_total_norm([g for g in found if g is not None])
    return norms
