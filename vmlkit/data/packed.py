"""Packed features: the arrays of all videos in one file that is mapped into memory, resampled once where that is asked.

A packed file is a safetensors file of one tensor, written video by video, so that neither packing nor training holds
the features of a data set in memory.  Its header names the videos, how many rows each had before it was resampled, what
was odd about them, and the fingerprint of everything.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vmlkit.data.array_files import format_of
from vmlkit.data.clock import SEEN, RowWatch
from vmlkit.data.feature_files import FeatureStore
from vmlkit.errors import DataError
from vmlkit.files import atomic_path, open_file, parse_json
from vmlkit.files.arrays import tensors_header
from vmlkit.files.records import COUNT, NULL, TEXT, Either, Entry, Fixed, Many, Plain, checked

FORMAT = "vmlkit packed features 1"
_TENSOR = "features"
_DTYPES = {"float16": "F16", "float32": "F32"}
#: the data begin at a multiple of this many bytes
_ALIGNMENT = 64
_PACK_AGAIN = "pack again with `vmlkit data pack`"
_TENSOR_ENTRY = Entry(
    {
        "dtype": Plain(lambda kind: kind in _DTYPES.values(), "F16 or F32"),
        "shape": Many(COUNT, least=2),
        "data_offsets": Fixed(COUNT, COUNT),
    }
)
_HEADER = Entry({"__metadata__": Entry(dict.fromkeys(("clips", "seen", "fingerprint"), TEXT)), _TENSOR: _TENSOR_ENTRY})


class PackedFeatures:
    """A packed file.

    Args:
        path: the file.

    Raises:
        DataError: for a file that is cut off or was not written by :func:`pack_features`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        start, header = _header(self.path)
        about: dict[str, str] = header["__metadata__"]
        checked(header, _HEADER, self.path, remedy=_PACK_AGAIN)
        shape, ends = header[_TENSOR]["shape"], header[_TENSOR]["data_offsets"]
        if self.path.stat().st_size != start + ends[1]:
            what = f"has {self.path.stat().st_size} bytes where its header says {start + ends[1]}"
            raise DataError(self.path, what, "it is cut off: copy it again, or pack again")
        dtype = np.float16 if header[_TENSOR]["dtype"] == "F16" else np.float32
        #: T of every video; None where videos keep their own rows
        self.clips = checked(parse_json(about["clips"], self.path), Either(NULL, COUNT), self.path, remedy=_PACK_AGAIN)
        self.fingerprint = about["fingerprint"]
        self._record = checked(parse_json(about["seen"], self.path), SEEN, self.path, remedy=_PACK_AGAIN)
        rows = self._record["rows"]
        wanted = [sum(rows.values())] if self.clips is None else [len(rows), self.clips]
        if shape[:-1] != wanted or ends != [0, math.prod(shape) * np.dtype(dtype).itemsize]:
            raise DataError(self.path, f"has the shape {shape} for {len(rows)} videos", _PACK_AGAIN)
        self.position = {video: i for i, video in enumerate(rows)}  #: of each video in the file
        self._ends = np.cumsum(list(rows.values())).tolist()
        # copy-on-write: pages are read when they are used, and torch accepts the buffer as writable
        self.frames: np.ndarray = np.memmap(self.path, dtype, mode="c", offset=start, shape=tuple(shape))
        self._start = start

    def __contains__(self, video_id: str) -> bool:
        return video_id in self.position

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """The ids of all videos."""
        return list(self.position)

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: the file is one."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The packed rows of a video, mapped into memory."""
        if video_id not in self:
            raise DataError(self.path, f"video '{video_id}' has no features", "pack again with it")
        place = self.position[video_id]
        if self.clips is not None:
            found: np.ndarray = self.frames[place]
            return found
        end = self._ends[place]
        found = self.frames[end - self._record["rows"][video_id] : end]
        return found

    def seen(self, video_ids: Sequence[str]) -> dict[str, Any]:
        """What a :class:`~vmlkit.data.clock.RowWatch` saw of these videos before they were resampled."""
        wanted = set(video_ids)
        odd = {kind: [v for v in videos if v in wanted] for kind, videos in self._record["odd"].items()}
        rows = {video: self._record["rows"][video] for video in video_ids}
        return {"rows": rows, "odd": {kind: videos for kind, videos in odd.items() if videos}}

    def intact(self) -> bool:
        """Whether the data are those that were packed, by their fingerprint; reads the whole file."""
        digest = hashlib.sha256()
        with open_file(self.path) as file:
            file.seek(self._start)
            while block := file.read(1 << 22):
                digest.update(block)
        return _fingerprint(digest.hexdigest(), self._record, self.clips) == self.fingerprint


