"""Settings as frozen dataclasses: overriding them by dotted key, and writing them to JSON and back.

There is no registry and no YAML: a preset is a function that returns a dataclass, and
:func:`with_overrides` is the only way in for values that come from outside (a notebook's parameters
cell, the command line, a sweep).  It refuses unknown keys and wrong types, because papermill and
argparse both let a typo or the string ``"false"`` pass silently.
"""

import contextlib
import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from vmlkit.errors import ConfigError

T = TypeVar("T")
_UNIONS = (typing.Union, types.UnionType)


def with_overrides(config: T, overrides: Mapping[str, Any]) -> T:
    """Return ``config`` with the values under dotted keys replaced.

    Args:
        config: any (nested) frozen dataclass.
        overrides: e.g. ``{"train.epochs": 3, "model.hidden": 32}``.

    Raises:
        ConfigError: for a key that does not exist (with the nearest one that does) or a value whose
            type the field does not accept.  ``int`` is accepted where ``float`` is asked, ``bool`` never
            stands for a number.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Train:
    ...     epochs: int = 10
    >>> with_overrides(Train(), {"epochs": 3})
    Train(epochs=3)
    """
    changed: T = _replace(config, {key: (key, value) for key, value in overrides.items()})
    return changed


def _replace(config: Any, changes: Mapping[str, tuple[str, Any]]) -> Any:
    """All changes of one dataclass at once, since some values are only valid together (sizes and their heads).

    Args:
        changes: by the dotted path below ``config``, the whole key and the value.
    """
    names = [f.name for f in dataclasses.fields(config)] if dataclasses.is_dataclass(config) else []
    hints = typing.get_type_hints(type(config)) if names else {}
    own: dict[str, Any] = {}
    below: dict[str, dict[str, tuple[str, Any]]] = {}
    for path, (key, value) in changes.items():
        name, _, rest = path.partition(".")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            known = f"did you mean '{near[0]}'?" if near else f"the fields are: {', '.join(names) or 'none'}"
            raise ConfigError(f"unknown setting '{key}' for {type(config).__name__}: {known}")
        if path in (idle := getattr(type(config), "idle", {})):
            raise ConfigError(f"setting '{key}' does nothing here: {idle[path]}")
        if rest:
            below.setdefault(name, {})[rest] = (key, value)
            continue
        current, hint = getattr(config, name), hints[name]
        if isinstance(value, Mapping) and dataclasses.is_dataclass(current) and len(_kinds(hint)) < 2:
            hint = type(current)  # which may have more fields than its base or ``Any`` says
        own[name] = _coerce(value, hint, key)
    own |= {name: _replace(own.get(name, getattr(config, name)), parts) for name, parts in below.items()}
    return dataclasses.replace(config, **own)


def at_least(config: Any, least: float, names: str) -> None:
    """Raise :class:`ConfigError` for a number below ``least`` among the fields ``names`` (with spaces between)."""
    for name in names.split():
        value = getattr(config, name)
        if value is not None and not value >= least:
            raise ConfigError(f"setting '{name}' must be at least {least}, not {value}")


def positive(config: Any, names: str) -> None:
    """Raise :class:`ConfigError` for a number that is not above zero among the fields ``names``."""
    for name in names.split():
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise ConfigError(f"setting '{name}' must be positive, not {value}")


def at_most(config: Any, most: float, names: str) -> None:
    """Raise :class:`ConfigError` for a number above ``most`` among the fields ``names``; None is no number."""
    for name in names.split():
        value = getattr(config, name)
        if value is not None and value > most:
            raise ConfigError(f"setting '{name}' must be at most {most}, not {value}")


def share(config: Any, names: str) -> None:
    """Raise :class:`ConfigError` for a number outside [0, 1[ among the fields ``names``."""
    for name in names.split():
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"setting '{name}' must be at least 0 and below 1, not {getattr(config, name)}")


def divisible(size: int, heads: int) -> None:
    """Raise :class:`ConfigError` unless the attention heads share the columns equally."""
    if heads < 1 or size % heads:
        raise ConfigError(f"setting 'hidden' must be a multiple of the heads, not {size} for {heads} heads")


def _coerce(value: Any, hint: Any, key: str) -> Any:
    """Accept ``value`` for the annotation ``hint``, turning int into float and list into tuple, or raise."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, Mapping) and _kinds(hint):
        return from_dict(hint, value)
    if origin in _UNIONS:
        for option in args:
            with contextlib.suppress(ConfigError):
                return _coerce(value, option, key)
    if origin is typing.Literal and not any(_is_a(value, type(option)) and value == option for option in args):
        raise ConfigError(f"setting '{key}' must be one of {', '.join(map(repr, args))}, not {value!r}")
    if origin is tuple and isinstance(value, (list, tuple)):
        hints = args[:1] * len(value) if args[1:] == (...,) else args
        if len(hints) == len(value):
            return tuple(_coerce(v, h, key) for v, h in zip(value, hints, strict=True))
    if hint is float and _is_a(value, int):
        return float(value)
    if origin is typing.Literal or _is_a(value, hint):
        return value
    name = "its settings by name" if hint is Any else getattr(hint, "__name__", str(hint))
    raise ConfigError(f"setting '{key}' takes {name}, not {value!r} ({type(value).__name__})")


def _is_a(value: Any, kind: Any) -> bool:
    """Whether the value is of a class; a bool is no number, and nothing is of the class ``Any``."""
    if kind is Any or not isinstance(kind, type):
        return False
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _kinds(hint: Any) -> list[Any]:
    """The dataclasses that an annotation allows."""
    options = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    return [kind for kind in options if dataclasses.is_dataclass(kind)]


def to_dict(config: Any) -> dict[str, Any]:
    """The settings as plain JSON types (tuples become lists)."""
    settings: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=_plain))
    return settings


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} cannot be written as JSON")


def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
    """The inverse of :func:`to_dict`; missing fields take their defaults.

    Args:
        cls: a dataclass, or a union of several that are told apart by their field ``name: Literal[...]``.
        data: the value of each field.

    Raises:
        ConfigError: as :func:`with_overrides`, and for a missing field that has no default.
    """
    cls = kind_of(cls, data)
    hints = typing.get_type_hints(cls)
    unknown = set(data) - set(hints)
    if unknown:
        raise ConfigError(f"unknown settings for {cls.__name__}: {', '.join(sorted(unknown))}")
    try:
        return cls(**{k: _coerce(v, hints[k], k) for k, v in data.items()})
    except TypeError as error:
        raise ConfigError(f"incomplete settings for {cls.__name__}: {error}") from error


def kind_of(hint: Any, data: Mapping[str, Any]) -> Any:
    """The dataclass for which ``data`` are settings: ``hint`` itself, or that of a union which has their ``name``.

    Raises:
        ConfigError: for a name that none of them has.
    """
    kinds = _kinds(hint)
    if len(kinds) == 1:
        return kinds[0]
    named = {name: kind for kind in kinds for name in typing.get_args(typing.get_type_hints(kind)["name"])}
    if data.get("name") not in named:
        raise ConfigError(f"setting 'name' must be one of {', '.join(map(repr, named))}, not {data.get('name')!r}")
    return named[data["name"]]


def config_hash(config: Any) -> str:
    """Twelve hexadecimal digits that change when any setting does."""
    return hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode()).hexdigest()[:12]
