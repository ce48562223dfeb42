"""How alike two sentences are: TF-IDF without any download, or a sentence encoder from a local folder.

Both give the cosine of two vectors for the pairs that are asked for, so that no N x N table is ever made.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vmlkit.text.encoder import BATCH, TextEncoder

#: elements compared at a time
_BLOCK = 4_000_000


class TfidfSimilarity:
    """Cosine of TF-IDF vectors: word counts times ``ln((1 + N) / (1 + df)) + 1``, N being the number of sentences.

    The weights are fitted on the sentences themselves.  Words are lower-cased runs of letters and digits; order and
    meaning do not count, so "opens the door" and "closes the door" are rather alike, and two paraphrases without a
    common word have similarity 0.

    >>> tfidf = TfidfSimilarity(["person opens a door", "A door: opens person.", "someone laughs"])
    >>> tfidf.pairs(np.array([0, 0]), np.array([1, 2])).round(2)
    array([1., 0.])
    """

    name = "TF-IDF"

    def __init__(self, sentences: Sequence[str]) -> None:
        counts = [Counter(words(sentence)) for sentence in sentences]
        spread = Counter(word for count in counts for word in count)
        ids = {word: i for i, word in enumerate(sorted(spread))}
        idf = {word: np.log((1 + len(counts)) / (1 + df)) + 1 for word, df in spread.items()}
        width = max((len(count) for count in counts), default=1)
        self.ids = np.full((len(counts), max(1, width)), -1)
        self.weights = np.zeros(self.ids.shape)
        for row, count in enumerate(counts):
            self.ids[row, : len(count)] = [ids[word] for word in count]
            self.weights[row, : len(count)] = [number * idf[word] for word, number in count.items()]
        norm = np.linalg.norm(self.weights, axis=1, keepdims=True)
        self.weights /= np.where(norm > 0, norm, 1)
        self.lengths = np.array([len(count) for count in counts])

    def pairs(self, first: Int[np.ndarray, " P"], second: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        """Cosine of the sentences at these positions, in [0, 1]; 0 where one has no word."""
        out = np.zeros(len(first))
        longest = np.maximum(self.lengths[first], self.lengths[second])
        # pairs of similar length share a block, so that short sentences are not padded to the longest of all
        order, start = np.argsort(-longest, kind="stable"), 0
        while start < len(order):
            width = max(1, int(longest[order[start]]))
            block = order[start : start + max(1, _BLOCK // width**2)]
            i, j = first[block], second[block]
            same = self.ids[i, :width, None] == self.ids[j, None, :width]
            out[block] = np.einsum("pa,pb,pab->p", self.weights[i, :width], self.weights[j, :width], same)
            start += len(block)
        return out


class EncoderSimilarity:
    """Cosine of sentence vectors of a local encoder, such as a MiniLM of the SentenceBERT family.

    Args:
        sentences: the list.
        folder: of the encoder, see :class:`vmlkit.text.encoder.TextEncoder`, which also says what is raised.
        batch: sentences encoded at a time.
    """

    def __init__(self, sentences: Sequence[str], folder: str | Path, batch: int = BATCH) -> None:
        encoder = TextEncoder(folder, batch)
        self.name = f"encoder {encoder.name}"
        self.vectors = encoder.vectors(sentences)

    def pairs(self, first: Int[np.ndarray, " P"], second: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        """Cosine of the sentences at these positions, in [-1, 1]."""
        out = np.zeros(len(first))
        step = max(1, _BLOCK // self.vectors.shape[1])
        for start in range(0, len(first), step):
            part = slice(start, start + step)
            out[part] = np.einsum("pd,pd->p", self.vectors[first[part]], self.vectors[second[part]])
        return out


#: the similarity of pairs of sentences from a fixed list: ``name`` for reports, ``pairs(first, second)``
SentenceSimilarity = TfidfSimilarity | EncoderSimilarity


def sentence_similarity(sentences: Sequence[str], encoder: str | Path | None = None) -> SentenceSimilarity:
    """The encoder's similarity where a folder is given, TF-IDF otherwise."""
    return TfidfSimilarity(sentences) if encoder is None else EncoderSimilarity(sentences, encoder)


def words(sentence: str) -> list[str]:
    """Lower-cased runs of letters and digits.

    >>> words("A person's laptop, 2 cups.")
    ['a', 'person', 's', 'laptop', '2', 'cups']
    """
    return re.findall(r"[^\W_]+", sentence.lower())
