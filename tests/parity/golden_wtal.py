"""The networks of action localisation against their golden vectors: BaS-Net, HAM-Net, CO2-Net, TSM."""

from collections.abc import Mapping
from typing import Any

import numpy as np
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
from vmlkit.actions.tsm import tsm_activitynet, tsm_config
from vmlkit.nn.transformer import word_positions
from vmlkit.released import load_released, our_name


class Settings:
    """The configuration of a case.  Every field is taken or agrees with the arrays; none is overlooked."""

    def __init__(self, case: GoldenCase) -> None:
        self.case, self.values = case.name, dict(case.meta.get("config") or {})
        # what these two say has happened to the recording already
        self.left = set(self.values) - {"seed", "dropout"}

    def take(self, *names: str, default: Any = None) -> Any:
        """The field by the first of its names that the case has; without a default one of them must be there."""
        found = [name for name in names if name in self.values]
        assert found or default is not None, f"{self.case}: the configuration has no '{names[0]}'"
        self.left -= set(found)
        return self.values[found[0]] if found else default

    def agree(self, **sizes: int) -> None:
        """Fields that repeat what the arrays or our own constants say."""
        for name in sizes.keys() & self.values.keys():
            self.left.discard(name)
            assert self.values[name] == sizes[name], f"{self.case}: {name} is {self.values[name]}, ours {sizes[name]}"

    def close(self) -> None:
        """Nothing may be left."""
        assert not self.left, f"{self.case}: fields that nothing here reads: {sorted(self.left)}"


def is_activitynet(case: GoldenCase) -> bool:
    """Whether a case is of a network's ActivityNet variant, by its kind or its description."""
    return "_anet_" in case.name or any(word in case.meta.get("model", "") for word in ("ANT", "ActivityNet"))


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
    for name in case.parameters():
        ours_is = our_name(name, kind)
        gradient = None if ours_is.startswith("unused_") else named[ours_is].grad
        ours[f"gradnorm{suffix}/{name}"] = torch.tensor(-1.0) if gradient is None else gradient.norm()
        if gradient is not None:
            ours[f"grad{suffix}/{name}"] = gradient.clone()
    return ours


