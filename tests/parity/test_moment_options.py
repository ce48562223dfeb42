"""The checks of CNM, CPL and PPS on cases of other sizes and settings, made by an independent reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity import naive_moments as naive
from tests.parity.cases import check_of
from tests.parity.golden import GoldenCase, draw_parameters, load_case
from tests.parity.golden_models import golden_optimizer
from tests.parity.naive_parts import Adam, Out, Params

#: lr, updates of warm-up, rate at the first update
SCHEDULE = (4e-4, 2, 1e-7)
LOSS = {
    "cnm": {"beta_1": 0.1, "beta_2": 0.15},
    "cpl": {"margin_1": 0.1, "margin_2": 0.15, "alpha_1": 1.0, "alpha_2": 5.0, "lambda": 0.146},
    "pps": {
        "margin_hneg": 0.1, "margin_eneg": 0.15, "lambda_inter_push": 0.15, "lambda_intra_push": 0.15, "alpha_ivc": 3,
        "alpha_pull": 5, "alpha_inter_push": 1, "alpha_intra_push": 0.001, "num_train_prop": 1,
    },
}  # fmt: skip
CONFIG = {
    "cnm": {"alpha": 5.5, "max_width": 0.45, "use_negative": True},
    "cpl": {"num_props": 4, "sigma": 9, "gamma": 0.5, "use_negative": True, "max_epoch": 10},
    "pps": {
        "mask_type": "gaussian", "num_props": 3, "sigma_gauss": 9, "sigma_laplace": 9, "num_neg_mask": 3,
        "sigma_neg_inv_gauss": 1, "sigma_neg_gauss": 9, "use_attn": True, "pred_gamma": 0.0,
        "neg_type": "learnable_gaussian", "max_epoch": 30, "masked_words_ratio": 3,
    },
}  # fmt: skip
SIZES = {"frames": None, "words": [5, 3], "clips": 16, "hidden": 8, "heads": 2, "layers": (1, 1), "vocabulary": 11}
VIDEO, TEXT = 5, 6


def transformer(name: str, width: int, layers: tuple[int, int]) -> dict[str, list[int]]:
    names = {}
    for side, count in enumerate(layers, 1):
        for layer in range(count):
            at = f"{name}.decoder{side}.decoder_layers.{layer}"
            for part in ("self_attn", "encoder_attn"):
                names |= {f"{at}.{part}.in_proj_weight": [3 * width, width], f"{at}.{part}.in_proj_bias": [3 * width]}
                names |= dense(f"{at}.{part}.out_proj", width, width)
            for part in ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"):
                names |= {f"{at}.{part}.weight": [width], f"{at}.{part}.bias": [width]}
            names |= dense(f"{at}.fc1", width, 2 * width) | dense(f"{at}.fc2", 2 * width, width)
    return names


def dense(name: str, inputs: int, outputs: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def released_shapes(kind: str, c: dict[str, Any], sizes: dict[str, Any]) -> dict[str, list[int]]:
    width, layers, words = sizes["hidden"], sizes["layers"], sizes["vocabulary"]
    names = dense("frame_fc", VIDEO, width) | dense("word_fc", TEXT, width) | {"mask_vec": [TEXT], "start_vec": [TEXT]}
    if kind == "cnm":
        return (
            names | dense("fc_rec", width, words) | dense("fc_mask_gen", width, 2) | transformer("trans", width, layers)
        )
    names |= dense("fc_comp", width, words)
    if kind == "cpl":
        names |= {"pred_vec": [VIDEO]} | transformer("trans", width, layers)
        return names | dense("fc_gauss", width, 2 * c["num_props"])
    gen = {"gaussian": "gauss", "laplace": "laplace"}[c["mask_type"]]
    names |= {"pred_vec_v": [VIDEO], "pred_vec_q": [width]} | transformer("trans_reconstructor", width, layers)
    names |= transformer(f"trans_mask_generator.{gen}", width, layers)
    for i in range(c["num_props"]):
        names |= dense(f"fc_mask.{gen}.{i}", width, 2 * (i + 1))
    if c["neg_type"].startswith("learnable"):
        own = "l_gauss" if c["neg_type"] == "learnable_gaussian" else "l_inv_gauss"
        names |= transformer(f"trans_mask_generator.{own}", width, layers)
        names |= dense(f"fc_mask.{own}.{gen}", width, 2 * c["num_props"] * c["num_neg_mask"])
    if c["use_attn"]:
        names |= dense("attn_func.fc", width, width)
        names |= {"attn_func.feat2att.weight": [width, width], "attn_func.to_alpha.weight": [1, width]}
    return names


def inputs(sizes: dict[str, Any], draw: torch.Generator) -> dict[str, Tensor]:
    lengths = sizes["words"]
    count, longest = len(lengths), max(lengths)
    words = torch.arange(longest) < torch.tensor(lengths)[:, None]
    masked = torch.zeros(count, longest + 1, dtype=torch.bool)
    for b, length in enumerate(lengths):
        masked[b, 1 + torch.randperm(length, generator=draw)[: max(length // 3, 1)]] = True
    return {
        "frames_feat": torch.randn(count, sizes["clips"], VIDEO, generator=draw),
        "frames_len": torch.tensor(sizes["frames"]),
        "words_id": torch.randint(1, sizes["vocabulary"], words.shape, generator=draw) * words,
        "words_feat": torch.randn(count, longest + 1, TEXT, generator=draw),
        "words_len": torch.tensor(lengths),
        "weights": words / words.sum(1, keepdim=True),
        "masked_positions": masked,
    }


def outputs(kind: str, p: Params, x: dict[str, Tensor], meta: dict[str, Any]) -> Out:
    if kind == "cpl":
        return naive.cpl(p, x, meta["config"], meta["loss"], meta["epoch"])
    return {"cnm": naive.cnm, "pps": naive.pps}[kind](p, x, meta["config"], meta["loss"])


def steps(kind: str, start: Params, x: dict[str, Tensor], meta: dict[str, Any]) -> dict[str, Tensor]:
    """Three updates on the same batch; CNM's in two stages, each clipped with what the other left behind."""
    p = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    own = {name for name in p if name.startswith("fc_mask_gen")}
    groups = [[n for n in p if n not in own], sorted(own)] if kind == "cnm" else [list(p)]
    totals = ["loss_rec", "loss_ivc"] if kind == "cnm" else ["loss_total"]
    adams = [Adam([p[n] for n in names], *SCHEDULE) for names in groups]
    rates, losses, norms = [], [], []
    for _ in range(3):
        said, seen = [], []
        for names, total, adam in zip(groups, totals, adams, strict=True):
            value = outputs(kind, p, x, meta)[total]
            gradients = torch.autograd.grad(value, [p[n] for n in names], allow_unused=True)
            for name, gradient in zip(names, gradients, strict=True):
                p[name].grad = gradient
            rate, norm = adam.step(list(p.values()))
            said.append(float(value.detach()))
            seen.append(norm)
        rates.append(rate)
        losses.append(said)
        norms.append(seen)
    found = {"output/steps_lr": torch.tensor(rates), "output/steps_loss": torch.tensor(losses)}
    if kind == "cnm":
        found["output/steps_clipnorm"] = torch.tensor(norms)
    else:
        found["output/steps_loss"] = found["output/steps_loss"][:, 0]
    for name, value in p.items():
        found |= {f"after4steps/{name}": value, f"after4steps_norm/{name}": value.norm()}
    return found


