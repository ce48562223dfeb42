"""What figures read from a run directory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.tiny import tiny_dataset
from vmlkit.config import with_overrides
from vmlkit.errors import DataError
from vmlkit.experiments.experiment import build
from vmlkit.methods import preset
from vmlkit.runs import RunDirectory
from vmlkit.viz.snapshots import INTERVAL, CurveShape, RunView, thin_log


class Altered:
    """A run directory with some of its tables replaced."""

    def __init__(self, path: Path, **changes: object) -> None:
        run = RunDirectory(path)
        for name in ("config", "epochs", "proposals", "probe", "strips", "metrics"):
            setattr(self, name, changes[name] if name in changes else getattr(run, name))


def test_a_snapshot_equals_the_table(run_path: Path) -> None:
    shot = RunView(run_path).snapshot("test/1", 4)
    table = pd.read_parquet(run_path / "proposals.parquet")
    rows = table[(table["query_id"] == "test/1") & (table["epoch"] == 4)]
    positive, negative = rows[rows["role"] == "positive"], rows[rows["role"] == "negative"]
    np.testing.assert_array_equal(shot.positives, positive[["center", "width"]].to_numpy(float))
    np.testing.assert_array_equal(shot.negative_weights, negative["weight"].to_numpy(float))
    assert bool(positive["chosen"].iloc[shot.chosen])
    assert shot.chosen_iou == pytest.approx(float(positive.loc[positive["chosen"], "iou"].iloc[0]))
    chosen = positive[positive["chosen"]].iloc[0]
    assert shot.answer_s(10.0) == pytest.approx((10 * chosen["start"], 10 * chosen["end"]))


def test_path_run_and_view_are_all_accepted(run_path: Path) -> None:
    views = [RunView(run_path), RunView(str(run_path)), RunView(RunDirectory(run_path)), RunView(RunView(run_path))]
    assert all(v.recorded_epochs == list(range(13)) for v in views)
    assert all(list(v.queries) == [f"test/{k}" for k in range(6)] for v in views)


def test_a_number_may_be_an_id(run_path: Path) -> None:
    run = RunDirectory(run_path)
    proposals = run.proposals.assign(query_id=run.proposals["query_id"].astype(str).str[-1].astype(int))
    probe = [{**q, "query_id": k} for k, q in enumerate(run.probe)]
    view = RunView(Altered(run_path, proposals=proposals, probe=probe))
    assert view.snapshot(3, 0).query_id == "3"


def test_unknown_queries_and_epochs_name_the_choice(run_path: Path) -> None:
    view = RunView(run_path)
    with pytest.raises(DataError, match="query 'test/99' was not recorded; choose from test/0"):
        view.snapshot("test/99", 0)
    with pytest.raises(DataError, match="epoch 77 of query 'test/0' was not recorded; choose from epochs 0, 1"):
        view.snapshot("test/0", 77)


def test_a_run_without_proposals_is_refused(run_path: Path) -> None:
    empty = RunDirectory(run_path).proposals.iloc[:0]
    with pytest.raises(DataError, match="no proposals were recorded"):
        _ = RunView(Altered(run_path, proposals=empty)).recorded_epochs


def test_the_sign_of_c_says_what_training_asks_of_negatives_and_no_more(run_path: Path) -> None:
    view = RunView(run_path)
    c = view.epochs.set_index("epoch")["curriculum/c"]
    roles = {e: set(view.snapshot("test/0", e).negative_roles) for e in range(1, 13)}
    assert roles == {e: {"pushed_negative" if c[e] < 0 else "pulled_negative"} for e in range(1, 13)}
    assert set.union(*roles.values()) == {"pushed_negative", "pulled_negative"}
    assert view.clock(0) == view.clock(1) == c[1]
    plain = RunView(Altered(run_path, epochs=view.epochs.drop(columns="curriculum/c")))
    assert plain.snapshot("test/0", 5).negative_roles == ("negative",) * 3
    assert np.isnan(plain.clock(5))


def test_negatives_without_a_place_are_left_out(run_path: Path) -> None:
    proposals = RunDirectory(run_path).proposals
    lost = (proposals["role"] == "negative") & (proposals["index"] == 1)
    proposals.loc[lost, ["center", "width"]] = np.nan
    assert len(RunView(Altered(run_path, proposals=proposals)).snapshot("test/0", 2).negatives) == 2


@pytest.mark.parametrize(
    ("curves", "positive", "negative"),
    [
        ({}, INTERVAL, INTERVAL),
        ({"positive": {"sigma": 4.0}}, CurveShape(4.0), INTERVAL),
        (
            {"positive": {"sigma": 3.0, "floor": 0.1}, "negative": {"sigma": 2.0, "power": 4.0}},
            CurveShape(3.0, 0.1),
            CurveShape(2.0, power=4.0),
        ),
    ],
)
def test_curves_are_those_that_the_method_wrote(
    run_path: Path, curves: dict, positive: CurveShape, negative: CurveShape
) -> None:
    assert RunView(Altered(run_path, config={"schema": 1, "curves": curves})).shapes() == (positive, negative)
    assert RunView(Altered(run_path, config={"schema": 1})).shapes() == (INTERVAL, INTERVAL), "an older run"


def test_epochs_are_picked_nearest(run_path: Path) -> None:
    view = RunView(run_path)
    assert view.pick_epochs((0, 1, 3, -1)) == [0, 1, 3, 12]
    assert view.pick_epochs((100, 5, 5)) == [5, 12]


def test_strips_are_found_by_video(run_path: Path, heat_path: Path, tmp_path: Path) -> None:
    assert RunView(run_path).film_strip("toy_002").shape == (14, 48, 48, 3)
    assert RunView(heat_path).film_strip("toy_002").shape == (64,)
    assert RunView(run_path).film_strip("elsewhere") is None
    assert RunView(Altered(run_path, strips=None)).film_strip("toy_002") is None


@pytest.mark.parametrize(("count", "keep"), [(1, 5), (2, 2), (13, 13), (100, 12), (500, 48), (7, 3), (9, 2)])
def test_thinning_keeps_ends_and_order(count: int, keep: int) -> None:
    places = thin_log(count, keep)
    assert len(places) == min(count, keep)
    assert places == sorted(set(places))
    assert places[0] == 0
    assert places[-1] == count - 1
    gaps = np.diff(places)
    assert (np.diff(gaps) >= -1).all(), "denser at the start"


@pytest.mark.parametrize(
    ("method", "changes", "sigmas"),
    [
        ("cnm", {"model.alpha": 4.5}, (3.0, None)),
        ("cpl", {"model.sigma": 4.0}, (4.0, 2.0)),
        ("pps", {"model.sigma_gauss": 9.0, "model.sigma_neg_gauss": 3.0}, (9.0, 3.0)),
        ("lnp-cpl", {"model.host.sigma": 4.0, "model.lnp.exponent": 2.0}, (4.0, 2.0)),
        (
            "lnp-cpl",
            {"model.host.sigma": 4.0, "model.lnp.negatives": "gaussian", "model.lnp.rule_sigma": 6.0},
            (4.0, 3.0),
        ),
    ],
)
def test_what_methods_write_is_a_curve(method: str, changes: dict, sigmas: tuple) -> None:
    experiment = with_overrides(preset(method), changes)
    curves = build(experiment, tiny_dataset("train", 4)).curves()
    shapes = {role: CurveShape(**curve) for role, curve in curves.items()}
    assert tuple(shapes[role].sigma if role in shapes else None for role in ("positive", "negative")) == sigmas
