"""Panels of named lines: what is drawn, what is coloured, what is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from vmlkit.errors import DataError
from vmlkit.viz.panels import draw_panels
from vmlkit.viz.style import ROLES, SERIES

EPOCHS = pd.RangeIndex(5)
RISING, FALLING = pd.Series([0.0, 1, 2, 3, 4], EPOCHS), pd.Series([np.nan, 3, 2, 1, 0], EPOCHS)


def test_a_name_keeps_its_look_in_every_panel() -> None:
    figure = draw_panels({"one": {"up": RISING, "down": FALLING}, "two": {"down": FALLING}}, xlabel="x")
    one, two = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["one", "two"]
    assert one.get_xlabel() == "x"
    np.testing.assert_array_equal(one.lines[0].get_ydata(), RISING)
    np.testing.assert_array_equal(two.lines[0].get_xdata(), [1, 2, 3, 4])
    assert one.lines[2].get_color() == two.lines[0].get_color() == SERIES[1][0]
    assert {text.get_text() for text in one.texts} == {"up", "down"}


def test_names_beside_the_same_value_do_not_cover_each_other() -> None:
    lines = {f"line {i}": RISING + 0.01 * i for i in range(6)}
    figure = draw_panels({"t": lines})
    figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(a.y1 <= b.y0 + 1 for a, b in itertools.pairwise(boxes))
    assert all(box.x1 <= figure.bbox.width for box in boxes)


def test_ground_shows_the_sign_of_c() -> None:
    sign = pd.Series([np.nan, -0.5, -0.1, 0.0, 0.2], EPOCHS)
    figure = draw_panels({"t": {"up": RISING}}, sign=sign, zero=True)
    (ax,) = figure.axes
    colors = [to_hex(patch.get_facecolor()).upper() for patch in ax.patches]
    assert colors == [ROLES["easy_negative"].color] * 2 + [ROLES["hard_negative"].color]
    assert ax.get_ylim()[0] == 0


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(DataError, match="7 names"):
        draw_panels({"t": {f"line {i}": RISING for i in range(7)}})
    with pytest.raises(DataError, match="0 with 0 names"):
        draw_panels({})
