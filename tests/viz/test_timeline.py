"""Film strips and timelines: the right things at the right seconds, told apart by place, line and words."""

import itertools
from dataclasses import astuple
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from vmlkit.errors import DataError
from vmlkit.viz import style
from vmlkit.viz.filmstrip import draw_film_strip, draw_heat_strip, draw_strip
from vmlkit.viz.snapshots import INTERVAL, RunView
from vmlkit.viz.timeline import draw_epochs, draw_timeline, gaussian

FRAMES = np.arange(8 * 6 * 6 * 3, dtype=np.uint8).reshape(8, 6, 6, 3)
POSITIVES = np.array([[0.3, 0.2], [0.6, 0.2]])
NEGATIVES = np.array([[0.1, 0.1], [0.9, 0.1]])


def lines(ax, role: str) -> list:
    return [line for line in ax.lines if line.get_label() == style.ROLES[role].label]


def words(ax) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_each_picture_stands_at_its_time() -> None:
    _, ax = plt.subplots(figsize=(8, 1))
    draw_film_strip(ax, FRAMES, 16.0)
    centers = [np.mean(image.get_extent()[:2]) for image in ax.images]
    assert centers == pytest.approx([1, 3, 5, 7, 9, 11, 13, 15])
    assert ax.get_xlim() == (0, 16)
    np.testing.assert_array_equal(ax.images[3].get_array(), FRAMES[3])


def test_pictures_keep_their_proportions_and_do_not_overlap() -> None:
    for size in ((8, 1), (4, 1), (3, 1.5)):
        fig, ax = plt.subplots(figsize=size)
        draw_film_strip(ax, FRAMES, 16.0)
        fig.canvas.draw()
        boxes = [image.get_window_extent() for image in ax.images]
        assert all(box.width == pytest.approx(box.height, rel=0.02) for box in boxes)
        assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))


def test_a_low_axis_shows_every_second_picture_at_its_own_time() -> None:
    _, ax = plt.subplots(figsize=(4, 1))
    draw_film_strip(ax, FRAMES, 16.0)
    first, *others = [image.get_extent()[:2] for image in ax.images]
    assert 0 < len(others) < 7
    assert {np.mean(edges) for edges in others} <= {3, 5, 7, 9, 11, 13, 15}
    assert first[0] >= 0, "the first is cut off"
    assert 1 <= np.mean(first) < 2, "the first moves inwards by less than half a clip"


def test_a_trace_becomes_a_heat_map_over_seconds() -> None:
    _, ax = plt.subplots()
    draw_heat_strip(ax, np.linspace(0, 1, 64, dtype=np.float16), 31.5)
    assert ax.images[0].get_array().shape == (1, 64)
    assert ax.images[0].get_extent()[:2] == [0, 31.5]
    assert words(ax) == ["features"]


def test_strips_of_other_shapes_are_refused() -> None:
    _, ax = plt.subplots()
    with pytest.raises(DataError, match=r"has shape \(3, 4\)"):
        draw_strip(ax, np.zeros((3, 4)), 10.0)
    assert not draw_strip(ax, None, 10.0).images


def test_gaussians_follow_their_formula() -> None:
    t = np.linspace(0, 1, 11)
    np.testing.assert_allclose(gaussian(9)(0.4, 0.3, t), np.exp(-((t - 0.4) ** 2) / (2 * (0.3 / 9) ** 2)))
    np.testing.assert_allclose(gaussian(2**0.5)(0.4, 0.3, t), np.exp(-((t - 0.4) ** 2) / 0.3**2), atol=1e-12)
    np.testing.assert_allclose(gaussian(2, floor=0.1)(0.5, 0.0, t), gaussian(2)(0.5, 0.1, t))