def shape_of(c: Settings, features: Tensor, words: Tensor, vocabulary: int = 2) -> ActionShape:
    """Sizes from the arrays, which the JSON may repeat; the number of training snippets where it differs."""
    count, snippets, width = features.shape
    c.agree(feature_dim=width, half_dim=width // 2, T=snippets, batch=count, glove_dim=words.shape[2])
    clips = c.take("max_seqlen", "num_segments", default=snippets)
    return ActionShape(features=width, class_words=words, vocabulary=vocabulary, clips=clips)


def labelled(case: GoldenCase, c: Settings, dtype: torch.dtype) -> tuple[Tensor, Tensor, ActionShape]:
    """Features, labels, sizes."""
    features, labels = case.input("features").to(dtype), case.input("labels").to(dtype)
    c.agree(classes=labels.shape[1])
    words = torch.zeros(labels.shape[1], 2, 1)
    if "buffer/label_embeddings" in case.arrays:
        words = torch.from_numpy(case.arrays["buffer/label_embeddings"])
    return features, labels, shape_of(c, features, words)


def check_basnet(case: GoldenCase) -> None:
    """Both branches, the three losses, gradients."""
    compare(case, _basnet(case, torch.float32), _basnet(case, torch.float64))


def _basnet(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = Settings(case)
    features, labels, shape = labelled(case, c, dtype)
    config = BaSNetConfig(
        attention=AttentionConfig(kind="filter", hidden=c.take("filter_hidden")),
        width=c.take("cas_hidden"),
        ratio=shape.clips // c.take("k", default=max(1, shape.clips // 8)),
        norm_weight=c.take("alpha"),
    )
    model = BaSNet(config, shape).eval()
    c.agree(k=model.count, leaky_slope=model.body[0].slope)  # type: ignore[arg-type]
    c.close()
    load_released(model, case.parameters(), "basnet", case.name)
    model.to(dtype)
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
    c = Settings(case)
    features, labels, shape = labelled(case, c, dtype)
    config = HAMNetConfig(
        attention=AttentionConfig(kind="conv", hidden=c.take("attn_hidden")),
        pool=c.take("rat2", "pool_t", default=5) if is_activitynet(case) else None,
        ratio=c.take("rat"),
        drop_threshold=c.take("drop_thres"),
        drop_from_min=c.take("include_min", default=False),
        drop_weight=c.take("drop_prob"),
        keep_weight=c.take("lm_1"),
        suppress_weight=c.take("lm_2"),
        norm_weight=c.take("alpha"),
        guide_weight=c.take("beta"),
    )
    c.close()
    model = HAMNet(config, shape).train()
    no_dropout(model)
    load_released(model, case.parameters(), "hamnet", case.name)
    model.to(dtype)
    out = model(features)
    loss, bags, w = model.loss(out, labels), model.bags(out), config.drop_weight
    loss.total.backward()
    t = loss.terms
    ours = {
        "atn_supp": out.attention[..., None],
        "atn_drop": model.dropped(out)[..., None],
        "atn_drop_include_min": dropped_attention(out.attention, config.drop_threshold, from_min=True)[..., None],
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
    """Forward, each loss, gradients of the total; pooled for the ActivityNet variant."""
    compare(case, _co2net(case, torch.float32), _co2net(case, torch.float64))


def _co2net(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = Settings(case)
    features, labels, shape = labelled(case, c, dtype)
    divisor, mutual_weight = c.take("pool_t", default=5), c.take("alpha4_mutual", "alpha4", default=1.0)
    config = CO2NetConfig(
        attention=AttentionConfig(kind="consensus", hidden=c.take("attn_hidden")),
        mutual_weight=1.0 if is_activitynet(case) else mutual_weight,  # CODE: that variant does not read the option
        pool=divisor if is_activitynet(case) else None,
        **host_settings(c),
    )
    c.close()
    model = CO2Net(config, shape).eval()
    load_released(model, case.parameters(), "co2net", case.name)
    model.to(dtype)
    out = model(features)
    loss = model.loss(out, labels)
    loss.total.backward()
    ours = localised_outputs(out) | co2net_losses(config, out, labels) | {"output/loss_total": loss.total}
    return ours | gradients(model, case, "co2net")


def host_settings(c: Settings) -> dict[str, Any]:
    """What CO2-Net and TSM have in common."""
    return {
        "ratio": c.take("topk_ratio"),
        "pairs": c.take("num_similar", default=3),
        "norm_weight": c.take("alpha1_norm", "alpha1"),
        "guide_weight": c.take("alpha2_guide", "alpha2"),
        "coactivity_weight": c.take("alpha3_coactivity", "alpha3"),
    }


def cross_modal_of(c: Settings, parameters: Mapping[str, Tensor], activitynet: bool) -> AttentionConfig:
    """The attention part of TSM or VLC; the width of its code is that of the encoder's parameter."""
    code = parameters["vAttn.AE_e.0.weight"].shape[0]
    c.agree(ae_hidden=code)
    return AttentionConfig(kind="reconstruct", hidden=c.take("attn_hidden"), code=code, gate_main=activitynet)


def tsm_of(
    c: Settings, parameters: Mapping[str, Tensor], activitynet: bool = False, released_width: int | None = None
) -> CO2NetConfig:
    """The TSM of a case's sizes, from its settings and its parameters by released name.

    Args:
        released_width: what the ActivityNet variant's positions are divided by the root of, if not the case's width.
    """
    width = parameters["fusion2.0.weight"].shape[0]
    text = TextQueryConfig(
        prompts=parameters["weight"].shape[2],
        heads=c.take("heads"),
        expansion=parameters["mlp.0.weight"].shape[0] // width,
        position_scale=(released_width or width) ** -0.5 if activitynet else 1.0,
    )
    c.agree(n_pro=text.prompts)
    settings: dict[str, Any] = {
        "attention": cross_modal_of(c, parameters, activitynet),
        "text": text,
        "fusion_kernel": parameters["fusion.0.weight"].shape[2],
        "rebuild_weight": c.take("ae_weight"),
        **host_settings(c),
    }
    if activitynet:
        return tsm_activitynet(width, pool=c.take("pool_t", default=5), **settings)
    return tsm_config(**settings)


def check_tsm(case: GoldenCase) -> None:
    """Forward with text queries, each loss, gradients of the total with a constant attention to agree with.

    The ActivityNet program divides its positions by sqrt(2048), a number: a case made small may have shrunk it or not.
    """
    try:
        compare(case, _tsm(case, torch.float32), _tsm(case, torch.float64))
    except AssertionError:
        if not is_activitynet(case):
            raise
        compare(case, _tsm(case, torch.float32, 2048), _tsm(case, torch.float64, 2048))


def _tsm(case: GoldenCase, dtype: torch.dtype, released_width: int | None = None) -> dict[str, Tensor]:
    c = Settings(case)
    features, labels, shape = labelled(case, c, dtype)
    config = tsm_of(c, case.parameters(), is_activitynet(case), released_width)
    weight = c.take("consistency_weight")
    c.close()
    model = CO2Net(config, shape).eval()
    load_released(model, case.parameters(), "tsm", case.name)
    model.to(dtype)
    out = model(features)
    loss = model.loss(out, labels)
    towards = weight * consistency(out.attention, case.input("rec_attn").to(dtype)[..., 0])
    (loss.total + towards).backward()
    assert model.queries is not None
    (new_rgb, old_rgb), (new_flow, old_flow) = out.rebuilt
    rgb, flow = reconstruction_error(out.rebuilt)
    queries = model.queries()
    table = word_positions(model.queries.offsets.shape[2], shape.features)  # the recorded one may be divided or not
    divided = model.queries.positions(model.queries.offsets).detach()
    if np.abs(case.arrays.get("output/positional_encoding", divided.numpy())).max() <= divided.max() * 1.01:
        table = divided
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
