"""Masks placed by hand: the table of a grid says what the network says, of every word and of the sentence."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build
from vmlkit.methods import METHODS, preset
from vmlkit.reconstruction.by_hand import CENTERS, WIDTHS, mask_record

SMALL = {"data.train_videos": 4, "data.validation_videos": 2, "data.test_videos": 3}


def made(method: str) -> tuple[Any, Any]:
    """A method with drawn weights, which are as good as trained ones here, and a test split."""
    experiment = with_overrides(preset(method, "toy", "ci"), SMALL)
    splits = METHODS[method].load(experiment.data, progress=False)
    return build(experiment, splits.train), splits.test


@pytest.fixture(scope="module")
def cpl() -> tuple[Any, Any]:
    return made("cpl")


def asked(host: Any, split: Any, rows: list[int], centers: torch.Tensor, widths: torch.Tensor) -> tuple[Any, Any]:
    """The loss under one mask a sentence, and the words' chances, straight from the network."""
    batch = split.batch(rows)
    host.eval()
    with torch.no_grad():
        encoded = host.encode(batch, host.masked_words(batch, torch.Generator().manual_seed(0)))
        masks = host.window_masks(centers[:, None], widths[:, None], encoded.clips.shape[1])
        chance = host.word_logits(encoded, masks)[:, 0, : batch.word_ids.shape[1]].softmax(-1)
        return host.reconstruct(encoded, masks)[:, 0].numpy(), chance.gather(-1, batch.word_ids[..., None])[..., 0]


@pytest.mark.parametrize(("c", "w"), [(0, 0), (7, 3), (CENTERS - 1, WIDTHS - 1)])
def test_the_grid_is_what_the_network_says(cpl: tuple[Any, Any], c: int, w: int) -> None:
    method, split = cpl
    rows = [0, 3, 5]
    record = mask_record(method, split, rows)
    center, width = record["centers"][c], record["widths"][w]
    loss, chance = asked(method, split, rows, torch.full((3,), center), torch.full((3,), width))
    for n, sentence in enumerate(record["sentences"]):
        assert sentence["loss"][w][c] == pytest.approx(loss[n], abs=6e-4)
        found = [word[w][c] for word in sentence["chance"]]
        np.testing.assert_allclose(found, 1000 * chance[n, : len(found)], atol=0.6)


def test_answer_and_truth_are_measured_by_the_same_words(cpl: tuple[Any, Any]) -> None:
    method, split = cpl
    record = mask_record(method, split, [1, 2])
    assert json.loads(json.dumps(record)) == record
    for name in ("model", "truth"):
        windows = [s[name] for s in record["sentences"]]
        centers, widths = (torch.tensor([w[n] for w in windows]) for n in ("center", "width"))
        loss, _ = asked(method, split, [1, 2], centers, widths)
        np.testing.assert_allclose([w["loss"] for w in windows], loss, atol=2e-3)
    spans = [s["truth"]["span"] for s in record["sentences"]]
    np.testing.assert_allclose(spans, split.spans[[1, 2]], atol=1e-4)
    batch = split.batch([1, 2])
    said = method.predict(batch, torch.Generator().manual_seed(0))
    best = said.starts.gather(1, said.top1[:, None])[:, 0]
    np.testing.assert_allclose([s["model"]["span"][0] for s in record["sentences"]], best, atol=1e-4)
    words = [split.vocabulary.word(int(i)) for i in split.word_ids[1][split.word_mask[1]]]
    assert record["sentences"][0]["words"] == words
    hidden = method.masked_words(batch, torch.Generator().manual_seed(0))[0, : len(words)]
    assert record["sentences"][0]["hidden"] == hidden.tolist()


def test_sentences_come_evenly_and_training_goes_on_as_it_was(cpl: tuple[Any, Any]) -> None:
    method, split = cpl
    method.train()
    record = mask_record(method, split, sentences=3)
    assert method.training
    assert [s["id"] for s in record["sentences"]] == [split.query_ids[k * len(split) // 3] for k in range(3)]


def test_p0_is_asked_for_its_host() -> None:
    method, split = made("lnp-cnm")
    record = mask_record(method, split, [0])
    loss, _ = asked(method.host, split, [0], torch.tensor([0.5]), torch.tensor([0.5]))
    assert record["sentences"][0]["loss"][WIDTHS // 2 - 1][CENTERS // 2] == pytest.approx(loss[0], abs=6e-4)


def test_what_has_no_such_mask_is_refused(cpl: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="PPS are no Gaussians of one center"):
        mask_record(*made("pps"))
    with pytest.raises(ConfigError, match="reconstructs no sentence from a mask"):
        mask_record(torch.nn.Linear(1, 1), cpl[1])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="choose some from 0 to"):
        mask_record(*cpl, [999])
