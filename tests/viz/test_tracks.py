"""Time by epoch: what was recorded stands at its second and its epoch, and nothing else is claimed."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from tests.viz.make_run import write_run
from vmlkit.errors import DataError
from vmlkit.viz.hardness import hardness_scale
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.style import ROLES
from vmlkit.viz.tracks import draw_tracks


def test_centers_and_bands_stand_at_their_seconds_and_epochs(run_path: Path) -> None:
    view = RunView(run_path)
    duration = view.query("test/1")["duration_s"]
    shots = [view.snapshot("test/1", e) for e in view.recorded_epochs]
    _, positives, negatives, *_ = draw_tracks(view, "test/1").axes
    lines = [line for line in positives.lines if line.get_label() == ROLES["positive"].label]
    assert len(lines) == 4
    for p, line in enumerate(lines):
        np.testing.assert_allclose(line.get_xdata(), [duration * s.positives[p, 0] for s in shots])
        assert list(line.get_ydata()) == view.recorded_epochs
    (dots,) = [line for line in positives.lines if line.get_label() == ROLES["chosen"].label]
    np.testing.assert_allclose(dots.get_xdata(), [duration * s.positives[s.chosen, 0] for s in shots])
    band = positives.collections[0].get_paths()[0].vertices
    center, width = shots[5].positives[0]
    inside = band[band[:, 1] == 5][:, 0]
    assert inside.max() == pytest.approx(min(center + width / 4, 1) * duration, rel=1e-5), "sigma is 4 in this run"
    low, high = negatives.get_ylim()
    assert low > high, "epochs run downwards"
    assert negatives.get_xlim() == (0, duration)


def test_the_truth_is_shaded_and_negatives_have_their_measured_colour(run_path: Path) -> None:
    view = RunView(run_path)
    _, positives, negatives, *_ = draw_tracks(view, "test/1").axes
    ((start, end),) = view.truths("test/1")
    for ax in (positives, negatives):
        (shade,) = [p for p in ax.patches if p.get_label() == ROLES["truth"].label]
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((start, end))
    tracks = [c for c in negatives.collections if isinstance(c, LineCollection)]
    scale = hardness_scale(view)
    assert len(tracks) == 3
    for m, track in enumerate(tracks):
        wanted = [scale.colors(view.snapshot("test/1", e))[m].lower() for e in view.recorded_epochs[1:]]
        assert [to_hex(c) for c in track.get_colors()] == wanted


def test_a_line_marks_where_c_changes_its_sign(run_path: Path) -> None:
    view = RunView(run_path)
    negatives = draw_tracks(view, "test/0").axes[2]
    (turn,) = [line.get_ydata()[0] for line in negatives.lines if line.get_label() == "c = 0"]
    assert view.clock(int(turn)) < 0 < view.clock(int(turn) + 1)
    assert [t.get_text() for t in negatives.texts] == ["c < 0", "c > 0"]


def test_a_change_of_the_answer_is_no_movement(run_path: Path) -> None:
    view = RunView(run_path)
    chosen = [view.snapshot("test/4", e).chosen for e in view.recorded_epochs]
    kept = sum(a == b for a, b in itertools.pairwise(chosen))
    assert 0 < kept < len(chosen) - 1
    bold = [line for line in draw_tracks(view, "test/4").axes[1].lines if line.get_linewidth() == ROLES["chosen"].width]
    assert len(bold) == kept


def test_a_run_without_negatives_has_one_picture(tmp_path: Path) -> None:
    figure = draw_tracks(write_run(tmp_path / "run", negatives=0, heat=True), "test/0")
    assert len(figure.axes) == 2
    assert figure.axes[1].get_xlabel() == "time (s)"


def test_an_unknown_query_is_refused(run_path: Path) -> None:
    with pytest.raises(DataError, match="query 'test/99' was not recorded"):
        draw_tracks(run_path, "test/99")
