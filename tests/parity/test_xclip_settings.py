"""The X-CLIP harness on cases of other sizes and settings, made here from the formulas by released names."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tests.parity.cases import check_of
from tests.parity.golden import GoldenCase

SHARP = 0.01


def parameters(draw: torch.Generator, header: str, width: int, words: int, frames: int, rows: int) -> dict[str, Tensor]:
    """What the release carries at each temporal setting."""

    def random(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=draw)

    heads = dict.fromkeys(("global_mat_weight", "local_mat_weight"), width)
    heads |= dict.fromkeys(("word_logit_weight", "word_mat_weight", "word_mat_weight2"), words)
    heads |= dict.fromkeys(("frame_logit_weight", "frame_mat_weight", "frame_mat_weight2"), frames)
    made = {name: torch.eye(size) + random(size, size) for name, size in heads.items()}
    made["clip.logit_scale"] = torch.tensor(2.0)
    if header != "meanP":
        made["frame_position_embeddings.weight"] = random(rows, width)
    if header == "seqLSTM":
        for name, shape in (("weight_ih", (4 * width, width)), ("weight_hh", (4 * width, width))):
            made[f"lstm_visual.{name}_l0"] = random(*shape)
        made |= {f"lstm_visual.{name}_l0": random(4 * width) for name in ("bias_ih", "bias_hh")}
    return made


def temporal(p: dict[str, Tensor], header: str, frames: Tensor, lengths: list[int]) -> Tensor:
    """Frames after the temporal encoder, one video and one step at a time; the cell's formulas are written out."""
    if header == "meanP":
        return frames
    rows = []
    for video, length in zip(frames, lengths, strict=True):
        h = c = torch.zeros(video.shape[1], dtype=video.dtype)
        steps = []
        for t, x in enumerate(video):
            gates = p["lstm_visual.weight_ih_l0"] @ x + p["lstm_visual.bias_ih_l0"]
            i, f, g, o = (gates + p["lstm_visual.weight_hh_l0"] @ h + p["lstm_visual.bias_hh_l0"]).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            steps.append(x + h if t < length else x)
        rows.append(torch.stack(steps))
    return torch.stack(rows)


def mixed(x: Tensor, matrix: Tensor) -> Tensor:
    return (x * ((x / SHARP).softmax(-1) @ matrix)).sum(-1)


def reference(p: dict[str, Tensor], header: str, x: dict[str, Tensor], lengths: list[int]) -> dict[str, Tensor]:
    after = normalize(temporal(p, header, x["visual_output"], lengths), dim=-1)
    video = normalize(torch.stack([v[:n].mean(0) for v, n in zip(after, lengths, strict=True)]), dim=-1)
    s, w, f = (normalize(x[n], dim=-1) for n in ("sequence_output", "seq_features", "visual_output"))
    s, scale = s[:, 0], p["clip.logit_scale"].exp()
    pairs = torch.einsum("nwd,vtd->nwvt", w @ p["local_mat_weight"], f)
    over_words = mixed(pairs.permute(0, 2, 3, 1), p["word_mat_weight"])
    over_frames = mixed(pairs, p["frame_mat_weight"])
    both = mixed(over_words, p["frame_mat_weight2"]) + mixed(over_frames.transpose(1, 2), p["word_mat_weight2"])
    logits = s @ p["global_mat_weight"] @ video.T
    logits = logits + mixed(torch.einsum("nwd,vd->nvw", w, video), p["word_logit_weight"])
    logits = logits + mixed(torch.einsum("nd,vtd->nvt", s, f), p["frame_logit_weight"]) + both / 2
    return {"video_output": video, "fine_grained_sim_scores": pairs, "logits": scale * logits / 4}


def made_case(header: str, seed: int = 0, **fields: Any) -> GoldenCase:
    draw = torch.Generator().manual_seed(seed)
    width, words, frames, rows, lengths = 6, 5, 7, 9, [7, 2, 1, 4]
    p = {k: v.requires_grad_() for k, v in parameters(draw, header, width, words, frames, rows).items()}
    shapes = {"sequence_output": (4, 1, width), "seq_features": (4, words, width), "visual_output": (4, frames, width)}
    x = {name: torch.randn(*shape, generator=draw).requires_grad_() for name, shape in shapes.items()}
    found = reference(p, header, x, lengths)
    own = torch.arange(4)
    found["loss"] = (cross_entropy(found["logits"], own) + cross_entropy(found["logits"].T, own)) / 2
    found["loss"].backward()
    arrays = {f"param/{k}": v for k, v in p.items()} | {f"input/{k}": v for k, v in x.items()}
    arrays |= {f"output/{k}": v for k, v in found.items()} | {f"grad/input/{k}": v.grad for k, v in x.items()}
    arrays |= {f"grad/{k}": torch.zeros_like(v) if v.grad is None else v.grad for k, v in p.items()}
    arrays["input/attention_mask"] = torch.ones(4, words).long()
    arrays["input/video_mask"] = (torch.arange(frames) < torch.tensor(lengths)[:, None]).long()
    config = {"texts": 4, "videos": 4, "max_words": words, "max_frames": frames, "embed_dim": width}
    config |= {"temporal_layers": 0, "heads": 0, "position_rows": rows, "sim_header": header}
    config |= {"attention_temperature": SHARP, "logit_scale_exp": float(np.exp(2.0)), "video_lengths": lengths}
    held = {name: value.detach().numpy() for name, value in arrays.items()}
    return GoldenCase(f"xclip_{header.lower()}_x", held, {"config": config | fields})


@pytest.mark.parametrize("header", ["meanP", "seqLSTM"])
def test_other_sizes_and_settings(header: str) -> None:
    case = made_case(header)
    check_of(case.name)(case)
    for name in ("output/video_output", "grad/input/visual_output"):
        wrong = GoldenCase(case.name, {**case.arrays, name: case.arrays[name] + 1e-3}, case.meta)
        with pytest.raises(AssertionError, match=name):
            check_of(case.name)(wrong)


@pytest.mark.parametrize(("field", "value"), [("dropout", 0.1), ("texts", 5), ("logit_scale_exp", 3.0)])
def test_a_field_that_the_check_does_not_cover_fails(field: str, value: float) -> None:
    case = made_case("meanP", **{field: value})
    with pytest.raises(AssertionError, match=field):
        check_of(case.name)(case)
