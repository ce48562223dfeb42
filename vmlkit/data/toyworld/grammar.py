"""Sentences about events, with a tag and a role per word.

``sentence = det [size] [color] shape VERB-PHRASE``, where the verb phrase of a chase or a bump holds an object
``det color shape``.  Tags come from the lexicon and roles from the rule that wrote the word, so both are exact.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from vmlkit.data.toyworld.lexicon import LEXICON, OBJECT, VERB_PHRASES, synonyms
from vmlkit.data.toyworld.world import BIG_RADIUS, SMALL_RADIUS, Actor, Event

#: subject phrase, verb phrase, object phrase
Role = Literal["S", "V", "O"]


@dataclass(frozen=True, kw_only=True)
class NounPhrase:
    """The words that name an actor."""

    det: str
    size: str | None = None
    color: str | None = None
    shape: str

    def words(self) -> list[str]:
        """In the order of the sentence."""
        return [word for word in (self.det, self.size, self.color, self.shape) if word is not None]


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A sentence by its parts; what it says follows from the parts, so one can be changed and the rest kept."""

    subject: NounPhrase
    action: str
    phrasing: int  #: 0..3, which phrase of :data:`VERB_PHRASES`
    object: NounPhrase | None = None

    def words(self) -> list[tuple[str, Role]]:
        """Every word with its role."""
        out: list[tuple[str, Role]] = [(word, "S") for word in self.subject.words()]
        for word in VERB_PHRASES[self.action][self.phrasing].split():
            if word == OBJECT and self.object is not None:
                out += [(part, "O") for part in self.object.words()]
            else:
                out.append((word, "V"))
        return out

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words."""
        return tuple(word for word, _ in self.words())

    @property
    def roles(self) -> tuple[Role, ...]:
        """Role of each word."""
        return tuple(role for _, role in self.words())

    @property
    def tags(self) -> tuple[str, ...]:
        """Part of speech of each word."""
        return tuple(LEXICON[word].tag for word in self.tokens)


@dataclass(frozen=True, kw_only=True)
class ToySentence:
    """A sentence and the event that it describes."""

    query_id: str  #: e.g. ``toy-test-00012-1``; the last number counts the events of the video from 0
    video_id: str
    event: int  #: position in the video's events
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    roles: tuple[Role, ...]
    span_s: tuple[float, float]  #: seconds
    action_id: int  #: 0..11
    actor_ids: tuple[int, ...]  #: 0..35, the subject first
    wording: Wording

    @property
    def text(self) -> str:
        """The words, separated by blanks."""
        return " ".join(self.tokens)


def write_sentences(rng: np.random.Generator, video: str, events: Sequence[Event]) -> tuple[ToySentence, ...]:
    """One sentence per event."""
    sentences = []
    for i, event in enumerate(events):
        same = sum((e.actor.shape, e.action) == (event.actor.shape, event.action) for e in events)
        wording = _word(rng, event, drop_color=same == 1)
        sentences.append(
            ToySentence(
                query_id=f"{video}-{i}",
                video_id=video,
                event=i,
                tokens=wording.tokens,
                tags=wording.tags,
                roles=wording.roles,
                span_s=event.span_s,
                action_id=event.action_id,
                actor_ids=tuple(actor.id for actor in event.actors),
                wording=wording,
            )
        )
    return tuple(sentences)


def _word(rng: np.random.Generator, event: Event, drop_color: bool) -> Wording:
    subject = _name(rng, event.actor)
    size = _size_concept(event)
    if size is not None and rng.random() < 0.3:
        subject = dataclasses.replace(subject, size=_any(rng, synonyms(size)))
    if drop_color and rng.random() < 0.1:
        subject = dataclasses.replace(subject, color=None)
    return Wording(
        subject=subject,
        action=event.action,
        phrasing=int(rng.integers(4)),
        object=_name(rng, event.other) if event.other is not None else None,
    )


def _name(rng: np.random.Generator, actor: Actor) -> NounPhrase:
    """``det color shape`` with the usual word or, less often, a synonym."""
    return NounPhrase(
        det=_any(rng, ("a", "the")),
        color=_synonym(rng, f"color:{actor.color}"),
        shape=_synonym(rng, f"shape:{actor.shape}"),
    )


def _size_concept(event: Event) -> str | None:
    """What may be said about the subject's size; nothing while it changes."""
    if event.action in ("grow", "shrink"):
        return None
    if event.radius < SMALL_RADIUS:
        return "size:small"
    return "size:big" if event.radius > BIG_RADIUS else None


def _any(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _synonym(rng: np.random.Generator, concept: str) -> str:
    words, u = _synonyms(concept), rng.random()
    share = {1: 0.0, 2: 0.25, 3: 0.2}[len(words)]
    return words[0] if u >= share * (len(words) - 1) else words[1 + int(u / share)]


_synonyms = cache(synonyms)
