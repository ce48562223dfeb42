"""A training step that is recorded once and replayed: its forward and backward passes as CUDA graphs.

A step of these models is thousands of small kernels, and starting each from Python takes longer than running it.  A
graph starts all of them at once.  :class:`CapturedStep` does this for any method, without the method knowing: it runs
:meth:`~vmlkit.training.method.Method.step` once while a graph records, with stand-ins for the optimisers.  Where the
method updates, the graph ends and the next one begins; so a step with several updates (CNM's stages, P3's alternation)
becomes as many graphs and a last one.  Replaying runs the graphs in that order, each followed by the real clip and
update, which are a few kernels and stay as they are.

What makes a replay equal to the plain step, to the bit:

* inputs are copied into the tensors that were recorded, and gradients into tensors of their own: a clip may read what
  another update left behind in an earlier step, which memory of the graph would not keep;
* random numbers come from the same generators, which are registered with each graph and move on as they would;
* numbers that follow the epochs are tensors (:meth:`~vmlkit.training.method.Progress.number`); any other value that the
  step has read from its clock is compared before each replay, and a step is captured anew where one has changed.

Whatever cannot be recorded runs as it is, and the reason is said once: batches smaller than the others, too many
different shapes, a step that reads numbers back to Python.
"""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vmlkit.data.batches import Batch
from vmlkit.training.graphs import Graph, Graphs, Recorder
from vmlkit.training.method import LossTerms, Method, Progress, StepOptimizer, V
from vmlkit.training.optim import ClippedOptimizer
from vmlkit.training.precision import Precision, at_precision

#: plain steps before the first capture: libraries set themselves up in them, which a graph must not contain
WARM_UP = 3
#: recordings kept for batches of different shapes; a step that needs more is not captured
MOST_SHAPES = 4
#: a recording that the clock made void before so many steps had used it was made in vain; so many in a row are enough
WORTHWHILE, MOST_IN_VAIN = 2, 3
#: numbers of the clock that are tensors; further ones are constants of the recording
MOST_NUMBERS = 16


class Unfit(RuntimeError):
    """Why a graph cannot stand for a step."""


class CapturedClock(Progress):
    """The clock that a step is recorded under: it remembers what was read from it.

    Args:
        like: a parameter; numbers are tensors of its type and device.
    """

    def __init__(self, now: Progress, like: Tensor) -> None:
        self._now = now
        self._slots = torch.zeros(MOST_NUMBERS, dtype=like.dtype, device=like.device)  # before the recording begins
        self._numbers: list[tuple[Callable[[Progress], float], float | None]] = []
        self._read: list[tuple[Callable[[Progress], Any], Any]] = []

    def number(self, of: Callable[[Progress], float]) -> float | Tensor:
        """A 0-d tensor that :meth:`follow` brings to the value of ``of``."""
        if len(self._numbers) == MOST_NUMBERS:
            return self.choice(of)
        self._numbers.append((of, None))
        return self._slots[len(self._numbers) - 1]

    def choice(self, of: Callable[[Progress], V]) -> V:
        """The value now; another one later makes the recording void."""
        value = of(self._now)
        self._read.append((of, value))
        return value

    @property
    def epoch(self) -> int:
        """Read as it is, so the recording holds in this epoch only."""
        return self.choice(lambda clock: clock.epoch)

    @property
    def max_epochs(self) -> int:
        """The same throughout a run."""
        return self.choice(lambda clock: clock.max_epochs)

    @property
    def step(self) -> int:
        """Read as it is, so the recording holds for this step only."""
        return self.choice(lambda clock: clock.step)

    @property
    def fraction(self) -> float:
        """Read as it is, so the recording holds in this epoch only."""
        return self.choice(lambda clock: clock.fraction)

    def holds(self, now: Progress) -> bool:
        """Whether everything that Python read is still the same."""
        return all(of(now) == value for of, value in self._read)

    def follow(self, now: Progress) -> None:
        """Bring the tensors to their values now; nothing is done where none changed."""
        for i, (of, before) in enumerate(self._numbers):
            value = of(now)
            if value != before:
                self._slots[i].fill_(value)
                self._numbers[i] = of, value


