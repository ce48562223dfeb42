"""Checks of Moment-DETR, QD-DETR and BM-DETR against golden vectors."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from tests.parity.golden import GoldenCase, compare
from tests.parity.golden_blocks import gradients_by_released_name
from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import Targets
from vmlkit.detr.bm_detr import BMDetr, BMDetrConfig, BMDetrOutput
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.method import DetrMethod, DetrOutput, Moments, Supervision
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.detr.shift import Branch
from vmlkit.detr.windows import PostProcessing, ranked_windows
from vmlkit.released import load_released
from vmlkit.training.method import DataShape

Arrays = dict[str, Tensor]
Compute = Callable[[GoldenCase, torch.dtype], Arrays]


def detr_sizes(case: GoldenCase) -> DetrSizes:
    """Sizes of the case.

    Raises:
        AssertionError: for a released option that the package does not have.
    """
    c = case.meta["config"]
    assert not c.get("pre_norm"), f"{case.name}: pre-norm layers are not part of the package"
    assert c.get("span_loss_type", "l1") == "l1", f"{case.name}: only the L1 span loss is part of the package"
    return DetrSizes(
        hidden=c["hidden_dim"],
        heads=c["nheads"],
        feed_forward=c["dim_feedforward"],
        encoder_layers=c["enc_layers"],
        decoder_layers=c["dec_layers"],
        queries=c["num_queries"],
        projection_layers=c["n_input_proj"],
        dropout=c["dropout"],
        input_dropout=c["input_dropout"],
        text_positions=c["use_txt_pos"],
        max_words=c["max_q_l"],
    )


def set_weights(case: GoldenCase) -> SetWeights:
    """Loss weights and matching costs of the case."""
    c = case.meta["config"]
    return SetWeights(
        span=c["span_loss_coef"],
        giou=c["giou_loss_coef"],
        label=c["label_loss_coef"],
        saliency=c["lw_saliency"],
        match_span=c["set_cost_span"],
        match_giou=c["set_cost_giou"],
        match_class=c["set_cost_class"],
        background=c["eos_coef"],
        margin=c["saliency_margin"],
    )


def data_shape(case: GoldenCase) -> DataShape:
    """Feature sizes, from the arrays."""
    video, text = (case.arrays[f"input/src_{kind}"].shape[2] for kind in ("vid", "txt"))
    return DataShape(frame_dim=video, word_dim=text, vocabulary=0)


def tensors(case: GoldenCase, dtype: torch.dtype, kind: str) -> tuple[Tensor, Tensor]:
    """Features (in ``dtype``) and boolean mask of ``src_vid``, ``src_txt``, ``neg_src_txt`` or ``shifted_vid``."""
    return case.input(kind).to(dtype), case.input(f"{kind}_mask").bool()


def windows_of(case: GoldenCase, dtype: torch.dtype, prefix: str = "") -> Targets:
    """Padded target spans."""
    found: list[Tensor] = []
    while f"input/{prefix}target_spans_{len(found)}" in case.arrays:
        found.append(torch.from_numpy(case.arrays[f"input/{prefix}target_spans_{len(found)}"]).to(dtype))
    return pad_windows(found)


def pad_windows(found: list[Tensor]) -> Targets:
    """Targets from one ``(n, 2)`` tensor an item."""
    most = max(len(w) for w in found)
    windows = found[0].new_tensor([0.5, 1.0]).repeat(len(found), most, 1)
    mask = torch.zeros(len(found), most, dtype=torch.bool)
    for i, rows in enumerate(found):
        windows[i, : len(rows)], mask[i, : len(rows)] = rows, True
    return Targets(windows, mask)


def supervision(case: GoldenCase, dtype: torch.dtype, prefix: str = "") -> Supervision:
    """The recorded targets and drawn clips."""
    rating, inside = (case.arrays.get(f"input/{prefix}{name}") for name in ("saliency_all_labels", "match_labels"))
    shape = case.arrays["input/src_vid_mask"].shape
    return Supervision(
        windows=windows_of(case, dtype, prefix),
        inside=torch.from_numpy(np.zeros(shape, bool) if inside is None else inside > 0),
        salient=case.input(f"{prefix}saliency_pos_labels"),
        other=case.input(f"{prefix}saliency_neg_labels"),
        levels=torch.from_numpy(np.zeros(shape) if rating is None else rating).to(dtype),
    )


def pairs(prefix: str, matched: Tensor) -> Arrays:
    """``PREFIX_b``: (prediction, target) columns by ascending prediction, as scipy gives them."""
    found = {}
    for i, row in enumerate(matched):
        target = torch.nonzero(row >= 0)[:, 0]
        order = row[target].argsort()
        found[f"{prefix}_{i}"] = torch.stack((row[target][order], target[order]))
    return found


def moments_arrays(moments: Moments) -> Arrays:
    """The last layer's outputs, those of earlier layers as ``aux_j``, and the hidden states."""
    last = len(moments.logits) - 1
    named = {"pred_logits": moments.logits[last], "pred_spans": moments.spans[last], "hs": moments.hidden}
    for layer in range(last):
        named |= {f"aux_{layer}_pred_logits": moments.logits[layer], f"aux_{layer}_pred_spans": moments.spans[layer]}
    return named


