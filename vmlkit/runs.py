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
from vmlkit.files import arrays, inside, tables
from vmlkit.files.records import (
    ANY,
    COUNT,
    NULL,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    Either,
    Entry,
    Fixed,
    Many,
    Plain,
    Table,
    checked,
)

#: name of the file of kept answers
PREDICTIONS = "predictions.npz"
#: version of the layout above; raised when a reader of the old one would be wrong
SCHEMA = 1

_REMEDY_AGAIN = "delete the run directory and train again, or restore the file"
_MISSING = "is missing"
_MOST_EPOCHS = 10**6


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


#: columns as a reader checks them, see :mod:`vmlkit.files.tables`
_PROPOSALS = {
    name: {"category": "text", "bool": "bool", "float32": "number"}.get(kind, "whole")
    for name, kind in PROPOSAL_COLUMNS.items()
}
_CURVE = Entry({"sigma": NUMBER}, {"floor": NUMBER, "power": NUMBER}, closed=True)
_ID = Either(TEXT, COUNT)
_SPAN = Fixed(TIME, TIME)
_SETTINGS = Entry({}, {"method": TEXT, "data": Table(ANY), "model": Table(ANY), "train": Entry({}, {"epochs": COUNT})})
CONFIG = Entry(
    {"schema": Plain(lambda version: version == SCHEMA, f"{SCHEMA}")},
    {
        "name": Either(TEXT, NULL),
        "method": Either(TEXT, NULL),
        "seed": COUNT,
        "settings": _SETTINGS,
        "versions": Table(TEXT),
        "revision": Either(TEXT, NULL),
        "hardware": Table(ANY),
        "data": Table(ANY),
        "resumed": Many(
            Entry({"epoch": COUNT}, {"versions": Table(TEXT), "revision": Either(TEXT, NULL), "hardware": Table(ANY)})
        ),
        "curves": Entry({}, {"positive": _CURVE, "negative": _CURVE}),
        "passports": Table(Table(ANY)),
        "continued": Many(Table(ANY)),
    },
)
PROBE = Many(
    Entry(
        {"query_id": _ID, "video_id": _ID, "sentence": TEXT, "words": Many(TEXT), "duration_s": SECONDS},
        {"span_s": _SPAN, "spans_s": Many(_SPAN)},
    )
)
STATE = Entry({"epoch": COUNT, "epochs": COUNT}, dict.fromkeys(("batch", "step", "best_epoch"), COUNT))
_NUMBERS = Table(Either(NUMBER, NULL))
METRICS = Entry(
    {}, {"chosen_epoch": COUNT, "chosen_by": TEXT, "validation": _NUMBERS, "test": _NUMBERS, "n_test": COUNT}
)


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
        config: dict[str, Any] = self._json("config.json")
        version = config.get("schema") if isinstance(config, dict) else None
        if type(version) is not int or version != SCHEMA:
            what = f"has schema version {version!r}, and this vmlkit reads version {SCHEMA}"
            raise DataError(path, what, "read it with the version of vmlkit named under 'versions', or train again")
        checked(config, CONFIG, path)
        return config

    def _file(self, name: str) -> Path:
        """A file of the directory; a link must not lead out of it."""
        return inside(self.path, self.path / name)

    def _json(self, name: str) -> Any:
        return read_json(self._file(name))

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch.

        Columns: ``epoch, loss/*, metric/*`` (fractions)``, curriculum/*, lr/*, grad_norm/*, gradient/*, seconds``.
        """
        path = self._file("epochs.parquet")
        frame = read_parquet(path, {"epoch": "whole", "seconds": "number"})
        tables.check_columns(frame, dict.fromkeys(frame.columns, "number"), path, _REMEDY_AGAIN)
        if not frame["epoch"].between(0, _MOST_EPOCHS).all() or not frame["epoch"].is_unique:
            raise DataError(path, "has an epoch twice, or one that is no number of an epoch", _REMEDY_AGAIN)
        return frame

    @property
    def proposals(self) -> pd.DataFrame:
        """One row per proposal of a probe query at an epoch, with the columns of :data:`PROPOSAL_COLUMNS`."""
        path = self._file("proposals.parquet")
        frame = read_parquet(path, _PROPOSALS)
        times = frame[["center", "width", "start", "end"]].to_numpy(dtype=np.float64)
        wrong = [
            "a role of another name" if not frame["role"].isin(["positive", "negative"]).all() else "",
            "an epoch that is none" if not frame["epoch"].between(0, _MOST_EPOCHS).all() else "",
            "a time that is infinite" if np.isinf(times).any() else "",
        ]
        if any(wrong):
            raise DataError(path, f"has {next(filter(None, wrong))}", _REMEDY_AGAIN)
        return frame

    @property
    def probe(self) -> list[dict[str, Any]]:
        """The probe queries: ``query_id, video_id, sentence, words, duration_s, span_s``.

        Where a query may have several true windows, ``spans_s`` lists them all and ``span_s`` is the main one.
        """
        queries: list[dict[str, Any]] = checked(self._json("probe.json"), PROBE, self.path / "probe.json")
        if any("span_s" not in query and not query.get("spans_s") for query in queries):
            raise DataError(self.path / "probe.json", "has a query without a true span", _REMEDY_AGAIN)
        return queries

    @property
    def strips(self) -> dict[str, np.ndarray]:
        """``video_ids``, and ``strips (videos, frames, px, px, 3)`` uint8 or ``heat (videos, T)`` float16 in [0, 1]."""
        path = self._file("strips.npz")
        found = read_npz(path)
        videos, strips, heat = (found.get(name) for name in ("video_ids", "strips", "heat"))
        named = videos is not None and videos.ndim == 1 and videos.dtype.kind == "U"
        pictures = strips is not None and strips.dtype == np.uint8 and strips.ndim == 5 and strips.shape[4] == 3
        trace = strips is None and heat is not None and heat.dtype.kind == "f" and heat.ndim == 2
        shown = strips if pictures else heat
        if not named or not (pictures or trace) or shown is None or 0 in shown.shape[1:]:
            raise DataError(path, "has no pictures or traces of named videos", _REMEDY_AGAIN)
        if videos is None or len(shown) != len(videos) or not (pictures or np.isfinite(shown).all()):
            raise DataError(path, "has other pictures than videos, or a trace that is not finite", _REMEDY_AGAIN)
        return found

    @property
    def clip_scores(self) -> dict[str, np.ndarray]:
        """``epochs (E,)``, ``query_ids (Q,)`` and float16 ``(E, Q, T)`` per signal, NaN on padding; {} without any."""
        path = self._file("clip_scores.npz")
        found = read_npz(path) if path.exists() else {}
        epochs, ids = found.get("epochs"), found.get("query_ids")
        if not found:
            return {}
        if epochs is None or ids is None or epochs.dtype.kind != "i" or ids.dtype.kind != "U":
            raise DataError(path, "lacks its epochs or its queries", _REMEDY_AGAIN)
        for name in found.keys() - {"epochs", "query_ids"}:
            values = found[name]
            if values.dtype.kind != "f" or values.shape[:2] != (len(epochs), len(ids)):
                raise DataError(path, f"has the signal '{name}' as {values.dtype} {values.shape}", _REMEDY_AGAIN)
        return found

    @property
    def metrics(self) -> dict[str, Any]:
        """The final numbers: ``chosen_epoch, chosen_by, validation, test, spread, baselines, n_test``.

        And what the data lost on the way: ``left_out`` by split, and ``notes``.
        """
        numbers: dict[str, Any] = checked(self._json("metrics.json"), METRICS, self.path / "metrics.json")
        return numbers

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """The answers to the test split, as the run's task keeps them (:meth:`vmlkit.training.task.Task.kept`)."""
        return read_npz(self._file(PREDICTIONS))

    @property
    def state(self) -> dict[str, Any]:
        """How far the run is: ``epoch`` (finished), ``epochs``, ``step``, ``best_epoch``."""
        counters: dict[str, Any] = checked(self._json("state.json"), STATE, self.path / "state.json")
        return counters

    @property
    def finished(self) -> bool:
        """Whether every epoch was trained (the final evaluation is a separate step: see :attr:`metrics`)."""
        return (self.path / "state.json").exists() and (state := self.state)["epoch"] == state["epochs"]

    @property
    def checkpoint(self) -> Path:
        """Path of the weights of the chosen epoch."""
        return self.path / "checkpoint.safetensors"
