"""The playgrounds: the browser's numbers are the package's, in a page without a kernel and as widgets."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vmlkit import spans as sp
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import weighted_attention
from vmlkit.reconstruction.gaussian import peak_gaussian
from vmlkit.reconstruction.lnp import dual_sign
from vmlkit.reconstruction.report import sign_change
from vmlkit.viz.playgrounds import LivePage, gaussian_playground, overlap_playground, schedule_playground

MAKERS = (gaussian_playground, schedule_playground, overlap_playground)


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", text.replace("−", "-"))]


def press(page: Any, dial: str, key: str, times: int = 1) -> None:
    page.focus(f"input.{dial}")
    for _ in range(times):
        page.keyboard.press(key)


@pytest.mark.browser
def test_the_gaussian_and_both_forms_of_attention_are_ours(watch: Callable, tmp_path: Path) -> None:
    widget = gaussian_playground(0.3, 0.4, 4.0, cells=16, queries=5, seed=3)
    watched = watch()
    page = watched.open(widget.save_html(tmp_path / "g.html"))

    def expected(center: float, width: float, sigma: float) -> list[float]:
        mask = peak_gaussian(torch.tensor(center), torch.tensor(width), 16, sigma=sigma)
        scores = torch.tensor(widget.scores)
        # one query per row whose score with key j is the given number
        q, k = scores[None, None, None] * 16**0.5, torch.eye(16)[None, None, None]
        maps = [weighted_attention(q, k, k, weight=mask[None, None], form=f)[1][0, 0, 0] for f in ("prob", "logit")]
        return [float(np.exp(-0.5 * (sigma / 2) ** 2)), *(float(m[:, mask < 0.01].sum(-1).mean()) for m in maps)]

    def said() -> list[float]:
        found = numbers(page.inner_text(".label"))
        return [found[0], *found[2:]]

    assert said() == pytest.approx(expected(0.3, 0.4, 4.0), abs=6e-4)
    press(page, "center", "ArrowRight", 20)
    press(page, "width", "ArrowLeft", 10)
    press(page, "sigma", "ArrowRight", 2)
    assert said() == pytest.approx(expected(0.5, 0.3, 5.0), abs=6e-4)
    press(page, "width", "Home")
    assert said() == pytest.approx(expected(0.5, 0.02, 5.0), abs=6e-4)
    assert watched.problems == []


@pytest.mark.browser
def test_the_schedule_is_ours(watch: Callable, tmp_path: Path) -> None:
    watched = watch()
    page = watched.open(schedule_playground(0.5, 0.8, epochs=30).save_html(tmp_path / "s.html"))
    for alpha, dial, key, times in ((0.5, "alpha", "ArrowRight", 0), (1.0, "alpha", "ArrowRight", 5)):
        press(page, dial, key, times)
        first = next(e for e in range(1, 31) if dual_sign(e, 30, alpha, 0.8) > 1e-9)
        c, turn = [dual_sign(e, 30, alpha, 0.8) for e in (1, 30)], sign_change(alpha, 0.8)
        assert numbers(page.inner_text(".label")) == pytest.approx([1, c[0], turn, first, 30, c[1]], abs=6e-4)
    press(page, "alpha", "Home")
    assert "c keeps its sign, first above it in epoch 1" in page.inner_text(".label")
    press(page, "beta", "End")
    assert "never above it" in page.inner_text(".label")
    assert watched.problems == []


@pytest.mark.browser
def test_iou_and_ion_are_ours_also_when_dragged(watch: Callable, tmp_path: Path) -> None:
    watched = watch()
    page = watched.open(overlap_playground().save_html(tmp_path / "o.html"))

    def check() -> None:
        g, p, n = (
            np.array([float(page.locator(f"input.{name}_{edge}").input_value()) for edge in ("start", "end")])
            for name in ("truth", "positive", "negative")
        )
        found = numbers(page.inner_text(".label"))
        assert found[2] == pytest.approx(float(sp.iou(p, g)), abs=6e-3)
        assert found[5] == pytest.approx(float(sp.ion(p, n, g)), abs=6e-3)

    check()
    box = page.locator("canvas.stage").bounding_box()
    left, inner = box["x"] + 120, box["width"] - 140

    def drag(lane: int, start: float, end: float) -> None:
        y = box["y"] + 24 + 38 * lane
        page.mouse.move(left + inner * start, y)
        page.mouse.down()
        page.mouse.move(left + inner * end, y, steps=5)
        page.mouse.up()

    drag(1, 0.4, 0.6)  # the positive, by its middle
    assert page.locator("input.positive_start").input_value() == "0.45"
    assert page.locator("input.positive_end").input_value() == "0.8"
    check()
    drag(2, 0.45, 0.95)  # the negative, by its end: it now spans truth and positive
    assert page.locator("input.negative_end").input_value() == "0.95"
    check()
    press(page, "positive_end", "Home")  # an end that passes the start takes it along
    check()
    assert watched.problems == []


@pytest.mark.parametrize("maker", MAKERS, ids=lambda m: m.__name__)
def test_widgets_carry_a_twin_with_their_state(maker: Callable, tmp_path: Path) -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
    widget = maker()
    data, _ = widget._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert "<img" in data["text/html"]
    assert "render({ model, el: host })" in data["text/html"]
    page = widget.save_html(tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//cdn|@import|url\(", page)


def test_values_from_python_reach_the_page() -> None:
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
    widget = schedule_playground()
    widget.alpha = 2.0
    assert '"alpha": 2.0' in widget._repr_mimebundle_()[0]["text/html"]
    assert "alpha 2" in repr(widget)


def test_without_anywidget_a_page_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "anywidget" else find(n, *a))
    for maker in MAKERS:
        page = maker()
        assert isinstance(page, LivePage)
        assert "<script" in page._repr_mimebundle_()["text/html"]


def test_values_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="center"):
        gaussian_playground(center=1.5)
    with pytest.raises(ConfigError, match="positive"):
        gaussian_playground(sigma=0)
    with pytest.raises(ConfigError, match="schedule"):
        schedule_playground(alpha=-1)
    with pytest.raises(ConfigError, match="the negative"):
        overlap_playground(negative=(0.6, 0.4))
