"""The DETR family in the loop: batches, negatives, groups, and what a run directory keeps."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from tests.training import tiny
from vmlkit.data.sources import load
from vmlkit.detr.bm_detr import BMDetr, BMDetrConfig
from vmlkit.detr.dataset import EARLY, SELDOM, DetrDataset
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.methods import detr_method, detr_task
from vmlkit.detr.presets import detr_training
from vmlkit.detr.settings import DetrToyData
from vmlkit.detr.sources import DETR_MOMENTS
from vmlkit.detr.task import DetrTask, clips_of, distinct_batches
from vmlkit.methods import METHODS, preset
from vmlkit.metrics.moments import moment_metrics
from vmlkit.spans import iou
from vmlkit.training.experiment import Experiment
from vmlkit.training.final import final_evaluation
from vmlkit.training.loop import train

SIZES = DetrSizes(
    hidden=8, heads=2, feed_forward=8, encoder_layers=1, decoder_layers=1, queries=3, dropout=0.1, input_dropout=0.1
)
TRAIN = DetrDataset.of(tiny.tiny_dataset("train", 20, 0), candidates=True)
VALIDATION = DetrDataset.of(tiny.tiny_dataset("validation", 9, 1, strips=True))
TEST = DetrDataset.of(tiny.tiny_dataset("test", 10, 2), candidates=True, groups=True)
SETTINGS = BMDetrConfig(mode="paper", sizes=SIZES, alignment_size=4)
EXPERIMENT = Experiment(method="bm-detr", data=DetrToyData(), model=SETTINGS, train=detr_training(), test_draws=1)


def test_batches_carry_endpoints_windows_and_drawn_negatives() -> None:
    task, rows = detr_task(EXPERIMENT), torch.arange(12)
    batch = task.batch(TRAIN, rows, seed=3)
    assert batch.frames.shape[2] == tiny.FEATURES + 2
    assert torch.equal(batch.windows[:, 0], batch.spans)
    same, other = task.batch(TRAIN, rows, seed=3), task.batch(TRAIN, rows, seed=4)
    assert torch.equal(batch.negative_words, same.negative_words)
    assert batch.negative_words.shape != other.negative_words.shape or not torch.equal(
        batch.negative_words, other.negative_words
    )
    assert TRAIN.batch(rows).windows is None, "nobody sees windows without asking"


@pytest.mark.parametrize("source", ["same_video", "same_video_any", "other_video"])
def test_where_negative_sentences_come_from(source: str) -> None:
    texts = {tuple(w for w in row.tolist() if w): i for i, row in enumerate(TRAIN.word_ids)}
    candidates = (TRAIN.candidates.every if source == "same_video_any" else TRAIN.candidates).of
    seen = 0
    for seed, query in itertools.product(range(3), range(20)):
        draws = torch.Generator().manual_seed(seed)
        batch = TRAIN.with_negatives(TRAIN.batch([query]), torch.tensor([query]), source, draws, static=False)
        words = [
            int((TRAIN.vectors - v).abs().sum(1).argmin()) for v in batch.negative_words[0][batch.negative_mask[0]]
        ]
        rows = [i for i, row in enumerate(TRAIN.word_ids) if [w for w in row.tolist() if w] == words]
        assert tuple(words) in texts
        if source == "other_video":
            assert any(TRAIN.video_ids[i] != TRAIN.video_ids[query] for i in rows)
        elif len(candidates(query)):
            fits = [i for i in rows if i in candidates(query)]
            assert fits
            assert all(TRAIN.video_ids[i] == TRAIN.video_ids[query] for i in fits)
            apart = all(float(iou(TRAIN.spans[i], TRAIN.spans[query])) < 0.5 for i in fits)
            assert apart or source == "same_video_any"
            seen += 1
    assert source == "other_video" or seen


def test_videos_of_a_batch_are_distinct() -> None:
    for repeats, count in (("drop", None), ("defer", 20)):
        batches = DetrTask(repeats=repeats).order(TRAIN, 4, 0, 1)
        assert all(len({TRAIN.video_ids[i] for i in b.tolist()}) == len(b) for b in batches)
        rows = torch.cat(batches).tolist()
        assert len(set(rows)) == len(rows)
        assert (len(rows) == count) if count else len(rows) < 20
    assert [b.tolist() for b in distinct_batches([0, 1, 2], ("a", "a", "a"), 2, defer=True)] == [[0], [1], [2]]


def test_groups_by_where_the_moment_lies_and_by_file() -> None:
    early = TEST.spans.mean(axis=1) <= EARLY
    assert np.array_equal(TEST.groups["iid"], early)
    assert np.array_equal(TEST.subset([3, 4]).groups["ood"], ~early[[3, 4]])
    files = tuple(f"test_{'ood' if i % 2 else 'iid'}/{i}" for i in range(10))
    named = DetrDataset.of(dataclasses.replace(tiny.tiny_dataset("test", 10, 2), query_ids=files), groups=True)
    assert named.groups["ood"].tolist() == [i % 2 == 1 for i in range(10)]


def test_training_sees_early_moments_alone_or_mostly_and_always_as_many(tmp_path) -> None:
    late, sizes, tests = {}, set(), []
    for moments in ("anywhere", "early", "mostly_early", "as_they_are"):
        data = DetrToyData(clips=8, train_videos=24, validation_videos=4, test_videos=4, moments=moments)
        splits = load(data, view=DETR_MOMENTS, cache_dir=tmp_path, progress=False)
        centers = splits.train.spans.mean(axis=1)
        late[moments] = float((centers > EARLY).mean())
        tests.append(splits.test.spans)
        assert set(splits.test.groups) == (set() if moments == "anywhere" else {"iid", "ood"})
        if moments != "anywhere":
            sizes.add(len(splits.train))
    assert len(sizes) == 1
    assert late["early"] == 0
    assert late["mostly_early"] == pytest.approx(SELDOM, abs=0.5 / min(sizes))
    assert late["as_they_are"] == pytest.approx(late["anywhere"], abs=0.5 / min(sizes))
    assert all(np.array_equal(one, tests[0]) for one in tests)


def test_a_model_without_negatives_is_judged_by_the_same_product() -> None:
    task = detr_task(dataclasses.replace(EXPERIMENT, model=dataclasses.replace(SETTINGS, use_negatives=False)))
    assert (task.negatives, task.judged_with) == (None, "same_video")
    plain = dataclasses.replace(SETTINGS, background_aware=False)
    assert detr_task(dataclasses.replace(EXPERIMENT, model=plain)).judged_with is None
    torch.manual_seed(0)
    method = detr_method(BMDetr)(dataclasses.replace(SETTINGS, use_negatives=False), TRAIN)
    metrics, _ = task.evaluate(method, TEST, 0)
    assert 0 < metrics["joint,inside"] < metrics["p,inside"], "a product of two probabilities"
    assert metrics["joint,difference"] == pytest.approx(metrics["joint,inside"] - metrics["joint,outside"])


def test_a_run_records_windows_and_signals_and_reports_groups(tmp_path) -> None:
    torch.manual_seed(0)
    method, task = detr_method(BMDetr)(SETTINGS, TRAIN), detr_task(EXPERIMENT)
    config = detr_training(epochs=2, batch_size=8, probe_queries=4, threads=1, drop_epochs=1, lr=1e-2)
    description = {"name": "x", "method": "bm-detr", "settings": {}, "data": {}}
    run = train(method, TRAIN, VALIDATION, config, tmp_path / "run", description, task=task, progress=False)
    positives = run.proposals
    assert (positives["role"] == "positive").all()
    np.testing.assert_allclose(positives["weight"], np.exp(-positives["nll"]), rtol=1e-5)
    assert positives.groupby(["epoch", "query_id"], observed=True)["chosen"].sum().eq(1).all()
    assert {"saliency", "probability", "attention"} < run.clip_scores.keys()
    assert run.clip_scores["probability"].shape == (3, 4, tiny.CLIPS)
    assert run.epochs["lr/all"].tolist()[1:] == pytest.approx([1e-2, 1e-3])
    written = final_evaluation(method, run.path, TRAIN, VALIDATION, TEST, task=task)
    _, arrays = task.evaluate(method, TEST, 0)
    rows = TEST.groups["ood"]
    expected = moment_metrics(arrays.proposals[rows], arrays.order[rows], arrays.top1[rows], arrays.truth[rows])
    assert written["test"]["R@1,mIoU (ood)"] == pytest.approx(expected["R@1,mIoU"])
    assert 0 < written["test"]["joint,inside"] < written["test"]["p,inside"] < 1, "a product of two probabilities"
    assert "R@1,IoU=0.5 (iid)" in written["baselines"]["best constant window"]


def test_probability_inside_and_outside() -> None:
    inside = clips_of(np.array([[0.25, 0.75], [0.5, 0.51], [0.0, 1.0]]), 4)
    assert inside.tolist() == [[False, True, True, False], [False, True, False, False], [True] * 4] or inside[
        1
    ].tolist() == [False, False, True, False]
    assert inside.any(axis=1).all()


def test_presets_name_the_family() -> None:
    for name in ("moment-detr", "qd-detr", "bm-detr"):
        for data in ("toy", "planted:charades_cd"):
            for size in ("ci", "demo", "paper"):
                made = preset(name, data, size)
                assert isinstance(made.model, METHODS[name].config)
                assert made.train.choose_epoch_by == "R@1,IoU=0.7"
                assert made.train.clip_norm == 0.1
    assert preset("bm-detr", "planted:charades_cd", "paper").model.sizes == BMDetrConfig().sizes
