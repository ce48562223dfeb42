"""The decoder whose queries are spans (conditional attention, DAB style): QD-DETR and BM-DETR.

A moment query is a span ``r = (c, w)``.  Its sine features steer cross-attention to where the span is; between layers
QD-DETR refines the span, BM-DETR keeps it.  The released decoders of both ignore ``pre_norm``.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.detr.layers import MLP, Activation, DetrSizes, ResidualLayer, attend, clones, split_heads
from vmlkit.nn.positions import span_positions


def inverse_sigmoid(x: Float[Tensor, "..."], eps: float = 1e-3) -> Float[Tensor, "..."]:
    """``log(max(x, eps) / max(1 - x, eps))`` of x clamped to [0, 1]."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp_min(eps) / (1 - x).clamp_min(eps))


class OutProjection(nn.Module):
    """Attention of which only the output projection is learned here (the inputs come projected)."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.out_proj = nn.Linear(hidden, hidden)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Bool[Tensor, "B K"] | None = None) -> Tensor:
        """``q, k (B, H, *, a)``, ``v (B, H, K, d)`` -> ``(B, Q, D)``."""
        found: Tensor = self.out_proj(attend(q, k, v, key_mask=mask, dropout=self.dropout if self.training else 0.0))
        return found


class SpanDecoderLayer(ResidualLayer):
    """Content and position are projected apart; in cross-attention they are concatenated head by head."""

    def __init__(self, sizes: DetrSizes, activation: Activation) -> None:
        super().__init__()
        size, self.heads = sizes.hidden, sizes.heads
        self.sa_query, self.sa_query_position = nn.Linear(size, size), nn.Linear(size, size)
        self.sa_key, self.sa_key_position = nn.Linear(size, size), nn.Linear(size, size)
        self.sa_value = nn.Linear(size, size)
        self.self_attention = OutProjection(size, sizes.heads, sizes.dropout)
        self.ca_query, self.ca_key, self.ca_value = (nn.Linear(size, size) for _ in range(3))
        self.ca_query_position: nn.Linear | None = nn.Linear(size, size)  # the first layer's alone
        self.ca_key_position, self.ca_query_sine = nn.Linear(size, size), nn.Linear(size, size)
        self.cross_attention = OutProjection(size, sizes.heads, sizes.dropout)
        self.follow(sizes, activation, sublayers=3, pre_norm=False)

    def among(self, x: Float[Tensor, "B Q D"], where: Float[Tensor, "B Q D"]) -> Float[Tensor, "B Q D"]:
        """Self-attention of the moment queries."""
        q = self.sa_query(x) + self.sa_query_position(where)
        k = self.sa_key(x) + self.sa_key_position(where)
        found: Tensor = self.self_attention(*(split_heads(t, self.heads) for t in (q, k, self.sa_value(x))))
        return found

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        query_positions: Float[Tensor, "B Q D"],
        sine: Float[Tensor, "B Q D"],
        memory: Float[Tensor, "B S D"],
        positions: Float[Tensor, "B S D"],
        mask: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B Q D"]:
        """One layer; ``sine`` are the (scaled) sine features of each query's span."""

        def read(y: Tensor) -> Float[Tensor, "B Q D"]:
            q, k, where = self.ca_query(y), self.ca_key(memory), self.ca_key_position(positions)
            if self.ca_query_position is not None:
                q, k = q + self.ca_query_position(query_positions), k + where
            parts = (q, k, where, self.ca_query_sine(sine), self.ca_value(memory))
            q, k, where, steer, v = (split_heads(part, self.heads) for part in parts)
            where = where.expand(k.shape[0], -1, -1, -1)
            found: Tensor = self.cross_attention(torch.cat((q, steer), -1), torch.cat((k, where), -1), v, mask)
            return found

        x = self.add(x, lambda y: self.among(y, query_positions), 1)
        return self.add(self.add(x, read, 2), self.feed_forward, 3)


class SpanDecoder(nn.Module):
    """Decoder over span queries.

    Args:
        coordinates: which coordinate's sine features come first (QD-DETR: the center's, BM-DETR: the width's).
        refine: move the spans between layers (QD-DETR).
        anchor_outputs: outputs of the head that modulates the width; BM-DETR has two and uses the first.
    """

    def __init__(
        self,
        sizes: DetrSizes,
        activation: Activation,
        *,
        coordinates: Literal["center", "width"],
        refine: bool,
        anchor_outputs: int,
    ) -> None:
        super().__init__()
        size, self.coordinates = sizes.hidden, coordinates
        self.layers = clones(SpanDecoderLayer(sizes, activation), sizes.decoder_layers)
        for layer in self.layers[1:]:
            layer.register_module("ca_query_position", None)
        self.norm = nn.LayerNorm(size)
        self.position_scale, self.reference_head = MLP(size, size, size), MLP(size, size, size)
        self.width_head = MLP(size, size, anchor_outputs)
        self.refinement = MLP(size, size, size, 2) if refine else None
        if self.refinement is not None:
            # meant to start as "no refinement"; the Xavier pass over all matrices undoes the weight (reference code)
            nn.init.zeros_(self.refinement.layers[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.refinement.layers[-1].bias)  # type: ignore[arg-type]

    def forward(
        self,
        queries: Float[Tensor, "Q 2"],
        memory: Float[Tensor, "B S D"],
        positions: Float[Tensor, "B S D"],
        mask: Bool[Tensor, "B S"],
    ) -> tuple[Float[Tensor, "layers B Q D"], Float[Tensor, "layers B Q 2"]]:
        """Normed output and reference span of every layer; ``queries`` before the sigmoid."""
        count, size = memory.shape[0], memory.shape[2]
        reference = torch.sigmoid(queries).expand(count, -1, -1)
        x = memory.new_zeros(count, queries.shape[0], size)
        outputs, references = [], [reference]
        for number, layer in enumerate(self.layers):
            center, width = (span_positions(reference[..., i], size // 2) for i in (0, 1))
            sine = torch.cat((center, width) if self.coordinates == "center" else (width, center), dim=-1)
            query_positions = self.reference_head(sine)
            if number:
                sine = sine * self.position_scale(x)
            sine = sine * (torch.sigmoid(self.width_head(x)[..., :1]) / reference[..., 1:])
            x = layer(x, query_positions, sine, memory, positions, mask)
            outputs.append(self.norm(x))
            if self.refinement is not None:
                moved = torch.sigmoid(self.refinement(x) + inverse_sigmoid(reference))
                references.append(moved)
                reference = moved.detach()
        kept = references[: len(self.layers)] if self.refinement is not None else references * len(self.layers)
        return torch.stack(outputs), torch.stack(kept)
