"""Exact minimum-cost assignment of a batch, with fixed shapes: nothing is read back from the device.

One target is a minimum.  Few targets are matched by dynamic programming over *sets* of predictions: the cheapest way
to give the first n targets the predictions of a set is the cheapest over which of them target n takes, so every target
costs a look-up, a sum and a minimum, whatever the size of the batch.  Many targets, of which there are too many sets,
are matched by the Hungarian method with shortest augmenting paths: rows enter one after the other; adding row i takes
at most i + 1 scans over the columns, so the loops run a number of times that only the shapes decide.
"""

import itertools
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.nn.tables import device_table

#: cost of pairing with a column that does not exist; far above every real cost
_ABSENT = 1e6
#: (set, member) pairs of one step of the dynamic programme above which the Hungarian method takes over; 5 targets of
#: 10 predictions have 1,260
_MOST_PAIRS = 20_000


@torch.no_grad()
def assign(cost: Float[Tensor, "B Q N"], targets: Bool[Tensor, "B N"]) -> Int[Tensor, "B N"]:
    """The prediction matched to each target, -1 for a target left over; each prediction is used at most once.

    As ``scipy.optimize.linear_sum_assignment`` on each item: ``min(Q, number of targets)`` pairs of least total cost.

    Args:
        targets: which columns are targets; the others get -1.

    >>> assign(torch.tensor([[[4.0, 1.0], [2.0, 0.0], [3.0, 2.0]]]), torch.ones(1, 2, dtype=torch.bool)).tolist()
    [[1, 0]]
    """
    queries, most = cost.shape[1:]
    if most == 1:
        return cost.argmin(dim=1).masked_fill(~targets, -1)
    if most <= queries and most * math.comb(queries, most) <= _MOST_PAIRS:
        # a column that is no target costs nothing wherever it goes
        return _by_sets(cost.double().masked_fill(~targets[:, None], 0.0)).masked_fill(~targets, -1)
    if most <= queries:
        return _rows_to_columns(cost.double().transpose(1, 2), targets)
    # more targets than predictions somewhere: let predictions choose, absent targets being the last resort
    padded = torch.where(targets[:, None], cost.double(), _ABSENT)
    chosen = _rows_to_columns(padded, torch.ones_like(padded[..., 0], dtype=torch.bool))  # (B, Q)
    found = torch.full_like(targets, -1, dtype=torch.long)
    found.scatter_(1, chosen, torch.arange(queries, device=cost.device).expand_as(chosen))
    return torch.where(targets, found, -1)


def _by_sets(cost: Float[Tensor, "B Q N"]) -> Int[Tensor, "B N"]:
    """The prediction of every target: forward over the targets, then back along the best choices."""
    queries, most = cost.shape[1:]
    steps = [device_table(_set_steps, queries, n, device=cost.device) for n in range(1, most + 1)]
    best, choices = cost[:, :, 0], []  # (B, sets of one prediction)
    for target, table in enumerate(steps[1:], start=1):
        taken, rest = table.unbind(-1)  # (sets, members)
        best, choice = (best[:, rest] + cost[:, taken, target]).min(dim=2)
        choices.append(choice)
    at, matched = best.argmin(dim=1, keepdim=True), []
    for table, choice in zip(steps[:0:-1], choices[::-1], strict=True):
        taken, at = table[at, choice.gather(1, at)].unbind(-1)
        matched.append(taken)
    return torch.cat((at, *matched[::-1]), dim=1)


def _set_steps(queries: int, size: int) -> Int[Tensor, "sets members 2"]:
    """For each set of ``size`` predictions and each member: the member, and the number of the set without it.

    Sets are numbered in the order of :func:`itertools.combinations`.
    """
    smaller = {s: i for i, s in enumerate(itertools.combinations(range(queries), size - 1))}
    sets = itertools.combinations(range(queries), size)
    return torch.tensor([[(m, smaller[s[:i] + s[i + 1 :]]) for i, m in enumerate(s)] for s in sets])


def _rows_to_columns(cost: Float[Tensor, "B R C"], active: Bool[Tensor, "B R"]) -> Int[Tensor, "B R"]:
    """The column of each active row (R <= C), -1 for the others."""
    batch, rows, columns = cost.shape
    owner = torch.full((batch, columns + 1), -1, device=cost.device)  # row of each column; the last one is the root
    u, v = cost.new_zeros(batch, rows), cost.new_zeros(batch, columns + 1)
    for row in range(rows):
        owner = _augment(cost, u, v, owner, row, active[:, row])
    found = torch.full((batch, rows + 1), -1, device=cost.device)
    column = torch.arange(columns, device=cost.device).expand(batch, -1)
    return found.scatter_(1, torch.where(owner[:, :-1] < 0, rows, owner[:, :-1]), column)[:, :-1]


def _augment(
    cost: Float[Tensor, "B R C"],
    u: Float[Tensor, "B R"],
    v: Float[Tensor, "B C1"],
    owner: Int[Tensor, "B C1"],
    row: int,
    active: Bool[Tensor, " B"],
) -> Int[Tensor, "B C1"]:
    """Give ``row`` a column along a shortest path of exchanges; updates the potentials u and v in place."""
    batch, _, columns = cost.shape
    root, everyone = columns, torch.arange(batch, device=cost.device)
    owner = owner.clone()
    owner[:, root] = torch.where(active, row, -1)
    slack = cost.new_full((batch, columns), torch.inf)
    came_from = torch.full((batch, columns), root, device=cost.device)
    used = torch.zeros(batch, columns + 1, dtype=torch.bool, device=cost.device)
    here = torch.full((batch,), root, device=cost.device)
    for _ in range(row + 1):
        going = active & (owner[everyone, here] >= 0)  # a free column ends the search
        used[everyone, here] |= going
        at = owner[everyone, here].clamp_min(0)
        reduced = cost[everyone, at] - u[everyone, at][:, None] - v[:, :columns]
        better = going[:, None] & ~used[:, :columns] & (reduced < slack)
        slack, came_from = torch.where(better, reduced, slack), torch.where(better, here[:, None], came_from)
        delta, following = torch.where(used[:, :columns], torch.inf, slack).min(dim=1)
        step = torch.where(going, delta, 0.0)[:, None]
        v -= torch.where(used, step, 0.0)
        owned = used & (owner >= 0)
        u.scatter_add_(1, owner.clamp_min(0), torch.where(owned, step, 0.0))
        slack = torch.where(used[:, :columns], slack, slack - step)
        here = torch.where(going, following, here)
    for _ in range(row + 1):
        moving = active & (here != root)
        previous = came_from[everyone, here.clamp_max(columns - 1)]
        owner[everyone, here] = torch.where(moving, owner[everyone, previous], owner[everyone, here])
        here = torch.where(moving, previous, here)
    return owner
