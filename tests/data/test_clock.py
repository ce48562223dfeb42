"""Seconds a row come from the durations, and arrays that cannot be right are named, whatever the source."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_bad_input import load, real
from vmlkit.data.clock import Clock, RowWatch, common_clock, fits
from vmlkit.data.left_out import Ledger
from vmlkit.errors import ConfigError, DataError


def seen(arrays: dict[str, np.ndarray]) -> RowWatch:
    watch = RowWatch("features")
    for video, array in arrays.items():
        watch.see(video, array)
    return watch


def extracted(durations: list[float], seconds: float, dim: int = 6, lost_frames: int = 0) -> dict[str, np.ndarray]:
    """Whole windows only, as extractors make them; ``lost_frames`` of 1/30 s at the end are not seen."""
    rng = np.random.default_rng(0)
    counts = [int((d - lost_frames / 30) / seconds) for d in durations]
    return {f"v{i}": rng.random((n, dim)) for i, n in enumerate(counts)}


DURATIONS = [33.57, 52.53, 75.55, 50.39, 61.82, 106.5, 230.9]


def clock_of(arrays: dict[str, np.ndarray], durations: list[float | None], **options: float) -> tuple[Clock, list[str]]:
    ledger = Ledger()
    named = dict(zip(arrays, durations, strict=True))
    return seen(arrays).clock(named, ledger, "test", **options), [str(entry) for entry in ledger]


@pytest.mark.parametrize("seconds", [16 / 25, 4 / 30, 16 / 30, 8 / 25, 0.5, 1.0, 1.5, 2.0, 0.77])
@pytest.mark.parametrize("lost_frames", [0, 12])
def test_the_clock_is_found_from_durations(seconds: float, lost_frames: int) -> None:
    found, said = clock_of(extracted(DURATIONS, seconds, lost_frames=lost_frames), DURATIONS)
    assert found.common == pytest.approx(seconds, rel=0.02 if seconds == 0.77 else 1e-9)
    assert (found.seconds == found.common).all()
    assert not said


def test_a_usual_clock_is_tried_first() -> None:
    arrays = extracted([9.1, 12.4, 8.0], 0.64)
    assert clock_of(arrays, [9.1, 12.4, 8.0], usual=0.64)[0].common == 0.64
    assert clock_of(extracted(DURATIONS, 4 / 30), DURATIONS, usual=0.64)[0].common == pytest.approx(4 / 30)


def test_a_wrong_clock_is_refused_and_a_right_one_is_taken() -> None:
    arrays = extracted(DURATIONS, 4 / 30)
    with pytest.raises(
        DataError, match=r"features and durations fit 0\.133 s a row, not 0\.64 s \(data\.seconds_per_row"
    ):
        clock_of(arrays, DURATIONS, given=0.64)
    assert clock_of(arrays, DURATIONS, given=0.1333)[0].common == 0.1333


def test_without_durations_the_clock_is_the_usual_one_or_the_setting() -> None:
    arrays = extracted(DURATIONS, 0.64)
    nothing: list[float | None] = [None] * len(DURATIONS)
    assert clock_of(arrays, nothing, usual=0.64)[0].common == 0.64
    assert clock_of(arrays, nothing, usual=0.64, given=0.5)[0].common == 0.5
    with pytest.raises(DataError, match=r"no video has a duration; set data\.seconds_per_row"):
        clock_of(arrays, nothing)


def test_videos_without_duration_take_the_clock_of_the_others() -> None:
    found, _ = clock_of(extracted(DURATIONS, 0.5), [None, *DURATIONS[1:]])
    assert found.seconds[0] == found.common == 0.5


def test_features_that_were_resampled_have_a_clock_each() -> None:
    arrays = {f"v{i}": np.random.default_rng(i).random((100, 4)) for i in range(len(DURATIONS))}
    found, said = clock_of(arrays, DURATIONS)
    assert (found.common, found.resampled) == (None, 100)
    assert found.seconds == pytest.approx(np.array(DURATIONS) / 100)
    assert not said


def test_arrays_that_cannot_be_right_are_named() -> None:
    arrays = extracted(DURATIONS, 0.5)
    arrays["v1"] = arrays["v1"][:30]
    arrays["v3"] = np.concatenate([arrays["v3"]] * 2)
    zero = {**arrays, "v0": np.zeros_like(arrays["v0"]), "v2": np.ones_like(arrays["v2"]), "one": np.ones((1, 6))}
    _, said = clock_of(zero, [*DURATIONS, 0.6])
    assert said == [
        "test: 1 of 8 videos have features that are all zero and are kept (v0)",
        "test: 1 of 8 videos have the same row throughout and are kept (v2)",
        "test: 1 of 8 videos have features of one row and are kept (one)",
        "test: 1 of 8 videos have features that end early, at 0.5 s a row and are kept (v1)",
        "test: 1 of 8 videos have features that go on after the video, at 0.5 s a row and are kept (v3)",
    ]


@pytest.mark.parametrize("every", [True, False])
def test_transposed_arrays_are_refused(every: bool) -> None:
    arrays = extracted(DURATIONS, 0.5, dim=16)
    turned = {video: array.T if every or video == "v4" else array for video, array in arrays.items()}
    with pytest.raises(DataError, match=r"looks like \(dimensions, rows\); save every array as \(rows in time"):
        seen(turned)
    with pytest.raises(DataError, match="'v1' has 3 dimensions where the videos before it have 16; extract all videos"):
        seen({"v0": arrays["v0"], "v1": np.ones((4, 3))})


def test_no_clock_is_common_where_nothing_fits() -> None:
    rows, durations = np.array([10.0, 40.0, 90.0]), np.array([30.0, 31.0, 29.0])
    assert common_clock(rows, durations) is None
    assert fits(rows, durations, 3.0).tolist() == [True, False, False]


def test_the_shortest_videos_may_have_eight_rows() -> None:
    durations = [*DURATIONS, 1.2]
    arrays = extracted(DURATIONS, 0.5)
    for count, expected in ((8, 0), (9, 1)):
        _, said = clock_of({**arrays, "short": np.random.default_rng(0).random((count, 6))}, durations)
        assert len(said) == expected


def write(corpus: Path, seconds: float, cut: str | None = None) -> None:
    """Features of a corpus on one clock; those of one video end early."""
    rng = np.random.default_rng(0)
    for path in (corpus / "arrays").glob("*.npy"):
        duration = 10.0 + int(path.stem[2:])
        count = int(duration / seconds * (0.5 if path.stem == cut else 1))
        np.save(path, rng.normal(size=(count, 6)).astype(np.float32))


def test_sentences_are_held_against_the_clock(corpus: Path) -> None:
    write(corpus, 0.25, cut="te01")
    config = real(corpus, features=corpus / "arrays")
    said = [str(entry) for entry in load(config).left_out]
    assert said == ["test: 1 of 3 videos have features that end early, at 0.25 s a row and are kept (te01)"]
    with pytest.raises(DataError, match=r"arrays: features and durations fit 0\.25 s a row, not 0\.5 s"):
        load(dataclasses.replace(config, seconds_per_row=0.5))
    assert load(dataclasses.replace(config, seconds_per_row=0.25)).train.fingerprint == load(config).train.fingerprint
    with pytest.raises(ConfigError, match="seconds_per_row"):
        dataclasses.replace(config, seconds_per_row=0.0)
