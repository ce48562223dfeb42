"""ActivityNet Captions and TV show Retrieval as they circulate, and their planted twins: one command trains on each."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.data.conftest import write_corpus
from tests.text.encoders import save_encoder
from vmlkit.cli import main
from vmlkit.data import sources
from vmlkit.data.batches import MomentDataset
from vmlkit.data.published import PUBLISHED
from vmlkit.data.settings import CorpusData, DataConfig, PlantedData
from vmlkit.data.sources import Splits
from vmlkit.errors import ConfigError, DataError
from vmlkit.methods import DATA, METHODS, preset
from vmlkit.runs import RunDirectory
from vmlkit.text.tagging import TaggedSentence

SENTENCES = ("A man lifts a weight.", "  He puts it down.", "The dog runs to the door", "A woman sings a song.")


@pytest.fixture(autouse=True)
def tags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tags without a tagger, and a cache of the test's own."""

    def tag(sentences: list[str], *, progress: bool) -> list[TaggedSentence]:
        return [TaggedSentence(tuple(s.lower().split()), ("NN",) * len(s.split())) for s in sentences]

    monkeypatch.setattr("vmlkit.data.corpus.tag_sentences", tag)
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path / "cache"))


def load(config: DataConfig) -> Splits[MomentDataset]:
    return sources.load(config, progress=False)


def names(first: str, count: int) -> list[str]:
    return [f"v_{first}{i:010d}" for i in range(count)]


def duration(video: str) -> float:
    return 30.5 + int(video[-3:])


#: the features that circulate: name of the file, and of the array inside the group of a video
C3D, I3D = ("sub_activitynet_v1-3.c3d.hdf5", "c3d_features"), ("tvr_i3d_rgb600_avg_cl-1.5.h5", None)


def features(
    folder: Path, videos: list[str], seconds: float, inside: str | None = None, name: str = "features.hdf5"
) -> Path:
    """An HDF5 file with a dataset, or a group that holds one, for each video."""
    rng, path, dim = np.random.default_rng(0), folder / name, 12
    with h5py.File(path, "w") as file:
        for video in videos:
            rows = rng.random((int(duration(video) / seconds), dim)).astype(np.float32)
            file[f"{video}/{inside}" if inside else video] = rows
    return path


def captions(folder: Path, *, val_2: bool = True) -> list[str]:
    """The files of the authors: train.json, val_1.json and val_2.json, of which the last two share their videos."""
    train, val = names("train", 6), names("val", 3)

    def write(name: str, videos: list[str], shift: float) -> None:
        content = {}
        for number, video in enumerate(videos):
            spans = [[1.5 + shift, 14.0 + shift], [12.0, duration(video)]]
            sentences = [SENTENCES[number % 4], SENTENCES[(number + 1) % 4]]
            content[video] = {"duration": duration(video), "timestamps": spans, "sentences": sentences}
        (folder / name).write_text(json.dumps(content))

    write("train.json", train, 0.0)
    write("val_1.json", val, 1.0)
    if val_2:
        write("val_2.json", val[:2], 2.0)
    return [*train, *val]


def cnm_lists(folder: Path) -> list[str]:
    """The files of CNM and CPL: a list of [video, duration, [start, end], sentence] each."""
    videos = captions(folder)
    for authors, own in (("train", "train_data"), ("val_1", "val_data"), ("val_2", "test_data")):
        content = json.loads((folder / f"{authors}.json").read_text())
        records = [
            [video, entry["duration"], span, sentence]
            for video, entry in content.items()
            for span, sentence in zip(entry["timestamps"], entry["sentences"], strict=True)
        ]
        (folder / f"{own}.json").write_text(json.dumps(records))
        (folder / f"{authors}.json").unlink()
    return videos


