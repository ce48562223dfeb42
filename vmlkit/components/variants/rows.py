"""Sentence variants as data: one changed part per row, who wrote it, and what the checks said about it (P4 Eq. (1)).

A file holds JSON lines, one per sentence and component::

    {"version": 1, "sentence": "person opens the fridge.", "component": "negated_verb",
     "text": "person does not open the fridge.", "valid": true, "generator": "rules", "model": "rules-2",
     "prompt_version": null, "attempts": 1, "rejected": [], "date": "2026-01-31"}

``text`` is null where the sentence has no such part or no answer passed the checks; ``valid`` is then false, and the
losses leave the component out.  ``rejected`` keeps every refused answer with its reason.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from vmlkit.errors import DataError
from vmlkit.files import parse_json, read_bytes, read_text
from vmlkit.files.reading import check_file

#: format of a row; a reader refuses every other number
VERSION = 1

Component = Literal[
    "negated_verb",
    "changed_verb",
    "changed_attribute",
    "changed_object",
    "changed_subject",
    "negated_passive",
    "positive",
]
COMPONENTS: tuple[Component, ...] = get_args(Component)
#: the hard negatives of P4 for moment retrieval (k = 5) and for video-text retrieval on MSVD (k = 2)
MOMENT_NEGATIVES: tuple[Component, ...] = (
    "negated_verb",
    "changed_attribute",
    "changed_object",
    "negated_passive",
    "changed_subject",
)
RETRIEVAL_NEGATIVES: tuple[Component, ...] = ("changed_verb", "changed_subject")


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that a check refused."""

    text: str | None  #: null where there was no answer to speak of
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceVariant:
    """One component of one sentence."""

    sentence: str  #: the anchor, as it stands in the data set
    component: Component
    text: str | None
    generator: str  #: ``rules``, ``openai``, ``local`` or ``completion``
    model: str  #: which model, or which version of the rules
    prompt_version: str | None = None  #: of the prompts, where there were any
    attempts: int = 1  #: how often the generator was asked
    rejected: tuple[Rejection, ...] = ()
    date: str = ""  #: ISO 8601

    @property
    def valid(self) -> bool:
        """Whether there is a text that passed the checks."""
        return self.text is not None

    @property
    def source(self) -> tuple[str, str, str | None]:
        """Generator, model and prompt version: what must not change within a file."""
        return self.generator, self.model, self.prompt_version


def to_line(row: SentenceVariant) -> str:
    """The row as one line of JSON, with its line feed."""
    fields = {"version": VERSION, **asdict(row), "valid": row.valid}
    return json.dumps(fields, ensure_ascii=False) + "\n"


def read_variants(path: str | Path) -> list[SentenceVariant]:
    """Read a file of variants, in its order.

    Raises:
        DataError: for an unreadable file, a line that is not a row of this version, a row that contradicts itself, a
            component that occurs twice for a sentence, or a last line that was cut off.
    """
    text = read_text(path)
    if text and not text.endswith("\n"):
        number = text.count("\n") + 1
        raise DataError(path, f"line {number} is cut off", "run the generation again: it repairs the file and goes on")
    return _rows(path, text)


def _rows(path: str | Path, text: str) -> list[SentenceVariant]:
    rows, first = [], dict[tuple[str, str], int]()
    # split at line feeds alone: a sentence may hold other separators
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _row(path, number, line)
        seen = first.setdefault((row.sentence, row.component), number)
        if seen != number:
            raise DataError(path, f"lines {seen} and {number} are the same component", "keep one of the two lines")
        rows.append(row)
    return rows


def _row(path: str | Path, number: int, line: str) -> SentenceVariant:
    fields = parse_json(line, path, what=f"line {number} is", remedy="delete the line or generate it again")
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        found = fields.get("version") if isinstance(fields, dict) else None
        raise DataError(path, f"line {number} has the version {found!r}, not {VERSION}", "generate the file again")
    wrong = next((name for name, fits in _FIELDS.items() if name not in fields or not fits(fields[name])), None)
    if wrong is not None:
        raise DataError(
            path, f"line {number} lacks a proper '{wrong}'", "see vmlkit.components.variants.rows for the fields"
        )
    unknown = sorted(fields.keys() - _FIELDS.keys() - {"version"})
    if unknown:
        raise DataError(path, f"line {number} has the unknown field '{unknown[0]}'", "remove it")
    if fields["valid"] != (fields["text"] is not None):
        raise DataError(
            path, f"line {number}: 'valid' and 'text' contradict each other", "a valid row has a text, others null"
        )
    del fields["version"], fields["valid"]
    fields["rejected"] = tuple(Rejection(**entry) for entry in fields["rejected"])
    return SentenceVariant(**fields)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_rejections(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, dict) and v.keys() == {"text", "reason"} and _is_text(v["reason"]) for v in value
    )


_FIELDS = {
    "sentence": _is_text,
    "component": lambda value: value in COMPONENTS,
    "text": lambda value: value is None or _is_text(value),
    "valid": lambda value: isinstance(value, bool),
    "generator": _is_text,
    "model": _is_text,
    "prompt_version": lambda value: value is None or _is_text(value),
    "attempts": lambda value: type(value) is int and value >= 0,
    "rejected": _are_rejections,
    "date": lambda value: isinstance(value, str),
}


class VariantWriter:
    """Appends the rows of one sentence at a time, each time in one write, and knows what the file already holds.

    A process killed in the middle leaves at most one incomplete line, which the next writer cuts off.  Only one writer
    may have the file open.

    Args:
        path: made, with its folder, where it does not exist.

    Raises:
        DataError: for a file with a broken row, or that another process is writing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self.path):
            check_file(self.path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            self.rows = self._repaired()
        except BaseException:
            os.close(self._file)
            raise
        self._done = {(row.sentence, row.component) for row in self.rows}

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # where there are no such locks
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(self.path, "is being written by another process", "wait, or choose another file") from error

    def _repaired(self) -> list[SentenceVariant]:
        data = read_bytes(self.path)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        return _rows(self.path, read_text(self.path))

    def has(self, sentence: str, component: Component) -> bool:
        """Whether the file holds this row, valid or not."""
        return (sentence, component) in self._done

    def append(self, rows: Sequence[SentenceVariant]) -> None:
        """Add rows and make sure that they are on the disk.

        Raises:
            DataError: for a row that the file already holds.
        """
        for row in rows:
            if self.has(row.sentence, row.component):
                raise DataError(self.path, f"already holds {row.component} of {row.sentence!r}", "write each row once")
        data = "".join(map(to_line, rows)).encode("utf-8")
        if os.write(self._file, data) < len(data):
            raise DataError(self.path, "could not be written to the end", "make room on the disk and run it again")
        os.fsync(self._file)
        self.rows.extend(rows)
        self._done |= {(row.sentence, row.component) for row in rows}

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "VariantWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def by_sentence(rows: Iterable[SentenceVariant]) -> dict[tuple[str, str], str | None]:
    """Texts by sentence and component, from rows of one or several files; a later row replaces an earlier one."""
    return {(row.sentence, row.component): row.text for row in rows}
