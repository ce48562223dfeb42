"""R@n,IoU=m, mIoU and the votes over a whole test set: vectorised against a naive loop, side by side.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --queries 3158 --rounds 9 --json metrics.json

First the correctness gate: for every vote rule the two must choose the same answers and agree within 1e-12, else the
timing is void and the exit status is 1.  Then the two alternate, after one warm-up each, in one process and one
thread; the figures are medians with the smallest and largest round.
"""

from typing import Any

import numpy as np

from benchmarks import _frame
from vmlkit.metrics.moments import RANKS, THRESHOLDS, moment_metrics, order_by_nll, vote

RULES = ("none", "activitynet", "charades", "pps_charades")
TOLERANCE = 1e-12


def predictions(queries: int, proposals: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random spans (N, P, 2), losses (N, P) and truths (N, 2)."""
    rng = np.random.default_rng(seed)
    spans = np.sort(rng.random((queries, proposals, 2)), axis=-1)
    return spans, rng.random((queries, proposals)) + 1.0, np.sort(rng.random((queries, 2)), axis=-1)


def vectorised(spans: np.ndarray, nll: np.ndarray, truth: np.ndarray, rule: str) -> tuple[list[int], dict]:
    """Ranking, vote and metrics by the package."""
    top1 = vote(spans, nll, rule)
    return top1.tolist(), moment_metrics(spans, order_by_nll(nll), top1, truth)


def naive(spans: list, nll: list, truth: list, rule: str) -> tuple[list[int], dict]:
    """The same, one number at a time."""
    answers, columns = [], {}
    for proposals, losses, target in zip(spans, nll, truth, strict=True):
        order = sorted(range(len(losses)), key=losses.__getitem__)
        answers.append(order[0] if rule == "none" else _elected(proposals, losses, order, rule))
        for n in RANKS:
            best = max(_iou(proposals[k], target) for k in (answers[-1:] if n == 1 else order[:n]))
            for m in THRESHOLDS:
                columns.setdefault(f"R@{n},IoU={m:g}", []).append(1.0 if best >= m else 0.0)
            columns.setdefault(f"R@{n},mIoU", []).append(best)
    return answers, {key: sum(column) / len(column) for key, column in columns.items()}


def _elected(proposals: list, losses: list, order: list[int], rule: str) -> int:
    weights = {
        "activitynet": lambda j: 1.0,
        "charades": lambda j: _iou(proposals[order[0]], proposals[j]),
        "pps_charades": lambda j: 1 - losses[j] / max(losses),
    }[rule]
    return max(order, key=lambda i: sum(_iou(proposals[i], proposals[j]) * weights(j) for j in order))


def _iou(a: list[float], b: list[float], eps: float = 1e-10) -> float:
    return max(0.0, (min(a[1], b[1]) - max(a[0], b[0]) + eps) / (max(a[1], b[1]) - min(a[0], b[0]) + eps))


def measure(case: tuple[np.ndarray, np.ndarray, np.ndarray], rule: str, rounds: int) -> dict[str, Any]:
    """The gate, then seconds of the processor of both."""
    lists = [array.tolist() for array in case]
    variants = {"vectorised": lambda: vectorised(*case, rule), "naive": lambda: naive(*lists, rule)}
    (found, metrics), (expected, reference) = (run() for run in variants.values())
    difference = max(abs(metrics[key] - reference[key]) for key in reference)
    return {"same answers": found == expected, "difference": difference, **_frame.in_turn(variants, rounds)}


def main() -> int:
    """Run, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--queries", type=int, default=17_031, help="N (17,031: the ActivityNet Captions test split)")
    parser.add_argument("--proposals", type=int, default=8, help="P")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    case = predictions(options.queries, options.proposals, options.seed)
    rows = {}
    for rule in RULES:
        rows[rule] = row = measure(case, rule, options.rounds)
        print(f"{rule:13} {_frame.against_naive(row)}, answers {'equal' if row['same answers'] else 'DIFFER'}")
    size = {"queries": options.queries, "proposals": options.proposals}
    _frame.keep(options.json, "metrics", size=size, rounds=options.rounds, seconds=rows)
    return _frame.verdict(all(row["same answers"] and row["difference"] <= TOLERANCE for row in rows.values()))


if __name__ == "__main__":
    raise SystemExit(main())
