"""Scripts of the toy world: statistics, determinism, staging."""

import subprocess
import sys

import numpy as np
import pytest

from vmlkit.config import with_overrides
from vmlkit.data.toyworld import ACTIONS, ACTORS, ToyConfig, ToyVideo, make_video
from vmlkit.data.toyworld.config import parse_video_id, video_id
from vmlkit.data.toyworld.world import PAIR_ACTIONS, ROUND_SHAPES
from vmlkit.errors import ConfigError, DataError

CONFIG = ToyConfig()
CAST = ToyConfig(staging="cast")


@pytest.fixture(scope="module")
def videos() -> list[ToyVideo]:
    return [make_video(CONFIG, "train", i) for i in range(CONFIG.train_videos)]


def confusers(video: ToyVideo) -> tuple[bool, bool]:
    """Whether an actor does two things, and whether two actors do the same."""
    pairs = [(a, b) for i, a in enumerate(video.events) for b in video.events[i + 1 :]]
    return any(a.actor == b.actor for a, b in pairs), any(a.action == b.action for a, b in pairs)


def test_durations_and_events_have_the_statistics_of_the_design(videos: list[ToyVideo]) -> None:
    durations = np.array([v.duration_s for v in videos])
    lengths = np.array([e.end_s - e.start_s for v in videos for e in v.events])
    shares = np.array([(e.end_s - e.start_s) / v.duration_s for v in videos for e in v.events])
    assert durations.min() >= 20
    assert durations.max() <= 40
    assert durations.mean() == pytest.approx(30, abs=0.7)
    assert lengths.mean() == pytest.approx(7.3, abs=0.4)
    assert np.percentile(lengths, [5, 50, 95]) == pytest.approx([3.4, 7.0, 13.0], rel=0.08)
    assert np.percentile(shares, [5, 50, 95]) == pytest.approx([0.133, 0.231, 0.404], rel=0.08)
    assert shares.mean() == pytest.approx(0.243, abs=0.01)
    assert len(lengths) / len(videos) == pytest.approx(2.9, abs=0.1)
    assert {len(v.events) for v in videos} == {2, 3, 4}


def test_shares_of_cards_overlaps_and_confusers(videos: list[ToyVideo]) -> None:
    cards = sum(c.end_s - c.start_s for v in videos for c in v.cards) / sum(v.duration_s for v in videos)
    overlapping = [any(b.start_s < a.end_s for a, b in zip(v.events, v.events[1:], strict=False)) for v in videos]
    kinds = np.array([confusers(v) for v in videos])
    assert cards == pytest.approx(0.20, abs=0.02)
    assert np.mean(overlapping) == pytest.approx(0.09, abs=0.03)
    assert kinds.any(axis=1).mean() == pytest.approx(0.81, abs=0.05)
    assert kinds.mean(axis=0) == pytest.approx([0.53, 0.47], abs=0.06)
    assert {c.kind for v in videos for c in v.cards} == {0, 1, 2, 3}
    assert {len(v.cards) for v in videos} == {1, 2}


def test_every_action_and_nearly_every_combination_occurs(videos: list[ToyVideo]) -> None:
    seen = {(e.actor, e.action) for v in videos for e in v.events}
    possible = {(a, x) for a in ACTORS for x in ACTIONS if not (x == "spin" and a.shape in ROUND_SHAPES)}
    assert len(possible) == 420
    assert seen <= possible
    assert len(seen) > 405
    assert [e.action_id for v in videos[:9] for e in v.events] == [
        ACTIONS.index(e.action) for v in videos[:9] for e in v.events
    ]
    assert sorted(actor.id for actor in ACTORS) == list(range(36))


