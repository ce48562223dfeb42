"""The published evaluation protocols, to the number: QVHighlights, Charades-STA and -CD, TVSum, YouTube Highlights.

A protocol takes predictions and annotations and returns an :class:`Evaluation`: the metrics under their official names
and rounded as the official programs round them, the **denominator** of every group of metrics, and what was left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vmlkit.data.annotations.detr_jsonl import QueryAnnotation
from vmlkit.data.annotations.json_lines import Qid
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.errors import DataError
from vmlkit.files.reading import fit
from vmlkit.metrics import highlights as hl
from vmlkit.metrics import windows as win
from vmlkit.metrics.peculiarities import peculiar_windows, short_scores, unscored

#: windows with low < length <= high (seconds) are of a range; None: all windows as they are
LENGTH_RANGES: dict[str, tuple[float, float] | None] = {
    "short": (0, 10),
    "middle": (10, 30),
    "long": (30, 150),
    "full": None,
}
#: the lowest annotator score that makes a clip positive
SALIENCY_LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
#: seconds per clip of the saliency scores
QVH_CLIP_S = 2.0
#: where a union is empty, 0 / 0, the official programs find a match at every threshold of mAP
EMPTY_UNION = np.inf
CHARADES_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
#: BM-DETR looks at 75 rows of one second, and cuts the true windows of Charades-CD there
CHARADES_CD_LIMIT_S = 75.0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The outcome of a protocol."""

    protocol: str
    metrics: Mapping[str, Any]  #: the official names, nested as in the official file; percent, TVSum in fractions
    #: group of metrics -> queries (TVSum: videos) over which its means run
    denominators: Mapping[str, int]
    #: reason -> queries that did not take part
    dropped: Mapping[str, tuple[Qid, ...]] = field(default_factory=dict)
    #: peculiarity -> number of queries that take part and show it
    noted: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{key} {value}" for key, value in self.metrics["brief"].items())
        counts = ", ".join(f"{key} N={value}" for key, value in self.denominators.items())
        gone = [f"{reason}: {len(qids)}" for reason, qids in self.dropped.items()]
        return f"{self.protocol}: {shown} ({counts}; left out: {', '.join(gone) or 'none'})"


def percent(value: float) -> float:
    """A fraction in percent with two decimals, as the official programs format it (binary value, half to even).

    >>> percent(0.53941), percent(float("nan"))
    (53.94, nan)
    """
    return float(f"{100 * value:.2f}")


def evaluate_qvhighlights(
    predictions: Sequence[QueryPrediction], queries: Sequence[QueryAnnotation], *, common_only: bool = False
) -> Evaluation:
    """All metrics of the official QVHighlights program: 104 numbers if windows and clip scores are given.

    * ``full``, ``short``, ``middle``, ``long``: R@1 and mAP at ten thresholds over windows of 0-10, 10-30 and 30-150 s
      (lower bound exclusive, upper inclusive).  A range has only the true windows of its length, and only the queries
      that have one are its denominator; the predictions are the same in all.
    * ``HL-min-Fair``, ``-Good``, ``-VeryGood``: HL-mAP (over queries x annotators) and Hit1 (over queries), a clip
      being positive from the score 2, 3 and 4 on.
    * A query without a predicted window stays in the denominator with 0 (the official program stops, or leaves it out
      of mAP); ``noted`` counts them.  A range without any query gives NaN.

    Args:
        predictions: all with windows, all with clip scores, or both.
        queries: the ground truth; ``relevant_clip_ids`` and ``saliency_scores`` are needed for the clip scores.
        common_only: evaluate the queries that both sides have, and list the others as left out.

    Raises:
        DataError: if the two sides have different queries (unless ``common_only``), or no query in common; for a
            relevant clip beyond the end of its video.

    >>> query = QueryAnnotation(qid=1, query="a dog runs", vid="v", duration_s=60.0, windows_s=((4.0, 12.0),))
    >>> said = QueryPrediction(qid=1, windows_s=np.array([[4.0, 8.0, 0.9], [4.0, 12.0, 0.4]]))
    >>> found = evaluate_qvhighlights([said], [query])
    >>> found.metrics["full"]["MR-R1"]["0.5"], found.metrics["full"]["MR-mAP"]["0.75"], dict(found.denominators)
    (100.0, 50.0, {'short': 1, 'middle': 0, 'long': 0, 'full': 1})
    """
    pairs, dropped = _pair(predictions, queries, common_only)
    metrics: dict[str, Any] = {}
    counts: dict[str, int] = {}
    noted: dict[str, int] = {}
    if pairs[0][0].windows_s is not None:
        truth = [list(q.windows_s) for _, q in pairs]
        noted = peculiar_windows(pairs, truth)
        metrics.update(_ranges(pairs, truth, LENGTH_RANGES, win.THRESHOLDS, counts))
    if pairs[0][0].clip_scores is not None:
        metrics.update(_highlight_metrics(pairs, counts))
        noted |= short_scores(pairs, [int(q.duration_s / QVH_CLIP_S) for _, q in pairs])
    noted |= unscored(pairs, windows=True, clips=True)
    return Evaluation(
        protocol="QVHighlights",
        metrics={"brief": _brief(metrics), **dict(sorted(metrics.items()))},
        denominators=counts,
        dropped=dropped,
        noted=noted,
    )


