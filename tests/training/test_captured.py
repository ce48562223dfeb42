"""A captured step: recorded by the double of ``graph_double``, it must equal the plain one to the bit.

The double shows stale inputs, numbers that were constants by mistake, and memory that does not last from one step to
the next; that a card records and replays the same is tested where there is one.
"""

import contextlib
import dataclasses
import json
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.compiled import made
from tests.training.graph_double import DoubleGraphs
from tests.training.test_resume import assert_same_run
from tests.training.tiny import TRAIN, TinyMethod, TwoStageMethod, tiny_train
from vmlkit.config import to_dict
from vmlkit.files import write_json
from vmlkit.methods import METHODS
from vmlkit.training import loop
from vmlkit.training.captured import MOST_SHAPES, WARM_UP, CapturedStep
from vmlkit.training.graphs import CudaGraphs, OwnStream, Recorder, recorder_for
from vmlkit.training.loop import TrainConfig
from vmlkit.training.method import LossTerms, Method, Progress
from vmlkit.training.optim import ScheduledAdam
from vmlkit.training.start import Reproducible
from vmlkit.training.task import MomentTask

#: recorded in every run of the tests: one update, two of one clip, four phases
QUICK = ("lnp-cpl", "cnm", "tsm-vlc")
STEPS, AN_EPOCH = 9, 3


def method_steps(name: str, recorder: Recorder | None, device: str = "cpu") -> tuple[Tensor, Method, CapturedStep]:
    """Values of each of some steps over three epochs, on a new batch each, the method after them, and the step."""
    method, batch = made(name)
    settings = {"lr": 1e-2, "warmup_updates": 2, "clip_norm": 0.1}
    groups = method.to(device).parameter_groups().items()
    own = method.optimizer_settings()
    optimizers = {group: ScheduledAdam(p, **(settings | own.get(group, {}))) for group, p in groups}
    torch.manual_seed(3)
    step = CapturedStep(method, optimizers, torch.Generator(device=device).manual_seed(5), recorder)
    noise, rows = torch.Generator().manual_seed(7), []
    for i in range(STEPS):
        changed = dataclasses.replace(
            batch, frames=batch.frames + 0.1 * torch.randn(batch.frames.shape, generator=noise)
        )
        loss = step(changed.to(device), Progress(1 + i // AN_EPOCH, STEPS // AN_EPOCH, i))
        norms = [optimizer.last_norm for optimizer in optimizers.values()]
        rows.append(torch.stack([v.detach().float() for v in (loss.total, *loss.terms.values(), *norms)]))
    return torch.stack(rows), method, step


def same_weights(a: Method, b: Method) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in METHODS]
)
def test_a_captured_step_of_every_method_is_the_plain_one(name: str) -> None:
    expected, plain, _ = method_steps(name, None)
    found, replayed, step = method_steps(name, DoubleGraphs)
    assert step.refused is None
    assert step.replays == STEPS - WARM_UP, "recorded once, although its numbers change with the epochs"
    assert torch.equal(found, expected)
    assert same_weights(replayed, plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", METHODS)
def test_a_captured_step_on_a_card_is_the_plain_one(name: str) -> None:
    device = torch.device("cuda")
    fixed = Reproducible(3, device, threads=None, deterministic=True)  # as in the loop; else plain steps differ too
    with contextlib.closing(OwnStream(device)) as stream, fixed(), stream():
        expected, plain, _ = method_steps(name, None, "cuda")
        found, replayed, step = method_steps(name, recorder_for(device), "cuda")
    assert step.refused is None
    assert torch.equal(found, expected)
    assert same_weights(replayed, plain)


# -- within the loop


@pytest.fixture
def recorded(monkeypatch) -> list[DoubleGraphs]:
    """The recordings made; the loop records on the CPU as it does on a card."""
    made_so_far: list[DoubleGraphs] = []

    def recorder(generators: Any) -> DoubleGraphs:
        made_so_far.append(DoubleGraphs(generators))
        return made_so_far[-1]

    monkeypatch.setattr(loop, "recorder_for", lambda device: recorder)
    return made_so_far


SETTINGS = {"epochs": 4, "clip_norm": 0.05, "static_shapes": True, "checkpoint_every_steps": 2}


class EpochsAsTensors(TwoStageMethod):
    """Two stages, and a schedule that needs no new recording."""

    def training_loss(self, batch, progress, generator):
        """As its parent's; the push is scaled by a number of the clock."""
        loss = super().training_loss(batch, Progress(1, 1), generator)
        push = progress.number(lambda clock: clock.fraction) * loss.terms["push"]
        return LossTerms(loss.total + push, loss.terms)


@pytest.mark.parametrize("kind", [TinyMethod, TwoStageMethod, EpochsAsTensors])
def test_a_captured_run_is_the_plain_run(tmp_path, monkeypatch, recorded, kind):
    captured_run, _ = tiny_train(tmp_path / "captured", method=kind(), **SETTINGS)
    # 37 queries are four whole batches and a smaller one; what reads its clock in Python is recorded in each epoch
    assert len(recorded) == (1 if kind is EpochsAsTensors else SETTINGS["epochs"])
    assert all(len(family.graphs) == (2 if kind is TinyMethod else 3) for family in recorded)
    whole = 4 * SETTINGS["epochs"] - WARM_UP
    assert sum(family.graphs[0].replays for family in recorded) == whole
    monkeypatch.undo()
    plain, _ = tiny_train(tmp_path / "plain", method=kind(), **SETTINGS)
    assert_same_run(captured_run, plain)


def test_a_recording_begins_with_row_numbers(tmp_path, monkeypatch, recorded):
    """What is replayed gathers nothing in Python; a task that makes batches in its own way is asked for each."""
    gathered, asked, plain = [], [], MomentTask.gather

    class OwnBatches(MomentTask):
        def batch(self, dataset, indices, seed, *, static=False):
            asked.append(len(indices))
            return super().batch(dataset, indices, seed, static=static)

    monkeypatch.setattr(MomentTask, "gather", lambda *given: (gathered.append(1), plain(*given))[1])
    run, _ = tiny_train(tmp_path / "rows", method=EpochsAsTensors(), **SETTINGS)
    # the plain steps at the beginning, the recording, and in each epoch the smaller batch and the diagnosis
    assert len(gathered) == WARM_UP + 1 + 2 * SETTINGS["epochs"]
    other, _ = tiny_train(tmp_path / "batches", method=EpochsAsTensors(), task=OwnBatches(), **SETTINGS)
    assert len(asked) == (5 + 1) * SETTINGS["epochs"]
    assert_same_run(run, other)


class Stopped(BaseException):
    """Stands for a kill."""


class StopsInBetween(CapturedStep):
    """Captured steps that end in the middle of the third epoch."""

    def __call__(self, batch, progress, *, whole=True):
        if progress.step == 11:
            raise Stopped
        return super().__call__(batch, progress, whole=whole)


def test_a_captured_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch, recorded):
    expected, _ = tiny_train(tmp_path / "whole", method=EpochsAsTensors(), **SETTINGS)
    monkeypatch.setattr(loop, "CapturedStep", StopsInBetween)
    with pytest.raises(Stopped):
        tiny_train(tmp_path / "stopped", method=EpochsAsTensors(), **SETTINGS)
    monkeypatch.setattr(loop, "CapturedStep", CapturedStep)
    resumed, _ = tiny_train(tmp_path / "stopped", method=EpochsAsTensors(), **SETTINGS)
    assert_same_run(resumed, expected)


