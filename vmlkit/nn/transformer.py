"""The mask-conditioned dual transformer that CNM, CPL, PPS, P0 and VLC share.

One pair of stacks serves two jobs:

* **generate**: the text stack encodes the sentence, the video stack reads the clips and attends to it;
* **reconstruct**: the video stack encodes the clips *under a proposal's mask*, the text stack attends to them under
  the same mask and predicts the sentence.

In CNM and CPL the video stack is therefore at once "generator decoder" and "reconstructor encoder".  Self-attention is
causal in every stack, the "encoders" included.

Every tensor carries a row axis R beside the batch axis B: the proposals of one query.  What does not depend on a
proposal (scores of the first video layer, first word self-attention) has R = 1 and is computed once.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.config import at_least, divisible, share
from vmlkit.nn.attention import AttentionForm, MaskedAttention
from vmlkit.nn.tables import device_table


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a dual transformer; defaults are those of the CNM, CPL and PPS papers."""

    hidden: int = 256  #: D
    heads: int = 4  #: H
    video_layers: int = 3
    text_layers: int = 3
    dropout: float = 0.1
    attention: AttentionForm = "prob"  #: how a mask enters attention; "logit" is the CNM paper's equation
    causal_video: bool = True  #: False lets clips see the future while reconstructing (not in any release)

    def __post_init__(self) -> None:
        divisible(self.hidden, self.heads)
        at_least(self, 4, "hidden")  # the table of word positions
        at_least(self, 1, "video_layers text_layers")
        share(self, "dropout")


def word_positions(length: int, hidden: int) -> Float[Tensor, "L D"]:
    """Position table: row p is ``[sin(p w_i) | cos(p w_i)]``, ``w_i = exp(-i ln(1e4) / (D/2 - 1))``.

    The halves are not interleaved, and row 0 is **zero**: the start token carries no position.

    >>> word_positions(2, 4)[0].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    half = hidden // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates[None]
    table = torch.cat((angles.sin(), angles.cos()), dim=1)
    if hidden % 2:
        table = torch.nn.functional.pad(table, (0, 1))
    table[0] = 0.0
    return table


def positions_of(text: Float[Tensor, "*A L D"]) -> Float[Tensor, "L D"]:
    """:func:`word_positions` of the last two axes of ``text``, on its device and in its type; kept, not made anew."""
    return device_table(word_positions, text.shape[-2], text.shape[-1], device=text.device, dtype=text.dtype)


class DropoutTape:
    """Dropout that can be played back for a chosen row: masks of one pass over ``(B, R, ...)`` rows, as drawn.

    Choosing the best of P proposals needs all P passes, but the loss differentiates only the winner.  A tape keeps the
    masks of a pass without graph, so that the winner can be run again *with* one under the very masks that made it
    win: the loss and gradients of keeping the graph of all P rows, for a fraction of the work.

    ``with torch.no_grad(): run(tape)`` records; ``tape.rewind(best)`` then makes the next pass use, for its row 0, the
    recorded mask of row ``best[b]``, and fresh masks for any further rows.
    """

    def __init__(self) -> None:
        self._masks: list[Float[Tensor, "B R ..."]] = []
        self._chosen: Int[Tensor, " B"] | None = None
        self._next = 0

    def rewind(self, chosen: Int[Tensor, " B"]) -> "DropoutTape":
        """Switch from recording to playing, with the winner of each query."""
        self._chosen, self._next = chosen, 0
        return self

    def __call__(self, x: Float[Tensor, "B R ..."], p: float) -> Float[Tensor, "B R ..."]:
        """Drop entries of ``x`` with probability ``p`` and scale the rest by ``1 / (1 - p)``."""
        mask = torch.rand_like(x).ge_(p)  # ones and zeros in the type of x: no boolean to convert
        if self._chosen is None:
            self._masks.append(mask)
        else:
            recorded = self._masks[self._next]
            self._next += 1
            index = self._chosen.view(-1, 1, *(1 for _ in x.shape[2:])).expand(-1, 1, *x.shape[2:])
            mask = torch.cat((recorded.gather(1, index), mask[:, 1:]), dim=1)
        return (x * mask).div_(1 - p)


@dataclass(frozen=True)
class Conditioning:
    """What a proposal does to attention over clips: its mask ``(B, R, S)`` and an optional gate ``(B, R)``.

    A tape records or plays back the dropout of the pass.
    """

    weight: Float[Tensor, "B R S"]
    gate: Float[Tensor, "B R"] | None = None
    tape: DropoutTape | None = None
    form: AttentionForm | None = None  #: None is the transformer's own


class DecoderLayer(nn.Module):
    """Post-norm layer: causal self-attention, optional cross-attention, feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size = config.hidden
        self.self_attention = MaskedAttention(size, config.heads, config.attention)
        self.cross_attention = MaskedAttention(size, config.heads, config.attention)
        self.expand = nn.Linear(size, 2 * size)
        self.contract = nn.Linear(2 * size, size)
        self.self_norm, self.cross_norm, self.final_norm = (nn.LayerNorm(size) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B #R Q D"],
        mask: Bool[Tensor, "B Q"] | None,
        *,
        own: Conditioning | None = None,
        memory: Float[Tensor, "B #R K D"] | None = None,
        memory_mask: Bool[Tensor, "B K"] | None = None,
        cross: Conditioning | None = None,
        causal: bool = True,
        tape: DropoutTape | None = None,
    ) -> tuple[Float[Tensor, "B #R Q D"], Tensor | None]:
        """One layer; the second value is the cross-attention map, where there is one.

        Without ``memory`` the cross-attention sub-layer *and its norm* are skipped.
        """
        attended, _ = self.self_attention(x, key_mask=mask, causal=causal, **_kwargs(own))
        if memory is not None and attended.shape[1] < memory.shape[1]:
            # Each proposal draws its own dropout, as if it had been computed in its own row.
            attended = attended.expand(-1, memory.shape[1], -1, -1)
        x = self.self_norm(x + self._drop(attended, tape))
        attention = None
        if memory is not None:
            attended, attention = self.cross_attention(x, memory, key_mask=memory_mask, **_kwargs(cross))
            x = self.cross_norm(x + self._drop(attended, tape))
        return self.final_norm(x + self._drop(self.contract(torch.relu(self.expand(x))), tape)), attention

    def _drop(self, x: Tensor, tape: DropoutTape | None) -> Tensor:
        if tape is None or not self.training or self.dropout.p == 0:
            found: Tensor = self.dropout(x)
            return found
        return tape(x, self.dropout.p)


