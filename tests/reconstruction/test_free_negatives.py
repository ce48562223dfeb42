"""Free negatives: uphill while c < 0, downhill after, on curves made by hand and on those of a trained method."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit import spans as sp
from vmlkit.config import with_overrides
from vmlkit.data.batches import MomentDataset
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import load_run, run_experiment
from vmlkit.methods import preset
from vmlkit.reconstruction import probe
from vmlkit.reconstruction.free_negatives import (
    RATE,
    STEPS,
    behaves,
    ce_curves,
    curve_record,
    overlaps,
    roll,
    turn_of,
)
from vmlkit.reconstruction.lnp import LNP
from vmlkit.reconstruction.report import recorded_negatives
from vmlkit.runs import RunDirectory

PLACES = np.linspace(0, 1, 41)
#: the sentence is explained best at .3 and at .7
VALLEYS = np.abs(PLACES[None] - np.array([[0.3], [0.7]])) + 2.0


def heights(centers: np.ndarray) -> np.ndarray:
    """CE at each center on the curve of its sentence."""
    return np.stack([np.interp(own, PLACES, curve) for own, curve in zip(centers, VALLEYS, strict=True)])


def test_uphill_while_c_is_negative_and_downhill_after() -> None:
    path = roll(VALLEYS, alpha=0.5, beta=0.8, epochs=30)
    turn = turn_of(30, 0.5, 0.8)
    assert path.shape == (31, 2, 3)
    assert path.min() >= 0
    assert path.max() <= 1
    ce = np.stack([heights(centers) for centers in path])
    assert (np.diff(ce[: turn + 1], axis=0) >= -1e-12).all(), "a negative went downhill while c < 0"
    assert (ce[-1] < ce[turn]).all()
    truth = np.array([[0.2, 0.4], [0.6, 0.8]])
    own, others = overlaps(path, 0.2, truth)
    assert behaves(own, turn).all()
    assert (own[turn] == 0).all()
    assert (own[-1] > others[-1]).all(), "what is reached is the sentence's own moment, not any"


def test_the_first_step_is_that_of_adam() -> None:
    """Its size is the rate whatever the slope is, its direction that of c times the slope."""
    path = roll(np.array([[0.0, 1.0], [0.0, 100.0], [5.0, 4.0]]), epochs=10, start=(0.5,))
    np.testing.assert_allclose(path[1, :, 0] - 0.5, STEPS * RATE * np.array([1, 1, -1]), rtol=1e-6)


def test_a_schedule_without_first_phase_only_goes_downhill() -> None:
    ce = np.stack([heights(centers) for centers in roll(VALLEYS, alpha=0.0, beta=0.8)])
    assert (ce[1] < ce[0] + 1e-12).all()
    assert turn_of(30, 0.0, 0.8) == 0
    flat = np.full((1, 5), 2.0)
    np.testing.assert_array_equal(roll(flat, start=(0.4,)), np.full((31, 1, 1), 0.4))


def test_overlaps_equal_loops() -> None:
    rng = np.random.default_rng(0)
    centers, widths, truth = rng.random((2, 4, 3)), rng.random((2, 4, 3)), np.sort(rng.random((4, 2)))
    own, others = overlaps(centers, widths, truth)
    for e in range(2):
        for n in range(4):
            spans = sp.to_start_end(np.stack([centers[e, n], widths[e, n]], axis=-1)).clip(0, 1)
            each = [sp.iou(spans, truth[k][None]).mean() for k in range(4)]
            assert own[e, n] == pytest.approx(each[n])
            assert others[e, n] == pytest.approx((sum(each) - each[n]) / 3)


@pytest.mark.parametrize(("curves", "epochs"), [(np.zeros((2, 1)), 5), (np.zeros(4), 5), (np.zeros((2, 4)), 0)])
def test_what_has_no_slope_is_refused(curves: np.ndarray, epochs: int) -> None:
    with pytest.raises(ConfigError, match="two places or more and an epoch"):
        roll(curves, epochs=epochs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, LNP, MomentDataset]:
    small = {"data.train_videos": 8, "data.validation_videos": 4, "data.test_videos": 3, "train.epochs": 4}
    folder = tmp_path_factory.mktemp("runs") / "lnp"
    run = run_experiment(with_overrides(preset("lnp-cpl", "toy", "ci"), small), folder, progress=False)
    method, splits, _ = load_run(run.path, progress=False)
    assert isinstance(method, LNP)
    return run, method, splits.validation


def test_curves_are_the_nll_under_the_masks_of_negatives(trained: tuple[RunDirectory, LNP, MomentDataset]) -> None:
    _, method, split = trained
    batch = split.batch(range(len(split)))
    ce, answers = ce_curves(method, batch, [0.2, 0.5], places=5, draws=1)
    for w, width in enumerate((0.2, 0.5)):
        np.testing.assert_allclose(ce[:, w].T, probe.mask_sweep(method, batch, np.linspace(0, 1, 5), width), rtol=1e-5)
    words = method.host.masked_words(batch, torch.Generator().manual_seed(0))
    with probe.measuring(method), torch.no_grad():
        encoded = method.host.encode(batch, words)
        proposals = method.host.positives(encoded)
        best = method.host.reconstruct(encoded, proposals.masks).min(dim=1)
    np.testing.assert_allclose(answers[:, 2], best.values, rtol=1e-5)
    rows = torch.arange(len(answers))
    np.testing.assert_allclose(answers[:, 0], proposals.centers[rows, best.indices], rtol=1e-5)
    several = ce_curves(method, batch, [0.2], places=5, draws=3)[0]
    assert not np.allclose(several[:, 0], ce[:, 0]), "other draws of the hidden words change a curve"


def test_the_record_holds_what_was_recorded(trained: tuple[RunDirectory, LNP, MomentDataset], tmp_path: Path) -> None:
    run, method, split = trained
    record = curve_record({"toy": (run, method), "again": (run, method)}, split, widths=(0.2, 0.4), sentences=5)
    assert json.loads(json.dumps(record)) == record
    kept = [s["id"] for s in record["sentences"]]
    assert len(kept) == len(set(kept)) == 5
    network = record["networks"][0]
    assert network["turn"] == 0.5, "with four epochs c < 0 until the second"
    assert np.shape(network["ce"]) == (5, 2, 41)
    order = [q["query_id"] for q in run.probe]
    recorded = recorded_negatives(run, 3)
    for s, query in enumerate(kept):
        np.testing.assert_allclose(network["centers"][s][3], recorded.centers[order.index(query)], atol=6e-4)
        np.testing.assert_allclose(network["widths"][s][3], recorded.widths[order.index(query)], atol=6e-4)
    path = np.array(record["path"])
    own = overlaps(path, 0.4, np.array([s["truth"] for s in record["sentences"]]))[0]
    assert behaves(own, turn_of(30, 0.5, 0.8)).tolist() == [s["behaves"] for s in record["sentences"]]
    good, all_of_them = record["behaving"]
    assert (all_of_them, good >= sum(s["behaves"] for s in record["sentences"])) == (len(run.probe), True)


def test_a_split_without_the_recorded_queries_is_refused(trained: tuple[RunDirectory, LNP, MomentDataset]) -> None:
    run, method, _ = trained
    test = load_run(run.path, progress=False)[1].test
    with pytest.raises(DataError, match="recorded other queries"):
        curve_record({"toy": (run, method)}, test)
