"""Moment-DETR once more, item by item and head by head, from its description: an independent reference for options.

Nothing is padded or masked (an item is cut to its own clips and words), parameters go by the released names, and the
losses are loops.  It covers what no recorded case of the authors holds: pre-norm layers, spans as clips, activations.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is varied."""

    heads: int = 2
    layers: int = 2  #: of encoder and decoder
    pre_norm: bool = False
    activation: str = "relu"
    clips: int | None = None  #: clips that a span head names; None regresses (center, width)
    projections: int = 2
    text_positions: bool = False


def shapes(
    o: Options, video: int, text: int, hidden: int, inner: int, queries: int, words: int
) -> dict[str, list[int]]:
    """Released parameter names and their shapes."""
    found: dict[str, list[int]] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        found.update({f"{name}.weight": [rows, columns], f"{name}.bias": [rows]})

    def norm(name: str) -> None:
        found.update({f"{name}.weight": [hidden], f"{name}.bias": [hidden]})

    def attention(name: str) -> None:
        found.update({f"{name}.in_proj_weight": [3 * hidden, hidden], f"{name}.in_proj_bias": [3 * hidden]})
        linear(f"{name}.out_proj", hidden, hidden)

    for layer in range(o.layers):
        for stack, attentions in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "multihead_attn"))):
            prefix = f"transformer.{stack}.layers.{layer}."
            for name in attentions:
                attention(prefix + name)
            linear(prefix + "linear1", inner, hidden)
            linear(prefix + "linear2", hidden, inner)
            for number in range(len(attentions) + 1):
                norm(f"{prefix}norm{number + 1}")
            if o.activation == "prelu":
                found[prefix + "activation.weight"] = [1]
    norm("transformer.decoder.norm")
    if o.pre_norm:
        norm("transformer.encoder.norm")
    for kind, width in (("vid", video), ("txt", text)):
        for block in range(o.projections):
            size = width if block == 0 else hidden
            norm_name = f"input_{kind}_proj.{block}.LayerNorm"
            found.update({f"{norm_name}.weight": [size], f"{norm_name}.bias": [size]})
            linear(f"input_{kind}_proj.{block}.net.1", hidden, size)
    found["txt_position_embed.position_embeddings.weight"] = [words, hidden]
    norm("txt_position_embed.LayerNorm")
    found["query_embed.weight"] = [queries, hidden]
    linear("class_embed", 2, hidden)
    linear("saliency_proj", 1, hidden)
    for number, rows in enumerate((hidden, hidden, 2 if o.clips is None else 2 * o.clips)):
        linear(f"span_embed.layers.{number}", rows, hidden)
    return found


