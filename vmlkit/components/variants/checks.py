"""What every variant must satisfy, whoever wrote it: a reason for each answer that does not (P4 Sec. 3.1)."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from vmlkit.components.variants.rows import Component, Rejection
from vmlkit.components.variants.wordlists import lemma, lemmas, same_meaning

#: one text or ``None`` (the sentence has no such part) by component
Answers = dict[Component, str | None]

#: components that change one part and keep every other word
SINGLE_PART: tuple[Component, ...] = (
    "negated_verb",
    "changed_verb",
    "changed_attribute",
    "changed_object",
    "changed_subject",
)
NEGATIONS = frozenset({"not", "never", "no", "cannot"})
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


#: the checks by what a reason of theirs holds; a reason of another form says that there was no answer
_CHECKS = {
    "empty": "is empty",
    "one sentence": "is not one sentence",
    "unchanged": "does not differ from the sentence",
    "length": "words, more than",
    "negation": "negat",
    "same meaning": "means the same as",
    "repeated": "is the same as",
}


def check_of(rejection: Rejection) -> str:
    """The name of the check that refused an answer.

    >>> check_of(Rejection("a dog.", "is not negated")), check_of(Rejection("a cat.", "changes 9 words, more than 3"))
    ('negation', 'other words')
    """
    if rejection.text is None:
        return "no answer"
    if rejection.reason.startswith("changes"):
        return "other words"
    return next((name for name, part in _CHECKS.items() if part in rejection.reason), "no answer")


def words_of(text: str) -> list[str]:
    """Lower-cased words without punctuation.

    >>> words_of("The dog's ball isn't red.")
    ['the', "dog's", 'ball', "isn't", 'red']
    """
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def is_negated(text: str) -> bool:
    """Whether not, n't, never or no occurs."""
    return any(word in NEGATIONS or word.endswith("n't") for word in words_of(text))


def words_changed(old: Sequence[str], new: Sequence[str]) -> int:
    """The least number of words put in, left out or replaced.

    >>> words_changed("he opens it".split(), "he does not open it".split())
    3
    """
    row = list(range(len(new) + 1))
    for i, a in enumerate(old, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(new, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def failures(sentence: str, answers: Mapping[Component, str | None]) -> dict[Component, str]:
    """Why answers must be refused; what is fine, or ``None``, does not occur in the result.

    Of two equal answers the later one is refused.
    """
    reasons: dict[Component, str] = {}
    seen: dict[tuple[str, ...], Component] = {}
    for component, text in answers.items():
        if text is None:
            continue
        words = tuple(words_of(text))
        reason = _failure(sentence, component, text)
        if reason is None and words in seen:
            reason = f"is the same as {seen[words]}"
        if reason is None:
            seen[words] = component
        else:
            reasons[component] = reason
    return reasons


def _failure(sentence: str, component: Component, text: str) -> str | None:
    old, new = words_of(sentence), words_of(text)
    if not new:
        return "is empty"
    if not is_one_sentence(text, sentence):
        return "is not one sentence"
    if new == old:
        return "does not differ from the sentence"
    if len(new) > 2 * len(old) + 8:
        return f"has {len(new)} words, more than {2 * len(old) + 8}"
    return _polarity(sentence, component, text) or (_single_part(component, old, new))


def is_one_sentence(text: str, sentence: str = "") -> bool:
    """One line, and sentence ends inside it only where the anchor has them too."""
    inner = re.compile(r"[.!?;]+[\"'”’)]*\s+\S")
    return "\n" not in text.strip() and len(inner.findall(text)) <= len(inner.findall(sentence))


def _polarity(sentence: str, component: Component, text: str) -> str | None:
    before, after = is_negated(sentence), is_negated(text)
    if component.startswith("negated_"):
        if before and after:
            return "keeps the negation of the sentence"
        if not before and not after:
            return "is not negated"
    elif component == "positive" and before != after:
        return "drops the negation of the sentence" if before else "is negated"
    return None


def _single_part(component: Component, old: list[str], new: list[str]) -> str | None:
    if component not in SINGLE_PART:
        return None
    if component == "negated_verb":  # "stops and talks" becomes "does not stop and talk": the same words
        old, new = ([lemma(word, "VERB") for word in words] for words in (old, new))
    changed, allowed = words_changed(old, new), max(3, int(0.3 * len(old)))
    if changed > allowed:
        return f"changes {changed} words, more than {allowed}"
    if component == "negated_verb":
        return None
    for kind, i, j, k, l in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "replace":
            continue
        for a in old[i:j]:
            for b in new[k:l]:
                if a != b and (same_meaning(a, b) or lemmas(a) & lemmas(b)):
                    return f"'{b}' means the same as '{a}'"
    return None
