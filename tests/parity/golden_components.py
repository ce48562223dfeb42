"""Checks of P4's losses against golden vectors."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tests.parity.case_settings import CaseSettings
from tests.parity.golden import GoldenCase, assert_close, compare
from vmlkit.components.dataset import VariantBatch
from vmlkit.components.importance import Importance, ImportanceModule
from vmlkit.components.losses import (
    ComponentLossConfig,
    Kind,
    component_loss,
    most_discernable,
    simple_contrastive,
    single_losses,
)
from vmlkit.components.method import ComponentsConfig, WithComponents, end_token
from vmlkit.components.on_detr import DetrHost, pooled
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.nn.similarity import cosine, late_interaction
from vmlkit.released import our_name
from vmlkit.training.method import DataShape

#: the golden numbers are float64
TIGHT = 1e-9
_KINDS: dict[str, Kind] = {"eq2": "simple", "eq3": "discernable", "eq5": "adaptive"}
_INPUTS = ("g_t", "g_p", "g_n", "st", "words")


def check_p4_losses(case: GoldenCase) -> None:
    """P4's losses with and without invalid components, importance, gradients, both readings of P4 Eq. (7)."""
    _check_p4_settings(case)
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


def _check_p4_settings(case: GoldenCase) -> None:
    """That the arrays are what the description says, and that it says nothing else."""
    settings, arrays = CaseSettings(case), case.arrays
    _, components, max_words, text_dim = arrays["input/words"].shape
    samples, embed_dim = arrays["input/g_t"].shape
    settings.expect(
        samples=samples,
        components=components,
        max_words=max_words,
        text_dim=text_dim,
        embed_dim=embed_dim,
        hidden=len(arrays["param/w_omega"]),
        tau=_tau(case),
    )
    scale = float(arrays["input/scale"])
    scaled = settings["attention_scale"].startswith("1/sqrt")
    np.testing.assert_allclose(scale, settings["hidden"] ** -0.5 if scaled else 1.0, err_msg="attention_scale")
    facts = ("last_sample_has_no_valid_component", "first_negative_equals_positive")
    settings.describe(["seed", "attention_temperature_eq7", *facts])
    settings.finish()


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


def check_p4_on_detr(case: GoldenCase) -> None:
    """P4 Eq. (6) and the three losses on a DETR encoder; which parameters get gradients, and how large."""
    single, double = (_on_detr(case, dtype) for dtype in (torch.float32, torch.float64))
    compare(case, single, double)
    reached = {name for name in single if name.startswith("gradnorm/")}
    wanted = {name for name in case.arrays if name.startswith("gradnorm/")}
    assert reached == wanted, f"{case.name}: gradients where the golden has none, or the reverse: {reached ^ wanted}"


def build_host(case: GoldenCase, dtype: torch.dtype) -> tuple[WithComponents, list[str]]:
    """The case's host with the authors' parameters, and the released names that it carries."""
    c, released = CaseSettings(case), case.parameters()
    c.expect(mode="eval", dropout=0, batch=len(case.arrays["input/vid"]))
    c.expect(Lv=case.arrays["input/vid"].shape[1], Lq=case.arrays["input/txt"].shape[1])
    c.describe(["seed"])
    sizes = DetrSizes(
        hidden=c["hidden"],
        heads=c["heads"],
        feed_forward=c["ff"],
        encoder_layers=c["enc"],
        decoder_layers=c["dec"],
        queries=c["queries"],
        projection_layers=len([n for n in released if n.startswith("input_vid_proj.") and n.endswith("net.1.weight")]),
        dropout=0.0,
        input_dropout=0.0,
        max_words=len(released["txt_position_embed.position_embeddings.weight"]),
    )
    shape = DataShape(frame_dim=c["vid_dim"], word_dim=c["txt_dim"], vocabulary=0)
    model: MomentDetr | QDDetr
    if "global_rep_token" in released:
        layers = len([n for n in released if n.startswith("transformer.t2v_encoder.") and n.endswith("norm1.bias")])
        config = QDDetrConfig(sizes=sizes, text_to_video_layers=layers, reference_mask_order=True)
        model, kind = QDDetr(config, shape), "qd_detr"
    else:
        model, kind = MomentDetr(MomentDetrConfig(sizes=sizes), shape), "moment_detr"
    settings = ComponentsConfig(loss=ComponentLossConfig(kind="adaptive", tau=c["tau"], hidden=c["imp_hidden"]))
    names = tuple(str(j) for j in range(c["components"]))
    c.finish()
    method = WithComponents(DetrHost(model, shape.word_dim), settings, names)
    state = {f"model.{our_name(n, kind)}": v for n, v in released.items() if not n.startswith("importance.")}
    state |= {n: v for n, v in released.items() if n.startswith("importance.")}
    left = method.load_state_dict(state, strict=False)
    assert not left.unexpected_keys, f"{case.name}: unknown {left.unexpected_keys[:3]}"
    # the released QD-DETR decoder cannot be built at another width than 256, so its cases have none
    absent = [n for n in left.missing_keys if not n.startswith("model.decoder.")]
    assert not absent, f"{case.name}: missing {absent[:3]}"
    return method.to(dtype).eval(), list(released)


