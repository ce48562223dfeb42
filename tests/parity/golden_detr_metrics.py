"""Golden cases of retrieval and highlight evaluation: every recorded number must be equal, none is tolerated."""

import gzip
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.parity.golden import GoldenCase
from tests.parity.golden_data import SkipCase
from vmlkit.data.annotations.detr_jsonl import annotation_from, read_queries
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, prediction_from
from vmlkit.metrics.protocols import evaluate_charades, evaluate_qvhighlights, evaluate_tvsum

#: folder of a data set's annotations, by the names the cases use for it
FOLDERS = {"charades-CD": "charades_cd", "charades-STA": "charades_sta_detr", "charades": "charades_sta_detr"}
QVH_VALIDATION = "qvhighlights/highlight_val_release.jsonl"


def check_qvh_file_case(case: GoldenCase) -> None:
    """``..._preds`` beside its ``..._metrics``: predictions for the real validation split, all numbers of the file."""
    stem = re.sub(r"_(preds|metrics)(\.jsonl)?$", "", case.name)
    pair = [(case.folder or Path()) / f"{stem}{end}" for end in ("_preds.jsonl.gz", "_metrics.json")]
    missing = [path.name for path in pair if not path.is_file()]
    assert not missing, f"{case.name}: its other half is missing: {missing}"
    lines = gzip.decompress(pair[0].read_bytes()).decode().splitlines()
    metrics = json.loads(pair[1].read_text())
    truth = read_queries(_data_file(QVH_VALIDATION), "qvhighlights").queries
    predictions = _predictions([json.loads(line) for line in lines])
    assert_equal_numbers(evaluate_qvhighlights(predictions, truth).metrics, metrics)


def check_synthetic_case(case: GoldenCase) -> None:
    """``submission``, ``ground_truth`` and ``metrics`` in one file."""
    truth = [annotation_from(record) for record in case.meta["ground_truth"]]
    found = evaluate_qvhighlights(_predictions(case.meta["submission"]), truth)
    assert_equal_numbers(found.metrics, case.meta["metrics"])


def check_charades_case(case: GoldenCase) -> None:
    """Compact predictions on a real Charades file: R@1, mAP, how many queries count, and which do not."""
    option = case.meta["opt"]
    limit = option["max_v_l"] * option["clip_length"] if "cd" in option["dset_name"].lower() else None
    name, split = case.meta["gt"].removeprefix("data:").strip().split("/")
    truth = read_queries(_data_file(f"{FOLDERS.get(name, name)}/{split}.jsonl")).queries
    rows = [{"qid": qid, "pred_relevant_windows": windows} for qid, windows in case.meta["submission"]]
    found = evaluate_charades(_predictions(rows), truth, limit_s=limit, common_only=True)
    assert_equal_numbers(found.metrics, case.meta["metrics"])
    assert len(truth) == case.meta["n_queries"]
    assert found.denominators["full"] == case.meta["n_evaluated"]
    gone = sorted(qid for reason, qids in found.dropped.items() if "lies beyond" in reason for qid in qids)
    recorded = sorted(case.meta["dropped_qids"])
    assert gone == recorded, f"left out: {gone}, recorded: {recorded}"


def check_tvsum_case(case: GoldenCase) -> None:
    """Clip scores per domain and video on a real TVSum file: top-5 mAP of every domain."""
    predictions = [
        prediction_from({"qid": vid, "pred_saliency_scores": scores})
        for videos in case.meta["predictions"].values()
        for vid, scores in videos.items()
    ]
    truth = read_queries(_data_file(f"tvsum/{Path(case.meta['gt']).name}"), "tvsum").queries
    found = evaluate_tvsum(predictions, truth, common_only=True)
    assert_equal_numbers(found.metrics["mAP_by_domain"], case.meta["mAP_by_domain"])


def assert_equal_numbers(ours: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
    """Fail unless every recorded number, at whatever depth, is exactly ours; says which are not."""
    expected, found = flat(recorded), flat(ours)
    assert expected, "the case records no number"
    differing = [f"{key}: {found.get(key)} instead of {value}" for key, value in expected.items()]
    differing = [text for text, key in zip(differing, expected, strict=True) if found.get(key) != expected[key]]
    assert not differing, f"{len(differing)} of {len(expected)} numbers differ: {'; '.join(differing[:5])}"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested numbers by their path.

    >>> flat({"full": {"MR-R1": {"0.5": 51.0}}})
    {'full/MR-R1/0.5': 51.0}
    """
    out: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}/")
        else:
            out[prefix + key] = value
    return out


def _predictions(records: Sequence[Mapping[str, Any]]) -> list[QueryPrediction]:
    return [prediction_from(record) for record in records]


def _data_file(name: str) -> Path:
    root = os.environ.get("VMLKIT_DATA")
    for path in (Path(root or ".") / name, Path(root or ".") / f"{name}.gz"):
        if root and path.is_file():
            return path
    raise SkipCase(f"needs the annotations {name}: set VMLKIT_DATA to the folder that holds {name.split('/')[0]}")


#: kind of a case -> its check
EVALUATION_CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    "qvh_": check_qvh_file_case,
    "eval_synth_": check_synthetic_case,
    "charades_": check_charades_case,
    "tvsum_": check_tvsum_case,
}
