"""A decoder or an encoder by its name, and a whole file of video through both."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from vmlkit.errors import ConfigError, DataError, MissingDependency
from vmlkit.video.decode import Decoder, Frame, VideoInfo
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.ffmpeg import FfmpegDecoder
from vmlkit.video.saved_encoder import RATE, Norm, SavedEncoder
from vmlkit.video.torchcodec import TorchcodecDecoder
from vmlkit.video.toy_encoder import TOY, ToyEncoder

#: "auto" is torchcodec where it can be imported, else the ffmpeg that the package imageio-ffmpeg brings
DecoderName = Literal["auto", "torchcodec", "ffmpeg"]


def decoder(name: DecoderName = "auto") -> Decoder:
    """A decoder by its name.

    Raises:
        ConfigError: for a name that there is not, or torchcodec where it does not work.
        MissingDependency: without the package ``imageio-ffmpeg`` where ffmpeg is to decode.
    """
    if name == "torchcodec":
        return TorchcodecDecoder()
    if name == "auto" and torchcodec_works():
        return EitherDecoder()
    if name in ("auto", "ffmpeg"):
        return FfmpegDecoder()
    raise ConfigError(f"decoder must be 'auto', 'torchcodec' or 'ffmpeg', not {name!r}")


class EitherDecoder:
    """torchcodec, and ffmpeg for a file that it cannot read, such as a transport stream."""

    name = "auto"

    def probe(self, path: str | Path) -> VideoInfo:
        return self._reading(path)[1]

    def frames(self, path: str | Path, *, times: float | Sequence[float], size: int | None = None) -> Iterator[Frame]:
        yield from self._reading(path)[0].frames(path, times=times, size=size)

    def _reading(self, path: str | Path) -> tuple[Decoder, VideoInfo]:
        first = TorchcodecDecoder()
        try:
            return first, first.probe(path)
        except DataError as error:
            try:
                second = FfmpegDecoder()
            except MissingDependency:
                raise error from None
        return second, second.probe(path)


def torchcodec_works() -> bool:
    """Whether torchcodec can be imported: it also needs the shared libraries of ffmpeg."""
    if importlib.util.find_spec("torchcodec") is None:
        return False
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, RuntimeError, OSError):
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """A video as rows of features."""

    rows: Float[np.ndarray, "T D"]
    times: Float[np.ndarray, "T 2"]  #: seconds
    info: VideoInfo


def encode_video(encoder: VideoEncoder, path: str | Path, *, using: Decoder | None = None) -> EncodedVideo:
    """Decode and encode a file of video.

    Args:
        using: the decoder; torchcodec where it works, else ffmpeg.

    Raises:
        DataError: for a file that is missing, is no video, is shorter than one clip, or is not of the encoder's kind.
    """
    using = using or decoder()
    info = using.probe(path)
    clip = 1 / encoder.rate
    if info.duration_s + 1 / info.rate < clip:
        what = f"lasts {info.duration_s:.2g} s, shorter than one clip of {clip:g} s"
        raise DataError(path, what, "give a longer video, or an encoder with a higher rate")
    try:
        rows, times = encoder.encode(using.frames(path, times=encoder.rate))
    except DataError as error:
        if error.where == str(path):
            raise
        raise DataError(path, error.what, error.remedy) from error
    return EncodedVideo(rows=rows, times=times, info=info)


def open_encoder(
    name: str | Path = TOY, *, rate: float | None = None, norm: Norm = "none", device: str | None = None
) -> VideoEncoder:
    """An encoder: ``"toy"``, the folder of a saved model, or a name on the hub; see :class:`SavedEncoder`.

    Args:
        rate: pictures a second; None takes the encoder's own.
        norm: of the rows of a saved model.
        device: where a saved model runs; None takes a card where there is one.

    Raises:
        ConfigError: for a rate or a norm that the encoder does not have.
        DataError: for a folder that holds no model of pictures, or a name that cannot be had.
        MissingDependency: without a package that the model needs.
    """
    if str(name) != TOY:
        return SavedEncoder(name, rate=RATE if rate is None else rate, norm=norm, device=device)
    made = ToyEncoder()
    if rate is not None and rate != made.rate:
        raise ConfigError(f"the toy encoder sees {made.rate:g} pictures a second, not {rate:g}: leave the rate out")
    if norm != "none":
        raise ConfigError("the toy encoder has a norm of its own: leave the norm out")
    return made
