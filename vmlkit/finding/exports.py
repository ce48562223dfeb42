"""Answers as files: a table, JSON, subtitles, an edit decision list, and the moments cut out as clips."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError
from vmlkit.files import atomic_path, write_json, write_text
from vmlkit.finding.moments import Moments, table
from vmlkit.video.decode import VideoInfo, existing_file
from vmlkit.video.ffmpeg import ffmpeg_program


def write_csv(path: str | Path, answers: Sequence[Moments]) -> None:
    """All answers, one a line: sentence, source, rank, start, end, score."""
    write_text(Path(path), table(list(answers)).to_csv(index=False, lineterminator="\n"))


def as_json(video: str | Path, info: VideoInfo, answers: Sequence[Moments]) -> dict[str, Any]:
    """All answers with what was asked of whom, in JSON's own types."""
    return {
        "video": Path(video).name,
        "duration": info.duration_s,
        "model": answers[0].model,
        "sentences": [
            {
                "sentence": found.sentence,
                "unknown": list(found.unknown),
                "answer": found.best,
                **{source: rows.tolist() for source, rows in found.by_source().items()},
            }
            for found in answers
        ],
    }


def write_answers_json(path: str | Path, video: str | Path, info: VideoInfo, answers: Sequence[Moments]) -> None:
    """:func:`as_json` as a file."""
    write_json(Path(path), as_json(video, info, answers))


def write_srt(path: str | Path, answers: Sequence[Moments]) -> None:
    """Subtitles: each sentence while its answer lasts, in the order of time."""
    blocks = [
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{' '.join(sentence.split())}\n"
        for number, (start, end, sentence) in enumerate(_in_time(answers), start=1)
    ]
    write_text(Path(path), "\n".join(blocks))


def write_edl(path: str | Path, video: str | Path, info: VideoInfo, answers: Sequence[Moments]) -> None:
    """An edit decision list (CMX 3600) of the answers, one cut after the other, in frames of the video's mean rate."""
    rate = max(1, round(info.rate))
    lines, now = [f"TITLE: {_ascii(Path(video).stem)}", "FCM: NON-DROP FRAME"], 0
    for number, (start, end, sentence) in enumerate(_in_time(answers), start=1):
        first, last = round(start * rate), max(round(end * rate), round(start * rate) + 1)
        places = (first, last, now, now + last - first)
        codes = " ".join(_time_code(frame, rate) for frame in places)
        lines += [f"{number:03d}  AX       V     C        {codes}", f"* FROM CLIP NAME: {_ascii(Path(video).name)}"]
        lines.append(f"* COMMENT: {_ascii(sentence)}")
        now += last - first
    write_text(Path(path), "\n".join(lines) + "\n")


def cut_clips(folder: str | Path, video: str | Path, answers: Sequence[Moments]) -> list[Path]:
    """The answer to each sentence as a file of its own, with its sound: ``01-the-words.mp4`` and so on.

    Raises:
        DataError: where ffmpeg cannot write one.
    """
    source, made = existing_file(video), []
    for number, found in enumerate(answers, start=1):
        if found.best is None:
            continue
        start, end = found.best
        path = Path(folder) / f"{number:02d}-{slug(found.sentence)}.mp4"
        _cut(source, path, start, end)
        made.append(path)
    return made


def slug(sentence: str) -> str:
    """A sentence as part of a file's name.

    >>> slug("The red ball, again?!")
    'the-red-ball-again'
    """
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in sentence.lower()).split()
    return "-".join(words)[:60].strip("-") or "moment"


def _cut(source: Path, path: Path, start: float, end: float) -> None:
    command = [ffmpeg_program(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-protocol_whitelist", "file,pipe", "-ss", f"{start:.3f}", "-i", f"file:{source}"]
    command += [
        "-t",
        f"{max(end - start, 0.04):.3f}",
        "-map",
        "0:V:0",
        "-map",
        "0:a:0?",
        "-c:v",
        "libx264",
        "-crf",
        "18",
    ]
    command += ["-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p", "-c:a", "aac", "-movflags", "+faststart"]
    with atomic_path(path) as temporary, tempfile.TemporaryFile() as said:
        code = subprocess.run([*command, f"file:{temporary}"], stderr=said, check=False).returncode
        if code:
            said.seek(0)
            reason = " ".join(said.read().decode("utf-8", "replace").split())[:200]
            raise DataError(path, f"ffmpeg did not write it ({reason})", "check the folder and the video")


def _in_time(answers: Sequence[Moments]) -> list[tuple[float, float, str]]:
    return sorted((*found.best, found.sentence) for found in answers if found.best is not None)


def _clock(seconds: float) -> str:
    """``HH:MM:SS,mmm`` of subtitles."""
    whole = round(1000 * seconds)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d},{whole % 1000:03d}"


def _time_code(frame: int, rate: int) -> str:
    """``HH:MM:SS:FF`` of an edit decision list."""
    seconds = frame // rate
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame % rate:02d}"


def _ascii(text: str) -> str:
    """One line that every editing program reads."""
    return " ".join(text.encode("ascii", "replace").decode().split())