def gradients(kind: str, p: Params, out: Out) -> dict[str, Tensor]:
    parts = {
        "cnm": {"_stage1": "loss_rec", "_stage2": "loss_ivc"},
        "cpl": {"": "loss_total", "_rec": "loss_rec", "_ivc": "loss_ivc_weighted"},
        "pps": {"": "loss_total"},
    }[kind]
    found = {}
    for suffix, total in parts.items():
        every = torch.autograd.grad(out[total], list(p.values()), allow_unused=True, retain_graph=True)
        for (name, value), gradient in zip(p.items(), every, strict=True):
            frozen = kind == "cnm" and (suffix == "_stage1") == name.startswith("fc_mask_gen")
            kept = torch.zeros_like(value) if gradient is None or frozen else gradient
            found |= {f"grad{suffix}/{name}": kept, f"gradnorm{suffix}/{name}": kept.norm()}
    return found


def computed(kind: str, p: Params, x: dict[str, Tensor], meta: dict[str, Any]) -> dict[str, Tensor]:
    """Everything a case stores but its inputs, in float64."""
    p = {name: value.detach().double().requires_grad_() for name, value in p.items()}
    out = outputs(kind, p, x, meta)
    found = {f"output/{name}": value for name, value in out.items()} | gradients(kind, p, out)
    found |= steps(kind, p, x, meta)
    return {
        name: value.detach().float() if value.is_floating_point() else value.detach() for name, value in found.items()
    }


def made_case(
    kind: str, *, epoch: int = 3, seed: int = 0, loss: dict[str, float] | None = None, **fields: Any
) -> GoldenCase:
    sizes = SIZES | {name: fields.pop(name) for name in list(fields) if name in SIZES}
    sizes["frames"] = sizes["frames"] or [sizes["clips"]] * len(sizes["words"])
    config = CONFIG[kind] | fields
    first, second = sizes["layers"]
    config["DualTransformer"] = {
        "d_model": sizes["hidden"],
        "num_heads": sizes["heads"],
        "num_decoder_layers1": first,
        "num_decoder_layers2": second,
        "dropout": 0.0,
    }
    meta = {"config": config, "loss": LOSS[kind] | (loss or {}), "epoch": epoch}
    recipe = {"seed": seed, "names": released_shapes(kind, config, sizes)}
    x = inputs(sizes, torch.Generator().manual_seed(seed))
    p = draw_parameters(recipe["seed"], recipe["names"])
    found = computed(kind, p, x, meta)
    if kind == "pps":
        meta["params_with_zero_gradient"] = [name for name in p if not found[f"grad/{name}"].any()]
    arrays = {f"input/{name}": np.asarray(value) for name, value in x.items()}
    arrays |= {name: np.asarray(value) for name, value in found.items()}
    return GoldenCase(f"{kind}_x", arrays, meta | {"param_recipe": recipe})


