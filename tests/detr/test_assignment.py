"""The batched assignment is exact: against every permutation, and by duality where there are too many."""

import itertools

import pytest
import torch

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
