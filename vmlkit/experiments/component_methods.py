"""P4's methods by name: which data they load and which task trains them."""

import dataclasses
from typing import Any

from vmlkit.data.components import ComponentDataset, attach
from vmlkit.data.detr_dataset import DetrDataset
from vmlkit.data.sources import DataConfig, Splits, load_splits
from vmlkit.data.toyworld.new_words import any_word_vector
from vmlkit.data.toyworld.paraphrase import toy_components
from vmlkit.errors import ConfigError
from vmlkit.training.components import ComponentTask
from vmlkit.training.detr_task import DetrTask
from vmlkit.training.retrieval import RetrievalTask


def load_with_components(config: DataConfig, cache_dir: Any = None, progress: bool = True) -> Splits:
    """The splits of the toy world, each sentence with its paraphrase and its false variants.

    Raises:
        ConfigError: for another source: wrap its splits with :func:`vmlkit.data.components.attach`.
    """
    return _wrapped(config, cache_dir, progress, detr=False)


def load_detr_with_components(config: DataConfig, cache_dir: Any = None, progress: bool = True) -> Splits:
    """The same for the DETR family."""
    return _wrapped(config, cache_dir, progress, detr=True)


def _wrapped(config: DataConfig, cache_dir: Any, progress: bool, *, detr: bool) -> Splits:
    if config.name != "toy":
        raise ConfigError(
            f"there are no sentence components for {config.name!r}: generate variants with `vmlkit variants` and "
            "attach them to its splits (vmlkit.data.components)"
        )
    splits = load_splits(config, cache_dir, progress)

    def wrap(name: Any) -> ComponentDataset:
        split = getattr(splits, name)
        texts = toy_components(config.toy, name, split.query_ids)
        return attach(DetrDataset.of(split) if detr else split, texts, any_word_vector)

    parts: dict[str, Any] = {name: wrap(name) for name in ("train", "validation", "test")}
    return dataclasses.replace(splits, **parts)


def retrieval_task(experiment: Any) -> ComponentTask:
    """Text-video retrieval with component metrics."""
    return ComponentTask(host=RetrievalTask())


def moment_task(experiment: Any) -> ComponentTask:
    """Supervised moment retrieval with component metrics."""
    return ComponentTask(host=DetrTask())
