"""Checks of P4's losses against golden vectors."""

from collections.abc import Callable

import torch
from torch import Tensor

from vmlkit.interop.golden import GoldenCase, assert_close
from vmlkit.losses.components import (
    ComponentLossConfig,
    Kind,
    component_loss,
    most_discernable,
    simple_contrastive,
    single_losses,
)
from vmlkit.nn.importance import Importance, ImportanceModule
from vmlkit.nn.similarity import cosine, late_interaction

#: the golden numbers are float64
TIGHT = 1e-9
_KINDS: dict[str, Kind] = {"eq2": "simple", "eq3": "discernable", "eq5": "adaptive"}
_INPUTS = ("g_t", "g_p", "g_n", "st", "words")


def check_p4_losses(case: GoldenCase) -> None:
    """Eqs. (2) to (5) with and without invalid components, importance weights, gradients, two readings of Eq. (7)."""
    ours = _values(case) | _similarities(case)
    for kind in _KINDS:
        for suffix in ("", "_valid_only"):
            ours |= _gradients(case, kind, suffix, detached=False)
    for suffix in ("", "_valid_only"):
        ours |= _gradients(case, "eq5", suffix, detached=True)
    wanted = {k: v for k, v in case.arrays.items() if not k.startswith(("input/", "param/"))}
    missing = sorted(wanted.keys() - ours.keys())
    assert not missing, f"{case.name}: not computed by us: {missing}"
    for name, golden in wanted.items():
        assert_close(f"{case.name}:{name}", ours[name], golden, TIGHT)


def _tau(case: GoldenCase) -> float:
    return float(case.arrays["input/tau"])


def _mask(case: GoldenCase, name: str) -> Tensor:
    return torch.from_numpy(case.arrays[f"input/{name}"] != 0)


def _tensors(case: GoldenCase) -> dict[str, Tensor]:
    return {name: torch.from_numpy(case.arrays[f"input/{name}"].copy()).requires_grad_() for name in _INPUTS}


def _module(case: GoldenCase) -> ImportanceModule:
    text_dim, hidden = case.arrays["param/W_Q"].shape
    module = ImportanceModule(text_dim, hidden).double()
    module.load_state_dict(case.parameters())
    module.scale = float(case.arrays["input/scale"])
    return module


def _parts(case: GoldenCase, module: ImportanceModule, x: dict[str, Tensor]) -> tuple[Tensor, Tensor, Importance]:
    positive, negatives = cosine(x["g_t"], x["g_p"]), cosine(x["g_t"][:, None], x["g_n"])
    return positive, negatives, module(x["st"], x["words"], _mask(case, "word_mask"))


def _values(case: GoldenCase) -> dict[str, Tensor]:
    tau, valid = _tau(case), _mask(case, "valid")
    positive, negatives, importance = _parts(case, _module(case), _tensors(case))
    losses = single_losses(positive, negatives, tau)
    ours = {
        "output/sim_pos": positive,
        "output/sim_neg": negatives,
        "output/component_losses": losses,
        "output/attention": importance.attention,
        "output/value": importance.value,
        "output/component_logit": importance.logits,
    }
    for suffix, mask in (("", None), ("_valid_only", valid)):
        omega = importance.weights(mask)
        smallest, chosen = most_discernable(losses, mask)
        ours |= {
            f"output/omega{suffix}": omega,
            f"output/eq2_per_sample{suffix}": simple_contrastive(positive, negatives, tau, mask),
            f"output/eq3_per_sample{suffix}": smallest,
            f"output/eq3_component{suffix}": chosen,
            f"output/eq5_per_sample{suffix}": (losses * omega).sum(1),
        }
        for name, kind in _KINDS.items():
            config = ComponentLossConfig(kind=kind, tau=tau, use_invalid=mask is None)
            value = component_loss(positive, negatives, valid, config, importance).loss
            ours[f"output/{name}_mean{suffix}"] = value
    return ours


def _similarities(case: GoldenCase) -> dict[str, Tensor]:
    words, others = (torch.from_numpy(case.arrays[f"input/eq7_{n}_words"].copy()) for n in ("anchor", "other"))
    mask, other_mask = _mask(case, "eq7_anchor_mask"), _mask(case, "eq7_other_mask")
    sharp = float(case.meta["config"]["attention_temperature_eq7"])

    def similarity(form: str) -> Tensor:
        return late_interaction(words[:, None], mask[:, None], others, other_mask, form=form, temperature=sharp)

    return {"output/eq7_late_interaction": similarity("late"), "output/eq7_aosm": similarity("aosm")}


def _gradients(case: GoldenCase, kind: str, suffix: str, detached: bool) -> dict[str, Tensor]:
    module, x = _module(case), _tensors(case)
    config = ComponentLossConfig(
        kind=_KINDS[kind], tau=_tau(case), use_invalid=suffix == "", detach_importance=detached
    )
    positive, negatives, importance = _parts(case, module, x)
    component_loss(positive, negatives, _mask(case, "valid"), config, importance).loss.backward()
    label = f"{kind}{'_omega_detached' if detached else ''}{suffix}"
    named = {**x, **dict(module.named_parameters())}
    reached = {f"grad/{label}/{name}": value.grad for name, value in named.items() if value.grad is not None}
    expected = {key for key in case.arrays if key.startswith(f"grad/{label}/")}
    strangers = sorted(k for k, g in reached.items() if k not in expected and bool((g != 0).any()))
    assert not strangers, f"{case.name}: a gradient where the golden has none: {strangers}"
    return reached


COMPONENT_CHECKS: dict[str, Callable[[GoldenCase], None]] = {"p4_losses_": check_p4_losses}
