"""The word loss: smoothing, the end symbol, and its dependence on batch-mates."""

import torch

from tests.parity.golden_models import word_accuracy
from vmlkit.reconstruction.losses import target_mask, word_nll


def naive(logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, smoothing: float) -> torch.Tensor:
    log_p = torch.log_softmax(logits, -1)
    out = torch.zeros(logits.shape[:2])
    for b in range(logits.shape[0]):
        for r in range(logits.shape[1]):
            values = [
                -(1 - smoothing) * log_p[b, r, i, targets[b, i]] - smoothing * log_p[b, r, i].mean()
                for i in range(logits.shape[2])
                if mask[b, i]
            ]
            out[b, r] = sum(values) / len(values)
    return out


def test_equals_the_naive_loop() -> None:
    g = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(2, 3, 4, 7, generator=g), torch.randint(0, 7, (2, 4), generator=g)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    for smoothing in (0.0, 0.1):
        ours = word_nll(logits, targets, mask, smoothing=smoothing)
        torch.testing.assert_close(ours, naive(logits, targets, mask, smoothing))
    summed = word_nll(logits, targets, mask, reduction="sum")
    torch.testing.assert_close(summed, word_nll(logits, targets, mask) * mask.sum(1)[:, None])


def test_end_symbol_rules() -> None:
    """Lengths 7, 5, 7 count 7, 6, 7 targets: only the shorter sentence predicts its end."""
    mask = torch.arange(7) < torch.tensor([7, 5, 7])[:, None]
    assert target_mask(mask).sum(1).tolist() == [7, 6, 7]
    assert target_mask(mask, "always").sum(1).tolist() == [8, 6, 8]
    assert target_mask(mask, "never").sum(1).tolist() == [7, 5, 7]
    padded = torch.nn.functional.pad(mask, (0, 5))
    assert target_mask(padded).sum(1).tolist() == [7, 6, 7], "static padding counts the same targets"


def test_accuracy_counts_only_targets() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 2, 3]]), 4).float()[:, None]
    mask = torch.tensor([[True, True, False]])
    assert word_accuracy(logits, torch.tensor([[1, 0, 3]]), mask).item() == 0.5
