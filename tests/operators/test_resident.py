"""Splits on the device: batches have the bits of reading one item after another, and need nothing but row numbers."""

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import vmlkit
from benchmarks.operators import META, audited
from vmlkit.actions.sampling import random_indices
from vmlkit.data.batches import LARGE, Batch, float_rows
from vmlkit.data.resident import Residence, gathered_tensors, placed
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import task_of
from vmlkit.methods import METHODS, preset
from vmlkit.spans import to_center_width

#: one method of each family and kind of batch
KINDS = ("lnp-cpl", "bm-detr", "tsm-vlc", "p4-qd-detr", "p4-xclip")


@functools.cache
def case(method: str):  # type: ignore[no-untyped-def]
    """A task and a small training split; features are halved in precision, as on a card."""
    experiment = preset(method, "toy", "ci")
    data = dataclasses.replace(experiment.data, train_videos=24, validation_videos=3, test_videos=3)
    split = METHODS[method].load(data, progress=False).train
    return task_of(experiment), placed(
        split, lambda t: t.half().float() if t.dim() == 3 and t.is_floating_point() else t
    )


def tensors(batch: Batch, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(batch).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, Batch):
            yield from tensors(value, f"{name}.")


def one_after_another(method: str, split, rows: list[int], seed: int) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    """Frames, words and times as a loader of single items reads and stacks them."""
    if method == "tsm-vlc":
        rng, clips = np.random.default_rng(seed), split.clips
        found = []
        for i in rows:
            video = split.rows[int(split.offsets[i]) : int(split.offsets[i + 1])]
            found.append(video[torch.from_numpy(random_indices(len(video), clips, rng))].float())
        seconds = [split.snippet_s[i] * int(split.lengths[i]) / clips for i in rows]
        expected = {"frames": torch.stack(found), "labels": torch.stack([split.labels[i] for i in rows])}
        return expected | {"snippet_s": torch.tensor(seconds, dtype=torch.float32)}
    longest = max(int(split.word_mask[i].sum()) for i in rows)
    items = []
    for i in rows:
        frames = split.frames[split.video_index[i]].float()
        if method != "lnp-cpl" and method != "p4-xclip":
            ends = torch.arange(len(frames) + 1) / len(frames)
            frames = torch.cat((frames, ends[:-1, None], ends[1:, None]), dim=1)
        ids = split.word_ids[i, :longest]
        span = torch.from_numpy((split.spans_s[i] / split.durations[i]).astype(np.float32))
        items.append((frames, split.vectors[ids], ids, split.word_mask[i, :longest], to_center_width(span)))
    names = ("frames", "words", "word_ids", "word_mask", "spans")
    return {name: torch.stack(list(values)) for name, values in zip(names, zip(*items, strict=True), strict=True)}


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_batch_has_the_bits_of_single_items(method: str, seed: int) -> None:
    task, split = case(method)
    rows = task.order(split, 6, seed, 1)[0]
    batch = task.batch(split, rows, seed)
    for name, expected in one_after_another(method, split, rows.tolist(), seed).items():
        got = getattr(batch, name)
        assert got is None or torch.equal(got, expected), name
    assert batch.spans is not None if task_is_supervised(task) else getattr(batch, "spans", None) is None
    assert batch.video_ids == tuple(split.video_ids[i] for i in rows.tolist())


def task_is_supervised(task: object) -> bool:
    return bool(getattr(task, "supervised", False))


@pytest.mark.parametrize("method", KINDS)
def test_gathering_reads_nothing_back_and_static_batches_have_one_shape(method: str) -> None:
    """On the meta device nothing can be read; a shape that follows from the rows would differ between two batches."""
    task, split = case(method)
    there = placed(split, lambda t: t.to(META))
    shapes = []
    for turn, rows in enumerate(task.order(split, 6, 0, 1)[:2]):
        draw = task.draw(split, rows, seed=turn, static=True)
        assert all(not tensor.is_floating_point() for _, tensor in tensors(draw)), "only whole numbers cross over"
        copied = draw.to(META)
        task.gather(there, copied)  # makes what is kept between batches
        with audited() as audit:
            batch = task.gather(there, copied)
        assert audit.problems == []
        assert all(tensor.device == META for _, tensor in tensors(batch))
        shapes.append([{name: tuple(t.shape) for name, t in tensors(b)} for b in (draw, batch)])
        shapes[-1].append({name: value for name, value in vars(draw).items() if isinstance(value, (int, bool))})
    assert shapes[0] == shapes[1]
    on_host = {name: tuple(t.shape) for name, t in tensors(task.batch(split, rows, 1, static=True))}
    assert on_host == shapes[1][1]


