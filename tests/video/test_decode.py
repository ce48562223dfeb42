"""Files of video are read frame by frame at the times asked for, and nothing else is taken for one."""

from pathlib import Path

import numpy as np
import pytest

from tests.video.conftest import level, levels, run_ffmpeg
from vmlkit.errors import ConfigError, DataError
from vmlkit.video.decode import Decoder
from vmlkit.video.opening import decoder, torchcodec_works
from vmlkit.video.writing import write_video


def seen(found: Decoder, path: Path, times: float | list[float]) -> list[tuple[float, int]]:
    return [(round(time, 6), level(picture)) for time, picture in found.frames(path, times=times)]


def test_facts_of_a_steady_video(any_decoder: Decoder, steady_file: Path) -> None:
    info = any_decoder.probe(steady_file)
    assert (info.width, info.height, info.frames, info.rotation, info.variable) == (96, 64, 16, 0, False)
    assert info.duration_s == pytest.approx(4)
    assert info.rate == pytest.approx(4)
    assert info.stated_s == pytest.approx(4)


def test_facts_of_a_variable_video(any_decoder: Decoder, variable_file: Path) -> None:
    info = any_decoder.probe(variable_file)
    assert info.frames == 16
    assert info.variable
    assert info.duration_s >= 15 * 15 / 50


def test_a_rate_takes_the_middles_of_whole_intervals(any_decoder: Decoder, steady_file: Path) -> None:
    assert seen(any_decoder, steady_file, 1) == [(0.5, 2), (1.5, 6), (2.5, 10), (3.5, 14)]
    assert seen(any_decoder, steady_file, 0.3) == [(1.666667, 6)]


def test_under_a_variable_rate_the_frame_is_the_one_that_is_shown(any_decoder: Decoder, variable_file: Path) -> None:
    for rate in (2, 7.5):
        found = seen(any_decoder, variable_file, rate)
        assert len(found) >= 4 * rate
        assert found == [(time, int(np.sqrt(50 * time + 1e-9))) for time, _ in found]


def test_times_in_any_order_and_again(any_decoder: Decoder, variable_file: Path) -> None:
    times = [3.99, 0.0, 0.019, 0.021, 4.0, 1.0, 1.0]
    assert seen(any_decoder, variable_file, times) == [(t, int(np.sqrt(50 * t + 1e-9))) for t in times]


def test_times_agree_with_a_rate(any_decoder: Decoder, toy_file: Path) -> None:
    whole = list(any_decoder.frames(toy_file, times=0.25))
    one_by_one = list(any_decoder.frames(toy_file, times=[time for time, _ in whole]))
    assert len(whole) > 4
    for (_, here), (_, there) in zip(whole, one_by_one, strict=True):
        assert np.array_equal(here, there)


def test_a_time_outside_is_refused(any_decoder: Decoder, steady_file: Path) -> None:
    with pytest.raises(DataError, match=r"steady.mp4: has nothing at 4\.5 s; use seconds from 0 to 4"):
        list(any_decoder.frames(steady_file, times=[1.0, 4.5]))


def test_a_rate_of_zero_is_refused(any_decoder: Decoder, steady_file: Path) -> None:
    with pytest.raises(ConfigError, match="above 0 frames a second"):
        list(any_decoder.frames(steady_file, times=0.0))


def test_size_is_that_of_the_shorter_side(any_decoder: Decoder, steady_file: Path) -> None:
    (_, picture), *_ = any_decoder.frames(steady_file, times=[2.0], size=32)
    assert picture.shape == (32, 48, 3)
    assert level(picture) == 8


def test_rotation_is_applied(any_decoder: Decoder, steady_file: Path, tmp_path: Path) -> None:
    def halves() -> list[np.ndarray]:
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:, :48] = 200
        return [picture] * 4

    write_video(tmp_path / "plain.mp4", halves(), 4)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", tmp_path / "plain.mp4", "-c", "copy", turned)
    info = any_decoder.probe(turned)
    assert (info.width, info.height, info.rotation) == (64, 96, 90)
    (_, picture), *_ = any_decoder.frames(turned, times=[0.5])
    assert picture.shape == (96, 64, 3)
    assert picture[60:].mean() > 180 > 20 > picture[:36].mean()  # counterclockwise: the left half is below


