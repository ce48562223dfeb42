"""CLIP's transformer block, and X-CLIP's temporal encoders on top of frame features.

Axes: B videos (or texts), T frames (or words), D width.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.errors import ConfigError
from vmlkit.nn.attention import MaskedAttention, Masking
from vmlkit.nn.similarity import masked_mean, unit

Header = Literal["seqTransf", "meanP", "seqLSTM"]
#: CLIP's own LayerNorm constant in the released temporal encoder
NORM_EPS = 1e-12


class ResidualBlock(nn.Module):
    """Pre-norm block of CLIP: ``z + MHA(LN z)``, then ``z + W2 g(W1 LN z)``, ``g(u) = u sigmoid(1.702 u)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = MaskedAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, z: Float[Tensor, "B T D"], masking: Masking) -> Float[Tensor, "B T D"]:
        """One block; a row without any valid key attends uniformly."""
        attended, _ = self.attention(self.attention_norm(z)[:, None], masking=masking)
        z = z + attended[:, 0]
        hidden = self.expand(self.mlp_norm(z))
        found: Tensor = z + self.contract(hidden * torch.sigmoid(1.702 * hidden))
        return found


class TemporalEncoder(nn.Module):
    """X-CLIP's three ways to let frames know of each other; all but "meanP" with a residual around the whole encoder.

    * ``seqTransf``: learnt positions and pre-norm blocks (initialised from CLIP's text transformer in the release);
    * ``seqLSTM``: one LSTM layer; padding lies at the end, so valid frames never see it;
    * ``meanP``: nothing.
    """

    def __init__(self, width: int, header: Header, layers: int, heads: int, positions: int) -> None:
        super().__init__()
        if header not in ("seqTransf", "meanP", "seqLSTM"):
            raise ConfigError(f"setting 'header' is {header!r}: choose 'seqTransf', 'meanP' or 'seqLSTM'")
        self.header = header
        if header == "seqTransf":
            self.positions = nn.Embedding(positions, width)
            nn.init.normal_(self.positions.weight, std=0.01)
            self.blocks = nn.ModuleList(ResidualBlock(width, heads) for _ in range(layers))
        elif header == "seqLSTM":
            self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, frames: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Frames that know of each other."""
        if self.header == "meanP":
            return frames
        if self.header == "seqLSTM":
            found: Tensor = self.lstm(frames)[0] + frames
            return found
        z, masking = frames + self.positions.weight[: frames.shape[1]], Masking(key_mask=mask)
        for block in self.blocks:
            z = block(z, masking)
        return z + frames


def pooled(frames: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """``unit(mean_t unit(frame_t))`` over valid frames: every frame is normalised before pooling, the mean again."""
    return unit(masked_mean(unit(frames), mask))
