"""Fixed word vectors in which synonyms are near each other and words of a kind a little less far apart."""

import hashlib
from functools import cache

import numpy as np
from jaxtyping import Float

from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.errors import DataError
from vmlkit.text.vocabulary import Vocabulary

WORD_DIM = 48


def toy_vocabulary() -> Vocabulary:
    """The 101 words of the lexicon, in its order (ids 1..101); the same for every world and split."""
    return Vocabulary(tuple(LEXICON))


def word_vector(word: str) -> Float[np.ndarray, " 48"]:
    """``4 (c(concept) + .5 k(category) + .5 u(word))``, each part drawn from N(0, I / 48).

    Every part is seeded by a hash of its name, so it is the same on every machine and in every process.

    Raises:
        DataError: for a word that is not in the lexicon.

    >>> a, b, c = word_vector("circle"), word_vector("ball"), word_vector("square")
    >>> cosine = lambda x, y: float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    >>> cosine(a, b) > 0.7 > 0.45 > cosine(a, c)
    True
    """
    entry = LEXICON.get(word)
    if entry is None:
        raise DataError("toy world", f"the word {word!r} is not in the lexicon", "use words of its 101-word vocabulary")
    parts = _part(f"concept {entry.concept}") + 0.5 * _part(f"category {entry.category}") + 0.5 * _part(f"word {word}")
    return 4 * parts


def word_vectors() -> Float[np.ndarray, "V 48"]:
    """Vectors of the whole vocabulary by id, float32; row 0 (padding) is zero."""
    return np.stack([np.zeros(WORD_DIM), *(word_vector(word) for word in LEXICON)]).astype(np.float32)


@cache
def _part(name: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    found: np.ndarray = np.random.default_rng(seed).standard_normal(WORD_DIM) / np.sqrt(WORD_DIM)
    return found
