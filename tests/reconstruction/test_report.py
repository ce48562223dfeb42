"""What is read off a recorded P0 run, against naive loops, and the small measurements on its method."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from vmlkit import spans as sp
from vmlkit.config import with_overrides
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import DataError
from vmlkit.experiments.experiment import load_run, run_experiment
from vmlkit.methods import preset
from vmlkit.reconstruction import probe, report
from vmlkit.reconstruction.gaussian import paper_gaussian
from vmlkit.reconstruction.lnp import LNP, dual_sign
from vmlkit.runs import RunDirectory
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import Progress

SMALL = {
    "data.train_videos": 8,
    "data.validation_videos": 3,
    "data.test_videos": 3,
    "train.epochs": 4,
    "train.warmup_updates": 2,
}
CLOCK = Progress(epoch=1, max_epochs=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    experiment = with_overrides(preset("lnp-cpl", "toy", "ci"), SMALL)
    return run_experiment(experiment, tmp_path_factory.mktemp("runs") / "lnp", progress=False)


@pytest.fixture(scope="module")
def trained(run: RunDirectory) -> tuple[LNP, MomentBatch]:
    method, splits, _ = load_run(run.path, progress=False)
    assert isinstance(method, LNP)
    return method, splits.validation.batch(range(len(splits.validation)))


def test_a_run_of_p0_records_gradients_per_term(run: RunDirectory) -> None:
    columns = [
        f"gradient/{term} on {part}" for term in ("triplet", "dual_signed") for part in ("heads", "reconstructor")
    ]
    assert run.epochs[columns][1:].notna().all().all()
    assert (run.epochs["gradient/triplet on heads"][1:] == 0).all(), "A10 (i): the triplet does not train the negatives"
    assert (run.epochs["gradient/dual_signed on heads"][1:] > 0).all()


def test_table_by_epoch_equals_loops(run: RunDirectory) -> None:
    table = report.negatives_by_epoch(run)
    assert table.index.tolist() == report.recorded_epochs(run) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table.c[1:], [dual_sign(e, 4, 0.5, 0.8) for e in (1, 2, 3, 4)])
    assert np.isnan(table.c[0])
    assert report.last_easy_epoch(run) == 2
    assert (table["IoN variable"] == 0).all(), "rule-based negatives lie outside of their positive"
    assert (table["IoN random"] > 0).all()
    proposals, truth = run.proposals, {q["query_id"]: np.array(q["span_s"]) / q["duration_s"] for q in run.probe}
    rows = proposals[(proposals.epoch == 3) & (proposals.role == "negative")]
    own = [sp.iou(np.array([r.start, r.end]), truth[r.query_id]) for r in rows.itertuples()]
    other = [
        sp.iou(np.array([r.start, r.end]), span)
        for r in rows.itertuples()
        for query, span in truth.items()
        if query != r.query_id
    ]
    np.testing.assert_allclose(
        table.loc[3, ["overlap", "overlap, others"]].astype(float), [np.mean(own), np.mean(other)]
    )
    np.testing.assert_allclose(table.loc[3, "width"], (rows.end - rows.start).mean(), rtol=1e-6)
    np.testing.assert_allclose(table.loc[3, "spread"], rows.groupby("index").center.std().mean(), rtol=1e-6)
    best = rows.groupby("query_id", observed=True).ion.max()
    np.testing.assert_allclose(table.loc[3, "IoN"], best.mean(), rtol=1e-6)
    favourites = rows.groupby("query_id", observed=True).weight.max()
    np.testing.assert_allclose(table.loc[3, "largest s"], favourites.mean(), rtol=1e-6)
    answers = proposals[(proposals.epoch == 3) & proposals.chosen]
    np.testing.assert_allclose(table.loc[3, "NLL positive"], answers.nll.mean(), rtol=1e-6)
    middles = np.array([truth[q].mean() for q in rows.query_id.astype(str)])
    np.testing.assert_allclose(table.loc[3, "distance"], np.abs(rows.center - middles).mean(), rtol=1e-6)


def made_up() -> SimpleNamespace:
    """Two queries with one negative each: the first comes nearer to its truth, the second lies in it from the start."""
    places = {("a", 1): (0.0, 0.1), ("b", 1): (0.2, 0.4), ("a", 2): (0.3, 0.6), ("b", 2): (0.2, 0.4)}
    rows = [
        {"epoch": epoch, "query_id": query, "role": role, "index": 0, "center": (start + end) / 2, "width": end - start,
         "start": start, "end": end, "nll": 1.0, "weight": 1.0, "chosen": role == "positive"}
        for (query, epoch), (start, end) in places.items()
        for role in ("positive", "negative")
    ]  # fmt: skip
    queries = [
        {"query_id": "a", "sentence": "one", "duration_s": 10.0, "span_s": [5.0, 10.0]},
        {"query_id": "b", "sentence": "two", "duration_s": 20.0, "span_s": [4.0, 8.0]},
    ]
    epochs = pd.DataFrame({"epoch": [1, 2], "curriculum/c": [-0.1, 0.2]})
    return SimpleNamespace(path=Path("made_up"), proposals=pd.DataFrame(rows), probe=queries, epochs=epochs)


def test_table_by_query_says_which_queries_do_as_claimed() -> None:
    table = report.negatives_by_query(made_up(), easy=1, hard=2)
    assert table.index.tolist() == ["a", "b"]
    np.testing.assert_allclose(table["gap easy"], [0.4, 0])
    np.testing.assert_allclose(table["gap hard"], [0, 0])
    np.testing.assert_allclose(table["overlap easy"], [0, 1])
    np.testing.assert_allclose(table["overlap hard"], [0.1 / 0.7, 1])
    assert table["outside"].tolist() == [True, False]
    assert table["as claimed"].tolist() == [True, False]
    assert report.last_easy_epoch(made_up()) == 1
    # with exchanged moments a's would come from [0, .1] to [.3, .6], the moment at [.2, .4]; b's stay where they are
    assert table["blind"].tolist() == [1.0, 0.0]


def test_what_was_not_recorded_is_said() -> None:
    run = made_up()
    with pytest.raises(DataError, match="epoch 7 was not recorded"):
        report.recorded_negatives(run, 7)
    run.epochs["curriculum/c"] = 0.2
    with pytest.raises(DataError, match="no recorded epoch with c < 0"):
        report.last_easy_epoch(run)
    run.proposals = run.proposals[run.proposals.role == "positive"]
    with pytest.raises(DataError, match="no negatives that are intervals"):
        report.recorded_negatives(run, 1)
    run.epochs = run.epochs.drop(columns="curriculum/c")
    with pytest.raises(DataError, match="no schedule c"):
        report.last_easy_epoch(run)


def test_measuring_changes_nothing(trained: tuple[LNP, MomentBatch]) -> None:
    method, batch = trained
    before = {k: v.clone() for k, v in method.state_dict().items()}
    config = method.config
    method.train()
    probe.selection_effect(method, batch, CLOCK)
    probe.triplet_reach(method, batch, CLOCK)
    probe.mask_sweep(method, batch, [0.5], 0.1)
    assert method.training
    assert method.config is config
    assert method.learner.config is config
    assert all(torch.equal(v, method.state_dict()[k]) for k, v in before.items())
    assert all(p.grad is None for p in method.parameters())


def test_selection_weight_cancels_under_literal_only(trained: tuple[LNP, MomentBatch]) -> None:
    table = probe.selection_effect(*trained, CLOCK)
    changes = table.drop(columns="|dL/ds|").abs()
    assert changes.loc["literal"].max() < 1e-4
    assert (changes.loc["loss"] == 0).all()
    assert changes.loc["gate"].min() > 1e-4
    slope = table["|dL/ds|"]
    assert slope["literal"] < 1e-5
    assert (slope[["gate", "logits", "loss"]] > 10 * slope["literal"]).all()


def test_freezing_decides_whom_the_triplet_trains(trained: tuple[LNP, MomentBatch]) -> None:
    table = probe.triplet_reach(*trained, CLOCK)
    assert (table["reconstructor"] > 0).all()
    frozen = table.loc[["masks", "negatives"], ["negative heads", "selection"]]
    assert frozen.max().max() < 1e-5 * table["reconstructor"].min()
    assert (table.loc["nothing", ["negative heads", "selection"]] > 1e-5).all()


def test_mask_sweep_is_the_reconstruction_under_each_mask(trained: tuple[LNP, MomentBatch]) -> None:
    method, batch = trained
    centers = [0.0, 0.4, 1.0]
    swept = probe.mask_sweep(method, batch, centers, 0.1, seed=3)
    assert swept.shape == (3, len(batch.query_ids))
    masked = draw_masked_words(batch.word_weights, batch.word_mask, torch.Generator().manual_seed(3))
    with torch.no_grad():
        encoded = method.eval().host.encode(batch, masked)
        for row, center in zip(swept, centers, strict=True):
            place = torch.full((len(batch.query_ids), 1), center)
            masks = paper_gaussian(place, torch.full_like(place, 0.1), encoded.clips.shape[1])
            np.testing.assert_allclose(row, method.host.reconstruct(encoded, masks)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(probe.mask_sweep(method, batch, centers, 0.1, gate=1.0, seed=3), swept, rtol=1e-5)
    assert np.abs(probe.mask_sweep(method, batch, centers, 0.1, gate=0.1, seed=3) - swept).max() > 1e-4


def test_a_reconstructor_that_sees_both_ways_does_not_know_where_it_is(
    trained: tuple[LNP, MomentBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without causality a mask over a video and its mirror over the video backwards read the same."""
    method, batch = trained
    wide = 0.5
    # the grid takes clips 0, 4, 8, ...: make its mirror exact by repeating cells
    index = torch.linspace(0, 63, 16).long()
    frames = batch.frames.clone()
    frames[:, index] = batch.frames[:, index.flip(0)]
    mirrored = dataclasses.replace(batch, frames=frames)

    def both_ways() -> list[np.ndarray]:
        return [probe.mask_sweep(method, b, [0.0, 1.0], wide) for b in (batch, mirrored)]

    forward, backward = both_ways()
    assert np.abs(forward - backward[::-1]).max() > 1e-4, "a causal stack does know"
    transformer = method.host.reconstructor
    monkeypatch.setattr(transformer, "config", dataclasses.replace(transformer.config, causal_video=False))
    forward, backward = both_ways()
    np.testing.assert_allclose(forward, backward[::-1], rtol=1e-4)


def test_cost_of_the_negatives(trained: tuple[LNP, MomentBatch]) -> None:
    method, batch = trained
    assert probe.parameter_count(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)) == 8 + 3
    seconds = probe.seconds_to_predict({"host": method.host, "reported": method}, batch, rounds=1)
    assert set(seconds) == {"host", "reported"}
    assert all(np.isfinite(s) and s > 0 for s in seconds.values())
