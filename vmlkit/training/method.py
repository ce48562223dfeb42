"""The contract between a paper and the training loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from vmlkit.data.batches import Batch, Predictions

#: what the methods of a family read
B = TypeVar("B", bound=Batch)
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class DataShape:
    """Sizes that the data fix: frame and word feature dimensions and the number of word ids (V)."""

    frame_dim: int
    word_dim: int
    vocabulary: int


@dataclass(frozen=True)
class Progress:
    """The only clock that curricula read.

    ``epoch`` counts from 1 to ``max_epochs``; ``step`` counts optimiser updates from 0 over the whole run.
    """

    epoch: int
    max_epochs: int
    step: int = 0

    @property
    def fraction(self) -> float:
        """Epoch over number of epochs, at most 1."""
        return min(self.epoch / self.max_epochs, 1.0)

    def number(self, of: "Callable[[Progress], float]") -> float | Tensor:
        """``of`` this clock, for arithmetic with tensors.

        A plain clock gives the number.  The clock of a captured step (:mod:`vmlkit.training.captured`) gives a 0-d
        tensor that follows the epochs, so that the step need not be captured anew in each; what is read from that
        clock in any other way is a constant of the recording, which is thrown away when it changes.
        """
        return of(self)

    def choice(self, of: "Callable[[Progress], V]") -> V:
        """``of`` this clock, for Python to branch on: a captured step is captured anew only where *that* changes."""
        return of(self)


@dataclass(frozen=True)
class LossTerms:
    """A total to differentiate and the named terms to record (0-d tensors; nothing here waits for the device)."""

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


def outside_autocast(loss: Tensor) -> AbstractContextManager[Any]:
    """For the backward pass of a loss that was computed under autocast.

    A backward pass follows the types of its forward pass; under autocast, those of the heads that were kept in float32
    would be halved after all.
    """
    device = loss.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@runtime_checkable
class StepOptimizer(Protocol):
    """What :meth:`Method.step` needs of an optimiser: see :class:`vmlkit.training.optim.ScheduledAdam`."""

    def zero_grad(self) -> None:
        """Forget the gradients of its own parameters."""

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        """Clip the norm over ``clip`` (all its gradients, own or not), update own parameters, return the norm."""


class Method(nn.Module, Generic[B]):
    """What the loop trains: one class per paper, over the batches ``B`` of its family.

    A method reads batches without time labels, draws all randomness from the generator it is given, and never
    asks the device for a number inside a step.
    """

    def training_loss(self, batch: B, progress: Progress, generator: torch.Generator) -> LossTerms:
        """The paper's total loss on a batch and its named terms."""
        raise TypeError(f"{type(self).__name__} does not define training_loss")

    @torch.no_grad()
    def predict(self, batch: B, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """Proposals for a batch; ``generator`` draws the masked words, so a seed fixes the ranking."""
        raise TypeError(f"{type(self).__name__} does not define predict")

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """One optimiser per entry; most methods need one."""
        return {"all": [p for p in self.parameters() if p.requires_grad]}

    def optimizer_settings(self) -> dict[str, dict[str, Any]]:
        """What a group's optimiser does otherwise than the run's settings say, by the group's name."""
        return {}

    def step(
        self, batch: B, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        """One update.  Overridden only where a paper alternates optimisers (P1, P3)."""
        (optimizer,) = optimizers.values()
        optimizer.zero_grad()
        loss = self.training_loss(batch, progress, generator)
        with outside_autocast(loss.total):
            loss.total.backward()
        optimizer.step(clip=list(self.parameters()))
        return loss

    def diagnose(self, batch: B, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """What else is worth a column per epoch, e.g. gradient norms per loss term; measured on a fixed batch."""
        return {}

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """Schedule values worth a column in the history (e.g. P0's ``c``)."""
        return {}

    def clip_probabilities(self, batch: B) -> dict[str, Tensor]:
        """Probabilities ``(B, T)`` by name that need a batch as in training, with its negatives; a task scores them."""
        return {}

    def curves(self) -> dict[str, dict[str, float]]:
        """How (center, width) becomes a curve over time, of ``positive`` and ``negative`` proposals, for the figures.

        A curve is ``exp(-|(t - center) sigma / max(width, floor)|^power / 2)`` with the keys ``sigma, floor, power``; a
        method whose proposals are plain intervals names none.
        """
        return {}
