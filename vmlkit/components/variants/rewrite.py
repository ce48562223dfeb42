"""Negation, passive and reordering of a caption that was understood (the fixed part of P4 Eq. (1))."""

from collections.abc import Sequence

from vmlkit.components.variants.clauses import COLLECTIVES, Clause, NounPhrase, join, noun_phrase, time_adverbs_before
from vmlkit.components.variants.english import BE, DO
from vmlkit.components.variants.wordlists import inflect, lemma, word_set

_OBJECTIVE = {"he": "him", "she": "her", "they": "them", "i": "me", "we": "us", "who": "whom"}
_SUBJECTIVE = {"him": "he", "her": "she", "them": "they", "me": "I", "us": "we", "it": "it", "you": "you"}
#: verbs whose passive does not exist or means something else
_NO_PASSIVE = word_set(
    "have become get look seem resemble cost weigh lack go come stand sit lie begin start continue keep try let "
    "want like fit suit last be walk run jump turn face"
)
_NOT_FRONTED = word_set("while as and or of than up down off out")
#: what tells that the rest belongs to the acting subject
_TIED_TO_SUBJECT = word_set("while and or but as who which that when , themselves himself herself itself")


def negated(clause: Clause) -> str | None:
    """The main verb negated; the negation removed where there is one."""
    tokens, words = list(clause.tokens), clause.words
    if clause.negation is not None:
        return _affirmed(clause)
    if "no" in words or "never" in words or "nobody" in words:
        return None
    i = clause.finite
    if clause.kind == "participle":
        return _finish(clause, [*tokens[: clause.subject_end], "not", *tokens[clause.subject_end :]])
    if clause.kind in ("auxiliary", "copula"):
        return _finish(clause, [*tokens[: i + 1], "not", *tokens[i + 1 :]])
    manner = time_adverbs_before(clause, clause.subject_end, i)
    helper = {"VBZ": "does", "VBP": "do", "VBD": "did"}[clause.tags[i]]
    if helper == "do" and not (clause.plural(clause.subject) or words[clause.subject.head] in COLLECTIVES):
        helper = "does"  # "person open the door"
    base = lemma(words[i], "VERB")
    return _finish(clause, [*tokens[:manner], helper, "not", *tokens[manner:i], base, *tokens[i + 1 :]])


def _affirmed(clause: Clause) -> str | None:
    """Without its negation: "does not open" becomes "opens"."""
    tokens, i, gone = list(clause.tokens), clause.finite, clause.negation
    assert gone is not None
    if clause.words[i] not in DO:
        return _finish(clause, [*tokens[:gone], *tokens[gone + 1 :]])
    tag = {"does": "VBZ", "did": "VBD"}.get(clause.words[i], "VBP")
    tokens[clause.verb] = inflect(clause.words[clause.verb], tag)
    return _finish(clause, [token for k, token in enumerate(tokens) if k not in (i, gone)])


def passive(clause: Clause, negate: bool) -> str | None:
    """The passive with its agent, negated or not; ``None`` without an object or in doubt."""
    obj, words = clause.object, clause.words
    if obj is None or not _can_be_passive(clause):
        return None
    base = lemma(words[clause.verb], "VERB")
    be = _be(clause, obj)
    if be is None:
        return None
    between = list(clause.tokens[clause.subject_end : clause.finite])
    times = time_adverbs_before(clause, clause.subject_end, clause.finite) - clause.subject_end
    inner = [t for t in clause.tokens[clause.finite + 1 : clause.verb] if t.lower() not in ("not", "n't", "n’t", "be")]
    particle = [clause.tokens[clause.particle]] if clause.particle is not None else []
    return _finish(
        clause,
        [
            *_as_subject(clause, obj),
            be[0],
            *between[:times],
            *(["not"] if negate else []),
            *be[1:],
            *between[times:],
            *inner,
            inflect(base, "VBN"),
            *particle,
            "by",
            *_as_agent(clause),
            *clause.tokens[clause.rest : clause.end],
            *clause.tokens[clause.end :],
        ],
    )


def _can_be_passive(clause: Clause) -> bool:
    words, obj = clause.words, clause.object
    assert obj is not None
    rest = clause.tags[clause.rest : clause.end]
    return not (
        clause.kind not in ("simple", "auxiliary")
        or clause.passive
        or clause.action != clause.verb
        or clause.second_object is not None
        or (clause.particle is None and lemma(words[clause.verb], "VERB") in _NO_PASSIVE)
        or words[obj.head] in ("himself", "herself", "itself", "themselves", "each", "something", "way", "place")
        or (clause.tags[clause.subject.head] == "PRP" and "PRP$" in clause.tags[obj.start : obj.end])
        or clause.subject.start > 0
        or any(tag.startswith("VB") or tag == "MD" for tag in rest)
        or _TIED_TO_SUBJECT & set(words[clause.rest : clause.end])
        or (rest and rest[0] not in ("IN", "TO", "RB"))
    )


