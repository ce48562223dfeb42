"""The DETR harness on cases of settings that no recorded case holds, made by an independent reference."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.detr.naive_moment_detr import Naive, Options, layer_losses, shapes
from tests.parity.cases import check_of
from tests.parity.golden import GoldenCase, draw_parameters, load_case
from vmlkit.spans import to_center_width

VIDEO, TEXT, HIDDEN, INNER, QUERIES, WORDS = 7, 5, 8, 12, 4, 9
LENGTHS, SENTENCES, CLIP_S = (11, 6), (4, 3), 2
WINDOWS = (((2.0, 7.0), (12.0, 20.0)), ((1.0, 11.0),))


def config(o: Options, **fields: Any) -> dict[str, Any]:
    """The released arguments of a case."""
    return {
        "device": "cpu", "hidden_dim": HIDDEN, "nheads": o.heads, "dim_feedforward": INNER, "enc_layers": o.layers,
        "dec_layers": o.layers, "dropout": 0.0, "input_dropout": 0.0, "pre_norm": o.pre_norm, "max_q_l": WORDS,
        "position_embedding": "sine", "max_v_l": 75, "t_feat_dim": TEXT, "v_feat_dim": VIDEO, "num_queries": QUERIES,
        "aux_loss": True, "contrastive_align_loss": False, "contrastive_hdim": 8, "use_txt_pos": o.text_positions,
        "span_loss_type": "l1" if o.clips is None else "ce", "n_input_proj": o.projections, "set_cost_span": 10,
        "set_cost_giou": 1, "set_cost_class": 4, "span_loss_coef": 10, "giou_loss_coef": 1, "label_loss_coef": 4,
        "lw_saliency": 1.0, "contrastive_align_loss_coef": 0.0, "eos_coef": 0.1, "temperature": 0.07,
        "saliency_margin": 0.2, "transformer_activation": o.activation, **fields,
    }  # fmt: skip


def padded(parts: list[torch.Tensor]) -> dict[str, np.ndarray]:
    batch = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(p)) for p in parts], batch_first=True)
    return {"": batch.numpy(), "_mask": mask.numpy()}


def targets(o: Options) -> list[torch.Tensor]:
    """(center, width) of the windows, or their first and last clip."""
    found = []
    for windows, clips in zip(WINDOWS, LENGTHS, strict=True):
        if o.clips is None:
            found.append(to_center_width(torch.tensor(windows) / (clips * CLIP_S)))
        else:
            ends = [(int(s / CLIP_S), min(int(e / CLIP_S), clips) - 1) for s, e in windows]
            found.append(torch.tensor(ends))
    return found


def made_case(o: Options, **fields: Any) -> GoldenCase:
    """A case whose outputs, losses and gradients the reference computed in float64."""
    draw = torch.Generator().manual_seed(4)
    recipe = {"seed": 11, "names": shapes(o, VIDEO, TEXT, HIDDEN, INNER, QUERIES, WORDS)}
    drawn = {name: p.double().requires_grad_() for name, p in draw_parameters(recipe["seed"], recipe["names"]).items()}
    videos = [torch.randn(n, VIDEO, generator=draw) for n in LENGTHS]
    sentences = [torch.randn(n, TEXT, generator=draw) for n in SENTENCES]
    goals = targets(o)
    said = [Naive(drawn, o)(v.double(), s.double()) for v, s in zip(videos, sentences, strict=True)]
    arrays = {f"input/src_vid{k}": v for k, v in padded(videos).items()}
    arrays |= {f"input/src_txt{k}": v for k, v in padded(sentences).items()}
    arrays |= {f"input/target_spans_{i}": goal.numpy() for i, goal in enumerate(goals)}
    inside, outside = torch.tensor([[1, 2], [1, 4]]), torch.tensor([[5, 9], [0, 5]])
    arrays |= {"input/saliency_pos_labels": inside.numpy(), "input/saliency_neg_labels": outside.numpy()}
    settings = config(o, **fields)
    total = torch.zeros((), dtype=torch.float64)
    for layer in range(o.layers):
        last = layer == o.layers - 1
        parts = [[item[kind][layer] for item in said] for kind in ("logits", "spans")]
        terms, matches = layer_losses(*parts, goals, o, settings)
        prefix, suffix = ("", "") if last else (f"aux_{layer}_", f"_{layer}")
        for name, values in zip(("pred_logits", "pred_spans"), parts, strict=True):
            arrays[f"output/{prefix}{name}"] = torch.stack(values).detach().float().numpy()
        arrays |= {f"output/{prefix}match_{i}": pair.numpy() for i, pair in enumerate(matches)}
        arrays |= {f"output/loss/{name}{suffix}": v.detach().float().numpy() for name, v in terms.items()}
        for name, value in terms.items():
            weight = settings[f"{name.removeprefix('loss_')}_loss_coef"]
            total = total + weight * value
    gaps = [
        (0.2 + item["saliency"][q] - item["saliency"][p]).clamp_min(0)
        for item, ps, qs in zip(said, inside, outside, strict=True)
        for p, q in zip(ps, qs, strict=True)
    ]
    total = total + 2 * torch.stack(gaps).mean()
    total.backward()
    arrays["output/loss/total"] = total.detach().float().numpy()
    arrays |= {f"grad/{n}": p.grad.float().numpy() for n, p in drawn.items() if p.grad is not None}
    return GoldenCase("moment_detr_x", arrays, {"config": settings, "clip_length": CLIP_S, "param_recipe": recipe})


OPTIONS = {
    "as released": Options(),
    "pre-norm": Options(pre_norm=True),
    "clips": Options(clips=13),
    "pre-norm, clips, prelu, one projection": Options(pre_norm=True, clips=11, activation="prelu", projections=1),
    "prelu": Options(activation="prelu", layers=1),
    "gelu, word positions": Options(activation="gelu", text_positions=True, projections=3),
    "selu, four heads": Options(activation="selu", heads=4, layers=3),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_equal_the_reference(name: str) -> None:
    case = made_case(OPTIONS[name])
    check_of(case.name)(case)


def recorded(name: str) -> GoldenCase:
    """A case of the authors."""
    return load_case(Path(__file__).parents[1] / "golden" / "detr" / f"{name}.npz")


def changed(case: GoldenCase, arrays: dict[str, Any], **fields: Any) -> GoldenCase:
    """The case with other arrays and settings."""
    return GoldenCase(case.name, case.arrays | arrays, {**case.meta, "config": {**case.meta["config"], **fields}})


def test_the_contrastive_option_of_qd_detr_is_a_constant() -> None:
    case, draw = recorded("qd_detr_a"), np.random.default_rng(0)
    hidden, queries, layers = (case.meta["config"][k] for k in ("hidden_dim", "num_queries", "dec_layers"))
    arrays: dict[str, Any] = {}
    for name in ("query", "txt", "vid"):
        for part, shape in (("weight", (6, hidden)), ("bias", (6,))):
            key = f"param/contrastive_align_projection_{name}.{part}"
            arrays[key] = draw.standard_normal(shape).astype(np.float32)
    for group in ("output", "fixed"):
        arrays[f"{group}/loss/total"] = case.arrays[f"{group}/loss/total"] + np.float32(0.5 * layers * np.log(queries))
        arrays[f"{group}/loss/loss_contrastive_align_0"] = np.float32(np.log(queries))
    arrays["output/proj_txt_mem"] = np.zeros((len(case.arrays["input/src_vid"]), 0, 6), np.float32)
    fields = {"contrastive_align_loss": True, "contrastive_hdim": 6, "contrastive_align_loss_coef": 0.5}
    check_of(case.name)(changed(case, arrays, **fields))


def test_audio_joins_the_clips_of_qd_detr() -> None:
    """The same case with the last features of its clips given as audio."""
    case = recorded("qd_detr_a")
    clips = case.arrays["input/src_vid"]
    arrays = {"input/src_vid": clips[..., :-3], "input/src_aud": clips[..., -3:]}
    fields = {"v_feat_dim": clips.shape[2] - 3, "a_feat_dim": 3, "a_feat_dir": "audio"}
    check_of(case.name)(changed(case, arrays, **fields))


def test_on_tvsum_saliency_alone_is_trained() -> None:
    case = recorded("qd_detr_a")
    kept = {k: v for k, v in case.arrays.items() if "/loss/" not in k and "match" not in k and not k.startswith("grad")}
    weight = case.meta["config"]["lw_saliency"]
    for group in ("output", "fixed"):
        saliency = case.arrays[f"{group}/loss/loss_saliency"]
        kept |= {f"{group}/loss/loss_saliency": saliency, f"{group}/loss/total": weight * saliency}
    only = GoldenCase(case.name, kept, case.meta)
    check_of(case.name)(changed(only, {}, dset_name="tvsum"))
    with pytest.raises(AssertionError, match="loss/total"):
        check_of(case.name)(only)


def test_a_bm_detr_case_without_negatives_is_its_evaluation() -> None:
    case = recorded("bm_detr_a")
    kept = {k: v for k, v in case.arrays.items() if k.startswith(("param/", "input/"))}
    kept = {k: v for k, v in kept.items() if "neg_src" not in k}
    kept |= {f"output/{k}": v for k, v in case.group("output_noneg").items()}
    check_of(case.name)(GoldenCase(case.name, kept, case.meta))


def test_the_reference_would_notice_another_option() -> None:
    case = made_case(Options(activation="gelu"))
    case.meta["config"]["transformer_activation"] = "selu"
    with pytest.raises(AssertionError, match="differs by"):
        check_of(case.name)(case)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"a_new_field": 1}, "knows nothing of"),
        ({"position_embedding": "learned"}, "refuses other positions"),
        ({"transformer_activation": "prelu"}, "disagree"),
        ({"v_feat_dim": 3}, "v_feat_dim"),
        ({"t_feat_dim": 3}, "t_feat_dim"),
    ],
)
def test_settings_that_the_harness_cannot_follow_fail(fields: dict[str, Any], said: str) -> None:
    case = made_case(Options(layers=1))
    wrong = dataclasses.replace(case, meta={**case.meta, "config": {**case.meta["config"], **fields}})
    with pytest.raises(AssertionError, match=said):
        check_of(case.name)(wrong)


@pytest.mark.parametrize("missing", ["aux_loss", "eos_coef", "n_input_proj", "use_txt_pos", "dropout"])
def test_settings_are_never_assumed(missing: str) -> None:
    case = made_case(Options(layers=1))
    del case.meta["config"][missing]
    with pytest.raises(AssertionError, match=missing):
        check_of(case.name)(case)
