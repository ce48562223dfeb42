"""The transcription against the papers' texts, where they are: every cell of every row, in order, and no other row.

The texts are not part of the repository.  ``$VMLKIT_PAPERS`` names their folder (``000_*.txt`` is P0, and so on); the
counts and sums that every record holds are checked without them.
"""

import os
import re
from functools import cache
from pathlib import Path

import pytest

from vmlkit.tables import every, load
from vmlkit.tables.records import PublishedTable, captions

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("VMLKIT_PAPERS", ROOT.parent / "shared" / "papers"))
NUMBER = re.compile(r"(?:\d+(?:\.\d+)?)(?:K|s|h)?|-")
#: sizes that the text prints in thousands
THOUSANDS = 1000
#: lines of numbers that are heads: thresholds
HEADS = ([0.5, 0.7], [0.3, 0.5])


@cache
def text(key: str) -> str:
    found = sorted(FOLDER.glob(f"00{key[1]}_*.txt"))
    if not found:
        pytest.skip("needs the papers' texts: set VMLKIT_PAPERS to their folder")
    return found[0].read_text(encoding="utf-8")


def passage(table: PublishedTable) -> list[str]:
    """The lines of a table: those with tabs that stand next to its caption."""
    number = re.search(r"\d+", table.label.partition(" ")[2])
    assert number is not None
    lines = text(table.paper).split("\n")
    caption = next(i for i, line in enumerate(lines) if re.match(rf"\**Table {number.group()}[:.]", line))
    step = 1 if captions(table.paper) == "above" else -1
    at = caption
    while "\t" not in lines[at]:
        at += step
    found = []
    while "\t" in lines[at]:
        found.append(lines[at])
        at += step
    return found[::step]


def clean(field: str) -> str:
    return re.sub(r"</?\w+>|\*|\$", "", field).strip()


def value(field: str) -> float | str | None:
    """A number, "-" for a dash, None for anything else."""
    if not NUMBER.fullmatch(field):
        return None
    if field == "-":
        return "-"
    return round(float(field.rstrip("Ksh")) * (THOUSANDS if field.endswith("K") else 1), 6)


def values(line: str) -> list[float | str | None]:
    fields = [part for field in line.split("\t") for part in clean(field).split(" / ")]
    return [value(field) for field in fields]


def holds(line: list[float | str | None], cells: list[float | str]) -> bool:
    """Whether the cells stand in the line one beside the other."""
    return any(line[i : i + len(cells)] == cells for i in range(len(line) - len(cells) + 1))


def rows_of(table: PublishedTable) -> list[list[float | str]]:
    return [["-" if cell is None else float(cell) for cell in row.cells] for row in table.rows]


PRINTED = [table for table in every() if " Table " in table.label and table.id != "P1/speed"]
ACROSS = [table for table in PRINTED if table.id in ("P3/5", "P3/6")]
DOWN = [table for table in PRINTED if table not in ACROSS]


@pytest.mark.parametrize("table", DOWN, ids=lambda t: t.id)
def test_every_row_stands_in_the_text_in_order(table: PublishedTable) -> None:
    lines = [values(line) for line in passage(table)]
    at = 0
    for row, cells in zip(table.rows, rows_of(table), strict=True):
        found = next((i for i in range(at, len(lines)) if holds(lines[i], cells)), None)
        assert found is not None, f"'{row.name}' {row.cells} is not in the text after line {at}"
        at = found + 1


@pytest.mark.parametrize("table", [t for t in DOWN if not t.id.startswith("P0/5")], ids=lambda t: t.id)
def test_no_row_of_the_text_is_missing(table: PublishedTable) -> None:
    width, count = len(table.columns), 0
    for line in passage(table):
        trimmed = line.rstrip("\t") if table.paper == "P1" else line
        tail = values(trimmed)[-width:]
        count += len(tail) == width and None not in tail and tail not in HEADS
    assert count == len(table.rows)


@pytest.mark.parametrize("table", ACROSS, ids=lambda t: t.id)
def test_a_table_that_lies_on_its_side_is_in_the_text(table: PublishedTable) -> None:
    head, numbers = passage(table)
    assert [clean(name) for name in head.split("\t")][1:] == [row.name for row in table.rows]
    assert values(numbers)[1:] == [row.cells[0] for row in table.rows]


def test_names_of_rows_are_those_of_the_text() -> None:
    """Where a table prints names; those with marks in their place have ours."""
    for key in ("P0/1", "P0/2", "P0/4", "P1/1", "P2/2", "P2/3", "P2/4", "P2/5", "P2/6", "P3/1", "P3/2", "P4/3", "P4/4"):
        table = load(key)
        lines = [line.split("\t")[0] for line in passage(table)]
        bare = [re.sub(r"<[^>]+>|[\W_]|\d", "", re.sub(r"<sup>\d</sup>", "", line)).lower() for line in lines]
        for row in table.rows:
            name = re.sub(r"[\W_]|\d", "", row.name).lower()
            assert name in bare, f"{key}: {row.name} is not among {bare}"


SENTENCES = {
    "P0/fig4": ["16.93%"],
    "P1/speed": ["55.8ms", "124ms"],
    "P2/fig3": ["around 7 points"],
    "P3/rates": ["26.0% to 23.8%", "28.0% to 26.9%"],
}


@pytest.mark.parametrize("name", SENTENCES)
def test_numbers_in_a_sentence_stand_there(name: str) -> None:
    table, words = load(name), text(name[:2])
    stated = [float(number) for part in SENTENCES[name] for number in re.findall(r"\d+(?:\.\d+)?", part)]
    assert all(part in words for part in SENTENCES[name])
    assert sorted(stated) == sorted(cell for cell in {c for row in table.rows for c in row.cells} if cell is not None)


def test_the_sentences_that_the_notes_speak_of_are_there() -> None:
    assert "we surpass the state-of-the-art method [15] by 1.3%" in text("P3")
    assert "The margins are 11.53% and 14.36%" in text("P0")
    assert "the second best" in text("P1")
