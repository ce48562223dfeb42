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
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.errors import ConfigError
from vmlkit.nn.tables import device_table

AttentionForm = Literal["prob", "logit"]

#: keeps a clip of weight zero attainable, so that a mask without mass falls back to plain attention (reference code)
MASK_EPS = 1e-10
#: score of a padded key (the references use a finite number, so a row of padding stays finite)
PADDED = -1e30


def no_autocast(like: Tensor) -> AbstractContextManager[Any]:
    """Autocast and TF32 off on the device of ``like``: for heads and Gram matrices, which fewer bits would blur."""
    device = like.device.type
    if like.is_cuda and torch.get_float32_matmul_precision() != "highest":
        return _exact_products()
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@contextmanager
def _exact_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


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
        causal: query i sees keys up to i only; fewer queries than keys stand at the last keys.
    """
    scores = full_precision(torch.matmul(q / math.sqrt(q.shape[-1]), k.transpose(-1, -2)))  # (B, R, H, Q, K)
    if weight is not None:
        spread = weight[:, :, None, None, :]
        scores = scores * spread if form == "logit" else scores + torch.log(spread + MASK_EPS)
    if causal:
        behind = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(behind.triu(1 + scores.shape[-1] - scores.shape[-2]), -math.inf)
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask[:, None, None, None, :], PADDED)
    attention = torch.softmax(scores, dim=-1)
    return torch.matmul(attention, v), attention


def by_head(x: Float[Tensor, "B R Q PD"], parts: int, heads: int) -> tuple[Float[Tensor, "BRH Q d"], ...]:
    """``parts`` projections that lie side by side, each as one matrix for every row and head; one copy for all."""
    split = x.unflatten(-1, (parts, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # (parts, B, R, H, Q, d)
    found: tuple[Tensor, ...] = split.reshape(parts, -1, x.shape[2], split.shape[-1]).unbind()
    return found


def side_by_side(parts: list[Float[Tensor, "BRH Q d"]], rows: torch.Size, heads: int) -> Float[Tensor, "B R Q PD"]:
    """The inverse of :func:`by_head`, as one copy."""
    joined = torch.cat([p.unflatten(0, (-1, heads)).transpose(1, 2) for p in parts], dim=2)  # (B R, Q, P H, d)
    found: Tensor = joined.flatten(2).unflatten(0, rows)
    return found


class Attend(torch.autograd.Function):
    """``softmax(q k^T / sqrt(d) + bias) v`` of projections that lie side by side; also returns the attention map.

    Args:
        queries: ``(B, R, Q, 3 D)`` queries, keys and values; or ``(B, R, Q, D)`` queries alone.
        memory: ``(B, R, K, 2 D)`` keys and values of cross-attention; None is self-attention.
        bias: ``(B R H, Q, K)`` or None.
    """

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, memory: Tensor | None, bias: Tensor | None, heads: int
    ) -> tuple[Tensor, Tensor]:
        if memory is None:
            q, k, v = by_head(queries, 3, heads)
        else:
            (q,), (k, v) = by_head(queries, 1, heads), by_head(memory, 2, heads)
        ctx.rows, ctx.heads, ctx.scale, ctx.own = queries.shape[:2], heads, q.shape[-1] ** -0.5, memory is None
        scores = _scaled_product(q, k.transpose(1, 2), ctx.scale, bias)
        attention = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(q, k, v, attention)
        ctx.mark_non_differentiable(attention)
        ctx.set_materialize_grads(False)
        return side_by_side([torch.bmm(attention, v)], ctx.rows, heads), attention

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, attention = ctx.saved_tensors
        (g,) = by_head(gradient, 1, ctx.heads)
        d_v = torch.bmm(attention.transpose(1, 2), g)
        # the name of softmax's own backward; it is what autograd calls
        d_scores = torch._softmax_backward_data(torch.bmm(g, v.transpose(1, 2)), attention, -1, attention.dtype)
        d_q = _scaled_product(d_scores, k, ctx.scale)
        d_k = _scaled_product(d_scores.transpose(1, 2), q, ctx.scale)
        d_bias = d_scores if ctx.needs_input_grad[2] else None
        if ctx.own:
            return side_by_side([d_q, d_k, d_v], ctx.rows, ctx.heads), None, d_bias, None
        beside = [side_by_side(parts, ctx.rows, ctx.heads) for parts in ([d_q], [d_k, d_v])]
        return beside[0], beside[1], d_bias, None


class AttendAlike(torch.autograd.Function):
    """:class:`Attend` of queries, keys and values that all rows share: their scores are one product, not R.

    Args:
        shared: ``(B, 1, Q, 3 D)`` queries, keys and values that lie side by side.
        bias: ``(B, R, 1, Q, K)``, or with one row for all queries, where rows differ.
    """

    @staticmethod
    def forward(ctx: Any, shared: Tensor, bias: Tensor, heads: int) -> Tensor:
        q, k, v = by_head(shared, 3, heads)  # (B H, Q, d)
        ctx.heads, ctx.scale, ctx.bias_shape = heads, q.shape[-1] ** -0.5, bias.shape
        scores = _scaled_product(q, k.transpose(1, 2), ctx.scale).unflatten(0, (-1, heads))
        attention = torch.softmax(scores.unsqueeze(2) + bias.transpose(1, 2), dim=-1)  # (B, H, R, Q, K)
        ctx.save_for_backward(q, k, v, attention)
        out = torch.bmm(attention.flatten(2, 3).flatten(0, 1), v).view(*attention.shape[:-1], -1)
        return out.permute(0, 2, 3, 1, 4).flatten(3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, attention = ctx.saved_tensors
        g = gradient.unflatten(-1, (ctx.heads, -1)).permute(0, 3, 1, 2, 4).reshape(len(v), -1, v.shape[-1])
        d_v = torch.bmm(attention.flatten(2, 3).flatten(0, 1).transpose(1, 2), g)
        d_attention = torch.bmm(g, v.transpose(1, 2)).view_as(attention)
        d_each = torch._softmax_backward_data(d_attention, attention, -1, attention.dtype)
        d_scores = d_each.sum(2).flatten(0, 1)
        d_q = _scaled_product(d_scores, k, ctx.scale)
        d_k = _scaled_product(d_scores.transpose(1, 2), q, ctx.scale)
        d_bias = d_each.sum(1).unsqueeze(2).sum_to_size(ctx.bias_shape) if ctx.needs_input_grad[1] else None
        return side_by_side([d_q, d_k, d_v], torch.Size((len(gradient), 1)), ctx.heads), d_bias, None


def _scaled_product(a: Tensor, b: Tensor, scale: float, plus: Tensor | None = None) -> Tensor:
    """``scale a b + plus`` as one operation."""
    if plus is not None:
        return torch.baddbmm(plus, a, b, alpha=scale)
    return torch.baddbmm(a[:, :1, :1], a, b, beta=0, alpha=scale)  # beta 0: the first argument is not read


class Masking:
    """Which keys the queries of a pass see, and how much of them; every layer of the pass shares what is made of it.

    Args:
        weight: ``(B, R, K)``, mask values in [0, 1]; None is plain attention.
        key_mask: ``(B, K)``, True where a key is data.
        causal: query i sees keys up to i only; fewer queries than keys stand at the last keys.
        form: how ``weight`` acts, see the module docstring.
    """

    def __init__(
        self,
        weight: Float[Tensor, "B R K"] | None = None,
        key_mask: Bool[Tensor, "B K"] | None = None,
        *,
        causal: bool = False,
        form: AttentionForm = "prob",
    ) -> None:
        self.weight, self.key_mask, self.causal, self.form = weight, key_mask, causal, form
        #: bias by number of queries; and, spread over heads, by numbers of rows (a first layer may hold one for all
        #: proposals) and of queries
        self._narrow: dict[int, Tensor] = {}
        self._wide: dict[tuple[int, int], Tensor] = {}

    @property
    def rows(self) -> int:
        """R, how many weightings there are; 1 without any."""
        return 1 if self.weight is None else self.weight.shape[1]

    def bias(
        self, batch: int, rows: int, heads: int, queries: int, keys: int, like: Tensor
    ) -> Float[Tensor, "BRH Q K"] | None:
        """What the ``prob`` form adds to the scores of each row and head; the logarithm is taken once for all layers.

        As in :func:`weighted_attention`, what is padded counts as padding even in the future of a query.
        """
        if self.weight is None and self.key_mask is None and not self.causal:
            return None
        if (rows, queries) not in self._wide:
            narrow = self.narrow_bias(queries, keys, like)
            self._wide[rows, queries] = narrow.expand(batch, rows, heads, queries, keys).flatten(0, 2)
        return self._wide[rows, queries]

    def narrow_bias(self, queries: int, keys: int, like: Tensor) -> Any:
        """The bias before it is spread over rows, heads and queries: ``(B, R, 1, Q, K)`` or what broadcasts to it."""
        if queries not in self._narrow:
            self._narrow[queries] = self._made(queries, keys, like)
        return self._narrow[queries]

    def _made(self, queries: int, keys: int, like: Tensor) -> Any:
        bias = None
        if self.weight is not None:
            bias = torch.log(self.weight.to(like.dtype) + MASK_EPS)[:, :, None, None]
        if self.causal:
            behind = device_table(future, keys, device=like.device, dtype=like.dtype)[-queries:]
            bias = behind if bias is None else bias + behind
        if self.key_mask is not None:
            bias = like.new_zeros(()) if bias is None else bias
            bias = bias.masked_fill(~self.key_mask[:, None, None, None], PADDED)
        return bias


#: no mask and no padding
EVERYTHING = Masking()


def future(length: int) -> Float[Tensor, "Q K"]:
    """Minus infinity where key j lies behind query i, else zero.

    >>> future(2).tolist()
    [[0.0, -inf], [0.0, 0.0]]
    """
    return torch.full((length, length), -math.inf).triu(1)


class MaskedAttention(nn.Module):
    """Multi-head attention with a packed input projection, conditioned on a temporal mask.

    The mask-conditioned attention of P1 Fig. 2b; initialisation as released (Xavier-uniform on the packed matrix, zero
    biases).
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        if hidden % heads:
            raise ConfigError(f"hidden size {hidden} is not a multiple of {heads} heads")
        self.heads = heads
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
        masking: Masking = EVERYTHING,
        *,
        maps: bool = False,
    ) -> tuple[Float[Tensor, "B #R Q D"], Float[Tensor, "B #R H Q K"] | None]:
        """Self-attention (``memory`` None) or cross-attention, of as many rows as there are in any argument.

        Args:
            maps: also return the attention map, which a fused kernel does not leave behind; else None.
        """
        if memory is None:
            queries, others = self.in_proj(x), None
        else:
            sizes = (x.shape[-1], 2 * x.shape[-1])
            (w_q, w_kv), (b_q, b_kv) = self.in_proj.weight.split(sizes), self.in_proj.bias.split(sizes)
            queries, others = nn.functional.linear(x, w_q, b_q), nn.functional.linear(memory, w_kv, b_kv)
        out, attention = attend(queries, others, masking, self.heads, maps=maps)
        return self.out_proj(out), attention