def evaluate_charades(
    predictions: Sequence[QueryPrediction],
    queries: Sequence[QueryAnnotation],
    *,
    limit_s: float | None = None,
    common_only: bool = False,
) -> Evaluation:
    """R@1 at IoU 0.3 to 0.7, and mAP, as BM-DETR evaluates Charades-STA (no limit) and Charades-CD (75 s).

    With ``limit_s`` every true window is first cut to [0, limit]; a query of which nothing remains is **left out of
    the denominator** (14 of the 3,375 of test-ood).  This favours the model, which never sees what lies beyond; give
    no limit for a score over all queries.

    Args:
        limit_s: rows of features that the model sees x clip length.
        common_only: as :func:`evaluate_qvhighlights`.

    Raises:
        DataError: as :func:`evaluate_qvhighlights`, and for predictions without windows.

    >>> queries = [QueryAnnotation(qid=i, query="q", vid="v", duration_s=99.0, windows_s=w)
    ...            for i, w in enumerate([((70.0, 80.0),), ((80.0, 90.0),)])]
    >>> said = [QueryPrediction(qid=i, windows_s=np.array([[70.0, 75.0, 1.0]])) for i in range(2)]
    >>> print(evaluate_charades(said, queries, limit_s=75.0))  # doctest: +ELLIPSIS
    Charades, ... MR-full-R1@0.7 100.0 (full N=1; left out: every true window lies beyond 75 s: 1)
    """
    pairs, dropped = _pair(predictions, queries, common_only)
    if pairs[0][0].windows_s is None:
        what = f"line {pairs[0][0].line}: field 'pred_relevant_windows' is missing"
        raise DataError("predictions", what, "predict windows")
    protocol = "Charades" if limit_s is None else f"Charades, true windows cut to {limit_s:g} s"
    if limit_s is not None:
        cut = [(p, q, [(min(max(s, 0.0), limit_s), min(e, limit_s)) for s, e in q.windows_s]) for p, q in pairs]
        held = [(p, q, [w for w in windows if w[1] > w[0]]) for p, q, windows in cut]
        gone = tuple(q.qid for _, q, windows in held if not windows)
        if gone:
            dropped = {**dropped, f"every true window lies beyond {limit_s:g} s": gone}
        pairs, truth = [(p, q) for p, q, w in held if w], [w for _, _, w in held if w]
        if not pairs:
            raise DataError("ground truth", f"no window begins before {limit_s:g} s", "check the limit")
    else:
        truth = [list(q.windows_s) for _, q in pairs]
    counts: dict[str, int] = {}
    metrics = _ranges(pairs, truth, {"full": None}, CHARADES_THRESHOLDS, counts)
    at = metrics["full"]["MR-R1"]
    brief = {f"MR-full-R1@{t}": at[str(t)] for t in (0.3, 0.5, 0.7)}
    return Evaluation(
        protocol=protocol,
        metrics={"brief": brief, **metrics},
        denominators=counts,
        dropped=dropped,
        noted=peculiar_windows(pairs, truth) | unscored(pairs, windows=True, clips=False),
    )


