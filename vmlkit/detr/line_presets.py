"""Experiments of the DETR family on data sets of JSON lines.

``paper`` is the published setting of method and data set; ``ci`` and ``demo`` train the small network for 2 and 8
epochs.  Where a data set has no published setting of a method, that of its nearest kin is taken and said here:

* Moment-DETR and QD-DETR on Charades-STA, TACoS and ActivityNet Captions: as lighthouse trains them;
* BM-DETR on TACoS and ActivityNet Captions (its scripts were not released): its defaults, on C3D as P2 reports it;
* Moment-DETR and QD-DETR on Charades-CD: BM-DETR's rates and epochs;
* YouTube Highlights: as CG-DETR and lighthouse train it; Moment-DETR on TVSum: as QD-DETR.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.detr.presets import detr_experiment, detr_models, detr_training, small_sizes
from vmlkit.detr.settings import DetrData, LinesData, PlantedLinesData
from vmlkit.training.experiment import Experiment, Size

#: epochs of the small network
EPOCHS = {"ci": 2, "demo": 8}
#: what the methods share on the data sets of highlights alone: saliency is all that is trained
SALIENCY_ALONE: Mapping[str, Mapping[str, Any]] = {
    "moment-detr": {"weights.span": 0, "weights.giou": 0, "weights.label": 0},
    "qd-detr": {"supervise_windows": False},
}
_CHARADES = {"lr": 2e-4, "drop_epochs": 40, "choose_epoch_by": "R@1,IoU=0.7"}
_LIGHTHOUSE = {"lr": 2e-4, "drop_epochs": 40, "epochs": 200, "choose_epoch_by": "mAP"}
_SALIENCY_4 = {"weights.saliency": 4.0}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The published setting of a data set: of the data, of the training and of the models, where they differ."""

    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)  #: of every method
    #: by method, on top: settings whose names begin with ``data.``, ``train.`` or ``model.``
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_BM_CHARADES = {"train.epochs": 100, "train.lr": 2e-4, "train.drop_epochs": 40}
_C3D = {"data.kinds": ("c3d",), **_BM_CHARADES, "train.choose_epoch_by": "R@1,IoU=0.7", "model.weights.saliency": 4.0}

RECIPES: Mapping[str, Recipe] = {
    "qvhighlights": Recipe(
        training={"lr": 1e-4, "drop_epochs": 400, "epochs": 200, "evaluate_every": 5, "choose_epoch_by": "mAP"},
        model={"weights.saliency": 1.0},
        own={"bm-detr": {"model.alignment_weight": 3.0, "model.shifting": False}},
    ),
    "charades_sta": Recipe(
        data={"seconds_per_row": 1.0},
        training={**_CHARADES, "epochs": 200},
        model=_SALIENCY_4,
        own={"bm-detr": _BM_CHARADES},
    ),
    "charades_cd": Recipe(
        data={"seconds_per_row": 1.0, "kinds": ("i3d",)}, training={**_CHARADES, "epochs": 100}, model=_SALIENCY_4
    ),
    "tacos": Recipe(
        data={"clips": 1000, "max_words": 100}, training=_LIGHTHOUSE, model=_SALIENCY_4, own={"bm-detr": _C3D}
    ),
    "activitynet_captions": Recipe(
        training={"lr": 1e-4, "drop_epochs": 400, "epochs": 200, "choose_epoch_by": "mAP"}, own={"bm-detr": _C3D}
    ),
    "tvsum": Recipe(
        data={"clips": 1000, "kinds": ("i3d",), "unit_text": False, "max_words": 100, "validation_share": 0.0},
        training={
            "lr": 1e-3, "batch_size": 4, "epochs": 2000, "drop_epochs": 2000, "evaluate_every": 50,
            "choose_epoch_by": "last",
        },
    ),
    "youtube_highlights": Recipe(
        data={
            "clips": 1000, "seconds_per_row": 1.0, "kinds": ("clip", "slowfast"), "unit_text": False, "max_words": 100,
            "validation_share": 0.0,
        },
        training={
            "lr": 2e-4, "batch_size": 4, "epochs": 1000, "drop_epochs": 2000, "evaluate_every": 50,
            "choose_epoch_by": "last",
        },
        model=_SALIENCY_4,
    ),
}  # fmt: skip
#: data sets of highlights alone, which have no windows: nothing of BM-DETR was published on them
HIGHLIGHTS = ("tvsum", "youtube_highlights")


def lines(name: str, method: str, size: Size = "paper") -> Experiment:
    """A data set of JSON lines with features from files."""
    recipe = RECIPES[name]
    return _experiment(DetrData(name=name, **recipe.data), recipe, method, size)  # type: ignore[arg-type]


def planted(name: str, method: str, size: Size = "demo") -> Experiment:
    """Its annotations over planted features; reduced unless the size is ``paper``.

    1,600 training, 200 validation and 400 test queries.  Videos of TACoS last up to 23 minutes: reduced, a clip stands
    for 5 seconds, and predicted windows are not rounded to so long ones.
    """
    recipe = RECIPES[name.removeprefix("planted:")]
    own = {key: value for key, value in recipe.data.items() if hasattr(PlantedLinesData, key)}
    data = PlantedLinesData(name=name, **own)  # type: ignore[arg-type]
    if size != "paper":
        data = dataclasses.replace(data, max_train_queries=1600, max_validation_queries=200, max_test_queries=400)
        if data.corpus_name == "tacos":
            data = dataclasses.replace(data, seconds_per_row=5.0, round_windows=False)
    return _experiment(data, recipe, method, size)


def _experiment(data: LinesData, recipe: Recipe, method: str, size: Size) -> Experiment:
    host = method.removeprefix("p4-")
    training = dict(recipe.training)
    if size != "paper":
        epochs = EPOCHS[size]
        training |= {"epochs": epochs, "drop_epochs": epochs, "evaluate_every": 1, "lr": 1e-3, "threads": 1}
    model = detr_models() if size == "paper" else detr_models(small_sizes())
    given = detr_experiment(method, data, model[host], detr_training(**training))
    changes = {f"model.{key}": value for key, value in recipe.model.items()}
    if data.corpus_name in HIGHLIGHTS:
        changes |= {f"model.{key}": value for key, value in SALIENCY_ALONE[host].items()}
    for key, value in recipe.own.get(host, {}).items():
        reduced = size != "paper" and key.startswith("train.") and key != "train.choose_epoch_by"
        if not reduced and (key != "data.kinds" or isinstance(data, DetrData)):
            changes[key] = value
    return with_overrides(given, changes)


#: by the name of the data
LINES: dict[str, Callable[[str, Size], Experiment]] = {
    **{name: partial(lines, name) for name in RECIPES},
    **{f"planted:{name}": partial(planted, f"planted:{name}") for name in ("qvhighlights", "tacos")},
}
#: those of moments, which every method of the family reads
MOMENT_LINES = {name: make for name, make in LINES.items() if name not in HIGHLIGHTS}
