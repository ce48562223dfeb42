"""What Moment-DETR, QD-DETR and BM-DETR share: projections, encoder and the plain decoder.

A *token* is a projected clip or word; positions are added to queries and keys, never to values; padded tokens are
computed as queries (their values are finite and mean nothing) but hidden as keys.
Axes: B queries, S tokens, Q moment queries, D hidden, H heads.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.config import at_least, divisible, share
from vmlkit.detr.attention import Attention, Readable, key_bias, read_once
from vmlkit.errors import ConfigError
from vmlkit.nn.dropout import Dropout

#: the released choices that can run: "glu", which they name too, halves the features and the next layer refuses them
Activation = Literal["relu", "gelu", "prelu", "selu"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "prelu": nn.PReLU,  # one learned slope a layer, 0.25 at first
    "selu": nn.SELU,
}


@dataclass(frozen=True, kw_only=True)
class DetrSizes:
    """Sizes of a DETR-family network; defaults are Moment-DETR's."""

    hidden: int = 256  #: D
    heads: int = 8  #: H
    feed_forward: int = 1024
    encoder_layers: int = 2
    decoder_layers: int = 2
    queries: int = 10  #: Q, moment queries
    projection_layers: int = 2  #: blocks of each input projection
    dropout: float = 0.1  #: in the transformer
    input_dropout: float = 0.5  #: before each linear layer of the input projections
    text_positions: bool = False  #: learned word positions in queries and keys of the encoder (``use_txt_pos``)
    max_words: int = 32  #: rows of the table of word positions
    #: Moment-DETR: layers norm what they read instead of what they sum, and the encoder ends with a norm; BM-DETR: that
    #: last norm alone, as released; QD-DETR refuses it
    pre_norm: bool = False

    def __post_init__(self) -> None:
        divisible(self.hidden, self.heads)
        if self.hidden % 2:
            raise ConfigError(f"setting 'hidden' must be even, for sines and cosines, not {self.hidden}")
        at_least(self, 1, "hidden feed_forward encoder_layers decoder_layers queries projection_layers max_words")
        share(self, "dropout input_dropout")


class MLP(nn.Module):
    """Linear layers with ReLU between them, none after the last."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Float[Tensor, "... a"]) -> Float[Tensor, "... b"]:
        """Apply the layers in order."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        found: Tensor = self.layers[-1](x)
        return found


