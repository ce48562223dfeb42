"""Computing the raw features of many videos, in one process or two; imports no torch, so workers start quickly."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vmlkit.data.toyworld.config import Split, ToyConfig
from vmlkit.data.toyworld.features import RAW_DIM, frame_features, resample
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import make_video

_CHUNK_VIDEOS = 20
#: below this many videos, starting workers takes longer than they save
_WORTH_WORKERS = 100
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_Task = tuple[ToyConfig, Split, int, int]


def video_features(config: ToyConfig, split: Split, index: int) -> Float[np.ndarray, "T 156"]:
    """Raw clip features of one video."""
    video = make_video(config, split, index)
    frames = render(video, video.frame_times(), config.frame_px)
    return resample(frame_features(frames), config.clips)


def raw_features(config: ToyConfig, processes: int, progress: bool) -> dict[Split, Float[np.ndarray, "videos T 156"]]:
    """Raw clip features of all splits; the same bits for every number of processes."""
    splits: tuple[Split, ...] = ("train", "validation", "test")
    out = {s: np.empty((config.videos(s), config.clips, RAW_DIM), dtype=np.float32) for s in splits}
    tasks: list[_Task] = [
        (config, s, first, min(first + _CHUNK_VIDEOS, config.videos(s)))
        for s in splits
        for first in range(0, config.videos(s), _CHUNK_VIDEOS)
    ]
    total = sum(len(rows) for rows in out.values())
    with tqdm(total=total, desc="toy world", unit="video", file=sys.stderr, disable=not progress) as bar:
        for (_, split, first, stop), rows in _results(tasks, processes if total >= _WORTH_WORKERS else 1):
            out[split][first:stop] = rows
            bar.update(stop - first)
    return out


def _chunk(task: _Task) -> np.ndarray:
    config, split, first, stop = task
    return np.stack([video_features(config, split, i) for i in range(first, stop)])


def _results(tasks: list[_Task], processes: int) -> Iterator[tuple[_Task, np.ndarray]]:
    """Results in the order of the tasks; without workers where the system does not allow them."""
    done = 0
    if processes > 1:
        try:
            for rows in _with_workers(tasks, processes):
                yield tasks[done], rows
                done += 1
        except (BrokenProcessPool, OSError) as error:
            print(f"vmlkit: no worker processes ({error}); building the toy world in this one.", file=sys.stderr)
    for task in tasks[done:]:
        yield task, _chunk(task)


def _with_workers(tasks: list[_Task], processes: int) -> Iterator[np.ndarray]:
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            with _bare_start():
                futures = [pool.submit(_chunk, task) for task in tasks]
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _bare_start() -> Iterator[None]:
    """Processes spawned inside get one linear-algebra thread each and do not run the main script again.

    Python would rerun a script without a main guard from the top in every worker, and fail on one read from
    standard input.  The workers need nothing of it, so its path is hidden while they start.
    """
    main = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    threads = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    main.update(dict.fromkeys(hidden))
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        main.update(hidden)
        for name, setting in threads.items():
            if setting is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = setting
