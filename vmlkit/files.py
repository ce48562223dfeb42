"""Files that appear whole or not at all.

A file is written under a temporary name, flushed to the disk and renamed: a reader sees the old file or the new one,
never a half-written one, whatever kills the process or the machine.
"""

import codecs
import contextlib
import gzip
import json
import math
import os
import re
import sys
import zlib
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
    homes = (Path(vmlkit.__file__).parents[1], Path(sys.prefix) / "share" / "vmlkit")
    return next((file for file in (path, *(home / path for home in homes)) if file.is_file()), path)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush that file to the disk and rename it to ``path``.

    The temporary name ends like ``path``, and the folder is made where there is none.  On an exception the temporary
    file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make renames inside ``path`` survive a power cut, on systems that can."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_text(path: str | Path) -> str:
    """The whole file as text, unpacked where its name ends in ``.gz``.

    It is UTF-8, or UTF-16 where the file begins with that encoding's byte order mark (as Windows writes it).

    Raises:
        DataError: for a file that is missing or cannot be read, or text in another encoding, which the sentence names.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        return data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(path, "there is no such file", "check the path") from error
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read ({str(error)[:120]})", "write or download the file again") from error


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> DataError:
    """What a text that is not UTF-8 looks like."""
    where = f"cannot be read (no UTF-8 at byte {error.start})"
    if b"\0" in data[:4096]:
        return DataError(path, f"{where}: it is no text", "give the file that holds text, or download it again")
    # letters of two bytes stand in pairs of bytes above 127; an accented letter of Latin script stands alone
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    paired = sum(run for run in runs if run > 1) > 0.8 * sum(runs)
    name, code = ("an East Asian encoding, such as gb18030", "gb18030") if paired else ("cp1252 of Windows", "cp1252")
    return DataError(path, f"{where}: it looks like {name}", f"save it as UTF-8: iconv -f {code} -t utf-8")


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