def attend(
    queries: Float[Tensor, "B #R Q _"],
    memory: Float[Tensor, "B #R K _"] | None,
    masking: Masking,
    heads: int,
    *,
    maps: bool = False,
) -> tuple[Float[Tensor, "B #R Q D"], Float[Tensor, "B #R H Q K"] | None]:
    """:func:`weighted_attention` of projections that lie side by side, by the kernel that suits them.

    In the released form and at full precision: without a gradient torch's fused kernel (on a CPU it is faster forwards
    and slower backwards), and on a card also where the mask needs none, for kernels that do give it one are recent;
    else :class:`Attend`, or :class:`AttendAlike` where rows differ in their masks alone.  Half precision and the
    ``logit`` form take the plain expressions.

    Args:
        queries: queries, and without ``memory`` keys and values, ``(B, R, Q, D)`` or ``(B, R, Q, 3 D)``.
        memory: keys and values of cross-attention, ``(B, R, K, 2 D)``.
    """
    rows = max(queries.shape[1], masking.rows, 1 if memory is None else memory.shape[1])
    shared, queries = queries, queries.expand(-1, rows, -1, -1)
    memory = None if memory is None else memory.expand(-1, rows, -1, -1)
    if masking.form == "logit" or queries.dtype in (torch.bfloat16, torch.float16):
        q, k, v = _heads_apart(queries, memory, heads)
        out, attention = weighted_attention(
            q, k, v, weight=masking.weight, key_mask=masking.key_mask, causal=masking.causal, form=masking.form
        )
        return out.transpose(2, 3).flatten(3), attention if maps else None
    batch, length = queries.shape[0], queries.shape[2]
    keys = length if memory is None else memory.shape[2]
    learns = torch.is_grad_enabled() and (queries.requires_grad or (memory is not None and memory.requires_grad))
    masked = torch.is_grad_enabled() and masking.weight is not None and masking.weight.requires_grad
    if not maps and memory is None and shared.shape[1] == 1 < rows and (masked or (learns and not queries.is_cuda)):
        found: Tensor = AttendAlike.apply(shared, masking.narrow_bias(length, keys, queries), heads)
        return found, None
    bias = masking.bias(batch, rows, heads, length, keys, queries)
    if not maps and not masked and (queries.is_cuda or not learns):
        q, k, v = (x.flatten(0, 1) for x in _heads_apart(queries, memory, heads))
        mask = None if bias is None else bias.unflatten(0, (-1, heads))
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).flatten(2).unflatten(0, (batch, rows)), None
    out, attention = Attend.apply(queries, memory, bias, heads)
    return out, attention.view(batch, rows, heads, length, keys) if maps else None


def _heads_apart(queries: Tensor, memory: Tensor | None, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """``q, k, v`` as ``(B, R, H, positions, d)``, without a copy."""
    if memory is None:
        q, k, v = queries.unflatten(-1, (3, heads, -1)).transpose(2, 4).unbind(3)
    else:
        q = queries.unflatten(-1, (heads, -1)).transpose(2, 3)
        k, v = memory.unflatten(-1, (2, heads, -1)).transpose(2, 4).unbind(3)
    return q, k, v
