"""From the settings of a source to three resident splits: the one entry :func:`load`, and the sources of sentences.

A family reads sources through a :class:`View`: one table from the kind of settings to a function that loads them.  A
new source is a dataclass of settings and a line in such a table.

The validation split, by which an epoch is chosen, always consists of videos set aside from the *training* file.
ActivityNet's own validation file is not used for that: its videos are those of the test file.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, Union, overload

import numpy as np

from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.charades_cd import charades_cd_datasets
from vmlkit.data.corpus import VECTORS, Rows, find_folder, read_corpus, sample, set_aside
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import open_features
from vmlkit.data.planted import PlantedFeatures
from vmlkit.data.settings import CharadesCDData, CorpusData, DataConfig, PlantedData, ToyData
from vmlkit.data.toyworld import toy_splits
from vmlkit.errors import DataError
from vmlkit.text.embeddings import WordVectors, embedding_table, read_word_vectors
from vmlkit.text.tagging import TaggedSentence
from vmlkit.text.vocabulary import Vocabulary

#: words kept by the released models where the word vectors do not say which
DEFAULT_VOCABULARY = {"charades": None, "activitynet": 8000}


D = TypeVar("D", covariant=True)
E = TypeVar("E")


@dataclass(frozen=True, kw_only=True)
class Splits(Generic[D]):
    """Three resident splits without a video in common."""

    train: D
    validation: D  #: for choosing an epoch; never from the test file
    test: D
    notes: tuple[str, ...] = ()  #: what was dropped, cut or replaced on the way, one line each

    def map(self, change: Callable[[str, D], E]) -> "Splits[E]":
        """The splits that ``change`` makes of each one and its name."""
        made = {name: change(name, getattr(self, name)) for name in ("train", "validation", "test")}
        return Splits(**made, notes=self.notes)


class _Cuttable(Protocol):
    def __len__(self) -> int: ...

    def subset(self, indices: np.ndarray, /) -> Any: ...


C = TypeVar("C", bound=_Cuttable)


def limited(splits: Splits[C], config: DataConfig) -> Splits[C]:
    """Seeded samples of the queries of each split, as large as the settings say."""
    number = {name: i for i, name in enumerate(config.limits)}

    def cut(name: str, split: C) -> C:
        keep = sample(np.arange(len(split)), config.limits[name], config.seed, number[name])
        return split if len(keep) == len(split) else split.subset(keep)

    return splits.map(cut)


@dataclass(frozen=True)
class View(Generic[D]):
    """What a family of methods trains on, and how it gets that from each kind of source."""

    what: str  #: such as "sentences"
    #: by the kind of settings: their loader of (settings, cache folder, show progress)
    loaders: Mapping[type[DataConfig], Callable[[Any, Path | None, bool], Splits[D]]]

    @property
    def settings(self) -> Any:
        """The union of the kinds of settings, told apart by ``name``, for :func:`vmlkit.config.from_dict`."""
        return Union[tuple(self.loaders)]  # noqa: UP007 - of a tuple


@overload
def load(config: DataConfig, *, cache_dir: str | Path | None = ..., progress: bool = ...) -> Splits[MomentDataset]: ...
@overload
def load(
    config: DataConfig, *, view: View[E], cache_dir: str | Path | None = ..., progress: bool = ...
) -> Splits[E]: ...
def load(
    config: DataConfig, *, view: View[Any] | None = None, cache_dir: str | Path | None = None, progress: bool = True
) -> Splits[Any]:
    """Build or load the three splits of a source.

    Args:
        config: which source, and how much of it.
        view: as what a family of methods reads it; :data:`MOMENTS` if ``None``.
        cache_dir: where rendered videos, tags and resampled features are kept between runs.
        progress: show progress bars and the notes on what was dropped.

    Raises:
        DataError: for a source that the family does not read, or unusable input; the sentence names file, record and
            remedy.
    """
    view = view or MOMENTS
    loader = view.loaders.get(type(config))
    if loader is None:
        remedy = f"use {', '.join(kind.__name__ for kind in view.loaders)}"
        raise DataError(config.name, f"{type(config).__name__} are not settings of a source of {view.what}", remedy)
    splits = loader(config, None if cache_dir is None else Path(cache_dir), progress)
    for note in splits.notes if progress else ():
        print(note, file=sys.stderr)
    return splits


def load_toy(config: ToyData, cache_dir: Path | None, progress: bool) -> Splits[MomentDataset]:
    """The toy world."""
    made = toy_splits(config.toy, cache_dir=cache_dir, progress=progress)
    return limited(Splits(train=made["train"], validation=made["validation"], test=made["test"]), config)


def load_charades_cd(config: CharadesCDData, cache_dir: Path | None, progress: bool) -> Splits[MomentDataset]:
    """Charades-CD over planted features, which are made anew each time."""
    made, notes = charades_cd_datasets(config)
    return Splits(train=made["train"], validation=made["validation"], test=made["test"], notes=notes)


def load_corpus(config: CorpusData | PlantedData, cache_dir: Path | None, progress: bool) -> Splits[MomentDataset]:
    """Charades-STA or ActivityNet Captions, with features from files or planted ones."""
    corpus = config.name.removeprefix("planted:")
    if isinstance(config, CorpusData) and config.features is None:
        remedy = "give an HDF5 file or a folder (--features PATH), or take 'planted:charades', which needs none"
        raise DataError(config.name, "no visual features were named", remedy)
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
    if isinstance(config, PlantedData):
        opened = nullcontext(_plant(config, rows, vectors))
    else:
        opened = open_features(str(config.features), config.feature_dataset)
    with opened as features:
        return _assemble(config, _choose(config, rows), features, vectors, vocabulary, cache_dir, progress)


#: single moments with their sentences
MOMENTS: View[MomentDataset] = View(
    "sentences",
    {ToyData: load_toy, PlantedData: load_corpus, CharadesCDData: load_charades_cd, CorpusData: load_corpus},
)


def _assemble(
    config: CorpusData | PlantedData,
    chosen: dict[str, tuple[Rows, str]],
    features: FeatureStore,
    vectors: WordVectors | None,
    vocabulary: Vocabulary,
    cache_dir: Path | None,
    progress: bool,
) -> Splits[MomentDataset]:
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
    config: CorpusData | PlantedData, folder: Path, corpus: str, sentences: Sequence[TaggedSentence]
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


def _plant(config: PlantedData, rows: dict[str, Rows], vectors: WordVectors | None) -> PlantedFeatures:
    if vectors is None:
        raise DataError(
            config.name, "planted features need word vectors", "put glove_charades.npz beside the annotations"
        )
    parts = (rows["train"], rows["test"])
    annotations = [row for part in parts for row in part.annotations]
    return PlantedFeatures(annotations, [s.tokens for p in parts for s in p.sentences], vectors, config.planted)


def _choose(config: CorpusData | PlantedData, rows: dict[str, Rows]) -> dict[str, tuple[Rows, str]]:
    """The rows of each split, and the file split that they come from."""
    fit, held = set_aside([row.video_id for row in rows["train"].annotations], config.validation_share, config.seed)
    everything = np.arange(len(rows["test"].annotations))
    chosen = {"train": ("train", fit), "validation": ("train", held), "test": ("test", everything)}
    result = {}
    for i, (name, (source, positions)) in enumerate(chosen.items()):
        keep = sample(positions, config.limits[name], config.seed, i)
        part = rows[source]
        annotations, sentences = [part.annotations[j] for j in keep], [part.sentences[j] for j in keep]
        result[name] = (replace(part, annotations=annotations, sentences=sentences), source)
    return result