def tvr(folder: Path) -> list[str]:
    """The lines of TV show Retrieval."""
    parts = {"train": names("friends_s01e01_seg02_clip_", 6), "val": names("house_s02e03_seg01_clip_", 3)}
    number = 0
    for part, videos in parts.items():
        lines = []
        for video in videos:
            for span in ([3.1, 8.0], [12.44, 20.5]):
                number += 1
                lines.append(
                    {
                        "vid_name": video, "duration": duration(video), "ts": span, "desc": SENTENCES[number % 4],
                        "type": "v", "desc_id": 90200 + number,
                    }
                )  # fmt: skip
        (folder / f"tvr_{part}_release.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return [*parts["train"], *parts["val"]]


def anet(folder: Path, **changes: Any) -> CorpusData:
    path = changes.pop("features", str(folder / "features.hdf5"))
    return CorpusData(name="activitynet", annotations=str(folder), features=path, clips=8, **changes)


def starts(split: MomentDataset) -> list[float]:
    return split.spans_s[:, 0].tolist()


@pytest.mark.parametrize("write", [captions, cnm_lists])
def test_the_validation_file_is_chosen_by_name_and_said(tmp_path: Path, write) -> None:
    features(tmp_path, write(tmp_path), 0.5, inside="c3d_features")
    usual = load(anet(tmp_path))
    assert (len(usual.train) + len(usual.validation), len(usual.test)) == (12, 4)
    assert usual.test.sentences[1] == "He puts it down."
    assert starts(usual.test) == [3.5, 12.0] * 2
    name = "val_2.json" if write is captions else "test_data.json"
    assert usual.notes[0] == f"activitynet/test: the queries of {name} (papers report on val_2)"
    first, second = (load(anet(tmp_path, test_split=part)) for part in ("val_1", "val_2"))
    assert (len(first.test), starts(first.test)) == (6, [2.5, 12.0] * 3)
    assert second.test.fingerprint == usual.test.fingerprint
    assert "val_1.json" in first.notes[0] or "val_data.json" in first.notes[0]


def test_one_validation_file_is_enough(tmp_path: Path) -> None:
    features(tmp_path, captions(tmp_path, val_2=False), 0.5)
    splits = load(anet(tmp_path))
    assert len(splits.test) == 6
    assert splits.notes[0].startswith("activitynet/test: the queries of val_1.json")
    with pytest.raises(DataError, match=r"holds none of val_2\.json, test_data\.json, test\.json; .*ranjaykrishna"):
        load(anet(tmp_path, test_split="val_2"))


def test_captions_that_end_before_they_start_are_counted(tmp_path: Path) -> None:
    features(tmp_path, captions(tmp_path), 0.5)
    content = json.loads((tmp_path / "train.json").read_text())
    first = next(iter(content))
    content[first]["timestamps"][1] = [20.0, 18.0]
    (tmp_path / "train.json").write_text(json.dumps(content))
    splits = load(anet(tmp_path))
    assert len(splits.train) + len(splits.validation) == 11
    expected = f"train: 1 of 12 spans end before they start and are left out (record 1 of {first})"
    assert expected in [str(entry) for entry in splits.left_out]
    tvr(tmp_path)
    lines = (tmp_path / "tvr_train_release.jsonl").read_text().replace("[3.1, 8.0]", "[9.1, 8.0]")
    (tmp_path / "tvr_train_release.jsonl").write_text(lines)
    with pytest.raises(DataError, match="is not after the start"):
        load(CorpusData(name="tvr", annotations=str(tmp_path), features=str(tmp_path / "features.hdf5")))


def test_a_test_split_is_of_activitynet_alone() -> None:
    for name in ("charades", "tvr"):
        with pytest.raises(ConfigError, match=f"'test_split' is for ActivityNet Captions alone, not for '{name}'"):
            CorpusData(name=name, test_split="val_1")
    assert PlantedData(name="planted:activitynet", test_split="val_1").test_split == "val_1"


def test_tv_show_retrieval(tmp_path: Path) -> None:
    path = features(tmp_path, tvr(tmp_path), 1.5)
    config = CorpusData(name="tvr", annotations=str(tmp_path), features=str(path), clips=8)
    splits = load(config)
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (12, 6)
    assert splits.test.video_ids[0] == "v_house_s02e03_seg01_clip_0000000000"
    assert splits.test.spans_s[:2].tolist() == [[3.1, 8.0], [12.44, 20.5]]
    assert not splits.left_out
    assert load(dataclasses.replace(config, seconds_per_row=1.5)).test.fingerprint == splits.test.fingerprint
    with pytest.raises(DataError, match=r"features and durations fit 1\.5 s a row, not 2 s"):
        load(dataclasses.replace(config, seconds_per_row=2.0))


@pytest.mark.parametrize(("name", "write"), [("planted:activitynet", captions), ("planted:tvr", tvr)])
def test_planted_twins_do_without_word_vectors(tmp_path: Path, name: Any, write) -> None:
    write(tmp_path)
    splits = load(PlantedData(name=name, annotations=str(tmp_path), clips=8, beyond_duration="clip"))
    assert splits.train.frames.shape[1:] == (8, 128)
    assert splits.words is not None
    assert splits.words.line.startswith("NO WORD VECTORS")
    again = load(PlantedData(name=name, annotations=str(tmp_path), clips=8, beyond_duration="clip"))
    assert again.test.fingerprint == splits.test.fingerprint


def test_vectors_of_another_corpus_bring_no_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "charades").mkdir()
    write_corpus(tmp_path / "charades")
    captions(tmp_path)
    vectors = str(tmp_path / "charades" / "glove_charades.npz")
    config = PlantedData(name="planted:activitynet", annotations=str(tmp_path), word_vectors=vectors, clips=8)
    splits = load(config)
    assert "weight." in splits.train.vocabulary.words
    assert splits.train.vectors.shape[1] == 12


