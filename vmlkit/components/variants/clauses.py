"""Subject, verb group and object of a short caption, or nothing where the caption is not understood."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vmlkit.components.variants.english import BE, DO, HAVE, Caption, tag_caption
from vmlkit.components.variants.wordlists import inflect, lemma, table, word_set

_TOKEN = re.compile(
    r"\w+(?:[-/]\w+)*(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|\w+(?:[-/.]\w+)*|[^\w\s]", re.IGNORECASE
)
_NO_BLANK_BEFORE = frozenset([".", ",", "!", "?", ";", ":", "%", ")", "'s", "’s", "n't", "n’t", "'re", "'ve", "'ll"])
_FINITE = ("VBZ", "VBP", "VBD", "MD")
TIMES, PLURALS, COLLECTIVES = word_set("times"), word_set("plurals"), word_set("collectives")

Kind = Literal["simple", "auxiliary", "copula", "participle", "existential"]


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


class NounPhrase(NamedTuple):
    """Where a noun phrase stands."""

    start: int
    end: int  #: after its last word, "of ..." and a coordinated phrase included
    head: int  #: its (first) noun or pronoun
    coordinated: bool = False


class VerbGroup(NamedTuple):
    """The verbs of a clause and where they stand."""

    kind: Kind
    subject_end: int  #: after everything that belongs to the subject: "man in a striped shirt"
    finite: int  #: the auxiliary, or the verb where there is none
    verb: int  #: the lexical verb that the auxiliaries belong to
    negation: int | None = None  #: position of "not"
    passive: bool = False


class Complements(NamedTuple):
    """What follows the action."""

    rest: int  #: after verb, particle and object
    particle: int | None = None
    object: NounPhrase | None = None
    second_object: NounPhrase | None = None


@dataclass(frozen=True, kw_only=True)
class Clause:
    """The main clause of a caption."""

    tokens: tuple[str, ...]
    caption: Caption  #: words in lower case and tags, without the final punctuation
    subject: NounPhrase
    group: VerbGroup
    action: int  #: the verb that says what is seen: "laughing" in "starts laughing"
    after: Complements

    @property
    def end(self) -> int:
        """After the last word, before the final punctuation."""
        return len(self.caption.words)

    def plural(self, phrase: NounPhrase) -> bool:
        """Whether a verb after this phrase is plural."""
        word, tag = self.caption.words[phrase.head], self.caption.tags[phrase.head]
        if phrase.coordinated or tag == "NNS" or word in word_set("plural_pronouns") | PLURALS:
            return True
        base = lemma(word, "NOUN")
        return tag == "NN" and base != word and inflect(base, "NNS") == word


def parse(text: str) -> Clause | None:
    """Understand a caption with one subject at its beginning; ``None`` in doubt.

    Raises:
        MissingDependency: without textblob or lemminflect.
    """
    tokens = tokenize(text)
    c = _caption(tokens)
    start = _skip_opening(c)
    there = c.word(start) == "there" and c.word(start + 1) in BE
    subject = _enumeration(c, noun_phrase(c, c.after_adverbs(start + 2) if there else start))
    if subject is None or {"who", "that", "which", "where"} & set(c.words[subject.start + 1 : subject.end]):
        return None
    group = _existential(c, start + 1, subject) if there else _verb_group(c, subject)
    action = None if group is None else _action(c, group)
    if group is None or action is None:
        return None
    seen = not there or action != group.finite
    after = _complements(c, action) if seen else Complements(group.subject_end)
    return Clause(tokens=tuple(tokens), caption=c, subject=subject, group=group, action=action, after=after)


def _caption(tokens: Sequence[str]) -> Caption:
    """Words and tags without the final punctuation; "close up" is a noun."""
    tags = tag_caption(tokens) if tokens else []
    while tags and tags[-1] == ".":
        tags.pop()
    c = Caption([token.lower() for token in tokens[: len(tags)]], tags)
    for i, tag in enumerate(tags):
        if c.words[i] == "close" and c.word(i + 1) in ("up", "ups") and tag.startswith("JJ"):
            tags[i] = tags[i + 1] = "NN"
    return c


def _skip_opening(c: Caption) -> int:
    """Skip time adverbs and phrases of place before the subject: "in the kitchen, a man ..."."""
    i = 0
    if c.word(0) == "person" and c.tag(1) in ("PRP", "DT"):
        i = 1  # Charades puts "person" before some sentences: "person they open the door"
    while c.tag(i) == "IN" and c.words[i] not in ("while", "as", "when", "if", "because", "like"):
        phrase = noun_phrase(c, i + 1)
        if phrase is None:
            break
        i = phrase.end
    while c.word(i) in TIMES or (i and c.word(i) == ","):
        i += 1
    return i


def noun_phrase(c: Caption, i: int) -> NounPhrase | None:
    """The noun phrase that begins at ``i``, with "of ..." and what is coordinated to it."""
    if c.tag(i) == "PRP":
        return NounPhrase(i, i + 1, i)
    end = _phrase_end(c, i)
    if end is None:
        return None
    head = end - 1
    inner = noun_phrase(c, end + 1) if c.word(end) == "of" else None
    end = end if inner is None else inner.end
    other = noun_phrase(c, end + 1) if c.word(end) == "and" else None
    return NounPhrase(i, end, head) if other is None else NounPhrase(i, other.end, head, coordinated=True)


def _phrase_end(c: Caption, i: int) -> int | None:
    """After the noun of the phrase that begins at ``i``; ``None`` where no noun ends it."""
    j, head = i, -1
    while c.tag(j)[:2] in ("NN", "JJ", "DT", "CD") or c.tag(j) in ("PRP$", "POS"):
        starts_another = c.tag(j) in ("DT", "PRP$") and c.tag(j - 1) != "DT"
        if head == j - 1 and j > i and (starts_another or c.tag(j) in ("JJ", "CD")):
            break
        head = j if c.tag(j).startswith("NN") else head
        j += 1
    return j if j > i and head == j - 1 else None


def _enumeration(c: Caption, phrase: NounPhrase | None) -> NounPhrase | None:
    """A subject with what a comma joins to it: "a man, a woman and a child"."""
    if phrase is None or c.word(phrase.end) != ",":
        return phrase
    last = c.word(phrase.end + 1) == "and"
    other = _enumeration(c, noun_phrase(c, phrase.end + 1 + last))
    if other is None or not (last or other.coordinated):
        return phrase
    return phrase._replace(end=other.end, coordinated=True)


def _modifiers(c: Caption, i: int, participles: bool = True) -> int:
    """Skip what may follow the noun of a subject: prepositional phrases and "wearing ..."."""
    while True:
        j = i + 1
        if c.tag(i) in ("IN", "TO") and c.words[i] not in word_set("conjunctions"):
            while participles and c.tag(j) in ("IN", "RB", "TO"):
                j += 1
        elif participles and c.word(i) == "and" and c.tag(j) == "VBG":
            i = j  # "wearing a hat and holding ..."
            continue
        elif participles and c.tag(i) in ("VBG", "VBN"):
            if c.tag(j) in ("IN", "TO", "RB"):
                i = j
                continue
        else:
            return i
        phrase = noun_phrase(c, j)
        if phrase is None:
            return i
        i = phrase.end


def _verb_group(c: Caption, subject: NounPhrase) -> VerbGroup | None:
    i = _modifiers(c, subject.end)
    finite = c.after_adverbs(i)
    if c.tag(finite) not in _FINITE:
        return _bare_participle(c, subject)
    word, j = c.words[finite], finite + 1
    if word not in BE | HAVE | DO and c.tags[finite] != "MD":
        return VerbGroup("simple", i, finite, finite)
    while c.tag(j) == "RB" or c.word(j) in ("being", "been", "be"):
        j += 1
    negation = _negation(c, finite, j)
    if c.tag(j) in ("VB", "VBG", "VBN") and not (word in HAVE and c.tags[j] == "VBG"):
        passive = c.tags[j] == "VBN" and (word in BE or c.words[j - 1] in ("being", "been", "be"))
        return VerbGroup("auxiliary", i, finite, j, negation, passive)
    if word in BE:
        return VerbGroup("copula", i, finite, finite, negation)
    return VerbGroup("simple", i, finite, finite) if word in HAVE | DO and negation is None else None


def _negation(c: Caption, start: int, end: int) -> int | None:
    return next((k for k in range(start, end) if c.words[k] in ("not", "n't", "n’t", "never")), None)


def _bare_participle(c: Caption, subject: NounPhrase) -> VerbGroup | None:
    """A caption without a finite verb: "young couple sharing some videos"."""
    if any(tag in _FINITE for tag in c.tags[subject.end :]):
        return None
    i = _modifiers(c, subject.end, participles=False)
    verb = c.after_adverbs(i)
    return VerbGroup("participle", i, verb, verb, _negation(c, i, verb)) if c.tag(verb) == "VBG" else None


def _existential(c: Caption, finite: int, subject: NounPhrase) -> VerbGroup:
    """Of "there is a man", with what he is doing where that is said."""
    i = _modifiers(c, subject.end, participles=False)
    verb = c.after_adverbs(i)
    negation = _negation(c, finite, subject.start)
    return VerbGroup("existential", i, finite, verb if c.tag(verb) == "VBG" else finite, negation)


def _action(c: Caption, group: VerbGroup) -> int | None:
    """The verb that says what is seen."""
    verb, j = group.verb, group.verb + 1
    phase = lemma(c.words[verb], "VERB") in word_set("phases")
    if group.kind == "copula" or c.words[verb] in BE:
        return verb
    if c.tag(j) == "VBG" and (phase or c.tags[verb] == "VBN"):
        return j
    if phase and c.tag(j) == "TO" and j + 1 < len(c.words):
        return j + 1 if c.tags[j + 1] == "VB" else None
    return verb


def _complements(c: Caption, action: int) -> Complements:
    base, j = lemma(c.words[action], "VERB"), action + 1
    if c.words[action] in BE:
        return Complements(j)
    particle = j if _joins(c, base, j) else None
    j += particle is not None
    first = noun_phrase(c, j)
    if first is None:
        return Complements(j, particle)
    j = first.end
    pair = c.tag(j) in ("DT", "PRP$", "CD") or (c.tag(first.head) == "PRP" and c.tag(j)[:2] in ("NN", "JJ"))
    second = noun_phrase(c, j) if pair else None
    if second is not None:
        return Complements(second.end, particle, first, second)
    if particle is None and _late_particle(c, j):
        return Complements(j + 1, j, first)
    return Complements(j, particle, first)


def _joins(c: Caption, base: str, j: int) -> bool:
    """Whether a word after the verb is its particle and not a preposition."""
    word, listed = c.word(j), base in table().phrasal.get(c.word(j), ())
    if word in ("into", "after"):
        return listed
    if word not in word_set("particles"):
        return False
    if c.tag(j + 1) in (".", "CC", "IN", "TO", "RB", "VBG"):
        return c.word(j + 1) != "of"
    return (listed or f"{base} {word}" in table().swaps["phrases"]) and base not in word_set("motion")


def _late_particle(c: Caption, j: int) -> bool:
    """Whether a word after the object is the verb's particle: "turns the light on"."""
    word, after = c.word(j), c.tag(j + 1)
    if j + 1 >= len(c.words):
        return word in word_set("particles") - {"over"}
    ends = after == "RB" or (after in ("IN", "TO", "CC") and c.word(j + 1) != "of")
    return word in word_set("particles") - {"in", "on", "over"} and ends
