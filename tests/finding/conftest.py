"""A film of the toy world as a file, and tiny runs that answer about it."""

from pathlib import Path

import pytest

import vmlkit as vk
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.experiments.experiment import run_experiment

pytest.importorskip("imageio_ffmpeg", reason="needs the package imageio-ffmpeg (extra 'video')")

from vmlkit.finding.finder import Finder
from vmlkit.finding.toy_video import write_toy_video

#: the smallest world that trains
SMALL = {
    "data.train_videos": 12,
    "data.validation_videos": 2,
    "data.test_videos": 3,
    "train.epochs": 1,
    "train.warmup_updates": 1,
    "train.probe_queries": 2,
}


def trained(method: str, folder: Path, **settings: object) -> Path:
    """A run of one epoch."""
    run_experiment(vk.with_overrides(vk.preset(method, "toy", "ci"), {**SMALL, **settings}), folder, progress=False)
    return folder


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ToyVideo]:
    """A file of 60 s that no run has seen, and its script."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return path, write_toy_video(path, seed=2, px=128, rate=8)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tiny runs lie."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def cpl_run(runs: Path) -> Path:
    return trained("cpl", runs / "cpl")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where encoded videos are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finder(cpl_run: Path, film: tuple[Path, ToyVideo], cache: Path) -> Finder:
    """A finder that has encoded the film."""
    made = Finder(cpl_run, cache_dir=cache, device="cpu")
    made.encode(film[0])
    return made
