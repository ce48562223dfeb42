"""Features come from pixels alone and tell what an event looks like."""

import dataclasses
import inspect

import numpy as np
import pytest

from vmlkit.data.features import resample_clips
from vmlkit.data.toyworld import ToyConfig, frame_features, make_video, render
from vmlkit.data.toyworld.features import HUES, LIMIT, PER_HUE, RAW_DIM, Scaler, resample
from vmlkit.data.toyworld.render import DISTANCES
from vmlkit.data.toyworld.world import COLORS
from vmlkit.errors import DataError

CONFIG = ToyConfig()
SIZE, PRESENCE, X, Y, OUTLINE, SPREAD, CODE3, CODE4, CODE5 = range(9)
VX, VY, SPEED_X, SPEED_Y, GROWTH, CHANGE_OF_SIZE, CHANGE, BLINK, TURN = range(9, 18)


def clip(
    places: list[tuple[float, float]], radius: float = 0.12, shape: str = "circle", color: str = "green", px: int = 32
):
    """One shape on grey, at one place per frame."""
    middle = ((np.arange(px) + 0.5) / px).astype(np.float32)
    frames = np.full((len(places), px, px, 3), 0.45)
    for frame, (x, y) in zip(frames, places, strict=True):
        dx, dy = np.broadcast_arrays(middle[None, :] - np.float32(x), middle[:, None] - np.float32(y))
        alpha = np.clip(0.5 - DISTANCES[shape](dx, dy, np.float32(radius)) * px, 0, 1)[..., None]
        frame += alpha * (np.array(COLORS[color]) - frame)
    return (frames * 255 + 0.5).astype(np.uint8)


def hue(frames: np.ndarray, color: str = "green") -> np.ndarray:
    """(F, 18): the columns of one colour."""
    columns = frame_features(frames)[:, : len(HUES) * PER_HUE].reshape(len(frames), len(HUES), PER_HUE)
    return columns[:, list(COLORS).index(color)]


def test_the_function_takes_an_array_and_nothing_else() -> None:
    assert list(inspect.signature(frame_features).parameters) == ["frames"]


def test_scripts_with_the_same_pixels_have_the_same_features() -> None:
    video = make_video(CONFIG, "test", 3)
    other_words = make_video(CONFIG, "test", 4).sentences
    relabelled = dataclasses.replace(video, sentences=other_words, split="train", video_id="toy-train-00000")
    pixels = [render(v, v.frame_times(), 32) for v in (video, relabelled)]
    assert np.array_equal(*pixels)
    assert np.array_equal(frame_features(pixels[0]), frame_features(pixels[1]))


def test_shape_type_and_range() -> None:
    video = make_video(CONFIG, "test", 3)
    rows = frame_features(render(video, video.frame_times(), 32))
    assert rows.shape == (len(video.frame_times()), RAW_DIM)
    assert RAW_DIM == 156
    assert rows.dtype == np.float32
    assert np.abs(rows).max() <= LIMIT
    assert frame_features(render(video, video.frame_times()[:1], 32)).shape == (1, 156)


@pytest.mark.parametrize("color", COLORS)
def test_a_colour_shows_in_its_own_columns_only(color: str) -> None:
    rows = frame_features(clip([(0.4, 0.6)] * 3, color=color))[:, :108].reshape(3, 6, 18)
    own = list(COLORS).index(color)
    assert (rows[:, own, PRESENCE] > 0.7).all()
    others = np.delete(rows[..., PRESENCE], own, axis=1)
    assert others.max() < 0.4 * rows[:, own, PRESENCE].min()
    assert not frame_features(np.full((3, 32, 32, 3), 120, dtype=np.uint8))[:, :108].any()


def test_size_place_and_velocity_mean_what_they_say() -> None:
    rows = hue(clip([(0.3 + 0.04 * k, 0.6) for k in range(6)], radius=0.15))
    assert rows[:, SIZE] == pytest.approx(4 * np.sqrt(np.pi) * 0.15, rel=0.1)
    assert rows[:, X] == pytest.approx([2 * (0.04 * k - 0.2) for k in range(6)], abs=0.03)
    assert rows[:, Y] == pytest.approx(0.2, abs=0.03)
    presence = rows[2, PRESENCE]
    assert rows[1:-1, VX] == pytest.approx(20 * 0.04 * presence**2, rel=0.1)
    assert rows[1:-1, SPEED_X] == pytest.approx(rows[1:-1, VX])
    assert np.abs(rows[:, [VY, SPEED_Y, GROWTH, BLINK]]).max() < 0.05
    back = hue(clip([(0.3 - 0.04 * k, 0.6) for k in range(4)]))
    assert back[1:-1, VX].max() < 0


