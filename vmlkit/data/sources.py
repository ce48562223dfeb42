"""From the settings of a source to three resident splits: the one entry :func:`load`, and the sources of sentences.

A family reads sources through a :class:`View`: one table from the kind of settings to a function that loads them.  A
new source is a dataclass of settings and a line in such a table.

The validation split, by which an epoch is chosen, always consists of videos set aside from the *training* file.
ActivityNet's own validation file is not used for that: its videos are those of the test file.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, Union, overload

import numpy as np

from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.charades_cd import choose_queries, read_charades_cd
from vmlkit.data.corpus import FOLDERS, VECTORS, Rows, chosen_rows, find_folder, read_corpus, sample, set_aside
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import open_features
from vmlkit.data.left_out import Ledger, LeftOut, by_split
from vmlkit.data.planted import PlantedFeatures
from vmlkit.data.published import published
from vmlkit.data.settings import CharadesCDData, CorpusData, DataConfig, PlantedData, ToyData
from vmlkit.data.toyworld import toy_splits
from vmlkit.errors import DataError
from vmlkit.text.embeddings import PAD, WordSource, WordVectors, embedding_table, read_word_vectors
from vmlkit.text.sentence_features import EncoderStates
from vmlkit.text.tagging import TaggedSentence
from vmlkit.text.vocabulary import Vocabulary

#: words kept by the released models where the word vectors do not say which
DEFAULT_VOCABULARY = {"activitynet": 8000, "tvr": 8000}


_Corpus = CorpusData | PlantedData | CharadesCDData
D = TypeVar("D", covariant=True)
E = TypeVar("E")


@dataclass(frozen=True, kw_only=True)
class Splits(Generic[D]):
    """Three resident splits without a video in common."""

    train: D
    validation: D  #: for choosing an epoch; never from the test file
    test: D
    left_out: tuple[LeftOut, ...] = ()  #: what was left out, cut or kept in spite of a defect, per split
    notes: tuple[str, ...] = ()  #: what else is odd about the data, one line each
    words: WordSource | None = None  #: where the words come from

    def map(self, change: Callable[[str, D], E]) -> "Splits[E]":
        """The splits that ``change`` makes of each one and its name."""
        made = {name: change(name, getattr(self, name)) for name in ("train", "validation", "test")}
        return Splits(**made, left_out=self.left_out, notes=self.notes, words=self.words)

    def account(self) -> dict[str, Any]:
        """``left_out`` (entries by split), ``notes`` and ``words``, as ``metrics.json`` keeps them."""
        words = {} if self.words is None else {"words": self.words.line}
        return {"left_out": by_split(self.left_out), "notes": list(self.notes), **words}

    def said(self, name: str, *, quiet: bool) -> Iterator[str]:
        """Lines for stderr; with ``quiet`` what was lost alone: queries, or the meaning of words."""
        yield from (f"{name}/{entry}" for entry in self.left_out)
        if self.words is not None and (self.words.random or not quiet):
            yield f"{name}: words: {self.words.line}"
        yield from () if quiet else self.notes


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
        progress: show progress bars and notes.  What was left out, cut or kept in spite of a defect is always said.

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
    for line in splits.said(config.name, quiet=not progress):
        print(line, file=sys.stderr)
    return splits


def load_toy(config: ToyData, cache_dir: Path | None, progress: bool) -> Splits[MomentDataset]:
    """The toy world."""
    made = toy_splits(config.toy, cache_dir=cache_dir, progress=progress)
    return limited(Splits(train=made["train"], validation=made["validation"], test=made["test"]), config)


def load_corpus(config: _Corpus, cache_dir: Path | None, progress: bool) -> Splits[MomentDataset]:
    """Sentences of annotation files, with features from files or planted ones."""
    corpus = config.name.removeprefix("planted:")
    ledger = Ledger(getattr(config, "missing", "leave_out"))
    if isinstance(config, CorpusData) and config.features is None:
        remedy = f"give a file or a folder (--features PATH), or take 'planted:{config.name}', which needs none"
        raise DataError(config.name, "no visual features were named", remedy + published(config.name, "features"))
    folder, notes = find_folder(config.annotations, corpus), list[str]()
    if isinstance(config, CharadesCDData):
        files = read_charades_cd(folder, ledger)
        chosen = choose_queries(files, config.limits, config.seed)
    else:
        files = read_corpus(
            folder,
            corpus,
            durations=config.durations,
            test_split=config.test_split,
            beyond_duration=config.beyond_duration,
            cache_dir=cache_dir,
            progress=progress,
            ledger=ledger,
        )
        chosen = _choose(config, files)
        notes = _said(config, files)
    vectors, path, vocabulary = _words(config, folder, corpus, files["train"].sentences)
    opened: AbstractContextManager[FeatureStore]
    if isinstance(config, CorpusData):
        opened = open_features(str(config.features), config.feature_dataset)
    else:
        opened = nullcontext(_plant(config, files, vectors, vocabulary))
    with opened as features:
        return _assemble(config, chosen, features, vectors, path, vocabulary, ledger, notes, cache_dir, progress)


#: single moments with their sentences
MOMENTS: View[MomentDataset] = View(
    "sentences", {ToyData: load_toy, PlantedData: load_corpus, CharadesCDData: load_corpus, CorpusData: load_corpus}
)


def _assemble(
    config: _Corpus,
    chosen: dict[str, Rows],
    features: FeatureStore,
    vectors: WordVectors | None,
    path: Path | None,
    vocabulary: Vocabulary,
    ledger: Ledger,
    notes: list[str],
    cache_dir: Path | None,
    progress: bool,
) -> Splits[MomentDataset]:
    table, hashed = embedding_table(vocabulary, vectors)
    words_from = WordSource.of(path, hashed, len(vocabulary) - 1, "data.word_vectors")
    encoder = None
    if config.text_encoder is not None:
        encoder = EncoderStates(config.text_encoder, cache_dir, progress=progress)
        words_from = WordSource(f"words in context: {encoder.source}")
    parts: dict[str, MomentDataset] = {}
    for split, part in chosen.items():
        name = f"{config.name}/{split}"
        words = encode_sentences(part.sentences, vocabulary, config.max_words)
        words.report(ledger, split, vocabulary)
        parts[split] = build_dataset(
            name,
            part.annotations,
            words,
            features,
            vocabulary,
            table,
            clips=config.clips,
            query_ids=part.names,
            source=part.path,
            split=split,
            ledger=ledger,
            seconds_per_row=getattr(config, "seconds_per_row", None),
            contextual=None if encoder is None else encoder.words([s.tokens for s in part.sentences]),
            unknown_sentence=config.unknown_sentence,
            feature_dtype=config.feature_dtype,
            cache_dir=cache_dir,
            progress=progress,
        )
    train, validation, test = (parts[split] for split in ("train", "validation", "test"))
    account: dict[str, Any] = {"left_out": tuple(ledger), "notes": tuple(notes), "words": words_from}
    return Splits(train=train, validation=validation, test=test, **account)


def _words(
    config: _Corpus, folder: Path, corpus: str, sentences: Sequence[TaggedSentence]
) -> tuple[WordVectors | None, Path | None, Vocabulary]:
    """Word vectors, their file and the vocabulary: the released models' where the file has it, else the training's."""
    path = Path(config.word_vectors) if config.word_vectors else folder / VECTORS[corpus]
    if corpus == "charades_cd" and not config.word_vectors and not path.is_file():
        path = folder.parent / FOLDERS["charades"] / VECTORS[corpus]  # whose words are the same
    given = config.word_vectors is not None or path.is_file()
    own = config.word_vectors is None or corpus.startswith("charades")  # else the words are another corpus's
    vectors = read_word_vectors(path) if given and path.suffix == ".npz" else None
    if own and vectors is not None and vectors.model_words is not None:
        return vectors, path, Vocabulary(vectors.model_words[: config.vocab_size])
    size = config.vocab_size or DEFAULT_VOCABULARY.get(corpus)
    vocabulary = Vocabulary.from_sentences((s.tokens for s in sentences), size)
    if given and vectors is None:
        vectors = read_word_vectors(path, set(vocabulary.words))
    return vectors, path if given else None, vocabulary


def _plant(
    config: PlantedData | CharadesCDData,
    files: dict[str, Rows],
    vectors: WordVectors | None,
    vocabulary: Vocabulary,
) -> PlantedFeatures:
    """Features from the vectors of the words; hashed ones where no file of vectors circulates with the corpus."""
    if vectors is None and "charades" in config.name:
        raise DataError(
            config.name, "planted features need word vectors", "put glove_charades.npz beside the annotations"
        )
    if vectors is None:
        table, _ = embedding_table(vocabulary, None)
        vectors = WordVectors(words=(PAD, *vocabulary.words), vectors=table.numpy())
    annotations = [row for part in files.values() for row in part.annotations]
    tokens = [sentence.tokens for part in files.values() for sentence in part.sentences]
    return PlantedFeatures(annotations, tokens, vectors, config.planted)


def _said(config: CorpusData | PlantedData, files: dict[str, Rows]) -> list[str]:
    """What a reader of the numbers has to know about the choice of files and videos."""
    notes = []
    if config.name.endswith("activitynet"):
        notes.append(f"{config.name}/test: the queries of {files['test'].path.name} (papers report on val_2)")
    if not config.validation_share:
        notes.append(
            f"{config.name}: every training video is trained on, and the last epoch is taken; the numbers of the "
            "validation split are of training videos"
        )
    return notes


def _choose(config: CorpusData | PlantedData, files: dict[str, Rows]) -> dict[str, Rows]:
    """Seeded samples for each split; validation videos are set aside from the training file."""
    fit, held = set_aside([row.video_id for row in files["train"].annotations], config.validation_share, config.seed)
    everything = np.arange(len(files["test"].annotations))
    places = {"train": ("train", fit), "validation": ("train", held), "test": ("test", everything)}
    return {
        split: chosen_rows(files, {file: sample(positions, config.limits[split], config.seed, i)})
        for i, (split, (file, positions)) in enumerate(places.items())
    }
