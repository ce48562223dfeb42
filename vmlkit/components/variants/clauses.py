"""Subject, verb group and object of a short caption, or nothing where the caption is not understood."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vmlkit.components.variants.english import ADVERBS, BE, DO, HAVE, PARTICLES, tag_caption
from vmlkit.components.variants.wordlists import inflect, lemma, table, word_set

_TOKEN = re.compile(
    r"\w+(?:[-/]\w+)*(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|\w+(?:[-/.]\w+)*|[^\w\s]", re.IGNORECASE
)
_NO_BLANK_BEFORE = frozenset([".", ",", "!", "?", ";", ":", "%", ")", "'s", "’s", "n't", "n’t", "'re", "'ve", "'ll"])
#: what may stand in a noun phrase before its noun
_INNER = ("DT", "PRP$", "CD", "JJ", "NN", "POS")
#: verbs that say how an action runs; the action follows
_PHASES = word_set("start begin continue keep proceed try")
#: verbs that form a unit with a preposition, so that its noun can become the subject of a passive
_WITH_PREPOSITION = frozenset({("bump", "into"), ("crash", "into"), ("run", "after")})
#: time adverbs, which stay outside a negation
_TIMES = word_set("then now also still finally again later soon first next suddenly")
#: nouns without a singular
PLURALS = word_set("clothes stairs sunglasses pants jeans drums scissors people police videos glasses")

#: singular nouns that take a plural verb as well
COLLECTIVES = word_set("couple group pair bunch crowd team lot number band family audience staff crew class line")

Kind = Literal["simple", "auxiliary", "copula", "participle"]
Span = tuple[int, int]


def tokenize(text: str) -> list[str]:
    """Words and punctuation marks.

    >>> tokenize("The dog's ball isn't red.")
    ['The', 'dog', "'s", 'ball', 'is', "n't", 'red', '.']
    """
    return _TOKEN.findall(text)


def join(tokens: Sequence[str]) -> str:
    """The text of tokens.

    >>> join(tokenize("The dog's ball isn't red."))
    "The dog's ball isn't red."
    """
    text = ""
    for token in tokens:
        text += token if not text or token in _NO_BLANK_BEFORE or text.endswith(("(", "$")) else f" {token}"
    return text


@dataclass(frozen=True)
class NounPhrase:
    """Where a noun phrase stands."""

    start: int
    end: int  #: after its last word, "of ..." and a coordinated phrase included
    head: int  #: its (first) noun or pronoun
    coordinated: bool = False


@dataclass(frozen=True, kw_only=True)
class Clause:
    """The main clause of a caption."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    subject: NounPhrase
    subject_end: int  #: after everything that belongs to the subject: "man in a striped shirt"
    kind: Kind
    finite: int  #: the auxiliary, or the verb where there is none
    verb: int  #: the lexical verb that the auxiliaries belong to
    action: int  #: the verb that says what is seen: "laughing" in "starts laughing"
    passive: bool
    negation: int | None  #: position of "not"
    particle: int | None
    object: NounPhrase | None  #: of the action
    second_object: NounPhrase | None
    rest: int  #: after verb, particle and object
    end: int  #: after the last word, before the final punctuation

    @property
    def words(self) -> tuple[str, ...]:
        """The tokens in lower case."""
        return tuple(token.lower() for token in self.tokens)

    def plural(self, phrase: NounPhrase) -> bool:
        """Whether a verb after this phrase is plural."""
        word = self.words[phrase.head]
        if phrase.coordinated or word in ("they", "we", "you", "i", "them", "us") or word in PLURALS:
            return True
        return self.tags[phrase.head] == "NNS" or (
            self.tags[phrase.head] == "NN"
            and lemma(word, "NOUN") != word
            and inflect(lemma(word, "NOUN"), "NNS") == word
        )


def parse(text: str) -> Clause | None:
    """Understand a caption with one subject at its beginning; ``None`` in doubt.

    Raises:
        MissingDependency: without textblob or lemminflect.
    """
    tokens = tokenize(text)
    if not tokens:
        return None
    words, tags = [token.lower() for token in tokens], tag_caption(tokens)
    for i in range(len(words) - 1):
        if words[i] == "close" and words[i + 1] in ("up", "ups") and tags[i].startswith("JJ"):
            tags[i] = tags[i + 1] = "NN"
    end = len(tokens)
    while end and tags[end - 1] == ".":
        end -= 1
    start = _skip_opening(words, tags, end)
    subject = noun_phrase(words, tags, start, end)
    if subject is None or _has_relative(words[subject.start + 1 : subject.end]):
        return None
    found = _verb_group(words, tags, subject, end)
    if found is None:
        return None
    kind, finite, verb, passive, negation, subject_end = found
    action = _action(words, tags, verb, kind, end)
    if action is None:
        return None
    particle, first, second, rest = _complements(words, tags, action, end)
    return Clause(
        tokens=tuple(tokens),
        tags=tuple(tags),
        subject=subject,
        subject_end=subject_end,
        kind=kind,
        finite=finite,
        verb=verb,
        action=action,
        passive=passive,
        negation=negation,
        particle=particle,
        object=first,
        second_object=second,
        rest=rest,
        end=end,
    )


