"""Settings of the toy world and the names of its videos."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from vmlkit.errors import ConfigError, DataError

Split = Literal["train", "test", "validation"]
Staging = Literal["default", "cast"]

#: second entry of every video's seed, after the world seed
SPLIT_IDS: dict[Split, int] = {"train": 0, "test": 1, "validation": 2}

#: frames per second at which features are computed
FEATURE_FPS = 2

_VIDEO_ID = re.compile(r"toy-(train|test|validation)-([0-9]{5})")


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """What decides every pixel, word and feature of the toy world.

    A video depends on ``world_seed``, ``staging``, its split and its index only, so smaller sets are prefixes of
    larger ones.

    Raises:
        ConfigError: for a size that cannot be built.
    """

    world_seed: int = 0
    train_videos: int = 700
    validation_videos: int = 60
    test_videos: int = 140
    clips: int = 64  #: T, clips per video after resampling
    feature_dim: int = 128  #: Dv, columns after the fixed projection
    frame_px: int = 32  #: side of the frames that features are computed from, in pixels
    #: "cast" keeps actors on stage for longer before and after their event, and adds idle ones
    staging: Staging = "default"

    def __post_init__(self) -> None:
        smallest = {"world_seed": 0, "train_videos": 1, "validation_videos": 1, "test_videos": 1, "clips": 1}
        for name, low in {**smallest, "feature_dim": 1, "frame_px": 16}.items():
            if getattr(self, name) < low:
                raise ConfigError(f"setting '{name}' must be at least {low}, not {getattr(self, name)}")
        for name in ("train_videos", "validation_videos", "test_videos"):
            if getattr(self, name) > 100_000:
                raise ConfigError(f"setting '{name}' must be at most 100000 (ids have five digits)")
        if self.frame_px % 4:
            raise ConfigError(f"setting 'frame_px' must be a multiple of 4, not {self.frame_px}")
        if self.staging not in ("default", "cast"):
            raise ConfigError(f"setting 'staging' must be 'default' or 'cast', not {self.staging!r}")

    def videos(self, split: Split) -> int:
        """Number of videos of a split."""
        return {"train": self.train_videos, "validation": self.validation_videos, "test": self.test_videos}[split]


def check_video(config: ToyConfig, split: str, index: int) -> None:
    """Raise :class:`DataError` unless the world has a split of this name and a video of this index."""
    if split not in get_args(Split):
        raise DataError("toy world", f"no split '{split}'", "use train, validation or test")
    if not 0 <= index < config.videos(split):  # type: ignore[arg-type]
        count = config.videos(split)  # type: ignore[arg-type]
        raise DataError("toy world", f"no video {index} in split '{split}'", f"use an index from 0 to {count - 1}")


def video_id(split: Split, index: int) -> str:
    """The name of a video.

    >>> video_id("test", 12)
    'toy-test-00012'
    """
    return f"toy-{split}-{index:05d}"


def parse_video_id(config: ToyConfig, name: str) -> tuple[Split, int]:
    """Split and index of a video's name; the inverse of :func:`video_id`.

    Raises:
        DataError: for a name that is not a video of this world.

    >>> parse_video_id(ToyConfig(), "toy-test-00012")
    ('test', 12)
    """
    match = _VIDEO_ID.fullmatch(name)
    if match is None:
        raise DataError("toy world", f"no video named {name!r}", "use a name such as 'toy-test-00012'")
    split: Split = match[1]  # type: ignore[assignment]
    index = int(match[2])
    check_video(config, split, index)
    return split, index
