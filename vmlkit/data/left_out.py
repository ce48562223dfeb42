"""What a data set loses, changes or keeps in spite of a defect: counted per split and reason, and never in silence.

Loaders write into a :class:`Ledger`.  Its entries are said on stderr by :func:`vmlkit.data.sources.load`, also with
``--quiet``, and kept in ``metrics.json``.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vmlkit.errors import DataError

#: what happens to a video or query that lacks an input, such as its features
Missing = Literal["leave_out", "refuse"]
#: examples that are kept of each entry
_EXAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of defect: how often, over how many, where."""

    what: str  #: a sentence part that follows the count, such as "videos have no features"
    count: int
    total: int
    where: tuple[str, ...] = ()  #: names of videos or records, each once, in the order of the file

    def __str__(self) -> str:
        first = ", ".join(self.where[:3]) + (", ..." if len(self.where) > 3 else "")
        if not self.total:
            return f"not known how many {self.what}: the file does not say"
        return f"{self.count} of {self.total} {self.what}" + (f" ({first})" if self.where else "")


@dataclass(frozen=True, kw_only=True)
class LeftOut(Finding):
    """A finding about a split, and what was done about it.

    >>> print(LeftOut(split="test", what="videos have no features", count=3, total=4, where=("a", "b", "c")))
    test: 3 of 4 videos have no features and are left out (a, b, c)
    """

    split: str  #: "train", "validation" or "test"
    done: str = "are left out"  #: such as "are cut there"; empty where nothing is done

    def __str__(self) -> str:
        what = f"{self.what} and {self.done}" if self.done else self.what
        return f"{self.split}: {Finding(what=what, count=self.count, total=self.total, where=self.where)}"

    def record(self) -> dict[str, Any]:
        """What ``metrics.json`` keeps."""
        found = {"what": self.what, "done": self.done, "count": self.count, "of": self.total}
        return found | {"such_as": list(self.where[:_EXAMPLES])}


class Ledger:
    """The account of one loading.

    Args:
        missing: what :meth:`missing` does.
        warn: give a Python warning for every entry as well, for callers that keep no account.
    """

    def __init__(self, missing: Missing = "leave_out", *, warn: bool = False) -> None:
        self._missing, self._warn = missing, warn
        self._entries: list[LeftOut] = []

    def __iter__(self) -> Iterator[LeftOut]:
        return iter(self._entries)

    def note(self, split: str, what: str, done: str, count: int, total: int, where: Iterable[str] = ()) -> None:
        """Write down what was left out, changed or kept because a setting or a protocol says so; nothing for 0."""
        if not count:
            return
        names = tuple(dict.fromkeys(where))
        self._entries.append(LeftOut(split=split, what=what, done=done, count=count, total=total, where=names))
        if self._warn:
            warnings.warn(str(self._entries[-1]), UserWarning, stacklevel=3)

    def missing(
        self, split: str, what: str, where: Sequence[str], total: int, source: object, remedy: str | None = None
    ) -> None:
        """Leave out what lacks an input, or refuse to go on, as the setting ``data.missing`` says.

        Args:
            what: such as "videos have no features".
            where: the names of what is missing.
            source: the file that lacks them, for the message.
            remedy: what to do instead of leaving them out.

        Raises:
            DataError: with ``"refuse"``.
        """
        if where and self._missing == "refuse":
            entry = LeftOut(split=split, what=what, done="", count=len(where), total=total, where=tuple(where))
            raise DataError(source, str(entry), remedy or "add them, or set data.missing to 'leave_out'")
        self.note(split, what, "are left out", len(where), total, where)


def by_split(entries: Iterable[LeftOut]) -> Mapping[str, list[dict[str, Any]]]:
    """Records of the entries under the names of their splits."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault(entry.split, []).append(entry.record())
    return found
