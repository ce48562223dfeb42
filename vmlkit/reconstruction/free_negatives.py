"""Negatives that are free to move: P0 Eq. (3) on the CE curve of each sentence, without a network that places them.

A trained, frozen reconstructor gives every sentence a curve: its CE under a mask, by where the mask lies.  A *free*
negative is one number, its center, and follows the slope of ``c(e) CE(center)`` under the clock of P0 Eq. (2): uphill
while c < 0, downhill after.  What a network makes of the same loss is drawn beside it, from a recorded run.

Axes: N sentences, W widths, R places of the curve, E1 epochs with 0, M negatives.  Times are fractions of the video.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit import spans as sp
from vmlkit.data.batches import MomentBatch, MomentDataset
from vmlkit.errors import ConfigError, DataError
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.gaussian import paper_gaussian
from vmlkit.reconstruction.lnp import LNP, dual_sign
from vmlkit.reconstruction.probe import measuring
from vmlkit.reconstruction.report import last_easy_epoch, recorded_epochs, recorded_negatives, recorded_truth
from vmlkit.runs import RunDirectory

#: Adam without a network: steps an epoch, step size (fraction of the video), both of its memories
STEPS, RATE, MEMORY = 4, 0.02, 0.9
#: where free negatives begin, in every video
START = (0.2, 0.5, 0.8)


def roll(
    curves: Float[np.ndarray, "N R"],
    alpha: float = 0.5,
    beta: float = 0.8,
    epochs: int = 30,
    start: Sequence[float] = START,
) -> Float[np.ndarray, "E1 N M"]:
    """Centers of the free negatives before the first epoch and after each, by Adam on P0 Eq. (3).

    The slope is that of the piece of the curve on which a center lies; a center stops at the ends of the video.  Adam
    divides by the size of the slope, so of c only the sign is felt, as by the heads of a network that it trains.

    Args:
        curves: CE at R evenly spaced centers from 0 to 1.
        alpha, beta: of :func:`~vmlkit.reconstruction.lnp.dual_sign`.

    Raises:
        ConfigError: for a curve of fewer than two places, or no epoch.
    """
    if curves.ndim != 2 or curves.shape[1] < 2 or epochs < 1:
        raise ConfigError(
            f"free negatives need a curve of two places or more and an epoch, not {curves.shape}, {epochs}"
        )
    slopes = np.diff(curves, axis=1) * (curves.shape[1] - 1)
    at = np.tile(np.asarray(start, dtype=float), (len(curves), 1))
    first, second, path, step = np.zeros_like(at), np.zeros_like(at), [at], 0
    for epoch in range(1, epochs + 1):
        c = dual_sign(epoch, epochs, alpha, beta)
        for _ in range(STEPS):
            step += 1
            piece = np.minimum((at * slopes.shape[1]).astype(int), slopes.shape[1] - 1)
            slope = c * np.take_along_axis(slopes, piece, axis=1)
            first = MEMORY * first + (1 - MEMORY) * slope
            second = MEMORY * second + (1 - MEMORY) * slope**2
            known = 1 - MEMORY**step
            at = np.clip(at - RATE * (first / known) / (np.sqrt(second / known) + 1e-8), 0, 1)
        path.append(at)
    return np.stack(path)


def overlaps(
    centers: Float[np.ndarray, "E1 N M"], widths: float | Float[np.ndarray, "E1 N M"], truth: Float[np.ndarray, "N 2"]
) -> tuple[Float[np.ndarray, "E1 N"], Float[np.ndarray, "E1 N"]]:
    """IoU of a sentence's negatives with its own moment, and with those of all other sentences (mean over M).

    >>> own, others = overlaps(np.array([[[0.2], [0.8]]]), 0.4, np.array([[0.0, 0.4], [0.6, 1.0]]))
    >>> own.round(3).tolist(), others.round(3).tolist()
    ([[1.0, 1.0]], [[0.0, 0.0]])
    """
    spans = sp.to_start_end(np.stack(np.broadcast_arrays(centers, widths), axis=-1)).clip(0, 1)
    pairs = sp.iou(spans[:, :, None], truth[None, None, :, None]).mean(axis=-1)  # (E1, N, N)
    own = np.einsum("eii->ei", pairs)
    return own, (pairs.sum(axis=2) - own) / max(len(truth) - 1, 1)


def behaves(own: Float[np.ndarray, "E1 N"], turn: int) -> Bool[np.ndarray, " N"]:
    """Whose overlap with the own moment is smaller at epoch ``turn`` than at first, and larger at the end than there.

    >>> behaves(np.array([[0.2, 0.2], [0.1, 0.3], [0.3, 0.4]]), 1).tolist()
    [True, False]
    """
    found: np.ndarray = (own[turn] < own[0]) & (own[-1] > own[turn])
    return found


def turn_of(epochs: int, alpha: float, beta: float) -> int:
    """The last epoch with c < 0; 0 where there is none.

    >>> turn_of(30, 0.5, 0.8), turn_of(30, 0.0, 0.8)
    (19, 0)
    """
    return max((e for e in range(1, epochs + 1) if dual_sign(e, epochs, alpha, beta) < -1e-9), default=0)


def ce_curves(
    method: LNP, batch: MomentBatch, widths: Sequence[float], *, places: int = 41, draws: int = 4
) -> tuple[Float[np.ndarray, "N W R"], Float[np.ndarray, "N 3"]]:
    """The CE of each sentence under the negatives' masks everywhere; and its answer: center, width, CE.

    Dropout is off; CE is the mean over ``draws`` of the hidden words, seeded, the same for curves and answers.  No gate
    acts on the masks (A1), so that negatives and answer are measured alike.
    """
    centers = torch.linspace(0, 1, places)
    with measuring(method), torch.no_grad():
        swept, nll = [], torch.zeros(())
        for encoded in _encodings(method, batch, draws):
            proposals = method.host.positives(encoded)
            nll = nll + method.host.reconstruct(encoded, proposals.masks) / draws
            swept.append(torch.stack([_sweep(method, encoded, centers, w) for w in widths], dim=1))
        best = nll.argmin(dim=1, keepdim=True)
        answers = [values.gather(1, best)[:, 0] for values in (proposals.centers, proposals.widths, nll)]
    return torch.stack(swept).mean(dim=0).cpu().double().numpy(), torch.stack(answers, dim=1).cpu().double().numpy()


def _encodings(method: LNP, batch: MomentBatch, draws: int) -> Iterator[Any]:
    generator = torch.Generator(device=batch.frames.device).manual_seed(0)
    for _ in range(draws):
        yield method.host.encode(batch, method.host.masked_words(batch, generator))


def _sweep(method: LNP, encoded: Any, centers: Tensor, width: float) -> Float[Tensor, "N R"]:
    rows = centers.to(encoded.clips).expand(len(encoded.clips), -1)
    cfg, cells = method.config, encoded.clips.shape[1]
    masks = paper_gaussian(rows, torch.full_like(rows, width), cells, floor=cfg.width_floor, exponent=cfg.exponent)
    return method.host.reconstruct(encoded, Conditioning(masks))


def curve_record(
    networks: Mapping[str, tuple[RunDirectory, LNP]],
    split: MomentDataset,
    *,
    widths: Sequence[float] = (0.15, 0.25, 0.4),
    sentences: int = 12,
    epochs: int = 30,
) -> dict[str, Any]:
    """What :func:`vmlkit.viz.uphill.uphill_playground` shows, as plain numbers rounded to three places.

    Of the recorded sentences of the first network it keeps ``sentences``, spread evenly over the split: those whose
    free negatives behave as P0 hopes at the middle width, and those that do not, in the proportion in which they occur
    (at least two of each kind where there are two).

    Args:
        networks: recorded runs of the same data with their trained methods, by the name that the picture gives them.
        split: the recorded queries come from it (validation).

    Raises:
        DataError: where the runs have recorded different queries, or queries that are not in ``split``.
    """
    first, learner = next(iter(networks.values()))
    ids = [q["query_id"] for q in first.probe]
    rows = {query: row for row, query in enumerate(split.query_ids)}
    for name, (run, _) in networks.items():
        if [q["query_id"] for q in run.probe] != ids or not rows.keys() >= set(ids):
            raise DataError(run.path, f"recorded other queries than the split and the runs beside it ('{name}')",
                            "give runs of one experiment's data and seed, and its validation split")  # fmt: skip
    truth, config, width = recorded_truth(first).round(3), learner.config, widths[len(widths) // 2]
    order = [rows[i] for i in ids]
    seen = ce_curves(learner, split.batch(order), [width], draws=2)[0][:, 0]
    path = roll(seen, config.alpha, config.beta, epochs)
    good = behaves(overlaps(path, width, truth)[0], turn_of(epochs, config.alpha, config.beta))
    kept = _sample(good, sentences)
    batch = split.batch([order[i] for i in kept])
    return {
        "epochs": epochs,
        "start": list(START),
        "rule": {"steps": STEPS, "rate": RATE, "memory": MEMORY},
        "widths": list(widths),
        "alpha": config.alpha,
        "beta": config.beta,
        "margin": config.margin,
        "behaving": [int(good.sum()), len(good)],
        "sentences": [_sentence(first.probe[i], truth[i], bool(good[i])) for i in kept],
        "path": path[:, kept].round(3).tolist(),
        "networks": [_network(name, *network, batch, kept, widths) for name, network in networks.items()],
    }


def _network(
    name: str, run: RunDirectory, method: LNP, batch: MomentBatch, kept: Sequence[int], widths: Sequence[float]
) -> dict[str, Any]:
    """Curves and answers of the trained network, and where its negatives lay at each epoch (N, E1, M)."""
    ce, answers = ce_curves(method, batch, widths)
    epochs = recorded_epochs(run)
    seen = [recorded_negatives(run, epoch) for epoch in epochs]
    return {
        "name": name,
        "epochs": epochs,
        "turn": last_easy_epoch(run) / epochs[-1],
        "ce": ce.round(3).tolist(),
        "answer": answers.round(3).tolist(),
        "centers": np.stack([s.centers[kept] for s in seen], axis=1).round(3).tolist(),
        "widths": np.stack([s.widths[kept] for s in seen], axis=1).round(3).tolist(),
    }


def _sentence(query: dict[str, Any], truth: Float[np.ndarray, " 2"], good: bool) -> dict[str, Any]:
    return {
        "id": query["query_id"],
        "video": query["video_id"],
        "sentence": query["sentence"],
        "duration": float(query["duration_s"]),
        "truth": truth.tolist(),
        "behaves": good,
    }


def _sample(good: Bool[np.ndarray, " N"], wanted: int) -> list[int]:
    """Indices of those that behave, then of those that do not, in proportion and each evenly over the split.

    >>> _sample(np.array([True, True, False, True, True, True, True, False]), 5)
    [0, 3, 5, 2, 7]
    """
    kinds = [np.flatnonzero(good), np.flatnonzero(~good)]
    failures = int(np.clip(round(wanted * (~good).mean()), min(2, len(kinds[1])), len(kinds[1])))
    counts = [min(wanted - failures, len(kinds[0])), failures]
    return [int(kind[k * len(kind) // n]) for kind, n in zip(kinds, counts, strict=True) for k in range(n)]
