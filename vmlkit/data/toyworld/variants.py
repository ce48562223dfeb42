"""Sentences that are false in a video: one part of a true sentence changed, and checked against the script.

What an event shows is read generously (see :func:`may_hold`), so a variant counts as false only if nothing in the
video, nor any part of an event, could be described by it.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from vmlkit.data.toyworld.grammar import NounPhrase, Role, ToySentence, Wording
from vmlkit.data.toyworld.lexicon import LEXICON, synonyms
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.data.toyworld.world import (
    BIG_RADIUS,
    COLORS,
    PAIR_ACTIONS,
    ROUND_SHAPES,
    SHAPES,
    SINGLE_ACTIONS,
    SMALL_RADIUS,
    Actor,
    Event,
)
from vmlkit.errors import DataError

#: what is changed: the subject's shape; its colour or size; the action; the object's shape or colour
Component = Literal["subject", "attribute", "verb", "object"]

_OPPOSITES = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A sentence that does not hold anywhere in the video."""

    component: Component
    old: str  #: concept that was replaced, e.g. ``action:left`` or ``color:red``
    new: str  #: concept that it was replaced by
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    roles: tuple[Role, ...]
    wording: Wording

    @property
    def text(self) -> str:
        """The words, separated by blanks."""
        return " ".join(self.tokens)


def variants(video: ToyVideo, sentence: ToySentence, component: Component) -> tuple[Variant, ...]:
    """Every way to change one part of ``sentence`` that makes it false in ``video``.

    All other words stay.  Changes that the world never shows and that could be told from the text alone (a spinning
    circle, a big thing that grows) are left out.  The order is fixed: the opposite first, where there is one.  A
    sentence without an object has no ``object`` variants.

    Args:
        video: the script in which the variants must be false.
        sentence: one of the video's sentences.
        component: which part to change.

    Raises:
        DataError: if the sentence belongs to another video, or there is no such component.
    """
    if sentence.video_id != video.video_id:
        raise DataError(sentence.query_id, f"is not a sentence of {video.video_id}", "pass the video it describes")
    if component not in get_args(Component):
        options = ", ".join(get_args(Component))
        raise DataError("variants", f"no component '{component}'", f"use one of {options}")
    return tuple(
        Variant(
            component=component,
            old=old,
            new=new,
            tokens=wording.tokens,
            tags=wording.tags,
            roles=wording.roles,
            wording=wording,
        )
        for old, new, wording in _CHANGES[component](sentence.wording)
        if not may_hold(video, wording)
    )


def may_hold(video: ToyVideo, wording: Wording) -> bool:
    """Whether any event of the video, or a part of one, could be described like this.

    A chase or a bump also shows both actors moving in its direction; what bounces also rises and falls, what shakes
    also moves left and right; while its size changes, and between small and big, a thing may be called either.
    """
    return any(
        wording.action in actions and _fits(wording.subject, actor, radius) and _fits_object(wording.object, other)
        for event in video.events
        for actions, actor, radius, other in _shown(event)
    )


_Fact = tuple[tuple[str, ...], Actor, float | None, Actor | None]


def _shown(event: Event) -> Iterator[_Fact]:
    """Actions, actor, radius (``None`` while it changes) and second actor of everything that an event shows."""
    radius = None if event.action in ("grow", "shrink") else event.radius
    yield (event.action,), event.actor, radius, event.other
    sideways = ("right",) if event.direction > 0 else ("left",)
    if event.other is not None:
        yield sideways, event.actor, radius, None
        yield sideways, event.other, event.other_radius, None
    implied = {"bounce": ("up", "down"), "shake": ("left", "right")}.get(event.action)
    if implied:
        yield implied, event.actor, radius, None


def _fits(phrase: NounPhrase, actor: Actor, radius: float | None) -> bool:
    if LEXICON[phrase.shape].meaning != actor.shape:
        return False
    if phrase.color is not None and LEXICON[phrase.color].meaning != actor.color:
        return False
    if phrase.size is None or radius is None:
        return True
    return radius <= BIG_RADIUS if LEXICON[phrase.size].meaning == "small" else radius >= SMALL_RADIUS


def _fits_object(phrase: NounPhrase | None, actor: Actor | None) -> bool:
    if phrase is None or actor is None:
        return phrase is None and actor is None
    return _fits(phrase, actor, None)


_Change = tuple[str, str, Wording]


def _subjects(wording: Wording) -> Iterator[_Change]:
    for old, new, phrase in _other_shapes(wording.subject):
        if not (wording.action == "spin" and new.split(":")[1] in ROUND_SHAPES):
            yield old, new, dataclasses.replace(wording, subject=phrase)


def _attributes(wording: Wording) -> Iterator[_Change]:
    subject = wording.subject
    if subject.size is not None:
        old = LEXICON[subject.size].concept
        new = "size:big" if old == "size:small" else "size:small"
        # Actors of a chase or a bump are never big.
        if wording.action not in PAIR_ACTIONS:
            yield (
                old,
                new,
                dataclasses.replace(wording, subject=dataclasses.replace(subject, size=_instead(subject.size, new))),
            )
    for old, new, phrase in _other_colors(subject):
        if wording.object is None or new != _color(wording.object):
            yield old, new, dataclasses.replace(wording, subject=phrase)


def _verbs(wording: Wording) -> Iterator[_Change]:
    pool = SINGLE_ACTIONS if wording.object is None else PAIR_ACTIONS
    opposite = _OPPOSITES.get(wording.action)
    for action in sorted(pool, key=lambda a: a != opposite):
        odd_spin = action == "spin" and LEXICON[wording.subject.shape].meaning in ROUND_SHAPES
        odd_size = action in ("grow", "shrink") and wording.subject.size is not None
        if action != wording.action and not odd_spin and not odd_size:
            yield f"action:{wording.action}", f"action:{action}", dataclasses.replace(wording, action=action)


def _objects(wording: Wording) -> Iterator[_Change]:
    if wording.object is None:
        return
    for old, new, phrase in (*_other_shapes(wording.object), *_other_colors(wording.object)):
        if new != _color(wording.subject):
            yield old, new, dataclasses.replace(wording, object=phrase)


def _instead(word: str, concept: str) -> str:
    """A word of ``concept`` as usual or unusual as ``word``, so rare words do not tell true sentences from false."""
    words = synonyms(concept)
    return words[min(synonyms(LEXICON[word].concept).index(word), len(words) - 1)]


def _color(phrase: NounPhrase) -> str | None:
    """Its concept; the two actors of an event never share it."""
    return None if phrase.color is None else LEXICON[phrase.color].concept


def _other_shapes(phrase: NounPhrase) -> Iterator[tuple[str, str, NounPhrase]]:
    old = LEXICON[phrase.shape].concept
    for new in (f"shape:{shape}" for shape in SHAPES):
        if new != old:
            yield old, new, dataclasses.replace(phrase, shape=_instead(phrase.shape, new))


def _other_colors(phrase: NounPhrase) -> Iterator[tuple[str, str, NounPhrase]]:
    if phrase.color is None:
        return
    old = LEXICON[phrase.color].concept
    for new in (f"color:{color}" for color in COLORS):
        if new != old:
            yield old, new, dataclasses.replace(phrase, color=_instead(phrase.color, new))


_CHANGES = {"subject": _subjects, "attribute": _attributes, "verb": _verbs, "object": _objects}
