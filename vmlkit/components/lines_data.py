"""P4 on data sets of JSON lines: the splits of the DETR family, each sentence with its variants from a file.

Words of the variants are read like those of the sentences: as token states of the same source (files under
``QID.COMPONENT``, or a local encoder), or as word vectors of the same file.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vmlkit.components.dataset import (
    ComponentDataset,
    ComponentTexts,
    attach,
    attach_states,
    variants_of_split,
    words_of_texts,
)
from vmlkit.components.variants.rows import MOMENT_NEGATIVES
from vmlkit.data.left_out import Ledger
from vmlkit.data.sources import Splits
from vmlkit.detr.corpora import find_files
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.loading import load_lines, token_folder, vectors_file
from vmlkit.detr.settings import DetrData, PlantedLinesData
from vmlkit.errors import DataError
from vmlkit.text.embeddings import WordSource, embedding_table, read_word_vectors
from vmlkit.text.sentence_features import SentenceFeatures, SentenceSource, open_sentences
from vmlkit.text.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ComponentLinesData(DetrData):
    """A data set of JSON lines with variants of its sentences."""

    variants: str | None = None  #: file of `vmlkit variants`, for sentences of the training split at least


@dataclass(frozen=True, kw_only=True)
class ComponentPlantedData(PlantedLinesData):
    """A data set of JSON lines over planted features with variants of its sentences."""

    variants: str | None = None  #: file of `vmlkit variants`, for sentences of the training split at least


def load_component_lines(
    config: ComponentLinesData | ComponentPlantedData, cache_dir: Path | None, progress: bool
) -> Splits[ComponentDataset]:
    """The splits of :func:`vmlkit.detr.loading.load_lines` with their variants.

    Raises:
        DataError: without variants, and as there.
    """
    folder = find_files(config.corpus_name, config.annotations, config.test_file).folder
    if config.variants is None:
        command = f"run `vmlkit variants FILE --out OUT` for the files in {folder}"
        raise DataError(config.name, "no variants of the sentences were named", f"{command}, --set data.variants=OUT")
    path, ledger = str(config.variants), Ledger()
    splits = load_lines(config, cache_dir, progress)
    states = token_folder(config)
    source = None if states is None else open_sentences(states, cache_dir, progress=progress)

    vectors = None if source is not None else _Vectors(vectors_file(config, folder))

    def wrap(name: str, split: DetrDataset) -> ComponentDataset:
        ids = [str(query.qid) for query in split.lines.queries] if split.lines is not None else split.query_ids
        texts = variants_of_split(path, name, split.sentences, ledger, MOMENT_NEGATIVES, ids)
        needed = name == "train"
        if vectors is not None:
            return attach(split, texts, vectors.of(texts, split.vectors.shape[1]), needed=needed)
        assert source is not None
        states = _Unit(source) if isinstance(config, DetrData) and config.unit_text else source
        return attach_states(split, texts, states, config.max_words, ids=ids, needed=needed)

    made = splits.map(wrap)
    words = made.words
    if vectors is not None and words is not None:
        own = WordSource.of(vectors.file, sorted(vectors.hashed), len(vectors.words), "data.word_vectors")
        words = WordSource(f"{words.line}; of the variants: {own.line}", words.hashed + own.hashed)
    return dataclasses.replace(made, left_out=(*splits.left_out, *ledger), words=words)


class _Vectors:
    """Vectors of the words of variants, by hash where the file has none; remembers which."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.words: set[str] = set()
        self.hashed: set[str] = set()

    def of(self, texts: ComponentTexts, dim: int) -> Callable[[str], np.ndarray]:
        """The vector of any word of these variants."""
        vocabulary = Vocabulary(tuple(sorted(words_of_texts(texts))))
        given = None if self.file is None else read_word_vectors(self.file, set(vocabulary.words))
        table, hashed = embedding_table(vocabulary, given, dim=dim)
        self.words |= set(vocabulary.words)
        self.hashed |= set(hashed)
        row = {word: i for i, word in enumerate(vocabulary.words, start=1)}
        return lambda word: table[row[word]].numpy()


class _Unit:
    """A source whose token states are divided by their norm."""

    def __init__(self, source: SentenceSource) -> None:
        self.source = source

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the source."""
        return self.source.missing(ids)

    def read(self, ids: Sequence[str], sentences: Sequence[str], max_tokens: int) -> SentenceFeatures:
        """States of unit length."""
        return self.source.read(ids, sentences, max_tokens).unit_rows()
