"""A file of predictions against a file of annotations: the published protocol, as tables and as JSON.

Every table prints its denominators, says what was left out, and has the baselines beneath the model's row.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, QueryFile, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, read_predictions
from vmlkit.errors import DataError
from vmlkit.metrics.baselines import baseline_predictions
from vmlkit.metrics.protocols import (
    CHARADES_CD_LIMIT_S,
    QVH_CLIP_S,
    Evaluation,
    evaluate_charades,
    evaluate_qvhighlights,
    evaluate_tvsum,
    is_binary,
)

#: windows per query of a baseline, as many as mAP looks at
WINDOWS = 10
#: repetitions over which a random baseline is averaged
DRAWS = 5
#: baselines that need no training annotations
UNTRAINED = ("uniform random", "whole video")
MODEL = "predictions"

#: the published protocols by name; ``auto`` takes the one that the fields of the annotations speak for
Protocol = Literal["auto", "qvhighlights", "charades", "charades_cd", "tvsum", "youtube"]
#: protocols that score clips by labels, in fractions, a row per domain
CLIP_PROTOCOLS = ("tvsum", "youtube")
_PROTOCOL_OF = {"highlights": "qvhighlights", "moments": "charades", "labels": "tvsum"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line adds to the two files."""

    protocol: str = "auto"
    train: Path | None = None
    common_only: bool = False
    json: Path | None = None


def evaluate_file(predictions: Path, ground_truth: Path, options: Any = None) -> str:
    """Evaluate, write the JSON where asked, and return the tables as text.

    Args:
        predictions: JSON lines of :mod:`vmlkit.data.annotations.predictions_jsonl`.
        ground_truth: JSON lines of :mod:`vmlkit.data.annotations.detr_jsonl`.
        options: :class:`Options`, or a namespace with its fields.

    Raises:
        DataError: naming file, line and field.
    """
    options = options or Options()
    truth = read_queries(ground_truth)
    protocol = options.protocol
    if protocol == "auto":
        protocol = "youtube" if is_binary(truth.queries) else _PROTOCOL_OF[truth.kind]
    said = read_predictions(predictions)
    train = _training_windows(options.train) if options.train else None
    named = {"predictions": predictions, "ground truth": ground_truth}
    try:
        found = evaluate(protocol, said, truth.queries, options.common_only)
    except DataError as error:
        raise DataError(named.get(error.where, error.where), error.what, error.remedy) from error
    beside = baselines(protocol, found, said, truth.queries, train)
    if options.json is not None:
        content = _content(found, beside, predictions, ground_truth)
        options.json.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return "\n".join(_lines(protocol, found, beside, truth, predictions, options))


def _training_windows(path: Path) -> tuple[QueryAnnotation, ...]:
    train = read_queries(path)
    if train.kind == "labels":
        raise DataError(path, "holds clip labels and no windows", "give the training annotations of moments")
    return train.queries


def evaluate(
    protocol: str, predictions: Sequence[QueryPrediction], queries: Sequence[QueryAnnotation], common_only: bool = False
) -> Evaluation:
    """The protocol of this name: ``qvhighlights``, ``charades``, ``charades_cd``, ``tvsum`` or ``youtube``."""
    if protocol == "qvhighlights":
        return evaluate_qvhighlights(predictions, queries, common_only=common_only)
    if protocol in CLIP_PROTOCOLS:
        return evaluate_tvsum(predictions, queries, common_only=common_only, binary=protocol == "youtube")
    limit = CHARADES_CD_LIMIT_S if protocol == "charades_cd" else None
    return evaluate_charades(predictions, queries, limit_s=limit, common_only=common_only)


