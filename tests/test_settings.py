"""Every setting acts or refuses: moved away from its default it changes a loss, a gradient, an answer or a record.

The families of actions and of sentence components have tests of their own beside their code, and so have the sources.
"""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training import tiny
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError, TrainingDiverged
from vmlkit.experiments.experiment import build, task_of
from vmlkit.methods import METHODS, preset
from vmlkit.training import loop
from vmlkit.training.experiment import Experiment
from vmlkit.training.loop import TrainConfig
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

METHODS_HERE = (
    "moment-detr", "qd-detr", "bm-detr", "cnm", "cnm-windows", "cpl", "pps", "lnp-cnm", "lnp-cpl", "lnp-pps",
)  # fmt: skip
SMALL = {"data.train_videos": 6, "data.validation_videos": 3, "data.test_videos": 3}
#: what a setting needs beside it to have something to act on, by the end of its name; ``~`` is what it stands in
CONTEXT: dict[str, dict[str, Any]] = {
    "max_clips": {"~span_loss_type": "ce"},
    "model.alignment_weight": {"model.alignment_size": 8},
    "temperature": {"model.alignment_size": 8, "model.alignment_weight": 1.0},
    "sigma_laplace": {"~mask_type": "laplace"},
    "sigma_neg_inverse": {"~neg_type": "inverse_gaussian"},
    "reading.follow_weight": {"~centers": "sentence"},
    "reading.candidates": {"~centers": "sentence", "~follow_weight": 1.0},
    "reading.candidate_width": {"~centers": "sentence", "~follow_weight": 1.0},
    "reading.judge": {"~centers": "sentence", "~follow_weight": 1.0},
    "lnp.gamma": {"~negatives": "variable"},
    "lnp.rule_sigma": {"~negatives": "gaussian"},
}
#: values that go further than the usual ones
VALUES: dict[str, Any] = {"lengths": (0.3, 0.6), "match_class": 1000.0, "hidden": 32, "heads": 2, "width_floor": 0.9}
#: numbers that may be negative
SIGNED = ("lnp.width_bias", "lnp.beta", "hard_margin", "easy_margin")
#: settings that only a particular batch shows, and the test that makes one
ELSEWHERE = {"reference_mask_order": "tests/detr/test_models.py"}


