"""The passports of what a run was trained on: recorded when it is trained, and held against what it is shown later."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vmlkit.data.settings import DataConfig, ToyData
from vmlkit.errors import DataError
from vmlkit.runs import RunDirectory
from vmlkit.video.passport import RUN_KEY, Passport, passport_of, passports_at, require_same
from vmlkit.video.toy_encoder import ToyEncoder


def passports_of(data: DataConfig) -> dict[str, Passport]:
    """The passports of a source's features, by folder below ``data.features``; empty where they have none.

    Raises:
        DataError: for a passport that cannot be read.
    """
    if isinstance(data, ToyData):
        return {".": ToyEncoder(data.toy).passport()}
    features = getattr(data, "features", None)
    return {} if features is None else passports_at(features)


def recorded_passports(run: RunDirectory) -> dict[str, Passport]:
    """The passports that a run keeps of what it was trained on; empty where that had none.

    Raises:
        DataError: for a record that cannot be read.
    """
    kept: Mapping[str, Any] = run.config.get(RUN_KEY) or {}
    return {name: passport_of(record, run.path / "config.json") for name, record in kept.items()}


def as_record(passports: Mapping[str, Passport]) -> dict[str, Any]:
    """What ``config.json`` keeps of them."""
    return {RUN_KEY: {name: asdict(passport) for name, passport in passports.items()}} if passports else {}


def require_clock(passports: Mapping[str, Passport], data: DataConfig) -> None:
    """Refuse a setting of the clock that a passport contradicts.

    Raises:
        DataError: where ``data.seconds_per_row`` is not what rows stand for.
    """
    given = getattr(data, "seconds_per_row", None)
    for name, passport in passports.items():
        if given is not None and abs(given - passport.clip_seconds) > 1e-6:
            where = f"{getattr(data, 'features', data.name)}{'' if name == '.' else '/' + name}"
            what = (
                f"rows stand for {passport.clip_seconds:g} s by their passport, and data.seconds_per_row is {given:g}"
            )
            raise DataError(where, what, "correct the setting, or extract features at the rate that is asked for")


def require_passports(run: RunDirectory, data: DataConfig) -> None:
    """Refuse features that were made otherwise than those a run was trained on; say where one side has no passport.

    Raises:
        DataError: naming what differs.
    """
    there, here = recorded_passports(run), passports_of(data)
    where = getattr(data, "features", None) or data.name
    for name in sorted(there.keys() & here.keys()):
        require_same(here[name], there[name], where if name == "." else f"{where}/{name}", run.path)
    if bool(there) != bool(here):
        lacking = where if there else run.path
        print(
            f"vmlkit: {lacking} has no passport of its features, so nothing says whether they are those that the run "
            "was trained on.",
            file=sys.stderr,
        )
