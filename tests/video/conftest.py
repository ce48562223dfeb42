"""Small files of video, written on the spot: a toy one, and grey levels that say which frame is seen."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vmlkit.data.toyworld import ToyConfig, ToyVideo, make_video, render

pytest.importorskip("imageio_ffmpeg", reason="needs the package imageio-ffmpeg (extra 'video')")

from vmlkit.video.decode import Decoder
from vmlkit.video.ffmpeg import ffmpeg_program
from vmlkit.video.opening import decoder, torchcodec_works
from vmlkit.video.writing import write_video

WORLD = ToyConfig(train_videos=6, validation_videos=1, test_videos=3, clips=16, feature_dim=24)


def run_ffmpeg(*arguments: str | Path) -> None:
    command = [ffmpeg_program(), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def toy_frames(video: ToyVideo, rate: float, px: int) -> Iterator[np.ndarray]:
    times = (np.arange(round(video.duration_s * rate)) + 0.5) / rate
    for first in range(0, len(times), 50):
        yield from render(video, times[first : first + 50], px)


@pytest.fixture(scope="session")
def toy_video() -> ToyVideo:
    return make_video(WORLD, "test", 1)


@pytest.fixture(scope="session")
def toy_file(toy_video: ToyVideo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video as 128 px frames, ten a second, each drawn at the middle of the time for which it is shown."""
    return write_video(tmp_path_factory.mktemp("toy") / "toy.mp4", toy_frames(toy_video, 10, 128), 10)


def level(picture: np.ndarray) -> int:
    """Which frame of :func:`levels` a picture is."""
    return round((float(picture.mean()) - 20) / 13)


def levels(count: int = 16) -> Iterator[np.ndarray]:
    """Frames that differ by 13 grey levels: 96 wide, 64 high."""
    for i in range(count):
        yield np.full((64, 96, 3), 20 + 13 * i, np.uint8)


@pytest.fixture(scope="session")
def steady_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen grey levels, four a second."""
    return write_video(tmp_path_factory.mktemp("levels") / "steady.mp4", levels(), 4)


@pytest.fixture(scope="session")
def variable_file(steady_file: Path) -> Path:
    """The same sixteen frames, frame n shown from n * n / 50 seconds on."""
    path = steady_file.with_name("variable.mp4")
    keep_times = ("-fps_mode", "passthrough", "-enc_time_base", "1:1000")
    run_ffmpeg("-i", steady_file, "-vf", "settb=1/1000,setpts=N*N*20", *keep_times, "-qp", "0", path)
    return path


@pytest.fixture(params=["ffmpeg", "torchcodec"])
def any_decoder(request: pytest.FixtureRequest) -> Decoder:
    if request.param == "torchcodec" and not torchcodec_works():
        pytest.skip("needs torchcodec, built for this torch, and the shared libraries of ffmpeg")
    return decoder(request.param)
