"""Tables: parquet and CSV as frames, and SQLite files of one table whose layout is known."""

import contextlib
import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from vmlkit.errors import DataError
from vmlkit.files.arrays import brief, readable
from vmlkit.files.reading import check_file, fit

#: what a column of numbers, whole numbers, truth values or texts may be, by the name of the kind
_KINDS = {
    "number": lambda column: pd.api.types.is_numeric_dtype(column) and _real(column),
    "whole": lambda column: pd.api.types.is_integer_dtype(column) and bool(column.notna().all()),
    "bool": pd.api.types.is_bool_dtype,
    "text": lambda column: all(isinstance(value, str) for value in _distinct(column)),
}


def _real(column: "pd.Series[object]") -> bool:
    """Whether numbers are neither complex nor truth values."""
    return not (pd.api.types.is_complex_dtype(column) or pd.api.types.is_bool_dtype(column))


#: bytes that one cell of a frame takes at the most, long texts aside
_CELL = 16


def _distinct(column: "pd.Series[object]") -> Iterator[object]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return iter([None] if bool((column.cat.codes < 0).any()) else column.cat.categories)
    return iter(column)


def read_parquet(path: str | Path, kinds: Mapping[str, str], remedy: str, **said: str) -> pd.DataFrame:
    """A parquet file as a frame.

    Args:
        kinds: of columns that must be there: ``number``, ``whole``, ``bool`` or ``text``; anything else asks for the
            column alone.
        remedy: what the reader can do about a file that cannot be used.
        said: as of :func:`vmlkit.files.reading.open_file`.

    Raises:
        DataError: for a file that is missing or damaged, does not fit into memory, has two columns of one name, lacks
            a column, or has one of another type.
    """
    import pyarrow.parquet as pq

    check_file(path, **said)
    with readable(path, "parquet", remedy), pq.ParquetFile(path) as file:
        about = file.metadata
        groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
        fit(path, max(about.num_rows * about.num_columns * _CELL, *groups, 0))
        # what pandas wrote beside the columns is not needed, and could say anything
        frame: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
    check_columns(frame, kinds, path, remedy)
    return frame


def check_columns(frame: pd.DataFrame, kinds: Mapping[str, str], where: object, remedy: str) -> None:
    """Raise :class:`DataError` where a frame has a name twice, lacks one of the columns or has it as another type."""
    if not frame.columns.is_unique:
        raise DataError(where, f"has the column '{frame.columns[frame.columns.duplicated()][0]}' twice", remedy)
    missing = [column for column in kinds if column not in frame]
    if missing:
        raise DataError(where, f"lacks the column '{missing[0]}'", remedy)
    for column, kind in kinds.items():
        if kind in _KINDS and not _KINDS[kind](frame[column]):
            raise DataError(where, f"has the column '{column}' as {frame[column].dtype} and not as {kind}s", remedy)


def read_csv(path: str | Path, remedy: str) -> pd.DataFrame:
    """A table of text with a line of names; raises :class:`DataError` where it cannot be read or is too large."""
    fit(path, check_file(path).stat().st_size * _CELL)
    with readable(path, "CSV", remedy):
        return pd.read_csv(path)


def csv_rows(
    text: str, where: object, remedy: str, columns: Iterable[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of the last line and fields of each row of a CSV text, whose first row names them; None for a missing one.

    Raises:
        DataError: for what is no CSV, such as a field of more than 128 KiB, or lacks one of ``columns``.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = next((name for name in columns if name not in (reader.fieldnames or ())), None)
        if missing is not None:
            raise DataError(where, f"lacks the column '{missing}'", remedy)
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(where, f"is no table of text ({error}, line {reader.line_num})", remedy) from error


def connect(path: str | Path, create: str, what: str) -> sqlite3.Connection:
    """A SQLite file that holds one table and nothing else, made where there is none.

    A file of somebody else could have views that never end, or triggers: it must hold the table as ``create`` makes it.

    Args:
        create: the statement ``CREATE TABLE name (...)``.
        what: such as ``"a cache of answers"``.

    Raises:
        DataError: for a file that is no SQLite, or holds something else.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        check_file(path)
    try:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
    except sqlite3.Error as error:
        raise DataError(path, f"cannot be opened ({brief(error)})", "choose another file") from error
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        with answered(path, what):
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 24)
            made = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            if made not in ([], [(create,)]):
                raise sqlite3.DatabaseError("it holds other tables")
            connection.execute("PRAGMA journal_mode=WAL")
            if not made:
                connection.execute(create.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
            if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise sqlite3.DatabaseError("it is damaged")
        stack.pop_all()
    return connection


@contextlib.contextmanager
def answered(path: object, what: str) -> Iterator[None]:
    """Inside the block, an error of SQLite is one sentence about the file."""
    try:
        yield
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise DataError(path, f"is not {what} ({brief(error)})", "choose another file or delete it") from error
