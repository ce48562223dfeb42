"""THUMOS14, the 20 classes and 412 videos of weakly supervised localisation, in the layouts that circulate.

* ``thumos14_reduced.json``: one file with everything, pickle-free; the one to prefer;
* the folder of ``.npy`` files of W-TALC, CO2-Net and P3 (``segments``, ``labels``, ``labels_all``, ``duration``,
  ``subset``, ``videoname``, ``classlist``), read without unpickling;
* ``gt.json`` of BaS-Net and HAM-Net: no durations, and two test videos are missing;
* the databases of ActionFormer and OpenTAD (:mod:`vmlkit.actions.databases`), which ActivityNet 1.3 comes in as well.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.actions.databases import (
    checked,
    is_database,
    read_database,
    read_json,
    read_per_split,
    segments_of,
    split_files,
    usable,
)
from vmlkit.actions.object_arrays import read_array
from vmlkit.actions.videos import ActionAnnotations, ActionVideo
from vmlkit.data.annotations.layouts import ACTIONS, explained
from vmlkit.data.published import PUBLISHED
from vmlkit.errors import DataError
from vmlkit.files import read_text
from vmlkit.files.records import FLAG, NULL, TEXT, WRITTEN, Either, Entry, Fixed, Many, are_numbers
from vmlkit.files.records import checked as checked_record
from vmlkit.text.tagging import TaggedSentence

REDUCED, GT_JSON, PROMPTS, AMBIGUOUS = "thumos14_reduced.json", "gt.json", "p3_prompts.json", "Ambiguous_test.txt"
#: names of databases in the order of preference: ActionFormer's and OpenTAD's of THUMOS14, ActivityNet 1.3's own, and
#: ActionFormer's of it
DATABASES = ("thumos14.json", "thumos_14_anno.json", "activity_net*.json", "anet1.3*.json")

#: words of the class texts that the perceptron tagger does not call a singular noun
WORD_TAGS = {
    "billiards": "NNS", "clean": "JJ", "and": "CC", "frisbee": "JJ", "high": "JJ", "long": "JJ", "pole": "JJ",
    "put": "VBD",
}  # fmt: skip


def read_actions(path: str | Path) -> ActionAnnotations:
    """Read annotations of any layout: a JSON file, or a folder that holds one of the layouts above.

    Raises:
        DataError: for a path without annotations, or a record that cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        if (path / REDUCED).is_file():
            return read_reduced(path / REDUCED)
        if (path / "segments.npy").is_file():
            return read_npy_folder(path)
        if (path / GT_JSON).is_file():
            return read_database(path / GT_JSON)
        named = [file for pattern in DATABASES for file in sorted(path.glob(pattern))]
        if named:
            return read_database(named[0])
        if split_files(path):
            return read_per_split(path)
        names = f"{REDUCED}, segments.npy, {GT_JSON}, {', '.join(DATABASES)} or anet_anno_train.json"
        at = " or ".join(PUBLISHED[source]["annotations"] for source in ("thumos14", "activitynet1.3"))
        raise DataError(path, f"holds none of {names}", f"give the folder or the file of annotations; see {at}")
    with explained(path, ACTIONS):
        return _read_file(path)


def _read_file(path: Path) -> ActionAnnotations:
    content = read_json(path)
    if isinstance(content, dict) and "videos" in content:
        return read_reduced(path, content)
    if is_database(content):
        return read_database(path, content)
    remedy = f"give {REDUCED}, {GT_JSON}, or a database {{video: {{subset, duration, annotations}}}}"
    raise DataError(path, "is of no known layout", remedy)


_SPANS = Many(Fixed(WRITTEN, WRITTEN))
_REDUCED = Entry(
    {
        "classes": Many(TEXT),
        "videos": Many(
            Entry(
                {
                    **{"name": TEXT, "subset": TEXT, "duration": WRITTEN, "labels": Many(TEXT)},
                    "segments": Many(Fixed(WRITTEN, WRITTEN, TEXT)),
                },
                {"ambiguous": _SPANS, "in_gt_json": Either(FLAG, NULL)},
            )
        ),
    }
)
_PROMPTS = Many(Entry({"sentence": TEXT, "tokens": Many(TEXT), "tags": Many(TEXT)}))


