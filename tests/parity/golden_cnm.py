"""CNM against its golden vectors."""

import torch
from torch import Tensor, nn

from tests.parity.golden import GoldenCase, hold
from tests.parity.golden_blocks import gradients_by_released_name, transformer_config
from tests.parity.golden_models import (
    data_shape,
    generated,
    generator_settings,
    golden_batch,
    golden_optimizer,
    masked_words,
    parameters_after,
)
from vmlkit.reconstruction.cnm import CNM, CNMConfig, intra_video_contrast, reconstruction_loss
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.released import load_released
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam


def check_cnm(case: GoldenCase) -> None:
    """Forward, both losses, gradients of both stages, four two-stage steps with the stale-gradient clip."""
    hold(case, _compute)


def build_cnm(case: GoldenCase, dtype: torch.dtype) -> CNM:
    """The case's model with the authors' parameters."""
    sizes, loss = generator_settings(case), case.meta["loss"]
    sizes.expect(use_negative=True)
    config = CNMConfig(
        reconstruction=ReconstructionConfig(transformer=transformer_config(sizes["DualTransformer"])),
        alpha=sizes["alpha"],
        max_width=sizes["max_width"],
        hard_margin=loss["beta_1"],
        easy_margin=loss["beta_2"],
    )
    sizes.finish()
    model = CNM(config, data_shape(case))
    load_released(model, case.parameters(), "cnm", case.name)
    return model.to(dtype)


def _compute(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    model, batch, masked = build_cnm(case, dtype), golden_batch(case, dtype), masked_words(case)
    ours = {f"output/{k}": v.detach() for k, v in _forward(model, batch, masked).items()}
    released, groups = case.parameters(), model.parameter_groups()
    for stage, group in (("1", groups["reconstructor"]), ("2", groups["generator"])):
        model.zero_grad()
        nll = model(batch, masked).nll
        loss = reconstruction_loss(nll) if stage == "1" else intra_video_contrast(nll, model.config)
        for parameter, gradient in zip(group, torch.autograd.grad(loss.total, group, allow_unused=True), strict=True):
            parameter.grad = gradient
        ours |= gradients_by_released_name(model, released, "cnm", (f"grad_stage{stage}", f"gradnorm_stage{stage}"))
    first = {name: ours[f"grad_stage1/{name}"].abs() + ours[f"grad_stage2/{name}"].abs() for name in released}
    model = build_cnm(case, dtype)
    return ours | _steps(case, model, batch, masked) | parameters_after(model, released, "cnm", first)


def _forward(model: CNM, batch, masked: Tensor) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    out = model(batch, masked, maps=True)
    rec, ivc = reconstruction_loss(out.nll), intra_video_contrast(out.nll, model.config)
    logits = model.front.vocabulary_head(out.reconstruction.hidden)  # (B, 3, L, V)
    assert out.reconstruction.attention is not None
    return {
        "center": out.proposals.centers[:, 0],
        "width": out.proposals.widths[:, 0],
        "gauss_weight": out.masks[:, 0],
        "words_logit": logits[:, 0],
        "hard_neg_words_logit": logits[:, 1],
        "easy_neg_words_logit": logits[:, 2],
        "words_mask": out.encoded.text_mask,
        "attn_weight": out.reconstruction.attention[:, 0].mean(1),
        "gen_hidden": generated(model.front, model.transformer, batch),
        "gen_text_memory": out.encoded.text_memory,
        "pos_video_memory": out.reconstruction.memory[:, 0],
        "pos_hidden": out.reconstruction.hidden[:, 0],
        "pos_nll": out.nll[:, 0],
        "hard_nll": out.nll[:, 1],
        "easy_nll": out.nll[:, 2],
        "loss_rec": rec.total,
        "loss_ivc": ivc.total,
        "term_final_loss": rec.total,
        "term_nll_loss": rec.terms["nll"],
        "term_neg_nll_loss": rec.terms["nll_whole_video"],
        "term_ivc_loss": ivc.total,
        "term_easy_neg_loss": ivc.terms["rank_easy"],
        "term_hard_neg_loss": ivc.terms["rank_whole_video"],
    }


class _Recording:
    """An optimiser that remembers the last norm the clip saw."""

    def __init__(self, optimizer: ScheduledAdam) -> None:
        self.optimizer, self.norm = optimizer, torch.zeros(())

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        self.norm = self.optimizer.step(clip)
        return self.norm


def _steps(case: GoldenCase, model: CNM, batch, masked: Tensor) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    """The product's own two-stage step, with the recorded word masks in place of drawn ones."""
    model.masked_words = lambda *_: masked  # type: ignore[method-assign]
    stages = {name: _Recording(golden_optimizer(case, group)) for name, group in model.parameter_groups().items()}
    rates, losses, norms = [], [], []
    for step in range(case.arrays["output/steps_lr"].shape[0]):
        terms = model.step(batch, Progress(1, 1, step), torch.Generator(), stages).terms  # type: ignore[arg-type]
        rates.append(stages["reconstructor"].optimizer.lr_used)
        losses.append(
            [float(terms["nll"] + terms["nll_whole_video"]), float(terms["rank_whole_video"] + terms["rank_easy"])]
        )
        norms.append([float(stages["reconstructor"].norm), float(stages["generator"].norm)])
    return {
        "output/steps_lr": torch.tensor(rates),
        "output/steps_loss": torch.tensor(losses),
        "output/steps_clipnorm": torch.tensor(norms),
    }
