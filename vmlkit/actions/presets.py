"""Experiments of action localisation: CO2-Net, P3 (TSM, VLC) and the hosts of P3 Table 8.

``ci`` and ``demo`` are of toy width (F 128, attention 64, VLC 32 wide); ``paper`` is the released configuration and
wants a GPU.  The epoch is always the last one: nothing is chosen by time labels, unlike in the releases, which choose
by the test set.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from vmlkit.actions.basnet import BaSNetConfig
from vmlkit.actions.co2net import CO2NetConfig
from vmlkit.actions.cross_modal import AttentionConfig, AttentionKind
from vmlkit.actions.hamnet import HAMNetConfig
from vmlkit.actions.localiser import LocaliserConfig
from vmlkit.actions.method import ActionBaSNet, ActionCO2Net, ActionConfig, ActionHAMNet
from vmlkit.actions.planted import PlantedActionConfig
from vmlkit.actions.sources import ActionData, PlantedActionData, ToyActionData
from vmlkit.actions.text_queries import TextQueryConfig
from vmlkit.actions.tsm import tsm_activitynet, tsm_config
from vmlkit.actions.vlc import VLCConfig
from vmlkit.data.settings import DataConfig
from vmlkit.nn.transformer import TransformerConfig
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.training.experiment import Experiment, Size
from vmlkit.training.loop import TrainConfig

#: width of the attention's convolutions, of the completion network, and of BaS-Net at toy size
HIDDEN, VLC_HIDDEN, WIDTH = 64, 32, 128
#: the text queries at toy size
SMALL_TEXT = TextQueryConfig(heads=4)


def small_vlc(kind: AttentionKind = "reconstruct", layers: int = 3, **changes: Any) -> VLCConfig:
    """The completion network at toy width; the release has three layers a stack."""
    network = TransformerConfig(hidden=VLC_HIDDEN, heads=4, video_layers=layers, text_layers=layers, dropout=0.0)
    parts = {"attention": AttentionConfig(kind=kind, hidden=HIDDEN)}
    front = {"reconstruction": ReconstructionConfig(transformer=network, end_symbol="always")}
    return VLCConfig(**{**parts, **front, "lr": 1e-3, "warmup_updates": 50, **changes})


#: what BaS-Net and HAM-Net, as released, do not share with CO2-Net and P3
_HOSTS: dict[str, tuple[type[ActionConfig], dict[str, Any]]] = {
    "basnet": (ActionBaSNet, {"sampler": "shuffle", "proposals": "basnet", "weight_decay": 5e-4}),
    "hamnet": (ActionHAMNet, {"sampler": "shuffle", "proposals": "hamnet"}),
}


def _model(method: str, host: LocaliserConfig, vlc: VLCConfig | None = None, **changes: Any) -> ActionConfig:
    kind, own = _HOSTS.get(method, (ActionCO2Net, {}))
    return kind(host=host, **{"vlc": vlc if method == "tsm-vlc" else None, **own, **changes})


def small_model(method: str, **changes: Any) -> ActionConfig:
    """The method's settings at toy width; ``changes`` are fields of :class:`ActionConfig`."""
    kinds: dict[str, AttentionKind] = {"basnet": "filter", "hamnet": "conv", "co2net": "consensus"}
    attention = AttentionConfig(kind=kinds.get(method, "reconstruct"), hidden=HIDDEN)
    hosts: dict[str, Callable[[], LocaliserConfig]] = {
        "basnet": lambda: BaSNetConfig(attention=attention, width=WIDTH),
        "hamnet": lambda: HAMNetConfig(attention=attention),
        "co2net": lambda: CO2NetConfig(attention=attention),
    }
    host = hosts.get(method, lambda: tsm_config(attention=attention, text=SMALL_TEXT))()
    return _model(method, host, small_vlc(), **changes)


