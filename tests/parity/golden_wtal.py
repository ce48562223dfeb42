"""The networks of action localisation against their golden vectors: BaS-Net, HAM-Net, CO2-Net, TSM."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.parity.golden import GoldenCase, compare
from vmlkit.actions.basnet import BaSNet, BaSNetConfig
from vmlkit.actions.co2net import CO2Net, CO2NetConfig
from vmlkit.actions.cross_modal import AttentionConfig
from vmlkit.actions.hamnet import HAMNet, HAMNetConfig
from vmlkit.actions.localiser import ActionShape, Localised
from vmlkit.actions.losses import (
    coactivity,
    consistency,
    dropped_attention,
    guide,
    mil,
    mutual,
    reconstruction_error,
    suppress,
)
from vmlkit.actions.text_queries import TextQueryConfig
from vmlkit.actions.tsm import tsm_config
from vmlkit.released import load_released, our_name


def no_dropout(model: nn.Module) -> nn.Module:
    """Every dropout probability 0, as in the recordings made in training mode."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def localised_outputs(out: Localised) -> dict[str, Tensor]:
    """What every network's case stores."""
    names = {"cas": out.cas, "attn": out.attention[..., None]}
    if out.branches:
        names |= {"v_atn": out.branches[0][..., None], "f_atn": out.branches[1][..., None]}
    return {f"output/{name}": value for name, value in names.items()}


def gradients(model: nn.Module, case: GoldenCase, kind: str, suffix: str = "") -> dict[str, Tensor]:
    """``grad/...`` and ``gradnorm/...`` by released name; -1 where no gradient arrives."""
    named = dict(model.named_parameters())
    ours = {}
    for name in case.group("param"):
        gradient = named[our_name(name, kind)].grad
        ours[f"gradnorm{suffix}/{name}"] = torch.tensor(-1.0) if gradient is None else gradient.norm()
        if gradient is not None:
            ours[f"grad{suffix}/{name}"] = gradient.clone()
    return ours


def shape_of(case: GoldenCase, words: Tensor | None = None, vocabulary: int = 2) -> ActionShape:
    """Sizes from the JSON; class words where the case has them."""
    config = case.meta["config"]
    if words is None:
        words = torch.zeros(config.get("classes", 1), 2, config.get("glove_dim", 1))
    return ActionShape(features=config["feature_dim"], class_words=words, vocabulary=vocabulary)


