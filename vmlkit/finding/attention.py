"""Where each word of a sentence looks in a video: the reconstructor's attention, over all windows.

Axes: L words, T columns of equal length over the whole video.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from vmlkit.errors import ConfigError
from vmlkit.finding.finder import Finder
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.front import Generator
from vmlkit.training.evaluate import undisturbed

#: columns of the result
COLUMNS = 240


@dataclass(frozen=True)
class WordAttention:
    """Attention of each word over the seconds of a video, in shares of what even attention would give."""

    words: tuple[str, ...]
    weights: Float[np.ndarray, "L T"]  #: 1 is even attention
    duration_s: float


def word_attention(finder: Finder, sentence: str) -> WordAttention:
    """What the reconstructor looks at when it says each word, with every word before it in sight and no proposal.

    Overlapping windows are averaged.

    Raises:
        ConfigError: for a model that does not reconstruct its sentence, or before any video was encoded.
        DataError: for a sentence without a known word.
    """
    model, windows = finder.model, finder.windows
    method = getattr(model.method, "host", model.method) if model is not None else None
    if model is None or windows is None or not isinstance(method, Generator):
        raise ConfigError("attention per word needs a run of CNM, CPL, PPS or LNP, and an encoded video")
    asked = model.read([sentence], None, finder.cache_dir)
    data = model.data_set(windows, asked)
    with undisturbed(method) as device:
        batch = data.batch(range(len(data))).to(device)
        encoded = method.encode(batch, torch.zeros_like(batch.word_mask))
        everything = Conditioning(torch.ones_like(encoded.clip_mask, dtype=torch.float32)[:, None], maps=True)
        read = method.reconstructor(
            encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, everything
        ).attention
    assert read is not None
    maps = read[:, 0].mean(1).cpu().numpy()[:, : len(asked.tokens[0])]  # (W, L, S)
    duration = float(windows.bounds[-1, 1])
    middles = (np.arange(COLUMNS) + 0.5) / COLUMNS * duration
    total, count = np.zeros((maps.shape[1], COLUMNS)), np.zeros(COLUMNS)
    for each, (start, end) in zip(maps, windows.bounds, strict=True):
        inside = (middles >= start) & (middles < end)
        cells = ((middles[inside] - start) / (end - start) * each.shape[1]).astype(int)
        total[:, inside] += each[:, cells] * each.shape[1]
        count[inside] += 1
    return WordAttention(asked.tokens[0], total / np.maximum(count, 1), duration)
