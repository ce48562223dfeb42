"""The parts of PPS against plain loops, and how sharp its comparison with the golden vectors is."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity import golden_pps
from tests.parity.golden import compare, jittered, load_case
from tests.parity.golden_pps import build_pps
from vmlkit.reconstruction.losses import diversity
from vmlkit.reconstruction.mixtures import (
    component_diversity,
    component_table,
    component_weights,
    peak_laplace,
    peak_mixture,
    pull,
    rule_negative,
    share_widths,
    tabulate,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "wsml"
P = 4
COMPONENTS = [(i, j) for i in range(P) for j in range(i + 1)]


@pytest.fixture
def listed():
    return torch.rand(5, len(COMPONENTS), generator=torch.Generator().manual_seed(7))


# -- golden vectors -----------------------------------------------------------------------------------------------


def test_a_change_in_any_value_or_gradient_is_noticed_and_named():
    case = load_case(GOLDEN / "pps_e_invneg.npz")
    single = golden_pps._compute(case, torch.float32, "selected")
    double = golden_pps._compute(case, torch.float64, "selected")
    again = [golden_pps._compute(jittered(case, seed), torch.float32, "selected") for seed in range(2)]
    compare(case, single, double, again)
    keys = [k for k in case.arrays if k.startswith(("output/", "grad/", "gradnorm/"))]
    assert len(keys) > 80
    for key in keys:
        good = case.arrays[key]
        changed = good.astype(np.float64)
        changed.flat[-1] += 1e-3 * max(float(np.abs(changed).max()), 1.0)
        with pytest.raises(AssertionError, match=key):
            compare(type(case)(case.name, case.arrays | {key: changed}, case.meta), single, double, again)


def test_the_product_modes_differ_from_the_released_ones():
    case = load_case(GOLDEN / "pps_e_invneg.npz")
    model = build_pps(case, torch.float32)
    assert (model.config.component_widths, model.config.query_token) == ("released", "released_scalar")
    batch, masked = golden_pps.golden_batch(case, torch.float32), golden_pps.masked_words(case)
    released = model.positives(model.encode(batch, masked))
    model.config = dataclasses.replace(model.config, component_widths="first")
    first = model.positives(model.encode(batch, masked))
    golden = torch.from_numpy(case.arrays["output/prop_weights"])
    assert torch.allclose(released.masks, golden, atol=1e-5)
    assert not torch.allclose(first.masks, golden, atol=1e-2)


# -- layout -------------------------------------------------------------------------------------------------------


def test_the_table_holds_every_component_once(listed):
    table = tabulate(listed, P, fill=-1.0)
    for c, (i, j) in enumerate(COMPONENTS):
        assert torch.equal(table[:, i, j], listed[:, c])
    assert torch.equal(table == -1, ~component_table(P, listed.device).expand_as(table))


def test_widths_are_shared_as_the_loop_says(listed):
    shared = {mode: tabulate(share_widths(listed, P, mode), P) for mode in ("own", "first", "released")}
    own = tabulate(listed, P)
    for b in range(len(listed)):
        for i, j in COMPONENTS:
            n = i + 1
            assert shared["own"][b, i, j] == own[b, i, j]
            assert shared["first"][b, i, j] == own[b, i, 0]
            assert shared["released"][b, i, j] == own[b // n, i, b % n]


def test_weights_are_a_softmax_within_each_proposal(listed):
    weights = component_weights(listed, P)
    own = tabulate(listed, P)
    for i in range(P):
        assert torch.allclose(weights[:, i, : i + 1], torch.softmax(own[:, i, : i + 1], dim=-1))
        assert not weights[:, i, i + 1 :].any()
        assert torch.equal(
            component_weights(torch.zeros_like(listed), P)[0, i, : i + 1], torch.full((i + 1,), 1 / (i + 1))
        )


def test_gradients_through_the_padding_are_finite(listed):
    scores = listed.clone().requires_grad_()
    component_weights(scores, P)[:, 2, 1].sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[:, 3:6].abs().min() > 0
    assert not scores.grad[:, :3].any()
    assert not scores.grad[:, 6:].any()


# -- losses -------------------------------------------------------------------------------------------------------


def test_pull_is_the_squared_range_of_centers(listed):
    expected = 0.0
    for i in range(1, P):
        own = [c for c, (k, _) in enumerate(COMPONENTS) if k == i]
        ranges = [float(listed[b, own].max() - listed[b, own].min()) ** 2 for b in range(5)]
        expected += sum(ranges) / 5
    assert float(pull(tabulate(listed, P), component_table(P, listed.device))) == pytest.approx(expected, rel=1e-5)


def test_intra_push_is_diversity_within_each_mixture(listed):
    masks = torch.rand(5, len(COMPONENTS), 6, generator=torch.Generator().manual_seed(8)) + 0.1
    parts = masks.split([1, 2, 3, 4], dim=1)
    expected = sum(float(diversity(part, 0.15)) for part in parts[1:])
    found = component_diversity(tabulate(masks, P), component_table(P, listed.device), 0.15)
    assert float(found) == pytest.approx(expected, rel=1e-5)


# -- masks --------------------------------------------------------------------------------------------------------


def test_a_laplace_mask_peaks_at_one_and_falls_exponentially():
    center = torch.tensor([0.5, 0.0001, 1.0])
    mask = peak_laplace(center, torch.tensor([0.4, 0.0, 0.2]), 11, sigma=2.0)
    assert torch.equal(mask.max(dim=-1).values, torch.ones(3))
    assert float(mask[0, 6]) == pytest.approx(np.exp(-0.1 * 2 / 0.4), rel=1e-5)
    assert torch.isfinite(mask).all()


def test_a_mixture_peaks_at_one():
    parts = torch.tensor([[0.2, 1.0, 0.0], [0.9, 1.0, 0.1]])
    assert torch.allclose(peak_mixture(parts), torch.tensor([0.55, 1.0, 0.05]))


def naive_side(center, width, cells, sigma):
    x = np.arange(cells) / (cells - 1)
    exponent = -((x - center) ** 2) / (2 * (max(width, 0.01) / sigma) ** 2)
    return np.exp(exponent - exponent.max())


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.55), (0.0, 1.0), (0.0, 0.2), (0.93, 1.0), (0.41, 0.41)])
def test_rule_negatives_as_plain_loops_compute_them(start, end):
    cells, sigma = 17, 3.0
    left = naive_side(start / 2, start / 2, cells, sigma)
    right = naive_side(1 - (1 - end) / 2, (1 - end) / 2, cells, sigma)
    expected = {
        "gaussian": left + right,
        "inverse_gaussian": 1 - naive_side((start + end) / 2, end - start, cells, sigma),
    }
    left, right = left.copy(), right.copy()
    left[: int(start / 2 * cells) + 1] = 1
    right[min(int((1 - (1 - end) / 2) * cells), cells - 1) :] = 1
    expected["saturated_gaussian"] = left + right
    for kind, mask in expected.items():
        span = torch.tensor(start, dtype=torch.float64), torch.tensor(end, dtype=torch.float64)
        assert np.allclose(rule_negative(*span, cells, kind=kind, sigma=sigma).numpy(), mask, atol=1e-12), kind
