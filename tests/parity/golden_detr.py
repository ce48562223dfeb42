"""Checks of Moment-DETR, QD-DETR and BM-DETR against golden vectors."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tests.parity.golden import GoldenCase, hold
from tests.parity.golden_blocks import gradients_by_released_name
from tests.parity.golden_detr_config import detr_config
from vmlkit.detr.batches import Targets
from vmlkit.detr.bm_detr import BMDetr, BMDetrOutput
from vmlkit.detr.method import DetrOutput, Moments, Supervision
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.detr.shift import Branch
from vmlkit.detr.windows import PostProcessing, ranked_windows
from vmlkit.released import load_released
from vmlkit.spans import to_center_width, to_start_end
from vmlkit.training.method import DataShape

Arrays = dict[str, Tensor]
Compute = Callable[[GoldenCase, torch.dtype], Arrays]


def data_shape(case: GoldenCase) -> DataShape:
    """Feature sizes, from the arrays; audio joins the clips."""
    widths = {
        k: case.arrays[f"input/src_{k}"].shape[2] for k in ("vid", "aud", "txt") if f"input/src_{k}" in case.arrays
    }
    return DataShape(frame_dim=widths["vid"] + widths.get("aud", 0), word_dim=widths["txt"], vocabulary=0)


def tensors(case: GoldenCase, dtype: torch.dtype, kind: str) -> tuple[Tensor, Tensor]:
    """Features (in ``dtype``) and boolean mask of ``src_vid``, ``src_txt``, ``neg_src_txt`` or ``shifted_vid``."""
    features = case.input(kind).to(dtype)
    if kind == "src_vid" and "input/src_aud" in case.arrays:
        features = torch.cat((features, case.input("src_aud").to(dtype)), dim=2)
    return features, case.input(f"{kind}_mask").bool()


def windows_of(case: GoldenCase, dtype: torch.dtype, prefix: str = "") -> Targets:
    """Padded target spans; first and last clip (of ``span_loss_type=ce``) become the span that they cover."""
    found: list[Tensor] = []
    while f"input/{prefix}target_spans_{len(found)}" in case.arrays:
        target = case.arrays[f"input/{prefix}target_spans_{len(found)}"]
        if target.dtype.kind in "iu":
            count = case.arrays["input/src_vid_mask"][len(found)].sum()
            target = to_center_width((target + np.array([0, 1])) / count)
        found.append(torch.from_numpy(target).to(dtype))
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
    spans = moments.spans if moments.ends is None else moments.ends.flatten(-2)
    named = {"pred_logits": moments.logits[last], "pred_spans": spans[last], "hs": moments.hidden}
    for layer in range(last):
        named |= {f"aux_{layer}_pred_logits": moments.logits[layer], f"aux_{layer}_pred_spans": spans[layer]}
    return named


def loss_arrays(terms: Mapping[str, Tensor], total: Tensor, names: Mapping[str, str]) -> Arrays:
    """Terms under ``loss/`` and the authors' names (a suffix of an auxiliary layer stays)."""
    found = {"loss/total": total}
    for name, value in terms.items():
        base = re.sub(r"_\d+$", "", name)
        found[f"loss/{names.get(base, base)}{name[len(base) :]}"] = value
    return found


NAMES = {
    "span": "loss_span",
    "giou": "loss_giou",
    "label": "loss_label",
    "saliency": "loss_saliency",
    "alignment": "loss_contrastive_align",
}


def matches_of(matches: Mapping[str, Tensor]) -> Arrays:
    """The matching of every layer (by our suffix: none for the last) under the authors' keys."""
    found: Arrays = {}
    for suffix, matched in matches.items():
        found |= pairs(f"aux{suffix}_match" if suffix else "match", matched)
    return found


