"""A folder of annotations as sentences with spans and tags, and the choice of queries for each split."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vmlkit.data.annotations.charades import Backward, Beyond, MomentAnnotation, read_annotations
from vmlkit.data.left_out import Ledger
from vmlkit.data.published import published
from vmlkit.errors import DataError
from vmlkit.files import default_cache_dir, read_json, write_text
from vmlkit.files.records import TEXT, Fixed, Many, checked
from vmlkit.text.tagging import TaggedSentence, matches_sentence, read_tagged, tag_sentences, tagger_name

#: file names, without ``.gz``, of each layout in the order of preference
FILES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "charades": {"train": ("train.json", "charades_sta_train.txt"), "test": ("test.json", "charades_sta_test.txt")},
    "activitynet": {
        "train": ("train_data.json", "train.json"),
        "test": ("test_data.json", "test.json", "val_2.json", "val_1.json"),
    },
    # P0 reports on the validation file, whose labels are public
    "tvr": {"train": ("tvr_train_release.jsonl",), "test": ("tvr_val_release.jsonl",)},
}
#: the two validation files of ActivityNet Captions, by their authors and by CNM and CPL; papers report on val_2
TestSplit = Literal["val_1", "val_2"]
VALIDATION_FILES: Mapping[str, tuple[str, ...]] = {
    "val_1": ("val_1.json", "val_data.json"),
    "val_2": ("val_2.json", "test_data.json", "test.json"),
}
#: of the training videos, measured during training where none is set aside
MEASURED_SHARE = 0.1
TAGGED = ("tokens_pos.jsonl.gz", "tokens_pos.jsonl")
#: words and tags of each sentence, as the cache keeps them
_TAGS = Many(Fixed(TEXT, TEXT))
#: folders below ``$VMLKIT_DATA``
FOLDERS = {
    "charades": "charades_sta",
    "charades_cd": "charades_cd",
    "activitynet": "activitynet_captions",
    "tvr": "tvr",
    "thumos14": "thumos14",
    "activitynet1.3": "activitynet13",
}
VECTORS = dict.fromkeys(("charades", "charades_cd"), "glove_charades.npz") | {
    "activitynet": "glove_activitynet.npz",
    "tvr": "glove_tvr.npz",
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Records of an annotation file, the tagged words of each, and the query's name."""

    path: Path
    annotations: list[MomentAnnotation]
    sentences: list[TaggedSentence]
    names: list[str]


def chosen_rows(files: Mapping[str, Rows], picks: Mapping[str, Iterable[int]]) -> Rows:
    """The records at the positions ``picks`` of each file, one file after the other, named ``file/query``."""
    places = [(name, int(i)) for name, positions in picks.items() for i in positions]
    return Rows(
        path=files[next(iter(picks))].path,
        annotations=[files[name].annotations[i] for name, i in places],
        sentences=[files[name].sentences[i] for name, i in places],
        names=[f"{name}/{files[name].names[i]}" for name, i in places],
    )


def find_annotations(annotations: str | Path | None, corpus: str, at: str = "") -> Path:
    """The annotations of ``corpus`` as given, or their folder below the directory ``$VMLKIT_DATA``.

    Args:
        at: where they are published, unless :mod:`vmlkit.data.published` knows.

    Raises:
        DataError: if there is none.
    """
    root = os.environ.get("VMLKIT_DATA")
    path = Path(annotations) if annotations else Path(root) / FOLDERS.get(corpus, corpus) if root else None
    remedy = "give the folder with its annotations (--annotations PATH, or the parent in $VMLKIT_DATA)"
    remedy += f"; they are published at {at}" if at else published(corpus)
    if path is None:
        raise DataError(corpus, "no annotations were named", remedy)
    if not path.exists():
        raise DataError(path, "there is no such file or folder", remedy)
    return path


def find_folder(annotations: str | Path | None, corpus: str) -> Path:
    """The folder of :func:`find_annotations`; a file stands for its folder."""
    path = find_annotations(annotations, corpus)
    return path.parent if path.is_file() else path


def read_corpus(
    folder: Path,
    corpus: str,
    *,
    durations: str | None = None,
    test_split: TestSplit | None = None,
    beyond_duration: Beyond = "error",
    cache_dir: str | Path | None = None,
    progress: bool = False,
    ledger: Ledger | None = None,
) -> dict[str, Rows]:
    """Read the training and the test file of a folder, with tags from ``tokens_pos.jsonl.gz`` where it is there.

    Args:
        folder: see :func:`find_folder`.
        corpus: ``"charades"``, ``"activitynet"`` or ``"tvr"``.
        durations: a file of them, for the text layout; by default ``Charades_v1_SPLIT.csv`` in the folder.
        test_split: of ActivityNet Captions, see :data:`VALIDATION_FILES`.
        cache_dir: where freshly made tags are kept; the user's cache by default.
        ledger: the account of spans that were cut or left out; without one, a Python warning says so.

    Raises:
        DataError: for a missing file, a bad record, a video in both files, or tags that belong to other sentences.
    """
    stored = next((folder / name for name in TAGGED if (folder / name).is_file()), None)
    tagged = read_tagged(stored) if stored else None
    result = {}
    # four of the 37,421 training captions of ActivityNet end before they start; CNM's file of 37,417 lacks them
    backward: Backward = "skip" if corpus == "activitynet" else "error"
    paths = annotation_files(folder, corpus, test_split)
    if durations is not None and not any(".txt" in path.name for path in paths.values()):
        raise DataError(paths["train"], "holds durations itself", "leave 'durations' out")
    for split, path in paths.items():
        table = durations or durations_file(folder, split) if ".txt" in path.name else None
        rows = read_annotations(
            path, durations=table, beyond_duration=beyond_duration, backward=backward, ledger=ledger, split=split
        )
        if stored and tagged is not None:
            sentences = [_stored(stored, tagged, split, row) for row in rows]
        else:
            sentences = _fresh([row.sentence for row in rows], cache_dir, progress)
        result[split] = Rows(path=path, annotations=rows, sentences=sentences, names=[str(row.row) for row in rows])
    _check_disjoint(result["train"], result["test"])
    return result


