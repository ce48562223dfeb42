"""Attention conditioned on a temporal mask, in the two forms that circulate.

Let ``a_ij`` be the scaled scores of query i and key j and ``g_j`` in [0, 1] the weight a proposal gives to clip j.

======== ============================================================= ==================================
form     attention weights                                             where
======== ============================================================= ==================================
prob     ``p_ij (g_j + e) / sum_k p_ik (g_k + e)``, ``p = softmax(a)``  the code of CNM, CPL and PPS
logit    ``softmax_j(a_ij g_j)``                                       P1 Eq. (8)
======== ============================================================= ==================================

They are different models: the first *hides* a clip with ``g_j = 0``, the second only sets its score to zero.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.errors import ConfigError

AttentionForm = Literal["prob", "logit"]

#: keeps a clip of weight zero attainable, so that a mask without mass falls back to plain attention (reference code)
MASK_EPS = 1e-10
#: score of a padded key (the references use a finite number, so a row of padding stays finite)
PADDED = -1e30


def no_autocast(like: Tensor) -> AbstractContextManager[Any]:
    """Autocast switched off on the device of ``like``: for heads and Gram matrices, which half precision would blur."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 where autocast left it in a half type; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def precisely(head: nn.Module, x: Tensor) -> Any:
    """``head(x)`` in float32, under autocast too: for heads whose outputs are places, or are compared."""
    with no_autocast(x):
        return head(full_precision(x))


def weighted_attention(
    q: Float[Tensor, "B #R H Q d"],
    k: Float[Tensor, "B #R H K d"],
    v: Float[Tensor, "B #R H K d"],
    *,
    weight: Float[Tensor, "B #R K"] | None = None,
    key_mask: Bool[Tensor, "B K"] | None = None,
    causal: bool = False,
    form: AttentionForm = "prob",
) -> tuple[Float[Tensor, "B #R H Q d"], Float[Tensor, "B #R H Q K"]]:
    """Attention whose weights are modulated by a temporal mask; returns the output and the attention map.

    P1 Eq. (8) in the two forms of the module docstring.  The row axis R (proposals of one query) broadcasts
    (``#R``): queries and keys shared by all proposals are passed once, with R = 1.  ``prob`` is computed as an additive
    bias ``log(g + 1e-10)`` on the scores, which is the same function and needs one softmax.  Scores are float32 under
    autocast: half a precision has no 1e-10 beside 1 and no 1e30.

    Args:
        weight: mask values in [0, 1]; None is plain attention (so is a mask of ones).
        key_mask: True where a key is data.
        causal: query i sees keys up to i only (Q must equal K).
    """
    scores = full_precision(torch.matmul(q / math.sqrt(q.shape[-1]), k.transpose(-1, -2)))  # (B, R, H, Q, K)
    if weight is not None:
        spread = weight[:, :, None, None, :]
        scores = scores * spread if form == "logit" else scores + torch.log(spread + MASK_EPS)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask[:, None, None, None, :], PADDED)
    attention = torch.softmax(scores, dim=-1)
    return torch.matmul(attention, v), attention


class MaskedAttention(nn.Module):
    """Multi-head attention with a packed input projection, conditioned on a temporal mask.

    The mask-conditioned attention of P1 Fig. 2b; initialisation as released (Xavier-uniform on the packed matrix, zero
    biases).
    """

    def __init__(self, hidden: int, heads: int, form: AttentionForm = "prob") -> None:
        super().__init__()
        if hidden % heads:
            raise ConfigError(f"hidden size {hidden} is not a multiple of {heads} heads")
        self.heads, self.form = heads, form
        self.in_proj = nn.Linear(hidden, 3 * hidden)
        self.out_proj = nn.Linear(hidden, hidden)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        x: Float[Tensor, "B #R Q D"],
        memory: Float[Tensor, "B #R K D"] | None = None,
        *,
        weight: Float[Tensor, "B #R K"] | None = None,
        gate: Float[Tensor, "B #R"] | None = None,
        key_mask: Bool[Tensor, "B K"] | None = None,
        causal: bool = False,
        form: AttentionForm | None = None,
    ) -> tuple[Float[Tensor, "B #R Q D"], Float[Tensor, "B #R H Q K"]]:
        """Self-attention (``memory`` None) or cross-attention.

        Args:
            gate: scales the output of each row (P0, A1).
            form: overrides the module's own form.
        """
        if memory is None:
            q, k, v = self.in_proj(x).chunk(3, dim=-1)
        else:
            hidden = x.shape[-1]
            w, b = self.in_proj.weight, self.in_proj.bias
            q = nn.functional.linear(x, w[:hidden], b[:hidden])
            k, v = nn.functional.linear(memory, w[hidden:], b[hidden:]).chunk(2, dim=-1)
        out, attention = weighted_attention(
            self._split(q),
            self._split(k),
            self._split(v),
            weight=weight,
            key_mask=key_mask,
            causal=causal,
            form=form or self.form,
        )
        out = self.out_proj(out.transpose(2, 3).flatten(3))  # (B, R, Q, D)
        if gate is not None:
            out = out * gate[:, :, None, None]
        return out, attention

    def _split(self, x: Tensor) -> Tensor:
        found: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(2, 3)  # (B, R, H, Q, d)
        return found
