"""Decoding with the ffmpeg program that the package ``imageio-ffmpeg`` brings: no library, one pipe of pictures.

The file is always opened as ``file:PATH`` with no protocol but that one, and with containers of video alone, so a name
that begins with a dash or looks like an address, a play list, or a text is never interpreted.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from vmlkit.errors import DataError, required
from vmlkit.files import open_file
from vmlkit.video.decode import Frame, VideoInfo, checked_times, existing_file, sample_times, say_missing_end

#: containers that are opened; others, such as play lists, pictures and texts, are no video here
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,h264,hevc,m4v,mxf,nut,ivf,av1,obu,"
    "rm,vob,wtv,dv"
)
_INPUT = ("-nostdin", "-hide_banner", "-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)(?:, start: (-?[\d.]+))?", re.M)
#: containers that are searched by their index; others are read from the beginning
_INDEXED = re.compile(r"^Input #0, (mov|matroska|avi)\b", re.M)
_STREAM = re.compile(r"^  Stream #0:\d+.*: Video: .*?[ ,](\d+)x(\d+)[ ,\[]", re.M)
_RATE = re.compile(r"([\d.]+)(k?) fps")
_ROTATION = re.compile(r"[Dd]isplay ?[Mm]atrix: rotation of (-?[\d.]+) degrees")
_HEADER = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+255\s")


class FfmpegDecoder:
    """A :class:`~vmlkit.video.decode.Decoder` that runs ffmpeg as a process of its own.

    Raises:
        MissingDependency: without the package ``imageio-ffmpeg``.
    """

    name = "ffmpeg"

    def __init__(self) -> None:
        self.program = ffmpeg_program()

    def probe(self, path: str | Path) -> VideoInfo:
        return self._probe(existing_file(path))[0]

    def _probe(self, file: Path) -> tuple[VideoInfo, bool]:
        """Facts about a file, and whether its container has an index by which a key frame is found."""
        command = [*_INPUT, "-i", f"file:{file}", "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "pipe:1"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen([self.program, *command], stdout=subprocess.PIPE, stderr=said)
            with process:
                assert process.stdout is not None
                packets = _Packets.read(process.stdout)
            text = _text(said)
        stream = _STREAM.search(text.partition("Output #0")[0])
        if stream is None or not packets.times:
            raise _no_video(file, text)
        return _info(text, (int(stream[1]), int(stream[2])), packets), bool(_INDEXED.search(text))

    def frames(self, path: str | Path, *, times: float | Sequence[float], size: int | None = None) -> Iterator[Frame]:
        file = existing_file(path)
        info, indexed = self._probe(file)
        if isinstance(times, int | float):
            yield from self._at_rate(file, info, float(times), size)
            return
        until = 0.0
        for time in checked_times(file, info, times):
            found = list(self._run(file, [time], 1.0, size, start=time if indexed else None))
            yield from found
            until = max(until, time if found else 0.0)
            if not found:
                say_missing_end(file, until, info)

    def _at_rate(self, file: Path, info: VideoInfo, rate: float, size: int | None) -> Iterator[Frame]:
        wanted, until = sample_times(info, rate), 0.0
        for time, picture in self._run(file, wanted, rate, size):
            until = time
            yield time, picture
        complete = until + 0.5 / rate if wanted and until < wanted[-1] else info.duration_s
        say_missing_end(file, complete, info)

    def _run(
        self, file: Path, wanted: Sequence[float], rate: float, size: int | None, start: float | None = None
    ) -> Iterator[Frame]:
        """Frames at regular times; with ``start`` ffmpeg begins at the key frame before it.

        The filter ``fps`` rounds times up, so its picture number i is the last whose time is at most ``i / rate``;
        shifting time by the first wanted one puts that at 0.
        """
        if not wanted:
            return
        shift = 0.0 if start is not None else wanted[0]
        chain = [f"settb=AVTB,setpts=PTS-{shift:.6f}/TB", f"fps=fps={rate!r}:start_time=0:round=up"]
        if size is not None:
            chain.append(f"scale=w='if(gt(iw,ih),-1,{size})':h='if(gt(iw,ih),{size},-1)':flags=area")
        seek = [] if start is None else ["-noaccurate_seek", "-ss", f"{start:.6f}"]
        # two threads: each holds pictures, and several files may be read at once
        command = [
            *_INPUT,
            "-loglevel",
            "error",
            "-threads",
            "2",
            *seek,
            "-i",
            f"file:{file}",
            "-map",
            "0:V:0",
            "-vf",
            ",".join(chain),
        ]
        command += ["-frames:v", str(len(wanted)), "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen([self.program, *command], stdout=subprocess.PIPE, stderr=said, bufsize=1 << 20)
            count = 0
            try:
                assert process.stdout is not None
                for time in wanted:
                    picture = _picture(process.stdout)
                    if picture is None:
                        break
                    count += 1
                    yield time, picture
            finally:
                process.kill()
                process.communicate()
            if not count and start is None:
                raise _no_video(file, _text(said))


def ffmpeg_program() -> str:
    """The path of the ffmpeg program.

    Raises:
        MissingDependency: without the package ``imageio-ffmpeg``.
    """
    found: str = required("imageio_ffmpeg", "video", "reading a file of video").get_ffmpeg_exe()
    return found


class _Packets:
    """When the frames of a file are shown and for how long, in seconds, as the container lists them."""

    def __init__(self, times: list[float], lengths: list[float]) -> None:
        order = np.argsort(times, kind="stable")
        self.times = [times[i] for i in order]
        self.lengths = [lengths[i] for i in order]

    @classmethod
    def read(cls, lines: IO[bytes]) -> "_Packets":
        """Read what ffmpeg's ``framecrc`` writes: stream, decoding time, time, length, bytes, checksum."""
        unit, times, lengths = 1.0, list[float](), list[float]()
        for line in lines:
            if line.startswith(b"#tb 0:"):
                top, bottom = line.split(b":", 1)[1].split(b"/")
                unit = int(top) / int(bottom)
            elif not line.startswith(b"#"):
                parts = line.split(b",")
                times.append(int(parts[2]) * unit)
                lengths.append(int(parts[3]) * unit)
        return cls(times, lengths)


