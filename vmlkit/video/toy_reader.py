"""What the toy world's encoder makes of words: a small network that names what each colour does, frame by frame.

It stands to the toy world as CLIP does to photographs.  It was fitted once, on films that no data set contains and that
nothing but the renderer wrote (``tools/fit_toy_reader.py``), and it is the same for every run: no video of a data set
and no run has a part in it.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.data.toyworld.features import FILTERS, HUES, PER_HUE
from vmlkit.data.toyworld.lexicon import LEXICON, OBJECT, VERB_PHRASES, Entry
from vmlkit.data.toyworld.world import ACTIONS, COLORS, PAIR_ACTIONS, SHAPES
from vmlkit.errors import DataError

#: what a colour does: nothing is there, it idles, it acts, or something is done to it
STATES = ("absent", "idle", *ACTIONS, *(f"{action} (object)" for action in PAIR_ACTIONS))
#: which shape it has; the first is none
FORMS = ("none", *SHAPES)
#: columns that the network reads of each colour: its own, six of the other colours, the change of the whole frame
COLUMNS = PER_HUE + 8
_HIDDEN, _REACH, _DILATIONS = 40, 5, (1, 2, 4)
#: share of an action's probability that counts where the shape is another: a shape may be read wrongly
_ANY_SHAPE = 0.25


class ToyReader(nn.Module):
    """Three dilated convolutions over time, 29 frames in all, and two heads: state and shape of one colour.

    Axes: C colours, T frames half a second apart.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Conv1d(COLUMNS, _HIDDEN, 1)
        self.blocks = nn.ModuleList(
            nn.Conv1d(_HIDDEN, _HIDDEN, _REACH, padding=_REACH // 2 * step, dilation=step) for step in _DILATIONS
        )
        self.state = nn.Conv1d(_HIDDEN, len(STATES), 1)
        self.form = nn.Conv1d(_HIDDEN, len(FORMS), 1)
        self.register_buffer("mean", torch.zeros(COLUMNS))
        self.register_buffer("deviation", torch.ones(COLUMNS))

    def forward(self, columns: Float[Tensor, "C T columns"]) -> tuple[Float[Tensor, "C states T"], Tensor]:
        """Logits of states and of shapes."""
        x = nn.functional.gelu(self.project(((columns - self.mean) / self.deviation).transpose(1, 2)))
        for block in self.blocks:
            x = x + nn.functional.gelu(block(x))
        return self.state(x), self.form(x)

    @torch.no_grad()
    def read(self, rows: Float[np.ndarray, "T 156"]) -> "Reading":
        """Probabilities for each colour and frame of a video, from its raw features."""
        states, forms = self(torch.from_numpy(colour_columns(rows)))
        return Reading(states.softmax(1).numpy(), forms.softmax(1).numpy())


@dataclass(frozen=True)
class Reading:
    """What the reader makes of a video."""

    states: Float[np.ndarray, "C states T"]
    forms: Float[np.ndarray, "C forms T"]

    def curve(self, said: "Said") -> Float[np.ndarray, " T"]:
        """Probability that a frame shows what a sentence says, in [0, 1]; what the sentence leaves out may be any."""
        curve = self._of(said.color, said.shape, [STATES.index(a) for a in said.actions])
        if said.object_shape is None and said.object_color is None:
            return curve
        done = [STATES.index(f"{a} (object)") for a in said.actions if a in PAIR_ACTIONS]
        if not done:
            return curve
        found: np.ndarray = (curve + self._of(said.object_color, said.object_shape, done)) / 2
        return found

    def _of(self, color: str | None, shape: str | None, states: list[int]) -> Float[np.ndarray, " T"]:
        # without an action in the sentence, being there is what counts
        there = self.states[:, states].sum(axis=1) if states else 1 - self.states[:, 0]
        if shape is not None:
            there = there * (_ANY_SHAPE + (1 - _ANY_SHAPE) * self.forms[:, FORMS.index(shape)])
        found: np.ndarray = there.max(axis=0) if color is None else there[list(COLORS).index(color)]
        return found


@dataclass(frozen=True)
class Said:
    """What a sentence says about the toy world."""

    color: str | None = None
    shape: str | None = None
    actions: tuple[str, ...] = ()  #: the likeliest ones; none where the sentence names no action
    object_color: str | None = None
    object_shape: str | None = None


def understand(sentence: str) -> Said:
    """What the words of a sentence say; words that the toy world does not have are passed over.

    Raises:
        DataError: for a sentence that names neither a colour nor a shape nor an action of the toy world.

    >>> understand("The red ball chases a blue box.")
    Said(color='red', shape='circle', actions=('chase',), object_color='blue', object_shape='square')
    """
    words = toy_words(sentence)
    known = [LEXICON[word] for word in words if word in LEXICON]
    phrases = _phrases_of(known)
    actions = _actions(frozenset(entry.concept for entry in known))
    if not (phrases or actions):
        what = f"the sentence {sentence!r} has no colour, shape or action of the toy world"
        raise DataError("toy encoder", what, "write one such as 'the red circle slides to the left'")
    subject, other, *_ = (*phrases, (None, None), (None, None))
    pair = any(action in PAIR_ACTIONS for action in actions)
    return Said(*subject, actions, *(other if pair else (None, None)))


def _phrases_of(known: list[Entry]) -> list[tuple[str | None, str | None]]:
    """Colour and shape of each thing that is named, in order; a colour belongs to the shape behind it."""
    phrases: list[tuple[str | None, str | None]] = []
    color: str | None = None
    for entry in known:
        if entry.category == "shape":
            phrases.append((color, entry.meaning))
            color = None
        elif entry.category in ("color", "v"):  # an action ends the thing before it
            phrases += [(color, None)] if color else []
            color = entry.meaning if entry.category == "color" else None
    return [*phrases, (color, None)] if color else phrases


def toy_words(sentence: str) -> list[str]:
    """The words of a sentence, in lower case and without marks."""
    return "".join(c if c.isalnum() else " " for c in sentence.lower()).split()


def _actions(concepts: frozenset[str]) -> tuple[str, ...]:
    """The actions whose phrases share most of their meaning with a sentence; all of those that share equally much."""
    best: dict[str, float] = {}
    for action, phrases in _meanings().items():
        best[action] = max(len(concepts & phrase) / len(phrase) for phrase in phrases)
    most = max(best.values())
    return tuple(action for action, share in best.items() if share == most) if most >= 0.5 else ()


@cache
def _meanings() -> dict[str, list[frozenset[str]]]:
    """Concepts of each phrase of each action, those that every sentence may have left out."""
    plain = ("det", "prep", "conj", "aux", "place", "manner")
    found = {}
    for action, phrases in VERB_PHRASES.items():
        words = [[LEXICON[word] for word in phrase.split() if word != OBJECT] for phrase in phrases]
        found[action] = [frozenset(e.concept for e in phrase if e.category not in plain) for phrase in words]
    return found


def colour_columns(rows: Float[np.ndarray, "T 156"]) -> Float[np.ndarray, "C T columns"]:
    """What the reader sees of each colour, float32: its columns, how the other colours move, how the frame changes."""
    hues = rows[:, : len(HUES) * PER_HUE].reshape(len(rows), len(HUES), PER_HUE)
    change = rows[:, len(HUES) * PER_HUE + FILTERS :].mean(axis=1, keepdims=True)
    parts = []
    for i in range(len(HUES)):
        others = np.delete(hues, i, axis=1)
        seen = (others[:, :, 1:2].max(axis=1), others[:, :, 9:13].max(axis=1), others[:, :, 9:11].min(axis=1))
        parts.append(np.concatenate((hues[:, i], *seen, change), axis=1))
    return np.stack(parts).astype(np.float32)


@cache
def toy_reader() -> ToyReader:
    """The reader with the weights that come with the package."""
    reader = ToyReader()
    weights = files("vmlkit.video").joinpath("toy_reader.safetensors").read_bytes()
    reader.load_state_dict({name: value.float() for name, value in safetensors.torch.load(weights).items()})
    return reader.eval()
