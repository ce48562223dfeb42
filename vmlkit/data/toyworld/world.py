"""What the toy world consists of: colours, shapes, actions, and the records of a script.

Positions and radii are fractions of the frame side, x to the right and y down; times are seconds.
"""

from dataclasses import dataclass

#: name -> red, green, blue in 0..1
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.10, 0.10),
    "yellow": (0.95, 0.85, 0.10),
    "green": (0.10, 0.75, 0.15),
    "cyan": (0.10, 0.80, 0.85),
    "blue": (0.15, 0.25, 0.95),
    "pink": (0.95, 0.25, 0.75),
}

SHAPES = ("circle", "square", "triangle", "cross", "star", "ring")

#: the twelve action classes; an action's position is its class id
ACTIONS = (
    "left",
    "right",
    "up",
    "down",
    "grow",
    "shrink",
    "blink",
    "spin",
    "bounce",
    "shake",
    "chase",
    "bump",
)
ACTION_IDS = {name: i for i, name in enumerate(ACTIONS)}

#: actions with a second actor
PAIR_ACTIONS = ("chase", "bump")
SINGLE_ACTIONS = tuple(a for a in ACTIONS if a not in PAIR_ACTIONS)

#: shapes that look the same at every angle
ROUND_SHAPES = ("circle", "ring")

#: radii below are called small, radii above the other are called big
SMALL_RADIUS, BIG_RADIUS = 0.10, 0.15


@dataclass(frozen=True)
class Actor:
    """A coloured shape."""

    color: str
    shape: str

    @property
    def id(self) -> int:
        """0..35, the same in every video."""
        return list(COLORS).index(self.color) * len(SHAPES) + SHAPES.index(self.shape)


ACTORS = tuple(Actor(color, shape) for color in COLORS for shape in SHAPES)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One actor (or two) doing one thing."""

    action: str
    actor: Actor
    other: Actor | None  #: the one that is chased or bumped into
    start_s: float
    end_s: float
    on_s: float  #: the actors are on stage, idle, from here ...
    off_s: float  #: ... to here
    radius: float  #: of ``actor``; at the start, where it changes
    other_radius: float  #: 0 without a second actor
    x: float
    y: float
    direction: int  #: +1 or -1: sense of a spin; towards the right or the left in a chase or a bump

    @property
    def action_id(self) -> int:
        """Class of the action, 0..11."""
        return ACTION_IDS[self.action]

    @property
    def actors(self) -> tuple[Actor, ...]:
        """Everyone who takes part; the subject first."""
        return (self.actor,) if self.other is None else (self.actor, self.other)

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end."""
        return self.start_s, self.end_s


@dataclass(frozen=True, kw_only=True)
class Card:
    """A title card: it fills the frame and no sentence describes it."""

    start_s: float
    end_s: float
    kind: int  #: 0..3, row of :data:`vmlkit.data.toyworld.cards.STYLES`
    rows: tuple[tuple[tuple[float, float], ...], ...]  #: per row of "text", the left and right end of each word


@dataclass(frozen=True, kw_only=True)
class Distractor:
    """An actor that stands in a corner and does nothing."""

    actor: Actor
    radius: float
    x: float
    y: float
    on_s: float
    off_s: float


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """Two grey tones and when the first gives way to the second (never, if ``cut_s`` is the duration)."""

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    cut_s: float
