"""Negatives on the CE curve: the browser's rule is the package's, by mouse and by keys, in every width and theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmlkit.errors import ConfigError
from vmlkit.reconstruction.free_negatives import overlaps, roll, turn_of
from vmlkit.viz.uphill import uphill_playground

EPOCHS, WIDTHS = 30, (0.15, 0.25, 0.4)


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Four sentences with hilly curves, and two networks that recorded other epochs than the clock has."""
    rng = np.random.default_rng(4)
    places = np.linspace(0, 1, 41)
    waves = [np.sin(2 * np.pi * (k * places + rng.random((4, 3, 1)))) for k in (0.7, 1.5, 3.0)]
    curves = 2.5 + 0.2 * sum(waves).round(3)
    truth = np.array([[0.1, 0.4], [0.5, 0.9], [0.3, 0.5], [0.0, 0.2]])

    def network(name: str, epochs: int) -> dict[str, Any]:
        return {
            "name": name,
            "epochs": list(range(epochs + 1)),
            "turn": 0.6,
            "ce": curves.tolist(),
            "answer": np.stack([truth.mean(axis=1), np.full(4, 0.2), np.full(4, 2.3)], axis=1).tolist(),
            "centers": rng.random((4, epochs + 1, 3)).round(3).tolist(),
            "widths": rng.uniform(0.1, 0.5, (4, epochs + 1, 3)).round(3).tolist(),
        }

    words = (
        "the red circle slides",
        "a square </script> bounces",
        "a ring spins",
        "the cross shakes from side to side",
    )
    return {
        "epochs": EPOCHS,
        "start": [0.2, 0.5, 0.8],
        "rule": {"steps": 4, "rate": 0.02, "memory": 0.9},
        "widths": list(WIDTHS),
        "alpha": 0.5,
        "beta": 0.8,
        "margin": 0.15,
        "behaving": [3, 4],
        "sentences": [
            {"id": f"q{i}", "video": f"v{i}", "sentence": s, "duration": 25.0, "truth": t, "behaves": i < 3}
            for i, (s, t) in enumerate(zip(words, truth.tolist(), strict=True))
        ],
        "path": roll(curves[:, 1]).round(3).tolist(),
        "networks": [network("follows its sentence", 10), network("paper's design", 5)],
    }  # fmt: skip


