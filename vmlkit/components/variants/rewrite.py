"""Negation, passive and reordering of a caption that was understood (the fixed part of P4 Eq. (1))."""

from collections.abc import Sequence

from vmlkit.components.variants.clauses import COLLECTIVES, TIMES, Clause, NounPhrase, join, noun_phrase
from vmlkit.components.variants.english import ADVERBS, BE, DO, HAVE, Caption
from vmlkit.components.variants.wordlists import inflect, lemma, word_set

_OBJECTIVE = {"he": "him", "she": "her", "they": "them", "i": "me", "we": "us", "who": "whom"}
_SUBJECTIVE = {"him": "he", "her": "she", "them": "they", "me": "I", "us": "we", "it": "it", "you": "you"}


def negated(clause: Clause) -> str | None:
    """The main verb negated; the negation removed where there is one."""
    tokens, c, group = list(clause.tokens), clause.caption, clause.group
    if group.negation is not None:
        return _affirmed(clause)
    if {"no", "never", "nobody"} & set(c.words):
        return None
    if group.kind == "simple":
        return _with_do(clause)
    if group.kind == "existential" and c.words[clause.subject.start] in ("some", "any"):
        return None  # "there are not some" is no English
    i = group.subject_end if group.kind == "participle" else group.finite + 1
    return _finish(clause, [*tokens[:i], "not", *tokens[i:]])


def _with_do(clause: Clause) -> str | None:
    """ "Opens" becomes "does not open", and so do the verbs that "and" joins to it."""
    tokens, c, i = list(clause.tokens), clause.caption, clause.group.finite
    helper = {"VBZ": "does", "VBP": "do", "VBD": "did"}[c.tags[i]]
    if helper == "do" and not (clause.plural(clause.subject) or c.words[clause.subject.head] in COLLECTIVES):
        helper = "does"  # "person open the door"
    for k in [i, *_joined_verbs(c, i)]:
        if c.words[k] in BE | HAVE | DO and k != i:
            return None
        tokens[k] = lemma(c.words[k], "VERB")
    manner = _time_adverbs_end(clause)
    return _finish(clause, [*tokens[:manner], helper, "not", *tokens[manner:]])


def _joined_verbs(c: Caption, finite: int) -> list[int]:
    """Finite verbs with the same subject: "stops and talks"."""
    found = []
    for k in range(finite + 1, len(c.words)):
        before = k - 1
        while c.tag(before) == "RB":
            before -= 1
        if c.tags[k] == c.tags[finite] and c.words[before] in ("and", "or", ","):
            found.append(k)
    return found


def _affirmed(clause: Clause) -> str | None:
    """Without its negation: "does not open" becomes "opens"."""
    tokens, words, i, gone = list(clause.tokens), clause.caption.words, clause.group.finite, clause.group.negation
    dropped = {gone}
    if words[i] in DO:
        tag = {"does": "VBZ", "did": "VBD"}.get(words[i], "VBP")
        tokens[clause.group.verb] = inflect(words[clause.group.verb], tag)
        dropped.add(i)
    return _finish(clause, [token for k, token in enumerate(tokens) if k not in dropped])


def _time_adverbs_end(clause: Clause) -> int:
    """Where manner adverbs begin before the finite verb: time adverbs stay outside a negation."""
    i = clause.group.subject_end
    while i < clause.group.finite and clause.caption.words[i] in TIMES | ADVERBS:
        i += 1
    return i


def passive(clause: Clause, negate: bool) -> str | None:
    """The passive with its agent, negated or not; ``None`` without an object or in doubt."""
    c, group, obj = clause.caption, clause.group, clause.after.object
    if obj is None or not _can_be_passive(clause, obj):
        return None
    be = _be(clause, obj)
    if be is None:
        return None
    manner, particle = _time_adverbs_end(clause), clause.after.particle
    inner = [t for t in clause.tokens[group.finite + 1 : group.verb] if t.lower() not in ("not", "n't", "n’t", "be")]
    return _finish(
        clause,
        [
            *_as_subject(clause, obj),
            *be[0],
            *clause.tokens[group.subject_end : manner],
            *(["not"] if negate else []),
            *be[1],
            *(t for t in clause.tokens[manner : group.finite] if t != "not"),
            *inner,
            inflect(lemma(c.words[group.verb], "VERB"), "VBN"),
            *(clause.tokens[particle : particle + 1] if particle is not None else ()),
            "by",
            *_as_agent(clause),
            *clause.tokens[clause.after.rest :],
        ],
    )


def _can_be_passive(clause: Clause, obj: NounPhrase) -> bool:
    c, group, after = clause.caption, clause.group, clause.after
    active = group.kind in ("simple", "auxiliary", "participle") and not group.passive and clause.action == group.verb
    verb_allows = after.particle is not None or lemma(c.words[group.verb], "VERB") not in word_set("no_passive")
    reflexive = c.words[obj.head] in word_set("no_subject") or (
        c.tags[clause.subject.head] == "PRP" and "PRP$" in c.tags[obj.start : obj.end]
    )
    whole = clause.subject.start == 0 and after.second_object is None
    return active and verb_allows and whole and not reflexive and _rest_moves_along(c, after.rest)