def ranked_arrays(case: GoldenCase, moments: Moments, most_clips: int | None = None) -> Arrays:
    """Ranked windows before and after the released rounding, where the case says how long its videos are.

    Args:
        most_clips: BM-DETR counts at most so many clips of a video, and cuts windows there instead of at 150 s.
    """
    if "input/duration" not in case.arrays:
        return {}
    clip_s, seconds = case.meta["clip_length"], case.input("duration").to(moments.spans.dtype)
    process = PostProcessing(clip_length=clip_s)
    if most_clips is not None:
        seconds, process = seconds.clamp(max=most_clips * clip_s), replace(process, latest=most_clips * clip_s)
    edges, scores = to_start_end(moments.spans[-1]).detach(), moments.log_scores().detach().exp()
    windows = ranked_windows(edges, scores, seconds)
    return {
        "ranked_windows": windows,
        "ranked_windows_post": torch.tensor(np.stack([process(w) for w in windows.numpy()])),
    }


def keep_wanted(case: GoldenCase, group: str, ours: Arrays) -> Arrays:
    """Our arrays under ``GROUP/``, without those that the case does not record."""
    return {f"{group}/{k}": v for k, v in ours.items() if f"{group}/{k}" in case.arrays}


def check_moment_detr(case: GoldenCase) -> None:
    """Outputs of every layer, matching, losses, gradients, and ranked windows before and after rounding."""
    hold(case, _moment_detr)


