"""Decoding with torchcodec, where it is installed together with the shared libraries of ffmpeg."""

import importlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from vmlkit.errors import ConfigError, DataError
from vmlkit.video.decode import Frame, VideoInfo, checked_times, existing_file, sample_times, say_missing_end


class TorchcodecDecoder:
    """A :class:`~vmlkit.video.decode.Decoder` that decodes in this process.

    Raises:
        ConfigError: where torchcodec cannot be imported.
    """

    name = "torchcodec"

    def __init__(self) -> None:
        try:
            self._module = importlib.import_module("torchcodec.decoders")
        except (ImportError, RuntimeError, OSError) as error:
            raise ConfigError(
                "decoder 'torchcodec' cannot be imported here: install a build of it for this torch, and the shared "
                "libraries of ffmpeg, or take the decoder 'ffmpeg'"
            ) from error

    def probe(self, path: str | Path) -> VideoInfo:
        return self._opened(existing_file(path))[1]

    def frames(self, path: str | Path, *, times: float | Sequence[float], size: int | None = None) -> Iterator[Frame]:
        file = existing_file(path)
        stream, info = self._opened(file)
        at_rate = isinstance(times, int | float)
        wanted = sample_times(info, float(times)) if at_rate else checked_times(file, info, times)  # type: ignore[arg-type]
        about = stream.metadata
        first, end = about.begin_stream_seconds, about.end_stream_seconds
        begin = end - info.duration_s
        until = 0.0
        for time in wanted:
            # the end itself shows nothing, and before the first frame the first one stands
            place = min(max(begin + time, first), float(np.nextafter(end, first)))
            try:
                shown = stream.get_frame_played_at(place)
            except (RuntimeError, IndexError):
                break
            until = shown.pts_seconds - begin + shown.duration_seconds
            yield time, _sized(shown.data, size)
        else:
            until = info.duration_s
        say_missing_end(file, until, info)

    def _opened(self, file: Path) -> tuple[Any, VideoInfo]:
        """The stream of pictures of a file, which is scanned once, and its facts."""
        try:
            # an absolute path: ffmpeg would take a name such as "concat:x" for a protocol
            stream = self._module.VideoDecoder(str(file.resolve()), dimension_order="NHWC", seek_mode="exact")
            about = stream.metadata
            facts = (about.duration_seconds, about.width, about.height, about.average_fps, len(stream))
            first, second = (stream.get_frame_at(i) for i in (0, min(1, len(stream) - 1)))
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            what = f"is no video that torchcodec can read ({' '.join(str(error).split())[:120]})"
            raise DataError(file, what, "give a file such as .mp4, .webm, .mkv, .mov or .avi") from error
        if not all(facts):
            raise DataError(file, "holds no picture", "give a file of video")
        duration, width, height, rate, count = facts
        steady = abs((second.pts_seconds - first.pts_seconds) * (count - 1) - duration + first.duration_seconds)
        # time begins where the earliest stream does, which may be the sound
        duration = about.end_stream_seconds - min(about.begin_stream_seconds, self._sound(file))
        info = VideoInfo(
            duration_s=float(duration),
            width=int(width),
            height=int(height),
            frames=count,
            rate=float(rate),
            rotation=round(about.rotation or 0) % 360,
            variable=count > 2 and steady > 2 / rate,
            stated_s=about.duration_seconds_from_header,
        )
        return stream, info

    def _sound(self, file: Path) -> float:
        """When the sound of a file begins, in seconds; infinity without any."""
        try:
            found = self._module.AudioDecoder(str(file.resolve())).metadata.begin_stream_seconds_from_header
        except (RuntimeError, ValueError, OSError, KeyError):
            return math.inf
        # samples before zero only start a codec, and are not heard
        return math.inf if found is None else max(0.0, float(found))


def _sized(picture: torch.Tensor, size: int | None) -> UInt8[np.ndarray, "H W 3"]:
    """The picture at ``size`` pixels of its shorter side, averaged over areas."""
    if size is None:
        return picture.numpy()
    height, width = picture.shape[:2]
    short = min(height, width)
    shape = (round(height * size / short), round(width * size / short))
    planes = picture.permute(2, 0, 1)[None].float()
    made = torch.nn.functional.interpolate(planes, shape, mode="bilinear", antialias=True, align_corners=False)
    return made[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