def _skip_opening(words: list[str], tags: list[str], end: int) -> int:
    """Skip time adverbs and phrases of place before the subject: "in the kitchen, a man ..."."""
    i = 0
    if len(words) > 1 and words[0] == "person" and tags[1] in ("PRP", "DT"):
        i = 1  # Charades puts "person" before some sentences: "person they open the door"
    while i < end and tags[i] == "IN" and words[i] not in ("while", "as", "when", "if", "because", "like"):
        phrase = noun_phrase(words, tags, i + 1, end)
        if phrase is None:
            break
        i = phrase.end
    while i < end and (words[i] in _TIMES or (words[i] == "," and i)):
        i += 1
    return i


def _has_relative(words: Sequence[str]) -> bool:
    return bool({"who", "that", "which", "where"} & set(words))


def noun_phrase(words: Sequence[str], tags: Sequence[str], i: int, end: int) -> NounPhrase | None:
    """The noun phrase that begins at ``i``."""
    if i < end and tags[i] == "PRP":
        return NounPhrase(i, i + 1, i)
    j, head = i, -1
    while j < end and (tags[j][:2] in ("NN", "JJ", "DT", "CD") or tags[j] in _INNER):
        starts_another = tags[j] in ("DT", "PRP$") and j > i and tags[j - 1] != "DT"
        if head == j - 1 and j > i and (starts_another or tags[j] in ("JJ", "CD")):
            break
        if tags[j].startswith("NN"):
            head = j
        j += 1
    if head < 0 or head != j - 1:
        return None
    if j + 1 < end and words[j] == "of":
        inner = noun_phrase(words, tags, j + 1, end)
        if inner is not None:
            j = inner.end
    if j + 1 < end and words[j] == "and":
        other = noun_phrase(words, tags, j + 1, end)
        if other is not None:
            return NounPhrase(i, other.end, head, coordinated=True)
    return NounPhrase(i, j, head)


def _modifiers(words: list[str], tags: list[str], i: int, end: int) -> int:
    """Skip what may follow the noun of a subject: prepositional phrases and "wearing ..."."""
    while i < end:
        if tags[i] in ("IN", "TO") and words[i] not in ("while", "as", "when", "and", "or", "but", "because", "if"):
            j = i + 1
            while j < end and tags[j] in ("IN", "RB", "TO"):
                j += 1
        elif tags[i] in ("VBG", "VBN"):
            j = i + 1
            if j < end and tags[j] in ("IN", "TO", "RB"):
                i = j
                continue
        else:
            return i
        phrase = noun_phrase(words, tags, j, end)
        if phrase is None:
            return i
        i = phrase.end
    return i


def _verb_group(
    words: list[str], tags: list[str], subject: NounPhrase, end: int
) -> tuple[Kind, int, int, bool, int | None, int] | None:
    """Kind, finite verb, lexical verb, whether passive, negation, end of the subject."""
    i = _modifiers(words, tags, subject.end, end)
    finite = i
    while finite < end and tags[finite] == "RB":
        finite += 1
    if finite >= end or tags[finite] not in ("VBZ", "VBP", "VBD", "MD"):
        return _bare_participle(words, tags, subject, end)
    auxiliary = words[finite] in BE | HAVE | DO or tags[finite] == "MD"
    j, negation = finite + 1, None
    while j < end and (tags[j] == "RB" or words[j] in ("being", "been", "be")):
        negation = j if words[j] in ("not", "n't", "n’t", "never") else negation
        j += 1
    if not auxiliary:
        return "simple", finite, finite, False, None, i
    if j < end and tags[j] in ("VB", "VBG", "VBN") and not (words[finite] in HAVE and tags[j] == "VBG"):
        passive = tags[j] == "VBN" and (words[finite] in BE or words[j - 1] in ("being", "been", "be"))
        return "auxiliary", finite, j, passive, negation, i
    if words[finite] in BE:
        return "copula", finite, finite, False, negation, i
    if words[finite] in HAVE | DO and negation is None:
        return "simple", finite, finite, False, None, i
    return None


