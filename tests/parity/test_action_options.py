"""The checks of the networks of action localisation on cases of other sizes and settings, made by a reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity import naive_actions as naive
from tests.parity.cases import cases_in, check_of
from tests.parity.golden import GoldenCase, draw_parameters, load_case
from tests.parity.golden_wtal import is_activitynet
from tests.parity.test_moment_options import dense, transformer

#: losses and frozen parts of a VLC case
_HALVES = {"1": ("loss_rec", False), "2": ("loss_phase2_total", True), "3_ivc_only": ("loss_ivc", True)}
_HOST = {"topk_ratio": 7, "alpha1_norm": 0.8, "alpha2_guide": 0.8, "alpha3_coactivity": 1.0}
CONFIG: dict[str, dict[str, Any]] = {
    "basnet": {"filter_hidden": 3, "cas_hidden": 5, "alpha": 1e-3},
    "hamnet": {
        "attn_hidden": 4, "drop_thres": 0.4, "drop_prob": 0.2, "rat": 4, "alpha": 0.8, "beta": 0.8, "lm_1": 1.0,
        "lm_2": 1.0,
    },
    "co2net": {"attn_hidden": 4, **_HOST, "alpha4_mutual": 1.0},
    "tsm": {"attn_hidden": 4, "heads": 2, **_HOST, "ae_weight": 1.5, "consistency_weight": 1.5},
    "vlc": {
        "attn_hidden": 4, "heads": 2, "margin_hard": 0.1, "margin_easy": 0.15, "ae_weight": 1.5,
        "consistency_weight": 1.5,
    },
}  # fmt: skip
SIZES = {"count": 6, "snippets": 11, "width": 8, "classes": 3, "code": 2, "prompts": 2, "slots": 2, "layers": (1, 1)}
SIZES |= {
    "hidden": 6,
    "vocabulary": 9,
    "words": [3, 1, 4, 2, 4, 3, 1, 2],
    "slots_of_words": 4,
    "lengths": None,
    "anet": False,
}
WORD = 5


def conv(name: str, inputs: int, outputs: int, kernel: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [outputs, inputs, kernel], f"{name}.bias": [outputs]}


def branch(name: str, half: int, code: int | None, hidden: int) -> dict[str, list[int]]:
    names = conv(f"{name}.channel_conv.0", half, half, 3) | conv(f"{name}.bit_wise_attn.0", code or half, half, 3)
    if code:
        names |= conv(f"{name}.AE_e.0", half, code, 3) | conv(f"{name}.AE_d.0", code, half, 3)
    names |= conv(f"{name}.attention.0", half, hidden, 3) | conv(f"{name}.attention.3", hidden, hidden, 3)
    return names | conv(f"{name}.attention.5", hidden, 1, 1)


def released_shapes(kind: str, c: dict[str, Any], s: dict[str, Any]) -> dict[str, list[int]]:
    width, classes = s["width"], s["classes"] + 1
    if kind == "basnet":
        names = conv("filter_module.conv_1.0", width, c["filter_hidden"], 1)
        names |= conv("filter_module.conv_2.0", c["filter_hidden"], 1, 1)
        names |= conv("cas_module.conv_1.0", width, c["cas_hidden"], 3)
        names |= conv("cas_module.conv_2.0", c["cas_hidden"], c["cas_hidden"], 3)
        return names | {"cas_module.conv_3.0.weight": [classes, c["cas_hidden"], 1]}
    if kind == "hamnet":
        names = conv("classifier.0", width, width, 3) | conv("classifier.2", width, width, 3)
        names |= conv("classifier.5", width, classes, 1) | conv("attention.0", width, c["attn_hidden"], 3)
        names |= conv("attention.2", c["attn_hidden"], c["attn_hidden"], 3)
        return names | conv("attention.4", c["attn_hidden"], 1, 1)
    code = None if kind == "co2net" else width // 2 if s["anet"] else s["code"]
    names = branch("vAttn", width // 2, code, c["attn_hidden"]) | branch("fAttn", width // 2, code, c["attn_hidden"])
    if kind == "co2net":
        names |= conv("feat_encoder.0", width, width, 3) | conv("fusion.0", width, width, 1)
        return names | conv("classifier.1", width, width, 3) | conv("classifier.4", width, classes, 1)
    if kind == "vlc":
        names |= dense("frame_fc", width, s["hidden"]) | dense("word_fc", WORD, s["hidden"])
        names |= {"mask_vec": [WORD], "start_vec": [WORD]} | dense("fc_rec", s["hidden"], s["vocabulary"])
        names |= transformer("trans", s["hidden"], s["layers"])
        return names if s["anet"] else names | transformer("trans_a", s["hidden"], (1, 1))
    tokens = s["prompts"] + s["slots"]
    names |= {"weight": [classes, WORD, s["prompts"]], "b_enc": [1, s["slots"], WORD]}
    names |= {"position" if s["anet"] else "add_weight": [classes, width, tokens]} | conv("txt_emb.0", WORD, width, 1)
    for part in ("query", "key", "value", "proj"):
        names |= conv(f"MHA.{part}", width, width, 1)
    names |= conv("mlp.0", width, 4 * width, 1) | conv("mlp.3", 4 * width, width, 1)
    names |= {"drop_path_attn.scale": [1, width, 1], "drop_path_mlp.scale": [1, width, 1]}
    return names | conv("fusion.0", width, width, 1 if s["anet"] else 3) | conv("fusion2.0", width, width, 3)


def inputs(kind: str, s: dict[str, Any], draw: torch.Generator) -> dict[str, Tensor]:
    count = s["count"]
    labels = torch.zeros(count, s["classes"])
    for b in range(count):  # neighbours share a class, and some have another one too
        labels[b, [b // 2 % s["classes"], (b * b) % s["classes"]]] = 1
    x = {"features": torch.randn(count, s["snippets"], s["width"], generator=draw), "labels": labels}
    if kind == "tsm":
        x["rec_attn"] = torch.rand(count, s["snippets"], 1, generator=draw)
    if kind == "vlc":
        lengths, slots = torch.tensor(s["words"][:count]), s["slots_of_words"]
        present = torch.arange(slots) < lengths[:, None]
        x |= {"words_id": torch.randint(1, s["vocabulary"], present.shape, generator=draw) * present}
        x |= {"words_len": lengths, "words_feat": torch.randn(count, slots + 1, WORD, generator=draw)}
        x |= {"words_weight": present.float(), "frames_len": torch.tensor(s["lengths"] or [s["snippets"]] * count)}
        x["tal_attn"] = torch.rand(count, s["snippets"], 1, generator=draw)
        del x["labels"]
    return x


def outputs(
    kind: str, p: naive.Params, x: dict[str, Tensor], meta: dict[str, Any], extra: dict[str, Tensor]
) -> naive.Out:
    c, anet = meta["config"], "ActivityNet" in meta["model"] or "ANT" in meta["model"]
    kernel = c.get("max_seqlen", c.get("num_segments", x["features"].shape[1])) // 5 // 2 * 2 + 1 if anet else 1
    if kind == "basnet":
        return naive.basnet(p, x, c)
    if kind == "tsm":
        divided = meta.get("released_width", x["features"].shape[2]) if anet else 0
        return naive.tsm(p, x, extra["label_embeddings"], c, kernel, divided)
    if kind == "vlc":
        masked = "UNMASKED" not in c.get("decoder_input", "UNMASKED")
        drawn = extra["masked_words"]
        return naive.vlc(p, x, drawn if masked else None, c, anet) | {"masked_words": drawn}
    weights = c | {"alpha4_mutual": 1.0} if anet and kind == "co2net" else c
    return {"hamnet": naive.hamnet, "co2net": naive.co2net}[kind](p, x, weights, kernel)


def computed(
    kind: str, drawn: naive.Params, x: dict[str, Tensor], meta: dict[str, Any], extra: dict[str, Tensor]
) -> dict[str, Tensor]:
    p = {name: value.detach().double().requires_grad_() for name, value in drawn.items()}
    x = {name: value.double() if value.is_floating_point() else value for name, value in x.items()}
    out = outputs(kind, p, x, meta, extra)
    found = {f"output/{name}": value for name, value in out.items()}
    halves = _HALVES if kind == "vlc" else {"": ("loss_train" if kind == "hamnet" else "loss_total", None)}
    for suffix, (total, attention) in halves.items():
        every = torch.autograd.grad(out[total], list(p.values()), allow_unused=True, retain_graph=True)
        for (name, _), gradient in zip(p.items(), every, strict=True):
            frozen = attention is not None and ("Attn" in name) != attention
            reached = gradient is not None and not frozen
            found[f"gradnorm{suffix}/{name}"] = gradient.norm() if reached else torch.tensor(-1.0)
            if reached:
                found[f"grad{suffix}/{name}"] = gradient
    return {name: value.detach().float() if value.is_floating_point() else value for name, value in found.items()}


def made_case(kind: str, *, seed: int = 0, **fields: Any) -> GoldenCase:
    s = SIZES | {name: fields.pop(name) for name in list(fields) if name in SIZES}
    config = CONFIG[kind] | fields
    if kind == "basnet":
        config |= {"num_segments": s["snippets"], "k": s["snippets"] // 8} | fields
    meta = {"model": "ActivityNet variant" if s["anet"] else "THUMOS variant", "config": config}
    if "released_width" in config:
        meta["released_width"] = config.pop("released_width")
    draw = torch.Generator().manual_seed(seed)
    x = inputs(kind, s, draw)
    recipe = {"seed": seed, "names": released_shapes(kind, config, s)}
    extra = {"label_embeddings": torch.randn(s["classes"], s["slots"], WORD, generator=draw)}
    extra["masked_words"] = torch.zeros(s["count"], s["slots_of_words"] + 1, 1, dtype=torch.uint8)
    extra["masked_words"][:, 1, 0] = (torch.tensor(s["words"][: s["count"]]) > 2).to(torch.uint8)
    found = computed(kind, draw_parameters(recipe["seed"], recipe["names"]), x, meta, extra)
    arrays = {f"input/{name}": np.asarray(value) for name, value in x.items()}
    arrays |= {name: np.asarray(value) for name, value in found.items()}
    if kind == "tsm":
        arrays["buffer/label_embeddings"] = np.asarray(extra["label_embeddings"])
    return GoldenCase(f"{kind}_x", arrays, meta | {"param_recipe": recipe})


GOLDEN = cases_in(Path(__file__).parent.parent / "golden" / "wtal")
AUTHORS = [path for path in GOLDEN if path.name.startswith(tuple(f"{kind}_" for kind in CONFIG))]


@pytest.mark.parametrize("path", AUTHORS, ids=lambda path: path.stem)
def test_the_reference_computes_what_the_authors_do(path: Path) -> None:
    case = load_case(path)
    kind = case.name.split("_")[0]
    x = {key: case.input(key) for key in case.group("input")}
    extra = {key: torch.from_numpy(value) for key, value in (case.group("buffer") | case.group("output")).items()}
    meta = case.meta | {"model": case.meta["model"] + (" ActivityNet" if is_activitynet(case) else "")}
    found = computed(kind, case.parameters(), x, meta, extra)
    for key, golden in case.arrays.items():
        if key.startswith(("output", "grad")):
            scale = max(float(np.abs(golden).max()), 1e-3)
            np.testing.assert_allclose(found[key], golden, rtol=0, atol=2e-4 * scale, err_msg=key)


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("basnet", {"count": 1, "classes": 1}),
    ("basnet", {"snippets": 33, "num_segments": 27, "k": 3, "count": 2}),
    ("hamnet", {"count": 1, "snippets": 3}),
    ("hamnet", {"classes": 1, "drop_thres": 1.0, "count": 2, "lm_1": 0.3, "alpha": 0.0}),
    ("hamnet", {"anet": True, "snippets": 23, "num_segments": 23, "rat2": 5, "count": 2}),
    ("hamnet", {"anet": True, "snippets": 17, "num_segments": 30, "count": 2}),
    ("co2net", {"classes": 1, "snippets": 2}),
    ("co2net", {"count": 8, "alpha4_mutual": 0.0, "alpha3_coactivity": 0.2, "topk_ratio": 3}),
    ("co2net", {"anet": True, "snippets": 37, "max_seqlen": 37, "pool_t": 5, "alpha4_mutual": 2.0}),
    ("co2net", {"anet": True, "snippets": 4, "max_seqlen": 60}),
    ("tsm", {"prompts": 1, "heads": 1, "code": 5, "classes": 1}),
    ("tsm", {"slots": 5, "ae_weight": 0.15, "snippets": 3, "topk_ratio": 1}),
    ("tsm", {"anet": True, "slots": 5, "prompts": 3, "snippets": 20, "max_seqlen": 20, "consistency_weight": 0.25}),
    ("tsm", {"anet": True, "slots": 4, "released_width": 2048, "width": 6, "max_seqlen": 11}),
    ("vlc", {"count": 2, "words": [1, 4], "lengths": [5, 8]}),
    ("vlc", {"count": 3, "words": [1, 2, 1], "layers": (2, 3), "heads": 3, "margin_hard": 0.5, "hidden": 9}),
    ("vlc", {"count": 3, "words": [4, 4, 4], "decoder_input": "MASKED words", "lengths": [11, 2, 7]}),
    ("vlc", {"count": 2, "anet": True, "heads": 1, "consistency_weight": 0.25, "ae_weight": 0.15}),
]


@pytest.mark.parametrize(("kind", "fields"), OPTIONS, ids=[f"{k}-{i}" for i, (k, _) in enumerate(OPTIONS)])
def test_other_sizes_and_settings(kind: str, fields: dict[str, Any]) -> None:
    case = made_case(kind, **fields)
    check_of(case.name)(case)
