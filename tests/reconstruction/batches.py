"""A small random batch for model tests."""

import torch

from vmlkit.data.batches import MomentBatch
from vmlkit.nn.transformer import TransformerConfig
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.training.method import DataShape

SHAPE = DataShape(frame_dim=6, word_dim=5, vocabulary=11)
LENGTHS = (5, 2, 4)


def small(**changes: object) -> ReconstructionConfig:
    """Two heads, one layer a stack, no dropout."""
    settings = {"hidden": 8, "heads": 2, "video_layers": 1, "text_layers": 1, "dropout": 0.0, **changes}
    return ReconstructionConfig(transformer=TransformerConfig(**settings))  # type: ignore[arg-type]


def random_batch(seed: int = 0, padding: int = 0, device: str = "cpu") -> MomentBatch:
    """Three sentences of 5, 2 and 4 words over 40 clips; ``padding`` adds empty word columns."""
    g = torch.Generator().manual_seed(seed)
    count, columns = len(LENGTHS), max(LENGTHS)
    mask = torch.arange(columns) < torch.tensor(LENGTHS)[:, None]
    batch = {
        "frames": torch.randn(count, 40, 6, generator=g),
        "words": torch.randn(count, columns, 5, generator=g) * mask[..., None],
        "word_ids": torch.randint(1, 11, (count, columns), generator=g) * mask,
        "word_mask": mask,
        "word_weights": mask / mask.sum(1, keepdim=True),
    }
    for name in ("words", "word_ids", "word_mask", "word_weights"):
        pad = (0, 0, 0, padding) if name == "words" else (0, padding)
        batch[name] = torch.nn.functional.pad(batch[name], pad)
    return MomentBatch(
        frame_mask=torch.ones(count, 40, dtype=torch.bool),
        spans=None,
        durations=torch.full((count,), 20.0),
        query_ids=("q0", "q1", "q2"),
        video_ids=("v0", "v1", "v2"),
        **batch,
    ).to(device)