@dataclass(frozen=True)
class _Segment:
    """What happens up to an update (or, in the last one, after all of them), and what that leaves in the gradients."""

    graph: Graph
    written: list[tuple[nn.Parameter, Tensor]]
    cleared: list[nn.Parameter]
    optimizer: StepOptimizer | None
    clip: list[nn.Parameter]

    def replay(self) -> None:
        self.graph.replay()
        for parameter in self.cleared:
            parameter.grad = None
        for parameter, gradient in self.written:
            parameter.grad = gradient
        if self.optimizer is not None:
            self.optimizer.step(self.clip)


class _Tape:
    """The graphs of a step as they are recorded, cut where the step updates.

    Args:
        gradients: of each parameter, a tensor that lasts.  A parameter holds it as its gradient until the step sets or
            clears it, which is how that is seen.
    """

    def __init__(self, graphs: Graphs, gradients: Mapping[nn.Parameter, Tensor]) -> None:
        self._graphs, self._gradients = graphs, gradients
        self.segments: list[_Segment] = []
        self._running: Graph | None = None
        self._versions: dict[nn.Parameter, int] = {}

    def begin(self) -> None:
        """Start the next graph."""
        for parameter, held in self._gradients.items():
            parameter.grad = held
        self._versions = {parameter: held._version for parameter, held in self._gradients.items()}
        graph = self._graphs.new()
        graph.begin()
        self._running = graph

    def cut(self, optimizer: StepOptimizer | None = None, clip: Sequence[nn.Parameter] = ()) -> None:
        """End the running graph; the update of ``optimizer`` follows it."""
        assert self._running is not None
        written, cleared, values = [], [], []
        for parameter, held in self._gradients.items():
            gradient = parameter.grad
            if gradient is None:
                cleared.append(parameter)
            elif gradient is not held:
                written.append((parameter, held))
                values.append(gradient)
            elif held._version != self._versions[parameter]:
                raise Unfit("it adds to the gradients of an earlier step")
        if written:
            with torch.no_grad():
                torch._foreach_copy_([held for _, held in written], values)
        self._running.end()
        self.segments.append(_Segment(self._running, written, cleared, optimizer, list(clip)))
        self._running = None

    def abandon(self) -> None:
        """Leave the recording without a result."""
        if self._running is not None:
            with contextlib.suppress(RuntimeError):
                self._running.end()
        self._graphs.abandon()


class _StandIn(StepOptimizer):
    """An optimiser while a step is recorded: where it would update, one graph ends and the next begins."""

    def __init__(self, optimizer: StepOptimizer, norm: Tensor, tape: _Tape) -> None:
        self._optimizer, self._norm, self._tape = optimizer, norm, tape

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        self._tape.cut(self._optimizer, clip)
        torch.clear_autocast_cache()  # as an update does
        self._tape.begin()
        return self._norm


@dataclass
class _Recording:
    """A step as graphs, for batches of one shape."""

    inputs: Batch
    clock: CapturedClock
    segments: list[_Segment]
    names: tuple[str, ...]
    values: Tensor  #: total and terms of the last replay, in the memory of the graphs
    replays: int = 0

    def replay(self, batch: Batch, progress: Progress) -> LossTerms:
        with torch.no_grad():
            torch._foreach_copy_(list(_tensors(self.inputs).values()), list(_tensors(batch).values()))
        self.clock.follow(progress)
        for segment in self.segments:
            segment.replay()
        self.replays += 1
        total, *terms = self.values.unbind()
        return LossTerms(total, dict(zip(self.names, terms, strict=True)))


