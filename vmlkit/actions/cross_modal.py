"""Attention over snippets, from two modalities or from one: the parts that localisation networks exchange.

Features are ``(B, T, F)``, appearance (RGB) in the first half of F and motion (flow) in the second; h = F / 2.

=============== ========================================================= ==========================
``kind``        what it is                                                 from
=============== ========================================================= ==========================
``filter``      two 1x1 convolutions                                       BaS-Net
``conv``        three convolutions of width 3, 3, 1                        HAM-Net
``consensus``   each modality filtered under the other's guidance          CO2-Net
``reconstruct`` the same through a code that must rebuild the other        P3 (TSM and VLC)
=============== ========================================================= ==========================
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.errors import ConfigError
from vmlkit.nn.dropout import Dropout

AttentionKind = Literal["filter", "conv", "consensus", "reconstruct"]


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Sizes and switches of the attention part; defaults are the THUMOS14 releases'."""

    kind: AttentionKind = "reconstruct"
    hidden: int = 512  #: width of the convolutions before the logit
    code: int | None = None  #: width of the cross-modal code (``reconstruct``); None is h / 2, ActivityNet uses h
    dropout: float = 0.5  #: after every convolution block of a cross-modal branch
    head_dropout: float = 0.5  #: in the attention head; CODE: also on its single logit; ActivityNet: .7
    gate_main: bool = False  #: P3 on ActivityNet: ``main <- sigmoid(channel) main`` before filtering

    def __post_init__(self) -> None:
        if self.kind in ("filter", "conv"):
            refuse_idle(self, f"an attention of kind '{self.kind}'", "code", "dropout", "head_dropout", "gate_main")
        if self.kind == "consensus":
            refuse_idle(self, "an attention of kind 'consensus'", "code", "gate_main")


def refuse_idle(config: Any, where: str, *names: str) -> None:
    """Raise :class:`ConfigError` if one of the settings, which do nothing ``where``, has left its default."""
    for name in names:
        if getattr(config, name) != (usual := type(config).__dataclass_fields__[name].default):
            raise ConfigError(f"setting '{name}' does nothing in {where}: leave it at {usual!r}")


@dataclass(frozen=True)
class Attended:
    """What the attention part makes of a batch."""

    attention: Float[Tensor, "B T"]  #: foreground weight in [0, 1], the mean of the branches
    branches: tuple[Tensor, ...]  #: attention of each modality, ``(B, T)``; empty where there is one branch
    filtered: Float[Tensor, "B T F"]  #: features for what follows; the input itself where nothing filters
    rebuilt: tuple[tuple[Tensor, Tensor], ...]  #: (prediction, target) of each auto-encoder, ``(B, T, h)``


class ConvBlock(nn.Module):
    """``Dropout(LeakyReLU(conv(x)))`` over ``(B, channels, T)``, zero-padded to the same length."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, slope: float = 0.2, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.slope, self.dropout = slope, Dropout(dropout)

    def forward(self, x: Float[Tensor, "B I T"]) -> Float[Tensor, "B O T"]:
        """The block's output."""
        found: Tensor = self.dropout(nn.functional.leaky_relu(self.conv(x), self.slope))
        return found


