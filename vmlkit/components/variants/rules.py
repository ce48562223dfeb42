"""The offline default: variants by rules, word tables and a lexicon; nothing rather than nonsense."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from vmlkit.components.variants.checks import Answers, failures
from vmlkit.components.variants.clauses import Clause, parse
from vmlkit.components.variants.rewrite import negated, passive, positive
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.components.variants.swaps import changed_attribute, changed_object, changed_subject, changed_verb

#: a further condition on a variant: the sentence, the component, the text
Allowed = Callable[[str, Component, str], bool]


class RuleGenerator:
    """Rules instead of a language model; see :class:`vmlkit.components.variants.generation.VariantGenerator`.

    Args:
        allowed: a condition of your own, such as that the variant is false in its video; the next possibility is
            tried where it says no.
    """

    name = "rules"
    model = "rules-2"
    prompt_version = None
    deterministic = True

    def __init__(self, allowed: Allowed | None = None) -> None:
        self.allowed = allowed

    def answer(self, sentence: str, refused: Mapping[Component, Sequence[Rejection]]) -> Answers:
        """The first possibility of each component that passes every check.

        Raises:
            MissingDependency: without textblob or lemminflect.
        """
        clause = parse(sentence)
        answers: Answers = {}
        for component in COMPONENTS:
            options = iter(()) if clause is None else _POSSIBILITIES[component](clause)
            answers[component] = next((t for t in options if self._fits(sentence, answers, component, t)), None)
        return answers

    def _fits(self, sentence: str, answers: Answers, component: Component, text: str) -> bool:
        if failures(sentence, {**answers, component: text}):
            return False
        return self.allowed is None or self.allowed(sentence, component, text)


def _one(rewrite: Callable[[Clause], str | None]) -> Callable[[Clause], Iterator[str]]:
    def options(clause: Clause) -> Iterator[str]:
        text = rewrite(clause)
        if text is not None:
            yield text

    return options


_POSSIBILITIES: dict[Component, Callable[[Clause], Iterator[str]]] = {
    "negated_verb": _one(negated),
    "changed_verb": changed_verb,
    "changed_attribute": changed_attribute,
    "changed_object": changed_object,
    "changed_subject": changed_subject,
    "negated_passive": _one(lambda clause: passive(clause, clause.group.negation is None)),
    "positive": _one(positive),
}
