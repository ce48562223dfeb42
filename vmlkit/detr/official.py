"""What a model says about JSON lines, as a file of predictions has it, and the published metrics of that.

A run's metrics are those of these very predictions, so ``vmlkit evaluate`` finds the same numbers in a file of them.
Axes: N queries, P windows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from vmlkit.data.annotations.predictions_jsonl import QueryPrediction
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.lines import Lines
from vmlkit.detr.windows import ranked_windows
from vmlkit.metrics import protocols
from vmlkit.metrics import windows as win
from vmlkit.metrics.baselines import baseline_predictions
from vmlkit.metrics.protocols import CHARADES_CD_LIMIT_S, Evaluation
from vmlkit.training.task import Metrics

#: draws of a random baseline, and windows of each
DRAWS, WINDOWS = 5, 10
#: columns of printed tables, by protocol
_MOMENTS = ("R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU", "mAP@0.5", "mAP@0.75", "mAP")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "qvhighlights": (*_MOMENTS, "HL mAP (VeryGood)", "HIT@1 (VeryGood)"),
    "charades": _MOMENTS,
    "charades_cd": tuple(
        f"{name} ({group})" for group in ("iid", "ood") for name in ("R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU")
    ),
    "tvsum": ("mAP", *(f"mAP ({name})" for name in ["BK", "BT", "DS", "FM", "GA", "MS", "PK", "PR", "VT", "VU"])),
    "youtube": ("mAP", *(f"mAP ({name})" for name in ["dog", "gymnastics", "parkour", "skating", "skiing", "surfing"])),
}
#: levels of saliency, by the lowest rating that counts
LEVELS = tuple(protocols.SALIENCY_LEVELS)


def predictions(data: DetrDataset, kept: Mapping[str, np.ndarray]) -> list[QueryPrediction]:
    """Windows in seconds, best first and processed as the data set's lines say, and a score for each clip.

    Args:
        data: a split of JSON lines.
        kept: answers as :func:`vmlkit.training.evaluate.kept_moments` keeps them; the first draw counts.
    """
    lines = data.lines
    assert lines is not None
    windows: Sequence[np.ndarray | None] = [None] * len(data)
    if lines.has_windows:
        edges, order = torch.from_numpy(kept["proposals"][0]), torch.from_numpy(kept["order"][0])
        scores, seconds = torch.from_numpy(kept["nll"][0]).neg().exp(), torch.from_numpy(data.prediction_seconds)
        # PAPER: (silent) / CODE: times the duration even where the features end before it (BM-DETR: times the seconds
        #        that the model sees) -> no switch, because a fraction of what was seen is that for every model
        ranked = ranked_windows(edges.double(), scores.double(), seconds, order)
        windows = [lines.processing(rows) for rows in ranked.numpy()]
    cells = kept.get("clip_scores.saliency")
    said = []
    for i, query in enumerate(lines.queries):
        scored = None if cells is None else cells[i][~np.isnan(cells[i])].astype(np.float64)
        said.append(
            QueryPrediction(qid=query.qid, query=query.query, vid=query.vid, windows_s=windows[i], clip_scores=scored)
        )
    return said


def official_metrics(data: DetrDataset, said: Sequence[QueryPrediction]) -> Metrics:
    """The published metrics of predictions, as fractions; none for a split without labels.

    ``R@1,IoU=m``, ``mAP`` (mean over the thresholds .5 to .95), ``mAP@m``, ``R@1,mIoU``; on QVHighlights also
    ``mAP (short)``, ``(middle)``, ``(long)`` and, for each level of saliency, ``HL mAP`` and ``HIT@1``; on TVSum and
    YouTube Highlights ``mAP`` and that of every domain.  A group of queries (Charades-CD) is named in parentheses.
    """
    lines = data.lines
    assert lines is not None
    if not lines.labelled:
        return {}
    metrics = _metrics(lines, said)
    for name, rows in data.groups.items():
        places = np.flatnonzero(rows)
        if places.size:
            found = _metrics(lines.subset(places), [said[int(i)] for i in places])
            metrics |= {f"{key} ({name})": value for key, value in found.items()}
    return metrics


def evaluation(lines: Lines, said: Sequence[QueryPrediction]) -> Evaluation:
    """The published protocol of the data set."""
    if lines.protocol == "qvhighlights":
        return protocols.evaluate_qvhighlights(said, lines.queries)
    if lines.protocol in ("tvsum", "youtube"):
        return protocols.evaluate_tvsum(said, lines.queries, binary=lines.protocol == "youtube")
    limit = CHARADES_CD_LIMIT_S if lines.protocol == "charades_cd" else None
    return protocols.evaluate_charades(said, lines.queries, limit_s=limit)


def _metrics(lines: Lines, said: Sequence[QueryPrediction]) -> Metrics:
    found = evaluation(lines, said).metrics
    if "full" not in found:
        domains = {f"mAP ({name})": float(value) for name, value in found["mAP_by_domain"].items()}
        return {"mAP": float(found["brief"]["mAP"]), **domains}
    full = found["full"]
    metrics = {f"R@1,IoU={name}": value for name, value in full["MR-R1"].items()}
    metrics |= {f"mAP@{name}": value for name, value in full["MR-mAP"].items() if name != "average"}
    metrics |= {"mAP": full["MR-mAP"]["average"]}
    metrics |= {f"mAP ({n})": found[n]["MR-mAP"]["average"] for n in ("short", "middle", "long") if n in found}
    for level in LEVELS:
        if (tree := found.get(f"HL-min-{level}")) is not None:
            metrics |= {f"HL mAP ({level})": tree["HL-mAP"], f"HIT@1 ({level})": tree["HL-Hit1"]}
    return {**{name: float(value) / 100 for name, value in metrics.items()}, **_beside(lines, said)}


def _beside(lines: Lines, said: Sequence[QueryPrediction]) -> Metrics:
    """What every table of the field has and the official program of QVHighlights does not: IoU 0.3 and the mean IoU."""
    _, best = first_overlaps(lines, said)
    return {"R@1,IoU=0.3": round(float(np.mean(best >= 0.3)), 4), "R@1,mIoU": float(best.mean())}


def first_overlaps(
    lines: Lines, said: Sequence[QueryPrediction]
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Queries that count, and the IoU of the first window of each with the true window nearest to it.

    All N queries count, but for those whose windows lie wholly beyond what Charades-CD's protocol looks at.
    """
    padded, predicted = win.pad_rows([p.windows_s for p in said if p.windows_s is not None], columns=3)
    windows, true, rows = lines.windows_s, lines.window_mask, np.arange(len(said))
    if lines.protocol == "charades_cd":  # as its protocol does before anything is scored
        windows, true, padded, predicted, rows = _within(windows, true, padded, predicted)
    return rows, np.maximum(win.first_window_iou(padded[..., :2], predicted, windows, true), 0.0)


