"""P0: who learns from which loss, on every generator; what a selection weight can do; remedies and bookkeeping."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch

import vmlkit
from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.cnm import CNM, CNMConfig
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.lnp import LNP, LNPConfig, dual_sign, dual_signed, multi_triplet
from vmlkit.reconstruction.lnp_hosts import AlternatingLNP
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

EASY, HARD = Progress(epoch=2, max_epochs=10), Progress(epoch=10, max_epochs=10)
HOSTS = ("cnm", "cpl", "pps")


def lnp(host: str = "cpl", dropout: float = 0.0, stages: bool = False, **changes: object) -> LNP:
    torch.manual_seed(1)
    network = small(dropout=dropout)
    hosts = {
        "cnm": lambda: CNM(CNMConfig(reconstruction=network), SHAPE, token=True),
        "cpl": lambda: CPL(CPLConfig(reconstruction=network, proposals=3), SHAPE),
        "pps": lambda: PPS(PPSConfig(reconstruction=network, proposals=3, use_negatives=False), SHAPE),
    }
    kind = AlternatingLNP if host == "cnm" and stages else LNP
    model = kind(LNPConfig(**changes), hosts[host](), SHAPE.word_dim)  # type: ignore[arg-type]
    with torch.no_grad():  # zero-initialised vectors would make the [CLASS] outputs equal at the start
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and not parameter.any() and "norm" not in name:
                parameter.normal_(std=0.5)
    return model


def words() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def run(model: LNP, progress: Progress = EASY):  # type: ignore[no-untyped-def]
    batch = random_batch()
    out = model(batch, draw_masked_words(batch.word_weights, batch.word_mask, words()), progress, words())
    return out, model.losses(out, progress)


def gradients(model: LNP, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return {n: g for n, g in zip(names, found, strict=True) if g is not None and bool((g.abs() > 1e-12).any())}


def head_names(model: LNP) -> set[str]:
    return {n for n, _ in model.named_parameters() if n.startswith("learner.")}


def doubled(model: LNP):  # type: ignore[no-untyped-def]
    """The model and a batch in float64, where two ways to the same gradient agree to rounding."""
    batch = random_batch()
    floats = {k: v.double() for k, v in vars(batch).items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    return model.double(), dataclasses.replace(batch, **floats)


@pytest.mark.parametrize("progress", [EASY, HARD])
@pytest.mark.parametrize("host", HOSTS)
def test_one_pass_has_the_gradients_of_two(host: str, progress: Progress) -> None:
    """A10 (i): a plain backward through the shared pass equals a pass for L_dce and another, detached, for L_mt."""
    model, batch = doubled(lnp(host, margin=0.6))
    masked = draw_masked_words(batch.word_weights, batch.word_mask, words())
    out = model(batch, masked, progress, words())
    total = model.losses(out, progress).total
    ours = torch.autograd.grad(total, list(model.parameters()), allow_unused=True, retain_graph=True)

    config, at = model.config, model.learner.conditioning(out.drawn.negatives.masks, out.drawn.select)
    live = model.host.reconstruct(out.encoded, at)
    fixed = model.host.reconstruct(out.encoded, Conditioning(at.weight.detach(), gate=at.gate.detach()))
    expected = (
        model.host.base_loss(out.proposals, out.positive, out.whole_video).total
        + config.dual_signed_weight * dual_signed(live, out.drawn.counted, config.c(progress))
        + config.triplet_weight * multi_triplet(out.positive, fixed, out.drawn.counted, config.margin)
    )
    two = torch.autograd.grad(expected, list(model.parameters()), allow_unused=True)
    active = out.positive[:, None] - out.nll + config.margin > 0
    assert bool(active.any()), "the test needs a triplet that is active"
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    for (name, _), a, b in zip(model.named_parameters(), ours, two, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


def test_shares_that_would_cancel_are_not_divided() -> None:
    """At lambda_1 c = lambda_2 the two gradients on an NLL sum to zero, so L_dce and L_mt need a pass each."""
    weight = 1 / lnp().config.c(HARD)
    model = lnp(margin=5.0, dual_signed_weight=weight)
    _, losses = run(model, HARD)
    both, alone = gradients(model, losses.total), gradients(model, weight * losses.terms["dual_signed"])
    for name in head_names(model) & alone.keys():
        torch.testing.assert_close(both[name], alone[name], rtol=1e-4, atol=1e-7)


def test_a_constant_network_lets_the_gradient_through_to_the_masks_alone() -> None:
    """A11 (ii): L_dce arrives where the masks and weights come from as under (i), and nowhere else."""
    free, fixed = lnp(freeze_triplet="negatives"), lnp(freeze_triplet="negatives", dual_signed_reaches="negatives")
    found = {}
    for name, model in (("free", free), ("fixed", fixed)):
        out, losses = run(model)
        ends = (out.drawn.negatives.masks, out.drawn.select, out.encoded.clips, out.encoded.text)
        found[name] = torch.autograd.grad(losses.terms["dual_signed"], ends, allow_unused=True, retain_graph=True)
    for a, b in zip(found["free"][:2], found["fixed"][:2], strict=True):
        torch.testing.assert_close(a, b)
    assert (found["free"][3] != 0).any()
    assert fixed.host.front.vocabulary_head.weight.requires_grad, "the parameters themselves are left as they are"
    words_alone = fixed.host.reconstruct(out.encoded, out.drawn.negatives.masks.detach(), fixed=True)
    assert not words_alone.requires_grad


@pytest.mark.parametrize("host", HOSTS)
def test_frozen_triplet_reaches_the_reconstructor_not_the_negatives(host: str) -> None:
    model = lnp(host, margin=5.0)
    _, losses = run(model)
    reached = gradients(model, losses.terms["triplet"])
    assert not head_names(model) & reached.keys()
    assert "host.front.vocabulary_head.weight" in reached
    free = lnp(host, margin=5.0, freeze_triplet="nothing")
    assert head_names(free) & gradients(free, run(free)[1].terms["triplet"]).keys()


def test_detached_negatives_make_the_triplet_a_gate_on_the_positive() -> None:
    model = lnp(margin=5.0, freeze_triplet="negatives")
    _, losses = run(model)
    count = model.config.count
    triplet, nll = gradients(model, losses.terms["triplet"]), gradients(model, losses.terms["nll"])
    for name, gradient in nll.items():
        torch.testing.assert_close(triplet[name], count * gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freeze", ["masks", "negatives", "nothing"])
def test_dual_signed_can_be_kept_from_the_shared_network(freeze: str) -> None:
    """A11: (i) trains everything, (ii) only through masks and selection weights."""
    everywhere, only = (
        gradients(m, run(m)[1].terms["dual_signed"])
        for m in (lnp(freeze_triplet=freeze), lnp(freeze_triplet=freeze, dual_signed_reaches="negatives"))
    )
    assert "host.front.vocabulary_head.weight" in everywhere
    assert "host.front.vocabulary_head.weight" not in only
    assert "learner.head.layer.weight" in only
    assert "learner.selection.inner.weight" in only


@pytest.mark.parametrize(("action", "trained"), [("gate", True), ("literal", False), ("logits", True), ("loss", True)])
def test_selection_weight_reaches_the_selection_network(action: str, trained: bool) -> None:
    """A1: multiplying the mask cancels in the renormalised attention, so ``literal`` trains nothing."""
    model = lnp(selection_action=action)
    with torch.no_grad():  # scores of an untrained, tiny network are too flat for a temperature to show
        for name, parameter in model.named_parameters():
            if name.endswith("in_proj.weight"):
                parameter *= 5
    gradient = gradients(model, run(model)[1].terms["dual_signed"])
    size = gradient.get("learner.selection.outer.weight", torch.zeros(1)).norm().item()
    assert (size > 1e-6) is trained, f"gradient norm {size}"


def test_literal_selection_changes_nothing_and_gate_does() -> None:
    for action, same in (("literal", True), ("gate", False)):
        model = lnp(selection_action=action)
        out, _ = run(model)
        masks = out.drawn.negatives.masks.clamp_min(0.1)
        ones = torch.ones_like(out.drawn.select)
        full = model.host.reconstruct(out.encoded, model.learner.conditioning(masks, ones))
        less = model.host.reconstruct(out.encoded, model.learner.conditioning(masks, ones * 0.3))
        assert torch.allclose(full, less, atol=1e-5) is same


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_sign_of_c_decides_the_direction(sign: float) -> None:
    """Following the gradient of L_dce on the heads raises the negatives' NLL while c < 0 and lowers it while c > 0."""
    progress = EASY if sign < 0 else HARD
    model = lnp(dual_signed_reaches="negatives")
    assert model.config.c(progress) * sign > 0
    out, losses = run(model, progress)
    heads = [p for n, p in model.named_parameters() if n.startswith("learner.head")]
    steps = torch.autograd.grad(losses.terms["dual_signed"], heads)
    with torch.no_grad():
        for parameter, step in zip(heads, steps, strict=True):
            parameter -= 0.3 * step / step.norm()
    after, _ = run(model, progress)
    assert sign * (after.nll.sum() - out.nll.sum()).item() < 0


