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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.config import at_least, divisible, share
from vmlkit.nn.attention import EVERYTHING, AttentionForm, MaskedAttention, Masking, full_precision
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
    """Dropout of whole passes that can be played back for a chosen row.

    Choosing the best of P proposals needs all P passes, but the loss differentiates only the winner.  A tape keeps the
    factors of a pass without graph, so that the winner can be run again *with* one under the very factors that made it
    win: the loss and gradients of keeping the graph of all P rows, for a fraction of the work.

    ``with torch.no_grad(): run(tape)`` records; ``tape.rewind(best)`` then makes the next pass use, for its row 0, the
    recorded factors of row ``best[b]``, and fresh ones for any further rows.
    """

    def __init__(self) -> None:
        self._kept: list[Float[Tensor, "K B R Q D"]] = []
        self._chosen: Int[Tensor, " B"] | None = None
        self._next = 0

    def rewind(self, chosen: Int[Tensor, " B"]) -> "DropoutTape":
        """Switch from recording to playing, with the winner of each query."""
        self._chosen, self._next = chosen, 0
        return self

    def __call__(self, blocks: int, rows: int, p: float, x: Float[Tensor, "B _ Q D"]) -> Float[Tensor, "K B R Q D"]:
        """:func:`dropout_factors`, recorded, or with what was recorded in row 0 and fresh draws in the others."""
        if self._chosen is None:
            self._kept.append(dropout_factors(blocks, rows, p, x))
            return self._kept[-1]
        recorded = self._kept[self._next]
        self._next += 1
        places = torch.arange(0, recorded.shape[1] * recorded.shape[2], recorded.shape[2], device=x.device)
        winner = recorded.flatten(1, 2).index_select(1, places + self._chosen).unsqueeze(2)
        return torch.cat((winner, dropout_factors(blocks, rows - 1, p, x)), dim=2)


def dropout_factors(blocks: int, rows: int, p: float, x: Float[Tensor, "B _ Q D"]) -> Float[Tensor, "K B R Q D"]:
    """Dropout for K residual blocks of a stack, in one draw: 0 with probability ``p``, else ``1 / (1 - p)``.

    Args:
        x: positions of a row, for their shape, device and type.
    """
    return _factors((blocks, x.shape[0], rows, *x.shape[2:]), p, x)


