"""Mask-conditioned attention: the two forms, their fast equivalents, and what a mask can and cannot hide."""

import math

import pytest
import torch
from torch import Tensor

from vmlkit.nn.attention import MASK_EPS, MaskedAttention, Masking, weighted_attention
from vmlkit.nn.transformer import AddNorm

SHAPE = (2, 3, 4, 6, 5)  # B, R, H, positions, d


@pytest.fixture
def qkv() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(SHAPE, generator=g, dtype=torch.float64) for _ in range(3))
    return q, k, v, torch.rand(2, 3, 6, generator=g, dtype=torch.float64)


def naive(q: Tensor, k: Tensor, v: Tensor, weight: Tensor, key_mask: Tensor, causal: bool, form: str) -> Tensor:
    """The formulas of the module docstring, one query at a time."""
    out = torch.zeros_like(q)
    for b, r, h in torch.cartesian_prod(*(torch.arange(n) for n in SHAPE[:3])).tolist():
        for i in range(SHAPE[3]):
            seen = [j for j in range(SHAPE[3]) if key_mask[b, j] and (j <= i or not causal)]
            a = torch.stack([q[b, r, h, i] @ k[b, r, h, j] / math.sqrt(SHAPE[4]) for j in seen])
            w = weight[b, r, seen]
            if form == "logit":
                p = torch.softmax(a * w, 0)
            else:
                p = torch.softmax(a, 0) * (w + MASK_EPS)
                p = p / p.sum()
            out[b, r, h, i] = sum(x * v[b, r, h, j] for x, j in zip(p, seen, strict=True))
    return out


@pytest.mark.parametrize("form", ["prob", "logit"])
@pytest.mark.parametrize("causal", [False, True])
def test_equals_the_formula(qkv: tuple[Tensor, ...], form: str, causal: bool) -> None:
    q, k, v, weight = qkv
    key_mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    ours, attention = weighted_attention(q, k, v, weight=weight, key_mask=key_mask, causal=causal, form=form)
    torch.testing.assert_close(ours, naive(q, k, v, weight, key_mask, causal, form), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(attention.sum(-1), torch.ones(SHAPE[:4], dtype=torch.float64))


@pytest.mark.parametrize("form", ["prob", "logit"])
def test_a_mask_of_ones_is_plain_attention(qkv: tuple[Tensor, ...], form: str) -> None:
    q, k, v, weight = qkv
    plain, _ = weighted_attention(q, k, v, form=form)
    ones, _ = weighted_attention(q, k, v, weight=torch.ones_like(weight), form=form)
    torch.testing.assert_close(ones, plain)


def test_scaling_the_mask_cancels_in_prob_form_only(qkv: tuple[Tensor, ...]) -> None:
    """P0's selection weight s p has no effect in the released attention (A1)."""
    q, k, v, weight = qkv
    weight = weight + 0.1
    for form, cancels in (("prob", True), ("logit", False)):
        full, _ = weighted_attention(q, k, v, weight=weight, form=form)
        half, _ = weighted_attention(q, k, v, weight=weight / 2, form=form)
        assert torch.allclose(full, half, atol=1e-8) is cancels


def test_logit_form_does_not_hide_clips() -> None:
    """Outside a narrow mask the logit form keeps most of its attention, the prob form nearly none."""
    g = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 1, 4, 50, 16, generator=g) for _ in range(2))
    x = torch.linspace(0, 1, 50)
    weight = torch.exp(-((x - 0.5) ** 2) / (2 * (0.2 / 9) ** 2))[None, None]
    outside = weight[0, 0] < 0.01
    mass = {
        form: weighted_attention(q, k, k, weight=weight, form=form)[1][..., outside].sum(-1).mean().item()
        for form in ("prob", "logit")
    }
    assert mass["prob"] < 0.05
    assert mass["logit"] > 0.7


