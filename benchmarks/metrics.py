"""R@n,IoU=m, mIoU and the votes over a whole test set: vectorised against a naive loop, side by side.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --queries 3158 --rounds 9 --json metrics.json

First the correctness gate: for every vote rule the two must choose the same answers and agree within 1e-12, else the
timing is void and the exit status is 1.  Then the two alternate, after one warm-up each, in one process and one
thread; the figures are medians with the smallest and largest round.
"""

from functools import partial
from typing import Any

import numpy as np

from benchmarks import _frame
from tests.metrics.test_moments import RULES, naive_metrics, naive_vote, random_case
from vmlkit.metrics.moments import RANKS, THRESHOLDS, moment_metrics, order_by_nll, vote

TOLERANCE = 1e-12


def vectorised(spans: np.ndarray, nll: np.ndarray, truth: np.ndarray, rule: str) -> tuple[list[int], dict]:
    """Ranking, vote and metrics by the package."""
    top1 = vote(spans, nll, rule)
    return top1.tolist(), moment_metrics(spans, order_by_nll(nll), top1, truth)


def naive(spans: np.ndarray, nll: np.ndarray, truth: np.ndarray, rule: str) -> dict:
    """The same, one number at a time."""
    return naive_metrics(spans, nll, truth, rule, THRESHOLDS, RANKS)


def measure(case: tuple[np.ndarray, np.ndarray, np.ndarray], rule: str, rounds: int) -> dict[str, Any]:
    """The gate, then seconds of the processor of both."""
    (found, metrics), reference = vectorised(*case, rule), naive(*case, rule)
    expected = [naive_vote(spans, nll, rule) for spans, nll in zip(case[0].tolist(), case[1].tolist(), strict=True)]
    difference = max(abs(metrics[key] - reference[key]) for key in reference)
    ways = {"vectorised": partial(vectorised, *case, rule), "naive": partial(naive, *case, rule)}
    return {"same answers": found == expected, "difference": difference, **_frame.in_turn(ways, rounds)}


def main() -> int:
    """Run, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--queries", type=int, default=17_031, help="N (17,031: the ActivityNet Captions test split)")
    parser.add_argument("--proposals", type=int, default=8, help="P")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    case = random_case(options.queries, options.proposals, options.seed)
    rows = {}
    for rule in RULES:
        rows[rule] = row = measure(case, rule, options.rounds)
        print(f"{rule:13} {_frame.against_naive(row)}, answers {'equal' if row['same answers'] else 'DIFFER'}")
    size = {"queries": options.queries, "proposals": options.proposals}
    _frame.keep(options.json, "metrics", size=size, rounds=options.rounds, seconds=rows)
    return _frame.verdict(all(row["same answers"] and row["difference"] <= TOLERANCE for row in rows.values()))


if __name__ == "__main__":
    raise SystemExit(main())