def labelled(case: GoldenCase, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Features and labels."""
    return case.input("features").to(dtype), case.input("labels").to(dtype)


def check_basnet(case: GoldenCase) -> None:
    """Both branches, the three losses, gradients."""
    compare(case, _basnet(case, torch.float32), _basnet(case, torch.float64))


def _basnet(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = case.meta["config"]
    config = BaSNetConfig(
        attention=AttentionConfig(kind="filter", hidden=c["filter_hidden"]),
        width=c["cas_hidden"],
        segments=c["num_segments"],
        norm_weight=c["alpha"],
    )
    model = BaSNet(config, shape_of(case)).eval()
    load_released(model, case.parameters(), "basnet", case.name)
    model.to(dtype)
    features, labels = labelled(case, dtype)
    out = model(features)
    loss = model.loss(out, labels)
    loss.total.backward()
    base, suppressed = model.scores(out)
    assert out.suppressed is not None
    ours = {
        "score_base": base,
        "score_supp": suppressed,
        "cas_base": out.cas,
        "cas_supp": out.suppressed,
        "fore_weights": out.attention[..., None],
        "loss_base": loss.terms["mil"],
        "loss_supp": loss.terms["mil_suppressed"],
        "loss_norm": loss.terms["norm"],
        "loss_total": loss.total,
    }
    return {f"output/{k}": v for k, v in ours.items()} | gradients(model, case, "basnet")


def check_hamnet(case: GoldenCase) -> None:
    """Attention with its semi-soft drop, the four bags and their losses, gradients."""
    compare(case, _hamnet(case, torch.float32), _hamnet(case, torch.float64))


def _hamnet(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = case.meta["config"]
    config = HAMNetConfig(
        attention=AttentionConfig(kind="conv", hidden=c["attn_hidden"]),
        ratio=c["rat"],
        drop_threshold=c["drop_thres"],
        drop_weight=c["drop_prob"],
        keep_weight=c["lm_1"],
        suppress_weight=c["lm_2"],
        norm_weight=c["alpha"],
        guide_weight=c["beta"],
    )
    model = HAMNet(config, shape_of(case)).train()
    no_dropout(model)
    load_released(model, case.parameters(), "hamnet", case.name)
    model.to(dtype)
    features, labels = labelled(case, dtype)
    out = model(features)
    loss, bags, w = model.loss(out, labels), model.bags(out), config.drop_weight
    loss.total.backward()
    t = loss.terms
    ours = {
        "atn_supp": out.attention[..., None],
        "atn_drop": model.dropped(out)[..., None],
        "atn_drop_include_min": dropped_attention(out.attention, config.drop_threshold, include_min=True)[..., None],
        "loss_train": loss.total,
        "loss_1": (1 - w) * t["mil"] + w * t["mil_hard"],
        "loss_2": (1 - w) * t["mil_soft"] + w * t["mil_semi"],
        "loss_norm": t["norm"],
        "loss_guide": t["guide"],
    }
    released = {"orig": "mil", "drop": "mil_hard", "supp": "mil_soft", "drop_supp": "mil_semi"}
    for name, bag in released.items():
        background = float(bag in ("mil", "mil_hard"))
        ours[f"cas_{name}"] = bags[bag]
        ours[f"mil_{name}_per_video"] = mil(bags[bag], labels, background=background, ratio=config.ratio)
    return localised_outputs(out) | {f"output/{k}": v for k, v in ours.items()} | gradients(model, case, "hamnet")


def co2net_losses(config: CO2NetConfig, out: Localised, labels: Tensor) -> dict[str, Tensor]:
    """The single losses of CO2-Net and TSM by the names of the cases."""
    suppressed = suppress(out.cas, out.attention)
    ours = {"feat": out.features, "cas_supp": suppressed}
    for name, cas, background in (("orig", out.cas, 1.0), ("supp", suppressed, 0.0)):
        ours[f"loss_mil_{name}_per_video"] = mil(cas, labels, background=background, ratio=config.ratio)
        ours[f"loss_mil_{name}"] = ours[f"loss_mil_{name}_per_video"].mean()
    ours["loss_coactivity"] = coactivity(out.features, suppressed, labels, pairs=config.pairs)
    for name, attention in zip(("fused", "v", "f"), (out.attention, *out.branches), strict=True):
        ours[f"loss_norm_{name}"], ours[f"loss_guide_{name}"] = attention.mean(), guide(attention, out.cas)
    ours["loss_mutual"] = mutual(*out.branches)
    return {f"output/{k}": v for k, v in ours.items()}


def check_co2net(case: GoldenCase) -> None:
    """Forward, each loss, gradients of the total; pooled where the case says so."""
    compare(case, _co2net(case, torch.float32), _co2net(case, torch.float64))


def _co2net(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = case.meta["config"]
    config = CO2NetConfig(
        attention=AttentionConfig(kind="consensus", hidden=c["attn_hidden"]),
        ratio=c["topk_ratio"],
        norm_weight=c["alpha1_norm"],
        guide_weight=c["alpha2_guide"],
        coactivity_weight=c["alpha3_coactivity"],
        mutual_weight=c["alpha4_mutual"],
        pool=c["pool_t"] if "pool" in case.meta["model"] else None,
        unused_parts=True,
    )
    model = CO2Net(config, shape_of(case)).eval()
    load_released(model, case.parameters(), "co2net", case.name)
    model.to(dtype)
    features, labels = labelled(case, dtype)
    out = model(features)
    loss = model.loss(out, labels)
    loss.total.backward()
    ours = localised_outputs(out) | co2net_losses(config, out, labels) | {"output/loss_total": loss.total}
    return ours | gradients(model, case, "co2net")


def tsm_of(config: dict[str, Any]) -> CO2NetConfig:
    """The TSM of a case's sizes."""
    return tsm_config(
        attention=AttentionConfig(kind="reconstruct", hidden=config["attn_hidden"], code=config.get("ae_hidden")),
        text=TextQueryConfig(prompts=config["n_pro"], heads=config["heads"]),
        ratio=config["topk_ratio"],
        norm_weight=config.get("alpha1_norm", config.get("alpha1")),
        guide_weight=config.get("alpha2_guide", config.get("alpha2")),
        coactivity_weight=config.get("alpha3_coactivity", config.get("alpha3")),
        rebuild_weight=config["ae_weight"],
    )


def check_tsm(case: GoldenCase) -> None:
    """Forward with text queries, each loss, gradients of the total with a constant attention to agree with."""
    compare(case, _tsm(case, torch.float32), _tsm(case, torch.float64))


def _tsm(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = case.meta["config"]
    config = tsm_of(c)
    words = torch.from_numpy(case.arrays["buffer/label_embeddings"])
    model = CO2Net(config, shape_of(case, words)).eval()
    load_released(model, case.parameters(), "tsm", case.name)
    model.to(dtype)
    features, labels = labelled(case, dtype)
    out = model(features)
    loss = model.loss(out, labels)
    towards = c["consistency_weight"] * consistency(out.attention, case.input("rec_attn").to(dtype)[..., 0])
    (loss.total + towards).backward()
    assert model.queries is not None
    (new_rgb, old_rgb), (new_flow, old_flow) = out.rebuilt
    rgb, flow = reconstruction_error(out.rebuilt)
    queries = model.queries()
    table = model.queries.positions(model.queries.offsets).detach()
    ours = {
        "queries": queries,
        "feat_final": out.final,
        "n_rfeat": new_rgb,
        "o_rfeat": old_rgb,
        "n_ffeat": new_flow,
        "o_ffeat": old_flow,
        "loss_ae_rgb": rgb,
        "loss_ae_flow": flow,
        "loss_criterion": loss.total - config.rebuild_weight * (rgb + flow),
        "loss_consistency_weighted": towards,
        "loss_total": loss.total + towards,
        "positional_encoding": table,
    }
    named = {f"output/{k}": v for k, v in ours.items()}
    return localised_outputs(out) | co2net_losses(config, out, labels) | named | gradients(model, case, "tsm")