@pytest.mark.parametrize("kind", ["none", "random", "square", "gaussian", "reversed", "variable", "learned"])
@pytest.mark.parametrize("host", HOSTS)
def test_every_kind_runs_on_every_generator(host: str, kind: str) -> None:
    model = lnp(host, negatives=kind)
    out, losses = run(model)
    count = {"none": 0, "gaussian": 2, "variable": 2, "learned": 3}.get(kind, 1)
    assert out.nll.shape == (3, count)
    assert torch.isfinite(losses.total)
    assert ("dual_signed" in losses.terms) is (kind == "learned")
    said = model.eval().predict(random_batch(), words(), HARD)
    assert (said.negative_centers is not None) is (kind in ("gaussian", "variable", "learned"))
    alone = model.host.eval().predict(random_batch(), words(), HARD)
    assert torch.equal(said.starts, alone.starts), "negatives have no part in inference"
    assert torch.equal(said.nll, alone.nll)


def test_empty_mask_is_skipped() -> None:
    """Without mass attention would see the whole video, so such a negative does not count."""
    model = lnp(negatives="square")
    model.host.proposal_head.bias.data[1::2] = 30.0  # widths of one
    model.host.proposal_head.weight.data.zero_()
    model.host.proposal_head.bias.data[0::2] = 0.0  # centers in the middle
    out, losses = run(model)
    assert out.drawn.counted.sum() == 0
    assert losses.terms["triplet"] == 0


