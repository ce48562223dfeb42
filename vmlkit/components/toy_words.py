"""Vectors for words that the toy world's own sentences never use, such as *not* or *by* in generated variants.

An inflected form of a known verb ("slide", "chased") means what the known form means, so it shares its concept; any
other word is a concept of its own.  Vectors are built like those of the lexicon and are the same on every machine.
"""

import numpy as np
from jaxtyping import Float

from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.data.toyworld.word_vectors import _part, word_vector

_ENDINGS = ("s", "es", "ing", "ed", "d", "")


def any_word_vector(word: str) -> Float[np.ndarray, " 48"]:
    """The vector of a word of the lexicon or of any other.

    >>> slide, slides, negation = (any_word_vector(w) for w in ("slide", "slides", "not"))
    >>> cosine = lambda x, y: float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    >>> cosine(slide, slides) > 0.7 > abs(cosine(negation, slides))
    True
    """
    if word in LEXICON:
        return word_vector(word)
    known = relative(word)
    concept, category = (f"new:{word}", "new") if known is None else (LEXICON[known].concept, LEXICON[known].category)
    return 4 * (_part(f"concept {concept}") + 0.5 * _part(f"category {category}") + 0.5 * _part(f"word {word}"))


def relative(word: str) -> str | None:
    """A verb of the lexicon with the same stem, by its regular endings; None where there is none.

    >>> relative("chased"), relative("bumped"), relative("not")
    ('chases', 'bumps', None)
    """
    stems = {word[: len(word) - len(end)] for end in _ENDINGS if end and word.endswith(end)} | {word}
    stems |= {stem[:-1] for stem in stems if len(stem) > 3 and stem[-1] == stem[-2]}  # hopping
    stems = {stem for stem in stems if len(stem) > 2}
    for known, entry in LEXICON.items():
        if entry.tag.startswith("VB") and any(
            known in (stem + end, stem + "e" + end) for stem in stems for end in _ENDINGS
        ):
            return known
    return None