class Naive:
    """The forward pass of one item."""

    def __init__(self, parameters: dict[str, Tensor], options: Options) -> None:
        self.p, self.o = parameters, options

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def norm(self, x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.p[f"{name}.weight"] + self.p[f"{name}.bias"]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, name: str) -> Tensor:
        weights, biases = self.p[f"{name}.in_proj_weight"].chunk(3), self.p[f"{name}.in_proj_bias"].chunk(3)
        q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), weights, biases, strict=True))
        size, heads = q.shape[-1] // self.o.heads, []
        for h in range(self.o.heads):
            cut = slice(h * size, (h + 1) * size)
            heads.append(torch.softmax(q[:, cut] @ k[:, cut].T / math.sqrt(size), dim=1) @ v[:, cut])
        return self.linear(torch.cat(heads, dim=1), f"{name}.out_proj")

    def forward_feed(self, x: Tensor, prefix: str) -> Tensor:
        x = self.linear(x, prefix + "linear1")
        positive = x > 0
        if self.o.activation == "relu":
            x = torch.where(positive, x, 0.0)
        elif self.o.activation == "prelu":
            x = torch.where(positive, x, self.p[prefix + "activation.weight"] * x)
        elif self.o.activation == "gelu":
            x = x * (1 + torch.erf(x / math.sqrt(2))) / 2
        else:  # selu
            alpha, scale = 1.6732632423543772, 1.0507009873554805
            x = scale * torch.where(positive, x, alpha * (torch.exp(x) - 1))
        return self.linear(x, prefix + "linear2")

    def residual(self, x: Tensor, find: Any, norm: str) -> Tensor:
        return x + find(self.norm(x, norm)) if self.o.pre_norm else self.norm(x + find(x), norm)

    def project(self, x: Tensor, kind: str) -> Tensor:
        for block in range(self.o.projections):
            x = self.linear(self.norm(x, f"input_{kind}_proj.{block}.LayerNorm"), f"input_{kind}_proj.{block}.net.1")
            x = x.clamp_min(0) if block + 1 < self.o.projections else x
        return x

    def positions(self, clips: int, text: Tensor) -> Tensor:
        hidden = text.shape[1]
        rows = torch.zeros(clips, hidden, dtype=text.dtype)
        for t in range(clips):
            angle = (t + 1) / (clips + 1e-6) * 2 * math.pi
            for j in range(hidden):
                phase = angle / 10000 ** (2 * (j // 2) / hidden)
                rows[t, j] = math.cos(phase) if j % 2 else math.sin(phase)
        words = torch.zeros_like(text)
        if self.o.text_positions:
            table = self.p["txt_position_embed.position_embeddings.weight"][: len(text)]
            words = self.norm(text + table, "txt_position_embed.LayerNorm")
        return torch.cat((rows, words))

    def __call__(self, clips: Tensor, words: Tensor) -> dict[str, Tensor]:
        """Per decoder layer: class logits, and spans or clip logits, ``(layers, Q, *)``; saliency (T,)."""
        text = self.project(words, "txt")
        x, where = torch.cat((self.project(clips, "vid"), text)), self.positions(len(clips), text)
        for layer in range(self.o.layers):
            name = f"transformer.encoder.layers.{layer}."
            x = self.residual(
                x, lambda y, n=name: self.attend(y + where, y + where, y, n + "self_attn"), name + "norm1"
            )
            x = self.residual(x, lambda y, n=name: self.forward_feed(y, n), name + "norm2")
        memory = self.norm(x, "transformer.encoder.norm") if self.o.pre_norm else x
        q = self.p["query_embed.weight"]
        x, outputs = torch.zeros_like(q), []
        for layer in range(self.o.layers):
            name = f"transformer.decoder.layers.{layer}."
            x = self.residual(x, lambda y, n=name: self.attend(y + q, y + q, y, n + "self_attn"), name + "norm1")
            x = self.residual(
                x, lambda y, n=name: self.attend(y + q, memory + where, memory, n + "multihead_attn"), name + "norm2"
            )
            x = self.residual(x, lambda y, n=name: self.forward_feed(y, n), name + "norm3")
            outputs.append(self.norm(x, "transformer.decoder.norm"))
        hidden = torch.stack(outputs)
        spans = hidden
        for number in range(3):
            spans = self.linear(spans, f"span_embed.layers.{number}")
            spans = spans.clamp_min(0) if number < 2 else spans
        spans = spans.sigmoid() if self.o.clips is None else spans
        return {
            "logits": self.linear(hidden, "class_embed"),
            "spans": spans,
            "saliency": self.linear(memory[: len(clips)], "saliency_proj")[:, 0],
        }


def layer_losses(
    logits: list[Tensor], spans: list[Tensor], targets: list[Tensor], o: Options, weights: dict[str, float]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Unweighted terms of one decoder layer over the items, and the pairs (prediction, target) of each item."""
    distance, overlap, labels, matches = [], [], [], []
    for item, target in enumerate(targets):
        rows = []
        for q in range(len(logits[item])):
            own, chance = spans[item][q], torch.softmax(logits[item][q], 0)[0]
            for goal in target:
                if o.clips is None:
                    cost = weights["set_cost_span"] * (own - goal).abs().sum() - weights["set_cost_giou"] * giou(
                        own, goal
                    )
                else:
                    ends = own.view(2, o.clips).softmax(1)
                    cost = -weights["set_cost_span"] * (ends[0, goal[0]] + ends[1, goal[1]])
                rows.append(float((cost - weights["set_cost_class"] * chance).detach()))
        cost = torch.tensor(rows).view(len(logits[item]), len(target))
        ways = itertools.permutations(range(len(cost)), len(target))  # there are more queries than targets
        best = min(ways, key=lambda way, cost=cost: sum(float(cost[q, t]) for t, q in enumerate(way)))
        matches.append(torch.tensor(sorted((q, t) for t, q in enumerate(best))).T)
        for q in range(len(logits[item])):
            hit = q in matches[-1][0].tolist()
            nll = -torch.log_softmax(logits[item][q], 0)[0 if hit else 1]
            labels.append(nll * (1.0 if hit else weights["eos_coef"]))
        for q, t in matches[-1].T.tolist():
            own, goal = spans[item][q], target[t]
            if o.clips is None:
                distance += list((own - goal).abs())
                overlap.append(1 - giou(own, goal))
            else:
                ends = own.view(2, o.clips).log_softmax(1)
                distance += [-ends[0, goal[0]], -ends[1, goal[1]]]
                overlap.append(torch.zeros((), dtype=own.dtype))
    terms = {"loss_span": distance, "loss_giou": overlap, "loss_label": labels}
    return {name: torch.stack(values).mean() for name, values in terms.items()}, matches


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Of two spans (center, width)."""
    (a0, a1), (b0, b1) = ((c - w / 2, c + w / 2) for c, w in (a, b))
    common = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp_min(0)
    union, hull = (a1 - a0) + (b1 - b0) - common, torch.maximum(a1, b1) - torch.minimum(a0, b0)
    return common / union - (hull - union) / hull
