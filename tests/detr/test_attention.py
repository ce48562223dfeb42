"""Attention of the DETR family against a loop, and the fused kernel of a card against what is written out."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vmlkit.detr.attention import Attention, attend, key_bias, read_once, split_heads

DRAW = torch.Generator().manual_seed(2)
QUERY, KEY, VALUE = (torch.randn(2, 3, n, d, generator=DRAW) for n, d in ((4, 8), (5, 8), (5, 6)))
MASK = torch.tensor([[True, True, True, False, False], [True] * 5])


def test_attention_is_the_loop() -> None:
    found = attend(QUERY, KEY, VALUE, bias=key_bias(MASK, 3, torch.float32))
    for b in range(2):
        seen = MASK[b]
        for h in range(3):
            for i in range(4):
                weights = (KEY[b, h, seen] @ QUERY[b, h, i] / math.sqrt(8)).softmax(0)
                torch.testing.assert_close(found[b, i, 6 * h : 6 * h + 6], weights @ VALUE[b, h, seen])


@pytest.mark.parametrize("hidden", [True, False])
def test_what_a_card_calls_is_what_is_written_out(hidden: bool) -> None:
    bias = key_bias(MASK, 3, torch.float64) if hidden else None
    results = []
    for fused in (True, False):
        q, k, v = (x.double().requires_grad_() for x in (QUERY, KEY, VALUE))
        if fused:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
        else:
            out = attend(q, k, v, bias=bias)
        results.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_layers_that_read_the_same_tokens_project_them_as_each_would() -> None:
    torch.manual_seed(0)
    layers = [Attention(6, 3, 0.0) for _ in range(2)]
    asked, where, tokens = torch.randn(2, 4, 6), torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    for layer, readable in zip(layers, read_once(layers, where, tokens), strict=True):
        by_torch = nn.MultiheadAttention(6, 3, batch_first=True)
        by_torch.load_state_dict(
            {name.replace("in_proj.", "in_proj_"): value for name, value in layer.state_dict().items()}
        )
        expected, _ = by_torch(asked, where, tokens, key_padding_mask=~MASK)
        torch.testing.assert_close(layer.read(asked, readable, key_bias(MASK, 3, torch.float32)), expected)
        expected, _ = by_torch(where, where, tokens, key_padding_mask=~MASK)
        torch.testing.assert_close(layer.among(where, tokens, key_bias(MASK, 3, torch.float32)), expected)


def test_heads_share_the_features() -> None:
    assert split_heads(torch.arange(6.0).expand(1, 1, 6), 3)[0, :, 0].tolist() == [[0, 1], [2, 3], [4, 5]]
