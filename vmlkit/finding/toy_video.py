"""Rendering a film of the toy world as a file of video, with its script beside it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vmlkit.data.toyworld.films import make_film
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.errors import ConfigError
from vmlkit.files import write_json
from vmlkit.video.writing import Codec, write_video

#: pictures that are drawn at a time
CHUNK = 40


def write_toy_video(
    path: str | Path,
    seed: int = 0,
    seconds: float = 60.0,
    *,
    px: int = 192,
    rate: float = 10.0,
    codec: Codec = "vp9",
) -> ToyVideo:
    """Render a film that is in no split, and write its sentences with their seconds beside it.

    Args:
        path: ``.mp4`` or ``.webm``; ``film.mp4`` gets ``film.json`` beside it.
        seed: which film.
        seconds: how long it lasts, 20 to 600.
        px: side of the pictures in pixels, even.
        rate: pictures a second.
        codec: ``"vp9"`` plays in every browser of today, ``"h264"`` also in old players.

    Raises:
        ConfigError: for a seed, length, size or rate that there is not.
        DataError: for a file of another ending.
    """
    if px < 32 or px % 2:
        raise ConfigError(f"pictures must have an even number of pixels, at least 32, not {px}")
    if not 1 <= rate <= 60:
        raise ConfigError(f"a film has from 1 to 60 pictures a second, not {rate:g}")
    video = make_film(seed, seconds)
    write_video(path, pictures(video, px, rate), rate, codec=codec)
    write_json(script_path(path), script(video))
    return video


def script_path(path: str | Path) -> Path:
    """Where the script of a rendered film lies."""
    return Path(path).with_suffix(".json")


def script(video: ToyVideo) -> dict[str, object]:
    """What a film shows, for people and for checks: its length, and each sentence with its seconds."""
    sentences = [{"sentence": s.text, "start": s.span_s[0], "end": s.span_s[1]} for s in video.sentences]
    return {"video": video.video_id, "duration": video.duration_s, "sentences": sentences}


def pictures(video: ToyVideo, px: int, rate: float) -> Iterator[UInt8[np.ndarray, "px px 3"]]:
    """The pictures of a script at a rate, a few at a time."""
    times = np.arange(round(video.duration_s * rate)) / rate
    for first in range(0, len(times), CHUNK):
        yield from render(video, times[first : first + CHUNK], px)