@pytest.mark.parametrize("planted", [True, False])
def test_everything_is_trained_on_where_nothing_is_set_aside(corpus: Path, planted: bool) -> None:
    own: dict[str, Any] = {} if planted else {"features": str(corpus / "features.hdf5")}
    kind = PlantedData if planted else CorpusData
    config = kind(
        annotations=str(corpus), clips=8, validation_share=0.0, **own, **({} if planted else {"name": "charades"})
    )
    splits = load(config)
    assert (len(splits.train), len(splits.validation)) == (20, 2)
    assert set(splits.validation.query_ids) <= set(splits.train.query_ids)
    assert any("every training video is trained on" in note for note in splits.notes)


SMALL = ("train.epochs=1", "data.clips=16", "test_draws=1", "train.probe_queries=2")


def command(data: str, folder: Path, *settings: str, method: str = "cnm", path: Path | None = None) -> list[str]:
    found = ["train", method, "--data", data, "--annotations", str(folder), "--quiet", "--run-dir", str(folder / "run")]
    found += ["--features", str(path)] if path else []
    for setting in (*SMALL, *settings):
        found += ["--set", setting]
    return found


def test_nothing_set_aside_needs_a_rule_for_the_epoch(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = command("charades", corpus, "data.validation_share=0", path=corpus / "features.hdf5")
    assert main(data) == 2
    assert "no video is set aside to choose an epoch by: set train.choose_epoch_by to 'last'" in capsys.readouterr().err
    assert main([*data, "--set", "train.choose_epoch_by=last"]) == 0
    run = RunDirectory(corpus / "run")
    assert run.metrics["chosen_by"] == "the last epoch"
    assert run.config["data"]["train_queries"] == 20
    assert any("every training video is trained on" in note for note in run.metrics["notes"])


@pytest.mark.parametrize(
    ("data", "write", "seconds", "circulating"),
    [("activitynet", captions, 0.5, C3D), ("activitynet", cnm_lists, 0.5, C3D), ("tvr", tvr, 1.5, I3D)],
)
@pytest.mark.parametrize("method", ["cnm", "lnp-pps"])
@pytest.mark.filterwarnings("ignore:lambda was published")
def test_one_command_trains_and_evaluates(
    tmp_path: Path, data: str, write, seconds: float, circulating: tuple[str, str | None], method: str
) -> None:
    path = features(tmp_path, write(tmp_path), seconds, circulating[1], circulating[0])
    assert main(command(data, tmp_path, method=method, path=path)) == 0
    metrics = RunDirectory(tmp_path / "run").metrics
    assert metrics["n_test"] == (6 if data == "tvr" else 4)
    assert "whole video" in metrics["baselines"]


@pytest.mark.filterwarnings("ignore:lambda was published")
def test_words_in_context_train_from_one_command(tmp_path: Path) -> None:
    """P0's rows with a dagger: the states of a local encoder stand for word vectors."""
    path = features(tmp_path, tvr(tmp_path), 1.5)
    encoder = save_encoder(tmp_path / "distilbert", list(SENTENCES))
    assert main(command("tvr", tmp_path, f"data.text_encoder={encoder}", method="lnp-pps", path=path)) == 0
    assert RunDirectory(tmp_path / "run").metrics["words"].startswith("words in context: states of the encoder")


@pytest.mark.parametrize(("data", "write"), [("planted:activitynet", captions), ("planted:tvr", tvr)])
def test_planted_twins_train_from_one_command(tmp_path: Path, data: str, write) -> None:
    write(tmp_path)
    assert main(command(data, tmp_path)) == 0


@pytest.mark.parametrize("name", ["charades", "activitynet", "tvr", "planted:activitynet", "planted:tvr"])
def test_absent_files_are_answered_by_where_they_are(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    assert main(["train", "cnm", "--data", name, "--run-dir", str(tmp_path / "run")]) == 2
    if name.startswith("planted"):
        assert "github.com" in capsys.readouterr().err
    else:
        said = capsys.readouterr().err
        assert f"{name}: no visual features were named" in said
        assert PUBLISHED[name]["features"] in said
    assert main(command(name, tmp_path, path=None if name.startswith("planted") else tmp_path)) == 2
    assert PUBLISHED[name.removeprefix("planted:")]["annotations"] in capsys.readouterr().err


def test_every_weakly_supervised_method_has_the_sources() -> None:
    assert {"tvr", "activitynet", "planted:tvr", "planted:activitynet"} <= set(DATA)
    for method, entry in METHODS.items():
        if "charades" in entry.presets and method.startswith(("cnm", "cpl", "pps", "lnp")):
            paper = preset(method, "tvr", "paper")
            assert (paper.train.epochs, paper.data.clips, paper.data.max_words) == (50, 200, 20)


@pytest.mark.parametrize("size", ["ci", "demo", "paper"])
@pytest.mark.parametrize("name", ["tvr", "planted:tvr", "planted:activitynet"])
def test_presets_of_every_size(name: str, size: str) -> None:
    assert preset("lnp-cpl", name, size).data.name == name
