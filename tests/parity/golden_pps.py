"""PPS against its golden vectors: whole models under each evaluation plan, and the mask functions."""

import functools
import re

import torch
from torch import Tensor

from tests.parity.golden import VALUE_TOLERANCE, GoldenCase, assert_close, hold
from tests.parity.golden_blocks import gradients_by_released_name, transformer_config
from tests.parity.golden_models import (
    data_shape,
    flat,
    generator_settings,
    golden_batch,
    masked_words,
    parameters_after,
    training_steps,
)
from vmlkit.data.batches import MomentBatch
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.reconstruction.gaussian import peak_gaussian
from vmlkit.reconstruction.mixtures import component_table, peak_laplace, peak_mixture, rule_negative
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.released import load_released, our_name
from vmlkit.training.method import LossTerms, Progress


def check_pps(case: GoldenCase) -> None:
    """Forward, every loss term, gradients, four steps, and the parameters that the released program never trains."""
    plans = [functools.partial(_compute, plan=plan) for plan in ("all", "selected")]
    hold(case, *plans)
    for compute in plans:
        single = compute(case, torch.float32)
        idle = {name for name in case.parameters() if not single[f"grad/{name}"].any()}
        listed = set(case.meta["params_with_zero_gradient"])
        assert idle == listed, f"{case.name}: parameters without gradient differ: {sorted(idle ^ listed)}"


def build_pps(case: GoldenCase, dtype: torch.dtype, plan: str = "selected") -> PPS:
    """The case's model with the authors' parameters, in the released code's modes."""
    sizes, loss = generator_settings(case), case.meta["loss"]
    assert loss["num_train_prop"] == 1, "only the best proposal is trained"
    config = PPSConfig(
        reconstruction=ReconstructionConfig(transformer=transformer_config(sizes["DualTransformer"])),
        mask_type=sizes["mask_type"],
        proposals=sizes["num_props"],
        sigma_gauss=sizes["sigma_gauss"],
        sigma_laplace=sizes["sigma_laplace"],
        component_widths="released",
        use_attention=sizes["use_attn"],
        query_token="released_scalar",
        pred_gamma=sizes["pred_gamma"],
        neg_type=sizes["neg_type"],
        negative_components=sizes["num_neg_mask"],
        sigma_neg_gauss=sizes["sigma_neg_gauss"],
        sigma_neg_inverse=sizes["sigma_neg_inv_gauss"],
        whole_video_margin=loss["margin_hneg"],
        negative_margin=loss["margin_eneg"],
        rank_weight=loss["alpha_ivc"],
        inter_push_target=loss["lambda_inter_push"],
        inter_push_weight=loss["alpha_inter_push"],
        intra_push_target=loss["lambda_intra_push"],
        intra_push_weight=loss["alpha_intra_push"],
        pull_weight=loss["alpha_pull"],
        published_cells=None,
        plan=plan,  # type: ignore[arg-type]
    )
    sizes.finish()
    model = PPS(config, data_shape(case))
    load_released(model, case.parameters(), "pps", case.name)
    return model.to(dtype)


def _compute(case: GoldenCase, dtype: torch.dtype, plan: str) -> dict[str, Tensor]:
    model, batch, masked = build_pps(case, dtype, plan), golden_batch(case, dtype), masked_words(case)
    released, unused = case.parameters(), _unused(case)
    ours = {f"output/{k}": v.detach() for k, v in _forward(model, batch, masked).items()}

    def loss() -> LossTerms:
        return model.losses(model(batch, masked, Progress(1, 1)))

    loss().total.backward()
    ours |= gradients_by_released_name(model, released.keys() - unused.keys(), "pps", ("grad", "gradnorm"))
    first = {name: ours[f"grad/{name}"] for name in released.keys() - unused.keys()}
    model.zero_grad()
    ours |= training_steps(case, model, lambda: loss().total)
    ours |= parameters_after(model, {name: released[name] for name in first}, "pps", first)
    for name, value in unused.items():  # what the released program never trains stays as it was
        still, zero = value.to(dtype), torch.zeros_like(value, dtype=dtype)
        ours |= {f"grad/{name}": zero, f"gradnorm/{name}": zero.norm(), f"gradient of {name}": zero}
        ours |= {f"after4steps/{name}": still, f"after4steps_norm/{name}": still.norm()}
    return ours


def _unused(case: GoldenCase) -> dict[str, Tensor]:
    """Parameters of the released program that nothing reads: its second generator and a layer of its score."""
    return {n: v for n, v in case.parameters().items() if our_name(n, "pps").startswith("unused_")}