def test_one_frame(any_decoder: Decoder, tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", levels(1), 25)
    assert any_decoder.probe(path).frames == 1
    assert seen(any_decoder, path, [0.0]) == [(0.0, 0)]
    assert seen(any_decoder, path, 2) == []


def test_a_broken_tail_counts_as_far_as_it_is_decoded(any_decoder: Decoder, tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(200))
    whole = write_video(tmp_path / "whole.mp4", noise, 10)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
    capsys.readouterr()
    count = len(list(any_decoder.frames(cut, times=2)))
    said = capsys.readouterr().err
    assert 20 <= count <= 28
    assert said.count("\n") == 1
    assert "cut.mp4: pictures end at " in said
    assert "of the 20.0 s that the file states; what was decoded counts." in said


def test_a_whole_file_says_nothing(any_decoder: Decoder, toy_file: Path, capsys) -> None:
    list(any_decoder.frames(toy_file, times=2))
    assert capsys.readouterr().err == ""


def test_sound_beside_the_pictures_changes_nothing(any_decoder: Decoder, steady_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    sound = ("-f", "lavfi", "-i", "sine=duration=4")
    run_ffmpeg("-i", steady_file, *sound, "-c:v", "copy", "-map", "1:a", "-map", "0:v", path)
    assert seen(any_decoder, path, 1) == [(0.5, 2), (1.5, 6), (2.5, 10), (3.5, 14)]


@pytest.mark.parametrize("ending", [".ts", ".mkv", ".webm", ".gif", ".avi"])
def test_other_containers(ending: str, steady_file: Path, tmp_path: Path) -> None:
    path = tmp_path / f"other{ending}"
    how = {".webm": ("-c:v", "libvpx-vp9", "-lossless", "1"), ".gif": (), ".avi": ("-c:v", "mpeg4", "-q", "1")}
    late = ("-itsoffset", "5") if ending == ".mkv" else ()
    run_ffmpeg(*late, "-i", steady_file, *how.get(ending, ("-c", "copy")), path)
    found = decoder()
    assert seen(found, path, 1) == [(0.5, 2), (1.5, 6), (2.5, 10), (3.5, 14)]
    assert seen(found, path, [3.5, 0.5]) == [(3.5, 14), (0.5, 2)]
    stated = found.probe(path).stated_s
    assert stated is None or stated == pytest.approx(4, abs=0.1)


def test_time_begins_with_sound_that_is_first(any_decoder: Decoder, steady_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    sound = ("-f", "lavfi", "-i", "sine=duration=6")
    run_ffmpeg(*sound, "-itsoffset", "1.5", "-i", steady_file, "-map", "0:a", "-map", "1:v", "-c:v", "copy", path)
    assert any_decoder.probe(path).duration_s == pytest.approx(5.5, abs=0.05)
    assert seen(any_decoder, path, 1) == [(0.5, 0), (1.5, 0), (2.5, 4), (3.5, 8), (4.5, 12)]
    assert seen(any_decoder, path, [4.5, 0.5]) == [(4.5, 12), (0.5, 0)]


def no_video(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "text.mp4").write_text("not a video, only its name\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile text.mp4\n")
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\ntext.mp4\n")
    (folder / "folder.mp4").mkdir()
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1", folder / "sound.m4a")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", "-frames:v", "1", folder / "picture.png")
    readable = "is no video that|holds sound and no pictures|is empty|holds no picture"
    made = {path.name: (path, readable) for path in folder.iterdir()}
    made["folder.mp4"] = (folder / "folder.mp4", "is a folder; give one file")
    made["absent.mp4"] = (folder / "absent.mp4", "there is no such file")
    return made


@pytest.mark.parametrize(
    "name", ["text.mp4", "empty.mp4", "list.ffconcat", "list.m3u8", "sound.m4a", "picture.png", "folder.mp4",
             "absent.mp4"],
)  # fmt: skip
def test_what_is_no_video_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    path, message = no_video(tmp_path)[name]
    found = decoder("ffmpeg")
    with pytest.raises(DataError, match=message):
        found.probe(path)
    with pytest.raises(DataError, match=message):
        list(found.frames(path, times=1))


def test_a_cut_off_file_whose_table_comes_last_is_named(steady_file: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    run_ffmpeg("-i", steady_file, "-c", "copy", late)
    late.write_bytes(late.read_bytes()[:-200])
    with pytest.raises(DataError, match="is cut off or damaged: the table of its frames"):
        decoder("ffmpeg").probe(late)


@pytest.mark.parametrize("name", ["-i.mp4", "concat:a|b.mp4", "http:x.mp4", "a b'c\"$(x).mp4"])
def test_a_name_is_never_interpreted(
    any_decoder: Decoder, name: str, steady_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(steady_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert seen(any_decoder, Path(name), [1.0]) == [(1.0, 4)]


def test_an_address_is_not_opened() -> None:
    with pytest.raises(DataError, match="is an address; download the video"):
        decoder("ffmpeg").probe("http://127.0.0.1:9/a.mp4")


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be 'auto', 'torchcodec' or 'ffmpeg', not 'opencv'"):
        decoder("opencv")  # type: ignore[arg-type]


def test_stopping_early_leaves_no_process(toy_file: Path) -> None:
    frames = decoder("ffmpeg").frames(toy_file, times=2)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(frames)


def test_both_decoders_show_the_same_toy_video(toy_file: Path) -> None:
    if not torchcodec_works():
        pytest.skip("needs torchcodec, built for this torch, and the shared libraries of ffmpeg")
    one, two = (decoder(name) for name in ("ffmpeg", "torchcodec"))  # type: ignore[arg-type]
    here, there = one.probe(toy_file), two.probe(toy_file)
    assert (here.width, here.height, here.frames, here.variable) == (there.width, there.height, there.frames, False)
    assert here.duration_s == pytest.approx(there.duration_s)
    pairs = list(zip(one.frames(toy_file, times=2), two.frames(toy_file, times=2), strict=True))
    assert len(pairs) > 40
    for (time, first), (other, second) in pairs:
        assert time == other
        assert np.abs(first.astype(int) - second).max() <= 3
