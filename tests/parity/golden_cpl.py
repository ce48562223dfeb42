"""CPL against its golden vectors, under each evaluation plan."""

import functools

import torch
from torch import Tensor

from tests.parity.golden import GoldenCase, hold
from tests.parity.golden_blocks import gradients_by_released_name, transformer_config
from tests.parity.golden_models import (
    data_shape,
    flat,
    generated,
    generator_settings,
    golden_batch,
    masked_words,
    parameters_after,
    training_steps,
    word_accuracy,
)
from vmlkit.data.batches import MomentBatch
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.cpl import CPL, CPLConfig, Plan
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.released import load_released
from vmlkit.training.method import LossTerms, Progress


def check_cpl(case: GoldenCase) -> None:
    """Forward, every loss term, gradients of the parts and the whole, four steps; the cheaper plans agree exactly."""
    plans: tuple[Plan, ...] = ("all", "selected", "replay")
    hold(case, *(functools.partial(_compute, plan=plan) for plan in plans))


def build_cpl(case: GoldenCase, dtype: torch.dtype, plan: Plan) -> CPL:
    """The case's model with the authors' parameters."""
    sizes, loss = generator_settings(case), case.meta["loss"]
    config = CPLConfig(
        reconstruction=ReconstructionConfig(transformer=transformer_config(sizes["DualTransformer"])),
        proposals=sizes["num_props"],
        sigma=sizes["sigma"],
        gamma=sizes["gamma"],
        whole_video_margin=loss["margin_1"],
        negative_margin=loss["margin_2"],
        rank_weight=loss["alpha_1"],
        diversity_weight=loss["alpha_2"],
        diversity_target=loss["lambda"],
        published_cells=None,
        use_negatives=sizes["use_negative"],
        plan=plan,
    )
    sizes.finish()
    model = CPL(config, data_shape(case))
    load_released(model, case.parameters(), "cpl", case.name)
    return model.to(dtype)


def _compute(case: GoldenCase, dtype: torch.dtype, plan: Plan) -> dict[str, Tensor]:
    model, batch, masked = build_cpl(case, dtype, plan), golden_batch(case, dtype), masked_words(case)
    progress, released = Progress(case.meta["epoch"], case.meta["config"]["max_epoch"]), case.parameters()
    ours = {f"output/{k}": v.detach() for k, v in _forward(model, batch, masked, progress).items()}

    def loss() -> LossTerms:
        return model.losses(model(batch, masked, progress))

    for part in ("rec", "ivc", "total"):
        model.zero_grad()
        _parts(loss(), model.config)[part].backward()
        suffix = "" if part == "total" else f"_{part}"
        ours |= gradients_by_released_name(model, released, "cpl", (f"grad{suffix}", f"gradnorm{suffix}"))
    first = {name: ours[f"grad/{name}"] for name in released}
    model.zero_grad()
    ours |= training_steps(case, model, lambda: loss().total)
    return ours | parameters_after(model, released, "cpl", first)


def _parts(loss: LossTerms, config: CPLConfig) -> dict[str, Tensor]:
    terms = loss.terms
    rec = (terms["nll"] + terms["nll_whole_video"]) / 2 if config.use_negatives else terms["nll"]
    return {"rec": rec, "ivc": loss.total - rec, "total": loss.total}


def _forward(model: CPL, batch: MomentBatch, masked: Tensor, progress: Progress) -> dict[str, Tensor]:
    out = model(batch, masked, progress)
    encoded, loss = out.encoded, model.losses(out)
    parts, terms = _parts(loss, model.config), loss.terms
    passed = model.transformer.reconstruct(
        encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, Conditioning(out.proposals.masks)
    )
    words = model.front.vocabulary_head(passed.hidden)
    ours = {
        "center": flat(out.proposals.centers),
        "width": flat(out.proposals.widths),
        "gauss_weight": flat(out.proposals.masks),
        "words_logit": flat(words),
        "words_mask": encoded.text_mask,
        "gen_hidden": generated(model.front, model.transformer, batch),
        "gen_text_memory": encoded.text_memory,
        "pos_video_memory": flat(passed.memory),
        "pos_hidden": flat(passed.hidden),
        "pos_nll": out.nll,
        "pos_acc": word_accuracy(words, encoded.targets, encoded.text_mask),
        "loss_rec": parts["rec"],
        "loss_ivc_weighted": parts["ivc"],
        "loss_total": loss.total,
        "term_final_loss": parts["rec"],
        "term_nll_loss": terms["nll"],
        "term_ivc_loss": parts["ivc"],
        "term_div_loss": terms["diversity"],
    }
    if out.negatives is None:  # the released program logs zeros
        return ours | {f"term_{name}": torch.zeros(()) for name in ("neg_loss_1", "neg_loss_2", "ref_loss")}
    return ours | _negatives(model, out, terms, progress)


def _negatives(model: CPL, out, terms: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    encoded = out.encoded
    masks = model.negative_masks(encoded, out.proposals, progress)  # (B, P, 2, S)

    def logits(weight: Tensor) -> Tensor:
        conditioning = Conditioning(weight)
        hidden = model.transformer.reconstruct(
            encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, conditioning
        ).hidden
        return model.front.vocabulary_head(hidden)  # (B, R, L, V)

    ours = {
        "ref_words_logit": logits(torch.ones_like(masks[:, :1, 0]))[:, 0],
        "ref_nll": out.whole_video,
        "term_ref_nll_loss": terms["nll_whole_video"],
        "term_ref_loss": terms["rank_whole_video"],
    }
    for side, name in enumerate(("rank_left", "rank_right")):
        weight = masks[:, :, side]
        ours[f"neg_weight_{side + 1}"] = flat(weight)
        ours[f"neg_words_logit_{side + 1}"] = flat(logits(weight))
        ours[f"neg_nll_{side + 1}"] = model.reconstruct(encoded, weight)
        ours[f"term_neg_loss_{side + 1}"] = terms[name]
    return ours
