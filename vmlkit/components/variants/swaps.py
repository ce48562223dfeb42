"""Other verbs, attributes, objects and subjects for a caption that was understood (the changed parts of P4 Eq. (1))."""

import zlib
from collections.abc import Iterator, Sequence

from vmlkit.components.variants.clauses import COLLECTIVES, PLURALS, Clause, NounPhrase, join, noun_phrase
from vmlkit.components.variants.english import BE
from vmlkit.components.variants.wordlists import inflect, lemma, lemmas, same_meaning, table, things, word_set

MASS, _PLACES, _PATHS = word_set("mass"), word_set("places"), word_set("paths")
#: verbs that do not go with what follows "to", "with" or "at"
_ALONE = ("sleep", "hide", "ignore")
_INDEFINITE = {"a", "an", "one", "another", "each", "every"}


def changed_verb(clause: Clause) -> Iterator[str]:
    """Other actions in place of the one that is seen."""
    c, i, after = clause.caption, clause.action, clause.after
    base = lemma(c.words[i], "VERB")
    if c.words[i] in BE:
        return
    yield from _changed_phrase(clause, base)
    if after.particle is not None or (clause.group.passive and base in ("dress", "seat", "cover", "fill")):
        return
    with_object = after.object is not None or (clause.group.passive and i == clause.group.verb)
    options = table().swaps["verbs with object" if with_object else "verbs without object"].get(base, ())
    following = next((w for w in c.words[after.rest :] if w in _PATHS | {"with", "at", "on"}), None)
    for other in _rotated(options, clause):
        if _goes_with(other, following) and not same_meaning(base, other):
            yield _replaced(clause, i, i + 1, [_like(other, clause, i)])


def _goes_with(verb: str, preposition: str | None) -> bool:
    if preposition is None:
        return True
    return not (verb in word_set("still") and preposition in _PATHS) and not (verb in _ALONE and preposition != "on")


def _changed_phrase(clause: Clause, base: str) -> Iterator[str]:
    """A verb with what belongs to it, such as "turn on" or "slide to the left"."""
    i, words, particle, phrases = clause.action, clause.caption.words, clause.after.particle, table().swaps["phrases"]
    if particle is not None and clause.after.object is not None and particle > clause.after.object.start:
        other = phrases.get(f"{base} {words[particle]}", ("",))[0].split()
        if len(other) == 2:
            tokens = list(clause.tokens)
            tokens[i], tokens[particle] = _like(other[0], clause, i), other[1]
            yield join(_cased(clause, tokens))
        return
    for length in range(min(5, clause.end - i), 1, -1):
        found = phrases.get(" ".join([base, *words[i + 1 : i + length]]))
        if found:
            verb, *others = found[0].split()
            yield _replaced(clause, i, i + length, [_like(verb, clause, i), *others])
            return


def _like(base: str, clause: Clause, i: int) -> str:
    """A verb in the form of the word at ``i``."""
    tag = clause.caption.tags[i]
    if tag == "VBP" and not clause.plural(clause.subject):
        return base
    first, _, particle = base.partition(" ")
    return f"{inflect(first, tag)} {particle}".strip()


def changed_attribute(clause: Clause) -> Iterator[str]:
    """The opposite of an adverb, else of an adjective; adverbs first, then from left to right."""
    words = clause.caption.words
    for section, tag in (("adverbs", "RB"), ("attributes", "JJ")):
        for i in range(clause.end):
            degree = section == "attributes" and i and lemma(words[i - 1], "VERB") in ("become", "get", "grow", "turn")
            if degree or not clause.caption.tags[i].startswith(tag):
                continue
            for other in _rotated(table().swaps[section].get(words[i], ()), clause):
                fits = words[i] != "old" or (other == "young") == _names_actor(clause, i)
                if fits and other not in words and not same_meaning(words[i], other):
                    yield _replaced(clause, i, i + 1, [other])


def _names_actor(clause: Clause, i: int) -> bool:
    """Whether the next noun after ``i`` is a person or an animal."""
    c = clause.caption
    noun = next((c.words[k] for k in range(i, clause.end) if c.tags[k].startswith("NN")), "")
    return lemma(noun, "NOUN") in table().swaps["subjects"]


def changed_object(clause: Clause) -> Iterator[str]:
    """Another thing of the same kind for the object, or for what the first preposition after the verb names."""
    phrase = clause.after.second_object or clause.after.object or _prepositional(clause)
    if phrase is not None and clause.caption.tags[phrase.head] != "PRP":
        yield from _other_noun(clause, phrase, ("things", "subjects"))


