"""Word vectors: reading GloVe from a compact ``.npz`` or its plain text, and vectors by hash where there are none."""

import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vmlkit.errors import DataError
from vmlkit.files import file_lines
from vmlkit.files.arrays import open_npz
from vmlkit.text.encoder import encoder_folder, is_encoder
from vmlkit.text.sentence_features import EncoderStates
from vmlkit.text.vocabulary import Vocabulary

PAD = "<PAD>"


@dataclass(frozen=True, kw_only=True)
class WordVectors:
    """Vectors by word, and what the file says about their frequency."""

    words: tuple[str, ...]
    vectors: Float[np.ndarray, "W Dw"]
    counts: dict[str, int] | None = None
    #: the words of the released models in the order of their ids (id = 1 + position)
    model_words: tuple[str, ...] | None = None
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {word: i for i, word in enumerate(self.words)})

    def __contains__(self, word: object) -> bool:
        return word in self._index

    @property
    def dim(self) -> int:
        """Numbers per word."""
        found: int = self.vectors.shape[1]
        return found

    def rows(self, words: Sequence[str]) -> list[int]:
        """Row of each word; raises ``KeyError`` for a word without a vector."""
        return [self._index[word] for word in words]


@dataclass(frozen=True)
class WordSource:
    """Where the words of a run come from, in one line for people."""

    line: str
    hashed: int = 0  #: words that got a random vector, so that their meaning is lost

    @property
    def random(self) -> bool:
        """Whether some words have random vectors."""
        return self.hashed > 0

    @classmethod
    def of(cls, path: str | Path | None, hashed: Sequence[str], total: int, setting: str) -> "WordSource":
        """The line about word vectors.

        Args:
            path: their file; None: there is none.
            hashed: words that got a random vector.
            total: words of the vocabulary.
            setting: what would name better ones.

        >>> print(WordSource.of(None, ["a", "b"], 2, "data.word_vectors").line)
        NO WORD VECTORS: all 2 words have random ones, so the text carries no meaning (set data.word_vectors)
        """
        if path is None:
            what = f"NO WORD VECTORS: all {total} words have random ones, so the text carries no meaning"
            return cls(f"{what} (set {setting})", total)
        name = Path(path).name  # result files keep the line, and where the folder lies is nobody's business
        if not hashed:
            return cls(f"{name}, which has all {total} words")
        some = ", ".join(hashed[:3]) + (", ..." if len(hashed) > 3 else "")
        what = f"{name}, where {len(hashed)} of {total} words have NO VECTOR and got a random one ({some})"
        return cls(what, len(hashed))


def read_word_vectors(path: str | Path, wanted: Collection[str] | None = None) -> WordVectors:
    """Read ``.npz`` (see :func:`read_npz_vectors`) or GloVe text, told apart by the suffix; or ask a text encoder.

    Args:
        path: the file, or the folder of a saved encoder, which answers for the ``wanted`` words, each alone;
            ``package:NAME`` is the encoder inside an installed package.
    """
    if is_encoder(folder := encoder_folder(path)):
        return encoded_words(folder, sorted(wanted or ()))
    if Path(path).suffix == ".npz":
        return read_npz_vectors(path)
    return read_glove_text(path, wanted)


def encoded_words(folder: str | Path, words: Sequence[str]) -> WordVectors:
    """A vector of each word from a text encoder: the mean of the states of its pieces; kept in the cache folder.

    Raises:
        DataError: without a word, or for a folder that holds no usable encoder.
    """
    if not words:
        raise DataError(folder, "is an encoder, which answers for given words alone", "name a file of word vectors")
    states = EncoderStates(folder).words([[word] for word in words])
    return WordVectors(words=tuple(words), vectors=states.rows[states.starts])


