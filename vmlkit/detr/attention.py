"""Attention of the DETR family: packed projections, keys and values of all layers at once, one bias a pass.

A padded token is hidden by a *bias*, 0 where a key is data and minus infinity where it is padding: it is made once a
pass and joins the product of queries and keys.  On a card the whole of softmax, dropout and products is one fused
kernel; elsewhere it is written out.  Axes: B queries, S tokens, Q moment queries, D hidden, H heads, d = D / H.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vmlkit.nn.dropout import drop

#: the fused kernel copies a bias whose rows do not begin at a multiple of so many elements
_ALIGNED = 8


def split_heads(x: Float[Tensor, "B S D"], heads: int) -> Float[Tensor, "B H S d"]:
    """Give each head its share of the features."""
    found: Tensor = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return found


def split_parts(x: Float[Tensor, "B S PD"], parts: int, heads: int) -> Float[Tensor, "parts B H S d"]:
    """Several projections that were made by one product, each with its heads apart."""
    found: Tensor = x.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)
    return found if x.is_cuda else found.contiguous()  # one copy here, or one for each part in :func:`attend`


def key_bias(mask: Bool[Tensor, "B K"], heads: int, dtype: torch.dtype) -> Float[Tensor, "B #H 1 K"]:
    """What is added to the scores of a pass: ``log mask``, which is 0 for data and minus infinity for padding."""
    bias = mask.to(dtype).log()[:, None, None]
    if mask.is_cuda:
        width = mask.shape[1]
        return F.pad(bias, (0, -width % _ALIGNED))[..., :width]
    return bias.expand(-1, heads, -1, -1).contiguous()


def attend(
    query: Float[Tensor, "B H Q a"],
    key: Float[Tensor, "B H K a"],
    value: Float[Tensor, "B H K d"],
    *,
    bias: Float[Tensor, "B #H #Q K"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B Q D"]:
    """``softmax(q k / sqrt(a) + bias) v`` with the heads joined again.

    Args:
        bias: minus infinity where a pair must not meet, see :func:`key_bias`.
        dropout: on the attention weights.
    """
    if query.is_cuda:
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    else:
        out = written_out(query, key, value, bias, dropout)
    return out.transpose(1, 2).flatten(2)  # (B, Q, D)


def written_out(
    query: Float[Tensor, "B H Q a"],
    key: Float[Tensor, "B H K a"],
    value: Float[Tensor, "B H K d"],
    bias: Float[Tensor, "B #H #Q K"] | None,
    dropout: float,
) -> Float[Tensor, "B H Q d"]:
    """The same as products, a softmax and a dropout."""
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    scale = 1 / math.sqrt(q.shape[-1])
    if bias is None:
        scores = torch.bmm(q * scale, k.transpose(1, 2))
    else:
        hidden = bias.expand(-1, query.shape[1], -1, -1).flatten(0, 1)
        scores = torch.baddbmm(hidden, q, k.transpose(1, 2), alpha=scale)  # (B * H, Q, K)
    weights = drop(torch.softmax(scores, dim=-1), dropout, training=True)
    found: Tensor = torch.bmm(weights, v).unflatten(0, (-1, query.shape[1]))
    return found


@dataclass(frozen=True)
class Readable:
    """What one layer's cross-attention needs of the tokens it reads, and the projection of its own queries."""

    query: tuple[Float[Tensor, "D D"], Float[Tensor, " D"]]  #: weight and bias
    key: Float[Tensor, "B H K d"]
    value: Float[Tensor, "B H K d"]


class Attention(nn.Module):
    """Multi-head attention with a packed input projection; queries, keys and values may differ."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj, self.out_proj = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)

    def among(
        self, where: Float[Tensor, "B S D"], value: Float[Tensor, "B S D"], bias: Tensor | None = None
    ) -> Float[Tensor, "B S D"]:
        """Self-attention: queries and keys of ``where``, which knows positions, by one product."""
        size = where.shape[-1]
        (both, last), (both_bias, last_bias) = (x.split((2 * size, size)) for x in self.in_proj.parameters())
        q, k = split_parts(F.linear(where, both, both_bias), 2, self.heads).unbind(0)
        return self._out(q, k, split_heads(F.linear(value, last, last_bias), self.heads), bias)

    def read(
        self, query: Float[Tensor, "B Q D"], tokens: Readable, bias: Tensor | None = None
    ) -> Float[Tensor, "B Q D"]:
        """Cross-attention."""
        q = split_heads(F.linear(query, *tokens.query), self.heads)
        return self._out(q, tokens.key, tokens.value, bias)

    def _out(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = self.out_proj(attend(q, k, v, bias=bias, dropout=self.dropout if self.training else 0.0))
        return found


def read_once(
    attentions: Sequence[Attention], key: Float[Tensor, "B K D"], value: Float[Tensor, "B K D"]
) -> list[Readable]:
    """Keys and values of all layers that read the same tokens, by one product each for all layers."""
    count, heads = len(attentions), attentions[0].heads
    own, *weights = zip(*(a.in_proj.weight.chunk(3) for a in attentions), strict=True)
    own_bias, *biases = zip(*(a.in_proj.bias.chunk(3) for a in attentions), strict=True)
    keys, values = (
        split_parts(F.linear(x, torch.cat(w), torch.cat(b)), count, heads).unbind(0)
        for x, w, b in zip((key, value), weights, biases, strict=True)
    )
    return [Readable((w, b), k, v) for w, b, k, v in zip(own, own_bias, keys, values, strict=True)]


def packed(linears: Sequence[nn.Linear]) -> tuple[Float[Tensor, "PD D"], Float[Tensor, " PD"]]:
    """Weight and bias of several linear layers that read the same input, one under the other."""
    return torch.cat([part.weight for part in linears]), torch.cat([part.bias for part in linears])
