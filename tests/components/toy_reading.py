"""What a sentence about the toy world says, whoever wrote it, and whether that is false in a video.

The oracle of the tests of variants.  The words may be those of the world's grammar or other forms of them: negated,
passive, or in another order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from vmlkit.components.variants.wordlists import lemma
from vmlkit.data.toyworld.grammar import NounPhrase, Wording
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.data.toyworld.variants import may_hold
from vmlkit.data.toyworld.world import PAIR_ACTIONS

_MOVES = {"move", "rise", "fall"}
_DIRECTIONS = {"dir:left": "left", "dir:right": "right", "dir:up": "up", "dir:down": "down"}
_ENDS = {"place:top": "up", "place:bottom": "down"}


@dataclass(frozen=True)
class Reading:
    """A statement about the world."""

    wording: Wording  #: its ``phrasing`` has no meaning here
    negated: bool


def read_caption(text: str) -> Reading | None:
    """What a sentence says; ``None`` if it cannot be told.

    >>> read_caption("the star is not chased by a red ball").wording.subject
    NounPhrase(det='a', size=None, color='red', shape='ball')
    """
    words = text.lower().rstrip(".").replace("n't", " not").split()
    if any(word.endswith(",") for word in words[:-1]):  # a phrase brought to the front
        cut = next(i for i, word in enumerate(words) if word.endswith(","))
        words = [*words[cut + 1 :], *words[:cut], words[cut].rstrip(",")]
    negated = "not" in words
    words = [word for word in words if word not in ("not", "does", "do")]
    subject, i = _phrase(words, 0)
    if subject is None:
        return None
    verbs: list[str] = []
    other: NounPhrase | None = None
    while i < len(words):
        phrase, after = _phrase(words, i)
        if phrase is not None and other is None:
            other, i = phrase, after
        else:
            verbs.append(words[i])
            i += 1
    if "by" in verbs and other is not None:
        verbs.remove("by")
        subject, other = other, subject
    action = _action(verbs)
    if action is None or (action in PAIR_ACTIONS) != (other is not None):
        return None
    return Reading(Wording(subject=subject, action=action, phrasing=0, object=other), negated)


def is_false(video: ToyVideo, text: str) -> bool | None:
    """Whether a sentence is false in a video; ``None`` if it cannot be told."""
    reading = read_caption(text)
    if reading is None:
        return None
    return may_hold(video, reading.wording) == reading.negated


def _phrase(words: Sequence[str], i: int) -> tuple[NounPhrase | None, int]:
    """The actor named from ``i`` on, and the position after it."""
    if i >= len(words) or words[i] not in ("a", "an", "the"):
        return None, i
    det, size, color = words[i], None, None
    for j in range(i + 1, len(words)):
        kind = LEXICON[words[j]].category if words[j] in LEXICON else ""
        if kind == "size" and size is None:
            size = words[j]
        elif kind == "color" and color is None:
            color = words[j]
        elif kind == "shape":
            return NounPhrase(det=det, size=size, color=color, shape=words[j]), j + 1
        else:
            break
    return None, i


def _action(words: Sequence[str]) -> str | None:
    """The action that the words after the subject name."""
    concepts = [concept for word in words if (concept := _concept(word)) is not None]
    verbs = {c.split(":")[1] for c in concepts if c.startswith("v:")}
    if len(verbs) != 1 or len(concepts) != len(words):
        return None
    (verb,) = verbs
    ways = {way for c in concepts if (way := _DIRECTIONS.get(c) or _ENDS.get(c))}
    if verb in ("bounce", "shake"):
        sideways = ways >= {"left", "right"} or "place:side" in concepts
        return "shake" if sideways else "bounce" if ways >= {"up", "down"} else verb
    if verb in _MOVES:
        return next(iter(ways)) if len(ways) == 1 else None if ways else {"rise": "up", "fall": "down"}.get(verb)
    return _growth(verb, concepts)


def _growth(verb: str, concepts: Sequence[str]) -> str | None:
    """The action of a verb without direction; "grows smaller" is shrinking."""
    degree = next((c for c in concepts if c.startswith("degree:")), None)
    if verb == "become" or (verb == "grow" and degree is not None):
        return {"degree:more": "grow", "degree:less": "shrink"}.get(degree or "")
    return verb


def _concept(word: str) -> str | None:
    """The concept of a word in any of its forms."""
    entry = LEXICON.get(word)
    return entry.concept if entry is not None else _by_lemma().get(lemma(word, "VERB"), _OTHER.get(word))


#: words outside the lexicon that the rules may use
_OTHER = {"being": "aux:be", "be": "aux:be", "bumped": "v:bump", "and": "conj:and"}


@cache
def _by_lemma() -> dict[str, str]:
    verbs = {w: e.concept for w, e in LEXICON.items() if e.category in ("v", "aux")}
    return {lemma(word, "VERB"): concept for word, concept in verbs.items()}
