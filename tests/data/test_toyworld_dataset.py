"""The splits: contents, cache, worker processes, film strips."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.data.batches import MomentDataset
from vmlkit.data.toyworld import ToyConfig, cache, frame_features, make_video, render, toy_sentences, toy_splits
from vmlkit.data.toyworld import build as build_module
from vmlkit.data.toyworld.build import raw_features
from vmlkit.data.toyworld.cache import cache_path
from vmlkit.data.toyworld.dataset import build_frames, mask_weights
from vmlkit.data.toyworld.features import Scaler, resample
from vmlkit.errors import DataError
from vmlkit.files import default_cache_dir, read_bytes

SMALL = ToyConfig(train_videos=6, validation_videos=2, test_videos=3, clips=16, feature_dim=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def splits(folder: Path) -> dict[str, MomentDataset]:
    return toy_splits(SMALL, folder, progress=False)


def same(a: dict[str, MomentDataset], b: dict[str, MomentDataset]) -> bool:
    return all(a[k].fingerprint == b[k].fingerprint and torch.equal(a[k].frames, b[k].frames) for k in a)


def test_fields_follow_the_contract(splits: dict[str, MomentDataset]) -> None:
    assert list(splits) == ["train", "validation", "test"]
    for split, data in splits.items():
        sentences = toy_sentences(SMALL, split)  # type: ignore[arg-type]
        n, longest = len(sentences), max(len(s.tokens) for s in sentences)
        assert data.name == f"toy/{split}"
        assert data.frames.shape == (SMALL.videos(split), 16, 24)  # type: ignore[arg-type]
        assert data.frames.dtype == torch.float16
        assert data.word_ids.shape == data.word_mask.shape == data.word_weights.shape == (n, longest)
        assert data.vectors.shape == (102, 48)
        assert data.spans_s.shape == (n, 2)
        assert data.sentences == tuple(s.text for s in sentences)
        assert data.query_ids == tuple(s.query_id for s in sentences)
        assert data.spans_s.tolist() == [list(s.span_s) for s in sentences]
        assert (data.spans >= 0).all()
        assert (data.spans <= 1).all()
        assert [data.video_ids[i] for i in range(n)] == [f"toy-{split}-{int(v):05d}" for v in data.video_index]


def test_words_of_a_row_are_those_of_its_sentence(splits: dict[str, MomentDataset]) -> None:
    data, sentences = splits["train"], toy_sentences(SMALL, "train")
    for i, sentence in enumerate(sentences):
        count = len(sentence.tokens)
        assert [data.vocabulary.word(int(k)) for k in data.word_ids[i, :count]] == list(sentence.tokens)
        assert data.word_mask[i].tolist() == [j < count for j in range(data.word_mask.shape[1])]
        assert data.word_weights[i, :count].numpy() == pytest.approx(mask_weights(sentence.tags))
        assert not data.word_weights[i, count:].any()
    batch = data.batch([0, 3, 1], with_spans=True)
    assert batch.words.shape == (3, int(batch.word_mask.sum(1).max()), 48)
    assert batch.spans is not None
    assert batch.spans[1, 1] == pytest.approx(np.diff(data.spans[3])[0], rel=1e-5)


def test_features_are_scaled_by_the_training_videos_only(splits: dict[str, MomentDataset]) -> None:
    def raw(split: str, index: int) -> np.ndarray:
        video = make_video(SMALL, split, index)  # type: ignore[arg-type]
        return resample(frame_features(render(video, video.frame_times(), 32)), 16)

    scaler = Scaler.fit(np.stack([raw("train", i) for i in range(6)]))
    expected = scaler.project(np.stack([raw("test", i) for i in range(3)]), 24)
    assert np.array_equal(splits["test"].frames.numpy(), expected)


def test_a_cached_world_is_the_built_one(folder: Path, splits: dict[str, MomentDataset], monkeypatch) -> None:
    monkeypatch.setattr("vmlkit.data.toyworld.dataset.build_frames", lambda *a, **k: pytest.fail("built again"))
    assert same(toy_splits(SMALL, folder, progress=False), splits)
    assert [p.name for p in folder.iterdir()] == [cache_path(SMALL, folder).name]


def test_the_name_of_the_cache_changes_with_settings_and_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ToyConfig(train_videos=6, validation_videos=2, test_videos=3, clips=16, feature_dim=24, world_seed=1)
    names = {cache_path(SMALL, folder).name, cache_path(other, folder).name}
    monkeypatch.setattr(np, "__version__", "0.0")
    names.add(cache_path(SMALL, folder).name)
    monkeypatch.setattr(cache, "read_bytes", lambda path: read_bytes(path) + b"#" * (path.name == "render.py"))
    names.add(cache_path(SMALL, folder).name)
    assert len(names) == 4


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_archive(path: Path) -> None:
    path.write_text("hello")


def wrong_shape(path: Path) -> None:
    np.savez(path, **{k: np.zeros((1, 2, 3), np.float16) for k in ("train", "validation", "test")})


def pickled(path: Path) -> None:
    np.savez(path, **{k: np.array([{}], dtype=object) for k in ("train", "validation", "test")})


def missing_split(path: Path) -> None:
    np.savez(path, train=np.zeros((6, 16, 24), np.float16))


def not_finite(path: Path) -> None:
    sizes = {"train": 6, "validation": 2, "test": 3}
    np.savez(path, **{k: np.full((n, 16, 24), np.nan, np.float16) for k, n in sizes.items()})


@pytest.mark.parametrize(
    "damage",
    [truncate, flip, empty, no_archive, wrong_shape, pickled, missing_split, not_finite],
    ids=lambda f: f.__name__,
)
def test_a_damaged_cache_is_reported_and_built_again(
    damage, folder: Path, splits: dict[str, MomentDataset], capsys: pytest.CaptureFixture[str]
) -> None:
    path = cache_path(SMALL, folder)
    good = path.read_bytes()
    damage(path)
    assert same(toy_splits(SMALL, folder, progress=False), splits)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path} is damaged" in said
    assert path.read_bytes() == good
    assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_cache_folder_that_cannot_be_written_is_only_reported(tmp_path: Path, capsys, splits) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert same(toy_splits(SMALL, tmp_path, progress=False), splits)
    assert "was not cached" in capsys.readouterr().err


def test_a_cache_folder_that_is_a_file_is_only_reported(tmp_path: Path, capsys, splits) -> None:
    (tmp_path / "file").write_text("")
    assert same(toy_splits(SMALL, tmp_path / "file", progress=False), splits)
    assert capsys.readouterr().err.count("was not cached") == 1


def test_the_default_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    assert cache_path(SMALL).parent == tmp_path / "here"
    monkeypatch.delenv("VMLKIT_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "vmlkit"


def test_one_process_and_two_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "_WORTH_WORKERS", 0)
    monkeypatch.setattr(build_module, "_CHUNK_VIDEOS", 2)
    environment = dict(os.environ)
    main_file = vars(sys.modules["__main__"]).get("__file__")
    one, two = (build_frames(SMALL, progress=False, processes=n)[0] for n in (1, 2))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert dict(os.environ) == environment
    assert vars(sys.modules["__main__"]).get("__file__") == main_file


def test_without_worker_processes_it_is_built_in_this_one(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no semaphores here")

    expected = raw_features(SMALL, processes=1, progress=False)
    monkeypatch.setattr(build_module, "_WORTH_WORKERS", 0)
    monkeypatch.setattr(build_module, "ProcessPoolExecutor", refuse)
    rows = raw_features(SMALL, processes=2, progress=False)
    assert all(np.array_equal(rows[k], expected[k]) for k in rows)
    assert "no worker processes (no semaphores here)" in capsys.readouterr().err


def test_a_script_without_a_main_guard_can_build(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "print('started')\n"
        "from pathlib import Path\n"
        "from vmlkit.data.toyworld import ToyConfig, build, toy_splits\n"
        "build._WORTH_WORKERS, build._CHUNK_VIDEOS = 0, 2\n"
        "config = ToyConfig(train_videos=6, validation_videos=2, test_videos=3, clips=16, feature_dim=24)\n"
        "print(toy_splits(config, Path('cache'), processes=2)['test'].fingerprint)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=180, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-800:]
    assert done.stdout.count("started") == 1
    assert "no worker processes" not in done.stderr
    assert "11/11" in done.stderr


def test_film_strips_are_drawn_from_the_name_alone(splits: dict[str, MomentDataset]) -> None:
    strip = splits["test"].film_strip
    assert strip is not None
    frames = strip("toy-test-00002", 5, 64)
    video = make_video(SMALL, "test", 2)
    assert frames.shape == (5, 64, 64, 3)
    assert np.array_equal(frames, render(video, (np.arange(5) + 0.5) / 5 * video.duration_s, 64))
    zoom = strip.moment("toy-test-00002", *video.events[0].span_s, 7, 48)  # type: ignore[attr-defined]
    assert zoom.shape == (7, 48, 48, 3)


@pytest.mark.parametrize(
    ("video", "count", "size"),
    [("toy-test-00003", 5, 64), ("/etc/passwd", 5, 64), ("toy-test-00000", 0, 64), ("toy-test-00000", 5, 2)],
)
def test_a_strip_of_nothing_is_refused(splits, video: str, count: int, size: int) -> None:
    with pytest.raises(DataError):
        splits["test"].film_strip(video, count, size)
