"""A folder of videos becomes a folder of features: in parallel, after an interruption, with the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.video.conftest import run_ffmpeg
from tests.video.encoders import save_pictures
from vmlkit import cli
from vmlkit.data.features import open_features
from vmlkit.errors import ConfigError, DataError
from vmlkit.video.extract import extract
from vmlkit.video.opening import encode_video, open_encoder
from vmlkit.video.passport import read_passport


@pytest.fixture
def videos(toy_file: Path, tmp_path: Path) -> Path:
    """Three toy videos, one of them in a folder of its own."""
    folder = tmp_path / "videos"
    (folder / "more").mkdir(parents=True)
    for name, seconds in {"a.mp4": 6, "b.mkv": 9, "more/c.d.mp4": 12}.items():
        run_ffmpeg("-i", toy_file, "-c", "copy", "-t", str(seconds), folder / name)
    (folder / "notes.txt").write_text("no video")
    return folder


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_every_video_has_the_rows_that_the_encoder_gives(videos: Path, tmp_path: Path) -> None:
    result = extract(videos, "toy", tmp_path / "store", jobs=1, progress=False)
    assert (result.made, result.kept, result.left_out) == (["a", "b", "c.d"], [], {})
    encoder = open_encoder()
    with open_features(tmp_path / "store") as store:
        for name, path in {"a": "a.mp4", "b": "b.mkv", "c.d": "more/c.d.mp4"}.items():
            assert np.array_equal(store.read(name), encode_video(encoder, videos / path).rows)
    assert read_passport(tmp_path / "store") == encoder.passport()


def test_processes_and_repetitions_change_no_byte(videos: Path, tmp_path: Path) -> None:
    model = save_pictures(tmp_path / "clip", "clip")
    settings = {"rate": 2, "device": "cpu"}
    extract(videos, model, tmp_path / "one", jobs=1, settings=settings, progress=False)
    extract(videos, model, tmp_path / "two", jobs=2, settings=settings, progress=False)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    (tmp_path / "two" / "b.npy").unlink()
    again = extract(videos, model, tmp_path / "two", jobs=1, settings=settings, progress=False)
    assert (again.made, again.kept) == (["b"], ["a", "c.d"])
    assert content(tmp_path / "one") == content(tmp_path / "two")
    nothing = extract(videos, model, tmp_path / "two", settings=settings, progress=False)
    assert (nothing.made, nothing.kept) == ([], ["a", "b", "c.d"])


def test_what_cannot_be_encoded_is_left_out_by_name(videos: Path, tmp_path: Path, capsys) -> None:
    (videos / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 100)
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=d=3", videos / "real.mp4")
    assert cli.main(["extract", str(videos), "--out", str(tmp_path / "store"), "--jobs", "2", "--quiet"]) == 1
    said = capsys.readouterr()
    assert "store: 3 videos encoded, 0 were there already, 2 left out; toy (" in said.out
    broken, real = said.err.splitlines()
    assert broken.startswith(f"left out: {videos / 'broken.mp4'}: is cut off or damaged")
    assert real.startswith(f"left out: {videos / 'real.mp4'}: does not show the toy world")
    assert sorted(content(tmp_path / "store")) == ["a.npy", "b.npy", "c.d.npy", "passport.json"]


def test_the_command_ends_with_0_where_every_video_has_features(videos: Path, tmp_path: Path, capsys) -> None:
    arguments = ["extract", str(videos), "--out", str(tmp_path / "store"), "--jobs", "1", "--quiet"]
    assert cli.main(arguments) == 0
    assert cli.main(arguments) == 0
    assert "0 videos encoded, 3 were there already, 0 left out" in capsys.readouterr().out


def test_a_store_of_other_features_is_refused(videos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    model = save_pictures(tmp_path / "clip", "clip")
    extract(videos, model, store, jobs=1, settings={"device": "cpu"}, progress=False)
    before = content(store)
    with pytest.raises(DataError, match=r"made otherwise: rate is 2.0 here and 0.5 there; clip_seconds is 0.5 here"):
        extract(videos, model, store, jobs=1, settings={"device": "cpu", "rate": 2}, progress=False)
    assert content(store) == before
    (store / "passport.json").unlink()
    with pytest.raises(DataError, match="holds features without a passport; name another folder"):
        extract(videos, model, store, jobs=1, settings={"device": "cpu"}, progress=False)
    assert "passport.json" not in content(store)


@pytest.mark.parametrize(
    ("change", "message"),
    [("twice", "has two videos named 'a' \\(a.mp4 and more/a.webm\\)"), ("none", "holds no video"),
     ("absent", "there is no such folder"), ("encoder", "there is no such folder; give the folder of a saved"),
     ("file", "is a file; name a folder")],
)  # fmt: skip
def test_what_cannot_begin_writes_nothing(change: str, message: str, videos: Path, tmp_path: Path) -> None:
    folder, encoder, store = videos, "toy", tmp_path / "store"
    if change == "twice":
        shutil.copy(videos / "a.mp4", videos / "more" / "a.webm")
    elif change == "none":
        folder = tmp_path / "empty"
        folder.mkdir()
    elif change == "absent":
        folder = tmp_path / "absent"
    elif change == "encoder":
        encoder = str(tmp_path / "no model")
    else:
        store.write_text("")
    with pytest.raises(DataError, match=message):
        extract(folder, encoder, store, progress=False)
    assert not store.is_dir()


def test_settings_that_there_are_not(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="jobs must be at least 1, not 0"):
        extract(videos, "toy", tmp_path / "store", jobs=0)
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        extract(videos, save_pictures(tmp_path / "clip", "clip"), tmp_path / "store", settings={"device": "abacus"})


def command(videos: Path, store: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "vmlkit", "extract", str(videos), "--out", str(store), "--quiet", *options]


def looped(toy_file: Path, minutes: float, path: Path) -> Path:
    """The toy video again and again: a long video without encoding one."""
    run_ffmpeg("-stream_loop", "1000", "-i", toy_file, "-c", "copy", "-t", f"{60 * minutes}", path)
    return path


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills a process by a signal of POSIX")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_extraction_goes_on_and_ends_with_the_same_bytes(jobs: int, toy_file: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in "abcd":
        looped(toy_file, 2 if name == "a" else 10, videos / f"{name}.mp4")
    store, whole = tmp_path / "store", tmp_path / "whole"
    with subprocess.Popen(command(videos, store, "--jobs", str(jobs)), stdout=subprocess.DEVNULL) as process:
        for _ in range(6000):
            if (store / "a.npy").is_file():
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    there = {path.name for path in store.glob("*.npy")}
    assert "a.npy" in there
    assert len(there) < 4
    (store / f".{process.pid}.tmp.d.npy").write_bytes(b"half-written")
    subprocess.run(command(videos, store, "--jobs", str(jobs)), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(command(videos, whole, "--jobs", "2"), check=True, stdout=subprocess.DEVNULL)
    assert content(store) == content(whole)
    assert len(content(store)) == 5


#: peaks are read from /proc, where they begin anew with a program; getrusage passes the parent's on to its children
PEAK = """
import sys, threading, time
from pathlib import Path
from vmlkit.video.opening import encode_video, open_encoder

