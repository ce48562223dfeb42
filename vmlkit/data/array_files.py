"""Files of arrays as numpy, torch, safetensors and HDF5 write them, told apart by their first bytes.

No file is ever unpickled: arrays of objects are refused, and torch files are read with ``weights_only``, which builds
tensors and plain containers and nothing else.
"""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch

from vmlkit.errors import DataError
from vmlkit.files.arrays import open_hdf5, open_npz, open_tensors, read_dataset, read_npy, read_torch, tensor_array
from vmlkit.files.reading import open_file

Format = Literal["HDF5", "npy", "npz", "safetensors", "torch", "pickle"]
#: names of array files, in the order in which a folder that has a video twice is read
SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".h5", ".hdf5")
#: names under which circulated files keep the array of a video, where they keep several
ARRAY_NAMES = ("features", "feature", "c3d_features", "i3d_features", "arr_0")
#: what `torch.save` of before version 1.6 begins with: a pickled number by which torch knows its own files
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"


def format_of(path: Path) -> Format | None:
    """The format of a file by its first bytes, whatever its name; None for any other."""
    with open_file(path) as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "HDF5"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04"):
        return _format_of_zip(path)
    if head.startswith(_OLD_TORCH):
        return "torch"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return "safetensors" if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size else None


def _format_of_zip(path: Path) -> Format | None:
    try:
        with open_file(path) as file:
            names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return "npz"  # cut off or damaged: the reader says so
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else None


@contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """What a file holds: an array, or a mapping from names to arrays (or to such mappings), read when it is asked for.

    Raises:
        DataError: for a file of another format, one that is cut off, or one that holds more than arrays.
    """
    kind = format_of(path)
    with ExitStack() as stack:
        if kind == "HDF5":
            yield stack.enter_context(open_hdf5(path))
        elif kind == "safetensors":
            yield _Tensors(stack.enter_context(open_tensors(path)))
        elif kind == "torch":
            yield read_torch(path, mapped=True)
        elif kind == "npz":
            yield stack.enter_context(open_npz(path))
        elif kind == "npy":
            yield read_npy(path, mapped=True)
        else:
            raise DataError(path, "is no file of arrays", f"give one of {', '.join(SUFFIXES)}")


class _Tensors(Mapping[str, Any]):
    """The tensors of a safetensors file, each read when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file, self._names = file, dict.fromkeys(file.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> torch.Tensor:
        found: torch.Tensor = self._file.get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def is_group(found: Any) -> bool:
    """Whether ``found`` holds arrays under names, rather than being one."""
    return isinstance(found, (Mapping, h5py.Group))


def one_array(found: Any, dataset: str | None, where: object, what: str) -> np.ndarray:
    """The one array of ``found``, or the one under a name where there are several.

    Args:
        found: an array, a tensor, or a group of them.
        dataset: the name of the array to read; by default one of :data:`ARRAY_NAMES`, or the only one there.
        where: the file, for messages.
        what: whose arrays they are, such as ``"video 'V1'"``.

    Raises:
        DataError: for several arrays of which none was named, or something that is no array.
    """
    if is_group(found):
        names = [name for name in found if not is_group(found[name])]
        wanted = [dataset] if dataset else [*ARRAY_NAMES, *(names if len(names) == 1 else [])]
        name = next((name for name in wanted if name in names), None)
        if name is None and not names and len(found) == 1:
            return one_array(next(iter(found.values())), dataset, where, what)
        if name is None:
            asked = f" and no '{dataset}'" if dataset else ""
            first = "rgb" if "rgb" in names else next(iter(names), "")
            say = f"say which to read, such as --set data.feature_dataset={first}" if names else "store one array"
            raise DataError(where, f"{what} is a group with the arrays {names}{asked}", say)
        found = found[name]
    if isinstance(found, torch.Tensor):
        return tensor_array(found, where, what)
    if isinstance(found, h5py.Dataset):
        return read_dataset(found, str(where), what)
    if not isinstance(found, np.ndarray):
        raise DataError(where, f"{what} is a {type(found).__name__}", "store one array of numbers")
    return found
