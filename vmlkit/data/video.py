"""Video files: writing frames as H.264 mp4, reading frames back, exporting the toy world."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.errors import DataError, MissingDependency
from vmlkit.files import atomic_path

#: frames drawn at a time while exporting
_CHUNK = 64


def write_video(path: Path | str, frames: Iterable[UInt8[np.ndarray, "height width 3"]], fps: float) -> Path:
    """Write frames as an mp4 file (H.264, yuv420p, which browsers and players open).

    The file appears under its name only once it is complete.

    Args:
        path: ends in ``.mp4``; its folder is made if it does not exist.
        frames: uint8 RGB pictures of one size with even sides; they may be generated one by one.
        fps: frames per second.

    Raises:
        MissingDependency: without ``imageio`` and ``imageio-ffmpeg``.
        DataError: for another suffix, a rate that is not positive, no frame, or a frame of another type or size.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise DataError(path, "the name does not end in .mp4", "choose a name that does")
    if not 0 < fps < float("inf"):
        raise DataError(path, f"{fps} frames per second", "use a positive rate")
    imageio = _imageio()
    checked = _checked(path, frames)
    first = next(checked, None)
    if first is None:
        raise DataError(path, "there is no frame to write", "pass at least one")
    options = {"codec": "libx264", "pixelformat": "yuv420p", "quality": 8, "macro_block_size": 2}
    with atomic_path(path) as temporary:
        writer = imageio.get_writer(str(temporary), format="FFMPEG", mode="I", fps=fps, **options)
        # the writer's own context leaves ffmpeg running after an exception
        with contextlib.closing(writer):
            for frame in chain((first,), checked):
                writer.append_data(frame)
    return path


def video_info(path: Path | str) -> tuple[float, float]:
    """Duration in seconds and frames per second, as the file's header states them.

    Raises:
        MissingDependency: without ``imageio`` and ``imageio-ffmpeg``.
        DataError: for a file that is missing or is not a video.
    """
    with _opened(Path(path)) as reader:
        meta = reader.get_meta_data()
    return float(meta["duration"]), float(meta["fps"])


def read_video(
    path: Path | str, times_s: Float[np.ndarray, " n"] | None = None, size: tuple[int, int] | None = None
) -> tuple[UInt8[np.ndarray, "n height width 3"], Float[np.ndarray, " n"]]:
    """Frames of a video file and their times.

    The file is decoded once, from the start; only the frames asked for are kept.

    Args:
        path: any file that ffmpeg can decode.
        times_s: seconds, in any order: the frame on display at each is returned (the last one at the very end).
            ``None`` returns every frame.
        size: (width, height) to which ffmpeg scales; ``None`` keeps the size of the file.

    Returns:
        the frames, and the start of each on the time line in seconds.

    Raises:
        MissingDependency: without ``imageio`` and ``imageio-ffmpeg``.
        DataError: for a file that is missing or not a video, or a time outside of it.
    """
    path = Path(path)
    with _opened(path, size) as reader:
        meta = reader.get_meta_data()
        fps, duration = float(meta["fps"]), float(meta["duration"])
        wanted: np.ndarray | None = None
        if times_s is not None:
            times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
            if not np.all((times >= 0) & (times <= duration)):
                raise DataError(path, "a time outside the video", f"use seconds from 0 to {duration}")
            # a time that is a frame's start, up to rounding, belongs to that frame
            wanted = np.floor(times * fps + 1e-6).astype(int)
        kept, count = _decode(reader, wanted)
    if not count:
        raise DataError(path, "holds no frame that can be decoded", "check that it was copied completely")
    numbers = np.arange(count) if wanted is None else np.minimum(wanted, count - 1)
    return np.stack([kept[n] for n in numbers.tolist()]) if len(numbers) else _no_frames(kept), numbers / fps


def export_toy_video(video: ToyVideo, path: Path | str, px: int = 128, fps: float = 12.5) -> Path:
    """Write a video of the toy world as an mp4 file.

    Args:
        video: the script, see :func:`vmlkit.data.toyworld.make_video`.
        path: ends in ``.mp4``.
        px: side of the frames, even.
        fps: frames per second; frame ``k`` shows the world at ``k / fps`` seconds.

    Raises:
        MissingDependency, DataError: as :func:`write_video`.
    """
    if not 0 < fps < float("inf"):
        raise DataError(path, f"{fps} frames per second", "use a positive rate")
    times = np.arange(max(1, round(video.duration_s * fps))) / fps
    times = np.minimum(times, video.duration_s)
    pictures = (frame for i in range(0, len(times), _CHUNK) for frame in render(video, times[i : i + _CHUNK], px))
    return write_video(path, pictures, fps)


def _checked(path: Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        fits = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.shape == shape
        if not fits or shape[0] % 2 or shape[1] % 2 or 0 in shape:
            what = f"frame {number} is {frame.dtype} {frame.shape}"
            raise DataError(path, what, "give uint8 frames (height, width, 3) of one size with even sides")
        yield np.ascontiguousarray(frame)


def _decode(reader: Any, wanted: np.ndarray | None) -> tuple[dict[int, np.ndarray], int]:
    """The wanted frames by number (all if ``None``), the last one, and how many there are."""
    keep = None if wanted is None else set(wanted.tolist())
    enough = max(keep, default=0) + 1 if keep is not None else None
    kept: dict[int, np.ndarray] = {}
    count, last = 0, None
    for frame in reader:
        if keep is None or count in keep:
            kept[count] = np.asarray(frame)
        last, count = frame, count + 1
        if count == enough:
            break
    if last is not None:
        kept[count - 1] = np.asarray(last)
    return kept, count


def _no_frames(kept: dict[int, np.ndarray]) -> np.ndarray:
    return np.empty((0, *next(iter(kept.values())).shape), dtype=np.uint8)


@contextlib.contextmanager
def _opened(path: Path, size: tuple[int, int] | None = None) -> Iterator[Any]:
    imageio = _imageio()
    if not path.is_file():
        raise DataError(path, "no such file", "check the path of the video")
    try:
        with _quiet():
            reader = imageio.get_reader(str(path), format="FFMPEG", **({"size": size} if size else {}))
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        raise DataError(path, "cannot be read as a video", "check that it is one and was copied completely") from error
    with contextlib.closing(reader):
        yield reader


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without imageio's remark that frames are scaled, which was asked for."""
    logger = logging.getLogger("imageio_ffmpeg")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _imageio() -> ModuleType:
    purpose = "reading and writing video files"
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401 - the ffmpeg program and imageio's way to it
    except ImportError as error:
        raise MissingDependency(error.name or "imageio", "video", purpose) from error
    return imageio
