"""The sentences of a data set, whatever its layout, each once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from vmlkit.components.msvd import Split, read_msvd
from vmlkit.data.annotations.json_lines import read_lines
from vmlkit.errors import DataError
from vmlkit.files import read_json, read_text

Layout = Literal["charades", "moments", "jsonl", "msvd", "text"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
#: where a JSON object may hold its sentence, the first that is there
FIELDS = ("sentence", "query", "caption", "text")


def read_sentences(path: str | Path, layout: Layout | None = None, split: Split = "train") -> list[str]:
    """Sentences in the order of the file, without repetitions and without blanks around them.

    Args:
        path: a file (plain or ``.gz``), or a folder for MSVD.
        layout: ``charades`` (``id start end##sentence`` a line), ``moments`` (JSON list of ``[video, duration, span,
            sentence]``), ``jsonl`` (objects with a sentence, query, caption or text), ``msvd`` (the folder), ``text``
            (one sentence a line).  By default it follows from the name and the first line.
        split: which list of an MSVD folder.

    Raises:
        DataError: for an unreadable file, a record without a sentence, or a file without any.
    """
    path = Path(path)
    chosen = layout or _guess(path)
    found = list(dict.fromkeys(" ".join(sentence.split()) for sentence in _READERS[chosen](path, split)))
    if not found:
        raise DataError(path, "holds no sentence", "check the path and --format")
    return found


def _guess(path: Path) -> Layout:
    if path.is_dir():
        return "msvd"
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        return "jsonl" if name.endswith(".jsonl") else "moments"
    first = next((line for line in read_text(path).split("\n") if line.strip()), "")
    return "charades" if "##" in first else "text"


def _charades(path: Path, split: Split) -> Iterator[str]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            _, mark, sentence = line.partition("##")
            if not mark or not sentence.strip():
                raise DataError(path, f"line {number} is not 'id start end##sentence'", "see --format")
            yield sentence


def _moments(path: Path, split: Split) -> Iterator[str]:
    records = read_json(path, remedy="check the file, or see --format")
    if not isinstance(records, list):
        raise DataError(path, f"holds a JSON {type(records).__name__}", "give a list of records")
    for row, record in enumerate(records):
        sentence = record[3] if isinstance(record, list) and len(record) > 3 else record
        yield _checked(path, f"record {row}", sentence)


def _jsonl(path: Path, split: Split) -> Iterator[str]:
    for number, fields in read_lines(path):
        name = next((name for name in FIELDS if name in fields), None)
        if name is None:
            raise DataError(path, f"line {number} has none of {', '.join(FIELDS)}", "name the sentence like this")
        yield _checked(path, f"line {number}, '{name}'", fields[name])


def _checked(path: Path, where: str, sentence: Any) -> str:
    if not isinstance(sentence, str) or not sentence.strip():
        raise DataError(path, f"{where} is not a sentence", "give a text that is not empty")
    return sentence


def _msvd(path: Path, split: Split) -> Iterator[str]:
    yield from read_msvd(path, split)


def _text(path: Path, split: Split) -> Iterator[str]:
    yield from (line for line in read_text(path).split("\n") if line.strip())


_READERS = {"charades": _charades, "moments": _moments, "jsonl": _jsonl, "msvd": _msvd, "text": _text}
