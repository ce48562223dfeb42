"""Features of every video of a folder, into a folder that training reads: ``NAME.npy`` each, and one passport.

Each file appears whole or not at all, and holds the same bytes whatever the number of processes and however often the
work was interrupted: a process has one thread, and pictures are encoded in batches that begin with the video.
"""

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from vmlkit.data.array_files import SUFFIXES as ARRAYS
from vmlkit.errors import ConfigError, DataError
from vmlkit.files import LEFTOVERS, atomic_path
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.opening import encode_video, open_encoder
from vmlkit.video.passport import Passport, read_passport, write_passport

#: endings of files that are taken for videos
VIDEOS = (
    ".mp4",
    ".webm",
    ".mkv",
    ".mov",
    ".avi",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".wmv",
    ".ogv",
    ".3gp",
    ".gif",
)


@dataclass
class Extraction:
    """What an extraction did."""

    store: Path
    passport: Passport
    made: list[str] = field(default_factory=list)  #: names of videos whose features were made now
    kept: list[str] = field(default_factory=list)  #: those that had them
    left_out: dict[str, str] = field(default_factory=dict)  #: those that could not be encoded, and why

    def __str__(self) -> str:
        lines = [f"{self.store}: {len(self.made)} videos encoded, {len(self.kept)} were there already, "
                 f"{len(self.left_out)} left out; {self.passport}"]  # fmt: skip
        return "\n".join([*lines, *(f"left out: {reason}" for reason in self.left_out.values())])


def videos_below(folder: str | Path) -> dict[str, Path]:
    """The files of video in a folder and in those below, by name without ending, sorted.

    Raises:
        DataError: where there is no such folder, no video in it, or two of one name.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(root, "there is no such folder", "give the folder of the videos")
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in VIDEOS and path.is_file() and not path.name.startswith("."):
            if path.stem in found:
                what = f"has two videos named '{path.stem}' ({found[path.stem].name} and {path.relative_to(root)})"
                raise DataError(root, what, "rename or move one of them")
            found[path.stem] = path
    if not found:
        raise DataError(root, "holds no video", f"give a folder with files such as {', '.join(VIDEOS[:4])}")
    return found


def extract(
    folder: str | Path,
    encoder: str | Path,
    store: str | Path,
    *,
    jobs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Extraction:
    """Encode the videos of a folder; what is there already is kept, and what cannot be encoded is left out by name.

    Args:
        folder: of videos, see :func:`videos_below`.
        encoder: as of :func:`vmlkit.video.opening.open_encoder`, with ``settings`` (``rate``, ``norm``, ``device``).
        store: the folder to write; ``data.features`` takes it.
        jobs: processes; None is one for each processor, or one where the encoder runs on a card.
        progress: show a bar.

    Raises:
        ConfigError: for fewer than one process.
        DataError: for a folder or an encoder that cannot be used, or a store of features that were made otherwise.
        MissingDependency: as :func:`vmlkit.video.opening.open_encoder`.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs must be at least 1, not {jobs}")
    videos, store, settings = videos_below(folder), Path(store), dict(settings or {})
    opened = open_encoder(encoder, **settings)
    result = Extraction(store, opened.passport())
    _claim(store, result.passport)
    todo = {name: path for name, path in videos.items() if not (store / f"{name}.npy").is_file()}
    result.kept = [name for name in videos if name not in todo]
    if jobs is None:
        on_card = getattr(opened, "device", torch.device("cpu")).type != "cpu"
        jobs = 1 if on_card else _processors()
    bar = tqdm(total=len(todo), desc="encoding videos", unit="video", disable=not progress, file=sys.stderr)
    with bar, contextlib.closing(_all(opened, encoder, settings, todo, store, min(jobs, len(todo)))) as answers:
        for name, reason in answers:
            bar.update()
            if reason is None:
                result.made.append(name)
            else:
                result.left_out[name] = reason
    result.made.sort()
    result.left_out = dict(sorted(result.left_out.items()))
    return result


def _claim(store: Path, passport: Passport) -> None:
    """Make the folder this encoder's, and remove what processes that are gone have left half-written."""
    if store.exists() and not store.is_dir():
        raise DataError(store, "is a file", "name a folder for the features")
    store.mkdir(parents=True, exist_ok=True)
    for path in store.glob(LEFTOVERS):
        if not _runs(path.name.split(".")[1]):
            path.unlink(missing_ok=True)
    there = read_passport(store)
    if there is None:
        if any(path.suffix in ARRAYS for path in store.iterdir()):
            raise DataError(store, "holds features without a passport", "name another folder for these")
        write_passport(store, passport)
    elif different := passport.differences(there):
        what = f"holds features that were made otherwise: {'; '.join(different[:3])}"
        raise DataError(store, what, "name another folder for these, or encode as there")


def _runs(process: str) -> bool:
    """Whether a process of this number runs."""
    if os.name == "nt" or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _all(
    opened: VideoEncoder,
    encoder: str | Path,
    settings: Mapping[str, Any],
    todo: Mapping[str, Path],
    store: Path,
    jobs: int,
) -> Generator[tuple[str, str | None], None, None]:
    """The name of each video when it is done, and why where it is left out."""
    if jobs <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for name, path in todo.items():
                yield name, _one(opened, path, store / f"{name}.npy")
        finally:
            torch.set_num_threads(threads)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(encoder, settings)) as pool:
        try:
            given: dict[Future[str | None], str] = {
                pool.submit(_by_worker, path, store / f"{name}.npy"): name for name, path in todo.items()
            }
            for future in as_completed(given):
                yield given[future], future.result()
        except BrokenProcessPool as error:
            remedy = "run the same command again with fewer --jobs: it goes on from what is there"
            raise DataError(store, "a process that encodes was ended, perhaps for want of memory", remedy) from error
        finally:
            pool.shutdown(cancel_futures=True)


_encoder: VideoEncoder | None = None


def _begin(encoder: str | Path, settings: Mapping[str, Any]) -> None:
    """Open the encoder in a worker, which ends when the process that started it does."""
    global _encoder
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _encoder = open_encoder(encoder, **settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _by_worker(path: Path, out: Path) -> str | None:
    assert _encoder is not None
    return _one(_encoder, path, out)


def _one(encoder: VideoEncoder, path: Path, out: Path) -> str | None:
    """Encode a file of video into a file of features; the sentence that says why, where that cannot be."""
    try:
        rows = encode_video(encoder, path).rows
    except DataError as error:
        return str(error)
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        np.save(file, rows, allow_pickle=False)
    return None


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