def leaves(config: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, value, annotation) of every setting below a dataclass."""
    hints = typing.get_type_hints(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value, hints[item.name]


def context_of(path: str) -> dict[str, Any]:
    """The settings that this one needs."""
    stem = path.rpartition(".")[0]
    found = [context for end, context in CONTEXT.items() if f".{path}".endswith(f".{end}")]
    return {key.replace("~", f"{stem}."): value for context in found for key, value in context.items()}


def others(name: str, value: Any, hint: Any) -> list[Any]:
    """Values that the setting does not have."""
    if name in VALUES:
        return [VALUES[name]]
    literals = [o for part in (hint, *typing.get_args(hint)) for o in typing.get_args(part)]
    if any(typing.get_origin(part) is typing.Literal for part in (hint, *typing.get_args(hint))):
        return [option for option in literals if option != value and not isinstance(option, type)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(value - 1, 1)]
    return [3, 0.5] if value is None else [1.5 * value + 0.1, 0.5 * value]


@pytest.fixture(scope="module")
def splits() -> dict[str, Any]:
    return {}


def loaded(splits: dict[str, Any], experiment: Experiment) -> Any:
    method = experiment.method
    if method not in splits:
        splits[method] = METHODS[method].load(experiment.data, progress=False)
    return splits[method]


def consequences(experiment: Experiment, data: Any) -> str:
    """Everything that two steps (early and late) and an evaluation show."""
    torch.manual_seed(0)
    method, task = build(experiment, data.train), task_of(experiment)
    optimizers: Any = {
        name: ScheduledAdam(group, **{"lr": 1e-2, "warmup_updates": 0, "clip_norm": 0.1, **settings})
        for name, group in method.parameter_groups().items()
        for settings in [method.optimizer_settings().get(name, {})]
    }
    draws, seen = torch.Generator().manual_seed(1), []
    for epoch in (1, 4):
        batch = task.batch(data.train, torch.arange(6), seed=epoch)
        loss = method.train().step(batch, Progress(epoch, 4, epoch), draws, optimizers)
        seen += [float(loss.total.detach()), {name: float(term.detach()) for name, term in loss.terms.items()}]
    seen.append([float(p.detach().double().abs().sum()) for p in method.parameters()])
    metrics, arrays = task.evaluate(method, data.validation, 3, 8, progress=Progress(3, 4, 5))
    seen += [
        metrics,
        [np.nansum(v) for v in vars(arrays).values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"],
    ]
    return repr([*seen, method.curves()])


@pytest.mark.parametrize("method", METHODS_HERE)
def test_every_setting_of_a_model_acts_or_refuses(method: str, splits: dict[str, Any]) -> None:
    plain = with_overrides(preset(method), SMALL)
    data = loaded(splits, plain)
    before: dict[str, str] = {}
    silent = []
    for path, value, hint in leaves(plain.model, "model."):
        name = path.rpartition(".")[2]
        if name in ELSEWHERE:
            continue
        context = context_of(path)
        try:
            key, base = repr(context), with_overrides(plain, context)
        except ConfigError:  # a part that does nothing here refuses all its settings
            continue
        if key not in before:
            before[key] = consequences(base, data)
            assert consequences(base, data) == before[key], "the consequences are not repeatable"
        for other in others(name, value, hint):
            try:
                if consequences(with_overrides(base, {path: other}), data) != before[key]:
                    break
            except ConfigError:
                break
        else:
            silent.append(path)
    assert silent == []


def test_what_is_shown_elsewhere_is_shown_there() -> None:
    root = Path(__file__).parents[1]
    assert [name for name, file in ELSEWHERE.items() if name not in (root / file).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("method", METHODS_HERE)
def test_sizes_at_their_smallest_work_or_refuse(method: str, splits: dict[str, Any]) -> None:
    plain = with_overrides(preset(method), SMALL)
    data = loaded(splits, plain)
    for path, value, _ in leaves(plain.model, "model."):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if set(context_of(path)) & {f"model.{name}" for name in getattr(plain.model, "idle", ())}:
            continue
        base = with_overrides(plain, context_of(path))
        for least in (1, 0, -1):
            shown = refusal = None
            try:
                shown = consequences(with_overrides(base, {path: type(value)(least)}), data)
            except (ConfigError, DataError) as error:
                refusal = str(error)
            assert refusal is not None or "nan" not in str(shown), f"{path}={least} gives NaN"
            assert refusal is not None or least >= 0 or path.endswith(SIGNED), f"{path}={least} is accepted"
            ends = ("hidden", "max_clips", "candidates", "dropout", "label_smoothing")
            large = path.endswith(ends) or "does nothing here" in str(refusal)
            assert refusal is None or least < 1 or large, f"{path}={least}: {refusal}"


# ---- how a run is trained

TRAINED: dict[str, Any] = {
    "epochs": 3, "batch_size": 5, "optimizer": "bert_adam", "lr": 1e-2, "warmup_updates": 2, "warmup_init_lr": 1e-3,
    "schedule": "constant", "drop_epochs": 1, "weight_decay": 0.5, "clip_norm": 0.01, "eps_rule": "torch", "seed": 1,
    "probe_queries": 2, "strip_frames": 5, "strip_pixels": 7, "choose_epoch_by": "last", "evaluate_every": 2,
    "evaluation_batch_size": 2, "checkpoint_every_steps": 1, "check_every_steps": 1, "device": "cuda:99",
    "threads": 2, "deterministic": False, "static_shapes": True, "resident": "off", "resident_gb": 0.5, "graph": "off",
    "precision": "bf16",
}  # fmt: skip
#: what a training setting needs beside it
TRAINED_CONTEXT: dict[str, dict[str, Any]] = {
    "warmup_init_lr": {"warmup_updates": 4},
    "drop_epochs": {"schedule": "steps", "warmup_updates": 0},
    "choose_epoch_by": {"epochs": 6, "lr": 0.05},
    "schedule": {"warmup_updates": 2},
}


def recorded(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    """What a run writes and does: tables, pictures, weights, saved states, looks at the loss, batches and threads."""
    done: list[Any] = []

    class Watched(tiny.TinyMethod):
        def step(self, batch: Any, *rest: Any) -> Any:
            done.append((batch.word_ids.shape, torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
            return super().step(batch, *rest)

        def predict(self, batch: Any, *rest: Any) -> Any:
            done.append(len(batch.word_ids))
            return super().predict(batch, *rest)

    with monkeypatch.context() as patch:
        for name in ("Residence", "recorder_for"):  # what they do shows on a card alone
            kept = getattr(loop, name)
            patch.setattr(loop, name, lambda *a, _kept=kept, _name=name: (done.append((_name, a)), _kept(*a))[1])
        for owner, name in ((loop.TrainingState, "save"), (loop._Run, "_check")):
            kept = getattr(owner, name)
            patch.setattr(owner, name, lambda *a, _kept=kept, _name=name: (done.append(_name), _kept(*a))[1])
        plain = {"epochs": 2, "batch_size": 4, "probe_queries": 3, "device": "cpu", "threads": 1}
        data = [tiny.tiny_dataset(name, 12, seed, strips=True) for seed, name in enumerate(("train", "validation"))]
        config = with_overrides(TrainConfig(), {**plain, **changes})
        run = loop.train(Watched(), *data, config, folder, tiny.DESCRIPTION, progress=False)
    tables = run.epochs.drop(columns="seconds").to_csv() + run.proposals.to_csv()
    strips = [(name, array.shape) for name, array in run.strips.items()]
    return repr([tables, strips, run.checkpoint.read_bytes(), run.state, done])


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(TrainConfig)])
def test_every_setting_of_training_acts_or_refuses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = TRAINED_CONTEXT.get(name, {})
    plain = recorded(tmp_path / "plain", monkeypatch, **context)
    assert recorded(tmp_path / "again", monkeypatch, **context) == plain
    try:
        moved = recorded(tmp_path / "moved", monkeypatch, **{**context, name: TRAINED[name]})
    except (ConfigError, TrainingDiverged):
        return
    assert moved != plain


@pytest.mark.parametrize(("setting", "value"), [("vote", "charades"), ("vote", "none")])
@pytest.mark.parametrize("method", ["moment-detr", "basnet", "p4-xclip"])
def test_a_vote_is_refused_where_nothing_is_voted_on(method: str, setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match="does not choose its answer by a vote"):
        task_of(with_overrides(preset(method), {setting: value}))


@pytest.mark.parametrize(("method", "setting", "value"), [
    ("qd-detr", "test_draws", 3), ("co2net", "test_draws", 2), ("p4-xclip", "test_draws", 2),
    ("tsm-vlc", "train.static_shapes", True),
])  # fmt: skip
def test_what_no_answer_and_no_batch_depends_on_is_refused(method: str, setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        task_of(with_overrides(preset(method), {setting: value}))


def test_a_vote_acts_where_proposals_are_voted_on(splits: dict[str, Any]) -> None:
    plain = with_overrides(preset("cpl"), SMALL)
    data = loaded(splits, plain)
    votes = ("none", "activitynet", "charades", "pps_charades")
    assert len({consequences(with_overrides(plain, {"vote": vote}), data) for vote in votes}) > 1
