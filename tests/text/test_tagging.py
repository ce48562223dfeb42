"""Tokens, tags and masking probabilities; reading stored tags."""

import gzip
import json
import random
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch

from vmlkit.errors import DataError, MissingDependency
from vmlkit.text import tagging
from vmlkit.text.tagging import (
    TaggedSentence,
    masking_probabilities,
    masking_weight,
    matches_sentence,
    read_tagged,
    tag_sentences,
)

LINE = {"split": "train", "row": 3, "tokens": ["a", "door"], "tags": ["DT", "NN"]}


@pytest.fixture
def no_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "_installed", lambda resource: False)


@pytest.mark.usefixtures("no_nltk_data")
def test_lexicon_tagger_warns_once() -> None:
    pytest.importorskip("nltk")
    pytest.importorskip("textblob")
    with pytest.warns(UserWarning, match="TextBlob's lexicon and may differ") as caught:
        tagged = tag_sentences(["The person's dog isn't here.", "She opens it. He RUNS away"])
    assert sum("TextBlob" in str(w.message) for w in caught) == 1
    assert tagged[0].tokens == ("the", "person", "'s", "dog", "is", "n't", "here", ".")
    assert tagged[1].tokens == ("she", "opens", "it", ".", "he", "runs", "away")
    weights = [masking_weight(tag) for tag in tagged[0].tags]
    assert weights == [1, 2, 1, 2, 2, 2, 2, 1]


def test_perceptron_is_preferred_where_its_data_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(tagging, "_installed", lambda resource: resource == tagging.PERCEPTRON)
    seen = []

    def pos_tag(tokens: list[str]) -> list[tuple[str, str]]:
        seen.append(tokens)
        return [(t, "XX") for t in tokens]

    monkeypatch.setattr(nltk, "pos_tag", pos_tag)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tagged,) = tag_sentences(["A Door opens"])
    assert seen == [["A", "Door", "opens"]]  # tagged in its original case, as in the references
    assert tagged == TaggedSentence(("a", "door", "opens"), ("XX", "XX", "XX"))
    assert "perceptron" in tagging.tagger_name()


@pytest.mark.usefixtures("no_nltk_data")
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textblob", None)
    pytest.importorskip("nltk")
    with pytest.raises(MissingDependency, match=r"'textblob': run `pip install 'vmlkit\[text\]'`"):
        tag_sentences(["a door"])
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(MissingDependency, match=r"'nltk': run `pip install 'vmlkit\[text\]'`"):
        tag_sentences(["a door"])


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_stored_tags(tmp_path: Path, name: str) -> None:
    data = (json.dumps(LINE) + "\n\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read_tagged(tmp_path / name) == {("train", 3): TaggedSentence(("a", "door"), ("DT", "NN"))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": ["DT"]}, "line 2 does not have one tag per token; write two lists"),
        ({"tokens": "ab"}, "'line 2.tokens' is 'ab'; write a list"),
        ({"tokens": [1, 2]}, r"'line 2.tokens\[0\]' is 1; write a text"),
        ({"row": None}, "'line 2.row' is null; write a whole number"),
    ],
)
def test_bad_stored_tags(tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps(LINE) + "\n" + json.dumps({**LINE, **change}))
    with pytest.raises(DataError, match=message):
        read_tagged(tmp_path / "t.jsonl")


def test_unreadable_stored_tags(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"t\.jsonl\.gz: cannot be read"):
        read_tagged(tmp_path / "t.jsonl.gz")
    (tmp_path / "t.jsonl").write_text("{")
    with pytest.raises(DataError, match="line 1 is not valid JSON"):
        read_tagged(tmp_path / "t.jsonl")


def test_matching_ignores_blanks_case_and_quotation_marks() -> None:
    quoted = TaggedSentence(("he", "says", "``", "no", "''", "."), ("PRP", "VBZ", "``", "DT", "''", "."))
    assert matches_sentence(quoted, 'He says "no".')
    assert not matches_sentence(quoted, 'He says "yes".')


def test_masking_probabilities_are_proportional_to_e_squared_and_e() -> None:
    weights = torch.tensor([[2.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, False], [True, False, False, False], [False] * 4])
    p = masking_probabilities(weights, mask)
    assert p[0, 0] / p[0, 1] == pytest.approx(2.718282)
    assert p.sum(1).tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert p[~mask].abs().max() == 0


@pytest.mark.parametrize(
    ("tag", "weight"), [("NNP", 2), ("VBG", 2), ("JJR", 2), ("RB", 2), ("WRB", 2), ("IN", 1), (".", 1)]
)
def test_masking_weight(tag: str, weight: float) -> None:
    assert masking_weight(tag) == weight


def test_the_short_way_through_plain_sentences_gives_the_tokens_of_the_long_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sentences of every kind of part, in random order; the short way takes some of them and never changes one."""
    parts = [
        "a man",
        "cannot",
        "Gonna",
        "re-opens",
        "--",
        "it's",
        "3.5",
        "1,000",
        "ends.",
        "so,",
        "well,then",
        "?",
        "(",
    ]
    parts += [
        "the door",
        "and",
        "runs,",
        "then",
        "up",
        " ",
        "is",
        "lemme",
        "whaddya",
        "e.g.",
        "x,",
        "'tis",
        "50%",
        "red",
        "ball",
        "…",
        "two  blanks",
    ]
    draw = random.Random(0)
    sentences = [" ".join(draw.choices(parts, k=draw.randint(1, 6))) + draw.choice([".", "", " .", "..", "!"])
                 for _ in range(3000)]  # fmt: skip
    plain = [bool(tagging._PLAIN.fullmatch(s) and not tagging._CONTRACTED.search(s)) for s in sentences]
    assert 50 < sum(plain) < 2950
    short = [tagging._tokenizer()(sentence) for sentence in sentences]
    monkeypatch.setattr(tagging, "_PLAIN", re.compile(r"(?!)"))
    assert [tagging._tokenizer()(sentence) for sentence in sentences] == short
