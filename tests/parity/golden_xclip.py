"""Checks of X-CLIP against golden vectors: optimiser, retrieval metrics, heads with their temporal encoder."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity.case_settings import CaseSettings
from tests.parity.golden import VALUE_TOLERANCE, GoldenCase, assert_close, compare
from tests.parity.golden_blocks import gradients_by_released_name
from vmlkit.components.ranking import (
    Median,
    Protocol,
    Ties,
    rank_metrics,
    text_to_video_ranks,
    video_to_text_ranks,
)
from vmlkit.components.released import core_of_checkpoint
from vmlkit.components.xclip import XCLIPConfig, XCLIPCore
from vmlkit.components.xclip_heads import TextStates, symmetric_loss
from vmlkit.nn.similarity import unit
from vmlkit.released import load_released
from vmlkit.training.bert_adam import BertAdam

_OURS = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "MedianR": "MdR", "MeanR": "MnR"}
#: float32 means in the released code
_LOGGED = 1e-6


#: the released optimiser's other factors on the rate after its warm-up; X-CLIP trains with the cosine alone
_AFTER_WARMUP: dict[str, Callable[[float, float], float]] = {
    "warmup_constant": lambda x, warmup: 1.0,
    "warmup_linear": lambda x, warmup: max((x - 1) / (warmup - 1), 0.0),
}


class _Scheduled(BertAdam):
    """BertAdam under the schedule that a case names; a run without a length (-1) has none."""

    schedule, length, warmup = "warmup_cosine", 1, 0.1

    def rates(self) -> list[float]:
        if self.length < 0:
            return list(self._lr)
        if self.schedule == "warmup_cosine":
            return super().rates()
        after = _AFTER_WARMUP[self.schedule]
        shares = [n / self.length for n in self._steps]
        factors = [x / self.warmup if x < self.warmup else after(x, self.warmup) for x in shares]
        return [lr * factor for lr, factor in zip(self._lr, factors, strict=True)]


def check_bertadam(case: GoldenCase) -> None:
    """The recorded trajectory: values after every step, and the rates."""
    config = CaseSettings(case)
    config.describe(["seed"])
    count = len(case.group("param"))
    parameters = [nn.Parameter(torch.from_numpy(case.arrays[f"param/p{i}"].copy())) for i in range(count)]
    limit = config["per_parameter_grad_clip"]
    optimizer = _Scheduled(
        parameters,
        lr=config["lr_per_param"],
        total_updates=max(config["t_total"], 1),
        weight_decay=config["weight_decay_per_param"],
        warmup=config["warmup"],
        betas=tuple(config["betas"]),
        eps=config["eps"],
        clip_norm=None,
        tensor_clip=limit if limit and limit > 0 else None,
    )
    optimizer.schedule, optimizer.length = config.get("schedule", "warmup_cosine"), config["t_total"]
    optimizer.warmup = config["warmup"]
    rates, values, steps = [], [[] for _ in parameters], config["steps"]  # type: ignore[var-annotated]
    config.finish()
    for step in range(steps):
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.tensor(case.arrays[f"input/grads_p{i}"][step])
        rates.append(optimizer.rates())
        optimizer.step(clip=parameters)
        for kept, parameter in zip(values, parameters, strict=True):
            kept.append(parameter.detach().clone())
    assert_close(f"{case.name}:lr", np.asarray(rates), case.arrays["output/lr"], 1e-12)
    for i, kept in enumerate(values):
        assert_close(f"{case.name}:p{i}", torch.stack(kept), case.arrays[f"output/p{i}"], VALUE_TOLERANCE)


def check_retrieval(case: GoldenCase) -> None:
    """Ranks and metrics in both directions, under both tie rules and both video-to-text protocols."""
    scores = case.arrays["input/sim"]
    several = "input/cut_off_points" in case.arrays
    cuts = case.arrays["input/cut_off_points"] if several else np.arange(1, scores.shape[1] + 1)
    owner = np.repeat(np.arange(len(cuts)), np.diff(cuts, prepend=0))
    if several:
        np.testing.assert_array_equal(owner, case.arrays["input/caption_video"], err_msg="caption_video")
    groups = {key.split("/")[1] for key in case.arrays if key.startswith("output/")}
    for group in sorted(groups):
        _check_group(case, group, _ranks(group, scores, owner), several)


def _ranks(group: str, scores: np.ndarray, owner: np.ndarray) -> np.ndarray:
    if group.startswith("ref_"):
        return every_tied_column(scores if group.endswith("t2v") else scores.T)
    ties: Ties = "pessimistic" if "pessimistic" in group else "optimistic"
    if group.endswith("t2v"):
        return text_to_video_ranks(scores, owner, ties)
    protocol: Protocol = "all_captions" if "among_all_captions" in group else "best_caption_per_video"
    return video_to_text_ranks(scores, owner, ties, protocol)


def every_tied_column(scores: np.ndarray) -> np.ndarray:
    """The released code on ties: one "query" for each column that equals the true one, so more than N of them."""
    ordered = np.sort(-scores, axis=1)
    return np.nonzero(ordered == -np.diag(scores)[:, None])[1]


def _check_group(case: GoldenCase, group: str, found: np.ndarray, several: bool) -> None:
    wanted = case.group(f"output/{group}")
    for name, golden in wanted.items():
        label = f"{case.name}:{group}/{name}"
        if name == "ranks":
            np.testing.assert_array_equal(found, golden, err_msg=label)
        elif name == "Std_Rank":
            np.testing.assert_allclose(found.std(), golden, rtol=_LOGGED, err_msg=label)
        else:
            # CODE: with several captions a video the median is torch's, the lower of the middle two
            lower: Median = "lower" if several and group == "t2v" and name == "MedianR" else "mean_of_middle"
            ours = rank_metrics(found, median=lower)[_OURS[name.removesuffix("_numpy")]]
            np.testing.assert_allclose(ours, golden, rtol=_LOGGED, err_msg=label)


def check_xclip(case: GoldenCase) -> None:
    """Temporal encoder, four scores and what lies between, symmetric loss, gradients of parameters and inputs."""
    compare(case, _xclip(case, torch.float32), _xclip(case, torch.float64))


def build_xclip(case: GoldenCase, dtype: torch.dtype) -> XCLIPCore:
    """The case's model with the authors' parameters."""
    sizes = CaseSettings(case)
    released = case.parameters()
    model = XCLIPCore(
        XCLIPConfig(
            width=sizes["embed_dim"],
            words=sizes["max_words"],
            frames=sizes["max_frames"],
            header=sizes["sim_header"],
            temporal_layers=sizes["temporal_layers"],
            heads=sizes["heads"] or 1,
            positions=sizes["position_rows"] or sizes["max_frames"],
            temperature=sizes["attention_temperature"],
        )
    )
    masks = {name: case.input(f"{name}_mask") != 0 for name in ("attention", "video")}
    sizes.expect(
        texts=len(masks["attention"]),
        videos=len(masks["video"]),
        text_lengths=masks["attention"].sum(1).tolist(),
        video_lengths=masks["video"].sum(1).tolist(),
    )
    scale = released["clip.logit_scale"].exp().item()
    np.testing.assert_allclose(sizes["logit_scale_exp"], scale, rtol=1e-4, err_msg=f"{case.name}: logit_scale_exp")
    sizes.describe(["seed", "head_matrix_init"])
    sizes.finish()
    load_released(model, core_of_checkpoint(released), "xclip", case.name)
    return model.to(dtype)


def _xclip(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    model = build_xclip(case, dtype)
    names = ("sequence_output", "seq_features", "visual_output")
    inputs = {name: case.input(name).to(dtype).requires_grad_() for name in names}
    text = TextStates(inputs["sequence_output"][:, 0], inputs["seq_features"], case.input("attention_mask") != 0)
    video = model.encode_video(inputs["visual_output"], case.input("video_mask") != 0)
    scores = model.scores(text, video)
    ours = {
        "video_output": video.video,
        "frame_features": unit(video.frames),
        "sentence_output": unit(text.sentence),
        "word_features": unit(text.words),
        "fine_grained_sim_scores": scores.pairs,
        "word_level_logit": scores.over_words,
        "frame_level_logit": scores.over_frames,
        "sent2frame_logits": scores.to_frames,
        "video2word_logits": scores.to_words,
        "video_sentence_logits": scores.video_sentence,
        "video_word_logits": scores.video_words,
        "sentence_frame_logits": scores.sentence_frames,
        "frame_word_logits": scores.frame_words,
        "logits": scores.logits,
    }
    ours = {f"output/{name}": value for name, value in ours.items()}
    if "output/loss" not in case.arrays:
        return ours
    own = torch.arange(len(scores.logits))
    ours["output/loss_t2v"] = nn.functional.cross_entropy(scores.logits, own)
    ours["output/loss_v2t"] = nn.functional.cross_entropy(scores.logits.T, own)
    ours["output/loss"] = symmetric_loss(scores.logits)
    ours["output/loss"].backward()
    for name, value in inputs.items():
        ours[f"grad/input/{name}"] = torch.zeros_like(value) if value.grad is None else value.grad
    released = case.parameters()
    held = core_of_checkpoint(released)
    ours |= gradients_by_released_name(model, held, "xclip", ("grad", "gradnorm"))
    for name in released.keys() - held.keys():  # what the release carries and never uses gets no gradient
        nothing = torch.zeros_like(released[name])
        ours |= {f"grad/{name}": nothing, f"gradnorm/{name}": nothing.norm()}
    return ours


XCLIP_CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    "bertadam_": check_bertadam,
    "retrieval_": check_retrieval,
    "xclip_": check_xclip,
}