def _rest_moves_along(c: Caption, rest: int) -> bool:
    """Whether what follows the object makes sense after a passive."""
    tags = c.tags[rest:]
    verbs = any(tag.startswith("VB") or tag == "MD" for tag in tags)
    return not verbs and not word_set("tied") & set(c.words[rest:]) and (not tags or tags[0] in ("IN", "TO", "RB"))


def _be(clause: Clause, obj: NounPhrase) -> tuple[list[str], list[str]] | None:
    """The auxiliaries of the passive: the finite one, and what stands after "not"."""
    finite, tag = clause.caption.words[clause.group.finite], clause.caption.tags[clause.group.finite]
    present, past = ("are", "were") if clause.plural(obj) else ("is", "was")
    if clause.group.kind == "participle":
        return [], ["being"]
    if clause.group.kind == "simple" or finite in DO:
        return [past if tag == "VBD" else present], []
    if tag == "MD":
        return [clause.tokens[clause.group.finite]], ["be"]
    if finite in BE and clause.caption.tags[clause.group.verb] == "VBG":
        return [past if finite in ("was", "were") else present], ["being"]
    if finite in HAVE and clause.caption.tags[clause.group.verb] == "VBN":
        return [finite if finite == "had" else "have" if clause.plural(obj) else "has"], ["been"]
    return None


def _as_subject(clause: Clause, obj: NounPhrase) -> list[str]:
    if clause.caption.tags[obj.head] == "PRP":
        return [_SUBJECTIVE.get(clause.caption.words[obj.head], clause.tokens[obj.head])]
    return list(clause.tokens[obj.start : obj.end])


def _as_agent(clause: Clause) -> list[str]:
    agent, first = _said_later(clause), clause.caption.words[clause.subject.start]
    if clause.caption.tags[clause.subject.head] == "PRP":
        return [_OBJECTIVE.get(first, first), *agent[1:]]
    return agent


def _said_later(clause: Clause) -> list[str]:
    """The subject, not at the beginning."""
    first, *others = clause.tokens[clause.subject.start : clause.group.subject_end]
    return [_lowered(first), *others]


def positive(clause: Clause) -> str | None:
    """The same said with another structure: other voice, else the phrases of place brought to the front."""
    negate = clause.group.negation is not None
    return passive(clause, negate) or _active(clause) or _without_there(clause) or _fronted(clause)


def _active(clause: Clause) -> str | None:
    """A passive with "by ..." turned into the active."""
    c, group = clause.caption, clause.group
    j, finite = group.verb + 1, c.words[group.finite]
    plain = group.passive and group.negation is None and clause.action == group.verb
    agent = noun_phrase(c, j + 1) if plain and finite in ("is", "are", "was", "were") and c.word(j) == "by" else None
    if agent is None:
        return None
    base, tag = lemma(c.words[group.verb], "VERB"), "VBD" if finite in ("was", "were") else "VBZ"
    if tag == "VBZ" and clause.plural(agent):
        tag = "VBP"
    verb = [inflect(base, tag)]
    if "being" in c.words[group.finite : group.verb]:
        forms = {"VBZ": "is", "VBP": "are", "VBD": "were" if clause.plural(agent) else "was"}
        verb = [forms[tag], inflect(base, "VBG")]
    return _finish(
        clause, [*clause.tokens[agent.start : agent.end], *verb, *_said_later(clause), *clause.tokens[agent.end :]]
    )


def _without_there(clause: Clause) -> str | None:
    """ "There is a man standing" becomes "a man is standing"."""
    group, tokens = clause.group, clause.tokens
    if group.kind != "existential" or group.negation is not None or group.verb == group.finite:
        return None
    be = "is" if tokens[group.finite].lower() in ("'s", "’s") else tokens[group.finite].lower()
    adverbs = tokens[group.finite + 1 : clause.subject.start]
    return _finish(clause, [*_said_later(clause), be, *adverbs, *tokens[group.subject_end :]])


def _fronted(clause: Clause) -> str | None:
    """Prepositional phrases at the end brought to the front: "on the ground, the two men wrestle"."""
    c, i = clause.caption, clause.after.rest
    while c.tag(i) == "RB" and c.words[i] != "next":
        i += 1
    fragment = clause.group.kind in ("participle", "copula", "existential")
    if clause.subject.start > 0 or fragment or c.word(i) in word_set("not_fronted") or not _only_places(c, i):
        return None
    tokens = list(clause.tokens)
    return _finish(clause, [*tokens[i : clause.end], ",", _lowered(tokens[0]), *tokens[1:i], *tokens[clause.end :]])


def _only_places(c: Caption, i: int) -> bool:
    """Whether the caption ends in prepositional phrases from ``i`` on, one at least."""
    start = i
    while i < len(c.words):
        j = i
        while c.tag(j) in ("IN", "TO", "RB") and c.words[j] not in ("and", "while", "as"):
            j += 1
        phrase = noun_phrase(c, j)
        if j == i or phrase is None:
            return False
        i = phrase.end
    return i > start


def _lowered(token: str) -> str:
    """A first word moved into the sentence; names such as "iPhone" and acronyms keep their letters."""
    return token.lower() if (token[:1].isupper() and token[1:].islower()) or token == "A" else token


def _finish(clause: Clause, tokens: Sequence[str]) -> str:
    """The text, beginning as large or small as the caption did."""
    first, *others = tokens
    if clause.tokens[0][:1].isupper():
        first = first[:1].upper() + first[1:]
    return join([first, *others])
