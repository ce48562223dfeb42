"""What is measured: methods at a size with one batch, and CPL as the released programs compute it."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import detr_step, training_step
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.localiser import ActionShape
from vmlkit.actions.method import ActionMethod
from vmlkit.data.batches import Batch, MomentBatch
from vmlkit.methods import preset
from vmlkit.reconstruction.cpl import CPL
from vmlkit.reconstruction.lnp import LNP, LNPConfig
from vmlkit.training.captured import CapturedStep
from vmlkit.training.graphs import recorder_for
from vmlkit.training.method import LossTerms, Method, Progress
from vmlkit.training.optim import ScheduledAdam
from vmlkit.training.precision import Precision

Size = Literal["tiny", "paper"]
#: epoch 3 of 10, where c(e) is negative and nothing is at a bound
CLOCK = Progress(3, 10)
SIZES = {
    "tiny": training_step.SIZES["toy"],
    "paper": dataclasses.replace(training_step.SIZES["charades"], words=20, batch=32),
}


class ReleasedStyle(CPL):
    """CPL with the habits of the released programs; written for this comparison, the mathematics is CPL's.

    Words are drawn in a loop over the batch on the host, each kind of proposal has a pass of its own, and negatives of
    all proposals are computed where two are used.
    """

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Four passes of the reconstructor."""
        encoded = self.encode(batch, self._drawn_words(batch))
        proposals = self.positives(encoded)
        left, right = self.negative_masks(encoded, proposals, progress).unbind(2)
        passes = (proposals.masks, torch.ones_like(proposals.masks[:, :1]), left, right)
        nll, whole, *negatives = (self.reconstruct(encoded, masks) for masks in passes)
        rows = torch.arange(len(nll), device=nll.device), nll.argmin(dim=1)
        sides = [torch.relu(nll[rows] - other[rows] + self.config.negative_margin).mean() for other in negatives]
        base = self.base_loss(proposals, nll[rows], whole[:, 0])
        return LossTerms(base.total + self.config.rank_weight * (sides[0] + sides[1]), base.terms)

    @staticmethod
    def _drawn_words(batch: MomentBatch) -> Tensor:
        rng, masked = np.random.default_rng(0), np.zeros(batch.word_mask.shape, dtype=bool)
        for row, (mask, weights) in enumerate(zip(batch.word_mask, batch.word_weights, strict=True)):
            length = int(mask.sum())
            chances = weights[:length].cpu().double().numpy()
            masked[row, rng.choice(length, max(length // 3, 1), replace=False, p=chances / chances.sum())] = True
        return torch.from_numpy(masked).to(batch.words.device)


class PlainStep:
    """A step as the released programs make it: an update tensor by tensor, the loss read back each time."""

    def __init__(self, method: Method[Any], draws: torch.Generator) -> None:
        self._method, self._draws = method, draws
        self._adam = torch.optim.Adam(method.parameters(), lr=4e-4, foreach=False, fused=False)

    def __call__(self, batch: Batch, progress: Progress) -> float:
        """Forward, backward, clip, update."""
        self._adam.zero_grad()
        loss = self._method.training_loss(batch, progress, self._draws).total
        loss.backward()
        nn.utils.clip_grad_norm_(self._method.parameters(), 10.0, foreach=False)
        self._adam.step()
        return float(loss.detach())


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    make: Callable[[Size], tuple[Method[Any], Batch]]
    graph: bool = False
    precision: Precision = "fp32"
    released: bool = False

    def step(self, size: Size, device: torch.device) -> tuple[Callable[[], Any], Method[Any], Batch]:
        """A call that makes one whole step, with what it works on."""
        method, batch = self.make(size)
        method, batch = method.to(device).train(), batch.to(device)
        draws = torch.Generator(device=device).manual_seed(1)
        if self.released:
            plain = PlainStep(method, draws)
            return (lambda: plain(batch, CLOCK)), method, batch
        own = method.optimizer_settings()
        groups = method.parameter_groups().items()
        optimizers = {name: ScheduledAdam(group, **own.get(name, {})) for name, group in groups}
        step = CapturedStep(method, optimizers, draws, recorder_for(device) if self.graph else None, self.precision)
        return (lambda: step(batch, CLOCK)), method, batch

    def on(self, device: torch.device) -> bool:
        """Whether the device can run it."""
        return device.type == "cuda" or not (self.graph or self.precision == "tf32")


def _cpl(size: Size, plan: str = "selected", kind: type[CPL] = CPL) -> tuple[Method[Any], Batch]:
    model = training_step.make_model(SIZES[size], 0.1)
    model.config = dataclasses.replace(model.config, plan=plan)  # type: ignore[arg-type]
    model.__class__ = kind
    return model, training_step.make_batch(SIZES[size])


def _lnp(size: Size) -> tuple[Method[Any], Batch]:
    return LNP(LNPConfig(), training_step.make_model(SIZES[size], 0.1), 300), training_step.make_batch(SIZES[size])


def _bm_detr(size: Size) -> tuple[Method[Any], Batch]:
    name = "toy" if size == "tiny" else "qvhighlights"
    return detr_step.make_model(name, 0.1, "one batch"), detr_step.make_batch(name)


def _tsm_vlc(size: Size) -> tuple[Method[Any], Batch]:
    """TSM and VLC at the size of THUMOS14 (or of the toy world), random features."""
    wide = preset("tsm-vlc", "thumos14", "paper") if size == "paper" else preset("tsm-vlc", "toy", "ci")
    count, clips, features, classes, words = (
        (10, wide.data.clips, 2048, 20, 8) if size == "paper" else (6, 32, 128, 4, 8)
    )
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    texts = torch.randn(classes, 4, 300, generator=g)
    shape = ActionShape(features=features, class_words=texts, vocabulary=60, clips=clips, context_words=texts[0, :3])
    mask, labels = torch.ones(count, words, dtype=torch.bool), torch.zeros(count, classes)
    labels[torch.arange(count), torch.arange(count) // 2 % classes] = 1  # pairs that share an action
    batch = ActionBatch(
        frames=torch.randn(count, clips, features, generator=g),
        frame_mask=torch.ones(count, clips, dtype=torch.bool),
        words=torch.randn(count, words, 300, generator=g),
        word_ids=torch.randint(1, 60, (count, words), generator=g),
        word_mask=mask,
        word_weights=mask / words,
        durations=torch.full((count,), 60.0),
        video_ids=tuple(map(str, range(count))),
        labels=labels,
        snippet_s=torch.full((count,), 0.5),
        video_index=torch.arange(count),
    )
    return ActionMethod(wide.model, shape), batch


def variants() -> Iterator[Variant]:
    """Rows of the table, the released habits first."""
    yield Variant("CPL, released style, eager", lambda size: _cpl(size, "all", ReleasedStyle), released=True)
    yield Variant("CPL, eager", _cpl)
    yield Variant("CPL, graph", _cpl, graph=True)
    for name, make in (("LNP on CPL", _lnp), ("BM-DETR", _bm_detr), ("TSM+VLC", _tsm_vlc)):
        yield Variant(f"{name}, eager", make)
        yield Variant(f"{name}, eager, bf16", make, precision="bf16")
        for precision in ("fp32", "tf32", "bf16"):
            said = "" if precision == "fp32" else f", {precision}"
            yield Variant(f"{name}, graph{said}", make, graph=True, precision=precision)  # type: ignore[arg-type]