@pytest.mark.parametrize("method", KINDS)
def test_static_padding_adds_nothing_but_padding(method: str) -> None:
    task, split = case(method)
    rows = task.order(split, 6, 0, 1)[1]
    short, padded = (dict(tensors(task.batch(split, rows, 3, static=static))) for static in (False, True))
    assert short.keys() == padded.keys()
    for name, value in short.items():
        wide = padded[name][tuple(slice(size) for size in value.shape)]
        assert torch.equal(wide, value), name


def test_what_splits_share_is_moved_once_and_counted_once() -> None:
    _, split = case("p4-qd-detr")
    parts = split.subset(range(5)), split.subset(range(5, 9))
    assert parts[0].base.frames is parts[0].frames
    home = Residence(META, budget_gb=1.0)
    first, second = home.admit(parts[0]), home.admit(parts[1])
    assert first.frames is second.frames
    assert first.base.frames is first.frames
    assert first.device == META
    shared = {t.data_ptr(): t.nbytes for part in parts for t in gathered_tensors(part)}
    assert home.used == sum(shared.values())
    assert home.admit(first) is first
    again = Residence(META, budget_gb=1e-9).admit(parts[0])
    assert again.frames is first.frames, "another run on the same split needs nothing more"
    assert first.query_ids == parts[0].query_ids


def test_a_split_that_does_not_fit_stays_on_the_host_with_one_line() -> None:
    _, split = case("lnp-cpl")
    said: list[str] = []
    split = split.subset(range(4))
    split = dataclasses.replace(split, frames=split.frames.clone(), vectors=split.vectors.clone())
    assert Residence(META, budget_gb=1e-6, say=said.append).admit(split) is split
    (line,) = said
    needed = sum(t.nbytes for t in gathered_tensors(split)) / 1e9
    assert line.startswith(f"toy/train needs {needed:.3g} GB on meta, and 1e-06 GB are allowed ('train.resident_gb'): ")
    with pytest.raises(ConfigError, match=r"raise 'train.resident_gb', or set 'train.resident' to"):
        Residence(META, "on", budget_gb=1e-6).admit(split)
    assert Residence(META, "off").admit(split) is split
    assert Residence(META, "on").admit(split).device == META


def test_on_the_cpu_a_split_is_where_it_is() -> None:
    _, split = case("lnp-cpl")
    assert Residence(torch.device("cpu"), "on", budget_gb=1e-9).admit(split) is split


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(5, 4), (3, 8, LARGE // 8)])
def test_rows_are_the_same_however_large_they_are(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    table = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    for rows in (torch.tensor([2, 0, 2]), torch.tensor([], dtype=torch.long)):
        found = float_rows(table, rows)
        assert found.dtype == torch.float32
        assert torch.equal(found, table[rows].float())


#: what lies on the host wherever the split lies: row numbers, lengths, answers that were fetched, saved generators
ON_THE_HOST = {"draw.rows", "rows", "i", "self.lengths", "stacked(values)", "keys"}


def test_arrays_are_made_of_what_was_fetched_from_the_device() -> None:
    """A split or an answer may lie on a card, where ``.numpy()`` alone fails; without a card that would not show."""
    package = Path(vmlkit.__file__).parent
    files = [*package.glob("training/*.py"), *package.glob("*/task.py"), *package.glob("*/dataset.py")]
    files.append(package / "components" / "retrieval.py")
    found = [
        (path, call) for path in files for call in re.findall(r"([\w.]*(?:\([^()]*\))?)\.numpy\(\)", path.read_text())
    ]
    assert found
    for path, call in found:
        assert call.endswith(".cpu()") or call in ON_THE_HOST, f"{path.name} makes an array of {call}: add .cpu()"