def _factors(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """Dropout's factors in float32, or in float64 as ``like`` is; the draws are the same whatever its type.

    A drawn integer of 64 bits serves four entries, which takes a fifth of the time of Bernoulli draws on a CPU; ``p``
    is therefore rounded to 1 / 65536, and the factor follows what it is rounded to.
    """
    count, dropped = math.prod(shape), round(p * 2**16)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[:count].ge_(dropped - 2**15)  # ones and zeros, from -2^15 to 2^15 - 1
    return kept.to(torch.promote_types(like.dtype, torch.float32)).mul_(1 / (1 - dropped / 2**16)).view(shape)


class QuickDropout(nn.Dropout):
    """Dropout by the draws of :func:`dropout_factors` on a CPU, where Bernoulli draws cost as much as a projection.

    Any other device has torch's own, which is one kernel on a card.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with some of its entries dropped."""
        if x.device.type != "cpu" or not (self.training and self.p):
            return super().forward(x)
        return x * _factors(x.shape, self.p, x)


@dataclass(frozen=True)
class Conditioning:
    """What a proposal does to attention over clips: its mask ``(B, R, S)`` and an optional gate ``(B, R)``.

    A tape records or plays back the dropout of the pass.
    """

    weight: Float[Tensor, "B R S"]
    gate: Float[Tensor, "B R"] | None = None  #: scales the output of every attention over clips (P0, A1)
    tape: DropoutTape | None = None
    form: AttentionForm | None = None  #: None is the transformer's own
    maps: bool = False  #: keep the attention map of the last text layer, which a fused kernel does not leave behind

    def beside(self, other: "Conditioning") -> "Conditioning":
        """The rows of both in one pass, which has the tape of the first; a row without a gate has the gate 1."""
        weight, gate = torch.cat((self.weight, other.weight), dim=1), None
        if self.gate is not None or other.gate is not None:
            gates = (torch.ones_like(c.weight[..., 0]) if c.gate is None else c.gate for c in (self, other))
            gate = torch.cat(tuple(gates), dim=1)
        return replace(self, weight=weight, gate=gate)


class AddNorm(torch.autograd.Function):
    """``layer_norm(x + gate y dropped)``: the end of a residual block.

    Args:
        y: the block's output, in the shape of ``x`` ``(B, R, Q, D)``.
        gate: ``(B, R)`` or None, scales each row of ``y``.
        dropped: dropout's factors, 0 or ``1 / (1 - p)``, in the shape of ``y``; None drops nothing.
        weight: of the norm, as ``bias``, ``(D,)``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        gate: Tensor | None,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> Tensor:
        scale = None if gate is None else gate[:, :, None, None]
        factor = dropped if scale is None else scale if dropped is None else dropped * scale
        total = full_precision(x + y if factor is None else torch.addcmul(x, y, factor))
        out, mean, rstd = torch.native_layer_norm(total, total.shape[-1:], weight, bias, eps)
        ctx.save_for_backward(total, mean, rstd, weight, bias, dropped, scale, None if gate is None else y)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        total, mean, rstd, weight, bias, dropped, scale, y = ctx.saved_tensors
        d_x, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            gradient, total, total.shape[-1:], mean, rstd, weight, bias, [True, *ctx.needs_input_grad[4:6]]
        )
        d_y = d_x if dropped is None else d_x * dropped
        d_gate = None
        if scale is not None:
            if ctx.needs_input_grad[2]:
                d_gate = torch.linalg.vecdot(d_y.flatten(2), y.flatten(2).to(d_y.dtype))
            d_y = d_y * scale if d_y is d_x else d_y.mul_(scale)
        return d_x, d_y, d_gate, None, d_weight, d_bias, None


class DecoderLayer(nn.Module):
    """Post-norm layer: causal self-attention, optional cross-attention, feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size = config.hidden
        self.self_attention = MaskedAttention(size, config.heads)
        self.cross_attention = MaskedAttention(size, config.heads)
        self.expand = nn.Linear(size, 2 * size)
        self.contract = nn.Linear(2 * size, size)
        self.self_norm, self.cross_norm, self.final_norm = (nn.LayerNorm(size) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B #R Q D"],
        masking: Masking,
        dropped: Sequence[Tensor | None],
        *,
        asked: Float[Tensor, "B #R q D"] | None = None,
        gate: Float[Tensor, "B R"] | None = None,
        memory: Float[Tensor, "B #R K D"] | None = None,
        memory_masking: Masking = EVERYTHING,
        memory_gate: Float[Tensor, "B R"] | None = None,
        maps: bool = False,
    ) -> tuple[Float[Tensor, "B #R _ D"], Tensor | None]:
        """One layer; the second value is the cross-attention map, where it is asked for.

        Without ``memory`` the cross-attention sub-layer *and its norm* are skipped.  A row of ``x`` that all proposals
        share becomes one for each where they part: at a mask, or at dropout, which each draws for itself.

        Args:
            dropped: dropout's factors of each sub-layer, as :func:`dropout_factors` draws them.
            asked: those positions of ``x`` whose output is wanted, where it is not wanted of all.
        """
        if asked is None:
            attended, _ = self.self_attention(x, masking=masking)
        else:
            attended, _ = self.self_attention(asked, x, masking)
            x = asked
        x = _add_norm(self.self_norm, x, attended, dropped[0], gate)
        attention = None
        if memory is not None:
            attended, attention = self.cross_attention(x, memory, memory_masking, maps=maps)
            x = _add_norm(self.cross_norm, x, attended, dropped[1], memory_gate)
        # a matrix, since what is written in place must not be a view: autograd would copy it
        inner = self.contract(torch.relu_(self.expand(x.flatten(0, 2)))).view(x.shape)
        return _add_norm(self.final_norm, x, inner, dropped[-1]), attention


def _add_norm(
    norm: nn.LayerNorm, x: Tensor, y: Tensor, dropped: Tensor | None, gate: Tensor | None = None
) -> Float[Tensor, "B R Q D"]:
    """:class:`AddNorm`, of as many rows as there are in any argument."""
    rows = max(x.shape[1], y.shape[1], 1 if dropped is None else dropped.shape[1])
    x, y = x.expand(-1, rows, -1, -1), y.expand(-1, rows, -1, -1)
    found: Tensor = AddNorm.apply(x, y, gate, dropped, norm.weight, norm.bias, norm.eps)
    return found


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
        *,
        last: int | None = None,
    ) -> tuple[Float[Tensor, "B t D"], Float[Tensor, "B L D"]]:
        """Clips that have read the sentence, and the sentence memory they read (no temporal mask anywhere).

        Args:
            last: compute the last layer for so many clips at the end alone; None is for all.
        """
        words, clips = (Masking(key_mask=mask, causal=True) for mask in (text_mask, video_mask))
        read, memory, x = Masking(key_mask=text_mask), text[:, None], video[:, None]
        for layer, dropped, _ in self._layers(self.text_stack, 2, memory):
            memory, _ = layer(memory, words, dropped)
        for layer, dropped, final in self._layers(self.video_stack, 3, x, places=last):
            asked = x[:, :, -last:] if final and last else None
            x, _ = layer(x, clips, dropped, asked=asked, memory=memory, memory_masking=read)
        return x[:, 0], memory[:, 0]

    def reconstruct(
        self,
        video: Float[Tensor, "B S D"],
        video_mask: Bool[Tensor, "B S"],
        text: Float[Tensor, "B L D"],
        text_mask: Bool[Tensor, "B L"],
        conditioning: Conditioning,
        *,
        column: Int[Tensor, " B"] | None = None,
    ) -> "Reconstruction":
        """The masked sentence read from the clips, once for each of R proposals.

        A mask of ones is plain attention: that is how the whole-video reference joins the same call.

        Args:
            column: compute the last layer for this position of each sentence alone; L is then 1.
        """
        at, form = conditioning, conditioning.form or self.config.attention
        clips = Masking(at.weight, video_mask, causal=self.config.causal_video, form=form)
        words, read = Masking(key_mask=text_mask, causal=True), Masking(at.weight, video_mask, form=form)
        x, out, attention = video[:, None], text[:, None], None
        for layer, dropped, _ in self._layers(self.video_stack, 2, x, at):
            x, _ = layer(x, clips, dropped, gate=at.gate)
        looked = {"memory": x, "memory_masking": read, "memory_gate": at.gate, "maps": at.maps}
        for layer, dropped, final in self._layers(self.text_stack, 3, out, at, places=None if column is None else 1):
            asked = None
            if final and column is not None:
                index = column.view(-1, 1, 1, 1).expand(-1, out.shape[1], 1, out.shape[3])
                asked = out.gather(2, index)
                seen = torch.arange(text.shape[1], device=text.device) <= column[:, None]
                words = Masking(key_mask=text_mask & seen)
            out, attention = layer(out, words, dropped, asked=asked, **looked)
        return Reconstruction(hidden=out, memory=x, attention=attention)

    def _layers(
        self,
        stack: nn.ModuleList,
        parts: int,
        x: Float[Tensor, "B 1 Q D"],
        at: Conditioning | None = None,
        *,
        places: int | None = None,
    ) -> Iterator[tuple[DecoderLayer, Sequence[Tensor | None], bool]]:
        """Each layer of a stack, the dropout of its ``parts`` sub-layers, and whether it is the last one.

        One draw is made for the whole stack, and one for a last layer that is computed at so many ``places`` alone.
        """
        layers = cast("list[DecoderLayer]", list(stack))
        p, alike = layers[0].dropout.p, len(layers) - (places is not None)
        dropped: list[Tensor | None] = [None] * (parts * len(layers))
        if self.training and p > 0:
            rows, tape = (1, None) if at is None else (at.weight.shape[1], at.tape)
            draw = tape or dropout_factors
            stacks = [draw(parts * alike, rows, p, x)] if alike else []
            if places is not None:
                stacks.append(draw(parts, rows, p, x[:, :, -places:]))
            dropped = [each for stacked in stacks for each in stacked.unbind()]
        for i, layer in enumerate(layers):
            yield layer, dropped[parts * i : parts * (i + 1)], i + 1 == len(layers)

    forward = reconstruct


@dataclass(frozen=True)
class Reconstruction:
    """What a pass of :meth:`DualTransformer.reconstruct` leaves behind."""

    hidden: Float[Tensor, "B R L D"]  #: L is 1 where one column was asked for
    memory: Float[Tensor, "B R S D"]  #: clips as encoded under each mask
    attention: Float[Tensor, "B R H L S"] | None  #: of the last text layer, where maps were asked for