def baselines(
    protocol: str,
    found: Evaluation,
    predictions: Sequence[QueryPrediction],
    queries: Sequence[QueryAnnotation],
    train: Sequence[QueryAnnotation] | None,
) -> dict[str, Mapping[str, Any]]:
    """Metrics of answers that look at no video, on the queries that were evaluated; averaged over draws.

    Windows: random ones and the whole video, and, with training annotations, a random training window and the best
    constant windows.  Clip scores: random numbers, or the same number for every clip.
    """
    asked = {str(p.qid) for p in predictions}
    used = [q for q in queries if str(q.qid) in asked]
    first = predictions[0]
    # a draw of windows is made when it is scored: all of them together would be ten times as many as the predictions
    sets: dict[str, Iterable[list[QueryPrediction]]] = {}
    rng = np.random.default_rng(0)
    if first.windows_s is not None:
        durations = np.array([q.duration_s for q in used])
        for name, spans in _window_baselines(len(used), train).items():
            sets[name] = map(partial(_said, durations=durations, queries=used), spans)
    if first.clip_scores is not None:
        counts = [_clips(q) for q in used]
        for name in UNTRAINED:
            silent = [QueryPrediction(qid=q.qid) for q in used]
            draws = sets.get(name, [silent] * (DRAWS if "random" in name else 1))
            draw_scores: Callable[[int], np.ndarray] = rng.random if "random" in name else np.ones
            sets[name] = [
                [replace(p, clip_scores=draw_scores(count)) for p, count in zip(draw, counts, strict=True)]
                for draw in draws
            ]
    return {name: _mean([evaluate(protocol, draw, used).metrics for draw in draws]) for name, draws in sets.items()}


def _said(spans: np.ndarray, durations: np.ndarray, queries: Sequence[QueryAnnotation]) -> list[QueryPrediction]:
    """Windows ``(queries, P, 2)`` in fractions of the video as predictions, the first with the highest score."""
    scores = np.broadcast_to(np.linspace(1, 0, spans.shape[1])[:, None], (*spans.shape[:2], 1))
    rows = np.concatenate((spans * durations[:, None, None], scores), axis=2)
    return [QueryPrediction(qid=q.qid, windows_s=row) for q, row in zip(queries, rows, strict=True)]


def _window_baselines(count: int, train: Sequence[QueryAnnotation] | None) -> dict[str, np.ndarray]:
    """Name -> spans ``(draws, N, P, 2)`` in fractions of the video."""
    if train is None:
        spans = baseline_predictions(np.array([[0.0, 1.0]]), count, draws=DRAWS, proposals=WINDOWS)
        return {name: spans[name] for name in UNTRAINED}
    fractions = np.array([(s / q.duration_s, e / q.duration_s) for q in train for s, e in q.windows_s])
    return baseline_predictions(np.clip(fractions, 0, 1), count, draws=DRAWS, proposals=WINDOWS)


def _clips(query: QueryAnnotation) -> int:
    return len(query.clip_labels) if query.clip_labels is not None else int(query.duration_s / QVH_CLIP_S)