def test_shared_rows_equal_repeated_rows() -> None:
    module = MaskedAttention(8, 2)
    x, weight = torch.randn(2, 1, 6, 8), torch.rand(2, 3, 6)
    shared, _ = module(x, masking=Masking(weight, causal=True))
    repeated, _ = module(x.expand(-1, 3, -1, -1), masking=Masking(weight, causal=True))
    torch.testing.assert_close(shared, repeated)


KEYS = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])


def projected(module: MaskedAttention, x: Tensor, memory: Tensor | None) -> list[Tensor]:
    """Queries, keys and values of every head, ``(B, R, H, positions, d)``."""
    given = [x, *[x if memory is None else memory] * 2]
    w, b = module.in_proj.weight.chunk(3), module.in_proj.bias.chunk(3)
    flat = [torch.nn.functional.linear(*parts) for parts in zip(given, w, b, strict=True)]
    return [y.unflatten(-1, (module.heads, -1)).transpose(2, 3) for y in flat]


@pytest.mark.parametrize("form", ["prob", "logit"])
@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_every_kernel_computes_the_plain_expression(
    form: str, crossed: bool, causal: bool, learns: bool, asked: bool
) -> None:
    """Outputs, maps, and the gradients of everything that goes in; without a gradient it is torch's fused kernel."""
    torch.manual_seed(0)
    module = MaskedAttention(8, 2).double()
    torch.nn.init.normal_(module.in_proj.bias)
    memory = torch.randn(2, 3, 6, 8, dtype=torch.float64, requires_grad=True) if crossed else None
    x = torch.randn(2, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 3, 6, dtype=torch.float64, requires_grad=True)
    out, looks = weighted_attention(
        *projected(module, x, memory), weight=weight, key_mask=KEYS, causal=causal, form=form
    )
    expected = module.out_proj(out.transpose(2, 3).flatten(3))
    masking = Masking(weight, KEYS, causal=causal, form=form)
    with torch.set_grad_enabled(learns):
        ours, maps = module(x, memory, masking, maps=asked)
    torch.testing.assert_close(ours.detach(), expected.detach())
    assert (maps is not None) == asked, "maps are returned where they are asked for"
    if maps is not None:
        torch.testing.assert_close(maps.detach(), looks.detach())
    if not learns:
        return
    inputs = [x, weight, *module.parameters(), *([] if memory is None else [memory])]
    upstream = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_padding_without_a_valid_key_stays_finite() -> None:
    module, nothing = MaskedAttention(8, 2), torch.zeros(2, 6, dtype=torch.bool)
    x = torch.randn(2, 1, 6, 8)
    for causal in (False, True):
        out, _ = module(x, masking=Masking(key_mask=nothing, causal=causal))
        mean, _ = module(x, masking=Masking())
        assert out.isfinite().all()
        q, k, v = projected(module, x, None)
        plain, _ = weighted_attention(q, k, v, key_mask=nothing, causal=causal)
        torch.testing.assert_close(out, module.out_proj(plain.transpose(2, 3).flatten(3)))
        assert not torch.allclose(out, mean)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("drops", [False, True])
def test_the_end_of_a_residual_block_has_the_gradients_of_its_parts(gated: bool, drops: bool) -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight, bias = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    gate = torch.rand(2, 3, dtype=torch.float64, requires_grad=True) if gated else None
    dropped = torch.rand_like(y).ge(0.3) / 0.7 if drops else None
    inner = y * (1 if gate is None else gate[..., None, None]) * (1 if dropped is None else dropped)
    expected = torch.nn.functional.layer_norm(x + inner, (4,), weight, bias, 1e-5)
    ours = AddNorm.apply(x, y, gate, dropped, weight, bias, 1e-5)
    torch.testing.assert_close(ours, expected)
    inputs = [x, y, weight, bias, *([gate] if gated else [])]
    upstream = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_heads_must_divide_the_hidden_size() -> None:
    with pytest.raises(ValueError, match="multiple"):
        MaskedAttention(10, 4)
