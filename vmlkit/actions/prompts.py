"""Sentences made from video-level labels: what P3 completes in place of a caption.

A template is filled in with the texts of a video's classes.  P3 Sec. 3.3; the released code differs from the paper
in the template and glues the texts of several classes together, so that those words fall out of its vocabulary.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.errors import DataError
from vmlkit.text.tagging import TaggedSentence, masking_weight
from vmlkit.text.vocabulary import Vocabulary

Join = Literal["released", "spaced"]

#: tags of words that templates and punctuation bring in
TEMPLATE_TAGS = {
    "one": "CD", "video": "NN", "of": "IN", "the": "DT", "a": "DT", "an": "DT", "action": "NN", "in": "IN",
    "where": "WRB", "something": "NN", "someone": "NN", "and": "CC", ",": ",", ".": ".",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How a sentence is made from labels and how its words are weighted for masking."""

    # PAPER: "a video of the [CLS]" / CODE: "one video of the [CLS]" -> prompt_template
    template: str = "one video of the "  #: P3 Table 7 compares "a [CLS]", "a video of action [CLS]"
    # PAPER: (silent) / CODE: two labels become "AandB", so that the words beside the joint are one unknown word
    # -> prompt_join
    join: Join = "released"  #: "spaced" is "A and B"
    # PAPER: (silent) / CODE: nouns, verbs and adverbs weigh double; the test for adjectives looks for "VJJ", which is
    # no tag, so they weigh as little as articles -> prompt_adjectives
    adjectives: bool = False
    max_words: int = 14  #: n_pro2 of P3 on THUMOS14; longer sentences are cut


def prompt_text(class_texts: Sequence[str], config: PromptConfig) -> str:
    """The sentence of a video with these classes, in this order; only the template where there is none.

    >>> prompt_text(["cliff diving", "diving"], PromptConfig())
    'one video of the cliff divinganddiving.'
    >>> prompt_text(["long jump", "pole vault", "diving"], PromptConfig(template="a ", join="spaced"))
    'a long jump, pole vault and diving.'
    """
    comma, joint = (",", "and") if config.join == "released" else (", ", " and ")
    *rest, last = class_texts or [""]
    return f"{config.template}{comma.join(rest)}{joint if rest else ''}{last}".rstrip() + "."


def prompt_tokens(text: str) -> tuple[str, ...]:
    """Lower-cased words, with commas and full stops apart; what NLTK's tokenizer makes of such a sentence.

    >>> prompt_tokens("one video of the clean and jerk.")
    ('one', 'video', 'of', 'the', 'clean', 'and', 'jerk', '.')
    """
    return tuple(re.findall(r"[^\s,.]+|[,.]", text.lower()))


def tag_prompt(
    text: str, word_tags: Mapping[str, str], known: Mapping[str, TaggedSentence] | None = None
) -> TaggedSentence:
    """Words and tags of a prompt without a tagger: from a table of whole sentences, else word by word, else ``NN``.

    Args:
        word_tags: tags of the words of the class texts.
        known: sentences tagged elsewhere (``p3_prompts.json``, see
            :func:`vmlkit.actions.thumos.read_prompts`); a tagger judges a word by its neighbours.
    """
    if known is not None and text in known:
        return known[text]
    tokens = prompt_tokens(text)
    return TaggedSentence(tokens, tuple(word_tags.get(t) or TEMPLATE_TAGS.get(t, "NN") for t in tokens))


def prompt_vocabulary(class_texts: Sequence[str], config: PromptConfig) -> Vocabulary:
    """Words of the sentences about one class each, and the words that join two; glued words are not among them."""
    words: dict[str, None] = {}
    for text in class_texts:
        words.update(dict.fromkeys(prompt_tokens(prompt_text([text], config))))
    words.update(dict.fromkeys(("and", ",")))
    return Vocabulary(tuple(words))


@dataclass(frozen=True, kw_only=True)
class EncodedPrompts:
    """The sentences of a split as arrays; words outside the vocabulary are gone."""

    sentences: tuple[str, ...]
    word_ids: Int[Tensor, "videos L"]
    word_mask: Bool[Tensor, "videos L"]
    word_weights: Float[Tensor, "videos L"]
    dropped: tuple[str, ...]  #: words outside the vocabulary, each once, in order


def encode_prompts(
    labels: Sequence[Sequence[int]],
    class_texts: Sequence[str],
    vocabulary: Vocabulary,
    config: PromptConfig,
    word_tags: Mapping[str, str],
    known: Mapping[str, TaggedSentence] | None = None,
) -> EncodedPrompts:
    """One sentence per video.

    The probability of a word to be masked is proportional to 2 for nouns, verbs and adverbs (and adjectives, if set)
    and to 1 for the others.

    Args:
        labels: the classes of each video in the order of the annotation file.
        class_texts: what to write for each class.

    Raises:
        DataError: if no sentence keeps a word.
    """
    content = ("NN", "VB", "RB", "JJ") if config.adjectives else ("NN", "VB", "RB")
    sentences, kept, dropped = [], [], {}
    for classes in labels:
        text = prompt_text([class_texts[c] for c in classes], config)
        tagged = tag_prompt(text, word_tags, known)
        pairs = [(w, masking_weight(t, content)) for w, t in zip(tagged.tokens, tagged.tags, strict=True)]
        dropped.update(dict.fromkeys(word for word, _ in pairs if word not in vocabulary))
        sentences.append(text)
        kept.append([(vocabulary.ids([w])[0], weight) for w, weight in pairs if w in vocabulary][: config.max_words])
    longest = max(map(len, kept), default=0)
    if not longest:
        raise DataError("prompts", "no sentence has a word of the vocabulary", "take another vocabulary or template")
    ids, weights = np.zeros((len(kept), longest), dtype=np.int64), np.zeros((len(kept), longest), dtype=np.float32)
    for row, words in enumerate(kept):
        for column, (word_id, weight) in enumerate(words):
            ids[row, column], weights[row, column] = word_id, weight
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    return EncodedPrompts(
        sentences=tuple(sentences),
        word_ids=torch.from_numpy(ids),
        word_mask=torch.from_numpy(ids > 0),
        word_weights=torch.from_numpy(weights),
        dropped=tuple(dropped),
    )


def class_words(class_texts: Sequence[str], slots: int = 2, repeat: bool = True) -> tuple[tuple[str, ...], ...]:
    """The first ``slots`` words of each class text, as many for every class.

    Args:
        repeat: a shorter text repeats its last word (P3 on THUMOS14: "diving diving"); else ``""`` fills up, which has
            the zero vector (P3 on ActivityNet).

    >>> class_words(["high jump", "diving"]), class_words(["diving"], repeat=False)
    ((('high', 'jump'), ('diving', 'diving')), (('diving', ''),))
    """
    split = [prompt_tokens(text)[:slots] for text in class_texts]
    return tuple((*words, *[words[-1] if repeat else ""] * (slots - len(words))) for words in split)
