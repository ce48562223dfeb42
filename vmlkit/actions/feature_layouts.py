"""Two layouts in which I3D features of action data sets circulate, beside HDF5 files and folders of arrays.

* ``TwoStreamFolder``: ``rgb/ID.npy`` and ``flow/ID.npy`` (BaS-Net, HAM-Net on ActivityNet);
* ``JointFeatures``: one ``.npy`` of objects with an array per video, in the order of ``videoname.npy`` (W-TALC,
  CO2-Net, P3), read without unpickling.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vmlkit.actions.object_arrays import read_array
from vmlkit.data.feature_files import FeatureStore, FolderFeatures, check_features
from vmlkit.data.features import open_features
from vmlkit.errors import DataError


class TwoStreamFolder:
    """Appearance and motion in two folders of arrays; a row of the result is appearance, then motion."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.streams = (FolderFeatures(self.path / "rgb"), FolderFeatures(self.path / "flow"))

    def __contains__(self, video_id: str) -> bool:
        return all(video_id in stream for stream in self.streams)

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> str:
        return "|".join(stream.stamp(video_ids) for stream in self.streams)

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """Both streams side by side; raises :class:`DataError` where they differ in length."""
        halves = [stream.read(video_id) for stream in self.streams]
        if len({len(half) for half in halves}) != 1:
            rows = " and ".join(str(len(half)) for half in halves)
            raise DataError(self.path, f"video '{video_id}' has {rows} rows in rgb and flow", "extract both again")
        return np.concatenate(halves, axis=1)


class JointFeatures:
    """One file of all videos.

    Args:
        path: the ``.npy`` of objects.
        video_ids: the videos in the order of the file.

    Raises:
        DataError: for another number of videos, or a file that holds more than plain arrays.
    """

    def __init__(self, path: str | Path, video_ids: Sequence[str]) -> None:
        self.path = Path(path)
        arrays = read_array(self.path)
        if len(arrays) != len(video_ids):
            what = f"has the features of {len(arrays)} videos, the annotations list {len(video_ids)}"
            raise DataError(self.path, what, "take both from the same project")
        self._arrays = {name: np.asarray(array) for name, array in zip(video_ids, arrays, strict=True)}

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._arrays

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: everything is in memory already."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows of a video; raises :class:`DataError` if they are unusable."""
        if video_id not in self:
            raise DataError(self.path, f"video '{video_id}' has no features", "leave it out")
        return check_features(self._arrays[video_id], self.path, video_id)


@contextmanager
def open_action_features(path: str | Path, video_ids: Sequence[str]) -> Iterator[FeatureStore]:
    """The features at ``path``, whatever their layout; ``video_ids`` in the order of the annotations."""
    path = Path(path)
    if (path / "rgb").is_dir() and (path / "flow").is_dir():
        yield TwoStreamFolder(path)
    elif path.suffix == ".npy":
        yield JointFeatures(path, video_ids)
    else:
        with open_features(path) as store:
            yield store