def test_graph_off_records_nothing(tmp_path, recorded):
    tiny_train(tmp_path / "run", graph="off", **SETTINGS)
    assert recorded == []


def test_a_cpu_has_no_graphs():
    assert recorder_for(torch.device("cpu")) is None
    assert recorder_for(torch.device("cuda")) is CudaGraphs


def test_a_run_recorded_before_there_were_graphs_goes_on(tmp_path):
    run, _ = tiny_train(tmp_path / "run")
    old = json.loads((run.path / "config.json").read_text())
    del old["settings"]["train"]["graph"]
    write_json(run.path / "config.json", old)
    tiny_train(tmp_path / "run")
    assert "graph" in to_dict(TrainConfig())


# -- what is not recorded, and why


def steps_of(method: Method, batches: list[Any], recorder: Recorder | None = DoubleGraphs) -> CapturedStep:
    optimizers = {group: ScheduledAdam(p) for group, p in method.parameter_groups().items()}
    torch.manual_seed(0)
    step = CapturedStep(method, optimizers, torch.Generator().manual_seed(0), recorder)
    for i, batch in enumerate(batches):
        step(batch, Progress(1, 1, i))
    return step


class ReadsBack(TinyMethod):
    def training_loss(self, batch, progress, generator):
        loss = super().training_loss(batch, Progress(1, 1), generator)
        return LossTerms(loss.total * (2.0 if float(loss.terms["pull"].detach()) > 0 else 1.0), loss.terms)


class CountsSteps(TinyMethod):
    def training_loss(self, batch, progress, generator):
        loss = super().training_loss(batch, Progress(1, 1), generator)
        return LossTerms(loss.total * (1 + progress.step), loss.terms)


class Accumulates(TinyMethod):
    def step(self, batch, progress, generator, optimizers):
        loss = self.training_loss(batch, Progress(1, 1), generator)
        loss.total.backward()
        optimizers["all"].step(clip=list(self.parameters()))
        return loss


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (ReadsBack, "not permitted when stream is capturing"),
        (CountsSteps, "change at almost every step"),
        (Accumulates, "adds to the gradients of an earlier step"),
    ],
)
def test_a_step_that_cannot_be_recorded_runs_as_it_is_and_says_why_once(kind, why):
    batches = [TRAIN.batch(range(i, i + 8), static=True) for i in range(20)]
    method, plain = kind(), kind()
    with pytest.warns(RuntimeWarning, match=why) as said:
        step = steps_of(method, batches)
    assert len(said) == 1
    assert why in step.refused
    steps_of(plain, batches, None)
    assert same_weights(method, plain)


def test_too_many_shapes_are_not_recorded():
    batches = [TRAIN.batch(range(2 + i), static=True) for i in range(WARM_UP + MOST_SHAPES + 1)]
    with pytest.warns(RuntimeWarning, match="too many different shapes"):
        step = steps_of(EpochsAsTensors(), batches)
    assert step.replays == MOST_SHAPES


def test_a_smaller_batch_runs_as_it_is():
    method = EpochsAsTensors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = steps_of(method, [TRAIN.batch(range(8), static=True)] * (WARM_UP + 1))
        before = step.replays
        step(TRAIN.batch(range(5), static=True), Progress(1, 1, 9), whole=False)
    assert (before, step.replays) == (1, 1)
