"""PPS: gradient routing, what depends on the order of a batch, plans, shapes without a host, and narrow proposals."""

import dataclasses

import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import ConfigError
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.training.method import Progress

NEGATIVES = ("learnable_gaussian", "learnable_inverse_gaussian", "inverse_gaussian", "gaussian", "saturated_gaussian")


def hidden_words(batch):
    """The first word of each sentence."""
    masked = torch.zeros_like(batch.word_mask)
    masked[:, 0] = True
    return masked


def take(batch, rows):
    """The queries at ``rows``, with the columns of the whole batch."""
    tensors = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return MomentBatch(**{k: v[rows] if isinstance(v, torch.Tensor) else v for k, v in tensors.items()})


def make_model(dropout=0.0, **settings):
    torch.manual_seed(0)
    given = {"reconstruction": small(dropout=dropout), "proposals": 3, "sigma_gauss": 4.0, **settings}
    model = PPS(PPSConfig(**given), SHAPE)
    for parameter in (model.front.start, model.front.mask, model.front.token, model.query_token):
        torch.nn.init.normal_(parameter)
    return model


def run(model, batch):
    return model(batch, hidden_words(batch), Progress(1, 1))


def part(name):
    """Top-level module of a parameter, or its part of the front end."""
    return ".".join(name.split(".")[: 2 if name.startswith("front") else 1])


def reached(model, term):
    """The parts that get a gradient from ``term``."""
    model.zero_grad()
    term.backward()
    return {part(n) for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}


# -- gradient routing ---------------------------------------------------------------------------------------------


GENERATION = {"front.frame_projection", "front.word_projection", "front.start", "front.token", "generator"}


@pytest.fixture
def routed():
    """Every hinge open."""
    model = make_model(whole_video_margin=10.0, negative_margin=10.0)
    return model, model.losses(run(model, random_batch())).terms


@pytest.mark.parametrize("term", ["pull", "push_intra"])
def test_pull_and_intra_push_train_the_generator_alone(routed, term):
    model, terms = routed
    assert reached(model, terms[term]) == GENERATION | {"proposal_heads"}


def test_inter_push_also_trains_the_importance_of_the_components(routed):
    model, terms = routed
    expected = GENERATION | {"proposal_heads", "component_score", "reconstructor", "query_token", "front.mask"}
    assert reached(model, terms["push_inter"]) == expected


def test_the_learnable_negative_is_trained_by_the_ranking_and_by_nothing_else(routed):
    model, terms = routed
    assert "negative_head" in reached(model, model.losses(run(model, random_batch())).terms["rank_negative"])
    rest = [v for k, v in terms.items() if k != "rank_negative"]
    assert len(rest) == 6
    assert "negative_head" not in reached(model, sum(rest))


def test_the_loss_reaches_every_part(routed):
    model, terms = routed
    assert reached(model, sum(terms.values())) == {part(name) for name, _ in model.named_parameters()}


@pytest.mark.parametrize(("mode", "used"), [("first", False), ("own", True)])
def test_whose_width_is_trained(mode, used):
    model = make_model(component_widths=mode)
    run(model, random_batch()).nll.sum().backward()
    grads = model.proposal_heads[2].weight.grad
    assert grads[[0, 1, 2, 4]].abs().amax(dim=1).min() > 0
    assert bool(grads[[3, 5]].abs().max() > 0) == used


def test_the_token_only_asks_for_importance():
    model = make_model(use_attention=False)
    batch = random_batch()
    out = run(model, batch)
    model.losses(out).total.backward()
    assert model.query_token.grad is None or not model.query_token.grad.any()
    assert torch.allclose(out.proposals.weights[0, 2], torch.full((3,), 1 / 3))
    assert torch.equal(out.proposals.masks.max(dim=-1).values, torch.ones(3, 3))


# -- the order of the batch ---------------------------------------------------------------------------------------


def in_order(model, batch, order):
    out, moved = run(model, batch), run(model, take(batch, order))
    pairs = [(out.proposals.starts, moved.proposals.starts), (out.proposals.masks, moved.proposals.masks)]
    pairs += [(out.proposals.weights, moved.proposals.weights), (out.nll, moved.nll), (out.negatives, moved.negatives)]
    return all(torch.allclose(a[order], b, atol=1e-5) for a, b in pairs)