def _within(
    windows: Float[np.ndarray, "N W 2"],
    true: Bool[np.ndarray, "N W"],
    padded: Float[np.ndarray, "N P 3"],
    predicted: Bool[np.ndarray, "N P"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Windows cut where Charades-CD's protocol cuts them, of the queries that have one left, and which these are."""
    cut = np.clip(windows, 0.0, CHARADES_CD_LIMIT_S)
    true = true & (cut[..., 1] > cut[..., 0])
    rows = true.any(axis=1)
    return cut[rows], true[rows], padded[rows], predicted[rows], np.flatnonzero(rows)


def official_baselines(train: DetrDataset, test: DetrDataset) -> dict[str, Metrics]:
    """Answers that never look at a video, scored like a model: location priors fitted on the training windows.

    Clip scores are random numbers, and the same number for every clip; random answers are averaged over five draws.
    """
    assert test.lines is not None
    if not test.lines.labelled:
        return {}
    found: dict[str, list[Metrics]] = {}
    for name, said in blind_answers(train, test):
        found.setdefault(name, []).append(official_metrics(test, said))
    return {
        name: {key: float(np.mean([metrics[key] for metrics in draws])) for key in draws[0]}
        for name, draws in found.items()
    }


def blind_answers(train: DetrDataset, test: DetrDataset) -> Iterator[tuple[str, list[QueryPrediction]]]:
    """The answers of :func:`official_baselines` by name; one that chance decides comes five times."""
    lines, rng = test.lines, np.random.default_rng(0)
    assert lines is not None
    assert train.lines is not None
    counts = [_clips(lines, test, i) for i in range(len(test))]
    sets: dict[str, list[list[Any]]] = {
        "uniform random": [[None] * len(test)] * DRAWS,
        "whole video": [[None] * len(test)],
    }
    if lines.has_windows:
        lasting = np.array([q.duration_s for q in train.lines.queries])[:, None, None]
        spans = np.clip(train.lines.windows_s / lasting, 0, 1)[train.lines.window_mask]
        fitted = baseline_predictions(spans, len(test), draws=DRAWS, proposals=WINDOWS)
        seconds = test.durations[:, None, None]
        sets = {name: [list(draw * seconds) for draw in draws] for name, draws in fitted.items()}
    for name, draws in sets.items():
        for windows in draws:
            said = []
            for query, spans_s, count in zip(lines.queries, windows, counts, strict=True):
                ranked = None
                if spans_s is not None:
                    ranked = np.column_stack((spans_s, np.linspace(1, 0, len(spans_s))))
                scores = rng.random(count) if "random" in name else np.ones(count)
                rated = scores if lines.rated else None
                said.append(QueryPrediction(qid=query.qid, windows_s=ranked, clip_scores=rated))
            yield name, said


def _clips(lines: Lines, data: DetrDataset, index: int) -> int:
    query: Any = lines.queries[index]
    if query.clip_labels is not None:
        return len(query.clip_labels)
    return max(1, int(query.duration_s / lines.clip_length))
