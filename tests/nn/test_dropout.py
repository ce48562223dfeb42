"""Dropout as one operator draws and scales as torch's own."""

import torch
from torch import nn

from vmlkit.nn.dropout import Dropout


def test_the_same_numbers_of_the_same_draws() -> None:
    x, results = torch.randn(7, 33, 5), []
    for module in (nn.Dropout(0.3), Dropout(0.3)):
        given = x.clone().requires_grad_()
        torch.manual_seed(4)
        out = module(given)
        out.square().sum().backward()
        results.append((out, given.grad))
        assert torch.equal(module.eval()(x), x)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
