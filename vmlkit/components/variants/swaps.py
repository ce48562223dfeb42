"""Other verbs, attributes, objects and subjects for a caption that was understood (the changed parts of P4 Eq. (1))."""

import zlib
from collections.abc import Iterator, Mapping, Sequence

from vmlkit.components.variants.clauses import COLLECTIVES, PLURALS, Clause, NounPhrase, join, noun_phrase
from vmlkit.components.variants.english import BE
from vmlkit.components.variants.wordlists import inflect, lemma, lemmas, same_meaning, table, word_set

#: nouns that are not counted: "some coffee", never "a coffee"
MASS = word_set(
    "water coffee tea juice milk beer wine soda cola bread toast soup meat steak rice flour sugar salt pepper butter "
    "cheese hair makeup mascara sunscreen lotion cream perfume laundry luggage trash garbage rubbish snow grass fruit "
    "music traffic chocolate candy homework footage money food medicine pasta breakfast lunch dinner basketball "
    "football stage"
)
#: words whose shape-world reading holds only where everything named is a shape
_PLACES = word_set("left right side screen place top bottom center middle corner wall edge")
#: where these stand after a preposition they are places: "floats to the top" names no garment
_NO_THINGS = _PLACES - {"wall"}
#: verbs without movement, and prepositions that need it
_STILL = word_set("sit stand lie sleep hold drink wash hug clap")
_PATHS = word_set("into onto through across past toward towards over along up down to from out")
#: verbs that do not go with what follows "to", "with" or "at"
_ALONE = word_set("sleep hide ignore")
_INDEFINITE = ("a", "an", "one", "another", "each", "every")


def changed_verb(clause: Clause) -> Iterator[str]:
    """Other actions in place of the one that is seen."""
    base, i = lemma(clause.words[clause.action], "VERB"), clause.action
    if clause.words[i] in BE:
        return
    yield from _changed_phrase(clause, base)
    following = [w for w in clause.words[clause.rest : clause.end] if w in _PATHS | {"with", "at", "on"}][:1]
    if clause.particle is not None or (clause.passive and base in ("dress", "seat", "cover", "fill")):
        return
    frame = "verbs with object" if clause.object is not None or (clause.passive and i == clause.verb) else ""
    options = table().swaps[frame or "verbs without object"].get(base, ())
    for other in _rotated(options, clause):
        if following and ((other in _STILL and following[0] in _PATHS) or (other in _ALONE and following[0] != "on")):
            continue
        if not same_meaning(base, other):
            yield _replaced(clause, i, i + 1, [_like(other, clause, i)])


def _changed_phrase(clause: Clause, base: str) -> Iterator[str]:
    """A verb with what belongs to it, such as "turn on" or "slide to the left"."""
    i, words = clause.action, clause.words
    if clause.particle is not None and clause.object is not None and clause.particle > clause.object.start:
        other = table().swaps["phrases"].get(f"{base} {words[clause.particle]}", ("",))[0].split()
        if len(other) == 2:
            tokens = list(clause.tokens)
            tokens[i], tokens[clause.particle] = _like(other[0], clause, i), other[1]
            yield join(_cased(clause, tokens))
        return
    for length in range(min(5, clause.end - i), 1, -1):
        found = table().swaps["phrases"].get(" ".join([base, *words[i + 1 : i + length]]))
        if found:
            verb, *others = found[0].split()
            yield _replaced(clause, i, i + length, [_like(verb, clause, i), *others])
            return


def _like(base: str, clause: Clause, i: int) -> str:
    """A verb in the form of the word at ``i``."""
    tag = clause.tags[i]
    if tag == "VBP" and not clause.plural(clause.subject):
        return base
    first, _, particle = base.partition(" ")
    return f"{inflect(first, tag)} {particle}".strip()


def changed_attribute(clause: Clause) -> Iterator[str]:
    """The opposite of an adverb, else of an adjective; adverbs first, then from left to right."""
    for section, tag in (("adverbs", "RB"), ("attributes", "JJ")):
        for i in range(clause.end):
            word = clause.words[i]
            degree = i and lemma(clause.words[i - 1], "VERB") in ("become", "get", "grow", "turn")
            if not clause.tags[i].startswith(tag) or (degree and section == "attributes"):
                continue
            for other in _rotated(table().swaps[section].get(word, ()), clause):
                fits = word != "old" or (other == "young") == _names_actor(clause, i)
                if fits and other not in clause.words and not same_meaning(word, other):
                    yield _replaced(clause, i, i + 1, [other])


def _names_actor(clause: Clause, i: int) -> bool:
    """Whether the next noun after ``i`` is a person or an animal."""
    nouns = (w for w, t in zip(clause.words[i:], clause.tags[i:], strict=True) if t.startswith("NN"))
    return lemma(next(nouns, ""), "NOUN") in table().swaps["subjects"]


def changed_object(clause: Clause) -> Iterator[str]:
    """Another thing of the same kind for the object, or for what the first preposition after the verb names."""
    phrase = clause.second_object or clause.object or _prepositional(clause)
    if phrase is not None and clause.tags[phrase.head] != "PRP":
        yield from _other_noun(clause, phrase, ("things", "subjects"))


