"""The passport of features: which encoder made them and how, so that a model is never shown features of another kind.

It lies as ``passport.json`` inside a folder of features, and as ``FILE.passport.json`` beside a file of them; a run
keeps the passports of what it was trained on in its ``config.json``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError
from vmlkit.files import write_json
from vmlkit.runs import read_json

FILE = "passport.json"
#: key of ``config.json`` of a run: passports by the folder below ``data.features`` in which they lie ("." itself)
RUN_KEY = "passports"


@dataclass(frozen=True, kw_only=True)
class Passport:
    """How features were made."""

    encoder: str  #: name of the encoder, such as that of its folder
    revision: str  #: changes when its weights, its configuration or its settings do
    rate: float  #: rows a second
    size: int  #: side of the pictures that it sees, in pixels
    norm: str  #: what is done to its answers: "none" or "l2" (rows of length one), or words
    dimension: int  #: columns
    clip_seconds: float  #: seconds that a row stands for

    def __str__(self) -> str:
        return f"{self.encoder} ({self.revision}), {self.rate:g} rows a second, {self.dimension} columns"

    def differences(self, other: "Passport") -> list[str]:
        """What differs, as ``field is THIS here and THAT there``; a name alone does not, where the revision agrees."""
        skip = {"encoder"} if self.revision == other.revision else set()
        names = [f.name for f in fields(self) if f.name not in skip]
        return [
            f"{name} is {getattr(self, name)} here and {getattr(other, name)} there"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


def passport_path(store: str | Path) -> Path:
    """Where the passport of a folder or a file of features lies."""
    store = Path(store)
    return store / FILE if store.is_dir() else store.with_name(f"{store.name}.{FILE}")


def write_passport(store: str | Path, passport: Passport) -> None:
    """Write the passport of a folder or a file of features."""
    write_json(passport_path(store), asdict(passport))


def read_passport(store: str | Path) -> Passport | None:
    """The passport of a folder or a file of features; ``None`` where it has none.

    Raises:
        DataError: for one that cannot be read.
    """
    path = passport_path(store)
    return passport_of(read_json(path), path) if path.is_file() else None


def passport_of(record: Any, where: object) -> Passport:
    """A passport from what JSON gives.

    Raises:
        DataError: for another content.
    """
    names = {f.name: f.type for f in fields(Passport)}
    if not isinstance(record, Mapping) or set(record) != set(names):
        raise DataError(where, f"is no passport of features (it has not the fields {', '.join(names)})", _AGAIN)
    kinds = {str: str, int: int, float: int | float}
    wrong = [name for name, kind in names.items() if not isinstance(record[name], kinds[kind])]  # type: ignore[index]
    if wrong:
        raise DataError(where, f"the field '{wrong[0]}' is {json.dumps(record[wrong[0]])}", _AGAIN)
    return Passport(**record)


_AGAIN = "delete it, or extract the features again with `vmlkit extract`"


def passports_at(features: str | Path) -> dict[str, Passport]:
    """The passports of a store and of the folders in it, by folder ("." is the store itself); empty without any."""
    root = Path(features)
    own = read_passport(root)
    found = {} if own is None else {".": own}
    if root.is_dir():
        for folder in sorted(path.parent for path in root.glob(f"*/{FILE}")):
            found[folder.name] = passport_of(read_json(folder / FILE), folder / FILE)
    return found


def require_same(here: Passport, there: Passport, where: object, trained_on: object) -> None:
    """Refuse features that were made in another way than those of a run.

    Args:
        here: of the features at hand.
        there: of the features that the run was trained on.
        where: the features at hand, for the message.
        trained_on: the run, for the message.

    Raises:
        DataError: naming the first differences.
    """
    different = here.differences(there)
    if different:
        what = f"features are not those that {trained_on} was trained on: {'; '.join(different[:3])}"
        raise DataError(where, what, f"extract them with {there.encoder}, or train on these")
