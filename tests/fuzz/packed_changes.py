"""Changes of arrays, archives, tables, checkpoints, HDF5 and SQLite, made so that the file stays one of its kind."""

import io
import json
import random
import sqlite3
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch

from tests.fuzz.plain_changes import change_value, dumps

# ---- arrays


def npy_bytes(array: np.ndarray, **header: Any) -> bytes:
    """A ``.npy`` whose header says something else."""
    said = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **header}
    text = repr(said).ljust(117) + "\n"
    size = len(text).to_bytes(2, "little") if len(text) < 65536 else b"\xff\xff"
    return b"\x93NUMPY\x01\x00" + size + text.encode()[:65535] + array.tobytes()


def changed_array(array: np.ndarray, draws: random.Random) -> tuple[bytes, str]:
    """An array of another shape, type or content, as a ``.npy``."""
    number = array.dtype.kind in "fiu"
    choices: list[tuple[str, Callable[[], bytes]]] = [
        ("terabytes", lambda: npy_bytes(array, shape=(10**12,))),
        ("more than 64 bits", lambda: npy_bytes(array, shape=(2**40, 2**40))),
        ("negative shape", lambda: npy_bytes(array, shape=(-1, 2))),
        ("shape of text", lambda: npy_bytes(array, shape="abc")),
        ("objects", lambda: npy_bytes(array, descr="|O")),
        ("nothing wide", lambda: npy_bytes(array, descr="|S0", shape=(10**12,))),
        ("a structure", lambda: npy_bytes(array, descr=[("a", "<f4"), ("b", "<f4")])),
        ("no type", lambda: npy_bytes(array, descr="<q9")),
        ("a deep header", lambda: npy_bytes(array, descr=None).replace(b"None", b"(" * 80)),
        ("complex", lambda: _saved(array.astype(np.complex64) if number else array)),
        ("text", lambda: _saved(array.astype("U8"))),
        ("bytes", lambda: _saved(np.full(array.shape, b"a\xff"))),
        ("times", lambda: _saved(np.zeros(array.shape, "M8[s]"))),
        ("truth values", lambda: _saved(np.zeros(array.shape, bool))),
        ("big-endian", lambda: _saved(array.astype(array.dtype.newbyteorder(">")))),
        ("whole numbers", lambda: _saved(np.full(array.shape, -7))),
        ("empty", lambda: _saved(array[:0])),
        ("a number", lambda: _saved(np.array(3.0))),
        ("one more axis", lambda: _saved(array[None])),
        ("flat", lambda: _saved(array.reshape(-1))),
        ("one row less", lambda: _saved(array[:-1])),
        ("no columns", lambda: _saved(array[..., :0])),
        ("in Fortran's order", lambda: _saved(np.asfortranarray(array))),
    ]
    if number:
        choices += [(str(v), lambda v=v: _saved(_with(array, v, draws))) for v in (np.nan, np.inf, 1e30, -1e30)]
    name, made = draws.choice(choices)
    return made(), name


def _saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _with(array: np.ndarray, value: float, draws: random.Random) -> np.ndarray:
    new = np.array(array, dtype=array.dtype if array.dtype.kind == "f" else np.float32)
    with np.errstate(all="ignore"):
        new.reshape(-1)[draws.randrange(max(new.size, 1))] = value
    return new


def npy_changed(path: Path, draws: random.Random) -> str:
    data, name = changed_array(np.load(path, allow_pickle=False), draws)
    path.write_bytes(data)
    return name


def pickle_changed(path: Path, draws: random.Random) -> str:
    """Instructions of a ``.npy`` of objects."""
    array = np.load(path, allow_pickle=True)  # ours
    new: Any = draws.choice((None, 3, "x", [], [[1]], {"a": 1}, b"x", 1e400, "a" * 10_000, [["a", "b"]], Path))
    if draws.random() < 0.3:
        inner: Any = []
        for _ in range(draws.choice((30, 500))):
            inner = [inner, inner]
        new = inner
    array[draws.randrange(len(array))] = new
    if draws.random() < 0.2:
        array = array[:-1]
    np.save(path, array, allow_pickle=True)
    return f"an entry is {str(new)[:20] if not isinstance(new, list) else 'a list'}"


