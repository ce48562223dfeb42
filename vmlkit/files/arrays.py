"""Arrays as numpy, torch, safetensors and HDF5 write them: what a header claims is checked before memory is taken.

No file is ever unpickled: arrays of objects are refused, and torch files are read with ``weights_only``, which builds
tensors and plain containers and nothing else.
"""

import contextlib
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vmlkit.errors import DataError
from vmlkit.files.reading import check_file, fit, open_file, parse_json

if TYPE_CHECKING:
    import h5py
    import torch

_AGAIN = "copy or download it again, it may be cut off"
_PLAIN = (
    "it holds pickled objects, which vmlkit never opens: where you trust the file, load it yourself and save "
    "plain arrays, numpy.savez('features.npz', **{video: array})"
)
#: of the JSON header of a safetensors file; the format allows no more
_LONGEST_HEADER = 100_000_000


def brief(error: BaseException) -> str:
    """The message of an error on one short line, without the full stop."""
    return (" ".join(str(error).split())[:120] or type(error).__name__).rstrip(". ")


@contextlib.contextmanager
def readable(path: object, kind: str, remedy: str = _AGAIN) -> Iterator[None]:
    """Inside the block, whatever a library says about a damaged file becomes one sentence.

    The parsers of zip, npy, HDF5, parquet and torch raise some twenty unrelated types between them, ``MemoryError`` and
    ``RecursionError`` included; the block holds their calls and nothing of ours.

    Args:
        path: the file, for the message.
        kind: such as ``"npz"``.
        remedy: what the reader can do about it.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        pickled = isinstance(error, pickle.UnpicklingError) or re.search("allow_pickle|Python objects", str(error))
        raise DataError(
            path, f"is not a readable {kind} file ({brief(error)})", _PLAIN if pickled and remedy == _AGAIN else remedy
        ) from error


def npy_header(file: BinaryIO, where: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of the ``.npy`` that begins here; ``file`` then stands at the data.

    Raises:
        DataError: for a header that numpy does not understand, or a shape or type that no array has.
    """
    with readable(where, "npy"):
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    if any(type(size) is not int or size < 0 for size in shape) or (dtype.itemsize == 0 and 0 not in shape):
        raise DataError(where, f"is not a readable npy file (its header says {dtype} {shape}"[:160] + ")", _AGAIN)
    return shape, fortran, dtype


def _size(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of an array, however large; numpy would count beyond its own integers."""
    size = dtype.itemsize
    for length in shape:
        size *= length
    return size


def _claimed(shape: tuple[int, ...], dtype: np.dtype, there: int, where: object, name: str) -> None:
    """Refuse an array of objects, or a shape that needs other bytes than there are, or too many."""
    if dtype.hasobject:
        raise DataError(where, f"is not a readable npz or npy file ({name} has Python objects)", _PLAIN)
    needed = _size(shape, dtype)
    if needed != there:
        what = f"is not a readable npz or npy file ({name} has {there} bytes where its header says {needed})"
        raise DataError(where, what, _AGAIN)


def read_npy(path: str | Path, *, mapped: bool = False) -> np.ndarray:
    """The array of a ``.npy`` file.

    Args:
        mapped: leave it on the disk, copied page by page where it is written to.

    Raises:
        DataError: for a file that is damaged, holds objects, or does not fit into memory.
    """
    with open_file(path) as file:
        shape, _, dtype = npy_header(file, path)
        start = file.tell()
        _claimed(shape, dtype, file.seek(0, 2) - start, path, "the array")
    if not mapped:
        fit(path, _size(shape, dtype))
    with readable(path, "npy"):
        found: np.ndarray = np.load(path, mmap_mode="c" if mapped else None, allow_pickle=False)
    return found


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an ``.npz`` file, each read when it is asked for.

    Args:
        file: the opened file.
        path: its name, for messages.

    Raises:
        DataError: here for a file that is no zip; for an array that is damaged, holds objects, does not fit into
            memory, is locked by a password or packed in a way other than numpy's.
    """

    def __init__(self, file: BinaryIO, path: str | Path) -> None:
        self.path = path
        with readable(path, "npz"):
            self._zip = zipfile.ZipFile(file)
        self._members = {each.filename.removesuffix(".npy"): each for each in self._zip.infolist()}

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        member = self._members[name]
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            what = f"is not a readable npz file ('{name}' is locked or packed in an unknown way)"
            raise DataError(self.path, what, "save it again with numpy.savez")
        fit(self.path, member.file_size, f"the array '{name}'")
        with readable(self.path, "npz"), self._zip.open(member) as file:
            shape, _, dtype = npy_header(file, self.path)  # type: ignore[arg-type]
            _claimed(shape, dtype, member.file_size - file.tell(), self.path, f"'{name}'")
        with readable(self.path, "npz"), self._zip.open(member) as file:
            found: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def all(self) -> dict[str, np.ndarray]:
        """Every array; refused where they do not fit into memory together."""
        fit(self.path, sum(member.file_size for member in self._members.values()))
        return {name: self[name] for name in self}


@contextlib.contextmanager
def open_npz(path: str | Path, **said: str) -> Iterator[Arrays]:
    """The arrays of an ``.npz`` file, which is closed at the end of the block; see :class:`Arrays`."""
    with open_file(path, **said) as file:
        yield Arrays(file, path)


def read_npz(path: str | Path, **said: str) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; raises as :class:`Arrays`."""
    with open_npz(path, **said) as arrays:
        return arrays.all()


def tensors_header(path: str | Path, **said: str) -> tuple[int, dict[str, Any]]:
    """Where the data of a safetensors file begin, and its header: entries by name, and ``__metadata__``.

    Raises:
        DataError: for a header that is cut off, no JSON object of objects, or has metadata that are not texts.
    """
    with open_file(path, **said) as file:
        size = int.from_bytes(file.read(8), "little")
        there = file.seek(0, 2) - 8
        if not 0 < size <= min(there, _LONGEST_HEADER):
            raise DataError(path, "is not a readable safetensors file (its header is cut off)", _AGAIN)
        file.seek(8)
        data = file.read(size)
    try:
        header = parse_json(data.decode(), path, what="has a header that is", remedy=_AGAIN)
    except UnicodeDecodeError as error:
        raise DataError(path, "is not a readable safetensors file (its header is no text)", _AGAIN) from error
    entries = header.values() if isinstance(header, dict) else [None]
    about = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if not all(isinstance(entry, dict) for entry in entries) or not all(isinstance(v, str) for v in about.values()):
        raise DataError(path, "is not a readable safetensors file (its header holds other entries)", _AGAIN)
    return 8 + size, header


@contextlib.contextmanager
def open_tensors(path: str | Path) -> Iterator[Any]:
    """An opened safetensors file (``keys()``, ``get_tensor(name)``, ``metadata()``) whose header was checked.

    Raises:
        DataError: as :func:`tensors_header`, and for a file that safetensors refuses.
    """
    import safetensors

    tensors_header(path)
    with contextlib.ExitStack() as stack:
        with readable(path, "safetensors"):
            file = stack.enter_context(safetensors.safe_open(str(path), framework="pt"))
        yield file


def read_tensors(path: str | Path) -> dict[str, "torch.Tensor"]:
    """All tensors of a safetensors file; raises as :func:`open_tensors`."""
    fit(path, check_file(path).stat().st_size)
    with open_tensors(path) as file, readable(path, "safetensors"):
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def read_torch(path: str | Path, *, kind: str = "torch", remedy: str = _AGAIN, mapped: bool = False) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors and plain containers, opened without running code from it.

    Args:
        kind: what it should be, for messages.
        remedy: for a file that cannot be read.
        mapped: leave the tensors on the disk.

    Raises:
        DataError: for a file that is damaged, larger than memory once unpacked, or holds more than that.
    """
    import torch

    with open_file(path) as file, readable(path, kind, remedy):
        size, whole = file.seek(0, 2), zipfile.is_zipfile(file)
        if whole:
            size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
    fit(path, 0 if mapped and whole else size)
    with readable(path, kind, remedy):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and whole)


