"""What encoding a long file of video costs: largest resident memory and processor seconds, by minutes of video.

    python -m benchmarks.encoding --json benchmarks/results/encoding_cpu.json

A rendered toy video is repeated, without encoding it again, to 1, 10 and 60 minutes.  Each length is encoded by the toy
encoder in a process of its own; memory and seconds are those of that process and of ffmpeg together.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit import provenance
from vmlkit.data.toyworld import ToyConfig, make_video, render
from vmlkit.files import write_json
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


def main() -> int:
    """Measure, print, and write the JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        print(json.dumps(measured(options.file)))
        return 0
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            command = [sys.executable, "-m", "benchmarks.encoding", "--file", str(repeated(Path(folder), minutes))]
            numbers = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            found.append({"minutes": minutes, **numbers})
            print(found[-1])
    if options.json:
        report = {"benchmark": "encoding", "encoder": TOY, "side": SIDE, "frames a second": RATE, "lengths": found}
        write_json(options.json, report | provenance.made_with(None, 1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
