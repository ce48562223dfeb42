"""X-CLIP: text-video retrieval by four similarities, coarse and fine.

| symbol                | here                                | shape        |
| --------------------- | ----------------------------------- | ------------ |
| s, w (sentence, words)| :class:`TextStates`                 | (N, D), (N, W, D) |
| f, v (frames, video)  | :class:`VideoStates`                | (V, T, D), (V, D) |
| S_VS, S_VW, S_SF, S_FW| :class:`vmlkit.components.xclip_heads.Scores` | (N, V)     |
| lambda                | ``exp(logit_scale)``, at most 100   | ()           |

Order: encoders -> temporal encoder -> four scores (:mod:`vmlkit.components.xclip_heads`) -> symmetric loss.

Frames are resident features and words resident vectors, so the text encoder is a small causal transformer of CLIP's own
blocks, or, where tokens are states of CLIP itself (``clip_states``), a linear map.  The part after the encoders is the
released one.

    # PAPER: (silent) / CODE: CLIP's weights are float16 and updated in float16, where most of them never move -> no
    # switch, because CLIP is not trained here and everything is float32
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.components.clip_states import ClipTexts, identity_map
from vmlkit.components.temporal import Header, ResidualBlock, TemporalEncoder, pooled
from vmlkit.components.xclip_heads import Scores, SimilarityHeads, TextStates, VideoStates, symmetric_loss
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import Masking
from vmlkit.nn.similarity import SHARP, resized
from vmlkit.nn.tables import device_table
from vmlkit.training.method import LossTerms, Method, Progress, StepOptimizer


@dataclass(frozen=True, kw_only=True)
class XCLIPConfig:
    """Sizes and switches; defaults are those of the released MSVD and MSR-VTT runs.

    Raises:
        ConfigError: for a size out of range.
    """

    width: int = 512  #: D
    words: int = 32  #: W, words of a text with the end token; DiDeMo, ActivityNet: 64
    frames: int = 12  #: T, frames of a video; DiDeMo, ActivityNet: 64
    header: Header = "seqTransf"  #: temporal encoder
    temporal_layers: int = 4  #: blocks of the temporal encoder
    text_layers: int = 2  #: blocks of the small text encoder (CLIP's has 12)
    heads: int = 8  #: width / 64 in the release
    positions: int = 77  #: rows of the table of frame positions
    #: frames and tokens are states of CLIP's joint space, the start token first: in the place of encoders there is one
    #: linear map for each, the identity at first (``text_layers`` and word vectors play no part)
    clip_states: bool = False
    temperature: float = SHARP  #: of the softmaxes inside the scores
    mask_padding: bool = False  #: False, as released: padded words and frames take part in the fine-grained scores
    initial_scale: float = 1 / 0.07  #: lambda at the start; 100 in the released weights
    max_scale: float = 100.0  #: lambda is cut to this after every update

    def __post_init__(self) -> None:
        least = dict.fromkeys(("width", "words", "frames", "heads"), 1) | {"temporal_layers": 0, "text_layers": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"setting '{name}' must be at least {bound}, not {getattr(self, name)}")
        for name in ("temperature", "initial_scale", "max_scale"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"setting '{name}' must be positive, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} is not a multiple of {self.heads} heads")
        if self.clip_states and self.text_layers != XCLIPConfig.text_layers:
            raise ConfigError("setting 'text_layers' does nothing with clip_states, where tokens are not encoded again")
        if self.header == "seqTransf" and self.frames > self.positions:
            raise ConfigError(f"{self.frames} frames need as many positions, there are {self.positions}")


class XCLIPCore(nn.Module):
    """The released model without CLIP: temporal encoder, heads, scale."""

    def __init__(self, config: XCLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.temporal = TemporalEncoder(
            config.width, config.header, config.temporal_layers, config.heads, config.positions
        )
        self.heads = SimilarityHeads(config.width, config.words, config.frames, config.temperature, config.mask_padding)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(config.initial_scale)))

    def encode_video(self, frames: Float[Tensor, "V T D"], mask: Bool[Tensor, "V T"]) -> VideoStates:
        """Pool after the temporal encoder; the frames of the fine-grained scores are those before it."""
        return VideoStates(pooled(self.temporal(frames, mask), mask), frames, mask)

    def scores(self, text: TextStates, video: VideoStates) -> Scores:
        """Every text with every video."""
        found: Scores = self.heads(text, video, self.logit_scale.exp())
        return found

    @torch.no_grad()
    def logits(self, text: TextStates, video: VideoStates, tile: int = 64) -> Float[Tensor, "N V"]:
        """Logits of many texts with many videos, a tile at a time: M alone is N W V T numbers."""
        texts = range(0, len(text.sentence), tile)
        videos = range(0, len(video.video), tile)
        rows = [
            torch.cat([self.scores(text[i : i + tile], video[j : j + tile]).logits for j in videos], dim=1)
            for i in texts
        ]
        return torch.cat(rows)

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Cut lambda to its largest value; there is no smallest one."""
        self.logit_scale.clamp_(max=math.log(self.config.max_scale))


