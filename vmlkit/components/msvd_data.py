"""MSVD as a source of captions and videos: CLIP's frames and token states from files, variants of the captions.

Captions and lists are read by :mod:`vmlkit.components.msvd`.  Frames are rows of a file or folder of features, one a
second; token states come from a local encoder or from files (:mod:`vmlkit.text.sentence_features`), of captions under
``VIDEO_NUMBER`` (numbers from 0, in the order of the captions) and of their variants under ``VIDEO_NUMBER.COMPONENT``.

    # PAPER: (silent) / CODE: frames beyond the video are grey pictures, and padded tokens have states -> no switch,
    # because files hold states of real frames and tokens; padding is zero and masked
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float, Int

from vmlkit.components.dataset import ComponentDataset, RetrievalDataset, attach_states, variants_of_split
from vmlkit.components.msvd import PUBLISHED, Split, captions_by_video
from vmlkit.components.variants.rows import RETRIEVAL_NEGATIVES
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import open_features
from vmlkit.data.left_out import Ledger, Missing
from vmlkit.data.settings import DataConfig
from vmlkit.data.sources import Splits, limited
from vmlkit.errors import DataError
from vmlkit.text.embeddings import WordSource
from vmlkit.text.sentence_features import EncoderStates, SentenceFeatures, SentenceSource, open_sentences
from vmlkit.text.vocabulary import Vocabulary

#: seconds of a frame
FRAME_S = 1.0
_LISTS: dict[str, Split] = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class MsvdData(DataConfig):
    """MSVD with CLIP's features; P4 trains on all captions of 1,200 videos, and tests on those of 670."""

    name: Literal["msvd"] = "msvd"
    clips: int = 12  #: T, frames of a video: evenly spaced where it has more, padded where it has fewer
    annotations: str | None = None  #: folder of lists and captions
    features: str | None = None  #: frames of each video by CLIP, in its joint space: a folder of arrays, or one file
    text: str | None = None  #: folder of the same CLIP, or of token states, one ``.npz`` a caption
    variants: str | None = None  #: file of `vmlkit variants`, for captions of the training split at least
    max_words: int = 32  #: W, tokens of a caption; longer ones are cut
    missing: Missing = "leave_out"  #: a video without features is left out and counted, or refused


def load_msvd(config: MsvdData, cache_dir: Path | None, progress: bool) -> Splits[ComponentDataset]:
    """The three lists with their variants.

    Raises:
        DataError: for a file that is missing or cannot be used; the sentence says where it is published.
    """
    folder = _folder(config)
    parts = {name: captions_by_video(folder, split) for name, split in _LISTS.items()}
    features, text, variants = _named(config)
    ledger = Ledger(config.missing)
    source = open_sentences(text, cache_dir, progress=progress)
    made = {}
    with open_features(features) as store:
        for name, captions in parts.items():
            base = _split(config, name, captions, store, source, ledger)
            texts = variants_of_split(variants, name, base.sentences, ledger, RETRIEVAL_NEGATIVES, base.query_ids)
            made[name] = attach_states(base, texts, _Projected(source), config.max_words, needed=name == "train")
    train, validation, test = (made[name] for name in _LISTS)
    words = WordSource(f"token states of each caption and variant in {Path(text).resolve().name}")
    splits = Splits(train=train, validation=validation, test=test, left_out=tuple(ledger), words=words)
    return limited(splits, config)


def _folder(config: MsvdData) -> Path:
    if config.annotations is None:
        raise DataError(config.name, "no annotations were named", f"give their folder (--annotations): {PUBLISHED}")
    if not Path(config.annotations).is_dir():
        raise DataError(config.annotations, "there is no such folder", PUBLISHED)
    return Path(config.annotations)


def _named(config: MsvdData) -> list[str]:
    """Features, text and variants, all of which must be given."""
    frames = "extract CLIP's image embedding of a frame a second of YouTubeClips.tar (www.cs.utexas.edu/users/ml/clamp)"
    command = f"run `vmlkit variants {config.annotations} --format msvd --out FILE`"
    wanted = {
        "features": ("no features of frames were named", f"{frames}, and name their folder (--features)"),
        "text": ("no text was named", "--set data.text=FOLDER of the same CLIP, or of token states of the captions"),
        "variants": ("no variants of the captions were named", f"{command} and --set data.variants=FILE"),
    }
    for name, (what, remedy) in wanted.items():
        if getattr(config, name) is None:
            raise DataError(config.name, what, remedy)
    return [str(getattr(config, name)) for name in wanted]


