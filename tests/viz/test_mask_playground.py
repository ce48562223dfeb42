"""A mask placed by hand: the page says what the record holds, by mouse and by keys, and keeps the truth back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmlkit.errors import ConfigError
from vmlkit.viz.mask_playground import mask_playground

CENTERS, WIDTHS = 25, 12
WORDS = ["the", "</script><b>red</b>", "star", "spins"]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Two sentences with random numbers, the moment of the first from 20 to 60 % of its video."""
    rng = np.random.default_rng(2)

    def sentence(k: int) -> dict[str, Any]:
        window = {"chance": [500] * len(WORDS)}
        return {
            "id": f"q{k}", "video": f"v{k}", "sentence": " ".join(WORDS), "duration": 24.0 + k, "words": WORDS,
            "hidden": [False, True, False, True],
            "model": {"center": 0.8, "width": 0.3, "loss": 2.345, "span": [0.65, 0.95], **window},
            "truth": {"center": 0.4, "width": 0.4, "loss": 2.111, "span": [0.2, 0.6], **window},
            "loss": rng.uniform(2, 3, (WIDTHS, CENTERS)).round(3).tolist(),
            "chance": rng.integers(0, 1000, (len(WORDS), WIDTHS, CENTERS)).tolist(),
            "guess": rng.integers(0, 2, (len(WORDS), WIDTHS, CENTERS)).tolist(),
        }  # fmt: skip

    grid = {"centers": np.linspace(0, 1, CENTERS).tolist(), "widths": (np.arange(1, WIDTHS + 1) / WIDTHS).tolist()}
    return {**grid, "curve": {"sigma": 4.0}, "vocabulary": ["star", "ring"], "sentences": [sentence(0), sentence(1)]}


def strips() -> dict[str, np.ndarray]:
    return {"v0": np.random.default_rng(0).integers(0, 255, (8, 24, 24, 3)).astype(np.uint8)}


def place(page: Any) -> tuple[int, int]:
    center, width = (int(page.input_value(f"input.{name}")) for name in ("center", "width"))
    return center, width


def check(page: Any, sentence: dict[str, Any], vocabulary: list[str]) -> None:
    """What the page says now is what the record holds at the place of the mask."""
    center, width = place(page)
    assert f"you {sentence['loss'][width][center]:.2f}, the model 2.3" in page.inner_text(".label")
    for i, word in enumerate(sentence["words"]):
        said = page.inner_text(f".words button >> nth={i}").replace("\n", " ")
        guess = vocabulary[sentence["guess"][i][width][center]]
        percent = int(np.floor(sentence["chance"][i][width][center] / 10 + 0.5))
        assert said == f"{word} {percent} %" + ("" if guess == word else f", {guess}?")


@pytest.mark.browser
def test_a_hand_places_a_mask_and_answers(watch: Callable, tmp_path: Path, record: dict[str, Any]) -> None:
    watched = watch()
    page = watched.open(mask_playground(record, strips()).save_html(tmp_path / "mask.html"))
    first, words = record["sentences"][0], record["vocabulary"]
    check(page, first, words)
    assert "truth" not in page.inner_text(".label").partition("Where")[0], "kept back until she answers"
    box = page.locator("canvas.stage").bounding_box()
    left, inner = box["x"] + 96, box["width"] - 108

    def drag(start: float, end: float) -> None:
        page.mouse.move(left + inner * start, box["y"] + 80)
        page.mouse.down()
        page.mouse.move(left + inner * end, box["y"] + 80, steps=6)
        page.mouse.up()

    drag(0.5, 0.25)  # by its middle
    assert place(page) == (6, 4)
    check(page, first, words)
    drag(0.9, 0.4)  # beside it, a new one begins
    assert place(page) == (16, 5)
    drag(16 / 24 + 0.25, 16 / 24 + 0.25 - 1 / 6)  # by its end
    assert place(page) == (14, 3)
    page.focus("input.center")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.focus("input.width")
    page.keyboard.press("ArrowRight")
    assert place(page) == (10, 4)
    check(page, first, words)

    page.focus("button.answer")
    page.keyboard.press("Enter")
    yours = np.array([10 / 24 - 5 / 24, 10 / 24 + 5 / 24])
    iou = (min(yours[1], 0.6) - max(yours[0], 0.2)) / (max(yours[1], 0.6) - min(yours[0], 0.2))
    said = page.inner_text(".label")
    assert "the true span 2.11" in said
    assert f"you {iou:.2f}, the model 0.00" in said
    lower = int(first["loss"][4][10] < 2.345)
    assert page.inner_text(".score") == (
        f"Answered 1 of 2: lower loss than the model in {lower}, closer to the truth in 1."
    )
    page.select_option("select.query", "1")
    assert page.is_enabled("button.answer"), "the next sentence keeps its truth back"
    check(page, record["sentences"][1], words)
    assert page.locator("img.strip").is_hidden(), "of its video there are no pictures"
    assert watched.problems == []


@pytest.mark.browser
def test_a_word_shows_where_it_looks(watch: Callable, tmp_path: Path, record: dict[str, Any]) -> None:
    watched = watch(color_scheme="dark")
    page = watched.open(mask_playground(record, strips()).save_html(tmp_path / "mask.html"))
    draw = "canvas => canvas.toDataURL()"
    stage = page.locator("canvas.stage")
    nothing = stage.evaluate(draw)
    page.click(".words button >> nth=1")
    one = stage.evaluate(draw)
    page.focus(".words button >> nth=2")
    page.keyboard.press("Enter")
    other = stage.evaluate(draw)
    assert len({nothing, one, other}) == 3
    assert page.locator(".words button[aria-pressed=true]").count() == 1
    page.keyboard.press("Enter")
    assert stage.evaluate(draw) == nothing
    page.set_viewport_size({"width": 340, "height": 800})
    page.wait_for_timeout(600)
    assert page.evaluate("document.documentElement.scrollWidth") <= 340
    assert page.get_attribute(".vmlkit-live", "data-theme") == "dark"
    assert watched.problems == []


def test_a_sentence_that_is_not_there_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="sentences 0 to 1, not 2"):
        mask_playground(record, sentence=2)


def test_foreign_words_stay_text(record: dict[str, Any]) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
    page = mask_playground(record)._repr_mimebundle_()[0]["text/html"]
    assert "<img" in page
    assert "</script><b>red" not in page