def _be(clause: Clause, obj: NounPhrase) -> list[str] | None:
    """The auxiliaries of the passive, the finite one first."""
    plural, finite = clause.plural(obj), clause.words[clause.finite]
    present, past = ("are", "were") if plural else ("is", "was")
    if clause.kind == "simple":
        return [past if clause.tags[clause.finite] == "VBD" else present]
    if clause.tags[clause.finite] == "MD":
        return [clause.tokens[clause.finite], "be"]
    if finite in BE and clause.tags[clause.verb] == "VBG":
        return [past if finite in ("was", "were") else present, "being"]
    if finite in DO:
        return [past if finite == "did" else present]
    return None


def _as_subject(clause: Clause, obj: NounPhrase) -> list[str]:
    if clause.tags[obj.head] == "PRP":
        return [_SUBJECTIVE.get(clause.words[obj.head], clause.tokens[obj.head])]
    return list(clause.tokens[obj.start : obj.end])


def _as_agent(clause: Clause) -> list[str]:
    agent = list(clause.tokens[clause.subject.start : clause.subject_end])
    first = clause.words[clause.subject.start]
    if clause.tags[clause.subject.head] == "PRP":
        return [_OBJECTIVE.get(first, first), *agent[1:]]
    return [_lowered(agent[0]), *agent[1:]]


def positive(clause: Clause) -> str | None:
    """The same said with another structure: other voice, else the phrases of place brought to the front."""
    negate = clause.negation is not None
    return passive(clause, negate) or _active(clause) or _fronted(clause)


def _active(clause: Clause) -> str | None:
    """A passive with "by ..." turned into the active."""
    if not clause.passive or clause.negation is not None or clause.action != clause.verb:
        return None
    words, j = clause.words, clause.verb + 1
    if words[clause.finite] not in ("is", "are", "was", "were") or words[j : j + 1] != ("by",):
        return None
    agent = noun_phrase(words, clause.tags, j + 1, clause.end)
    if agent is None:
        return None
    base, plural = lemma(words[clause.verb], "VERB"), clause.plural(agent)
    past = words[clause.finite] in ("was", "were")
    if "being" in words[clause.finite : clause.verb]:
        verb = [("were" if plural else "was") if past else ("are" if plural else "is"), inflect(base, "VBG")]
    else:
        verb = [inflect(base, "VBD" if past else "VBP" if plural else "VBZ")]
    patient = clause.tokens[clause.subject.start : clause.subject_end]
    rest = [*clause.tokens[agent.end : clause.end], *clause.tokens[clause.end :]]
    return _finish(clause, [*clause.tokens[agent.start : agent.end], *verb, _lowered(patient[0]), *patient[1:], *rest])


def _fronted(clause: Clause) -> str | None:
    """Prepositional phrases at the end brought to the front: "on the ground, the two men wrestle"."""
    tags, words, i = clause.tags, clause.words, clause.rest
    while i < clause.end and tags[i] == "RB" and words[i] != "next":
        i += 1
    start = i
    if (
        clause.subject.start > 0
        or i >= clause.end
        or clause.kind in ("participle", "copula")
        or words[i] in _NOT_FRONTED
    ):
        return None
    while i < clause.end:
        j = i
        while j < clause.end and tags[j] in ("IN", "TO", "RB") and words[j] not in ("and", "while", "as"):
            j += 1
        phrase = noun_phrase(words, tags, j, clause.end)
        if j == i or phrase is None:
            return None
        i = phrase.end
    tokens = list(clause.tokens)
    rest = tokens[clause.end :]
    return _finish(clause, [*tokens[start : clause.end], ",", _lowered(tokens[0]), *tokens[1:start], *rest])


def _lowered(token: str) -> str:
    """A first word moved into the sentence; names such as "iPhone" and acronyms keep their letters."""
    return token.lower() if (token[:1].isupper() and token[1:].islower()) or token == "A" else token


def _finish(clause: Clause, tokens: Sequence[str]) -> str:
    """The text, beginning as large or small as the caption did."""
    first = clause.tokens[0]
    words = list(tokens)
    if first[:1].isupper():
        words[0] = words[0][:1].upper() + words[0][1:]
    return join(words)