def _on_detr(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    method, released = build_host(case, dtype)
    host = method.host
    assert isinstance(host, DetrHost)
    model = host.model
    x = {name: case.input(name).to(dtype) for name in ("vid", "txt", "pos_txt", "neg_txt")}
    masks = {name: case.input(f"{name}_mask") > 0 for name in ("vid", "txt", "pos", "neg")}
    video = model.video_projection(x["vid"])
    anchor = model.encode(video, masks["vid"], model.text_projection(x["txt"]), masks["txt"])
    valid = torch.ones(x["neg_txt"].shape[:2], dtype=torch.bool)
    variants = VariantBatch(
        positive=x["pos_txt"],
        positive_mask=masks["pos"],
        negative=x["neg_txt"],
        negative_mask=masks["neg"],
        valid=valid,
    )
    words, mask = variants.texts()
    projected = video, masks["vid"], host.project_texts(words), mask
    others = host.embed_projected(*projected)
    g = pooled(anchor)
    sigma = cosine(g[:, None], others)
    assert method.importance is not None
    importance = method.importance(end_token(x["txt"], masks["txt"]), x["neg_txt"], masks["neg"])
    ours = {
        "anchor_video_memory": anchor.video,
        "g_anchor": g,
        "g_positive": others[:, 0],
        "g_negative": others[:, 1:],
        "sim_pos": sigma[:, 0],
        "sim_neg": sigma[:, 1:],
        "component_losses": single_losses(sigma[:, 0], sigma[:, 1:], method.config.loss.tau),
        "omega": importance.weights(valid),
    }
    if "output/anchor_saliency" in case.arrays:
        ours["anchor_saliency"] = model.saliency(anchor)
    if anchor.token is not None:
        tokens = host.embed_projected(*projected, pool="global")
        ours |= {"anchor_global": anchor.token, "positive_global": tokens[:, 0], "negative_global": tokens[:, 1:]}
    if "output/anchor_pred_spans" in case.arrays:
        moments = model.decode(anchor)
        ours |= {"anchor_pred_logits": moments.logits[-1], "anchor_pred_spans": moments.spans[-1]}
    found = {f"output/{name}": value for name, value in ours.items()}
    return found | _detr_gradients(case, method, released, sigma, valid, importance)


def _detr_gradients(
    case: GoldenCase, method: WithComponents, released: list[str], sigma: Tensor, valid: Tensor, importance: Importance
) -> dict[str, Tensor]:
    kind = "qd_detr" if isinstance(method.model, QDDetr) else "moment_detr"
    named = dict(method.named_parameters())
    ours: dict[str, Tensor] = {}
    for label, loss in _KINDS.items():
        config = ComponentLossConfig(kind=loss, tau=method.config.loss.tau)
        value = component_loss(sigma[:, 0], sigma[:, 1:], valid, config, importance).loss
        ours[f"output/{label}"] = value
        method.zero_grad()
        value.backward(retain_graph=True)
        for name in released:
            own = name if name.startswith("importance.") else f"model.{our_name(name, kind)}"
            gradient = named[own].grad
            if gradient is not None and bool((gradient != 0).any()):
                ours[f"gradnorm/{label}/{name}"] = gradient.norm()
                ours[f"grad/{label}/{name}"] = gradient.clone()
    return ours


COMPONENT_CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    "p4_losses_": check_p4_losses,
    "p4_on_moment_detr_": check_p4_on_detr,
    "p4_on_qd_detr_": check_p4_on_detr,
}