def loss_arrays(terms: Mapping[str, Tensor], total: Tensor, names: Mapping[str, str]) -> Arrays:
    """Terms under ``loss/`` and the authors' names (a suffix of an auxiliary layer stays)."""
    found = {"loss/total": total}
    for name, value in terms.items():
        base, number = (name[:-2], name[-2:]) if name[-1].isdigit() else (name, "")
        found[f"loss/{names.get(base, base)}{number}"] = value
    return found


NAMES = {
    "span": "loss_span",
    "giou": "loss_giou",
    "label": "loss_label",
    "saliency": "loss_saliency",
    "alignment": "loss_contrastive_align",
}


def matches_of(model: DetrMethod, out: DetrOutput, truth: Supervision, weights: SetWeights) -> Arrays:
    """The matching of every layer under the authors' keys."""
    moments, last = out.moments, len(out.moments.logits) - 1
    found: Arrays = {}
    for layer in range(last + 1):
        matched = sp.match(moments.logits[layer], moments.spans[layer], truth.windows, weights)
        found |= pairs("match" if layer == last else f"aux_{layer}_match", matched)
    return found


def keep_wanted(case: GoldenCase, group: str, ours: Arrays) -> Arrays:
    """Our arrays under ``GROUP/``, without those that the case does not record."""
    return {f"{group}/{k}": v for k, v in ours.items() if f"{group}/{k}" in case.arrays}


def check_moment_detr(case: GoldenCase) -> None:
    """Outputs of every layer, matching, losses, gradients, and ranked windows before and after rounding."""
    compare(case, _moment_detr(case, torch.float32), _moment_detr(case, torch.float64))


