"""Sentences made from labels, as released and as written."""

import os
from pathlib import Path

import numpy as np
import pytest

from vmlkit.actions.databases import read_json
from vmlkit.actions.prompts import (
    PromptConfig,
    class_words,
    encode_prompts,
    prompt_text,
    prompt_tokens,
    prompt_vocabulary,
    tag_prompt,
)
from vmlkit.actions.thumos import PROMPTS, WORD_TAGS, class_text, label_text
from vmlkit.errors import DataError

TEXTS = ["cliff diving", "diving", "high jump"]
RELEASED, SPACED = PromptConfig(), PromptConfig(join="spaced")


def real_prompts() -> list[dict]:
    path = Path(os.environ.get("VMLKIT_DATA", "")) / "thumos14" / PROMPTS
    if not path.is_file():
        pytest.skip("needs the real prompts: thumos14/p3_prompts.json below $VMLKIT_DATA")
    return read_json(path)


def test_glued_words_fall_out_of_the_vocabulary_and_spaced_ones_do_not() -> None:
    released = encode_prompts([[0, 1]], TEXTS, prompt_vocabulary(TEXTS, RELEASED), RELEASED, {})
    spaced = encode_prompts([[0, 1]], TEXTS, prompt_vocabulary(TEXTS, SPACED), SPACED, {})
    assert released.sentences == ("one video of the cliff divinganddiving.",)
    assert released.dropped == ("divinganddiving",)
    assert int(released.word_mask.sum()) == 6
    assert spaced.dropped == ()
    assert int(spaced.word_mask.sum()) == 9


def test_word_weights_are_probabilities_that_favour_content_words() -> None:
    vocabulary = prompt_vocabulary(TEXTS, RELEASED)
    encoded = encode_prompts([[2], [2, 0]], TEXTS, vocabulary, RELEASED, {"high": "JJ"})
    np.testing.assert_allclose(encoded.word_weights.sum(1).numpy(), 1, rtol=1e-6)
    words = [vocabulary.word(int(i)) for i in encoded.word_ids[0] if i]
    by_word = dict(zip(words, encoded.word_weights[0].tolist(), strict=False))
    assert by_word["jump"] == pytest.approx(2 * by_word["the"])
    assert by_word["high"] == pytest.approx(by_word["the"])
    paper = encode_prompts([[2]], TEXTS, vocabulary, PromptConfig(adjectives=True), {"high": "JJ"})
    heavy = dict(zip(words, paper.word_weights[0].tolist(), strict=False))
    assert heavy["high"] == pytest.approx(2 * heavy["the"])


def test_a_video_without_labels_keeps_the_template() -> None:
    assert prompt_text([], RELEASED) == "one video of the."
    encoded = encode_prompts([[], [1]], TEXTS, prompt_vocabulary(TEXTS, RELEASED), RELEASED, {})
    assert int(encoded.word_mask[0].sum()) == 5


def test_long_sentences_are_cut() -> None:
    config = PromptConfig(join="spaced", max_words=6)
    encoded = encode_prompts([[0, 1, 2]], TEXTS, prompt_vocabulary(TEXTS, config), config, {})
    assert encoded.word_ids.shape == (1, 6)


def test_no_known_word_is_an_error() -> None:
    from vmlkit.text.vocabulary import Vocabulary

    with pytest.raises(DataError, match="no sentence has a word"):
        encode_prompts([[0]], TEXTS, Vocabulary(("zebra",)), RELEASED, {})


def test_class_words_fill_their_slots() -> None:
    assert class_words(["clean and jerk", "diving"], slots=2) == (("clean", "and"), ("diving", "diving"))
    assert class_words(["diving"], slots=3, repeat=False) == (("diving", "", ""),)
    assert (label_text("CleanAndJerk"), class_text("VolleyballSpiking")) == ("clean jerk", "volleyball spiking")


def test_sentences_tokens_and_tags_equal_the_released_ones() -> None:
    prompts = real_prompts()
    for entry in prompts:
        text = prompt_text([class_text(name) for name in entry["labels"]], RELEASED)
        assert text == entry["sentence"]
        assert list(prompt_tokens(text)) == [token.lower() for token in entry["tokens"]]
        if len(entry["labels"]) == 1:
            tagged = tag_prompt(text, WORD_TAGS)
            weights = [2 if any(k in t for k in ("NN", "VB", "RB")) else 1 for t in tagged.tags]
            assert weights == entry["weights_before_vocabulary_filter"]
            assert list(tagged.tags) == entry["tags"]
    assert len(prompts) == 24
