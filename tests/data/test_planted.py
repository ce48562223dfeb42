"""Planted features: the golden arrays, and what the recipe promises."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.golden_data import SkipCase, check_planted_case, check_sampling_case
from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.data.planted import STOP_WORDS, PlantedConfig, PlantedFeatures
from vmlkit.errors import DataError
from vmlkit.text.embeddings import WordVectors

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "wsml"


def load_case(name: str) -> tuple[dict[str, np.ndarray], dict]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as archive:
        return dict(archive), json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["planted_a", "planted_b"])
def test_golden_arrays(name: str, charades_folder: Path) -> None:
    arrays, meta = load_case(name)
    deviations = check_planted_case(arrays, meta, charades_folder)
    assert len(deviations) == sum(key.startswith("output/") for key in arrays)
    assert max(deviations.values()) <= 1e-6


def test_golden_sampling() -> None:
    arrays, meta = load_case("sampling_a")
    deviations = check_sampling_case(arrays, meta)
    assert len(deviations) == sum(key.startswith("output/") for key in arrays)


def test_golden_checks_notice_a_change(charades_folder: Path) -> None:
    arrays, meta = load_case("sampling_a")
    arrays["output/sampled_7_to_16"] = arrays["output/sampled_7_to_16"] + 1e-4
    with pytest.raises(AssertionError, match="sampled_7_to_16"):
        check_sampling_case(arrays, meta)
    arrays, meta = load_case("planted_b")
    meta["config"]["seed"] = 8
    with pytest.raises(AssertionError, match="deviates"):
        check_planted_case(arrays, meta, charades_folder)
    with pytest.raises(AssertionError, match="no check knows"):
        check_sampling_case({"output/riddle": np.zeros(3)}, {})


def test_golden_check_says_what_it_needs(tmp_path: Path) -> None:
    arrays, meta = load_case("planted_b")
    with pytest.raises(SkipCase, match="needs the Charades-STA annotations"):
        check_planted_case(arrays, meta, tmp_path)


VECTORS = WordVectors(
    words=("<PAD>", "door", "cat", "the", "opens"),
    vectors=np.random.default_rng(1).normal(size=(5, 20)).astype(np.float32) * [[0], [1], [1], [1], [1]],
)


def moment(start: float, end: float, video: str = "v", duration: float = 10.0, row: int = 0) -> MomentAnnotation:
    return MomentAnnotation(video_id=video, duration=duration, start=start, end=end, sentence="the cat", row=row)


def features(rows: list[MomentAnnotation], tokens: list[tuple[str, ...]], **settings: float) -> np.ndarray:
    return PlantedFeatures(rows, tokens, VECTORS, PlantedConfig(**settings)).read("v")


def test_signal_is_the_code_inside_the_span_and_nothing_outside() -> None:
    rows, tokens = [moment(2.0, 5.0)], [("the", "cat")]
    store = PlantedFeatures(rows, tokens, VECTORS, PlantedConfig(sigma=0.0, b=0.0, a=3.0))
    frames = store.read("v")
    assert frames.shape == (20, 128)
    assert frames.dtype == np.float32
    times = (np.arange(20) + 0.5) / 20 * 10
    inside = (times >= 2) & (times <= 5)
    np.testing.assert_allclose(frames[inside], np.tile(3 * store.sentence_code(("cat",)), (6, 1)), rtol=1e-6)
    assert np.abs(frames[~inside]).max() == 0


def test_duplicated_rows_add_twice_and_short_videos_have_eight_frames() -> None:
    once = features([moment(2.0, 5.0)], [("cat",)], sigma=0.0, b=0.0)
    twice = features([moment(2.0, 5.0)] * 2, [("cat",)] * 2, sigma=0.0, b=0.0)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)
    assert features([moment(0.5, 1.0, duration=1.5)], [("cat",)]).shape == (8, 128)
    assert features([moment(0.5, 1.0, duration=9.1)], [("cat",)], fps=1.5, dim=16).shape == (14, 16)


def test_content_words() -> None:
    store = PlantedFeatures([moment(0, 1)], [("cat",)], VECTORS)
    assert len(STOP_WORDS) == 48
    np.testing.assert_array_equal(store.sentence_code(("the", "cat", "zebu")), store.sentence_code(("cat",)))
    assert np.linalg.norm(store.sentence_code(("the",))) == pytest.approx(1.0)  # no content word: all known ones
    assert np.abs(store.sentence_code(("zebu",))).max() == 0
    assert np.linalg.norm(store.sentence_code(("cat", "door", "opens"))) == pytest.approx(1.0)


def test_a_video_does_not_depend_on_the_others() -> None:
    alone = features([moment(2.0, 5.0)], [("cat",)])
    rows = [moment(1.0, 3.0, video="w"), moment(2.0, 5.0), moment(0.0, 3.0, video="x")]
    np.testing.assert_array_equal(features(rows, [("door",), ("cat",), ("opens",)]), alone)
    assert np.abs(features([moment(2.0, 5.0)], [("cat",)], seed=1) - alone).max() > 0.1


def test_bad_input() -> None:
    with pytest.raises(DataError, match="video 'v' lasts 10 s in one record and 11 s in another; correct"):
        PlantedFeatures([moment(0, 1), moment(0, 1, duration=11.0)], [("cat",)] * 2, VECTORS)
    with pytest.raises(DataError, match="video 'w' has no sentence"):
        PlantedFeatures([moment(0, 1)], [("cat",)], VECTORS).read("w")
    unpadded = WordVectors(words=VECTORS.words[1:], vectors=VECTORS.vectors[1:])
    with pytest.raises(DataError, match="row 0 of the word vectors is 'door'"):
        PlantedFeatures([moment(0, 1)], [("cat",)], unpadded)
