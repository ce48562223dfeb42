"""Where centers are read from: what a token cannot know, and centers that are drawn to the better candidates."""

import dataclasses

import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.methods import preset
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.front import Encoded, proposal_grid
from vmlkit.reconstruction.gaussian import peak_gaussian
from vmlkit.reconstruction.lnp import LNP, LNPConfig
from vmlkit.reconstruction.presets import follow_sentences
from vmlkit.reconstruction.reading import ReadingConfig, SentenceReader, follow, moved
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import Progress

EASY, HARD = Progress(epoch=1, max_epochs=10), Progress(epoch=10, max_epochs=10)
FOLLOWS = ReadingConfig(centers="sentence", follow_weight=2.0)


def cpl(layers: int = 1, **changes: object) -> CPL:
    torch.manual_seed(1)
    network = small(video_layers=layers)
    return CPL(CPLConfig(reconstruction=network, proposals=3, **changes), SHAPE)  # type: ignore[arg-type]


def encoded(model: CPL, **changes: object) -> Encoded:
    batch = dataclasses.replace(random_batch(), **changes)  # type: ignore[arg-type]
    return model.encode(batch, draw_masked_words(batch.word_weights, batch.word_mask, torch.Generator().manual_seed(5)))


@pytest.mark.parametrize(("layers", "reading", "knows"), [
    (1, ReadingConfig(), False), (2, ReadingConfig(), True), (1, ReadingConfig(centers="sentence"), True),
])  # fmt: skip
def test_one_layer_of_a_token_cannot_know_when(layers: int, reading: ReadingConfig, knows: bool) -> None:
    """Behind one layer, the token has averaged the clips before it reads a word: their order changes no center."""
    model, batch = cpl(layers, reading=reading).eval(), random_batch()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    straight = model.positives(encoded(model)).centers
    shuffled = model.positives(encoded(model, frames=batch.frames[:, order])).centers
    assert torch.allclose(straight, shuffled, atol=1e-5) is not knows


def test_the_reader_answers_with_the_mean_time_of_the_clips_it_prefers() -> None:
    model = cpl(reading=ReadingConfig(centers="sentence"))
    found = encoded(model)
    assert model.reader is not None
    with torch.no_grad():
        for parameter in model.reader.parameters():
            parameter.zero_()
    assert torch.allclose(model.reader.read(found), torch.full((3, 1), 0.5), atol=1e-6)  # all alike: the middle
    hidden = torch.zeros_like(found.hidden)
    hidden[:, proposal_grid(40, 10)[7]] = 100.0
    with torch.no_grad():
        model.reader.inner.weight.fill_(1.0)
        model.reader.outer.weight.fill_(1.0)
    assert torch.allclose(model.reader.read(dataclasses.replace(found, hidden=hidden)), torch.full((3, 1), 7 / 9))
    unseen = found.clip_mask.clone()
    unseen[:, 7] = False  # what is no clip is not read
    without = dataclasses.replace(found, hidden=hidden, clip_mask=unseen)
    assert torch.allclose(model.reader.read(without), torch.full((3, 1), 38 / 81), atol=1e-5)  # (45 - 7) / 9 / 9


def test_windows_lie_around_what_was_read() -> None:
    centers = moved(torch.tensor([[0.2], [0.0]]), torch.tensor([[-1.0, 0.0, 1.0]] * 2))
    assert centers[0, 0] < centers[0, 1] < centers[0, 2]
    assert float(centers[0, 1]) == pytest.approx(0.2)
    assert float(centers[1, 1]) == pytest.approx(0.01)  # an end has no logit


@pytest.mark.parametrize("hardest", [False, True])
def test_centers_are_drawn_to_candidates_in_the_order_of_time(hardest: bool) -> None:
    model = cpl().train()
    found = encoded(model)
    ce = torch.tensor([[3.0, 1.0, 5.0, 2.0], [1.0, 2.0, 3.0, 4.0], [9.0, 8.0, 7.0, 6.0]])  # by candidate
    model.reconstruct = lambda *_: ce  # type: ignore[method-assign, assignment]
    read = torch.tensor([[0.3, 0.6], [0.0, 1.0], [0.5, 0.5]], requires_grad=True)
    near = follow(model, found, read, torch.full((3, 3), 0.2), lambda c, w: peak_gaussian(c, w, 10, sigma=9.0), 4,
                  hardest=hardest)  # fmt: skip
    places = {False: [[0.375, 0.875], [0.125, 0.375], [0.625, 0.875]], True: [[0.125, 0.625], [0.625, 0.875],
              [0.125, 0.375]]}[hardest]  # fmt: skip
    assert float(near.detach()) == pytest.approx(float((read.detach() - torch.tensor(places)).abs().mean()))
    (slope,) = torch.autograd.grad(near, read)
    assert torch.equal(slope.sign(), (read.detach() - torch.tensor(places)).sign())
    assert model.training
    assert model.transformer.training