def _bare_participle(
    words: list[str], tags: list[str], subject: NounPhrase, end: int
) -> tuple[Kind, int, int, bool, int | None, int] | None:
    """A caption without a finite verb: "young couple sharing some videos"."""
    if any(tag in ("VBZ", "VBP", "VBD", "MD") for tag in tags[subject.end : end]):
        return None
    i = subject.end
    while i < end and tags[i] in ("IN", "TO"):
        phrase = noun_phrase(words, tags, i + 1, end)
        if phrase is None:
            break
        i = phrase.end
    verb, negation = i, None
    while verb < end and tags[verb] == "RB":
        negation = verb if words[verb] == "not" else negation
        verb += 1
    if verb >= end or tags[verb] != "VBG":
        return None
    return "participle", verb, verb, False, negation, i


def _action(words: list[str], tags: list[str], verb: int, kind: Kind, end: int) -> int | None:
    """The verb that says what is seen."""
    j = verb + 1
    if kind == "copula":
        return verb
    base = lemma(words[verb], "VERB")
    if j < end and tags[j] == "VBG" and (base in _PHASES or tags[verb] == "VBN"):
        return j
    if base in _PHASES and j + 1 < end and tags[j] == "TO":
        return j + 1 if tags[j + 1] == "VB" else None
    return verb


def _complements(
    words: list[str], tags: list[str], action: int, end: int
) -> tuple[int | None, NounPhrase | None, NounPhrase | None, int]:
    """Particle, object, second object, and where the rest begins."""
    base, j = lemma(words[action], "VERB"), action + 1
    if words[action] in BE:
        return None, None, None, j
    particle = None
    if j < end and words[j] in PARTICLES | {"into", "after"} and _joins(base, words[j], words, tags, j, end):
        particle, j = j, j + 1
    first = noun_phrase(words, tags, j, end)
    if first is None:
        return particle, None, None, j
    j = first.end
    second = None
    if (j < end and tags[j] in ("DT", "PRP$", "CD")) or (
        j < end and tags[first.head] == "PRP" and tags[j][:2] in ("NN", "JJ")
    ):
        second = noun_phrase(words, tags, j, end)
        j = second.end if second else j
    after = j + 1
    if (
        particle is None
        and second is None
        and j < end
        and words[j] in PARTICLES
        and words[j] not in ("in", "on", "over")
    ) and (after >= end or (tags[after] in ("IN", "TO", "CC") and words[after] != "of") or tags[after] == "RB"):
        return j, first, second, after
    if particle is None and second is None and j < end and words[j] in ("in", "on") and after >= end:
        return j, first, second, after
    return particle, first, second, j


def _joins(base: str, word: str, words: list[str], tags: list[str], j: int, end: int) -> bool:
    """Whether a word after the verb is its particle and not a preposition."""
    if (base, word) in _WITH_PREPOSITION:
        return True
    if word in ("into", "after"):
        return False
    after = tags[j + 1] if j + 1 < end else "."
    if after in (".", "CC", "IN", "TO", "RB", "VBG"):
        return words[j + 1 : j + 2] != ["of"]
    known = f"{base} {word}" in table().swaps["phrases"] or base in _PHRASAL.get(word, ())
    return known and base not in _MOTION


#: with these "up the stairs" or "down the street" is a place
_MOTION = word_set("walk run climb jump go come move slide glide rise fall drop float spin look sit stand lie")


#: further verbs that a particle belongs to
_PHRASAL = {
    "out": word_set("blow pick point hold try give hand check pull bring carry fill roll spread stretch lay let cut"),
    "off": word_set("cut wipe wash clean tear rip peel pull show shake brush kick dry finish"),
    "up": word_set("cut break tear pull mix chop sweep warm heat pack lift line gather eat drink wrap dig"),
    "down": word_set("wipe knock pull push cut bring write chop tear"),
    "over": word_set("knock flip turn push tip"),
    "on": word_set("try pull slip"),
    "away": word_set("give take clear pack drive push"),
}


def time_adverbs_before(clause: Clause, start: int, end: int) -> int:
    """Where manner adverbs begin between ``start`` and ``end``: time adverbs stay outside a negation."""
    i = start
    while i < end and (clause.words[i] in _TIMES or clause.words[i] in ADVERBS):
        i += 1
    return i
