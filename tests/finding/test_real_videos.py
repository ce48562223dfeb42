"""Photographs: a saved CLIP, released checkpoints of Moment-DETR and QD-DETR, and features that lie ready."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity.golden import load_case
from tests.video.encoders import save_pictures
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.errors import DataError
from vmlkit.finding.checkpoints import released_model
from vmlkit.finding.finder import Finder
from vmlkit.finding.models import check_features
from vmlkit.released import our_name
from vmlkit.training.method import DataShape
from vmlkit.video.opening import open_encoder
from vmlkit.video.writing import write_video

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = DetrSizes(hidden=16, heads=4, feed_forward=24, queries=5, encoder_layers=2, decoder_layers=2)
SENTENCE = "a red circle moves left"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP with random weights."""
    return save_pictures(tmp_path_factory.mktemp("clip") / "clip", "clip")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of noise."""
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(80))
    return write_video(tmp_path_factory.mktemp("noise") / "noise.mp4", frames, 4)


def text_columns(clip: Path) -> int:
    from vmlkit.text.encoder import TextEncoder

    states, *_ = next(TextEncoder(clip).states([SENTENCE]))
    return int(states.shape[-1])


def released(kind: str, columns: int, words: int) -> dict[str, Any]:
    """A checkpoint in the authors' layout: weights under their names, options in a namespace."""
    torch.manual_seed(3)
    shape = DataShape(frame_dim=columns + 2, word_dim=words, vocabulary=1)
    model: Any = QDDetr(QDDetrConfig(sizes=SIZES), shape)
    if kind == "moment_detr":
        model = MomentDetr(MomentDetrConfig(sizes=SIZES), shape)
    names = {our_name(n, kind): n for p in GOLDEN.rglob(f"{kind}_*.npz") for n in load_case(p).parameters()}
    state = {names[name]: value for name, value in model.state_dict().items()}
    options = Namespace(nheads=4, max_v_l=75, max_q_l=32, clip_length=2, use_txt_pos=False)
    return {"model": state, "opt": options, "epoch": 3}


@pytest.mark.parametrize("kind", ["moment_detr", "qd_detr"])
def test_a_released_checkpoint_answers_about_a_file(kind: str, clip: Path, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "model_best.ckpt"
    columns = open_encoder(clip).dimension
    torch.save(released(kind, columns, text_columns(clip)), path)
    finder = Finder(checkpoint=path, encoder=clip, cache_dir=tmp_path / "cache", device="cpu")
    finder.encode(video)
    found = finder.ask(SENTENCE)
    assert 1 <= len(found.trained) <= 5
    assert found.trained[:, :2].max() <= 20.1
    assert found.curve is not None
    assert len(found.curve) == 10, "a row for two seconds"
    assert found.unknown == ()
    model = finder.model
    assert model is not None
    assert (model.columns, model.clips, model.row_s) == (columns, 75, 2.0)
    assert model.method.sizes == SIZES


def test_features_that_lie_ready_are_read_by_the_name_of_the_video(clip: Path, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "model_best.ckpt"
    torch.save(released("qd_detr", 7 + 5, text_columns(clip)), path)
    for name, columns in (("slowfast", 7), ("clip", 5)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "noise.npy", np.random.default_rng(1).normal(size=(10, columns)).astype(np.float32))
    folders = [tmp_path / "slowfast", tmp_path / "clip"]
    finder = Finder(checkpoint=path, encoder=clip, features=folders, cache_dir=tmp_path / "cache", device="cpu")
    rows = finder.encode(video).rows
    np.testing.assert_allclose(np.linalg.norm(rows[:, :7], axis=1), 1, atol=1e-3)
    assert len(finder.ask(SENTENCE).trained)
    other = tmp_path / "other.mp4"
    other.write_bytes(video.read_bytes())
    with pytest.raises(DataError, match="has no features of 'other'"):
        finder.encode(other)


def test_what_a_checkpoint_does_not_fit_is_said(clip: Path, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(released("qd_detr", 31, text_columns(clip)), path)
    finder = Finder(checkpoint=path, encoder=clip, cache_dir=tmp_path / "cache", device="cpu")
    with pytest.raises(DataError, match=r"model.ckpt: reads features of 31 columns, and these have"):
        finder.encode(video)
    with pytest.raises(DataError, match="reads features of photographs and token states of CLIP"):
        Finder(checkpoint=path, cache_dir=tmp_path / "cache")
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    with pytest.raises(DataError, match="is not a checkpoint of Moment-DETR or QD-DETR"):
        released_model(path, "cpu")


def test_a_run_of_the_toy_world_refuses_another_encoder(cpl_run: Path, clip: Path) -> None:
    with pytest.raises(DataError, match="was trained on the toy world, not on clip"):
        Finder(cpl_run, encoder=clip)


def test_an_encoder_of_other_features_than_the_run_was_trained_on_is_refused(clip: Path, tmp_path: Path) -> None:
    encoder = open_encoder(clip, device="cpu")
    made = encoder.passport()
    run: Any = Namespace(path=tmp_path / "run", config={"passports": {".": asdict(made)}})
    check_features(run, Namespace(name="charades"), encoder)
    run.config["passports"]["."]["revision"] = "another"
    with pytest.raises(DataError, match=r"features are not those that .*run was trained on: revision is"):
        check_features(run, Namespace(name="charades"), encoder)
    with pytest.raises(DataError, match=r"was trained on features of clip; give its folder with --encoder"):
        check_features(run, Namespace(name="charades"), open_encoder("toy"))
    with pytest.raises(DataError, match="planted features, which no video file has"):
        check_features(run, Namespace(name="planted:charades"), encoder)
