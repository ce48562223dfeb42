"""Drawing: the same picture at any time, size and grouping, and what a viewer must see in it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from vmlkit.data.toyworld import Event, ToyConfig, ToyVideo, make_video, render
from vmlkit.data.toyworld.cards import STYLES, paint_card
from vmlkit.data.toyworld.render import DISTANCES
from vmlkit.data.toyworld.world import COLORS, Actor, Backdrop
from vmlkit.errors import DataError

CONFIG = ToyConfig()


@pytest.fixture(scope="module")
def video() -> ToyVideo:
    return make_video(CONFIG, "test", 9)


def staged(action: str, color: str = "red", shape: str = "square", **change: object) -> ToyVideo:
    """Ten seconds in which one actor does one thing between 2 s and 8 s, on grey."""
    base = make_video(CONFIG, "train", 0)
    pair = action in ("chase", "bump")
    event = Event(
        action=action,
        actor=Actor(color, shape),
        other=Actor("blue", "circle") if pair else None,
        start_s=2.0,
        end_s=8.0,
        on_s=1.0,
        off_s=9.0,
        radius=0.10,
        other_radius=0.10 if pair else 0.0,
        x=0.5,
        y=0.5,
        direction=1,
    )
    grey = Backdrop(first=(0.5, 0.5, 0.5), second=(0.5, 0.5, 0.5), cut_s=10.0)
    return dataclasses.replace(
        base,
        duration_s=10.0,
        events=(dataclasses.replace(event, **change),),
        cards=(),
        distractors=(),
        backdrop=grey,
    )


def measure(video: ToyVideo, times: list[float], color: str = "red") -> list[tuple[float, float, float]]:
    """(x, y, radius of a disc of the same area) of a colour at each time; the radius is 0 where it is not seen."""
    frames = render(video, np.array(times), 96) / 255
    out = []
    for frame in frames:
        near = np.abs(frame - np.array(COLORS[color])).max(-1) < 0.2
        y, x = np.nonzero(near) if near.any() else (np.zeros(1), np.zeros(1))
        out.append(((x.mean() + 0.5) / 96, (y.mean() + 0.5) / 96, float(np.sqrt(near.sum() / np.pi) / 96)))
    return out


def test_a_frame_is_the_same_alone_and_among_others(video: ToyVideo) -> None:
    times = video.frame_times()
    together = render(video, times, 32)
    assert together.shape == (len(times), 32, 32, 3)
    assert together.dtype == np.uint8
    for k in (0, 7, len(times) - 1):
        assert np.array_equal(render(video, times[k], 32)[0], together[k])
    assert np.array_equal(render(video, times[::-1], 32), together[::-1])


def test_large_renderings_are_drawn_in_pieces_that_fit(video: ToyVideo) -> None:
    times = np.linspace(0, video.duration_s, 12)
    large = render(video, times, 320)
    assert np.array_equal(large[11], render(video, times[11], 320)[0])


def test_a_script_looks_the_same_at_every_size(video: ToyVideo) -> None:
    times = np.linspace(0, video.duration_s, 20)
    fine = render(video, times, 128).reshape(20, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    coarse = render(video, times, 32).astype(float)
    assert np.abs(fine - coarse).mean() < 3.5
    assert np.percentile(np.abs(fine - coarse), 99) < 14


@pytest.mark.parametrize(
    ("action", "track"),
    [
        ("left", lambda t: (0.84 - 0.68 * (t - 2) / 6, 0.5)),
        ("right", lambda t: (0.16 + 0.68 * (t - 2) / 6, 0.5)),
        ("up", lambda t: (0.5, 0.84 - 0.68 * (t - 2) / 6)),
        ("down", lambda t: (0.5, 0.16 + 0.68 * (t - 2) / 6)),
        ("bounce", lambda t: (0.5, 0.78 - 0.5 * abs(np.sin(np.pi * (t - 2) / 2.2)))),
        ("shake", lambda t: (0.5 + 0.15 * np.sin(2 * np.pi * (t - 2) / 1.6), 0.5)),
        ("chase", lambda t: (0.12 + 0.5 * (t - 2) / 6, 0.5)),
        ("bump", lambda t: (0.10 + 0.32 * min(1, (t - 2) / 3), 0.5)),
    ],
)
def test_where_an_actor_is_drawn(action: str, track: Callable[[float], tuple[float, float]]) -> None:
    times = [2.0, 3.1, 4.4, 5.7, 7.9]
    for t, (x, y, _) in zip(times, measure(staged(action), times), strict=True):
        assert (x, y) == pytest.approx(track(t), abs=0.015), (action, t)


def test_the_second_actor_of_a_chase_leads_and_of_a_bump_is_pushed() -> None:
    for t, (x, *_) in zip((2.0, 6.0), measure(staged("chase"), [2.0, 6.0], "blue"), strict=True):
        assert x == pytest.approx(0.44 + 0.5 * (t - 2) / 6, abs=0.015)
    pushed = [x for x, *_ in measure(staged("bump"), [2.0, 4.9, 6.2, 7.5, 8.5], "blue")]
    assert pushed == pytest.approx([0.62, 0.62, 0.76, 0.89, 0.89], abs=0.03)
    mirrored = measure(staged("chase", direction=-1), [2.0])[0][0]
    assert mirrored == pytest.approx(0.88, abs=0.015)


def test_growing_shrinking_and_blinking() -> None:
    sizes = [r for *_, r in measure(staged("grow", shape="circle", radius=0.08), [2.0, 5.0, 8.0])]
    assert sizes == pytest.approx([0.08, 0.16, 0.24], abs=0.01)
    sizes = [r for *_, r in measure(staged("shrink", shape="circle", radius=0.22), [2.0, 8.0])]
    assert sizes == pytest.approx([0.22, 0.34 * 0.22], abs=0.01)
    seen = [r > 0 for *_, r in measure(staged("blink"), [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 8.5, 9.5])]
    assert seen == [False, True, False, True, False, True, True, False]


def test_a_spin_turns_the_shape_and_nothing_else() -> None:
    still, turned = render(staged("spin", radius=0.2), np.array([2.0, 2.0 + np.pi / 4 / 1.3]), 64) / 255
    square = np.abs(still - np.array(COLORS["red"])).max(-1) < 0.2
    diamond = np.abs(turned - np.array(COLORS["red"])).max(-1) < 0.2
    assert diamond.sum() == pytest.approx(square.sum(), rel=0.06)
    assert np.ptp(np.nonzero(diamond)[0]) == pytest.approx(np.sqrt(2) * np.ptp(np.nonzero(square)[0]), rel=0.1)


def test_shapes_are_distances_with_the_right_area() -> None:
    middle = ((np.arange(400) + 0.5) / 400 - 0.5).astype(np.float32)
    x, y = np.broadcast_arrays(middle[None, :], middle[:, None])
    areas = {name: float((f(x, y, np.float32(0.3)) < 0).mean()) / 0.3**2 for name, f in DISTANCES.items()}
    tenth = np.pi / 5
    expected = {
        "circle": np.pi,
        "square": 1.7**2,
        "triangle": 3 * np.sqrt(3) / 4 * 1.15**2,
        "cross": 4 * 0.34 * 2 - 0.68**2,
        "star": 10 * 0.5 * 1.15 * 0.5 * np.sin(tenth),
        "ring": np.pi * (1 - 0.52**2),
    }
    assert areas == pytest.approx(expected, rel=0.02)
    for name, distance in DISTANCES.items():
        steps = np.abs(np.diff(distance(x, y, np.float32(0.3)), axis=1)) * 400
        assert steps.max() < 1.3, name


def test_backgrounds_and_most_cards_are_nearly_grey(video: ToyVideo) -> None:
    bare = dataclasses.replace(video, events=(), distractors=(), cards=())
    frames = render(bare, bare.frame_times(), 32).astype(int)
    assert (frames.max(-1) - frames.min(-1)).max() < 0.25 * 255
    noise = frames - frames.mean(axis=(1,), keepdims=True)
    assert 1.5 < noise.std() < 6
    for video_ in (make_video(CONFIG, "train", i) for i in range(20)):
        for card in video_.cards:
            picture = paint_card(card, 48)
            assert picture.min() >= 0
            assert picture.max() <= 1
            logo = STYLES[card.kind].logo == (0.95, 0.49, 0.10)
            assert logo or (picture.max(-1) - picture.min(-1)).max() < 0.25


def test_a_card_hides_everything(video: ToyVideo) -> None:
    card = video.cards[0]
    t = (card.start_s + card.end_s) / 2
    bare = dataclasses.replace(video, events=(), distractors=())
    assert np.array_equal(render(video, t, 40), render(bare, t, 40))


def test_bad_requests_are_refused(video: ToyVideo) -> None:
    with pytest.raises(DataError, match="time outside the video"):
        render(video, np.array([video.duration_s + 0.1]), 32)
    with pytest.raises(DataError, match="time outside the video"):
        render(video, np.array([np.nan]), 32)
    with pytest.raises(DataError, match="4 px"):
        render(video, np.array([1.0]), 4)
    assert render(video, np.array([]), 32).shape == (0, 32, 32, 3)
