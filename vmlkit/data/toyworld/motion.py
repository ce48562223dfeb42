"""Where the actors of an event are at a given time, independent of any resolution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vmlkit.data.toyworld.world import Actor, Event


@dataclass(frozen=True, kw_only=True)
class Track:
    """One actor at n times; lengths are fractions of the frame side, angles radians."""

    actor: Actor
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    radius: Float[np.ndarray, " n"]
    angle: Float[np.ndarray, " n"]
    visible: Bool[np.ndarray, " n"]


def tracks(event: Event, times_s: Float[np.ndarray, " n"]) -> list[Track]:
    """The actors of an event from back to front: a second actor is drawn first.

    Outside the event they hold its first or last pose; off stage they are invisible.
    """
    elapsed = np.clip(times_s, event.start_s, event.end_s) - event.start_s
    u = elapsed / (event.end_s - event.start_s)
    on_stage = (times_s >= event.on_s) & (times_s < event.off_s)
    if event.other is None:
        change = _SINGLE[event.action](event, u, elapsed)
        if event.action == "blink":
            inside = (times_s >= event.start_s) & (times_s < event.end_s)
            on_stage = on_stage & ~(inside & (elapsed % 2 < 1))
        return [_track(event.actor, event, event.radius, on_stage, **change)]
    first, second = _PAIR[event.action](event, u)
    return [
        _track(event.other, event, event.other_radius, on_stage, x=_mirrored(second, event)),
        _track(event.actor, event, event.radius, on_stage, x=_mirrored(first, event)),
    ]


def _track(actor: Actor, event: Event, size: float, visible: np.ndarray, **change: np.ndarray) -> Track:
    pose: dict[str, float | np.ndarray] = {"x": event.x, "y": event.y, "radius": size, "angle": 0.0, **change}
    return Track(actor=actor, visible=visible, **{k: np.broadcast_to(v, visible.shape) for k, v in pose.items()})


def _mirrored(x: np.ndarray, event: Event) -> np.ndarray:
    return x if event.direction > 0 else 1 - x


def _chase(event: Event, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = 0.12 + 0.5 * u
    return x, x + 0.32


def _bump(event: Event, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    contact = 0.62 - event.radius - event.other_radius
    run = np.clip(u / 0.5, 0, 1)
    pushed = np.clip((u - 0.5) / 0.4, 0, 1)
    return 0.10 + (contact - 0.10) * run, 0.62 + 0.28 * pushed


_Change = Callable[[Event, np.ndarray, np.ndarray], dict[str, np.ndarray]]

#: what changes, from the event, normalised time inside it, and seconds since its start
_SINGLE: dict[str, _Change] = {
    "left": lambda e, u, tt: {"x": 0.84 - 0.68 * u},
    "right": lambda e, u, tt: {"x": 0.16 + 0.68 * u},
    "up": lambda e, u, tt: {"y": 0.84 - 0.68 * u},
    "down": lambda e, u, tt: {"y": 0.16 + 0.68 * u},
    "grow": lambda e, u, tt: {"radius": e.radius * (1 + 2 * u)},
    "shrink": lambda e, u, tt: {"radius": e.radius * (1 - 0.66 * u)},
    "blink": lambda e, u, tt: {},
    "spin": lambda e, u, tt: {"angle": e.direction * 1.3 * tt},
    "bounce": lambda e, u, tt: {"y": 0.78 - 0.5 * np.abs(np.sin(np.pi * tt / 2.2))},
    "shake": lambda e, u, tt: {"x": e.x + 0.15 * np.sin(2 * np.pi * tt / 1.6)},
}

_PAIR: dict[str, Callable[[Event, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {"chase": _chase, "bump": _bump}