@pytest.mark.parametrize("settings", [{}, {"component_widths": "own"}, {"neg_type": "gaussian"}])
def test_a_query_does_not_depend_on_its_place_in_the_batch(settings):
    assert in_order(make_model(**settings), random_batch(), torch.tensor([2, 0, 1]))


@pytest.mark.parametrize("settings", [{"component_widths": "released"}, {"query_token": "released_scalar"}])
def test_in_the_released_modes_it_does(settings):
    assert not in_order(make_model(**settings), random_batch(), torch.tensor([2, 0, 1]))


def test_a_single_query_cannot_tell_released_from_first():
    batch = take(random_batch(), [0])
    outs = {mode: run(make_model(component_widths=mode), batch) for mode in ("first", "released", "own")}
    assert torch.equal(outs["first"].proposals.masks, outs["released"].proposals.masks)
    assert torch.equal(outs["first"].nll, outs["released"].nll)
    assert not torch.allclose(outs["first"].proposals.masks, outs["own"].proposals.masks)


def test_a_statically_padded_batch_gives_the_same_numbers():
    model = make_model()
    short, padded = run(model, random_batch()), run(model, random_batch(padding=4))
    assert torch.allclose(short.nll, padded.nll, atol=1e-6)
    assert torch.allclose(short.proposals.weights, padded.proposals.weights, atol=1e-6)


def test_released_scalars_run_out_with_a_clear_message():
    model = make_model(query_token="released_scalar")
    with pytest.raises(ConfigError, match="batch of 9"):
        run(model, take(random_batch(), [1] * 9))


# -- plans, devices, dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("neg_type", NEGATIVES)
def test_both_plans_have_one_loss_and_one_gradient(neg_type):
    found = []
    for plan in ("selected", "all"):
        model = make_model(plan=plan, neg_type=neg_type, negative_margin=10.0)
        loss = model.losses(run(model, random_batch()))
        loss.total.backward()
        found.append((loss.total, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (one, left), (other, right) = found
    assert torch.allclose(one, other)
    assert left.keys() == right.keys()
    assert all(torch.allclose(left[n], right[n], atol=1e-5, rtol=1e-4) for n in left)


@pytest.mark.parametrize("neg_type", NEGATIVES)
@pytest.mark.parametrize("plan", ["selected", "all"])
def test_a_step_and_a_prediction_need_no_number_from_the_device(neg_type, plan):
    """On the meta device any question to the host raises."""
    model = make_model(plan=plan, neg_type=neg_type, dropout=0.1).to("meta")
    batch = random_batch().to("meta")
    generator = torch.Generator().manual_seed(0)
    loss = model.training_loss(batch, Progress(1, 2), generator)
    loss.total.backward()
    assert loss.total.shape == ()
    assert model.predict(batch, generator).order.shape == (3, 3)


@pytest.mark.parametrize("mode", ["released", "own"])
def test_so_do_the_other_width_modes(mode):
    model = make_model(component_widths=mode, mask_type="laplace", use_attention=False, use_negatives=False).to("meta")
    assert run(model, random_batch().to("meta")).nll.device.type == "meta"


def test_the_words_are_read_anew_for_reconstruction():
    model, seen = make_model(dropout=0.5), []
    model.front.dropout.register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape)))
    model.encode(random_batch(), hidden_words(random_batch()))
    assert seen == [(3, 40, 6), (3, 1, 6), (3, 6, 5), (3, 7, 5)], "frames, their token, words, and words with a token"


def test_the_prompt_is_masked_words_and_the_token_behind_the_last_one():
    model, batch = make_model(), random_batch()
    encoded = model.encode(batch, hidden_words(batch))
    assert encoded.token_column.tolist() == [6, 3, 5]
    assert encoded.prompt_mask.sum(1).tolist() == [6, 3, 5]
    shift = model.front.word_projection(torch.ones(SHAPE.word_dim)) - model.front.word_projection.bias
    with torch.no_grad():
        model.query_token += 1
    moved = model.encode(batch, hidden_words(batch)).prompt - encoded.prompt
    for b, column in enumerate((6, 3, 5)):
        assert torch.allclose(moved[b, column], shift, atol=1e-5)
        assert not torch.cat((moved[b, :column], moved[b, column + 1 :])).any()
    masked = model.front.word_projection(model.front.mask)
    assert torch.allclose(encoded.prompt[0, 1] - masked, encoded.prompt[2, 1] - masked, atol=1e-6)


