"""The layouts in which annotations circulate, told by their shape: those with a reader, and what to do about others.

Every reader of annotations asks this list when it meets a file that is not in its own layout (:func:`explained`);
``vmlkit data check`` prints what it says, and ``vmlkit data convert`` writes what has a reader in the layout of CNM or
of Moment-DETR.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vmlkit.data.annotations import foreign
from vmlkit.data.annotations.foreign import Row
from vmlkit.data.layouts import Layout, recognise
from vmlkit.errors import DataError
from vmlkit.files import open_file, parse_json, parse_lines, read_text
from vmlkit.files.records import shown

_CONVERT = "convert it: vmlkit data convert {path} --out FILE.jsonl (for sources of the DETR family) or FILE.json"
CNM, MOMENT_DETR, CHARADES_TEXT = (
    "the JSON list of CNM, CPL and PPS",
    "JSON lines of Moment-DETR",
    "Charades-STA's text",
)
CLIP_LABELS = "clip labels of TVSum or YouTube Highlights in JSON lines"
PREDICTIONS, ACTIONS = "predictions, not annotations", "a database of actions (THUMOS14, ActivityNet 1.3)"
ACTIVITYNET = "ActivityNet Captions by video, as its authors, 2D-TAN, VSLNet and LGI have it"


@dataclass(frozen=True)
class AnnotationShape:
    """What an annotation file looks like: its JSON value, or the objects of its lines, or its first lines of text."""

    path: Path
    head: bytes = b""

    @classmethod
    def of(cls, path: Path) -> "AnnotationShape":
        """The shape of a file.

        Raises:
            DataError: for a file that is not there.
        """
        with open_file(path) as file:
            return cls(path, file.read(512))

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return read_text(self.path) if self.head[:1] != b"\x80" else ""

    @cached_property
    def value(self) -> Any:
        """The JSON value of the file; None where it is not one value."""
        try:
            return parse_json(self.text, self.path)
        except DataError:
            return None

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def objects(self) -> list[Any]:
        """The objects of JSON lines; none for a file of another kind."""
        if isinstance(self.value, dict) and len(self.lines) == 1:
            return [self.value]
        if self.value is not None or not self.text.lstrip().startswith("{"):
            return []
        try:
            return [record for _, record in parse_lines(self.text, self.path)]
        except DataError:
            return []

    @cached_property
    def first(self) -> Any:
        """The first record: of a list, of the lines, or the first value of an object."""
        if self.objects and not (isinstance(self.value, dict) and len(self.objects) == 1 and self._nested):
            return self.objects[0]
        records = list(self.value.values()) if isinstance(self.value, dict) else self.value
        return records[0] if isinstance(records, list) and records else None

    @cached_property
    def _nested(self) -> bool:
        return all(isinstance(item, (dict, list)) for item in self.value.values())

    def has(self, *names: str) -> bool:
        """Whether the first record is an object with these fields."""
        return isinstance(self.first, Mapping) and self.first.keys() >= set(names)

    def keys(self, *names: str) -> bool:
        """Whether the file is one object with these fields."""
        return isinstance(self.value, dict) and self.value.keys() >= set(names)


def _is_cnm(shape: AnnotationShape) -> bool:
    first = shape.first
    return isinstance(shape.value, list) and isinstance(first, list) and len(first) == 4 and isinstance(first[2], list)


def _by_video(*names: str) -> Any:
    return lambda shape: isinstance(shape.value, dict) and shape.has(*names)


def _in_list(*names: str) -> Any:
    return lambda shape: (isinstance(shape.value, list) or bool(shape.objects)) and shape.has(*names)


def _records(shape: AnnotationShape) -> Any:
    return shape.value if isinstance(shape.value, list) else shape.objects


def _sentences_in_database(shape: AnnotationShape) -> bool:
    if not shape.keys("database") or not isinstance(shape.value["database"], dict):
        return False
    return any("sentence" in part for v in shape.value["database"].values() for part in v.get("annotations", ()))


#: in the order in which they are tried
ANNOTATIONS: tuple[Layout[AnnotationShape], ...] = (
    Layout(
        name="a pickle, which runs code when it is opened",
        test=lambda s: s.head[:1] == b"\x80",
        remedy="where you trust the file, load it in Python yourself and write its records as JSON",
    ),
    Layout(
        name="a pointer of Git LFS instead of the file",
        test=lambda s: s.head.startswith(b"version https://git-lfs"),
        remedy="fetch the file itself: git lfs pull",
    ),
    Layout(
        name="a web page instead of the file",
        test=lambda s: s.head.lstrip()[:9].lower() in (b"<!doctype", b"<html>") or s.head.lstrip()[:5] == b"<html",
        remedy="download the file itself, such as by the link called 'raw'",
    ),
    Layout(name=CNM, test=_is_cnm, read=lambda s: foreign.cnm_list(s.value)),
    Layout(
        name=PREDICTIONS,
        test=lambda s: _in_list("qid")(s) and bool({"pred_relevant_windows", "pred_saliency_scores"} & s.first.keys()),
        remedy="score it: vmlkit evaluate {path} --ground-truth ANNOTATIONS",
    ),
    Layout(
        name=CLIP_LABELS,
        test=lambda s: _in_list("qid", "label", "vid")(s) and s.first["label"] is not None,
        remedy="take it as the ground truth of vmlkit evaluate; it has no moments to train on",
    ),
    Layout(
        name=MOMENT_DETR,
        test=_in_list("qid", "query", "vid", "relevant_windows"),
        read=lambda s: foreign.moment_detr(_records(s)),
    ),
    Layout(name="TV show Retrieval", test=_in_list("desc", "vid_name", "ts"), read=lambda s: foreign.tvr(_records(s))),
    Layout(
        name="DiDeMo, in segments of five seconds",
        test=_in_list("description", "video", "times"),
        read=lambda s: foreign.didemo(_records(s)),
    ),
    Layout(
        name="natural language queries of Ego4D",
        test=lambda s: s.keys("videos") and bool(s.value["videos"]) and "clips" in s.value["videos"][0],
        read=lambda s: foreign.ego4d_nlq(s.value),
    ),
    Layout(
        name="captions of MSR-VTT, which are about whole videos",
        test=lambda s: s.keys("videos", "sentences"),
        remedy="it has no moments; retrieval is trained on MSVD",
    ),
    Layout(
        name="the test list of MSR-VTT, whose captions are about whole videos",
        test=lambda s: bool(s.lines) and s.lines[0].strip().startswith("key,vid_key,video_id,sentence"),
        remedy="it has no moments; retrieval is trained on MSVD",
    ),
    Layout(name="YouCook2", test=_sentences_in_database, read=lambda s: foreign.youcook2(s.value)),
    Layout(
        name=ACTIONS,
        test=lambda s: s.keys("database") or (s.keys("classes", "videos")) or _by_video("subset", "annotations")(s),
        remedy="it belongs to action methods: --data thumos14 or --data activitynet1.3",
    ),
    Layout(
        name="detections in the layout of the ActivityNet challenge",
        test=lambda s: s.keys("results", "version") or s.keys("results", "external_data"),
        remedy="it holds answers; give the annotations",
    ),
    Layout(
        name="TACoS of 2D-TAN and VSLNet, whose times are frames",
        test=_by_video("timestamps", "sentences", "fps", "num_frames"),
        read=lambda s: foreign.tacos_frames(s.value),
    ),
    Layout(
        name=ACTIVITYNET,
        test=_by_video("duration", "timestamps", "sentences"),
        read=lambda s: foreign.activitynet_captions(s.value),
    ),
    Layout(
        name="queries of LGI",
        test=_by_video("video_id", "duration", "timestamps", "query"),
        read=lambda s: foreign.lgi_queries(s.value),
    ),
    Layout(
        name="the vocabulary that LGI makes",
        test=lambda s: s.keys("wtoi", "itow"),
        remedy="give what it was made from: charades_sta_train.txt with Charades_v1_train.csv beside it",
    ),
    Layout(
        name="TimeLens (videos with duration, spans and queries)",
        test=_by_video("duration", "spans", "queries"),
        read=lambda s: foreign.timelens(s.value),
    ),
    Layout(
        name="durations of videos, without sentences",
        test=lambda s: _by_video("duration")(s) or _numbers(s) or (bool(s.lines) and s.lines[0].startswith("id,")),
        remedy="name it beside the text of Charades-STA: --set data.durations={path}",
    ),
    Layout(
        name=CHARADES_TEXT + ", which holds no durations",
        test=lambda s: bool(s.lines) and "##" in s.lines[0] and len(s.lines[0].partition("##")[0].split()) == 3,
        remedy="name it charades_sta_train.txt or charades_sta_test.txt, with Charades_v1_train.csv beside it",
    ),
)


def _numbers(shape: AnnotationShape) -> bool:
    found = shape.value
    return (
        isinstance(found, dict)
        and bool(found)
        and "qid" not in found
        and all(isinstance(value, (int, float)) for value in found.values())
    )


def layout_of(path: str | Path) -> tuple[Layout[AnnotationShape] | None, AnnotationShape]:
    """The layout of an annotation file, and what was looked at.

    Raises:
        DataError: for a file that is missing or is no text.
    """
    shape = AnnotationShape.of(Path(path))
    return recognise(ANNOTATIONS, shape), shape


def rows_of(path: str | Path, *, faulty: bool = False) -> list[Row]:
    """The rows of a file in any layout that has a reader.

    Args:
        faulty: also rows with an empty sentence or without a length, for who reports them.

    Raises:
        DataError: for an unknown layout, one without a reader (naming the conversion), or a record that does not fit.
    """
    return rows_in(*layout_of(path), faulty=faulty)


def rows_in(layout: Layout[AnnotationShape] | None, shape: AnnotationShape, *, faulty: bool = False) -> list[Row]:
    """The rows of a file that :func:`layout_of` has looked at; arguments and errors as :func:`rows_of`."""
    path = shape.path
    if layout is None or layout.read is None:
        raise _refusal(path, layout)
    rows: list[Row] = []
    try:
        for row in layout.read(shape):
            rows.append(_usable(row, faulty))
    except (OverflowError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        after = f"after {len(rows)} sentences, the last of {rows[-1].video_id}" if rows else "in the first record"
        what = f"does not fit the layout '{layout.name}' {after} ({type(error).__name__}: {error})"
        raise DataError(path, what, "correct or delete that record") from error
    if not rows:
        raise DataError(path, f"holds no sentence ({layout.name})", "check that the file is complete")
    return rows


def _usable(row: Row, faulty: bool) -> Row:
    """The row, if it says what a reader relies on; that a window ends before it starts is looked at by who needs it."""
    if not isinstance(row.video_id, str) or not row.video_id:
        raise ValueError(f"the video is {shown(row.video_id)}")
    if not isinstance(row.sentence, str) or not (faulty or row.sentence.strip()):
        raise ValueError(f"the sentence is {shown(row.sentence)}")
    if not row.windows or not all(math.isfinite(time) for window in row.windows for time in window):
        raise ValueError("a time is not a finite number")
    if not math.isfinite(row.duration) or not (faulty or row.duration > 0):
        raise ValueError(f"the duration is {row.duration}")
    return row


def _refusal(path: str | Path, layout: Layout[AnnotationShape] | None) -> DataError:
    if layout is None:
        known = ", ".join(each.name for each in ANNOTATIONS if each.read)
        return DataError(path, "is of no known layout of annotations", f"give one of these: {known}")
    return DataError(path, f"is {layout.name}", (layout.remedy or _CONVERT).format(path=path))


@contextmanager
def explained(path: str | Path, *own: str) -> Iterator[None]:
    """Inside the block, an error about a file of another layout names that layout and the conversion instead.

    Args:
        path: the file that is read.
        own: the names of the layouts that the block reads; their errors pass as they are.
    """
    try:
        yield
    except DataError as error:
        if error.where != str(path) or not Path(path).is_file():
            raise
        try:
            layout, _ = layout_of(path)
        except DataError:
            raise error from None
        if layout is None or layout.name in own:
            raise
        raise _refusal(path, layout) from error
