"""Whole-split evaluation against a loop over single queries, its seeds, and the final numbers."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tests.training import tiny
from tests.training.tiny import TRAIN, VALIDATION, TinyMethod, tiny_dataset, tiny_train
from vmlkit import spans as sp
from vmlkit.errors import DataError, TrainingDiverged
from vmlkit.metrics.moments import vote as voted
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import EVALUATION, derive_seed, evaluate
from vmlkit.training.final import final_evaluation
from vmlkit.training.method import Progress
from vmlkit.training.task import MomentTask

TEST = tiny_dataset("tiny/test", 13, 3)


class Exact(TinyMethod):
    """Answers that do not depend on chance or on batch-mates."""

    def forward(self, batch, generator):
        boxes, cost = super().forward(
            dataclasses.replace(batch, word_mask=torch.zeros_like(batch.word_mask)), generator
        )
        return boxes, cost


def test_metrics_equal_a_loop_over_queries():
    method = Exact().eval()
    metrics, arrays = evaluate(method, TEST, 0, batch_size=5)
    best1, best5 = [], []
    for index in range(len(TEST)):
        said = method.predict(TEST.batch([index]), torch.Generator())
        truth = TEST.spans_s[index] / TEST.durations[index]
        ious = [
            float(sp.iou(np.array([float(s), float(e)]), truth))
            for s, e in zip(said.starts[0], said.ends[0], strict=True)
        ]
        best1.append(ious[int(said.nll[0].argmin())])
        best5.append(max(ious))
        assert arrays.top1[index] == int(said.nll[0].argmin())
    assert metrics["R@1,mIoU"] == pytest.approx(np.mean(best1), abs=1e-6)
    assert metrics["R@5,mIoU"] == pytest.approx(np.mean(best5), abs=1e-6)
    assert metrics["R@1,IoU=0.3"] == np.mean(np.array(best1) >= 0.3)
    assert arrays.query_ids == TEST.query_ids
    assert arrays.spread == {}


def test_arrays_of_negatives():
    _, arrays = evaluate(TinyMethod(), TEST, 0)
    assert arrays.negatives.shape == (13, tiny.NEGATIVES, 2)
    assert ((arrays.negatives >= 0) & (arrays.negatives <= 1)).all()
    for index in (0, 7):
        answer = arrays.proposals[index, arrays.top1[index]].astype(float)
        expected = sp.ion(answer, arrays.negatives[index, 1].astype(float), arrays.truth[index])
        assert arrays.negative_ion()[index, 1] == pytest.approx(float(expected))


def test_iou_of_negatives_enters_the_metrics():
    metrics, _ = evaluate(TinyMethod(), TEST, 0)
    assert 0 <= metrics["R@1,mIoN"] <= 1


def test_the_seed_fixes_the_masks_and_nothing_else_moves():
    class Careless(TinyMethod):
        def predict(self, batch, generator, progress=None):
            torch.rand(3)  # from the global generator, which belongs to training
            return super().predict(batch, generator, progress)

    method = Careless().train()
    before = torch.get_rng_state()
    first = evaluate(method, TEST, 1)[1].nll
    assert np.array_equal(evaluate(method, TEST, 1)[1].nll, first)
    assert not np.array_equal(evaluate(method, TEST, 2)[1].nll, first)
    assert torch.equal(torch.get_rng_state(), before)
    assert method.training, "the mode is put back"
    assert float(method.steps_seen) == 0


def test_a_vote_changes_the_answer_and_not_the_order():
    _, plain = evaluate(TinyMethod(seed=3), TEST, 1)
    for rule in ("none", "activitynet", "charades", "pps_charades"):
        _, arrays = evaluate(TinyMethod(seed=3), TEST, 1, vote=rule)
        assert np.array_equal(arrays.top1, voted(plain.proposals, plain.nll, rule))
        assert np.array_equal(arrays.order, plain.order)
    _, none = evaluate(TinyMethod(seed=3), TEST, 1, vote="none")
    assert np.array_equal(none.top1, plain.order[:, 0])


def test_several_draws_give_mean_and_spread():
    method = TinyMethod()
    metrics, arrays = evaluate(method, TEST, 4, draws=3)
    singles = [evaluate(method, TEST, 4, draws=n)[0]["R@1,mIoU"] for n in (1, 2)]
    two = 2 * singles[1] - singles[0]
    three = 3 * metrics["R@1,mIoU"] - singles[0] - two
    assert len({singles[0], two, three}) == 3, "the draws differ"
    assert arrays.spread["R@1,mIoU"] == pytest.approx(np.std([singles[0], two, three], ddof=1))
    assert arrays.spread.keys() == metrics.keys()
    assert np.array_equal(arrays.nll, evaluate(method, TEST, 4)[1].nll), "the arrays are those of the first draw"


def test_another_truth_can_be_asked_for():
    shuffled = TEST.spans[::-1]
    metrics, arrays = evaluate(TinyMethod(), TEST, 1, truth=shuffled)
    assert np.array_equal(arrays.truth, shuffled)
    assert metrics != evaluate(TinyMethod(), TEST, 1)[0]


def test_progress_reaches_the_method():
    seen = []

    class Curious(TinyMethod):
        def predict(self, batch, generator, progress=None):
            seen.append(progress)
            return super().predict(batch, generator, progress)

    evaluate(Curious(), TEST, 0, batch_size=7, progress=Progress(2, 5, 9))
    assert seen == [Progress(2, 5, 9)] * 2


def test_bad_evaluations_are_one_clear_sentence():
    with pytest.raises(DataError, match="has no queries"):
        evaluate(TinyMethod(), TEST.subset([]), 0)
    with pytest.raises(DataError, match="draws is 0"):
        evaluate(TinyMethod(), TEST, 0, draws=0)
    broken = TinyMethod()
    broken.proposals.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="query 'tiny/test/q000'"):
        evaluate(broken, TEST, 0)


def test_one_proposal_needs_no_nll():
    class Single(TinyMethod):
        def predict(self, batch, generator, progress=None):
            said = super().predict(batch, generator, progress)
            only = {name: getattr(said, name)[:, :1] for name in ("centers", "widths", "starts", "ends")}
            zero = torch.zeros_like(said.order[:, :1])
            return dataclasses.replace(
                said, **only, nll=torch.full_like(said.nll[:, :1], float("nan")), order=zero, top1=zero[:, 0]
            )

    metrics, arrays = evaluate(Single(), TEST, 0, vote="charades")
    assert metrics["R@1,mIoU"] == metrics["R@5,mIoU"]
    assert arrays.top1.tolist() == [0] * 13


def test_final_evaluation_writes_the_numbers_beside_the_baselines(tmp_path):
    run, _ = tiny_train(tmp_path / "run", epochs=6, lr=0.2)
    method = TinyMethod(seed=7)
    written = final_evaluation(
        method, run.path, TRAIN, VALIDATION, TEST, task=MomentTask(vote="none"), draws=2, batch_size=6
    )
    assert written == run.metrics == json.loads((run.path / "metrics.json").read_text())
    assert written["chosen_epoch"] == run.state["best_epoch"] < 6
    assert written["chosen_by"] == "validation R@1,mIoU"
    assert (written["n_test"], written["vote"], written["draws"]) == (13, "none", 2)
    assert {"uniform random", "best constant window", "whole video"} <= written["baselines"].keys()
    fresh = TinyMethod()
    load_weights(fresh, run.checkpoint)
    seed = derive_seed(0, EVALUATION, written["chosen_epoch"], 1)
    expected, arrays = evaluate(fresh, TEST, seed, 6, "none", draws=2)
    assert written["test"] == expected
    assert written["spread"]["test"] == arrays.spread
    assert written["test"].keys() >= written["baselines"]["whole video"].keys()


def test_final_evaluation_of_a_run_that_keeps_the_last_epoch(tmp_path):
    run, method = tiny_train(tmp_path / "run", epochs=2, choose_epoch_by="last")
    written = final_evaluation(TinyMethod(), run.path, TRAIN, VALIDATION, TEST)
    assert (written["chosen_epoch"], written["chosen_by"]) == (2, "the last epoch")
    expected, _ = evaluate(method, TEST, derive_seed(0, EVALUATION, 2, 1))
    assert written["test"] == expected
    assert written["spread"] == {"validation": {}, "test": {}}


def test_seeds_of_different_purposes_differ():
    seeds = {derive_seed(seed, purpose, epoch) for seed in range(5) for purpose in range(1, 5) for epoch in range(5)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
