"""The dual transformer: rows, causality, dropout that can be played back, positions."""

import dataclasses

import pytest
import torch

from vmlkit.nn.transformer import (
    Conditioning,
    DropoutTape,
    DualTransformer,
    QuickDropout,
    TransformerConfig,
    dropout_factors,
    word_positions,
)

CONFIG = TransformerConfig(hidden=16, heads=2, video_layers=2, text_layers=2, dropout=0.0)


def inputs(batch: int = 3) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    video, text = torch.randn(batch, 7, 16, generator=g), torch.randn(batch, 5, 16, generator=g)
    return video, torch.ones(batch, 7, dtype=torch.bool), text, torch.ones(batch, 5, dtype=torch.bool)


def test_rows_are_independent() -> None:
    model, data = DualTransformer(CONFIG), inputs()
    weight = torch.rand(3, 4, 7)
    together = model.reconstruct(*data, Conditioning(weight)).hidden
    for row in range(4):
        alone = model.reconstruct(*data, Conditioning(weight[:, row : row + 1])).hidden
        torch.testing.assert_close(together[:, row : row + 1], alone)


@pytest.mark.parametrize("causal", [True, False])
def test_video_causality_is_a_switch(causal: bool) -> None:
    model = DualTransformer(dataclasses.replace(CONFIG, causal_video=causal))
    video, mask, text, text_mask = inputs()
    changed = video.clone()
    changed[:, -1] += 1
    weight = Conditioning(torch.ones(3, 1, 7))
    before = model.reconstruct(video, mask, text, text_mask, weight).memory
    after = model.reconstruct(changed, mask, text, text_mask, weight).memory
    assert torch.equal(before[:, :, :-1], after[:, :, :-1]) is causal


def test_padding_does_not_leak() -> None:
    model = DualTransformer(CONFIG)
    video, mask, text, text_mask = inputs()
    mask[:, 5:], text_mask[:, 4:] = False, False
    out = model.reconstruct(video, mask, text, text_mask, Conditioning(torch.ones(3, 1, 7))).hidden
    video[:, 5:], text[:, 4:] = 9.0, 9.0
    again = model.reconstruct(video, mask, text, text_mask, Conditioning(torch.ones(3, 1, 7))).hidden
    torch.testing.assert_close(out[:, :, :4], again[:, :, :4])


def test_groups_of_rows_share_a_pass() -> None:
    """Rows that stand beside each other are read as alone; a group without a gate has the gate 1."""
    model, data = DualTransformer(CONFIG), inputs()
    one, two = Conditioning(torch.rand(3, 2, 7)), Conditioning(torch.rand(3, 3, 7), gate=torch.rand(3, 3))
    together = model.reconstruct(*data, one.beside(two)).hidden
    alone = [model.reconstruct(*data, at).hidden for at in (one, two)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))
    assert one.beside(one).gate is None


def test_the_gate_scales_what_attention_adds() -> None:
    """With a gate of 0 the clips are encoded without looking at each other, whatever the mask."""
    model, data = DualTransformer(CONFIG), inputs()
    shut = torch.zeros(3, 2)
    a, b = (model.reconstruct(*data, Conditioning(torch.rand(3, 2, 7), gate=shut)).hidden for _ in range(2))
    torch.testing.assert_close(a, b)
    open_ = model.reconstruct(*data, Conditioning(torch.rand(3, 2, 7), gate=shut + 1)).hidden
    assert not torch.allclose(a, open_)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_layer_can_be_computed_at_some_places_alone(layers: int) -> None:
    """The outputs there, and what they send back, are those of computing it everywhere."""
    model = DualTransformer(dataclasses.replace(CONFIG, video_layers=layers, text_layers=layers)).double()
    video, video_mask, text, text_mask = (x.double() if x.is_floating_point() else x for x in inputs())
    text_mask[1, 3:], video_mask[2, 5:] = False, False
    video.requires_grad_()
    data, column, weight = (
        (video, video_mask, text, text_mask),
        torch.tensor([4, 2, 0]),
        Conditioning(torch.rand(3, 4, 7)),
    )
    full, asked = model.reconstruct(*data, weight).hidden, model.reconstruct(*data, weight, column=column).hidden
    everywhere, last = model.generate(*data)[0], model.generate(*data, last=2)[0]
    for ours, expected in ((asked, full[torch.arange(3), :, column][:, :, None]), (last, everywhere[:, -2:])):
        torch.testing.assert_close(ours, expected)
        upstream = torch.randn_like(ours)
        wanted = [video, model.video_stack[0].self_attention.in_proj.weight]
        pairs = (torch.autograd.grad(y, wanted, upstream) for y in (ours, expected))
        for a, b in zip(*pairs, strict=True):
            torch.testing.assert_close(a, b)


def test_tape_plays_the_winner_back_exactly() -> None:
    model = DualTransformer(dataclasses.replace(CONFIG, dropout=0.3)).train()
    data, weight, tape = inputs(), torch.rand(3, 4, 7), DropoutTape()
    with torch.no_grad():
        recorded = model.reconstruct(*data, Conditioning(weight, tape=tape)).hidden
    best = torch.tensor([2, 0, 3])
    chosen = weight[torch.arange(3), best][:, None]
    rows = torch.cat((chosen, torch.ones_like(chosen)), dim=1)
    played = model.reconstruct(*data, Conditioning(rows, tape=tape.rewind(best))).hidden
    torch.testing.assert_close(played[:, 0], recorded[torch.arange(3), best])
    fresh = model.reconstruct(*data, Conditioning(rows)).hidden
    assert not torch.allclose(fresh[:, 0], recorded[torch.arange(3), best])


def test_tape_keeps_the_dropout_rate() -> None:
    kept = DropoutTape()(1, 1, 0.25, torch.ones(1, 1, 1, 20001))
    assert kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert dropout_factors(1, 1, 0.1, torch.ones(1, 1, 1, 7, dtype=torch.bfloat16)).dtype == torch.float32
    assert (kept == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.02)


def test_what_is_dropped_does_not_depend_on_the_type() -> None:
    """Under autocast a tape sees halves where it saw floats; it must drop the same entries at the same rate."""
    drawn = []
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        torch.manual_seed(0)
        drawn.append(dropout_factors(2, 3, 0.1, torch.ones(2, 1, 5, 7, dtype=dtype)).float())
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_quick_dropout_keeps_its_rate_and_its_gradient() -> None:
    module, x = QuickDropout(0.25), torch.ones(20001, requires_grad=True)
    out = module(x)
    assert out.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], out)
    assert torch.equal(module.eval()(x), x)


def test_positions_start_at_zero_and_are_not_interleaved() -> None:
    table = word_positions(4, 6)
    assert torch.equal(table[0], torch.zeros(6))
    torch.testing.assert_close(table[2, 0], torch.tensor(2.0).sin())
    torch.testing.assert_close(table[2, 3], torch.tensor(2.0).cos())
