"""What encoding a long file of video costs: largest resident memory and processor seconds, by minutes of video.

    python -m benchmarks.encoding --json benchmarks/results/encoding_cpu.json

A rendered toy video is repeated, without encoding it again, to 1, 10 and 60 minutes.  Each length is encoded by the toy
encoder in a process of its own; memory and seconds are those of that process and of ffmpeg together.
"""

import argparse
import json
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _frame
from vmlkit.data.toyworld import ToyConfig, make_video, render
from vmlkit.video.ffmpeg import ffmpeg_program
from vmlkit.video.opening import TOY, encode_video, open_encoder
from vmlkit.video.writing import write_video

MINUTES = (1, 10, 60)
RATE, SIDE = 10, 256


def repeated(folder: Path, minutes: int) -> Path:
    """A toy video of so many minutes."""
    video = make_video(ToyConfig(), "test", 0)
    times = (np.arange(int(video.duration_s * RATE)) + 0.5) / RATE
    short, long = folder / "short.mp4", folder / "long.mp4"
    write_video(short, (render(video, time[None], SIDE)[0] for time in times), RATE)
    command = [ffmpeg_program(), "-nostdin", "-loglevel", "error", "-y", "-stream_loop", "1000", "-i", str(short)]
    subprocess.run([*command, "-c", "copy", "-t", str(60 * minutes), str(long)], check=True)
    return long


def measured(path: Path) -> dict[str, Any]:
    """Encode a file in this process: rows, memory in MiB and seconds of the processor."""
    rows = encode_video(open_encoder(TOY), path).rows
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "rows": len(rows),
        "peak_mib": sum(one.ru_maxrss for one in used) / 1024,
        "cpu_s": sum(one.ru_utime + one.ru_stime for one in used),
    }


def main() -> None:
    """Measure, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        print(json.dumps(measured(options.file)))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            numbers = _frame.of_a_process("encoding", "--file", str(repeated(Path(folder), minutes)))
            found.append({"minutes": minutes, **numbers})
            print(found[-1])
    facts = {"encoder": TOY, "side": SIDE, "frames a second": RATE}
    _frame.keep(options.json, "encoding", **facts, lengths=found)


if __name__ == "__main__":
    main()
