"""Text features per sentence: one state per token instead of one vector per word.

They come from files (one ``.npz`` a query, as QVHighlights publishes them) or are computed once by a local encoder.
Axes: N sentences, L tokens of the longest one, S tokens of all, D dimensions.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.errors import DataError
from vmlkit.files import atomic_path, default_cache_dir, inside, is_name
from vmlkit.files.arrays import open_npz, read_npz
from vmlkit.text.encoder import TextEncoder, is_encoder

#: names of a query's file; QVHighlights and its followers put "qid" before the number, TACoS and TVSum do not
FILE_NAMES = ("qid{}.npz", "{}.npz")
#: the array of token states; the last is TVSum's
ARRAYS = ("last_hidden_state", "token")
#: the array of the sentence vector
POOLED = ("pooler_output", "text")
#: added to the norm of a row before it is divided, as released
NORM_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class SentenceFeatures:
    """Token states of N sentences, end to end in one table; each sentence is a run of its rows."""

    rows: Float[np.ndarray, "S D"]  #: float32
    starts: Int[np.ndarray, " N"]  #: first row of each sentence; equal sentences may share their rows
    lengths: Int[np.ndarray, " N"]  #: tokens of each sentence, at least 1
    source: str  #: where they come from, for people
    pooled: Float[np.ndarray, "N d"] | None = None  #: sentence vectors, where the source has them

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def dim(self) -> int:
        """D."""
        found: int = self.rows.shape[1]
        return found

    def table(self) -> tuple[Float[Tensor, "S1 D"], Int[Tensor, "N L"], Bool[Tensor, "N L"]]:
        """The rows below one of zeros, the row of every token (0 on padding), and the mask of tokens.

        ``rows[ids]`` are the padded states; a resident split keeps them as it keeps word vectors.
        """
        mask = np.arange(int(self.lengths.max(initial=1))) < self.lengths[:, None]
        ids = np.where(mask, self.starts[:, None] + np.arange(mask.shape[1]) + 1, 0)
        rows = np.concatenate((np.zeros((1, self.dim), dtype=self.rows.dtype), self.rows))
        return torch.from_numpy(rows), torch.from_numpy(ids), torch.from_numpy(mask)

    def padded(self) -> tuple[Float[Tensor, "N L D"], Bool[Tensor, "N L"]]:
        """Token states, zero on padding, and the mask of tokens."""
        rows, ids, mask = self.table()
        return rows[ids], mask

    def unit_rows(self) -> "SentenceFeatures":
        """Every token state divided by its norm (plus 1e-5), as the released loaders of the DETR family do."""
        norms = np.linalg.norm(self.rows, axis=1, keepdims=True) + NORM_EPS
        return SentenceFeatures(**{**vars(self), "rows": (self.rows / norms).astype(np.float32)})


def gathered(parts: Sequence[np.ndarray], source: str, pooled: Sequence[np.ndarray] | None = None) -> SentenceFeatures:
    """Features of a list of ``(tokens, D)`` arrays, one a sentence."""
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return SentenceFeatures(
        rows=np.concatenate(parts).astype(np.float32, copy=False),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        source=source,
        pooled=None if pooled is None else np.stack(pooled).astype(np.float32),
    )


class SentenceSource(Protocol):
    """What hands out token states: files by query id, or an encoder by sentence."""

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Which of the queries it has nothing for."""

    def read(self, ids: Sequence[str], sentences: Sequence[str], max_tokens: int) -> SentenceFeatures:
        """The states of the queries' sentences, each cut to its first ``max_tokens``."""


