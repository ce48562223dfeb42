"""Visual features: opening their files, and resampling every video to the same number of clips.

Reading and resampling happen once, when a data set is built; a training batch is then one index operation.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from vmlkit.data.clock import SEEN, RowWatch
from vmlkit.data.feature_files import FeatureStore, ListedFeatures
from vmlkit.data.feature_layouts import open_layout
from vmlkit.data.layouts import near_names
from vmlkit.data.packed import PackedFeatures
from vmlkit.errors import DataError
from vmlkit.files import atomic_path, read_json, write_json
from vmlkit.files.arrays import read_npy
from vmlkit.files.records import checked


def clip_boundaries(rows: int, clips: int) -> Int[np.ndarray, " T+1"]:
    """First feature row of each of ``clips`` clips, and the end of the last one, for a video of ``rows`` rows.

    ``k_j = min(round_half_even(j / clips * rows), rows - 1)`` in float64, as CNM, CPL and PPS compute it.  Since
    the last boundary is ``rows - 1`` and ends are exclusive, the last row is lost unless it is a clip of its own.

    >>> clip_boundaries(7, 4).tolist()
    [0, 2, 4, 5, 6]
    """
    return np.minimum(np.round(np.arange(clips + 1) / clips * rows).astype(np.int64), rows - 1)


def resample_clips(features: Float[np.ndarray, "rows Dv"], clips: int) -> Float[np.ndarray, "T Dv"]:
    """Resample a video to exactly ``clips`` clips: mean over the rows of a clip, or repetition where it has none.

    CNM, CPL and PPS resample every video like this, so their batches never hold padded frames.  Means are taken
    in float64; the result is float32, or float64 for float64 input.

    Raises:
        DataError: for a video without rows or with a number of axes other than two.

    >>> resample_clips(np.array([[0.0], [2.0], [4.0]]), 2).ravel().tolist()
    [1.0, 4.0]
    """
    if features.ndim != 2 or not len(features) or clips < 1:
        raise DataError(
            "resample_clips", f"shape {features.shape} for {clips} clips", "give at least one row of (rows, dimensions)"
        )
    edges = clip_boundaries(len(features), clips)
    first, count = edges[:-1], np.maximum(np.diff(edges), 1)
    kind = np.float64 if features.dtype == np.float64 else np.float32
    deepest = int(count.max())
    if deepest == 1:
        made: np.ndarray = features[first].astype(kind, copy=False)
        return made
    # the j-th row of all clips at once: a few passes over whole arrays, several times faster than add.reduceat
    means = features[first].astype(np.float64)
    for j in range(1, deepest):
        longer = np.flatnonzero(count > j)
        means[longer] += features[first[longer] + j]
    means /= count[:, None]
    found: np.ndarray = means.astype(kind, copy=False)
    return found


@contextmanager
def open_features(path: str | Path, dataset: str | None = None) -> Iterator[FeatureStore]:
    """The features at ``path``, in any layout of :data:`vmlkit.data.feature_layouts.FEATURES`.

    Files are closed at the end of the block.

    Args:
        path: a file of all videos, or a folder with a file per video.
        dataset: the array to read where a video has several.

    Raises:
        DataError: for a layout that is not read, naming it and the conversion.
    """
    with open_layout(Path(path), dataset) as store:
        yield store


def meant(store: FeatureStore, missing: Sequence[str]) -> str | None:
    """A sentence about names of the features that differ from missing ids by one of the usual ways, if there are any.

    ``vmlkit data pack --near-names`` writes such features under the ids of the annotations.
    """
    found = near_names(missing, store.names()) if isinstance(store, ListedFeatures) else None
    if found is None:
        return None
    name = next(iter(found.pairs.values()))
    say = f"it has '{name}' ({len(found.pairs)} of {len(missing)} match {found.rule})"
    return f"{say}: rename the features, or write them under these ids with `vmlkit data pack --near-names`"


def place_clips(
    store: FeatureStore, video_ids: Sequence[str], clips: int, *, watch: RowWatch, **options: Any
) -> tuple[Float[np.ndarray, "videos T Dv"], dict[str, int]]:
    """The clips of every video, and in which row each lies.

    Packed features stay in their file and have further rows, those of other splits; any others are loaded.

    Args:
        options: as of :func:`load_clips`; packed features keep the type in which they were packed.

    Raises:
        DataError: as :func:`load_clips`, and for features that were packed at another number of clips.
    """
    if not isinstance(store, PackedFeatures) or store.clips is None:
        loaded = load_clips(store, video_ids, clips, watch=watch, **options)
        return loaded, {video: i for i, video in enumerate(video_ids)}
    if store.clips != clips:
        what = f"is packed at {store.clips} clips a video, and data.clips is {clips}"
        raise DataError(store, what, f"pack again, or --set data.clips={store.clips}")
    watch.restore(store.seen(video_ids))
    return store.frames, store.position


def load_clips(
    store: FeatureStore,
    video_ids: Sequence[str],
    clips: int,
    *,
    dtype: str = "float32",
    cache_dir: str | Path | None = None,
    watch: RowWatch | None = None,
    progress: bool = False,
) -> Float[np.ndarray, "videos T Dv"]:
    """The clips of every video in one array.

    Args:
        store: where the features are.
        video_ids: one row of the result each.
        clips: T.
        dtype: ``"float32"``, or ``"float16"`` to halve the memory (Charades-STA with I3D: 2.7 GB at 200 clips).
        cache_dir: keep the result there as a memory-mapped ``.npy``, named after all that it depends on.
        watch: sees every array; what it saw is kept beside the result.

    Raises:
        DataError: if a video is missing or unusable, or exceeds the range of ``dtype``.
    """
    missing = [v for v in video_ids if v not in store]
    if missing:
        more = f" (nor have {len(missing) - 1} more of {len(video_ids)} videos)" if len(missing) > 1 else ""
        remedy = meant(store, missing) or "extract what is missing or leave its queries out"
        raise DataError(store, f"video '{missing[0]}' has no features{more}", remedy)
    watch = watch or RowWatch(store)
    stamp = store.stamp(video_ids) if cache_dir is not None else None
    if cache_dir is None or stamp is None:
        return _resample_all(store, video_ids, clips, dtype, watch, progress)
    key = hashlib.sha256(repr((stamp, list(video_ids), clips, dtype)).encode()).hexdigest()[:16]
    path = Path(cache_dir) / f"clips-{key}.npy"
    seen = path.with_suffix(".json")
    if path.is_file() and seen.is_file():
        watch.restore(checked(read_json(seen), SEEN, seen, remedy="delete it"))
    else:
        rows = _resample_all(store, video_ids, clips, dtype, watch, progress)
        write_json(seen, watch.record())
        with atomic_path(path) as temporary:
            np.save(temporary, rows, allow_pickle=False)
    # copy-on-write: pages are read when they are used, and torch accepts the buffer as writable
    found = read_npy(path, mapped=True)
    if found.shape[:2] != (len(video_ids), clips) or found.dtype != dtype:
        raise DataError(path, f"holds {found.dtype} {found.shape}, which was not written for these videos", "delete it")
    return found


def _resample_all(
    store: FeatureStore, video_ids: Sequence[str], clips: int, dtype: str, watch: RowWatch, progress: bool
) -> Float[np.ndarray, "videos T Dv"]:
    out: np.ndarray | None = None
    for i, video_id in enumerate(tqdm(video_ids, desc="resampling videos", disable=not progress, leave=False)):
        rows = store.read(video_id)
        watch.see(video_id, rows)
        if out is None:
            out = np.empty((len(video_ids), clips, rows.shape[1]), dtype=dtype)
        with np.errstate(over="ignore"):
            out[i] = resample_clips(rows, clips)
        if dtype == "float16" and not np.isfinite(out[i]).all():
            raise DataError(store, f"video '{video_id}' exceeds the range of float16", "use feature_dtype='float32'")
    if out is None:
        raise DataError(store, "no video was asked for", "check the annotations")
    return out
