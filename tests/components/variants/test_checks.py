"""Every check refuses what it is for and lets the rest pass; refused answers are asked for again, with reasons."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from vmlkit.components.variants.checks import check_of, failures, is_negated, words_changed
from vmlkit.components.variants.generation import BrokenAnswer, Summary, generate, variants_of
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection, VariantWriter, read_variants

pytest.importorskip("lemminflect")

ANCHOR = "a person opens the fridge."
GOOD: dict[Component, str | None] = {
    "negated_verb": "a person does not open the fridge.",
    "changed_verb": "a person closes the fridge.",
    "changed_attribute": None,
    "changed_object": "a person opens the window.",
    "changed_subject": "a dog opens the fridge.",
    "negated_passive": "the fridge is not opened by a person.",
    "positive": "the fridge is opened by a person.",
}


def test_the_example_of_the_paper_passes() -> None:
    assert failures(ANCHOR, GOOD) == {}


@pytest.mark.parametrize(
    ("component", "text", "reason"),
    [
        ("positive", "...", "is empty"),
        ("positive", "The fridge is opened. A person does it.", "is not one sentence"),
        ("positive", "the fridge is opened\nby a person", "is not one sentence"),
        ("positive", "A person, opens the FRIDGE!", "does not differ"),
        ("positive", "the fridge " + "and the fridge " * 6 + "is opened", "has 22 words, more than 18"),
        ("positive", "the fridge is never opened by a person", "is negated"),
        ("changed_verb", "a person slams the old heavy door", "changes 4 words, more than 3"),
        ("negated_verb", "a person closes the fridge", "is not negated"),
        ("negated_passive", "the fridge is opened by someone", "is not negated"),
        ("changed_object", "a person opens the refrigerator.", "'refrigerator' means the same as 'fridge'"),
        ("changed_object", "a person opens the fridges.", "'fridges' means the same as 'fridge'"),
        ("changed_verb", "a person opened the fridge.", "'opened' means the same as 'opens'"),
        ("changed_subject", "someone opens the fridge.", "'someone' means the same as 'person'"),
    ],
)
def test_reasons(component: Component, text: str, reason: str) -> None:
    assert reason in failures(ANCHOR, {component: text})[component]


def test_three_words_may_change_in_a_short_sentence() -> None:
    assert failures(ANCHOR, {"changed_verb": "a person slams the old door"}) == {}


def test_what_is_long_may_change_more_words() -> None:
    long = "a person with a red hat and a blue coat opens the big white door of the old house"
    other = long.replace("opens the big white", "closes the small black").replace("hat", "cap").replace("coat", "shirt")
    assert words_changed(long.split(), other.split()) == 5
    assert failures(long, {"changed_verb": other}) == {}
    more = other.replace("house", "shop")
    assert "changes 6 words, more than 5" in failures(long, {"changed_verb": more})["changed_verb"]


def test_of_equal_answers_the_later_is_refused() -> None:
    same = {**GOOD, "changed_object": "a person closes the fridge"}
    assert failures(ANCHOR, same) == {"changed_object": "is the same as changed_verb"}
    assert failures(ANCHOR, {"positive": GOOD["positive"], "negated_passive": GOOD["negated_passive"]}) == {}
    assert failures(ANCHOR, {"positive": GOOD["positive"], "negated_passive": GOOD["positive"]}) == {
        "negated_passive": "is not negated"
    }


@pytest.mark.parametrize("anchor", ["a man is not reading", "a man isn't reading", "a man never reads", "no man reads"])
def test_a_negated_sentence_swaps_the_roles(anchor: str) -> None:
    assert is_negated(anchor)
    assert failures(anchor, {"negated_verb": "a man is reading"}) == {}
    assert failures(anchor, {"negated_verb": "a man does not read"}) == {
        "negated_verb": "keeps the negation of the sentence"
    }
    assert failures(anchor, {"positive": "reading, a man is"}) == {
        "positive": "drops the negation of the sentence",
    }


def test_words_changed() -> None:
    assert words_changed([], ["a"]) == 1
    assert words_changed(["a", "b", "c"], ["a", "c"]) == 1
    assert words_changed(["puts", "down", "it"], ["does", "not", "put", "down", "it"]) == 3
    assert words_changed(["a", "b", "c", "d"], ["d", "c", "b", "a"]) == 4


class Scripted:
    """Gives prepared answers, one after another."""

    name, model, prompt_version, deterministic = "local", "scripted", "1", False

    def __init__(self, *answers: Mapping[Component, str | None] | BrokenAnswer) -> None:
        self.answers = list(answers)
        self.refused: list[Mapping[Component, Sequence[Rejection]]] = []

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> dict[Component, str | None]:
        self.refused.append(dict(refused))
        answer = self.answers[min(len(self.refused), len(self.answers)) - 1]
        if isinstance(answer, BrokenAnswer):
            raise answer
        return dict(answer)


def test_refused_answers_are_asked_for_twice_more_then_null() -> None:
    bad = {**GOOD, "negated_verb": "a person opens a fridge"}
    generator = Scripted(bad)
    rows = {row.component: row for row in variants_of(generator, ANCHOR, date="2026-01-31")}
    assert len(generator.refused) == 3
    assert generator.refused[0] == {}
    once = Rejection("a person opens a fridge", "is not negated")
    assert generator.refused[1:] == [{"negated_verb": (once,)}, {"negated_verb": (once, once)}]
    row = rows["negated_verb"]
    assert (row.text, row.valid, row.attempts, len(row.rejected)) == (None, False, 3, 3)
    assert (rows["positive"].valid, rows["positive"].attempts, rows["positive"].date) == (True, 1, "2026-01-31")


def test_a_second_answer_may_be_taken_and_null_needs_no_reason() -> None:
    generator = Scripted(BrokenAnswer("is not a JSON object"), GOOD)
    rows = {row.component: row for row in variants_of(generator, ANCHOR)}
    assert rows["negated_verb"].text == GOOD["negated_verb"]
    assert rows["negated_verb"].rejected == (Rejection(None, "is not a JSON object"),)
    assert rows["changed_attribute"].text is None
    assert rows["changed_attribute"].attempts == 2


def test_a_deterministic_generator_is_asked_once() -> None:
    generator = Scripted({**GOOD, "negated_verb": "a person opens a fridge"})
    generator.deterministic = True
    rows = {row.component: row for row in variants_of(generator, ANCHOR)}
    assert len(generator.refused) == 1
    assert (rows["negated_verb"].valid, rows["negated_verb"].attempts) == (False, 1)


def test_only_the_components_asked_for_are_written_and_counted(tmp_path: Path) -> None:
    path, parts = tmp_path / "v.jsonl", ("negated_verb", "changed_attribute", "positive")
    bad = {**GOOD, "negated_verb": "a person opens a fridge", "changed_object": ANCHOR}
    with VariantWriter(path) as writer:
        list(generate(Scripted(bad), [ANCHOR, ANCHOR], writer, parts))
    rows = read_variants(path)
    assert [row.component for row in rows] == list(parts)
    summary = Summary()
    summary.add(rows)
    assert [summary.accepted[c] for c in COMPONENTS] == [0, 0, 0, 0, 0, 0, 1]
    assert [summary.refused[c] for c in COMPONENTS] == [1, 0, 0, 0, 0, 0, 0]
    assert [summary.absent[c] for c in COMPONENTS] == [0, 0, 1, 0, 0, 0, 0]
    second = Scripted(GOOD)
    with VariantWriter(path) as writer:
        list(generate(second, [ANCHOR], writer))
    assert len(read_variants(path)) == len(COMPONENTS)
    assert len(second.refused) == 1


@pytest.mark.parametrize(
    ("component", "text", "check"),
    [
        ("changed_verb", "...", "empty"),
        ("positive", "a man sits. a dog runs.", "one sentence"),
        ("positive", "A man sits!", "unchanged"),
        ("positive", " ".join(["word"] * 40), "length"),
        ("negated_verb", "a man stands.", "negation"),
        ("positive", "a man never sits.", "negation"),
        ("changed_subject", "two big dogs in the yard sit.", "other words"),
        ("changed_verb", "a man is sitting.", "same meaning"),
    ],
)
def test_every_reason_names_its_check(component: Component, text: str, check: str) -> None:
    reason = failures("a man sits.", {component: text})[component]
    assert check_of(Rejection(text, reason)) == check


def test_repetitions_and_missing_answers_have_a_check_too() -> None:
    twice = "a dog sits."
    reason = failures("a man sits.", {"changed_subject": twice, "changed_object": twice})["changed_object"]
    assert check_of(Rejection(twice, reason)) == "repeated"
    assert check_of(Rejection(None, "is not a JSON object")) == "no answer"
