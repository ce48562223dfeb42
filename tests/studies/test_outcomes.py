"""Outcomes per question say what the metrics of a run say."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.studies.tiny import tiny
from vmlkit.actions.detection import detection_map, without_each_video
from vmlkit.actions.detections import Detections
from vmlkit.components.ranking import retrieval_metrics
from vmlkit.components.retrieval import caption_rows
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import task_of
from vmlkit.methods import METHODS, preset
from vmlkit.studies import outcomes as kept
from vmlkit.studies.cells import Store, cells_of
from vmlkit.studies.progress import epochs, status
from vmlkit.training.evaluate import score_kept
from vmlkit.training.final import kept_predictions

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.29, 0.57)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_stored_iou_stays_on_its_side_of_a_threshold(threshold: float) -> None:
    rng = np.random.default_rng(0)
    edges = np.array([threshold, np.nextafter(threshold, 0), np.nextafter(threshold, 1), 0.0, 1.0])
    iou = np.concatenate([edges[2:], edges[:1], rng.random(2000)])
    assert ((kept.stored(iou).astype(np.float64) >= threshold) == (iou >= threshold)).all()
    assert np.abs(kept.stored(iou) - iou).max() < 0.0055
    assert len(np.unique(kept.stored(rng.random(10**5)))) <= kept.STEPS + 1, "a byte each"


def test_means_of_outcomes_are_the_metrics_over_all_draws(once: Path) -> None:
    store, cell = Store(once / "runs"), cells_of(tiny())[0]
    test = METHODS["cpl"].load(cell.row.experiment.data, progress=False).test
    answers = kept_predictions(store.run(cell), test, task_of(cell.experiment))
    assert answers is not None
    # the answer to every other query is another one in the second draw, and another again in the third
    answers = {**answers, "top1": (answers["top1"] + np.arange(3)[:, None] * (np.arange(len(test)) % 2)) % 4}
    wanted = score_kept(answers, test.spans)
    frame = kept.outcomes(task_of(cell.experiment), test, answers).assign(row="CPL", seed=0)
    assert frame["iou1, draw 2"].notna().any()
    assert frame["iou1, draw 3"].isna().any()
    for name, value in wanted.items():
        found = kept.metric_outcomes(frame, name)
        assert found is not None
        near = 0.003 if "mIoU" in name else 1e-9
        assert found["value"].mean() == pytest.approx(value, abs=near), name
    assert kept.metric_outcomes(frame, "R@1,mIoN") is None
    assert kept.metric_outcomes(frame, "mAP@0.5") is None
    assert tuple(frame["video"]) == test.video_ids
    own = store.outcomes(cell).assign(row="CPL", seed=0)
    assert list(own.columns) == list(frame.columns)
    for name, value in store.run(cell).metrics["test"].items():
        if (found := kept.metric_outcomes(own, name)) is not None:
            assert found["value"].mean() == pytest.approx(value, abs=0.003), name


def test_a_cell_of_a_stranger_is_held_against_its_layout(once: Path, tmp_path: Path) -> None:
    shutil.copytree(once / "runs", tmp_path / "runs")
    store, cell = Store(tmp_path / "runs"), cells_of(tiny())[0]
    folder, log = store.folder(cell), tmp_path / "runs" / f"{cell.key}.log"
    known = json.loads((folder / "cell.json").read_text())
    for wrong, said in (([], "a list of 0"), ({**known, "test": {"R@1,mIoU": "x"}}, "'test.R@1,mIoU' is 'x'"),
                        ({k: v for k, v in known.items() if k != "selection"}, "'selection' is missing")):  # fmt: skip
        (folder / "cell.json").write_text(json.dumps(wrong))
        with pytest.raises(DataError, match=re.escape(said)):
            store.finished(cell)
    (folder / "cell.json").unlink()
    (folder / "state.json").write_text('{"epochs": 3}')
    log.write_text('[1]\n{"event": "fail"}\n{"event": 3}\n')
    assert store.events(cell) == [{"event": "fail"}]
    assert epochs(cell, store) == "seed 0"
    assert "it does not say why" in status([cell], store)


def test_baselines_have_the_metrics_that_runs_print(once: Path) -> None:
    store, cell = Store(once / "runs"), cells_of(tiny())[0]
    summary = store.summary(cell)
    assert summary is not None
    frame = store.baselines(summary["baselines"])
    assert frame is not None
    printed = store.run(cell).metrics["baselines"]
    assert set(frame["row"]) == set(printed)
    fixed = frame[frame["seed"] == -1]
    assert set(fixed["row"]) == {"whole video", "best constant window", "best constant window (IoU=0.5)"}
    for name, own in fixed.groupby("row"):
        for metric in ("R@1,IoU=0.5", "R@5,IoU=0.3"):
            found = kept.metric_outcomes(own, metric)
            assert found is not None
            assert found["value"].mean() == pytest.approx(printed[name][metric])
    assert frame[frame["row"] == "uniform random"]["seed"].nunique() == kept.DRAWS


def test_a_group_counts_alone() -> None:
    frame = pd.DataFrame({"row": "A", "seed": 0, "query": range(4), "video": list("aabb")})
    frame = frame.assign(group=["iid", "ood", "ood", "iid"], iou1=[0.9, 0.6, 0.2, 0.1])
    found = kept.metric_outcomes(frame, "R@1,IoU=0.5 (ood)")
    assert found is not None
    assert found["value"].tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="no question is of the group 'far'"):
        kept.metric_outcomes(frame, "R@1,mIoU (far)")


def test_ranks_give_the_metrics_of_retrieval_in_both_directions() -> None:
    small = {"data.train_videos": 4, "data.validation_videos": 2, "data.test_videos": 6}
    experiment = with_overrides(preset("p4-xclip", "toy", "ci"), small)
    test = METHODS["p4-xclip"].load(experiment.data, progress=False).test
    owner = caption_rows(test)
    logits = np.random.default_rng(0).normal(size=(len(test), owner.max() + 1)).astype(np.float32)
    frame = kept.outcomes(task_of(experiment), test, {"logits": logits}).assign(row="A", seed=0)
    wanted = retrieval_metrics(logits, owner)
    for name in ("t2v R@1", "t2v R@5", "v2t R@1", "v2t R@5", "t2v MnR", "v2t MnR"):
        found = kept.metric_outcomes(frame, name)
        assert found is not None
        scale = 100 if "R@" in name else 1
        assert scale * found["value"].mean() == pytest.approx(wanted[name]), name
    assert kept.metric_outcomes(frame, "v2t R@1")["query"].nunique() == owner.max() + 1  # type: ignore[index]
    chance = kept.baseline_outcomes(task_of(experiment), test, test)
    assert set(chance["row"]) == {"chance"}
    assert chance["rank"].max() <= owner.max()


def test_influences_have_the_metric_as_mean_and_the_jackknife_as_variance() -> None:
    small = {"data.train_videos": 4, "data.validation_videos": 2, "data.test_videos": 12}
    experiment = with_overrides(preset("basnet", "toy", "ci"), small)
    test = METHODS["basnet"].load(experiment.data, progress=False).test
    task, rng = task_of(experiment), np.random.default_rng(0)
    videos = rng.integers(len(test), size=80)
    found = Detections(
        video=videos,
        spans=np.sort(rng.random((80, 2)), axis=1) * test.durations[videos][:, None],
        labels=rng.integers(len(test.classes), size=80),
        scores=rng.random(80),
        unit=task.unit,  # type: ignore[attr-defined]
    )
    columns = {name: getattr(found, name) for name in ("video", "spans", "labels", "scores")}
    frame = kept.outcomes(task, test, columns).assign(row="A", seed=0)
    truth = test.truth_under(task.protocol)  # type: ignore[attr-defined]

    def metric(keep: np.ndarray) -> float:
        part, wanted = found.where(keep[found.video]), truth.where(keep[truth.video])
        return detection_map(part, wanted, task.protocol).metrics()["mAP@0.1"]  # type: ignore[attr-defined]

    every = np.ones(len(test), dtype=bool)
    without = np.array([metric(every & (np.arange(len(test)) != v)) for v in range(len(test))])
    value = kept.metric_outcomes(frame, "mAP@0.1")["value"]  # type: ignore[index]
    assert value.mean() == pytest.approx(metric(every), abs=1e-6)
    fast = [rest.metrics()["mAP@0.1"] for rest in without_each_video(found, truth, task.protocol)]  # type: ignore[attr-defined]
    assert fast == without.tolist(), "to the same bits as with one video less"
    count = len(test)
    jackknife = (count - 1) / count * ((without - without.mean()) ** 2).sum()
    assert jackknife > 0
    assert value.var(ddof=1) / count == pytest.approx(jackknife, rel=1e-4)
    rounded = kept.stored_influence(value.to_numpy())
    assert np.array_equal(kept.stored_influence(rounded), rounded), "files that are merged are not rounded once more"
    assert rounded.astype(float).mean() == pytest.approx(metric(every), abs=3 * 0.003 / count**0.5)
    assert rounded.astype(float).var(ddof=1) / count == pytest.approx(jackknife, rel=0.02)


@pytest.mark.parametrize(("labelled", "lacks"), [(True, "moments"), (False, "labels")])
def test_lines_that_have_no_moments_to_score_are_refused(labelled: bool, lacks: str) -> None:
    lines = SimpleNamespace(has_windows=not labelled, labelled=labelled)
    with pytest.raises(ConfigError, match=f"the test part of 'tvsum/val' has no {lacks}"):
        kept.check(task_of(preset("cpl")), SimpleNamespace(lines=lines, name="tvsum/val"))
