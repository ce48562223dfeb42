"""CNM, CPL and PPS written out sample by sample from what the released programs compute, by released names.

Nothing of the package is used, so that cases of any size and setting can be made and held against it.
"""

from typing import Any

import torch
from torch import Tensor

from tests.parity.naive_parts import Out, Params, Sample, hinge, linear, mean, peak, square


def cnm(p: Params, x: dict[str, Tensor], config: dict[str, Any], loss: dict[str, float]) -> Out:
    """Everything a ``cnm_`` case stores under ``output/``, but for its training steps."""
    found: dict[str, list[Tensor]] = {}
    nll: dict[str, list[Tensor]] = {"pos": [], "hard": [], "easy": []}
    for b in range(len(x["frames_feat"])):
        s = Sample(p, x, b, config["DualTransformer"]["num_heads"], "trans", None)
        c, w = linear(p, "fc_mask_gen", s.hidden[-1]).sigmoid()
        w = w * config["max_width"]
        grid = torch.linspace(0, 1, s.cells, dtype=c.dtype)
        g = (-config["alpha"] * (grid - c) ** 2 / w.clamp(min=0.1) ** 2).exp()
        kept = {"center": c, "width": w, "gauss_weight": g, "gen_hidden": s.hidden, "gen_text_memory": s.text_memory}
        kept["words_mask"] = torch.tensor(s.counted)
        for name, mask, label in (("pos", g, ""), ("hard", None, "hard_neg_"), ("easy", 1 - g, "easy_neg_")):
            out, memory, weights = s.read("trans", mask, s.words[: s.columns], s.counted)
            kept[label + "words_logit"] = linear(p, "fc_rec", out)
            nll[name].append(s.nll(kept[label + "words_logit"]))
            if name == "pos":
                assert weights is not None
                kept |= {"pos_hidden": out, "pos_video_memory": memory, "attn_weight": weights}
        for key, value in kept.items():
            found.setdefault(key, []).append(value)
    terms = {
        "hard_neg": hinge(nll["pos"], nll["hard"], loss["beta_1"]),
        "easy_neg": hinge(nll["pos"], nll["easy"], loss["beta_2"]),
    }
    rec, ivc = mean(nll["pos"]) + mean(nll["hard"]), terms["hard_neg"] + terms["easy_neg"]
    out = {key: torch.stack(values) for key, values in found.items()}
    out |= {f"{key}_nll": torch.stack(values) for key, values in nll.items()}
    out |= {f"term_{key}_loss": value for key, value in terms.items()}
    out |= {"loss_rec": rec, "loss_ivc": ivc, "term_final_loss": rec, "term_ivc_loss": ivc}
    return out | {"term_nll_loss": mean(nll["pos"]), "term_neg_nll_loss": mean(nll["hard"])}