def changed_subject(clause: Clause) -> Iterator[str]:
    """Another actor."""
    words, phrase = clause.words, clause.subject
    if clause.tags[phrase.head] == "PRP":
        for other in table().swaps["pronouns"].get(words[phrase.head], ()):
            yield _replaced(clause, phrase.head, phrase.head + 1, [other])
        if words[phrase.head] == "they":
            yield _replaced(clause, phrase.head, phrase.head + 1, ["the", _rotated(("dogs", "horses"), clause)[0]])
        return
    inner = phrase.head + 2
    if words[phrase.head] in COLLECTIVES and words[phrase.head + 1 : inner] == ("of",):
        members = noun_phrase(words, clause.tags, inner, clause.end)
        phrase = members or phrase
    yield from _other_noun(clause, phrase, ("subjects", "things"))


def _prepositional(clause: Clause) -> NounPhrase | None:
    """The first noun after a preposition whose kind is known."""
    for i in range(clause.action + 1, clause.end - 1):
        if clause.tags[i] in ("IN", "TO") and clause.words[i] not in ("and", "or", "but", "while", "as"):
            phrase = noun_phrase(clause.words, clause.tags, i + 1, clause.end)
            if phrase is None:
                continue
            word = clause.words[phrase.head]
            kind = None if word in _NO_THINGS else table().things.get(lemma(word, "NOUN"))
            if kind is not None and kind != "drinks":  # "near the water" is a place and no drink
                return phrase
    return None


def _other_noun(clause: Clause, phrase: NounPhrase, sections: Sequence[str]) -> Iterator[str]:
    """Other nouns in place of a phrase's noun, with the nouns that specify it."""
    word, first = clause.words[phrase.head], phrase.head
    while first > phrase.start and clause.tags[first - 1].startswith("NN"):
        first -= 1
    present = {form for w in clause.words for form in lemmas(w)}
    for other in _rotated(_candidates(clause, word, sections), clause):
        if other in present or same_meaning(word, other):
            continue
        new = _number(clause, phrase, first, word, other)
        if new is not None:
            yield _replaced(clause, first, phrase.head + 1, [new])


def _candidates(clause: Clause, word: str, sections: Sequence[str]) -> tuple[str, ...]:
    forms = (word, lemma(word, "NOUN"))
    things, kinds = table().things, table().kinds
    shapes = {w for group in kinds["shapes"] for w in group}
    in_shapes = next((form for form in forms if form in shapes), None)
    if in_shapes is not None and _all_shapes(clause, shapes):
        return tuple(group[0] for group in kinds["shapes"] if in_shapes not in group)
    for section in sections:
        for form in forms:
            if section == "subjects" and form in table().swaps["subjects"]:
                return table().swaps["subjects"][form]
            if section == "things":
                kind = _kind(form, things, in_shapes is not None)
                if kind is not None:
                    return tuple(group[0] for group in kinds[kind] if form not in group)
    return ()


def _kind(word: str, things: Mapping[str, str], also_shape: bool) -> str | None:
    if not also_shape:
        return things.get(word)
    kinds = (k for k, groups in table().kinds.items() if k != "shapes" and any(word in group for group in groups))
    return next(kinds, None)


def _all_shapes(clause: Clause, shapes: set[str]) -> bool:
    """Whether every noun of the caption is a shape or a place on the screen."""
    nouns = [w for w, tag in zip(clause.words, clause.tags, strict=True) if tag.startswith("NN")]
    return all(w in _PLACES or {w, lemma(w, "NOUN")} & shapes for w in nouns)


def _number(clause: Clause, phrase: NounPhrase, first: int, old: str, new: str) -> str | None:
    """``new`` in the number of the old noun; ``None`` where it cannot take its place."""
    tag = clause.tags[phrase.head]
    plural = (
        old in PLURALS
        or tag == "NNS"
        or (tag.startswith("NN") and inflect(lemma(old, "NOUN"), "NNS") == old != lemma(old, "NOUN"))
    )
    before = clause.words[phrase.start : first]
    if new in PLURALS:
        return new if plural and not {"a", "an", "one"} & set(before) else None
    if plural:
        return None if new in MASS else inflect(new, "NNS")
    if any(word in _INDEFINITE for word in before):
        return None if new in MASS else new
    bare = not before or clause.tags[phrase.start] not in ("DT", "PRP$", "CD", "NN")
    if (bare or "some" in before) and old in MASS and new not in MASS:
        return None
    return new


def _rotated(options: Sequence[str], clause: Clause) -> tuple[str, ...]:
    """The options beginning at one that depends on the caption, so that no word stands for "wrong" everywhere."""
    if not options:
        return ()
    k = zlib.crc32(" ".join(clause.words).encode()) % len(options)
    return (*options[k:], *options[:k])


def _replaced(clause: Clause, start: int, end: int, new: Sequence[str]) -> str:
    tokens = [*clause.tokens[:start], *new, *clause.tokens[end:]]
    if start and tokens[start - 1].lower() in ("a", "an"):
        article = "an" if _vowel(new[0]) else "a"
        tokens[start - 1] = article.capitalize() if tokens[start - 1][0].isupper() else article
    return join(_cased(clause, tokens))


def _vowel(word: str) -> bool:
    """Whether "an" stands before the word."""
    return word.lower().startswith(tuple("aeiou")) and not word.lower().startswith(("uni", "use", "one", "eu"))


def _cased(clause: Clause, tokens: list[str]) -> list[str]:
    first = clause.tokens[0]
    if first[:1].isupper() and tokens[0][:1].islower():
        tokens[0] = tokens[0][:1].upper() + tokens[0][1:]
    return tokens