def annotation_files(folder: Path, corpus: str, test_split: TestSplit | None = None) -> dict[str, Path]:
    """The training and the test file of a folder, each plain or ``.gz``.

    Raises:
        DataError: for one that is missing, saying its names and where it is published.
    """
    names: dict[str, tuple[str, ...]] = dict(FILES[corpus])
    if test_split is not None:
        names["test"] = VALIDATION_FILES[test_split]
    return {split: _find(folder, corpus, choices) for split, choices in names.items()}


def _find(folder: Path, corpus: str, names: Sequence[str]) -> Path:
    candidates = [folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        remedy = "give the folder with the annotation files"
        raise DataError(folder, f"holds none of {', '.join(names)}", remedy + published(corpus))
    return path


def durations_file(folder: Path, split: str) -> str | None:
    """The table of Charades that holds the durations which its text lacks, if it lies in the folder."""
    path = folder / f"Charades_v1_{split}.csv"
    return str(path) if path.is_file() else None


def _stored(
    path: Path, tagged: dict[tuple[str, int], TaggedSentence], split: str, row: MomentAnnotation
) -> TaggedSentence:
    sentence = tagged.get((split, row.row))
    if sentence is None or not matches_sentence(sentence, row.sentence):
        problem = "has no entry for" if sentence is None else "has the words of another sentence for"
        raise DataError(
            path, f"{problem} {split} record {row.row} ({row.sentence!r})", "remove the file to have sentences tagged"
        )
    return sentence


def _fresh(sentences: list[str], cache_dir: str | Path | None, progress: bool) -> list[TaggedSentence]:
    """Tag sentences, or read the tags of an earlier call with the same sentences and tagger."""
    key = hashlib.sha256(repr((tagger_name(), sentences)).encode()).hexdigest()[:16]
    path = (default_cache_dir() if cache_dir is None else Path(cache_dir)) / f"tags-{key}.json.gz"
    if path.is_file():
        try:
            stored = [
                [tuple(text.split("\t")) if text else () for text in pair]
                for pair in checked(read_json(path), _TAGS, path, remedy="delete it")
            ]
            found = [TaggedSentence(tokens, tags) for tokens, tags in stored]
            if len(found) == len(sentences) and all(len(s.tokens) == len(s.tags) for s in found):
                return found
        except DataError:
            pass
    # a damaged file, or one of other sentences, is written anew
    result = tag_sentences(sentences, progress=progress)
    # one text a sentence, not a list of words: read faster than lists of words
    write_text(path, json.dumps([("\t".join(s.tokens), "\t".join(s.tags)) for s in result]))
    return result


def _check_disjoint(train: Rows, test: Rows) -> None:
    both = {row.video_id for row in train.annotations} & {row.video_id for row in test.annotations}
    if both:
        raise DataError(
            test.path,
            f"video '{min(both)}' is also in {train.path.name} ({len(both)} such videos)",
            "give two files without a video in common",
        )


def held_videos(count: int, share: float, seed: int) -> np.ndarray:
    """Positions of a seeded share of ``count`` training videos, at least one of them and not all, in ascending order.

    Raises:
        DataError: for a single video, which cannot be on both sides.
    """
    if count < 2:
        raise DataError("training videos", "there is only one, and validation videos are set aside", "add a video")
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: min(max(1, round(share * count)), count - 1)])


def set_aside(video_ids: Sequence[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the queries to fit on and of those to choose an epoch by; no video is in both.

    With a share of 0, all are to fit on, and those of a tenth of the videos are measured besides.

    Raises:
        DataError: as :func:`held_videos`.
    """
    videos = sorted(set(video_ids))
    held = {videos[j] for j in held_videos(len(videos), share or MEASURED_SHARE, seed)}
    inside = np.array([video in held for video in video_ids])
    return np.flatnonzero(~inside) if share else np.arange(len(inside)), np.flatnonzero(inside)


def sample(positions: np.ndarray, most: int | None, *key: int) -> np.ndarray:
    """At most ``most`` of the positions, the first ones of a permutation seeded by ``key``, in ascending order."""
    if most is None or most >= len(positions):
        return positions
    return np.sort(np.random.default_rng(list(key)).permutation(positions)[:most])
