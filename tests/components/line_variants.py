"""Variants of the sentences of a small data set of JSON lines, and their token states."""

import json
from pathlib import Path

import numpy as np

from tests.detr.line_folders import LAYOUTS, SENTENCES, write_tokens
from vmlkit.components.variants.rows import SentenceVariant, VariantWriter

#: what every sentence has; the other components are absent
TEXTS = {"positive": "well , {}", "negated_verb": "{} does not", "changed_subject": "nobody , {}"}


def write_variants(folder: Path, name: str, sentences: tuple[str, ...] = SENTENCES) -> Path:
    """``variants.jsonl`` in the folder that :func:`tests.detr.line_folders.write_lines` filled."""
    layout, rng = LAYOUTS[name], np.random.default_rng(1)
    with VariantWriter(folder / "variants.jsonl") as writer:
        for sentence in sentences:
            rows = [
                SentenceVariant(sentence=sentence, component=part, text=text, generator="rules", model="test")
                for part, text in (
                    *((part, form.format(sentence)) for part, form in TEXTS.items()),
                    ("changed_object", None),
                )
            ]  # fmt: skip
            writer.append(rows)
    for file in layout.files:
        for line in (folder / file).read_text().splitlines():
            for part in TEXTS:
                query = f"{json.loads(line)['qid']}.{part}"
                write_tokens(folder / "features" / layout.text / layout.text_name.format(query), layout.states, rng)
    return folder / "variants.jsonl"
