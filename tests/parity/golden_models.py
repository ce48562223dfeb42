"""What the golden cases of whole models have in common: inputs as a batch, the recorded optimiser, training steps."""

import re
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tests.parity.case_settings import CaseSettings
from tests.parity.golden import GoldenCase
from vmlkit.data.batches import MomentBatch
from vmlkit.nn.transformer import DualTransformer, positions_of
from vmlkit.reconstruction.front import FrontEnd
from vmlkit.released import our_name
from vmlkit.training.method import DataShape
from vmlkit.training.optim import ScheduledAdam


def golden_batch(case: GoldenCase, dtype: torch.dtype) -> MomentBatch:
    """The case's inputs as a batch (the references keep a placeholder row before the words)."""
    frames, ids, length = case.input("frames_feat"), case.input("words_id"), case.input("words_len")
    count = frames.shape[0]
    return MomentBatch(
        frames=frames.to(dtype),
        frame_mask=torch.arange(frames.shape[1]) < case.input("frames_len")[:, None],
        words=case.input("words_feat")[:, 1:].to(dtype),
        word_ids=ids,
        word_mask=torch.arange(ids.shape[1]) < length[:, None],
        word_weights=case.input("weights").to(dtype),
        spans=None,
        durations=torch.ones(count),
        query_ids=tuple(map(str, range(count))),
        video_ids=tuple(map(str, range(count))),
    )


def masked_words(case: GoldenCase) -> Tensor:
    """The recorded word masks, without the start token's column."""
    return case.input("masked_positions")[:, 1:]


def data_shape(case: GoldenCase) -> DataShape:
    """Feature sizes and vocabulary, from the arrays."""
    return DataShape(
        frame_dim=case.arrays["input/frames_feat"].shape[2],
        word_dim=case.arrays["input/words_feat"].shape[2],
        vocabulary=case.arrays["output/words_logit"].shape[2],
    )


def flat(values: Tensor) -> Tensor:
    """``(B, P, ...) -> (B*P, ...)``: the references keep proposals in sample-major rows."""
    return values.flatten(0, 1)


def golden_optimizer(case: GoldenCase, parameters: list[nn.Parameter]) -> ScheduledAdam:
    """The optimiser of the recorded steps: peak 4e-4, two warm-up updates from 1e-7, clip 10, or as the JSON says."""
    said = str(case.meta.get("optimizer", ""))

    def stated(name: str, default: float) -> float:
        found = re.search(rf"\b{name} ([\d.]+(?:e-?\d+)?)", said)
        return float(found[1]) if found else default

    return ScheduledAdam(
        parameters,
        lr=stated("lr", 4e-4),
        warmup_updates=int(stated("warmup_updates", 2)),
        warmup_init_lr=stated("warmup_init_lr", 1e-7),
        clip_norm=stated("clip", 10.0),
    )


def generator_settings(case: GoldenCase) -> CaseSettings:
    """The case's ``config``; what the arrays say already agrees with it, and what comes before them is left out."""
    c, shape = CaseSettings(case), data_shape(case)
    c.describe(["max_num_words", "masked_words_ratio", "max_epoch"])
    transformer = c["DualTransformer"]
    c.expect(dropout=0, hidden_size=transformer["d_model"], hidden_dim=transformer["d_model"])
    c.expect(frames_input_size=shape.frame_dim, frame_feat_dim=shape.frame_dim, vocab_size=shape.vocabulary)
    c.expect(words_input_size=shape.word_dim, word_feat_dim=shape.word_dim)
    return c


def generated(front: FrontEnd, generator: DualTransformer, batch: MomentBatch) -> Tensor:
    """The generator's output at every clip; a step computes it where proposals are read from."""
    words = front.behind_start(batch.words)
    read = nn.functional.pad(batch.word_mask, (1, 0), value=True)
    return generator.generate(*front.frames(batch), words + positions_of(words), read)[0]


def training_steps(case: GoldenCase, model: nn.Module, loss: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Repeat the recorded updates on one batch: ``output/steps_lr`` and ``output/steps_loss``."""
    optimizer = golden_optimizer(case, list(model.parameters()))
    rates, losses = [], []
    for _ in range(case.arrays["output/steps_lr"].shape[0]):
        optimizer.zero_grad()
        total = loss()
        total.backward()
        optimizer.step(list(model.parameters()))
        losses.append(total.detach())
        rates.append(optimizer.lr_used)
    return {"output/steps_lr": torch.tensor(rates), "output/steps_loss": torch.stack(losses)}


def parameters_after(
    model: nn.Module, released: Mapping[str, Tensor], kind: str, gradients: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Parameters after the steps, and the first gradients that say where comparing them means anything."""
    named = dict(model.named_parameters())
    ours = {}
    for name in released:
        value = named[our_name(name, kind)].detach().clone()
        ours[f"after4steps/{name}"], ours[f"after4steps_norm/{name}"] = value, value.norm()
        ours[f"gradient of {name}"] = gradients[name]
    return ours


def word_accuracy(
    logits: Float[Tensor, "B R L V"], targets: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]
) -> Float[Tensor, ""]:
    """Share of counted words whose most likely word is right, over all rows."""
    right = (logits.argmax(-1) == targets[:, None]) & mask[:, None]
    return right.sum() / (mask.sum() * logits.shape[1])
