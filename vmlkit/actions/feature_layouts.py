"""Layouts in which features of action data sets circulate, beside files of all videos and folders of arrays.

* ``TwoStreamFolder``: ``rgb/ID.npy`` and ``flow/ID.npy`` (HAM-Net on ActivityNet);
* ``SplitFolders``: ``train`` and ``test`` with any other layout in each (BaS-Net: ``train/rgb/ID.npy``);
* ``JointFeatures``: one ``.npy`` of objects with an array per video, in the order of ``videoname.npy`` (W-TALC,
  CO2-Net, P3), read without unpickling;
* ``TextFolder``: ``ID.csv`` with a line a row, the first of names or of numbers (mmaction2 on ActivityNet).

ActivityNet's ids have a prefix ``v_`` in the names of features (ActionFormer, OpenTAD, mmaction2) and none in its
annotations: :class:`WithPrefix` finds either.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vmlkit.actions.object_arrays import read_array
from vmlkit.data.feature_files import FeatureStore, FolderFeatures, ListedFeatures, check_features
from vmlkit.data.features import open_features
from vmlkit.errors import DataError
from vmlkit.files import inside, is_name, read_text


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


class SplitFolders:
    """The stores of several folders as one; the first that has a video counts."""

    def __init__(self, path: str | Path, stores: Sequence[FeatureStore]) -> None:
        self.path, self.stores = Path(path), tuple(stores)

    def __contains__(self, video_id: str) -> bool:
        return any(video_id in store for store in self.stores)

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: action sources keep none."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows of a video; raises :class:`DataError` where no folder has it."""
        for store in self.stores:
            if video_id in store:
                return store.read(video_id)
        raise DataError(self.path, f"video '{video_id}' has no features", "leave it out")


class TextFolder:
    """A folder with ``ID.csv`` per video: a line of numbers a row, under a line of names or not."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __contains__(self, video_id: str) -> bool:
        return self._file(video_id).is_file()

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: action sources keep none."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows of a video; raises :class:`DataError` for a line that is not numbers."""
        path = self._file(video_id)
        try:
            lines = read_text(inside(self.path, path)).split("\n")
            named = any(character in "fabcdghxyz_" for character in lines[0].split(",")[0].lower())
            rows = np.loadtxt(lines[1:] if named else lines, delimiter=",", ndmin=2, dtype=np.float32)
        except (OSError, ValueError) as error:
            what = f"cannot be read ({' '.join(str(error).split())[:120]})"
            raise DataError(path, what, "write a line of numbers for each row") from error
        return check_features(rows, path, video_id)

    def _file(self, video_id: str) -> Path:
        return self.path / f"{video_id if is_name(video_id) else 'none'}.csv"


class WithPrefix:
    """A store whose names have the prefix ``v_`` where the annotations do not, or the other way round."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store

    def __contains__(self, video_id: str) -> bool:
        return self._name(video_id) in self.store

    def __str__(self) -> str:
        return str(self.store)

    def names(self) -> Iterable[str]:
        """The names of the features, where the store can list them."""
        return self.store.names() if isinstance(self.store, ListedFeatures) else ()

    def stamp(self, video_ids: Sequence[str]) -> str | None:
        return self.store.stamp([self._name(video) for video in video_ids])

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows of a video; raises :class:`DataError` if there are none, or they are unusable."""
        return self.store.read(self._name(video_id))

    def _name(self, video_id: str) -> str:
        other = video_id.removeprefix("v_") if video_id.startswith("v_") else f"v_{video_id}"
        return other if video_id not in self.store and other in self.store else video_id


@contextmanager
def open_action_features(
    path: str | Path, video_ids: Sequence[str], dataset: str | None = None
) -> Iterator[FeatureStore]:
    """The features at ``path``, whatever their layout.

    Args:
        video_ids: in the order of the annotations.
        dataset: the array to read where a video has several.
    """
    with ExitStack() as stack:
        yield WithPrefix(_opened(Path(path), video_ids, dataset, stack))


def _opened(path: Path, video_ids: Sequence[str], dataset: str | None, stack: ExitStack) -> FeatureStore:
    if (path / "rgb").is_dir() and (path / "flow").is_dir():
        return TwoStreamFolder(path)
    splits = [path / name for name in ("train", "val", "validation", "test") if (path / name).is_dir()]
    if splits:
        return SplitFolders(path, [_opened(split, video_ids, dataset, stack) for split in splits])
    if path.suffix == ".npy":
        return JointFeatures(path, video_ids)
    if path.is_dir() and next(path.glob("*.csv"), None) is not None:
        return TextFolder(path)
    return stack.enter_context(open_features(path, dataset))
