"""Recurrent reconstructors for P3 Table 6: the same job as the dual transformer, by GRUs or LSTMs.

No released code settles them; this is the definition of this project.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.errors import ConfigError
from vmlkit.nn.transformer import Conditioning, Reconstruction

Cell = Literal["gru", "lstm"]


class RecurrentReconstructor(nn.Module):
    """A bidirectional encoder over ``g V``; a decoder over the words that attends to the encoder's states under g.

    The decoder starts from a linear map of the g-weighted mean state; at every word it reads the states with weights
    ``softmax(dot) g``, renormalised.  Same signature as :meth:`vmlkit.nn.transformer.DualTransformer.reconstruct`.
    """

    def __init__(self, hidden: int, cell: Cell, video_layers: int = 1, text_layers: int = 1) -> None:
        super().__init__()
        if hidden % 2:
            raise ConfigError(f"setting 'hidden' must be even for a recurrent reconstructor, not {hidden}")
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.encoder = kind(hidden, hidden // 2, video_layers, batch_first=True, bidirectional=True)
        self.decoder = kind(hidden, hidden, text_layers, batch_first=True)
        self.initial = nn.Linear(hidden, hidden)
        self.combine = nn.Linear(2 * hidden, hidden)
        self.cell = cell

    def reconstruct(
        self,
        video: Float[Tensor, "B S D"],
        video_mask: Bool[Tensor, "B S"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        conditioning: Conditioning,
    ) -> Reconstruction:
        """The sentence read from the clips, once for each of R weightings."""
        weight = conditioning.weight * video_mask[:, None]  # (B, R, S)
        rows = weight.shape[1]
        states, _ = self.encoder((weight[..., None] * video[:, None]).flatten(0, 1))  # (B*R, S, D)
        flat = weight.flatten(0, 1)
        mean = (flat[..., None] * states).sum(1) / (flat.sum(1, keepdim=True) + 1e-10)
        start = torch.tanh(self.initial(mean)).expand(self.decoder.num_layers, -1, -1).contiguous()  # (layers, B*R, D)
        words = text[:, None].expand(-1, rows, -1, -1).flatten(0, 1)
        begin = start if self.cell == "gru" else (start, torch.zeros_like(start))
        out, _ = self.decoder(words, begin)  # (B*R, L, D)
        scores = (out @ states.transpose(1, 2)) / states.shape[-1] ** 0.5
        attention = scores.softmax(-1) * (flat[:, None] + 1e-10)
        attention = attention / attention.sum(-1, keepdim=True)
        read = torch.tanh(self.combine(torch.cat((out, attention @ states), dim=-1)))
        return Reconstruction(
            hidden=read.unflatten(0, (-1, rows)),
            memory=states.unflatten(0, (-1, rows)),
            attention=attention.unflatten(0, (-1, rows))[:, :, None],
        )
