"""Action data sets by name, from synthetic annotations and, where they are, the real ones."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.text.encoders import save_encoder
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.feature_layouts import JointFeatures, TwoStreamFolder
from vmlkit.actions.planted import PlantedActionConfig
from vmlkit.actions.sources import ACTIONS, ActionData, PlantedActionData, ToyActionData
from vmlkit.cli.results import results
from vmlkit.config import with_overrides
from vmlkit.data.settings import CorpusData, DataConfig
from vmlkit.data.sources import Splits, load
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import run_experiment
from vmlkit.methods import preset

CLASSES = ["Diving", "HighJump", "Shotput"]


def load_actions(config: DataConfig) -> Splits[ActionDataset]:
    return load(config, view=ACTIONS, progress=False)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Ten training and four test videos; the last test video is missing from gt.json and has ambiguous regions."""
    videos = []
    for i in range(14):
        labels = [CLASSES[i % 3]] if i % 4 else [CLASSES[i % 3], CLASSES[(i + 1) % 3]]
        videos.append(
            {
                "name": f"v{i:02d}",
                "subset": "validation" if i < 10 else "test",
                "duration": 20.0 + i,
                "labels": labels,
                "segments": [[2.0, 6.0, c] for c in labels],
                "ambiguous": [[8.0, 9.0]] if i == 13 else [],
                "in_gt_json": i != 13,
            }
        )
    (tmp_path / "thumos14_reduced.json").write_text(json.dumps({"classes": CLASSES, "videos": videos}))
    return tmp_path


def config(annotations: Path, **changes) -> PlantedActionData:
    return PlantedActionData(annotations=str(annotations), planted=PlantedActionConfig(d=8), **changes)


def real(annotations: Path, features: str | None = None) -> ActionData:
    path = None if features is None else str(annotations / features)
    return ActionData(name="thumos14", annotations=str(annotations), features=path)


def test_planted_splits(annotations: Path) -> None:
    splits = load_actions(config(annotations))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (9, 1, 4)
    assert not {*splits.train.video_ids} & {*splits.validation.video_ids}
    test = splits.test
    assert test.lengths.tolist() == [int((20 + i) * 25 / 16) for i in range(10, 14)]
    assert test.rows.shape[1] == 16
    assert (test.snippet_s == 0.64).all()
    assert test.unlisted == {"v13"}
    assert test.ambiguous_s[3] == ((8.0, 9.0),)
    assert len(test.truth) - len(test.truth_under("seconds")) == 1
    assert test.labels.sum(1).tolist() == [1, 1, 2, 1]
    assert any("glued" in note for note in splits.notes)
    batch = splits.train.batch([0, 1], clips=12, sampling="random", rng=np.random.default_rng(0))
    assert batch.frames.shape == (2, 12, 16)
    assert test.class_words == (("diving", "diving"), ("high", "jump"), ("shot", "put"))


def test_prompts_follow_the_settings(annotations: Path) -> None:
    both = [load_actions(config(annotations, prompt_join=join)) for join in (None, "spaced")]
    two = int((both[0].test.labels.sum(1) > 1).nonzero()[0, 0])
    assert both[0].test.sentences[two] == "one video of the divingandhigh jump."
    assert both[1].test.sentences[two] == "one video of the diving and high jump."
    other = load_actions(config(annotations, prompt_template="a "))
    assert other.test.sentences[0].startswith("a ")
    fingerprints = {splits.test.fingerprint for splits in (*both, other)}
    assert len(fingerprints) == 3


@pytest.mark.parametrize("wrong", [{"d": 0}, {"n_scene": 0}])
def test_a_generator_without_columns_or_scenes_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least 1, not 0"):
        PlantedActionConfig(**wrong)


def test_samples_of_videos(annotations: Path) -> None:
    cut = load_actions(config(annotations, max_train_queries=4, max_test_queries=2))
    assert (len(cut.train), len(cut.test)) == (4, 2)


def write_features(folder: Path, rows: int = 30, skip: tuple[str, ...] = ()) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = []
    for i in range(14):
        arrays.append(rng.random((rows + i, 6)).astype(np.float32))
        for stream, half in (("rgb", arrays[-1][:, :3]), ("flow", arrays[-1][:, 3:])):
            (folder / "two" / stream).mkdir(parents=True, exist_ok=True)
            if f"v{i:02d}" not in skip:
                np.save(folder / "two" / stream / f"v{i:02d}.npy", half)
    joint = np.empty(14, dtype=object)
    joint[:] = arrays
    np.save(folder / "joint.npy", joint, allow_pickle=True)
    return arrays


def test_two_layouts_of_real_features_are_the_same(annotations: Path) -> None:
    arrays = write_features(annotations)
    made = [load_actions(real(annotations, path)) for path in ("two", "joint.npy")]
    assert made[0].test.fingerprint == made[1].test.fingerprint
    torch.testing.assert_close(made[0].test.batch([0]).frames[0], torch.from_numpy(arrays[10]))


def test_videos_without_features_are_left_out_and_said(annotations: Path, capsys) -> None:
    write_features(annotations, skip=("v03",))
    splits = load(real(annotations, "two"), view=ACTIONS, progress=False)
    assert len(splits.train) + len(splits.validation) == 9
    assert "thumos14/train: 1 of 10 videos have no features and are left out (v03)" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"train: 1 of 10 videos have no features .*; add them, or set data.missing"):
        load(dataclasses.replace(real(annotations, "two"), missing="refuse"), view=ACTIONS, progress=False)


