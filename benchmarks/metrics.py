"""R@n,IoU=m, mIoU and the votes over a whole test set: vectorised against a naive loop, side by side.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --queries 3158 --rounds 9 --json metrics.json

First the correctness gate: for every vote rule the two must choose the same answers and agree within 1e-12, else the
timing is void and the exit status is 1.  Then the two alternate, after one warm-up each, in one process and one
thread; the figures are medians with the smallest and largest round.
"""

import argparse
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vmlkit.files import write_json
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


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def measure(case: tuple[np.ndarray, np.ndarray, np.ndarray], rule: str, rounds: int) -> dict:
    """The gate, then ``rounds`` alternating timings."""
    lists = [array.tolist() for array in case]
    variants = {"vectorised": lambda: vectorised(*case, rule), "naive": lambda: naive(*lists, rule)}
    (found, metrics), (expected, reference) = (run() for run in variants.values())
    difference = max(abs(metrics[key] - reference[key]) for key in reference)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            times[name].append(timed(run))
    row = {"rule": rule, "same answers": found == expected, "largest difference": difference}
    for name, pairs in times.items():
        for clock, values in zip(("wall", "cpu"), zip(*pairs, strict=True), strict=True):
            row[f"{name} {clock} ms"] = [statistics.median(values), min(values), max(values)]
    return row


def environment(arguments: argparse.Namespace) -> dict:
    """What a reader needs in order to repeat the run."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "revision": git.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "threads": "1 (elementwise numpy)",
        "queries": arguments.queries,
        "proposals": arguments.proposals,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
    }


def main() -> int:
    """Run, print, and write the JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=17_031, help="N (17,031: the ActivityNet Captions test split)")
    parser.add_argument("--proposals", type=int, default=8, help="P")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    case = predictions(arguments.queries, arguments.proposals, arguments.seed)
    report = {"environment": environment(arguments), "rows": []}
    print(", ".join(f"{key} {value}" for key, value in report["environment"].items()))
    for rule in RULES:
        row = measure(case, rule, arguments.rounds)
        report["rows"].append(row)
        fast, slow = row["vectorised wall ms"], row["naive wall ms"]
        print(
            f"{rule:13} vectorised {fast[0]:7.1f} ms ({fast[1]:.1f}-{fast[2]:.1f})   "
            f"naive {slow[0]:8.1f} ms ({slow[1]:.1f}-{slow[2]:.1f})   x{slow[0] / fast[0]:.0f}   "
            f"difference {row['largest difference']:.1e}, answers {'equal' if row['same answers'] else 'DIFFER'}"
        )
    if arguments.json:
        write_json(arguments.json, report)
    correct = all(row["same answers"] and row["largest difference"] <= TOLERANCE for row in report["rows"])
    print("correct within 1e-12" if correct else "NOT EQUAL: the timing above is void")
    return 0 if correct else 1


if __name__ == "__main__":
    raise SystemExit(main())
