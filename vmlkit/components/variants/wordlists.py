"""Swaps, synonyms and inflection: the tables of ``words.txt`` and the lexicon inside lemminflect."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError, required
from vmlkit.files import read_text

TABLE = Path(__file__).with_name("words.txt")

#: sections in which a line is "words: what to say instead"
_SWAPS = ("subjects", "pronouns", "attributes", "adverbs", "verbs with object", "verbs without object", "phrases")


@dataclass(frozen=True)
class WordTable:
    """The tables of ``words.txt``."""

    swaps: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=lambda: {section: {} for section in _SWAPS})
    kinds: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)  #: kind of thing -> synonyms -> words
    synonyms: dict[str, frozenset[str]] = field(default_factory=dict)  #: word -> words that mean the same
    sets: dict[str, frozenset[str]] = field(default_factory=dict)  #: words by what they have in common
    phrasal: dict[str, frozenset[str]] = field(default_factory=dict)  #: particle -> verbs that it belongs to
    rules: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  #: section -> tag and its conditions


def read_table(path: Path = TABLE) -> WordTable:
    """Read a table of words.

    Raises:
        DataError: for a line that does not fit its section, or a word that has two lines in one section.
    """
    found, section = WordTable(), ""
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        line = raw.split("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            try:
                _add(found, section, line)
            except KeyError as error:
                raise DataError(path, f"line {number} does not fit the section [{section}]", "see its head") from error
            except ValueError as error:
                raise DataError(path, f"line {number}: {error} in [{section}]", "join the two lines") from error
    return found


def _add(found: WordTable, section: str, line: str) -> None:
    head, colon, tail = line.partition(":")
    if bool(colon) == (section == "synonyms"):
        raise KeyError(section)
    if section == "synonyms":
        group = frozenset(line.split())
        for word in group:
            found.synonyms[word] = found.synonyms.get(word, frozenset()) | (group - {word})
        return
    if section.startswith("rules: "):
        found.rules.setdefault(section.removeprefix("rules: "), []).append((head, tail))
        return
    sections: dict[str, Any] = {"things": found.kinds, "sets": found.sets, "phrasal": found.phrasal, **found.swaps}
    values: dict[str, Any] = {
        "things": tuple(tuple(_blank(w) for w in group.split("/")) for group in tail.split()),
        "phrases": (tail.strip(),),
        **dict.fromkeys(("sets", "phrasal"), frozenset(tail.split())),
    }
    for word in (head,) if section in values else head.split("/"):
        if word in sections[section]:
            raise ValueError(f"'{word}' has two lines")
        sections[section][word] = values.get(section, tuple(map(_blank, tail.split())))


def _blank(word: str) -> str:
    return word.replace("_", " ")


@cache
def table() -> WordTable:
    """The table that comes with the package."""
    return read_table()


def word_set(*names: str) -> frozenset[str]:
    """Sets of words by their names in ``words.txt``, joined."""
    return frozenset().union(*(table().sets[name] for name in names))


@cache
def things() -> dict[str, str]:
    """The kind of each thing; the first of several."""
    return {word: kind for kind, groups in reversed(table().kinds.items()) for group in groups for word in group}


@cache
def lemmas(word: str) -> frozenset[str]:
    """Every base form that a word may have, the word itself included.

    Raises:
        MissingDependency: without lemminflect.
    """
    known = _lemminflect().getAllLemmas(word) or _lemminflect().getAllLemmasOOV(word, upos="NOUN")
    return frozenset({form for forms in known.values() for form in forms} | {word})


@cache
def lemma(word: str, part: str) -> str:
    """The base form of a ``NOUN`` or ``VERB``, also of a word that no lexicon knows.

    >>> lemma("washing", "VERB"), lemma("vlogs", "VERB"), lemma("knives", "NOUN")
    ('wash', 'vlog', 'knife')
    """
    known = _lemminflect().getAllLemmas(word, upos=part).get(part)
    # the lexicon lists rare readings first at times: "lay" is lie, "saw" is see, but "seated" is seat
    forms = known or _lemminflect().getAllLemmasOOV(word, upos=part).get(part) or (word,)
    return str(forms[0])


@cache
def may_be(word: str, part: str) -> bool:
    """Whether the lexicon knows the word as ``NOUN``, ``VERB``, ``ADJ`` or ``ADV``."""
    return part in _lemminflect().getAllLemmas(word)


@cache
def is_known(word: str) -> bool:
    """Whether the lexicon knows the word at all."""
    return bool(_lemminflect().getAllLemmas(word))


#: where the lexicon's first form is not the usual one
_FORMS = {("lie", "VBN"): "lain", ("bite", "VBN"): "bitten", ("light", "VBN"): "lit", ("hide", "VBN"): "hidden"}


@cache
def inflect(base: str, tag: str) -> str:
    """The form of a base form for a Penn tag (``VBZ``, ``VBG``, ``VBN``, ``NNS`` ...), a regular one if unknown.

    >>> inflect("take", "VBN"), inflect("unbox", "VBZ"), inflect("knife", "NNS"), inflect("stop", "VBG")
    ('taken', 'unboxes', 'knives', 'stopping')
    """
    if tag in ("VB", "VBP", "NN", "JJ", "RB"):
        return base
    forms = _lemminflect().getInflection(base, tag=tag)
    return _FORMS.get((base, tag)) or (str(forms[0]) if forms else base)


@cache
def same_meaning(a: str, b: str) -> bool:
    """Whether the table says that two words, in any form, mean the same.

    >>> same_meaning("circles", "ball"), same_meaning("circle", "square")
    (True, False)
    """
    others = lemmas(b)
    return any(table().synonyms.get(word, frozenset()) & others for word in lemmas(a))


@cache
def _lemminflect() -> Any:
    return required("lemminflect", "text", "inflecting words")
