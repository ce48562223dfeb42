"""The released argument lists of the DETR family, as the ``config`` of a golden case holds them, in our settings."""

from typing import Any

from tests.parity.case_settings import CaseSettings
from tests.parity.golden import GoldenCase
from vmlkit.detr.bm_detr import BMDetrConfig
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetrConfig

#: fields about the machine, the files, the optimiser, and the choice of an epoch: none changes an output or a gradient
DESCRIPTION = frozenset(
    {
        "device", "seed", "exp_id", "results_root", "num_workers", "no_pin_memory", "debug", "data_ratio", "lr",
        "lr_drop", "lr_gamma", "lr_warmup", "wd", "n_epoch", "max_es_cnt", "bsz", "eval_bsz", "grad_clip", "resume",
        "resume_all", "eval_untrained", "start_epoch", "eval_epoch_interval", "eval_split_name", "train_path",
        "eval_path", "stop_metric", "pin_memory", "v_feat_dirs", "t_feat_dir", "v_feat_type", "t_feat_type",
        "dset_domain", "max_windows", "fixed_length", "no_norm_vfeat", "no_norm_tfeat", "ctx_mode", "use_tef",
        "use_video", "txt_drop_ratio", "clip_length", "no_sort_results", "max_before_nms", "max_after_nms",
        "conf_thd", "nms_thd", "use_temporal_shifting",
    }
)  # fmt: skip


def detr_config(case: GoldenCase, kind: str) -> Any:
    """Settings of our ``moment_detr``, ``qd_detr`` or ``bm_detr``.

    Raises:
        AssertionError: for a field that the harness does not know, or a value that the released program cannot run.
    """
    c = CaseSettings(case)
    c.describe(DESCRIPTION)
    shared = {"sizes": _sizes(case, c, kind), "weights": _weights(c), "activation": _activation(case, c, kind)}
    config = {"moment_detr": _moment_detr, "qd_detr": _qd_detr, "bm_detr": _bm_detr}[kind](case, c, shared)
    c.finish()
    return config


def _sizes(case: GoldenCase, c: CaseSettings, kind: str) -> DetrSizes:
    assert c.get("position_embedding", "sine") in ("sine", "v2"), f"{case.name}: the release refuses other positions"
    video, text = (case.arrays[f"input/src_{name}"].shape[2] for name in ("vid", "txt"))
    audio = case.arrays["input/src_aud"].shape[2] if "input/src_aud" in case.arrays else 0
    c.expect(t_feat_dim=text, a_feat_dim=audio or None)
    assert c.get("v_feat_dim", video) == video, f"{case.name}: 'v_feat_dim' is not the width of input/src_vid"
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
        pre_norm=c.get("pre_norm", False),
    )


def _weights(c: CaseSettings) -> SetWeights:
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


def _activation(case: GoldenCase, c: CaseSettings, kind: str) -> str:
    """Named by the case, or what the release has built in; a learned slope shows in the parameters."""
    slopes = any(".activation." in name for name in case.parameters())
    built_in = "prelu" if slopes or kind != "moment_detr" else "relu"
    named = c.get("transformer_activation", c.get("activation", built_in))
    assert (named == "prelu") == slopes, f"{case.name}: activation '{named}' and the parameters disagree"
    return str(named)


def _moment_detr(case: GoldenCase, c: CaseSettings, shared: dict[str, Any]) -> MomentDetrConfig:
    c.describe(["dset_name", "max_v_l", "contrastive_hdim"])
    return MomentDetrConfig(
        **shared,
        span_loss_type=c.get("span_loss_type", "l1"),
        # the released model is built for 75 clips whatever 'max_v_l' says; the parameters know
        max_clips=len(case.parameters()["span_embed.layers.2.bias"]) // 2,
        auxiliary=c["aux_loss"],
        alignment_size=c["contrastive_hdim"] if c["contrastive_align_loss"] else None,
        alignment_weight=c["contrastive_align_loss_coef"],
        temperature=c["temperature"],
    )


def _qd_detr(case: GoldenCase, c: CaseSettings, shared: dict[str, Any]) -> QDDetrConfig:
    c.describe(["max_v_l", "temperature", "a_feat_dir"])
    # what the release computes with its contrastive option is a constant, which the check adds
    c.describe(["contrastive_align_loss", "contrastive_hdim", "contrastive_align_loss_coef"])
    c.expect(span_loss_type="l1", pre_norm=False)
    prefix = "transformer.t2v_encoder.layers."
    layers = {name[len(prefix) :].split(".")[0] for name in case.parameters() if name.startswith(prefix)}
    return QDDetrConfig(
        **shared,
        text_to_video_layers=len(layers),
        supervise_windows=c.get("dset_name", "hl") != "tvsum",
        auxiliary=c["aux_loss"],
    )


def _bm_detr(case: GoldenCase, c: CaseSettings, shared: dict[str, Any]) -> BMDetrConfig:
    c.describe(["dset_name", "max_v_l"])
    c.expect(span_loss_type="l1")
    extra = set(c["additional_losses"])
    assert extra <= {"shifting"}, f"{case.name}: unknown additional losses {sorted(extra)}"
    return BMDetrConfig(
        **shared,
        class_error_weight=c["class_loss_coef"],
        probability_weight=c["lw_prob_loss_coef"],
        probability_bound=c["prob_thd"],
        alignment_weight=c["lw_contrastive_loss_coef"],
        alignment_size=c["contrastive_hdim"],
        temperature=c["temperature"],
        shifting="shifting" in extra,
    )
