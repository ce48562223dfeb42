"""The methods of action localisation by name: their settings, and how they are made from a training split."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vmlkit.actions.co2net import CO2NetConfig
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.localiser import ActionShape
from vmlkit.actions.method import ActionBaSNet, ActionCO2Net, ActionConfig, ActionHAMNet, ActionMethod
from vmlkit.actions.presets import PRESETS
from vmlkit.actions.sources import ACTIONS
from vmlkit.actions.task import ActionTask
from vmlkit.errors import ConfigError
from vmlkit.text.embeddings import hashed_vectors
from vmlkit.training.experiment import Experiment, MethodEntry

#: words between [START] and the label in the handcrafted prompt of P3 Table 4
CONTEXT = ("a", "video", "of")


def make_action(config: ActionConfig, data: ActionDataset) -> ActionMethod:
    """The method sized to a training split, with its class texts."""
    return ActionMethod(config, action_shape(data))


def action_shape(data: ActionDataset) -> ActionShape:
    """What a method reads off the data: widths, class words, vocabulary."""
    return ActionShape(
        features=data.rows.shape[1],
        class_words=data.class_vectors,
        vocabulary=len(data.vocabulary),
        clips=data.clips,
        context_words=context_words(data),
    )


def context_words(data: ActionDataset) -> Tensor:
    """Vectors of "a video of"; a word outside the vocabulary gets a hashed one of the usual length."""
    dim = data.vectors.shape[1]
    norm = float(data.vectors[1:].norm(dim=1).mean())
    rows = []
    for word in CONTEXT:
        known = data.vocabulary.ids([word])
        rows.append(data.vectors[known[0]] if known else norm * torch.from_numpy(hashed_vectors([word], dim))[0])
    return torch.stack(rows)


def action_task(experiment: Experiment) -> ActionTask:
    """How the experiment's batches are drawn and its answers scored."""
    model: ActionConfig = experiment.model
    pairs = model.host.pairs if isinstance(model.host, CO2NetConfig) else 3
    if model.sampler == "pairs" and 2 * pairs > experiment.train.batch_size:
        raise ConfigError(f"{pairs} pairs do not fit into batch_size={experiment.train.batch_size}: lower 'pairs'")
    if experiment.train.static_shapes:
        raise ConfigError("setting 'train.static_shapes' changes nothing for actions: their batches have one shape")
    return ActionTask(
        clips=experiment.data.clips,
        sampler=model.sampler,
        pairs=pairs,
        steps_per_epoch=model.steps_per_epoch,
        proposals=model.proposals,
        protocol=model.protocol,
    )


def renamed(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were recorded while the host had a switch for its texts, and the completion's training stood apart.

    ``segments`` followed the clips of the data, as it does now without a setting.
    """
    host, vlc = dict(model["host"]), model.get("vlc")
    host.pop("segments", None)
    if host.pop("classifier", "text") == "conv":
        host["text"] = None
    moved = {"schedule", "reconstruction_weight", "contrast_weight", "stale_gradient_clipping"}
    moved |= {"vlc_lr", "vlc_warmup_updates"}
    now = {name: value for name, value in model.items() if name not in moved} | {"host": host}
    if vlc is not None:
        gone = {"contrast": True, "pool": None}  # where they stood at what is now the only way
        vlc = {name: value for name, value in vlc.items() if name not in gone or value != gone[name]}
        now["vlc"] = vlc | {name.removeprefix("vlc_"): model[name] for name in moved if name in model}
    return now


def _entry(config: type[ActionConfig]) -> MethodEntry:
    """On every source for which the method was released."""
    released = {data: make for data, make in PRESETS.items() if config is ActionCO2Net or data != "activitynet1.3"}
    return MethodEntry(make_action, config, released, action_task, ACTIONS, renamed)


METHODS: dict[str, MethodEntry] = {
    "basnet": _entry(ActionBaSNet),
    "hamnet": _entry(ActionHAMNet),
    "co2net": _entry(ActionCO2Net),
    "tsm": _entry(ActionCO2Net),
    "tsm-vlc": _entry(ActionCO2Net),
}