def read_reduced(path: str | Path, content: Any = None) -> ActionAnnotations:
    """``thumos14_reduced.json``, or its ``content``; raises :class:`DataError` for a record that lacks a field."""
    content = checked_record(read_json(path) if content is None else content, _REDUCED, path)
    with usable(path):
        classes = tuple(content["classes"])
        videos = [
            ActionVideo(
                video_id=str(v["name"]),
                subset=str(v["subset"]),
                duration=float(v["duration"]),
                labels=tuple(v["labels"]),
                segments=segments_of(v["segments"]),
                ambiguous=tuple((float(a), float(b)) for a, b in v.get("ambiguous", ())),
                in_gt_json=v.get("in_gt_json"),
            )
            for v in content["videos"]
        ]
    return checked(path, "reduced", classes, videos)


def read_npy_folder(path: str | Path) -> ActionAnnotations:
    """The folder of W-TALC, CO2-Net and P3; object arrays are read without unpickling.

    ``Ambiguous_test.txt`` and ``gt.json`` beside them are used where they are.

    Raises:
        DataError: for a missing file, files of different lengths, or one that holds more than plain data.
    """
    folder = Path(path)
    with usable(folder):
        names = [_text(v) for v in read_array(folder / "videoname.npy")]
        parts: dict[str, list[Any]] = {
            key: list(read_array(folder / f"{key}.npy"))
            for key in ("subset", "duration", "segments", "labels", "labels_all")
        }
        for key, values in parts.items():
            if len(values) != len(names):
                what = f"has {len(values)} entries for {len(names)} videos"
                raise DataError(folder / f"{key}.npy", what, "copy it again")
        classes = tuple(_text(c) for c in read_array(folder / "classlist.npy"))
        ambiguous = read_ambiguous(folder / AMBIGUOUS) if (folder / AMBIGUOUS).is_file() else {}
        listed = set(read_json(folder / GT_JSON)["database"]) if (folder / GT_JSON).is_file() else None
        videos = []
        for i, name in enumerate(names):
            spans, labels = parts["segments"][i], parts["labels"][i]
            if len(spans) != len(labels):
                what = f"video '{name}' has {len(spans)} segments and {len(labels)} labels"
                raise DataError(folder / "segments.npy", what, "copy both files from the same project")
            video = ActionVideo(
                video_id=name,
                subset=_text(parts["subset"][i]),
                duration=float(np.ravel(parts["duration"][i])[0]),
                labels=tuple(_text(label) for label in parts["labels_all"][i]),
                segments=segments_of((*span, _text(c)) for span, c in zip(spans, labels, strict=True)),
                ambiguous=tuple(ambiguous.get(name, ())),
                in_gt_json=None if listed is None else name in listed,
            )
            videos.append(video)
    return checked(folder, "npy", classes, videos)


def read_ambiguous(path: str | Path) -> dict[str, list[tuple[float, float]]]:
    """``Ambiguous_test.txt``: lines ``name  start end``, however many blanks there are between them."""
    table: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            name, start, end = fields[0], *map(float, fields[1:])
            if not are_numbers([start, end]):
                raise ValueError("not finite")
        except ValueError as error:
            remedy = "write it as 'name  start end', in seconds"
            raise DataError(path, f"line {number} is {line[:60]!r}", remedy) from error
        table.setdefault(name, []).append((start, end))
    return table


def read_prompts(path: str | Path) -> dict[str, TaggedSentence]:
    """``p3_prompts.json``: the sentences of P3's training videos with the tokens and tags of its tagger."""
    return {
        entry["sentence"]: TaggedSentence(tuple(t.lower() for t in entry["tokens"]), tuple(entry["tags"]))
        for entry in checked_record(read_json(path), _PROMPTS, path)
    }


def class_text(name: str) -> str:
    """What P3 writes for a class.

    >>> class_text("CleanAndJerk"), class_text("Shotput"), class_text("Applying sunscreen")
    ('clean and jerk', 'shot put', 'applying sunscreen')
    """
    return "shot put" if name == "Shotput" else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def label_text(name: str) -> str:
    """The words that go into the text query of a class: as :func:`class_text`, but "clean jerk"."""
    return class_text(name).replace("clean and jerk", "clean jerk")


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
