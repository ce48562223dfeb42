"""The toy world: short rendered videos with scripted events, sentences about them, and exact times.

Nothing is downloaded.  ``toy_splits(ToyConfig())`` gives data sets to train on; ``make_video`` and ``render`` give
the scripts and the pictures behind them.
"""

from typing import TYPE_CHECKING, Any

from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.data.toyworld.features import frame_features
from vmlkit.data.toyworld.grammar import ToySentence
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo, make_video
from vmlkit.data.toyworld.variants import Variant, variants
from vmlkit.data.toyworld.word_vectors import toy_vocabulary, word_vector, word_vectors
from vmlkit.data.toyworld.world import ACTIONS, ACTORS, Actor, Event

if TYPE_CHECKING:
    from vmlkit.data.toyworld.dataset import FilmStrip, toy_scaler, toy_sentences, toy_splits, toy_videos

__all__ = [
    "ACTIONS",
    "ACTORS",
    "Actor",
    "Event",
    "FilmStrip",
    "ToyConfig",
    "ToySentence",
    "ToyVideo",
    "Variant",
    "frame_features",
    "make_video",
    "render",
    "toy_scaler",
    "toy_sentences",
    "toy_splits",
    "toy_videos",
    "toy_vocabulary",
    "variants",
    "word_vector",
    "word_vectors",
]

_WITH_TORCH = ("FilmStrip", "toy_scaler", "toy_sentences", "toy_splits", "toy_videos")


def __getattr__(name: str) -> Any:
    # The worker processes that compute features import this package; torch would triple their start-up time.
    if name in _WITH_TORCH:
        from vmlkit.data.toyworld import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