def evaluate_tvsum(
    predictions: Sequence[QueryPrediction],
    queries: Sequence[QueryAnnotation],
    *,
    common_only: bool = False,
    binary: bool = False,
) -> Evaluation:
    """Top-5 mAP of every TVSum domain: mean over annotators and videos, a fraction with five decimals.

    With ``binary`` the protocol is that of YouTube Highlights: labels are 0 or 1, and all clips count.

    The mean over domains (``mAP``) is also given.  Where scores and labelled clips differ in number, the clips that
    both have count (the released program cuts labels to the features); ``noted`` says for how many videos.

    Raises:
        DataError: as :func:`evaluate_qvhighlights`, and for predictions without clip scores, videos without labels,
            or labels of the other kind.

    >>> query = QueryAnnotation(qid="x", query="news", vid="x", duration_s=6.0, windows_s=(), domain="VU",
    ...                         clip_labels=((1.0,), (1.0,), (5.0,)))
    >>> print(evaluate_tvsum([QueryPrediction(qid="x", clip_scores=np.array([0.1, 0.2, 0.9]))], [query]))
    TVSum: mAP 1.0 (VU N=1; left out: none)
    """
    pairs, dropped = _pair(predictions, queries, common_only)
    if is_binary(queries) != binary:
        what = "labels are 0 or 1, as in YouTube Highlights" if not binary else "labels are not all 0 or 1"
        raise DataError("ground truth", what, f"evaluate it by the protocol '{'tvsum' if binary else 'youtube'}'")
    domains: dict[str, list[np.ndarray]] = {}
    uneven = 0
    noted = unscored(pairs, windows=False, clips=True)
    for prediction, query in pairs:
        if prediction.clip_scores is None:
            what = f"line {prediction.line}: field 'pred_saliency_scores' is missing"
            raise DataError("predictions", what, "predict one score per clip")
        if query.clip_labels is None or query.domain is None:
            what = f"line {query.line}: field 'label' or 'domain' is missing"
            raise DataError("ground truth", what, "give a TVSum file")
        shared = min(len(prediction.clip_scores), len(query.clip_labels))
        uneven += len(prediction.clip_scores) != len(query.clip_labels)
        labels = np.asarray(query.clip_labels, dtype=np.float64)[:shared]
        domains.setdefault(query.domain, []).append(
            hl.top_clips_average_precision(prediction.clip_scores[:shared], labels, None if binary else hl.TOP_CLIPS)
        )
    # numpy's rounding (multiply, half to even, divide), as in the released program; Python's differs at 0.795625
    by_domain = {name: float(np.round(np.mean(rows), 5)) for name, rows in domains.items()}
    mean = float(np.round(np.mean([np.mean(rows) for rows in domains.values()]), 5))
    return Evaluation(
        protocol="YouTube Highlights" if binary else "TVSum",
        metrics={"brief": {"mAP": mean}, "mAP_by_domain": by_domain},
        denominators={name: len(rows) for name, rows in domains.items()},
        dropped=dropped,
        noted=noted
        | ({"scores and labelled clips differ in number: the clips of both count": uneven} if uneven else {}),
    )


def is_binary(queries: Sequence[QueryAnnotation]) -> bool:
    """Whether every clip label of the file is 0 or 1: YouTube Highlights, not TVSum."""
    labels = [value for query in queries for row in query.clip_labels or () for value in row]
    return bool(labels) and set(labels) <= {0, 1}


_Pairs = list[tuple[QueryPrediction, QueryAnnotation]]


def _pair(
    predictions: Sequence[QueryPrediction], queries: Sequence[QueryAnnotation], common_only: bool
) -> tuple[_Pairs, dict[str, tuple[Qid, ...]]]:
    """Predictions beside their queries, in the order of the predictions; ids 12 and "12" are the same."""
    truth = {str(q.qid): q for q in queries}
    said = {str(p.qid) for p in predictions}
    unknown = [p for p in predictions if str(p.qid) not in truth]
    silent = [q for q in queries if str(q.qid) not in said]
    if len(said) < len(predictions) or len(truth) < len(queries):
        raise DataError("evaluation", "a qid occurs twice", "give one prediction and one query for each")
    pairs = [(p, truth[str(p.qid)]) for p in predictions if str(p.qid) in truth]
    if not pairs:
        raise DataError("predictions", "no qid is in the ground truth", "check that the two files belong together")
    if not common_only and (unknown or silent):
        where, fault = ("ground truth", "no prediction") if silent else ("predictions", "no ground truth")
        first, count = (silent[0], len(silent)) if silent else (unknown[0], len(unknown))
        what = f"line {first.line}: field 'qid': {first.qid!r} has {fault}, the first of {count} such"
        raise DataError(where, what, "complete the files, or evaluate only the queries that both have (--common-only)")
    left_out = {
        "no prediction": tuple(q.qid for q in silent),
        "predicted, but not in the ground truth": tuple(p.qid for p in unknown),
    }
    return pairs, {reason: qids for reason, qids in left_out.items() if qids}


