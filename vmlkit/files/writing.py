"""Files that appear whole or not at all.

A file is written under a temporary name, flushed to the disk and renamed: a reader sees the old file or the new one,
never a half-written one, whatever kills the process or the machine.
"""

import contextlib
import gzip
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import vmlkit
from vmlkit.errors import DataError

#: names under which files are written before they are renamed
LEFTOVERS = ".*.tmp.*"
#: where what was measured lies, from the repository on
RESULTS = Path("results")


def default_cache_dir() -> Path:
    """``$VMLKIT_CACHE``, or ``~/.cache/vmlkit``."""
    return Path(os.environ.get("VMLKIT_CACHE") or "~/.cache/vmlkit").expanduser()


def shipped(path: Path) -> Path:
    """``path`` where it is a file; else the file of that name that came with the package, from a clone or a wheel."""
    return next((file for file in homes_of(path) if file.is_file()), path)


def homes_of(path: Path) -> tuple[Path, Path, Path]:
    """Where a path of the repository may lie: from the working directory on, in a clone, in an installed package."""
    return (path, Path(vmlkit.__file__).parents[1] / path, Path(sys.prefix) / "share" / "vmlkit" / path)


def files_in(pattern: str, *folders: Path) -> list[Path]:
    """The files of these folders, by name; of two of one name that of the first folder."""
    found = {file.name: file for folder in reversed(folders) for file in Path(folder).glob(pattern)}
    return [found[name] for name in sorted(found)]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush that file to the disk and rename it to ``path``.

    The temporary name ends like ``path``, and the folder is made where there is none.  On an exception the temporary
    file is removed and ``path`` is left as it was.

    Raises:
        OSError: where it cannot be written, with ``path`` as its file name.
    """
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        raise DataError(path, "cannot be written: it is a folder", "remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # of a file system that can only be read
            temporary.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make renames inside ``path`` survive a power cut, on systems that can."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically as UTF-8, gzipped (without a date) where the name ends in ``.gz``."""
    data = text.encode()
    write_bytes(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` atomically as readable JSON; numbers that JSON has no word for (NaN, infinity) become null."""
    text = json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: arrays and tuples become lists, paths strings, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` atomically, without its index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, engine="pyarrow", index=False)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain (never pickled) arrays atomically, compressed."""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **dict(arrays))
