"""``vmlkit predict``: every run keeps its answers, a file of them gives the run's own numbers, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.tiny import tiny
from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.data.annotations.predictions_jsonl import read_predictions
from vmlkit.detr.windows import suppress
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import experiment_of, run_experiment, task_of
from vmlkit.experiments.predict import predict_run, score_file
from vmlkit.experiments.predicted_moments import clip_scores
from vmlkit.experiments.prediction_files import Changes, number
from vmlkit.methods import METHODS
from vmlkit.runs import RunDirectory
from vmlkit.training.final import kept_predictions

ACTIONS = [name for name, entry in METHODS.items() if "thumos14" in entry.presets]
MOMENTS = [name for name in METHODS if name not in (*ACTIONS, "p4-xclip")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory):
    """A function from the name of a method to a finished run of it, which is trained once."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def finished(method: str) -> RunDirectory:
        if method not in made:
            made[method] = run_experiment(tiny(method), folder / method, progress=False)
        return made[method]

    return finished


def splits_of(run: RunDirectory):
    return METHODS[run.config["method"]].load(experiment_of(run).data, progress=False)


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("method", METHODS)
def test_kept_answers_give_the_metrics_of_the_run(method: str, runs) -> None:
    run, splits, task = runs(method), splits_of(runs(method)), task_of(experiment_of(runs(method)))
    kept = kept_predictions(run, splits.test, task)
    assert kept is not None
    found, own = task.score(splits.test, kept), run.metrics["test"]
    assert found == {name: own[name] for name in found}
    beside = {name for name in own if "accuracy" in name}  # measured on variants of the sentences
    assert set(task.columns) & set(own) <= set(found) | beside


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv", ".json"])
@pytest.mark.parametrize("method", METHODS)
def test_a_file_scores_exactly_as_its_run(method: str, suffix: str, runs, tmp_path: Path, capsys) -> None:
    run, out, scored = runs(method), tmp_path / f"p{suffix}", tmp_path / "s.json"
    code = cli.main(["predict", str(run.path), "--out", str(out)])
    if suffix == ".json" and method not in ACTIONS:
        assert code == 2
        assert "written and read as .jsonl or .csv" in capsys.readouterr().err
        return
    assert code == 0
    assert cli.main(["evaluate", str(out), "--run", str(run.path), "--json", str(scored)]) == 0
    printed = capsys.readouterr().out
    (equal, count) = re.search(r"(\d+) of (\d+) metrics are the run's own, to the last digit", printed).groups()
    assert equal == count
    found, own = json.loads(scored.read_text())["metrics"], run.metrics["test"]
    assert found == {name: own[name] for name in found}
    asked = r"accuracy|IoN|negative|^p\b|,inside|,outside|,difference|classification|fpr|fnr"  # not of answers
    assert [name for name in own if name not in found and not re.search(asked, name)] == []


@pytest.mark.parametrize("method", ["cpl", "co2net", "p4-xclip"])
def test_the_validation_split_is_asked_again_with_the_seeds_of_the_metrics(method: str, runs, tmp_path: Path) -> None:
    run = runs(method)
    path, count = predict_run(run.path, "validation", tmp_path / "v.jsonl", progress=False)
    assert count == len(splits_of(run).validation)
    found, whole = score_file(path, run.path, "validation", progress=False)
    assert found == {name: whole["validation"][name] for name in found}
    with pytest.raises(DataError, match="is not one of this split; choose the split with --split"):
        score_file(path, run.path, "test", progress=False)


def test_answers_to_other_data_are_refused_and_runs_without_answers_are_asked_again(runs, tmp_path: Path) -> None:
    run, splits, task = runs("cnm"), splits_of(runs("cnm")), task_of(experiment_of(runs("cnm")))
    with pytest.raises(DataError, match=r"answers to another version of 'toy/validation'.*vmlkit evaluate"):
        kept_predictions(run, splits.validation, task)
    first, _ = predict_run(run.path, out=tmp_path / "a.jsonl", progress=False)
    (run.path / "predictions.npz").rename(tmp_path / "kept.npz")
    assert kept_predictions(run, splits.test, task) is None
    again, _ = predict_run(run.path, out=tmp_path / "b.jsonl", progress=False)
    (tmp_path / "kept.npz").rename(run.path / "predictions.npz")
    assert again.read_bytes() == first.read_bytes()


