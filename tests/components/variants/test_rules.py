"""Variants by rules: tags, targets, coverage, false in the toy world, and nothing rather than nonsense."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components.toy_reading import is_false, read_caption
from tests.parity.golden import GoldenCase
from tests.parity.golden_text import check_rules_case, check_tags_case
from vmlkit.components.variants import wordlists
from vmlkit.components.variants.checks import failures
from vmlkit.components.variants.clauses import join, parse, tokenize
from vmlkit.components.variants.english import tag_caption, word_class
from vmlkit.components.variants.rows import COMPONENTS, Component
from vmlkit.components.variants.rules import RuleGenerator
from vmlkit.components.variants.wordlists import inflect, read_table, same_meaning, table, things
from vmlkit.data.toyworld import ToyConfig, ToyVideo, make_video
from vmlkit.errors import DataError, MissingDependency

pytest.importorskip("textblob")
pytest.importorskip("lemminflect")

GOLDEN = Path(__file__).parents[2] / "golden" / "components"
TAGGED = json.loads((GOLDEN / "pos_sentences_dev.json").read_text())["sentences"]
RULES = json.loads((GOLDEN / "rule_negatives_dev.json").read_text())["cases"]
CAPTIONS = [join(row["tokens"]) for row in TAGGED]
#: the share of sentences that must get each of these negatives
WANTED: dict[Component, float] = dict.fromkeys(("negated_verb", "changed_verb", "changed_subject"), 0.8)


def variant(sentence: str, component: Component) -> str | None:
    return RuleGenerator().answer(sentence, {})[component]


@pytest.mark.parametrize("row", range(0, len(TAGGED), 8))
def test_a_wrong_class_is_noticed(row: int) -> None:
    """The check of tags itself, on eight sentences whose last words are called adverbs."""
    wrong = [{**s, "tags": [*s["tags"][:-2], "R", "R"]} for s in TAGGED[row : row + 8]]
    with pytest.raises(AssertionError, match="words differ"):
        check_tags_case(GoldenCase("x", {}, {"sentences": wrong}))


@pytest.mark.parametrize("change", [{"passive": "the fridge opens."}, {"negated_verb": "x"}, {"question": "x"}])
def test_a_wrong_target_is_noticed(change: dict[str, str]) -> None:
    check_rules_case(GoldenCase("x", {}, {"cases": RULES[:1]}))
    with pytest.raises(AssertionError, match=r"person opens the fridge|no rule for the target 'question'"):
        check_rules_case(GoldenCase("x", {}, {"cases": [{**RULES[0], **change}]}))


def test_captions_get_valid_negatives() -> None:
    """At least 80 % of the 64 sentences: a verb and a subject, and an object where there is one."""
    answers = {sentence: RuleGenerator().answer(sentence, {}) for sentence in CAPTIONS}
    assert all(failures(sentence, found) == {} for sentence, found in answers.items())
    for component, share in WANTED.items():
        assert sum(found[component] is not None for found in answers.values()) >= share * len(answers), component
    clauses = {sentence: parse(sentence) for sentence in CAPTIONS}
    objects = [s for s, clause in clauses.items() if clause is not None and clause.after.object is not None]
    assert len(objects) >= 25
    assert sum(answers[s]["changed_object"] is not None for s in objects) >= 0.8 * len(objects)


@pytest.fixture(scope="module")
def videos() -> list[ToyVideo]:
    return [make_video(ToyConfig(), "test", i) for i in range(ToyConfig().test_videos)]


def test_most_toy_sentences_get_negatives_that_are_false_in_their_video(videos: list[ToyVideo]) -> None:
    """The text alone cannot know what else happens in the video, but a negated truth is false."""
    verdicts: dict[Component, list[bool | None]] = {component: [] for component in COMPONENTS}
    total = with_object = 0
    for video in videos:
        for sentence in video.sentences:
            total, with_object = total + 1, with_object + (sentence.wording.object is not None)
            found = RuleGenerator().answer(sentence.text, {})
            assert failures(sentence.text, found) == {}
            for component, text in found.items():
                if text is not None:
                    verdicts[component].append(is_false(video, text))
    assert total == 397
    for component, share in WANTED.items():
        assert len(verdicts[component]) >= share * total, component
    assert len(verdicts["changed_object"]) >= 0.8 * with_object
    assert len(verdicts["negated_passive"]) >= 0.8 * with_object
    assert len(verdicts["changed_attribute"]) >= 0.8 * total
    for component in ("changed_verb", "changed_subject", "changed_object"):
        assert verdicts[component].count(True) >= 0.8 * len(verdicts[component]), component
    assert set(verdicts["negated_verb"]) == set(verdicts["negated_passive"]) == {True}
    assert set(verdicts["positive"]) == {False}


@pytest.mark.parametrize(
    ("sentence", "component", "text"),
    [
        ("Woman opens a big box", "negated_verb", "Woman does not open a big box"),
        ("Woman opens a big box", "negated_passive", "A big box is not opened by woman"),
        ("In the kitchen, a man opens a box.", "negated_verb", "In the kitchen, a man does not open a box."),
        ("a man doesn't open the box.", "negated_verb", "a man opens the box."),
        ("a man isn't reading the book.", "positive", "the book is not being read by a man."),
        ("a man can lift the box.", "negated_passive", "the box can not be lifted by a man."),
        ("a man opened the boxes.", "positive", "the boxes were opened by a man."),
        ("he helps them.", "positive", "they are helped by him."),
        ("the ball is thrown by a boy.", "positive", "a boy throws the ball."),
        ("the balls are being thrown by a boy.", "positive", "a boy is throwing the balls."),
        (
            "the red circle bumps into the blue star",
            "negated_passive",
            "the blue star is not bumped into by the red circle",
        ),
        ("a dog knocks the box away", "positive", "the box is knocked away by a dog"),
        ("person they take a bag.", "negated_verb", "person they do not take a bag."),
        ("person open a box.", "negated_verb", "person does not open a box."),
        ("a group of people watch the game.", "negated_verb", "a group of people do not watch the game."),
        ("a man does a backflip.", "positive", "a backflip is done by a man."),
        ("they are painting the wall.", "negated_passive", "the wall is not being painted by them."),
        ("person turns on the light.", "changed_verb", "person turns off the light."),
        ("person turns the light on.", "changed_verb", "person turns the light off."),
        ("person begins to undress.", "changed_verb", "person begins to dress."),
        ("a man drives an old truck.", "changed_attribute", "a man drives a new truck."),
        ("an old man walks.", "changed_attribute", "a young man walks."),
        ("a man walks slowly past a big house.", "changed_attribute", "a man walks quickly past a big house."),
        ("an apple falls.", "negated_verb", "an apple does not fall."),
        ("he sings.", "changed_subject", "she sings."),
        ("a red circle slides to the left", "changed_verb", "a red circle slides to the right"),
    ],
)
def test_rewriting(sentence: str, component: Component, text: str) -> None:
    assert variant(sentence, component) == text


@pytest.mark.parametrize(
    ("sentence", "component"),
    [
        ("Drone shots of a vast desert", "negated_verb"),
        ("person they put the towel on the door.", "negated_passive"),
        ("there are some fans lining up.", "negated_verb"),
        ("the woman who sings opens a box.", "negated_verb"),
        ("", "negated_verb"),
        ("!?", "positive"),
        ("a man gives the dog a bath.", "negated_passive"),
        ("person closes the book and stands up.", "negated_passive"),
        ("a man opens the door while smiling.", "negated_passive"),
        ("she washes her hair.", "negated_passive"),
        ("a man has a box.", "negated_passive"),
        ("a dog runs.", "negated_passive"),
        ("the man hurts himself.", "positive"),
        ("a dog runs.", "changed_object"),
        ("a red circle floats to the top", "changed_object"),
        ("a dog runs.", "changed_attribute"),
        ("a gizmo hums.", "changed_subject"),
        ("the ball is red.", "changed_verb"),
    ],
)
def test_nothing_rather_than_nonsense(sentence: str, component: Component) -> None:
    assert variant(sentence, component) is None


def test_swaps_depend_on_the_sentence_and_on_nothing_else() -> None:
    others = [
        variant(f"person opens the {w} box.", "changed_subject") for w in ("red", "blue", "big", "old", "new", "wet")
    ]
    assert len({str(text).split()[0] for text in others}) > 1
    assert [variant(f"person opens the {w} box.", "changed_subject") for w in ("red", "blue")] == others[:2]


def test_toy_sentences_are_read_as_they_were_meant(videos: list[ToyVideo]) -> None:
    for video in videos:
        for sentence in video.sentences:
            reading = read_caption(sentence.text)
            assert reading is not None
            assert not reading.negated
            said, meant = reading.wording, sentence.wording
            assert (said.subject, said.action, said.object) == (meant.subject, meant.action, meant.object)
            assert is_false(video, sentence.text) is False


@pytest.mark.parametrize(
    ("text", "action", "negated"),
    [
        ("a red circle does not slide to the left", "left", True),
        ("to the right, a red circle slides", "right", False),
        ("the box is not being chased by a red disc", "chase", True),
        ("a ring climbs down", "down", False),
        ("a ring grows smaller", "shrink", False),
        ("a ring bounces left and right", "shake", False),
        ("a ring shakes from top to bottom", "bounce", False),
    ],
)
def test_other_ways_to_say_it(text: str, action: str, negated: bool) -> None:
    reading = read_caption(text)
    assert reading is not None
    assert (reading.wording.action, reading.negated) == (action, negated)


@pytest.mark.parametrize(
    "text", ["", "hello", "a red circle", "a dog runs", "a ring sings", "a ring chases", "a ring blinks a star"]
)
def test_what_the_world_cannot_show_is_not_judged(text: str, videos: list[ToyVideo]) -> None:
    assert read_caption(text) is None
    assert is_false(videos[0], text) is None


def test_tags_of_unknown_verbs_and_bare_nouns() -> None:
    tokens = ["a", "woman", "unboxes", "toys", "and", "juggles", "happily"]
    assert [word_class(tag) for tag in tag_caption(tokens)] == list("ONVNOVR")


def test_tokens_join_to_the_text() -> None:
    for text in ("The dog's ball isn't red, is it?", "a t-shirt (old) costs $5.", "He's here!"):
        assert join(tokenize(text)) == text


def test_word_tables() -> None:
    words = table()
    assert len(words.swaps["verbs with object"]) + len(words.swaps["verbs without object"]) >= 150
    assert len(words.swaps["attributes"]) + len(words.swaps["adverbs"]) >= 100
    assert len(things()) >= 150
    for section in ("attributes", "adverbs", "verbs with object", "verbs without object", "subjects"):
        for word, others in words.swaps[section].items():
            assert others, (section, word)
            assert not any(same_meaning(word, other) or word == other for other in others), (section, word, others)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[attributes]\nbig: small\nbig: tiny\n", "line 3: 'big' has two lines"),
        ("big: small\n", "line 1 does not fit"),
        ("[verbs]\nopen: close\n", "line 2 does not fit"),
        ("[attributes]\nbig\n", "line 2 does not fit"),
    ],
)
def test_a_bad_word_table(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "w.txt")


def test_inflection() -> None:
    forms = {"take": "takes taking taken took", "stop": "stops stopping stopped stopped", "lie": "lies lying lain lay"}
    for base, expected in forms.items():
        assert [inflect(base, tag) for tag in ("VBZ", "VBG", "VBN", "VBD")] == expected.split()


@pytest.mark.parametrize("package", ["textblob", "lemminflect"])
def test_missing_packages_name_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    caches: list[Any] = [v for v in vars(wordlists).values() if hasattr(v, "cache_clear")]
    for cached in caches:
        cached.cache_clear()
    with pytest.raises(MissingDependency, match=rf"'{package}': run `pip install 'vmlkit\[text\]'`"):
        variant("a dog runs", "negated_verb")
