"""Swaps, synonyms and inflection: the tables of ``words.txt`` and the lexicon inside lemminflect."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vmlkit.errors import DataError, MissingDependency

TABLE = Path(__file__).with_name("words.txt")

#: sections in which a line is "words: what to say instead"
_SWAPS = ("subjects", "pronouns", "attributes", "adverbs", "verbs with object", "verbs without object", "phrases")


def word_set(text: str) -> frozenset[str]:
    """The words of a text that are separated by blanks."""
    return frozenset(text.split())


@dataclass(frozen=True)
class WordTable:
    """The tables of ``words.txt``."""

    swaps: Mapping[str, Mapping[str, tuple[str, ...]]]  #: section -> word -> what to say instead
    kinds: Mapping[str, tuple[tuple[str, ...], ...]]  #: kind of thing -> groups of words that mean the same
    synonyms: Mapping[str, frozenset[str]]  #: word -> words that mean the same

    @property
    def things(self) -> Mapping[str, str]:
        """The kind of each thing; the first of several."""
        return _kind_of_things()


def read_table(path: Path = TABLE) -> WordTable:
    """Read a table of words.

    Raises:
        DataError: for a line that does not fit its section, or a word that has two lines in one section.
    """
    swaps: dict[str, dict[str, tuple[str, ...]]] = {section: {} for section in _SWAPS}
    kinds: dict[str, tuple[tuple[str, ...], ...]] = {}
    synonyms: dict[str, set[str]] = {}
    section = ""
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = raw.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        head, colon, tail = line.partition(":")
        if section == "synonyms" and not colon:
            for word in line.split():
                synonyms.setdefault(word, set()).update(w for w in line.split() if w != word)
        elif section == "things" and colon and head not in kinds:
            kinds[head] = tuple(tuple(_blank(w) for w in group.split("/")) for group in tail.split())
        elif section in swaps and colon:
            others = (tail.strip(),) if section == "phrases" else tuple(map(_blank, tail.split()))
            for word in (head,) if section == "phrases" else head.split("/"):
                if word in swaps[section]:
                    raise DataError(path, f"line {number}: '{word}' has two lines in [{section}]", "join the two lines")
                swaps[section][word] = others
        else:
            raise DataError(path, f"line {number} does not fit the section [{section}]", "see the head of the file")
    return WordTable(swaps, kinds, {word: frozenset(others) for word, others in synonyms.items()})


def _blank(word: str) -> str:
    return word.replace("_", " ")


@cache
def table() -> WordTable:
    """The table that comes with the package."""
    return read_table()


@cache
def _kind_of_things() -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, groups in table().kinds.items():
        for word in (word for group in groups for word in group):
            found.setdefault(word, kind)
    return found


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
def _lemminflect():  # type: ignore[no-untyped-def]
    try:
        import lemminflect
    except ImportError as error:
        raise MissingDependency("lemminflect", "text", "inflecting words") from error
    return lemminflect