def test_curves_peak_at_their_seconds_up_for_positives_down_for_negatives() -> None:
    ax = draw_timeline(None, FRAMES, 20.0, (4.0, 8.0), POSITIVES, NEGATIVES, chosen=1).lanes
    (chosen,), (other,) = lines(ax, "chosen"), lines(ax, "positive")
    for line, center in ((chosen, 12.0), (other, 6.0)):
        x, y = line.get_data()
        assert x[np.nanargmax(y)] == pytest.approx(center)
        assert np.nanmax(y) == pytest.approx(1)
    dips = [line.get_data() for line in lines(ax, "hard_negative")]
    assert [x[np.nanargmin(y)] for x, y in dips] == pytest.approx([2.0, 18.0])
    assert all(np.nanmax(y) <= 0 for _, y in dips)
    assert chosen.get_linewidth() > other.get_linewidth()
    assert all(line.is_dashed() for line in lines(ax, "hard_negative"))


def test_the_ground_truth_is_a_band_over_its_seconds() -> None:
    ax = draw_timeline(None, FRAMES, 20.0, (4.0, 8.5), POSITIVES).lanes
    bands = [c for c in ax.collections if c.get_label() == "ground truth"]
    assert len(bands) == 1
    x = bands[0].get_paths()[0].vertices[:, 0]
    assert (x.min(), x.max()) == (4.0, 8.5)
    assert {"ground truth", "4.0–8.5 s"} <= set(words(ax))
    assert not draw_timeline(None, FRAMES, 20.0, None, POSITIVES).lanes.texts[0].get_text().startswith("ground")


def test_everything_is_named_where_it_stands() -> None:
    axes = draw_timeline(
        None,
        FRAMES,
        20.0,
        (4.0, 8.0),
        POSITIVES,
        NEGATIVES,
        iou=0.625,
        weights=[0.75, 0.25],
        sentence="a red ring spins",
    )
    names = {"ground truth", "positives", "answer", "hard negatives", "IoU 0.62", "0.75", "0.25"}
    assert names <= set(words(axes.lanes))
    assert axes.lanes.get_xlabel() == "time (s)"
    assert axes.lanes.get_xlim() == axes.strip.get_xlim() == (0, 20)
    assert axes.strip.get_title(loc="left") == "“a red ring spins”"
    assert isinstance(axes.figure, Figure)


def test_one_positive_needs_no_name_but_answer() -> None:
    ax = draw_timeline(None, FRAMES, 20.0, None, POSITIVES[:1]).lanes
    assert words(ax) == ["answer", ""]


def test_the_answer_is_the_predicted_span_not_the_width_of_a_mixture() -> None:
    def bar(**arguments) -> tuple[float, float]:
        ax = draw_timeline(None, None, 20.0, None, POSITIVES, **arguments).lanes
        return tuple(next(line for line in ax.lines if line.get_label() == "predicted span").get_xdata())

    assert bar() == pytest.approx((4.0, 8.0))
    assert bar(answer_s=(3.0, 11.0)) == (3.0, 11.0)


def test_two_kinds_of_negatives_are_told_apart() -> None:
    ax = draw_timeline(
        None, FRAMES, 20.0, None, POSITIVES, NEGATIVES, negative_roles=["easy_negative", "hard_negative"]
    ).lanes
    assert len(lines(ax, "easy_negative")) == len(lines(ax, "hard_negative")) == 1
    assert {"easy negatives", "hard negatives"} <= set(words(ax))


def test_a_given_curve_is_drawn() -> None:
    def box(center: float, width: float, t: np.ndarray) -> np.ndarray:
        return (abs(t - center) <= width / 2).astype(float)

    ax = draw_timeline(None, None, 10.0, None, POSITIVES, NEGATIVES, curve=box).lanes
    x, y = lines(ax, "chosen")[0].get_data()
    seen = x[np.isfinite(y)]
    assert (seen.min(), seen.max()) == pytest.approx((2.0, 4.0), abs=0.03)


