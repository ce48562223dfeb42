"""Data sets of JSON lines: what is read from the circulating layouts, what trains, and what is scored."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.detr.batches import detr_batch
from tests.detr.line_folders import LAYOUTS, write_lines
from vmlkit import cli
from vmlkit.config import with_overrides
from vmlkit.data.annotations.detr_jsonl import annotation_from, read_queries
from vmlkit.data.sources import Splits, load
from vmlkit.detr.batches import Targets, clip_noise, draw_clips
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.lines import rated_clips
from vmlkit.detr.method import Supervision, rated
from vmlkit.detr.sources import DETR_MOMENTS
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import task_of
from vmlkit.methods import preset

SHORT = ("--set", "train.epochs=1", "--set", "train.batch_size=4", "--set", "train.probe_queries=2")


def data_of(folder: Path, name: str, method: str = "qd-detr", **changes: Any) -> Any:
    where = {"annotations": str(folder), **changes}
    if not name.startswith("planted:"):
        where.setdefault("features", str(folder / "features"))
    return with_overrides(preset(method, name, "paper").data, where)


def loaded(folder: Path, name: str, **changes: Any) -> Splits[DetrDataset]:
    return load(data_of(folder, name, **changes), view=DETR_MOMENTS, progress=False)


@pytest.fixture
def qvhighlights(tmp_path: Path) -> Path:
    write_lines(tmp_path, "qvhighlights")
    return tmp_path


def test_clips_are_the_joined_unit_rows_of_each_kind_and_keep_their_number(qvhighlights):
    splits = loaded(qvhighlights, "qvhighlights")
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [12, 6, 6]
    assert splits.train.counts.tolist() == [8, 9, 10, 8, 9, 10]
    batch = splits.train.batch([0, 2])
    assert batch.frames.shape == (2, 9, 12)
    assert batch.frame_mask.sum(1).tolist() == [8, 9]
    slow, clip = (
        np.load(qvhighlights / "features" / kind / "highlight_train_release_0.npz")["features"]
        for kind in ("slowfast_features", "clip_features")
    )
    unit = [rows[:8] / (np.linalg.norm(rows[:8], axis=1, keepdims=True) + 1e-5) for rows in (slow, clip)]
    np.testing.assert_allclose(batch.frames[0, :8, :10], np.concatenate(unit, axis=1), rtol=1e-5)
    np.testing.assert_allclose(batch.frames[0, :8, 10], np.arange(8) / 8)
    assert not batch.frames[0, 8].any()
    whole = splits.train.batch([0, 2], static=True)
    assert whole.frames.shape == (2, 10, 12)
    torch.testing.assert_close(whole.frames[:, :9], batch.frames)


def test_features_may_lie_in_memory_at_half_precision(qvhighlights):
    whole, half = (loaded(qvhighlights, "qvhighlights", feature_dtype=f"float{n}").train for n in (32, 16))
    assert half.frames.dtype == torch.float16
    assert half.batch([0]).frames.dtype == torch.float32
    torch.testing.assert_close(half.batch([0]).frames, whole.batch([0]).frames, atol=1e-3, rtol=0)
    path = qvhighlights / "features/clip_features/highlight_train_release_0.npz"
    np.savez(path, features=np.full((9, 4), 1e9, dtype=np.float32))
    with pytest.raises(DataError, match="exceeds the range of float16"):
        loaded(qvhighlights, "qvhighlights", feature_dtype="float16", unit_rows=False)


def test_words_are_the_unit_token_states_of_the_query(qvhighlights):
    splits = loaded(qvhighlights, "qvhighlights")
    qid = splits.train.lines.queries[3].qid
    states = np.load(qvhighlights / "features" / "clip_text_features" / f"qid{qid}.npz")["last_hidden_state"]
    batch = splits.train.batch([3])
    expected = states / (np.linalg.norm(states, axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(batch.words[0][batch.word_mask[0]], expected, rtol=1e-5)
    assert splits.words.line.endswith("clip_text_features")
    assert not splits.words.random
    assert len(loaded(qvhighlights, "qvhighlights", max_words=3).train.batch([3]).words[0]) == 3


def test_windows_and_ratings_train(qvhighlights):
    train = loaded(qvhighlights, "qvhighlights").train
    batch = train.batch([0, 1], with_spans=True)
    assert batch.window_mask.tolist() == [[True, True], [True, False]]
    # 8 clips of 2 s: [2, 6] and [10, 12]; [2, 8]
    torch.testing.assert_close(batch.windows[0], torch.tensor([[4 / 16, 4 / 16], [11 / 16, 2 / 16]]))
    torch.testing.assert_close(batch.windows[1, 0], torch.tensor([5 / 16, 6 / 16]))
    scores = [sum(row) for row in train.lines.queries[0].saliency_scores]
    expected = [torch.nan, *scores[:2], torch.nan, torch.nan, scores[2], torch.nan, torch.nan]
    torch.testing.assert_close(batch.ratings[0], torch.tensor(expected), equal_nan=True)
    assert train.batch([0]).windows is None
    assert train.inside()[0].tolist() == [False, True, True, False, False, True, False, False, False, False]


def test_a_relevant_clip_beyond_the_features_counts_for_the_last_one():
    query = annotation_from(
        {
            "qid": 1, "query": "q", "vid": "v", "duration": 8, "relevant_windows": [[4, 8]],
            "relevant_clip_ids": [2, 3], "saliency_scores": [[1, 1, 1], [4, 4, 4]],
        }
    )  # fmt: skip
    torch.testing.assert_close(
        rated_clips([query], [3], 4)[0, :3], torch.tensor([torch.nan, torch.nan, 12.0]), equal_nan=True
    )


def test_tvsum_sums_twenty_annotators_to_the_scale_of_qvhighlights():
    fields = {"qid": "v", "query": "q", "vid": "v", "duration": 6, "domain": "BK"}
    query = annotation_from({**fields, "label": [[1.0] * 20, [5.0] * 20, [3.0] * 20]})
    assert rated_clips([query], [3], 3)[0].tolist() == pytest.approx([0, 12, 6])
    binary = annotation_from({**fields, "label": [[0], [1], [1]]})
    assert rated_clips([binary], [3], 3, binary=True)[0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("branches", [0, 2])
def test_saliency_pairs_are_the_best_against_the_worst_and_a_relevant_against_another_clip(branches):
    nan = torch.nan
    ratings = torch.tensor([[nan, 3.0, 9.0, nan, 1.0], [2.0, 7.0, 4.0, nan, nan]])
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    batch = dataclasses.replace(detr_batch(), frame_mask=mask, ratings=ratings)
    targets = Targets(torch.full((2, 1, 2), 0.5), torch.ones(2, 1, dtype=torch.bool))
    inside = ~ratings.isnan()
    seen: set[tuple[int, int]] = set()
    for seed in range(30):
        noise = clip_noise(mask, torch.Generator().manual_seed(seed))
        salient, other = draw_clips(torch.stack((inside, mask & ~inside)), noise).unbind(0)
        drawn = Supervision(targets, inside, salient, other, inside.float())
        if branches:
            lists = {f.name: torch.stack([getattr(drawn, f.name)] * branches) for f in dataclasses.fields(drawn)[1:]}
            both = rated(dataclasses.replace(drawn, **lists), batch, mask)
            assert both.salient[1].tolist() == salient.tolist(), "the other branch keeps its draws"
            truth = Supervision(targets, *(getattr(both, f.name)[0] for f in dataclasses.fields(drawn)[1:]))
        else:
            truth = rated(drawn, batch, mask)
        assert truth.salient[:, 0].tolist() == [2, 1]
        assert truth.other[:, 0].tolist() == [4, 0]
        assert (truth.salient[1, 1], truth.other[1, 1]) == (1, 0), "every clip is relevant: the first pair twice"
        seen.add((int(truth.salient[0, 1]), int(truth.other[0, 1])))
    assert {a for a, _ in seen} == {1, 2, 4}
    assert {b for _, b in seen} == {0, 3}
    assert truth.levels[0].tolist() == [0, 3, 9, 0, 1]


def test_more_windows_than_train_are_drawn_in_the_order_of_the_file(qvhighlights):
    train = loaded(qvhighlights, "qvhighlights").train
    draw = train.draw([0, 1])
    assert train.fewer_windows(draw, 2, torch.Generator()) is draw
    whole = train.gather(draw, with_spans=True)
    firsts = set()
    for seed in range(20):
        drawn = train.fewer_windows(draw, 1, torch.Generator().manual_seed(seed))
        one = train.gather(drawn, with_spans=True)
        assert one.windows.shape == (2, 1, 2)
        torch.testing.assert_close(one.windows[1], whole.windows[1, :1])
        firsts.add(float(one.windows[0, 0, 0]))
    assert firsts == set(whole.windows[0, :, 0].tolist())
    task = task_of(preset("qd-detr", "qvhighlights", "ci"))
    few = dataclasses.replace(train, lines=dataclasses.replace(train.lines, max_windows=1))
    assert task.batch(few, torch.tensor([0, 1]), seed=3).windows.shape == (2, 1, 2)


def test_a_test_file_without_labels_is_said_and_predictions_are_written(qvhighlights, capsys):
    labelled = qvhighlights / "highlight_test_with_gt.jsonl"
    rows = [json.loads(line) for line in labelled.read_text().splitlines()]
    labelled.unlink()
    held_back = [{key: row[key] for key in ("qid", "query", "vid", "duration")} for row in rows]
    (qvhighlights / "highlight_test_release.jsonl").write_text("".join(json.dumps(r) + "\n" for r in held_back))
    where = ["--annotations", str(qvhighlights), "--features", str(qvhighlights / "features")]
    run = str(qvhighlights / "run")
    assert cli.main(["train", "moment-detr", "--data", "qvhighlights", *where, "--run-dir", run, *SHORT]) == 0
    said = capsys.readouterr()
    assert "highlight_test_release.jsonl has no labels: the test split is not scored" in said.err
    assert "the test split (6 queries) has no labels" in said.out
    assert "on the validation split, percent; epoch 1, validation mAP: R@1,IoU=0.3" in said.out
    metrics = json.loads((qvhighlights / "run" / "metrics.json").read_text())
    assert (metrics["test"], metrics["baselines"]) == ({}, {})
    assert metrics["validation"]["mAP"] >= 0
    out = qvhighlights / "test.jsonl"
    assert cli.main(["predict", run, "--out", str(out)]) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [a["qid"] for a in answers] == [row["qid"] for row in rows]
    assert all(w[0] % 2 == w[1] % 2 == 0 for a in answers for w in a["pred_relevant_windows"])


@pytest.mark.parametrize("name", ["qvhighlights", "charades_cd", "tacos", "tvsum", "youtube_highlights"])
def test_the_file_of_predictions_scores_exactly_as_the_run(name, tmp_path, capsys):
    where = write_lines(tmp_path, name)
    run, out = str(tmp_path / "run"), tmp_path / "answers.jsonl"
    assert cli.main(["train", "qd-detr", "--data", name, "--quiet", *where, "--run-dir", run, *SHORT]) == 0
    assert cli.main(["predict", run, "--out", str(out)]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    result = tmp_path / "scores.json"
    if name != "charades_cd":
        truth = tmp_path / list(LAYOUTS[name].files)[-1]
        assert cli.main(["evaluate", str(out), "--ground-truth", str(truth), "--json", str(result)]) == 0
        found = json.loads(result.read_text())["metrics"]
        if "full" in found:
            assert found["full"]["MR-mAP"]["average"] == pytest.approx(100 * metrics["mAP"], abs=1e-9)
            assert found["full"]["MR-R1"]["0.5"] == pytest.approx(100 * metrics["R@1,IoU=0.5"], abs=1e-9)
        else:
            assert found["brief"]["mAP"] == metrics["mAP"]
        if name == "qvhighlights":
            assert found["HL-min-Good"]["HL-mAP"] == pytest.approx(100 * metrics["HL mAP (Good)"], abs=1e-9)
    capsys.readouterr()
    assert cli.main(["evaluate", str(out), "--run", run]) == 0
    shown = capsys.readouterr().out
    (equal, every) = re.search(r"(\d+) of (\d+) metrics are the run's own", shown).groups()
    assert equal == every, shown


@pytest.mark.parametrize("name", LAYOUTS)
def test_absent_files_are_named_with_the_place_where_they_are_published(name, tmp_path):
    write_lines(tmp_path, name)
    corpus = data_of(tmp_path, name).corpus
    with pytest.raises(DataError, match="no clip features were named") as error:
        loaded(tmp_path, name, features=None)
    assert corpus.features_at in str(error.value)
    with pytest.raises(DataError, match="no such folder of features") as error:
        loaded(tmp_path, name, features=str(tmp_path / "nowhere"))
    assert corpus.features_at in str(error.value)
    file = next(iter(LAYOUTS[name].files))
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match="there is no") as error:
        loaded(tmp_path, name)
    assert corpus.annotations_at in str(error.value)
    assert file in str(error.value)


def test_a_kind_of_features_that_is_not_there_is_named(qvhighlights):
    with pytest.raises(DataError, match=r"no features of the kind 'c3d' \(looked for c3d, c3d_features\)"):
        loaded(qvhighlights, "qvhighlights", kinds=("slowfast", "c3d"))
    alone = loaded(qvhighlights, "qvhighlights", kinds=("clip",), features=str(qvhighlights / "features/clip_features"))
    assert alone.train.frames.shape[-1] == 4


def test_videos_and_sentences_without_features_are_left_out_and_counted_or_refused(qvhighlights, capsys):
    (qvhighlights / "features/clip_features/highlight_train_release_0.npz").unlink()
    (qvhighlights / "features/clip_text_features/qid2.npz").unlink()
    splits = loaded(qvhighlights, "qvhighlights")
    assert len(splits.train) == 9
    lost = {entry["what"]: entry["count"] for entry in splits.account()["left_out"]["train"]}
    assert lost["videos have no features"] == 1
    assert lost["queries ask about a video without features"] == 2
    assert lost["sentences have no token states"] == 1
    assert "1 of 6 videos have no features" in capsys.readouterr().err
    with pytest.raises(DataError, match="videos have no features"):
        loaded(qvhighlights, "qvhighlights", missing="refuse")
    for path in (qvhighlights / "features/clip_text_features").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="none of the 12 queries of the train split"):
        loaded(qvhighlights, "qvhighlights")


def test_features_of_another_clip_length_are_refused(qvhighlights):
    for path in (qvhighlights / "features/slowfast_features").iterdir():
        np.savez(path, features=np.ones((40, 6), dtype=np.float32))
    for path in (qvhighlights / "features/clip_features").iterdir():
        np.savez(path, features=np.ones((40, 4), dtype=np.float32))
    with pytest.raises(DataError, match=r"data\.seconds_per_row"):
        loaded(qvhighlights, "qvhighlights")


def test_without_token_states_words_have_vectors_or_are_said_to_be_random(qvhighlights, capsys):
    vectors = qvhighlights / "glove.txt"
    words = {w for f in qvhighlights.glob("*.jsonl") for q in read_queries(f).queries for w in q.query.lower().split()}
    vectors.write_text("".join(f"{word} {i} 1.0\n" for i, word in enumerate(sorted(words))))
    given = loaded(qvhighlights, "qvhighlights", word_vectors=str(vectors))
    assert given.train.vectors.shape[-1] == 2
    assert not given.words.random
    for path in (qvhighlights / "features/clip_text_features").iterdir():
        path.unlink()
    (qvhighlights / "features/clip_text_features").rmdir()
    capsys.readouterr()
    random = loaded(qvhighlights, "qvhighlights")
    assert random.train.vectors.shape[-1] == 300
    assert "NO WORD VECTORS" in capsys.readouterr().err
    assert "NO WORD VECTORS" in random.account()["words"]


def test_an_encoder_answers_for_the_sentences(qvhighlights, tmp_path_factory, monkeypatch):
    from tests.text.encoders import save_encoder

    sentences = [q.query for f in qvhighlights.glob("*.jsonl") for q in read_queries(f).queries]
    folder = save_encoder(tmp_path_factory.mktemp("encoder"), sentences, "clip")
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    splits = loaded(qvhighlights, "qvhighlights", text_features=str(folder))
    assert splits.train.vectors.shape[-1] == 16
    batch = splits.train.batch([0])
    assert batch.words[0].norm(dim=-1)[batch.word_mask[0]].tolist() == pytest.approx([1.0] * 7, abs=1e-3)


def test_videos_of_training_are_set_aside_where_there_is_no_validation_file(tmp_path):
    write_lines(tmp_path, "charades_sta")
    splits = loaded(tmp_path, "charades_sta")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (14, 2, 6)
    assert not set(splits.train.video_ids) & set(splits.validation.video_ids)
    assert any("has no validation file" in note for note in splits.notes)


def test_charades_cd_reports_its_halves_and_what_its_protocol_does_not_score(tmp_path):
    write_lines(tmp_path, "charades_cd")
    path = tmp_path / "test_ood.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0] |= {"duration": 120.0, "relevant_windows": [[90.0, 100.0]]}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = loaded(tmp_path, "charades_cd")
    assert {name: int(rows.sum()) for name, rows in splits.test.groups.items()} == {"iid": 6, "ood": 6}
    (entry,) = (e for e in splits.account()["left_out"]["test"] if e["done"] == "are not scored")
    assert (entry["count"], entry["of"]) == (1, 12)


def test_a_domain_trains_alone_and_an_unknown_one_is_refused(tmp_path):
    write_lines(tmp_path, "tvsum")
    splits = loaded(tmp_path, "tvsum", domain="BK")
    assert {q.domain for q in splits.test.lines.queries} == {"BK"}
    assert splits.train.frames.shape[-1] == 12  # both streams
    with pytest.raises(ConfigError, match=r"'data\.domain' is 'XX': .* has BK, VU"):
        loaded(tmp_path, "tvsum", domain="XX")
    assert any("one model for all domains" in note for note in loaded(tmp_path, "tvsum").notes)


def test_another_test_file_is_chosen_by_its_name(tmp_path):
    write_lines(tmp_path, "activitynet_captions")
    rows = (tmp_path / "activitynet_val_release.jsonl").read_text().splitlines()[:2]
    (tmp_path / "val_2.jsonl").write_text("\n".join(rows))
    assert len(loaded(tmp_path, "activitynet_captions", test_file="val_2.jsonl").test) == 2
    with pytest.raises(DataError, match=r"there is no val_3\.jsonl"):
        loaded(tmp_path, "activitynet_captions", test_file="val_3.jsonl")


def test_planted_features_carry_every_window_of_the_real_annotations(qvhighlights):
    splits = loaded(qvhighlights, "planted:qvhighlights", word_vectors=None)
    assert splits.train.counts.tolist() == [8, 9, 10, 8, 9, 10]
    assert splits.words.random
    rows = splits.train.frames[0]
    inside = splits.train.inside()[0][:8]
    code = rows[torch.from_numpy(np.flatnonzero(inside))].mean(0)
    others = rows[torch.from_numpy(np.flatnonzero(~inside))].mean(0)
    assert (rows @ code)[torch.from_numpy(np.flatnonzero(inside))].mean() > (rows @ code)[3:5].mean()
    assert code.norm() > others.norm()


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_a_planted_row_is_a_clip_however_short_the_video(qvhighlights, seconds):
    data = data_of(qvhighlights, "planted:qvhighlights", seconds_per_row=seconds)
    counts = load(data, view=DETR_MOMENTS, progress=False).train.counts
    assert counts.tolist() == [math.ceil(clips * 2 / seconds) for clips in (8, 9, 10, 8, 9, 10)]
    for name in ("fps", "least_frames"):
        with pytest.raises(ConfigError, match=rf"'planted\.{name}' does nothing here"):
            with_overrides(data, {f"planted.{name}": 3})


def test_a_subset_keeps_the_labels_of_its_queries(qvhighlights):
    train = loaded(qvhighlights, "qvhighlights").train
    some = train.subset([5, 1])
    for i, j in enumerate((5, 1)):
        one, other = some.batch([i], with_spans=True), train.batch([j], with_spans=True)
        torch.testing.assert_close(one.windows[one.window_mask], other.windows[other.window_mask])
        torch.testing.assert_close(one.ratings, other.ratings, equal_nan=True)
    assert some.lines.queries[0].qid == train.lines.queries[5].qid


@pytest.mark.parametrize(
    "name", ["qvhighlights", "charades_sta", "charades_cd", "tacos", "activitynet_captions", "tvsum"]
)
def test_published_settings(name):
    published = {
        "qvhighlights": (1e-4, 400, 200, 75, 2.0),
        "charades_sta": (2e-4, 40, 200, 75, 1.0),
        "charades_cd": (2e-4, 40, 100, 75, 1.0),
        "tacos": (2e-4, 40, 200, 1000, 2.0),
        "activitynet_captions": (1e-4, 400, 200, 75, 2.0),
        "tvsum": (1e-3, 2000, 2000, 1000, 2.0),
    }
    made = preset("qd-detr", name, "paper")
    train, data = made.train, made.data
    assert (train.lr, train.drop_epochs, train.epochs, data.clips, data.seconds_per_row) == published[name]
    assert made.model.sizes.hidden == 256
    assert made.model.supervise_windows == (name != "tvsum")
    if name != "tvsum":
        ours = preset("bm-detr", name, "paper")
        assert ours.train.epochs == (200 if name == "qvhighlights" else 100)
        assert ours.model.alignment_weight == (3.0 if name == "qvhighlights" else 1.0)
