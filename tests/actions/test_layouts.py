"""THUMOS14 and ActivityNet 1.3 as projects circulate them: every layout trains and evaluates from one command.

The same eight training and four test videos are written in each layout, with features of two frame rates.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vmlkit.actions.detection import detection_map
from vmlkit.actions.label_report import label_report
from vmlkit.actions.sources import ACTIONS, ActionData
from vmlkit.actions.task import ActionTask, Activation
from vmlkit.actions.thumos import read_actions
from vmlkit.cli import main
from vmlkit.data.sources import load
from vmlkit.errors import DataError
from vmlkit.runs import RunDirectory

CLASSES = ("BaseballPitch", "Diving", "HighJump")
#: seconds a row: 16 frames at 25 per second, and 4 at 30
SLOW, FAST = 16 / 25, 4 / 30


def videos() -> list[dict[str, Any]]:
    found = []
    for i in range(12):
        training, label = i < 8, CLASSES[i % 3]
        duration = 25.2 + 3.7 * i
        segments = [(4.1 + i / 3, 9.7 + i / 3, label), (15.3 + i / 4, 19.9 + i / 4, label)]
        name = f"video_{'validation' if training else 'test'}_{i:07d}"
        found.append({"name": name, "training": training, "duration": duration, "segments": segments})
    return found


def rows(video: dict[str, Any], seconds: float) -> np.ndarray:
    """Whole windows of a video: a direction for each class inside its instances, another outside, and noise."""
    count = int(video["duration"] / seconds)
    center, rng = (np.arange(count) + 0.5) * seconds, np.random.default_rng(len(video["name"]) + count)
    out = 0.05 * rng.random((count, 8))
    inside = np.zeros(count, dtype=bool)
    for start, end, label in video["segments"]:
        now = (center >= start) & (center < end)
        out[now, CLASSES.index(label)] += 1.0
        out[now, 4 + CLASSES.index(label)] += 1.0
        inside |= now
    out[~inside, 3] += 1.0
    return out.astype(np.float32)


def database(names: tuple[str, str], *, outer: bool = True, duration: bool = True, text: bool = False) -> Any:
    entries = {}
    for video in videos():
        kind: Callable[[float], Any] = str if text else float
        segments = [{"segment": [kind(a), kind(b)], "label": c} for a, b, c in video["segments"]]
        entries[video["name"]] = {"subset": names[not video["training"]], "annotations": segments}
        if duration:
            entries[video["name"]] |= {"duration": video["duration"], "fps": 30.0}
    return {"version": "Thumos14-30fps", "database": entries} if outer else entries


def object_array(path: Path, values: list[Any]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    np.save(path, array, allow_pickle=True)


def co2net(folder: Path, seconds: float) -> None:
    everything = videos()
    subsets = ["validation" if v["training"] else "test" for v in everything]
    np.save(folder / "videoname.npy", np.array([v["name"].encode() for v in everything]))
    np.save(folder / "subset.npy", np.array([s.encode() for s in subsets]))
    np.save(folder / "duration.npy", np.array([[v["duration"]] for v in everything]))
    np.save(folder / "classlist.npy", np.array([c.encode() for c in CLASSES]))
    object_array(folder / "segments.npy", [[list(s[:2]) for s in v["segments"]] for v in everything])
    object_array(folder / "labels.npy", [[s[2] for s in v["segments"]] for v in everything])
    object_array(folder / "labels_all.npy", [sorted({s[2] for s in v["segments"]}) for v in everything])
    object_array(folder / "Thumos14reduced-I3D-JOINTFeatures.npy", [rows(v, seconds) for v in everything])


def basnet(folder: Path, seconds: float) -> None:
    content = database(("train", "test"), duration=False, text=True)
    content["class-list"] = {str(i): name for i, name in enumerate(CLASSES)}
    (folder / "gt.json").write_text(json.dumps(content))
    for video in videos():
        array = rows(video, seconds)
        for stream, half in (("rgb", array[:, :4]), ("flow", array[:, 4:])):
            place = folder / "features" / ("train" if video["training"] else "test") / stream
            place.mkdir(parents=True, exist_ok=True)
            np.save(place / f"{video['name']}.npy", half)


def per_video(folder: Path, seconds: float, prefix: str = "") -> None:
    (folder / "i3d_features").mkdir()
    for video in videos():
        np.save(folder / "i3d_features" / f"{prefix}{video['name']}.npy", rows(video, seconds))


def actionformer(folder: Path, seconds: float) -> None:
    (folder / "thumos14.json").write_text(json.dumps(database(("Validation", "Test"))))
    per_video(folder, seconds)


def opentad(folder: Path, seconds: float) -> None:
    content = database(("training", "validation"))
    first = next(iter(content["database"].values()))
    first["annotations"].append({"segment": [1.0, 2.0], "label": "Ambiguous"})
    (folder / "thumos_14_anno.json").write_text(json.dumps(content))
    per_video(folder, seconds)


def bare(folder: Path, seconds: float) -> None:
    (folder / "thumos14.json").write_text(json.dumps(database(("validation", "test"), outer=False)))
    per_video(folder, seconds)


THUMOS = {
    "CO2-Net": (co2net, "Thumos14reduced-I3D-JOINTFeatures.npy"),
    "BaS-Net": (basnet, "features"),
    "ActionFormer": (actionformer, "i3d_features"),
    "OpenTAD": (opentad, "i3d_features"),
    "no database": (bare, "i3d_features"),
}


def source(folder: Path, features: str, **changes: Any) -> ActionData:
    return ActionData(name="thumos14", annotations=str(folder), features=str(folder / features), clips=16, **changes)


@pytest.mark.parametrize("layout", THUMOS)
def test_every_layout_has_the_same_videos(tmp_path: Path, layout: str) -> None:
    write, _ = THUMOS[layout]
    write(tmp_path, SLOW)
    found = read_actions(tmp_path)
    training, testing = found.subsets
    assert (len(found.subset(training).videos), len(found.subset(testing).videos)) == (8, 4)
    assert found.thumos
    assert found.classes == CLASSES
    report = {finding.kind: finding for finding in label_report(found).findings}
    assert report["no_length_in_snippets"].total == 8, "the test videos have two segments each"
    assert report["glued_prompt"].total == 8, "the training videos"
    ambiguous = [video.ambiguous for video in found.videos if video.ambiguous]
    assert ambiguous == ([((1.0, 2.0),)] if layout == "OpenTAD" else [])


@pytest.mark.parametrize("seconds", [SLOW, FAST])
@pytest.mark.parametrize("layout", [name for name in THUMOS if name != "BaS-Net"])
def test_the_clock_is_that_of_the_features(tmp_path: Path, layout: str, seconds: float) -> None:
    write, features = THUMOS[layout]
    write(tmp_path, seconds)
    splits = load(source(tmp_path, features), view=ACTIONS, progress=False)
    for split in (splits.train, splits.validation, splits.test):
        assert split.snippet_s == pytest.approx(np.full(len(split), seconds))
    assert not splits.left_out
    wrong = FAST if seconds == SLOW else SLOW
    with pytest.raises(DataError, match=rf"fit {seconds:.3g} s a row, not {wrong:.6g} s"):
        load(source(tmp_path, features, seconds_per_row=wrong), view=ACTIONS, progress=False)


def test_without_durations_the_clock_is_the_setting(tmp_path: Path) -> None:
    basnet(tmp_path, FAST)
    given = load(source(tmp_path, "features", seconds_per_row=FAST), view=ACTIONS, progress=False).test
    assert given.durations == pytest.approx([v["duration"] for v in videos()[8:]], abs=FAST)
    usual = load(source(tmp_path, "features"), view=ACTIONS, progress=False).test
    assert (usual.snippet_s == SLOW).all()
    assert usual.fingerprint != given.fingerprint


SMALL = ["--size", "ci", "--quiet", "--set", "train.epochs=1", "--set", "train.probe_queries=2"]


def trained(data: str, folder: Path, features: str, *settings: str) -> RunDirectory:
    command = ["train", "co2net", "--data", data, "--annotations", str(folder), *SMALL, "--set", "data.clips=24"]
    command += ["--features", str(folder / features), "--run-dir", str(folder / "run")]
    for setting in settings:
        command += ["--set", setting]
    assert main(command) == 0
    return RunDirectory(folder / "run")


@pytest.mark.parametrize("seconds", [SLOW, FAST])
@pytest.mark.parametrize("layout", THUMOS)
def test_one_command_trains_on_every_layout(
    tmp_path: Path, layout: str, seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    write, features = THUMOS[layout]
    write(tmp_path, seconds)
    run = trained("thumos14", tmp_path, features, "model.steps_per_epoch=1")
    assert run.metrics["n_test"] == 4
    assert "whole video" in capsys.readouterr().out


def test_two_frame_rates_have_the_same_numbers(tmp_path: Path) -> None:
    """The case of features of every fourth frame at 30 per second: on the wrong clock, mAP was near 0."""
    for seconds in (SLOW, FAST):
        folder = tmp_path / f"{seconds:.2f}"
        folder.mkdir()
        actionformer(folder, seconds)
        test = load(source(folder, "i3d_features"), view=ACTIONS, progress=False).test
        activations = []
        for video in range(len(test)):
            frames = test.batch([video]).frames[0].numpy()
            cas = np.concatenate((4 * frames[:, :3], 2 * frames[:, 3:4]), axis=1).astype(np.float64)
            activations.append(Activation(cas, (frames[:, :3].max(axis=1) > 0.5).astype(np.float64)))
        for protocol in ("p3", "seconds"):
            task = ActionTask(clips=16, protocol=protocol)
            found = task.detect(activations, test)
            metrics = detection_map(found, test.truth, protocol, snippets_per_s=1 / test.snippet_s).metrics()
            assert metrics["mAP@0.5"] > 0.9, "an answer read off the features, on the right clock"


def mmaction(folder: Path) -> None:
    """A file per split and features of 100 rows as text."""
    (folder / "csv_mean_100").mkdir()
    for name, training in (("train", True), ("val", False)):
        entries = {
            f"v_{v['name']}": {
                "duration_second": v["duration"],
                "duration_frame": int(30 * v["duration"]),
                "annotations": [{"segment": list(s[:2]), "label": f"Doing {s[2]}"} for s in v["segments"]],
            }
            for v in videos()
            if v["training"] == training
        }
        (folder / f"anet_anno_{name}.json").write_text(json.dumps(entries))
    for i, video in enumerate(videos()):
        table = rows(video, video["duration"] / 100)[:100]
        head = ",".join(f"f{j}" for j in range(8)) + "\n" if i % 2 else ""
        text = "\n".join(",".join(f"{value:.4f}" for value in row) for row in table)
        (folder / "csv_mean_100" / f"v_{video['name']}.csv").write_text(head + text + "\n")


def activitynet(folder: Path) -> None:
    content = database(("training", "validation"))
    for entry in content["database"].values():
        for annotation in entry["annotations"]:
            annotation["label"] = f"Doing {annotation['label']}"
    content["database"]["unseen"] = {"subset": "testing", "duration": 9.0, "annotations": []}
    (folder / "activity_net.v1-3.min.json").write_text(json.dumps(content))
    per_video(folder, SLOW, prefix="v_")


@pytest.mark.parametrize(("write", "features"), [(activitynet, "i3d_features"), (mmaction, "csv_mean_100")])
def test_one_command_trains_on_activitynet(tmp_path: Path, write: Callable[[Path], None], features: str) -> None:
    write(tmp_path)
    run = trained("activitynet1.3", tmp_path, features, "model.steps_per_epoch=1")
    assert run.metrics["n_test"] == 4
    assert run.config["settings"]["data"]["feature_dtype"] == "float16"
    assert not run.metrics["left_out"]


def test_activitynet_is_resident_in_half_precision(tmp_path: Path) -> None:
    activitynet(tmp_path)
    config = dataclasses.replace(source(tmp_path, "i3d_features"), name="activitynet1.3", feature_dtype="float16")
    half = load(config, view=ACTIONS, progress=False).test
    whole = load(dataclasses.replace(config, feature_dtype="float32"), view=ACTIONS, progress=False).test
    assert (half.rows.dtype, whole.rows.dtype) == (torch.float16, torch.float32)
    assert torch.equal(half.rows, whole.rows.half())
    assert half.batch([0, 1]).frames.dtype == torch.float32
    assert half.snippet_s == pytest.approx(whole.durations / whole.lengths.numpy())
    per_row = np.load(tmp_path / "i3d_features" / f"v_{half.video_ids[0]}.npy")
    np.save(tmp_path / "i3d_features" / f"v_{half.video_ids[0]}.npy", 1e6 * per_row)
    with pytest.raises(DataError, match="exceeds the range of float16; use feature_dtype='float32'"):
        load(config, view=ACTIONS, progress=False)


def test_a_truncated_video_stays_on_the_clock_of_the_others(tmp_path: Path) -> None:
    activitynet(tmp_path)
    name = videos()[9]["name"]
    path = tmp_path / "i3d_features" / f"v_{name}.npy"
    np.save(path, np.load(path)[:20])
    config = dataclasses.replace(source(tmp_path, "i3d_features"), name="activitynet1.3")
    splits = load(config, view=ACTIONS, progress=False)
    assert splits.test.snippet_s[splits.test.video_ids.index(name)] == SLOW
    assert [str(entry) for entry in splits.left_out] == [
        f"test: 1 of 4 videos have features that end early, at 0.64 s a row and are kept ({name})"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"v1": {"annotations": []}},
            "video 'v1' has no subset; write one, or give the folder of anet_anno_train.json",
        ),
        (
            {"database": {"v1": {"subset": "test", "annotations": [{"label": "x"}]}}},
            r"'v1.annotations\[0\].segment' is missing",
        ),
        ({"v1": {"duration": 3}}, "is durations of videos, without sentences"),
        ({}, "is of no known layout"),
    ],
)
def test_databases_that_cannot_be_used(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_actions(tmp_path / "a.json")