@pytest.mark.parametrize("strategy", ["random", "uniform", "hard", "soft"])
def test_selection_strategies(strategy: str) -> None:
    model = lnp(selection=strategy)
    out, losses = run(model)
    torch.testing.assert_close(out.drawn.select.sum(1), torch.ones(3))
    dropped = 3 if strategy in ("uniform", "soft") else 1
    assert out.drawn.counted.sum(1).tolist() == [dropped] * 3
    trains = "learner.selection.inner.weight" in gradients(model, losses.total)
    assert trains is (strategy in ("soft", "hard"))


@pytest.mark.parametrize("host", HOSTS)
def test_no_step_asks_the_device_for_a_number(host: str) -> None:
    model = lnp(host, dropout=0.1, dual_signed_reaches="everything").to("meta")
    losses = model.training_loss(random_batch(device="meta"), EASY, words())
    losses.total.backward()
    assert losses.total.is_meta


def test_token_leaves_cnm_as_it_was() -> None:
    """The token is only a query: CNM's own proposal is the same with and without it."""
    torch.manual_seed(3)
    with_token = CNM(CNMConfig(reconstruction=small()), SHAPE, token=True)
    without = CNM(CNMConfig(reconstruction=small()), SHAPE)
    state = {k: v for k, v in with_token.state_dict().items() if k != "front.token"}
    without.load_state_dict(state)
    a, b = (m.eval().predict(random_batch(), words(), HARD) for m in (with_token, without))
    torch.testing.assert_close(a.centers, b.centers)
    torch.testing.assert_close(a.widths, b.widths)


