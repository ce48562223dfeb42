"""P4 on data sets of JSON lines: variants from a file, as token states or word vectors, beside the split as it is."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.components.line_variants import TEXTS, write_variants
from tests.detr.line_folders import SENTENCES, write_lines
from vmlkit.components.methods import METHODS
from vmlkit.components.variants.rows import MOMENT_NEGATIVES
from vmlkit.errors import DataError
from vmlkit.methods import preset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path, "qvhighlights")
    write_variants(tmp_path, "qvhighlights")
    return tmp_path


def splits_of(folder: Path, data: str = "qvhighlights", **changes):
    given = preset("p4-qd-detr", data, "ci").data
    where = {"annotations": str(folder), "variants": str(folder / "variants.jsonl"), "clips": 10}
    if data == "qvhighlights":
        where["features"] = str(folder / "features")
    config = dataclasses.replace(given, **{**where, **changes})
    return METHODS["p4-qd-detr"].load(config, progress=False)


def test_variants_stand_beside_windows_ratings_and_padding(folder: Path) -> None:
    train = splits_of(folder).train
    batch = train.batch(range(4), with_spans=True)
    alone = train.base.batch(range(4), with_spans=True)
    for name in ("frames", "frame_mask", "words", "windows", "window_mask", "ratings"):
        ours, theirs = (torch.nan_to_num(getattr(part, name).float(), nan=-1) for part in (batch, alone))
        assert torch.equal(ours, theirs), name
    negatives = MOMENT_NEGATIVES
    assert train.texts.components == negatives
    assert batch.variants.valid.tolist() == [[part in TEXTS for part in negatives]] * 4
    states = np.load(folder / "features" / "clip_text_features" / "qid0.positive.npz")["last_hidden_state"]
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    found = batch.variants.positive[0][batch.variants.positive_mask[0]].numpy()
    assert np.allclose(found, unit, atol=1e-4)


def test_word_vectors_serve_where_there_are_no_token_states(folder: Path) -> None:
    splits = splits_of(folder, "planted:qvhighlights")
    variants = splits.train.batch([0]).variants
    sentence = splits.train.sentences[0]
    count = len(TEXTS["negated_verb"].format(sentence).split())
    assert int(variants.negative_mask[0, 0].sum()) == count
    assert splits.words is not None
    assert "of the variants: NO WORD VECTORS" in splits.words.line
    again = splits_of(folder, "planted:qvhighlights").train.batch([0]).variants
    assert torch.equal(variants.negative, again.negative)


def test_what_has_no_variants_is_counted_and_the_training_split_must_have_some(folder: Path, capsys) -> None:
    (folder / "variants.jsonl").unlink()
    write_variants(folder, "qvhighlights", SENTENCES[:1])
    splits = splits_of(folder)
    assert 0 < int(splits.train.valid.any(1).sum()) < len(splits.train)
    said = " ".join(capsys.readouterr().err.split())
    assert "sentences have no positive with a negative among the variants" in said
    with pytest.raises(DataError, match=r"no variants of the sentences were named; run `vmlkit variants"):
        splits_of(folder, variants=None)
    (folder / "variants.jsonl").write_text("")
    with pytest.raises(DataError, match="knows no sentence of this split"):
        splits_of(folder)


def test_the_paper_preset_is_the_hosts_with_all_five_negatives() -> None:
    for host in ("moment-detr", "qd-detr"):
        alone, with_parts = preset(host, "qvhighlights", "paper"), preset(f"p4-{host}", "qvhighlights", "paper")
        assert with_parts.train == alone.train
        assert with_parts.model.host == alone.model
        assert with_parts.model.components.names == MOMENT_NEGATIVES
        assert with_parts.model.components.loss.hidden == 128
