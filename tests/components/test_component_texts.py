"""Variants beside a resident split, and the exact and generated ones of the toy world."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.components.toy_reading import is_false
from tests.training.tiny import tiny_dataset
from vmlkit.components.dataset import ComponentTexts, attach, texts_from_file
from vmlkit.components.toy_texts import EXACT, TOY_COMPONENTS, paraphrase, toy_components
from vmlkit.components.toy_words import any_word_vector, relative
from vmlkit.components.variants.generation import generate
from vmlkit.components.variants.rows import MOMENT_NEGATIVES, SentenceVariant, VariantWriter
from vmlkit.components.variants.rules import RuleGenerator
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.data.toyworld.dataset import toy_sentences, toy_videos
from vmlkit.detr.dataset import DetrDataset
from vmlkit.errors import DataError

WORLD = ToyConfig(train_videos=12, validation_videos=3, test_videos=3)


SPLIT = tiny_dataset("three", 3)
TEXTS = ComponentTexts(
    components=("one", "two"),
    positives=("B a.", None, "e d"),
    negatives=(("a x", None), ("y", "z"), ("d, f g", "h")),
)


def vector(word: str) -> np.ndarray:
    return np.full(4, float(sum(map(ord, word))))


def test_a_component_needs_its_negative_and_a_positive() -> None:
    assert TEXTS.valid.tolist() == [[True, False], [False, False], [True, True]]
    assert TEXTS.only("two").valid.tolist() == [[False], [False], [True]]
    with pytest.raises(DataError, match="no component 'three'"):
        TEXTS.only("three")


def test_a_batch_carries_words_without_case_and_punctuation() -> None:
    wrapped = attach(SPLIT, TEXTS, vector)
    batch = wrapped.batch([2, 0], with_spans=True)
    assert torch.equal(batch.frames, SPLIT.batch([2, 0]).frames)
    assert batch.spans is not None
    assert wrapped.batch([0]).spans is None
    found = batch.variants
    assert found.negative.shape == (2, 2, 3, 4)
    assert found.negative_mask[0].sum(1).tolist() == [3, 1]
    torch.testing.assert_close(found.positive[1, :2, 0], torch.tensor([float(ord("b")), float(ord("a"))]))
    assert bool((found.negative[~found.negative_mask] == 0).all())
    assert bool(found.negative_mask.any(-1).all()), "no text is empty, not even a missing one"
    assert found.valid.tolist() == [[True, True], [True, False]]
    words, mask = found.texts()
    assert words.shape[1] == mask.shape[1] == 3


def test_a_split_keeps_what_it_had_and_says_which_variants_it_has() -> None:
    wrapped = attach(SPLIT, TEXTS, vector)
    assert wrapped.sentences == SPLIT.sentences
    assert wrapped.fingerprint != attach(SPLIT, TEXTS.only("one"), vector).fingerprint
    detr = attach(DetrDataset.of(SPLIT), TEXTS, vector)
    assert detr.batch([0]).frames.shape[-1] == wrapped.batch([0]).frames.shape[-1] + 2
    assert detr.batch([0], with_spans=True).windows is not None
    part = wrapped.subset([2])
    assert part.query_ids == SPLIT.query_ids[2:]
    assert part.texts.positives == ("e d",)
    assert torch.equal(part.batch([0]).variants.negative, wrapped.batch([2]).variants.negative)


def test_variants_must_fit_the_split() -> None:
    with pytest.raises(DataError, match="the split has 3"):
        attach(SPLIT, ComponentTexts(components=(), positives=("a",), negatives=((),)), vector)
    with pytest.raises(DataError, match="disagree"):
        ComponentTexts(components=("one",), positives=("a",), negatives=((),))
    empty = ComponentTexts(components=("one",), positives=(None,) * 3, negatives=(("x",),) * 3)
    with pytest.raises(DataError, match="no sentence has"):
        attach(SPLIT, empty, vector)


def test_a_file_of_generated_variants_becomes_texts(tmp_path: Path) -> None:
    row = {"sentence": "a b", "generator": "rules", "model": "rules-2"}
    with VariantWriter(tmp_path / "v.jsonl") as writer:
        writer.append(
            [
                SentenceVariant(component="positive", text="b a", **row),
                SentenceVariant(component="changed_verb", text=None, **row),
                SentenceVariant(component="changed_subject", text="c b", **row),
            ]
        )
    texts = texts_from_file(writer.path, ["a b", "unknown", " a  b"], ("changed_verb", "changed_subject"))
    assert texts.positives == ("b a", None, "b a")
    assert texts.valid.tolist() == [[False, True], [False, False], [False, True]]
    assert texts_from_file(writer.path, ["a b"]).components == MOMENT_NEGATIVES
    with pytest.raises(DataError, match="knows no sentence of this split"):
        texts_from_file(writer.path, ["unknown"])
    with pytest.raises(DataError, match="there is no such file"):
        texts_from_file(tmp_path / "absent.jsonl", ["a b"])


def test_generated_variants_of_a_split_reach_its_batches(tmp_path: Path) -> None:
    pytest.importorskip("textblob")
    pytest.importorskip("lemminflect")
    sentences = ("a dog runs.", "a man opens a box.", "nothing here")
    with VariantWriter(tmp_path / "v.jsonl") as writer:
        assert len(list(generate(RuleGenerator(), sentences, writer))) == 3
    texts = texts_from_file(writer.path, sentences)
    assert texts.positives[1] == "a box is opened by a man."
    batch = attach(SPLIT, texts, vector).batch([1, 2])
    assert batch.variants.valid.tolist() == [[True, False, True, True, True], [False] * 5]


def test_exact_variants_are_false_in_their_video_and_paraphrases_true() -> None:
    queries = [s.query_id for s in toy_sentences(WORLD, "train")]
    texts = toy_components(WORLD, "train", queries, tuple(EXACT))
    videos = {v.video_id: v for v in toy_videos(WORLD, "train")}
    for sentence, positive, row in zip(toy_sentences(WORLD, "train"), texts.positives, texts.negatives, strict=True):
        video = videos[sentence.video_id]
        assert positive == paraphrase(sentence) != sentence.text
        assert is_false(video, positive) is False
        assert all(is_false(video, text) is True for text in row if text)
    assert texts.valid[:, list(EXACT).index("changed_verb")].all()
    again = toy_components(WORLD, "train", queries[::-1], tuple(EXACT))
    assert again.negatives == texts.negatives[::-1], "a query has the same variants wherever it stands"


def test_negations_are_generated_and_false_in_their_video() -> None:
    pytest.importorskip("textblob")
    pytest.importorskip("lemminflect")
    queries = [s.query_id for s in toy_sentences(WORLD, "test")]
    texts = toy_components(WORLD, "test", queries)
    videos = {v.video_id: v for v in toy_videos(WORLD, "test")}
    negated = [row[TOY_COMPONENTS.index("negated_verb")] for row in texts.negatives]
    assert sum(t is not None for t in negated) > 0.8 * len(negated)
    for sentence, text in zip(toy_sentences(WORLD, "test"), negated, strict=True):
        assert text is None or ("not" in text.split() and is_false(videos[sentence.video_id], text))
    with pytest.raises(DataError, match="not a query"):
        toy_components(WORLD, "test", ["toy-train-00000-0"], ("changed_verb",))


def test_forms_of_a_known_verb_share_its_meaning() -> None:
    assert relative("slide") == "slides"
    assert relative("not") is None
    near, far = any_word_vector("slide") @ any_word_vector("slides"), any_word_vector("not") @ any_word_vector("slides")
    assert near > 3 * abs(far)
    np.testing.assert_array_equal(any_word_vector("by"), any_word_vector("by"))
