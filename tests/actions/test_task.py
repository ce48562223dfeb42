"""Action localisation in the shared loop: batches, detections, what is recorded, baselines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.actions.baselines import NAMES
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detection import detection_map
from vmlkit.actions.frame_rates import going_on_classes
from vmlkit.actions.methods import make_action
from vmlkit.actions.sources import ACTIONS
from vmlkit.actions.task import ActionTask, Activation, frame_rates, queries_of, windows_of
from vmlkit.config import with_overrides
from vmlkit.data.sources import Splits, load
from vmlkit.experiments.experiment import experiment_of, load_run, run_experiment
from vmlkit.methods import preset
from vmlkit.training.experiment import Experiment

TINY = {
    "data.train_videos": 24,
    "data.validation_videos": 4,
    "data.test_videos": 5,
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.probe_queries": 5,
    "model.steps_per_epoch": 2,
}


def tiny(method: str) -> Experiment:
    return with_overrides(preset(method, "toy", "ci"), TINY)


@pytest.fixture(scope="module")
def splits() -> Splits[ActionDataset]:
    return load(tiny("co2net").data, view=ACTIONS, progress=False)


def perfect(dataset: ActionDataset) -> list[Activation]:
    """Activations that know the truth."""
    found = []
    for video in range(len(dataset)):
        spans, labels = dataset.truth.of(video)
        count = int(dataset.lengths[video])
        on = going_on_classes(count, len(dataset.classes), spans, labels, float(dataset.snippet_s[video]))
        cas = np.concatenate((20.0 * on - 10, 10.0 - 20 * on.any(axis=1, keepdims=True)), axis=1)
        found.append(Activation(cas, 0.02 + 0.96 * on.any(axis=1), None))
    return found


def test_batches_begin_with_pairs_of_a_class(splits: Splits[ActionDataset]) -> None:
    task = ActionTask(steps_per_epoch=4)
    labels = splits.train.labels
    batches = task.order(splits.train, 10, seed=0, epoch=1)
    assert [len(b) for b in batches] == [10] * 4
    for batch in batches:
        for i in (0, 2, 4):
            assert batch[i] != batch[i + 1]
            assert (labels[batch[i]] * labels[batch[i + 1]]).sum() > 0
    again, later = task.order(splits.train, 10, 0, 1), task.order(splits.train, 10, 0, 2)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(batches, later, strict=True))


def test_shuffled_batches_are_full_and_cover_the_split(splits: Splits[ActionDataset]) -> None:
    task = ActionTask(steps_per_epoch=7, sampler="shuffle")
    batches = task.order(splits.train, 10, seed=0, epoch=1)
    assert [len(b) for b in batches] == [10] * 7
    assert len(torch.cat(batches[:2]).unique()) == 20, "one pass repeats no video"
    assert not torch.equal(batches[0], batches[2])


def test_a_training_batch_knows_no_time(splits: Splits[ActionDataset]) -> None:
    batch = ActionTask(clips=16).batch(splits.train, torch.tensor([0, 3]), seed=1)
    assert batch.frames.shape[1] == 16
    names = {field.name for field in dataclasses.fields(batch)}
    assert not {"spans", "segments", "truth"} & names
    assert batch.labels.shape == (2, 12)
    same, other = (ActionTask(clips=16).batch(splits.train, torch.tensor([0, 3]), seed=s) for s in (1, 2))
    assert torch.equal(batch.frames, same.frames)
    assert not torch.equal(batch.frames, other.frames)


@pytest.mark.parametrize("proposals", ["p3", "hamnet"])
@pytest.mark.parametrize("protocol", ["seconds", "p3"])
def test_perfect_activations_are_found(splits: Splits[ActionDataset], proposals: str, protocol: str) -> None:
    """Two events of one class that touch are one run, so a little is missing; half of it would be a wrong unit."""
    task = ActionTask(proposals=proposals, protocol=protocol)  # type: ignore[arg-type]
    said = perfect(splits.train)
    found = task.detect(said, splits.train)
    result = detection_map(found, splits.train.truth, task.protocol, snippets_per_s=1 / splits.train.snippet_s)
    assert result.average(0.1, 0.5) > 0.7
    rates = frame_rates(said, splits.train).rates()
    assert rates["attention_fpr"] == rates["attention_fnr"] == 0
    inverted = [Activation(a.cas, 1 - a.attention) for a in said]
    assert frame_rates(inverted, splits.train).rates()["attention_fnr"] == 1
    worse = detection_map(
        task.detect(inverted, splits.train), splits.train.truth, task.protocol,
        snippets_per_s=1 / splits.train.snippet_s,
    )  # fmt: skip
    assert worse.average(0.1, 0.5) < 0.1


def test_basnet_reads_the_activation_not_the_attention(splits: Splits[ActionDataset]) -> None:
    task = ActionTask(proposals="basnet", protocol="seconds", clips=64)
    said = []
    for activation in perfect(splits.train):
        top = np.sort(activation.cas, axis=0)[-8:].mean(axis=0)
        scores = np.exp(top - top.max())
        said.append(Activation(activation.cas, np.zeros(len(activation.cas)), scores))
    result = detection_map(task.detect(said, splits.train), splits.train.truth, "seconds")
    assert result.average(0.1, 0.5) > 0.6


def test_probe_queries_are_pairs_with_all_their_windows(splits: Splits[ActionDataset]) -> None:
    task, data = ActionTask(), splits.validation
    indices = task.probe(data, 4, seed=0)
    records, strips = task.describe(data, indices, 2, 8)
    assert len(strips["video_ids"]) == 4
    assert len({r["video_id"] for r in records}) == 4, "one class of every video first"
    for record, index in zip(records, indices, strict=True):
        video, label = queries_of(data.truth)[index]
        assert record["query_id"] == f"{data.video_ids[video]}/{data.classes[label]}"
        assert record["spans_s"] == windows_of(data.truth, video, label).tolist()
        longest = max(record["spans_s"], key=lambda s: s[1] - s[0])
        assert record["span_s"] == longest
    assert torch.equal(torch.from_numpy(indices), torch.from_numpy(task.probe(data, 4, seed=0)))


@pytest.mark.parametrize("method", ["tsm-vlc", "basnet"])
def test_a_run_from_labels_to_metrics(method: str, tmp_path: Path, splits: Splits[ActionDataset]) -> None:
    experiment = tiny(method)
    run = run_experiment(experiment, tmp_path / "run", progress=False, splits=splits)
    assert experiment_of(run) == experiment
    columns = set(run.epochs.columns)
    assert {"metric/mAP@0.3:0.7", "metric/attention_fpr", "metric/attention_fnr", "lr/localiser"} <= columns
    if method == "tsm-vlc":
        assert {
            "loss/nll",
            "loss/rank_complement",
            "lr/reconstructor",
            "lr/attention",
            "grad_norm/attention",
        } <= columns
    clips = run.clip_scores
    assert clips["attention"].shape == (3, 5, 64)
    assert clips["class_activation"].shape == (3, 5, 64)
    assert np.isfinite(clips["attention"]).all()
    assert ((clips["class_activation"] >= 0) & (clips["class_activation"] <= 1)).all()
    rows = run.proposals
    assert set(rows.query_id) == {r["query_id"] for r in run.probe}
    assert (rows.groupby(["epoch", "query_id"], observed=True).chosen.sum() == 1).all()
    assert ((rows.start >= 0) & (rows.end <= 1) & (rows.start <= rows.end)).all()
    assert {"spans_s", "span_s", "words"} <= run.probe[0].keys()
    metrics = run.metrics
    shown = [name for name in ActionTask.columns if name in metrics["test"]]
    assert {"mAP@0.3", "mAP@0.7", ActionTask.headline} <= set(shown)
    assert metrics["protocol"] == "seconds"
    assert list(metrics["baselines"]) == list(NAMES)
    for row in metrics["baselines"].values():
        assert all(0 <= row[name] <= 1 for name in shown)
    loaded, data, _ = load_run(run.path, progress=False)
    again, _ = ActionTask(clips=64, proposals=experiment.model.proposals, protocol="seconds").evaluate(
        loaded, data.test, 1
    )
    assert again["mAP@0.3:0.7"] == pytest.approx(metrics["test"]["mAP@0.3:0.7"])


def test_three_optimisers_resume_to_the_same_bits(tmp_path: Path, splits: Splits[ActionDataset]) -> None:
    experiment = tiny("tsm-vlc")
    whole = run_experiment(experiment, tmp_path / "whole", progress=False, splits=splits)
    cut = with_overrides(experiment, {"train.checkpoint_every_steps": 1})
    stopped = tmp_path / "stopped"

    class Stop(Exception):
        pass

    from vmlkit.actions.method import ActionMethod

    original, calls = ActionMethod.step, []

    def step(self, *arguments):  # type: ignore[no-untyped-def]
        if len(calls) == 3:
            raise Stop
        calls.append(1)
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActionMethod, "step", step)
        with pytest.raises(Stop):
            run_experiment(cut, stopped, progress=False, splits=splits)
    resumed = run_experiment(cut, stopped, progress=False, splits=splits)
    assert (whole.path / "last.safetensors").stat().st_size == (resumed.path / "last.safetensors").stat().st_size
    assert resumed.epochs["loss/total"].tolist()[1:] == whole.epochs["loss/total"].tolist()[1:]
    assert resumed.metrics["test"] == whole.metrics["test"]


def test_the_untrained_method_stays_below_the_baselines(splits: Splits[ActionDataset]) -> None:
    experiment = tiny("co2net")
    task = ActionTask(protocol="seconds", clips=64)
    torch.manual_seed(0)
    metrics, _ = task.evaluate(make_action(experiment.model, splits.train), splits.train, 0)
    rows = task.baselines(splits.train, splits.train)
    assert metrics["mAP@0.3:0.7"] < rows["random training segments (true classes)"]["mAP@0.3:0.7"]