def _moment_detr(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    config: MomentDetrConfig = detr_config(case, "moment_detr")
    model = MomentDetr(config, data_shape(case))
    load_released(model, case.parameters(), "moment_detr", case.name)
    model.to(dtype)
    out = model(*tensors(case, dtype, "src_vid"), *tensors(case, dtype, "src_txt"))
    truth = supervision(case, dtype)
    loss = model.loss(out, truth)
    loss.total.backward()
    windows = model.targets(truth.windows, out.memory)
    _, matches = model.layered_terms(out.moments, windows, config.weights, auxiliary=True)
    ours = moments_arrays(out.moments) | {"saliency_scores": out.saliency, "memory": out.memory.tokens}
    if config.alignment_size is not None:
        assert out.memory.text is not None
        ours["proj_queries"] = model.aligned("query", out.moments.hidden[-1])
        ours["proj_txt_mem"] = model.aligned("text", out.memory.text)
        ours["proj_vid_mem"] = model.aligned("video", out.memory.video)
    ours |= matches_of(matches) | loss_arrays(loss.terms, loss.total, NAMES) | ranked_arrays(case, out.moments)
    gradients = gradients_by_released_name(model, case.parameters(), "moment_detr", ("grad", "gradnorm"))
    return keep_wanted(case, "output", ours) | gradients


def check_qd_detr(case: GoldenCase) -> None:
    """The published mask order under ``output/`` with gradients, the corrected one under ``fixed/``."""
    hold(case, _qd_detr_both)


def _qd_detr_both(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    published = _qd_detr(case, dtype, reference=True)
    fixed = _qd_detr(case, dtype, reference=False)
    gradients = {k: v for k, v in published.items() if k.startswith("grad")}
    published = {k: v for k, v in published.items() if k not in gradients}
    fixed = {k: v for k, v in fixed.items() if not k.startswith("grad")}
    return keep_wanted(case, "output", published) | keep_wanted(case, "fixed", fixed) | gradients


def _qd_detr(case: GoldenCase, dtype: torch.dtype, *, reference: bool) -> Arrays:
    config: QDDetrConfig = replace(detr_config(case, "qd_detr"), reference_mask_order=reference)
    model = QDDetr(config, data_shape(case))
    contrastive = case.meta["config"].get("contrastive_align_loss", False)
    if contrastive:
        wide = case.meta["config"]["contrastive_hdim"]
        names = ("query", "text", "video")
        model.alignment = nn.ModuleDict({name: nn.Linear(config.sizes.hidden, wide) for name in names})
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
    assert negative.memory.token is not None
    ours = moments_arrays(out.moments) | parts
    ours |= {
        "saliency_scores": out.saliency,
        "saliency_scores_neg": negative.saliency,
        "reference": out.moments.references,
        "memory": out.memory.video,
        "memory_global": out.memory.token,
        "memory_neg": negative.memory.video,
        "memory_global_neg": negative.memory.token,
    }
    if config.supervise_windows:
        _, matches = model.layered_terms(out.moments, truth.windows, config.weights, auxiliary=True)
        ours |= matches_of(matches)
    ours |= loss_arrays(terms | {"saliency": sum(parts.values())}, loss.total, NAMES)  # type: ignore[arg-type]
    ours |= ranked_arrays(case, out.moments)
    if contrastive:
        ours |= _contrast_with_no_words(case, model, out, ours)
    return ours | gradients_by_released_name(model, case.parameters(), "qd_detr", ("grad", "gradnorm"))


def _contrast_with_no_words(case: GoldenCase, model: QDDetr, out: DetrOutput, ours: Arrays) -> Arrays:
    """The released contrastive option: its memory holds no words any more, so each layer's term is ``log Q``."""
    layers, count, queries = out.moments.logits.shape[:3]
    wide = model.alignment["query"].out_features
    term = out.saliency.new_tensor(queries).log()
    supervised = [""] if model.config.supervise_windows else []
    supervised += [f"_{j}" for j in range(layers - 1) if supervised and model.config.auxiliary]
    added = case.meta["config"]["contrastive_align_loss_coef"] * len(supervised) * term
    return {
        "proj_queries": normalize(model.alignment["query"](out.moments.hidden[-1]), dim=-1),
        "proj_txt_mem": out.saliency.new_zeros(count, 0, wide),
        "proj_vid_mem": normalize(model.alignment["video"](out.memory.video), dim=-1),
        **{f"loss/loss_contrastive_align{suffix}": term for suffix in supervised},
        "loss/total": ours["loss/total"] + added,
    }


_SALIENCY = {"hinge": "hinge", "rank": "rank", "negpair": "negative_pair"}


def check_bm_detr(case: GoldenCase) -> None:
    """The released mode with a negative sentence (and the shifted branch where the case has one), and without."""
    hold(case, _bm_detr)


def build_bm_detr(case: GoldenCase, dtype: torch.dtype) -> BMDetr:
    """The case's model with the authors' parameters."""
    model = BMDetr(detr_config(case, "bm_detr"), data_shape(case))
    load_released(model, case.parameters(), "bm_detr", case.name)
    return model.to(dtype)


def _bm_detr(case: GoldenCase, dtype: torch.dtype) -> Arrays:
    model = build_bm_detr(case, dtype)
    clips, words = tensors(case, dtype, "src_vid"), tensors(case, dtype, "src_txt")
    prefixes = ["", "shifted_"] if model.config.shifting else [""]
    branches = [Branch(*tensors(case, dtype, f"{p}{'vid' if p else 'src_vid'}")) for p in prefixes]
    truths = [supervision(case, dtype, prefix) for prefix in prefixes]
    negative = tensors(case, dtype, "neg_src_txt") if "input/neg_src_txt" in case.arrays else None
    outputs = model.together(branches, words, negative)
    loss = model.loss(outputs, truths)
    loss.total.backward()
    ours = _bm_arrays(model, outputs[0], truths[0]) | {"loss/total": loss.total}
    for out, truth in zip(outputs[1:], truths[1:], strict=True):
        ours |= {f"shifting/{name}": value for name, value in _bm_arrays(model, out, truth).items()}
    assert outputs[0].background is not None
    ours["frame_attention"] = outputs[0].background.attention
    ours["memory"] = ours["memory"][:, : clips[0].shape[1] + words[0].shape[1]]
    if negative is not None:
        ours["memory_neg"] = model(*clips, *negative).memory.tokens
    ours |= ranked_arrays(case, outputs[0].moments, case.meta["config"].get("max_v_l", 75))
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
    _, matches = model.layered_terms(out.moments, truth.windows, model.config.weights, auxiliary=False)
    return found | matches_of(matches) | {f"loss/{name}": value for name, value in named.items()}


_BM_TERMS = {"class_error": "loss_class", "probability": "loss_prob_guidance"}