def read_npz_vectors(path: str | Path) -> WordVectors:
    """Read the arrays ``words (W,)``, ``vectors (W, Dw)`` and, if present, ``counts (W,)`` and ``model_vocab``.

    ``model_vocab`` holds positions in ``words``, in the order of the word ids.

    Raises:
        DataError: for a missing or misshapen array, a repeated word, NaN or infinity.
    """
    with open_npz(path) as archive:
        arrays = archive.all()
    missing = [name for name in ("words", "vectors") if name not in arrays]
    if missing:
        raise DataError(path, f"lacks the array '{missing[0]}'", "save the arrays 'words' and 'vectors'")
    if arrays["words"].ndim != 1 or arrays["words"].dtype.kind not in "US":
        what = f"has words of type {arrays['words'].dtype} and shape {arrays['words'].shape}"
        raise DataError(path, what, "save a list of texts")
    words, vectors = tuple(str(w) for w in arrays["words"]), arrays["vectors"]
    if vectors.ndim != 2 or len(vectors) != len(words) or vectors.dtype.kind != "f":
        raise DataError(
            path, f"has {len(words)} words and vectors of shape {vectors.shape}", "save one row of numbers per word"
        )
    counts, order = arrays.get("counts"), arrays.get("model_vocab")
    if counts is not None and (counts.shape != (len(words),) or counts.dtype.kind not in "iu"):
        what = f"has {len(words)} words and counts of type {counts.dtype} and shape {counts.shape}"
        raise DataError(path, what, "save one whole number per word")
    if order is not None and (
        order.ndim != 1 or order.dtype.kind not in "iu" or not ((order >= 0) & (order < len(words))).all()
    ):
        raise DataError(path, "'model_vocab' points outside 'words'", "save positions in 'words'")
    return _checked(
        path,
        WordVectors(
            words=words,
            vectors=vectors.astype(np.float32),
            counts=None if counts is None else {w: int(c) for w, c in zip(words, counts, strict=True)},
            model_words=None if order is None else tuple(words[i] for i in order),
        ),
    )


def read_glove_text(path: str | Path, wanted: Collection[str] | None = None) -> WordVectors:
    """Read lines ``word v1 v2 ...``; keep the ``wanted`` words only (all of GloVe takes gigabytes).

    The first line fixes the dimension, counted from the right where fields stop being numbers; a header line of two
    integers, as word2vec writes it, is passed over.  Some words of GloVe 840B contain blanks, so a word is all that
    stands before the last ``dim`` fields.  The first of repeated words counts.

    Raises:
        DataError: for a line with too few numbers, NaN or infinity, or if no wanted word occurs.
    """
    path, dim = Path(path), 0
    found: dict[str, np.ndarray] = {}
    for number, line in file_lines(path):
        if dim and wanted is not None and line.partition(" ")[0] not in wanted:
            continue
        fields = line.rstrip().split(" ")
        if number == 1 and len(fields) == 2 and all(f.isdecimal() for f in fields):
            continue
        dim = dim or len(list(itertools.takewhile(_is_number, reversed(fields[1:]))))
        word = " ".join(fields[:-dim]) if dim else ""
        if word and (word in found or (wanted is not None and word not in wanted)):
            continue
        found[word] = _numbers(path, number, word, fields[-dim:])
    if not found:
        raise DataError(path, "holds none of the words of the data set", "check that it is a file of English vectors")
    return _checked(path, WordVectors(words=tuple(found), vectors=np.stack(list(found.values()))))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(path: Path, number: int, word: str, fields: list[str]) -> np.ndarray:
    if not word or not all(map(_is_number, fields)):
        raise DataError(
            path, f"line {number} is not a word and its numbers", "download the file again, it may be cut off"
        )
    return np.array(fields, dtype=np.float32)


def _checked(path: str | Path, vectors: WordVectors) -> WordVectors:
    bad = ~np.isfinite(vectors.vectors).all(axis=1)
    if bad.any():
        raise DataError(path, f"'{vectors.words[int(bad.argmax())]}' has NaN or infinity", "download the file again")
    if len(set(vectors.words)) != len(vectors.words):
        raise DataError(path, "holds a word twice", "keep one row per word")
    return vectors


def hashed_vectors(words: Sequence[str], dim: int, seed: int = 0) -> Float[np.ndarray, "W Dw"]:
    """Independent N(0, I / dim) vectors that depend on the word and the seed alone.

    A last resort: words get distinct codes without any notion of similarity.
    """
    rows = []
    for word in words:
        key = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        rows.append(np.random.default_rng([seed, key]).standard_normal(dim) / np.sqrt(dim))
    return np.array(rows, dtype=np.float32).reshape(len(rows), dim)


def embedding_table(
    vocabulary: Vocabulary, source: WordVectors | None, *, dim: int = 300, seed: int = 0
) -> tuple[Float[Tensor, "V Dw"], tuple[str, ...]]:
    """The vector of each word id, and the words that had to be given a hashed vector.

    Row 0, padding, is zero.  Hashed vectors are scaled to the mean norm of the known ones.

    Args:
        source: known vectors; ``None`` hashes every word to ``dim`` dimensions.
    """
    known = [w for w in vocabulary.words if source is not None and w in source]
    missing = tuple(w for w in vocabulary.words if source is None or w not in source)
    size = source.dim if source is not None else dim
    table = np.zeros((len(vocabulary), size), dtype=np.float32)
    scale = 1.0
    if source is not None and known:
        rows = source.vectors[source.rows(known)]
        table[vocabulary.ids(known)] = rows
        scale = float(np.linalg.norm(rows, axis=1).mean())
    table[vocabulary.ids(missing)] = scale * hashed_vectors(missing, size, seed)
    return torch.from_numpy(table), missing
