"""Named data sources: the toy world, planted Charades-STA, Charades-STA and ActivityNet Captions with real features.

The validation split, by which an epoch is chosen, always consists of videos set aside from the *training* file.
ActivityNet's own validation file is not used for that: its videos are those of the test file.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from vmlkit.data.annotations.charades import Beyond
from vmlkit.data.assembly import Unknown, build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.charades_cd import charades_cd_datasets
from vmlkit.data.corpus import VECTORS, Rows, find_folder, read_corpus, sample, set_aside
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import open_features
from vmlkit.data.planted import PlantedConfig, PlantedFeatures
from vmlkit.data.toyworld import ToyConfig, toy_splits
from vmlkit.errors import ConfigError, DataError
from vmlkit.text.embeddings import WordVectors, embedding_table, read_word_vectors
from vmlkit.text.tagging import TaggedSentence
from vmlkit.text.vocabulary import Vocabulary

#: words kept by the released models where the word vectors do not say which
DEFAULT_VOCABULARY = {"charades": None, "activitynet": 8000}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train and test on.  Fields from ``annotations`` to ``feature_dtype`` do not concern the toy world."""

    #: the last three have action classes instead of sentences, see :mod:`vmlkit.actions.sources`; toy has both
    name: Literal[
        "toy", "planted:charades", "planted:charades_cd", "charades", "activitynet", "planted:thumos14", "thumos14",
        "activitynet1.3",
    ] = "toy"  # fmt: skip
    clips: int = 64  #: T; the papers use 200
    seed: int = 0  #: of the videos set aside and of the queries kept below
    max_train_queries: int | None = None  #: keep a seeded sample of this size; None keeps all
    max_validation_queries: int | None = None
    max_test_queries: int | None = None
    annotations: str | None = None  #: folder of the annotation files, or one of them; None looks below $VMLKIT_DATA
    features: str | None = None  #: HDF5 file or folder of arrays (not for planted features)
    feature_dataset: str | None = None  #: name of the array inside a video's HDF5 group
    word_vectors: str | None = None  #: GloVe as .npz or text; None takes the .npz in the folder, if any
    durations: str | None = None  #: CSV or JSON of seconds by video, for the original Charades-STA text
    max_words: int = 20  #: longer sentences are cut
    vocab_size: int | None = None  #: the most frequent words; None: 1,111 (Charades-STA), 8,000 (ActivityNet)
    validation_share: float = 0.1  #: of the training videos
    unknown_sentence: Unknown = "keep"  #: a sentence without a known word: one padding word, left out, or an error
    beyond_duration: Beyond = "error"  #: a span that ends after its video: an error, cut, or left out
    feature_dtype: Literal["float32", "float16"] = "float32"
    planted_seed: int = 2024  #: the generator's settings are those of PlantedConfig
    planted_dim: int = 128
    planted_fps: float = 2.0
    planted_a: float = 1.0
    planted_b: float = 1.0
    planted_sigma: float = 1.0
    planted_action_noise: float = 0.45  #: of planted THUMOS14; 0.6 to 0.7 is about as hard as the real features
    planted_action_core: float = 1.0  #: of planted THUMOS14, strength of what is specific to a class
    prompt_template: str | None = None  #: sentence about the classes of a video; None takes the source's own
    prompt_join: Literal["released", "spaced"] | None = None  #: how several classes are joined in it
    prompt_adjectives: bool = False  #: adjectives weigh as much as nouns when words are masked (P3: not, by a slip)
    toy_world_seed: int = 0  #: the toy world's settings are those of ToyConfig
    toy_train_videos: int = 700
    toy_validation_videos: int = 60
    toy_test_videos: int = 140
    toy_feature_dim: int = 128
    toy_frame_px: int = 32
    toy_staging: Literal["default", "cast"] = "default"
    #: "early" trains on moments of the early part of their videos (DETR family; see vmlkit.detr.dataset)
    moments: Literal["anywhere", "early"] = "anywhere"

    def __post_init__(self) -> None:
        for name in ("clips", "max_words", "vocab_size", "max_train_queries", "max_validation_queries",
                     "max_test_queries", "planted_dim"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"setting '{name}' must be at least 1, not {value}")
        if not 0 < self.validation_share < 1:
            raise ConfigError(f"setting 'validation_share' must lie between 0 and 1, not {self.validation_share}")
        if not self.planted_fps > 0:
            raise ConfigError(f"setting 'planted_fps' must be positive, not {self.planted_fps}")

    @property
    def toy(self) -> ToyConfig:
        """The settings of the toy world."""
        return ToyConfig(
            clips=self.clips,
            world_seed=self.toy_world_seed,
            train_videos=self.toy_train_videos,
            validation_videos=self.toy_validation_videos,
            test_videos=self.toy_test_videos,
            feature_dim=self.toy_feature_dim,
            frame_px=self.toy_frame_px,
            staging=self.toy_staging,
        )

    @property
    def planted(self) -> PlantedConfig:
        """The settings of the planted features."""
        return PlantedConfig(
            seed=self.planted_seed,
            dim=self.planted_dim,
            fps=self.planted_fps,
            a=self.planted_a,
            b=self.planted_b,
            sigma=self.planted_sigma,
        )


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Three resident splits without a video in common."""

    train: MomentDataset
    validation: MomentDataset  #: for choosing an epoch; never from the test file
    test: MomentDataset
    notes: tuple[str, ...] = ()  #: what was dropped, cut or replaced on the way, one line each


def planted_charades_reduced(annotations: str | None = None) -> DataConfig:
    """Planted Charades-STA at the size of the documented anchor runs.

    64 clips, the 300 most frequent words (V = 301), seeded samples of 3,200 training and 600 test queries; the
    validation queries (300) come from further training videos.

    Args:
        annotations: folder with ``train.json``, ``test.json``, ``tokens_pos.jsonl.gz`` and ``glove_charades.npz``.
    """
    return DataConfig(
        name="planted:charades",
        annotations=annotations,
        vocab_size=300,
        max_train_queries=3200,
        max_validation_queries=300,
        max_test_queries=600,
    )


def load_splits(config: DataConfig, cache_dir: str | Path | None = None, progress: bool = True) -> Splits:
    """Build or load the three splits of a data source.

    Args:
        config: which source, and how much of it.
        cache_dir: where rendered videos, tags and resampled features are kept between runs.
        progress: show progress bars and the notes on what was dropped.

    Raises:
        DataError: for unusable input; the sentence names file, record and remedy.
    """
    if config.name in ("planted:thumos14", "thumos14", "activitynet1.3"):
        raise DataError(config.name, "this source has action classes, no sentences", "train an action method on it")
    makers = {"toy": _toy, "planted:charades_cd": _charades_cd}
    splits = makers.get(config.name, _sentences)(config, cache_dir, progress)
    for note in splits.notes if progress else ():
        print(note, file=sys.stderr)
    return splits


def _toy(config: DataConfig, cache_dir: str | Path | None, progress: bool) -> Splits:
    made = toy_splits(config.toy, cache_dir=None if cache_dir is None else Path(cache_dir), progress=progress)
    cut = {}
    for i, (split, most) in enumerate(_limits(config).items()):
        keep = sample(np.arange(len(made[split])), most, config.seed, i)
        cut[split] = made[split] if len(keep) == len(made[split]) else made[split].subset(keep)
    return Splits(train=cut["train"], validation=cut["validation"], test=cut["test"])


def _charades_cd(config: DataConfig, cache_dir: str | Path | None, progress: bool) -> Splits:
    made, notes = charades_cd_datasets(
        config.annotations,
        config.planted,
        _limits(config),
        clips=config.clips,
        seed=config.seed,
        max_words=config.max_words,
        vocab_size=config.vocab_size,
        word_vectors=config.word_vectors,
    )
    return Splits(train=made["train"], validation=made["validation"], test=made["test"], notes=notes)


def _limits(config: DataConfig) -> dict[str, int | None]:
    return {
        "train": config.max_train_queries,
        "validation": config.max_validation_queries,
        "test": config.max_test_queries,
    }


def _sentences(config: DataConfig, cache_dir: str | Path | None, progress: bool) -> Splits:
    corpus = config.name.removeprefix("planted:")
    path = None if config.name.startswith("planted:") else _features_path(config)
    rows = read_corpus(
        find_folder(config.annotations, corpus),
        corpus,
        durations=config.durations,
        beyond_duration=config.beyond_duration,
        cache_dir=cache_dir,
        progress=progress,
    )
    vectors, vocabulary = _words(config, rows["train"].path.parent, corpus, rows["train"].sentences)
    opened: AbstractContextManager[FeatureStore]
    opened = nullcontext(_plant(config, rows, vectors)) if path is None else open_features(path, config.feature_dataset)
    with opened as features:
        return _assemble(config, _choose(config, rows), features, vectors, vocabulary, cache_dir, progress)


def _features_path(config: DataConfig) -> str:
    if config.features is None:
        raise DataError(
            config.name,
            "no visual features were named",
            "give an HDF5 file or a folder (--features PATH), or take 'planted:charades', which needs none",
        )
    return config.features


def _assemble(
    config: DataConfig,
    chosen: dict[str, tuple[Rows, str]],
    features: FeatureStore,
    vectors: WordVectors | None,
    vocabulary: Vocabulary,
    cache_dir: str | Path | None,
    progress: bool,
) -> Splits:
    table, hashed = embedding_table(vocabulary, vectors)
    notes = [f"{len(hashed)} words have no vector and got a hashed one, e.g. {hashed[:3]}"] if hashed else []
    parts = {}
    for split, (part, source) in chosen.items():
        name = f"{config.name}/{split}"
        words = encode_sentences(part.sentences, vocabulary, config.max_words)
        notes.append(words.summary(name, vocabulary))
        parts[split] = build_dataset(
            name,
            part.annotations,
            words,
            features,
            vocabulary,
            table,
            clips=config.clips,
            query_ids=[f"{source}/{row.row}" for row in part.annotations],
            source=part.path,
            unknown_sentence=config.unknown_sentence,
            feature_dtype=config.feature_dtype,
            cache_dir=cache_dir,
            progress=progress,
        )
    return Splits(train=parts["train"], validation=parts["validation"], test=parts["test"], notes=tuple(notes))


def _words(
    config: DataConfig, folder: Path, corpus: str, sentences: Sequence[TaggedSentence]
) -> tuple[WordVectors | None, Vocabulary]:
    """Word vectors and vocabulary: that of the released models where the file has it, else counted in training."""
    path = Path(config.word_vectors) if config.word_vectors else folder / VECTORS[corpus]
    given = config.word_vectors is not None or path.is_file()
    vectors = read_word_vectors(path) if given and path.suffix == ".npz" else None
    if vectors is not None and vectors.model_words is not None:
        return vectors, Vocabulary(vectors.model_words[: config.vocab_size])
    size = config.vocab_size or DEFAULT_VOCABULARY[corpus]
    vocabulary = Vocabulary.from_sentences((s.tokens for s in sentences), size)
    if given and vectors is None:
        vectors = read_word_vectors(path, set(vocabulary.words))
    return vectors, vocabulary


def _plant(config: DataConfig, rows: dict[str, Rows], vectors: WordVectors | None) -> PlantedFeatures:
    if vectors is None:
        raise DataError(
            config.name, "planted features need word vectors", "put glove_charades.npz beside the annotations"
        )
    parts = (rows["train"], rows["test"])
    annotations = [row for part in parts for row in part.annotations]
    return PlantedFeatures(annotations, [s.tokens for p in parts for s in p.sentences], vectors, config.planted)


def _choose(config: DataConfig, rows: dict[str, Rows]) -> dict[str, tuple[Rows, str]]:
    """The rows of each split, and the file split that they come from."""
    fit, held = set_aside([row.video_id for row in rows["train"].annotations], config.validation_share, config.seed)
    everything = np.arange(len(rows["test"].annotations))
    chosen = {"train": ("train", fit), "validation": ("train", held), "test": ("test", everything)}
    result = {}
    for i, (name, (source, positions)) in enumerate(chosen.items()):
        keep = sample(positions, _limits(config)[name], config.seed, i)
        part = rows[source]
        picked = replace(
            part,
            annotations=[part.annotations[j] for j in keep],
            sentences=[part.sentences[j] for j in keep],
        )
        result[name] = (picked, source)
    return result
