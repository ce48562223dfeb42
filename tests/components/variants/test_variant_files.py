"""Variants as data: reading, writing, going on after a kill."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vmlkit.components.variants.rows import (
    COMPONENTS,
    MOMENT_NEGATIVES,
    RETRIEVAL_NEGATIVES,
    Rejection,
    SentenceVariant,
    VariantWriter,
    by_sentence,
    read_variants,
    to_line,
)
from vmlkit.errors import DataError


def row(sentence: str = "a dog runs", component: Any = "negated_verb", **changes: Any) -> SentenceVariant:
    known = {"text": "a dog does not run", "generator": "rules", "model": "rules-1", "date": "2026-01-31"}
    return SentenceVariant(sentence=sentence, component=component, **{**known, **changes})


ROWS = [
    row(),
    row(component="changed_object", text=None),
    row(
        component="positive", text=None, attempts=3, rejected=(Rejection("é\u2028x", "is empty"), Rejection(None, "y"))
    ),
]


def test_the_components_of_the_paper() -> None:
    assert len(COMPONENTS) == 7
    assert set(MOMENT_NEGATIVES) == set(COMPONENTS) - {"changed_verb", "positive"}
    assert RETRIEVAL_NEGATIVES == ("changed_verb", "changed_subject")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    with VariantWriter(path) as writer:
        writer.append(ROWS)
    assert read_variants(path) == ROWS
    first = json.loads(path.read_text().split("\n")[0])
    assert (first["version"], first["valid"], first["prompt_version"]) == (1, True, None)
    assert [r.valid for r in ROWS] == [True, False, False]


def changed(**changes: Any) -> str:
    fields = {**json.loads(to_line(row())), **changes}
    return json.dumps({k: v for k, v in fields.items() if v is not ...}) + "\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{\n", "line 2 is not valid JSON"),
        ("[]\n", "line 2 has the version None"),
        (changed(version=2), "line 2 has the version 2, not 1"),
        (changed(text=...), "line 2 lacks a proper 'text'"),
        (changed(sentence=" "), "lacks a proper 'sentence'"),
        (changed(component="verb"), "lacks a proper 'component'"),
        (changed(valid=1), "lacks a proper 'valid'"),
        (changed(valid=False), "'valid' and 'text' contradict"),
        (changed(text=None), "'valid' and 'text' contradict"),
        (changed(attempts=True), "lacks a proper 'attempts'"),
        (changed(rejected=[{"text": "x"}]), "lacks a proper 'rejected'"),
        (changed(rejected="none"), "lacks a proper 'rejected'"),
        (changed(more=1), "unknown field 'more'"),
        (to_line(row()), "lines 1 and 2 are the same component"),
        (to_line(row(component="positive"))[:-1], "line 2 is cut off; run the generation again"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text(to_line(row()) + line)
    with pytest.raises(DataError, match=message):
        read_variants(path)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_variants(tmp_path / "absent.jsonl")
    (tmp_path / "v.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_variants(tmp_path / "v.jsonl")


def test_a_writer_appends_and_knows_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "v.jsonl"
    with VariantWriter(path) as writer:
        assert writer.rows == []
        writer.append(ROWS[:2])
    with VariantWriter(path) as writer:
        assert writer.rows == ROWS[:2]
        assert writer.has("a dog runs", "changed_object")
        assert not writer.has("a dog runs", "positive")
        writer.append(ROWS[2:])
        with pytest.raises(DataError, match="already holds positive of 'a dog runs'"):
            writer.append(ROWS[2:])
    assert read_variants(path) == ROWS


def test_a_line_that_was_cut_off_is_repaired_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    whole = "".join(map(to_line, ROWS[:2]))
    for cut in (1, 20, len(to_line(ROWS[2])) - 1):
        path.write_bytes((whole + to_line(ROWS[2])).encode()[: len(whole) + cut])
        with VariantWriter(path) as writer:
            assert writer.rows == ROWS[:2]
            writer.append(ROWS[2:])
        assert read_variants(path) == ROWS
    path.write_text("broken\n" + whole)
    with pytest.raises(DataError, match="line 1 is not valid JSON"):
        VariantWriter(path)
    assert path.read_text() == "broken\n" + whole


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with VariantWriter(tmp_path / "v.jsonl"), pytest.raises(DataError, match="being written by another process"):
        VariantWriter(tmp_path / "v.jsonl")
    with VariantWriter(tmp_path / "v.jsonl") as writer:
        assert writer.rows == []


def test_rows_of_a_sentence_reach_the_disk_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: (writes.append(data), real(file, data))[1])
    with VariantWriter(tmp_path / "v.jsonl") as writer:
        writer.append(ROWS)
    assert [data.count(b"\n") for data in writes] == [len(ROWS)]


def test_texts_by_sentence_and_component() -> None:
    found = by_sentence([*ROWS, row(sentence="a cat sits", component="positive", text="there sits a cat")])
    assert found["a cat sits", "positive"] == "there sits a cat"
    assert found["a dog runs", "changed_object"] is None
    assert ("a cat sits", "changed_object") not in found
    assert by_sentence([row(), row(text="the dog rests")])["a dog runs", "negated_verb"] == "the dog rests"
