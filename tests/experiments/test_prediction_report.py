"""``vmlkit evaluate PREDICTIONS`` and ``vmlkit negatives``: formats, denominators, faults."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.parity.golden_detr_metrics import assert_equal_numbers
from vmlkit import cli
from vmlkit.detr.negative_queries_report import coverage
from vmlkit.experiments.prediction_report import baselines, evaluate, evaluate_file

CASE = Path(__file__).parents[1] / "golden" / "detr" / "eval_synth_a.json.gz"


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def case():
    return json.loads(gzip.decompress(CASE.read_bytes()))


@pytest.fixture
def files(tmp_path, case):
    """Predictions and ground truth of the synthetic highlight case."""
    return write(tmp_path / "p.jsonl", case["submission"]), write(tmp_path / "t.jsonl", case["ground_truth"])


@pytest.fixture
def moments(tmp_path):
    """Four queries, one beyond 75 s, one window late; predictions that find two."""
    windows = [(0, 10), (20, 30), (80, 90), (40, 95)]
    truth = [
        {"qid": i, "query": f"q {i}", "vid": f"v{i // 2}", "duration": 94, "relevant_windows": [w]}
        for i, w in enumerate(windows)
    ]
    said = [
        {"qid": i, "pred_relevant_windows": [[*w, 0.9], [0, 5, 0.1]]}
        for i, w in enumerate([*windows[:2], (0, 1), (0, 1)])
    ]
    return write(tmp_path / "moments.jsonl", said), write(tmp_path / "moments_t.jsonl", truth)


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    truth = [
        {"qid": f"x{i}", "query": "q", "vid": f"x{i}", "duration": 20, "domain": "AB"[i % 2],
         "label": rng.integers(1, 6, (20, 4)).tolist()} for i in range(3)
    ]  # fmt: skip
    said = [{"qid": row["qid"], "pred_saliency_scores": rng.random(20).tolist()} for row in truth]
    return write(tmp_path / "labels.jsonl", said), write(tmp_path / "labels_t.jsonl", truth)


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_highlights_are_recognised_and_every_number_is_written(files, case, tmp_path, capsys):
    code, out, err = run(capsys, "evaluate", files[0], "--ground-truth", files[1], "--json", tmp_path / "o.json")
    assert (code, err) == (0, "")
    written = json.loads((tmp_path / "o.json").read_text())
    assert_equal_numbers(written["metrics"], case["metrics"])
    assert written["denominators"]["full"] == written["denominators"]["HL"] == 60
    assert out.startswith("QVHighlights: p.jsonl against ")
    assert "60 read, 60 kept" in out
    for text in ("moments, percent", "by length of the true windows", "highlights, percent", "whole video", "51.67"):
        assert text in out
    short = next(line.split() for line in out.splitlines() if line.startswith("short"))
    assert short[-1] == str(written["denominators"]["short"])


def test_moments_are_recognised_and_the_75_second_rule_is_asked_for(moments, capsys):
    code, out, _ = run(capsys, "evaluate", moments[0], "--ground-truth", moments[1])
    assert code == 0
    assert "Charades: moments.jsonl" in out
    assert "--protocol charades_cd cuts true windows to 75 s" in out
    assert "noted: 1 (a window ends after the video: kept as it is)" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("predictions"))
    assert row[1:4] == ["50.00"] * 3
    assert row[-1] == "4"
    _, out, _ = run(capsys, "evaluate", moments[0], "--ground-truth", moments[1], "--protocol", "charades_cd")
    assert "left out of the evaluation: 1 (every true window lies beyond 75 s)" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("predictions"))
    assert (row[2], row[-1]) == ("66.67", "3")


def test_training_annotations_add_the_location_priors(moments, capsys):
    _, plain, _ = run(capsys, "evaluate", moments[0], "--ground-truth", moments[1])
    _, out, _ = run(capsys, "evaluate", moments[0], "--ground-truth", moments[1], "--train", moments[1])
    assert "best constant window" in out
    assert "best constant window" not in plain
    assert "--train FILE adds the location priors" in plain


def test_training_annotations_must_have_windows(moments, labels, capsys):
    code, _, err = run(capsys, "evaluate", moments[0], "--ground-truth", moments[1], "--train", labels[1])
    assert code == 2
    assert "labels_t.jsonl: holds clip labels and no windows" in err


def test_labels_are_recognised(labels, capsys):
    code, out, _ = run(capsys, "evaluate", labels[0], "--ground-truth", labels[1])
    assert code == 0
    assert "top-5 mAP, fractions" in out
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line and line.split()[0] in ("A", "B")}
    assert rows == {"A": "2", "B": "1"}


def test_common_queries_only(moments, tmp_path, capsys):
    said = moments[0].read_text().splitlines()[:2]
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(said))
    code, _, err = run(capsys, "evaluate", part, "--ground-truth", moments[1])
    assert code == 2
    assert err == (
        f"vmlkit: {moments[1]}: line 3: field 'qid': 2 has no prediction, the first of 2 such; complete the files, or "
        "evaluate only the queries that both have (--common-only).\n"
    )
    code, out, _ = run(capsys, "evaluate", part, "--ground-truth", moments[1], "--common-only")
    assert code == 0
    assert "left out of the evaluation: 2 (no prediction)" in out


def test_an_empty_range_is_null_in_the_json(moments, tmp_path, capsys):
    run(
        capsys,
        "evaluate",
        moments[0],
        "--ground-truth",
        moments[1],
        "--protocol",
        "qvhighlights",
        "--json",
        tmp_path / "o",
    )
    written = json.loads((tmp_path / "o").read_text())
    assert written["denominators"] == {"short": 3, "middle": 0, "long": 1, "full": 4}
    assert written["metrics"]["middle"]["MR-R1"]["0.5"] is None


def test_faults_are_one_line_with_file_line_and_field(files, moments, tmp_path, capsys):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"qid": 1, "pred_relevant_windows": [[0, 5]]}\n')
    scores = write(tmp_path / "s.jsonl", [{"qid": i, "pred_saliency_scores": [1, 2]} for i in range(4)])
    for arguments, message in [
        ((bad, "--ground-truth", moments[1]), f"{bad}: line 1: field 'pred_relevant_windows' has the entry 0"),
        ((bad,), "is a file, not a run: add --ground-truth FILE"),
        ((moments[0], "--ground-truth", tmp_path / "no"), "no: there is no such file"),
        ((scores, "--ground-truth", moments[1]), f"{scores}: line 1: field 'pred_relevant_windows' is missing"),
        ((files[0], "--ground-truth", files[1], "--protocol", "tvsum"), "field 'label' or 'domain' is missing"),
    ]:
        code, out, err = run(capsys, "evaluate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err


def test_baselines_look_at_nothing_but_durations(case, files):
    from vmlkit.data.annotations.detr_jsonl import read_queries
    from vmlkit.data.annotations.predictions_jsonl import read_predictions

    said, truth = read_predictions(files[0]), read_queries(files[1]).queries
    rows = baselines("qvhighlights", evaluate("qvhighlights", said, truth), said, truth, None)
    assert set(rows) == {"uniform random", "whole video"}
    whole = rows["whole video"]
    best = [max(e - s for s, e in q.windows_s) / q.duration_s for q in truth]
    assert whole["full"]["MR-R1"]["0.5"] == pytest.approx(100 * np.mean([b >= 0.5 for b in best]), abs=0.01)
    assert set(whole) == set(case["metrics"])


def test_the_report_without_options(moments):
    assert "moments, percent" in evaluate_file(*moments)


def test_negatives_are_reported_and_written(moments, tmp_path, capsys):
    out_file = tmp_path / "n.jsonl.gz"
    code, out, _ = run(capsys, "negatives", moments[1], "--out", out_file)
    assert code == 0
    assert "rule: same video, IoU < 0.5, sentence similarity < 0.8 (TF-IDF)" in out
    assert "queries with any candidate: 4 of 4 (100.0 %), 1.0 each" in out
    assert "no filter   4 (100.0 %)   4" in out
    records = [json.loads(line) for line in gzip.decompress(out_file.read_bytes()).decode().splitlines()]
    assert [r["neg_query_ids"] for r in records] == [[1], [0], [3], [2]]
    assert records[0]["query"] == "q 0"
    _, out, _ = run(capsys, "negatives", moments[1], "--max-iou", "0.1")
    assert "IoU < 0.1" in out


def test_negatives_of_a_file_that_has_no_windows_are_refused(labels, moments, tmp_path, capsys):
    code, _, err = run(capsys, "negatives", labels[1])
    assert code == 2
    assert "holds clip labels and no windows" in err
    code, _, err = run(capsys, "negatives", moments[1], "--encoder", tmp_path / "none")
    assert code == 2
    assert "is no folder with a config.json" in err


def test_several_files_are_reported_and_their_numbers_written(moments, tmp_path, capsys):
    code, out, _ = run(capsys, "negatives", moments[1], moments[1], "--json", tmp_path / "n.json")
    assert code == 0
    assert out.count("rule: same video") == 2
    first, second = json.loads((tmp_path / "n.json").read_text())["files"]
    assert first == second
    assert (first["queries"], first["videos"], first["queries_with_any"], first["kept"]) == (4, 2, 4, 4)
    assert first["queries_with_any_by_similarity"]["no filter"] == 4
    code, _, err = run(capsys, "negatives", moments[1], moments[1], "--out", tmp_path / "o")
    assert code == 2
    assert "one file" in err


def committed_coverage():
    record = json.loads((Path(__file__).parents[2] / "results" / "data" / "negative_queries.json").read_text())
    return {row["file"]: row for row in record["files"]}


@pytest.mark.parametrize(
    ("folder", "name"),
    [("charades_cd", "train.jsonl.gz"), ("qvhighlights", "highlight_train_release.jsonl.gz")],
)
def test_the_committed_coverage_is_what_the_command_finds(folder, name):
    path = Path(os.environ.get("VMLKIT_DATA", "")) / folder / name
    if not path.is_file():
        pytest.skip(f"needs the annotations {folder}/{name}: set VMLKIT_DATA to the folder that holds {folder}")
    assert coverage(path).record == committed_coverage()[f"{folder}/{name}"]
