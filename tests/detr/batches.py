"""A small random DETR batch for model tests."""

from typing import Any

import torch

from vmlkit.detr.batches import DetrBatch, with_endpoints
from vmlkit.detr.bm_detr import BMDetr, BMDetrConfig
from vmlkit.detr.criterion import SetWeights
from vmlkit.detr.layers import DetrSizes
from vmlkit.training.method import DataShape

SHAPE = DataShape(frame_dim=8, word_dim=5, vocabulary=11)
COUNTS, LENGTHS = torch.tensor([12, 7, 10]), torch.tensor([5, 2, 4])


def sizes(**changes: Any) -> DetrSizes:
    """D 8, two heads, two layers a stack, four queries, no dropout."""
    small: dict[str, Any] = {
        "hidden": 8, "heads": 2, "feed_forward": 16, "encoder_layers": 2, "decoder_layers": 2, "queries": 4,
        "dropout": 0.0, "input_dropout": 0.0,
    }  # fmt: skip
    return DetrSizes(**{**small, **changes})


def bm_detr(**changes: Any) -> BMDetr:
    """A small BM-DETR with fixed weights."""
    torch.manual_seed(0)
    weights = SetWeights(span=1, giou=8, label=8, saliency=4, match_span=1, match_giou=8, match_class=8)
    return BMDetr(BMDetrConfig(**{"sizes": sizes(), "weights": weights, "alignment_size": 6, **changes}), SHAPE)


def detr_batch(seed: int = 0, durations: float = 20.0) -> DetrBatch:
    """Three sentences of 5, 2 and 4 words over 12, 7 and 10 clips, each with one window and a negative sentence."""
    g = torch.Generator().manual_seed(seed)
    mask, words_mask = torch.arange(12) < COUNTS[:, None], torch.arange(5) < LENGTHS[:, None]
    negative_mask = torch.arange(6) < torch.tensor([3, 6, 1])[:, None]
    windows = torch.stack((0.3 + 0.4 * torch.rand(3, generator=g), 0.2 + 0.2 * torch.rand(3, generator=g)), dim=-1)
    return DetrBatch(
        frames=with_endpoints(torch.randn(3, 12, 6, generator=g) * mask[..., None], mask),
        frame_mask=mask,
        words=torch.randn(3, 5, 5, generator=g) * words_mask[..., None],
        word_ids=torch.ones(3, 5, dtype=torch.long) * words_mask,
        word_mask=words_mask,
        word_weights=words_mask / words_mask.sum(1, keepdim=True),
        spans=windows,
        durations=torch.full((3,), durations),
        query_ids=("q0", "q1", "q2"),
        video_ids=("v0", "v1", "v2"),
        windows=windows[:, None],
        window_mask=torch.ones(3, 1, dtype=torch.bool),
        negative_words=torch.randn(3, 6, 5, generator=g) * negative_mask[..., None],
        negative_mask=negative_mask,
    )
