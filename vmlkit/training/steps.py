"""Where a run is, between two steps: counters, optimisers, generators, and the loss terms of the running epoch."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vmlkit.errors import DataError
from vmlkit.files import write_json
from vmlkit.files.arrays import readable
from vmlkit.files.records import ANY, COUNT, TEXT, TIME, Entry, Many, Plain, Table, checked
from vmlkit.runs import SCHEMA, read_json
from vmlkit.training.checkpoints import load_state, save_state, save_weights, weights_info
from vmlkit.training.method import LossTerms
from vmlkit.training.optim import ClippedOptimizer

_REMEDY = "delete the run directory and train again"
_TENSOR = Plain(lambda value: isinstance(value, Tensor) and value.layout == torch.strided, "a tensor")
_FLOAT = Plain(lambda value: type(value) is float and not math.isnan(value), "a number")
#: what :meth:`TrainingState.save` adds to a bundle
_BUNDLE = Entry(
    {
        **dict.fromkeys(("epoch", "batch", "step", "best_epoch"), COUNT),
        "seconds": TIME,
        "best_value": _FLOAT,
        "draws": _TENSOR,
        "optimizers": Table(ANY),
        "log_names": Many(TEXT),
        "log_rows": Many(_TENSOR),
    }
)


@dataclass
class StepLog:
    """Loss terms and gradient norms per step.  They stay on the device until :meth:`read` fetches them together."""

    names: tuple[str, ...] = ()
    read_rows: list[Tensor] = field(default_factory=list)  #: (steps, names) on the host, all finite
    pending: list[Tensor] = field(default_factory=list)  #: (names,) each, on the device

    def add(self, loss: LossTerms, optimizers: Mapping[str, ClippedOptimizer]) -> None:
        """Record a step: the terms in the method's order, their total, then the gradient norm of each optimiser."""
        values = {f"loss/{name}": value for name, value in loss.terms.items()}
        values["loss/total"] = loss.total
        values |= {f"grad_norm/{group}": optimizer.last_norm for group, optimizer in optimizers.items()}
        if self.names and self.names != tuple(values):
            raise ValueError(f"the loss terms changed within an epoch, from {self.names} to {tuple(values)}")
        self.names = tuple(values)
        self.pending.append(torch.stack([value.detach().float() for value in values.values()]))

    def read(self) -> tuple[int, str, float] | None:
        """Wait for the device and fetch the pending steps (the only place that does).

        Returns:
            None, or the first step (counted from the start of the epoch) with a value that is not finite, with the
            name of its first such term and the value.  Those rows are then not kept.
        """
        if not self.pending:
            return None
        block = torch.stack(self.pending).cpu()
        self.pending = []
        wrong = ~block.isfinite()
        if bool(wrong.any()):
            row = int(wrong.any(dim=1).int().argmax())
            column = int(wrong[row].int().argmax())
            return sum(map(len, self.read_rows)) + row, self.names[column], float(block[row, column])
        self.read_rows.append(block)
        return None

    def means(self) -> dict[str, dict[str, float]]:
        """Mean over the steps read so far: ``{"loss": {...}, "grad_norm": {...}}``."""
        averages = torch.cat(self.read_rows).double().mean(dim=0).tolist()
        groups: dict[str, dict[str, float]] = {"loss": {}, "grad_norm": {}}
        for name, value in zip(self.names, averages, strict=True):
            group, _, rest = name.partition("/")
            groups[group][rest] = value
        return groups

    @property
    def last_total(self) -> float:
        """Total loss of the last step read; NaN before any."""
        if not self.read_rows:
            return float("nan")
        return float(self.read_rows[-1][-1, self.names.index("loss/total")])


@dataclass
class TrainingState:
    """All that a run needs besides its data and settings to go on as if it had never stopped."""

    optimizers: Mapping[str, ClippedOptimizer]
    draws: torch.Generator  #: feeds ``Method.step``; batch order and evaluation have generators of their own
    epochs: int  #: of the whole run
    epoch: int = 0  #: finished epochs
    batch: int = 0  #: batches done of the running epoch
    step: int = 0  #: optimiser steps over the whole run
    seconds: float = 0.0  #: spent in the running epoch
    best_epoch: int = 0  #: 0: none yet
    best_value: float = float("-inf")
    log: StepLog = field(default_factory=StepLog)

    _COUNTERS = ("epoch", "batch", "step", "seconds", "best_epoch", "best_value")

    def save(self, folder: Path, method: nn.Module) -> None:
        """Write ``state.pt``, then ``state.json`` for people (a kill between the two is mended by :meth:`restore`)."""
        bundle: dict[str, Any] = {name: getattr(self, name) for name in self._COUNTERS}
        bundle |= {
            "draws": self.draws.get_state(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "log_names": list(self.log.names),
            "log_rows": list(self.log.read_rows),
        }
        save_state(folder / "state.pt", method, bundle)
        write_json(folder / "state.json", self._for_people())

    def restore(self, folder: Path, method: nn.Module) -> None:
        """The inverse of :meth:`save`.

        Raises:
            DataError: if ``state.pt`` is missing, unreadable, or of another model.
        """
        path = folder / "state.pt"
        bundle = load_state(path, method)
        checked(bundle, _BUNDLE, path, remedy=_REMEDY)
        if bundle["epoch"] > self.epochs or bundle["best_epoch"] > bundle["epoch"]:
            raise DataError(path, f"is after epoch {bundle['epoch']} of {self.epochs}", _REMEDY)
        if set(bundle["optimizers"]) != set(self.optimizers):
            raise DataError(path, "has other optimisers than the method", _REMEDY)
        for name in self._COUNTERS:
            setattr(self, name, bundle[name])
        with readable(path, "training state", _REMEDY):
            self.draws.set_state(bundle["draws"])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(bundle["optimizers"][name])
        self.log = StepLog(tuple(bundle["log_names"]), list(bundle["log_rows"]))
        if any(rows.ndim != 2 or rows.shape[1] != len(self.log.names) for rows in self.log.read_rows):
            raise DataError(path, "has loss terms of another number than their names", _REMEDY)
        self._repair_checkpoint(folder, method)
        told = None
        with contextlib.suppress(DataError):
            told = read_json(folder / "state.json")
        if told != self._for_people():
            write_json(folder / "state.json", self._for_people())

    def _for_people(self) -> dict[str, int]:
        """The content of ``state.json``."""
        counters = ("epoch", "epochs", "batch", "step", "best_epoch")
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in counters}}

    def finish_epoch(self) -> None:
        """Count the running epoch as finished."""
        self.epoch, self.batch, self.seconds, self.log = self.epoch + 1, 0, 0.0, StepLog()

    def save_checkpoint(self, folder: Path, method: nn.Module) -> None:
        """Write the weights of the chosen epoch.  To be called right after :meth:`save`, at the end of that epoch."""
        save_weights(method, folder / "checkpoint.safetensors", epoch=self.best_epoch, step=self.step)

    def _repair_checkpoint(self, folder: Path, method: nn.Module) -> None:
        """A kill between the state and the checkpoint leaves an older checkpoint; the state has those very weights."""
        path = folder / "checkpoint.safetensors"
        if self.best_epoch == 0 or (path.is_file() and weights_info(path)["epoch"] == self.best_epoch):
            return
        if (self.best_epoch, 0) != (self.epoch, self.batch):
            what = f"is not of epoch {self.best_epoch}, which was chosen"
            raise DataError(path, what, "delete the run directory and train again")
        self.save_checkpoint(folder, method)
