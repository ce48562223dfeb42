"""What a JSON value must look like: one declaration per layout, and a check that names the place and the remedy.

A layout is put together from plain parts:

>>> video = Entry({"duration": SECONDS, "annotations": Many(Entry({"segment": Fixed(TIME, TIME), "label": TEXT}))})
>>> database = Table(video)
>>> database.fault({"v": {"duration": 3, "annotations": [{"segment": [0, "x"], "label": "a"}]}})
('v.annotations[0].segment[1]', "'x'", 'a number of seconds, zero or more')

Parts are own code and not pydantic models because the core installs no pydantic, and :meth:`Part.fits`, which looks at
all values together, is faster (``benchmarks/records.py``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from vmlkit.errors import DataError

Values = list[Any]
#: where it is (from the value itself, "" for the value), what stands there, what should
Fault = tuple[str, str, str]


class Part(Protocol):
    """A part of a layout."""

    def fault(self, value: Any) -> Fault | None:
        """The first place where ``value`` is not like this; None where it is."""

    def fits(self, values: Values) -> bool:
        """Whether no value has a fault, found for all of them together, which is several times faster."""


@dataclass(frozen=True)
class Plain:
    """A value without parts."""

    test: Callable[[Any], bool]
    wanted: str
    #: of many values at once: only what ``test`` takes as well, and by far the most of that
    quick: Callable[[Values], bool] = lambda values: False

    def fault(self, value: Any) -> Fault | None:
        return None if self.test(value) else ("", shown(value), self.wanted)

    def fits(self, values: Values) -> bool:
        return self.quick(values) or all(map(self.test, values))


@dataclass(frozen=True)
class Many:
    """A list of equal parts."""

    part: Part
    least: int = 0

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, list) or len(value) < self.least:
            return "", shown(value), "a list" if not self.least else f"a list of at least {self.least}"
        check = self.part.fault
        for i, item in enumerate(value):
            if found := check(item):
                return _below(f"[{i}]", found)
        return None

    def fits(self, values: Values) -> bool:
        if not _all_are(list, values) or (self.least and min(map(len, values), default=self.least) < self.least):
            return False
        return self.part.fits(list(chain.from_iterable(values)))


@dataclass(frozen=True, init=False)
class _Several:
    parts: tuple[Part, ...]

    def __init__(self, *parts: Part) -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True, init=False)
class Fixed(_Several):
    """A list of so many parts, such as ``[start, end]``."""

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, list) or len(value) != len(self.parts):
            return "", shown(value), f"a list of {len(self.parts)}"
        for i, (part, item) in enumerate(zip(self.parts, value, strict=True)):
            if found := part.fault(item):
                return _below(f"[{i}]", found)
        return None

    def fits(self, values: Values) -> bool:
        if not _all_are(list, values) or not set(map(len, values)) <= {len(self.parts)}:
            return False
        if len(set(map(id, self.parts))) == 1:
            return self.parts[0].fits(list(chain.from_iterable(values)))
        return all(part.fits([value[i] for value in values]) for i, part in enumerate(self.parts))


@dataclass(frozen=True)
class Table:
    """An object whose names are ids."""

    part: Part

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, dict):
            return "", shown(value), "an object {id: ...}"
        check = self.part.fault
        for name, item in value.items():
            if found := check(item):
                return _below(_short(str(name)), found)
        return None

    def fits(self, values: Values) -> bool:
        return _all_are(dict, values) and self.part.fits([item for value in values for item in value.values()])


@dataclass(frozen=True)
class Entry:
    """An object with fields that must be there and others that may; further ones only where it is not closed."""

    required: Mapping[str, Part]
    optional: Mapping[str, Part] | None = None
    closed: bool = False  #: no further fields

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, dict):
            return "", shown(value), f"an object with {', '.join(self.required) or 'fields'}"
        for name, part in self.required.items():
            if name not in value:
                return name, "missing", ""
            if found := part.fault(value[name]):
                return _below(name, found)
        for name, part in (self.optional or {}).items():
            if name in value and (found := part.fault(value[name])):
                return _below(name, found)
        known = {*self.required, *(self.optional or {})}
        if self.closed and (more := next((name for name in value if name not in known), None)) is not None:
            return _short(str(more)), "unknown", f"only {', '.join(known)}"
        return None

    def fits(self, values: Values) -> bool:
        if not _all_are(dict, values):
            return False
        for name, part in self.required.items():
            if not all(name in value for value in values) or not part.fits([value[name] for value in values]):
                return False
        for name, part in (self.optional or {}).items():
            if not part.fits([value[name] for value in values if name in value]):
                return False
        known = {*self.required, *(self.optional or {})}
        return not self.closed or all(value.keys() <= known for value in values)


@dataclass(frozen=True, init=False)
class Either(_Several):
    """One of several; the fault is that of the last."""

    def fault(self, value: Any) -> Fault | None:
        found: Fault | None = None
        for part in self.parts:
            if (found := part.fault(value)) is None:
                return None
        return found

    def fits(self, values: Values) -> bool:
        return any(part.fits(values) for part in self.parts) or all(self.fault(value) is None for value in values)


def _all_are(kind: type, values: Values) -> bool:
    return set(map(type, values)) <= {kind}


def checked(value: Any, part: Part, where: object, name: str = "", remedy: str = "") -> Any:
    """The value, if it is like ``part``.

    Args:
        where: the file.
        name: of the value in it, such as ``"line 3"``.
        remedy: instead of what should stand there.

    Raises:
        DataError: naming the place in the file, what stands there and what should.
    """
    if part.fits([value]) or (fault := part.fault(value)) is None:
        return value
    place, there, wanted = fault
    at = f"{name}{'.' if name and place[:1] not in ('', '[') else ''}{place}"
    what = f"'{at}' is {there}" if at else f"holds {there}"
    raise DataError(where, what, remedy or (f"write {wanted}" if wanted else "add it"))


def shown(value: Any) -> str:
    """A value in a message: short, whatever it is."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    text = "null" if value is None else repr(_short(value) if isinstance(value, str) else value)
    return " ".join(text.split())[:80]


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _below(name: str, fault: Fault) -> Fault:
    place, there, wanted = fault
    return f"{name}{'.' if place[:1] not in ('', '[') else ''}{place}", there, wanted


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite int or float (and not a bool).

    >>> is_number(2), is_number(True), is_number(float("nan")), is_number("2")
    (True, False, False, False)
    """
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def are_numbers(values: Values) -> bool:
    """Whether all are what :func:`is_number` takes (of subclasses of int and float it may say no)."""
    try:
        return set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))
    except OverflowError:
        return False


def _numeric(value: Any) -> bool:
    """A finite number, also written as a text, as some of the released files have it."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return is_number(value)


def _texts(values: Values) -> bool:
    return _all_are(str, values)


def _from(least: float) -> Callable[[Values], bool]:
    return lambda values: are_numbers(values) and min(values, default=least) >= least


ANY = Plain(lambda value: True, "anything", lambda values: True)
TEXT = Plain(lambda value: type(value) is str, "a text in quotation marks", _texts)
NUMBER = Plain(is_number, "a finite number", are_numbers)
TIME = Plain(lambda value: is_number(value) and value >= 0, "a number of seconds, zero or more", _from(0))
SECONDS = Plain(lambda value: is_number(value) and value > 0, "a positive number of seconds")
#: seconds as a number or as a text
WRITTEN = Plain(_numeric, "a finite number", are_numbers)
COUNT = Plain(
    lambda value: type(value) is int and value >= 0,
    "a whole number, zero or more",
    lambda values: _all_are(int, values) and min(values, default=0) >= 0,
)
FLAG = Plain(lambda value: type(value) is bool, "true or false", lambda values: _all_are(bool, values))
NULL = Plain(lambda value: value is None, "null")
