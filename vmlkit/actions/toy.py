"""The toy world as action detection: twelve actions as classes, one set of labels per video, exact times.

The clip features of the sentence task mix all columns.  Here the two kinds of frame features stay apart, so that a
two-stream model has what RGB and optical flow are to it: the first half of the columns says how things look (size,
place and shape of every hue, random filters on the frame), the second how they change (velocity, growth, blinking,
turning, the same filters on the change of the frame).  Both are standardised by the training videos and mixed by a
fixed Gaussian matrix of their own.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.prompts import PromptConfig, class_words, encode_prompts, prompt_vocabulary
from vmlkit.actions.segments import ActionSegments
from vmlkit.config import config_hash
from vmlkit.data.toyworld.build import raw_features
from vmlkit.data.toyworld.cache import Frames, cache_path, load, save
from vmlkit.data.toyworld.config import Split, ToyConfig
from vmlkit.data.toyworld.dataset import FilmStrip, toy_videos
from vmlkit.data.toyworld.features import FILTERS, HUES, LIMIT, PER_HUE, Scaler
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.data.toyworld.word_vectors import WORD_DIM, word_vector
from vmlkit.data.toyworld.world import ACTIONS
from vmlkit.errors import ConfigError
from vmlkit.files import read_bytes
from vmlkit.text.embeddings import WordVectors, embedding_table
from vmlkit.text.vocabulary import Vocabulary

#: two words of the toy world for each action
TOY_CLASS_TEXTS = {
    "left": "moves left",
    "right": "moves right",
    "up": "rises up",
    "down": "falls down",
    "grow": "grows bigger",
    "shrink": "becomes smaller",
    "blink": "keeps flashing",
    "spin": "spins around",
    "bounce": "keeps bouncing",
    "shake": "keeps shaking",
    "chase": "runs after",
    "bump": "bumps into",
}
#: toy videos have two to four events, so glued texts would leave hardly a word: here they are joined with spaces
TOY_PROMPT = PromptConfig(template="a video where something ", join="spaced", max_words=20)

_LOOKS_PER_HUE = PER_HUE // 2
_PROJECTION_SEEDS = (20240603, 20240604)


def appearance_columns() -> np.ndarray:
    """Which of the raw columns say how a frame looks; the others say how it changes."""
    hue = np.arange(PER_HUE) < _LOOKS_PER_HUE
    filters = np.arange(2 * FILTERS) < FILTERS
    return np.concatenate((np.tile(hue, len(HUES)), filters))


def toy_action_splits(
    config: ToyConfig | None = None,
    cache_dir: Path | None = None,
    progress: bool = True,
    processes: int | None = None,
    prompt: PromptConfig = TOY_PROMPT,
) -> dict[str, ActionDataset]:
    """The splits ``train``, ``validation`` and ``test``; features are built on first use and cached.

    Args:
        config: the world; ``feature_dim`` counts both halves and must be even.
        cache_dir: as :func:`vmlkit.data.toyworld.toy_splits`.
        progress: show a progress bar while building.
        processes: how many to build with; two, where there are two processors, if ``None``.
        prompt: how sentences are made from the labels.
    """
    config = config or ToyConfig()
    if config.feature_dim % 2:
        raise ConfigError(f"setting 'feature_dim' must be even for actions (two halves), not {config.feature_dim}")
    path = _path(config, cache_dir)
    frames = load(path, config)
    if frames is None:
        frames, scaler = _build(config, cache_dir, progress, processes)
        save(path, frames, scaler)
    return {split: _dataset(config, split, rows, prompt) for split, rows in frames.items()}


def project_halves(
    scaler: Scaler, raw: Float[np.ndarray, "videos T 156"], columns: int
) -> Float[np.ndarray, "videos T Dv"]:
    """Standardise, clip, and mix each kind of column on its own: appearance first, then motion; float16."""
    standard = np.clip((raw - scaler.mean) / (scaler.deviation + 1e-3), -LIMIT, LIMIT)
    looks = appearance_columns()
    halves = []
    for seed, chosen in zip(_PROJECTION_SEEDS, (looks, ~looks), strict=True):
        mix = np.random.default_rng(seed).standard_normal((int(chosen.sum()), columns // 2))
        halves.append(standard[..., chosen] @ (mix / np.sqrt(chosen.sum())))
    return np.concatenate(halves, axis=-1).astype(np.float16)


def _path(config: ToyConfig, cache_dir: Path | None) -> Path:
    moments = cache_path(config, cache_dir)
    code = hashlib.sha256(read_bytes(Path(__file__))).hexdigest()[:8]
    return moments.with_name(f"toyactions-{moments.stem.removeprefix('toyworld-')}-{code}.npz")


def _build(config: ToyConfig, cache_dir: Path | None, progress: bool, processes: int | None) -> tuple[Frames, Scaler]:
    raw = raw_features(config, processes or min(2, os.cpu_count() or 1), progress)
    scaler = Scaler.fit(raw["train"])
    moments = cache_path(config, cache_dir)
    if not moments.is_file():
        # the same pixels serve the sentence task: nobody has to draw them again
        save(moments, {split: scaler.project(rows, config.feature_dim) for split, rows in raw.items()}, scaler)
    return {split: project_halves(scaler, rows, config.feature_dim) for split, rows in raw.items()}, scaler


def _words(prompt: PromptConfig) -> tuple[Vocabulary, torch.Tensor]:
    """The toy vocabulary, then the words of the template that it lacks (these get a hashed vector)."""
    texts = list(TOY_CLASS_TEXTS.values())
    extra = [w for w in prompt_vocabulary(texts, prompt).words if w not in LEXICON]
    vocabulary = Vocabulary((*LEXICON, *extra))
    known = np.stack([word_vector(word) for word in LEXICON]).astype(np.float32)
    table, _ = embedding_table(vocabulary, WordVectors(words=tuple(LEXICON), vectors=known), dim=WORD_DIM)
    return vocabulary, table


def _dataset(config: ToyConfig, split: Split, frames: np.ndarray, prompt: PromptConfig) -> ActionDataset:
    videos = toy_videos(config, split)
    ids = tuple(video.video_id for video in videos)
    rows = [(v.video_id, e.start_s, e.end_s, e.action) for v in videos for e in v.events]
    truth = ActionSegments.build(rows, ids, ACTIONS)
    texts = [TOY_CLASS_TEXTS[action] for action in ACTIONS]
    vocabulary, table = _words(prompt)
    labels = [list(dict.fromkeys(event.action_id for event in video.events)) for video in videos]
    tags = {word: entry.tag for word, entry in LEXICON.items()}
    encoded = encode_prompts(labels, texts, vocabulary, prompt, tags)
    durations = np.array([video.duration_s for video in videos], dtype=np.float64)
    words = class_words(texts)
    count, clips = frames.shape[:2]
    digest = hashlib.sha256()
    for part in (frames, truth.spans_s, truth.labels, durations, encoded.word_weights.numpy(), table.numpy()):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update("\n".join(encoded.sentences).encode())
    return ActionDataset(
        name=f"toy-actions/{split}",
        rows=torch.from_numpy(frames.reshape(count * clips, -1)),
        offsets=torch.arange(count + 1) * clips,
        labels=torch.from_numpy(truth.multi_hot()),
        truth=truth,
        durations=durations,
        snippet_s=durations / clips,
        video_ids=ids,
        classes=ACTIONS,
        class_words=words,
        class_vectors=table[torch.tensor([vocabulary.ids(w) for w in words])],
        sentences=encoded.sentences,
        word_ids=encoded.word_ids,
        word_mask=encoded.word_mask,
        word_weights=encoded.word_weights,
        vectors=table,
        vocabulary=vocabulary,
        clips=clips,
        ambiguous_s=((),) * count,
        fingerprint=f"toy-actions/{split}-{config_hash(config)}-{digest.hexdigest()[:12]}",
        film_strip=FilmStrip(config),
    )
