"""Good features and caches, and how they are read."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import torch

from tests.fuzz.target import VIDEOS, check_rows
from vmlkit.data import features as vmlkit_features
from vmlkit.data import packed
from vmlkit.data.toyworld import cache as toy_cache
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.data.toyworld.features import RAW_DIM, Scaler
from vmlkit.finding import videos as found_videos

# ---- features


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(seed)
    return {video: draws.normal(size=(5 + i, 4)).astype(np.float32) for i, video in enumerate(VIDEOS)}


def make_npz(folder: Path) -> None:
    np.savez(folder / "f.npz", **arrays())


def make_torch(folder: Path) -> None:
    torch.save({k: torch.from_numpy(v) for k, v in arrays().items()}, folder / "f.pt")


def make_tensors(folder: Path) -> None:
    safetensors.torch.save_file({k: torch.from_numpy(v) for k, v in arrays().items()}, folder / "f.safetensors")


def read_features(path: Path, dataset: str | None = None) -> None:
    with vmlkit_features.open_features(path, dataset) as store:
        check_rows(store.read(video) for video in VIDEOS if video in store)
        if all(video in store for video in VIDEOS):
            clips = vmlkit_features.load_clips(store, VIDEOS, 4)
            assert np.isfinite(clips).all()


def make_hdf5(folder: Path) -> None:
    with h5py.File(folder / "f.h5", "w") as file:
        for video, rows in arrays().items():
            file[video] = rows


def make_folder(folder: Path) -> None:
    for video, rows in arrays().items():
        np.save(folder / f"{video}.npy", rows)


def make_torch_folder(folder: Path) -> None:
    for video, rows in arrays().items():
        torch.save(torch.from_numpy(rows), folder / f"{video}.pt")


def make_mixed_folder(folder: Path) -> None:
    a, b, c = arrays().items()
    np.savez_compressed(folder / f"{a[0]}.npz", features=a[1])
    safetensors.torch.save_file({"features": torch.from_numpy(b[1])}, folder / f"{b[0]}.safetensors")
    with h5py.File(folder / f"{c[0]}.h5", "w") as file:
        file["features"] = c[1]


def make_packed(folder: Path) -> None:
    np.savez(folder / "f.npz", **arrays())
    with vmlkit_features.open_features(folder / "f.npz") as store:
        resample = lambda rows: vmlkit_features.resample_clips(rows, 4)  # noqa: E731
        packed.pack_features(store, VIDEOS, folder / "p.safetensors", resample=resample, clips=4)
    (folder / "f.npz").unlink()


def make_clips(folder: Path) -> None:
    np.savez(folder / "f.npz", **arrays())
    read_clips(folder)


def read_clips(folder: Path) -> None:
    with vmlkit_features.open_features(folder / "f.npz") as store:
        found = vmlkit_features.load_clips(store, VIDEOS, 4, cache_dir=folder / "cache")
    assert found.shape[:2] == (3, 4)


# ---- caches of ours

TOY = ToyConfig(train_videos=3, validation_videos=2, test_videos=2, clips=8, feature_dim=6)


def make_toy(folder: Path) -> None:
    frames: Any = {s: np.ones((TOY.videos(s), 8, 6), np.float16) for s in ("train", "validation", "test")}
    toy_cache.save(folder / "toy.npz", frames, Scaler(np.ones(RAW_DIM, np.float32), np.ones(RAW_DIM, np.float32)))


def read_toy(folder: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        found = toy_cache.load(folder / "toy.npz", TOY)
        scaler = toy_cache.load_scaler(folder / "toy.npz")
    assert found is None or all(np.isfinite(rows).all() for rows in found.values())
    assert scaler is None or np.isfinite(scaler.mean).all()


def make_found(folder: Path) -> None:
    info = {"duration_s": 2.0, "rate": 10.0, "width": 8, "height": 8, "frames": 20, "rotation": 0, "variable": False,
            "stated_s": 2.0}  # fmt: skip
    np.savez(folder / "v.npz", rows=np.ones((4, 3), np.float32), times=np.ones((4, 2)), info=np.array(json.dumps(info)))


def read_found(folder: Path) -> None:
    found = found_videos._kept(folder / "v.npz")
    if found is not None:
        check_rows([found.rows])
        assert found.times.shape == (len(found.rows), 2)
        assert found.info.duration_s > 0
