"""The parts of CNM, CPL, PPS and VLC written out sample by sample, by released names, and the released Adam.

Nothing of the package is used: every formula stands here once more, as plainly as it can be said.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Params = dict[str, Tensor]
Out = dict[str, Tensor]
FLOOR = 1e-10


def norm(p: Params, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * p[name + ".weight"] + p[name + ".bias"]


def linear(p: Params, name: str, x: Tensor) -> Tensor:
    return x @ p[name + ".weight"].T + p[name + ".bias"]


def attention(
    p: Params, name: str, heads: int, x: Tensor, memory: Tensor, keys: list[bool], causal: bool, g: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One sample: ``x (N, H)`` reads ``memory (M, H)``; the output, and the weights averaged over heads."""
    width = x.shape[1]
    w, b = p[name + ".in_proj_weight"], p[name + ".in_proj_bias"]
    q, k, v = (
        y @ w[i * width : (i + 1) * width].T + b[i * width : (i + 1) * width] for i, y in enumerate((x, memory, memory))
    )
    size, outs, all_weights = width // heads, [], []
    for h in range(heads):
        at = slice(h * size, (h + 1) * size)
        scores = (q[:, at] * size**-0.5) @ k[:, at].T
        if causal:
            scores = scores + torch.full_like(scores, -math.inf).triu(1)
        scores = scores.masked_fill(~torch.tensor(keys), -1e30)
        weights = scores.softmax(-1)
        if g is not None:
            weights = weights * (g + FLOOR)
            weights = weights / weights.sum(-1, keepdim=True)
        outs.append(weights @ v[:, at])
        all_weights.append(weights)
    out = torch.cat(outs, -1)
    return linear(p, name + ".out_proj", out), torch.stack(all_weights).mean(0)


