"""P4 Eq. (4): how much each sentence component matters for a sentence, estimated from its words.

A query from the anchor sentence attends to the words of each negative; what it reads becomes one number per component.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.nn.similarity import masked_softmax


@dataclass(frozen=True)
class Importance:
    """What the module says about K components of B sentences."""

    logits: Float[Tensor, "B K"]  #: m, before the softmax over components
    attention: Float[Tensor, "B K L"]  #: over the words of each negative
    value: Float[Tensor, "B K h"]  #: what the query read

    def weights(self, valid: Bool[Tensor, "B K"] | None = None) -> Float[Tensor, "B K"]:
        """``omega``: softmax over the valid components; zero for the others."""
        weights = masked_softmax(self.logits, valid, dim=-1)
        return weights if valid is None else weights * valid


class ImportanceModule(nn.Module):
    """P4 Eq. (4): ``m_j = w . softmax_l(q . K_jl / sqrt(h)) V_j``, with ``q = st W_Q, K = x W_K, V = x W_V``.

    One head and no biases, as the equation shows plain matrices.  The matrices act from the right (row vectors), and
    carry the names of the equation.

    Args:
        text_dim: size of word vectors and of the sentence vector.
        hidden: h, the size in which query and keys meet (not stated in the paper; 128 is our choice).
        scaled: divide by ``sqrt(h)``.
            # PAPER: P4 Fig. 3: dot products, unscaled / CODE: none; scaled is usual, and the default here -> scaled
    """

    def __init__(self, text_dim: int, hidden: int = 128, scaled: bool = True) -> None:
        super().__init__()
        self.scale = hidden**-0.5 if scaled else 1.0
        self.W_Q = nn.Parameter(torch.empty(text_dim, hidden))
        self.W_K = nn.Parameter(torch.empty(text_dim, hidden))
        self.W_V = nn.Parameter(torch.empty(text_dim, hidden))
        self.w_omega = nn.Parameter(torch.empty(hidden))
        for matrix in (self.W_Q, self.W_K, self.W_V):
            nn.init.xavier_uniform_(matrix)
        nn.init.uniform_(self.w_omega, -(hidden**-0.5), hidden**-0.5)

    def forward(
        self, sentence: Float[Tensor, "B D"], words: Float[Tensor, "B K L D"], word_mask: Bool[Tensor, "B K L"]
    ) -> Importance:
        """Rate the K negatives of each sentence.

        Args:
            sentence: the anchor's sentence vector.
            words: word vectors of each negative.
            word_mask: True on real words; attention stays within one negative.
        """
        query = sentence @ self.W_Q  # (B, h)
        scores = torch.einsum("bh,bklh->bkl", query, words @ self.W_K) * self.scale
        attention = masked_softmax(scores, word_mask, dim=-1)
        value = torch.einsum("bkl,bklh->bkh", attention, words @ self.W_V)
        return Importance(logits=value @ self.w_omega, attention=attention, value=value)