def test_cnm_stages_keep_to_their_parameters() -> None:
    model = lnp("cnm", stages=True)
    groups = model.parameter_groups()
    assert sorted(id(p) for g in groups.values() for p in g) == sorted(id(p) for p in model.parameters())
    optimizers = {n: ScheduledAdam(g, lr=1e-2, warmup_updates=0) for n, g in groups.items()}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    terms = model.step(random_batch(), EASY, words(), optimizers).terms  # type: ignore[arg-type]
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert head_names(model) & moved
    assert "host.front.vocabulary_head.weight" in moved
    assert {"nll", "dual_signed", "triplet"} <= terms.keys()


def test_gradient_norms_are_told_apart() -> None:
    model = lnp(margin=5.0)
    norms = model.diagnose(random_batch(), EASY, words())
    assert norms["triplet on heads"] == 0
    assert norms["triplet on reconstructor"] > 0
    assert norms["dual_signed on heads"] > 0


def test_remedies_are_off_and_named() -> None:
    assert run(lnp())[1].terms.keys().isdisjoint({"logit_decay", "negative_diversity"})
    treated = lnp(logit_decay=1e-3, negative_diversity=0.1, width_floor=0.15, center_spread=1.5, width_bias=-1.5)
    out, losses = run(treated)
    assert {"logit_decay", "negative_diversity"} <= losses.terms.keys()
    centers = out.drawn.negatives.centers
    assert (centers.diff(dim=1) > 0).all(), "initialised apart"


def test_only_small_heads_are_added() -> None:
    """The paper: additional parameters are FC layers only (and one [CLASS] vector)."""
    model = lnp()
    added = sum(p.numel() for n, p in model.named_parameters() if n.startswith("learner."))
    hidden, count, word = 8, 3, SHAPE.word_dim
    assert added == (hidden + 1) * 2 * count + (hidden + 1) * hidden + hidden + 1 + word
    assert dataclasses.asdict(model.config)["count"] == count


def test_schedule_is_the_papers() -> None:
    model = lnp()
    assert model.curriculum(Progress(1, 30))["c"] == pytest.approx(dual_sign(1, 30, 0.5, 0.8))
    assert model.curriculum(Progress(1, 30))["c"] == pytest.approx(-0.617, abs=1e-3)
    assert model.curriculum(Progress(30, 30))["c"] == pytest.approx(0.2)


def test_a_step_is_read_in_ten_files() -> None:
    """Who follows one step of P0 on CPL opens at most ten files of the package, the optimiser's included."""
    model, batch, generator = lnp(), random_batch(), words()
    optimizers = {name: ScheduledAdam(group) for name, group in model.parameter_groups().items()}
    package, opened = str(Path(vmlkit.__file__).parent), set()

    def note(frame, event, argument) -> None:  # type: ignore[no-untyped-def]
        if event == "call" and frame.f_code.co_filename.startswith(package):
            opened.add(Path(frame.f_code.co_filename).relative_to(package).as_posix())

    sys.setprofile(note)
    try:
        model.step(batch, EASY, generator, optimizers)  # type: ignore[arg-type]
    finally:
        sys.setprofile(None)
    assert {"reconstruction/lnp.py", "reconstruction/cpl.py"} <= opened
    opened.discard("nn/tables.py")  # keeps constants from step to step; there is nothing of the method in it
    assert len(opened) <= 10, sorted(opened)
