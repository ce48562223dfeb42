"""``vmlkit predict``: what it writes, that the evaluation of files reads it, and what it refuses."""

import json

import numpy as np
import pytest

from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.data.annotations.predictions_jsonl import read_predictions
from vmlkit.detr.windows import suppress
from vmlkit.experiments.experiment import load_run, run_experiment
from vmlkit.experiments.predict import _clip_scores, predict_run
from vmlkit.methods import preset
from vmlkit.runs import RunDirectory

TINY = {
    "data.train_videos": 12, "data.validation_videos": 4, "data.test_videos": 10, "train.epochs": 1,
    "train.threads": 1, "test_draws": 1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["moment-detr", "cpl", "cnm"])
def run(request, tmp_path_factory):
    """A run of one epoch; CPL's answer is voted for."""
    extra = {"vote": "charades"} if request.param == "cpl" else {}
    experiment = with_overrides(preset(request.param), {**TINY, **extra})
    return run_experiment(experiment, tmp_path_factory.mktemp("runs") / request.param, progress=False)


def truth_of(splits, path):
    """The test split's annotations in the Moment-DETR layout."""
    data = splits.test
    rows = zip(data.query_ids, data.sentences, data.video_ids, data.durations, data.spans_s, strict=True)
    lines = [
        {"qid": q, "query": s, "vid": v, "duration": float(d), "relevant_windows": [w.tolist()]}
        for q, s, v, d, w in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_evaluation_of_files_reads_it_and_finds_the_runs_recall(run, tmp_path, capsys):
    out, scored = tmp_path / "p.jsonl", tmp_path / "s.json"
    assert cli.main(["predict", str(run.path), "--out", str(out)]) == 0
    _, splits, _ = load_run(run.path, progress=False)
    assert capsys.readouterr().out == f"{len(splits.test)} queries of the test split: {out}\n"
    truth = truth_of(splits, tmp_path / "t.jsonl")
    assert cli.main(["evaluate", str(out), "--ground-truth", str(truth), "--json", str(scored)]) == 0
    found = json.loads(scored.read_text())["metrics"]["full"]["MR-R1"]
    metrics = RunDirectory(run.path).metrics["test"]
    for threshold in (0.3, 0.5, 0.7):
        assert found[str(threshold)] == pytest.approx(100 * metrics[f"R@1,IoU={threshold}"], abs=0.006)


def test_rows_are_the_official_ones(run, tmp_path):
    path, count = predict_run(run.path, "validation", tmp_path / "v.jsonl", progress=False)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    _, splits, _ = load_run(run.path, progress=False)
    data, curves = splits.validation, run.config["method"] == "moment-detr"
    assert count == len(rows) == len(data)
    for row, qid, sentence, video, duration in zip(
        rows, data.query_ids, data.sentences, data.video_ids, data.durations, strict=True
    ):
        assert list(row)[:4] == ["qid", "query", "vid", "pred_relevant_windows"]
        assert (row["qid"], row["query"], row["vid"]) == (qid, sentence, video)
        windows = np.array(row["pred_relevant_windows"])
        assert (windows[:, 0] >= 0).all()
        assert (windows[:, 1] <= duration + 1e-4).all()
        assert (np.diff(windows[1:, 2]) <= 0).all(), "after the answer, the others follow by score"
        assert len(row.get("pred_saliency_scores", ())) == (data.frames.shape[1] if curves else 0)


def test_windows_are_rounded_to_clips_and_thinned_out(run, tmp_path):
    plain, _ = predict_run(run.path, out=tmp_path / "p.jsonl.gz", progress=False)
    rounded, _ = predict_run(run.path, out=tmp_path / "r.jsonl", clip_s=2.0, progress=False)
    thinned, _ = predict_run(run.path, out=tmp_path / "n.jsonl", nms=0.3, progress=False)
    for exact, whole, few in zip(*map(read_predictions, (plain, rounded, thinned)), strict=True):
        assert (whole.windows_s[:, :2] % 2 == 0).all()
        assert np.abs(whole.windows_s[:, :2] - exact.windows_s[:, :2]).max() <= 1 + 1e-6
        assert few.windows_s.tolist() == suppress(exact.windows_s[:10].tolist(), 0.3)


def test_clip_scores_of_whole_clips():
    cells = np.array([0.0, 1.0, 2.0, 3.0, np.nan])  # four cells of 2.5 s
    assert _clip_scores(cells, 10.0, None).tolist() == [0, 1, 2, 3]
    assert _clip_scores(cells, 10.0, 2.0).tolist() == [0, 1, 2, 2, 3]  # middles 1, 3, 5, 7, 9 s
    assert _clip_scores(cells, 10.0, 30.0).tolist() == [3]


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--clip-length", "0"], "a clip lasts more than 0 seconds"), (["--nms", "1.5"], "lies between 0 and 1")],
)
def test_numbers_out_of_range_are_refused(options, said, tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path), *options]) == 2
    assert said in capsys.readouterr().err


def test_other_families_are_refused_before_their_data_is_read(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"schema": 1, "method": "co2net", "settings": {}}))
    assert cli.main(["predict", str(tmp_path)]) == 2
    assert "'co2net' gives none" in capsys.readouterr().err
