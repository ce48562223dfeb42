"""What a decoder gives: facts about a file of video, and its frames at chosen times, one after the other."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from vmlkit.errors import ConfigError, DataError
from vmlkit.files.reading import check_file

#: a time in seconds from the beginning of the video, and the picture that is shown then
Frame = tuple[float, UInt8[np.ndarray, "H W 3"]]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Facts about a file of video; time begins where its earliest stream does."""

    duration_s: float  #: until the last frame that the file holds has been shown
    width: int  #: of a picture as it is shown, after rotation
    height: int
    frames: int | None  #: that the file lists
    rate: float  #: mean number of frames a second
    rotation: (
        int  #: counterclockwise degrees by which stored pictures are turned before they are shown: 0, 90, 180, 270
    )
    variable: bool  #: whether frames are shown for different lengths of time
    stated_s: float | None  #: the duration that the file's header states; longer where its end is missing


class Decoder(Protocol):
    """Reads files of video; holds one frame at a time, so that memory does not grow with a video's length."""

    name: str

    def probe(self, path: str | Path) -> VideoInfo:
        """Facts about a file; reads it through once, without decoding it.

        Raises:
            DataError: for a file that is missing or is no video.
        """

    def frames(self, path: str | Path, *, times: float | Sequence[float], size: int | None = None) -> Iterator[Frame]:
        """Pictures of a video: of each time, the frame that is shown then (the first one where none is shown yet).

        Args:
            path: the file.
            times: a rate (frames a second: one from the middle of each whole interval, see :func:`sample_times`), or
                seconds, each of which costs a search in the file.
            size: pixels of the shorter side; ``None`` keeps the size of the file.

        Where the end of a file is missing, what can be decoded counts, and stderr says where it ended.

        Raises:
            DataError: for a file that is missing, is no video, or of which no frame can be decoded; a time outside.
        """


def sample_times(info: VideoInfo, rate: float) -> list[float]:
    """The middles of the whole intervals of ``1 / rate`` seconds; an interval may lack a frame's length.

    >>> facts = {"width": 8, "height": 8, "frames": 17, "rotation": 0, "variable": False, "stated_s": 1.7}
    >>> sample_times(VideoInfo(duration_s=1.7, rate=10, **facts), 2)
    [0.25, 0.75, 1.25]
    """
    if not rate > 0:
        raise ConfigError(f"a rate must be above 0 frames a second, not {rate}")
    count = int((info.duration_s + 1 / info.rate) * rate + 1e-6)
    middles = ((i + 0.5) / rate for i in range(count))
    return [time for time in middles if time < info.duration_s]


def existing_file(path: str | Path) -> Path:
    """The path of a file that is there.

    Raises:
        DataError: for anything else, such as the address of a page.
    """
    if "://" in str(path):
        raise DataError(path, "is an address", "download the video and give the file")
    if Path(path).is_dir():
        raise DataError(path, "is a folder", "give one file of video")
    return check_file(path, remedy="check the path of the video")


def checked_times(path: Path, info: VideoInfo, times: Sequence[float]) -> list[float]:
    """The times, each inside the video.

    Raises:
        DataError: for one outside.
    """
    for time in times:
        if not 0 <= time <= info.duration_s:
            remedy = f"use seconds from 0 to {info.duration_s:g}"
            raise DataError(path, f"has nothing at {time:g} s", remedy)
    return [float(time) for time in times]


def say_missing_end(path: Path, until_s: float, info: VideoInfo) -> None:
    """Say on stderr where decoding ended, if that is more than a second before the header's end."""
    stated = max(info.stated_s or 0.0, info.duration_s)
    if until_s < stated - 1 - 1 / info.rate:
        what = f"pictures end at {until_s:.1f} s of the {stated:.1f} s that the file states; what was decoded counts"
        print(f"vmlkit: {path}: {what}.", file=sys.stderr)
