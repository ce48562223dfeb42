"""Sentences that a user types, as the words of a trained model; what it does not know is named.

Axes: K sentences, L words or tokens of the longest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.assembly import encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.detr.loading import token_folder
from vmlkit.detr.settings import LinesData
from vmlkit.errors import DataError
from vmlkit.text.encoder import is_encoder
from vmlkit.text.sentence_features import EncoderStates
from vmlkit.text.similarity import words as plain_words
from vmlkit.text.tagging import TaggedSentence, tag_sentences
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.video.toy_reader import toy_words


@dataclass(frozen=True, kw_only=True)
class Asked:
    """K sentences as a model reads them, and the words of each that it does not know."""

    sentences: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]  #: what stands at each place of the word axis, where words do
    unknown: tuple[tuple[str, ...], ...]
    ids: Int[Tensor, "K L"]
    mask: Bool[Tensor, "K L"]
    weights: Float[Tensor, "K L"]
    vectors: Float[Tensor, "V Dw"]
    vector_ids: Int[Tensor, "K L"] | None = None


def read_words(
    sentences: Sequence[str], config: Any, data: MomentDataset, encoder: Path | None, cache_dir: Path | None
) -> Asked:
    """Sentences as the training split ``data`` of the settings ``config`` holds its own.

    Args:
        encoder: folder of an encoder with a text half, for models of token states.
        cache_dir: where token states are kept.

    Raises:
        DataError: for a sentence of which the model knows no word, naming them, or token states without an encoder.
    """
    if isinstance(config, LinesData) and not len(data.vocabulary) > 1:
        return token_states(sentences, _text_encoder(config, encoder), config, cache_dir)
    if isinstance(config, ToyConfig):
        tagged = [_toy_tagged(sentence) for sentence in sentences]
    elif isinstance(config, LinesData):
        tagged = [TaggedSentence(tuple(t := plain_words(s)), ("NN",) * len(t)) for s in sentences]
    else:
        tagged = tag_sentences(sentences)
    unknown = [tuple(token for token in s.tokens if token.isalnum() and token not in data.vocabulary) for s in tagged]
    for sentence, said in zip(sentences, tagged, strict=True):
        require_known(sentence, said.tokens, data.vocabulary, data.name)
    words = encode_sentences(tagged, data.vocabulary, getattr(config, "max_words", None) or 20)
    states = None
    if getattr(config, "text_encoder", None):
        states = EncoderStates(config.text_encoder, cache_dir).words([s.tokens for s in tagged])
    kept = [[t for t in s.tokens if t in data.vocabulary][: words.word_ids.shape[1]] for s in tagged]
    return Asked(
        sentences=tuple(sentences),
        tokens=tuple(map(tuple, kept)),
        unknown=tuple(unknown),
        ids=words.word_ids,
        mask=words.word_mask,
        weights=words.word_weights,
        vectors=data.vectors if states is None else states.table()[0],
        vector_ids=None if states is None else words.rows_of(states),
    )


def require_known(sentence: str, tokens: Sequence[str], vocabulary: Vocabulary, trained_on: str) -> None:
    """Refuse a sentence without a known word.

    Raises:
        DataError: naming its words and some that are known.
    """
    if any(token in vocabulary for token in tokens):
        return
    said = ", ".join(tokens) or "no word at all"
    some = ", ".join(vocabulary.words[:60:6])
    what = f"no word of it is known to a model trained on {trained_on.split('/')[0]} ({said})"
    raise DataError(f"the sentence {sentence!r}", what, f"use its words, such as {some}")


def token_states(sentences: Sequence[str], folder: Path, config: Any, cache_dir: Path | None) -> Asked:
    """A state for each token, by the encoder in ``folder``, divided by its norm where the settings say so."""
    found = EncoderStates(folder, cache_dir).read([""] * len(sentences), sentences, config.max_words)
    table, places, there = (found.unit_rows() if getattr(config, "unit_text", True) else found).table()
    nothing = ((),) * len(sentences)
    weights = there / there.sum(1, keepdim=True)
    return Asked(
        sentences=tuple(sentences),
        tokens=nothing,
        unknown=nothing,
        ids=places,
        mask=there,
        weights=weights,
        vectors=table,
    )


def _text_encoder(config: LinesData, given: Path | None) -> Path:
    own = token_folder(config)
    for folder in (own, given):
        if folder is not None and is_encoder(folder):
            return folder
    raise DataError(
        own or config.name,
        "holds the token states of known sentences alone, and a new one needs the encoder that made them",
        "give its folder with --encoder",
    )


def _toy_tagged(sentence: str) -> TaggedSentence:
    tokens = tuple(toy_words(sentence))
    return TaggedSentence(tokens, tuple(LEXICON[t].tag if t in LEXICON else "NN" for t in tokens))