def _ranges(
    pairs: _Pairs,
    truth: Sequence[Sequence[tuple[float, float]]],
    ranges: Mapping[str, tuple[float, float] | None],
    thresholds: Sequence[float],
    counts: dict[str, int],
) -> dict[str, Any]:
    """``MR-mAP`` and ``MR-R1`` of every range of lengths; ``counts`` takes the denominators."""
    padded, predicted = win.pad_rows([p.windows_s for p, _ in pairs if p.windows_s is not None], columns=3)
    windows, everything = win.pad_rows(truth, columns=2)
    out: dict[str, Any] = {}
    for name, bounds in ranges.items():
        true = everything
        if bounds is not None:
            length = windows[..., 1] - windows[..., 0]
            true = everything & (length > bounds[0]) & (length <= bounds[1])
        rows = true.any(axis=1)
        counts[name] = int(rows.sum())
        if not counts[name]:
            ap = np.full((1, len(win.THRESHOLDS)), np.nan)
            recalls = dict.fromkeys(map(str, thresholds), float("nan"))
        else:
            args = padded[rows, :, :2], padded[rows, :, 2], predicted[rows], windows[rows], true[rows]
            ap = win.window_average_precision(*args, empty_union=EMPTY_UNION)
            best = win.first_window_iou(args[0], args[2], args[3], args[4])
            recalls = {str(t): percent(float(np.mean(best >= t))) for t in thresholds}
        mean = ap.mean(axis=0)
        precisions = {str(t): percent(float(v)) for t, v in zip(win.THRESHOLDS, mean, strict=True)}
        out[name] = {"MR-mAP": {**precisions, "average": percent(float(np.mean(mean)))}, "MR-R1": recalls}
    return out


def _highlight_metrics(pairs: _Pairs, counts: dict[str, int]) -> dict[str, Any]:
    scores, lengths = hl.pad_scores([p.clip_scores for p, _ in pairs if p.clip_scores is not None])
    labels, clips = clip_label_array([q for _, q in pairs])
    out = {}
    for name, lowest in SALIENCY_LEVELS.items():
        positive = labels >= lowest
        ap = hl.highlight_average_precision(scores, lengths, positive, clips)
        hit = hl.hit_at_one(scores, lengths, positive, clips)
        out[f"HL-min-{name}"] = {"HL-mAP": percent(float(np.mean(ap))), "HL-Hit1": percent(float(np.mean(hit)))}
    counts["HL"] = len(pairs)
    return out


def clip_label_array(queries: Sequence[QueryAnnotation]) -> tuple[np.ndarray, np.ndarray]:
    """Annotator scores of every clip, ``(N, C, A)``, 0 where a clip is not relevant, and clips per video ``(N,)``.

    Raises:
        DataError: for a query without saliency scores, a relevant clip beyond its video, or unequal annotators.
    """
    clips = np.array([int(q.duration_s / QVH_CLIP_S) for q in queries])
    width = max((len(q.saliency_scores[0]) for q in queries if q.saliency_scores), default=1)
    shape = (len(queries), max(1, int(clips.max())), width)
    fit("ground truth", 8 * math.prod(shape), f"an array of all clips (the longest video has {shape[1]})")
    out = np.zeros(shape)
    for row, query in enumerate(queries):
        ids, scores = query.relevant_clip_ids, query.saliency_scores
        if ids is None or scores is None:
            what = f"line {query.line}: field 'saliency_scores' is missing"
            raise DataError("ground truth", what, "give a QVHighlights file, or leave the clip scores out")
        if not ids:
            continue
        if max(ids) >= clips[row]:
            what = f"line {query.line}: field 'relevant_clip_ids' has the clip {max(ids)} in a video of {clips[row]}"
            raise DataError("ground truth", what, "correct the clip or the duration")
        if any(len(entry) != width for entry in scores):
            what = f"line {query.line}: field 'saliency_scores' has an entry without {width} scores"
            raise DataError("ground truth", what, "give one score per annotator")
        out[row, list(ids)] = scores
    return out, clips


def _brief(metrics: Mapping[str, Any]) -> dict[str, float]:
    out = {}
    if "full" in metrics:
        recalls, precisions = metrics["full"]["MR-R1"], metrics["full"]["MR-mAP"]
        out = {"MR-full-R1@0.5": recalls["0.5"], "MR-full-R1@0.7": recalls["0.7"]}
        out |= {"MR-full-mAP": precisions["average"], "MR-full-mAP@0.5": precisions["0.5"]}
        out["MR-full-mAP@0.75"] = precisions["0.75"]
        out |= {f"MR-{name}-mAP": metrics[name]["MR-mAP"]["average"] for name in ("long", "middle", "short")}
    for name in SALIENCY_LEVELS:
        group = metrics.get(f"HL-min-{name}", {})
        out |= {f"HL-min-{name}-{key.removeprefix('HL-')}": value for key, value in group.items()}
    return out
