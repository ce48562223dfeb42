"""The table of queries in the scrubber: its numbers are the run's, any column sorts it, and a row opens its query."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.viz.make_run import write_run
from vmlkit.viz.scrubber import save_html
from vmlkit.viz.snapshots import RunView

pytestmark = pytest.mark.browser


def column(page: Any, place: int) -> list[str]:
    return [
        words.replace("−", "-") for words in page.locator(f".queries tbody td:nth-child({place})").all_inner_texts()
    ]


def test_a_hand_sorts_the_table_and_opens_a_query_from_it(watch: Callable, run_path: Path, tmp_path: Path) -> None:
    watched = watch()
    page = watched.open(save_html(run_path, tmp_path / "run.html"))
    assert page.locator(".queries table").is_hidden(), "it is folded until someone asks for it"
    page.focus(".queries summary")
    page.keyboard.press("Enter")
    view = RunView(run_path)
    last = {q["sentence"]: view.snapshot(i, view.recorded_epochs[-1]).chosen_iou for i, q in view.queries.items()}

    page.locator(".queries thead button").nth(2).click()
    assert page.locator(".queries thead th").nth(2).get_attribute("aria-sort") == "ascending"
    assert np.allclose([float(v) for v in column(page, 3)], sorted(last.values()), atol=6e-3)
    page.locator(".queries thead button").nth(2).press("Enter")
    assert page.locator(".queries thead th").nth(2).get_attribute("aria-sort") == "descending"
    sentences = page.locator(".queries tbody th button").all_inner_texts()
    assert sentences == sorted(last, key=lambda sentence: -last[sentence])
    first, end, change = (np.array([float(v) for v in column(page, place)]) for place in (2, 3, 4))
    assert np.allclose(end - first, change, atol=1.1e-2)
    words = ["found throughout" if f >= 0.5 else "learned" if e >= 0.5 else "" for f, e in zip(first, end, strict=True)]
    assert all(said == want for said, want in zip(column(page, 5), words, strict=True) if want)
    assert "not found" in column(page, 5), "one query of this run fails"

    page.locator(".queries tbody button").nth(4).press("Enter")
    assert f"“{sentences[4]}”" in page.inner_text(".label")
    assert page.locator(".queries tr[aria-current]").inner_text().startswith(sentences[4])
    page.locator(".queries tbody button").first.click()
    assert f"“{sentences[0]}”" in page.inner_text(".label")
    assert page.locator("select.query option:checked").inner_text() == f"“{sentences[0]}”"
    assert watched.problems == []


def test_of_two_runs_it_says_where_they_differ(watch: Callable, run_path: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", epochs=5, name="other")
    watched = watch()
    page = watched.open(save_html(run_path, tmp_path / "two.html", compare=other, names=["one", "two"]))
    page.click(".queries summary")
    heads = page.locator(".queries thead th").all_inner_texts()
    assert heads[1:] == ["one", "two", "difference"]
    one, two, difference = (np.array([float(v) for v in column(page, place)]) for place in (2, 3, 4))
    views = RunView(run_path), RunView(other)
    order = page.locator(".queries tbody th button").all_inner_texts()
    for view, values in zip(views, (one, two), strict=True):
        last = {q["sentence"]: view.snapshot(i, view.recorded_epochs[-1]).chosen_iou for i, q in view.queries.items()}
        assert np.allclose([last[sentence] for sentence in order], values, atol=6e-3)
    assert np.allclose(two - one, difference, atol=1.1e-2)
    assert watched.problems == []