class TokenFiles:
    """A folder with one ``.npz`` a query: ``last_hidden_state (tokens, D)`` and perhaps ``pooler_output (d,)``.

    QVHighlights, Charades-STA and ActivityNet: ``qid123.npz``; TACoS and YouTube Highlights: ``123.npz``; TVSum calls
    the arrays ``token`` and ``text``.  A pickle is refused.

    Raises:
        DataError: for a folder that does not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DataError(self.folder, "there is no such folder", "check the path of the text features")

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Queries without a file."""
        return [qid for qid in ids if self._find(qid) is None]

    def read(self, ids: Sequence[str], sentences: Sequence[str], max_tokens: int) -> SentenceFeatures:
        """One file a query; the sentences are not looked at.

        Raises:
            DataError: for a file that is missing or holds no token states, numbers that are not finite, or
                dimensions that differ from the first file's.
        """
        parts: list[np.ndarray] = []
        pooled: list[np.ndarray | None] = []
        for qid in ids:
            states, vector = self._query(qid)
            if parts and states.shape[1] != parts[0].shape[1]:
                what = f"query '{qid}' has {states.shape[1]} dimensions where the first has {parts[0].shape[1]}"
                raise DataError(self.folder, what, "extract all sentences with the same encoder")
            parts.append(states[:max_tokens])
            pooled.append(vector)
        vectors = [vector for vector in pooled if vector is not None]
        if len({len(vector) for vector in vectors}) > 1:
            what = "has states of whole sentences of different dimensions"
            raise DataError(self.folder, what, "extract all sentences with the same encoder")
        whole = vectors if len(vectors) == len(parts) else None
        name = f"{self.folder.parent.name}/{self.folder.name}"
        return gathered(parts, f"token states from {name} ({parts[0].shape[1]}-d)", whole)

    def _query(self, qid: str) -> tuple[np.ndarray, np.ndarray | None]:
        path = self._find(qid)
        if path is None:
            wanted = " or ".join(name.format(qid) for name in FILE_NAMES)
            raise DataError(self.folder, f"has no {wanted}", "extract what is missing or leave the query out")
        with open_npz(inside(self.folder, path)) as archive:
            arrays = {name: archive[name] for name in (*ARRAYS, *POOLED) if name in archive}
            held = list(archive)
        states = next((arrays[name] for name in ARRAYS if name in arrays), None)
        if states is None:
            raise DataError(path, f"holds {held or 'nothing'} and not '{ARRAYS[0]}'", "save the token states under it")
        if states.ndim == 3 and len(states) == 1:
            states = states[0]
        if states.ndim != 2 or 0 in states.shape or states.dtype.kind != "f":
            what = f"'{ARRAYS[0]}' is {states.dtype} of shape {states.shape}"
            raise DataError(path, what, "save floating-point states (tokens, dimensions)")
        if not np.isfinite(states).all():
            raise DataError(path, "has NaN or infinity", "extract this sentence again")
        vector = next((arrays[name].reshape(-1) for name in POOLED if name in arrays), None)
        if vector is not None and (vector.dtype.kind != "f" or not np.isfinite(vector).all()):
            what = f"has a state of the whole sentence that is {vector.dtype} or not finite"
            raise DataError(path, what, "extract this sentence again")
        return states, vector

    def _find(self, qid: str) -> Path | None:
        # an id comes from an annotation file and must not lead out of the folder
        if not is_name(qid):
            return None
        paths = (self.folder / name.format(qid) for name in FILE_NAMES)
        return next((path for path in paths if path.is_file()), None)


