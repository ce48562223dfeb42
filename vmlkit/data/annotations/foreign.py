"""Readers of the layouts of other projects: each yields plain rows, one per sentence.

A reader takes the JSON value of a file, or the objects of its lines, and knows nothing of files; the list of layouts
with their tests is :data:`vmlkit.data.annotations.layouts.ANNOTATIONS`.  Times of the rows are seconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: length of a segment of DiDeMo
DIDEMO_SEGMENT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A sentence of a video with the windows it is about."""

    video_id: str
    duration: float  #: seconds
    windows: tuple[tuple[float, float], ...]  #: (start, end), seconds
    sentence: str
    qid: int | str | None = None  #: where the file has one


Reader = Callable[[Any], Iterator[Row]]


def _window(pair: Any, scale: float = 1.0) -> tuple[float, float]:
    start, end = pair
    return float(start) * scale, float(end) * scale


def cnm_list(records: Any) -> Iterator[Row]:
    """``[video, duration, [start, end], sentence]`` of CNM, CPL and PPS."""
    for video, duration, span, sentence in records:
        yield Row(video_id=str(video), duration=float(duration), windows=(_window(span),), sentence=sentence)


def activitynet_captions(videos: Mapping[str, Any]) -> Iterator[Row]:
    """``{video: {duration, timestamps, sentences}}`` of ActivityNet Captions, 2D-TAN and VSLNet."""
    for video, item in videos.items():
        for span, sentence in zip(item["timestamps"], item["sentences"], strict=True):
            yield Row(video_id=video, duration=float(item["duration"]), windows=(_window(span),), sentence=sentence)


def tacos_frames(videos: Mapping[str, Any]) -> Iterator[Row]:
    """``{video: {fps, num_frames, timestamps, sentences}}`` of 2D-TAN and VSLNet, whose times are frames."""
    for video, item in videos.items():
        second = 1 / float(item["fps"])
        duration = float(item["num_frames"]) * second
        for span, sentence in zip(item["timestamps"], item["sentences"], strict=True):
            windows = (_window(span, second),)
            yield Row(video_id=video.removesuffix(".avi"), duration=duration, windows=windows, sentence=sentence)


def lgi_queries(queries: Mapping[str, Any]) -> Iterator[Row]:
    """``{query: {video_id, duration, timestamps, query, tokens}}``, what LGI makes of the text of Charades-STA."""
    for qid, item in queries.items():
        yield Row(
            video_id=item["video_id"], duration=float(item["duration"]), windows=(_window(item["timestamps"]),),
            sentence=item["query"], qid=qid,
        )  # fmt: skip


def timelens(videos: Mapping[str, Any]) -> Iterator[Row]:
    """``{video: {duration, spans, queries}}`` of TimeLens; a query may have several spans."""
    for video, item in videos.items():
        for spans, query in zip(item["spans"], item["queries"], strict=True):
            pairs = spans if isinstance(spans[0], list) else [spans]
            windows = tuple(_window(pair) for pair in pairs)
            yield Row(video_id=video, duration=float(item["duration"]), windows=windows, sentence=query)


def didemo(records: Any) -> Iterator[Row]:
    """DiDeMo: segments of five seconds, of which the pair that most annotators chose is taken."""
    for item in records:
        (first, last), _ = Counter(tuple(pair) for pair in item["times"]).most_common(1)[0]
        end = (last + 1) * DIDEMO_SEGMENT_S
        yield Row(
            video_id=item["video"].rsplit(".", 1)[0],
            duration=max(item.get("num_segments", 6) * DIDEMO_SEGMENT_S, end),
            windows=((first * DIDEMO_SEGMENT_S, end),),
            sentence=item["description"],
            qid=item.get("annotation_id"),
        )


def tvr(records: Any) -> Iterator[Row]:
    """TV show Retrieval: ``{desc_id, desc, vid_name, duration, ts}`` a line."""
    for item in records:
        yield Row(
            video_id=item["vid_name"], duration=float(item["duration"]), windows=(_window(item["ts"]),),
            sentence=item["desc"], qid=item["desc_id"],
        )  # fmt: skip


def ego4d_nlq(content: Mapping[str, Any]) -> Iterator[Row]:
    """Natural language queries of Ego4D: the videos are the clips, and times count from the start of a clip."""
    for video in content["videos"]:
        for clip in video["clips"]:
            duration = float(clip["video_end_sec"]) - float(clip["video_start_sec"])
            for annotation in clip["annotations"]:
                for number, query in enumerate(annotation["language_queries"]):
                    if not query.get("query"):
                        continue  # some of the released queries have no text
                    yield Row(
                        video_id=clip["clip_uid"],
                        duration=duration,
                        windows=(_window((query["clip_start_sec"], query["clip_end_sec"])),),
                        sentence=query["query"],
                        qid=f"{annotation.get('annotation_uid', clip['clip_uid'])}_{number}",
                    )


def youcook2(content: Mapping[str, Any]) -> Iterator[Row]:
    """YouCook2: ``{database: {video: {duration, annotations: [{segment, sentence}]}}}``."""
    for video, item in content["database"].items():
        for part in item["annotations"]:
            windows = (_window(part["segment"]),)
            yield Row(video_id=video, duration=float(item["duration"]), windows=windows, sentence=part["sentence"])


def moment_detr(records: Any) -> Iterator[Row]:
    """``{qid, query, vid, duration, relevant_windows}`` a line, of Moment-DETR."""
    for item in records:
        yield Row(
            video_id=item["vid"], duration=float(item["duration"]), sentence=item["query"], qid=item["qid"],
            windows=tuple(_window(pair) for pair in item["relevant_windows"]),
        )  # fmt: skip
