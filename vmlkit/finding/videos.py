"""Rows of features of a file of video: encoded once and kept by the file's content, or read from folders."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vmlkit.data.features import open_features
from vmlkit.errors import DataError
from vmlkit.files import default_cache_dir, file_digest, parse_json, write_npz
from vmlkit.files.arrays import read_npz
from vmlkit.video.decode import VideoInfo, existing_file
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.opening import EncodedVideo, decoder, encode_video


def encoded(path: str | Path, encoder: VideoEncoder, cache_dir: str | Path | None = None) -> EncodedVideo:
    """The rows of a file, decoded and encoded unless an earlier call has kept them.

    The name of the kept file depends on the content of the video and on how features are made, not on its path.

    Raises:
        DataError: as :func:`vmlkit.video.encoders.encode_video`.
    """
    file = existing_file(path)
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    kept = folder / f"video-{content_hash(file)}-{_key(encoder)}.npz"
    found = _kept(kept)
    if found is None:
        found = encode_video(encoder, file)
        about = np.array(json.dumps(asdict(found.info)))
        write_npz(kept, {"rows": found.rows, "times": found.times, "info": about})
    return found


def content_hash(file: Path) -> str:
    """A short name of the bytes of a file, which is read piece by piece."""
    return file_digest(file)[:16]


def _key(encoder: VideoEncoder) -> str:
    return hashlib.sha256(repr(encoder.passport()).encode()).hexdigest()[:12]


def _kept(path: Path) -> EncodedVideo | None:
    """What an earlier call wrote; nothing where there is none, or it is damaged."""
    try:
        file = read_npz(path)
        info = VideoInfo(**parse_json(str(file["info"]), path))
        rows, times = file["rows"], file["times"]
        sound = (
            rows.ndim == 2
            and rows.size
            and rows.dtype.kind == times.dtype.kind == "f"
            and times.shape == (len(rows), 2)
        )
        whole = sound and np.isfinite(rows).all() and np.isfinite(times).all() and 0 < info.duration_s < np.inf
        return EncodedVideo(rows=rows, times=times, info=info) if whole else None
    except (DataError, KeyError, TypeError):
        return None


def from_folders(path: str | Path, folders: Sequence[str | Path], *, unit_rows: bool = False) -> EncodedVideo:
    """The rows of a video that lie ready in folders, by the name of its file without ending, side by side.

    Rows of several folders are cut to the shortest, as the released loaders do; each covers an equal part of the video.

    Args:
        unit_rows: divide every row of every folder by its norm, as the DETR family does.

    Raises:
        DataError: for a folder without this video.
    """
    file = existing_file(path)
    info = decoder().probe(file)
    parts = []
    with ExitStack() as opened:
        for folder in folders:
            store = opened.enter_context(open_features(folder))
            if file.stem not in store:
                raise DataError(folder, f"has no features of '{file.stem}'", "name them after the file of the video")
            rows = store.read(file.stem).astype(np.float32)
            norms = np.linalg.norm(rows, axis=1, keepdims=True) + 1e-5
            parts.append(rows / norms if unit_rows else rows)
    shortest = min(map(len, parts))
    edges = np.linspace(0, info.duration_s, shortest + 1)
    times = np.column_stack((edges[:-1], edges[1:]))
    return EncodedVideo(rows=np.concatenate([part[:shortest] for part in parts], axis=1), times=times, info=info)
