"""The training loop: one for all papers.

``for epoch: for batch: method.step`` -> evaluate on validation -> append to the history -> save.  A run killed at any
instant goes on from the last saved state and, on a CPU with the same number of threads, ends with the same bits.
"""

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from vmlkit.config import at_least, positive, to_dict
from vmlkit.data.batches import Batch
from vmlkit.data.resident import Residence, Resident
from vmlkit.errors import ConfigError, DataError, TrainingDiverged
from vmlkit.files import LEFTOVERS, write_json, write_npz
from vmlkit.files.locking import alone
from vmlkit.runs import RunDirectory
from vmlkit.training.bert_adam import bert_adam_for
from vmlkit.training.captured import CapturedStep
from vmlkit.training.checkpoints import save_weights
from vmlkit.training.evaluate import BATCH_DRAWS, DIAGNOSIS, EVALUATION, STEP_DRAWS, derive_seed, undisturbed
from vmlkit.training.graphs import OwnStream, recorder_for
from vmlkit.training.history import History, epoch_row
from vmlkit.training.method import Method, Progress
from vmlkit.training.optim import ClippedOptimizer, EpsRule, Schedule, ScheduledAdam
from vmlkit.training.precision import Precision, check_precision
from vmlkit.training.start import (
    Reproducible,
    choose_device,
    create_run,
    matching_run,
    moved,
    note_resumption,
    run_record,
)
from vmlkit.training.steps import TrainingState
from vmlkit.training.task import D, M, MomentTask, Split, Task


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.  Defaults are those common to the released CNM, CPL and PPS, except for the seed.

    Raises:
        ConfigError: for a value out of range.
    """

    epochs: int = 30  #: passes over the training queries; CPL, PPS: 30, CNM: 50 on Charades-STA
    batch_size: int = 32  #: queries per step, the last batch may be smaller; CPL, PPS: 32, CNM: 128
    optimizer: Literal["adam", "bert_adam"] = "adam"  #: X-CLIP's own, with its own schedule and decay, is "bert_adam"
    lr: float = 4e-4  #: peak learning rate
    warmup_updates: int = 400  #: updates until the peak; 0 means a constant rate
    warmup_init_lr: float = 1e-7  #: learning rate of the first update
    schedule: Schedule = "inverse_sqrt"  #: after the warm-up: ``lr sqrt(warmup / n)``, ``lr`` throughout, or "steps"
    drop_epochs: int = 0  #: with "steps", the rate is divided by ten after so many epochs, again and again; 0: never
    weight_decay: float = 0.0  #: decoupled (AdamW); the DETR family: 1e-4
    clip_norm: float | None = 10.0  #: largest global gradient norm; None does not clip
    eps_rule: EpsRule = "reference"  #: where Adam's epsilon enters, see :class:`vmlkit.training.optim.ScheduledAdam`
    seed: int = 0  #: fixes batch order, word masks, dropout and evaluation (not the initial weights)
    probe_queries: int = 32  #: validation queries whose proposals are recorded at every evaluated epoch
    strip_frames: int = 12  #: thumbnails per probe video
    strip_pixels: int = 48  #: side of a thumbnail
    choose_epoch_by: str = "R@1,mIoU"  #: validation metric whose best epoch is kept (the first on ties), or "last"
    evaluate_every: int = 1  #: epochs between evaluations; the last epoch is always evaluated
    evaluation_batch_size: int = 128  #: queries per batch when predicting
    checkpoint_every_steps: int = 0  #: steps between saved states within an epoch; 0: at the end of epochs only
    check_every_steps: int = 20  #: steps between looks at the loss (each waits for the device once)
    device: str = "auto"  #: "auto" ($VMLKIT_DEVICE, else a card where there is one), "cpu", "cuda", ...
    #: splits lie on the device, and only row numbers are copied: "auto" where they fit, "on" in any case, or "off"
    resident: Resident = "auto"
    resident_gb: float | None = None  #: 10^9 bytes that splits may take there; None: half of what is free
    threads: int | None = None  #: CPU threads; None leaves torch's number.  The bits depend on it
    deterministic: bool = True  #: ask torch for deterministic kernels (on a GPU: as far as it has them)
    graph: Literal["auto", "off"] = "auto"  #: on a card, steps are captured and replayed: the same numbers, sooner
    precision: Precision = "fp32"  #: of matrix products in a step, see :mod:`vmlkit.training.precision`; "tf32": CUDA
    static_shapes: bool = False  #: keep the padded word axis of the whole split, as on a card in any case

    def __post_init__(self) -> None:
        at_least(self, 1, "epochs batch_size probe_queries strip_frames strip_pixels evaluate_every threads")
        at_least(self, 1, "evaluation_batch_size check_every_steps")
        at_least(self, 0, "warmup_updates checkpoint_every_steps seed warmup_init_lr drop_epochs weight_decay")
        positive(self, "lr clip_norm resident_gb")


def train(
    method: M,
    train: D,
    validation: D,
    config: TrainConfig,
    run_dir: str | Path,
    description: Mapping[str, Any],
    *,
    resume: bool = True,
    task: Task[M, D, Any] | None = None,
    progress: bool = True,
) -> RunDirectory:
    """Train ``method`` in place, recording everything in ``run_dir``, and return a reader of it.

    Training happens on the device of the settings; afterwards the method lies where it did, and so do its batches.

    Args:
        train: the resident split of the task's family, and ``validation`` likewise.
        description: ``name, method, settings, data`` for ``config.json``; see
            :func:`vmlkit.training.start.run_record`.
        resume: continue the same run if ``run_dir`` holds it (a finished one is returned as it is); False starts the
            same run anew.  A run with other settings is never touched.
        task: how batches are drawn and answers scored; weakly supervised single moments unless given.
        progress: draw a progress bar on stderr.

    Raises:
        ConfigError: for settings that do not fit, or a directory that holds something else.
        DataError: for an empty split, a damaged run directory, or one that another process is writing.
        TrainingDiverged: at a loss or gradient that is not finite; names epoch, batch, queries and the first term.
    """
    given = (method, train, validation, config, run_dir, description)
    for _ in train_in_turns(*given, resume=resume, task=task, progress=progress):
        pass
    return RunDirectory(os.path.normpath(run_dir))


def train_in_turns(
    method: M,
    train: D,
    validation: D,
    config: TrainConfig,
    run_dir: str | Path,
    description: Mapping[str, Any],
    *,
    resume: bool = True,
    task: Task[M, D, Any] | None = None,
    progress: bool = True,
    turn: int | None = None,
) -> Iterator[None]:
    """:func:`train`, resting after every ``turn`` steps; between two turns the process is as if there were no run."""
    for split in (train, validation):
        if len(split) == 0:
            raise DataError(split.name, "has no queries", "give a split that has some")
    folder = Path(os.path.normpath(run_dir))
    device = choose_device(config.device)
    check_precision(config.precision, device)
    fixed = Reproducible(config.seed, device, threads=config.threads, deterministic=config.deterministic)
    with alone(folder), moved(method, device), contextlib.closing(OwnStream(device)) as stream:
        record = run_record({**description, "curves": method.curves()}, to_dict(config), train, validation, device)
        existing = matching_run(folder, record, added=to_dict(TrainConfig()))
        with fixed(), stream():
            run = _Run(method, train, validation, config, folder, task or MomentTask())
            if existing is not None and resume:
                run.restore(existing)
                note_resumption(existing, record)
            else:
                run.create(record)
        steps = run.to_the_end(progress)
        done = turn
        while done == turn:
            with fixed(), stream():
                done = sum(1 for _ in itertools.islice(steps, turn))
            if turn is None:
                break
            yield


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self,
        method: Method[Any],
        train: Split,
        validation: Split,
        config: TrainConfig,
        folder: Path,
        task: Task[Any, Any, Any],
    ) -> None:
        self.method, self.train, self.validation, self.config, self.folder = method, train, validation, config, folder
        self.task, self.device = task, next(method.parameters()).device
        residence = Residence(self.device, config.resident, config.resident_gb)
        near, asked = residence.admit(train), residence.admit(validation)
        self.evaluate = functools.partial(task.evaluate, method, asked, batch_size=config.evaluation_batch_size)
        static = config.static_shapes or self.device.type == "cuda"
        self.batch = functools.partial(task.batch, near, static=static)
        self.near, self.static = near, static
        self.probe = task.probe(validation, config.probe_queries, config.seed)
        self.history = History()
        self.state = TrainingState(
            optimizers={
                name: _optimizer(method, name, group, config, self._steps_per_epoch())
                for name, group in method.parameter_groups().items()
            },
            draws=torch.Generator(device=self.device).manual_seed(derive_seed(config.seed, STEP_DRAWS)),
            epochs=config.epochs,
        )
        recorder = None if config.graph == "off" else recorder_for(self.device)
        # a recording begins with row numbers where the split is at hand, unless a task makes its batches in its own way
        self.gathers = recorder is not None and near.device == self.device and type(task).batch is Task.batch
        gather = functools.partial(task.gather, near) if self.gathers else None
        self.step = CapturedStep(method, self.state.optimizers, self.state.draws, recorder, config.precision, gather)

    def create(self, record: Mapping[str, Any]) -> None:
        """Epoch 0: evaluate the untrained method, and only then make the directory."""
        started = time.perf_counter()
        for parameter in self.method.parameters():
            parameter.grad = None  # left over from earlier use, they would enter the first clip
        metrics, arrays = self.evaluate(seed=self._evaluation_seed(0), progress=Progress(1, self.config.epochs))
        rule = self.config.choose_epoch_by
        if rule != "last" and rule not in metrics:
            raise ConfigError(f"setting 'train.choose_epoch_by' is {rule!r}: choose 'last' or one of {list(metrics)}")
        known = {"metric": metrics, "dependence": self.task.dependence(arrays)}
        row = epoch_row(0, time.perf_counter() - started, **known)
        self._record(row, arrays)

        def fill(folder: Path) -> None:
            write_json(folder / "config.json", record)
            self._describe(folder)
            self.history.write(folder)
            self.state.save(folder, self.method)

        create_run(self.folder, fill)

    def restore(self, existing: RunDirectory) -> None:
        """Go back to the saved state; what was written after it is computed again."""
        self.state.restore(self.folder, self.method)
        self.history = History.read(existing, self.state.epoch)
        for leftover in self.folder.glob(LEFTOVERS):
            leftover.unlink(missing_ok=True)
        if not all((self.folder / name).is_file() for name in ("probe.json", "strips.npz")):
            self._describe(self.folder)

    def _describe(self, folder: Path) -> None:
        """Write what the probe queries are, and what there is to see of their videos."""
        pictures = self.config.strip_frames, self.config.strip_pixels
        records, strips = self.task.describe(self.validation, self.probe, *pictures)
        write_json(folder / "probe.json", records)
        write_npz(folder / "strips.npz", strips)

    def to_the_end(self, progress: bool) -> Iterator[None]:
        """Train the epochs that are left; a rest after every step."""
        total = self._steps_per_epoch() * self.config.epochs
        with tqdm(total=total, initial=self.state.step, disable=not progress, mininterval=1, unit="step") as bar:
            for epoch in range(self.state.epoch + 1, self.config.epochs + 1):
                yield from self._train_epoch(epoch, bar)
        last = self.folder / "last.safetensors"
        if not last.is_file():
            save_weights(self.method, last, epoch=self.state.epoch, step=self.state.step)

    def _train_epoch(self, epoch: int, bar: "tqdm[Any]") -> Iterator[None]:
        config, state = self.config, self.state
        started = time.perf_counter() - state.seconds
        batches = self.task.order(self.train, config.batch_size, config.seed, epoch)
        self.method.train()
        for indices in batches[state.batch :]:
            batch = self._given(indices, derive_seed(config.seed, BATCH_DRAWS, epoch, state.batch))
            whole = len(indices) == len(batches[0])
            loss = self.step(batch, Progress(epoch, config.epochs, state.step), whole=whole)
            state.log.add(loss, state.optimizers)
            state.batch, state.step = state.batch + 1, state.step + 1
            save = config.checkpoint_every_steps and state.step % config.checkpoint_every_steps == 0
            if save or state.batch % config.check_every_steps == 0:
                self._check(epoch, batches, bar)
            if save and state.batch < len(batches):
                state.seconds = time.perf_counter() - started
                state.save(self.folder, self.method)
            bar.update()
            yield
        self._check(epoch, batches, bar)
        self._finish_epoch(epoch, started, bar)

    def _given(self, indices: Tensor, seed: int) -> Batch:
        """What a step is given: row numbers where it gathers its batch itself, else the batch, on the device."""
        if self.gathers:
            return self.task.draw(self.near, indices, seed, static=self.static).to(self.device)
        batch = self.batch(indices, seed=seed)
        if self.near.device == self.device:
            return batch
        return (batch.pin_memory() if self.device.type == "cuda" else batch).to(self.device)

    def _check(self, epoch: int, batches: tuple[Tensor, ...], bar: "tqdm[Any]") -> None:
        """Fetch the loss terms since the last look; stop at the first one that is not finite."""
        problem = self.state.log.read()
        if problem is not None:
            number, name, value = problem
            queries = ", ".join(self.train.query_ids[i] for i in batches[number].tolist())
            kind, _, term = name.partition("/")
            subject = f"the loss term '{term}'" if kind == "loss" else f"the gradient norm of '{term}'"
            raise TrainingDiverged(
                f"{subject} is {value} in epoch {epoch}, batch {number + 1} of {len(batches)} (queries {queries}): "
                "lower train.lr, or look at the features of these queries."
            )
        bar.set_postfix_str(self._postfix(epoch), refresh=False)

    def _postfix(self, epoch: int) -> str:
        name = self.task.headline
        scores = [row[f"metric/{name}"] for row in self.history.epochs if row.get(f"metric/{name}", -1) >= 0]
        score = f", {name} {scores[-1]:.3f}" if scores else ""
        return f"epoch {epoch}/{self.config.epochs}, loss {self.state.log.last_total:.3f}{score}"

    def _finish_epoch(self, epoch: int, started: float, bar: "tqdm[Any]") -> None:
        """Evaluate, record, choose, save.  The state goes last but for the checkpoint, which it can restore."""
        config, state = self.config, self.state
        clock = Progress(epoch, config.epochs, state.step)
        metrics: dict[str, float] = {}
        arrays = None
        if epoch % config.evaluate_every == 0 or epoch == config.epochs:
            metrics, arrays = self.evaluate(seed=self._evaluation_seed(epoch), progress=clock)
        rates = {name: optimizer.lr_used for name, optimizer in state.optimizers.items()}
        groups = {
            **state.log.means(),
            "metric": metrics,
            "dependence": {} if arrays is None else self.task.dependence(arrays),
            "curriculum": self.method.curriculum(clock),
            "lr": rates,
            "gradient": self._diagnose(clock),
        }
        self._record(epoch_row(epoch, time.perf_counter() - started, **groups), arrays)
        bar.set_postfix_str(self._postfix(epoch), refresh=False)
        value = float(epoch) if config.choose_epoch_by == "last" else metrics.get(config.choose_epoch_by, float("-inf"))
        chosen = value > state.best_value
        if chosen:
            state.best_epoch, state.best_value = epoch, value
        state.finish_epoch()
        self.history.write(self.folder)
        state.save(self.folder, self.method)
        if chosen:
            state.save_checkpoint(self.folder, self.method)

    def _diagnose(self, clock: Progress) -> dict[str, float]:
        """The method's own measurements on the first batch of the data, always the same one; nothing is disturbed."""
        count = min(self.config.batch_size, len(self.train))
        seed = derive_seed(self.config.seed, DIAGNOSIS, 0)
        batch = self.batch(torch.arange(count), seed=seed).to(self.device)
        with undisturbed(self.method), torch.enable_grad():
            draws = torch.Generator(device=self.device).manual_seed(derive_seed(self.config.seed, DIAGNOSIS))
            measured = self.method.diagnose(batch, clock, draws)
        return {name: float(value) for name, value in measured.items()}

    def _record(self, row: Mapping[str, float], arrays: Any) -> None:
        """Append an epoch to the history; ``arrays`` is None where it was not evaluated."""
        if arrays is None:
            self.history.append(row)
        else:
            self.history.append(row, *self.task.observe(int(row["epoch"]), arrays, self.probe))

    def _steps_per_epoch(self) -> int:
        return len(self.task.order(self.train, self.config.batch_size, self.config.seed, 1))

    def _evaluation_seed(self, epoch: int) -> int:
        return derive_seed(self.config.seed, EVALUATION, epoch)


def _optimizer(
    method: Method[Any], name: str, group: list[torch.nn.Parameter], config: TrainConfig, steps_per_epoch: int
) -> ClippedOptimizer:
    if config.optimizer == "bert_adam":
        total = config.epochs * steps_per_epoch
        return bert_adam_for(method, group, lr=config.lr, total_updates=total, clip_norm=config.clip_norm)
    names = ("lr", "warmup_updates", "warmup_init_lr", "clip_norm", "eps_rule", "schedule", "weight_decay")
    settings = {key: getattr(config, key) for key in names} | {"drop_updates": config.drop_epochs * steps_per_epoch}
    return ScheduledAdam(group, **(settings | method.optimizer_settings().get(name, {})))