class EncoderStates:
    """Token states that a local encoder computes once; they are kept in the cache folder.

    The file's name depends on the encoder (its configuration, tokenizer and weights) and on the sentences.

    Args:
        folder: of the encoder, see :class:`vmlkit.text.encoder.TextEncoder`.
        cache_dir: ``$VMLKIT_CACHE`` or ``~/.cache/vmlkit`` if ``None``.
        progress: show a bar while encoding.
    """

    def __init__(self, folder: str | Path, cache_dir: str | Path | None = None, *, progress: bool = False) -> None:
        self.encoder, self.progress = TextEncoder(folder), progress
        self.cache_dir = default_cache_dir() if cache_dir is None else Path(cache_dir)
        self.fingerprint = self.encoder.fingerprint()

    def missing(self, ids: Sequence[str]) -> list[str]:
        """None: an encoder answers for every sentence."""
        return []

    def read(self, ids: Sequence[str], sentences: Sequence[str], max_tokens: int) -> SentenceFeatures:
        """States of each different sentence, computed once and shared by its queries."""
        distinct = list(dict.fromkeys(sentences))
        found = self._cached(("tokens", distinct), lambda: self._states(distinct))
        number = {sentence: i for i, sentence in enumerate(distinct)}
        at = np.array([number[sentence] for sentence in sentences], dtype=np.int64)
        return SentenceFeatures(
            rows=found.rows,
            starts=found.starts[at],
            lengths=np.minimum(found.lengths[at], max_tokens),
            source=found.source,
            pooled=None if found.pooled is None else found.pooled[at],
        )

    def words(self, sentences: Sequence[Sequence[str]]) -> SentenceFeatures:
        """One row per *word* of sentences that are split already: the mean of the states of its pieces.

        A word without a piece of its own (beyond the encoder's longest text) gets the sentence's mean.
        """
        split = [list(sentence) or ["."] for sentence in sentences]
        return self._cached(("words", split), lambda: self._words(split))

    @property
    def source(self) -> str:
        """For people."""
        return f"states of the encoder {self.encoder.name} ({self.fingerprint})"

    def _states(self, sentences: list[str]) -> SentenceFeatures:
        parts, pooled = [], []
        for states, mask, vectors, _ in self.encoder.states(sentences, progress=self.progress):
            parts += [row[keep].numpy() for row, keep in zip(states, mask, strict=True)]
            pooled += list(vectors.numpy())
        return gathered(parts, self.source, pooled)

    def _words(self, sentences: list[list[str]]) -> SentenceFeatures:
        parts: list[np.ndarray] = []
        for states, mask, _, said in self.encoder.states(sentences, split=True, progress=self.progress):
            for i in range(len(states)):
                words = sentences[len(parts)]
                piece = np.array([-1 if w is None else w for w in said.word_ids(i)])[: states.shape[1]]
                row = np.broadcast_to(states[i][mask[i]].mean(0).numpy(), (len(words), states.shape[2])).copy()
                for word in np.unique(piece[piece >= 0]):
                    row[word] = states[i].numpy()[piece == word].mean(0)
                parts.append(row)
        return gathered(parts, f"words in context: {self.source}")

    def _cached(self, what: tuple[str, object], compute: Callable[[], SentenceFeatures]) -> SentenceFeatures:
        key = hashlib.sha256(repr((self.fingerprint, what)).encode()).hexdigest()[:16]
        path = self.cache_dir / f"text-{key}.npz"
        if path.is_file():
            try:
                return _kept(read_npz(path))
            except DataError:
                pass  # a damaged file is written anew
        found = compute()
        arrays = {name: value for name, value in vars(found).items() if value is not None}
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)
        return found


def _kept(arrays: dict[str, np.ndarray]) -> SentenceFeatures:
    """The states of a cache file, where its arrays fit each other.

    Raises:
        DataError: where they do not.
    """
    rows, starts, lengths, pooled = (arrays.get(name) for name in ("rows", "starts", "lengths", "pooled"))
    if rows is None or starts is None or lengths is None or "source" not in arrays:
        raise DataError("the cache of token states", "lacks an array", "delete it")
    whole = starts.dtype.kind == lengths.dtype.kind == "i" and starts.ndim == 1 and starts.shape == lengths.shape
    if not whole or rows.ndim != 2 or rows.dtype != np.float32 or not np.isfinite(rows).all():
        raise DataError("the cache of token states", "has an array of another shape or type", "delete it")
    if (starts < 0).any() or (lengths < 1).any() or (starts > len(rows) - lengths).any():
        raise DataError("the cache of token states", "points outside its rows", "delete it")
    alike = pooled is None or (pooled.ndim == 2 and len(pooled) == len(starts) and pooled.dtype.kind == "f")
    if not alike or (pooled is not None and not np.isfinite(pooled).all()):
        raise DataError("the cache of token states", "has sentence vectors that are none", "delete it")
    return SentenceFeatures(rows=rows, starts=starts, lengths=lengths, source=str(arrays["source"]), pooled=pooled)


def open_sentences(path: str | Path, cache_dir: str | Path | None = None, *, progress: bool = False) -> SentenceSource:
    """The source of token states at ``path``: an encoder where the folder has a ``config.json``, else files.

    Raises:
        DataError: for a folder that does not exist, or an encoder that cannot be loaded.
    """
    if is_encoder(path):
        return EncoderStates(path, cache_dir, progress=progress)
    return TokenFiles(path)
