"""Captions of kinds that the rules were not tuned on: gerunds, joined subjects, "there is", materials, bare objects.

``captions.jsonl`` holds what English grammar says of each: the class of every word (N V J R O), the negated verb, the
passive and the negated passive; null where the sentence has none, or where the rules must rather say nothing.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from vmlkit.components.variants.clauses import parse, tokenize
from vmlkit.components.variants.english import tag_caption, word_class
from vmlkit.components.variants.rewrite import passive
from vmlkit.components.variants.rules import RuleGenerator

pytest.importorskip("textblob")
pytest.importorskip("lemminflect")

ROWS = [json.loads(line) for line in Path(__file__).with_name("captions.jsonl").read_text().splitlines()]
each = pytest.mark.parametrize("row", ROWS, ids=[row["sentence"] for row in ROWS])


@each
def test_classes_of_words(row: dict[str, Any]) -> None:
    tokens = tokenize(row["sentence"])
    found = [word_class(tag) for tag in tag_caption(tokens)]
    assert list(zip(tokens, found, strict=True)) == list(zip(tokens, row["tags"].split(), strict=True))


@each
def test_negation_and_passive(row: dict[str, Any]) -> None:
    answers, clause = RuleGenerator().answer(row["sentence"], {}), parse(row["sentence"])
    found = {**answers, "passive": None if clause is None else passive(clause, negate=False)}
    for name in ("negated_verb", "passive", "negated_passive"):
        if name in row:
            assert found[name] == row[name], name


def test_the_other_voice_is_the_positive() -> None:
    passives = [row for row in ROWS if row.get("passive")]
    assert len(passives) >= 25
    assert all(RuleGenerator().answer(row["sentence"], {})["positive"] == row["passive"] for row in passives)
    there = RuleGenerator().answer("There's a young man in a blue shirt dancing in a park.", {})
    assert there["positive"] == "A young man in a blue shirt is dancing in a park."
    assert there["negated_verb"] == "There's not a young man in a blue shirt dancing in a park."
