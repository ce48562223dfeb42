"""What strangers do to files: seeded changes, by the ending of a file.

``mutate(path, draws)`` changes one file in place and says what it did.  Everything follows from the generator.
"""

import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import packed_changes, plain_changes


def mutate(path: Path, draws: random.Random) -> str:
    """Change the file at ``path``; the words say how, for the report of a case."""
    kinds = KINDS.get(_suffix(path), ())
    if kinds and draws.random() < 0.7:
        change = draws.choice(kinds)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return f"{path.name}: {change.__name__}: {change(path, draws)}"
        except Exception as error:  # a change that its writer refuses: take one of bytes instead
            del error
    change = draws.choice(plain_changes.BYTES)
    return f"{path.name}: {change.__name__}: {change(path, draws)}"


def _suffix(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return os.path.splitext(name)[1]


KINDS: dict[str, tuple[Callable[[Path, random.Random], str], ...]] = {
    ".json": (plain_changes.json_changed,),
    ".jsonl": (plain_changes.lines_changed,),
    ".txt": (plain_changes.text_changed,),
    ".csv": (plain_changes.text_changed,),
    ".npy": (packed_changes.npy_changed, packed_changes.pickle_changed),
    ".npz": (
        packed_changes.npz_changed,
        packed_changes.npz_changed,
        packed_changes.npz_changed,
        packed_changes.npz_changed,
        packed_changes.npz_changed,
        packed_changes.npz_changed,
        packed_changes.npz_bomb,
    ),
    ".parquet": (packed_changes.parquet_changed,),
    ".pt": (packed_changes.torch_changed,) * 4 + (packed_changes.torch_packed,),
    ".safetensors": (packed_changes.safetensors_changed,),
    ".h5": (packed_changes.hdf5_changed,),
    ".sqlite": (packed_changes.sqlite_changed,),
}


def copied(source: Path, target: Path) -> None:
    """A fresh copy of a folder of good files."""
    shutil.copytree(source, target, symlinks=True)