def npz_changed(path: Path, draws: random.Random) -> str:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = draws.choice(list(arrays))
    how = draws.randrange(10)
    parts = {key: _saved(array) for key, array in arrays.items()}
    said = f"without {name}"
    if how < 6:
        parts[name], said = changed_array(arrays[name], draws)
        said = f"{name}: {said}"
    elif how == 6:
        del parts[name]
    elif how == 7:
        parts[draws.choice(("../out", "/tmp/out", "x" * 300, ""))] = parts.pop(name)
        said = f"{name} renamed"
    else:
        said = f"{name} locked or packed otherwise"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in parts.items():
            archive.writestr(f"{key}.npy", data)
    if how > 7:
        data = bytearray(path.read_bytes())
        start = data.rindex(b"PK\x01\x02")
        place, value = draws.choice(((8, 1), (10, 99), (10, 12), (10, 14), (24, 255), (27, 255)))
        data[start + place] = value
        path.write_bytes(bytes(data))
    return said


def npz_bomb(path: Path, draws: random.Random) -> str:
    with np.load(path, allow_pickle=False) as archive:
        name = draws.choice(archive.files)
    head = npy_bytes(np.zeros(0, np.float32), shape=(1 << 29,))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as file,
    ):
        file.write(head)
        for _ in range(2 if draws.random() < 0.9 else 300):
            file.write(bytes(1 << 20))
    return f"{name} of two gigabytes"


# ---- tables, checkpoints, HDF5, SQLite


