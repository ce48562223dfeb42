"""The decoder whose queries are spans (conditional attention, DAB style): QD-DETR and BM-DETR.

A moment query is a span ``r = (c, w)``.  Its sine features steer cross-attention to where the span is; between layers
QD-DETR refines the span, BM-DETR keeps it.  The released decoders of both ignore ``pre_norm``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vmlkit.detr.attention import attend, key_bias, packed, split_heads, split_parts
from vmlkit.detr.layers import MLP, Activation, DetrSizes, ResidualLayer, clones
from vmlkit.nn.positions import span_positions


def inverse_sigmoid(x: Float[Tensor, "..."], eps: float = 1e-3) -> Float[Tensor, "..."]:
    """``log(max(x, eps) / max(1 - x, eps))`` of x in [0, 1]."""
    return torch.log(x.clamp_min(eps) / (1 - x).clamp_min(eps))


class OutProjection(nn.Module):
    """Attention of which only the output projection is learned here (the inputs come projected)."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.out_proj = nn.Linear(hidden, hidden)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Float[Tensor, "B #H 1 K"] | None = None) -> Tensor:
        """``q, k (B, H, *, a)``, ``v (B, H, K, d)`` -> ``(B, Q, D)``."""
        found: Tensor = self.out_proj(attend(q, k, v, bias=bias, dropout=self.dropout if self.training else 0.0))
        return found


@dataclass(frozen=True)
class Placed:
    """What a layer knows of the spans of its queries; one row stands for all items where they are the same."""

    positions: Float[Tensor, "#B Q D"]  #: of the queries
    sine: Float[Tensor, "#B Q D"]  #: before it is scaled by the content
    width: Float[Tensor, "#B Q 1"]


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

    @property
    def positional(self) -> list[nn.Linear]:
        """The projections that read the queries' positions."""
        crossing = [] if self.ca_query_position is None else [self.ca_query_position]
        return [self.sa_query_position, self.sa_key_position, *crossing]

    def among(self, x: Float[Tensor, "B Q D"], where: Float[Tensor, "#B Q D2"]) -> Float[Tensor, "B Q D"]:
        """Self-attention of the moment queries; ``where`` is what their positions add to queries and keys."""
        content = F.linear(x, *packed((self.sa_query, self.sa_key, self.sa_value)))
        both, value = content.split((where.shape[-1], x.shape[-1]), dim=-1)
        q, k = split_parts(both + where, 2, self.heads).unbind(0)
        found: Tensor = self.self_attention(q, k, split_heads(value, self.heads))
        return found

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        where: Float[Tensor, "#B Q _"],
        sine: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B H S d2"],
        value: Float[Tensor, "B H S d"],
        bias: Float[Tensor, "B #H 1 S"],
    ) -> Float[Tensor, "B Q D"]:
        """One layer.

        Args:
            where: the queries' positions as :attr:`positional` project them, side by side.
            sine: the (scaled) sine features of each query's span.
            key: content and position of the tokens, see :meth:`SpanDecoder.read`.  In the first layer the position is
                part of the content too, on both sides: ``(q + p) (k + w) + s w = (q + p) k + (q + p + s) w``.
        """
        size = x.shape[-1]
        among, *crossing = where.split((2 * size, size), dim=-1) if self.ca_query_position is not None else (where,)

        def read(y: Tensor) -> Float[Tensor, "B Q D"]:
            q, steer = self.ca_query(y), self.ca_query_sine(sine)
            for position in crossing:
                q = q + position
                steer = steer + q
            both = torch.cat((split_heads(q, self.heads), split_heads(steer, self.heads)), -1)
            found: Tensor = self.cross_attention(both, key, value, bias)
            return found

        x = self.add(x, lambda y: self.among(y, among), 1)
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
        size, self.coordinates, self.heads = sizes.hidden, coordinates, sizes.heads
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

    def read(
        self, memory: Float[Tensor, "B S D"], positions: Float[Tensor, "B S D"]
    ) -> tuple[Float[Tensor, "layers B H S d2"], Float[Tensor, "layers B H S d"]]:
        """Keys (content, then position) and values of the memory for all layers, by one product of each input."""
        layers: list[Any] = list(self.layers)
        count, size = len(layers), memory.shape[-1]
        content = packed([layer.ca_key for layer in layers] + [layer.ca_value for layer in layers])
        both = F.linear(memory, *content).unflatten(-1, (2, count, self.heads, size // self.heads))
        key, value = both.permute(2, 3, 0, 4, 1, 5).unbind(0)
        where = F.linear(positions, *packed([layer.ca_key_position for layer in layers]))
        where = where.unflatten(-1, (count, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return torch.cat((key, where), dim=-1), value.contiguous()

    def place(self, reference: Float[Tensor, "#B Q 2"]) -> Placed:
        """Sine features and positions of spans."""
        first, second = reference.unbind(-1)
        half = (first, second) if self.coordinates == "center" else (second, first)
        sine = span_positions(torch.stack(half, dim=-1), self.norm.normalized_shape[0] // 2).flatten(-2)
        return Placed(self.reference_head(sine), sine, reference[..., 1:])

    def where(self, positions: Float[Tensor, "#B Q D"], layers: list[Any]) -> list[Float[Tensor, "#B Q _"]]:
        """Positions of the queries as each of the layers reads them, by one product."""
        linears = [layer.positional for layer in layers]
        sizes = [sum(linear.out_features for linear in group) for group in linears]
        found = F.linear(positions, *packed([linear for group in linears for linear in group]))
        return list(found.split(sizes, dim=-1))

    def forward(
        self,
        queries: Float[Tensor, "Q 2"],
        memory: Float[Tensor, "B S D"],
        positions: Float[Tensor, "B S D"],
        mask: Bool[Tensor, "B S"],
    ) -> tuple[Float[Tensor, "layers B Q D"], Float[Tensor, "layers B Q 2"]]:
        """Normed output and reference span of every layer; ``queries`` before the sigmoid."""
        reference, layers = torch.sigmoid(queries)[None], list(self.layers)
        x = memory.new_zeros(len(memory), queries.shape[0], memory.shape[2])
        bias, placed = key_bias(mask, self.heads, x.dtype), self.place(reference)
        where = self.where(placed.positions, layers if self.refinement is None else layers[:1])
        outputs, references = [], [reference.expand(len(x), -1, -1)]
        for number, (layer, key, value) in enumerate(zip(layers, *self.read(memory, positions), strict=True)):
            scale = torch.sigmoid(self.width_head(x)[..., :1]) / placed.width
            sine = placed.sine * (self.position_scale(x) * scale if number else scale)
            x = layer(x, where[number], sine, key, value, bias)
            outputs.append(x)
            if self.refinement is not None and len(outputs) < len(layers):
                references.append(torch.sigmoid(self.refinement(x) + inverse_sigmoid(reference)))
                reference = references[-1].detach()
                placed = self.place(reference)
                where += self.where(placed.positions, layers[len(outputs) : len(outputs) + 1])
        normed = self.norm(torch.stack(outputs))
        kept = references[0].expand(len(outputs), -1, -1, -1) if self.refinement is None else torch.stack(references)
        return normed, kept
