"""The check of P3's alternating step on cases of other sizes, made by a reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity import naive_actions as naive
from tests.parity.cases import check_of
from tests.parity.golden import GoldenCase, draw_parameters, load_case
from tests.parity.naive_parts import Adam, Params
from tests.parity.test_action_options import SIZES, WORD, inputs, released_shapes

CONFIG: dict[str, Any] = {
    "attn_hidden": 4, "heads": 2, "vlc_heads": 2, "topk_ratio": 3, "alpha1": 0.8, "alpha2": 0.5, "alpha3": 0.7,
    "ae_weight": 1.2, "consistency_weight": 1.5, "tsm_lr": 5e-3, "tsm_weight_decay": 1e-2, "vlc_lr": 4e-3,
    "warmup_updates": 2, "warmup_init_lr": 1e-7, "clip": 10,
}  # fmt: skip


def iteration(
    tsm: Params, vlc: Params, x: dict[str, Tensor], words: Tensor, c: dict[str, Any], adams: dict[str, Any]
) -> tuple[Tensor, list[tuple[float, float]]]:
    """One step of everything: TSM's loss, and (rate, norm) of the reconstructor's and the attention's update."""
    longest = int(x["frames_len"].max())
    x = x | {"features": x["features"][:, :longest]}
    host = c | {"alpha1_norm": c["alpha1"], "alpha2_guide": c["alpha2"], "alpha3_coactivity": c["alpha3"]}
    reader = c | {"heads": c["vlc_heads"], "margin_hard": 0.1, "margin_easy": 0.15}
    nothing = torch.zeros(*x["features"].shape[:2], 1, dtype=torch.float64)
    found = naive.tsm(tsm, x | {"rec_attn": nothing}, words, host)
    own, seen, target = {name: "Attn" in name for name in vlc}, [], nothing
    for attention in (False, True):
        out = naive.vlc(vlc, x | {"tal_attn": found["attn"].detach()}, None, reader)
        if not attention:
            target = out["gauss_weight"].detach()[..., None]
        group = [p for name, p in vlc.items() if own[name] == attention]
        total = out["loss_phase2_total" if attention else "loss_rec"]
        for p, gradient in zip(group, torch.autograd.grad(total, group, allow_unused=True), strict=True):
            p.grad = gradient
        seen.append(adams["attention" if attention else "reconstructor"].step(list(vlc.values()), c["clip"]))
    towards = c["consistency_weight"] * (found["attn"] - target).square().mean()
    total = found["loss_criterion"] + c["ae_weight"] * (found["loss_ae_rgb"] + found["loss_ae_flow"]) + towards
    adams["tsm"].zero_grad()
    total.backward()
    adams["tsm"].step()
    return total.detach(), seen


def recorded(drawn: Params, batches: list[dict[str, Tensor]], words: Tensor, c: dict[str, Any]) -> dict[str, Tensor]:
    halves = {
        half: {name[4:]: p.double().requires_grad_() for name, p in drawn.items() if name.startswith(half)}
        for half in ("tsm/", "vlc/")
    }
    tsm, vlc = halves["tsm/"], halves["vlc/"]
    adams: dict[str, Any] = {"tsm": torch.optim.Adam(tsm.values(), lr=c["tsm_lr"], weight_decay=c["tsm_weight_decay"])}
    for name, attention in (("reconstructor", False), ("attention", True)):
        group = [p for key, p in vlc.items() if ("Attn" in key) == attention]
        adams[name] = Adam(group, c["vlc_lr"], c["warmup_updates"], c["warmup_init_lr"])
        plain = adams[name].rate
        adams[name].rate = lambda n, plain=plain: plain(max(n - 1, 0))  # the index of the iteration before
    losses, rates, norms, found = [], [], [], {}
    for step, batch in enumerate(batches):
        loss, seen = iteration(tsm, vlc, batch, words, c, adams)
        losses.append(loss)
        rates.append([rate for rate, _ in seen])
        norms += [norm for _, norm in seen]
        if step in (0, len(batches) - 1):
            for half, parameters in (("tsm", tsm), ("vlc", vlc)):
                for name, p in parameters.items():
                    found[f"output/after_it{step}/param/{half}/{name}"] = p.detach().clone()
                    found[f"output/after_it{step}/norm/{half}/{name}"] = p.detach().norm()
    found["output/tsm_total_loss"] = torch.stack(losses)
    return found | {"output/vlc_lr_used": torch.tensor(rates), "output/clip_total_norms": torch.tensor(norms)}


def prepared(given: dict[str, Tensor]) -> dict[str, Tensor]:
    x = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    x["words_id"] = x["words_id"].long()
    return x | {"frames_len": (x["features"] != 0).any(2).sum(1)}


def made_case(lengths: list[int] | None = None, iterations: int = 2, **fields: Any) -> GoldenCase:
    s = SIZES | {name: fields.pop(name) for name in list(fields) if name in SIZES}
    config, draw = CONFIG | fields, torch.Generator().manual_seed(1)
    names = {f"tsm/{k}": v for k, v in released_shapes("tsm", config, s).items()}
    names |= {f"vlc/{k}": v for k, v in released_shapes("vlc", config, s).items()}
    words = torch.randn(s["classes"], s["slots"], WORD, generator=draw)
    batches, arrays = [], {"buffer/label_embeddings": words.numpy()}
    for step in range(iterations):
        given = inputs("tsm", s, draw) | {k: v for k, v in inputs("vlc", s, draw).items() if k.startswith("words")}
        del given["rec_attn"]
        for b, length in enumerate(lengths or []):
            given["features"][b, length:] = 0
        arrays |= {f"input/it{step}/{name}": np.asarray(value) for name, value in given.items()}
        batches.append(prepared(given))
    found = recorded(draw_parameters(3, names), batches, words.double(), config)
    arrays |= {name: value.numpy() for name, value in found.items()}
    meta = {"config": config, "model": "TSM+VLC", "param_recipe": {"seed": 3, "names": names}}
    return GoldenCase("p3_train_step_x", arrays, meta)


def test_the_reference_computes_what_the_authors_do() -> None:
    case = load_case(Path(__file__).parent.parent / "golden" / "wtal" / "p3_train_step_a.npz")
    steps = range(len(case.arrays["output/tsm_total_loss"]))
    batches = [prepared({k: torch.from_numpy(v) for k, v in case.group(f"input/it{i}").items()}) for i in steps]
    words = torch.from_numpy(case.arrays["buffer/label_embeddings"]).double()
    found = recorded(case.parameters(), batches, words, case.meta["config"])
    for name, golden in case.arrays.items():
        if name.startswith("output/"):
            scale = max(float(np.abs(golden).max()), 1e-3)
            np.testing.assert_allclose(found[name], golden, rtol=0, atol=5e-4 * scale, err_msg=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"lengths": [9, 11, 4, 9, 7, 3], "snippets": 13, "prompts": 1, "classes": 1},
        {"count": 7, "iterations": 3, "clip": 0.5, "layers": (2, 1), "vlc_heads": 3, "warmup_updates": 1, "slots": 4},
    ],
)
def test_other_sizes_and_settings(fields: dict[str, Any]) -> None:
    case = made_case(**fields)
    check_of(case.name)(case)