def _kwargs(conditioning: Conditioning | None) -> dict[str, Any]:
    if conditioning is None:
        return {}
    return {"weight": conditioning.weight, "gate": conditioning.gate, "form": conditioning.form}


class DualTransformer(nn.Module):
    """A video stack and a text stack in the two modes of the module docstring."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.video_stack = nn.ModuleList(DecoderLayer(config) for _ in range(config.video_layers))
        self.text_stack = nn.ModuleList(DecoderLayer(config) for _ in range(config.text_layers))

    def generate(
        self,
        video: Float[Tensor, "B T D"],
        video_mask: Bool[Tensor, "B T"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B L D"]]:
        """Clips that have read the sentence, and the sentence memory they read (no temporal mask anywhere)."""
        memory = text[:, None]
        for layer in self.text_stack:
            memory, _ = layer(memory, text_mask)
        x = video[:, None]
        for layer in self.video_stack:
            x, _ = layer(x, video_mask, memory=memory, memory_mask=text_mask)
        return x[:, 0], memory[:, 0]

    def reconstruct(
        self,
        video: Float[Tensor, "B S D"],
        video_mask: Bool[Tensor, "B S"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        conditioning: Conditioning,
    ) -> "Reconstruction":
        """The masked sentence read from the clips, once for each of R proposals.

        A mask of ones is plain attention: that is how the whole-video reference joins the same call.
        """
        x = video[:, None]
        for layer in self.video_stack:
            x, _ = layer(x, video_mask, own=conditioning, causal=self.config.causal_video, tape=conditioning.tape)
        out, attention = text[:, None], None
        for layer in self.text_stack:
            out, attention = layer(
                out, text_mask, memory=x, memory_mask=video_mask, cross=conditioning, tape=conditioning.tape
            )
        return Reconstruction(hidden=out, memory=x, attention=attention)

    forward = reconstruct


@dataclass(frozen=True)
class Reconstruction:
    """What a pass of :meth:`DualTransformer.reconstruct` leaves behind."""

    hidden: Float[Tensor, "B R L D"]
    memory: Float[Tensor, "B R S D"]  #: clips as encoded under each mask
    attention: Float[Tensor, "B R H L S"] | None  #: of the last text layer
