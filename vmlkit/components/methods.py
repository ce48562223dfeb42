"""P4's methods by name: which data they load and which task trains them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmlkit.components.dataset import ComponentDataset, attach
from vmlkit.components.lines_data import ComponentLinesData, ComponentPlantedData, load_component_lines
from vmlkit.components.method import XCLIPWithComponents, xclip_with_components
from vmlkit.components.msvd_data import MsvdData, load_msvd
from vmlkit.components.on_detr import MomentDetrWithComponents, QDDetrWithComponents, detr_with_components
from vmlkit.components.presets import MOMENT_PRESETS, RETRIEVAL_PRESETS
from vmlkit.components.retrieval import RetrievalTask
from vmlkit.components.task import MATCH_ACCURACY, component_accuracy
from vmlkit.components.toy_texts import toy_components
from vmlkit.components.toy_words import any_word_vector
from vmlkit.data.batches import MomentDataset
from vmlkit.data.settings import ToyData
from vmlkit.data.sources import Splits, View, load_toy
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.methods import columns_of
from vmlkit.detr.settings import LinesData
from vmlkit.detr.task import DetrTask
from vmlkit.errors import ConfigError
from vmlkit.training.experiment import Experiment, MethodEntry


def _toy(adapt: Callable[[MomentDataset], Any]) -> Callable[[ToyData, Path | None, bool], Splits[ComponentDataset]]:
    """The toy world, each sentence with its paraphrase and its false variants, beside what ``adapt`` makes of it."""

    def loader(config: ToyData, cache_dir: Path | None, progress: bool) -> Splits[ComponentDataset]:
        def wrap(name: Any, split: MomentDataset) -> ComponentDataset:
            return attach(adapt(split), toy_components(config.toy, name, split.query_ids), any_word_vector)

        return load_toy(config, cache_dir, progress).map(wrap)

    return loader


#: generated variants join any other split by :func:`vmlkit.components.dataset.attach`
COMPONENTS: View[ComponentDataset] = View(
    "sentence components", {ToyData: _toy(lambda split: split), MsvdData: load_msvd}
)
DETR_COMPONENTS: View[ComponentDataset] = View(
    "sentence components of the DETR family",
    {
        ToyData: _toy(DetrDataset.of),
        ComponentLinesData: load_component_lines,
        ComponentPlantedData: load_component_lines,
    },
)


def retrieval_task(experiment: Experiment) -> RetrievalTask:
    """Text-video retrieval with component metrics; the comparison sees no video, so there is one view of it."""
    if isinstance(experiment.data, MsvdData) and experiment.data.clips != experiment.model.host.frames:
        frames = f"{experiment.data.clips}, and 'model.host.frames' is {experiment.model.host.frames}"
        raise ConfigError(f"setting 'data.clips' is {frames}: frames are chosen when they are read, make them equal")
    columns = ("component accuracy", "match accuracy", "match accuracy, shuffled video", *RetrievalTask.columns)
    return RetrievalTask(columns=columns, also=(component_accuracy("own"), MATCH_ACCURACY))


def moment_task(experiment: Experiment) -> DetrTask:
    """Supervised moment retrieval with component metrics."""
    own: tuple[str, ...] = ("R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU")
    if isinstance(experiment.data, LinesData):
        own = columns_of(experiment.data)
    columns = ("component accuracy", "component accuracy, shuffled video", *own)
    return DetrTask(columns=columns, also=(component_accuracy("own", "shuffled", "none"),))


def _on_detr(config: type) -> MethodEntry:
    return MethodEntry(detr_with_components, config, MOMENT_PRESETS, moment_task, DETR_COMPONENTS)


METHODS: dict[str, MethodEntry] = {
    "p4-moment-detr": _on_detr(MomentDetrWithComponents),
    "p4-qd-detr": _on_detr(QDDetrWithComponents),
    "p4-xclip": MethodEntry(xclip_with_components, XCLIPWithComponents, RETRIEVAL_PRESETS, retrieval_task, COMPONENTS),
}
