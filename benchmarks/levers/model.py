"""Why do the windows of CPL not move?  What reaches a center, what can be known of it, and levers that no paper has.

The answers are on the page docs/windows.md, by ``python -m benchmarks.levers``.  Nothing here is part of
any method: :class:`LeveredCPL` is CPL with something changed that the papers do not leave open.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch, MomentDataset
from vmlkit.metrics.dependence import explained
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.front import pick
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import DataShape, LossTerms, Progress


@dataclass(frozen=True, kw_only=True)
class Levers:
    """What is changed; the defaults change nothing."""

    taught_epochs: int = 0  #: so long every window learns the true span from labels, and nothing else is trained
    head_scale: float = 1.0  #: the proposal head's first weights are multiplied by this
    hide_one_in: int = 3  #: of the words; 1 hides them all

    def __post_init__(self) -> None:
        at_least(self, 0, "taught_epochs")
        at_least(self, 1, "hide_one_in")
        positive(self, "head_scale")


class LeveredCPL(CPL):
    """CPL with :class:`Levers`; its history has :func:`slopes` of one batch as columns ``gradient/...``.

    Its training batches carry their true spans, which only ``taught_epochs`` trains on.
    """

    def __init__(self, config: CPLConfig, shape: DataShape, levers: Levers) -> None:
        super().__init__(config, shape)
        self.levers = levers
        with torch.no_grad():
            self.proposal_head.weight.mul_(levers.head_scale)

    def masked_words(self, batch: MomentBatch, generator: torch.Generator) -> Bool[Tensor, "B L"]:
        """One in ``hide_one_in`` of the words of each sentence."""
        return draw_masked_words(batch.word_weights, batch.word_mask, generator, self.levers.hide_one_in)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """CPL's, or the mean distance of all windows from the true center and width."""
        if progress.choice(lambda now: now.epoch > self.levers.taught_epochs):
            return super().training_loss(batch, progress, generator)
        found = self.positives(self.encode(batch, self.masked_words(batch, generator)))
        assert batch.spans is not None, "a levered CPL is trained with a task that gives spans"
        apart = torch.stack((found.centers, found.widths), dim=-1) - batch.spans[:, None]
        total = apart.abs().mean()
        return LossTerms(total, {"taught": total})

    def diagnose(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """See :func:`slopes`."""
        return slopes(self, batch, progress, generator)


def slopes(model: CPL, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
    """What the loss tells the centers of a batch, before the sigmoid.

    ``common`` is the norm of the mean slope over the B sentences, ``own`` the root of the mean square of what each
    sentence adds to it (a mean of B such slopes has a norm of ``own / sqrt(B)`` by chance); ``open`` is the mean of
    4 c (1 - c), 1 in the middle and 0 for a saturated center; ``towards`` is the share of chosen windows whose center
    the loss draws towards the true one (1/2 by chance), of batches that carry their spans.
    """
    encoded = model.encode(batch, model.masked_words(batch, generator))
    proposals = model.positives(encoded)
    out = model.explain(encoded, proposals, progress)
    (slope,) = torch.autograd.grad(model.losses(out).total * len(encoded.clips), proposals.centers)
    centers = proposals.centers.detach()
    slope = slope * centers * (1 - centers)  # of the sum over sentences, by the value before the sigmoid
    found = {
        "common": slope.mean(dim=0).norm(),
        "own": (slope - slope.mean(dim=0)).pow(2).sum(dim=1).mean().sqrt(),
        "open": (4 * centers * (1 - centers)).mean(),
    }
    if batch.spans is not None:
        wanted = batch.spans[:, 0] - pick(centers, out.best)
        found["towards"] = (-pick(slope, out.best) * wanted > 0).float().mean()
    return found


def known_of_the_center(model: CPL, train: MomentDataset, test: MomentDataset) -> dict[str, float]:
    """R2 of the true center with what a linear reader says of it, from ``token`` and from ``clips`` (test queries).

    The token is the generator's output behind the clips, which proposals are read from; the clips are its outputs on
    the proposal grid, which have read the sentence.  The reader is a ridge regression; its penalty is chosen on a third
    of the training queries.
    """
    places, model.front.read_places = model.front.read_places, None
    try:
        parts = [_features(model.eval(), split) for split in (train, test)]
    finally:
        model.front.read_places = places
    truth = [np.asarray(split.spans, dtype=np.float64).mean(axis=1) for split in (train, test)]
    return {name: _read_linearly(parts[0][name], truth[0], parts[1][name], truth[1]) for name in parts[0]}


@torch.no_grad()
def _features(model: CPL, split: MomentDataset) -> dict[str, Float[np.ndarray, "N F"]]:
    found: dict[str, list[Tensor]] = {"token": [], "clips": []}
    for rows in torch.arange(len(split)).split(128):
        batch = split.batch(rows)
        hidden = model.encode(batch, torch.zeros_like(batch.word_mask)).hidden
        found["token"].append(hidden[:, -1])
        found["clips"].append(hidden[:, :-1].unflatten(1, (-1, 4)).mean(dim=2).flatten(1))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}


def _read_linearly(
    train: Float[np.ndarray, "N F"], target: Float[np.ndarray, " N"],
    test: Float[np.ndarray, "M F"], truth: Float[np.ndarray, " M"],
) -> float:  # fmt: skip
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-9
    train, test, kept = (train - mean) / scale, (test - mean) / scale, len(train) * 2 // 3

    def answers(rows: slice, penalty: float, asked: np.ndarray) -> np.ndarray:
        x, y = train[rows], target[rows]
        weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean()))
        found: np.ndarray = asked @ weights + y.mean()
        return found

    def error(penalty: float) -> float:
        return float(((answers(slice(kept), penalty, train[kept:]) - target[kept:]) ** 2).mean())

    best = min((0.01, 0.1, 1.0, 10.0), key=error)
    return explained(answers(slice(None), best, test)[:, None], truth)
