"""How the DETR family is made from its settings and a training split, and which task trains it."""

from collections.abc import Callable
from typing import Any

from vmlkit.data.settings import DataConfig
from vmlkit.detr.bm_detr import BMDetr, BMDetrConfig, judging_source, negative_source
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.line_presets import LINES, MOMENT_LINES
from vmlkit.detr.method import DetrMethod
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.official import COLUMNS
from vmlkit.detr.presets import PRESETS, equations_as_written
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.detr.settings import LinesData, grouped
from vmlkit.detr.sources import DETR_MOMENTS
from vmlkit.detr.task import GROUPED_COLUMNS, DetrTask, Repeats
from vmlkit.training.experiment import Experiment, MethodEntry
from vmlkit.training.method import DataShape
from vmlkit.training.task import MOMENT_COLUMNS


def detr_method(make: Callable[[Any, DataShape], DetrMethod]) -> Callable[[Any, DetrDataset], DetrMethod]:
    """A maker that reads feature sizes off the data; two endpoint features join each clip."""

    def made(settings: Any, data: DetrDataset) -> DetrMethod:
        frame_dim, word_dim = data.frames.shape[-1] + 2, data.vectors.shape[-1]
        return make(settings, DataShape(frame_dim=frame_dim, word_dim=word_dim, vocabulary=len(data.vocabulary)))

    return made


def columns_of(data: DataConfig) -> tuple[str, ...]:
    """Columns of printed tables: those of the data set's published tables."""
    if isinstance(data, LinesData):
        return COLUMNS[data.corpus.protocol]
    return GROUPED_COLUMNS if grouped(data) else MOMENT_COLUMNS


def detr_task(experiment: Experiment) -> DetrTask:
    """Negatives and batches as the method's settings want them.

    BM-DETR's batches hold distinct videos, because its alignment takes every other sentence of a batch for a negative:
    a repeated video is dropped (release) or moves to the next batch (``paper``).
    """
    settings = experiment.model
    columns = columns_of(experiment.data)
    if not isinstance(settings, BMDetrConfig):
        return DetrTask(columns=columns)
    repeats: Repeats = "drop" if settings.mode == "authors" else "defer"
    return DetrTask(
        columns=columns, negatives=negative_source(settings), judged_with=judging_source(settings), repeats=repeats
    )


METHODS: dict[str, MethodEntry] = {
    "moment-detr": MethodEntry(
        detr_method(MomentDetr), MomentDetrConfig, {**PRESETS, **LINES}, detr_task, DETR_MOMENTS
    ),
    "qd-detr": MethodEntry(detr_method(QDDetr), QDDetrConfig, {**PRESETS, **LINES}, detr_task, DETR_MOMENTS),
    "bm-detr": MethodEntry(
        detr_method(BMDetr),
        BMDetrConfig,
        {**PRESETS, **MOMENT_LINES},
        detr_task,
        DETR_MOMENTS,
        variants={"equations-as-written": equations_as_written},
    ),
}
