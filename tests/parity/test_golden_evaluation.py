"""The harness of the evaluation cases: wrong numbers are noticed, absent data are a reason to skip, not to pass."""

import copy
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.cases import cases_in, check_of
from tests.parity.golden import GoldenCase, load_case
from tests.parity.golden_data import SkipCase
from vmlkit.data.annotations.detr_jsonl import annotation_from
from vmlkit.data.annotations.predictions_jsonl import prediction_from
from vmlkit.metrics.protocols import evaluate_charades

CASE = Path(__file__).parents[1] / "golden" / "detr" / "eval_synth_a.json.gz"


@pytest.fixture
def synthetic():
    return load_case(CASE)


@pytest.fixture
def data(tmp_path, monkeypatch, synthetic):
    """A data folder that holds the synthetic ground truth under the names of real files, and a small TVSum file."""
    rng = np.random.default_rng(0)
    tvsum = [{"qid": f"x{i}", "query": "q", "vid": f"x{i}", "duration": 20, "domain": "AB"[i]} for i in range(2)]
    for row in tvsum:
        row["label"] = rng.integers(1, 6, (12, 20)).tolist()
    moments = [
        {k: row[k] for k in ("qid", "query", "duration", "vid", "relevant_windows")}
        for row in synthetic.meta["ground_truth"]
    ]
    for name, records in {
        "qvhighlights/highlight_val_release.jsonl": synthetic.meta["ground_truth"],
        "charades_cd/test_iid.jsonl": moments,
        "tvsum/tvsum_val.jsonl": tvsum,
    }.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    monkeypatch.setenv("VMLKIT_DATA", str(tmp_path / "data"))
    return tmp_path


def changed(case, path, value):
    meta = copy.deepcopy(case.meta)
    at = meta
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return GoldenCase(case.name, case.arrays, meta, case.folder)


@pytest.mark.parametrize("path", [("brief", "MR-long-mAP"), ("HL-min-Good", "HL-Hit1"), ("short", "MR-mAP", "0.95")])
def test_one_number_off_by_a_hundredth_fails(synthetic, path):
    value = synthetic.meta["metrics"]
    for key in path:
        value = value[key]
    with pytest.raises(AssertionError, match="1 of 104 numbers differ"):
        check_of(synthetic.name)(changed(synthetic, ("metrics", *path), value + 0.01))


def test_a_number_that_nobody_computes_fails(synthetic):
    with pytest.raises(AssertionError, match="brief/surprise: None instead of 1"):
        check_of(synthetic.name)(changed(synthetic, ("metrics", "brief", "surprise"), 1.0))


def test_a_case_of_two_files_is_checked_from_either(data, synthetic):
    lines = "".join(json.dumps(record) + "\n" for record in synthetic.meta["submission"])
    (data / "qvh_val_x_preds.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (data / "qvh_val_x_metrics.json").write_text(json.dumps(synthetic.meta["metrics"]))
    paths = [path for path in cases_in(data) if path.name.startswith("qvh")]
    assert len(paths) == 2
    for path in paths:
        check_of(load_case(path).name)(load_case(path))
    wrong = changed(synthetic, ("metrics", "brief", "MR-full-mAP"), 1.0).meta["metrics"]
    (data / "qvh_val_x_metrics.json").write_text(json.dumps(wrong))
    for path in paths:
        with pytest.raises(AssertionError, match="1 of 104"):
            check_of("qvh_val_x_preds")(load_case(path))
    (data / "qvh_val_x_metrics.json").unlink()
    with pytest.raises(AssertionError, match="its other half is missing"):
        check_of("qvh_val_x_preds")(load_case(paths[1]))


def charades_case(synthetic, dropped, metrics):
    rows = [[r["qid"], r["pred_relevant_windows"]] for r in synthetic.meta["submission"]]
    meta = {
        "gt": "data: charades-CD/test_iid",
        "opt": {"dset_name": "charades-CD", "max_v_l": 75, "clip_length": 1},
        "n_queries": len(rows),
        "n_evaluated": len(rows) - len(dropped),
        "dropped_qids": dropped,
        "submission": rows,
        "metrics": metrics,
    }
    return GoldenCase("charades_cd_iid_x", {}, meta)


def test_a_charades_case_must_name_the_queries_that_vanish(data, synthetic):
    truth = [annotation_from(record) for record in synthetic.meta["ground_truth"]]
    said = [prediction_from(record) for record in synthetic.meta["submission"]]
    metrics = evaluate_charades(said, truth, limit_s=75.0).metrics
    starts = {q.qid: min(start for start, _ in q.windows_s) for q in truth}
    gone = [p.qid for p in said if starts[p.qid] >= 75]
    assert gone
    check = check_of("charades_cd_iid_x")
    check(charades_case(synthetic, gone, metrics))
    with pytest.raises(AssertionError):
        check(charades_case(synthetic, gone[1:], metrics))
    with pytest.raises(AssertionError, match="left out"):
        check(charades_case(synthetic, [*gone[1:], 1], metrics))
    with pytest.raises(AssertionError, match="numbers differ"):
        check(charades_case(synthetic, gone, evaluate_charades(said, truth).metrics))


def test_a_tvsum_case_compares_every_domain(data):
    predictions = {"A": {"x0": [float(i) for i in range(12)]}, "B": {"x1": [float(-i) for i in range(12)]}}
    case = GoldenCase(
        "tvsum_x", {}, {"gt": "tvsum_val.jsonl", "predictions": predictions, "mAP_by_domain": {"A": 2.0, "B": 2.0}}
    )
    with pytest.raises(AssertionError, match="2 of 2 numbers differ"):
        check_of("tvsum_x")(case)


@pytest.mark.parametrize("name", ["charades_cd_iid_x", "tvsum_x"])
def test_without_the_annotations_a_case_is_skipped_with_its_reason(monkeypatch, synthetic, name):
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    case = charades_case(synthetic, [], {})
    case.meta.update(predictions={}, gt="data: charades-CD/test_iid" if "charades" in name else "tvsum_val.jsonl")
    with pytest.raises(SkipCase, match="set VMLKIT_DATA to the folder that holds"):
        check_of(name)(GoldenCase(name, {}, case.meta))