def test_no_two_words_overlap() -> None:
    style.use_style()
    close = np.array([[0.5, 0.1], [0.51, 0.1], [0.52, 0.1]])
    axes = draw_timeline(
        None, FRAMES, 20.0, (4.0, 8.0), POSITIVES, close, iou=0.5, weights=[0.3, 0.3, 0.4], sentence="a red ring spins"
    )
    figure = axes.figure
    figure.canvas.draw()
    texts = [t for t in (*axes.lanes.texts, *axes.lanes.get_xticklabels(), axes.lanes.xaxis.label) if t.get_text()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    hits = [(a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[i + 1 :] if x.overlaps(y)]
    assert hits == []
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for _, box in boxes)


def test_a_timeline_fits_into_an_axis_of_the_caller() -> None:
    fig, axes = plt.subplots(1, 2, figsize=(12, 3))
    place = axes[1].get_position()
    drawn = draw_timeline(axes[1], FRAMES, 20.0, (4.0, 8.0), POSITIVES)
    assert not axes[1].axison
    for ax in drawn:
        box = ax.get_position()
        assert place.x0 < box.x0 < box.x1 < place.x1
        assert place.y0 < box.y0 < box.y1 < place.y1
    assert drawn.figure is fig


def test_epochs_stand_in_rows_over_the_same_seconds(run_path: Path) -> None:
    fig = draw_epochs(run_path, "test/0", (0, 1, 3, -1))
    strip, *rows, _ = fig.axes  # the last is the scale of colours
    assert len(rows) == 4
    assert len({ax.get_xlim() for ax in (strip, *rows)}) == 1
    assert len({round(ax.get_position().x0, 6) for ax in (strip, *rows)}) == 1
    named = [next(t.get_text() for t in ax.texts if t.get_gid() == "epoch") for ax in rows]
    assert named == ["before training", "epoch 1", "epoch 3", "epoch 12"]
    assert [ax.get_xlabel() for ax in rows] == ["", "", "", "time (s)"]
    assert len(strip.images) == 14
    view = RunView(run_path)
    for ax, epoch in zip(rows, (0, 1, 3, 12), strict=True):
        assert f"IoU {view.snapshot('test/0', epoch).chosen_iou:.2f}" in words(ax)
    assert "negatives, c < 0" in words(rows[0])
    assert "negatives, c > 0" in words(rows[-1])


def test_epochs_of_feature_only_data_show_the_trace(heat_path: Path) -> None:
    fig = draw_epochs(heat_path, "test/0", (0, -1))
    assert fig.axes[0].images[0].get_array().shape == (1, 64)


def test_an_unrecorded_query_is_refused(run_path: Path) -> None:
    with pytest.raises(DataError, match="was not recorded"):
        draw_epochs(run_path, "test/99")


def test_figures_are_not_left_open_in_pyplot(run_path: Path) -> None:
    before = plt.get_fignums()
    draw_epochs(run_path, "test/0", (0,))
    draw_timeline(None, FRAMES, 20.0, None, POSITIVES)
    assert plt.get_fignums() == before


def test_several_true_windows_are_several_bands() -> None:
    axes = draw_timeline(None, None, 20.0, [(2.0, 5.0), (11.0, 14.0)], [(0.2, 0.1)])
    bands = [c for c in axes.lanes.collections if c.get_label() == "ground truth"]
    assert [tuple(b.get_paths()[0].get_extents().intervalx) for b in bands] == [(2.0, 5.0), (11.0, 14.0)]
    assert "2 windows" in [t.get_text() for t in axes.lanes.texts]


def test_an_interval_is_drawn_as_wide_as_it_is() -> None:
    curve = gaussian(*astuple(INTERVAL))
    height = curve(0.5, 0.2, np.array([0.35, 0.4, 0.42, 0.5, 0.6, 0.65]))
    assert height[[0, 5]].max() < 0.02
    assert height[[1, 4]] == pytest.approx(np.exp(-0.5))
    assert height[2:4].min() > 0.9
