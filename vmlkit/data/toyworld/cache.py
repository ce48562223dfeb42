"""The features of a built world in one file, written whole or not at all and checked when read."""

import hashlib
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vmlkit.config import config_hash
from vmlkit.data.toyworld.config import Split, ToyConfig
from vmlkit.data.toyworld.features import RAW_DIM, Scaler
from vmlkit.errors import DataError
from vmlkit.files import atomic_path, default_cache_dir, read_bytes
from vmlkit.files.arrays import open_npz

#: the modules that decide pixels, words or features
_SOURCES = ("build", "cards", "config", "features", "grammar", "lexicon", "motion", "render", "script", "world")

Frames = dict[Split, Float[np.ndarray, "videos T Dv"]]


def cache_path(config: ToyConfig, cache_dir: Path | None = None) -> Path:
    """The file of a world; its name changes with the settings, the code that builds it, and numpy's version."""
    code = hashlib.sha256(np.__version__.encode())
    for name in _SOURCES:
        code.update(read_bytes(Path(__file__).with_name(f"{name}.py")))
    return (cache_dir or default_cache_dir()) / f"toyworld-{config_hash(config)}-{code.hexdigest()[:12]}.npz"


def load(path: Path, config: ToyConfig) -> Frames | None:
    """The features in a cache file, or ``None`` if there is none or it is damaged (said on standard error)."""
    if not path.exists():
        return None
    splits: tuple[Split, ...] = ("train", "validation", "test")
    try:
        with open_npz(path) as file:
            lacking = [split for split in splits if split not in file]
            if lacking:
                _report(path, f"it lacks the array '{lacking[0]}'")
                return None
            frames: Frames = {split: file[split] for split in splits}
    except DataError as error:
        _report(path, error.what)
        return None
    for split, rows in frames.items():
        expected = (config.videos(split), config.clips, config.feature_dim)
        if rows.dtype != np.float16 or rows.shape != expected:
            _report(path, f"{split} is {rows.dtype} {rows.shape} instead of float16 {expected}")
            return None
        if not np.isfinite(rows).all():
            _report(path, f"{split} holds numbers that are not finite")
            return None
    return frames


def load_scaler(path: Path) -> Scaler | None:
    """The scaler of a world from its cache file; ``None`` where there is none, as in files of earlier versions."""
    try:
        with open_npz(path) as file:
            found = Scaler(file["mean"], file["deviation"])
    except (DataError, KeyError):
        return None
    usable = all(part.shape == (RAW_DIM,) and part.dtype.kind == "f" and np.isfinite(part).all()
                 for part in (found.mean, found.deviation))  # fmt: skip
    return found if usable else None


def save(path: Path, frames: Frames, scaler: Scaler) -> None:
    """Write the cache file under a temporary name and rename it; a folder that cannot be written is only reported."""
    arrays = {
        **{str(split): rows for split, rows in frames.items()},
        "mean": scaler.mean,
        "deviation": scaler.deviation,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        print(f"vmlkit: the toy world was not cached ({error}); it will be built again next time.", file=sys.stderr)


def _report(path: Path, why: str) -> None:
    reason = " ".join(why.split())
    print(f"vmlkit: cached toy world {path} is damaged ({reason}); building it again.", file=sys.stderr)
