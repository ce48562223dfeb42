"""Files of visual features: one HDF5 file, or a folder with one array per video.

A store answers which videos it has and hands out one ``(rows, dimensions)`` array per video, checked.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import h5py
import numpy as np
from jaxtyping import Float

from vmlkit.errors import DataError

#: names under which circulated HDF5 files keep the array of a video that is a group
HDF5_NAMES = ("c3d_features", "feature", "features", "i3d_features")
NPZ_NAMES = ("features", "feature", "arr_0")


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


class HDF5Features:
    """One HDF5 file: a dataset per video id, or a group per video id that holds its array.

    Args:
        path: the file.
        dataset: the array's name inside each group; by default one of ``HDF5_NAMES``, or the only one there.
    """

    def __init__(self, path: str | Path, dataset: str | None = None) -> None:
        self.path, self.dataset = Path(path), dataset
        if not self.path.is_file():
            raise DataError(self.path, "there is no such file", "check the path of the features")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(
                self.path, f"not a readable HDF5 file ({_brief(error)})", "copy or download it again, it may be cut off"
            ) from error

    def __enter__(self) -> "HDF5Features":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, video_id: str) -> bool:
        return bool(video_id) and "/" not in video_id and video_id in self._file

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> str:
        return f"{self.dataset}{_file_stamp(self.path)}"

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        if video_id not in self:
            raise DataError(self.path, f"video '{video_id}' has no features", "extract it or leave its queries out")
        try:
            array = self._array(self._file[video_id], video_id)[()]
        except (OSError, RuntimeError, KeyError) as error:
            raise DataError(
                self.path, f"video '{video_id}' cannot be read ({_brief(error)})", "copy or download the file again"
            ) from error
        return check_features(np.asarray(array), self.path, video_id)

    def _array(self, item: h5py.Dataset | h5py.Group, video_id: str) -> h5py.Dataset:
        if isinstance(item, h5py.Dataset):
            return item
        inside = [name for name in item if isinstance(item[name], h5py.Dataset)]
        wanted = [self.dataset] if self.dataset else [*HDF5_NAMES, *(inside if len(inside) == 1 else [])]
        for name in wanted:
            if name in inside:
                return item[name]
        raise DataError(
            self.path,
            f"video '{video_id}' is a group with the datasets {inside} and none of {wanted}",
            "give the name of the dataset",
        )


class FolderFeatures:
    """A folder with one ``ID.npy`` or ``ID.npz`` per video; pickled arrays are refused."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError(self.path, "there is no such folder", "check the path of the features")

    def __contains__(self, video_id: str) -> bool:
        return self._find(video_id) is not None

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> str:
        return "".join(_file_stamp(path) for path in map(self._find, video_ids) if path)

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        path = self._find(video_id)
        if path is None:
            raise DataError(self.path, f"video '{video_id}' has no features", "extract it or leave its queries out")
        try:
            loaded = np.load(path, allow_pickle=False)
            array = loaded if isinstance(loaded, np.ndarray) else self._member(loaded, path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                path, f"video '{video_id}' cannot be read ({_brief(error)})", "save it again as a plain array"
            ) from error
        return check_features(array, path, video_id)

    def _find(self, video_id: str) -> Path | None:
        # an id comes from an annotation file and must not lead out of the folder
        if not video_id or video_id in (".", "..") or any(c in video_id for c in "/\\\0"):
            return None
        candidates = (self.path / f"{video_id}{suffix}" for suffix in (".npy", ".npz"))
        return next((path for path in candidates if path.is_file()), None)

    @staticmethod
    def _member(archive: "np.lib.npyio.NpzFile", path: Path) -> np.ndarray:
        with archive:
            names = [n for n in NPZ_NAMES if n in archive.files] or archive.files
            if len(names) != 1 and names[:1] != ["features"]:
                raise DataError(path, f"holds the arrays {archive.files}", "name the one to read 'features'")
            return archive[names[0]]


def _file_stamp(path: Path) -> str:
    stat = path.stat()
    return f"|{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
