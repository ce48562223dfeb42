"""Curves over epochs, comparisons, baselines and attention maps."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.viz.make_run import write_run
from tests.viz.test_snapshots import Altered
from vmlkit.errors import DataError
from vmlkit.viz import style
from vmlkit.viz.curves import compare_runs, draw_attention, draw_curves
from vmlkit.viz.snapshots import RunView


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    return [write_run(folder / str(s), seed=s, queries=3) for s in (1, 2)]


def test_a_panel_holds_its_column(run_path: Path) -> None:
    fig = draw_curves(run_path, ["loss/total", "metric/R@1,mIoU"])
    epochs = RunView(run_path).epochs
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["loss: total", "R@1,mIoU"]
    for ax, column in zip(fig.axes, ("loss/total", "metric/R@1,mIoU"), strict=True):
        x, y = ax.lines[0].get_data()
        kept = epochs[["epoch", column]].dropna()
        np.testing.assert_array_equal(x, kept["epoch"])
        np.testing.assert_allclose(y, kept[column])
        assert ax.get_xlabel() == "epoch"
        assert ax.texts[0].get_text() == f"{kept[column].iloc[-1]:.3g}"


def test_without_columns_losses_metrics_and_schedules_are_drawn(run_path: Path) -> None:
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in draw_curves(run_path).axes]
    assert titles == [
        "loss: reconstruction",
        "loss: ranking",
        "loss: total",
        "R@1,mIoU",
        "R@1,IoU=0.5",
        "curriculum: c",
    ]


def test_an_unknown_column_names_those_there_are(run_path: Path) -> None:
    with pytest.raises(DataError, match="has no column 'loss/tottal'; choose from loss/reconstruction"):
        draw_curves(run_path, ["loss/tottal"])


def test_runs_are_named_at_their_ends_and_told_apart(run_path: Path, seeds: list[Path]) -> None:
    style.use_style()
    fig = compare_runs({"CPL": run_path, "LNP": seeds[0], "CNM": seeds[1]}, ["metric/R@1,mIoU"])
    (ax,) = fig.axes
    assert [t.get_text().split("  ")[0] for t in ax.texts] == ["CPL", "LNP", "CNM"]
    full = [line for line in ax.lines if len(line.get_xdata()) > 2]
    assert len({line.get_color() for line in full}) == 3
    assert len({str(line.get_linestyle()) + str(line.is_dashed()) for line in full}) >= 2
    fig.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert max(b.x1 for b in boxes) <= fig.bbox.width


def test_seeds_are_thin_and_their_mean_is_bold(seeds: list[Path]) -> None:
    (ax,) = compare_runs({"CPL": seeds}, ["metric/R@1,mIoU"]).axes
    full = [line for line in ax.lines if len(line.get_xdata()) > 2]
    bold = max(full, key=lambda line: line.get_linewidth())
    thin = [line for line in full if line is not bold]
    assert len(thin) == 2
    np.testing.assert_allclose(bold.get_ydata(), np.mean([line.get_ydata() for line in thin], axis=0))


def test_runs_of_unlike_length_stand_over_the_share_of_training(run_path: Path, tmp_path: Path) -> None:
    short = write_run(tmp_path / "short", epochs=6)
    (ax,) = compare_runs({"long": run_path, "short": short}, ["curriculum/c"]).axes
    long, other = [line for line in ax.lines if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(long.get_xdata(), 100 * np.arange(13) / 12)
    np.testing.assert_allclose(other.get_xdata(), 100 * np.arange(7) / 6)
    assert ax.get_xlabel() == "% of training"


def test_how_far_negatives_are_is_drawn_where_it_was_recorded(run_path: Path) -> None:
    epochs = RunView(run_path).epochs.assign(**{"dependence/negative NLL gap": 0.1})
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in draw_curves(Altered(run_path, epochs=epochs)).axes]
    assert "NLL(negative) − NLL(answer)" in titles


def test_too_many_runs_are_refused(run_path: Path) -> None:
    with pytest.raises(DataError, match="compare at most 6"):
        compare_runs({str(i): run_path for i in range(7)})


def test_attention_is_drawn_in_seconds_with_words_beside() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(20), size=3)
    _, ax = plt.subplots()
    draw_attention(ax, weights, row_labels=["red", "ring", "spins"], duration_s=30.0, title="mask on logits", vmax=0.5)
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), weights)
    assert list(image.get_extent()) == [0, 30.0, 3, 0]
    assert image.get_clim() == (0, 0.5)
    assert ax.get_xlabel() == "time (s)"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["red", "ring", "spins"]
    assert len(ax.figure.axes) == 2, "the map and its scale"


def test_attention_without_labels_counts_positions() -> None:
    _, ax = plt.subplots()
    draw_attention(ax, np.eye(4), colorbar=False)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key position", "query position")
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize(("weights", "labels"), [(np.ones(3), None), (np.ones((2, 3)), ["a"])])
def test_attention_refuses_what_is_no_map(weights: np.ndarray, labels: list[str] | None) -> None:
    _, ax = plt.subplots()
    with pytest.raises(DataError, match="attention map"):
        draw_attention(ax, weights, row_labels=labels)
