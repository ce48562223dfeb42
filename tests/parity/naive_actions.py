"""BaS-Net, HAM-Net, CO2-Net, TSM and VLC written out video by video from what the released programs compute.

Parameters go by their released names; dropout is off.  Nothing of the package is used, so that cases of any size and
setting can be made and held against it.
"""

import math
from typing import Any

import torch
from torch import Tensor

from tests.parity.naive_parts import Out, Params, Sample, hinge, linear, mean, positions


def conv(p: Params, name: str, x: Tensor) -> Tensor:
    """``x (T, I)`` with the kernel below ``name``, one tap after the other; zeros beyond both ends."""
    weight = p[name + ".weight"]  # (O, I, k)
    reach = weight.shape[2] // 2
    out = torch.zeros(len(x), weight.shape[0], dtype=x.dtype)
    for t in range(len(x)):
        for tap in range(weight.shape[2]):
            at = t + tap - reach
            if 0 <= at < len(x):
                out[t] = out[t] + weight[:, :, tap] @ x[at]
    return out + p[name + ".bias"] if name + ".bias" in p else out


def leaky(x: Tensor, slope: float = 0.2) -> Tensor:
    return torch.where(x > 0, x, slope * x)


def top(x: Tensor, count: int) -> Tensor:
    """Mean of the largest values over time, class by class."""
    return torch.stack([x[:, c].sort(descending=True).values[:count].mean() for c in range(x.shape[1])])


def pooled(x: Tensor, kernel: int) -> Tensor:
    """Moving average that counts the zeros beyond both ends."""
    reach = kernel // 2
    rows = [x[max(0, t - reach) : t + reach + 1].sum(0) / kernel for t in range(len(x))]
    return torch.stack(rows)


def low(x: Tensor) -> Tensor:
    return x.min(1, keepdim=True).values


def suppressed(x: Tensor, a: Tensor) -> Tensor:
    return a[:, None] * (x - low(x)) + low(x)


