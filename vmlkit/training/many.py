"""Several runs in one process, on a card each on a stream of its own: the engine of studies.

One small model leaves most of a card idle, and several processes only take turns on it; streams of one process run at
the same time.  The runs are independent of each other: each has its own generators, settings and run directory, ends
with the bits it has alone, and fails alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmlkit.runs import RunDirectory
from vmlkit.training.loop import TrainConfig, train_in_turns
from vmlkit.training.method import Method
from vmlkit.training.start import choose_device
from vmlkit.training.task import Split, Task

#: steps of a turn on a card: long enough to hide the change of generators, short enough for all queues to stay full
TURN = 8


@dataclass(frozen=True, kw_only=True)
class Training:
    """The arguments of one :func:`vmlkit.training.loop.train`."""

    method: Method[Any]
    train: Split
    validation: Split
    config: TrainConfig
    run_dir: str | Path
    description: Mapping[str, Any]
    resume: bool = True
    task: Task[Any, Any, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its directory, or what stopped it."""

    run_dir: Path
    error: Exception | None = None

    @property
    def run(self) -> RunDirectory:
        """A reader of the run.

        Raises:
            Exception: what stopped it.
        """
        if self.error is not None:
            raise self.error
        return RunDirectory(self.run_dir)


def train_many(trainings: Sequence[Training], *, turn: int | None = None) -> list[Outcome]:
    """Train several methods, as :func:`vmlkit.training.loop.train` does each; a failing run does not stop the others.

    Args:
        turn: steps that a run makes before the next has its turn.  None is :data:`TURN` on a card, and one run after
            the other on a CPU, where turns would gain nothing and leave nothing finished until the end.
    """
    works = [
        train_in_turns(
            t.method, t.train, t.validation, t.config, t.run_dir, t.description,
            resume=t.resume, task=t.task, progress=False, turn=turn or turn_on(t.config.device),
        )
        for t in trainings
    ]  # fmt: skip
    errors = in_turns(works)
    return [Outcome(Path(t.run_dir), error) for t, error in zip(trainings, errors, strict=True)]


def turn_on(device: str) -> int | None:
    """Steps of a turn on a device by its name; None where runs go one after the other."""
    return None if choose_device(device).type == "cpu" else TURN


def in_turns(works: Sequence[Iterator[None]]) -> list[Exception | None]:
    """Bring all to their ends, a turn of each at a time; what stopped each, or None."""
    errors: list[Exception | None] = [None] * len(works)
    left = dict(enumerate(works))
    while left:
        for number, work in tuple(left.items()):
            try:
                next(work)
            except StopIteration:
                del left[number]
            except Exception as error:
                errors[number] = error
                del left[number]
    return errors
