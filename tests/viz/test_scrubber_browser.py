"""The saved page in a real browser without a network: keys, play, selections, themes, and no complaint."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.viz.make_run import write_run
from vmlkit.viz.following import following
from vmlkit.viz.hardness import hardness_scale
from vmlkit.viz.scrubber import save_html
from vmlkit.viz.snapshots import RunView

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_path(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_html(run_path, tmp_path_factory.mktemp("page") / "run.html", query="test/0")


def number(page: Any, name: str) -> int:
    return int(page.locator("canvas.stage").get_attribute(name))


def pixels(page: Any) -> bytes:
    return page.locator("canvas.stage").screenshot()


def until(page: Any, condition: Callable[[], bool]) -> bool:
    """Wait for a condition, looking from outside: the page's own policy forbids evaluating strings in it."""
    for _ in range(600):
        if condition():
            return True
        page.wait_for_timeout(25)
    return False


def test_five_presses_show_epoch_five(watch: Callable, page_path: Path, run_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    assert number(page, "data-epoch") == 0
    draws, before = number(page, "data-draws"), pixels(page)
    assert "epoch 0 (before training) · “the red circle slides to the left”" in page.inner_text(".label")
    page.focus("input[type=range]")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert number(page, "data-epoch") == 5
    assert number(page, "data-draws") == draws + 5
    assert pixels(page) != before
    shot = RunView(run_path).snapshot("test/0", 5)
    said = f"epoch 5 · “the red circle slides to the left” · IoU {shot.chosen_iou:.2f} · IoN up to {shot.ion.max():.2f}"
    assert page.inner_text(".label") == said
    page.keyboard.press("ArrowLeft")
    assert number(page, "data-epoch") == 4
    assert watched.problems == []
    assert [r for r in watched.requests if not r.startswith(("file:", "data:", "blob:"))] == []


def test_queries_and_proposals_are_chosen(watch: Callable, page_path: Path, run_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    before = pixels(page)
    page.select_option(".query", "test/5")
    assert page.locator("canvas.stage").get_attribute("data-query") == "test/5"
    assert "the cyan cross </script><b>shakes</b> & wobbles" in page.inner_text(".label")
    assert pixels(page) != before
    page.select_option(".pick", label="negative 2")
    shot, duration = RunView(run_path).snapshot("test/5", 0), RunView(run_path).query("test/5")["duration_s"]
    start, end = shot.negative_spans[1] * duration
    said = page.inner_text(".detail")
    assert said.startswith(f"negative 2 · {start:.1f}–{end:.1f} s · IoN {shot.ion[1]:.2f}")
    assert said.endswith(f"weight {shot.negative_weights[1]:.2f}")
    assert watched.problems == []


def test_play_runs_to_the_last_epoch_and_pauses(watch: Callable, page_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    page.select_option(".speed", "2")
    page.click(".play")
    assert page.inner_text(".play").endswith("Pause")
    assert until(page, lambda: number(page, "data-epoch") >= 2)
    page.click(".play")
    assert page.inner_text(".play").endswith("Play")
    stopped = number(page, "data-epoch")
    assert 2 <= stopped < 12
    page.select_option(".speed", "8")
    page.click(".play")
    assert until(page, lambda: number(page, "data-epoch") == 12 and page.inner_text(".play").endswith("Play"))
    page.click(".play")
    assert number(page, "data-epoch") < 12
    assert watched.problems == []


def test_clicks_choose_curves_and_epochs(watch: Callable, page_path: Path, run_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    page.focus("input[type=range]")
    page.keyboard.press("End")
    box = page.locator("canvas.stage").bounding_box()
    shot = RunView(run_path).snapshot("test/0", 12)
    left, right = 104, 16
    x = left + (box["width"] - left - right) * shot.positives[shot.chosen, 0]
    strip = (box["width"] - left - right) / 14 * 0.95
    page.mouse.click(box["x"] + x, box["y"] + strip + 48)
    assert page.inner_text(".detail").startswith(f"positive {shot.chosen + 1} (the answer)")
    panels = page.locator("canvas.panels").bounding_box()
    page.mouse.click(panels["x"] + left + 2, panels["y"] + 50)
    assert number(page, "data-epoch") == 0
    page.mouse.click(panels["x"] + panels["width"] - right - 2, panels["y"] + 50)
    assert number(page, "data-epoch") == 12
    assert watched.problems == []


def test_every_focusable_element_keeps_its_keys(watch: Callable, page_path: Path) -> None:
    page = watch().open(page_path)
    focusable = page.locator(".vmlkit-scrubber :is(button, select, input, summary, [tabindex])")
    marked = focusable.evaluate_all("nodes => nodes.map(n => n.dataset.lmSuppressShortcuts)")
    assert len(marked) > 8
    assert set(marked) == {"true"}


def test_it_is_sharp_dark_and_narrow_where_asked(watch: Callable, page_path: Path) -> None:
    dark = watch(color_scheme="dark", device_scale_factor=2)
    page = dark.open(page_path)
    width, css = page.locator("canvas.stage").evaluate("c => [c.width, c.clientWidth]")
    assert width == 2 * css
    ground = page.locator(".vmlkit-scrubber").evaluate("n => getComputedStyle(n).backgroundColor")
    assert ground == "rgb(21, 24, 28)"
    before = pixels(page)
    page.emulate_media(color_scheme="light")
    assert until(page, lambda: pixels(page) != before), "a change of theme redraws"
    page.set_viewport_size({"width": 480, "height": 700})
    assert until(page, lambda: page.locator("canvas.stage").evaluate("c => c.width") < 960)
    assert page.locator("body").evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert dark.problems == []


def test_feature_traces_and_thinned_runs_are_shown(watch: Callable, heat_path: Path, tmp_path: Path) -> None:
    watched = watch()
    page = watched.open(save_html(heat_path, tmp_path / "heat.html", max_bytes=4000))
    assert "Embedded: " in page.inner_text(".note")
    page.focus("input[type=range]")
    page.keyboard.press("End")
    assert number(page, "data-epoch") == 12
    assert watched.problems == []


def test_cleaning_up_stops_everything(watch: Callable, page_path: Path) -> None:
    page_text = page_path.read_text(encoding="utf-8")
    kept = page_path.with_name("kept.html")
    kept.write_text(page_text.replace("  render({ model, el: host });", "  window.done = render({ model, el: host });"))
    watched = watch()
    page = watched.open(kept)
    page.click(".play")
    page.evaluate("window.done()")
    assert page.locator(".vmlkit-scrubber").count() == 0
    page.wait_for_timeout(700)
    assert watched.problems == []


def test_search_narrows_the_queries_and_keys_move_between_them(watch: Callable, page_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    page.fill(".find", "CYAN shakes")
    assert page.locator(".query option").count() == 1
    assert page.locator("canvas.stage").get_attribute("data-query") == "test/5"
    page.fill(".find", "cyan")
    assert page.locator(".query option").count() == 2
    page.click(".next")
    assert page.locator("canvas.stage").get_attribute("data-query") == "test/4"
    page.fill(".find", "no such words")
    assert page.get_attribute(".find", "aria-invalid") == "true"
    assert page.locator(".query option").count() == 6
    page.fill(".find", "")
    page.focus("input[type=range]")
    page.keyboard.press("n")
    assert page.locator("canvas.stage").get_attribute("data-query") != "test/4"
    page.keyboard.press("p")
    assert page.locator("canvas.stage").get_attribute("data-query") == "test/4"
    page.keyboard.press("Space")
    assert page.get_attribute(".play", "aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.get_attribute(".play", "aria-pressed") == "false"
    assert watched.problems == []


def test_curves_and_signals_are_chosen(watch: Callable, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", signals=True, windows=True)
    watched = watch()
    page = watched.open(save_html(run, tmp_path / "run.html"))
    assert page.inner_text(".choose.curves summary") == "curves: 3 of 8"
    assert page.inner_text(".choose.signals summary") == "signals: 1 of 2"
    tall = page.locator("canvas.panels").bounding_box()["height"]
    page.click(".choose.curves summary")
    page.check("input[value='loss/ranking']")
    page.check("input[value='lr/all']")
    assert page.inner_text(".choose.curves summary") == "curves: 5 of 8"
    assert page.locator("canvas.panels").bounding_box()["height"] > tall
    page.click(".choose.signals summary")
    before = pixels(page)
    page.check("input[value='attention']")
    assert pixels(page) != before
    for name in ("saliency", "attention"):
        page.uncheck(f"input[value='{name}']")
    assert page.inner_text(".choose.signals summary") == "signals: 0 of 2"
    assert watched.problems == []


def test_two_runs_move_together_by_share_of_training(watch: Callable, run_path: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", epochs=8, name="other", positives=2, negatives=0)
    watched = watch()
    page = watched.open(save_html(run_path, tmp_path / "two.html", compare=other, query="test/0"))
    stages = page.locator("canvas.stage")
    assert stages.count() == 2
    before = [stages.nth(i).screenshot() for i in range(2)]
    page.focus("input[type=range]")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert all(stages.nth(i).screenshot() != before[i] for i in range(2))
    # half of twelve epochs beside half of eight
    first, second = RunView(run_path).snapshot("test/0", 6).chosen_iou, RunView(other).snapshot("test/0", 4).chosen_iou
    label = page.inner_text(".label")
    assert label.startswith("50 % of the training · ")
    assert f"toy: IoU {first:.2f}" in label
    assert f"other: IoU {second:.2f}" in label
    assert [p.split(":")[0] for p in page.locator(".following").all_inner_texts()] == ["toy", "other"]
    page.keyboard.press("End")
    assert page.inner_text(".at") == "100 %"
    assert f"other: IoU {RunView(other).snapshot('test/0', 8).chosen_iou:.2f}" in page.inner_text(".label")
    page.select_option(".pick", label="positive 2")
    assert page.inner_text(".detail").count("positive 2") == 2
    assert watched.problems == []


def test_below_stands_whether_windows_follow_and_what_colours_mean(
    watch: Callable, page_path: Path, run_path: Path
) -> None:
    watched = watch()
    page = watched.open(page_path)
    assert page.inner_text(".following") == following(run_path, 0)
    page.focus("input[type=range]")
    page.keyboard.press("End")
    assert page.inner_text(".following") == following(run_path)
    legend = page.inner_text(".legend")
    assert f"easy {hardness_scale(RunView(run_path)).easy:.2f}" in legend
    assert "NLL(negative) − NLL(answer), nats per word" in legend
    assert "dotted while c < 0, dashed while c > 0" in legend
    assert watched.problems == []


def test_the_trail_shows_the_epochs_before(watch: Callable, page_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    plain = pixels(page)
    page.check(".trail")
    assert pixels(page) == plain, "nothing is before the first epoch"
    page.focus("input[type=range]")
    page.keyboard.press("ArrowRight")
    trailed = pixels(page)
    page.keyboard.press("t")
    assert not page.is_checked(".trail")
    assert pixels(page) != trailed
    assert watched.problems == []


def test_boxes_show_the_best_predictions_under_the_truth(watch: Callable, page_path: Path, run_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    stage = page.locator("canvas.stage")
    low = stage.bounding_box()["height"]
    assert "best predictions" not in stage.get_attribute("aria-label")
    page.check("input.boxes")
    assert stage.bounding_box()["height"] == low + 4 * 15, "a row for each of four positives"
    query = stage.get_attribute("data-query")
    for epoch in (0, 3):
        shot = RunView(run_path).snapshot(query, epoch)
        seconds = RunView(run_path).query(query)["duration_s"]
        told = stage.get_attribute("aria-label").partition("best predictions: ")[2].split("; ")
        order = np.argsort(shot.nll)
        numbers = [[float(n) for n in re.findall(r"\d+\.\d+", words)] for words in told]
        want = np.stack([*(shot.spans * seconds).T, shot.nll, shot.iou], axis=1)[order]
        assert np.isclose(numbers, want, rtol=0, atol=[0.06, 0.06, 0.006, 0.006]).all()
        page.focus("input[type=range]")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    assert not page.is_checked("input.boxes")
    assert stage.bounding_box()["height"] == low
    assert watched.problems == []


def test_frames_between_epochs_are_drawn_and_said_and_change_no_number(watch: Callable, page_path: Path) -> None:
    watched = watch()
    page = watched.open(page_path)
    assert "numbers are of recorded epochs only" in page.inner_text(".note")
    page.select_option(".speed", "1")
    label, draws = page.inner_text(".label"), number(page, "data-draws")
    page.click(".play")
    assert until(page, lambda: number(page, "data-draws") > draws + 4)
    assert (number(page, "data-epoch"), page.inner_text(".label")) == (0, label)
    page.click(".play")
    still = watch(reduced_motion="reduce")
    page = still.open(page_path)
    page.select_option(".speed", "1")
    before = number(page, "data-draws")
    page.click(".play")
    assert until(page, lambda: number(page, "data-epoch") == 1)
    assert number(page, "data-draws") - before <= 3, "who asks for less motion sees recorded epochs only"
    assert watched.problems == still.problems == []


def test_curves_have_round_values_beside_them(watch: Callable, page_path: Path) -> None:
    page = watch().open(page_path)
    panels = page.locator("canvas.panels")
    left = panels.evaluate(
        "c => [...c.getContext('2d').getImageData(60, 30, 2 * 40, 60).data].filter((v, i) => i % 4 === 3 && v).length"
    )
    assert left > 40, "ink left of the first panel"