def changed_subject(clause: Clause) -> Iterator[str]:
    """Another actor."""
    c, phrase = clause.caption, clause.subject
    word, inner = c.words[phrase.head], phrase.head + 2
    if c.tags[phrase.head] == "PRP":
        for other in table().swaps["pronouns"].get(word, ()):
            yield _replaced(clause, phrase.head, phrase.head + 1, [other])
        if word == "they":
            yield _replaced(clause, phrase.head, phrase.head + 1, ["the", _rotated(("dogs", "horses"), clause)[0]])
        return
    members = noun_phrase(c, inner) if word in COLLECTIVES and c.word(inner - 1) == "of" else None
    yield from _other_noun(clause, members or phrase, ("subjects", "things"))


def _prepositional(clause: Clause) -> NounPhrase | None:
    """The first noun after a preposition whose kind is known."""
    c = clause.caption
    for i in range(clause.action + 1, clause.end - 1):
        if c.tags[i] not in ("IN", "TO") or c.words[i] in ("and", "or", "but", "while", "as"):
            continue
        phrase = noun_phrase(c, i + 1)
        word = "" if phrase is None else c.words[phrase.head]
        kind = None if word in _PLACES - {"wall"} else things().get(lemma(word, "NOUN"))
        if kind not in (None, "drinks"):  # "near the water" is a place and no drink
            return phrase
    return None


def _other_noun(clause: Clause, phrase: NounPhrase, sections: Sequence[str]) -> Iterator[str]:
    """Other nouns in place of a phrase's noun, with the nouns that specify it."""
    c, first = clause.caption, phrase.head
    word = c.words[first]
    while first > phrase.start and c.tags[first - 1].startswith("NN"):
        first -= 1
    present = {form for w in c.words for form in lemmas(w)}
    for other in _rotated(_candidates(clause, word, sections), clause):
        new = None if other in present or same_meaning(word, other) else _number(clause, phrase, first, word, other)
        if new is not None:
            yield _replaced(clause, first, phrase.head + 1, [new])


def _candidates(clause: Clause, word: str, sections: Sequence[str]) -> tuple[str, ...]:
    """What may stand for a noun: another shape where all are shapes, else another actor or thing of its kind."""
    forms, shapes = (word, lemma(word, "NOUN")), {w for group in table().kinds["shapes"] for w in group}
    shape = next((form for form in forms if form in shapes), None)
    if shape is not None and _all_shapes(clause, shapes):
        return _others("shapes", shape)
    for section, form in ((section, form) for section in sections for form in forms):
        found = table().swaps["subjects"].get(form) if section == "subjects" else _same_kind(form, shape is not None)
        if found:
            return found
    return ()


def _others(kind: str, word: str) -> tuple[str, ...]:
    """One name of every other thing of a kind."""
    return tuple(group[0] for group in table().kinds[kind] if word not in group)


def _same_kind(word: str, also_shape: bool) -> tuple[str, ...]:
    """Other things of the kind of one; what is a shape too counts as what else it is."""
    kinds = [kind for kind, groups in table().kinds.items() if any(word in group for group in groups)]
    named = [kind for kind in kinds if not (also_shape and kind == "shapes")]
    return _others(named[0], word) if named else ()


def _all_shapes(clause: Clause, shapes: set[str]) -> bool:
    """Whether every noun of the caption is a shape or a place on the screen."""
    c = clause.caption
    nouns = [word for word, tag in zip(c.words, c.tags, strict=True) if tag.startswith("NN")]
    return all(word in _PLACES or {word, lemma(word, "NOUN")} & shapes for word in nouns)


def _number(clause: Clause, phrase: NounPhrase, first: int, old: str, new: str) -> str | None:
    """``new`` in the number of the old noun; ``None`` where it cannot take its place."""
    before, tag = clause.caption.words[phrase.start : first], clause.caption.tags[phrase.start]
    plural = old in PLURALS or clause.plural(phrase._replace(coordinated=False))
    if new in PLURALS:
        return new if plural and not {"a", "an", "one"} & set(before) else None
    if plural:
        return None if new in MASS else inflect(new, "NNS")
    if _INDEFINITE & set(before):
        return None if new in MASS else new
    bare = not before or "some" in before or tag not in ("DT", "PRP$", "CD", "NN")
    return None if bare and old in MASS and new not in MASS else new


def _rotated(options: Sequence[str], clause: Clause) -> tuple[str, ...]:
    """The options beginning at one that depends on the caption, so that no word stands for "wrong" everywhere."""
    if not options:
        return ()
    k = zlib.crc32(" ".join(clause.tokens).lower().encode()) % len(options)
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
