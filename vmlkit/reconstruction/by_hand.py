"""A mask that a hand places: how well a trained reconstructor says each word under every window of a grid.

The loss that trains a generator knows no times.  Whether it could have led to the moment is seen by whoever places the
mask: this table holds what the trained, frozen network says of some sentences under all windows of a grid, under its
own answer and under the true moment, so that a picture needs no network.

Axes: N sentences, W widths, C centers, L words, V vocabulary.  Times are fractions of the video.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.batches import MomentBatch, MomentDataset
from vmlkit.errors import ConfigError
from vmlkit.reconstruction.front import Encoded, Generator
from vmlkit.training.method import Method

#: of the grid: centers from 0 to 1, and widths from one step up to the whole video
CENTERS, WIDTHS = 25, 12


def mask_record(
    method: Method[MomentBatch],
    split: MomentDataset,
    rows: Sequence[int] | None = None,
    *,
    sentences: int = 6,
    seed: int = 0,
) -> dict[str, Any]:
    """What :func:`vmlkit.viz.mask_playground.mask_playground` shows, as plain numbers.

    One draw of the hidden words serves all masks of a sentence.  Every word counts, hidden or not: it is said from the
    words before it, of which a hidden one cannot be read, and from the masked video.  Dropout is off.

    Args:
        method: trained; its positives are single Gaussians (CNM, CPL, and P0 on either).
        split: with times, as validation and test splits have them.
        rows: of the split, which sentences; ``sentences`` of them, evenly over the split, unless given.
        seed: of the hidden words.

    Raises:
        ConfigError: for a method whose positives are no single Gaussians, or rows that the split does not have.
    """
    host = getattr(method, "host", method)
    if not isinstance(host, Generator):
        raise ConfigError(f"{type(method).__name__} reconstructs no sentence from a mask: take CNM, CPL, or P0 on them")
    chosen = (
        list(rows) if rows is not None else [k * len(split) // sentences for k in range(min(sentences, len(split)))]
    )
    if not chosen or not all(0 <= row < len(split) for row in chosen):
        raise ConfigError(f"rows are {chosen}: choose some from 0 to {len(split) - 1}")
    batch = split.batch(chosen, with_spans=True).to(next(host.parameters()).device)
    training = method.training
    method.eval()
    try:
        with torch.no_grad():
            found = _measure(host, batch, torch.Generator(device=batch.frames.device).manual_seed(seed))
    finally:
        method.train(training)
    guesses = sorted({int(i) for sentence in found for i in sentence["guess"].flat})
    place = {word: index for index, word in enumerate(guesses)}
    return {
        "centers": np.linspace(0, 1, CENTERS).round(4).tolist(),
        "widths": (np.arange(1, WIDTHS + 1) / WIDTHS).round(4).tolist(),
        "curve": host.curves()["positive"],
        "vocabulary": [split.vocabulary.word(i) for i in guesses],
        "sentences": [_sentence(split, row, one, place) for row, one in zip(chosen, found, strict=True)],
    }


def _measure(host: Generator, batch: MomentBatch, generator: torch.Generator) -> list[dict[str, Any]]:
    """For each sentence: hidden words; loss, chance of each word and guess under the grid, the answer, the truth."""
    assert batch.spans is not None
    hidden = host.masked_words(batch, generator)
    encoded = host.encode(batch, hidden)
    cells = encoded.clips.shape[1]
    proposals = host.positives(encoded)
    best = host.reconstruct(encoded, proposals.masks).argmin(dim=1, keepdim=True)
    answer = torch.stack([v.gather(1, best)[:, 0] for v in (proposals.starts, proposals.ends)], dim=1)
    centers, widths = (torch.stack([v.gather(1, best)[:, 0], true], dim=1) for v, true in zip(
        (proposals.centers, proposals.widths), batch.spans.unbind(1), strict=True))  # fmt: skip
    two = _said(host, encoded, batch, host.window_masks(centers, widths, cells))
    places = torch.linspace(0, 1, CENTERS).to(centers).expand(len(centers), -1)
    rows = [
        _said(host, encoded, batch, host.window_masks(places, torch.full_like(places, w / WIDTHS), cells))
        for w in range(1, WIDTHS + 1)
    ]
    grid = [torch.stack(part, dim=1) for part in zip(*rows, strict=True)]  # (N, W, C), (N, W, C, L), (N, W, C, L)
    out = []
    for n, length in enumerate(batch.word_mask.sum(dim=1).tolist()):
        loss, chance, guess = (part[n].cpu().numpy() for part in grid)
        pair = {"loss": two[0][n].cpu().numpy(), "chance": two[1][n, :, :length].cpu().numpy()}
        window = {"center": centers[n].cpu().numpy(), "width": widths[n].cpu().numpy()}
        grids = {"loss": loss, "chance": chance[..., :length], "guess": guess[..., :length]}
        out.append({**grids, "pair": {**pair, **window}, "answer": answer[n].cpu().numpy(),
                    "hidden": hidden[n, :length].cpu().numpy()})  # fmt: skip
    return out


def _said(
    host: Generator, encoded: Encoded, batch: MomentBatch, masks: Float[Tensor, "N R S"]
) -> tuple[Float[Tensor, "N R"], Float[Tensor, "N R L"], Int[Tensor, "N R L"]]:
    """Loss of each sentence under each mask, the chance of each of its words, and the word that has the largest."""
    logits = host.word_logits(encoded, masks)
    words = batch.word_ids[:, None, :, None].expand(-1, masks.shape[1], -1, -1)
    chance = logits[:, :, : words.shape[2]].softmax(dim=-1)
    return host.front.nll(logits, encoded), chance.gather(-1, words)[..., 0], chance.argmax(dim=-1)


def _sentence(split: MomentDataset, row: int, found: dict[str, Any], place: dict[int, int]) -> dict[str, Any]:
    """One sentence as plain numbers: losses to three places, chances in thousandths, guesses by their place."""
    pair, ids = found["pair"], split.word_ids[row]
    hidden: Bool[np.ndarray, " L"] = found["hidden"]

    def window(index: int, span: Float[np.ndarray, " 2"]) -> dict[str, Any]:
        numbers = {name: round(float(pair[name][index]), 4) for name in ("center", "width", "loss")}
        return {**numbers, "span": span.round(4).tolist(), "chance": _thousandths(pair["chance"][index])}

    return {
        "id": split.query_ids[row],
        "video": split.video_ids[row],
        "sentence": split.sentences[row],
        "duration": float(split.durations[row]),
        "words": [split.vocabulary.word(int(i)) for i in ids[: len(hidden)]],
        "hidden": hidden.tolist(),
        "model": window(0, found["answer"]),
        "truth": window(1, split.spans[row]),
        "loss": found["loss"].astype(float).round(3).tolist(),
        "chance": _thousandths(found["chance"].transpose(2, 0, 1)),
        "guess": np.vectorize(place.__getitem__, otypes=[int])(found["guess"].transpose(2, 0, 1)).tolist(),
    }


def _thousandths(chance: np.ndarray) -> Any:
    return (1000 * chance.astype(float)).round().astype(int).tolist()
