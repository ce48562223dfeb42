"""Experiments of P4: Moment-DETR, QD-DETR and X-CLIP with sentence components.

All in the toy world, the first two on QVHighlights, X-CLIP on MSVD.

Where the paper is silent (tau, lambda_c, h) the values are those of :class:`ComponentLossConfig`, but for the width of
the importance module, which follows the small networks.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from vmlkit.components.lines_data import ComponentLinesData, ComponentPlantedData
from vmlkit.components.losses import ComponentLossConfig
from vmlkit.components.method import ComponentsConfig, XCLIPWithComponents
from vmlkit.components.msvd_data import MsvdData
from vmlkit.components.on_detr import MomentDetrWithComponents, QDDetrWithComponents
from vmlkit.components.variants.rows import MOMENT_NEGATIVES, RETRIEVAL_NEGATIVES
from vmlkit.components.xclip import XCLIPConfig
from vmlkit.data.settings import ToyData
from vmlkit.detr.line_presets import LINES
from vmlkit.detr.presets import detr_models, detr_training, small_sizes
from vmlkit.training.experiment import Experiment, Size
from vmlkit.training.loop import TrainConfig


def small_xclip() -> XCLIPConfig:
    """The reduced network: D 64, one block each, 12 words, 12 of the 64 clips, padding masked."""
    return XCLIPConfig(width=64, heads=4, words=12, frames=12, temporal_layers=1, text_layers=1, mask_padding=True)


def toy(method: str, size: Size = "ci") -> Experiment:
    """P4 on a host, in the toy world."""
    if size == "ci":
        data = ToyData(clips=16, train_videos=200, validation_videos=30, test_videos=60)
    else:
        data = ToyData(train_videos=400)
    model, training = _xclip(size) if method == "p4-xclip" else _detr(method, size)
    return Experiment(method=method, data=data, model=model, train=training, test_draws=1)


def _losses(names: tuple[str, ...]) -> ComponentsConfig:
    return ComponentsConfig(names=names, loss=ComponentLossConfig(hidden=32))


def _detr(method: str, size: Size) -> tuple[Any, TrainConfig]:
    epochs = {"ci": 8, "demo": 12, "paper": 40}[size]
    training = detr_training(epochs=epochs, drop_epochs=3 * epochs // 4, lr=1e-3, probe_queries=24, threads=1)
    sizes = small_sizes()
    if size == "ci":
        sizes = dataclasses.replace(sizes, encoder_layers=1, decoder_layers=1)
        training = dataclasses.replace(training, batch_size=16, drop_epochs=0)
    host, names = detr_models(sizes)[method.removeprefix("p4-")], _losses(tuple(MOMENT_NEGATIVES))
    make = MomentDetrWithComponents if method == "p4-moment-detr" else QDDetrWithComponents
    return make(host=host, components=names), training


def _xclip(size: Size) -> tuple[XCLIPWithComponents, TrainConfig]:
    epochs = {"ci": 8, "demo": 12, "paper": 40}[size]
    training = TrainConfig(
        epochs=epochs, lr=2e-3, warmup_updates=50, probe_queries=8, threads=1, choose_epoch_by="t2v R@1", clip_norm=1.0
    )
    host = small_xclip() if size != "paper" else dataclasses.replace(small_xclip(), width=128)
    return XCLIPWithComponents(host=host, components=_losses(tuple(RETRIEVAL_NEGATIVES))), training


def msvd(method: str, size: Size = "paper") -> Experiment:
    """X-CLIP on MSVD with CLIP's frames and tokens, the negatives of P4 Table 3 (verb and subject).

    ``paper``: batches of 30 and a rate of 6.1e-5, as P4 says; width, frames, words, blocks, optimiser and 5 epochs of
    X-CLIP's release, but for CLIP, which stays as it is (:mod:`vmlkit.components.clip_states`).  ``demo`` is one epoch
    of it; ``ci`` has one block and 3,000 captions.
    """
    training = TrainConfig(
        epochs=5 if size == "paper" else 1, batch_size=30, optimizer="bert_adam", lr=6.1e-5, clip_norm=1.0,
        choose_epoch_by="t2v R@1",
    )  # fmt: skip
    # padding has no states in files, so that nothing of it may take part
    host = XCLIPConfig(clip_states=True, mask_padding=True, temporal_layers=1 if size == "ci" else 4)
    components = ComponentsConfig(names=tuple(RETRIEVAL_NEGATIVES))
    data = MsvdData(max_train_queries=3000 if size == "ci" else None)
    model = XCLIPWithComponents(host=host, components=components)
    return Experiment(method=method, data=data, model=model, train=training, test_draws=1)


def lines(name: str, method: str, size: Size = "paper") -> Experiment:
    """A host on a data set of JSON lines with P4's loss; data, training and host are those of the host alone."""
    host = LINES[name](method.removeprefix("p4-"), size)
    kind = ComponentPlantedData if name.startswith("planted:") else ComponentLinesData
    data = kind(**{field.name: getattr(host.data, field.name) for field in dataclasses.fields(host.data)})
    make = MomentDetrWithComponents if method == "p4-moment-detr" else QDDetrWithComponents
    hidden = ComponentLossConfig().hidden if size == "paper" else 32
    components = ComponentsConfig(names=tuple(MOMENT_NEGATIVES), loss=ComponentLossConfig(hidden=hidden))
    return dataclasses.replace(host, method=method, data=data, model=make(host=host.model, components=components))


#: by the name of the data
PRESETS: dict[str, Callable[[str, Size], Experiment]] = {"toy": toy}
#: of moment retrieval; P4 reports QVHighlights
MOMENT_PRESETS: dict[str, Callable[[str, Size], Experiment]] = {
    **PRESETS,
    **{name: partial(lines, name) for name in ("qvhighlights", "planted:qvhighlights")},
}
#: of text-video retrieval
RETRIEVAL_PRESETS: dict[str, Callable[[str, Size], Experiment]] = {**PRESETS, "msvd": msvd}
