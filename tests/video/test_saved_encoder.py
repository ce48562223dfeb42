"""Saved models give the rows that their own library gives, whatever the order and number of pictures."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.video.encoders import CLIP, CLIP_NORM, SENTENCES, SIGLIP, save_pictures
from vmlkit.errors import ConfigError, DataError
from vmlkit.text.encoder import TextEncoder
from vmlkit.video.opening import encode_video, open_encoder
from vmlkit.video.pictures import Preparation
from vmlkit.video.saved_encoder import SavedEncoder

KINDS = {"clip": 12, "siglip": 16, "vit": 16, "resnet": 16}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: save_pictures(root / kind, kind) for kind in KINDS}


def pictures(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(count)]


def timed(frames: list[np.ndarray]) -> Iterator[tuple[float, np.ndarray]]:
    return iter([(float(i), frame) for i, frame in enumerate(frames)])


@pytest.mark.parametrize(("record", "processor"), [({**CLIP, **CLIP_NORM}, "CLIPImageProcessorPil"),
                                                   (SIGLIP, "SiglipImageProcessorPil")])  # fmt: skip
def test_pictures_are_prepared_as_the_models_own_library_does(record: dict, processor: str) -> None:
    transformers = pytest.importorskip("transformers", reason="saved encoders are optional: vmlkit[video]")
    theirs = getattr(transformers, processor, None)
    if theirs is None:
        pytest.skip(f"needs a version of transformers that has {processor}")
    smooth = [np.kron(p[::5, ::5], np.ones((9, 9, 1))).astype(np.uint8) for p in pictures()]
    expected = theirs(**record)(images=smooth, return_tensors="pt")["pixel_values"]
    found = Preparation.of_transformers(record, Path("x")).batch(smooth)
    assert found.shape == expected.shape
    # PIL rounds and cuts off after each of its two passes, which shows at sharp edges
    level = 1 / 255 / min(record["image_std"])
    assert (found - expected).abs().mean() < 0.5 * level
    assert (found - expected).abs().max() < 8 * level


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_video(kind: str, folders: dict[str, Path], toy_file: Path) -> None:
    encoder = open_encoder(folders[kind], device="cpu")
    found = encode_video(encoder, toy_file)
    assert found.rows.dtype == np.float32
    assert found.rows.shape == (int(found.info.duration_s / 2), KINDS[kind])
    assert found.times[0].tolist() == [0.0, 2.0]
    assert np.abs(np.diff(found.rows, axis=0)).max() > 0
    passport = encoder.passport()
    assert (passport.encoder, passport.rate, passport.clip_seconds, passport.size) == (kind, 0.5, 2.0, 8)
    assert passport.dimension == KINDS[kind]


def test_clip_gives_what_transformers_gives(folders: dict[str, Path]) -> None:
    encoder = SavedEncoder(folders["clip"], device="cpu")
    rows, _ = encoder.encode(timed(pictures()))
    pixels = Preparation.of_transformers({**CLIP, **CLIP_NORM}, Path("x")).batch(pictures())
    with torch.inference_mode():
        expected = encoder._model.get_image_features(pixel_values=pixels)
    expected = getattr(expected, "pooler_output", expected)
    assert rows == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_sentences_compare_with_pictures(kind: str, folders: dict[str, Path]) -> None:
    encoder = SavedEncoder(folders[kind], device="cpu")
    rows, _ = encoder.encode(timed(pictures(5)))
    texts = encoder.text(SENTENCES)
    assert texts is not None
    assert texts.shape == (2, encoder.dimension)
    scores = encoder.similarity(rows, SENTENCES)
    assert scores is not None
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert scores == pytest.approx(texts @ unit.T, abs=1e-6)
    tokens, mask, _, _ = next(TextEncoder(folders[kind]).states(SENTENCES))
    assert tokens.shape[:2] == mask.shape


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_model_of_pictures_alone_has_no_sentences(kind: str, folders: dict[str, Path]) -> None:
    encoder = SavedEncoder(folders[kind], device="cpu")
    assert encoder.text(SENTENCES) is None
    assert encoder.similarity(np.ones((2, 16), np.float32), SENTENCES) is None


def test_a_norm_and_a_rate_are_in_the_passport(folders: dict[str, Path], toy_file: Path) -> None:
    encoder = open_encoder(folders["clip"], rate=1, norm="l2", device="cpu")
    found = encode_video(encoder, toy_file)
    assert np.linalg.norm(found.rows, axis=1) == pytest.approx(np.ones(len(found.rows)), abs=1e-6)
    assert len(found.rows) == int(found.info.duration_s)
    assert encoder.passport().differences(open_encoder(folders["clip"], device="cpu").passport()) == [
        "rate is 1.0 here and 0.5 there",
        "norm is l2 here and none there",
        "clip_seconds is 1.0 here and 2.0 there",
    ]


def test_the_revision_follows_the_weights_and_not_the_name(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["clip"], tmp_path / "copy")
    here, copy = (SavedEncoder(folder, device="cpu").passport() for folder in (folders["clip"], tmp_path / "copy"))
    assert here.encoder != copy.encoder
    assert here.differences(copy) == []
    data = bytearray((tmp_path / "copy" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "copy" / "model.safetensors").write_bytes(data)
    (different,) = [text for text in here.differences(SavedEncoder(tmp_path / "copy", device="cpu").passport())
                    if not text.startswith("encoder")]  # fmt: skip
    assert different.startswith("revision is ")


def damage(folder: Path, what: str) -> None:
    if what == "weights":
        (folder / "model.safetensors").write_bytes(b"no weights")
    else:
        (folder / what).unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [("weights", "holds no usable model"), ("config.json", "is no folder with a config.json"),
     ("preprocessor_config.json", "has no preprocessor_config.json; copy it from where")],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_named(
    what: str, message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders["clip"], tmp_path / "model")
    damage(tmp_path / "model", what)
    with pytest.raises(DataError, match=message):
        open_encoder(tmp_path / "model")


def test_a_model_of_texts_is_named(tmp_path: Path) -> None:
    from tests.text.encoders import save_encoder

    with pytest.raises(DataError, match="holds a bert, no model of pictures"):
        open_encoder(save_encoder(tmp_path / "bert", SENTENCES))


def test_a_preparation_that_is_not_known_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["clip"], tmp_path / "model")
    (tmp_path / "model" / "preprocessor_config.json").write_text('{"size": {"longest_edge": 8}}')
    with pytest.raises(DataError, match="does not say how pictures are prepared in a way that is read"):
        open_encoder(tmp_path / "model")


@pytest.mark.parametrize("name", ["absent", "./a/b", "a/b/c"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"{name}: there is no such folder; give the folder of a saved encoder"):
        open_encoder(name)


def test_a_name_on_the_hub_is_fetched_once(folders: dict[str, Path], tmp_path: Path, monkeypatch, capsys) -> None:
    asked = []

    def snapshot(name: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        asked.append((name, local_files_only))
        if len(asked) == 1:
            raise FileNotFoundError("not in the cache")
        return str(folders["clip"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot))
    assert open_encoder("some/clip", device="cpu").name == "some/clip"
    assert asked == [("some/clip", True), ("some/clip", False)]
    assert "downloading some/clip" in capsys.readouterr().err
    assert open_encoder("some/clip", device="cpu").dimension == 12
    assert asked[2:] == [("some/clip", True)]


def test_a_name_that_cannot_be_had_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError("no network\nhere")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=refuse))
    with pytest.raises(DataError, match=r"is no folder here, and cannot be downloaded \(no network here\)"):
        open_encoder("some/clip")


def test_settings_that_there_are_not(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="must be above 0 pictures a second, not 0"):
        open_encoder(folders["clip"], rate=0)
    with pytest.raises(ConfigError, match="must be 'none' or 'l2', not 'l1'"):
        open_encoder(folders["clip"], norm="l1")  # type: ignore[arg-type]


def test_a_model_of_timm(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="models of timm need the packages timm and torchvision")
    safetensors = pytest.importorskip("safetensors.torch")
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False, num_classes=3).eval()
    safetensors.save_file(model.state_dict(), tmp_path / "model.safetensors")
    stated = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0}
    config = {"architecture": "resnet10t", "num_classes": 3, "model_args": {"num_classes": 3}, "pretrained_cfg": stated}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = open_encoder(tmp_path, device="cpu")
    rows, _ = encoder.encode(timed(pictures()))
    pixels = Preparation.of_timm(stated).batch(pictures())
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
    assert rows == pytest.approx(expected.numpy(), abs=1e-5)
    assert encoder.text(SENTENCES) is None


def test_a_model_of_timm_without_timm_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t"}')
    with pytest.raises(DataError, match="holds a model of timm, which cannot be imported here; run `pip install timm`"):
        open_encoder(tmp_path)