def _forward(model: PPS, batch: MomentBatch, masked: Tensor) -> dict[str, Tensor]:
    out = model(batch, masked, Progress(1, 1))
    encoded, proposals, loss = out.encoded, out.proposals, model.losses(out)
    negatives, _ = model.negatives(encoded, proposals)

    def logits(weight: Tensor) -> Tensor:
        hidden = model.reconstructor.reconstruct(
            encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, Conditioning(weight)
        ).hidden
        return model.front.vocabulary_head(hidden)  # (B, R, L, V)

    terms = loss.terms
    main = (terms["nll"] + terms["nll_whole_video"]) / 2
    ours = {
        "words_logit": flat(logits(proposals.masks)),
        "neg_words_logit": flat(logits(negatives)),
        "ref_words_logit": logits(torch.ones_like(proposals.masks[:, :1]))[:, 0],
        "words_mask": encoded.text_mask,
        "prop_weights": proposals.masks,
        "mixture_attention": proposals.weights,
        "neg_weight": negatives,
        "pos_nll": out.nll,
        "neg_nll": model.reconstruct(encoded, negatives),
        "ref_nll": out.whole_video,
        "loss_main": main,
        "loss_sub": loss.total - main,
        "loss_total": loss.total,
        "term_final_loss": main,
        "term_nll_loss": terms["nll"],
        "term_hneg_nll_loss": terms["nll_whole_video"],
        "term_neg_loss": terms["rank_negative"],
        "term_hneg_loss": terms["rank_whole_video"],
        "term_push_loss": terms["push_inter"] + terms["push_intra"],
        "term_pull_loss": terms["pull"],
    }
    for i in range(model.config.proposals):
        ours[f"mixture_center_{i}"] = proposals.component_centers[:, i, : i + 1]
        ours[f"component_masks_{i}"] = proposals.component_masks[:, i, : i + 1]
    ours["prop_left"], ours["prop_right"] = _boundaries(model, proposals)
    return ours


def _boundaries(model: PPS, proposals) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """Of the proposals; without attention the released program returns those of all components, in a row."""
    if model.config.use_attention:
        return proposals.starts, proposals.ends
    listed = component_table(model.config.proposals, proposals.masks.device)
    centers, widths = proposals.component_centers[:, listed], proposals.component_widths[:, listed]
    reach = (1 - model.config.pred_gamma) / 2 * widths
    return (centers - reach).clamp_min(0), (centers + reach).clamp_max(1)


def check_gauss_pps(case: GoldenCase) -> None:
    """Component masks, uniform mixtures, boundaries and negatives; finite where the released code gives NaN."""
    for name, golden in case.group("output").items():
        ours = _mask(case, name)
        assert torch.isfinite(ours).all(), f"output/{name}: not finite"
        known = torch.isfinite(torch.from_numpy(golden)).numpy()
        assert known.all() or f"output/{name}" in case.meta["nan_arrays"], f"output/{name}: unexpected NaN"
        assert ours.shape == golden.shape, f"output/{name}: shape {tuple(ours.shape)}, golden {golden.shape}"
        assert_close(f"output/{name}", ours.numpy()[known], golden[known], VALUE_TOLERANCE)


def _mask(case: GoldenCase, name: str) -> Tensor:
    center, width = case.input("center"), case.input("width")
    inverse = case.meta["config"]["sigma_neg_inv_gauss"]
    if match := re.fullmatch(r"(gauss|neggauss|laplace)_L(\d+)_s([\d.]+)", name):
        shape = peak_laplace if match[1] == "laplace" else peak_gaussian
        return shape(center, width, int(match[2]), sigma=float(match[3]))
    if match := re.fullmatch(r"neginv_L(\d+)", name):
        return 1 - peak_gaussian(center, width, int(match[1]), sigma=inverse)
    if match := re.fullmatch(r"fixedneg_(\w+_?gaussian|gaussian)_L(\d+)_s([\d.]+)", name):
        kind, sigma = match[1], inverse if match[1] == "inverse_gaussian" else float(match[3])
        return rule_negative(case.input("left"), case.input("right"), int(match[2]), kind=kind, sigma=sigma)  # type: ignore[arg-type]
    if match := re.fullmatch(r"mixture_(left|right)_n(\d+)", name):
        side = width / 2 if match[1] == "right" else -width / 2
        return (center + side).unflatten(0, (-1, int(match[2])))
    match = re.fullmatch(r"mixture_n(\d+)_L(\d+)_s([\d.]+)", name)
    assert match, f"output/{name}: unknown array"
    parts = peak_gaussian(center, width, int(match[2]), sigma=float(match[3]))
    return peak_mixture(parts.unflatten(0, (-1, 1, int(match[1]))))
