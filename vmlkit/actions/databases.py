"""Databases of annotated videos as JSON: ``{"database": {video: {subset, duration, annotations}}}`` and its relatives.

* ``activity_net.v1-3.min.json``, and THUMOS14 as ActionFormer and OpenTAD have it; with or without ``"database"``;
* ``gt.json`` of BaS-Net and HAM-Net, with a ``"class-list"``;
* a file per split, ``anet_anno_train.json`` and ``anet_anno_val.json`` of mmaction2, with ``duration_second``.

Each calls its subsets differently: :attr:`vmlkit.actions.videos.ActionAnnotations.subsets` says which is trained on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmlkit import files
from vmlkit.actions.videos import ActionAnnotations, ActionVideo, Segment, check_video
from vmlkit.errors import DataError
from vmlkit.files.records import ANY, NULL, TEXT, WRITTEN, Either, Entry, Fixed, Many, Table
from vmlkit.files.records import checked as checked_record

#: the class of regions that nobody scores (OpenTAD passes over them, P3 and CO2-Net drop detections there)
AMBIGUOUS_LABEL = "Ambiguous"
#: files of mmaction2 and the subset that each is
PER_SPLIT = {"anet_anno_train.json": "training", "anet_anno_val.json": "validation", "anet_anno_test.json": "testing"}


_VIDEO = Entry(
    {},
    {
        "subset": TEXT,
        "duration": Either(NULL, WRITTEN),
        "duration_second": Either(NULL, WRITTEN),
        "annotations": Many(Entry({"segment": Fixed(WRITTEN, WRITTEN), "label": TEXT})),
    },
)


def read_database(path: str | Path, content: Any = None) -> ActionAnnotations:
    """One file with the subset of every video.

    Bounds may be numbers or strings.  Video-level labels are the classes of the segments, in order of appearance;
    videos without annotations (ActivityNet's test subset) have none.  Classes are those of a ``class-list``, or sorted
    by name.  Segments of the class "Ambiguous" become ambiguous regions.

    Args:
        path: the file.
        content: what it holds, where that is known.

    Raises:
        DataError: for a record that lacks a field, or a file without subsets.
    """
    content = checked_record(read_json(path) if content is None else content, Table(ANY), path)
    with usable(path):
        entries: Mapping[str, Mapping[str, Any]] = checked_record(
            content.get("database", content), Table(Entry({})), path, "database"
        )
        listed = content.get("class-list")
        checked_record(listed, Either(NULL, Table(TEXT)), path, "class-list")
        without = next((name for name, entry in entries.items() if "subset" not in entry), None)
        if without is not None:
            remedy = f"write one, or give the folder of {' and '.join(list(PER_SPLIT)[:2])}"
            raise DataError(path, f"video '{without}' has no subset", remedy)
        checked_record(entries, Table(_VIDEO), path)
        return _annotations(path, {name: (str(e["subset"]), e) for name, e in entries.items()}, listed)


def read_per_split(folder: str | Path) -> ActionAnnotations:
    """A folder with a file per split, see :data:`PER_SPLIT`; raises :class:`DataError` for a record without a field."""
    entries: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for path in split_files(Path(folder)):
        content = checked_record(read_json(path), Table(_VIDEO), path)
        entries |= {name: (PER_SPLIT[path.name], entry) for name, entry in content.items()}
    with usable(folder):
        return _annotations(folder, entries, None)


def split_files(folder: Path) -> list[Path]:
    """The files of mmaction2 in a folder."""
    return [folder / name for name in PER_SPLIT if (folder / name).is_file()]


def is_database(content: Any) -> bool:
    """Whether JSON content is ``{video: {annotations, ...}}``, or has it under ``"database"``."""
    entries = content.get("database", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries:
        return False
    return all(isinstance(entry, dict) and ("annotations" in entry or "subset" in entry) for entry in entries.values())


def _annotations(
    path: str | Path, entries: Mapping[str, tuple[str, Mapping[str, Any]]], listed: Mapping[str, str] | None
) -> ActionAnnotations:
    videos = []
    for name, (subset, entry) in entries.items():
        rows = segments_of((*a["segment"], a["label"]) for a in entry.get("annotations", ()))
        segments = tuple(row for row in rows if row[2] != AMBIGUOUS_LABEL)
        duration = entry.get("duration", entry.get("duration_second"))
        videos.append(
            ActionVideo(
                video_id=name,
                subset=subset.lower(),
                duration=None if duration is None else float(duration),
                labels=tuple(dict.fromkeys(label for _, _, label in segments)),
                segments=segments,
                ambiguous=tuple((a, b) for a, b, label in rows if label == AMBIGUOUS_LABEL),
                in_gt_json=True if listed is not None else None,
            )
        )
    found = {label for video in videos for label in video.labels}
    classes = tuple(sorted(found)) if listed is None else tuple(listed[str(i)] for i in range(len(listed)))
    return checked(path, "gt.json" if listed is not None else "database", classes, videos)


@contextmanager
def usable(path: str | Path) -> Iterator[None]:
    """Say of a record that lacks a field, or has a wrong one, where it is."""
    try:
        yield
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(path, f"a record cannot be used ({error})", "write it like the released file") from error


def segments_of(rows: Iterable[Sequence[Any]]) -> tuple[Segment, ...]:
    """Records ``start, end, class`` as segments."""
    return tuple((float(start), float(end), str(label)) for start, end, label in rows)


def checked(
    path: str | Path, layout: str, classes: tuple[str, ...], videos: Sequence[ActionVideo]
) -> ActionAnnotations:
    """The annotations, each video checked by :func:`vmlkit.actions.videos.check_video`."""
    known = frozenset(classes)
    usable_videos = tuple(check_video(path, video, known) for video in videos)
    return ActionAnnotations(path=Path(path), layout=layout, classes=classes, videos=usable_videos)


def read_json(path: str | Path) -> Any:
    """A JSON file, or a sentence about why it is none."""
    return files.read_json(path, remedy="download it again")
