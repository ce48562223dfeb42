"""How well a proposal explains its sentence: the word negative log-likelihood."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EndSymbol = Literal["reference", "always", "never"]


def target_mask(word_mask: Bool[Tensor, "B L"], end_symbol: EndSymbol = "reference") -> Bool[Tensor, "B L_out"]:
    """Which columns count as targets; column j predicts word j + 1.

    Specification 3.7.  ``reference``: a sentence shorter than the longest of its batch also predicts id 0 once, after
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

    CNM Eq. (9).  All words are targets, masked or not.  The released code smooths the labels by 0.1 and takes the mean
    over words (the defaults); the paper's equation is a plain sum (``smoothing=0``, ``reduction="sum"``).
    """
    rows = logits.shape[1]
    wide = targets[:, None].expand(-1, rows, -1)
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 2), wide.flatten(), reduction="none", label_smoothing=smoothing
    ).view(wide.shape)  # (B, R, L)
    counted = mask[:, None]
    total = nll.masked_fill(~counted, 0.0).sum(-1)
    return total if reduction == "sum" else total / counted.sum(-1)


def word_accuracy(
    logits: Float[Tensor, "B R L V"], targets: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]
) -> Float[Tensor, ""]:
    """Share of counted words whose most likely word is right, over all rows."""
    right = (logits.argmax(-1) == targets[:, None]) & mask[:, None]
    return right.sum() / (mask.sum() * logits.shape[1])
