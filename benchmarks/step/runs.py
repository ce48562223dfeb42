"""What is measured beyond a step: the loop, several runs at once, the loader, and a whole training."""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from benchmarks.step.cases import Size
from vmlkit.data.batches import MomentDataset
from vmlkit.experiments.experiment import build
from vmlkit.methods import preset
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.training.experiment import Experiment
from vmlkit.training.loop import train
from vmlkit.training.many import Training, train_many

METHOD = "lnp-cpl"


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much data there is and how much is trained."""

    clips: int
    frame_dim: int
    words: int
    vocabulary: int
    batch: int


EXTENTS = {"tiny": Extent(64, 32, 8, 101, 8), "paper": Extent(200, 1024, 20, 1111, 32)}
#: of Charades-STA's annotation files: queries and videos to train on, queries to validate with
CHARADES = (12_408, 5_338, 500)


def data_set(name: str, queries: int, videos: int, extent: Extent, device: torch.device) -> MomentDataset:
    """Random features and sentences: nothing can be learned, everything costs what it costs."""
    rng, generator = np.random.default_rng(queries), torch.Generator(device=device).manual_seed(queries)
    shape = (videos, extent.clips, extent.frame_dim)
    frames = torch.randn(shape, generator=generator, device=device, dtype=torch.float16).cpu()
    lengths = rng.integers(3, extent.words + 1, queries)
    mask = np.arange(extent.words) < lengths[:, None]
    ids = np.where(mask, rng.integers(1, extent.vocabulary + 1, mask.shape), 0)
    durations = rng.uniform(20, 40, queries)
    starts = rng.uniform(0, 0.6, queries)
    return MomentDataset(
        name=name,
        frames=frames,
        video_index=torch.from_numpy(np.arange(queries) % videos),
        word_ids=torch.from_numpy(ids),
        word_mask=torch.from_numpy(mask),
        word_weights=torch.from_numpy((mask / lengths[:, None]).astype(np.float32)),
        vectors=torch.from_numpy(rng.normal(size=(extent.vocabulary + 1, 300)).astype(np.float32)),
        spans_s=np.stack((starts, starts + 0.3), axis=1) * durations[:, None],
        durations=durations,
        query_ids=tuple(f"q{i}" for i in range(queries)),
        video_ids=tuple(f"v{i % videos}" for i in range(queries)),
        sentences=("noise",) * queries,
        vocabulary=Vocabulary(tuple(f"w{i}" for i in range(extent.vocabulary))),
        fingerprint=f"{name}-{queries}-{videos}",
    )


def experiment(size: Size, device: torch.device, **settings: Any) -> Experiment:
    """LNP on CPL at a size, with training settings of one's own."""
    found = preset(METHOD, "toy", "ci") if size == "tiny" else preset(METHOD, "charades", "paper")
    changed = {"device": str(device), "batch_size": EXTENTS[size].batch, "evaluation_batch_size": 128, **settings}
    return dataclasses.replace(found, train=dataclasses.replace(found.train, **changed))


def _seconds(one: Experiment, splits: tuple[MomentDataset, MomentDataset], device: torch.device) -> float:
    """A whole training."""
    method = build(one, splits[0])
    with tempfile.TemporaryDirectory() as folder:
        started = _clock(device)()
        train(method, *splits, one.train, Path(folder) / "run", _description(one), progress=False)
        return _clock(device)() - started


def _clock(device: torch.device) -> Callable[[], float]:
    """Seconds: of the wall where a card computes, of the processor where it is shared with others."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def loop_ms(size: Size, device: torch.device, graph: str, steps: int) -> float:
    """Milliseconds of a step of the loop, batches and bookkeeping included: what two epochs more take."""
    extent = EXTENTS[size]
    splits = tuple(data_set(n, extent.batch * k, 64, extent, device) for n, k in (("train", steps), ("validation", 1)))
    taken = []
    for epochs in (1, 3):
        one = experiment(size, device, epochs=epochs, evaluate_every=epochs, graph=graph)
        taken.append(_seconds(one, splits, device))  # type: ignore[arg-type]
    return 1e3 * (taken[1] - taken[0]) / (2 * steps)


def many(device: torch.device, count: int, steps: int, epochs: int) -> float:
    """Steps a second, all runs together, of ``count`` runs of the toy size in one process."""
    extent = EXTENTS["tiny"]
    splits = [data_set(n, extent.batch * k, 16, extent, device) for n, k in (("train", steps), ("validation", 2))]
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for seed in range(count):
            one = experiment("tiny", device, epochs=epochs, evaluate_every=epochs, seed=seed)
            runs.append(
                Training(
                    method=build(one, splits[0]), train=splits[0], validation=splits[1], config=one.train,
                    run_dir=Path(folder) / str(seed), description=_description(one),
                )
            )  # fmt: skip
        started = _clock(device)()
        outcomes = train_many(runs)
        seconds = _clock(device)() - started
        for outcome in outcomes:
            _ = outcome.run  # raises what stopped it
    return count * steps * epochs / seconds


def loader_ms(size: Size, rounds: int) -> dict[str, float]:
    """Processor milliseconds of a batch on the host: opened and resampled per item, and by index."""
    extent, rng = EXTENTS[size], np.random.default_rng(0)
    splits = data_set("train", 4 * extent.batch, 2 * extent.batch, extent, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        with h5py.File(path, "w") as file:
            for video in range(2 * extent.batch):
                rows = int(rng.integers(extent.clips // 2, 2 * extent.clips))
                file[f"v{video}"] = rng.normal(size=(rows, extent.frame_dim)).astype(np.float32)
        indices = [torch.from_numpy(rng.integers(0, len(splits), extent.batch)) for _ in range(rounds)]
        return {
            "per item": _cpu_ms(lambda i: _per_item(path, splits, i, extent.clips), indices),
            "by index": _cpu_ms(lambda i: splits.batch(i, static=True), indices),
        }


def _per_item(path: Path, data: MomentDataset, indices: Tensor, clips: int) -> Tensor:
    """As the released data sets do: open the file for each item, average rows in a loop, stack."""
    items = []
    for i in indices.tolist():
        with h5py.File(path, "r") as file:
            rows = np.asarray(file[data.video_ids[i]])
        edges = np.round(np.linspace(0, len(rows), clips + 1)).astype(int).clip(max=len(rows) - 1)
        items.append(np.stack([rows[a:b].mean(axis=0) if a < b else rows[a] for a, b in itertools.pairwise(edges)]))
    return torch.from_numpy(np.stack(items))


def _cpu_ms(make: Callable[[Tensor], Any], indices: list[Tensor]) -> float:
    make(indices[0])
    started = time.process_time()
    for i in indices:
        make(i)
    return 1e3 * (time.process_time() - started) / len(indices)


def whole(size: Size, device: torch.device, epochs: int) -> dict[str, float]:
    """A training of ``epochs`` epochs at the size of Charades-STA, each evaluated and recorded: seconds."""
    extent = EXTENTS[size]
    queries, videos, held = CHARADES if size == "paper" else (4 * extent.batch, 8, extent.batch)
    splits = (
        data_set("train", queries, videos, extent, device),
        data_set("validation", held, min(held, videos), extent, device),
    )
    one = experiment(size, device, epochs=epochs)
    return {"epochs": epochs, "steps": epochs * -(-queries // extent.batch), "seconds": _seconds(one, splits, device)}


def _description(one: Experiment) -> dict[str, Any]:
    return {"name": "benchmark", "method": one.method, "settings": {}}
