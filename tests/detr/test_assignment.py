"""The batched assignment is exact: against every permutation, and by duality where there are too many."""

import itertools

import pytest
import torch

from vmlkit.detr import assignment
from vmlkit.detr.assignment import assign


def least_cost(cost: torch.Tensor) -> float:
    """By trying every assignment of a (Q, N) matrix."""
    table = cost if cost.shape[0] >= cost.shape[1] else cost.T
    rows, columns = table.shape
    return min(sum(float(table[p[j], j]) for j in range(columns)) for p in itertools.permutations(range(rows), columns))


@pytest.mark.parametrize(("queries", "most"), [(5, 3), (4, 4), (3, 5), (6, 1), (4, 6)])
def test_least_total_cost(queries: int, most: int) -> None:
    draw = torch.Generator().manual_seed(queries * 10 + most)
    cost = torch.randn(12, queries, most, generator=draw)
    count = torch.randint(0, most + 1, (12,), generator=draw)
    there = torch.arange(most) < count[:, None]
    found = assign(cost, there)
    assert (found[~there] == -1).all(), "padding is matched with nothing"
    for item, matched, n in zip(cost, found, count.tolist(), strict=True):
        used = [q for q in matched[:n].tolist() if q >= 0]
        assert len(set(used)) == len(used) == min(n, queries)
        total = sum(float(item[q, j]) for j, q in enumerate(matched[:n].tolist()) if q >= 0)
        assert n == 0 or total == pytest.approx(least_cost(item[:, :n]), abs=1e-5)


def test_many_queries_and_targets_leave_no_pair_to_exchange() -> None:
    cost = torch.randn(4, 60, 25, generator=torch.Generator().manual_seed(3))
    found = assign(cost, torch.ones(4, 25, dtype=torch.bool))
    for item, matched in zip(cost, found, strict=True):
        assert len(set(matched.tolist())) == 25
        paid = item[matched, torch.arange(25)]
        swapped = item[matched][:, torch.arange(25)]  # [i, j]: query of target i takes target j
        assert (swapped + swapped.T >= paid[:, None] + paid[None] - 1e-5).all()
        free = item[[q for q in range(60) if q not in matched.tolist()]]
        assert (free >= paid - 1e-5).all(), "a free query would be cheaper"


def test_ties_and_equal_columns_are_matched_once() -> None:
    found = assign(torch.zeros(1, 3, 3), torch.ones(1, 3, dtype=torch.bool))
    assert sorted(found[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("decimals", [0, 6])
def test_sets_and_augmenting_paths_agree(decimals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The released sizes, ten predictions and up to five windows; few decimals make many ties."""
    draw = torch.Generator().manual_seed(7)
    cost = torch.randn(200, 10, 5, generator=draw).round(decimals=decimals)
    there = torch.arange(5) < torch.randint(1, 6, (200, 1), generator=draw)
    totals = []
    for most in (assignment._MOST_PAIRS, 0):
        monkeypatch.setattr(assignment, "_MOST_PAIRS", most)
        found = assign(cost, there)
        assert ((found >= 0) == there).all()
        assert all(len(set(row[row >= 0].tolist())) == int(mask.sum()) for row, mask in zip(found, there, strict=True))
        paid = cost.gather(1, found.clamp_min(0)[:, None])[:, 0]
        totals.append(torch.where(there, paid, 0.0).sum(1))
    torch.testing.assert_close(totals[0], totals[1], rtol=0, atol=1e-5)
