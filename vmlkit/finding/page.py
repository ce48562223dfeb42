"""The answers as one page: the video with a bar that moves, moments to click, and the curve of each sentence.

The page loads nothing.  A video of up to 24 MB is inside it; a larger one is played from where it lies beside the page,
which the page says if it is gone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from vmlkit.files import read_bytes
from vmlkit.finding.moments import Moments
from vmlkit.finding.pictures import draw_answers, film_strip
from vmlkit.video.decode import VideoInfo
from vmlkit.viz import live
from vmlkit.viz.moment_playground import strip_address
from vmlkit.viz.style import ROLES, png_bytes

#: bytes of the largest video that is put inside a page
EMBEDDED = 24_000_000
#: most values of a curve in a page
POINTS = 600
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".ogv": "video/ogg",
}


def write_page(path: str | Path, video: str | Path, info: VideoInfo, answers: Sequence[Moments]) -> Path:
    """Write the page and return its path.

    Raises:
        MissingDependency: without matplotlib, which draws its pictures.
    """
    video, path = Path(video), Path(path)
    inside = video.stat().st_size <= EMBEDDED
    state = {
        "name": video.name,
        "duration": info.duration_s,
        "time": 0.0,
        "type": _TYPES.get(video.suffix.lower(), "video/mp4"),
        "source": "" if inside else quote(Path(os.path.relpath(video, path.parent)).as_posix()),
        "strip": strip_address(film_strip(video, info)),
        "answers": [_state(found) for found in answers],
        "roles": {n: {"light": r.color, "text": r.text, "dark": r.dark} for n, r in ROLES.items()},
    }
    preview = png_bytes(draw_answers(video, info, answers))
    alt = f"Moments in {video.name}: " + "; ".join(map(_in_words, answers))
    data = read_bytes(video) if inside else b""
    fragment = live.html_fragment(live.module("found"), state, preview=preview, alt=alt, data=data)
    return live.write_page(path, f"Moments in {video.name}", fragment)


def _state(found: Moments) -> dict[str, Any]:
    curve: list[float] = []
    times: list[float] = []
    if found.curve is not None:
        keep = np.unique(np.linspace(0, len(found.curve) - 1, min(len(found.curve), POINTS)).astype(int))
        curve, times = found.curve[keep].round(4).tolist(), found.times.mean(axis=1)[keep].round(3).tolist()
    return {
        "sentence": found.sentence,
        "unknown": list(found.unknown),
        "answer": found.best,
        "found": [[source, rows.round(4).tolist()] for source, rows in found.by_source().items()],
        "curve": curve,
        "times": times,
    }


def _in_words(found: Moments) -> str:
    best = found.best
    return f"“{found.sentence}” " + ("not found" if best is None else f"{best[0]:.1f} to {best[1]:.1f} s")