def parquet_changed(path: Path, draws: random.Random) -> str:
    frame = pd.read_parquet(path)
    column = draws.choice(list(frame.columns))
    how = draws.choice(
        ("text", "lists", "null", "gone", "twice", "bool", "float", "huge", "nan", "none", "tall", "order")
    )
    if how == "gone":
        frame = frame.drop(columns=column)
    elif how == "none":
        frame = frame.iloc[:0]
    elif how == "tall":
        frame = frame.iloc[np.zeros(20_000_000 // max(len(frame.columns), 1), dtype=np.int8)]
    elif how == "order":
        frame = frame.sample(frac=1, random_state=draws.randrange(99))
    elif how == "twice":
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table.append_column(column, table.column(column)), path)
        return f"{column} twice"
    else:
        count = len(frame)
        new: dict[str, Any] = {
            "text": [draws.choice(("x", "../..", "</script>", "1", "\u202e"))] * count,
            "lists": [[1, 2]] * count,
            "null": pd.array([None] * count, dtype="Int64"),
            "bool": [True] * count,
            "float": np.linspace(-2, 2, count),
            "huge": [2**62] * count,
            "nan": [np.nan] * count,
        }
        frame[column] = new[how]
    frame.to_parquet(path, index=False)
    return f"{column}: {how}"


def _tensor(value: torch.Tensor, draws: random.Random) -> torch.Tensor:
    choices: list[Callable[[], torch.Tensor]] = [
        lambda: torch.zeros(3, 2),
        lambda: value.reshape(-1)[:0],
        lambda: value.to(torch.int64),
        lambda: value.to(torch.float64),
        lambda: torch.full_like(value, float("nan")) if value.is_floating_point() else value[:-1],
        lambda: value.reshape(-1)[:1].expand(10**12),
        lambda: value[None],
        lambda: value.to(torch.complex64),
        lambda: torch.zeros(2, 2).to_sparse(),
        lambda: value.bool(),
    ]
    return draws.choice(choices)()


def torch_changed(path: Path, draws: random.Random) -> str:
    content = torch.load(path, weights_only=True)
    node, place, steps = content, "", draws.choice((0, 0, 1, 2, 3, 4))
    while isinstance(node, (dict, list)) and node:
        key = draws.choice(list(node)) if isinstance(node, dict) else draws.randrange(len(node))
        place = f"{place}.{key}"
        if steps <= 0 or not isinstance(node[key], (dict, list)) or not node[key]:
            if isinstance(node[key], torch.Tensor) and draws.random() < 0.7:
                node[key] = _tensor(node[key], draws)
            elif draws.random() < 0.3:
                del node[key]
            else:
                node[key] = draws.choice(
                    (
                        None,
                        3,
                        -1,
                        10**30,
                        10**400,
                        1e300,
                        True,
                        "x",
                        [],
                        {},
                        [1],
                        {"a": 1},
                        torch.zeros(2),
                        float("nan"),
                    )
                )
            break
        node, steps = node[key], steps - 1
    torch.save(content, path, _use_new_zipfile_serialization=draws.random() < 0.8)
    return place


def torch_packed(path: Path, draws: random.Random) -> str:
    """Members of the archive that ``torch.save`` writes: one packed, locked, gone, double or a bomb."""
    with zipfile.ZipFile(path) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    name, how = draws.choice(list(parts)), draws.choice(("packed", "locked", "gone", "twice", "bomb", "cut", "other"))
    if how in ("gone", "cut"):
        parts[name] = parts[name][: len(parts[name]) // 2]
    if how == "gone":
        del parts[name]
    kind = zipfile.ZIP_DEFLATED if how in ("packed", "bomb") else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        warnings.simplefilter("ignore")
        for key, data in parts.items():
            mine = key == name
            archive.writestr(f"../{key}" if mine and how == "other" else key, data)
            if mine and how == "twice":
                archive.writestr(key, data[::-1])
        if how == "bomb":
            with archive.open(name + "x", "w", force_zip64=True) as file:
                for _ in range(300):
                    file.write(bytes(1 << 20))
    if how == "locked":
        data = bytearray(path.read_bytes())
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(bytes(data))
    return f"{name}: {how}"


def safetensors_changed(path: Path, draws: random.Random) -> str:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    if isinstance(header.get("__metadata__"), dict) and draws.random() < 0.3:
        about = header["__metadata__"]
        key = draws.choice(list(about) or ["vmlkit"])
        with_text = about.get(key, "null")
        try:
            value, said = change_value(json.loads(with_text), draws)
            about[key] = dumps(value)
        except ValueError:
            about[key], said = "x", "not JSON"
        said = f"metadata {key}: {said}"
    else:
        header, said = change_value(header, draws)
    new = dumps(header).encode()
    length = draws.choice((len(new), len(new), len(new), len(new), 2**40, len(new) - 1, 0))
    path.write_bytes(length.to_bytes(8, "little") + new + rest)
    return said


def hdf5_changed(path: Path, draws: random.Random) -> str:
    with h5py.File(path, "r+") as file:
        name = draws.choice(list(file))
        how = draws.choice(("text", "huge", "outside", "loop", "soft", "nan", "scalar", "empty", "objects", "group",
                            "compound", "gone", "half", "references"))  # fmt: skip
        old = file[name]
        shape = old.shape if isinstance(old, h5py.Dataset) else (4, 3)
        del file[name]
        if how == "text":
            file[name] = "abc"
        elif how == "huge":
            file.create_dataset(name, shape=(10**9, 10**4), chunks=(1, 10**4), dtype="f8")
        elif how == "outside":
            file[name] = h5py.ExternalLink("/etc/hostname", "/a")
        elif how == "loop":
            file.create_group(name)[name] = file
        elif how == "soft":
            file[name] = h5py.SoftLink(f"/{name}")
        elif how == "nan":
            file[name] = np.full(shape, np.nan)
        elif how == "scalar":
            file[name] = 3.0
        elif how == "empty":
            file[name] = h5py.Empty("f")
        elif how == "objects":
            file.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())
        elif how == "group":
            file.create_group(name)
        elif how == "compound":
            file[name] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])
        elif how == "half":
            file[name] = np.zeros(shape, np.float16)
        elif how == "references":
            file.create_dataset(name, data=file.ref, dtype=h5py.ref_dtype)
    return f"{name}: {how}"


def sqlite_changed(path: Path, draws: random.Random) -> str:
    statement = draws.choice(
        (
            "UPDATE answers SET value = NULL",
            "UPDATE answers SET value = x'ff00fe'",
            "UPDATE answers SET value = 17",
            "UPDATE answers SET value = '[[['",
            "UPDATE answers SET value = CAST(x'ff22' AS TEXT)",
            f"UPDATE answers SET value = '{'[' * 5000}'",
            f"UPDATE answers SET value = '{'9' * 5000}'",
            "UPDATE answers SET value = '{\"a\": 1}'",
            "DROP TABLE answers",
            "ALTER TABLE answers ADD COLUMN more TEXT",
            "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
            "CREATE TABLE other (a)",
            "DROP TABLE answers; CREATE VIEW answers AS WITH RECURSIVE c(key, model, prompt_version, value) AS "
            "(SELECT 'a', 'b', 'c', 'd' UNION ALL SELECT * FROM c) SELECT * FROM c",
        )
    )
    connection = sqlite3.connect(path)
    connection.executescript(statement)
    connection.close()
    return statement[:60]