WRONG_ANSWERS = {
    "cnm": {
        "proposals": (None, "lacks the array 'proposals'"),
        "order": (lambda a: a.astype("M8[s]"), "another number, shape or type"),
        "top1": (lambda a: a + 99, "an answer that is none"),
        "nll": (lambda a: a[:, 1:], "another number, shape or type"),
    },
    "basnet": {
        "scores": (None, "holds other arrays than"),
        "spans": (lambda a: a[:, :1], "another shape or type"),
    },
    "p4-xclip": {"logits": (lambda a: a * np.nan, "holds no scores of")},
}


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize("method", WRONG_ANSWERS)
def test_a_file_that_holds_no_answers_to_the_split_is_refused(method: str, runs, tmp_path: Path) -> None:
    run, splits, task = runs(method), splits_of(runs(method)), task_of(experiment_of(runs(method)))
    shutil.copytree(run.path, tmp_path / "run")
    for name, (change, said) in WRONG_ANSWERS[method].items():
        arrays = dict(run.predictions)
        arrays.update({name: change(arrays[name])} if change else {})
        np.savez(tmp_path / "run" / "predictions.npz", **{n: a for n, a in arrays.items() if change or n != name})
        with pytest.raises(DataError, match=said):
            kept_predictions(RunDirectory(tmp_path / "run"), splits.test, task)


def test_a_detection_is_in_a_video_of_the_split_and_of_a_class(runs) -> None:
    run = runs("basnet")
    data, task = splits_of(run).test, task_of(experiment_of(run))
    good = {"video": np.array([0]), "spans": np.array([[0.0, 1.0]]), "labels": np.array([0]), "scores": np.array([0.5])}
    assert task.fault(data, good) is None
    wrong = {"video": [len(data)], "labels": [-1], "scores": [np.nan], "spans": [[0, np.inf]]}
    for name, value in wrong.items():
        changed = good | {name: np.array(value, dtype=good[name].dtype)}
        assert task.fault(data, changed) == "has a detection in no video, of no class or at no time"


@pytest.mark.parametrize("value", ["nan", "inf", "x", "1e999"])
def test_numbers_of_a_table_are_finite(value: str) -> None:
    with pytest.raises(DataError, match="line 3: 'score' is '" + value + "'; write a finite number"):
        number(Path("p.csv"), 3, {"score": value}, "score")


def test_draws_may_have_other_numbers_of_windows(runs, tmp_path: Path) -> None:
    run = runs("cpl")
    path, _ = predict_run(run.path, out=tmp_path / "a.jsonl", progress=False)
    first, *rest = (json.loads(line) for line in path.read_text().splitlines())
    first["pred_relevant_windows"] += first["pred_relevant_windows"][-1:]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (first, *rest)))
    (found, _), (other, _) = (score_file(tmp_path / name, run.path, progress=False) for name in ("a.jsonl", "b.jsonl"))
    assert found["R@1,mIoU"] == other["R@1,mIoU"]


