"""Sentence similarity: TF-IDF against a plain computation, and a tiny encoder made on the spot."""

import math
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from tests.text.encoders import save_encoder
from vmlkit.errors import DataError, MissingDependency
from vmlkit.text import similarity as sim
from vmlkit.text.encoder import load_encoder
from vmlkit.text.similarity import EncoderSimilarity, TfidfSimilarity, sentence_similarity, words

SENTENCES = [
    "person opens the door",
    "A person closes the door.",
    "the cat sleeps",
    "person opens the door and opens the window",
    "...",
    "Person opens the DOOR",
]


def naive_cosine(a, b):
    spread = Counter(word for sentence in SENTENCES for word in set(words(sentence)))

    def vector(sentence):
        counts = Counter(words(sentence))
        return {w: n * (math.log((1 + len(SENTENCES)) / (1 + spread[w])) + 1) for w, n in counts.items()}

    x, y = vector(a), vector(b)
    norm = math.sqrt(sum(v * v for v in x.values())) * math.sqrt(sum(v * v for v in y.values()))
    return sum(x[w] * y.get(w, 0) for w in x) / norm if norm else 0.0


@pytest.mark.parametrize("block", [1, 40, 4_000_000])
def test_tfidf_is_the_plain_cosine(monkeypatch, block):
    monkeypatch.setattr(sim, "_BLOCK", block)
    first, second = (a.ravel() for a in np.meshgrid(range(len(SENTENCES)), range(len(SENTENCES))))
    found = TfidfSimilarity(SENTENCES).pairs(first, second)
    expected = [naive_cosine(SENTENCES[i], SENTENCES[j]) for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_case_and_punctuation_do_not_count():
    assert TfidfSimilarity(SENTENCES).pairs(np.array([0]), np.array([5]))[0] == pytest.approx(1.0)


def test_no_pair_is_no_number():
    empty = np.zeros(0, dtype=int)
    assert TfidfSimilarity(SENTENCES).pairs(empty, empty).shape == (0,)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A saved BERT of the smallest size with a word-piece vocabulary of the sentences' words."""
    return save_encoder(tmp_path_factory.mktemp("encoder"), SENTENCES)


def test_an_encoder_averages_the_states_of_the_own_words(encoder):
    similarity = sentence_similarity(SENTENCES, encoder)
    assert similarity.name == f"encoder {encoder.name}"
    tokenizer, model = load_encoder(encoder)
    alone = []
    with torch.inference_mode():
        for sentence in SENTENCES:
            states = model(**tokenizer([sentence], return_tensors="pt")).last_hidden_state[0].mean(dim=0)
            alone.append((states / states.norm()).numpy())
    first, second = np.array([0, 0, 2, 3]), np.array([1, 5, 3, 3])
    expected = [alone[i] @ alone[j] for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(similarity.pairs(first, second), expected, atol=1e-5)
    assert similarity.pairs(np.array([0]), np.array([5]))[0] == pytest.approx(1.0, abs=1e-5)


def test_batches_do_not_change_an_embedding(encoder):
    one, many = (EncoderSimilarity(SENTENCES, encoder, batch=size).vectors for size in (1, 6))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path, encoder):
    with pytest.raises(DataError, match=r"no folder with a config\.json"):
        sentence_similarity(SENTENCES, tmp_path)
    (tmp_path / "config.json").write_bytes((encoder / "config.json").read_bytes())
    with pytest.raises(DataError, match="holds no usable encoder"):
        sentence_similarity(SENTENCES, tmp_path)


def test_pickled_weights_are_refused(tmp_path, encoder):
    for file in encoder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="holds no usable encoder"):
        sentence_similarity(SENTENCES, tmp_path)


def test_an_encoder_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependency, match=r"vmlkit\[text\]"):
        sentence_similarity(SENTENCES, tmp_path)
