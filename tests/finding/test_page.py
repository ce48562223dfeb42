"""The saved page in a real browser without a network: it plays, seeks where it is clicked, and runs no sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.viz.conftest import watch  # noqa: F401 - a fixture
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.errors import DataError
from vmlkit.finding import page as page_module
from vmlkit.finding.finder import Finder
from vmlkit.finding.moments import Moments
from vmlkit.finding.page import write_page
from vmlkit.finding.toy_video import render_recorded
from vmlkit.runs import RunDirectory
from vmlkit.viz.scrubber import save_html

pytestmark = pytest.mark.browser

HOSTILE = "the red circle </script><b>slides</b> & <img src=x onerror=alert(1)> to the left"


@pytest.fixture(scope="module")
def answers(finder: Finder, film: tuple[Path, ToyVideo]) -> list[Moments]:
    return finder.ask_all([*(s.text for s in film[1].sentences[:2]), HOSTILE])


@pytest.fixture(scope="module")
def saved(
    finder: Finder, film: tuple[Path, ToyVideo], answers: list[Moments], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    assert finder._current is not None
    path = tmp_path_factory.mktemp("page") / "page.html"
    return write_page(path, film[0], finder._current.video.info, answers)


def opened(watched: Any, path: Path) -> Any:
    watched.page.goto(path.as_uri())
    watched.page.wait_for_selector(".vmlkit-found[data-ready=true]")
    watched.page.wait_for_function("() => document.querySelector('video').readyState >= 2")
    return watched.page


def current(page: Any) -> float:
    return float(page.evaluate("() => document.querySelector('video').currentTime"))


def until(page: Any, condition: Callable[[], bool]) -> bool:
    for _ in range(400):
        if condition():
            return True
        page.wait_for_timeout(25)
    return False


def test_a_moment_is_played_from_its_start(watch: Callable, saved: Path, answers: list[Moments]) -> None:  # noqa: F811
    watched = watch()
    page = opened(watched, saved)
    rows = answers[1].trained
    buttons = page.locator("section.found").nth(1).locator("button")
    assert buttons.count() == len(rows) + len(answers[1].similarity)
    buttons.nth(1).click()
    assert until(page, lambda: rows[1, 0] - 0.05 <= current(page) <= rows[1, 0] + 5)
    assert until(page, lambda: not page.evaluate("() => document.querySelector('video').paused"))
    assert until(page, lambda: current(page) > rows[1, 0] + 0.2), "it plays on"
    times = page.locator("canvas.lane").evaluate_all("nodes => nodes.map(n => n.dataset.time)")
    assert len(set(times)) == 1, "the bars of all sentences stand at one time"
    assert watched.problems == []
    assert [r for r in watched.requests if not r.startswith(("file:", "data:", "blob:"))] == []


def test_a_click_into_a_lane_goes_there(watch: Callable, saved: Path, answers: list[Moments]) -> None:  # noqa: F811
    page = opened(watch(), saved)
    lane = page.locator("canvas.lane").first
    box = lane.bounding_box()
    left, right = 92, 12
    inner = box["width"] - left - right
    start, end, _ = answers[0].similarity[0]
    page.mouse.click(box["x"] + left + inner * ((start + end) / 2) / 60, box["y"] + 48)
    assert until(page, lambda: start - 0.05 <= current(page) <= start + 5), "a moment begins at its start"
    page.evaluate("() => document.querySelector('video').pause()")
    page.mouse.click(box["x"] + left + inner * 0.5, box["y"] + 2)
    assert until(page, lambda: abs(current(page) - 30) < 0.5)
    assert "30.0 s of 60.0 s" in page.inner_text(".label")


def test_sentences_are_text_and_nothing_else(watch: Callable, saved: Path) -> None:  # noqa: F811
    watched = watch()
    page = opened(watched, saved)
    assert page.locator("h2").last.inner_text() == f"“{HOSTILE}”"
    assert page.locator("section.found img, section.found b").count() == 0
    assert watched.problems == []


def test_it_is_dark_and_narrow_where_asked(watch: Callable, saved: Path) -> None:  # noqa: F811
    page = opened(watch(color_scheme="dark"), saved)
    assert page.locator(".vmlkit-found").get_attribute("data-theme") == "dark"
    page.set_viewport_size({"width": 380, "height": 800})
    assert until(page, lambda: page.locator("canvas.lane").first.evaluate("c => c.clientWidth") < 380)
    inside = "() => document.documentElement.scrollWidth <= window.innerWidth"
    assert until(page, lambda: page.evaluate(inside)), "the strip is as wide as its lane once that is drawn again"


def test_a_large_video_is_played_from_beside_the_page(
    watch: Callable,  # noqa: F811
    finder: Finder,
    film: tuple[Path, ToyVideo],
    answers: list[Moments],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_module, "EMBEDDED", 1000)
    assert finder._current is not None
    path = tmp_path / "page.html"
    copy = tmp_path / "my film #1.mp4"
    copy.write_bytes(film[0].read_bytes())
    write_page(path, copy, finder._current.video.info, answers)
    assert path.stat().st_size < 2_000_000
    page = opened(watch(), path)
    page.locator("section.found button").first.click()
    assert until(page, lambda: current(page) > answers[0].trained[0, 0])
    copy.unlink()
    page.reload()
    page.wait_for_selector(".vmlkit-found[data-ready=true]")
    assert until(page, lambda: "is not where it was beside this page" in page.inner_text(".note >> nth=0"))
    page.locator("section.found button").nth(1).click()
    assert until(page, lambda: f"{answers[0].trained[1, 0]:.1f}"[:3] in page.inner_text(".label"))


def test_the_scrubber_plays_the_video_of_its_query(watch: Callable, cpl_run: Path, tmp_path: Path) -> None:  # noqa: F811
    run = RunDirectory(cpl_run)
    first = run.probe[0]
    films = render_recorded(run, tmp_path / "films", [first["query_id"]], px=64, rate=4)
    assert list(films) == [first["video_id"]]
    watched = watch()
    page = watched.open(save_html(run, tmp_path / "run.html", query=first["query_id"], films=films))
    page.wait_for_function("() => document.querySelector('video.film').readyState >= 2")
    assert page.locator("video.film").is_visible()
    before = page.locator("canvas.stage").get_attribute("data-draws")
    box = page.locator("canvas.stage").bounding_box()
    page.mouse.click(box["x"] + 104 + (box["width"] - 120) / 2, box["y"] + 10)
    assert until(page, lambda: abs(current(page) - first["duration_s"] / 2) < 0.5), "the strip seeks"
    assert until(page, lambda: page.locator("canvas.stage").get_attribute("data-draws") != before)
    others = [q["query_id"] for q in run.probe if q["video_id"] != first["video_id"]]
    page.select_option(".query", others[0])
    assert until(page, lambda: not page.locator("video.film").is_visible()), "no file of that video is at hand"
    assert watched.problems == []


def test_films_that_are_missing_or_too_large_are_refused(
    cpl_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = RunDirectory(cpl_run).probe[0]["video_id"]
    with pytest.raises(DataError, match=f"there is no such film of '{name}'"):
        save_html(cpl_run, tmp_path / "run.html", films={name: tmp_path / "gone.mp4"})
    large = tmp_path / "large.mp4"
    large.write_bytes(b"0" * 200)
    monkeypatch.setattr("vmlkit.viz.scrubber_source.FILM_BYTES", 100)
    with pytest.raises(DataError, match="films are larger than"):
        save_html(cpl_run, tmp_path / "run.html", films={name: large})
    assert not (tmp_path / "run.html").exists()
