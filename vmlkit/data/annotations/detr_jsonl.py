"""Queries with their windows in the JSON-lines layout of Moment-DETR and its descendants.

One object a line: ``qid, query, duration, vid, relevant_windows`` (seconds), in QVHighlights also
``relevant_clip_ids`` and ``saliency_scores`` (three annotators, 0 to 4), in TVSum ``domain`` and ``label`` (one row of
annotator scores per clip) instead of windows; ``neg_query_ids`` is optional everywhere.  QVHighlights, Charades-STA,
Charades-CD, TACoS, ActivityNet-Captions and TVSum come in it.

Nothing is changed or left out unless asked, and :class:`QueryFile` counts whatever was found or done.
"""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vmlkit.data.annotations.json_lines import Qid, Record, read_lines
from vmlkit.data.annotations.layouts import CLIP_LABELS, MOMENT_DETR, explained
from vmlkit.data.left_out import Ledger
from vmlkit.errors import DataError

#: "queries": nothing but the sentences, as in a test file whose labels are held back
Kind = Literal["moments", "highlights", "labels", "queries"]
Outside = Literal["keep", "clip", "drop", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryAnnotation:
    """One query of one video, as the file has it."""

    qid: Qid  #: an integer in QVHighlights and Charades, a text in TACoS and TVSum
    query: str
    vid: str
    duration_s: float
    windows_s: tuple[tuple[float, float], ...]  #: (start, end) seconds, in file order; empty for TVSum
    relevant_clip_ids: tuple[int, ...] | None = None
    saliency_scores: tuple[tuple[float, ...], ...] | None = None  #: per relevant clip, one score per annotator
    clip_labels: tuple[tuple[float, ...], ...] | None = None  #: TVSum: per clip of the video, one score per annotator
    neg_query_ids: tuple[Qid, ...] = ()  #: queries that may serve as negatives; empty where the file names none
    domain: str | None = None
    line: int = 0  #: of the file, from 1


@dataclass(frozen=True)
class Profile:
    """What is known of a data set beside its files."""

    kind: Kind
    #: BM-DETR's loader leaves out queries with a window as long as the video, or longer (not for QVHighlights)
    drops_whole_video: bool = False


PROFILES = {
    "qvhighlights": Profile("highlights"),
    **dict.fromkeys(
        ("charades_sta", "charades_cd", "tacos", "activitynet"), Profile("moments", drops_whole_video=True)
    ),
    **dict.fromkeys(("tvsum", "youtube_highlights"), Profile("labels")),
}


@dataclass(frozen=True, kw_only=True)
class QueryFile:
    """The queries of a file, and what was found and left out on the way."""

    path: str
    kind: Kind
    queries: tuple[QueryAnnotation, ...]
    read: int  #: records in the file
    dropped: Mapping[str, tuple[Qid, ...]] = field(default_factory=dict)  #: reason -> queries left out
    noted: Mapping[str, int] = field(default_factory=dict)  #: peculiarity -> number of queries that show it

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def report(self) -> str:
        """How many records were read, kept, left out and remarkable, one line each."""
        lines = [f"{self.path}: {self.read} read, {len(self)} kept"]
        lines += [f"  left out: {len(qids)} ({reason})" for reason, qids in self.dropped.items()]
        return "\n".join(lines + [f"  noted: {count} ({what})" for what, count in self.noted.items()])

    def account(self, ledger: Ledger, split: str) -> None:
        """Write down what was left out, and what is remarkable about the rest."""
        for reason, qids in self.dropped.items():
            ledger.note(split, f"queries: {reason}", "are left out", len(qids), self.read, map(str, qids))
        for what, count in self.noted.items():
            ledger.note(split, f"queries: {what}", "", count, self.read)

    def without(self, reason: str, unwanted: Callable[[QueryAnnotation], bool]) -> "QueryFile":
        """The file without the queries for which ``unwanted`` holds; they are listed under ``reason``.

        Raises:
            DataError: if none is left.
        """
        gone = tuple(q.qid for q in self.queries if unwanted(q))
        if not gone:
            return self
        if len(gone) == len(self):
            raise DataError(self.path, f"every query would be left out ({reason})", "check the file and the settings")
        kept = tuple(q for q in self.queries if not unwanted(q))
        before = self.dropped.get(reason, ())
        return dataclasses.replace(self, queries=kept, dropped={**self.dropped, reason: before + gone})

    def noting(self, counts: Mapping[str, int]) -> "QueryFile":
        """The file with more peculiarities counted."""
        return dataclasses.replace(self, noted={**self.noted, **{k: v for k, v in counts.items() if v}})


def read_queries(
    path: str | Path,
    profile: str | None = None,
    *,
    outside: Outside = "keep",
    drop_whole_video: bool | None = None,
    unlabelled: bool = False,
    warn: bool = True,
) -> QueryFile:
    """Read and check a file of the layout, plain or ``.gz``.

    Args:
        path: the file.
        profile: a name in :data:`PROFILES`; decides which fields must be there.  None: the fields of the first line
            decide.
        outside: what to do with a window that ends after its video.  ``keep`` it as it is (the released loaders do, and
            1,652 of the 11,071 Charades-CD training windows end a little late); ``clip`` it to the duration, leaving
            out a query of which no window remains; ``drop`` the query; or raise an ``error``.
        drop_whole_video: leave out queries with a window as long as the video, or longer.  None: as the profile says
            (no, without one).
        unlabelled: also read a file of sentences alone, whose first line has neither windows nor labels.
        warn: say in a Python warning how many queries were left out.

    A warning says how many queries were left out or changed, if any; :attr:`QueryFile.report` says it in full.

    Raises:
        DataError: for a missing field or a value of the wrong kind (naming file, line and field), a window whose end
            is not after its start or that starts before 0, clip ids and scores that do not match, a qid that occurs
            twice, or a query id in ``neg_query_ids`` that is not in the file.
    """
    if profile is not None and profile not in PROFILES:
        raise DataError(path, f"there is no data set profile '{profile}'", f"use one of {', '.join(PROFILES)}")
    known = None if profile is None else PROFILES[profile]
    queries: list[QueryAnnotation] = []
    lines: dict[Qid, int] = {}
    kind: Kind | None = known.kind if known else None
    with explained(path, MOMENT_DETR, CLIP_LABELS):
        for line, fields in read_lines(path):
            record = Record(path, line, fields)
            if unlabelled and not queries and not {"relevant_windows", "label"} & fields.keys():
                kind = "queries"
            kind = kind or kind_of(fields)
            query = _annotation(record, kind)
            if query.qid in lines:
                raise record.error(
                    "qid", f"is {query.qid!r}, as in line {lines[query.qid]}", "give every query its own"
                )
            lines[query.qid] = line
            queries.append(query)
    assert kind is not None
    _check_negative_ids(path, queries, lines)
    file = QueryFile(path=str(path), kind=kind, queries=tuple(queries), read=len(queries))
    file = _windows_outside(file, outside)
    whole = drop_whole_video if drop_whole_video is not None else bool(known and known.drops_whole_video)
    if whole:
        file = file.without("a window as long as the video, or longer", _spans_the_video)
    if file.dropped and warn:
        gone = "; ".join(f"{reason}: {len(qids)}" for reason, qids in file.dropped.items())
        warnings.warn(f"{path}: queries left out: {gone}", UserWarning, stacklevel=2)
    return file


def kind_of(fields: Mapping[str, Any]) -> Kind:
    """Which of the three kinds a record is, by its fields."""
    if fields.get("label") is not None:
        return "labels"
    return "highlights" if fields.get("saliency_scores") is not None else "moments"


def annotation_from(fields: Mapping[str, Any]) -> QueryAnnotation:
    """One query from an object of the layout; errors as :func:`read_queries`."""
    return _annotation(Record("record", 1, fields), kind_of(fields))


def _annotation(record: Record, kind: Kind) -> QueryAnnotation:
    negatives = record.fields.get("neg_query_ids") or []
    if not isinstance(negatives, list):
        raise record.error("neg_query_ids", f"is {negatives!r}"[:80], "write a list of query ids")
    return QueryAnnotation(
        qid=record.qid(),
        query=record.text("query").strip(),
        vid=record.text("vid"),
        duration_s=record.seconds("duration"),
        windows_s=() if kind in ("labels", "queries") else _windows(record),
        relevant_clip_ids=_clip_ids(record) if kind == "highlights" else None,
        saliency_scores=_scores(record) if kind == "highlights" else None,
        clip_labels=tuple(map(tuple, record.rows("label"))) if kind == "labels" else None,
        neg_query_ids=tuple(record.as_qid("neg_query_ids", value) for value in negatives),
        domain=record.text("domain") if kind == "labels" else record.fields.get("domain"),
        line=record.line,
    )


def _windows(record: Record) -> tuple[tuple[float, float], ...]:
    windows = record.rows("relevant_windows", width=2)
    if not windows:
        raise record.error("relevant_windows", "is empty", "give at least one [start, end], or delete the line")
    for start, end in windows:
        if end <= start or start < 0:
            what = f"has the window [{start:g}, {end:g}]"
            raise record.error("relevant_windows", what, "write 0 <= start < end in seconds, or delete the window")
    return tuple((float(start), float(end)) for start, end in windows)


def _clip_ids(record: Record) -> tuple[int, ...]:
    ids = record.numbers("relevant_clip_ids")
    if any(not isinstance(i, int) or i < 0 for i in ids) or len(set(ids)) != len(ids):
        raise record.error("relevant_clip_ids", "holds a negative, a fraction or a repetition", "write each clip once")
    return tuple(int(i) for i in ids)


def _scores(record: Record) -> tuple[tuple[float, ...], ...]:
    scores, clips = record.rows("saliency_scores"), len(record.get("relevant_clip_ids"))
    if len(scores) != clips:
        what = f"has {len(scores)} entries for {clips} relevant clips"
        raise record.error("saliency_scores", what, "write one entry per relevant clip")
    return tuple(map(tuple, scores))


def _check_negative_ids(path: str | Path, queries: Sequence[QueryAnnotation], lines: Mapping[Qid, int]) -> None:
    for query in queries:
        for qid in query.neg_query_ids:
            if qid not in lines or qid == query.qid:
                fault = "the query itself" if qid == query.qid else f"{qid!r}, which is no qid of the file"
                raise Record(path, query.line, {}).error("neg_query_ids", f"names {fault}", "correct the list")


def _spans_the_video(query: QueryAnnotation) -> bool:
    return any(end - start >= query.duration_s for start, end in query.windows_s)


def _windows_outside(file: QueryFile, outside: Outside) -> QueryFile:
    late = {q.qid for q in file.queries if any(end > q.duration_s for _, end in q.windows_s)}
    if not late:
        return file
    if outside == "error":
        query = next(q for q in file.queries if q.qid in late)
        end = max(end for _, end in query.windows_s)
        what = f"has a window that ends at {end:g} s in a video of {query.duration_s:g} s"
        raise Record(file.path, query.line, {}).error(
            "relevant_windows", what, "correct it, or set outside to 'keep', 'clip' or 'drop'"
        )
    beyond = {q.qid for q in file.queries if q.windows_s and all(start >= q.duration_s for start, _ in q.windows_s)}
    if outside == "drop":
        return file.without("a window ends after the video", lambda q: q.qid in late)
    counts = Counter({"a window ends after the video: kept as it is": len(late)})
    if outside == "keep":
        counts["every window starts after the end of the video: kept as it is"] = len(beyond)
        return file.noting(counts)
    file = file.without("every window starts after the end of the video", lambda q: q.qid in beyond)
    queries = tuple(
        dataclasses.replace(q, windows_s=tuple((s, min(e, q.duration_s)) for s, e in q.windows_s if s < q.duration_s))
        for q in file.queries
    )
    cut = {"a window ends after the video: cut at its end": len(late - beyond)}
    return dataclasses.replace(file, queries=queries).noting(cut)