def toy(method: str, size: Size = "ci") -> Experiment:
    """The toy world's twelve actions, with the label set of each video and nothing else.

    Two settings are the toy world's own, chosen on validation videos.  Networks of 128 columns do not carry three
    dropouts of 0.7.  And ``coactivity_weight`` is 0: toy videos of one class share their empty stage more than the
    action, and CO2-Net then finds the stage (notebook 05 shows both).
    """
    model = small_model(method, protocol="seconds", steps_per_epoch=25)
    changed: dict[str, Any] = {}
    if isinstance(model, ActionCO2Net):
        attention = dataclasses.replace(model.host.attention, dropout=0.1, head_dropout=0.1)
        changed = {"attention": attention, "fusion_dropout": 0.2, "inner_dropout": 0.0, "body_dropout": 0.2}
        changed["coactivity_weight"] = 0.0
    if model.vlc is not None:
        model = dataclasses.replace(model, vlc=small_vlc(layers=1))
    model = dataclasses.replace(model, host=dataclasses.replace(model.host, **changed))
    few = ToyActionData(train_videos=400, validation_videos=30, test_videos=60)
    data = few if size == "ci" else ToyActionData()
    return _experiment(method, data, model, 60 if size == "paper" else 12, _lr(method))


def _experiment(
    method: str, data: DataConfig, model: ActionConfig, epochs: int, lr: float, batch_size: int = 10
) -> Experiment:
    """The localiser's own schedule is constant; the last epoch is kept."""
    training = TrainConfig(
        epochs=epochs, batch_size=batch_size, lr=lr, warmup_updates=0, schedule="constant", choose_epoch_by="last",
        probe_queries=24, threads=1,
    )  # fmt: skip
    return Experiment(method=method, data=data, model=model, train=training, test_draws=1)


def _lr(method: str) -> float:
    """Rates for toy width: the released 5e-5 hardly moves a network of 128 columns."""
    return 2e-3 if method in ("co2net", "hamnet", "basnet") else 1e-3


def planted_thumos(method: str, size: Size = "ci") -> Experiment:
    """Real THUMOS14 annotations over planted features, at the reduced size: 128 columns, T 128, 200 iterations."""
    if size == "paper":
        paper = thumos(method, "paper")
        wide = PlantedActionData(clips=paper.data.clips, planted=PlantedActionConfig(d=1024))
        return dataclasses.replace(paper, data=wide)
    return _experiment(method, PlantedActionData(clips=128), small_model(method), 4 if size == "ci" else 8, _lr(method))


def thumos(method: str, size: Size = "paper") -> Experiment:
    """THUMOS14 with I3D features, as released; smaller sizes cut the network and the run."""
    if size != "paper":
        reduced = planted_thumos(method, size)
        return dataclasses.replace(reduced, data=ActionData(name="thumos14", clips=reduced.data.clips))
    hosts: dict[str, tuple[LocaliserConfig, int, int, float, int]] = {
        # settings, T, batch, learning rate, iterations
        "basnet": (BaSNetConfig(), 750, 16, 1e-4, 1500),
        "hamnet": (HAMNetConfig(), 500, 20, 1e-5, 1000),
        "co2net": (CO2NetConfig(), 500, 10, 5e-5, 5000),
        "tsm": (tsm_config(), 320, 10, 5e-5, 7000),
        "tsm-vlc": (tsm_config(), 320, 10, 5e-5, 7000),
    }
    host, clips, batch, lr, iterations = hosts[method]
    model = _model(method, host, VLCConfig(), protocol="seconds" if method in _HOSTS else "p3")
    data = ActionData(name="thumos14", clips=clips)
    return _experiment(method, data, model, iterations // model.steps_per_epoch, lr, batch)


def activitynet(method: str, size: Size = "paper") -> Experiment:
    """ActivityNet 1.3 with I3D features, as CO2-Net and P3 released it; smaller sizes cut the network and the run."""
    data = ActionData(name="activitynet1.3", clips=60, feature_dtype="float16")
    if size != "paper":
        reduced = planted_thumos(method, size)
        return dataclasses.replace(reduced, data=data, model=dataclasses.replace(reduced.model, protocol="activitynet"))
    host, iterations = (CO2NetConfig(ratio=5, pool=5), 22000) if method == "co2net" else (tsm_activitynet(), 50000)
    vlc = VLCConfig(attention=host.attention, consistency_weight=0.25, rebuild_weight=0.15) if host.text else None
    changes = {"weight_decay": 1e-3 if method == "co2net" else 5e-4, "protocol": "activitynet", "steps_per_epoch": 2000}
    return _experiment(method, data, _model(method, host, vlc, **changes), iterations // 2000, 3e-5)


#: by the name of the data; BaS-Net and HAM-Net were released for THUMOS14 alone
PRESETS: dict[str, Callable[[str, Size], Experiment]] = {
    "toy": toy,
    "planted:thumos14": planted_thumos,
    "thumos14": thumos,
    "activitynet1.3": activitynet,
}
