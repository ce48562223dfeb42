"""Wrong-subject, wrong-attribute, wrong-verb and wrong-object sentences are false in their video."""

import dataclasses
from typing import get_args

import numpy as np
import pytest

from vmlkit.data.toyworld import Actor, Event, ToyConfig, ToyVideo, make_video, variants
from vmlkit.data.toyworld.grammar import NounPhrase, Wording
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.data.toyworld.variants import Component, may_hold
from vmlkit.data.toyworld.world import PAIR_ACTIONS
from vmlkit.errors import DataError

CONFIG = ToyConfig()
COMPONENTS: tuple[Component, ...] = get_args(Component)
ROLE = {"subject": "S", "attribute": "S", "verb": "V", "object": "O"}
CATEGORY = {"subject": {"shape"}, "attribute": {"color", "size"}, "verb": {"action"}, "object": {"shape", "color"}}


@pytest.fixture(scope="module")
def videos() -> list[ToyVideo]:
    return [make_video(CONFIG, "test", i) for i in range(CONFIG.test_videos)]


def described(event: Event, wording: Wording) -> bool:
    """Whether the sentence is about this very event, checked without the code under test."""

    def meanings(phrase: NounPhrase) -> dict[str, str]:
        return dict(LEXICON[word].concept.split(":") for word in phrase.words())

    named = meanings(wording.subject)
    true = {"shape": event.actor.shape, "color": event.actor.color, "det": named["det"]}
    if "size" in named:
        true["size"] = "small" if event.radius < 0.10 else "big" if event.radius > 0.15 else "medium"
    if wording.action != event.action or any(true[key] != value for key, value in named.items()):
        return False
    if wording.object is None or event.other is None:
        return wording.object is None and event.other is None
    target = meanings(wording.object)
    return (target["shape"], target["color"]) == (event.other.shape, event.other.color)


def test_true_sentences_are_found_true(videos: list[ToyVideo]) -> None:
    for video in videos:
        for s in video.sentences:
            assert may_hold(video, s.wording)
            assert [i for i, event in enumerate(video.events) if described(event, s.wording)] == [s.event]


def test_variants_are_false_everywhere_in_the_video(videos: list[ToyVideo]) -> None:
    checked = 0
    for video in videos:
        for s in video.sentences:
            for component in COMPONENTS:
                for variant in variants(video, s, component):
                    assert not any(described(event, variant.wording) for event in video.events), variant.text
                    assert not may_hold(video, variant.wording)
                    checked += 1
    assert checked > 5000


def test_a_variant_changes_the_named_part_and_nothing_else(videos: list[ToyVideo]) -> None:
    for video in videos[:60]:
        for s in video.sentences:
            for component in COMPONENTS:
                found = variants(video, s, component)
                assert len({v.text for v in found}) == len(found)
                for v in found:
                    others = [
                        [w for w, r in zip(x.tokens, x.roles, strict=True) if r != ROLE[component]] for x in (s, v)
                    ]
                    assert others[0] == others[1]
                    assert v.text != s.text
                    assert v.old != v.new
                    assert {v.old.split(":")[0], v.new.split(":")[0]} <= CATEGORY[component]
                    assert v.tags == tuple(LEXICON[word].tag for word in v.tokens)
                    if component != "verb":
                        assert sum(a != b for a, b in zip(s.tokens, v.tokens, strict=True)) == 1


def test_which_sentences_have_which_variants(videos: list[ToyVideo]) -> None:
    for video in videos:
        for s in video.sentences:
            assert len(variants(video, s, "subject")) >= 1
            assert len(variants(video, s, "verb")) >= 1
            assert bool(variants(video, s, "object")) == (s.wording.object is not None)
            if s.wording.subject.color is None and s.wording.subject.size is None:
                assert variants(video, s, "attribute") == ()


def test_the_opposite_comes_first() -> None:
    opposite = {"left": "right", "up": "down", "grow": "shrink"}
    seen = set()
    for video in (make_video(CONFIG, "train", i) for i in range(80)):
        for s in video.sentences:
            wanted = opposite.get(s.wording.action)
            reversed_ = dataclasses.replace(s.wording, action=wanted) if wanted else None
            if reversed_ is not None and not may_hold(video, reversed_) and s.wording.subject.size is None:
                assert variants(video, s, "verb")[0].new == f"action:{wanted}"
                seen.add(wanted)
    assert seen == set(opposite.values())


def test_what_a_chase_a_bounce_and_a_shake_show_in_passing_is_not_called_false() -> None:
    base = make_video(CONFIG, "train", 0)
    red, blue = Actor("red", "circle"), Actor("blue", "square")
    event = dataclasses.replace(
        base.events[0], action="chase", actor=red, other=blue, direction=1, radius=0.12, other_radius=0.12
    )
    video = dataclasses.replace(base, events=(event,))
    circle, square = NounPhrase(det="a", color="red", shape="circle"), NounPhrase(det="a", color="blue", shape="box")
    for phrase in (circle, square):
        assert may_hold(video, Wording(subject=phrase, action="right", phrasing=0))
        assert not may_hold(video, Wording(subject=phrase, action="left", phrasing=0))
    assert may_hold(video, Wording(subject=circle, action="chase", phrasing=0, object=square))
    assert not may_hold(video, Wording(subject=square, action="chase", phrasing=0, object=circle))
    alone = dataclasses.replace(event, other=None, other_radius=0.0)
    for action, shown in (
        ("bounce", {"bounce", "up", "down"}),
        ("shake", {"shake", "left", "right"}),
        ("spin", {"spin"}),
    ):
        video = dataclasses.replace(base, events=(dataclasses.replace(alone, action=action),))
        singles = ("left", "right", "up", "down", "grow", "shrink", "blink", "spin", "bounce", "shake")
        held = {a for a in singles if may_hold(video, Wording(subject=circle, action=a, phrasing=1))}
        assert held == shown


def test_variants_never_use_a_combination_that_the_world_cannot_show(videos: list[ToyVideo]) -> None:
    for video in videos:
        for s in video.sentences:
            for component in COMPONENTS:
                for v in variants(video, s, component):
                    subject = v.wording.subject
                    shape = LEXICON[subject.shape].meaning
                    assert not (v.wording.action == "spin" and shape in ("circle", "ring"))
                    assert not (v.wording.action in ("grow", "shrink") and subject.size is not None)
                    assert (v.wording.action in PAIR_ACTIONS) == (v.wording.object is not None)


def test_synonyms_do_not_give_a_variant_away(videos: list[ToyVideo]) -> None:
    rare = {"crimson", "golden", "turquoise", "magenta", "ball", "disc", "box", "block", "pyramid", "plus", "hoop"}
    pairs = [(s, v) for x in videos for s in x.sentences for v in variants(x, s, "subject")]
    shares = [np.mean([bool(rare & set(side.tokens)) for side in sides]) for sides in zip(*pairs, strict=True)]
    assert shares[1] == pytest.approx(shares[0], abs=0.06)


def test_a_sentence_of_another_video_and_an_unknown_component_are_refused(videos: list[ToyVideo]) -> None:
    with pytest.raises(DataError, match=videos[1].video_id):
        variants(videos[1], videos[0].sentences[0], "verb")
    with pytest.raises(DataError, match="adverb"):
        variants(videos[0], videos[0].sentences[0], "adverb")  # type: ignore[arg-type]