def bag(x: Tensor, label: Tensor, background: float, ratio: int) -> Tensor:
    target = torch.cat((label, torch.tensor([background], dtype=x.dtype)))
    target = target / (target.sum() + 1e-4)
    return -(target * top(x, max(1, len(x) // ratio)).log_softmax(0)).sum()


def guide(x: Tensor, a: Tensor) -> Tensor:
    return (1 - a - x.softmax(1)[:, -1]).abs()


def distance(u: Tensor, v: Tensor) -> Tensor:
    return 1 - (u * v).sum() / (u.norm() * v.norm())


def coactivity(features: list[Tensor], activity: list[Tensor], labels: Tensor, pairs: int) -> Tensor:
    total, weight = torch.zeros((), dtype=features[0].dtype), torch.zeros((), dtype=features[0].dtype)
    for i in range(0, 2 * pairs, 2):
        for c in range(labels.shape[1]):
            shared = labels[i, c] * labels[i + 1, c]
            high, rest = [], []
            for j in (i, i + 1):
                share = activity[j][:, c].softmax(0)
                high.append(features[j].T @ share)
                rest.append(features[j].T @ (1 - share) / max(len(share) - 1, 1))
            near = distance(*high)
            sides = [(near - distance(high[k], rest[1 - k]) + 0.5).clamp(min=0) for k in (0, 1)]
            total, weight = total + shared * 0.5 * (sides[0] + sides[1]), weight + shared
    return total / weight


def basnet(p: Params, x: dict[str, Tensor], config: dict[str, Any]) -> Out:
    features, labels, found = x["features"], x["labels"], {}
    scores: dict[str, list[Tensor]] = {"base": [], "supp": []}
    kept: dict[str, list[Tensor]] = {"cas_base": [], "cas_supp": [], "fore_weights": []}
    for video in features:
        inner = leaky(conv(p, "filter_module.conv_1.0", video), 0.01)
        a = conv(p, "filter_module.conv_2.0", inner).sigmoid()
        kept["fore_weights"].append(a)
        for name, seen in (("base", video), ("supp", a * video)):
            hidden = leaky(conv(p, "cas_module.conv_1.0", seen), 0.01)
            cas = conv(p, "cas_module.conv_3.0", leaky(conv(p, "cas_module.conv_2.0", hidden), 0.01))
            kept[f"cas_{name}"].append(cas)
            scores[name].append(top(cas, config["k"]).softmax(0))
    found = {name: torch.stack(values) for name, values in kept.items()}
    for name, background in (("base", 1.0), ("supp", 0.0)):
        score = torch.stack(scores[name])
        target = torch.cat((labels, torch.full_like(labels[:, :1], background)), 1)
        target = target / target.sum(1, keepdim=True)
        logs = score.log().clamp(min=-100), (1 - score).log().clamp(min=-100)
        found[f"score_{name}"] = score
        found[f"loss_{name}"] = -(target * logs[0] + (1 - target) * logs[1]).mean()
    found["loss_norm"] = found["fore_weights"].sum((1, 2)).mean()
    found["loss_total"] = found["loss_base"] + found["loss_supp"] + config["alpha"] * found["loss_norm"]
    return found


def hamnet(p: Params, x: dict[str, Tensor], config: dict[str, Any], kernel: int = 1) -> Out:
    kept: dict[str, list[Tensor]] = {}
    for video, label in zip(x["features"], x["labels"], strict=True):
        hidden = leaky(conv(p, "classifier.2", leaky(conv(p, "classifier.0", video))))
        cas = pooled(conv(p, "classifier.5", hidden), kernel)
        inner = leaky(conv(p, "attention.2", leaky(conv(p, "attention.0", video))))
        a = pooled(conv(p, "attention.4", inner).sigmoid()[:, 0], kernel)
        here = {"cas": cas, "attn": a[:, None], "atn_supp": a[:, None]}
        limits = {"atn_drop": config["drop_thres"] * a.max()}
        limits["atn_drop_include_min"] = a.min() + config["drop_thres"] * (a.max() - a.min())
        dropped = {name: torch.where(a < limit, a, 0.0) for name, limit in limits.items()}
        here |= {name: value[:, None] for name, value in dropped.items()}
        d = dropped["atn_drop"]
        bags = {"orig": cas, "drop": suppressed(cas, (d > 0).to(a.dtype)), "supp": a[:, None] * cas}
        bags["drop_supp"] = suppressed(cas, d)
        for name, value in bags.items():
            background = 1.0 if name in ("orig", "drop") else 0.0
            here |= {f"cas_{name}": value, f"mil_{name}_per_video": bag(value, label, background, config["rat"])}
        here |= {"norm": a, "guide": guide(cas, a)}
        for name, value in here.items():
            kept.setdefault(name, []).append(value)
    found = {name: torch.stack(values) for name, values in kept.items()}
    w = config["drop_prob"]
    m = {name: found[f"mil_{name}_per_video"].mean() for name in ("orig", "drop", "supp", "drop_supp")}
    found |= {"loss_norm": found.pop("norm").mean(), "loss_guide": found.pop("guide").mean()}
    found |= {"loss_1": (1 - w) * m["orig"] + w * m["drop"], "loss_2": (1 - w) * m["supp"] + w * m["drop_supp"]}
    total = config["lm_1"] * found["loss_1"] + config["lm_2"] * found["loss_2"]
    found["loss_train"] = total + config["alpha"] * found["loss_norm"] + config["beta"] * found["loss_guide"]
    return found


def head(p: Params, name: str, x: Tensor) -> Tensor:
    hidden = leaky(conv(p, name + ".attention.3", leaky(conv(p, name + ".attention.0", x))))
    return conv(p, name + ".attention.5", hidden).sigmoid()[:, 0]


def consensus(p: Params, name: str, main: Tensor, aux: Tensor) -> tuple[Tensor, Tensor]:
    channel = leaky(conv(p, name + ".channel_conv.0", main.mean(0, keepdim=True)))
    filtered = (leaky(conv(p, name + ".bit_wise_attn.0", aux)) * channel).sigmoid() * main
    return head(p, name, filtered), filtered


def rebuilding(p: Params, name: str, main: Tensor, aux: Tensor, gated: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Attention, filtered features, rebuilt features and what they should be."""
    code = leaky(conv(p, name + ".AE_e.0", aux))
    rebuilt = leaky(conv(p, name + ".AE_d.0", code))
    channel = leaky(conv(p, name + ".channel_conv.0", main.mean(0, keepdim=True)))[0]
    if gated:
        main = channel.sigmoid() * main
    local = leaky(conv(p, name + ".bit_wise_attn.0", code))
    alike = torch.stack([1 - distance(channel, row) for row in local])
    filtered = (local * alike[:, None]).sigmoid() * main
    return head(p, name, filtered), filtered, rebuilt, main


def host_losses(
    kept: dict[str, list[Tensor]], labels: Tensor, config: dict[str, Any], *, mutual: float
) -> tuple[Out, Tensor]:
    """The single losses of CO2-Net and TSM, and their weighted sum."""
    ratio, found = config["topk_ratio"], {}
    attention = {"fused": "attn", "v": "v_atn", "f": "f_atn"}
    a = {name: [value[:, 0] for value in kept[key]] for name, key in attention.items()}
    kept["cas_supp"] = [suppressed(cas, one) for cas, one in zip(kept["cas"], a["fused"], strict=True)]
    for name, key, background in (("orig", "cas", 1.0), ("supp", "cas_supp", 0.0)):
        each = [bag(cas, label, background, ratio) for cas, label in zip(kept[key], labels, strict=True)]
        found |= {f"loss_mil_{name}_per_video": torch.stack(each), f"loss_mil_{name}": mean(each)}
    found["loss_coactivity"] = coactivity(kept["feat"], kept["cas_supp"], labels, config.get("num_similar", 3))
    for name, values in a.items():
        found[f"loss_norm_{name}"] = torch.stack(values).mean()
        found[f"loss_guide_{name}"] = mean(
            [guide(cas, one) for cas, one in zip(kept["cas"], values, strict=True)]
        ).mean()
    v, f = torch.stack(a["v"]), torch.stack(a["f"])
    found["loss_mutual"] = 0.5 * (v - f.detach()).square().mean() + 0.5 * (f - v.detach()).square().mean()
    total = found["loss_mil_orig"] + found["loss_mil_supp"] + mutual * found["loss_mutual"]
    total = total + config["alpha3_coactivity"] * found["loss_coactivity"]
    for name, weight in (("norm", config["alpha1_norm"]), ("guide", config["alpha2_guide"])):
        total = total + weight * sum(found[f"loss_{name}_{k}"] for k in attention) / 3
    return found, total


def co2net(p: Params, x: dict[str, Tensor], config: dict[str, Any], kernel: int = 1) -> Out:
    kept: dict[str, list[Tensor]] = {}
    for video in x["features"]:
        half = video.shape[1] // 2
        rgb, flow = video[:, :half], video[:, half:]
        (v, one), (f, two) = consensus(p, "vAttn", rgb, flow), consensus(p, "fAttn", flow, rgb)
        feat = leaky(conv(p, "fusion.0", torch.cat((one, two), 1)))
        cas = conv(p, "classifier.4", leaky(conv(p, "classifier.1", feat)))
        here = {"feat": feat, "cas": pooled(cas, kernel)}
        here |= {n: pooled(a, kernel)[:, None] for n, a in (("attn", (v + f) / 2), ("v_atn", v), ("f_atn", f))}
        for name, value in here.items():
            kept.setdefault(name, []).append(value)
    found, total = host_losses(kept, x["labels"], config, mutual=config["alpha4_mutual"])
    return found | {name: torch.stack(values) for name, values in kept.items()} | {"loss_total": total}


def queries(p: Params, words: Tensor, heads: int, scale: float) -> Tensor:
    found = []
    texts = torch.cat((words.to(p["b_enc"].dtype), p["b_enc"]))
    offsets = p["add_weight"] if "add_weight" in p else p["position"]
    for c, text in enumerate(texts):
        z = leaky(conv(p, "txt_emb.0", torch.cat((p["weight"][c].T, text)))) + offsets[c].T
        z = z + positions(len(z), z.shape[1]).to(z) * scale
        q, k, v = (conv(p, f"MHA.{part}", z) for part in ("query", "key", "value"))
        size, outs = z.shape[1] // heads, []
        for h in range(heads):
            at = slice(h * size, (h + 1) * size)
            outs.append((q[:, at] @ k[:, at].T / math.sqrt(size)).softmax(1) @ v[:, at])
        z = z + p["drop_path_attn.scale"][0, :, 0] * conv(p, "MHA.proj", torch.cat(outs, 1))
        inner = conv(p, "mlp.0", z)
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
        z = z + p["drop_path_mlp.scale"][0, :, 0] * conv(p, "mlp.3", inner)
        found.append(z[0])
    return torch.stack(found)


def tsm(
    p: Params, x: dict[str, Tensor], words: Tensor, config: dict[str, Any], kernel: int = 1, anet: float = 0.0
) -> Out:
    """``anet``: what the ActivityNet variant divides positions by the root of; 0 is the THUMOS14 network."""
    kept: dict[str, list[Tensor]] = {}
    scale = anet**-0.5 if anet else 1.0
    asked = queries(p, words, config["heads"], scale)
    for video in x["features"]:
        half = video.shape[1] // 2
        rgb, flow = video[:, :half], video[:, half:]
        v, one, *rebuilt = rebuilding(p, "vAttn", rgb, flow, anet > 0)
        f, two, *other = rebuilding(p, "fAttn", flow, rgb, anet > 0)
        feat = leaky(conv(p, "fusion.0", torch.cat((one, two), 1)))
        final = leaky(conv(p, "fusion2.0", feat))
        here = {"feat": feat, "feat_final": final, "cas": pooled(final @ asked.T, kernel)}
        here |= dict(zip(("n_rfeat", "o_rfeat", "n_ffeat", "o_ffeat"), (*rebuilt, *other), strict=True))
        here |= {n: pooled(a, kernel)[:, None] for n, a in (("attn", (v + f) / 2), ("v_atn", v), ("f_atn", f))}
        for name, value in here.items():
            kept.setdefault(name, []).append(value)
    found, total = host_losses(kept, x["labels"], config, mutual=0.0)
    found |= {name: torch.stack(values) for name, values in kept.items()}
    found |= {
        f"loss_ae_{n}": (found[f"n_{k}feat"] - found[f"o_{k}feat"]).square().mean()
        for n, k in (("rgb", "r"), ("flow", "f"))
    }
    towards = config["consistency_weight"] * (found["attn"] - x["rec_attn"]).square().mean()
    found |= {"queries": asked, "loss_criterion": total, "loss_consistency_weighted": towards}
    found["positional_encoding"] = positions(p["weight"].shape[2] + words.shape[1], x["features"].shape[2])
    rebuild = config["ae_weight"] * (found["loss_ae_rgb"] + found["loss_ae_flow"])
    return found | {"loss_total": total + rebuild + towards}


class Caption(Sample):
    """A video and its caption; only what :class:`Sample` reads and scores with is used."""

    def __init__(self, p: Params, x: dict[str, Tensor], b: int, heads: int, clips: Tensor) -> None:
        self.p, self.heads, self.b = p, heads, b
        self.clips, self.clip_keys = clips, [t < int(x["frames_len"][b]) for t in range(len(clips))]
        self.ids, self.length = x["words_id"][b], int(x["words_len"][b])
        self.columns = len(self.ids)
        self.counted = [j <= self.length for j in range(self.columns)]


def vlc(p: Params, x: dict[str, Tensor], masked: Tensor | None, config: dict[str, Any], anet: bool = False) -> Out:
    kept: dict[str, list[Tensor]] = {}
    right = asked = 0
    for b, video in enumerate(x["features"]):
        half = video.shape[1] // 2
        rgb, flow = video[:, :half], video[:, half:]
        v, one, *rebuilt = rebuilding(p, "vAttn", rgb, flow, anet)
        f, two, *other = rebuilding(p, "fAttn", flow, rgb, anet)
        g = (v + f) / 2
        here = dict(zip(("n_rfeat", "o_rfeat", "n_ffeat", "o_ffeat"), (*rebuilt, *other), strict=True))
        s = Caption(p, x, b, config["heads"], linear(p, "frame_fc", torch.cat((one, two), 1)))
        raw = torch.cat((p["start_vec"][None], x["words_feat"][b, 1:].to(video)))
        text = linear(p, "word_fc", raw)
        if masked is not None:
            s.hidden_words = [bool(m) for m in masked[b, :, 0]]
            text = s.masked(text) + positions(len(text), text.shape[1]).to(text)
        for label, name, mask in (("", "pos", g), ("hard_neg_", "hard", None), ("easy_neg_", "easy", 1 - g)):
            out, memory, weights = s.read("trans", mask, text[: s.columns], s.counted)
            logits = linear(p, "fc_rec", out)
            here |= {label + "words_logit": logits, f"nll_{name}_per_video": s.nll(logits)}
            if name == "pos":
                assert weights is not None
                here |= {"video_enc": memory, "attn_weight": weights, "gauss_weight": g}
                hits = logits.argmax(-1) == s.ids
                right, asked = right + int(hits[torch.tensor(s.counted)].sum()), asked + sum(s.counted)
        here["words_mask"] = torch.tensor(s.counted).to(torch.uint8)
        for name, value in here.items():
            kept.setdefault(name, []).append(value)
    found = {name: torch.stack(values) for name, values in kept.items()} | {"accuracy": torch.tensor(right / asked)}
    pos, hard, easy = (list(found[f"nll_{name}_per_video"]) for name in ("pos", "hard", "easy"))
    found |= {"loss_rec": mean(pos) + mean(hard)}
    found |= {
        "loss_ivc_hard": hinge(pos, hard, config["margin_hard"]),
        "loss_ivc_easy": hinge(pos, easy, config["margin_easy"]),
    }
    found["loss_ivc"] = found["loss_ivc_hard"] + found["loss_ivc_easy"]
    found["loss_ae"] = sum((found[f"n_{k}feat"] - found[f"o_{k}feat"]).square().mean() for k in "rf")  # type: ignore[assignment]
    found["loss_consistency_weighted"] = (
        config["consistency_weight"] * (found["gauss_weight"] - x["tal_attn"][..., 0]).square().mean()
    )
    second = found["loss_ivc"] + config["ae_weight"] * found["loss_ae"] + found["loss_consistency_weighted"]
    table = positions(x["words_id"].shape[1] + 1, p["frame_fc.weight"].shape[0])
    return found | {"loss_phase2_total": second, "positional_encoding": table}