@pytest.mark.parametrize("name", ["cnm_b", "cpl_noneg", "pps_d_gaussneg_noattn"])
def test_the_reference_computes_what_the_authors_do(name: str) -> None:
    case = load_case(Path(__file__).parent.parent / "golden" / "wsml" / f"{name}.npz")
    kind = name.split("_")[0]
    p = {key: value.double().requires_grad_() for key, value in case.parameters().items()}
    out = outputs(kind, p, {key: case.input(key) for key in case.group("input")}, case.meta)
    found = {f"output/{key}": value for key, value in out.items()} | gradients(kind, p, out)
    for key, golden in case.arrays.items():
        if key.startswith(("output", "grad")) and "/steps_" not in key:
            scale = max(float(np.abs(golden).max()), 1e-3)
            np.testing.assert_allclose(found[key].detach(), golden, rtol=0, atol=2e-4 * scale, err_msg=key)


ONE = {"words": [4]}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("cnm", ONE | {"alpha": 1.25, "max_width": 1.0, "loss": {"beta_1": 0.0, "beta_2": 1.5}, "vocabulary": 2}),
    ("cnm", {"clips": 7, "words": [2, 3, 1], "frames": [7, 1, 3], "hidden": 9, "heads": 3, "layers": (2, 1)}),
    ("cpl", ONE | {"num_props": 1, "use_negative": False}),
    ("cpl", {"clips": 23, "words": [1, 1], "heads": 1, "num_props": 2, "epoch": 0}),
    ("cpl", {"clips": 7, "words": [2, 3, 1], "frames": [7, 1, 3], "hidden": 9, "heads": 3, "gamma": 2, "sigma": 3.5}),
    ("cpl", {"epoch": 14, "loss": {"alpha_1": 0.0, "alpha_2": 0.1, "lambda": 0.3, "margin_1": 0.5}}),
    ("cpl", {"epoch": 0, "gamma": 0, "vocabulary": 2, "words": [3, 3, 3, 1], "num_props": 1}),
    ("pps", ONE | {"num_props": 1, "num_neg_mask": 1}),
    ("pps", {"num_props": 2, "words": [1, 3, 2, 3, 1], "frames": [16, 9, 1, 13, 16], "pred_gamma": 0.3}),
    ("pps", {"mask_type": "laplace", "num_neg_mask": 1, "sigma_laplace": 4, "heads": 1, "clips": 27, "num_props": 2}),
    ("pps", {"mask_type": "laplace", "use_attn": False, "neg_type": "saturated_gaussian", "pred_gamma": 0.15}),
    ("pps", {"neg_type": "learnable_inverse_gaussian", "num_neg_mask": 2, "sigma_neg_inv_gauss": 3, "num_props": 2}),
    ("pps", {"neg_type": "inverse_gaussian", "mask_type": "laplace", "sigma_neg_inv_gauss": 2, "use_attn": False}),
    ("pps", {"neg_type": "gaussian", "sigma_neg_gauss": 2.5, "num_props": 2, "sigma_gauss": 4, "clips": 26}),
    ("pps", {"use_attn": False, "clips": 9, "words": [1, 1], "layers": (2, 1), "loss": {"alpha_intra_push": 0.2}}),
]


@pytest.mark.parametrize(("kind", "fields"), OPTIONS, ids=[f"{k}-{i}" for i, (k, _) in enumerate(OPTIONS)])
def test_other_sizes_and_settings(kind: str, fields: dict[str, Any]) -> None:
    case = made_case(kind, **fields)
    check_of(case.name)(case)


@pytest.mark.parametrize(("kind", "field"), [("cnm", "use_negative"), ("cpl", "dropout"), ("pps", "vote")])
def test_a_field_that_the_check_does_not_cover_fails(kind: str, field: str) -> None:
    case = made_case(kind, **ONE)
    config = case.meta["config"] | {field: 0.1}
    with pytest.raises(AssertionError, match=field):
        check_of(case.name)(GoldenCase(case.name, case.arrays, case.meta | {"config": config}))


def test_the_optimiser_is_the_one_that_the_case_names() -> None:
    case = made_case("cpl", **ONE)
    said = "3 steps: lr 2e-3, warmup_updates 7, warmup_init_lr 1e-5, global-norm clip 0.5"
    parameter = torch.ones(1, requires_grad=True)
    made = golden_optimizer(GoldenCase(case.name, case.arrays, case.meta | {"optimizer": said}), [parameter])
    rates = []
    for _ in range(9):
        parameter.grad = torch.ones(1)
        made.step([parameter])
        rates.append(made.lr_used)
    assert rates[0] == pytest.approx(1e-5)
    assert rates[7] == pytest.approx(2e-3)