def _info(text: str, size: tuple[int, int], packets: _Packets) -> VideoInfo:
    times, lengths = packets.times, packets.lengths
    steps = np.diff(times)
    stated = _DURATION.search(text)
    fps = _RATE.search(text)
    last = lengths[-1] or (float(np.median(steps)) if len(steps) else 0.04)
    duration = max(times[-1], 0.0) + last
    shown = duration - max(times[0], 0.0)
    rotation = _ROTATION.search(text)
    turn = round(float(rotation[1])) % 360 if rotation else 0
    width, height = size[::-1] if turn in (90, 270) else size
    nominal = float(fps[1]) * (1000 if fps[2] else 1) if fps else 0.0
    return VideoInfo(
        duration_s=duration,
        width=width,
        height=height,
        frames=len(times),
        rate=len(times) / shown if len(times) > 1 else nominal or 1 / last,
        rotation=turn,
        # containers round times to their own unit, at most a millisecond in those that circulate
        variable=bool(len(steps)) and float(steps.max() - steps.min()) > 0.0025,
        stated_s=_stated(stated, duration) if stated else None,
    )


def _stated(found: re.Match[str], duration: float) -> float:
    """The length that a header states; some containers state when the video ends, others how long it is."""
    end = 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
    return min((end, end - float(found[4] or 0)), key=lambda length: abs(length - duration))


def _picture(stream: IO[bytes]) -> UInt8[np.ndarray, "H W 3"] | None:
    """The next picture of a stream of PPM; ``None`` at its end, also inside a picture."""
    head = b"".join(stream.readline() for _ in range(3))
    found = _HEADER.fullmatch(head)
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    data = bytearray(width * height * 3)
    view = memoryview(data)
    done = 0
    while done < len(data):
        read = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not read:
            return None
        done += read
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace")


def _no_video(file: Path, text: str) -> DataError:
    """What is wrong with a file of which no picture comes."""
    if "Audio:" in text and "Video:" not in text:
        return DataError(file, "holds sound and no pictures", "give a file of video")
    with open_file(file) as content:
        head = content.read(12)
    if not head:
        return DataError(file, "is empty", "copy or download the video again")
    if head[4:8] == b"ftyp":
        what = "is cut off or damaged: the table of its frames, which is often written last, cannot be read"
        return DataError(file, what, "copy or record the file again")
    return DataError(file, "is no video that ffmpeg can read", "give a file such as .mp4, .webm, .mkv, .mov or .avi")