def test_shape_codes_tell_triangle_square_and_star_apart() -> None:
    codes = {s: hue(clip([(0.5, 0.5)], radius=0.18, shape=s))[0, [CODE3, CODE4, CODE5]] for s in DISTANCES}
    assert np.argmax(codes["triangle"]) == 0
    assert np.argmax(codes["square"]) == np.argmax(codes["cross"]) == 1
    assert np.argmax(codes["star"]) == 2
    assert max(codes["circle"].max(), codes["ring"].max()) < 0.15
    outline = {s: hue(clip([(0.5, 0.5)], radius=0.18, shape=s))[0, OUTLINE] for s in ("square", "circle", "ring")}
    assert outline["ring"] > 1.5 * outline["circle"]
    assert outline["square"] == pytest.approx(0.85, abs=0.1)
    assert outline["circle"] == pytest.approx(outline["square"], rel=0.25)


def test_the_codes_do_not_change_with_place_and_frame_size() -> None:
    here, there = hue(clip([(0.3, 0.35), (0.7, 0.6)], radius=0.18, shape="square"))[:, [CODE3, CODE4, CODE5, OUTLINE]]
    assert here == pytest.approx(there, abs=0.12)
    coarse = hue(clip([(0.4, 0.5), (0.45, 0.5)], radius=0.18))
    fine = hue(clip([(0.4, 0.5), (0.45, 0.5)], radius=0.18, px=64))
    assert coarse[:, [SIZE, PRESENCE, X, Y, SPREAD]] == pytest.approx(fine[:, [SIZE, PRESENCE, X, Y, SPREAD]], abs=0.08)


def test_moments_equal_a_naive_sum() -> None:
    frames = clip([(0.37, 0.55)], radius=0.17, shape="triangle")
    rgb = frames[0] / 255
    chroma = rgb.max(-1) - rgb.min(-1)
    green = (rgb.argmax(-1) == 1) & (chroma > 0.25)
    area = total_x = total_y = 0.0
    for i, j in zip(*np.nonzero(green), strict=True):
        angle = 60 * ((rgb[i, j, 2] - rgb[i, j, 0]) / chroma[i, j] + 2)
        weight = max(0.0, 1 - abs(angle - HUES[2]) / 27) * min(1.0, (chroma[i, j] - 0.25) / 0.35)
        area += weight
        total_x += weight * ((j + 0.5) / 32 - 0.5)
        total_y += weight * ((i + 0.5) / 32 - 0.5)
    row = hue(frames)[0]
    assert row[PRESENCE] == pytest.approx(area / (area + 8), rel=1e-5)
    assert row[SIZE] == pytest.approx(4 * np.sqrt(area) / 32, rel=1e-5)
    assert row[[X, Y]] == pytest.approx([2 * total_x / (area + 1.5), 2 * total_y / (area + 1.5)], rel=1e-4, abs=1e-6)


def test_blinking_growing_and_turning_show_in_their_columns() -> None:
    there, gone = clip([(0.5, 0.5)]), clip([(0.5, 0.5)], color="red", radius=0.001)
    blinking = hue(np.concatenate((there, there, gone, gone, there, there)))
    assert blinking[1:-1, BLINK].min() > 0.5
    growing = hue(np.concatenate([clip([(0.5, 0.5)], radius=0.08 + 0.02 * k) for k in range(5)]))
    assert growing[1:-1, GROWTH].min() > 0.5
    assert growing[:, CHANGE_OF_SIZE] == pytest.approx(np.abs(growing[:, GROWTH]))
    star = clip([(0.5, 0.5)], radius=0.2, shape="star")
    turning = hue(np.concatenate((star, star[:, ::-1], star, star[:, ::-1])))
    assert turning[:, TURN].min() > 1
    assert hue(np.concatenate((star, star, star)))[:, [TURN, CHANGE]].max() < 1e-6


@pytest.mark.parametrize(("rows", "clips"), [(79, 64), (40, 64), (64, 64), (7, 4), (1, 3), (200, 64)])
def test_resampling_is_that_of_the_other_data_sets(rows: int, clips: int) -> None:
    values = np.random.default_rng(rows).standard_normal((rows, 5)).astype(np.float32)
    assert resample(values, clips) == pytest.approx(resample_clips(values, clips), abs=2e-6)


def test_the_projection_is_fixed_and_uses_training_statistics() -> None:
    raw = np.random.default_rng(0).normal(3, 2, (6, 5, RAW_DIM)).astype(np.float32)
    scaler = Scaler.fit(raw)
    assert scaler.mean == pytest.approx(raw.mean(axis=(0, 1)), abs=1e-5)
    out = scaler.project(raw, 128)
    assert out.shape == (6, 5, 128)
    assert out.dtype == np.float16
    assert np.array_equal(out[:2], scaler.project(raw[:2], 128))
    assert out.astype(float).std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 32, 32, 3)),
        np.zeros((2, 32, 31, 3), np.uint8),
        np.zeros((2, 30, 30, 3), np.uint8),
        np.zeros((0, 32, 32, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
    ],
    ids=["float", "not square", "side 30", "none", "one picture"],
)
def test_other_arrays_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(DataError, match="frame"):
        frame_features(frames)
