"""Rendering a film of the toy world as a file of video, with its script beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vmlkit.data.toyworld.config import ToyConfig, parse_video_id
from vmlkit.data.toyworld.films import make_film
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo, make_video
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import experiment_of
from vmlkit.files import write_json
from vmlkit.runs import RunDirectory
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


def render_recorded(
    run: RunDirectory, folder: str | Path, queries: Sequence[object] | None = None, *, px: int = 128, rate: float = 8.0
) -> dict[str, Path]:
    """Files of the toy videos that a run recorded, for the scrubber's ``films``; by the id of the video.

    Args:
        folder: where they are written, named after their ids; files that are there already are kept.
        queries: the recorded queries whose videos are rendered; all unless given.

    Raises:
        DataError: for a run of other data than the toy world's.
    """
    world = experiment_of(run).data
    if not isinstance(world, ToyConfig):
        raise DataError(run.path, "recorded no video of the toy world", "give the scrubber files of your own")
    found: dict[str, Path] = {}
    for record in run.probe:
        if queries is not None and record["query_id"] not in {str(query) for query in queries}:
            continue
        name = str(record["video_id"])
        found[name] = Path(folder) / f"{name}.mp4"
        if not found[name].is_file():
            video = make_video(world, *parse_video_id(world, name))
            write_video(found[name], pictures(video, px, rate), rate, codec="vp9")
    return found


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