def truth_of(splits, path: Path) -> Path:
    """The test split's annotations in the Moment-DETR layout."""
    data = splits.test
    rows = zip(data.query_ids, data.sentences, data.video_ids, data.durations, data.spans_s, strict=True)
    lines = [
        {"qid": q, "query": s, "vid": v, "duration": float(d), "relevant_windows": [w.tolist()]}
        for q, s, v, d, w in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_evaluation_of_files_reads_it_and_finds_the_runs_recall(runs, tmp_path: Path, capsys) -> None:
    run, out, scored = runs("moment-detr"), tmp_path / "p.jsonl", tmp_path / "s.json"
    assert cli.main(["predict", str(run.path), "--out", str(out)]) == 0
    splits = splits_of(run)
    assert capsys.readouterr().out == f"{len(splits.test)} queries of the test split: {out}\n"
    truth = truth_of(splits, tmp_path / "t.jsonl")
    assert cli.main(["evaluate", str(out), "--ground-truth", str(truth), "--json", str(scored)]) == 0
    found = json.loads(scored.read_text())["metrics"]["full"]["MR-R1"]
    for threshold in (0.3, 0.5, 0.7):
        own = run.metrics["test"][f"R@1,IoU={threshold}"]
        assert found[str(threshold)] == pytest.approx(100 * own, abs=0.006)


@pytest.mark.parametrize("method", ["moment-detr", "cpl", "cnm"])
def test_rows_are_the_official_ones(method: str, runs, tmp_path: Path) -> None:
    path, count = predict_run(runs(method).path, "validation", tmp_path / "v.jsonl", progress=False)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    data = splits_of(runs(method)).validation
    assert count == len(rows) == len(data)
    for row, qid, sentence, video, duration in zip(
        rows, data.query_ids, data.sentences, data.video_ids, data.durations, strict=True
    ):
        assert list(row)[:4] == ["qid", "query", "vid", "pred_relevant_windows"]
        assert (row["qid"], row["query"], row["vid"]) == (qid, sentence, video)
        windows = np.array(row["pred_relevant_windows"])
        assert (windows[:, 0] >= 0).all()
        assert (windows[:, 1] <= duration).all()
        assert (np.diff(windows[1:, 2]) < 0).all(), "after the answer, the others follow by score"
        assert len(row.get("pred_saliency_scores", ())) == (data.frames.shape[1] if method == "moment-detr" else 0)
        assert len(row.get("other_draws", ())) == (0 if method == "moment-detr" else 1)


@pytest.mark.parametrize("method", ["moment-detr", "cpl"])
def test_windows_are_rounded_to_clips_and_thinned_out(method: str, runs, tmp_path: Path) -> None:
    run = runs(method).path
    plain, _ = predict_run(run, out=tmp_path / "p.jsonl.gz", progress=False)
    rounded, _ = predict_run(run, out=tmp_path / "r.jsonl", changes=Changes(clip_length=2.0), progress=False)
    thinned, _ = predict_run(run, out=tmp_path / "n.jsonl", changes=Changes(nms=0.3), progress=False)
    best, _ = predict_run(run, out=tmp_path / "t.jsonl", changes=Changes(top=2), progress=False)
    for exact, whole, few, two in zip(*map(read_predictions, (plain, rounded, thinned, best)), strict=True):
        assert (whole.windows_s[:, :2] % 2 == 0).all()
        assert np.abs(whole.windows_s[:, :2] - exact.windows_s[:, :2]).max() <= 1 + 1e-6
        assert few.windows_s.tolist() == suppress(exact.windows_s[:10].tolist(), 0.3)
        assert two.windows_s.tolist() == exact.windows_s[:2].tolist()
    assert 0 <= score_file(thinned, run, progress=False)[0]["R@1,mIoU"] <= 1


def test_detections_are_activitynets_and_thinned_out_within_a_class(runs, tmp_path: Path) -> None:
    run = runs("co2net").path
    path, count = predict_run(run, out=tmp_path / "p.json", progress=False)
    whole = json.loads(path.read_text())
    data = splits_of(runs("co2net")).test
    assert list(whole) == ["version", "results", "external_data"]
    assert list(whole["results"]) == list(data.video_ids)
    assert count == len(data)
    assert {name for found in whole["results"].values() for row in found for name in row} == {
        "segment", "label", "score",
    }  # fmt: skip
    thinned, _ = predict_run(run, out=tmp_path / "n.json", changes=Changes(nms=0.2, top=3), progress=False)
    for before, after in zip(
        whole["results"].values(), json.loads(thinned.read_text())["results"].values(), strict=True
    ):
        assert len(after) <= 3
        assert all(row in before for row in after)
        for i, a in enumerate(after):
            for b in after[:i]:
                if a["label"] == b["label"]:
                    low, high = max(a["segment"][0], b["segment"][0]), min(a["segment"][1], b["segment"][1])
                    assert high - low < 0.3 * (a["segment"][1] - a["segment"][0] + b["segment"][1] - b["segment"][0])


def test_bounds_in_snippets_survive_the_way_through_seconds(tmp_path: Path) -> None:
    experiment = with_overrides(tiny("co2net"), {"model.protocol": "p3"})
    run = run_experiment(experiment, tmp_path / "run", progress=False)
    for suffix in (".json", ".jsonl", ".csv"):
        path, _ = predict_run(run.path, out=tmp_path / f"p{suffix}", progress=False)
        found, whole = score_file(path, run.path, progress=False)
        assert found == {name: whole["test"][name] for name in found}


def test_rankings_are_whole_and_may_be_cut(runs, tmp_path: Path) -> None:
    run = runs("p4-xclip").path
    path, _ = predict_run(run, out=tmp_path / "p.jsonl", progress=False)
    cut, _ = predict_run(run, out=tmp_path / "c.jsonl", changes=Changes(top=1), progress=False)
    videos = set(splits_of(runs("p4-xclip")).test.video_ids)
    for line, short in zip(path.read_text().splitlines(), cut.read_text().splitlines(), strict=True):
        ranking = json.loads(line)["pred_videos"]
        assert {vid for vid, _ in ranking} == videos
        assert [score for _, score in ranking] == sorted((score for _, score in ranking), reverse=True)
        assert json.loads(short)["pred_videos"] == ranking[:1]
    found, whole = score_file(cut, run, progress=False)
    assert found["t2v R@1"] == whole["test"]["t2v R@1"]


def test_clip_scores_of_whole_clips() -> None:
    cells = np.array([0.0, 1.0, 2.0, 3.0, np.nan])  # four cells of 2.5 s
    assert clip_scores(cells, 10.0, None).tolist() == [0, 1, 2, 3]
    assert clip_scores(cells, 10.0, 2.0).tolist() == [0, 1, 2, 2, 3]  # middles 1, 3, 5, 7, 9 s
    assert clip_scores(cells, 10.0, 30.0).tolist() == [3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--clip-length", "0"], "a clip lasts more than 0 seconds"),
        (["--nms", "1.5"], "lies between 0 and 1"),
        (["--top", "0"], "keep at least one"),
    ],
)
def test_numbers_out_of_range_are_refused(options: list[str], said: str, tmp_path: Path, capsys) -> None:
    assert cli.main(["predict", str(tmp_path), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "change", "said"),
    [
        ("co2net", {"clip_length": 2.0}, "--clip-length does nothing to detected actions"),
        ("p4-xclip", {"nms": 0.5}, "--nms does nothing to rankings of videos"),
    ],
)
def test_a_change_that_does_nothing_is_refused(method: str, change: dict, said: str, runs, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        predict_run(runs(method).path, out=tmp_path / "p.jsonl", changes=Changes(**change), progress=False)
    assert not (tmp_path / "p.jsonl").exists()


@pytest.mark.parametrize(
    ("method", "name", "text", "said"),
    [
        ("cnm", "p.jsonl", '{"qid": "x", "pred_relevant_windows": [[0, 1, 1]]}\n', "query 'x' is not one of this"),
        ("cnm", "p.csv", "qid,query,vid,draw,rank,start,end\n", "lacks the column 'score'"),
        ("cnm", "p.csv", "qid,query,vid,draw,rank,start,end,score\nq,s,v,0,1,a,2,1\n", "line 2: 'start' is 'a'"),
        ("cnm", "p.csv", "qid,query,vid,draw,rank,start,end,score\nq,s\n", "line 2 has another number of fields"),
        ("co2net", "p.json", "[]", "has no object 'results'"),
        ("co2net", "p.json", "{", "is not valid JSON"),
        ("co2net", "p.jsonl", '{"vid": "v", "detections": [1]}\n', "'detections' is no list of objects"),
        ("co2net", "p.jsonl", '{"vid": "v", "detections": []}\n', None),
        ("co2net", "p.jsonl", '{"vid": "v", "detections": [{"segment": [1], "score": 1}]}\n', "field 'segment'"),
        ("co2net", "p.json", '{"results": {"v": [{"segment": [1, 2], "score": 1, "label": "x"}]}}', "video 'v'"),
        ("p4-xclip", "p.jsonl", '{"qid": "q", "pred_videos": [["v"]]}\n', "is no list of .video, score."),
        ("p4-xclip", "p.csv", "qid,query,rank,vid,score\n", "holds no ranking"),
    ],
)  # fmt: skip
def test_broken_files_are_named(method: str, name: str, text: str, said: str | None, runs, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    if said is None:
        assert score_file(tmp_path / name, runs(method).path, progress=False)[0]["mAP@0.5"] == 0
        return
    with pytest.raises(DataError, match=said):
        score_file(tmp_path / name, runs(method).path, progress=False)


def test_a_query_without_prediction_is_named(runs, tmp_path: Path) -> None:
    path, _ = predict_run(runs("cnm").path, out=tmp_path / "p.jsonl", progress=False)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=f"no prediction for the query '{json.loads(lines[-1])['qid']}'"):
        score_file(path, runs("cnm").path, progress=False)
    fewer = json.loads(lines[-1]) | {"other_draws": []}
    path.write_text("".join(lines[:-1]) + json.dumps(fewer) + "\n")
    with pytest.raises(DataError, match="another number of draws"):
        score_file(path, runs("cnm").path, progress=False)
