"""What a study keeps of a finished run: numbers of the whole test split, the validation curve, and how it was made."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from vmlkit import provenance
from vmlkit.runs import RunDirectory
from vmlkit.training.history import turn_and_end
from vmlkit.training.task import Task

#: digits of a stored number; float32 has no more
DIGITS = 7
#: measures of dependence whose curves are kept
FOLLOWED = ("positive center R2", "negative own IoU", "negative others' IoU", "negative NLL gap")


def summary_of(run: RunDirectory, task: Task[Any, Any, Any], beside: float, made: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``cell.json`` but for its schema.

    ``chosen_epoch``; ``seconds`` of the whole cell and ``seconds_per_epoch``; ``selection``, the metric by which the
    epoch was chosen (of "last": the task's headline), and its ``validation`` curve, a list of ``[epoch, value]``; all
    numbers of the ``test`` split; the ``dependence`` of answers on sentences on validation, at the turn and at the end
    (:func:`vmlkit.training.history.turn_and_end`); the ``curves`` on validation of how negatives lie (P0 Fig. 6), where
    they are intervals, and of :data:`FOLLOWED` as ``dependence/NAME``, where they are known; where the ``words`` came
    from; and ``made``, see :func:`made_now`.

    Args:
        beside: seconds that the cell took besides its epochs.
    """
    metrics, epochs = run.metrics, run.epochs
    rule = run.config["settings"]["train"]["choose_epoch_by"]
    selection = task.headline if rule == "last" else rule
    return {
        "chosen_epoch": metrics["chosen_epoch"],
        "seconds": round(float(epochs["seconds"].sum()) + beside, 1),
        "seconds_per_epoch": round(float(epochs.loc[epochs.epoch > 0, "seconds"].median()), 3),
        "selection": selection,
        "validation": curve(epochs, f"metric/{selection}"),
        "test": {name: rounded(value) for name, value in metrics["test"].items()},
        "dependence": turn_and_end(epochs),
        **({"curves": found} if (found := _curves(epochs)) else {}),
        **({"words": metrics["words"]} if metrics.get("words") else {}),
        "made": {**made, "hardware": {**made["hardware"], **_device(run)}},
    }


def _device(run: RunDirectory) -> dict[str, Any]:
    return {name: run.config["hardware"].get(name) for name in ("threads", "accelerator")}


def _curves(epochs: pd.DataFrame) -> dict[str, list[list[float]]]:
    found = {name: curve(epochs, f"metric/{name}") for name in _ions(epochs)}
    found |= {f"dependence/{name}": curve(epochs, f"dependence/{name}") for name in FOLLOWED}
    return {name: values for name, values in found.items() if values}


def _ions(epochs: pd.DataFrame) -> list[str]:
    """Metrics of :func:`vmlkit.metrics.negatives.ion_metrics` that are R@n,mIoN, or that of random intervals."""
    names = [str(name).removeprefix("metric/") for name in epochs if str(name).startswith("metric/")]
    return [name for name in names if name.endswith(("mIoN", "mIoN random intervals"))]


def curve(epochs: pd.DataFrame, column: str) -> list[list[float]]:
    """``[epoch, value]`` of every evaluated epoch."""
    if column not in epochs:
        return []
    known = epochs[epochs[column].notna()]
    return [[int(epoch), round(float(value), 4)] for epoch, value in zip(known["epoch"], known[column], strict=True)]


def rounded(value: Any) -> Any:
    """A number with :data:`DIGITS` significant digits; anything else as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def made_now(study: str) -> dict[str, Any]:
    """What a cell is computed with: ``revision`` of the sources, versions, hardware, ``study``.

    ``hardware`` has the vector ``capability`` that torch uses of the processor: it decides the bits of a run.

    Args:
        study: hash of the study as it stands, before anything of it is computed.
    """
    found = provenance.made_with()
    found["hardware"]["capability"] = torch.backends.cpu.get_cpu_capability()
    return {**found, "revision": provenance.revision(package_alone=True), "study": study}