def is_packed(path: Path) -> bool:
    """Whether a file was written by :func:`pack_features`."""
    try:
        if format_of(path) != "safetensors":
            return False
        about = tensors_header(path)[1].get("__metadata__")
    except DataError:
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


def pack_features(
    store: FeatureStore,
    video_ids: Sequence[str],
    path: str | Path,
    *,
    resample: Callable[[np.ndarray], np.ndarray] | None = None,
    clips: int | None = None,
    dtype: str = "float16",
    names: Mapping[str, str] | None = None,
    progress: bool = False,
) -> PackedFeatures:
    """Write the features of these videos into one file, which appears whole or not at all.

    Args:
        store: where the features are.
        video_ids: in the order of the file, each once.
        path: the file to write.
        resample: from the rows of a video to ``clips`` rows; None keeps the rows.
        clips: T, where videos are resampled.
        dtype: ``"float16"`` or ``"float32"``.
        names: what the store calls a video, where that is not its id.

    Raises:
        DataError: for a video that is missing, unusable, or beyond the range of ``dtype``; or no video at all.
    """
    path, watch, digest = Path(path), RowWatch(store), hashlib.sha256()
    if not video_ids:
        raise DataError(store, "no video was asked for", "check the annotations")
    with atomic_path(path) as temporary, open(temporary, "w+b") as file:
        start = _room(video_ids)
        file.seek(start)
        width = 0
        for video in tqdm(video_ids, desc="packing videos", unit="video", disable=not progress, leave=False):
            array = store.read((names or {}).get(video, video))
            watch.see(video, array)
            width = array.shape[1]
            with np.errstate(over="ignore"):
                made = (array if resample is None else resample(array)).astype(dtype)
            if not np.isfinite(made).all():
                raise DataError(store, f"video '{video}' exceeds the range of {dtype}", "pack with --dtype float32")
            data = np.ascontiguousarray(made).tobytes()
            digest.update(data)
            file.write(data)
        record = watch.record()
        count = len(video_ids) if clips is not None else sum(record["rows"].values())
        shape = [count, width] if clips is None else [count, clips, width]
        about = {
            "format": FORMAT,
            "clips": json.dumps(clips),
            "seen": json.dumps(record),
            "source": Path(str(store)).name,
            "fingerprint": _fingerprint(digest.hexdigest(), record, clips),
        }
        _write_header(file, start, about, {"dtype": _DTYPES[dtype], "shape": shape}, file.tell() - start)
    return PackedFeatures(path)


def _fingerprint(data: str, record: Mapping[str, Any], clips: int | None) -> str:
    return hashlib.sha256(f"{data}{json.dumps(record)}{clips}".encode()).hexdigest()[:16]


def _room(video_ids: Sequence[str]) -> int:
    """Where the data begin: behind a header as long as it can get.

    A video stands in it with its number of rows, and at most twice among the odd ones.
    """
    names = sum(len(json.dumps(json.dumps(video))) + 16 for video in video_ids)
    most = 3 * names + 4096
    return -(-most // _ALIGNMENT) * _ALIGNMENT


def _write_header(file: BinaryIO, start: int, about: Mapping[str, str], tensor: dict[str, Any], size: int) -> None:
    header = {"__metadata__": about, _TENSOR: {**tensor, "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    file.seek(0)
    file.write((start - 8).to_bytes(8, "little"))
    file.write(text.ljust(start - 8))


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the data begin, and the header."""
    if not path.is_file() or not is_packed(path):
        raise DataError(path, "is no packed file of features", "write one with `vmlkit data pack`")
    return tensors_header(path)