class ProjectionBlock(nn.Module):
    """Layer norm, dropout, linear."""

    def __init__(self, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout, self.linear = nn.LayerNorm(size), Dropout(dropout), nn.Linear(size, hidden)

    def forward(self, x: Float[Tensor, "B S a"]) -> Float[Tensor, "B S D"]:
        """Without the activation that follows all blocks but the last."""
        found: Tensor = self.linear(self.dropout(self.norm(x)))
        return found


class InputProjection(nn.ModuleList):
    """Blocks from a feature size to the hidden size, with ReLU between them."""

    def __init__(self, size: int, sizes: DetrSizes) -> None:
        hidden = sizes.hidden
        super().__init__(
            ProjectionBlock(size if i == 0 else hidden, hidden, sizes.input_dropout)
            for i in range(sizes.projection_layers)
        )

    def forward(self, x: Float[Tensor, "B S a"]) -> Float[Tensor, "B S D"]:
        """Project a sequence."""
        for block in list(self)[:-1]:
            x = torch.relu(block(x))
        found: Tensor = self[-1](x)
        return found


class TextPositions(nn.Module):
    """``Dropout(LN(text + table))``: it is added to the text again, so the words enter queries and keys twice.

    Without ``text_positions`` the module exists, as in the releases, and is never called.
    """

    def __init__(self, sizes: DetrSizes) -> None:
        super().__init__()
        self.table = nn.Embedding(sizes.max_words, sizes.hidden)
        self.norm, self.dropout = nn.LayerNorm(sizes.hidden), Dropout(sizes.input_dropout)

    def forward(self, text: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Positions of projected words."""
        found: Tensor = self.dropout(self.norm(text + self.table.weight[: text.shape[1]]))
        return found


class FeedForward(nn.Module):
    """``W2 drop(act(W1 x))``."""

    def __init__(self, sizes: DetrSizes, activation: Activation) -> None:
        super().__init__()
        self.expand = nn.Linear(sizes.hidden, sizes.feed_forward)
        self.contract = nn.Linear(sizes.feed_forward, sizes.hidden)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Two linear layers."""
        found: Tensor = self.contract(self.dropout(self.activation(self.expand(x))))
        return found


class ResidualLayer(nn.Module):
    """What the layers of all encoders and decoders are made of: sublayers with a residual and a norm each."""

    def follow(self, sizes: DetrSizes, activation: Activation, *, sublayers: int, pre_norm: bool) -> None:
        """Add what follows the attention: feed-forward (the last of the sublayers), a norm for each, dropout.

        Args:
            pre_norm: ``x + f(LN(x))`` instead of ``LN(x + f(x))``.
        """
        self.pre_norm, self.feed_forward = pre_norm, FeedForward(sizes, activation)
        for number in range(1, sublayers + 1):
            self.add_module(f"norm{number}", nn.LayerNorm(sizes.hidden))
        self.dropout = Dropout(sizes.dropout)

    def add(self, x: Float[Tensor, "B S D"], find: Callable[[Tensor], Tensor], number: int) -> Float[Tensor, "B S D"]:
        """``x`` with what sublayer ``number`` finds in it."""
        norm: nn.Module = getattr(self, f"norm{number}")
        found: Tensor = x + self.dropout(find(norm(x))) if self.pre_norm else norm(x + self.dropout(find(x)))
        return found


class EncoderLayer(ResidualLayer):
    """Self-attention, feed-forward."""

    def __init__(self, sizes: DetrSizes, activation: Activation, *, pre_norm: bool = False) -> None:
        super().__init__()
        self.attention = Attention(sizes.hidden, sizes.heads, sizes.dropout)
        self.follow(sizes, activation, sublayers=2, pre_norm=pre_norm)

    def forward(
        self, x: Float[Tensor, "B S D"], positions: Float[Tensor, "B S D"], bias: Float[Tensor, "B #H 1 S"]
    ) -> Float[Tensor, "B S D"]:
        """One layer; ``bias`` hides the padding, see :func:`vmlkit.detr.attention.key_bias`."""
        x = self.add(x, lambda y: self.attention.among(y + positions, y, bias), 1)
        return self.add(x, self.feed_forward, 2)


class CrossEncoderLayer(EncoderLayer):
    """QD-DETR's text-to-video layer: clips attend to words.

    # PAPER: post-norm, ``y = LN1(x + a); LN2(y + FF(y))`` / CODE: the second residual is the sum before the first norm,
    # ``LN2(x + a + FF(y))`` -> normed_residual
    """

    norm1: nn.LayerNorm
    norm2: nn.LayerNorm

    def __init__(self, sizes: DetrSizes, activation: Activation, *, normed_residual: bool) -> None:
        super().__init__(sizes, activation)
        self.normed_residual = normed_residual

    def read(
        self,
        x: Float[Tensor, "B T D"],
        positions: Float[Tensor, "B T D"],
        words: Readable,
        bias: Float[Tensor, "B #H #T L"],
    ) -> Float[Tensor, "B T D"]:
        """Clips ``x`` after reading the words."""
        summed = x + self.dropout(self.attention.read(x + positions, words, bias))
        normed = self.norm1(summed)
        made: Tensor = self.norm2(
            (normed if self.normed_residual else summed) + self.dropout(self.feed_forward(normed))
        )
        return made


class Encoder(nn.Module):
    """A stack of encoder layers, cloned: they start from the same biases, as the releases do.

    Args:
        scaled_positions: BM-DETR: positions are rescaled by the content before each layer.

    # PAPER: (silent) / CODE: with ``pre_norm``, BM-DETR's layers stay as they are, only the last norm comes -> pre_norm
    """

    def __init__(self, sizes: DetrSizes, activation: Activation, *, scaled_positions: bool = False) -> None:
        super().__init__()
        self.heads = sizes.heads
        layer = EncoderLayer(sizes, activation, pre_norm=sizes.pre_norm and not scaled_positions)
        self.layers = clones(layer, sizes.encoder_layers)
        self.position_scale = MLP(sizes.hidden, sizes.hidden, sizes.hidden) if scaled_positions else None
        self.norm = nn.LayerNorm(sizes.hidden) if sizes.pre_norm else None

    def forward(
        self, x: Float[Tensor, "B S D"], positions: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"]
    ) -> Float[Tensor, "B S D"]:
        """Encode a sequence of tokens."""
        bias = key_bias(mask, self.heads, x.dtype)
        for layer in self.layers:
            scaled = positions if self.position_scale is None else positions * self.position_scale(x)
            x = layer(x, scaled, bias)
        return x if self.norm is None else self.norm(x)


class CrossEncoder(nn.Module):
    """A stack of text-to-video layers."""

    def __init__(self, layer: CrossEncoderLayer, count: int) -> None:
        super().__init__()
        self.layers = clones(layer, count)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        positions: Float[Tensor, "B T D"],
        text: Float[Tensor, "B L D"],
        text_positions: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        blocked: Bool[Tensor, "B H T L"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Clips ``x`` after all layers.

        Args:
            blocked: further pairs of a clip and a word that must not meet.
        """
        attentions: list[Any] = [layer.attention for layer in self.layers]
        bias = key_bias(text_mask, attentions[0].heads, x.dtype)
        if blocked is not None:
            bias = bias.masked_fill(blocked, -torch.inf)
        for layer, words in zip(self.layers, read_once(attentions, text + text_positions, text), strict=True):
            x = layer.read(x, positions, words, bias)  # type: ignore[operator]
        return x


class DecoderLayer(ResidualLayer):
    """Self-attention among moment queries, cross-attention to the memory, feed-forward."""

    def __init__(self, sizes: DetrSizes, activation: Activation) -> None:
        super().__init__()
        self.self_attention = Attention(sizes.hidden, sizes.heads, sizes.dropout)
        self.cross_attention = Attention(sizes.hidden, sizes.heads, sizes.dropout)
        self.follow(sizes, activation, sublayers=3, pre_norm=sizes.pre_norm)

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        query_positions: Float[Tensor, "#B Q D"],
        memory: Readable,
        bias: Float[Tensor, "B #H 1 S"],
    ) -> Float[Tensor, "B Q D"]:
        """One layer."""
        x = self.add(x, lambda y: self.self_attention.among(y + query_positions, y), 1)
        x = self.add(x, lambda y: self.cross_attention.read(y + query_positions, memory, bias), 2)
        return self.add(x, self.feed_forward, 3)


class PlainDecoder(nn.Module):
    """Moment-DETR's decoder: learned query positions, zero content, one output norm shared by all layers."""

    def __init__(self, sizes: DetrSizes, activation: Activation) -> None:
        super().__init__()
        self.layers = clones(DecoderLayer(sizes, activation), sizes.decoder_layers)
        self.norm = nn.LayerNorm(sizes.hidden)

    def forward(
        self,
        queries: Float[Tensor, "Q D"],
        memory: Float[Tensor, "B S D"],
        positions: Float[Tensor, "B S D"],
        mask: Bool[Tensor, "B S"],
    ) -> tuple[Float[Tensor, "layers B Q D"], None]:
        """Normed output of every layer (the *un-normed* one feeds the next); these queries have no reference spans."""
        x, outputs = memory.new_zeros(memory.shape[0], *queries.shape), []
        attentions: list[Any] = [layer.cross_attention for layer in self.layers]
        bias = key_bias(mask, attentions[0].heads, x.dtype)
        for layer, tokens in zip(self.layers, read_once(attentions, memory + positions, memory), strict=True):
            x = layer(x, queries[None], tokens, bias)
            outputs.append(x)
        return self.norm(torch.stack(outputs)), None


def clones(layer: nn.Module, count: int) -> nn.ModuleList:
    """``count`` deep copies."""
    return nn.ModuleList(copy.deepcopy(layer) for _ in range(count))


def initialise_(transformer: nn.Module) -> None:
    """Xavier-uniform matrices; zero biases of packed attention; everything else stays as PyTorch made it."""
    for parameter in transformer.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    for module in transformer.modules():
        if isinstance(module, Attention):
            nn.init.zeros_(module.in_proj.bias)
            nn.init.zeros_(module.out_proj.bias)