def _moment_detr(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    c = case.meta["config"]
    config = MomentDetrConfig(
        sizes=detr_sizes(case),
        weights=set_weights(case),
        auxiliary=c["aux_loss"],
        alignment_size=c["contrastive_hdim"] if c["contrastive_align_loss"] else None,
        alignment_weight=c["contrastive_align_loss_coef"],
        temperature=c["temperature"],
    )
    model = MomentDetr(config, data_shape(case))
    load_released(model, case.parameters(), "moment_detr", case.name)
    model.to(dtype)
    out = model(*tensors(case, dtype, "src_vid"), *tensors(case, dtype, "src_txt"))
    truth = supervision(case, dtype)
    loss = model.loss(out, truth)
    loss.total.backward()
    ours = moments_arrays(out.moments) | {"saliency_scores": out.saliency, "memory": out.memory.tokens}
    if config.alignment_size is not None:
        assert out.memory.text is not None
        ours["proj_queries"] = model.aligned("query", out.moments.hidden[-1])
        ours["proj_txt_mem"] = model.aligned("text", out.memory.text)
        ours["proj_vid_mem"] = model.aligned("video", out.memory.video)
    ours |= matches_of(model, out, truth, config.weights)
    ours |= loss_arrays(loss.terms, loss.total, NAMES)
    windows = ranked_windows(out.moments.logits[-1], out.moments.spans[-1], case.input("duration").to(dtype))
    process = PostProcessing(clip_length=case.meta["clip_length"])
    ours["ranked_windows"] = windows
    ours["ranked_windows_post"] = torch.tensor(np.stack([process(w) for w in windows.numpy()]))
    gradients = gradients_by_released_name(model, case.parameters(), "moment_detr", ("grad", "gradnorm"))
    return keep_wanted(case, "output", ours) | gradients


def check_qd_detr(case: GoldenCase) -> None:
    """The published mask order under ``output/`` with gradients, the corrected one under ``fixed/``."""
    compare(case, _qd_detr_both(case, torch.float32), _qd_detr_both(case, torch.float64))


def _qd_detr_both(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    published = _qd_detr(case, dtype, reference=True)
    fixed = _qd_detr(case, dtype, reference=False)
    gradients = {k: v for k, v in published.items() if k.startswith("grad")}
    published = {k: v for k, v in published.items() if k not in gradients}
    fixed = {k: v for k, v in fixed.items() if not k.startswith("grad")}
    return keep_wanted(case, "output", published) | keep_wanted(case, "fixed", fixed) | gradients


def _qd_detr(case: GoldenCase, dtype: torch.dtype, *, reference: bool) -> Arrays:
    layers = _count(case, "transformer.t2v_encoder.layers.")
    config = QDDetrConfig(
        sizes=detr_sizes(case),
        text_to_video_layers=layers,
        weights=set_weights(case),
        auxiliary=case.meta["config"]["aux_loss"],
        reference_mask_order=reference,
    )
    model = QDDetr(config, data_shape(case))
    load_released(model, case.parameters(), "qd_detr", case.name)
    model.to(dtype)
    out, negative = model.pair(*tensors(case, dtype, "src_vid"), *tensors(case, dtype, "src_txt"))
    truth = supervision(case, dtype)
    loss = model.loss(out, negative, truth)
    loss.total.backward()
    terms = dict(loss.terms)
    parts = {f"loss/saliency_part_{name}": terms.pop(key) for name, key in _SALIENCY.items()}
    assert out.moments.references is not None
    assert out.memory.token is not None
    assert negative.token is not None
    ours = moments_arrays(out.moments) | parts
    ours |= {
        "saliency_scores": out.saliency,
        "saliency_scores_neg": model.saliency(negative),
        "reference": out.moments.references,
        "memory": out.memory.video,
        "memory_global": out.memory.token,
        "memory_neg": negative.video,
        "memory_global_neg": negative.token,
    }
    ours |= matches_of(model, out, truth, config.weights)
    ours |= loss_arrays(terms | {"saliency": sum(parts.values())}, loss.total, NAMES)  # type: ignore[arg-type]
    return ours | gradients_by_released_name(model, case.parameters(), "qd_detr", ("grad", "gradnorm"))


_SALIENCY = {"hinge": "hinge", "rank": "rank", "negpair": "negative_pair"}


def _count(case: GoldenCase, prefix: str) -> int:
    """How many numbered layers the parameters have below ``prefix``."""
    return len({name[len(prefix) :].split(".")[0] for name in case.parameters() if name.startswith(prefix)})


def check_bm_detr(case: GoldenCase) -> None:
    """The released mode with a negative sentence (and the shifted branch where the case has one), and without."""
    compare(case, _bm_detr(case, torch.float32), _bm_detr(case, torch.float64))


def build_bm_detr(case: GoldenCase, dtype: torch.dtype) -> BMDetr:
    """The case's model with the authors' parameters."""
    c = case.meta["config"]
    config = BMDetrConfig(
        sizes=detr_sizes(case),
        weights=set_weights(case),
        class_error_weight=c["class_loss_coef"],
        probability_weight=c["lw_prob_loss_coef"],
        probability_bound=c["prob_thd"],
        alignment_weight=c["lw_contrastive_loss_coef"],
        alignment_size=c["contrastive_hdim"],
        temperature=c["temperature"],
        shifting="shifting" in c["additional_losses"],
    )
    model = BMDetr(config, data_shape(case))
    load_released(model, case.parameters(), "bm_detr", case.name)
    return model.to(dtype)


def _bm_detr(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    model = build_bm_detr(case, dtype)
    clips, words = tensors(case, dtype, "src_vid"), tensors(case, dtype, "src_txt")
    prefixes = ["", "shifted_"] if model.config.shifting else [""]
    branches = [Branch(*tensors(case, dtype, f"{p}{'vid' if p else 'src_vid'}")) for p in prefixes]
    truths = [supervision(case, dtype, prefix) for prefix in prefixes]
    negative = tensors(case, dtype, "neg_src_txt")
    outputs = model.together(branches, words, negative)
    loss = model.loss(outputs, truths)
    loss.total.backward()
    ours = _bm_arrays(model, outputs[0], truths[0]) | {"loss/total": loss.total}
    for out, truth in zip(outputs[1:], truths[1:], strict=True):
        ours |= {f"shifting/{name}": value for name, value in _bm_arrays(model, out, truth).items()}
    assert outputs[0].background is not None
    ours["frame_attention"] = outputs[0].background.attention
    ours["memory"] = ours["memory"][:, : clips[0].shape[1] + words[0].shape[1]]
    ours["memory_neg"] = model.encode(
        model.project_video(clips[0]), clips[1], model.project_text(negative[0]), negative[1]
    ).tokens
    plain = model(*clips, *words)
    alone = _bm_arrays(model, plain, truths[0])
    assert plain.background is not None
    alone |= {"loss/total": model.branch_loss(plain, truths[0]).total, "frame_attention": plain.background.attention}
    gradients = gradients_by_released_name(model, case.parameters(), "bm_detr", ("grad", "gradnorm"))
    return keep_wanted(case, "output", ours) | keep_wanted(case, "output_noneg", alone) | gradients


def _bm_arrays(model: BMDetr, out: BMDetrOutput, truth: Supervision) -> Arrays:
    assert out.background is not None
    assert out.aligned is not None
    terms = model.branch_loss(out, truth).terms
    named = {_BM_TERMS.get(name, NAMES.get(name, name)): value for name, value in terms.items()}
    found = moments_arrays(out.moments) | {
        "vid_logits": out.background.joint,
        "saliency_scores": out.saliency,
        "proj_vid_mem": out.aligned[0],
        "proj_txt_mem": out.aligned[1],
        "memory": out.memory.tokens,
    }
    if out.moments.references is not None:
        found["reference"] = out.moments.references[:1]
    last = sp.match(out.moments.logits[-1], out.moments.spans[-1], truth.windows, model.config.weights)
    return found | pairs("match", last) | {f"loss/{name}": value for name, value in named.items()}


_BM_TERMS = {"class_error": "loss_class", "probability": "loss_prob_guidance"}
