"""Drawing a moment by hand: the browser's numbers are the package's."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vmlkit import spans as sp
from vmlkit.errors import ConfigError
from vmlkit.viz.moment_playground import moment_playground

FRAMES = np.random.default_rng(0).integers(0, 255, (8, 24, 24, 3), dtype=np.uint8)


def test_a_moment_outside_the_video_is_refused() -> None:
    with pytest.raises(ConfigError, match="the moment 'truth' must be a start and an end within 0 and 60 s"):
        moment_playground(FRAMES, 60, "x", (10, 70), (0, 5))


@pytest.mark.browser
def test_a_drawn_moment_has_the_iou_and_ion_of_the_package(watch: Callable, tmp_path: Path) -> None:
    widget = moment_playground(FRAMES, 60, "the </script> star", (20, 32), (16, 30))
    watched = watch()
    page = watched.open(widget.save_html(tmp_path / "moment.html"))
    assert page.inner_text(".vmlkit-moment p >> nth=0") == "“the </script> star”"
    box = page.locator("canvas.stage").bounding_box()
    left, inner = 96, box["width"] - 108
    x = [box["x"] + left + inner * s / 60 for s in (45, 15)]
    page.mouse.move(x[0], box["y"] + 70)
    page.mouse.down()
    page.mouse.move(x[1], box["y"] + 70, steps=6)
    page.mouse.up()
    said = page.inner_text(".label")
    start, end, iou, ion = (float(n) for n in re.findall(r"\d+\.\d+", said))
    assert (start, end) == pytest.approx((20, 40), abs=6), "the moment that was there is moved"
    yours, truth, answer = np.array([[start, end]]), np.array([[20.0, 32]]), np.array([[16.0, 30]])
    assert iou == pytest.approx(float(sp.hull_iou(yours, truth)[0]), abs=0.006)
    assert ion == pytest.approx(float(sp.ion(answer, yours, truth)[0]), abs=0.006)
    page.focus("input.yours_start")
    page.keyboard.press("Home")
    assert page.inner_text(".label").startswith("yours: 0.0–")
    assert watched.problems == []
