"""Several runs in one process: each has the bits it has alone, its own directory, and fails alone."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from tests.training.test_resume import assert_same_run
from tests.training.tiny import CONFIG, DESCRIPTION, TRAIN, VALIDATION, TinyMethod, TwoStageMethod, tiny_train
from vmlkit.errors import TrainingDiverged
from vmlkit.training.many import TURN, Training, in_turns, train_many, turn_on

KINDS = (TinyMethod, TwoStageMethod, TinyMethod)
SEEDS = (0, 0, 7)


class Breaks(TinyMethod):
    """Its loss is no number from the eighth step on."""

    def training_loss(self, batch, progress, generator):
        loss = super().training_loss(batch, progress, generator)
        bad = torch.full((), float("nan") if progress.step >= 7 else 0.0)
        return dataclasses.replace(loss, total=loss.total + bad, terms=loss.terms | {"pull": loss.terms["pull"] + bad})


def trainings(folder, kinds=KINDS, **settings) -> list[Training]:
    return [
        Training(
            method=kind(), train=TRAIN, validation=VALIDATION, run_dir=folder / str(i), description=DESCRIPTION,
            config=dataclasses.replace(CONFIG, seed=SEEDS[i], **settings),
        )
        for i, kind in enumerate(kinds)
    ]  # fmt: skip


@pytest.mark.parametrize("turn", [None, 1, 4])
def test_each_run_has_the_bits_it_has_alone(tmp_path, turn):
    threads, before = torch.get_num_threads(), torch.get_rng_state()
    outcomes = train_many(trainings(tmp_path / "many"), turn=turn)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    for i, (kind, outcome) in enumerate(zip(KINDS, outcomes, strict=True)):
        alone, _ = tiny_train(tmp_path / "alone" / str(i), method=kind(), seed=SEEDS[i])
        assert_same_run(outcome.run, alone)


def test_a_run_that_fails_is_reported_and_stops_no_other(tmp_path):
    kinds = (TinyMethod, Breaks, TwoStageMethod)
    outcomes = train_many(trainings(tmp_path, kinds), turn=2)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    with pytest.raises(TrainingDiverged, match="the loss term 'pull' is nan in epoch 2"):
        _ = outcomes[1].run
    assert outcomes[0].run.finished
    assert outcomes[2].run.finished


def test_interrupted_turns_are_resumed(tmp_path):
    class Stopped(BaseException):
        pass

    class Stops(TinyMethod):
        def curriculum(self, progress):
            if progress.epoch == 2:
                raise Stopped
            return super().curriculum(progress)

    with pytest.raises(Stopped):
        train_many(trainings(tmp_path / "many", (TinyMethod, Stops)), turn=3)
    outcomes = train_many(trainings(tmp_path / "many", (TinyMethod, TinyMethod)), turn=3)
    for i, outcome in enumerate(outcomes):
        alone, _ = tiny_train(tmp_path / "alone" / str(i), seed=SEEDS[i])
        assert_same_run(outcome.run, alone)


def test_between_two_turns_the_process_is_the_callers(tmp_path):
    """Whatever a method draws from, also from generators that nothing here uses, it finds as it left it."""
    drawn: list[list[float]] = [[], []]

    class Draws(TinyMethod):
        def __init__(self, mine):
            super().__init__()
            self.mine = mine

        def training_loss(self, batch, progress, generator):
            self.mine += [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002
            return super().training_loss(batch, progress, generator)

    two = [
        dataclasses.replace(t, method=Draws(mine)) for t, mine in zip(trainings(tmp_path / "a"), drawn, strict=False)
    ]
    train_many(two, turn=1)
    assert drawn[0] == drawn[1], "the same seed"
    assert len(set(drawn[0])) == len(drawn[0])


def test_turns_are_taken_in_order_and_end_one_by_one():
    said = []

    def work(name, count):
        for i in range(count):
            said.append(f"{name}{i}")
            yield

    assert in_turns([work("a", 1), work("b", 3)]) == [None, None]
    assert said == ["a0", "b0", "b1", "b2"]
    assert turn_on("cpu") is None
    assert turn_on("meta") == TURN


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_runs_that_share_a_card_have_the_bits_they_have_alone(tmp_path):
    settings = {"device": "cuda", "epochs": 4}
    outcomes = train_many(trainings(tmp_path / "many", **settings))
    for i, (kind, outcome) in enumerate(zip(KINDS, outcomes, strict=True)):
        alone, _ = tiny_train(tmp_path / "alone" / str(i), method=kind(), seed=SEEDS[i], graph="off", **settings)
        written = ("checkpoint.safetensors", "last.safetensors")
        assert all((outcome.run.path / n).read_bytes() == (alone.path / n).read_bytes() for n in written)
