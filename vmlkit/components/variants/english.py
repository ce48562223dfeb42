"""Parts of speech of short captions without any download: TextBlob's lexicon, then rules for how captions are written.

The lexicon takes most third-person verbs for plural nouns ("a man wearing sunglasses drives ...").  A caption has one
main verb per clause, which agrees with the noun before it; the rules look for that word.  They run in the order of
:func:`tag_caption`, and each looks at a word, the words around it and their tags so far.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from vmlkit.components.variants.wordlists import is_known, lemma, may_be, table, things, word_set
from vmlkit.errors import required

#: noun, verb with auxiliaries and participles, adjective, adverb, anything else
WordClass = Literal["N", "V", "J", "R", "O"]

BE, HAVE, DO, MODALS = (word_set(name) for name in ("be", "have", "do", "modals"))
ADVERBS, PREPOSITIONS, NOUNS = word_set("adverbs"), word_set("prepositions"), word_set("nouns", "plural_nouns")
#: what cannot be the finite verb of a clause, and what often follows it
_NEVER_FINITE = frozenset(["DT", "IN", "TO", "PRP", "PRP$", "CD", ".", "POS", "VB", "VBG", "MD", "RB", "CC"])
_AFTER_VERB = frozenset(["DT", "IN", "TO", "PRP", "PRP$", ".", "RB", "VBG", "CD", "CC"])


@dataclass(frozen=True)
class Caption:
    """Words in lower case and their tags; before the first word stands ``START``, after the last one ``.``."""

    words: list[str]
    tags: list[str]

    def tag(self, i: int) -> str:
        """The tag at ``i``, which may lie outside."""
        return "START" if i < 0 else self.tags[i] if i < len(self.tags) else "."

    def word(self, i: int) -> str:
        """The word at ``i``, which may lie outside."""
        return self.words[i] if 0 <= i < len(self.words) else "."

    def after_adverbs(self, i: int) -> int:
        """The first position from ``i`` on that is no adverb."""
        while self.tag(i) == "RB":
            i += 1
        return i


def word_class(tag: str) -> WordClass:
    """The class of a Penn tag.

    >>> [word_class(t) for t in ("NNS", "VBG", "MD", "JJR", "RB", "WRB", "DT")]
    ['N', 'V', 'V', 'J', 'R', 'O', 'O']
    """
    classes: dict[str, WordClass] = {"NN": "N", "VB": "V", "MD": "V", "JJ": "J", "RB": "R"}
    return classes.get(tag[:2], "O")


def tag_caption(tokens: Sequence[str]) -> list[str]:
    """A Penn tag for each token of one sentence.

    Raises:
        MissingDependency: without textblob or lemminflect.
    """
    lower = [token.lower() for token in tokens]
    c = Caption(lower, _lexicon_tags(lower))
    forward, backward = range(len(lower)), range(len(lower) - 1, -1, -1)
    _apply("closed classes", c, forward)
    _apply("attributes", c, backward)
    _verb_groups(c)
    for start, end in _clauses(c):
        _main_verb(c, start, end)
    _apply("participles", c, forward)
    _apply("nouns", c, forward)
    return c.tags


def _apply(section: str, c: Caption, order: range) -> None:
    """Tag each word by the first rule of a section of ``words.txt`` that fits it."""
    for i in order:
        tag = next((tag for tag, needed in _rules(section) if all(_holds(c, i, x) for x in needed)), c.tags[i])
        c.tags[i] = _noun(c.words[i]) if tag == "N" else tag


class Condition(NamedTuple):
    """What the word at a distance must be, or must not be."""

    distance: int
    opposite: bool
    kind: str  #: "=" its letters, ":" its tag, "?" what it may be
    names: tuple[str, ...]
    pattern: re.Pattern[str]


@cache
def _rules(section: str) -> list[tuple[str, list[Condition]]]:
    """Each tag of a section and when a word gets it."""

    def condition(text: str) -> Condition:
        distance, opposite, kind, names = re.fullmatch(r"([-+]?\d)(!?)([=:?])(\S+)", text).groups()  # type: ignore[union-attr]
        pattern = re.compile(re.escape(names).replace(r"\*", ".*").replace(",", "|"))
        return Condition(int(distance), bool(opposite), kind, tuple(names.split(",")), pattern)

    return [(tag, [condition(part) for part in text.split()]) for tag, text in table().rules[section]]


def _holds(c: Caption, i: int, condition: Condition) -> bool:
    place, kind = i + condition.distance, condition.kind
    if kind == "?":
        return any(_is(c.word(place), name) for name in condition.names) != condition.opposite
    text = c.word(place) if kind == "=" else c.tag(place)
    return (condition.pattern.fullmatch(text) is not None) != condition.opposite


@cache
def _is(word: str, name: str) -> bool:
    """Whether a word passes a test, may be a part of speech, or belongs to a set."""
    if name in _TESTS:
        return _TESTS[name](word)
    return may_be(word, name) if name.isupper() else word in word_set(name)


def _lexicon_tags(lower: list[str]) -> list[str]:
    en = required("textblob.en", "text", "tagging parts of speech")
    pairs = en.tag(" ".join(lower), tokenize=False)
    if [word for word, _ in pairs] != lower:
        return [next((str(tag) for _, tag in en.tag(word, tokenize=False)), "NN") for word in lower]
    return [str(tag) for _, tag in pairs]


def _verb_groups(c: Caption) -> None:
    """Verbs that an auxiliary or "to" announces."""
    for i in range(len(c.words)):
        j = c.after_adverbs(i + 1)
        if j < len(c.words):
            c.tags[j] = _announced(c, i, j) or c.tags[j]


def _announced(c: Caption, i: int, j: int) -> str | None:
    """The tag that the word at ``i`` gives to the one at ``j``."""
    announcer, word, tag = c.words[i], c.words[j], c.tags[j]
    base = _could_be_base(word)
    if c.tags[i] == "TO":
        attribute = tag == "JJ" and may_be(word, "ADJ") and c.tag(j + 1)[:2] in ("NN", "JJ")
        noun = attribute or word in NOUNS or tag in ("DT", "PRP$", "CD", "NNS")
        return "VB" if base and not noun else None
    if tag in ("DT", "IN", "PRP", "PRP$", "CD") or c.tags[i] == "POS":
        return None
    if _participle(word) and (announcer in BE | HAVE or lemma(announcer, "VERB") == "get"):
        if word.endswith("ing"):
            return "VBG"
        return None if tag.startswith("JJ") and not may_be(word, "VERB") else "VBN"
    return "VB" if base and (c.tags[i] == "MD" or announcer in DO) else None


def _could_be_base(word: str) -> bool:
    return may_be(word, "VERB") and lemma(word, "VERB") == word and word not in PREPOSITIONS


def _participle(word: str) -> bool:
    if word.endswith("ing") and len(word) > 4:
        return lemma(word, "VERB") != word
    if not may_be(word, "VERB"):
        return word.endswith("ed") and not is_known(word)
    return word.endswith(("ed", "en", "n", "t", "d")) and (lemma(word, "VERB") != word or word in ("put", "cut", "set"))


def _clauses(c: Caption) -> list[tuple[int, int]]:
    """Where each clause with its own finite verb may begin and end; a clause begins with its subject."""
    opening = word_set("opening_clauses") | {",", ";", "and", "or", "but", "."}
    bounds = [0, *(i for i, word in enumerate(c.words) if i and word in opening)]
    return list(zip(bounds, [*bounds[1:], len(c.words)], strict=True))


def _main_verb(c: Caption, start: int, end: int) -> None:
    """Choose the word that is the finite verb of a clause, and turn the other finite readings back into nouns."""
    fixed = [i for i in range(start, end) if _is_auxiliary(c, i)]
    scores = {i: _verb_score(c, start, i) for i in range(start, end) if i not in fixed}
    if c.tag(end - 1).startswith("NN") and _shares_auxiliary(c, end):
        scores.pop(end - 1, None)
    best = _best(scores, fixed)
    for i in scores:
        c.tags[i] = _finite(c.words[i], c.tags[i]) if i == best else _not_finite(c.words[i], c.tags[i])


def _best(scores: dict[int, int], fixed: list[int]) -> int | None:
    """The position of the finite verb among scored words, beside auxiliaries; the first of equals."""
    if fixed:  # an auxiliary before any other candidate is the finite verb
        return min((i for i, score in scores.items() if i < fixed[0] and score >= 5), default=None)
    return max((i for i, score in scores.items() if score > 2), key=lambda i: (scores[i], -i), default=None)


def _is_auxiliary(c: Caption, i: int) -> bool:
    return c.word(i) in BE | DO | MODALS | HAVE and c.tag(i) != "POS"


def _shares_auxiliary(c: Caption, end: int) -> bool:
    """Whether a clause is only the first part of a subject: "family photos" before "and videos are shown"."""
    k = end + 1
    while c.tag(k)[:2] in ("NN", "JJ", "DT", "CD") or c.tag(k) == "PRP$" or c.word(k) == "of":
        k += 1
    return _is_auxiliary(c, k) and c.word(end) == "and" and k > end + 1


def _finite(word: str, tag: str) -> str:
    if lemma(word, "VERB") == word:
        return "VBP"
    return "VBZ" if word.endswith("s") else tag if tag in ("VBP", "VBD") else "VBD"


def _not_finite(word: str, tag: str) -> str:
    if tag not in ("VBZ", "VBP", "VBD"):
        return tag
    if word.endswith("s") and may_be(word, "NOUN"):
        return "NNS"
    if tag == "VBD" and _participle(word):
        return "VBN"
    return "NN" if may_be(word, "NOUN") else tag


def _verb_score(c: Caption, start: int, i: int) -> int:
    """How well a word fits as the finite verb of its clause; not at all if 0 or less."""
    word, tag, after = c.words[i], c.tags[i], c.tag(i + 1)
    form = _verb_form(word, tag)
    if form is None or tag in _NEVER_FINITE or word in NOUNS or c.word(i + 1) == "of":
        return 0
    j = i - 1
    while j >= start and c.tags[j] == "RB":
        j -= 1
    if _inside_phrase(c, start, j):
        return 0
    known = (1 if may_be(word, "VERB") else -1) + (0 if may_be(word, "NOUN") else 2)
    lexicon = 2 * tag.startswith("VB") - 2 * tag.startswith("JJ")
    follows = 2 * (after in _AFTER_VERB) - 3 * (after in ("VBZ", "VBP", "MD"))
    return known + lexicon + follows + _agreement(c, start, j, i, form)


def _verb_form(word: str, tag: str) -> Literal["s", "base", "past"] | None:
    """Which finite form a word may be."""
    if not word.isalpha():
        return None
    if word.endswith("s") and not word.endswith("ss") and lemma(word, "VERB") != word:
        return "s"
    if _could_be_base(word):
        return "base"
    return "past" if may_be(word, "VERB") and tag in ("VBD", "VBN") else None


def _inside_phrase(c: Caption, start: int, j: int) -> bool:
    """Whether the word before shows that a phrase goes on: "the ...", "into ...", "his parked ...", "getting ..."."""
    before = c.tags[j] if j >= start else "START"
    if before == "VBG" and lemma(c.words[j], "VERB") == "get":
        return True
    if before in ("VBN", "JJ"):
        return j > start and c.tags[j - 1] in ("DT", "PRP$")
    linked = before == "IN" and c.words[j] in ("who", "and", "or", "but", "which")
    return before in ("DT", "PRP$", "POS", "CD", "IN", "TO") and not linked


def _agreement(c: Caption, start: int, j: int, i: int, form: str) -> int:
    """Whether the word at ``j`` fits as the subject of the form at ``i``, with adverbs between them."""
    before = c.tags[j] if j >= start else "START"
    if before == "START" or (before in ("CC", "IN", ".") and j == start):
        return _begins(c, j, i, form)
    if before in ("VBN", "VBG"):
        verb = form != "base" and _acts(c.words[i]) and not _names_something(c.words[i])
        return 0 if verb else -2  # "putting books"
    if before.startswith("NN") and _actor_does(c, start, j):  # "the baby drinks milk": milk is what, not who
        return -2
    if before != "PRP" and not before.startswith("NN"):
        return -3 if before.startswith("JJ") else -2
    slip = form == "base" and c.words[j] == "person"  # a frequent one: "person open the door"
    return 1 if slip else {"s": (3, -1), "base": (-3, 3), "past": (1, 1)}[form][_plural(c, start, j)]


def _actor_does(c: Caption, start: int, j: int) -> bool:
    """Whether the word at ``j`` agrees, as a verb, with an actor right before it."""
    actor = c.words[j - 1]
    if j <= start or not c.tags[j - 1].startswith("NN") or lemma(actor, "NOUN") not in table().swaps["subjects"]:
        return False
    return may_be(c.words[j], "VERB") and _verb_form(c.words[j], "") == ("s", "base")[_plural(c, start, j - 1)]


def _begins(c: Caption, j: int, i: int, form: str) -> int:
    """Whether a verb may begin a clause here: "... and stands up"."""
    if c.words[max(j, 0)] not in ("and", "or", ",", "then", "who", "which", "that", "but"):
        return -2
    if form != "s":
        return 1
    object_follows = c.tag(i + 1) in ("DT", "PRP", "PRP$", "JJ", "CD")
    return 3 if object_follows or not _names_something(c.words[i]) else -1


@cache
def _names_something(word: str) -> bool:
    """Whether a word that may be a verb is more likely an actor or a thing: "adults and kids"."""
    base, noun = lemma(word, "NOUN"), may_be(word, "NOUN") and not may_be(word, "VERB")
    return noun or base in things() or (base in table().swaps["subjects"] and not _acts(word))


def _acts(word: str) -> bool:
    """Whether the tables know a word as a verb."""
    base, swaps = lemma(word, "VERB"), table().swaps
    return base in swaps["verbs with object"] or base in swaps["verbs without object"]


def _plural(c: Caption, start: int, j: int) -> bool:
    """Whether the subject that ends at ``j`` is plural, by its noun or because "and" joins it to another one."""
    word, tag = c.words[j], c.tags[j]
    if tag == "PRP":
        return word in word_set("plural_pronouns") - {"them", "us"}
    if tag in ("NNS", "NNPS") or word.endswith("men") or word in ("people", "police", "children"):
        return True
    joined = start > 0 and c.words[start] == "and"
    return joined and all(t[:2] in ("NN", "DT", "JJ", "IN", "PR", "CD") for t in c.tags[start:j])


def _noun(word: str) -> str:
    return "NNS" if word.endswith("s") and lemma(word, "NOUN") != word else "NN"


def _adjective(word: str) -> bool:
    """Whether a word before a noun is an adjective, whatever the lexicon of tags says."""
    known = word in table().swaps["attributes"] or (
        may_be(word, "ADJ") and not may_be(word, "NOUN") and not may_be(word, "VERB")
    )
    return known and word not in ADVERBS | PREPOSITIONS | {"open", "left", "right", "clean", "dry", "empty"}


_TESTS: dict[str, Callable[[str], bool]] = {
    "mark": lambda word: not re.search(r"\w", word),
    "decimal": str.isdecimal,
    "letters": str.isalpha,
    "swapped_adverb": lambda word: word in table().swaps["adverbs"],
    "thing": lambda word: word in things(),
    "shape": lambda word: things().get(word) == "shapes",
    "adjective": _adjective,
    "participle": _participle,
}
