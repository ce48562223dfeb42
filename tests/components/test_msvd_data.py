"""MSVD as X-CLIP reads it: frames and padding, token states, variants from a file, and what is missing."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.components.msvd_files import DIM, FRAMES, captions_of, msvd_options, write_msvd
from vmlkit import cli
from vmlkit.components.clip_states import ClipTexts
from vmlkit.components.methods import METHODS
from vmlkit.components.msvd_data import MsvdData, _Projected
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import build, task_of
from vmlkit.methods import preset
from vmlkit.text.sentence_features import EncoderStates, gathered


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_msvd(tmp_path_factory.mktemp("msvd"))


def settings_of(files: dict[str, Path], **changes) -> MsvdData:
    given = MsvdData(
        annotations=str(files["annotations"]), features=str(files["frames"]), text=str(files["tokens"]),
        variants=str(files["variants.jsonl"]),
    )  # fmt: skip
    return dataclasses.replace(given, **changes)


def splits_of(files: dict[str, Path], **changes):
    return METHODS["p4-xclip"].load(settings_of(files, **changes), progress=False)


def test_captions_frames_and_padding(files: dict[str, Path]) -> None:
    test = splits_of(files).test
    videos = list(FRAMES["test"])
    assert test.query_ids == tuple(f"{v}_{i}" for v in videos for i in range(len(captions_of(v))))
    assert test.sentences == tuple(c for v in videos for c in captions_of(v))
    batch = test.batch(range(len(test)))
    for row, video in enumerate(test.video_ids):
        rows, count = np.load(files["frames"] / f"{video}.npy"), FRAMES["test"][video]
        keep = np.linspace(0, count - 1, 12).astype(int) if count > 12 else np.arange(count)
        assert batch.frame_mask[row].tolist() == [i < len(keep) for i in range(12)]
        assert np.array_equal(batch.frames[row, : len(keep)].numpy(), rows[keep])
        assert not batch.frames[row, len(keep) :].any()
        states = np.load(files["tokens"] / f"{test.query_ids[row]}.npz")["last_hidden_state"]
        assert np.array_equal(batch.words[row][batch.word_mask[row]].numpy(), states)
        assert test.durations[row] == count


def test_variants_come_from_the_file_and_their_states_from_theirs(files: dict[str, Path]) -> None:
    train = splits_of(files).train
    assert train.texts.components == ("changed_verb", "changed_subject")
    variants = train.batch(range(len(train))).variants
    for row, query in enumerate(train.query_ids):
        assert variants.valid[row].tolist() == [True, train.texts.negatives[row][1] is not None]
        states = np.load(files["tokens"] / f"{query}.positive.npz")["last_hidden_state"]
        assert np.array_equal(variants.positive[row][variants.positive_mask[row]].numpy(), states)
    assert variants.negative_mask.any(-1).all(), "attention over no token has no meaning"


def test_splits_without_variants_train_nothing_and_are_asked_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_msvd(tmp_path, variants=("train",))
    lines = files["variants.jsonl"].read_text().splitlines(keepends=True)
    first = json.loads(lines[0])["sentence"]
    (tmp_path / "one.jsonl").write_text("".join(line for line in lines if json.loads(line)["sentence"] == first))
    few = splits_of(files, variants=str(tmp_path / "one.jsonl"))
    said = capsys.readouterr().err
    assert "sentences have no positive with a negative among the variants" in said
    assert "train the host alone" in said
    assert few.train.valid.any()
    assert "are not asked about components" in said
    (measured,) = [beside.metrics(None, few.test, 4) for beside in task_of(preset("p4-xclip", "msvd")).also[:1]]
    assert measured == {}, "nothing is asked where there is no variant"
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(DataError, match="knows no sentence of this split"):
        splits_of(files, variants=str(tmp_path / "none.jsonl"))


def test_one_command_trains_evaluates_and_predicts(files: dict[str, Path], tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    where = ["train", "p4-xclip", "--data", "msvd", "--size", "paper", "--run-dir", str(run), "--quiet"]
    small = ["--set", "train.epochs=2", "--set", "train.batch_size=3", "--set", "model.components.loss.hidden=4"]
    assert cli.main([*where, *msvd_options(files["annotations"].parent), *small]) == 0
    printed = capsys.readouterr().out
    assert "t2v R@1" in printed
    assert "component accuracy" in printed
    assert cli.main(["evaluate", str(run)]) == 0
    assert cli.main(["predict", str(run), "--out", str(tmp_path / "p.jsonl")]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", str(tmp_path / "p.jsonl"), "--run", str(run)]) == 0
    assert "metrics are the run's own, to the last digit" in capsys.readouterr().out


def test_the_paper_preset_is_the_papers() -> None:
    paper = preset("p4-xclip", "msvd", "paper")
    host, training = paper.model.host, paper.train
    assert (training.batch_size, training.lr, training.optimizer, training.epochs) == (30, 6.1e-5, "bert_adam", 5)
    assert (host.width, host.words, host.frames, host.temporal_layers, host.heads) == (512, 32, 12, 4, 8)
    assert paper.model.components.names == ("changed_verb", "changed_subject")
    assert (paper.data.clips, paper.data.max_words) == (12, 32)


def test_nothing_is_trained_of_clip_but_two_linear_maps_from_the_identity(files: dict[str, Path]) -> None:
    experiment = with_overrides(
        preset("p4-xclip", "msvd", "ci"), {"model.host.width": DIM, "model.host.heads": 2, "train.batch_size": 4}
    )
    splits = splits_of(files)
    model = build(experiment, splits.train).model
    assert [tuple(p.shape) for p in model.text.parameters()] == [(DIM, DIM)]
    batch = splits.train.batch(range(3))
    texts = model.encode_texts(batch.words, batch.word_mask)
    for row in range(3):
        count = int(batch.word_mask[row].sum())
        assert torch.equal(texts.words[row, :count], batch.words[row, :count])
        assert torch.equal(texts.sentence[row], batch.words[row, count - 1])
        assert texts.mask[row].tolist() == [0 < i < count for i in range(32)]
    assert torch.equal(model.frame_projection(batch.frames), batch.frames)
    cut = ClipTexts(DIM, DIM, 2)(batch.words, batch.word_mask)
    assert torch.equal(cut.sentence, batch.words[:, 1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": None}, r"no annotations were named; .*CLIP4Clip publishes them as msvd_data\.zip"),
        ({"annotations": "nowhere"}, "there is no such folder; github.com/ArrowLuo/CLIP4Clip"),
        ({"features": None}, r"no features of frames were named; .*YouTubeClips\.tar"),
        ({"text": None}, "no text was named; --set data.text=FOLDER"),
        (
            {"variants": None},
            "no variants of the captions were named; run `vmlkit variants .* --format msvd --out",
        ),
        ({"text": "nowhere"}, "there is no such folder"),
        ({"variants": "nowhere"}, "there is no such file"),
    ],
)
def test_what_is_missing_is_named_with_the_place_where_it_is(changes: dict, said: str, files: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=said):
        splits_of(files, **changes)


def test_videos_captions_and_variants_without_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_msvd(tmp_path)
    (files["frames"] / "vid7_2_8.npy").unlink()
    assert "vid7_2_8" not in splits_of(files).test.video_ids
    assert "1 of 3 videos have no features" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(DataError, match="videos have no features"):
        splits_of(files, missing="refuse")
    (files["tokens"] / "vid6_0_40_0.changed_verb.npz").unlink()
    with pytest.raises(DataError, match=r"no token states of the variant 'vid6_0_40_0\.changed_verb'"):
        splits_of(files)
    (files["tokens"] / "vid6_0_40_0.npz").unlink()
    with pytest.raises(DataError, match="no token states of the caption 'vid6_0_40_0'"):
        splits_of(files)
    for video in FRAMES["test"]:
        (files["frames"] / f"{video}.npy").unlink(missing_ok=True)
    with pytest.raises(DataError, match="has none of the 3 videos of 'test'"):
        splits_of(files)


def test_sizes_that_do_not_fit_are_refused(files: dict[str, Path]) -> None:
    wide = preset("p4-xclip", "msvd", "ci")
    with pytest.raises(ConfigError, match=rf"'model\.host\.width' is 512, and the tokens have {DIM} dimensions"):
        build(wide, splits_of(files).train)
    with pytest.raises(ConfigError, match="'text_layers' does nothing with clip_states"):
        with_overrides(wide, {"model.host.text_layers": 1})
    with pytest.raises(ConfigError, match=r"'data\.clips' is 12, and 'model\.host\.frames' is 6"):
        task_of(with_overrides(wide, {"model.host.frames": 6}))


def test_states_of_an_encoder_are_taken_into_the_joint_space() -> None:
    class Clip(EncoderStates):
        def __init__(self) -> None:
            model = torch.nn.Module()
            model.text_projection = torch.nn.Linear(4, 3, bias=False)
            self.encoder = type("Encoder", (), {"model": model, "clip": True})()  # type: ignore[assignment]

        def read(self, ids, sentences, max_tokens):
            return gathered([np.ones((2, 4), dtype=np.float32)], "test")

    source = Clip()
    found = _Projected(source).read(["a"], ["a"], 9)
    expected = source.encoder.model.text_projection.weight.sum(1)
    assert np.allclose(found.rows, expected.detach().numpy(), atol=1e-6)
    source.encoder.clip = False
    assert _Projected(source).read(["a"], ["a"], 9).dim == 4