def strips(record: dict[str, Any]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {s["video"]: rng.integers(0, 255, (12, 16, 16, 3)).astype(np.uint8) for s in record["sentences"]}


def said(page: Any, picture: str) -> dict[str, np.ndarray]:
    data = page.eval_on_selector(f"canvas.{picture}", "node => ({...node.dataset})")
    return {name: np.array(data[name].split(), dtype=float) for name in ("centers", "own", "others")}


def press(page: Any, dial: str, key: str, times: int = 1) -> None:
    page.focus(f"input.{dial}")
    for _ in range(times):
        page.keyboard.press(key)


def play_past(page: Any, epoch: int) -> int:
    """Wait until the film is past an epoch; where it is then."""
    for _ in range(400):
        if (at := int(page.input_value("input.epoch"))) > epoch:
            return at
        page.wait_for_timeout(50)
    raise AssertionError(f"the film stays at epoch {at}")


@pytest.mark.browser
def test_the_browser_rolls_as_python_does(watch: Callable, tmp_path: Path, record: dict[str, Any]) -> None:
    watched = watch()
    page = watched.open(uphill_playground(record, strips(record)).save_html(tmp_path / "u.html"))
    truth = np.array([s["truth"] for s in record["sentences"]])
    curves = np.array(record["networks"][0]["ce"])

    def check(sentence: int, width: int, alpha: float, beta: float, epoch: int) -> None:
        path = roll(curves[:, width], alpha, beta, EPOCHS)
        own, others = overlaps(path, WIDTHS[width], truth)
        found = said(page, "free")
        np.testing.assert_allclose(found["centers"], path[epoch, sentence], atol=2e-6)
        assert found["own"] == pytest.approx(own[epoch, sentence], abs=2e-6)
        assert found["others"] == pytest.approx(others[epoch, sentence], abs=2e-6)
        turn = turn_of(EPOCHS, alpha, beta)
        means = [" → ".join(f"{rows[e].mean():.2f}" for e in (0, turn, EPOCHS)) for rows in (own, others)]
        row = page.locator(".readout tbody tr", has_text="free, all")
        assert [row.locator("td").nth(i).inner_text() for i in (0, 1)] == means

    check(0, 1, 0.5, 0.8, 30)
    press(page, "epoch", "ArrowLeft", 17)
    check(0, 1, 0.5, 0.8, 13)
    page.select_option("select.query", "3")
    check(3, 1, 0.5, 0.8, 13)
    press(page, "width", "ArrowRight")
    press(page, "alpha", "ArrowRight", 15)
    press(page, "beta", "ArrowLeft", 6)
    check(3, 2, 2.0, 0.5, 13)
    assert watched.problems == []


@pytest.mark.browser
def test_the_network_is_shown_by_share_of_its_training(watch: Callable, tmp_path: Path, record: dict[str, Any]) -> None:
    watched = watch()
    page = watched.open(uphill_playground(record, epoch=15).save_html(tmp_path / "u.html"))
    centers = np.array(record["networks"][0]["centers"])[0]
    np.testing.assert_allclose(said(page, "network")["centers"], centers[5], atol=2e-6)
    page.select_option("select.network", "1")
    centers = np.array(record["networks"][1]["centers"])[0]
    np.testing.assert_allclose(said(page, "network")["centers"], centers[2:4].mean(axis=0), atol=2e-6)
    assert watched.problems == []


@pytest.mark.browser
def test_it_plays_by_mouse_and_by_keys(watch: Callable, tmp_path: Path, record: dict[str, Any]) -> None:
    watched = watch()
    page = watched.open(uphill_playground(record, strips(record)).save_html(tmp_path / "u.html"))
    page.click("button.play")  # at the end: it starts again
    play_past(page, 2)
    page.click("button.play")
    assert page.get_attribute("button.play", "aria-pressed") == "false"
    stopped = page.input_value("input.epoch")
    assert f"epoch {stopped} of 30 · c = −0." in page.inner_text(".label")
    page.focus("input.epoch")
    page.keyboard.press("Space")
    play_past(page, int(stopped))
    page.keyboard.press("Space")
    page.keyboard.press("Home")
    assert said(page, "free")["centers"].tolist() == record["start"]
    box = page.locator("input.margin").bounding_box()
    before = page.inner_text(".readout tbody tr:first-child td:last-child")
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert page.inner_text(".readout tbody tr:first-child td:last-child") >= before
    assert page.locator("optgroup").evaluate_all("groups => groups.map(g => g.children.length)") == [3, 1]
    assert "failure: " in page.locator("optgroup").nth(1).inner_text()
    assert watched.problems == []
    assert all(r.startswith(("file:", "data:")) for r in watched.requests)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(314, "light"), (390, "light"), (1040, "dark")])
def test_nothing_is_cut_in_a_narrow_or_dark_page(
    watch: Callable, tmp_path: Path, record: dict[str, Any], width: int, scheme: str
) -> None:
    watched = watch(color_scheme=scheme)
    page = watched.open(uphill_playground(record, strips(record)).save_html(tmp_path / "u.html"))
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(600)  # the picture is drawn again once the page has its new width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_attribute(".vmlkit-live", "data-theme") == scheme
    cut = "nodes => nodes.filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.textContent)"
    assert page.locator(".readout th, .readout td, .label, .dial span").evaluate_all(cut) == []
    assert watched.problems == []


def test_what_the_record_lacks_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="sentences 0 to 3, not 4"):
        uphill_playground(record, sentence=4)
    with pytest.raises(ConfigError, match="epochs 0 to 30, not 31"):
        uphill_playground(record, epoch=31)


def test_it_carries_a_twin_and_works_without_strips(record: dict[str, Any]) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
    widget = uphill_playground(record, {"v0": np.zeros(9)})
    page = widget._repr_mimebundle_()[0]["text/html"]
    assert "<img" in page
    assert "</script> bounces" not in page
    assert [s["strip"] for s in widget.record["sentences"]] == [None] * 4
    assert "Negatives on the CE curve" in repr(widget)
