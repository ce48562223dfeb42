"""Word vectors from files and from hashes, and the table that a data set carries."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.errors import DataError
from vmlkit.text.embeddings import (
    WordVectors,
    embedding_table,
    hashed_vectors,
    read_glove_text,
    read_npz_vectors,
    read_word_vectors,
)
from vmlkit.text.vocabulary import Vocabulary

ARRAYS = {
    "words": np.array(["<PAD>", "door", "cat"]),
    "vectors": np.arange(6, dtype=np.float32).reshape(3, 2),
    "counts": np.array([0, 7, 9]),
    "model_vocab": np.array([2, 1]),
}


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **ARRAYS)
    vectors = read_word_vectors(tmp_path / "g.npz")
    assert vectors.words == ("<PAD>", "door", "cat")
    assert vectors.model_words == ("cat", "door")
    assert vectors.counts == {"<PAD>": 0, "door": 7, "cat": 9}
    assert vectors.dim == 2
    assert "cat" in vectors
    assert "dog" not in vectors
    assert vectors.vectors[vectors.rows(["cat"])].tolist() == [[4.0, 5.0]]


def test_npz_without_the_optional_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", words=ARRAYS["words"], vectors=ARRAYS["vectors"])
    vectors = read_npz_vectors(tmp_path / "g.npz")
    assert vectors.model_words is None
    assert vectors.counts is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": None}, "lacks the array 'vectors'; save the arrays"),
        ({"vectors": np.zeros((2, 2))}, r"has 3 words and vectors of shape \(2, 2\)"),
        ({"counts": np.zeros(2)}, r"has 3 words and counts of type float64 and shape \(2,\)"),
        ({"model_vocab": np.array([3])}, "'model_vocab' points outside 'words'"),
        ({"vectors": np.full((3, 2), np.nan)}, "'<PAD>' has NaN or infinity"),
        ({"words": np.array(["a", "a", "b"])}, "holds a word twice"),
    ],
)
def test_bad_npz(tmp_path: Path, change: dict, message: str) -> None:
    arrays = {k: v for k, v in {**ARRAYS, **change}.items() if v is not None}
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_npz_vectors(tmp_path / "g.npz")


def test_pickled_and_broken_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", words=np.array(["a"], dtype=object), vectors=np.zeros((1, 2)))
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 broken")
    for name, said in (("p.npz", "is not a readable npz"), ("b.npz", "is not a readable npz"), ("no.npz", "no such")):
        with pytest.raises(DataError, match=rf"{name}: .*{said}"):
            read_npz_vectors(tmp_path / name)


@pytest.mark.parametrize("name", ["g.txt", "g.txt.gz"])
def test_glove_text(tmp_path: Path, name: str) -> None:
    # a word with blanks, a repeated word, and a number as a word, as in GloVe 840B
    text = "door 1 -2.5 3e-1\n. . . 4 5 6\ncat 7 8 9\ndoor 0 0 0\n1999 1 1 1\n"
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    vectors = read_word_vectors(tmp_path / name, {"door", "cat", "dog"})
    assert vectors.words == ("door", "cat")
    assert vectors.vectors[0].tolist() == pytest.approx([1.0, -2.5, 0.3])
    assert read_glove_text(tmp_path / name).words == ("door", ". . .", "cat", "1999")


def test_word2vec_header_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("2 3\ndoor 1 2 3\ncat 4 5 6\n")
    vectors = read_glove_text(tmp_path / "w.txt")
    assert vectors.words == ("door", "cat")
    assert vectors.dim == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("door 1 2 3\ncat 4 5\n", "line 2 is not a word and its numbers; download the file again"),
        ("door\n", "line 1 is not a word and its numbers"),
        ("door 1 nan 3\n", "'door' has NaN or infinity"),
        ("", "holds none of the words"),
    ],
)
def test_bad_glove_text(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_glove_text(tmp_path / "g.txt")


def test_glove_text_without_a_wanted_word(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("tuer 1 2 3\nkatze 1 2 3\n")
    with pytest.raises(DataError, match="holds none of the words of the data set"):
        read_glove_text(tmp_path / "g.txt", {"door"})
    with pytest.raises(DataError, match="there is no such file"):
        read_glove_text(tmp_path / "missing.txt")


def test_hashed_vectors_depend_on_word_and_seed_alone() -> None:
    a = hashed_vectors(["door", "cat"], 300)
    b = hashed_vectors(["cat"], 300)
    np.testing.assert_array_equal(a[1], b[0])
    assert np.linalg.norm(a, axis=1) == pytest.approx([1, 1], abs=0.2)
    assert abs(float(a[0] @ a[1])) < 0.3
    assert np.abs(hashed_vectors(["cat"], 300, seed=1) - b).max() > 0.01
    assert hashed_vectors([], 300).shape == (0, 300)


def test_embedding_table_pads_with_zero_and_names_what_it_hashed() -> None:
    source = WordVectors(words=("<PAD>", "door", "cat"), vectors=np.array([[0, 0], [3, 4], [0, 5]], dtype=np.float32))
    table, hashed = embedding_table(Vocabulary(("cat", "zebu", "door")), source)
    assert table.shape == (4, 2)
    assert table.dtype == torch.float32
    assert table[[0, 1, 3]].tolist() == [[0, 0], [0, 5], [3, 4]]
    assert hashed == ("zebu",)
    table, hashed = embedding_table(Vocabulary(("cat", "zebu")), None, dim=64)
    assert table.shape == (3, 64)
    assert hashed == ("cat", "zebu")
    assert table[0].abs().max() == 0
    assert table[1:].norm(dim=1).min() > 0.5


def test_hashed_words_have_the_norm_of_the_known_ones() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 300)).astype(np.float32)
    source = WordVectors(words=tuple(f"w{i}" for i in range(20)), vectors=rows)
    table, _ = embedding_table(Vocabulary((*source.words, *(f"x{i}" for i in range(20)))), source)
    known, new = table[1:21].norm(dim=1).mean(), table[21:].norm(dim=1).mean()
    assert float(new / known) == pytest.approx(1, abs=0.05)
