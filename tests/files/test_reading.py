"""The door for files: what is no regular file, does not fit into memory or is damaged is refused in one sentence."""

import gzip
import io
import json
import math
import os
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmlkit.errors import ConfigError, DataError
from vmlkit.files import (
    file_lines,
    inside,
    is_name,
    memory_budget,
    open_file,
    parse_json,
    parse_lines,
    read_json,
    read_text,
    write_json,
)
from vmlkit.files.arrays import Arrays, open_hdf5, read_dataset, read_npy, read_npz, read_tensors, read_torch
from vmlkit.files.records import (
    COUNT,
    FLAG,
    NULL,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    WRITTEN,
    Either,
    Entry,
    Fixed,
    Many,
    Table,
    checked,
)
from vmlkit.files.tables import connect, read_parquet


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory budget of 4 MB."""
    monkeypatch.setenv("VMLKIT_MEMORY_GB", "0.004")


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    said = {"pipe": "it is a pipe", "zero": "it is a device", "loop": "cannot be read", ".": "it is a folder"}
    for name, what in said.items():
        with pytest.raises(DataError, match=what):
            open_file(tmp_path / name)
    with pytest.raises(DataError, match="there is no such file; check the path"):
        open_file(tmp_path / "none")
    with pytest.raises(DataError, match="null"):
        open_file("a\0b")


def test_a_folder_in_the_place_of_a_file_that_is_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "probe.json").mkdir()
    with pytest.raises(DataError, match="cannot be written: it is a folder"):
        write_json(tmp_path / "probe.json", [])
    assert [path.name for path in tmp_path.iterdir()] == ["probe.json"]


def test_packed_text_is_counted_while_it_is_unpacked(tmp_path: Path, small: None) -> None:
    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b" " * 10**6))
    with pytest.raises(DataError, match=r"unpacked, it would take 0\.00025 GB where 0\.00025 GB"):
        read_text(tmp_path / "bomb.json.gz")
    (tmp_path / "large.txt").write_bytes(b" " * 10**6)
    with pytest.raises(DataError, match=r"would take 0\.001 GB"):
        read_text(tmp_path / "large.txt")


def test_the_budget_is_a_positive_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_budget() > 10**8
    for wrong in ("0", "-1", "much", "nan", "inf"):
        monkeypatch.setenv("VMLKIT_MEMORY_GB", wrong)
        with pytest.raises(ConfigError, match="VMLKIT_MEMORY_GB"):
            memory_budget()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 500 + "]" * 500, "nested more than 64 deep"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ("[" + "1" * 5000 + "]", "an integer of thousands of digits"),
        ("{" + '"a": 9223372036854775808}', "does not fit into 64 bits"),
        (r'["\ud800"]', "lone surrogate"),
        ("{,}", "not valid JSON"),
        # brackets and marks inside strings close nothing
        ('["]",' * 70 + "0" + ',"["]' * 70, "nested more than 64 deep"),
        (r'["\\", "]\"", ' * 70 + "0" + ',"["]' * 70, "nested more than 64 deep"),
    ],
)
def test_json_that_no_reader_could_use(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_json(text, "FILE")


TEXTS = st.text(st.sampled_from('[]{}"\\a,: 0'), max_size=8)
NUMBERS = st.integers(2**63 - 2, 2**63 + 1) | st.integers(-(2**63) - 1, 1 - 2**63) | st.floats(allow_nan=False)
JSON = st.recursive(
    TEXTS | NUMBERS | st.just("9" * 30) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def largest(value: Any) -> int:
    if isinstance(value, (dict, list)):
        return max(map(largest, value.values() if isinstance(value, dict) else value), default=0)
    return value if type(value) is int and value >= 0 else -value - 1 if type(value) is int else 0


@given(JSON, st.sampled_from((0, 60, 64)))
def test_what_is_counted_in_the_text_is_what_a_walk_finds(value: Any, more: int) -> None:
    for _ in range(more):
        value = [value, "]"]
    usable = depth(value) <= 64 and largest(value) < 2**63
    try:
        assert parse_json(json.dumps(value), "FILE") == value
    except DataError:
        assert not usable
    else:
        assert usable


def test_lines_are_parsed_as_each_alone() -> None:
    good = '{"a": 1}\n\n  \n["\u2028"]'
    assert list(parse_lines(good, "FILE")) == [(1, {"a": 1}), (4, ["\u2028"])]
    for line, said in (("[1", "line 5 is not valid"), ("[" * 65 + "]" * 65, "line 5 is not usable"),
                       (str(2**63), "line 5 is not usable"),
                       ("9" * 5000, "line 5 is not valid"), (r'"\ud800"', "line 5 is not usable")):  # fmt: skip
        with pytest.raises(DataError, match=said):
            list(parse_lines(f"{good}\n{line}", "FILE"))


def test_json_as_it_is_written_is_read(tmp_path: Path) -> None:
    value = {"a": [1, -(2**63), 2**63 - 1, 1.5, None, True, "ü\U0001f600"], "b": {"c": []}}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "a.json") == value


def test_lines_of_a_file_that_is_larger_than_memory(tmp_path: Path, small: None) -> None:
    (tmp_path / "long.txt").write_text("a b\n" * 200_000)
    assert sum(1 for _ in file_lines(tmp_path / "long.txt")) == 200_000
    (tmp_path / "endless.txt.gz").write_bytes(gzip.compress(b"x" * (1 << 24)))
    with pytest.raises(DataError, match="line 1 has no end"):
        list(file_lines(tmp_path / "endless.txt.gz"))


def test_names_stay_in_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("", ".", "..", "a/b", "/etc/passwd", "a\\b", "a\0", "CON", "nul.npy", "x" * 300, "\ud800")
    assert not any(map(is_name, wrong))
    assert all(map(is_name, ("v_-abc", "ÅSU9", "..hidden", "console")))
    home, secret = tmp_path / "home", tmp_path / "secret.txt"
    home.mkdir()
    secret.write_text("x")
    (home / "near").symlink_to(home / "own")
    (home / "far").symlink_to(secret)
    assert inside(home, home / "near") == home / "near"
    with pytest.raises(DataError, match="is a link that leads out of"):
        inside(home, home / "far")
    monkeypatch.setenv("VMLKIT_LINKS", "anywhere")
    assert inside(home, home / "far") == home / "far"


def npy(shape: str, data: bytes = b"", kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


@pytest.mark.parametrize(
    "content",
    [
        npy("(1000000000000,)"),
        npy("(-1,)"),
        npy("(2,)", bytes(7)),
        npy("(2,)", bytes(9)),
        npy("(1000000000000,)", kind="|S0"),
        npy("(2,)", bytes(16), kind="|O"),
        npy("(((((", bytes(8)),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_a_header_of_numpy_is_held_against_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    for mapped in (False, True):
        with pytest.raises(DataError, match=r"is not a readable npy|is not a readable npz"):
            read_npy(tmp_path / "a.npy", mapped=mapped)
    with pytest.raises(DataError, match=r"is not a readable npy|is not a readable npz"):
        read_npz(tmp_path / "a.npz")


def test_archives_that_numpy_does_not_write(tmp_path: Path, small: None) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**6))
    with pytest.raises(DataError, match=r"would take 0\.008 GB"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", a=np.arange(3), b=np.arange(2))
    whole = (tmp_path / "b.npz").read_bytes()
    assert {name: array.tolist() for name, array in read_npz(tmp_path / "b.npz").items()} == {
        "a": [0, 1, 2],
        "b": [0, 1],
    }
    for place, value in ((whole.index(b"PK\x01\x02") + 8, 1), (whole.index(b"PK\x01\x02") + 10, 99)):
        changed = bytearray(whole)
        changed[place] = value
        with pytest.raises(DataError, match="locked or packed in an unknown way"):
            Arrays(io.BytesIO(bytes(changed)), "b.npz")["a"]


def test_tensors_with_a_wrong_header(tmp_path: Path) -> None:
    headers: list[object] = ["[]", '{"a": 1}', '{"__metadata__": 3}', '{"__metadata__": {"a": 1}}', "{", "\x80"]
    for header in headers:
        data = str(header).encode("latin-1")
        (tmp_path / "a.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
        with pytest.raises(DataError):
            read_tensors(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(DataError, match="its header is cut off"):
        read_tensors(tmp_path / "a.safetensors")


def test_torch_files_run_nothing(tmp_path: Path, small: None) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt")
    assert read_torch(tmp_path / "a.pt")["a"].tolist() == [1, 1]
    torch.save(Path("x"), tmp_path / "b.pt")
    with pytest.raises(DataError, match="pickled objects, which vmlkit never opens"):
        read_torch(tmp_path / "b.pt")
    torch.save(torch.zeros(2 * 10**6), tmp_path / "c.pt")
    with pytest.raises(DataError, match=r"would take 0\.008"):
        read_torch(tmp_path / "c.pt")


def test_a_torch_file_whose_archive_says_that_it_goes_on_elsewhere(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    at = data.rindex(b"PK\x06\x07")  # the place of the end of a large archive: how many disks there are
    data[at + 16] = 7
    (tmp_path / "a.pt").write_bytes(bytes(data))
    with pytest.raises(DataError, match="not a readable torch file"):
        read_torch(tmp_path / "a.pt")


def test_hdf5_that_lies_elsewhere_or_claims_terabytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.zeros(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "a")
        file.create_dataset("huge", shape=(10**9, 10**4), chunks=(1, 10**4), dtype="f8")
        file["text"] = "abc"
    with open_hdf5(tmp_path / "a.h5") as file:
        for name, said in (("linked", "lies in another file"), ("huge", "would take 8e"), ("text", "no array")):
            with pytest.raises(DataError, match=said):
                read_dataset(file[name], tmp_path / "a.h5", name)


def test_tables_have_their_columns_and_types(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [1, 2], "name": ["a", "b"]}).to_parquet(tmp_path / "a.parquet")
    kinds = {"epoch": "whole", "name": "text"}
    assert len(read_parquet(tmp_path / "a.parquet", kinds, "again")) == 2
    for wrong, said in ((["1", "2"], "as [a-z]+ and not as wholes"), ([1.5, None], "as float64 and not as wholes")):
        pd.DataFrame({"epoch": wrong, "name": ["a", "b"]}).to_parquet(tmp_path / "b.parquet")
        with pytest.raises(DataError, match=f"'epoch' {said}; again"):
            read_parquet(tmp_path / "b.parquet", kinds, "again")


def test_a_table_that_unpacks_beyond_memory(tmp_path: Path, small: None) -> None:
    pd.DataFrame({"epoch": np.zeros(10**6, np.int8)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"would take 0\.016 GB"):
        read_parquet(tmp_path / "a.parquet", {"epoch": "whole"}, "again")


CREATE = "CREATE TABLE answers (key TEXT PRIMARY KEY, value TEXT)"


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE VIEW answers AS SELECT 1",),
        (CREATE, "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END"),
        (CREATE.replace("TEXT)", "TEXT, more TEXT)"),),
    ],
)
def test_sqlite_with_another_layout_is_refused(tmp_path: Path, statements: tuple[str, ...]) -> None:
    connect(tmp_path / "good.sqlite", CREATE, "a cache").close()
    connect(tmp_path / "good.sqlite", CREATE, "a cache").close()
    made = sqlite3.connect(tmp_path / "bad.sqlite")
    for statement in statements:
        made.execute(statement)
    made.close()
    with pytest.raises(DataError, match="is not a cache"):
        connect(tmp_path / "bad.sqlite", CREATE, "a cache")


VIDEO = Entry({"duration": SECONDS, "parts": Many(Fixed(TIME, TIME))}, {"title": TEXT})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "FILE: holds a list of 0; write an object {id: ...}"),
        ({"v": {"parts": []}}, "FILE: 'v.duration' is missing; add it"),
        ({"v": {"duration": True, "parts": []}}, "FILE: 'v.duration' is True; write a positive number of seconds"),
        ({"v": {"duration": 1, "parts": [[0, 1], [0]]}}, "FILE: 'v.parts[1]' is a list of 1; write a list of 2"),
        ({"v": {"duration": 1, "parts": [[0, None]]}}, "FILE: 'v.parts[0][1]' is null; write a number of seconds"),
        ({"v": {"duration": 1, "parts": [], "title": 3}}, "FILE: 'v.title' is 3; write a text in quotation marks"),
    ],
)
def test_a_fault_in_a_record_names_its_place(value: object, said: str) -> None:
    with pytest.raises(DataError) as caught:
        checked(value, Table(VIDEO), "FILE")
    assert str(caught.value).startswith(said)
    assert checked({"v": {"duration": 1, "parts": [[0, 1]], "new": 0}}, Table(VIDEO), "FILE")


VALUES = st.sampled_from((None, True, 0, -1, 2.5, math.nan, math.inf, 10**400, "", "1.5", "nan", b"x", [], {}))
PLAIN = st.sampled_from((COUNT, FLAG, NULL, NUMBER, SECONDS, TEXT, TIME, WRITTEN))
PARTS = st.recursive(
    PLAIN,
    lambda inner: (
        st.builds(Many, inner, st.integers(0, 2))
        | st.builds(Fixed, inner, inner)
        | inner.map(lambda part: Fixed(part, part))
        | st.builds(Table, inner)
        | st.builds(Either, inner, inner)
        | st.builds(lambda a, b, closed: Entry({"a": a}, {"b": b}, closed), inner, inner, st.booleans())
    ),
    max_leaves=4,
)
NESTED = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "c")), inner, max_size=3),
    max_leaves=6,
)


@given(PARTS, st.lists(NESTED, max_size=4))
def test_values_that_fit_together_have_no_fault_each(part: Any, values: list[Any]) -> None:
    assert part.fits(values) == all(part.fault(value) is None for value in values)