class CapturedStep:
    """:meth:`~vmlkit.training.method.Method.step` of ``method``, recorded when it can be and plain when it cannot.

    Args:
        optimizers: of each parameter group, which clip and update after each graph.
        draws: the generator that the step draws from.
        recorder: see :func:`vmlkit.training.graphs.recorder_for`; None makes plain steps.
        precision: see :mod:`vmlkit.training.precision`.
        gather: makes a batch of what a step is given, as a part of its recording; None: it is given the batch.

    Attributes:
        refused: why steps are no longer recorded; None while they may be.
        replays: steps that were replays.
    """

    def __init__(
        self,
        method: Method[Any],
        optimizers: Mapping[str, ClippedOptimizer],
        draws: torch.Generator,
        recorder: Recorder | None,
        precision: Precision = "fp32",
        gather: Callable[[Any], Batch] | None = None,
    ) -> None:
        self._precision: Precision = precision
        self._gather = gather
        self._method, self._optimizers, self._draws, self._recorder = method, optimizers, draws, recorder
        self.refused: str | None = None
        self.replays = 0
        self._plain = self._in_vain = 0
        self._recordings: dict[Any, _Recording] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}

    def __call__(self, batch: Batch, progress: Progress, *, whole: bool = True) -> LossTerms:
        """One update.  The values returned are overwritten by the next one.

        Args:
            whole: False for a batch smaller than the others, which is not worth a recording.
        """
        recording = self._recording_of(batch, progress) if whole and self._recorder and not self.refused else None
        if recording is None:
            return self._run(batch, progress, dict(self._optimizers))
        self.replays += 1
        return recording.replay(batch, progress)

    def _run(self, given: Batch, progress: Progress, optimizers: dict[str, StepOptimizer]) -> LossTerms:
        batch = given if self._gather is None else self._gather(given)
        with at_precision(self._precision, self._draws.device):
            return self._method.step(batch, progress, self._draws, optimizers)

    def _recording_of(self, batch: Batch, progress: Progress) -> _Recording | None:
        """The recording that stands for this step, made now if there is none; None where the step is to run plainly."""
        if self._plain < WARM_UP:
            self._plain += 1
            return None
        numbers = tuple(value for value in vars(batch).values() if isinstance(value, int))  # widths that a draw states
        key = type(batch), numbers, tuple((name, t.shape, t.dtype) for name, t in _tensors(batch).items())
        kept = self._recordings.get(key)
        if kept is not None and kept.clock.holds(progress):
            return kept
        if kept is not None:
            self._in_vain = self._in_vain + 1 if kept.replays < WORTHWHILE else 0
            del self._recordings[key]
        if self._in_vain == MOST_IN_VAIN:
            self._refuse("its numbers change at almost every step")
            return None
        if len(self._recordings) == MOST_SHAPES:
            self._refuse("its batches have too many different shapes; see train.static_shapes")
            return None
        del kept  # the memory of the old recording, before a new one takes its own
        try:
            self._recordings[key] = self._record(batch, progress)
        except RuntimeError as error:
            self._refuse(str(error).splitlines()[0].rstrip("."))
            return None
        return self._recordings[key]

    def _refuse(self, why: str) -> None:
        self.refused = why
        self._recordings.clear()
        what = f"the step of {type(self._method).__name__} is not captured as a graph"
        warnings.warn(f"{what}, and runs as it is: {why}", RuntimeWarning, stacklevel=5)

    def _record(self, batch: Batch, progress: Progress) -> _Recording:
        """Run the step once while graphs record it: nothing of the method or its generators changes by that."""
        parameters = [p for p in self._method.parameters() if p.requires_grad]
        before = [parameter.grad for parameter in parameters]
        if not self._gradients:  # one set for all recordings: what one leaves behind, another may clip
            self._gradients = {parameter: torch.zeros_like(parameter) for parameter in parameters}
        inputs, clock = batch.map(torch.clone), CapturedClock(progress, parameters[0])
        assert self._recorder is not None
        tape = _Tape(self._recorder((self._draws,)), self._gradients)
        own = {name: _StandIn(o, o.last_norm, tape) for name, o in self._optimizers.items()}
        try:
            tape.begin()
            loss = self._run(inputs, clock, dict(own))
            values = torch.stack([value.detach().float() for value in (loss.total, *loss.terms.values())])
            tape.cut()
        except BaseException:
            tape.abandon()
            raise
        finally:
            for parameter, gradient in zip(parameters, before, strict=True):
                parameter.grad = gradient
        return _Recording(inputs, clock, tape.segments, tuple(loss.terms), values)


def _tensors(batch: Batch, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a batch and of the groups in it, by name."""
    found: dict[str, Tensor] = {}
    for name, value in vars(batch).items():
        if isinstance(value, Tensor):
            found[prefix + name] = value
        elif isinstance(value, Batch):
            found |= _tensors(value, f"{prefix}{name}.")
    return found
