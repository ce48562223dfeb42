"""The splits of the toy world as resident data sets."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from vmlkit.config import config_hash
from vmlkit.data.batches import MomentDataset
from vmlkit.data.toyworld.build import raw_features
from vmlkit.data.toyworld.cache import Frames, cache_path, load, load_scaler, save
from vmlkit.data.toyworld.config import Split, ToyConfig, check_video, parse_video_id
from vmlkit.data.toyworld.features import Scaler
from vmlkit.data.toyworld.grammar import ToySentence
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo, make_video
from vmlkit.data.toyworld.word_vectors import toy_vocabulary, word_vectors
from vmlkit.errors import DataError
from vmlkit.text.tagging import masking_weight


def toy_splits(
    config: ToyConfig | None = None, cache_dir: Path | None = None, progress: bool = True, processes: int | None = None
) -> dict[str, MomentDataset]:
    """The splits ``train``, ``validation`` and ``test``.

    Features are built on first use (seconds) and cached; the scripts behind them are drawn again every time.

    Args:
        config: the world; the default one if ``None``.
        cache_dir: where features are kept; ``$VMLKIT_CACHE`` or ``~/.cache/vmlkit`` if ``None``.
        progress: show a progress bar on standard error while building.
        processes: how many to build with; two, where there are two processors, if ``None``.
    """
    config = config or ToyConfig()
    path = cache_path(config, cache_dir)
    frames = load(path, config)
    if frames is None:
        frames, scaler = build_frames(config, progress=progress, processes=processes)
        save(path, frames, scaler)
    return {split: _dataset(config, split, rows) for split, rows in frames.items()}


def toy_scaler(config: ToyConfig | None = None, cache_dir: Path | None = None, progress: bool = True) -> Scaler:
    """The statistics by which the features of a world are scaled: out of its cache, or built and cached now.

    Args:
        config: the world; the default one if ``None``.
        cache_dir: as of :func:`toy_splits`.
        progress: show a progress bar on standard error while building.
    """
    config = config or ToyConfig()
    path = cache_path(config, cache_dir)
    found = load_scaler(path)
    if found is None:
        frames, found = build_frames(config, progress=progress)
        save(path, frames, found)
    return found


def build_frames(config: ToyConfig, *, progress: bool, processes: int | None = None) -> tuple[Frames, Scaler]:
    """Clip features of all splits, float16 ``(videos, T, Dv)``, and the train split's statistics, which scale them."""
    raw = raw_features(config, processes or min(2, _processors()), progress)
    scaler = Scaler.fit(raw["train"])
    return {split: scaler.project(rows, config.feature_dim) for split, rows in raw.items()}, scaler


def toy_videos(config: ToyConfig, split: Split) -> list[ToyVideo]:
    """The scripts of a split, in the order of the features' rows."""
    check_video(config, split, 0)
    return [make_video(config, split, i) for i in range(config.videos(split))]


def toy_sentences(config: ToyConfig, split: Split) -> list[ToySentence]:
    """Every sentence of a split with its tags, roles, span, action and actors, in the order of the data set."""
    return [sentence for video in toy_videos(config, split) for sentence in video.sentences]


def mask_weights(tags: tuple[str, ...]) -> Float[np.ndarray, " L"]:
    """Probability with which each word is drawn for masking: e^2 for content words, e^1 for others, normalised."""
    weights = np.exp([masking_weight(tag) for tag in tags])
    found: np.ndarray = weights / weights.sum()
    return found


@dataclass(frozen=True)
class FilmStrip:
    """Thumbnails of the toy world, drawn from the script whenever they are asked for."""

    config: ToyConfig

    def __call__(self, video_id: str, count: int, size: int) -> UInt8[np.ndarray, "count size size 3"]:
        """``count`` frames from the middles of equal parts of the video.

        Raises:
            DataError: for a video that does not exist, no frame at all, or a size below 8 pixels.
        """
        return self.moment(video_id, 0.0, self._video(video_id).duration_s, count, size)

    def moment(
        self, video_id: str, start_s: float, end_s: float, count: int, size: int
    ) -> UInt8[np.ndarray, "count size size 3"]:
        """``count`` frames between two times in seconds; short spans show what a whole-video strip aliases."""
        if count < 1:
            raise DataError(video_id, f"a strip of {count} frames", "ask for at least one")
        times = start_s + (np.arange(count) + 0.5) / count * (end_s - start_s)
        return render(self._video(video_id), times, size)

    def _video(self, video_id: str) -> ToyVideo:
        return make_video(self.config, *parse_video_id(self.config, video_id))


def _dataset(config: ToyConfig, split: Split, frames: np.ndarray) -> MomentDataset:
    videos = toy_videos(config, split)
    sentences = [sentence for video in videos for sentence in video.sentences]
    vocabulary = toy_vocabulary()
    shape = (len(sentences), max(len(s.tokens) for s in sentences))
    ids, weights = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence.tokens)] = vocabulary.ids(sentence.tokens)
        weights[row, : len(sentence.tokens)] = mask_weights(sentence.tags)
    rows = {video.video_id: i for i, video in enumerate(videos)}
    vectors = word_vectors()
    spans = np.array([s.span_s for s in sentences], dtype=np.float64)
    durations = np.array([videos[rows[s.video_id]].duration_s for s in sentences], dtype=np.float64)
    texts = tuple(s.text for s in sentences)
    return MomentDataset(
        name=f"toy/{split}",
        frames=torch.from_numpy(frames),
        video_index=torch.tensor([rows[s.video_id] for s in sentences]),
        word_ids=torch.from_numpy(ids),
        word_mask=torch.from_numpy(ids > 0),
        word_weights=torch.from_numpy(weights),
        vectors=torch.from_numpy(vectors),
        spans_s=spans,
        durations=durations,
        query_ids=tuple(s.query_id for s in sentences),
        video_ids=tuple(s.video_id for s in sentences),
        sentences=texts,
        vocabulary=vocabulary,
        fingerprint=_fingerprint(config, split, frames, weights, spans, durations, vectors, texts),
        film_strip=FilmStrip(config),
    )


def _fingerprint(config: ToyConfig, split: Split, *content: np.ndarray | tuple[str, ...]) -> str:
    """Name, settings and content in one short text."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else "\n".join(part).encode())
    return f"toy/{split}-{config_hash(config)}-{digest.hexdigest()[:12]}"


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
