"""A real, small method and data set for the tests of the loop; run as a program, it trains in a directory.

``python tiny.py RUN_DIR`` prints ``step`` lines so that a test can kill it at a random moment.
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vmlkit.data.batches import MomentBatch, MomentDataset, Predictions
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.training.loop import TrainConfig, train
from vmlkit.training.method import LossTerms, Method, Progress

CLIPS, FEATURES, WORDS, VECTORS, HIDDEN, POSITIVES, NEGATIVES = 8, 6, 5, 4, 8, 3, 2


def tiny_dataset(name: str, queries: int, seed: int = 0, *, videos: int = 4, strips: bool = False) -> MomentDataset:
    """Random features with a trace of the truth in them."""
    rng = np.random.default_rng(seed)
    video_index = np.arange(queries) % videos
    durations = rng.uniform(10, 30, videos).round(1)[video_index]
    starts = rng.uniform(0, 0.6, queries)
    spans = np.stack((starts, starts + rng.uniform(0.1, 0.4, queries)), axis=1)
    vocabulary = Vocabulary(("a", "door", "opens", "red", "ball", "falls"))
    lengths = rng.integers(1, WORDS + 1, queries)
    mask = np.arange(WORDS) < lengths[:, None]
    word_ids = np.where(mask, rng.integers(1, len(vocabulary), (queries, WORDS)), 0)
    return MomentDataset(
        name=name,
        frames=torch.tensor(rng.normal(size=(videos, CLIPS, FEATURES)), dtype=torch.float32),
        video_index=torch.tensor(video_index),
        word_ids=torch.tensor(word_ids),
        word_mask=torch.tensor(mask),
        word_weights=torch.tensor(mask / lengths[:, None], dtype=torch.float32),
        vectors=torch.tensor(np.vstack((np.zeros(VECTORS), rng.normal(size=(6, VECTORS)))), dtype=torch.float32),
        spans_s=spans * durations[:, None],
        durations=durations,
        query_ids=tuple(f"{name}/q{i:03d}" for i in range(queries)),
        video_ids=tuple(f"v{i}" for i in video_index),
        sentences=tuple(" ".join(vocabulary.word(int(w)) for w in row if w) for row in word_ids),
        vocabulary=vocabulary,
        fingerprint=f"{name}-{queries}-{seed}",
        film_strip=tiny_strip if strips else None,
    )


def tiny_strip(video: str, count: int, pixels: int) -> np.ndarray:
    """A film strip of one colour per video."""
    return np.full((count, pixels, pixels, 3), 10 * int(video[1:]), dtype=np.uint8)


class TinyMethod(Method):
    """Gaussian-free localiser: its loss depends on the generator (masked words), on dropout, and on a buffer."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.frame_fc, self.word_fc = nn.Linear(FEATURES, HIDDEN), nn.Linear(VECTORS, HIDDEN)
            self.proposals, self.scores = nn.Linear(HIDDEN, 2 * (POSITIVES + NEGATIVES)), nn.Linear(HIDDEN, 1)
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("steps_seen", torch.zeros(()))

    def forward(self, batch: MomentBatch, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Centers and widths (B, P + M, 2) and their costs (B, P + M)."""
        kept = torch.rand(batch.word_ids.shape, generator=generator, device=batch.words.device) < 0.7
        words = self.word_fc(batch.words) * (kept & batch.word_mask)[..., None]
        hidden = torch.tanh(self.dropout(self.frame_fc(batch.frames)).mean(1) + words.sum(1))
        boxes = self.proposals(hidden).sigmoid().unflatten(1, (-1, 2))
        target = torch.sigmoid(self.scores(self.dropout(hidden)))
        return boxes, (boxes - target[:, None]).square().sum(-1)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Pull the best positive to the target, push the negatives away by a schedule."""
        assert batch.spans is None, "weakly supervised: no time labels"
        _, cost = self(batch, generator)
        self.steps_seen += 1
        pull = cost[:, :POSITIVES].min(dim=1).values.mean() + 1e-3 * self.steps_seen
        push = torch.relu(0.5 - cost[:, POSITIVES:]).mean()
        return LossTerms(pull + progress.fraction * push, {"pull": pull, "push": push})

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """P proposals by cost, M negatives."""
        boxes, cost = self(batch, generator)
        centers, widths = boxes[:, :POSITIVES].unbind(-1)
        order = cost[:, :POSITIVES].argsort(dim=1, stable=True)
        return Predictions(
            centers=centers,
            widths=widths,
            starts=(centers - widths / 2).clamp_min(0),
            ends=(centers + widths / 2).clamp_max(1),
            nll=cost[:, :POSITIVES],
            order=order,
            top1=order[:, 0],
            negative_centers=boxes[:, POSITIVES:, 0],
            negative_widths=boxes[:, POSITIVES:, 1],
            negative_weights=torch.full_like(cost[:, POSITIVES:], 1 / NEGATIVES),
        )

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """The weight of the push."""
        return {"c": progress.fraction}


class TwoStageMethod(TinyMethod):
    """Two optimisers whose clip sees the gradients that the other left behind, as CNM's does."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Heads and body."""
        body = [*self.frame_fc.parameters(), *self.word_fc.parameters()]
        return {"body": body, "heads": [*self.proposals.parameters(), *self.scores.parameters()]}

    def step(self, batch, progress, generator, optimizers):
        """Body first, then heads; nobody clears the other's gradients."""
        for group, parameters in self.parameter_groups().items():
            loss = self.training_loss(batch, progress, generator)
            gradients = torch.autograd.grad(loss.total, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizers[group].step(clip=list(self.parameters()))
        return LossTerms(loss.total.detach(), {name: value.detach() for name, value in loss.terms.items()})


TRAIN, VALIDATION = tiny_dataset("tiny/train", 37, 1), tiny_dataset("tiny/validation", 11, 2)
DESCRIPTION = {"name": "tiny", "method": "tiny", "settings": {"model": {"hidden": HIDDEN}}}
CONFIG = TrainConfig(epochs=3, batch_size=8, warmup_updates=4, lr=2e-2, probe_queries=6, device="cpu", threads=1)


def tiny_train(run_dir: Path, *, method: Method | None = None, resume: bool = True, task=None, **settings):
    """Train on the tiny data; returns (run, method)."""
    method = method or TinyMethod()
    config = dataclasses.replace(CONFIG, **settings)
    run = train(method, TRAIN, VALIDATION, config, run_dir, DESCRIPTION, resume=resume, task=task, progress=False)
    return run, method


class SlowTwoStageMethod(TwoStageMethod):
    """Announces each step and lingers, so that a signal hits it anywhere."""

    def step(self, batch, progress, generator, optimizers):
        """As its parent's."""
        print("step", progress.step, flush=True)
        time.sleep(0.01)
        return super().step(batch, progress, generator, optimizers)


#: settings of the run that is killed
KILLED = {"epochs": 24, "clip_norm": 0.05, "checkpoint_every_steps": 2}

if __name__ == "__main__":
    tiny_train(Path(sys.argv[1]), method=SlowTwoStageMethod(), **KILLED)
