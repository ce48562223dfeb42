"""Video files: what is written can be read back, and bad input is named."""

import sys
from pathlib import Path

import numpy as np
import pytest

from vmlkit.data.toyworld import ToyConfig, ToyVideo, frame_features, make_video, render
from vmlkit.data.video import export_toy_video, read_video, video_info, write_video
from vmlkit.errors import DataError, MissingDependency

pytest.importorskip("imageio_ffmpeg", reason="needs the extra 'video'")


def tones(count: int, size: int = 32) -> np.ndarray:
    """Frames of one grey each, so a frame can be told from its brightness."""
    levels = np.linspace(20, 235, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, 3)).copy()


@pytest.fixture(scope="module")
def script() -> ToyVideo:
    return make_video(ToyConfig(), "test", 1)


@pytest.fixture(scope="module")
def exported(script: ToyVideo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_toy_video(script, tmp_path_factory.mktemp("video") / "new folder" / "toy.mp4", px=64, fps=8)


def test_an_exported_video_shows_the_script(exported: Path, script: ToyVideo) -> None:
    frames, times = read_video(exported)
    assert frames.shape == (round(script.duration_s * 8), 64, 64, 3)
    assert times[:3] == pytest.approx([0, 1 / 8, 2 / 8])
    assert video_info(exported) == pytest.approx((script.duration_s, 8), abs=0.15)
    truth = render(script, times, 64).astype(int)
    assert np.abs(frames - truth).mean() < 5
    assert list(exported.parent.iterdir()) == [exported]


def test_features_of_the_file_are_close_to_those_of_the_script(exported: Path, script: ToyVideo) -> None:
    times = script.frame_times()
    read, at = read_video(exported, times, size=(32, 32))
    assert read.shape == (len(times), 32, 32, 3)
    assert np.abs(at - times).max() < 1 / 8 + 1e-6
    a, b = frame_features(read)[:, 1:108:18], frame_features(render(script, at, 32))[:, 1:108:18]
    assert np.abs(a - b).mean() < 0.05


def test_frames_at_given_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "steps.mp4", tones(10), fps=5)
    everything, starts = read_video(path)
    assert everything.shape == (10, 32, 32, 3)
    assert starts == pytest.approx(np.arange(10) / 5)
    assert np.abs(everything.mean(axis=(1, 2, 3)) - tones(10).mean(axis=(1, 2, 3))).max() < 4
    some, at = read_video(path, np.array([1.5, 0.0, 0.39, 0.4, 2.0]))
    assert np.array_equal(some, everything[[7, 0, 1, 2, 9]])
    assert at == pytest.approx([1.4, 0, 0.2, 0.4, 1.8])
    assert read_video(path, np.array([]))[0].shape == (0, 32, 32, 3)


def test_frames_may_be_generated_and_need_not_be_square(tmp_path: Path) -> None:
    wide = np.full((24, 40, 3), (200, 30, 30), np.uint8)
    frames, _ = read_video(write_video(tmp_path / "wide.mp4", (wide for _ in range(3)), fps=2))
    assert frames.shape == (3, 24, 40, 3)
    assert frames.reshape(-1, 3).mean(axis=0) == pytest.approx([200, 30, 30], abs=8)


@pytest.mark.parametrize(
    ("frames", "fps", "name", "words"),
    [
        (tones(3), 5, "a.avi", ".mp4"),
        (tones(3), 0, "a.mp4", "positive rate"),
        (tones(3), float("nan"), "a.mp4", "positive rate"),
        (tones(0), 5, "a.mp4", "at least one"),
        (tones(3) / 255, 5, "a.mp4", "float64"),
        (tones(3, 31), 5, "a.mp4", "even sides"),
        ([*tones(2), *tones(2, 34)], 5, "a.mp4", "frame 2"),
        (tones(3)[..., 0], 5, "a.mp4", "frame 0"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, frames, fps, name, words) -> None:
    with pytest.raises(DataError, match=words):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_are_named(tmp_path: Path, exported: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "cut.mp4").write_bytes(exported.read_bytes()[:2000])
    for name, words in (("text.mp4", "as a video"), ("cut.mp4", "as a video"), ("gone.mp4", "no such file")):
        with pytest.raises(DataError, match=words) as caught:
            read_video(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(DataError, match="outside the video"):
        read_video(exported, np.array([1e6]))


def test_without_imageio_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vmlkit\[video\]'"):
        write_video(tmp_path / "a.mp4", tones(2), 5)
    assert list(tmp_path.iterdir()) == []
