"""What a method costs: parameters, floating-point operations, and milliseconds on every device that there is.

Operations are those that torch has a formula for (``torch.utils.flop_counter``): products of matrices, convolutions and
attention, two for a multiplication with its addition.  A training step is the method's own, with all its stages and
updates, on one batch; inference is the whole answer to the test split, with whatever ranks and scores it.  Times are
medians.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vmlkit import provenance
from vmlkit.config import to_dict, with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, task_of
from vmlkit.methods import METHODS
from vmlkit.tables import every
from vmlkit.tables.records import PublishedTable
from vmlkit.training.experiment import Experiment
from vmlkit.training.method import Method, Progress
from vmlkit.training.optim import ScheduledAdam

#: test questions that inference answers, unless the settings limit them
QUESTIONS = 256
#: the largest number of repetitions of a measurement, and seconds after which no other one begins
REPEATS, SECONDS = 20, 5.0


class Operations(TorchDispatchMode):
    """Counts what is dispatched while it is entered, forward and backward.

    torch's own counter also tells modules apart, with hooks that steps by ``torch.autograd.grad`` do not pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and add its operations."""
        given = kwargs or {}
        out = func(*args, **given)
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **given, out_val=out)
        return out


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one method at one size on one source."""

    method: str
    data: str
    parameters: int
    trained: int  #: parameters that are updated
    batch: int  #: questions (actions: videos) of the training step
    questions: int  #: those that inference answered
    training_questions: int  #: of the whole training split
    step_flops: int  #: of a training step, for one question
    answer_flops: int  #: of inference, for one question
    step_ms: Mapping[str, float]  #: of a training step, for one question, by device
    answer_ms: Mapping[str, float]  #: of inference, for one question, by device

    def lines(self) -> Iterator[str]:
        """The numbers for people."""
        frozen = self.parameters - self.trained
        beside = f", {frozen:,} of them frozen" if frozen else ""
        yield f"{self.method} on {self.data}: {self.parameters:,} parameters{beside}"
        for name, flops, times in (
            (f"training step, batches of {self.batch}", self.step_flops, self.step_ms),
            (f"inference, {self.questions} questions", self.answer_flops, self.answer_ms),
        ):
            ms = ", ".join(f"{value:.3g} ms on {device}" for device, value in times.items())
            yield f"  {name}: {flops / 1e6:,.1f} million operations a question; {ms}"


def cost_of(experiment: Experiment, devices: Mapping[str, torch.device]) -> Cost:
    """Measure a method; the data are loaded, nothing is trained for longer than the step takes.

    Args:
        devices: by the name to print.

    Raises:
        ConfigError: for settings that do not work.
        DataError: for files that are missing or cannot be read.
    """
    experiment = _few_questions(experiment)
    task = task_of(experiment)
    splits = METHODS[experiment.method].load(experiment.data, progress=False)
    method = build(experiment, splits.train)
    size = min(experiment.train.batch_size, len(splits.train))
    rows = task.order(splits.train, size, 0, 1)[0]
    step_ms: dict[str, float] = {}
    answer_ms: dict[str, float] = {}
    flops: dict[str, int] = {}
    for name, device in devices.items():
        method.to(device).train()
        step = _stepper(method, task.batch(splits.train, rows, 0).to(device), device)

        def answer() -> None:
            task.answer(method, splits.test, 0, 128, 1, None)

        for what, call in (("step", step), ("answer", answer)):
            with Operations() as counter:
                call()
            flops[what] = counter.total
        step_ms[name] = 1000 * _seconds(step, device) / len(rows)
        answer_ms[name] = 1000 * _seconds(answer, device) / len(splits.test)
    groups = method.parameter_groups().values()
    return Cost(
        method=experiment.method, data=experiment.data.name, parameters=sum(p.numel() for p in method.parameters()),
        trained=sum(p.numel() for p in {p for group in groups for p in group}), batch=len(rows),
        questions=len(splits.test), training_questions=len(splits.train), step_flops=flops["step"] // len(rows),
        answer_flops=flops["answer"] // len(splits.test), step_ms=step_ms, answer_ms=answer_ms,
    )  # fmt: skip


def record_of(costs: Mapping[str, Cost], experiments: Mapping[str, Experiment]) -> dict[str, Any]:
    """Several costs for JSON, with the settings and where they were measured."""
    each = {name: {**asdict(cost), "settings": to_dict(experiments[name])} for name, cost in costs.items()}
    return {"methods": each, **provenance.made_with(None, torch.get_num_threads())}


def published(methods: list[str]) -> Iterator[PublishedTable]:
    """Tables in which a paper states the cost of one of the methods."""
    yield from (t for t in every() if t.kind == "cost" and any(row.method in methods for row in t.rows))


def devices_of(name: str) -> dict[str, torch.device]:
    """The device of this name; for "auto" the CPU and, where there is one, the card.

    Raises:
        ConfigError: for a device that torch does not know or cannot use here.
    """
    from vmlkit.training.start import choose_device

    asked = ["cpu", "cuda"] if name == "auto" and torch.cuda.is_available() else ["cpu" if name == "auto" else name]
    found = {one: choose_device(one, "--device") for one in asked}
    return {torch.cuda.get_device_name(device) if device.type == "cuda" else one: device
            for one, device in found.items()}  # fmt: skip


def _few_questions(experiment: Experiment) -> Experiment:
    """With a limit on the test questions, where the source can have one and has none."""
    if experiment.data.max_test_queries is not None:
        return experiment
    try:
        return with_overrides(experiment, {"data.max_test_queries": QUESTIONS})
    except ConfigError:  # a source whose test split is whole
        return experiment


def _stepper(method: Method[Any], batch: Any, device: torch.device) -> Callable[[], None]:
    """The method's own step with the optimisers of a run."""
    own, clock = method.optimizer_settings(), Progress(1, 10)
    optimizers = {name: ScheduledAdam(group, **own.get(name, {})) for name, group in method.parameter_groups().items()}
    draws = torch.Generator(device=device).manual_seed(0)

    def step() -> None:
        method.train()
        method.step(batch, clock, draws, dict(optimizers))

    return step


def _seconds(call: Callable[[], None], device: torch.device) -> float:
    """Median of a few calls, after the one that counted operations."""
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < REPEATS and (not taken or time.perf_counter() - begun < SECONDS):
        since = time.perf_counter()
        call()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        taken.append(time.perf_counter() - since)
    return statistics.median(taken)
