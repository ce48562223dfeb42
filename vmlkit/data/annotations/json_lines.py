"""JSON lines, plain or gzipped: read with one-sentence errors that name file, line and field."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError
from vmlkit.files import parse_lines, read_text
from vmlkit.files.records import are_numbers, is_number

Qid = int | str


def read_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of every line that is not blank.

    Raises:
        DataError: for a file that is missing, unreadable or empty, or a line that is not a JSON object.
    """
    count = 0
    for number, record in parse_lines(read_text(path), path, remedy="write one JSON object a line"):
        if not isinstance(record, dict):
            what = f"line {number} is a JSON {type(record).__name__}"
            raise DataError(path, what, 'write one JSON object a line, such as {"qid": 1, ...}')
        count += 1
        yield number, record
    if not count:
        raise DataError(path, "holds no record", "check that the file is complete")


class Record:
    """One line of a file, whose fields are fetched with a check of their kind.

    Every method raises ``DataError`` naming the file, the line and the field.
    """

    __slots__ = ("fields", "line", "path")

    def __init__(self, path: str | Path, line: int, fields: Mapping[str, Any]) -> None:
        self.path, self.line, self.fields = path, line, fields

    def error(self, field: str, what: str, remedy: str) -> DataError:
        """The error to raise: ``FILE: line N: field 'FIELD' WHAT; REMEDY.``"""
        return DataError(self.path, f"line {self.line}: field '{field}' {what}", remedy)

    def get(self, field: str) -> Any:
        """The value of a field that must be there."""
        if field not in self.fields:
            have = ", ".join(self.fields) or "nothing"
            raise self.error(field, f"is missing (the line has {have})"[:200], "add it, or check the kind of the file")
        return self.fields[field]

    def qid(self) -> Qid:
        """An identifier: an integer or a text."""
        return self.as_qid("qid", self.get("qid"))

    def as_qid(self, field: str, value: Any) -> Qid:
        """``value`` if it is an integer or a text that is not empty."""
        if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
            raise self.error(field, f"holds {_short(value)}", "write an integer or a text")
        return value

    def text(self, field: str) -> str:
        """A text that is not blank."""
        value = self.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self.error(field, f"is {_short(value)}", "write a text in quotation marks")
        return value

    def seconds(self, field: str) -> float:
        """A positive number."""
        value = self.get(field)
        if not is_number(value) or value <= 0:
            raise self.error(field, f"is {_short(value)}", "write a positive number of seconds")
        return float(value)

    def rows(self, field: str, width: int | None = None) -> list[list[float]]:
        """A list of equally long lists of finite numbers (``width`` of them, if given)."""
        value = self.get(field)
        if not isinstance(value, list):
            raise self.error(field, f"is {_short(value)}", "write a list of lists of numbers")
        if (
            value
            and set(map(type, value)) == {list}
            and set(map(len, value)) == {width or len(value[0]) or None}
            and are_numbers(list(chain.from_iterable(value)))
        ):
            return value
        for index, row in enumerate(value):
            size = width or (len(value[0]) if isinstance(value[0], list) else 0)
            if not isinstance(row, list) or len(row) != size or not row or not all(map(is_number, row)):
                wanted = f"write {size or 'equally many'} finite numbers in each entry"
                raise self.error(field, f"has the entry {index} = {_short(row)}", wanted)
        return value

    def numbers(self, field: str) -> list[float]:
        """A list of finite numbers."""
        value = self.get(field)
        if not isinstance(value, list):
            raise self.error(field, f"is {_short(value)}", "write a list of numbers")
        if are_numbers(value):
            return value
        for index, number in enumerate(value):
            if not is_number(number):
                raise self.error(field, f"has the entry {index} = {_short(number)}", "write finite numbers only")
        return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