# -- narrow proposals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neg_type", NEGATIVES)
@pytest.mark.parametrize("settings", [{}, {"mask_type": "laplace"}, {"use_attention": False}])
def test_loss_and_gradients_are_finite_on_ten_cells_with_widths_at_the_clamp(neg_type, settings):
    model = make_model(neg_type=neg_type, sigma_gauss=9.0, **settings)
    heads = [*model.proposal_heads, *([model.negative_head] if model.negative_head is not None else [])]
    with torch.no_grad():
        for head in heads:
            head.bias[1::2] = -20.0
    out = run(model, random_batch())
    assert out.proposals.masks.shape[-1] == 10
    assert out.proposals.component_widths.max() < 1e-6
    loss = model.losses(out).total
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# -- predictions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neg_type", NEGATIVES)
def test_predictions_are_ordered_by_nll_and_lie_in_the_video(neg_type):
    model = make_model(neg_type=neg_type, negative_components=2).eval()
    found = model.predict(random_batch(), torch.Generator().manual_seed(1))
    again = model.predict(random_batch(), torch.Generator().manual_seed(1))
    ranked = found.nll.gather(1, found.order)
    assert torch.equal(found.nll, again.nll)
    assert (ranked.diff(dim=1) >= 0).all()
    assert torch.equal(found.top1, found.order[:, 0])
    assert (found.starts >= 0).all()
    assert (found.ends <= 1).all()
    assert (found.starts <= found.ends).all()
    if neg_type.endswith("inverse_gaussian"):
        assert found.negative_centers is None
    else:
        assert found.negative_centers.shape == found.negative_widths.shape == (3, 2)


def test_pred_gamma_cuts_its_share_off_both_sides():
    batch = random_batch()
    full, cut = (run(make_model(pred_gamma=g), batch).proposals for g in (0.0, 0.4))
    assert torch.allclose(cut.widths, full.widths)
    inside = (full.centers - full.widths / 2 > 0) & (full.centers + full.widths / 2 < 1)
    assert inside.any()
    assert torch.allclose((cut.ends - cut.starts)[inside], 0.6 * full.widths[inside], atol=1e-6)


def test_without_negatives_the_other_terms_stay():
    model = make_model(use_negatives=False)
    out = run(model, random_batch())
    loss = model.losses(out)
    terms, cfg = loss.terms, model.config
    assert out.negatives is None
    assert model.negative_head is None
    assert "rank_negative" not in terms
    expected = (terms["nll"] + terms["nll_whole_video"]) / 2 + cfg.rank_weight * terms["rank_whole_video"]
    assert torch.allclose(loss.total, expected + model.regularisers(out.proposals).total)


def test_the_loss_without_negatives_can_be_taken_apart():
    model = make_model(negative_margin=10.0)
    out = run(model, random_batch())
    best = out.nll.min(dim=1).values
    bare = model.base_loss(out.proposals, best, None, regularise=False)
    assert set(bare.terms) == {"nll"}
    assert torch.equal(bare.total, best.mean())
    full = model.base_loss(out.proposals, best, out.whole_video, regularise=True)
    whole = model.losses(out)
    assert whole.terms.keys() - full.terms.keys() == {"rank_negative"}
    expected = full.total + model.config.rank_weight * (best - out.negatives[:, 0] + 10).mean()
    assert torch.allclose(whole.total, expected)


def test_lambdas_keep_their_meaning_when_the_grid_changes():
    assert [PPSConfig().push_scale(cells) for cells in (50, 10)] == [1, 5]
    assert PPSConfig(published_cells=None).push_scale(10) == 1
    found = run(make_model(), random_batch()).proposals  # ten cells
    scaled, given = (
        make_model(**settings).regularisers(found).terms
        for settings in (
            {"inter_push_target": 0.15, "intra_push_target": 0.2},
            {"published_cells": None, "inter_push_target": 0.75, "intra_push_target": 1.0},
        )
    )
    assert torch.allclose(scaled["push_inter"], given["push_inter"])
    assert torch.allclose(scaled["push_intra"], given["push_intra"])


def test_one_proposal_is_one_gaussian():
    model = make_model(proposals=1)
    out = run(model, random_batch())
    assert torch.equal(out.proposals.weights, torch.ones(3, 1, 1))
    assert torch.equal(out.proposals.masks, out.proposals.component_masks[:, :, 0])
    assert float(model.regularisers(out.proposals).terms["pull"].detach()) == 0
