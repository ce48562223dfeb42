"""Nested lists and numeric arrays in ``.npy`` files of objects, read without unpickling.

The annotations of THUMOS14 circulate as object arrays, which are pickles: loading one the usual way runs whatever its
author put there.  Here the list of pickle instructions is *read*, never run: numbers, texts, lists, tuples and plain
numeric arrays are put together by this module, and anything else, such as a call of a function, is refused.
"""

import pickletools
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vmlkit.errors import DataError
from vmlkit.files import open_file
from vmlkit.files.arrays import npy_header, read_npy

#: names that a pickled array of lists mentions; they are recognised, not imported
_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_SCALAR = {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"}
_NAMES = _RECONSTRUCT | _SCALAR | {"numpy ndarray", "numpy dtype", "_codecs encode"}
_KINDS = "fiubSUO"
_IGNORED = {"PROTO", "FRAME", "STOP"}
_VALUES = {
    "BINFLOAT", "FLOAT", "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_MARK = object()
_PLAIN = (int, float, str, bytes, np.ndarray, type(None))
#: a short file can refer to the same list again and again
_MOST_ENTRIES = 2_000_000


class _Name(str):
    """A global that the file mentions."""


class _Pending:
    """An array or dtype of which the state has not been read yet."""

    def __init__(self, dtype: np.dtype | None = None) -> None:
        self.dtype = dtype
        self.value: Any = None


def read_array(path: str | Path) -> Any:
    """A ``.npy`` file: an array of numbers or texts as it is, an array of objects as nested lists.

    Raises:
        DataError: for a file that is no ``.npy``, or that holds more than lists, numbers, texts and numeric arrays.
    """
    path = Path(path)
    try:
        with open_file(path, remedy="check the path of the annotations") as file:
            shape, _, dtype = npy_header(file, path)
            if dtype.hasobject:
                return _Reader(path).read(file, shape)
    except DataError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, f"cannot be read ({' '.join(str(error).split())[:120]})", "download it again") from error
    return read_npy(path)


class _Reader:
    """A stack on which the values of the file are put together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.entries = 0

    def read(self, file: BinaryIO, shape: tuple[int, ...]) -> Any:
        try:
            for code, argument, _ in pickletools.genops(file):
                self._step(code.name, argument)
            result = self._plain(self.stack.pop())
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise self._refuse("a damaged list of instructions") from error
        if len(shape) == 1 and (not isinstance(result, list) or len(result) != shape[0]):
            raise self._refuse(f"something else than {shape[0]} objects")
        return result

    def _refuse(self, what: str) -> DataError:
        remedy = "convert it to JSON where you trust its author, or take thumos14_reduced.json or gt.json"
        return DataError(self.path, f"holds {what}, not only lists of numbers and texts", remedy)

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _IGNORED:
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append([] if name == "EMPTY_LIST" else ())
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._since_mark()
            if not isinstance(stack[-1], list):
                raise self._refuse("an entry without a list")
            stack[-1].extend(items)
        elif name in ("LIST", "TUPLE"):
            items = self._since_mark()
            stack.append(items if name == "LIST" else tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        else:
            self._call(name, argument)

    def _call(self, name: str, argument: Any) -> None:
        """The few instructions by which arrays are stored; nothing is imported or called by name."""
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            text = argument if name == "GLOBAL" else " ".join((stack.pop(-2), stack.pop()))
            if text not in _NAMES:
                raise self._refuse(f"the name '{text}'")
            stack.append(_Name(text))
        elif name == "REDUCE":
            values, function = stack.pop(), stack.pop()
            stack.append(self._reduce(function, values))
        elif name == "BUILD":
            state = stack.pop()
            self._build(stack[-1], state)
        else:
            raise self._refuse(f"the instruction {name}")

    def _reduce(self, function: Any, values: tuple[Any, ...]) -> Any:
        if not isinstance(function, _Name):
            raise self._refuse("a call")
        if function in _RECONSTRUCT:
            return _Pending()
        if function == "numpy dtype":
            if not values[0] or values[0].lstrip("<>|=")[:1] not in _KINDS:
                raise self._refuse(f"the type {values[0]!r}")
            return _Pending(np.dtype(values[0]))
        if function in _SCALAR:
            return np.frombuffer(_bytes(values[1]), self._known(values[0]))[0].item()
        if function == "_codecs encode" and values[1:] in (("latin1",), ("latin-1",)):
            return values[0].encode("latin-1")
        raise self._refuse(f"a call of '{function}'")

    def _build(self, target: Any, state: Any) -> None:
        if not isinstance(target, _Pending):
            raise self._refuse("the state of an object")
        if target.dtype is not None:
            target.dtype = target.dtype.newbyteorder(state[1]) if state[1] in "<>" else target.dtype
            return
        _, shape, dtype, fortran, data = state
        kind = self._known(dtype)
        if kind.hasobject:
            if len(shape) != 1 or len(data) != shape[0]:
                raise self._refuse(f"an array of objects of shape {shape}")
            target.value = data
        else:
            target.value = np.frombuffer(_bytes(data), kind).reshape(shape, order="F" if fortran else "C")

    def _known(self, dtype: Any) -> np.dtype:
        if not isinstance(dtype, _Pending) or dtype.dtype is None:
            raise self._refuse("an array without a type")
        return dtype.dtype

    def _since_mark(self) -> list[Any]:
        at = max(i for i, item in enumerate(self.stack) if item is _MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _plain(self, value: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > 20 or self.entries > _MOST_ENTRIES:
            raise self._refuse("lists nested more than twenty deep, or more than two million entries")
        if isinstance(value, _Pending):
            return self._plain(value.value, depth) if value.value is not None else None
        if isinstance(value, (list, tuple)):
            return [self._plain(item, depth + 1) for item in value]
        if isinstance(value, _Name) or not isinstance(value, _PLAIN):
            raise self._refuse("a name or an unfinished object")
        return value


def _bytes(data: Any) -> bytes:
    # Python 2 stored bytes as a string of the same code points
    return data.encode("latin-1") if isinstance(data, str) else bytes(data)
