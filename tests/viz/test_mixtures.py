"""Mixtures over seconds: the sum is the sum of its parts, one component is a Gaussian, paths run downwards."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vmlkit.errors import DataError
from vmlkit.viz.mixtures import draw_mixture, draw_mixtures, draw_paths
from vmlkit.viz.shapes import gaussian
from vmlkit.viz.style import ROLES

FRAMES = np.zeros((6, 4, 4, 3), dtype=np.uint8)


def named(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def test_the_sum_is_drawn_as_high_as_it_is():
    _, ax = plt.subplots()
    draw_mixture(ax, 20.0, [0.25, 0.75], [0.2, 0.2], [0.75, 0.25], sigma=4)
    (total,) = named(ax, "mixture")
    seconds, height = total.get_data()
    assert len(named(ax, "component")) == 2
    assert seconds[-1] == 20
    assert height[seconds == 5.0] == pytest.approx(0.75)
    assert height[seconds == 15.0] == pytest.approx(0.25)
    assert np.isnan(height[seconds == 10.0]).all(), "where there is nothing, nothing is drawn"


def test_one_component_is_a_plain_gaussian():
    _, ax = plt.subplots()
    draw_mixture(ax, 1.0, [0.4], [0.3], [1.0], sigma=4)
    seconds, height = named(ax, "mixture")[0].get_data()
    shown = np.isfinite(height)
    assert not named(ax, "component")
    assert np.allclose(height[shown], gaussian(4)(0.4, 0.3, seconds)[shown])


def test_rows_share_the_seconds_and_carry_their_names():
    rows = {"one": [([0.5], [0.3], [1.0])], "two": [([0.2], [0.1], [1.0]), ([0.6, 0.8], [0.2, 0.2], [0.5, 0.5])]}
    figure = draw_mixtures(FRAMES, 30.0, (3.0, 9.0), rows, sigma=4, sentence="a dot moves")
    strip, first, second = figure.axes
    assert strip.get_title(loc="left") == "“a dot moves”"
    assert {t.get_text() for t in first.texts} >= {"one", "ground truth", "3.0–9.0 s"}
    assert "two" in {t.get_text() for t in second.texts}
    assert len(named(first, "mixture")) == 1
    assert len(named(second, "mixture")) == 2
    assert first.get_xlim() == second.get_xlim() == (0, 30)
    assert second.get_xlabel() == "time (s)" != first.get_xlabel()


def test_only_the_answer_of_a_row_is_bold_and_filled():
    three = [([c], [0.2], [1.0]) for c in (0.2, 0.5, 0.8)]
    figure = draw_mixtures(FRAMES, 30.0, None, {"best": three, "all": three}, sigma=4, chosen={"best": 1})
    _, best, every = figure.axes
    assert [line.get_color() == ROLES["chosen"].color for line in named(best, "mixture")] == [False, True, False]
    assert len(best.collections) == 1
    assert len(every.collections) == 3


def test_no_row_is_an_error():
    with pytest.raises(DataError, match="no row"):
        draw_mixtures(None, 30.0, None, {}, sigma=4)


def test_paths_run_downwards_in_seconds():
    centers = np.array([[0.2, 0.8], [0.4, 0.6], [0.5, 0.5]])
    figure = draw_paths({"pull": (centers, np.full((3, 2), 0.2))}, 40.0, sigma=4, every=10)
    (ax,) = figure.axes
    first, second = named(ax, "center")
    assert first.get_xdata() == pytest.approx([8, 16, 20])
    assert second.get_ydata() == pytest.approx([0, 10, 20])
    assert ax.get_ylim() == (20, 0)
    assert ax.get_title(loc="left") == "pull"


def test_paths_of_unequal_shapes_are_an_error():
    with pytest.raises(DataError, match="disagree"):
        draw_paths({"pull": (np.zeros((3, 2)), np.zeros((3, 1)))}, 40.0, sigma=4)
