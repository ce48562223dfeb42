"""Drawing the script of a video: who does what when, on which stage.

All random numbers of a video come from one generator seeded by (world seed, split, index), so any video can be
rebuilt alone.  Staging is drawn last: the "cast" world has the events and sentences of the default one.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vmlkit.data.toyworld.cards import draw_rows
from vmlkit.data.toyworld.config import FEATURE_FPS, SPLIT_IDS, Split, Staging, ToyConfig, check_video, video_id
from vmlkit.data.toyworld.grammar import ToySentence, write_sentences
from vmlkit.data.toyworld.world import (
    ACTORS,
    PAIR_ACTIONS,
    ROUND_SHAPES,
    SINGLE_ACTIONS,
    Actor,
    Backdrop,
    Card,
    Distractor,
    Event,
)

TONES = ((0.16, 0.16, 0.18), (0.55, 0.55, 0.52), (0.35, 0.30, 0.27), (0.25, 0.30, 0.28), (0.78, 0.76, 0.72))

#: seconds an actor idles on stage before and after its event: lowest, highest
MARGINS_S = {"default": (0.3, 2.0), "cast": (3.0, 14.0)}

#: probability of 0, 1, 2 distractors
DISTRACTOR_COUNTS = {"default": (0.3, 0.4, 0.3), "cast": (0.2, 0.4, 0.4)}

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ToyVideo:
    """The script of one video: everything that is needed to draw it at any time and size."""

    video_id: str
    split: Split | Literal["film"]  #: a film is in no split, see :mod:`vmlkit.data.toyworld.films`
    index: int
    duration_s: float
    events: tuple[Event, ...]  #: in the order of their starts
    cards: tuple[Card, ...]
    distractors: tuple[Distractor, ...]
    backdrop: Backdrop
    noise_seed: int
    sentences: tuple[ToySentence, ...]  #: one per event

    def frame_times(self) -> Float[np.ndarray, " F"]:
        """Times, in seconds, of the frames that features are computed from."""
        return (np.arange(int(FEATURE_FPS * self.duration_s)) + 0.5) / FEATURE_FPS


def make_video(config: ToyConfig, split: Split, index: int) -> ToyVideo:
    """The script of video ``index`` of a split.

    Raises:
        DataError: if the split has no such video.
    """
    check_video(config, split, index)
    rng = np.random.default_rng([config.world_seed, SPLIT_IDS[split], index])
    duration = round(float(rng.uniform(20, 40)), 1)
    count = _pick(rng, (0.3, 0.5, 0.2)) + 2
    return write_script(rng, split, index, duration, count, video_id(split, index), config.staging)


def write_script(
    rng: np.random.Generator,
    split: Split | Literal["film"],
    index: int,
    duration: float,
    count: int,
    name: str,
    staging: Staging,
) -> ToyVideo:
    """A script of ``count`` events in ``duration`` seconds, with everything else drawn from ``rng``."""
    card_spans, spans, open_slots = _time_line(rng, duration, count)
    casting = _casting(rng, count)
    spans = _overlaps(rng, spans, casting, open_slots)
    events = [_move(rng, *roles, span) for roles, span in zip(casting, spans, strict=True)]
    sentences = write_sentences(rng, name, events)
    cards = tuple(Card(start_s=a, end_s=b, kind=int(rng.integers(4)), rows=draw_rows(rng)) for a, b in card_spans)
    backdrop = _backdrop(rng, duration)
    noise_seed = int(rng.integers(2**32))
    staged = _stage(rng, events, cards, duration, MARGINS_S[staging])
    return ToyVideo(
        video_id=name,
        split=split,
        index=index,
        duration_s=duration,
        events=staged,
        cards=cards,
        distractors=_distractors(rng, staged, duration, DISTRACTOR_COUNTS[staging]),
        backdrop=backdrop,
        noise_seed=noise_seed,
        sentences=sentences,
    )


def _pick(rng: np.random.Generator, probabilities: tuple[float, ...]) -> int:
    """Index drawn with the given probabilities, from one uniform number."""
    return int(np.searchsorted(np.cumsum(probabilities)[:-1], rng.random(), side="right"))


def _time_line(
    rng: np.random.Generator, duration: float, count: int
) -> tuple[list[Interval], list[Interval], list[bool]]:
    """Cards, events, and for each event whether no card separates it from the one before."""
    cards = 1 + int(rng.random() < 0.3)
    card_length = dict(zip(rng.permutation(count + 1)[:cards].tolist(), rng.uniform(3, 6, cards).tolist(), strict=True))
    event_weights = rng.uniform(0.6, 1.4, count)
    gap_weights = rng.uniform(0.05, 0.25, count + 1)
    gap_weights[[0, -1]] *= rng.random(2) < 0.5
    unit = (duration - sum(card_length.values())) / (event_weights.sum() + gap_weights.sum())
    gaps, lengths = (gap_weights * unit).tolist(), (event_weights * unit).tolist()
    card_spans: list[Interval] = []
    spans: list[Interval] = []
    now = 0.0
    for slot in range(count + 1):
        if slot in card_length:
            card_spans.append((round(now, 2), round(now + card_length[slot], 2)))
            now += card_length[slot]
        now += gaps[slot]
        if slot < count:
            spans.append((round(now, 2), round(min(now + lengths[slot], duration), 2)))
            now += lengths[slot]
    return card_spans, spans, [slot not in card_length for slot in range(count)]


def _casting(rng: np.random.Generator, count: int) -> list[tuple[str, Actor, Actor | None]]:
    """Action, actor and second actor of each event; (actor, action) is unique in the video."""
    cast: list[tuple[str, Actor, Actor | None]] = []
    for _ in range(count):
        reuse = rng.random() if cast else 1.0
        source = cast[int(rng.integers(len(cast)))] if cast else None
        while True:
            actor = ACTORS[int(rng.integers(len(ACTORS)))]
            pool = PAIR_ACTIONS if rng.random() < 0.18 else SINGLE_ACTIONS
            action = pool[int(rng.integers(len(pool)))]
            if source is not None and reuse < 0.35:
                actor = source[1]
            elif source is not None and reuse < 0.60:
                action = source[0]
            spins_round = action == "spin" and actor.shape in ROUND_SHAPES
            if not spins_round and all((action, actor) != (a, who) for a, who, _ in cast):
                break
        other = None
        if action in PAIR_ACTIONS:
            strangers = [a for a in ACTORS if a.color != actor.color]
            other = strangers[int(rng.integers(len(strangers)))]
        cast.append((action, actor, other))
    return cast


def _overlaps(
    rng: np.random.Generator,
    spans: list[Interval],
    casting: list[tuple[str, Actor, Actor | None]],
    open_slots: list[bool],
) -> list[Interval]:
    """Let some events start before the previous one has ended."""
    moved = [spans[0]]
    for i in range(1, len(spans)):
        start, end = spans[i]
        wanted, share = rng.random() < 0.15, float(rng.uniform(0.2, 0.5))
        (_, before, pair_before), (_, actor, pair) = casting[i - 1], casting[i]
        if wanted and open_slots[i] and pair_before is None and pair is None and before != actor:
            start = round(start - share * (moved[-1][1] - moved[-1][0]), 2)
        moved.append((start, end))
    return moved


def _move(rng: np.random.Generator, action: str, actor: Actor, other: Actor | None, span: Interval) -> Event:
    """Size, place and sense of a motion."""
    size, small = rng.random(), rng.random() < 0.5
    radius = 0.09 + 0.03 * size if small else 0.14 + 0.04 * size
    if action == "grow":
        radius = 0.07 + 0.02 * size
    elif action == "shrink":
        radius = 0.20 + 0.04 * size
    elif other is not None:
        radius = min(radius, 0.13)
    x, y, other_radius = rng.uniform((0.25, 0.25, 0.10), (0.75, 0.75, 0.14)).tolist()
    return Event(
        action=action,
        actor=actor,
        other=other,
        start_s=span[0],
        end_s=span[1],
        on_s=span[0],
        off_s=span[1],
        radius=radius,
        other_radius=other_radius if other is not None else 0.0,
        x=x,
        y=y,
        direction=1 if rng.random() < 0.5 else -1,
    )


def _backdrop(rng: np.random.Generator, duration: float) -> Backdrop:
    first, second = rng.permutation(len(TONES))[:2].tolist()
    cuts, where = rng.random() < 0.4, rng.uniform(0.3, 0.7)
    return Backdrop(first=TONES[first], second=TONES[second], cut_s=float(where * duration) if cuts else duration)


def _stage(
    rng: np.random.Generator, events: list[Event], cards: tuple[Card, ...], duration: float, margins: Interval
) -> tuple[Event, ...]:
    """Let actors idle around their event, but not across a card nor into another event of the same actor."""
    low, high = margins
    staged = []
    for event in events:
        before, after = (low + (high - low) * rng.random(2)).tolist()
        earliest = [0.0, event.start_s - before, *(c.end_s for c in cards if c.end_s <= event.start_s)]
        latest = [duration, event.end_s + after, *(c.start_s for c in cards if c.start_s >= event.end_s)]
        for rival in events:
            if rival is event or not set(rival.actors) & set(event.actors):
                continue
            if rival.end_s <= event.start_s:
                earliest.append((rival.end_s + event.start_s) / 2)
            else:
                latest.append((event.end_s + rival.start_s) / 2)
        staged.append(dataclasses.replace(event, on_s=max(earliest), off_s=min(latest)))
    return tuple(staged)


def _distractors(
    rng: np.random.Generator, events: tuple[Event, ...], duration: float, counts: tuple[float, ...]
) -> tuple[Distractor, ...]:
    taken = {actor for event in events for actor in event.actors}
    free = [actor for actor in ACTORS if actor not in taken]
    count = _pick(rng, counts)
    corners = rng.permutation(4)[:count].tolist()
    idle = []
    for corner, who in zip(corners, rng.permutation(len(free))[:count].tolist(), strict=True):
        length = rng.uniform(0.3, 1) * duration
        start = rng.uniform(0, duration - length)
        x, y = 0.12 + 0.76 * (corner % 2), 0.12 + 0.76 * (corner // 2)
        radius = float(rng.uniform(0.08, 0.11))
        idle.append(
            Distractor(actor=free[who], radius=radius, x=x, y=y, on_s=float(start), off_s=float(start + length))
        )
    return tuple(idle)
