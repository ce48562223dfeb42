"""Bytes, text and JSON: of regular files alone, in a stated encoding, and never more than fits into memory.

A file given by somebody else may be a pipe that never ends, a gigabyte packed into a kilobyte, or JSON nested so deep
that its reader falls over.  Each of these is one :class:`~vmlkit.errors.DataError` here, before anything is trusted.

The memory budget is what one read may take: ``$VMLKIT_MEMORY_GB`` (10^9 bytes), else half of the machine's memory.
"""

import codecs
import contextlib
import gzip
import hashlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from vmlkit.errors import ConfigError, DataError

#: parsed JSON takes up to this many times the memory of its text
_JSON_GROWTH = 16
#: annotations and settings are nested less than ten deep
_MOST_DEEP = 64
#: of a line of text that is read alone
_LONGEST_LINE = 1 << 24
#: integers beyond it fit neither numpy nor SQLite; the smallest of them has nineteen digits
_LARGEST = 2**63
_DIGITS, _DIGIT = b"0" * 19, bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_WHOLE = re.compile(rb"(?<![\d.eE+-])-?\d{19,}(?![\d.eE+-])")
_NO_SIGN = bytes(byte for byte in range(256) if byte not in b'[]{}"')
#: names that Windows keeps for devices
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_AGAIN = "write or download the file again"
_CHECK = "check the path"


def memory_budget() -> int:
    """Bytes that one read may take.

    Raises:
        ConfigError: where ``$VMLKIT_MEMORY_GB`` is no positive number.
    """
    text = os.environ.get("VMLKIT_MEMORY_GB")
    if text is None:
        return _half_of_memory()
    with contextlib.suppress(ValueError, OverflowError):
        if float(text) > 0:
            return int(float(text) * 1e9)
    raise ConfigError(f"$VMLKIT_MEMORY_GB is {text!r}: give a positive number of 10^9 bytes")


@cache
def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return 4 * 10**9


def fit(where: object, size: int, what: str = "it", most: int | None = None) -> None:
    """Refuse what would take more bytes than the memory budget (or ``most``).

    Raises:
        DataError: naming both sizes.
    """
    allowed = memory_budget() if most is None else most
    if size > allowed:
        said = f"{what} would take {min(size, 10**30) / 1e9:.3g} GB where {allowed / 1e9:.3g} GB may be read at once"
        raise DataError(where, said, "give a smaller file, or more memory by $VMLKIT_MEMORY_GB")


def open_file(path: str | Path, *, missing: str = "there is no such file", remedy: str = _CHECK) -> BufferedReader:
    """A regular file, opened to read its bytes.

    Args:
        missing: what to say where there is none, and ``remedy`` with it.

    Raises:
        DataError: where there is none, it cannot be opened, or it is a folder, a pipe or a device.
    """
    check_file(path, missing=missing, remedy=remedy)
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check its permissions") from error


