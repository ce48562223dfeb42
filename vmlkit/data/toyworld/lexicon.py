"""The 101 words of the toy world: their tags, their meanings, and the phrases they form."""

from dataclasses import dataclass

#: part-of-speech tag, concept, the words that share both
_TABLE = """
DT  det:a         a
DT  det:the       the
JJ  size:small    small little
JJ  size:big      big large
JJ  color:red     red crimson
JJ  color:yellow  yellow golden
JJ  color:green   green
JJ  color:cyan    cyan turquoise
JJ  color:blue    blue
JJ  color:pink    pink magenta
NN  shape:circle  circle ball disc
NN  shape:square  square box block
NN  shape:triangle triangle pyramid
NN  shape:cross   cross plus
NN  shape:star    star
NN  shape:ring    ring hoop
NN  place:side    side
NN  place:screen  screen
NN  place:spot    place
NN  place:top     top
NN  place:bottom  bottom
RB  dir:left      left
RB  dir:right     right
RB  dir:up        up upward
RB  dir:down      down downward
RB  dir:around    around
RB  dir:away      away
RB  manner:slow   slowly
RB  manner:quick  quickly
RB  manner:again  repeatedly
JJR degree:more   bigger larger
JJR degree:less   smaller
VBZ aux:be        is
VBZ aux:begin     starts
VBZ aux:go_on     keeps
VBZ v:move        slides moves glides
VBG v:move        traveling
VBZ v:rise        rises floats
VBG v:rise        climbing
VBZ v:fall        falls sinks
VBG v:fall        dropping
VBZ v:become      becomes
VBG v:become      getting
VBZ v:grow        grows expands
VBG v:grow        growing
VBZ v:shrink      shrinks contracts
VBZ v:blink       blinks flashes
VB  v:blink       blink
VBG v:blink       flashing
VBZ v:spin        spins rotates
VB  v:spin        rotate
VBG v:spin        spinning
VBZ v:bounce      bounces jumps hops
VBG v:bounce      bouncing
VBZ v:shake       shakes wobbles trembles
VBG v:shake       shaking
VBZ v:chase       chases follows runs
VBG v:chase       chasing
VBZ v:bump        bumps hits crashes knocks
IN  prep:to       to
IN  prep:across   across
IN  prep:in       in
IN  prep:from     from
IN  prep:into     into
IN  prep:after    after
IN  prep:on       on
IN  prep:off      off
CC  conj:and      and
"""

#: stands for the object phrase in :data:`VERB_PHRASES`
OBJECT = "<object>"

#: four ways to say each action, all equally likely
VERB_PHRASES: dict[str, tuple[str, str, str, str]] = {
    "left": ("slides to the left", "moves left", "glides left across the screen", "is traveling to the left side"),
    "right": (
        "slides to the right",
        "moves right",
        "glides right across the screen",
        "is traveling to the right side",
    ),
    "up": ("rises up", "moves upward", "floats to the top", "is climbing up the screen"),
    "down": ("falls down", "moves downward", "sinks to the bottom", "is dropping down the screen"),
    "grow": ("grows bigger", "expands", "becomes larger", "is growing slowly"),
    "shrink": ("shrinks", "becomes smaller", "contracts slowly", "is getting smaller"),
    "blink": ("blinks", "flashes on and off", "starts to blink", "keeps flashing"),
    "spin": ("spins around", "rotates in place", "starts to rotate", "keeps spinning"),
    "bounce": ("bounces up and down", "jumps up and down", "hops repeatedly", "keeps bouncing"),
    "shake": ("shakes from side to side", "wobbles", "trembles quickly", "keeps shaking"),
    "chase": (f"chases {OBJECT}", f"follows {OBJECT}", f"runs after {OBJECT}", f"is chasing {OBJECT}"),
    "bump": (f"bumps into {OBJECT}", f"hits {OBJECT}", f"crashes into {OBJECT}", f"knocks {OBJECT} away"),
}


@dataclass(frozen=True)
class Entry:
    """What is known about a word."""

    tag: str  #: Penn Treebank part of speech
    concept: str  #: ``category:meaning``; synonyms share it

    @property
    def category(self) -> str:
        """The part of the concept before the colon."""
        return self.concept.split(":")[0]

    @property
    def meaning(self) -> str:
        """The part of the concept after the colon, e.g. ``circle`` for "disc"."""
        return self.concept.split(":")[1]


def _read(table: str) -> dict[str, Entry]:
    rows = [line.split() for line in table.strip().splitlines()]
    return {word: Entry(tag, concept) for tag, concept, *words in rows for word in words}


LEXICON: dict[str, Entry] = _read(_TABLE)


def synonyms(concept: str) -> tuple[str, ...]:
    """The words of a concept, the usual one first.

    >>> synonyms("shape:circle")
    ('circle', 'ball', 'disc')
    """
    return tuple(word for word, entry in LEXICON.items() if entry.concept == concept)
