"""Run directories: what a training run leaves on disk, written whole or not at all and read without torch.

A run directory holds everything that figures, widgets and tables need, so that last week's run opens with no model
and no GPU.

===================== =========================================================================================
``config.json``       settings, seed, versions, revision, hardware, data (see :func:`vmlkit.training.loop.train`)
``epochs.parquet``    one row per epoch; epoch 0 is the untrained method
``proposals.parquet`` every proposal of every probe query at every evaluated epoch
``probe.json``        the probe queries: sentence, words, duration and true span in seconds
``clip_scores.npz``   signals per clip of the probe queries, where the method gives some
``strips.npz``        thumbnails (``strips``) or a feature trace (``heat``) per probe video
``metrics.json``      the final numbers beside the baselines
``predictions.npz``   the answers to the test split, all that ``vmlkit predict`` needs of the model
``checkpoint.safetensors``, ``last.safetensors``  weights of the chosen and of the last epoch
``state.json``, ``state.pt``                      how far the run is; all that resuming needs
===================== =========================================================================================
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vmlkit import files
from vmlkit.errors import DataError
from vmlkit.files import arrays, tables

#: name of the file of kept answers
PREDICTIONS = "predictions.npz"
#: version of the layout above; raised when a reader of the old one would be wrong
SCHEMA = 1

_REMEDY_AGAIN = "delete the run directory and train again, or restore the file"
_MISSING = "is missing"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: if it is missing or is not JSON.
    """
    return files.read_json(path, remedy=_REMEDY_AGAIN, missing=_MISSING)


def read_parquet(path: Path, columns: Sequence[str] | Mapping[str, str] = ()) -> pd.DataFrame:
    """Read a parquet file that must have ``columns``, by name their kinds (see :func:`vmlkit.files.tables`).

    Raises:
        DataError: if it is missing, unreadable, or lacks a column or has it as another type.
    """
    kinds = columns if isinstance(columns, Mapping) else dict.fromkeys(columns, "")
    return tables.read_parquet(path, kinds, _REMEDY_AGAIN, missing=_MISSING)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read plain arrays; pickled ones are refused.

    Raises:
        DataError: if the file is missing or unreadable.
    """
    return arrays.read_npz(path, missing=_MISSING)


#: columns of ``proposals.parquet`` and their types; times are fractions of the video
PROPOSAL_COLUMNS: dict[str, str] = {
    "epoch": "int16",
    "query_id": "category",
    "role": "category",  # "positive" or "negative"
    "index": "int8",
    "center": "float32",
    "width": "float32",
    "start": "float32",  # clipped to [0, 1]
    "end": "float32",
    "weight": "float32",  # selection weight of a negative, foreground score of a window (DETR family), else NaN
    "nll": "float32",
    "chosen": "bool",  # the answer of the method
    "iou": "float32",  # with the truth
    "ion": "float32",  # of a negative, against the chosen positive; NaN for positives
}


class RunDirectory:
    """Reads a run directory; every property reads its file anew, so a run in progress can be followed.

    Args:
        path: the directory.

    Raises:
        DataError: here if there is no readable ``config.json`` of this schema version; in a property if its file is
            missing, corrupt or lacks a column.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError(self.path, "is not a directory", "name the directory that `vmlkit train` printed")
        #: settings and provenance: name, method, settings, seed, versions, revision, hardware, data
        self.config = self._read_config()

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def _read_config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        config: dict[str, Any] = read_json(path)
        version = config.get("schema") if isinstance(config, dict) else None
        if version != SCHEMA:
            what = f"has schema version {version!r}, and this vmlkit reads version {SCHEMA}"
            raise DataError(path, what, "read it with the version of vmlkit named under 'versions', or train again")
        return config

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch.

        Columns: ``epoch, loss/*, metric/*`` (fractions)``, curriculum/*, lr/*, grad_norm/*, gradient/*, seconds``.
        """
        return read_parquet(self.path / "epochs.parquet", ("epoch", "seconds"))

    @property
    def proposals(self) -> pd.DataFrame:
        """One row per proposal of a probe query at an epoch, with the columns of :data:`PROPOSAL_COLUMNS`."""
        return read_parquet(self.path / "proposals.parquet", tuple(PROPOSAL_COLUMNS))

    @property
    def probe(self) -> list[dict[str, Any]]:
        """The probe queries: ``query_id, video_id, sentence, words, duration_s, span_s``.

        Where a query may have several true windows, ``spans_s`` lists them all and ``span_s`` is the main one.
        """
        queries: list[dict[str, Any]] = read_json(self.path / "probe.json")
        return queries

    @property
    def strips(self) -> dict[str, np.ndarray]:
        """``video_ids``, and ``strips (videos, frames, px, px, 3)`` uint8 or ``heat (videos, T)`` float16 in [0, 1]."""
        return read_npz(self.path / "strips.npz")

    @property
    def clip_scores(self) -> dict[str, np.ndarray]:
        """``epochs (E,)``, ``query_ids (Q,)`` and float16 ``(E, Q, T)`` per signal, NaN on padding; {} without any."""
        path = self.path / "clip_scores.npz"
        return read_npz(path) if path.exists() else {}

    @property
    def metrics(self) -> dict[str, Any]:
        """The final numbers: ``chosen_epoch, chosen_by, validation, test, spread, baselines, n_test``.

        And what the data lost on the way: ``left_out`` by split, and ``notes``.
        """
        numbers: dict[str, Any] = read_json(self.path / "metrics.json")
        return numbers

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """The answers to the test split, as the run's task keeps them (:meth:`vmlkit.training.task.Task.kept`)."""
        return read_npz(self.path / PREDICTIONS)

    @property
    def state(self) -> dict[str, Any]:
        """How far the run is: ``epoch`` (finished), ``epochs``, ``step``, ``best_epoch``."""
        counters: dict[str, Any] = read_json(self.path / "state.json")
        return counters

    @property
    def finished(self) -> bool:
        """Whether every epoch was trained (the final evaluation is a separate step: see :attr:`metrics`)."""
        path = self.path / "state.json"
        return path.is_file() and (state := read_json(path))["epoch"] == state["epochs"]

    @property
    def checkpoint(self) -> Path:
        """Path of the weights of the chosen epoch."""
        return self.path / "checkpoint.safetensors"
