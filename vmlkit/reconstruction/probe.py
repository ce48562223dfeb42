"""Small measurements on a trained P0: what its selection weight does, whom L_mt trains, and what makes a mask hard.

All of them run in evaluation mode (no dropout) on one batch with seeded word masks, and change nothing.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from vmlkit.data.batches import MomentBatch
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.gaussian import paper_gaussian
from vmlkit.reconstruction.lnp import LNP
from vmlkit.training.method import Method, Progress

ACTIONS = ("literal", "gate", "logits", "loss")
FREEZING = ("masks", "negatives", "nothing")


@contextlib.contextmanager
def measuring(method: LNP, **changes: Any) -> Iterator[LNP]:
    """``method`` in evaluation mode with some settings of its :class:`~vmlkit.reconstruction.lnp.LNPConfig` changed."""
    before, training = method.config, method.training
    method.config = method.learner.config = dataclasses.replace(before, **changes)
    try:
        yield method.eval()
    finally:
        method.config = method.learner.config = before
        method.train(training)


def selection_effect(
    method: LNP, batch: MomentBatch, progress: Progress, values: Sequence[float] = (0.9, 0.5, 0.1, 0.01), seed: int = 0
) -> pd.DataFrame:
    """A1: what the selection weight s does under each action (rows).

    Columns: the mean change of the negatives' NLL as every s goes from 1 to each of ``values``, and ``|dL/ds|``, the
    mean size of the derivative of the loss terms at the s = 1 / M where the selection starts.
    """
    rows = {}
    for action in ACTIONS:
        with measuring(method, selection_action=action):
            encoded, masks = _negative_masks(method, batch, progress, seed)

            def nll(s: Tensor, encoded: Any = encoded, masks: Tensor = masks) -> Tensor:
                return method.host.reconstruct(encoded, method.learner.conditioning(masks, s))

            with torch.no_grad():
                full = nll(torch.ones_like(masks[..., 0]))
                changes = [(nll(torch.full_like(full, v)) - full).mean().item() for v in values]
            s = torch.full_like(full, 1 / full.shape[1]).requires_grad_(True)
            terms = nll(s) * (s * s.shape[1] if action == "loss" else 1.0)
            (slope,) = torch.autograd.grad(terms.sum(), s)
        rows[action] = [*changes, slope.abs().mean().item()]
    columns = [f"NLL change, s = {v:g}" for v in values]
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "|dL/ds|"]).rename_axis("action")


def triplet_reach(method: LNP, batch: MomentBatch, progress: Progress, seed: int = 0) -> pd.DataFrame:
    """A10: norm of what L_mt adds to the gradient of the total loss, by part of the network, under each freezing.

    It is a difference of two gradients, with L_mt and without, so a part that L_mt leaves alone shows rounding.
    """
    parts = {
        "negative heads": list(method.learner.head.parameters()) if method.learner.head else [],
        "selection": list(method.learner.selection.parameters()) if method.learner.selection else [],
        "reconstructor": list(method.host.reconstructor.parameters()),
    }
    rows = {}
    for freeze in FREEZING:
        with_it, without = (
            _gradients(method, batch, progress, seed, parts, freeze_triplet=freeze, triplet_weight=weight)
            for weight in (method.config.triplet_weight, 0.0)
        )
        rows[freeze] = {part: (with_it[part] - without[part]).norm().item() for part in parts}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("frozen")


def mask_sweep(
    method: LNP,
    batch: MomentBatch,
    centers: Sequence[float] | Float[np.ndarray, " R"],
    widths: float | Sequence[float] | Float[np.ndarray, " R"],
    gate: float | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "R B"]:
    """NLL of every sentence under R masks of P0 Eq. (1) that are the same for all queries.

    Args:
        centers: fractions of the video.
        widths: one for all, or one each.
        gate: scales the attention output as a selection weight does (A1); None leaves it alone.
    """
    places = np.broadcast_arrays(np.asarray(centers, dtype=np.float32), np.asarray(widths, dtype=np.float32))
    with measuring(method), torch.no_grad():
        encoded = method.host.encode(batch, method.host.masked_words(batch, _generator(batch, seed)))
        center, width = (torch.tensor(p).to(encoded.clips).expand(len(encoded.clips), -1) for p in places)
        masks = paper_gaussian(center, width, encoded.clips.shape[1])
        at = Conditioning(masks, gate=None if gate is None else torch.full_like(center, gate))
        return method.host.reconstruct(encoded, at).T.cpu().numpy()


def parameter_count(*modules: torch.nn.Module) -> int:
    """How many numbers a method learns."""
    return sum(p.numel() for module in modules for p in module.parameters())


def seconds_to_predict(
    methods: dict[str, Method[MomentBatch]], batch: MomentBatch, rounds: int = 5
) -> dict[str, float]:
    """Fastest of ``rounds`` predictions of ``batch`` by each method, taken in turn, in seconds."""
    fastest = dict.fromkeys(methods, float("inf"))
    for _ in range(rounds + 1):
        for name, method in methods.items():
            fastest[name] = min(fastest[name], _seconds(method.eval().predict, batch))
    return fastest


def _seconds(predict: Callable[..., Any], batch: MomentBatch) -> float:
    generator = _generator(batch, 0)
    started = time.perf_counter()
    predict(batch, generator)
    return time.perf_counter() - started


def _generator(batch: MomentBatch, seed: int) -> torch.Generator:
    return torch.Generator(device=batch.frames.device).manual_seed(seed)


@torch.no_grad()
def _negative_masks(method: LNP, batch: MomentBatch, progress: Progress, seed: int) -> tuple[Any, Tensor]:
    generator = _generator(batch, seed)
    encoded = method.host.encode(batch, method.host.masked_words(batch, generator))
    proposals = method.host.positives(encoded)
    first = torch.zeros(len(encoded.clips), dtype=torch.long, device=encoded.clips.device)
    return encoded, method.learner(method.host, encoded, proposals, first, progress, generator).negatives.masks


def _gradients(
    method: LNP, batch: MomentBatch, progress: Progress, seed: int, parts: dict[str, list[Any]], **changes: Any
) -> dict[str, Tensor]:
    """The gradient of the total loss in each part, as one vector."""
    everything = [p for group in parts.values() for p in group]
    with measuring(method, **changes):
        loss = method.training_loss(batch, progress, _generator(batch, seed))
        found = torch.autograd.grad(loss.total, everything, allow_unused=True)
    flat = iter([torch.zeros_like(p) if g is None else g for p, g in zip(everything, found, strict=True)])
    return {
        name: torch.cat([torch.zeros(1, device=batch.frames.device), *(next(flat).flatten() for _ in group)])
        for name, group in parts.items()
    }
