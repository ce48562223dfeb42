"""Clip features of several kinds side by side, such as SlowFast and CLIP, one row per clip.

The released loaders of the DETR family take each kind's first rows, divide every row by its norm, cut all kinds to the
shortest and join them in the order named.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vmlkit.data.feature_files import FeatureStore, FolderFeatures
from vmlkit.data.features import open_features
from vmlkit.detr.corpora import FOLDERS, Corpus
from vmlkit.errors import DataError
from vmlkit.text.sentence_features import NORM_EPS

#: endings of the two streams of I3D, as TVSum's features have them
STREAMS = ("_rgb", "_opt")


class TwoStreams(FolderFeatures):
    """A folder with ``ID_rgb.npy`` and ``ID_opt.npy`` per video, joined."""

    def __contains__(self, video_id: str) -> bool:
        return all(super(TwoStreams, self).__contains__(video_id + stream) for stream in STREAMS)

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The rows that both streams have."""
        parts = [super(TwoStreams, self).read(video_id + stream) for stream in STREAMS]
        rows = min(map(len, parts))
        return np.concatenate([part[:rows] for part in parts], axis=1)

    def stamp(self, video_ids: Sequence[str]) -> str:
        return super().stamp([video + stream for video in video_ids for stream in STREAMS])


@dataclass(frozen=True)
class JoinedFeatures:
    """Several stores as one (a :class:`vmlkit.data.feature_files.FeatureStore`)."""

    stores: tuple[FeatureStore, ...]
    most: int  #: rows of a video that count
    unit_rows: bool = True  #: divide every row of every kind by its norm

    def __contains__(self, video_id: str) -> bool:
        return all(video_id in store for store in self.stores)

    def __str__(self) -> str:
        return " and ".join(map(str, self.stores))

    def stamp(self, video_ids: Sequence[str]) -> str | None:
        """Those of all kinds."""
        stamps = [store.stamp(video_ids) for store in self.stores]
        if any(stamp is None for stamp in stamps):
            return None
        return repr((stamps, self.most, self.unit_rows))

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """The first rows of every kind, normed, cut to the shortest kind and joined; float32."""
        parts = []
        for store in self.stores:
            rows = store.read(video_id)[: self.most].astype(np.float32)
            if self.unit_rows:
                rows = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + NORM_EPS)
            parts.append(rows)
        shortest = min(map(len, parts))
        return np.concatenate([part[:shortest] for part in parts], axis=1)


@contextmanager
def open_kinds(
    root: str | Path, kinds: Sequence[str], corpus: Corpus, most: int, *, unit_rows: bool, dataset: str | None = None
) -> Iterator[JoinedFeatures]:
    """The features of a data set below ``root``.

    Args:
        root: folder with one folder (or file) per kind; with a single kind, also that folder or file itself.
        kinds: such as ``("slowfast", "clip")``; each is looked for under the names that circulate, see
            :data:`vmlkit.detr.corpora.FOLDERS`.
        dataset: the array to read where a video has several.

    Raises:
        DataError: for a kind that is not there, naming where it is published.
    """
    with ExitStack() as opened:
        stores = []
        for kind in kinds:
            path = find_kind(Path(root), kind, corpus, alone=len(kinds) == 1)
            two = path.is_dir() and next(path.glob(f"*{STREAMS[0]}.npy"), None) is not None
            stores.append(TwoStreams(path) if two else opened.enter_context(open_features(path, dataset)))
        yield JoinedFeatures(tuple(stores), most, unit_rows)


def find_kind(root: Path, kind: str, corpus: Corpus, *, alone: bool) -> Path:
    """The folder or file of one kind of features."""
    names = (kind, *FOLDERS.get(kind, ()))
    candidates = [root / f"{name}{suffix}" for name in names for suffix in ("", ".h5", ".hdf5")]
    found = next((path for path in candidates if path.exists()), None)
    if found is not None:
        return found
    holds = root.is_file() or (root.is_dir() and not any(path.is_dir() for path in root.iterdir()))
    if alone and holds:
        return root
    where = f"take them from {corpus.features_at}"
    if not root.exists():
        raise DataError(root, "there is no such folder of features", where)
    raise DataError(root, f"has no features of the kind '{kind}' (looked for {', '.join(names)})", where)