class AttentionHead(nn.Module):
    """``sigmoid(dropout(conv1(blocks(x))))``.

    # PAPER: (silent) / CODE: CO2-Net and P3 drop the *logit* itself with probability .5, so that half of the
    # attentions are exactly .5 while training -> head_dropout
    """

    def __init__(self, blocks: list[ConvBlock], dropout: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.logit = nn.Conv1d(blocks[-1].conv.out_channels, 1, 1)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B I T"]) -> Float[Tensor, "B T"]:
        """Attention of every snippet."""
        return torch.sigmoid(self.dropout(self.logit(self.blocks(x))))[:, 0]


class SingleAttention(nn.Module):
    """``filter`` and ``conv``: attention from all features at once; nothing is filtered."""

    def __init__(self, config: AttentionConfig, features: int) -> None:
        super().__init__()
        width = config.hidden
        if config.kind == "filter":
            blocks = [ConvBlock(features, width, 1, slope=0.01)]
        else:
            blocks = [ConvBlock(features, width, 3), ConvBlock(width, width, 3)]
        self.head = AttentionHead(blocks)

    def forward(self, features: Float[Tensor, "B T F"]) -> Attended:
        """Attention; the features pass through unchanged."""
        return Attended(self.head(features.transpose(1, 2)), (), features, ())


class Branch(nn.Module):
    """One modality (``main``) filtered under the guidance of the other (``aux``).

    ``consensus`` (CO2-Net): ``sigmoid(local(aux) channel(mean main)) main``.
    ``reconstruct`` (P3): a code of ``aux`` has to rebuild ``main``; ``sigmoid(local(code) s) main`` with s the cosine
    of ``channel(mean main)`` and ``local(code)`` at each snippet.
    """

    def __init__(self, config: AttentionConfig, half: int) -> None:
        super().__init__()
        self.config = config
        drop = config.dropout
        rebuilds = config.kind == "reconstruct"
        code = (config.code or half // 2) if rebuilds else half
        self.channel = ConvBlock(half, half, 3, dropout=drop)
        self.local = ConvBlock(code, half, 3, dropout=drop)
        self.encode = ConvBlock(half, code, 3, dropout=drop) if rebuilds else None
        self.decode = ConvBlock(code, half, 3, dropout=drop) if rebuilds else None
        blocks = [ConvBlock(half, config.hidden, 3, dropout=config.head_dropout)]
        blocks.append(ConvBlock(config.hidden, config.hidden, 3))
        self.head = AttentionHead(blocks, config.head_dropout)

    def forward(
        self, main: Float[Tensor, "B h T"], aux: Float[Tensor, "B h T"]
    ) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B h T"], tuple[Tensor, Tensor] | None]:
        """Attention, filtered features, and (rebuilt, target) where the branch rebuilds."""
        channel = self.channel(main.mean(dim=2, keepdim=True))  # (B, h, 1): only the middle tap acts
        if self.encode is None or self.decode is None:
            filtered = torch.sigmoid(self.local(aux) * channel) * main
            return self.head(filtered), filtered, None
        code = self.encode(aux)
        if self.config.gate_main:
            main = torch.sigmoid(channel) * main
        local = self.local(code)
        filtered = torch.sigmoid(local * safe_cosine(channel, local)[:, None]) * main
        rebuilt = self.decode(code).transpose(1, 2), main.transpose(1, 2)
        return self.head(filtered), filtered, rebuilt


class CrossModalAttention(nn.Module):
    """Both modalities, each filtered by the other; the fused attention is the mean of the two."""

    def __init__(self, config: AttentionConfig, features: int) -> None:
        super().__init__()
        if features % 2:
            raise ConfigError(f"{features} features do not split into two modalities of equal width")
        self.rgb, self.flow = Branch(config, features // 2), Branch(config, features // 2)

    def forward(self, features: Float[Tensor, "B T F"]) -> Attended:
        """Attention of both branches and the concatenated filtered features."""
        rgb, flow = features.transpose(1, 2).chunk(2, dim=1)
        a, filtered_rgb, rebuilt_rgb = self.rgb(rgb, flow)
        b, filtered_flow, rebuilt_flow = self.flow(flow, rgb)
        filtered = torch.cat((filtered_rgb, filtered_flow), dim=1).transpose(1, 2)
        rebuilt = () if rebuilt_rgb is None or rebuilt_flow is None else (rebuilt_rgb, rebuilt_flow)
        return Attended((a + b) / 2, (a, b), filtered, rebuilt)


def build_attention(config: AttentionConfig, features: int) -> SingleAttention | CrossModalAttention:
    """The attention part of the configured kind for features of width F."""
    single = config.kind in ("filter", "conv")
    return SingleAttention(config, features) if single else CrossModalAttention(config, features)


def safe_cosine(u: Float[Tensor, "B h #T"], v: Float[Tensor, "B h T"]) -> Float[Tensor, "B T"]:
    """Cosine over channels; 0, with no gradient, where either vector is zero.

    # PAPER: (silent) / CODE: without an epsilon a snippet of zeros (padding, or dropout at small widths) is NaN
    # -> no switch, because nobody wants the NaN
    """
    norms = torch.linalg.vector_norm(u, dim=1) * torch.linalg.vector_norm(v, dim=1)
    product = torch.bmm(u.transpose(1, 2), v)[:, 0] if u.shape[2] == 1 else (u * v).sum(dim=1)
    found: Tensor = product / norms.masked_fill(norms <= 1e-12, math.inf)  # 0, and so are both gradients
    return found


def kaiming_(module: nn.Module) -> None:
    """Every convolution uniform in ``+- sqrt(6 / fan_in)`` with zero bias (HAM-Net, CO2-Net, TSM as released)."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d):
            bound = math.sqrt(6 / (part.in_channels * part.kernel_size[0]))
            nn.init.uniform_(part.weight, -bound, bound)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def average_over_time(x: Float[Tensor, "B T K"], kernel: int) -> Float[Tensor, "B T K"]:
    """Moving average over an odd number of snippets, those beyond either end counted as zeros."""
    pooled = nn.functional.avg_pool1d(x.transpose(1, 2), kernel, stride=1, padding=kernel // 2)
    return pooled.transpose(1, 2)
