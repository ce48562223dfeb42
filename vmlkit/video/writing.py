"""Writing frames as a file of video, through the ffmpeg program that ``imageio-ffmpeg`` brings."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from vmlkit.errors import DataError
from vmlkit.files import atomic_path
from vmlkit.video.ffmpeg import ffmpeg_program

#: every browser plays the first; Chromium without licensed codecs, as test machines have it, plays only the second
Codec = Literal["h264", "vp9"]
_CODECS: dict[str, list[str]] = {
    "h264": ["-c:v", "libx264", "-crf", "16", "-preset", "medium"],
    "vp9": ["-c:v", "libvpx-vp9", "-crf", "20", "-b:v", "0", "-row-mt", "1", "-cpu-used", "4"],
}


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], rate: float, *, codec: Codec = "h264"
) -> Path:
    """Write frames of one size, ``rate`` a second, as a file that appears whole or not at all.

    Args:
        path: ends in ``.mp4`` (either codec) or ``.webm`` (``"vp9"``).
        frames: of even width and height, which may be made while they are written.

    Raises:
        DataError: for no frame at all, frames of different or odd sizes, or what ffmpeg refuses.
        MissingDependency: without the package ``imageio-ffmpeg``.
    """
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ".webm"):
        raise DataError(path, f"ends in '{path.suffix}'", "end the name in .mp4 or .webm")
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise DataError(path, "there is no frame to write", "give at least one")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise DataError(path, f"frames are {width} x {height} pixels", "give frames of even width and height")
    command = [ffmpeg_program(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate!r}", "-i", "pipe:0"]
    colors = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", *colors, *_CODECS[codec]]
    # the table of frames in front, so that a page plays the file while it loads; no date or version inside
    command += ["-movflags", "+faststart", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    with atomic_path(path) as temporary, tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*command, f"file:{temporary}"], stdin=subprocess.PIPE, stderr=said)
        try:
            assert process.stdin is not None
            for frame in itertools.chain((first,), rest):
                if frame.shape != first.shape or frame.dtype != np.uint8:
                    what = f"a frame is {frame.dtype} {frame.shape} where the first is uint8 {first.shape}"
                    raise DataError(path, what, "give frames of one size")
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
            code = process.wait()
        except BrokenPipeError:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code:
            said.seek(0)
            reason = " ".join(said.read().decode("utf-8", "replace").split())[:200]
            raise DataError(path, f"ffmpeg did not write it ({reason})", "check the folder and the ending")
    return path
