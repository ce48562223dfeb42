"""MSVD for text-video retrieval, in the layout that circulates with CLIP4Clip and X-CLIP.

A folder with ``train_list.txt``, ``val_list.txt``, ``test_list.txt`` (one video id a line) and the captions as one of

* ``raw-captions.json``: ``{video id: [caption, ...]}``, a caption being a text or a list of tokens;
* ``AllVideoDescriptions.txt``: ``video_id caption`` a line, ``#`` comments;
* ``video_corpus.csv`` (or ``MSR Video Description Corpus.csv``): the original table, English rows only.

The circulating folder holds ``raw-captions.pkl``.  A pickle can run code when it is opened, so it is not read; the
message says how to turn one that you trust into JSON.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from vmlkit.errors import DataError
from vmlkit.files import read_bytes, read_json, read_text
from vmlkit.files.tables import csv_rows

Split = Literal["train", "val", "test"]
_TABLES = ("video_corpus.csv", "MSR Video Description Corpus.csv")


#: where the lists and captions are published
PUBLISHED = "github.com/ArrowLuo/CLIP4Clip publishes them as msvd_data.zip (release v0.0)"


def read_msvd(folder: str | Path, split: Split) -> list[str]:
    """All captions of the videos of a split, in the order of its list; errors as :func:`captions_by_video`."""
    return [caption for captions in captions_by_video(folder, split).values() for caption in captions]


def captions_by_video(folder: str | Path, split: Split) -> dict[str, list[str]]:
    """The captions of each video of a split, in the order of its list.

    Raises:
        DataError: for a missing file, captions that exist as a pickle only, an empty or repeated entry, or a listed
            video without a caption.
    """
    folder = Path(folder)
    path = folder / f"{split}_list.txt"
    videos = [line.strip() for line in _lines(path) if line.strip()]
    if not videos:
        raise DataError(path, "lists no video", "write one video id a line")
    if len(set(videos)) != len(videos):
        twice = next(v for v in videos if videos.count(v) > 1)
        raise DataError(path, f"lists '{twice}' twice", "keep one of the lines")
    source, captions = _captions(folder)
    silent = next((video for video in videos if not captions.get(video)), None)
    if silent is not None:
        raise DataError(source, f"has no caption for '{silent}' of {path.name}", "add one or take it off the list")
    return {video: captions[video] for video in videos}


def _captions(folder: Path) -> tuple[Path, dict[str, list[str]]]:
    if (path := folder / "raw-captions.json").is_file():
        return path, _from_json(path)
    if (path := folder / "AllVideoDescriptions.txt").is_file():
        return path, _collect(path, _from_text(path))
    for name in _TABLES:
        if (path := folder / name).is_file():
            return path, _collect(path, _from_table(path))
    if (path := folder / "raw-captions.pkl").is_file():
        opened = "pickle.load(open('raw-captions.pkl', 'rb'))"
        convert = f"import json, pickle; json.dump({opened}, open('raw-captions.json', 'w'))"
        raise DataError(
            path,
            "is a pickle, which can run code when opened",
            f'if you trust it, convert it once: python -c "{convert}"',
        )
    remedy = f"add raw-captions.json, AllVideoDescriptions.txt or {_TABLES[0]}: {PUBLISHED}"
    raise DataError(folder, "holds no captions", remedy)


def _from_json(path: Path) -> dict[str, list[str]]:
    content = read_json(path, remedy="write it again")
    if not isinstance(content, dict):
        raise DataError(path, f"holds a {type(content).__name__}", "write {video id: [caption, ...]}")
    return {str(video): [_text(path, video, c) for c in _list(path, video, rows)] for video, rows in content.items()}


def _list(path: Path, video: str, rows: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise DataError(path, f"'{video}' has a {type(rows).__name__} of captions", "write a list")
    return rows


def _text(path: Path, video: str, caption: Any) -> str:
    if isinstance(caption, list) and all(isinstance(token, str) for token in caption):
        caption = " ".join(caption)
    if not isinstance(caption, str) or not caption.strip():
        raise DataError(path, f"'{video}' has the caption {caption!r}", "write a text or a list of tokens")
    return " ".join(caption.split())


def _from_text(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        video, _, caption = line.strip().partition(" ")
        if not caption.strip():
            raise DataError(path, f"line {number} has no caption", "write 'video_id caption'")
        yield video, caption


def _from_table(path: Path) -> Iterator[tuple[str, str]]:
    wanted = {"VideoID", "Start", "End", "Language", "Description"}
    # the table has a few bytes of other encodings
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    for _, row in csv_rows(text, path, "take the original table", sorted(wanted)):
        if row["Language"] == "English" and (row["Description"] or "").strip():
            yield f"{row['VideoID']}_{row['Start']}_{row['End']}", row["Description"]


def _collect(path: Path, pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for video, caption in pairs:
        found.setdefault(video, []).append(_text(path, video, caption))
    return found


def _lines(path: Path) -> list[str]:
    return read_text(path, remedy=f"check the folder of MSVD: {PUBLISHED}").removesuffix("\n").split("\n")
