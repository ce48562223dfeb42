"""CNM and CPL: which parameters a term reaches, exact cheap plans, and steps that never wait for the device."""

import dataclasses

import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.reconstruction.cnm import CNM, CNMConfig, intra_video_contrast, reconstruction_loss
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

PROGRESS = Progress(epoch=3, max_epochs=10)


def cpl(**changes: object) -> CPL:
    torch.manual_seed(1)
    return CPL(CPLConfig(**{"reconstruction": small(), "proposals": 3, **changes}), SHAPE)  # type: ignore[arg-type]


def cnm(**changes: object) -> CNM:
    torch.manual_seed(1)
    return CNM(CNMConfig(**{"reconstruction": small(), **changes}), SHAPE)  # type: ignore[arg-type]


def words(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reached(model: torch.nn.Module, value: torch.Tensor) -> set[str]:
    """Names of the parameters that get a gradient from ``value``."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    return {n for n, g in zip(names, gradients, strict=True) if g is not None and bool((g != 0).any())}


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("negatives", [True, False])
def test_plans_agree(dropout: float, negatives: bool) -> None:
    """At dropout 0 to rounding.  Under dropout "replay" must still train on the masks that chose the proposal."""
    results = {}
    for plan in ("all", "selected", "replay"):
        model = cpl(reconstruction=small(dropout=dropout), plan=plan, use_negatives=negatives)
        torch.manual_seed(3)
        out = model(random_batch(), draw_masked_words(*_weights(), words()), PROGRESS)
        loss = model.losses(out)
        loss.total.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        results[plan] = (loss.total.detach(), gradient)
        assert torch.equal(out.best, out.nll.argmin(1)), "the trained row is the one that won"
    if dropout == 0:
        for plan in ("selected", "replay"):
            torch.testing.assert_close(results[plan][0], results["all"][0])
            torch.testing.assert_close(results[plan][1], results["all"][1], rtol=1e-4, atol=1e-6)


def _weights() -> tuple[torch.Tensor, torch.Tensor]:
    batch = random_batch()
    return batch.word_weights, batch.word_mask


@pytest.mark.parametrize("end_symbol", ["reference", "always", "never"])
@pytest.mark.parametrize("make", [cpl, cnm])
def test_static_padding_changes_nothing(make, end_symbol: str) -> None:  # type: ignore[no-untyped-def]
    network = dataclasses.replace(small(), end_symbol=end_symbol)
    model, tight, loose = make(reconstruction=network), random_batch(), random_batch(padding=4)
    masked = draw_masked_words(tight.word_weights, tight.word_mask, words())
    wide = torch.nn.functional.pad(masked, (0, 4))
    if make is cpl:
        torch.testing.assert_close(model(tight, masked, PROGRESS).nll, model(loose, wide, PROGRESS).nll)
    else:
        torch.testing.assert_close(model(tight, masked).nll, model(loose, wide).nll)


@pytest.mark.parametrize("make", [cpl, cnm])
def test_a_step_never_asks_the_device_for_a_number(make) -> None:  # type: ignore[no-untyped-def]
    """On the meta device any ``.item()``, boolean index or data-dependent shape fails."""
    model = make(reconstruction=small(dropout=0.1)).to("meta")
    loss = model.training_loss(random_batch(device="meta"), PROGRESS, words())
    loss.total.backward()
    assert loss.total.is_meta
    if make is cpl:
        model.config = dataclasses.replace(model.config, plan="replay")
        model.training_loss(random_batch(device="meta"), PROGRESS, words()).total.backward()


def test_training_batches_carry_no_spans_and_losses_do_not_ask() -> None:
    batch = random_batch()
    assert batch.spans is None
    assert torch.isfinite(cpl().training_loss(batch, PROGRESS, words()).total)


def test_cpl_ranking_trains_the_reconstructor_too() -> None:
    model = cpl()
    terms = model.training_loss(random_batch(), PROGRESS, words()).terms
    everywhere = reached(model, terms["nll"])
    assert {"proposal_head.weight", "front.token", "front.vocabulary_head.weight"} <= everywhere
    ranked = reached(model, terms["rank_left"] + terms["rank_right"] + terms["rank_whole_video"])
    assert "front.vocabulary_head.weight" in ranked
    spread = reached(model, terms["diversity"])
    assert "proposal_head.weight" in spread
    assert "front.vocabulary_head.weight" not in spread, "the diversity term needs no reconstruction"


def test_cnm_reconstruction_reaches_the_transformer_through_the_mask() -> None:
    model = cnm()
    batch = random_batch()
    masked = draw_masked_words(batch.word_weights, batch.word_mask, words())
    assert "proposal_head.weight" in reached(model, reconstruction_loss(model(batch, masked).nll).total)
    cut = model(batch, masked, detach_mask=True)
    assert "proposal_head.weight" not in reached(model, reconstruction_loss(cut.nll).total)


@pytest.mark.parametrize("alternate", ["head", "modules"])
def test_cnm_stages_move_only_their_own_parameters(alternate: str) -> None:
    model = cnm(alternate=alternate, hard_margin=2.0, easy_margin=2.0)
    groups = model.parameter_groups()
    assert len(groups["reconstructor"]) + len(groups["generator"]) == len(list(model.parameters()))
    assert any(p is model.proposal_head.weight for p in groups["generator"])
    before = {n: p.detach().clone() for n, p in model.named_parameters()}

    class Still:
        def __init__(self) -> None:
            self.seen: list[set[int]] = []

        def zero_grad(self) -> None:
            raise AssertionError("the two stages set gradients themselves")

        def step(self, clip: list[torch.nn.Parameter]) -> torch.Tensor:
            self.seen.append({id(p) for p in clip if p.grad is not None})
            return torch.zeros(())

    still, moving = Still(), ScheduledAdam(groups["generator"], lr=1e-2, warmup_updates=0)
    model.step(random_batch(), PROGRESS, words(), {"reconstructor": still, "generator": moving})  # type: ignore[dict-item]
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    own = {n for n, p in model.named_parameters() if any(p is q for q in groups["generator"])}
    assert moved
    assert moved <= own


def test_cnm_jointly_moves_generator_and_reconstructor_by_both_losses_in_one_update() -> None:
    model = cnm(alternate="jointly", hard_margin=2.0, easy_margin=2.0)
    (group,) = model.parameter_groups().values()
    assert len(group) == len(list(model.parameters()))
    assert {"generator", "transformer"} <= {name.split(".")[0] for name, _ in model.named_parameters()}
    losses = model.training_loss(random_batch(), PROGRESS, words())
    for loss in (losses.terms["nll"], losses.terms["rank_easy"]):
        assert {"generator", "transformer"} <= {name.split(".")[0] for name in reached(model, loss)}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    done = model.step(random_batch(), PROGRESS, words(), {"all": ScheduledAdam(group, lr=1e-2, warmup_updates=0)})
    assert {"nll", "nll_whole_video", "rank_easy", "rank_whole_video"} <= done.terms.keys()
    moved = {n.split(".")[0] for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert {"proposal_head", "generator", "transformer", "front"} <= moved


def test_clip_sees_stale_gradients_only_when_asked() -> None:
    for stale in (True, False):
        model = cnm(stale_gradient_clipping=stale)
        lists = []

        class Spy(ScheduledAdam):
            def step(self, clip: list[torch.nn.Parameter], into: list = lists) -> torch.Tensor:
                into.append(len(clip))
                return super().step(clip)

        optimizers = {name: Spy(group) for name, group in model.parameter_groups().items()}
        model.step(random_batch(), PROGRESS, words(), optimizers)  # type: ignore[arg-type]
        everything = len(list(model.parameters()))
        assert (lists == [everything, everything]) is stale


def test_paper_form_of_the_word_loss() -> None:
    plain = cnm(reconstruction=ReconstructionConfig(
        transformer=small().transformer, label_smoothing=0.0, nll_reduction="sum", end_symbol="never"
    ))  # fmt: skip
    batch = random_batch()
    masked = draw_masked_words(batch.word_weights, batch.word_mask, words())
    out = plain(batch, masked)
    logits = plain.front.vocabulary_head(out.reconstruction.hidden)[:, 0]
    log_p = torch.log_softmax(logits, -1).gather(-1, batch.word_ids[..., None])[..., 0]
    expected = -(log_p * batch.word_mask).sum(1)
    torch.testing.assert_close(out.nll[:, 0], expected)


def test_margins_follow_the_equation() -> None:
    nll = torch.tensor([[1.0, 1.05, 3.0], [2.0, 1.0, 2.1]])
    loss = intra_video_contrast(nll, CNMConfig(hard_margin=0.1, easy_margin=0.15))
    assert loss.terms["rank_whole_video"].item() == pytest.approx((0.05 + 1.1) / 2)
    assert loss.terms["rank_easy"].item() == pytest.approx((0.0 + 0.05) / 2, rel=1e-5)


def test_predictions_are_ordered_and_inside_the_video() -> None:
    out = cpl().eval().predict(random_batch(), words(), PROGRESS)
    assert (out.nll.gather(1, out.order).diff(dim=1) >= 0).all()
    assert (out.starts >= 0).all()
    assert (out.ends <= 1).all()
    assert torch.equal(out.top1, out.order[:, 0])
    assert out.negative_centers is not None
    again = cpl().eval().predict(random_batch(), words(), PROGRESS)
    assert torch.equal(out.nll, again.nll), "the same seed masks the same words"