def _split(
    config: MsvdData,
    name: str,
    captions: dict[str, list[str]],
    store: FeatureStore,
    source: SentenceSource,
    ledger: Ledger,
) -> RetrievalDataset:
    absent = [video for video in captions if video not in store]
    ledger.missing(name, "videos have no features", absent, len(captions), store)
    videos = [video for video in captions if video in store]
    if not videos:
        raise DataError(store, f"has none of the {len(captions)} videos of '{name}'", "check ids and files")
    frames, counts = _frames(store, videos, config.clips)
    owner = [i for i, video in enumerate(videos) for _ in captions[video]]
    ids = [f"{video}_{number}" for video in videos for number in range(len(captions[video]))]
    sentences = [caption for video in videos for caption in captions[video]]
    gone = source.missing(ids)
    if gone:
        what = f"has no token states of the caption '{gone[0]}' (nor of {len(gone) - 1} more)"
        raise DataError(str(config.text), what, "extract them, or name the folder of the encoder")
    states = _Projected(source).read(ids, sentences, config.max_words)
    table, word_ids, mask = states.table()
    durations = np.array([FRAME_S * store.read(video).shape[0] for video in videos])[owner]
    dataset = RetrievalDataset(
        name=f"{config.name}/{name}",
        frames=torch.from_numpy(frames),
        counts=torch.from_numpy(counts),
        video_index=torch.tensor(owner),
        word_ids=word_ids,
        word_mask=mask,
        word_weights=mask / mask.sum(1, keepdim=True),  # nothing masks a word here
        vectors=table,
        spans_s=np.stack((np.zeros_like(durations), durations), axis=1),
        durations=durations,
        query_ids=tuple(ids),
        video_ids=tuple(videos[i] for i in owner),
        sentences=tuple(sentences),
        vocabulary=Vocabulary(()),
        fingerprint="",
    )
    digest = hashlib.sha256(repr((ids, sentences, states.source)).encode())
    for array in (frames, counts, states.rows):
        digest.update(np.ascontiguousarray(array).data)
    return dataclasses.replace(dataset, fingerprint=digest.hexdigest()[:16])


def _frames(
    store: FeatureStore, videos: list[str], clips: int
) -> tuple[Float[np.ndarray, "V T D"], Int[np.ndarray, " V"]]:
    """Frames of each video and how many there are: ``linspace(0, n - 1, T)`` cut to whole numbers where n > T."""
    kept: list[np.ndarray] = []
    for video in videos:
        rows = store.read(video)
        if kept and rows.shape[1] != kept[0].shape[1]:
            what = f"video '{video}' has {rows.shape[1]} dimensions where the first has {kept[0].shape[1]}"
            raise DataError(store, what, "extract all videos with the same network")
        kept.append(rows[np.linspace(0, len(rows) - 1, clips).astype(int)] if len(rows) > clips else rows)
    frames = np.zeros((len(videos), clips, kept[0].shape[1]), dtype=np.float32)
    for i, rows in enumerate(kept):
        frames[i, : len(rows)] = rows
    return frames, np.array([len(rows) for rows in kept])


class _Projected:
    """A source whose states a CLIP encoder's projection takes into the joint space; files are there already."""

    def __init__(self, source: SentenceSource) -> None:
        self.source = source

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the source."""
        return self.source.missing(ids)

    def read(self, ids: Sequence[str], sentences: Sequence[str], max_tokens: int) -> SentenceFeatures:
        """States in the joint space."""
        found = self.source.read(ids, sentences, max_tokens)
        encoder = self.source.encoder if isinstance(self.source, EncoderStates) else None
        project = getattr(encoder.model, "text_projection", None) if encoder is not None and encoder.clip else None
        if project is None:
            return found
        rows = cast(np.ndarray, found.rows @ project.weight.detach().float().cpu().numpy().T)
        return dataclasses.replace(found, rows=rows)
