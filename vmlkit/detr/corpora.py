"""The data sets that circulate as JSON lines: names of files and feature folders, and where they are published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vmlkit.data.corpus import find_annotations
from vmlkit.errors import DataError

#: what is scored, and by which published protocol (:mod:`vmlkit.metrics.protocols`)
Protocol = Literal["qvhighlights", "charades", "charades_cd", "tvsum", "youtube"]

_MOMENT_DETR = "github.com/jayleicn/moment_detr"
_BM_DETR = "github.com/minjoong507/BM-DETR"
_LIGHTHOUSE = "github.com/line/lighthouse"
_QD_DETR = "github.com/wjun0830/QD-DETR"

#: names under which a folder of one kind of features circulates, beside the kind itself
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "slowfast": ("slowfast_features", "vid_slowfast"),
    "clip": ("clip_features", "vid_clip"),
    "c3d": ("c3d_features",),
    "i3d": ("i3d_features", "video_features"),
    "vgg": ("vgg_features",),
    "resnet": ("resnet_features",),
}
#: names of a folder of token states
TEXT_FOLDERS = ("clip_text", "clip_text_features", "txt_clip", "query_features")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What is known of a data set beside the settings of a run."""

    folder: str  #: below ``$VMLKIT_DATA``
    profile: str  #: in :data:`vmlkit.data.annotations.detr_jsonl.PROFILES`
    protocol: Protocol
    #: part of the data -> names of its file in the order of preference, without ``.gz``
    files: Mapping[str, tuple[str, ...]]
    annotations_at: str  #: where the annotation files are published
    features_at: str  #: where the features are
    vectors: str = "glove.npz"  #: word vectors beside the annotations, for runs without token states


def _three(stem: str, train: str = "train.jsonl") -> dict[str, tuple[str, ...]]:
    """Training, validation and test file of lighthouse, and of BM-DETR."""
    return {
        "train": (f"{stem}_train_release.jsonl", train),
        "validation": (f"{stem}_val_release.jsonl", "val.jsonl"),
        "test": (f"{stem}_test_release.jsonl", "test.jsonl"),
    }


CORPORA: Mapping[str, Corpus] = {
    "qvhighlights": Corpus(
        folder="qvhighlights",
        profile="qvhighlights",
        protocol="qvhighlights",
        files={
            "train": ("highlight_train_release.jsonl", "train.jsonl"),
            "validation": ("highlight_val_release.jsonl", "val.jsonl"),
            # the second has no labels: they were held back until 2026
            "test": ("highlight_test_with_gt.jsonl", "highlight_test_release.jsonl", "test_public.jsonl"),
        },
        annotations_at=f"{_MOMENT_DETR} (folder data)",
        features_at=f"{_MOMENT_DETR} (moment_detr_features.tar.gz)",
    ),
    "charades_sta": Corpus(
        folder="charades_sta_detr",
        profile="charades_sta",
        protocol="charades",
        files={
            "train": ("charades_train_release.jsonl", "charades_sta_train_tvr_format.jsonl", "train.jsonl"),
            "test": ("charades_test_release.jsonl", "charades_sta_test_tvr_format.jsonl", "test.jsonl"),
        },
        annotations_at=f"{_BM_DETR} (folder data/charades)",
        features_at=f"{_LIGHTHOUSE} (Charades-STA)",
        vectors="glove_charades.npz",
    ),
    "charades_cd": Corpus(
        folder="charades_cd",
        profile="charades_cd",
        protocol="charades_cd",
        files={
            "train": ("train.jsonl",),
            "validation": ("val.jsonl",),
            "test_iid": ("test_iid.jsonl",),
            "test_ood": ("test_ood.jsonl",),
        },
        annotations_at=f"{_BM_DETR} (folder data/charades-CD)",
        features_at=f"{_BM_DETR} (folder features)",
        vectors="glove_charades.npz",
    ),
    "tacos": Corpus(
        folder="tacos",
        profile="tacos",
        protocol="charades",
        files=_three("tacos"),
        annotations_at=f"{_LIGHTHOUSE} (folder data/tacos)",
        features_at=f"{_LIGHTHOUSE} (TACoS)",
    ),
    # its two validation files share their videos, so neither chooses an epoch for the other
    "activitynet_captions": Corpus(
        folder="activitynet_detr",
        profile="activitynet",
        protocol="charades",
        files={
            "train": ("activitynet_train_release.jsonl", "train.jsonl"),
            "test": ("activitynet_val_release.jsonl", "val_2.jsonl", "val_1.jsonl"),
        },
        annotations_at=f"{_LIGHTHOUSE} (folder data/activitynet)",
        features_at=f"{_LIGHTHOUSE} (ActivityNet Captions)",
        vectors="glove_activitynet.npz",
    ),
    "tvsum": Corpus(
        folder="tvsum",
        profile="tvsum",
        protocol="tvsum",
        files={
            "train": ("tvsum_train_release.jsonl", "tvsum_train.jsonl"),
            "test": ("tvsum_val_release.jsonl", "tvsum_val.jsonl"),
        },
        annotations_at=f"{_QD_DETR} (folder data/tvsum)",
        features_at=f"{_QD_DETR} (TVSum)",
    ),
    "youtube_highlights": Corpus(
        folder="youtube_highlights",
        profile="youtube_highlights",
        protocol="youtube",
        files={
            "train": ("youtube_highlight_train_release.jsonl", "youtube_train.jsonl"),
            "test": ("youtube_highlight_val_release.jsonl", "youtube_valid.jsonl"),
        },
        annotations_at=f"{_LIGHTHOUSE} (folder data/youtube_highlight)",
        features_at=f"{_LIGHTHOUSE} (YouTube Highlight)",
    ),
}


@dataclass(frozen=True)
class Found:
    """A folder of annotations with the file of each part."""

    folder: Path
    files: Mapping[str, Path] = field(default_factory=dict)


def find_files(name: str, annotations: str | None, test_file: str | None = None) -> Found:
    """The files of a data set.

    Args:
        name: in :data:`CORPORA`.
        annotations: the folder, or one of the files; ``None`` looks below ``$VMLKIT_DATA``.
        test_file: another file of the folder as the test split.

    Raises:
        DataError: for a file that is not there, naming where it is published.
    """
    corpus = CORPORA[name]
    path = find_annotations(annotations, corpus.folder, corpus.annotations_at)
    folder = path.parent if path.is_file() else path
    parts = dict(corpus.files)
    if test_file is not None:
        parts = {part: names for part, names in parts.items() if not part.startswith("test")} | {"test": (test_file,)}
    return Found(folder, {part: _file(folder, names, corpus) for part, names in parts.items()})


def _file(folder: Path, names: Sequence[str], corpus: Corpus) -> Path:
    candidates = [folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        what = f"there is no {' or '.join(names)}"
        raise DataError(folder, what, f"take it from {corpus.annotations_at}")
    return found
