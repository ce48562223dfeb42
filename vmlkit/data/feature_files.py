"""Files of visual features: one file of all videos, or a folder with a file per video.

A store answers which videos it has and hands out one ``(rows, dimensions)`` array per video, checked.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from vmlkit.data.array_files import SUFFIXES, is_group, one_array, open_arrays
from vmlkit.errors import DataError
from vmlkit.files.arrays import readable
from vmlkit.files.reading import check_file, inside


@runtime_checkable
class FeatureStore(Protocol):
    """Feature rows by video id, in time order."""

    def __contains__(self, video_id: str) -> bool:
        """Whether the video has features."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows of a video; raises :class:`~vmlkit.errors.DataError` if they are unusable."""

    def stamp(self, video_ids: Sequence[str]) -> str | None:
        """A text that changes when the features of these videos may have changed; ``None`` forbids caching."""

    def __str__(self) -> str:
        """The file or folder, for messages."""


@runtime_checkable
class ListedFeatures(FeatureStore, Protocol):
    """A store that can say which videos it has."""

    def names(self) -> Iterable[str]:
        """The ids of all videos."""


def check_features(array: np.ndarray, where: object, video_id: str) -> Float[np.ndarray, "rows Dv"]:
    """``array`` as ``(rows, dimensions)``, or a sentence about what is wrong with it.

    Axes of length one between the first and the last are dropped: I3D features circulate as ``(rows, 1, 1, 1024)``.

    Raises:
        DataError: for no numbers, another rank, no rows, or NaN or infinity.
    """
    video = f"video '{video_id}'"
    if array.dtype.kind not in "fiu":
        raise DataError(where, f"{video} holds {array.dtype} instead of numbers", "store a floating-point array")
    if array.ndim > 2:
        middle = tuple(axis for axis in range(1, array.ndim - 1) if array.shape[axis] == 1)
        array = np.squeeze(array, axis=middle)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            where, f"{video} has features of shape {array.shape}", "store a non-empty array (rows in time, dimensions)"
        )
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise DataError(
            where,
            f"{video} has NaN or infinity in {int(bad.sum())} of {len(bad)} rows (first: row {int(bad.argmax())})",
            "extract this video again or leave its queries out",
        )
    return array if array.dtype.kind == "f" else array.astype(np.float32)


class FileFeatures:
    """One file of all videos: HDF5, ``.npz``, ``.safetensors``, or tensors that ``torch.save`` wrote.

    Under the id of a video stands its array, or a group that holds it.

    Args:
        path: the file.
        dataset: the array's name inside each group; by default one of the usual names, or the only one there.

    Raises:
        DataError: for a file that is missing, cut off, or holds more than arrays.
    """

    def __init__(self, path: str | Path, dataset: str | None = None) -> None:
        self.path, self.dataset = Path(path), dataset
        check_file(self.path, remedy="check the path of the features")
        with ExitStack() as stack:
            self._arrays: Any = stack.enter_context(open_arrays(self.path))
            self._opened = stack.pop_all()
        if not is_group(self._arrays):
            self._opened.close()
            what = f"holds a single {type(self._arrays).__name__} and no ids of videos"
            raise DataError(self.path, what, "save the arrays under the ids: numpy.savez(FILE, **{video: array})")

    def __enter__(self) -> "FileFeatures":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._opened.close()

    def __contains__(self, video_id: str) -> bool:
        with readable(self.path, "features"):
            return bool(video_id) and "/" not in video_id and video_id in self._arrays

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """The ids of all videos."""
        with readable(self.path, "features"):
            return list(self._arrays)

    def stamp(self, video_ids: Sequence[str]) -> str:
        return f"{self.dataset}{_file_stamp(self.path)}"

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        if video_id not in self:
            raise DataError(self.path, f"video '{video_id}' has no features", "extract it or leave its queries out")
        with readable(self.path, "features", "copy or download the file again"):
            array = one_array(self._arrays[video_id], self.dataset, self.path, f"video '{video_id}'")
        return check_features(array, self.path, video_id)


class FolderFeatures:
    """A folder with a file per video, named after it: ``.npy .npz .pt .pth .safetensors .h5 .hdf5``.

    The folder is listed once, when the store is made; a video that is there in two formats is read from the first of
    the list.

    Args:
        path: the folder.
        dataset: the array's name in a file that holds several; by default one of the usual names, or the only one.

    Raises:
        DataError: if there is no such folder.
    """

    def __init__(self, path: str | Path, dataset: str | None = None) -> None:
        self.path, self.dataset = Path(path), dataset
        if not self.path.is_dir():
            raise DataError(self.path, "there is no such folder", "check the path of the features")
        found: dict[str, dict[str, str]] = {}
        for name in sorted(os.listdir(self.path)):
            stem, suffix = os.path.splitext(name)
            if stem and suffix in SUFFIXES:
                found.setdefault(stem, {})[suffix] = name
        # an id comes from an annotation file; since it is looked up here, it cannot lead out of the folder
        self._files = {stem: files[min(files, key=SUFFIXES.index)] for stem, files in found.items()}
        #: videos with more than one file
        self.twice = {stem: tuple(files.values()) for stem, files in found.items() if len(files) > 1}

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._files

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """The ids of all videos."""
        return list(self._files)

    def stamp(self, video_ids: Sequence[str]) -> str:
        found = (self.path / self._files[video] for video in video_ids if video in self._files)
        return f"{self.dataset}{''.join(map(_file_stamp, found))}"

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        if video_id not in self._files:
            raise DataError(self.path, f"video '{video_id}' has no features", "extract it or leave its queries out")
        path = inside(self.path, self.path / self._files[video_id])
        check_file(path, missing="there is no such file any more", remedy="put it back or leave its queries out")
        with readable(path, "features", "copy or download it again"), open_arrays(path) as found:
            # a copy: the file is closed at the end of the block
            array = np.array(one_array(found, self.dataset, path, f"video '{video_id}'"))
        return check_features(array, path, video_id)


def _file_stamp(path: Path) -> str:
    stat = path.stat()
    return f"|{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