def require_finite(tensors: Mapping[str, "torch.Tensor"], where: object, remedy: str = _AGAIN) -> None:
    """Refuse parameters that are no dense tensors on the CPU, or hold NaN or infinity.

    Raises:
        DataError: naming the first of them.
    """
    for name, tensor in tensors.items():
        values = tensor_array(tensor, where, f"the parameter '{name}'")
        if values.dtype.kind in "fc" and not np.isfinite(values).all():
            raise DataError(where, f"the parameter '{name}' has NaN or infinity", remedy)


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator["h5py.File"]:
    """An HDF5 file, closed at the end of the block; raises :class:`DataError` where it cannot be read."""
    import h5py

    check_file(path)
    with contextlib.ExitStack() as stack:
        with readable(path, "HDF5"):
            file = stack.enter_context(h5py.File(path, "r"))
        yield file


def hdf5_names(file: "h5py.Group", where: object) -> list[str]:
    """The names in a group of an HDF5 file; raises :class:`DataError` where its list is damaged."""
    with readable(where, "HDF5"):
        return list(file)


def read_dataset(data: "h5py.Dataset", where: str | Path, what: str) -> np.ndarray:
    """The array of an HDF5 data set.

    Args:
        where: the file that it was asked of.
        what: whose array it is, for messages.

    Raises:
        DataError: for one that is damaged, does not fit into memory, or lies in another file.
    """
    with readable(where, "HDF5"):
        linked = os.path.realpath(data.file.filename) != os.path.realpath(where)
        if linked or data.external or data.is_virtual:
            raise DataError(where, f"{what} lies in another file", "store the array in this one")
        if data.dtype.hasobject or data.shape is None:
            raise DataError(where, f"{what} is no array of numbers", "store one array of numbers")
        fit(where, _size(data.shape, data.dtype), what)
        return np.asarray(data[()])


def tensor_array(tensor: "torch.Tensor", where: object, what: str) -> np.ndarray:
    """A tensor of a file as an array.

    Raises:
        DataError: for a tensor that is sparse, on no device, or repeats a few numbers over more than fits into memory.
    """
    import torch

    with readable(where, "torch"):
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise DataError(where, f"{what} is a {tensor.layout} tensor on {tensor.device}", "store a dense one")
        fit(where, tensor.numel() * tensor.element_size(), what)
        return (tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()).numpy()
