"""Planted action features: what is where, and that a video depends on nothing but itself."""

import dataclasses

import numpy as np
import pytest

from vmlkit.actions.planted import PHASES, PlantedActionConfig, PlantedActionFeatures
from vmlkit.actions.videos import ActionVideo
from vmlkit.errors import DataError

QUIET = PlantedActionConfig(noise=0.0, bg=0.0, hard=0.0, scene_rgb=0.0, scene_flow=0.0, ctx=0.0)


def video(name: str = "v", segments=((6.4, 19.2, "Diving"),), duration: float | None = 40.0) -> ActionVideo:
    return ActionVideo(video_id=name, subset="test", duration=duration, labels=(), segments=tuple(segments))


def made(config: PlantedActionConfig, *videos: ActionVideo) -> np.ndarray:
    return PlantedActionFeatures(videos, config).read(videos[0].video_id)


def test_without_anything_else_only_the_instance_is_there() -> None:
    x = made(QUIET, video())
    assert x.shape == (62, 128)
    assert x.dtype == np.float32
    inside = np.zeros(62, dtype=bool)
    inside[10:30] = True
    np.testing.assert_array_equal(x.any(axis=1), inside)


def test_the_middle_is_specific_and_the_ends_are_shared() -> None:
    """Two classes with the same sub-actions look alike at their ends, and not in the middle."""
    first, second = (made(dataclasses.replace(QUIET, edge=0.0), video(segments=((6.4, 19.2, c),)))
                     for c in ("BasketballDunk", "HighJump"))  # fmt: skip
    assert PHASES["BasketballDunk"] == PHASES["HighJump"]

    def cosine(t: int) -> float:
        return float(first[t] @ second[t] / np.linalg.norm(first[t]) / np.linalg.norm(second[t]))

    assert cosine(10) > 0.9
    assert cosine(29) > 0.9
    assert cosine(20) < 0.7


def test_the_class_leaks_just_outside() -> None:
    x = made(dataclasses.replace(QUIET, ctx=0.45), video())
    # 1.5 s before 6.4 s is snippet 7.66
    assert np.flatnonzero(x.any(axis=1)).min() == 8
    assert np.linalg.norm(x[9]) > np.linalg.norm(x[8]) > 0


def test_a_video_is_made_alone_and_the_same_every_time() -> None:
    config = PlantedActionConfig(d=8)
    alone = made(config, video("a"))
    np.testing.assert_array_equal(alone, made(config, video("a"), video("b"), video("c")))
    assert not np.array_equal(alone, made(config, video("b")))
    assert not np.array_equal(alone, made(dataclasses.replace(config, seed=1), video("a")))
    assert (alone >= 0).all()


def test_flow_is_cleaner_than_rgb() -> None:
    config = PlantedActionConfig()
    noisy, clean = made(config, video()), made(dataclasses.replace(config, noise=0.0, bg=0.0), video())
    gap = [np.linalg.norm(clean[15:25, h] - noisy[15:25, h]) / np.linalg.norm(clean[15:25, h])
           for h in (slice(0, 64), slice(64, 128))]  # fmt: skip
    assert gap[1] < gap[0]


def test_a_video_without_instances_has_background_and_shared_sub_actions() -> None:
    x = made(dataclasses.replace(QUIET, hard=0.25), video(segments=()))
    share = x.any(axis=1).mean()
    assert 0 < share < 0.3


def test_a_very_short_video_has_one_snippet() -> None:
    assert made(PlantedActionConfig(d=4), video(segments=(), duration=0.1)).shape == (1, 8)


def test_bad_input_says_what_is_wrong() -> None:
    with pytest.raises(DataError, match="'Swim' has no sub-actions"):
        PlantedActionFeatures([video(segments=((0.0, 1.0, "Swim"),))])
    with pytest.raises(DataError, match="has no duration"):
        PlantedActionFeatures([video(duration=None)])
    with pytest.raises(DataError, match="'w' is not annotated"):
        PlantedActionFeatures([video()]).read("w")
