"""Pictures of a data set: every split its panel, every video its point, every prior its bars."""

import numpy as np
import pandas as pd
import pytest

from vmlkit.viz.data import draw_clock, draw_locations, draw_priors, draw_words


@pytest.fixture
def moments() -> pd.DataFrame:
    rows = [("train", 10.0, 1.0, 4.0, "a red ball falls")] * 7 + [("test", 20.0, 5.0, 20.0, "it stops")] * 3
    rows.append(("test", 0.0, 0.0, 1.0, "a video without length"))
    return pd.DataFrame(rows, columns=["split", "duration", "start", "end", "sentence"])


def test_each_split_has_a_panel_with_its_usable_moments(moments) -> None:
    fig = draw_locations(moments)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["train, 7 moments", "test, 3 moments"]
    for ax, count in zip(fig.axes, (7, 3), strict=True):
        assert sum(np.nansum(mesh.get_array()) for mesh in ax.collections) == count
    assert len(draw_locations(moments, splits=("train", "validation")).axes) == 1


def test_the_clock_is_a_line_through_the_videos() -> None:
    videos = pd.DataFrame({"split": ["train"] * 3, "duration": [10.0, 20.0, 30.0], "rows": [20, 40, np.nan]})
    ax = draw_clock(videos, 0.5).axes[0]
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[10, 20], [20, 40]]
    (line,) = [line for line in ax.lines if line.get_label() == "0.5 s a row"]
    assert (line.get_xdata()[1], line.get_ydata()[1]) == (20, 40)
    assert not [line for line in draw_clock(videos).axes[0].lines if len(line.get_xdata())]


def test_priors_have_a_bar_each_and_published_rows_a_mark() -> None:
    rows = [("test", "whole video", 80.0, 20.0, 3), ("test", "random", 50.0, 10.0, 3), ("val", "random", 1.0, 1.0, 3)]
    priors = pd.DataFrame(rows, columns=["split", "prior", "R@1,IoU=0.1", "R@1,IoU=0.5", "N"])
    ax = draw_priors(priors, published={"CNM": {"R@1,IoU=0.1": 78.13}}).axes[0]
    bars = sorted(patch.get_height() for patch in ax.patches if patch.get_width() and patch.get_height())
    assert bars == [10.0, 20.0, 50.0, 80.0]
    (mark,) = [line for line in ax.lines if line.get_label() == "CNM"]
    assert mark.get_ydata().tolist() == [78.13]


def test_words_are_counted_for_each_split(moments) -> None:
    ax = draw_words(moments).axes[0]
    assert ax.get_xlabel() == "words of a sentence"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "test"]
    low, high = ax.get_xlim()
    assert low < 2
    assert high > 4
