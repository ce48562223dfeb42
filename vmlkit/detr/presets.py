"""Experiments of the DETR family by data source and size.

The small network (D 64, two layers a stack) trains in seconds an epoch on one core.  Learning rate and dropout of the
toy world were chosen on its validation split.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from vmlkit.data.settings import DataConfig
from vmlkit.detr.bm_detr import BMDetrConfig
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetrConfig
from vmlkit.detr.settings import DetrCharadesCDData, DetrToyData
from vmlkit.training.experiment import Experiment, Size
from vmlkit.training.loop import TrainConfig


def small_sizes() -> DetrSizes:
    """The reduced network: D 64, 4 heads, 2 + 2 layers, 5 moment queries, no dropout (its runs are short)."""
    return DetrSizes(hidden=64, heads=4, feed_forward=128, queries=5, dropout=0.0, input_dropout=0.0)


def detr_models(sizes: DetrSizes | None = None) -> dict[str, Any]:
    """Settings of each method; the released sizes unless given.  BM-DETR is in ``paper`` mode."""
    if sizes is None:
        return {"moment-detr": MomentDetrConfig(), "qd-detr": QDDetrConfig(), "bm-detr": BMDetrConfig(mode="paper")}
    return {
        "moment-detr": MomentDetrConfig(sizes=sizes),
        "qd-detr": QDDetrConfig(sizes=sizes, text_to_video_layers=sizes.encoder_layers),
        "bm-detr": BMDetrConfig(mode="paper", sizes=sizes, alignment_size=sizes.hidden),
    }


def detr_training(**settings: Any) -> TrainConfig:
    """The family's optimiser: AdamW with decay 1e-4, gradient norm at most 0.1, a rate that falls in steps."""
    family = {"clip_norm": 0.1, "weight_decay": 1e-4, "schedule": "steps", "warmup_updates": 0, "eps_rule": "torch"}
    return TrainConfig(**{**family, "choose_epoch_by": "R@1,IoU=0.7", **settings})


def toy_detr(method: str, size: Size = "ci") -> Experiment:
    """The toy world with its time labels; ``ci``: 200 training videos at 16 clips, ``demo``: 700 at 32."""
    epochs = {"ci": 16, "demo": 20, "paper": 40}[size]
    training = detr_training(epochs=epochs, drop_epochs=3 * epochs // 4, lr=2e-3, probe_queries=24, threads=1)
    few = DetrToyData(clips=16, train_videos=200, validation_videos=30, test_videos=60)
    data = few if size == "ci" else DetrToyData(clips=32 if size == "demo" else 64)
    return detr_experiment(method, data, detr_models(small_sizes())[method], training)


def planted_charades_cd(method: str, size: Size = "demo") -> Experiment:
    """Charades-CD's sentences and moments over planted features, at a reduced size.

    3,200 training, 300 validation, 600 in- and 600 out-of-distribution test queries, 64 clips; ``ci`` trains 2 epochs.
    """
    data = DetrCharadesCDData(max_train_queries=3200, max_validation_queries=300, max_test_queries=600)
    epochs = {"ci": 2, "demo": 8, "paper": 100}[size]
    training = detr_training(epochs=epochs, drop_epochs=max(1, 3 * epochs // 4), lr=2e-3, threads=1)
    if size != "paper":
        return detr_experiment(method, data, detr_models(small_sizes())[method], training)
    training = dataclasses.replace(training, lr=2e-4, drop_epochs=40)
    return detr_experiment(method, DetrCharadesCDData(clips=75), detr_models()[method], training)


def detr_experiment(method: str, data: DataConfig, model: Any, training: TrainConfig) -> Experiment:
    """The experiment; nothing in an answer of the family is drawn."""
    return Experiment(method=method, data=data, model=model, train=training, test_draws=1)


def equations_as_written(model: BMDetrConfig) -> BMDetrConfig:
    """BM-DETR with every equation as P2 has it, where ``paper`` mode alone keeps the released form of three.

    Pooling by one vector, P2 Eq. (9) and P2 Eq. (10), and a margin over all pairs of clips, P2 Eq. (15); the mode
    brings the rest, P2 Eq. (17) included.
    """
    return dataclasses.replace(model, mode="paper", pooling="linear", margin_pairs="all")


#: by the name of the data
PRESETS: dict[str, Callable[[str, Size], Experiment]] = {"toy": toy_detr, "planted:charades_cd": planted_charades_cd}
