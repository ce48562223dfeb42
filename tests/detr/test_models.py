"""The DETR family as methods: modes, masks, where gradients go, and one batch against separate passes."""

import argparse
import dataclasses
from pathlib import Path

import pytest
import torch

from tests.detr.batches import COUNTS, SHAPE, bm_detr, detr_batch, sizes
from tests.parity.cases import cases_in
from tests.parity.golden import load_case
from vmlkit.detr.batches import DetrBatch
from vmlkit.detr.bm_detr import BMDetr, BMDetrOutput, negative_source
from vmlkit.detr.method import DetrMethod, weighted_total
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.detr.shift import Branch
from vmlkit.errors import DataError
from vmlkit.released import load_checkpoint, our_name
from vmlkit.training.method import Progress

CLOCK = Progress(1, 1)


def moment_detr() -> MomentDetr:
    torch.manual_seed(0)
    return MomentDetr(MomentDetrConfig(sizes=sizes()), SHAPE)


def qd_detr(**changes: object) -> QDDetr:
    torch.manual_seed(0)
    return QDDetr(QDDetrConfig(sizes=sizes(), **changes), SHAPE)  # type: ignore[arg-type]


METHODS = {
    "moment-detr": moment_detr,
    "qd-detr": qd_detr,
    "bm-detr authors": bm_detr,
    "bm-detr paper": lambda: bm_detr(mode="paper"),
    "bm-detr bare": lambda: bm_detr(background_aware=False, learnable_spans=False, shifting=False),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_predicts(name: str) -> None:
    method, batch = METHODS[name](), detr_batch()
    loss = method.training_loss(batch, CLOCK, torch.Generator().manual_seed(1))
    loss.total.backward()
    # word positions exist without being used, and what a switched-off component owns stays untouched
    unused = ("text_positions", "frame_probability") if "bare" in name else ("text_positions",)
    without = {n for n, p in method.named_parameters() if p.grad is None and not n.startswith(unused)}
    assert not without
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    said = method.eval().predict(batch, torch.Generator())
    assert (said.nll.gather(1, said.order).diff(dim=1) >= 0).all()
    assert torch.equal(said.top1, said.nll.argmin(1))
    for curve in said.clip_scores.values():
        assert torch.equal(curve.isnan(), ~batch.frame_mask)


@pytest.mark.parametrize("name", METHODS)
def test_padding_of_clips_and_words_changes_no_prediction(name: str) -> None:
    method, batch = METHODS[name]().eval(), detr_batch()
    first = dataclasses.replace(
        batch,
        **{k: getattr(batch, k)[1:2, :7] for k in ("frames", "frame_mask")},
        **{k: getattr(batch, k)[1:2, :2] for k in ("words", "word_ids", "word_mask", "word_weights")},
    )
    alone, together = (method.predict(b, torch.Generator()) for b in (first, batch))
    torch.testing.assert_close(together.centers[1:2], alone.centers, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together.nll[1:2], alone.nll, rtol=1e-5, atol=1e-6)


def test_the_reference_mask_order_makes_predictions_depend_on_the_batch() -> None:
    batch = detr_batch()
    swapped = dataclasses.replace(batch, word_mask=batch.word_mask & (torch.arange(5) < torch.tensor([[5], [1], [4]])))
    for reference in (True, False):
        method = qd_detr(reference_mask_order=reference).eval()
        one, two = (method.predict(b, torch.Generator()).centers[:1] for b in (batch, swapped))
        assert torch.equal(one, two) != reference, "only the second sentence changed"


def test_supervision_is_needed() -> None:
    bare = dataclasses.replace(detr_batch(), windows=None)
    with pytest.raises(DataError, match="holds no windows"):
        moment_detr().training_loss(bare, CLOCK, torch.Generator())


def doubled(batch: DetrBatch) -> DetrBatch:
    """The batch in float64."""
    wide = {k: v.double() for k, v in vars(batch).items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    return dataclasses.replace(batch, **wide)


def one_by_one(model: BMDetr, branches: list[Branch], words, negative) -> list[BMDetrOutput]:  # type: ignore[no-untyped-def]
    """As the release does it: each branch and each sentence through the encoder by itself."""
    found = []
    for branch in branches:
        pair = [
            model.encode(model.video_projection(branch.clips), branch.mask, model.text_projection(text), mask)
            for text, mask in (words, negative)
        ]
        found.append(model.answer(pair[0], pair[1]))
    return found


@pytest.mark.parametrize("mode", ["authors", "paper"])
def test_one_batch_is_the_separate_passes(mode: str) -> None:
    batch, results = doubled(detr_batch()), []
    for together in (True, False):
        model = bm_detr(mode=mode).double()
        if not together:
            model.together = lambda *args, model=model: one_by_one(model, *args)  # type: ignore[method-assign]
        loss = model.training_loss(batch, CLOCK, torch.Generator().manual_seed(2))
        loss.total.backward()
        results.append((loss, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (one, own), (other, theirs) = results
    torch.testing.assert_close(one.total, other.total, rtol=1e-12, atol=0)
    assert {"shifted_giou", "probability", "shifted_alignment"} <= one.terms.keys()
    assert own.keys() == theirs.keys()
    for name, gradient in own.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-7, atol=1e-12)


def memories(model: BMDetr, negative: torch.Tensor):  # type: ignore[no-untyped-def]
    batch = detr_batch()
    video = model.video_projection(batch.frames)
    memory = model.encode(video, batch.frame_mask, model.text_projection(batch.words), batch.word_mask)
    assert batch.negative_mask is not None
    absent = model.encode(video, batch.frame_mask, model.text_projection(negative), batch.negative_mask)
    return memory, absent


@pytest.mark.parametrize("mode", ["authors", "paper"])
def test_the_released_decoder_never_sees_the_negative(mode: str) -> None:
    model = bm_detr(mode=mode)
    negative = detr_batch().negative_words.clone().requires_grad_()
    memory, absent = memories(model, negative)
    without, with_it = model.answer(memory, None), model.answer(memory, absent)
    same = [
        torch.equal(getattr(without.moments, n), getattr(with_it.moments, n)) for n in ("logits", "spans", "hidden")
    ]
    assert same == [mode == "authors"] * 3
    assert not torch.equal(without.saliency, with_it.saliency), "the saliency sees it in both modes"
    (gradient,) = torch.autograd.grad(with_it.moments.spans.sum(), negative, allow_unused=True, retain_graph=True)
    reached = gradient is not None and bool(gradient.abs().sum() > 0)
    assert reached == (mode == "paper")
    (gradient,) = torch.autograd.grad(with_it.background.joint.sum(), negative)
    assert gradient.abs().sum() > 0, "the frame probability reaches it in both modes"


def test_frame_attention_over_padding() -> None:
    batch = detr_batch()
    for mode in ("authors", "paper"):
        model = bm_detr(mode=mode)
        attention = model(batch.frames, batch.frame_mask, batch.words, batch.word_mask).clip_scores["attention"]
        assert torch.allclose(attention.sum(1), torch.ones(3))
        on_padding = attention[1, int(COUNTS[1]) :].sum()
        assert (on_padding == 0) == (mode == "paper"), "the release gives padding its share"


def test_attention_that_keeps_the_memory_in_size() -> None:
    plain, kept = (bm_detr(mode="paper", attention_scale=s) for s in ("softmax", "clips"))
    memory, absent = memories(plain, detr_batch().negative_words)
    small, large = (m.background(memory, absent).memory.video for m in (plain, kept))
    torch.testing.assert_close(large, small * COUNTS[:, None, None])


def test_where_negatives_come_from() -> None:
    def source(**changes: object) -> str | None:
        return negative_source(bm_detr(**changes).config)

    assert source() == "other_video"
    assert source(mode="paper") == "same_video"
    assert source(mode="paper", negative_source="other_video") == "other_video"
    assert source(negative_source="same_video_any") == "same_video_any"
    assert source(use_negatives=False) is None
    assert source(background_aware=False) is None


def test_long_videos_are_shifted_by_the_release_only() -> None:
    for mode in ("authors", "paper"):
        model, batch = bm_detr(mode=mode), detr_batch(durations=61.0)
        seen: list[Branch] = []
        run = model.together

        def keep(branches: list[Branch], *rest, run=run, seen=seen):  # type: ignore[no-untyped-def]
            seen.extend(branches)
            return run(branches, *rest)

        model.together = keep  # type: ignore[method-assign]
        model.training_loss(batch, CLOCK, torch.Generator().manual_seed(0))
        assert torch.equal(seen[0].clips, seen[1].clips) == (mode == "paper")


class Released(torch.nn.Module):
    """Parameters under the released names."""

    def __init__(self, method: DetrMethod, names: dict[str, str]) -> None:
        super().__init__()
        self.values = {released: method.state_dict()[ours] + 1 for released, ours in names.items()}


RELEASED = {
    "moment_detr": (
        "transformer.encoder.layers.0.self_attn.in_proj_weight",
        "encoder.layers.0.attention.in_proj.weight",
    ),
    "qd_detr": ("transformer.decoder.layers.0.ca_qpos_sine_proj.bias", "decoder.layers.0.ca_query_sine.bias"),
    "bm_detr": ("vid_att_pooling.to_alpha.weight", "pooling.video.score.weight"),
}


def test_released_names() -> None:
    for kind, (released, ours) in RELEASED.items():
        assert our_name(released, kind) == ours


def released_state(method: DetrMethod, kind: str) -> dict[str, torch.Tensor]:
    """The method's parameters, plus one, under the released names: found by trying the rules backwards."""
    golden = Path(__file__).parents[1] / "golden" / "detr"
    case = load_case(next(p for p in cases_in(golden) if p.name.startswith(f"{kind}_a")))
    names = {our_name(name, kind): name for name in case.parameters()}
    return {names[ours]: value + 1 for ours, value in method.state_dict().items()}


@pytest.mark.parametrize("kind", RELEASED)
def test_released_checkpoints_load_with_their_options_and_nothing_else(kind: str, tmp_path) -> None:
    made = {"moment_detr": moment_detr, "qd_detr": qd_detr, "bm_detr": bm_detr}[kind]
    method = made()
    state = released_state(method, kind)
    path = tmp_path / "model_best.ckpt"
    options = argparse.Namespace(hidden_dim=8, results_dir="results")
    torch.save({"model": state, "optimizer": {"state": {}}, "epoch": 3, "opt": options}, path)
    before = {n: v.clone() for n, v in method.state_dict().items()}
    load_checkpoint(path, method, kind)
    assert all(torch.equal(v, before[n] + 1) for n, v in method.state_dict().items())
    torch.save({"model": state, "opt": Released}, path)  # a class of the saver's own
    with pytest.raises(DataError, match="without running code"):
        load_checkpoint(path, method, kind)


def test_terms_without_any_weight_have_a_gradient_of_zero() -> None:
    values = torch.ones(3, requires_grad=True)
    terms = {"span": values.sum(), "class_error": torch.tensor(7.0)}
    total = weighted_total(terms, {"span": 0.0, "class_error": 1.0})
    total.backward()
    assert total.item() == 7
    assert values.grad is not None
    assert not values.grad.any()
    assert weighted_total({"class_error": torch.tensor(7.0)}, {}).item() == 0
    assert weighted_total(terms, {"span": 2.0, "class_error": 1.0}).item() == 13