def test_following_trains_the_reader_and_nothing_else_of_the_candidates() -> None:
    model = cpl(reading=FOLLOWS).train()
    proposals = model.positives(encoded(model))
    assert list(proposals.follow) == ["follow"]
    names, parameters = zip(*model.named_parameters(), strict=True)
    slopes = torch.autograd.grad(proposals.follow["follow"], parameters, allow_unused=True)
    reached = {name for name, slope in zip(names, slopes, strict=True) if slope is not None}
    assert {"reader.inner.weight", "reader.outer.weight"} <= reached
    assert not any(name.startswith(("front.vocabulary_head", "proposal_head")) for name in reached)
    assert model.eval().positives(encoded(model)).follow == {}  # an answer pays for no candidates


def judged(model: CPL, monkeypatch: pytest.MonkeyPatch, **changes: object) -> tuple[Encoded, torch.Tensor]:
    """What a candidate's judge read, and the masks that it saw."""
    seen: list[tuple[Encoded, torch.Tensor]] = []
    monkeypatch.setattr(model, "reconstruct", lambda of, masks: seen.append((of, masks)) or torch.rand(3, 8))
    reading = dataclasses.replace(FOLLOWS, **changes)  # type: ignore[arg-type]
    read, widths = torch.rand(3, 2, requires_grad=True), torch.full((3, 2), 0.1)
    reading.draw("near", model, encoded(model), read, widths, lambda c, w: peak_gaussian(c, w, 10, sigma=9.0))
    return seen[0]


def test_candidates_are_as_wide_as_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cpl().train()
    own, given = (judged(model, monkeypatch, **c)[1] for c in ({}, {"candidate_width": 0.5}))
    assert (given >= own).all()
    assert given.sum() > own.sum()
    places = (torch.arange(8) + 0.5) / 8
    assert torch.equal(given, peak_gaussian(places.expand(3, -1), torch.full((3, 8), 0.5), 10, sigma=9.0))


def test_another_sentence_judges_the_same_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cpl().train()
    own, other = (judged(model.eval().train(), monkeypatch, judge=whose)[0] for whose in ("own", "other"))
    assert torch.equal(own.targets.roll(-1, dims=0), other.targets)
    assert torch.equal(own.text_mask.roll(-1, dims=0), other.text_mask)
    assert not torch.equal(own.targets, other.targets)
    assert own.clips.shape == other.clips.shape


def test_negatives_change_sides_with_c(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = LNP(LNPConfig(reading=FOLLOWS), cpl(), SHAPE.word_dim).train()
    seen: list[bool] = []

    def note(*_: object, hardest: bool = False) -> torch.Tensor:
        seen.append(hardest)
        return torch.zeros(())

    monkeypatch.setattr("vmlkit.reconstruction.reading.follow", note)
    for progress in (EASY, HARD):
        losses = model.training_loss(random_batch(), progress, torch.Generator().manual_seed(0))
        assert "follow_negatives" in losses.terms
    assert seen == [True, False]


@pytest.mark.parametrize(("method", "changes", "message"), [
    ("cpl", {"model.reading.follow_weight": 1.0}, "reading.centers=sentence"),
    ("cpl", {"model.reading.candidate_width": 1.5}, "candidate_width"),
    ("cpl", {"model.reading.candidate_width": 0.3}, "reading.follow_weight"),
    ("cpl", {"model.reading.judge": "other"}, "reading.follow_weight"),
    ("lnp-cpl", {"model.lnp.reading.centers": "sentence", "model.lnp.reading.candidates": 2}, "candidates"),
    ("lnp-cpl", {"model.lnp.reading.centers": "sentence", "model.lnp.negatives": "random"}, "lnp.negatives=learned"),
])  # fmt: skip
def test_what_would_do_nothing_is_refused(method: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_overrides(preset(method), changes)


def test_papers_read_the_token_and_the_variant_reads_the_sentence() -> None:
    for name in ("cpl", "lnp-cpl"):
        plain = preset(name, "toy", "paper").model
        changed = follow_sentences(plain)
        parts = [plain, changed] if name == "cpl" else [plain.host, changed.host]
        assert [part.reading.centers for part in parts] == ["token", "sentence"]
    assert (plain.lnp.reading.centers, changed.lnp.reading.centers) == ("token", "sentence")
    assert isinstance(CPL(changed.host, SHAPE).reader, SentenceReader)
