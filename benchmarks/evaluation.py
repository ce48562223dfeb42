"""The complete QVHighlights evaluation: vectorised against naive loops, side by side.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --predictions PREDS --ground-truth FILE --official METRICS

Without files, 1,550 random queries of the official size are evaluated; the metrics cost the same.  First the
correctness gate: all 90 numbers of the naive loops (tests/metrics/naive_evaluation.py) must agree within half a unit
of the second decimal, and with ``--official`` all recorded numbers must be equal; else the timing is void and the exit
status is 1.  Then the parts alternate, after one warm-up each, in one process and one thread; figures are medians with
the smallest and largest round.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _frame
from tests.metrics import naive_evaluation as naive
from tests.parity.golden_detr_metrics import flat
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, read_predictions
from vmlkit.metrics.protocols import evaluate_qvhighlights

#: what the naive loops may differ by: they do not round
HALF_A_UNIT = 0.005 + 1e-9


def random_files(count: int, seed: int = 0) -> tuple[list[QueryPrediction], list[QueryAnnotation]]:
    """Queries of 150 s with one to five windows, ten ranked predictions and 75 clip scores each."""
    rng = np.random.default_rng(seed)
    queries, predictions = [], []
    for qid in range(count):
        starts = rng.integers(0, 70, rng.integers(1, 6))
        windows = [(2.0 * s, 2.0 * min(75, s + size)) for s, size in zip(starts, rng.integers(1, 40, 5), strict=False)]
        ids = sorted({c for s, e in windows for c in range(int(s / 2), int(e / 2))})
        scores = tuple(map(tuple, rng.integers(0, 5, (len(ids), 3)).tolist()))
        queries.append(
            QueryAnnotation(
                qid=qid, query="q", vid=f"v{qid}", duration_s=150.0, windows_s=tuple(windows),
                relevant_clip_ids=tuple(ids), saliency_scores=scores,
            )
        )  # fmt: skip
        guesses = np.sort(rng.integers(0, 76, (10, 2)) * 2.0, axis=1)
        ranked = np.column_stack((guesses, np.sort(rng.random(10))[::-1]))
        predictions.append(QueryPrediction(qid=qid, windows_s=ranked, clip_scores=rng.normal(size=75)))
    return predictions, queries


def gate(
    predictions: Sequence[QueryPrediction], queries: Sequence[QueryAnnotation], official: Path | None
) -> dict[str, Any]:
    """The numbers of both sides against each other, and ours against a recorded file."""
    ours, slow = (
        flat(evaluate_qvhighlights(predictions, queries).metrics),
        flat(naive.qvhighlights(predictions, queries)),
    )
    out: dict[str, Any] = {"numbers": len(ours), "naive_numbers": len(slow)}
    out["largest_difference_to_naive"] = float(max(abs(ours[key] - value) for key, value in slow.items()))
    if official is not None:
        recorded = flat(json.loads(official.read_text()))
        out["official_numbers"] = len(recorded)
        out["official_numbers_equal"] = sum(ours.get(key) == value for key, value in recorded.items())
    return out


def main() -> int:
    """Run, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--predictions", type=Path, help="JSON lines (default: random)")
    parser.add_argument("--ground-truth", type=Path, help="JSON lines, with --predictions")
    parser.add_argument("--official", type=Path, help="metrics of the official program for these predictions")
    parser.add_argument("--queries", type=int, default=1550, help="number of random queries")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    parts: dict[str, Callable[[], object]] = {}
    if options.predictions:
        predictions, queries = read_predictions(options.predictions), read_queries(options.ground_truth).queries
        parts["read predictions"] = lambda: read_predictions(options.predictions)
        parts["read ground truth"] = lambda: read_queries(options.ground_truth)
        source = f"{options.predictions.name} against {options.ground_truth.name}"
    else:
        (predictions, made), source = random_files(options.queries), "random"
        queries = tuple(made)
    correct = gate(predictions, queries, options.official)
    parts["vectorised"] = lambda: evaluate_qvhighlights(predictions, queries)
    parts["naive loops"] = lambda: naive.qvhighlights(predictions, queries)
    seconds = _frame.in_turn(parts, options.rounds)
    print(f"{len(predictions)} queries, {source}; {correct}")
    for name, taken in seconds.items():
        print(f"{name:18} {taken['median']:7.3f} s of the processor ({taken['min']:.3f}-{taken['max']:.3f})")
    good = correct["largest_difference_to_naive"] <= HALF_A_UNIT
    good &= correct.get("official_numbers_equal") == correct.get("official_numbers")
    facts = {"source": source, "queries": len(predictions), "rounds": options.rounds, "gate": correct}
    _frame.keep(options.json, "evaluation", **facts, correct=bool(good), seconds=seconds)
    return _frame.verdict(bool(good))


if __name__ == "__main__":
    raise SystemExit(main())
