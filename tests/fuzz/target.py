"""What a target of the fuzzing is, and what all of them use."""

import gzip
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

VIDEOS = ("v_a", "v_b", "v_c")
SENTENCES = ("a person opens the door", "the ball falls", "he closes it")


@dataclass(frozen=True)
class Target:
    """A reader with good files."""

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    #: patterns of the files that are changed
    files: str = "*"
    weight: int = 1


def finite(values: Iterable[float]) -> None:
    assert all(math.isfinite(value) for value in values), "a number is not finite"


def check_rows(arrays: Iterable[np.ndarray]) -> None:
    for rows in arrays:
        assert (rows.ndim, rows.dtype.kind) == (2, "f"), "unusable rows"
        assert rows.size
        assert np.isfinite(rows).all()


def dump(path: Path, value: Any) -> None:
    text = json.dumps(value)
    path.write_bytes(gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode())


def lines(path: Path, values: Iterable[Any]) -> None:
    text = "".join(json.dumps(value) + "\n" for value in values)
    path.write_bytes(gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode())


def of(name: str, value: Any, file: str, read: Callable[[Path], None], weight: int = 1) -> Target:
    """A reader of one JSON file."""

    def make(folder: Path) -> None:
        (lines if ".jsonl" in file else dump)(folder / file, value)

    return Target(name, make, lambda folder: read(folder / file), weight=weight)