def _mean(trees: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of nested numbers, leaf by leaf."""
    out: dict[str, Any] = {}
    for key, value in trees[0].items():
        below = [tree[key] for tree in trees]
        out[key] = _mean(below) if isinstance(value, Mapping) else round(float(np.mean(below)), 6)
    return out


def _content(found: Evaluation, beside: Mapping[str, Any], predictions: Path, ground_truth: Path) -> dict[str, Any]:
    return {
        "predictions": predictions.name,
        "ground_truth": ground_truth.name,
        "protocol": found.protocol,
        "metrics": _finite(found.metrics),
        "denominators": dict(found.denominators),
        "dropped": {reason: list(qids) for reason, qids in found.dropped.items()},
        "noted": dict(found.noted),
        "baselines": _finite(beside),
    }


def _finite(tree: Any) -> Any:
    """The tree with null for NaN: the metric of a range that no query has."""
    if isinstance(tree, Mapping):
        return {key: _finite(value) for key, value in tree.items()}
    return None if isinstance(tree, float) and math.isnan(tree) else tree


def _lines(
    protocol: str,
    found: Evaluation,
    beside: Mapping[str, Mapping[str, Any]],
    truth: QueryFile,
    predictions: Path,
    options: Any,
) -> list[str]:
    out = [f"{found.protocol}: {predictions.name} against {truth.report}"]
    out += [f"  left out of the evaluation: {len(qids)} ({why})" for why, qids in found.dropped.items()]
    out += [f"  in the evaluation: {count} ({what})" for what, count in found.noted.items()]
    rows = {MODEL: found.metrics, **beside}
    by_domain = protocol in CLIP_PROTOCOLS
    tables = _domain_tables(rows, found) if by_domain else _tables(rows, found)
    for title, table in tables.items():
        out += ["", title, table.to_string(float_format=lambda value: f"{value:.5f}" if by_domain else f"{value:.2f}")]
    if protocol == "charades" and options.protocol == "auto":
        out += ["", "scored over all queries; --protocol charades_cd cuts true windows to 75 s as BM-DETR does"]
    if options.train is None and not by_domain:
        out += ["", "--train FILE adds the location priors: windows fitted on, or drawn from, the training annotations"]
    return out


def _tables(rows: Mapping[str, Mapping[str, Any]], found: Evaluation) -> dict[str, pd.DataFrame]:
    """Title -> table in percent: moments, moments by length, highlights."""
    tables: dict[str, pd.DataFrame] = {}
    moments = {name: tree["full"] for name, tree in rows.items() if "full" in tree}
    if moments:
        recalls = [t for t in ("0.3", "0.5", "0.7") if t in moments[MODEL]["MR-R1"]]
        at_all = {name: _moment_row(tree, recalls) for name, tree in moments.items()}
        table = pd.DataFrame.from_dict(at_all, orient="index")
        table["N"] = found.denominators["full"]
        tables["moments, percent"] = table
    lengths = [name for name in ("short", "middle", "long") if name in found.metrics]
    if lengths:
        by_length = {name: _moment_row(found.metrics[name], ["0.5", "0.7"]) for name in lengths}
        table = pd.DataFrame.from_dict(by_length, orient="index")
        table["N"] = [found.denominators[name] for name in lengths]
        tables["predictions by length of the true windows (0-10, 10-30, 30-150 s), percent"] = table
    levels = [name for name in found.metrics if name.startswith("HL-")]
    if levels:
        order = [name for name in ("HL-min-Fair", "HL-min-Good", "HL-min-VeryGood") if name in levels]
        scored = {name: tree for name, tree in rows.items() if levels[0] in tree}
        parts = [(level, key) for level in order for key in ("mAP", "Hit1")]
        columns = {
            name: {f"{level.removeprefix('HL-min-')} {key}": tree[level][f"HL-{key}"] for level, key in parts}
            for name, tree in scored.items()
        }
        table = pd.DataFrame.from_dict(columns, orient="index")
        table["N"] = found.denominators["HL"]
        tables["highlights, percent (whole video: the same score for every clip)"] = table
    return tables


def _moment_row(tree: Mapping[str, Any], recalls: Sequence[str]) -> dict[str, float]:
    row = {f"R@1,IoU={t}": tree["MR-R1"][t] for t in recalls}
    return row | {f"mAP@{t}": tree["MR-mAP"][t] for t in ("0.5", "0.75")} | {"mAP": tree["MR-mAP"]["average"]}


def _domain_tables(rows: Mapping[str, Mapping[str, Any]], found: Evaluation) -> dict[str, pd.DataFrame]:
    columns = {name: {**tree["mAP_by_domain"], "mean of domains": tree["brief"]["mAP"]} for name, tree in rows.items()}
    table = pd.DataFrame(columns)
    table["videos"] = [*found.denominators.values(), sum(found.denominators.values())]
    return {"mAP of all clips, fractions" if found.protocol.startswith("You") else "top-5 mAP, fractions": table}
