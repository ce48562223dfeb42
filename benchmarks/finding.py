"""How often ``vmlkit find`` is right on films that no run has seen, and what long videos cost.

    python -m benchmarks.finding --run runs/00_tour --json benchmarks/results/finding_cpu.json

Films are rendered as files of video (seeds 0, 1, 2, ... without choice), and every sentence of every film is asked.  A
film counts as answered where the first answers to its first three sentences have an IoU above .5 each.  Then the run
answers about rows of features of 1, 10 and 60 minutes, each in a process of its own: processor seconds, and the largest
resident memory.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _frame
from vmlkit.finding.finder import Finder
from vmlkit.finding.toy_video import write_toy_video
from vmlkit.spans import hull_iou
from vmlkit.video.decode import VideoInfo
from vmlkit.video.opening import EncodedVideo

SOURCES = ("trained", "similarity")
ASKED, RIGHT = 3, 0.5
MINUTES = (1, 10, 60)


def overlaps(finder: Finder, seed: int, folder: Path, codec: Any) -> dict[str, list[float]]:
    """IoU of the first answer to each sentence of a film, by who gives it."""
    path = folder / "film.mp4"
    video = write_toy_video(path, seed, codec=codec)
    finder.encode(path)
    found: dict[str, list[float]] = {name: [] for name in SOURCES}
    answers = finder.ask_all([sentence.text for sentence in video.sentences])
    for sentence, answer in zip(video.sentences, answers, strict=True):
        for name in SOURCES:
            rows = getattr(answer, name)
            found[name].append(float(hull_iou(rows[0, :2], np.array(sentence.span_s))) if len(rows) else 0.0)
    return found


def rates(run: Path, films: int, codec: Any) -> dict[str, dict[str, float]]:
    """Shares of sentences and of films that are answered rightly."""
    finder = Finder(run, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        every = [overlaps(finder, seed, Path(folder), codec) for seed in range(films)]
    found = {}
    for name in SOURCES:
        ious = np.array([iou for film in every for iou in film[name]])
        whole = [all(iou > RIGHT for iou in film[name][:ASKED]) for film in every]
        found[name] = {
            "sentences": len(ious),
            "IoU above 0.5": float((ious > RIGHT).mean()),
            "mIoU": float(ious.mean()),
            "films": films,
            "films with three of three": float(np.mean(whole)),
        }
    return found


def long_video(run: Path, minutes: int) -> dict[str, float]:
    """Seconds of the processor for three sentences about rows of so many minutes, and the peak of this process."""
    finder = Finder(run, device="cpu")
    rows = np.random.default_rng(0).normal(size=(120 * minutes, finder.encoder.dimension)).astype(np.float32)
    edges = np.arange(len(rows) + 1) / 2
    facts: dict[str, Any] = {"width": 32, "height": 32, "frames": None, "rate": 10.0, "rotation": 0, "variable": False}
    info = VideoInfo(duration_s=float(edges[-1]), stated_s=None, **facts)
    finder.show("rows", EncodedVideo(rows=rows, times=np.column_stack((edges[:-1], edges[1:])), info=info))
    start = time.process_time()
    finder.ask_all(["the red circle slides to the left", "a star spins", "the blue ring chases a square"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"minutes": minutes, "cpu_s": time.process_time() - start, "peak_mib": peak}


def main() -> None:
    """Measure, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument(
        "--run", type=Path, default=Path("runs/00_tour"), help="the run that answers (default: the tour's)"
    )
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--codec", choices=("vp9", "h264"), default="vp9", help="of the rendered films")
    parser.add_argument("--minutes", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.run.is_dir():
        print(f"left out: there is no run {options.run}; make tour trains one")
        return
    if options.minutes:
        print(json.dumps(long_video(options.run, options.minutes)))
        return
    found = rates(options.run, options.films, options.codec)
    for name, numbers in found.items():
        print(f"{name:11} {numbers}")
    lengths = []
    for minutes in MINUTES:
        lengths.append(_frame.of_a_process("finding", "--run", str(options.run), "--minutes", str(minutes)))
        print(lengths[-1])
    facts = {"run": options.run.name, "codec": options.codec}
    _frame.keep(options.json, "finding", **facts, answers=found, **{"long videos": lengths})


if __name__ == "__main__":
    main()