def test_what_a_split_lost_is_kept_in_the_metrics(annotations: Path, tmp_path: Path, capsys) -> None:
    write_features(annotations, skip=("v10", "v11", "v12"))
    experiment = preset("co2net", "thumos14", "ci")
    data = dataclasses.replace(experiment.data, annotations=str(annotations), features=str(annotations / "two"))
    small = with_overrides(experiment, {"train.epochs": 1, "model.steps_per_epoch": 1, "train.probe_queries": 1})
    run = run_experiment(dataclasses.replace(small, data=data), tmp_path / "run", progress=False)
    expected = "3 of 4 videos have no features"
    assert f"thumos14/test: {expected} and are left out (v10, v11, v12)" in capsys.readouterr().err
    [entry] = [e for e in run.metrics["left_out"]["test"] if e["what"] == "videos have no features"]
    assert (entry["count"], entry["of"], entry["such_as"]) == (3, 4, ["v10", "v11", "v12"])
    assert run.metrics["n_test"] == 1
    assert f"not in these numbers: {expected}" in results("co2net", run.metrics, ("mAP@0.3",))


def test_bad_features_say_what_is_wrong(annotations: Path) -> None:
    write_features(annotations)
    np.save(annotations / "two" / "flow" / "v01.npy", np.zeros((3, 3), dtype=np.float32))
    with pytest.raises(DataError, match="31 and 3 rows in rgb and flow"):
        TwoStreamFolder(annotations / "two").read("v01")
    with pytest.raises(DataError, match="features of 14 videos, the annotations list 2"):
        JointFeatures(annotations / "joint.npy", ["v00", "v01"])
    with pytest.raises(DataError, match="no visual features were named"):
        load_actions(real(annotations))


def test_activitynet_by_name(tmp_path: Path) -> None:
    database = {
        f"v{i}": {
            "duration": 30.0,
            "subset": "training" if i < 6 else "validation",
            "annotations": [{"segment": [1.0, 9.0], "label": ["Playing ten pins", "Archery"][i % 2]}],
        }
        for i in range(9)
    }
    (tmp_path / "activity_net.v1-3.min.json").write_text(json.dumps({"database": database}))
    (tmp_path / "f").mkdir()
    for name in database:
        np.save(tmp_path / "f" / f"{name}.npy", np.ones((10, 4), dtype=np.float32))
    given = ActionData(name="activitynet1.3", annotations=str(tmp_path), features=str(tmp_path / "f"))
    splits = load_actions(given)
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (6 - 0, 3)
    assert splits.test.classes == ("Archery", "Playing ten pins")
    assert splits.test.sentences[0] == "one video of playing ten pins."
    assert splits.test.class_words[0] == ("archery", "", "", "", "")
    assert (splits.test.class_vectors[0, 1:] == 0).all()
    assert splits.test.snippet_s.tolist() == [3.0] * 3


def test_a_toy_source_by_name(tmp_path: Path) -> None:
    toy = ToyActionData(train_videos=6, validation_videos=2, test_videos=3, clips=16, feature_dim=8, max_test_queries=2)
    splits = load(toy, view=ACTIONS, cache_dir=tmp_path, progress=False)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 2, 2)


def test_sources_of_the_other_task_are_refused(annotations: Path, monkeypatch) -> None:
    with pytest.raises(
        DataError, match="charades: CorpusData are not settings of a source of action classes; use ToyA"
    ):
        load_actions(CorpusData(name="charades"))
    with pytest.raises(DataError, match="PlantedActionData are not settings of a source of sentences; use ToyData"):
        load(config(annotations), progress=False)
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    with pytest.raises(DataError, match="no annotations were named"):
        load_actions(PlantedActionData())


def test_the_real_annotations_give_the_documented_sizes() -> None:
    root = Path(os.environ.get("VMLKIT_DATA", ""))
    if not (root / "thumos14").is_dir():
        pytest.skip("needs the THUMOS14 annotations: thumos14 below $VMLKIT_DATA")
    splits = load_actions(PlantedActionData(annotations=str(root / "thumos14")))
    assert len(splits.train) + len(splits.validation) == 200
    assert len(splits.train.rows) + len(splits.validation.rows) == 65215
    assert splits.test.rows.shape == (71691, 128)
    assert (len(splits.test.truth), len(splits.test.truth_under("seconds"))) == (3358, 3311)


def test_random_words_of_labels_are_said_even_when_quiet_and_kept(
    annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P3's text is the labels: with random vectors it carries no meaning."""
    splits = load_actions(config(annotations))
    said = "NO WORD VECTORS: all 12 words have random ones, so the text carries no meaning (set data.word_vectors)"
    assert splits.words is not None
    assert splits.words.line == said
    assert f"planted:thumos14: words: {said}" in capsys.readouterr().err
    assert splits.account()["words"] == said
    known = splits.train.vocabulary.words
    (tmp_path / "glove.txt").write_text("".join(f"{word} {i} 1\n" for i, word in enumerate(known[:7])))
    some = load_actions(config(annotations, word_vectors=str(tmp_path / "glove.txt")))
    assert "glove.txt, where 5 of 12 words have NO VECTOR" in capsys.readouterr().err
    assert some.train.vectors.shape[1] == 2


def test_a_text_encoder_gives_labels_their_vectors(
    annotations: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_actions(config(annotations)).train.vocabulary.words
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), list(known))
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    splits = load_actions(config(annotations, word_vectors=str(encoder)))
    assert splits.train.class_vectors.shape[-1] == 16
    assert splits.words is not None
    assert not splits.words.random