def check_file(path: str | Path, *, missing: str = "there is no such file", remedy: str = _CHECK) -> Path:
    """The path of a regular file; asking whether it is one opens nothing.

    Raises:
        DataError: as :func:`open_file`.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(path, missing, remedy) from error
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise DataError(repr(str(path))[:200] if isinstance(error, ValueError) else path, what, _CHECK) from error
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((name for test, name in kinds if test(mode)), "a device")
        raise DataError(path, f"cannot be read: it is {kind}", "give a regular file")
    return Path(path)


def read_bytes(path: str | Path, most: int | None = None, **said: str) -> bytes:
    """The whole file.

    Args:
        most: bytes at the most; the memory budget unless given.
        said: as of :func:`open_file`.

    Raises:
        DataError: as :func:`open_file`, and for a file that is too large.
    """
    most = memory_budget() if most is None else most
    with open_file(path, **said) as file:
        fit(path, os.fstat(file.fileno()).st_size, most=most)
        data = file.read(most + 1)
    fit(path, len(data), most=most)
    return data


def read_text(path: str | Path, **said: str) -> str:
    """The whole file as text, unpacked where its name ends in ``.gz``.

    It is UTF-8, or UTF-16 where the file begins with that encoding's byte order mark (as Windows writes it).

    Args:
        said: as of :func:`open_file`.

    Raises:
        DataError: for a file that is missing or cannot be read, is too large (packed text is counted while it is
            unpacked), or text in another encoding, which the sentence names.
    """
    path = Path(path)
    data = unpacked(path, memory_budget() // _JSON_GROWTH, **said)
    try:
        return data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error) from error


def unpacked(path: Path, most: int | None = None, **said: str) -> bytes:
    """The bytes of a file, unpacked where its name ends in ``.gz``; arguments and errors as :func:`read_bytes`."""
    most = memory_budget() if most is None else most
    if path.suffix != ".gz":
        return read_bytes(path, most, **said)
    try:
        with open_file(path, **said) as file, gzip.GzipFile(fileobj=file) as content:
            data = content.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read ({str(error)[:120]})", _AGAIN) from error
    fit(path, len(data), "unpacked, it", most)
    return data


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> DataError:
    """What a text that is not UTF-8 looks like."""
    where = f"cannot be read (no UTF-8 at byte {error.start})"
    if b"\0" in data[:4096]:
        return DataError(path, f"{where}: it is no text", "give the file that holds text, or download it again")
    # letters of two bytes stand in pairs of bytes above 127; an accented letter of Latin script stands alone
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    paired = sum(run for run in runs if run > 1) > 0.8 * sum(runs)
    name, code = ("an East Asian encoding, such as gb18030", "gb18030") if paired else ("cp1252 of Windows", "cp1252")
    return DataError(path, f"{where}: it looks like {name}", f"save it as UTF-8: iconv -f {code} -t utf-8")


def file_lines(path: str | Path, **said: str) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line of a UTF-8 file that may be larger than memory, plain or ``.gz``.

    Raises:
        DataError: as :func:`read_text`, and for a line that goes on for more than 16 MiB.
    """
    path = Path(path)
    try:
        with contextlib.ExitStack() as stack:
            file: Any = stack.enter_context(open_file(path, **said))
            if path.suffix == ".gz":
                file = stack.enter_context(gzip.GzipFile(fileobj=file))
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise DataError(path, f"line {number} has no end", "give a file of text with one record a line")
                yield number, line.decode("utf-8").removesuffix("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({str(error)[:120]})", _AGAIN) from error


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal, read piece by piece; raises as :func:`open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: str | Path, *, remedy: str = _AGAIN, **said: str) -> Any:
    """The value of a JSON file, plain or ``.gz``; see :func:`parse_json`.

    Args:
        remedy: for a file that is no JSON.
        said: ``missing`` as of :func:`open_file`.

    Raises:
        DataError: as :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path, **said), path, remedy=remedy)


def parse_json(text: str, where: object, *, what: str = "is", remedy: str = _AGAIN) -> Any:
    """The value of a JSON text.

    Args:
        where: the file, for messages, and ``what``: the start of what is said of it, such as ``"line 3 is"``.

    Raises:
        DataError: for what is not JSON, is nested more than 64 deep, has an integer that fits into no 64 bits, or a
            text with half of a character (a lone surrogate), which no file can hold.
    """
    value = _loaded(text, where, what, remedy)
    fault = _fault(text)
    if fault is None and _has_surrogates(text):
        with contextlib.suppress(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
            return value
        fault = "it has half of a character, a lone surrogate"
    if fault is not None:
        raise DataError(where, f"{what} not usable JSON ({fault})", remedy)
    return value


def parse_lines(text: str, where: object, *, remedy: str = _AGAIN) -> Iterator[tuple[int, Any]]:
    """(number from 1, value) of each line of JSON lines that is not blank; arguments and errors as :func:`parse_json`.

    A line ends with a line feed alone: others, such as U+2028, may stand inside a text.
    """
    # of lines that are JSON each, the whole text shows what one of them has, in one pass
    sound = _fault(text) is None and not _has_surrogates(text)
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            what = f"line {number} is"
            parse = _loaded if sound else parse_json
            yield number, parse(line, where, what=what, remedy=remedy)


def _loaded(text: str, where: object, what: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:120]
        if isinstance(error, RecursionError):
            why = "it is nested too deep"
        elif not isinstance(error, json.JSONDecodeError):
            why = "it has an integer of thousands of digits"
        raise DataError(where, f"{what} not valid JSON ({why})", remedy) from error


def _has_surrogates(text: str) -> bool:
    return "\\ud" in text or "\\uD" in text


def _fault(text: str) -> str | None:
    """What no reader could work with in a JSON text.

    It is counted in the text with its strings cut out, by a few calls that each pass over all of it: a walk over the
    values takes longer than parsing them.
    """
    data = text.encode(errors="surrogatepass")
    if b"\\" in data:  # so that each quotation mark that is left begins or ends a string
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if _DIGITS in data.translate(_DIGIT):
        whole = _WHOLE.findall(b"".join(data.split(b'"')[::2]))
        # beyond twenty characters Python need not even be able to read them
        if not all(len(number) <= 20 and -_LARGEST <= int(number) < _LARGEST for number in whole):
            return "it has an integer that does not fit into 64 bits"
    signs = data.translate(None, _NO_SIGN)
    # two marks side by side hold no bracket, or two strings between which there is none
    brackets = b"".join(signs.replace(b'""', b"").split(b'"')[::2])
    for _ in range(_MOST_DEEP):
        if not brackets:
            return None
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return f"it is nested more than {_MOST_DEEP} deep" if brackets else None


def is_name(text: object) -> bool:
    """Whether an id can name a file inside a folder, and nothing outside it, on any system.

    >>> [is_name(text) for text in ("v_abc", "..", "a/b", "con", "")]
    [True, False, False, False, False]
    """
    if not isinstance(text, str) or text in ("", ".", "..") or any(c in text for c in "/\\\0"):
        return False
    try:
        return len(text.encode()) <= 200 and not _RESERVED.fullmatch(text)
    except UnicodeEncodeError:
        return False


def inside(folder: str | Path, path: str | Path) -> Path:
    """``path``, which must lie inside ``folder`` after all links are followed.

    Links in a folder of somebody else could lead anywhere.  Who made them says so by ``VMLKIT_LINKS=anywhere``.

    Raises:
        DataError: for a path that leads out of the folder.
    """
    path = Path(path)
    if os.environ.get("VMLKIT_LINKS") == "anywhere":
        return path
    try:
        led = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError) as error:
        raise DataError(folder, f"holds no file {path.name[:100]!r}", _CHECK) from error
    if not led:
        remedy = "give the folder that it points to, or set VMLKIT_LINKS=anywhere where you made the links yourself"
        raise DataError(path, f"is a link that leads out of {folder}", remedy)
    return path