def stack(
    p: Params,
    name: str,
    heads: int,
    x: Tensor,
    keys: list[bool],
    *,
    memory: Tensor | None = None,
    memory_keys: list[bool] | None = None,
    g_self: Tensor | None = None,
    g_cross: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The layers below ``name``; their output and the last cross-attention."""
    layer, seen = 0, None
    while f"{name}.{layer}.fc1.weight" in p:
        at = f"{name}.{layer}"
        x = norm(
            p,
            at + ".self_attn_layer_norm",
            x + attention(p, at + ".self_attn", heads, x, x, keys, True, g_self)[0],
        )
        if memory is not None:
            assert memory_keys is not None
            out, seen = attention(p, at + ".encoder_attn", heads, x, memory, memory_keys, False, g_cross)
            x = norm(p, at + ".encoder_attn_layer_norm", x + out)
        x = norm(p, at + ".final_layer_norm", x + linear(p, at + ".fc2", linear(p, at + ".fc1", x).relu()))
        layer += 1
    return x, seen


def positions(length: int, width: int) -> Tensor:
    half = width // 2
    rows = [[0.0] * width]
    for place in range(1, length):
        angles = [place * math.exp(-i * math.log(1e4) / (half - 1)) for i in range(half)]
        rows.append([math.sin(a) for a in angles] + [math.cos(a) for a in angles] + [0.0] * (width % 2))
    return torch.tensor(rows)


class Sample:
    """One query of a case, between projection and losses."""

    def __init__(self, p: Params, x: dict[str, Tensor], b: int, heads: int, video: str, token: str | None) -> None:
        self.p, self.heads, self.b = p, heads, b
        kind = p["frame_fc.weight"].dtype
        frames = x["frames_feat"][b].to(kind)
        self.count, self.length = len(frames), int(x["words_len"][b])
        longest = x["words_id"].shape[1]
        raw = frames if token is None else torch.cat((frames, p[token][None]))
        self.video = linear(p, "frame_fc", raw)
        self.video_keys = [t < int(x["frames_len"][b]) for t in range(len(raw))]
        self.raw_words = torch.cat((p["start_vec"][None], x["words_feat"][b, 1:].to(kind)))
        self.hidden_words = [bool(v) for v in x["masked_positions"][b]]
        words = linear(p, "word_fc", self.raw_words)
        self.place = positions(longest + 2, words.shape[1]).to(kind)
        read = [j <= self.length for j in range(longest + 1)]
        self.text_memory, _ = stack(p, video + ".decoder2.decoder_layers", heads, words + self.place[:-1], read)
        self.hidden, _ = stack(
            p,
            video + ".decoder1.decoder_layers",
            heads,
            self.video,
            self.video_keys,
            memory=self.text_memory,
            memory_keys=read,
        )
        cells = self.count // 4
        index = torch.linspace(0, self.count - 1, cells).long().tolist()
        self.clips, self.clip_keys = self.video[index], [self.video_keys[i] for i in index]
        self.words, self.columns, self.cells = self.masked(words) + self.place[:-1], longest, cells
        self.ids = x["words_id"][b]
        self.counted = read[:longest]

    def masked(self, projected: Tensor) -> Tensor:
        replaced = linear(self.p, "word_fc", self.p["mask_vec"])
        hidden = self.hidden_words + [False] * (len(projected) - len(self.hidden_words))
        return torch.stack([replaced if hide else row for row, hide in zip(projected, hidden, strict=True)])

    def read(self, name: str, g: Tensor | None, text: Tensor, keys: list[bool]) -> tuple[Tensor, Tensor, Tensor | None]:
        memory, _ = stack(self.p, name + ".decoder1.decoder_layers", self.heads, self.clips, self.clip_keys, g_self=g)
        out, weights = stack(
            self.p,
            name + ".decoder2.decoder_layers",
            self.heads,
            text,
            keys,
            memory=memory,
            memory_keys=self.clip_keys,
            g_cross=g,
        )
        return out, memory, weights

    def nll(self, logits: Tensor) -> Tensor:
        log = logits.log_softmax(-1)
        each = [-0.9 * log[j, self.ids[j]] - 0.1 * log[j].mean() for j in range(len(log)) if self.counted[j]]
        return torch.stack(each).mean()


def peak(c: Tensor, w: Tensor, cells: int, sigma: float, laplace: bool = False) -> Tensor:
    """In float64: where the released program divides 0 by 0 the limit is taken."""
    x = torch.linspace(0, 1, cells, dtype=c.dtype)
    s = w.clamp(min=0.01) / sigma
    power = -(x - c).abs() / s if laplace else -((x - c) ** 2) / (2 * s**2)
    return (power - power.max()).exp()


def square(target: float, rows: list[Tensor]) -> Tensor:
    shares = torch.stack([row / row.sum() for row in rows])
    return ((target * torch.eye(len(rows), dtype=shares.dtype) - shares @ shares.T) ** 2).sum()


def hinge(better: list[Tensor], worse: list[Tensor], gap: float) -> Tensor:
    return torch.stack([(a - b + gap).clamp(min=0) for a, b in zip(better, worse, strict=True)]).mean()


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


class Adam:
    """The released Adam: the small number is added before the bias correction; global clip; warm-up from 1e-7."""

    def __init__(self, parameters: list[Tensor], peak_lr: float, warmup: int, start: float) -> None:
        self.parameters, self.count = parameters, 0
        self.rate: Callable[[int], float] = lambda n: (
            start + n * (peak_lr - start) / warmup if n < warmup else peak_lr * math.sqrt(warmup / n)
        )
        self.mean = [torch.zeros_like(q) for q in parameters]
        self.square = [torch.zeros_like(q) for q in parameters]

    def step(self, clipped: list[Tensor], largest: float = 10.0) -> tuple[float, float]:
        """The rate used and the norm seen."""
        gradients = [q.grad for q in clipped if q.grad is not None]
        seen = float(torch.stack([g.norm() for g in gradients]).norm())
        if seen > largest:
            for g in gradients:
                g.mul_(largest / (seen + 1e-6))
        rate = self.rate(self.count)
        self.count += 1
        with torch.no_grad():
            for q, m, v in zip(self.parameters, self.mean, self.square, strict=True):
                if q.grad is None:
                    continue
                m.mul_(0.9).add_(0.1 * q.grad)
                v.mul_(0.999).add_(0.001 * q.grad**2)
                by = rate * math.sqrt(1 - 0.999**self.count) / (1 - 0.9**self.count)
                q.sub_(by * m / (v.sqrt() + 1e-8))
        return rate, seen
