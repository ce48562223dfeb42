"""Golden sentences: hand-tagged captions, and exact targets of negation and passive.

:func:`check_tags_case` takes ``{"sentences": [{"tokens", "tags"}]}`` with the classes N V J R O,
:func:`check_rules_case` takes ``{"cases": [{"sentence", "negated_verb", "passive", "negated_passive"}]}``, where an
absent key is not tested.
"""

from collections.abc import Callable

from tests.parity.golden import GoldenCase
from vmlkit.components.variants.checks import words_of
from vmlkit.components.variants.clauses import Clause, parse
from vmlkit.components.variants.english import tag_caption, word_class
from vmlkit.components.variants.rewrite import negated, passive
from vmlkit.components.variants.rules import RuleGenerator

#: share of words, and share of verbs, that must get the class given by hand
ACCURACY, VERB_RECALL = 0.98, 0.97

_REWRITES: dict[str, Callable[[Clause], str | None]] = {
    "negated_verb": negated,
    "passive": lambda clause: passive(clause, negate=False),
    "negated_passive": lambda clause: passive(clause, negate=True),
}


def check_tags_case(case: GoldenCase) -> None:
    """The share of words and of verbs with the right class.

    Raises:
        AssertionError: naming the words that differ.
    """
    wrong, words, verbs, found = [], 0, 0, 0
    assert case.meta["sentences"], f"{case.name}: no sentence"
    for sentence in case.meta["sentences"]:
        tokens, golden = sentence["tokens"], sentence["tags"]
        ours = [word_class(tag) for tag in tag_caption(tokens)]
        rows = list(zip(tokens, golden, ours, strict=True))
        wrong += [f"{token} {g}->{o} in '{' '.join(tokens)}'" for token, g, o in rows if g != o]
        words += len(rows)
        verbs += sum(g == "V" for _, g, _ in rows)
        found += sum(g == o == "V" for _, g, o in rows)
    assert len(wrong) <= (1 - ACCURACY) * words, f"{case.name}: {len(wrong)} of {words} words differ: {wrong}"
    assert found >= VERB_RECALL * verbs, f"{case.name}: {found} of {verbs} verbs found: {wrong}"


def check_rules_case(case: GoldenCase) -> None:
    """Every target exactly, both from the rewriting rules and from the generator.

    Raises:
        AssertionError: naming the targets that differ.
    """
    wrong, tested = [], 0
    for row in case.meta["cases"]:
        sentence = row["sentence"]
        clause = parse(sentence)
        answers = RuleGenerator().answer(sentence, {})
        # a passive that keeps the meaning is the positive text
        given: dict[str, str | None] = {**dict(answers.items()), "passive": answers["positive"]}
        for target in row.keys() - {"sentence"}:
            if target not in _REWRITES:
                raise AssertionError(f"{case.name}: no rule for the target '{target}'")
            ours = None if clause is None else _REWRITES[target](clause)
            tested += 1
            if ours != row[target] or given[target] != row[target]:
                wrong.append(f"{sentence!r} {target}: {ours!r} and {given[target]!r}, golden {row[target]!r}")
            assert words_of(row[target]), f"{case.name}: empty target of {sentence!r}"
    assert tested, f"{case.name}: no target"
    assert not wrong, f"{case.name}: " + "; ".join(wrong)


TEXT_CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    "pos_sentences_": check_tags_case,
    "rule_negatives_": check_rules_case,
}
