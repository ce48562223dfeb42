"""Small folders in the layouts in which data sets of JSON lines and their features circulate.

File names, fields, array names and dtypes are those of the real ones; videos are a few clips long and features a few
columns wide.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SENTENCES = ("A man opens the door", "Someone walks the dog", "Two girls dance on a beach", "The person reads a book")


@dataclass(frozen=True)
class Layout:
    """What is written for a data set."""

    files: dict[str, int]  #: name of a file of annotations -> videos in it
    kinds: dict[str, int]  #: folder of clip features -> columns
    text: str  #: folder of token states
    clip_length: float
    record: Callable[[int, str, float, int], dict[str, Any]]  #: of (query number, video, duration, clips)
    text_name: str = "qid{}.npz"
    states: str = "last_hidden_state"


def moment(number: int, video: str, duration: float, clips: int) -> dict[str, Any]:
    """Charades-STA, Charades-CD, TACoS, ActivityNet Captions: one window."""
    start = duration * (0.1 + 0.1 * (number % 5))
    return {
        "qid": number,
        "query": SENTENCES[number % len(SENTENCES)],
        "duration": duration,
        "vid": video,
        "relevant_windows": [[round(start, 2), round(start + 0.3 * duration, 2)]],
    }


def tacos(number: int, video: str, duration: float, clips: int) -> dict[str, Any]:
    """Its query ids are texts."""
    return moment(number, video, duration, clips) | {"qid": f"s{number:02d}-d01_{number}"}


def highlight(number: int, video: str, duration: float, clips: int) -> dict[str, Any]:
    """QVHighlights: one or two windows of whole clips, and three annotators' scores of every relevant clip."""
    ids = [1, 2, 3] if number % 2 else [1, 2, 5]
    windows = [[2, 8]] if number % 2 else [[2, 6], [10, 12]]
    scores = [[(number + i + k) % 5 for k in range(3)] for i in ids]
    return moment(number, video, int(duration), clips) | {
        "relevant_windows": windows,
        "relevant_clip_ids": ids,
        "saliency_scores": scores,
    }


def _labels(values: Callable[[int, int], list[float]], domains: tuple[str, ...]) -> Callable[..., dict[str, Any]]:
    def record(number: int, video: str, duration: float, clips: int) -> dict[str, Any]:
        return {
            "qid": video,
            "query": SENTENCES[number % len(SENTENCES)],
            "duration": duration,
            "vid": video,
            "relevant_clip_ids": None,
            "relevant_windows": None,
            "label": [values(number, clip) for clip in range(clips)],
            "domain": domains[number % len(domains)],
        }

    return record


tvsum = _labels(lambda n, c: [float(1 + (n + c * (k + 1)) % 5) for k in range(20)], ("BK", "VU"))
youtube = _labels(lambda n, c: [int((n + c) % 3 == 0)], ("dog", "surfing"))

LAYOUTS = {
    "qvhighlights": Layout(
        {"highlight_train_release.jsonl": 6, "highlight_val_release.jsonl": 3, "highlight_test_with_gt.jsonl": 3},
        {"slowfast_features": 6, "clip_features": 4},
        "clip_text_features",
        2.0,
        highlight,
    ),
    "charades_sta": Layout(
        {"charades_train_release.jsonl": 8, "charades_test_release.jsonl": 3},
        {"slowfast": 6, "clip": 4},
        "clip_text",
        1.0,
        moment,
    ),
    "charades_cd": Layout(
        {"train.jsonl": 6, "val.jsonl": 3, "test_iid.jsonl": 3, "test_ood.jsonl": 3},
        {"i3d_features": 6},
        "clip_text_features",
        1.0,
        moment,
    ),
    "tacos": Layout(
        {"tacos_train_release.jsonl": 5, "tacos_val_release.jsonl": 2, "tacos_test_release.jsonl": 2},
        {"slowfast": 6, "clip": 4, "c3d": 5},
        "clip_text",
        2.0,
        tacos,
        "{}.npz",
    ),
    "activitynet_captions": Layout(
        {"activitynet_train_release.jsonl": 6, "activitynet_val_release.jsonl": 3},
        {"slowfast": 6, "clip": 4, "c3d": 5},
        "clip_text",
        2.0,
        moment,
    ),
    "tvsum": Layout(
        {"tvsum_train.jsonl": 6, "tvsum_val.jsonl": 2},
        {"video_features": 6},
        "query_features",
        2.0,
        tvsum,
        "{}.npz",
        "token",
    ),
    "youtube_highlights": Layout(
        {"youtube_highlight_train_release.jsonl": 6, "youtube_highlight_val_release.jsonl": 2},
        {"clip": 4, "slowfast": 6},
        "clip_text",
        1.0,
        youtube,
        "{}.npz",
    ),
}


def write_lines(folder: Path, name: str, per_video: int = 2) -> list[str]:
    """Annotations, clip features and token states of a data set; the options of ``vmlkit train`` that name them."""
    layout, rng = LAYOUTS[name], np.random.default_rng(0)
    features = folder / "features"
    (features / layout.text).mkdir(parents=True)
    labels = name in ("tvsum", "youtube_highlights")
    number = 0
    for file, videos in layout.files.items():
        rows = []
        for i in range(videos):
            video, clips = f"{file[:-6]}_{i}", 8 + i % 3
            write_clips(features, layout, video, clips, rng)
            for _ in range(1 if labels else per_video):
                rows.append(layout.record(number, video, clips * layout.clip_length, clips))
                write_tokens(features / layout.text / layout.text_name.format(rows[-1]["qid"]), layout.states, rng)
                number += 1
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--annotations", str(folder), "--features", str(features)]


def write_clips(features: Path, layout: Layout, video: str, clips: int, rng: np.random.Generator) -> None:
    """One file of each kind, one of them a clip longer, as the real ones are."""
    for extra, (kind, columns) in enumerate(layout.kinds.items()):
        (features / kind).mkdir(exist_ok=True)
        rows = rng.normal(size=(clips + extra, columns)).astype(np.float32)
        if kind == "video_features":
            np.save(features / kind / f"{video}_rgb.npy", rows)
            np.save(features / kind / f"{video}_opt.npy", rows)
        else:
            np.savez(features / kind / f"{video}.npz", features=rows)


def write_tokens(path: Path, name: str, rng: np.random.Generator) -> None:
    """Token states of a sentence of five to seven tokens."""
    states = rng.normal(size=(int(rng.integers(5, 8)), 8)).astype(np.float32)
    np.savez(path, **{name: states, "pooler_output": states[0]})
