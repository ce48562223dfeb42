"""P4's methods by name: which data they load and which task trains them."""

import dataclasses
from typing import Any

from vmlkit.components.dataset import ComponentDataset, attach
from vmlkit.components.method import XCLIPWithComponents, xclip_with_components
from vmlkit.components.on_detr import MomentDetrWithComponents, QDDetrWithComponents, detr_with_components
from vmlkit.components.presets import PRESETS
from vmlkit.components.retrieval import RetrievalTask
from vmlkit.components.task import ComponentTask
from vmlkit.components.toy_texts import toy_components
from vmlkit.components.toy_words import any_word_vector
from vmlkit.data.sources import DataConfig, Splits, load_splits
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.task import DetrTask
from vmlkit.errors import ConfigError
from vmlkit.training.experiment import Experiment, MethodEntry


def load_with_components(config: DataConfig, cache_dir: Any = None, progress: bool = True) -> Splits:
    """The splits of the toy world, each sentence with its paraphrase and its false variants.

    Raises:
        ConfigError: for another source: wrap its splits with :func:`vmlkit.components.dataset.attach`.
    """
    return _wrapped(config, cache_dir, progress, detr=False)


def load_detr_with_components(config: DataConfig, cache_dir: Any = None, progress: bool = True) -> Splits:
    """The same for the DETR family."""
    return _wrapped(config, cache_dir, progress, detr=True)


def _wrapped(config: DataConfig, cache_dir: Any, progress: bool, *, detr: bool) -> Splits:
    if config.name != "toy":
        raise ConfigError(
            f"there are no sentence components for {config.name!r}: generate variants with `vmlkit variants` and "
            "attach them to its splits (vmlkit.components.dataset)"
        )
    splits = load_splits(config, cache_dir, progress)

    def wrap(name: Any) -> ComponentDataset:
        split = getattr(splits, name)
        texts = toy_components(config.toy, name, split.query_ids)
        return attach(DetrDataset.of(split) if detr else split, texts, any_word_vector)

    parts: dict[str, Any] = {name: wrap(name) for name in ("train", "validation", "test")}
    return dataclasses.replace(splits, **parts)


def retrieval_task(experiment: Experiment) -> ComponentTask:
    """Text-video retrieval with component metrics."""
    return ComponentTask(host=RetrievalTask())


def moment_task(experiment: Experiment) -> ComponentTask:
    """Supervised moment retrieval with component metrics."""
    return ComponentTask(host=DetrTask())


def _on_detr(config: type) -> MethodEntry:
    return MethodEntry(detr_with_components, config, PRESETS, moment_task, load_detr_with_components)


METHODS: dict[str, MethodEntry] = {
    "p4-moment-detr": _on_detr(MomentDetrWithComponents),
    "p4-qd-detr": _on_detr(QDDetrWithComponents),
    "p4-xclip": MethodEntry(xclip_with_components, XCLIPWithComponents, PRESETS, retrieval_task, load_with_components),
}
