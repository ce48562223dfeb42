"""The toy world's encoder gives what its data sets hold, and refuses other pictures."""

from pathlib import Path

import numpy as np
import pytest

from tests.video.conftest import WORLD, run_ffmpeg, toy_frames
from vmlkit.data.toyworld import ToyVideo, frame_features, make_video, render, toy_splits
from vmlkit.errors import ConfigError, DataError
from vmlkit.video.opening import encode_video, open_encoder
from vmlkit.video.toy_encoder import ToyEncoder, in_chunks, looks_like_toy
from vmlkit.video.writing import write_video


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def encoder(cache: Path) -> ToyEncoder:
    return ToyEncoder(WORLD, cache_dir=cache, progress=False)


def test_frames_of_the_script_give_the_rows_of_the_data_set(encoder: ToyEncoder, cache: Path) -> None:
    held = toy_splits(WORLD, cache, progress=False)["test"].frames.numpy()
    for index in range(3):
        video = make_video(WORLD, "test", index)
        times = video.frame_times()
        rows, spans = encoder.encode(iter(zip(times, render(video, times, 32), strict=True)))
        assert np.array_equal(encoder.clips(rows, 16), held[index].astype(np.float32))
        assert np.array_equal(spans, np.stack((times - 0.25, times + 0.25), axis=1))


def test_chunks_change_no_bit() -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (2 * 256 + 1, 32, 32, 3), dtype=np.uint8)
    for count in (1, 255, 256, 257, 513):
        assert np.array_equal(in_chunks(frames[:count]), frame_features(frames[:count]))


def test_a_file_gives_them_up_to_compression(encoder: ToyEncoder, toy_file: Path, toy_video: ToyVideo) -> None:
    found = encode_video(encoder, toy_file)
    drawn = frame_features(render(toy_video, toy_video.frame_times(), 32))
    assert found.rows.shape == drawn.shape
    assert found.rows.dtype == np.float32
    assert np.corrcoef(found.rows.ravel(), drawn.ravel())[0, 1] > 0.995
    here, there = encoder.clips(found.rows, 16), encoder.clips(drawn, 16)
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.97


def test_the_scaler_is_kept_with_the_world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = ToyEncoder(WORLD, cache_dir=cache, progress=False).scaler
    monkeypatch.setattr("vmlkit.data.toyworld.dataset.build_frames", lambda *a, **k: pytest.fail("built again"))
    read = ToyEncoder(WORLD, cache_dir=cache).scaler
    assert np.array_equal(built.mean, read.mean)
    assert np.array_equal(built.deviation, read.deviation)


def test_most_toy_pictures_are_recognised() -> None:
    shares = []
    for index in range(3):
        video = make_video(WORLD, "train", index)
        shares.append(looks_like_toy(render(video, video.frame_times(), 32)).mean())
    assert min(shares) > 0.6


@pytest.mark.parametrize(
    "source", ["testsrc2=d=4", "smptebars=d=4", "mandelbrot=end_pts=100", "color=gray:d=4", "gradients=d=4",
               "color=black:d=4", "color=gray:d=4,noise=alls=40:allf=t"],
)  # fmt: skip
def test_other_pictures_are_refused(source: str, encoder: ToyEncoder, tmp_path: Path) -> None:
    path = tmp_path / "other.mp4"
    run_ffmpeg("-f", "lavfi", "-i", source, "-t", "4", "-pix_fmt", "yuv420p", path)
    with pytest.raises(DataError, match=r"other.mp4: does not show the toy world .*give an encoder of real pictures"):
        encode_video(encoder, path)


def test_a_video_shorter_than_a_clip_is_refused(encoder: ToyEncoder, toy_video: ToyVideo, tmp_path: Path) -> None:
    frames = list(render(toy_video, np.array([0.0, 0.1]), 64))
    path = write_video(tmp_path / "short.mp4", frames, 10)
    with pytest.raises(DataError, match=r"short.mp4: lasts 0.2 s, shorter than one clip of 0.5 s; give a longer"):
        encode_video(encoder, path)


def test_without_training_a_sentence_fits_its_moment_better_than_the_rest(encoder: ToyEncoder) -> None:
    """The colour is on stage during its event; averaged over sentences, rows inside score above rows outside."""
    margins = []
    for index in range(3):
        video = make_video(WORLD, "test", index)
        rows = frame_features(render(video, video.frame_times(), 32))
        scores = encoder.similarity(rows, [sentence.text for sentence in video.sentences])
        for sentence, score in zip(video.sentences, scores, strict=True):
            start, end = sentence.span_s
            inside = (video.frame_times() >= start) & (video.frame_times() < end)
            margins.append((score[inside].mean() - score[~inside].mean()) / score.std())
    assert np.mean(margins) > 0.5


def test_a_sentence_without_colour_or_action_is_named(encoder: ToyEncoder) -> None:
    rows = np.zeros((4, encoder.dimension), dtype=np.float32)
    with pytest.raises(DataError, match="the sentence 'somebody opens a door' has no colour, shape or action"):
        encoder.similarity(rows, ["somebody opens a door"])


def test_the_toy_encoder_is_opened_by_name_and_has_one_rate() -> None:
    assert open_encoder("toy").name == "toy"
    with pytest.raises(ConfigError, match="sees 2 pictures a second, not 5: leave the rate out"):
        open_encoder("toy", rate=5)
    with pytest.raises(ConfigError, match="has a norm of its own"):
        open_encoder("toy", norm="l2")


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_video_is_written_whole_or_not_at_all(ending: str, toy_video: ToyVideo, tmp_path: Path) -> None:
    def broken() -> object:
        yield from list(toy_frames(toy_video, 1, 64))[:3]
        raise RuntimeError("the maker failed")

    codec = "vp9" if ending == ".webm" else "h264"
    with pytest.raises(RuntimeError, match="the maker failed"):
        write_video(tmp_path / f"a{ending}", broken(), 10, codec=codec)  # type: ignore[arg-type]
    frames = [np.zeros((16, 16, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(DataError, match=r"a frame is uint8 \(8, 8, 3\) where the first is"):
        write_video(tmp_path / f"b{ending}", frames, 10, codec=codec)
    with pytest.raises(DataError, match="there is no frame to write"):
        write_video(tmp_path / f"c{ending}", [], 10, codec=codec)
    with pytest.raises(DataError, match="give frames of even width and height"):
        write_video(tmp_path / f"d{ending}", [np.zeros((15, 16, 3), np.uint8)], 10, codec=codec)
    assert list(tmp_path.iterdir()) == []


def test_the_same_frames_give_the_same_file(toy_video: ToyVideo, tmp_path: Path) -> None:
    one, two = (write_video(tmp_path / f"{n}.mp4", toy_frames(toy_video, 2, 64), 2) for n in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_a_name_that_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in '.gif'; end the name in .mp4 or .webm"):
        write_video(tmp_path / "a.gif", [np.zeros((16, 16, 3), np.uint8)], 10)