def peak(process, name=""):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    if name not in lines[0]:
        return 0  # before it becomes another program, a new process is this one once more
    return max((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), default=0)

def watch():
    while True:
        for child in Path("/proc/self/task").glob("*/children"):
            for process in child.read_text().split():
                try:
                    seen[process] = max(seen.get(process, 0), peak(process, "ffmpeg"))
                except (FileNotFoundError, ProcessLookupError):
                    pass
        time.sleep(0.02)

seen = {}
threading.Thread(target=watch, daemon=True).start()
rows = encode_video(open_encoder(sys.argv[1], rate=2), sys.argv[2]).rows
print(len(rows), peak("self"), max(seen.values()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads peak memory where Linux shows it")
@pytest.mark.parametrize("kind", ["toy", "clip"])
def test_an_hour_needs_no_more_memory_than_ten_minutes(kind: str, toy_file: Path, tmp_path: Path) -> None:
    """Peak resident memory of both processes (Python's and ffmpeg's), the package and torch included."""
    encoder = "toy" if kind == "toy" else str(save_pictures(tmp_path / "clip", kind))
    peaks = {}
    for minutes in (10, 60):
        path = looped(toy_file, minutes, tmp_path / f"{minutes}.mp4")
        done = subprocess.run(
            [sys.executable, "-c", PEAK, encoder, str(path)], check=True, capture_output=True, text=True
        )
        rows, own, ffmpeg = map(int, done.stdout.split())
        assert abs(rows - 120 * minutes) <= 2
        peaks[minutes] = (own + ffmpeg) / 1024
    print(f"peak memory in MiB by minutes of video, encoder {kind}: {peaks}")
    assert max(peaks.values()) < 1000
    # rows and small pictures of 50 minutes more: below 5 KiB each
    assert peaks[60] - peaks[10] < 6000 * 5 / 1024 + 60
