"""The offline default: variants by rules, word tables and a lexicon; nothing rather than nonsense."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from vmlkit.components.variants.checks import Answers, failures
from vmlkit.components.variants.clauses import Clause, parse
from vmlkit.components.variants.rewrite import negated, passive, positive
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.components.variants.swaps import changed_attribute, changed_object, changed_subject, changed_verb

_POSSIBILITIES: dict[Component, Callable[[Clause], Iterable[str | None]]] = {
    "negated_verb": lambda clause: [negated(clause)],
    "changed_verb": changed_verb,
    "changed_attribute": changed_attribute,
    "changed_object": changed_object,
    "changed_subject": changed_subject,
    "negated_passive": lambda clause: [passive(clause, clause.group.negation is None)],
    "positive": lambda clause: [positive(clause)],
}


class RuleGenerator:
    """Rules instead of a language model; see :class:`vmlkit.components.variants.generation.VariantGenerator`."""

    name = "rules"
    model = "rules-2"
    prompt_version = None
    deterministic = True

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> Answers:
        """The first possibility of each component that passes every check.

        Raises:
            MissingDependency: without textblob or lemminflect.
        """
        clause = parse(sentence)
        answers: Answers = {}
        for component in COMPONENTS:
            options = () if clause is None else _POSSIBILITIES[component](clause)
            fitting = (text for text in options if not failures(sentence, {**answers, component: text}))
            answers[component] = next(fitting, None)
        return answers