class TextEncoder(nn.Module):
    """Word vectors to CLIP-like states: an end token after the words, causal blocks, the sentence at the end token.

    Padding comes after the end token, has states of its own, and cannot be seen from before it (as in CLIP).
    """

    def __init__(self, word_dim: int, config: XCLIPConfig) -> None:
        super().__init__()
        self.words = config.words
        self.project = nn.Linear(word_dim, config.width)
        self.end = nn.Parameter(0.02 * torch.randn(word_dim))
        self.positions = nn.Parameter(0.01 * torch.randn(config.words, config.width))
        self.blocks = nn.ModuleList(ResidualBlock(config.width, config.heads) for _ in range(config.text_layers))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, words: Float[Tensor, "N L Dw"], mask: Bool[Tensor, "N L"]) -> TextStates:
        """Cut or pad to W, the end token included."""
        words, mask = resized(words, mask, self.words - 1)
        count = mask.sum(dim=1, keepdim=True)  # (N, 1)
        slot = torch.arange(self.words, device=words.device)
        padded = nn.functional.pad(words, (0, 0, 0, 1))
        is_end = (slot == count)[..., None]
        z = self.project(torch.where(is_end, self.end, padded)) + self.positions
        masking = Masking(causal=True)
        for block in self.blocks:
            z = block(z, masking)
        states = self.out(self.norm(z))
        sentence = (states * is_end).sum(dim=1)
        return TextStates(sentence, states, slot <= count)


def frame_positions(clips: int, frames: int) -> Tensor:
    """Which of ``clips`` frames are kept: evenly spaced, cut to whole numbers (``slice_framepos 2``).

    >>> frame_positions(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return torch.linspace(0, clips - 1, min(frames, clips)).int().long()


class XCLIP(Method[MomentBatch]):
    """The retrieval model on resident features: a batch of B pairs is B texts and B videos."""

    def __init__(self, config: XCLIPConfig, frame_dim: int, word_dim: int) -> None:
        super().__init__()
        self.config = config
        if config.clip_states:
            self.text: nn.Module = ClipTexts(word_dim, config.width, config.words)
            self.frame_projection = identity_map(frame_dim, config.width, "frames")
        else:
            self.text = TextEncoder(word_dim, config)
            self.frame_projection = nn.Linear(frame_dim, config.width)
        self.core = XCLIPCore(config)

    def encode_texts(self, words: Float[Tensor, "N L Dw"], mask: Bool[Tensor, "N L"]) -> TextStates:
        """States of N texts."""
        found: TextStates = self.text(words, mask)
        return found

    def encode_videos(self, frames: Float[Tensor, "V clips Dv"], mask: Bool[Tensor, "V clips"]) -> VideoStates:
        """States of V videos, from T of their clips; a video with fewer clips is padded to T."""
        keep = device_table(frame_positions, frames.shape[1], self.config.frames, device=frames.device)
        frames, mask = self.frame_projection(frames[:, keep]), mask[:, keep]
        return self.core.encode_video(*resized(frames, mask, self.config.frames))

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """The symmetric loss of the batch."""
        return self.retrieval_loss(self.encode_texts(batch.words, batch.word_mask), batch)

    def retrieval_loss(self, texts: TextStates, batch: MomentBatch) -> LossTerms:
        """The same for texts that are encoded already, so that other losses can share their graph."""
        videos = self.encode_videos(batch.frames, batch.frame_mask)
        loss = symmetric_loss(self.core.scores(texts, videos).logits)
        return LossTerms(loss, {"retrieval": loss.detach()})

    def step(
        self, batch: MomentBatch, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        """One update, then the cut of the scale."""
        loss = super().step(batch, progress, generator, optimizers)
        self.core.clamp_scale()
        return loss

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """lambda, to watch it run into its bound."""
        return {"scale": float(self.core.logit_scale.detach().exp())}
