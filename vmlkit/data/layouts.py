"""Layouts of files by their shape: a list of records, of which the first that fits says what a file is.

A record has a name, a test, and either a reader or one sentence about the conversion.  Readers of features and of
annotations have a list each (:mod:`vmlkit.data.feature_layouts`, :mod:`vmlkit.data.annotations.layouts`); both are what
a reader asks when it meets a file that is not its own, and what ``vmlkit data check`` prints.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Layout(Generic[S]):
    """One layout in which files of a kind circulate."""

    name: str  #: as the field calls it, with the project it comes from
    test: Callable[[S], bool]  #: whether something of this shape is in the layout
    read: Callable[[S], Any] | None = None  #: what reads it, where something does
    remedy: str = ""  #: the conversion, where nothing reads it


def recognise(layouts: Sequence[Layout[S]], shape: S) -> Layout[S] | None:
    """The first layout that fits.

    >>> even = Layout(name="even", test=lambda n: n % 2 == 0, remedy="add one")
    >>> recognise([even], 4).name, recognise([even], 3)
    ('even', None)
    """
    return next((layout for layout in layouts if _fits(layout, shape)), None)


def _fits(layout: Layout[S], shape: S) -> bool:
    """A test that stumbles over what it did not expect has its answer: the shape is another."""
    try:
        return layout.test(shape)
    except (AttributeError, KeyError, IndexError, TypeError):
        return False


@dataclass(frozen=True)
class Renaming:
    """One rule by which ids of annotations and names of features that differ become equal."""

    rule: str  #: such as ``"without the prefix 'v_'"``
    pairs: dict[str, str]  #: id of the annotations -> name of the features


#: what ids and names differ by, as circulated files have it, and what is left of one without it
_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without the prefix 'v_'", lambda name: name.removeprefix("v_")),
    ("without the ending of a video file", lambda name: re.sub(r"\.(mp4|avi|mkv|webm|mov|npy)$", "", name, flags=re.I)),
    ("in lower case", str.lower),
    ("without the name of the split", lambda name: re.sub(r"[_-](train|val|validation|test)\d?$", "", name)),
    ("without the name of the stream", lambda name: re.sub(r"[_-](rgb|flow|i3d|c3d|clip|slowfast)$", "", name)),
    ("without the times of the clip", lambda name: re.sub(r"_\d+(\.\d+)?_\d+(\.\d+)?$", "", name)),
)


def near_names(wanted: Iterable[str], have: Iterable[str]) -> Renaming | None:
    """How ids that have no features could be meant, by one of the usual differences or all of them together.

    Args:
        wanted: ids without features.
        have: the names of the features.

    Returns:
        The rule that explains the most ids, each with exactly one name, or None where no rule explains one.

    >>> near_names(["v_abc", "v_de"], ["abc", "x"])
    Renaming(rule="without the prefix 'v_'", pairs={'v_abc': 'abc'})
    >>> near_names(["a"], ["b"]) is None
    True
    """
    wanted, have = list(wanted), list(have)

    def everything(name: str) -> str:
        for _, change in _RULES:
            name = change(name)
        return name

    found = []
    for rule, change in (*_RULES, ("without prefix, endings and upper case", everything)):
        by_core: dict[str, list[str]] = {}
        for name in have:
            by_core.setdefault(change(name), []).append(name)
        pairs = {name: by_core[change(name)] for name in wanted if change(name) in by_core}
        found.append(Renaming(rule, {name: names[0] for name, names in pairs.items() if len(names) == 1}))
    best = max(found, key=lambda renaming: len(renaming.pairs))
    return best if best.pairs else None
