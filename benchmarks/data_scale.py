"""Data sets of the published sizes: packed, loaded, trained for a step, scored and recorded, and the memory of it.

``python -m benchmarks.data_scale [--size charades activitynet] [--json PATH]``: the features are synthetic and are
deleted again; annotations have the published number of videos and queries.  Seconds are those of the processor, which
does one thing at a time, and of the clock beside them.  Each size has a process of its own, and
``memory`` is the largest anonymous memory of that process, sampled: pages of the packed file that are mapped belong to
the file and are given back when others need them.  A size that needs more than its ``limit_gb`` is a failure.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vmlkit as vk
from benchmarks import _frame
from vmlkit.data.packed import pack_features
from vmlkit.data.settings import CorpusData
from vmlkit.data.sources import load
from vmlkit.experiments.experiment import run_experiment


@dataclass(frozen=True)
class Size:
    """Videos and queries of the training and the test file, clips, and dimensions of features."""

    source: str
    videos: tuple[int, int]
    queries: tuple[int, int]
    clips: int
    dim: int
    limit_gb: float = 2.0


SIZES = {
    "tiny": Size("charades", (6, 3), (12, 6), 16, 8),
    # the whole benchmark, I3D
    "charades": Size("charades", (5338, 1334), (12408, 3720), 200, 1024),
    # train and val_1 to train on, val_2 to test on, C3D with PCA
    "activitynet": Size("activitynet", (10041, 4885), (54922, 17031), 200, 500),
}
WORDS = 1111
#: queries of the step and of the scoring, after everything was loaded
STEP, SCORED = 32, 512


@dataclass
class Meter:
    """Seconds of each stage, of the processor and of the clock, and the largest anonymous memory up to its end."""

    seconds: dict[str, float] = field(default_factory=dict)
    clock_seconds: dict[str, float] = field(default_factory=dict)
    memory_gb: dict[str, float] = field(default_factory=dict)
    _most: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage."""
        worked, started = time.process_time(), time.perf_counter()
        yield
        self.seconds[name] = round(time.process_time() - worked, 2)
        self.clock_seconds[name] = round(time.perf_counter() - started, 2)
        self._look()
        self.memory_gb[name] = round(self._most, 3)

    def _look(self) -> None:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").split("\n")
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
        self._most = max(self._most, kilobytes / 1e6)

    def __enter__(self) -> "Meter":
        def watch() -> None:
            while not self._done.wait(0.02):
                self._look()

        threading.Thread(target=watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()


class Synthetic:
    """Features of any number of videos from one buffer, a window of it each (a feature store)."""

    def __init__(self, size: Size) -> None:
        self.size = size
        rng = np.random.default_rng(0)
        self.buffer = rng.standard_normal((size.clips + 997, size.dim), dtype=np.float32)

    def __contains__(self, video_id: str) -> bool:
        return True

    def __str__(self) -> str:
        return "synthetic features"

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache."""

    def read(self, video_id: str) -> np.ndarray:
        """As many rows as there are clips, so that packing need not resample."""
        first = int(video_id[1:]) % 997
        return self.buffer[first : first + self.size.clips]


def write_annotations(size: Size, folder: Path) -> list[str]:
    """Annotation files, tags and word vectors of a size; returns the videos."""
    rng = np.random.default_rng(1)
    names = {"charades": ("train.json", "test.json"), "activitynet": ("train_data.json", "val_2.json")}[size.source]
    words = [f"w{i}" for i in range(WORDS)]
    tags, first, every = [], 0, []
    for split, name, videos, queries in zip(("train", "test"), names, size.videos, size.queries, strict=True):
        ids = [f"v{first + i}" for i in range(videos)]
        rows = []
        for row in range(queries):
            tokens = [words[i] for i in rng.integers(WORDS, size=8)]
            start = float(rng.uniform(0, 60))
            rows.append([ids[row % videos], 100.0, [start, start + 20.0], " ".join(tokens)])
            tags.append(json.dumps({"split": split, "row": row, "tokens": tokens, "tags": ["NN"] * len(tokens)}))
        (folder / name).write_text(json.dumps(rows), encoding="utf-8")
        first, every = first + videos, every + ids
    (folder / "tokens_pos.jsonl").write_text("\n".join(tags), encoding="utf-8")
    vectors = np.vstack((np.zeros((1, 300)), rng.standard_normal((WORDS, 300)))).astype(np.float32)
    known = {"words": np.array(["<PAD>", *words]), "vectors": vectors, "model_vocab": np.arange(1, WORDS + 1)}
    np.savez(folder / f"glove_{size.source}.npz", **known)
    return every


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """All stages of a size in this process."""
    path = folder / "packed.safetensors"
    with Meter() as meter:
        meter._look()
        started = meter._most
        videos = write_annotations(size, folder)
        with meter.stage("pack"):
            pack_features(Synthetic(size), videos, path, resample=np.asarray, clips=size.clips)
        with meter.stage("load"):
            data = CorpusData(
                name=size.source, annotations=str(folder), features=str(path), clips=size.clips,  # type: ignore[arg-type]
            )  # fmt: skip
            splits = load(data, progress=False)
        counts = {name: len(getattr(splits, name)) for name in ("train", "validation", "test")}
        with meter.stage("step, score, record"):
            few = {"train": STEP, "validation": STEP, "test": SCORED}
            small = splits.map(lambda name, split: split.subset(np.arange(min(len(split), few[name]))))
            settings = {"train.epochs": 1, "train.batch_size": STEP, "train.probe_queries": 4, "train.device": "cpu"}
            paths = {"data.annotations": str(folder), "data.features": str(path), "data.clips": size.clips}
            experiment = vk.with_overrides(vk.preset("cnm", size.source, "ci"), settings | paths)
            run = run_experiment(experiment, folder / "run", progress=False, splits=small)
            assert run.metrics["n_test"] == min(SCORED, counts["test"])
        assert splits.train.frames.data_ptr() == splits.test.frames.data_ptr(), "the splits share the mapped file"
    return {
        "size": vars(size),
        "queries": counts,
        "file_gb": round(path.stat().st_size / 1e9, 2),
        "memory_gb_before": round(started, 3),
        "memory_gb": meter.memory_gb,
        "seconds": meter.seconds,
        "clock_seconds": meter.clock_seconds,
        "scored_queries": run.metrics["n_test"],
    }


def child(name: str) -> dict[str, Any]:
    """The numbers of a size, from a process of its own."""
    found: dict[str, Any] = _frame.of_a_process("data_scale", "--inside", name)
    most = max(found["memory_gb"].values())
    if most > found["size"]["limit_gb"]:
        raise SystemExit(f"{name} needs {most:.2f} GB, and {found['size']['limit_gb']:g} GB were stated")
    return found


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = _frame.options(__doc__)
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["charades", "activitynet"])
    parser.add_argument("--inside", choices=SIZES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.inside:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(SIZES[options.inside], Path(folder))))
        return
    found = {}
    for name in options.size:
        found[name] = child(name)
        print(f"{name}: {found[name]['queries']} queries, {found[name]['file_gb']} GB packed")
        for stage, seconds in found[name]["seconds"].items():
            print(
                f"  {stage:20s} {seconds:8.1f} s of the processor   {found[name]['memory_gb'][stage]:6.2f} GB at most"
            )
    _frame.keep(options.json, "data_scale", sizes=found)


if __name__ == "__main__":
    main()
