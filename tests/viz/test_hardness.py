"""The colour of a negative is its measured hardness, for every eye, on both grounds."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.viz.test_snapshots import Altered
from tests.viz.test_style import BLINDNESS, contrast, lab, linear
from vmlkit.runs import RunDirectory
from vmlkit.viz.hardness import STOPS, HardnessScale, hardness_scale, mix
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.style import ROLES
from vmlkit.viz.timeline import draw_epochs


def scale_colors(shade: str) -> list[str]:
    return [mix(STOPS[shade], place) for place in np.linspace(0, 1, 9)]


def test_the_gap_is_that_to_the_answer(run_path: Path) -> None:
    shot, scale = RunView(run_path).snapshot("test/2", 7), hardness_scale(RunView(run_path))
    assert scale.measure == "gap"
    np.testing.assert_allclose(scale.values(shot), shot.negative_nll - shot.nll[shot.chosen])
    assert "nats per word" in scale.words


def test_a_negative_as_good_as_the_answer_is_hard_and_one_in_ten_is_beyond_easy(run_path: Path) -> None:
    view = RunView(run_path)
    scale = hardness_scale(view)
    gaps = np.concatenate([scale.values(view.snapshot(q, e)) for q in view.queries for e in view.recorded_epochs])
    assert (scale.hard, scale.place(np.array([0.0, -1.0])).tolist()) == (0.0, [1.0, 1.0])
    assert np.mean(gaps > scale.easy) == pytest.approx(0.1, abs=0.01)
    assert np.isnan(scale.place(np.array([np.nan])))[0]


def test_overlap_stands_in_where_no_nll_was_recorded(run_path: Path) -> None:
    proposals = RunDirectory(run_path).proposals.assign(nll=np.float32("nan"))
    view = RunView(Altered(run_path, proposals=proposals))
    scale, shot = hardness_scale(view), view.snapshot("test/0", 12)
    assert scale.measure == "overlap"
    np.testing.assert_array_equal(scale.values(shot), shot.negative_iou)
    assert scale.place(np.array([0.0, scale.hard])).tolist() == [0.0, 1.0]
    assert hardness_scale(view, RunView(run_path)).measure == "overlap", "runs side by side share one measure"


def test_runs_without_negatives_have_no_scale(run_path: Path) -> None:
    proposals = RunDirectory(run_path).proposals.query("role == 'positive'")
    assert hardness_scale(RunView(Altered(run_path, proposals=proposals))) is None


def test_the_clock_does_not_colour(run_path: Path) -> None:
    view = RunView(run_path)
    turned = RunView(Altered(run_path, epochs=view.epochs.assign(**{"curriculum/c": -view.epochs["curriculum/c"]})))
    for epoch in (1, 12):
        here, there = view.snapshot("test/0", epoch), turned.snapshot("test/0", epoch)
        assert here.negative_roles != there.negative_roles
        assert hardness_scale(view).colors(here) == hardness_scale(turned).colors(there)
        assert {ROLES[r].dash for r in here.negative_roles} != {ROLES[r].dash for r in there.negative_roles}


def test_what_cannot_be_told_has_the_colour_of_its_role(run_path: Path) -> None:
    shot = RunView(run_path).snapshot("test/0", 3)
    unknown = HardnessScale("gap", 1.0, 0.0)
    object.__setattr__(shot, "negative_nll", np.full(3, np.nan))
    assert unknown.colors(shot) == [ROLES[r].color for r in shot.negative_roles]


@pytest.mark.parametrize("shade", ["color", "dark"])
def test_harder_is_darker_and_apart_from_every_other_role(shade: str) -> None:
    colors = scale_colors(shade)
    lightness = [lab(linear(c))[0] for c in colors]
    assert (np.diff(lightness) < 0).all()
    assert lightness[0] - lightness[-1] > 20, "easy and hard differ on a grey printer"
    others = [getattr(ROLES[n], shade) for n in ("truth", "chosen", "positive", "attention")]
    for kind in BLINDNESS.values():
        seen = {c: lab(np.clip(np.array(kind) @ linear(c), 0, 1)) for c in (*colors, *others)}
        assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.product(colors, others)) > 12
        assert np.linalg.norm(seen[colors[0]] - seen[colors[-1]]) > 20


def test_every_shade_is_readable() -> None:
    assert all(contrast(c, "#15181C") >= 3 for c in scale_colors("dark"))
    assert all(contrast(c, "#FFFFFF") >= 4.5 for c in scale_colors("text"))


def test_figures_draw_negatives_in_the_colour_of_their_hardness(run_path: Path) -> None:
    view = RunView(run_path)
    figure = draw_epochs(view, "test/0", (2, -1))
    wanted = [hardness_scale(view).colors(view.snapshot("test/0", e)) for e in (2, 12)]
    for ax, colors, clock in zip(figure.axes[1:3], wanted, ("pushed_negative", "pulled_negative"), strict=True):
        drawn = [line for line in ax.lines if line.get_label() == ROLES[clock].label]
        assert [line.get_color() for line in drawn] == colors
    words = [t.get_text() for t in figure.texts]
    assert f"easy {hardness_scale(view).easy:.2f}" in words
    assert "0.00 hard" in words
    assert hardness_scale(view).words in words