def cpl(p: Params, x: dict[str, Tensor], config: dict[str, Any], loss: dict[str, float], epoch: int) -> Out:
    """Everything a ``cpl_`` case stores under ``output/``, but for its training steps."""
    count, negative = config["num_props"], config["use_negative"]
    ratio = min(epoch / config["max_epoch"], 1) ** config["gamma"]
    each: dict[str, list[Tensor]] = {}
    rows: dict[str, list[Tensor]] = {}
    best: dict[str, list[Tensor]] = {"a": [], "1": [], "2": [], "ref": []}
    spread, right, asked = [], 0, 0
    for b in range(len(x["frames_feat"])):
        s = Sample(p, x, b, config["DualTransformer"]["num_heads"], "trans", "pred_vec")
        spans = linear(p, "fc_gauss", s.hidden[-1]).sigmoid().reshape(count, 2)
        kept: dict[str, list[Tensor]] = {}
        nll: dict[str, list[Tensor]] = {"pos": [], "neg_1": [], "neg_2": []}

        def words(name: str, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            out, memory, _ = s.read("trans", mask, s.words[: s.columns], s.counted)  # noqa: B023
            logits = linear(p, "fc_comp", out)
            if name != "ref":
                nll[name].append(s.nll(logits))  # noqa: B023
            return logits, out, memory

        masks = []
        for c, w in spans:
            masks.append(peak(c, w, s.cells, config["sigma"]))
            logits, out, memory = words("pos", masks[-1])
            hits = logits.argmax(-1) == s.ids
            right, asked = right + int(hits[torch.tensor(s.counted)].sum()), asked + sum(s.counted)
            named = {"center": c, "width": w, "gauss_weight": masks[-1], "words_logit": logits, "pos_hidden": out}
            named["pos_video_memory"] = memory
            if negative:
                left, free = 0.5 * ratio * (c - w / 2).clamp(min=0), 0.5 * ratio * (1 - c - w / 2).clamp(min=0)
                for side, (at, wide) in enumerate(((left, left), (1 - free, free)), 1):
                    named[f"neg_weight_{side}"] = peak(at, wide, s.cells, config["sigma"] / 2)
                    named[f"neg_words_logit_{side}"] = words(f"neg_{side}", named[f"neg_weight_{side}"])[0]
            for key, value in named.items():
                kept.setdefault(key, []).append(value)
        for key, values in kept.items():
            rows.setdefault(key, []).extend(values)
        spread.append(square(loss["lambda"], masks))
        chosen = int(torch.stack(nll["pos"]).argmin())
        best["a"].append(nll["pos"][chosen])
        sample = {"words_mask": torch.tensor(s.counted), "gen_hidden": s.hidden, "gen_text_memory": s.text_memory}
        sample["pos_nll"] = torch.stack(nll["pos"])
        if negative:
            sample["ref_words_logit"] = words("ref", None)[0]
            sample["ref_nll"] = s.nll(sample["ref_words_logit"])
            best["ref"].append(sample["ref_nll"])
            for side in ("1", "2"):
                best[side].append(nll[f"neg_{side}"][chosen])
                sample[f"neg_nll_{side}"] = torch.stack(nll[f"neg_{side}"])
        for key, value in sample.items():
            each.setdefault(key, []).append(value)
    out = {key: torch.stack(values) for key, values in (each | rows).items()}
    out["pos_acc"] = torch.tensor(right / asked)
    a, zero = mean(best["a"]), torch.zeros(())
    terms = {"ref_loss": zero, "neg_loss_1": zero, "neg_loss_2": zero}
    rec, rank = a, a
    if negative:
        terms["ref_loss"] = hinge(best["a"], best["ref"], loss["margin_1"])
        terms |= {f"neg_loss_{i}": hinge(best["a"], best[i], loss["margin_2"]) for i in ("1", "2")}
        terms["ref_nll_loss"] = mean(best["ref"])
        rec, rank = (a + mean(best["ref"])) / 2, sum(terms[k] for k in ("ref_loss", "neg_loss_1", "neg_loss_2"))
    terms |= {"div_loss": mean(spread), "nll_loss": a, "final_loss": rec}
    terms["ivc_loss"] = loss["alpha_1"] * rank + loss["alpha_2"] * terms["div_loss"]
    out |= {f"term_{key}": value for key, value in terms.items()}
    return out | {"loss_rec": rec, "loss_ivc_weighted": terms["ivc_loss"], "loss_total": rec + terms["ivc_loss"]}


def pps(p: Params, x: dict[str, Tensor], config: dict[str, Any], loss: dict[str, float]) -> Out:
    """Everything a ``pps_`` case stores under ``output/``, but for its training steps."""
    count, shape, kind = config["num_props"], config["mask_type"], config["neg_type"]
    gen = {"gaussian": "gauss", "laplace": "laplace"}[shape]
    sigma = config["sigma_gauss"] if shape == "gaussian" else config["sigma_laplace"]
    total = len(x["frames_feat"])
    heads = config["DualTransformer"]["num_heads"]
    samples = [Sample(p, x, b, heads, f"trans_mask_generator.{gen}", "pred_vec_v") for b in range(total)]
    raw = [
        [linear(p, f"fc_mask.{gen}.{i}", s.hidden[-1]).sigmoid().reshape(i + 1, 2) for s in samples]
        for i in range(count)
    ]
    shared = [torch.cat([r[:, 1] for r in raw[i]])[:total] for i in range(count)]
    found: dict[str, list[Tensor]] = {}
    best: dict[str, list[Tensor]] = {"a": [], "neg": [], "ref": []}
    inter, intra, pulled = [], [], []
    for b, s in enumerate(samples):
        words = torch.cat((s.raw_words, torch.zeros_like(s.raw_words[:1])))
        words = torch.stack([p["pred_vec_q"][b].expand_as(r) if j == s.length + 1 else r for j, r in enumerate(words)])
        text = s.masked(linear(p, "word_fc", words)) + s.place
        keys = [j <= s.length for j in range(len(text))]

        def read(mask: Tensor | None) -> Tensor:
            return s.read("trans_reconstructor", mask, text, keys)[0]  # noqa: B023

        def logits(mask: Tensor | None) -> Tensor:
            return linear(p, "fc_comp", read(mask)[: s.columns])  # noqa: B023

        here: dict[str, Tensor] = {"words_mask": torch.tensor(s.counted)}
        masks, negatives, lefts, rights, table = [], [], [], [], []
        flat_left, flat_right, within, pulls = [], [], [], []
        learned = kind.startswith("learnable")
        if learned:
            name = {"learnable_gaussian": "l_gauss", "learnable_inverse_gaussian": "l_inv_gauss"}[kind]
            head = linear(p, f"fc_mask.{name}.{gen}", s.hidden[-1]).sigmoid().reshape(count, config["num_neg_mask"], 2)
        for i in range(count):
            c, w = raw[i][b][:, 0], shared[i][b]
            parts = [peak(one, w, s.cells, sigma, shape == "laplace") for one in c]
            here |= {f"mixture_center_{i}": c, f"component_masks_{i}": torch.stack(parts)}
            left, right = c - w / 2, c + w / 2
            low, high = left.min().clamp(0, 1), right.max().clamp(0, 1)
            weights = torch.ones(i + 1, dtype=c.dtype)
            if config["use_attn"] and i:
                asked = [read(g)[s.length + 1] for g in parts]
                scores = [p["attn_func.to_alpha.weight"] @ (p["attn_func.feat2att.weight"] @ h).tanh() for h in asked]
                weights = torch.cat(scores).softmax(0)
            mask = torch.stack(parts).T @ weights
            if not config["use_attn"]:
                mask = mask / mask.max()
                weights = weights / (i + 1)
                flat_left.append(left)
                flat_right.append(right)
            masks.append(mask)
            table.append(torch.cat((weights, torch.zeros(count - i - 1, dtype=c.dtype))))
            lefts.append((weights * left).sum())
            rights.append((weights * right).sum())
            if i:
                within.append(square(loss["lambda_intra_push"], parts))
                pulls.append((c.max() - c.min()) ** 2)
            if learned:
                width = config["sigma_neg_gauss" if kind == "learnable_gaussian" else "sigma_neg_inv_gauss"]
                bells = torch.stack([peak(*one, s.cells, width) for one in head[i]])
                summed = (bells if kind == "learnable_gaussian" else 1 - bells).sum(0)
                negatives.append(summed / summed.max())
            else:
                negatives.append(_rule(kind, low, high, s.cells, config))
        starts, ends = (torch.cat(v) if v else torch.stack(w) for v, w in ((flat_left, lefts), (flat_right, rights)))
        trim = config["pred_gamma"] * (ends - starts) / 2
        here |= {"prop_left": (starts + trim).clamp(min=0), "prop_right": (ends - trim).clamp(max=1)}
        here |= {"prop_weights": torch.stack(masks), "neg_weight": torch.stack(negatives)}
        here["mixture_attention"] = torch.stack(table)
        for label, given in (("", masks), ("neg_", negatives), ("ref_", [None])):
            made = [logits(g) for g in given]
            here[label + "words_logit"] = torch.stack(made)
            here[(label or "pos_") + "nll"] = torch.stack([s.nll(one) for one in made])
        chosen = int(here["pos_nll"].argmin())
        best["a"].append(here["pos_nll"][chosen])
        best["neg"].append(here["neg_nll"][chosen])
        best["ref"].append(here["ref_nll"][0])
        here |= {"ref_words_logit": here["ref_words_logit"][0], "ref_nll": here["ref_nll"][0]}
        inter.append(square(loss["lambda_inter_push"], masks))
        intra.append(sum(within, torch.zeros(())))
        pulled.append(sum(pulls, torch.zeros(())))
        for key, value in here.items():
            found.setdefault(key, []).append(value)
    out = {key: torch.stack(values) for key, values in found.items()}
    out |= {key: out[key].flatten(0, 1) for key in ("words_logit", "neg_words_logit")}
    near, far = hinge(best["a"], best["ref"], loss["margin_hneg"]), hinge(best["a"], best["neg"], loss["margin_eneg"])
    push = loss["alpha_inter_push"] * mean(inter) + loss["alpha_intra_push"] * mean(intra)
    main = (mean(best["a"]) + mean(best["ref"])) / 2
    sub = loss["alpha_ivc"] * (near + far) + push + loss["alpha_pull"] * mean(pulled)
    out |= {"loss_main": main, "loss_sub": sub, "loss_total": main + sub, "term_final_loss": main}
    out |= {"term_nll_loss": mean(best["a"]), "term_hneg_nll_loss": mean(best["ref"]), "term_neg_loss": far}
    return out | {"term_hneg_loss": near, "term_push_loss": mean(inter) + mean(intra), "term_pull_loss": mean(pulled)}


def _rule(kind: str, low: Tensor, high: Tensor, cells: int, config: dict[str, Any]) -> Tensor:
    if kind == "inverse_gaussian":
        return 1 - peak((low + high) / 2, high - low, cells, config["sigma_neg_inv_gauss"])
    left, right = low / 2, (1 - high) / 2
    one = peak(left, left, cells, config["sigma_neg_gauss"])
    two = peak(1 - right, right, cells, config["sigma_neg_gauss"])
    if kind == "saturated_gaussian":
        place = torch.arange(cells)
        one = torch.where(place < int(left * cells) + 1, 1.0, one)
        two = torch.where(place >= min(int((1 - right) * cells), cells - 1), 1.0, two)
    return one + two