def test_rules_of_casting_and_size(videos: list[ToyVideo]) -> None:
    events = [e for v in videos for e in v.events]
    for video in videos:
        assert len({(e.actor, e.action) for e in video.events}) == len(video.events)
        taken = {a for e in video.events for a in e.actors}
        assert not taken & {d.actor for d in video.distractors}
        assert len({(d.x, d.y) for d in video.distractors}) == len(video.distractors)
    for event in events:
        assert (event.other is not None) == (event.action in PAIR_ACTIONS)
        if event.other is not None:
            assert event.other.color != event.actor.color
            assert event.radius <= 0.13
            assert 0.10 <= event.other_radius <= 0.14
    grown, shrunk = ([e.radius for e in events if e.action == a] for a in ("grow", "shrink"))
    assert 0.07 <= min(grown) <= max(grown) <= 0.09
    assert 0.20 <= min(shrunk) <= max(shrunk) <= 0.24


@pytest.mark.parametrize("config", [CONFIG, CAST], ids=["default", "cast"])
def test_spans_and_stages_are_in_order(config: ToyConfig) -> None:
    for video in (make_video(config, "train", i) for i in range(200)):
        starts = [e.start_s for e in video.events]
        assert starts == sorted(starts)
        for event in video.events:
            assert 0 <= event.on_s <= event.start_s < event.end_s <= event.off_s <= video.duration_s
            for card in video.cards:
                assert card.end_s <= event.on_s or event.off_s <= card.start_s
            for rival in video.events:
                if rival is not event and set(rival.actors) & set(event.actors):
                    assert rival.off_s <= event.on_s or event.off_s <= rival.on_s


def test_an_actor_stays_longer_in_the_cast_world_and_does_the_same() -> None:
    pairs = [(make_video(CONFIG, "test", i), make_video(CAST, "test", i)) for i in range(40)]
    for plain, cast in pairs:
        assert [e.span_s for e in plain.events] == [e.span_s for e in cast.events]
        assert plain.sentences == cast.sentences
        assert all(b.on_s <= a.on_s and a.off_s <= b.off_s for a, b in zip(plain.events, cast.events, strict=True))
    idle = [sum((e.off_s - e.on_s) - (e.end_s - e.start_s) for v in side for e in v.events) for side in zip(*pairs)]  # noqa: B905
    assert idle[1] > 2 * idle[0]


def test_a_video_can_be_rebuilt_alone_in_another_process(videos: list[ToyVideo]) -> None:
    code = "from vmlkit.data.toyworld import *; print(make_video(ToyConfig(), 'train', 123))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(videos[123]), done.stderr[-500:]


def test_a_video_does_not_depend_on_the_size_of_the_world(videos: list[ToyVideo]) -> None:
    small = ToyConfig(train_videos=8, test_videos=1, clips=5)
    assert [make_video(small, "train", i) for i in range(8)] == videos[:8]
    assert make_video(ToyConfig(world_seed=1), "train", 0) != videos[0]
    assert make_video(CONFIG, "test", 0).events != make_video(CONFIG, "validation", 0).events


def test_names_of_videos() -> None:
    assert video_id("validation", 7) == "toy-validation-00007"
    assert parse_video_id(CONFIG, "toy-validation-00007") == ("validation", 7)


@pytest.mark.parametrize(
    "name",
    [
        "toy-test-00140",
        "toy-test-12",
        "toy-tests-00001",
        "../toy-test-00001",
        "toy-test-00001/..",
        "",
        "toy-test-0000１",
    ],
)
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="toy world"):
        parse_video_id(CONFIG, name)


@pytest.mark.parametrize(("split", "index"), [("train", -1), ("train", 700), ("dev", 0)])
def test_a_video_that_does_not_exist_is_refused(split: str, index: int) -> None:
    with pytest.raises(DataError, match="use"):
        make_video(CONFIG, split, index)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"clips": 0}, {"frame_px": 30}, {"frame_px": 8}, {"train_videos": 0}, {"test_videos": 200_000}]
)
def test_impossible_settings_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        with_overrides(CONFIG, change)


def test_unknown_staging_is_refused() -> None:
    with pytest.raises(ConfigError, match="staging"):
        ToyConfig(staging="opera")  # type: ignore[arg-type]
