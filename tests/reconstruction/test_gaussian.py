"""Temporal masks: shapes, limits, finite values and gradients where the released code has none."""

import math

import pytest
import torch

from vmlkit.reconstruction.front import proposal_grid
from vmlkit.reconstruction.gaussian import cnm_mask, grid, natural_width, outer_spans, paper_gaussian, peak_gaussian
from vmlkit.reconstruction.losses import diversity


def test_narrow_gaussian_between_cells_is_finite() -> None:
    center, width = torch.tensor([0.449], requires_grad=True), torch.tensor([0.0], requires_grad=True)
    mask = peak_gaussian(center, width, 10, sigma=9)
    mask.sum().backward()
    assert mask.max() == 1
    assert torch.isfinite(mask).all()
    assert torch.isfinite(center.grad).all()
    assert torch.isfinite(width.grad).all()


def test_peak_gaussian_is_the_normalised_formula() -> None:
    center, width, x = 0.4, 0.3, grid(50, torch.zeros(()))
    s = width / 9
    plain = torch.exp(-((x - center) ** 2) / (2 * s * s)) / (s * math.sqrt(2 * math.pi))
    ours = peak_gaussian(torch.tensor(center), torch.tensor(width), 50, sigma=9)
    torch.testing.assert_close(ours, plain / plain.max(), rtol=1e-5, atol=1e-7)


def test_paper_gaussian_at_its_border() -> None:
    """P0 Eq. (1) has no factor: at the border of the span the mask is still exp(-1/4)."""
    mask = paper_gaussian(torch.tensor(0.5), torch.tensor(0.5), 5)
    assert mask[1].item() == pytest.approx(math.exp(-0.25))


def test_cnm_mask_floors_the_width() -> None:
    narrow, floor = (cnm_mask(torch.tensor(0.5), torch.tensor(w), 20, alpha=5) for w in (0.01, 0.1))
    torch.testing.assert_close(narrow, floor)


def test_rule_negatives_stay_outside_the_positive() -> None:
    center, width = torch.rand(200), torch.rand(200)
    for ratio in (0.2, 1.0):
        spans = outer_spans(center, width, ratio)
        left, right = spans[:, 0], spans[:, 1]
        free_left, free_right = (center - width / 2).clamp_min(0), (1 - center - width / 2).clamp_min(0)
        assert (left.sum(-1) - left[:, 1] / 2 <= free_left + 1e-6).all()
        assert (right[:, 0] - right[:, 1] / 2 >= 1 - free_right - 1e-6).all()


def test_diversity_pulls_widths_to_the_natural_width() -> None:
    """The term's minimum over the width of a single proposal is where the formula says."""
    sigma, target, cells = 9.0, 0.146, 50
    widths = torch.linspace(0.1, 0.8, 701)
    masks = peak_gaussian(torch.full_like(widths, 0.5), widths, cells, sigma=sigma)
    losses = torch.stack([diversity(m[None, None], target) for m in masks])
    assert widths[losses.argmin()].item() == pytest.approx(natural_width(sigma, target, cells), rel=0.03)


def test_proposal_grid_truncates_a_float32_line() -> None:
    assert proposal_grid(16, 4).tolist() == [0, 5, 10, 15]
    assert proposal_grid(200, 50)[:4].tolist() == [0, 4, 8, 12]
    assert proposal_grid(4, 1).tolist() == [0]
    for clips in range(8, 400):
        grid = proposal_grid(clips, clips // 4)
        assert grid[0] == 0
        assert grid[-1] == clips - 1
        assert torch.all(grid[1:] > grid[:-1])
