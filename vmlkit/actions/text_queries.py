"""One query vector per class from the words of its name: the text side of P3's TSM."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.actions.cross_modal import ConvBlock, refuse_idle
from vmlkit.errors import ConfigError
from vmlkit.nn.dropout import Dropout
from vmlkit.nn.transformer import positions_of

Prompt = Literal["learnable", "handcrafted"]


@dataclass(frozen=True, kw_only=True)
class TextQueryConfig:
    """Sizes and switches of the text encoder; defaults are the THUMOS14 release's."""

    prompt: Prompt = "learnable"  #: "handcrafted": one free [START] token, the words "a video of", then the label
    prompts: int = 9  #: free tokens before the label's words (n_pro); ActivityNet: 3
    heads: int = 8  #: ActivityNet: 2
    expansion: int = 4  #: width of the feed-forward part over F
    dropout: float = 0.5  #: after the word embedding
    feedforward_dropout: float = 0.1
    drop_path: float = 0.1  #: probability of leaving out a residual branch, per class, while training
    layer_scale: float = 1e-4  #: initial gamma: at the start a query hardly sees its own label
    offset_scale: float = 0.03125  #: spread of the free offset added to each token; ActivityNet: .01
    position_scale: float = 1.0  #: ActivityNet divides the sinusoid by sqrt(F)

    def __post_init__(self) -> None:
        if self.prompt == "handcrafted":
            refuse_idle(self, "the handcrafted prompt", "prompts")


class TokenAttention(nn.Module):
    """Plain multi-head self-attention over the tokens of a class, by 1x1 convolutions (no mask, no dropout)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"setting 'heads' must divide the width {width}, which {heads} does not")
        self.heads = heads
        self.query, self.key, self.value, self.proj = (nn.Conv1d(width, width, 1) for _ in range(4))

    def forward(self, x: Float[Tensor, "K F N"]) -> Float[Tensor, "K F N"]:
        """Attended tokens."""
        q, k, v = (
            part(x).unflatten(1, (self.heads, -1)).transpose(2, 3) for part in (self.query, self.key, self.value)
        )
        out = nn.functional.scaled_dot_product_attention(q, k, v)  # (K, heads, N, F / heads)
        found: Tensor = self.proj(out.transpose(2, 3).flatten(1, 2))
        return found


class TextQueries(nn.Module):
    """L_q of P3 Eq. (2): prompts, the label's words, then one residual block; the query X_q is token 0.

    # PAPER: [START], prompts, label words / CODE: the first free prompt *is* the [START] token -> no switch, because
    # one more free prompt is a token apart
    # PAPER: a transformer encoder / CODE: no layer norm, and residual branches scaled by gamma = 1e-4 -> layer_scale

    Args:
        class_words: word vectors of every label ``(C, slots, Dw)``; fixed, not trained.
        context_words: vectors of "a video of" ``(3, Dw)``; needed by the handcrafted prompt.
    """

    class_words: Tensor
    context_words: Tensor

    def __init__(
        self,
        config: TextQueryConfig,
        width: int,
        class_words: Float[Tensor, "C S Dw"],
        context_words: Float[Tensor, "W Dw"] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        count, slots, word_dim = class_words.shape
        rows = count + 1
        context = class_words.new_zeros(0, word_dim)
        if config.prompt == "handcrafted":
            if context_words is None:
                raise ConfigError("the handcrafted prompt needs the vectors of its words")
            context = context_words
            self.prompts = nn.Parameter(torch.empty(1, word_dim, 1))
        else:
            self.prompts = nn.Parameter(torch.empty(rows, word_dim, config.prompts))
        tokens = self.prompts.shape[2] + len(context) + slots
        self.register_buffer("class_words", class_words.clone(), persistent=False)
        self.register_buffer("context_words", context.clone(), persistent=False)
        self.background = nn.Parameter(torch.zeros(1, slots, word_dim))
        self.offsets = nn.Parameter(config.offset_scale * torch.randn(rows, width, tokens))
        self.embed = ConvBlock(word_dim, width, 1, dropout=config.dropout)
        self.attention = TokenAttention(width, config.heads)
        self.expand = nn.Conv1d(width, config.expansion * width, 1)
        self.contract = nn.Conv1d(config.expansion * width, width, 1)
        self.inner_dropout, self.outer_dropout = (Dropout(config.feedforward_dropout) for _ in range(2))
        self.attention_scale, self.feedforward_scale = (
            nn.Parameter(torch.full((1, width, 1), config.layer_scale)) for _ in range(2)
        )
        bound = (6 / (word_dim * self.prompts.shape[2])) ** 0.5
        nn.init.uniform_(self.prompts, -bound, bound)

    def forward(self) -> Float[Tensor, "K F"]:
        """The query of every class, background last."""
        labels = torch.cat((self.class_words, self.background), dim=0).transpose(1, 2)  # (K, Dw, slots)
        rows = labels.shape[0]
        context = self.context_words.t().expand(rows, -1, -1)
        words = torch.cat((self.prompts.expand(rows, -1, -1), context, labels), dim=2)  # (K, Dw, N)
        z = self.embed(words) + self.offsets
        z = z + self.positions(z).t()[None]
        z = z + self._path(self.attention_scale * self.attention(z))
        hidden = self.inner_dropout(nn.functional.gelu(self.expand(z)))
        z = z + self._path(self.feedforward_scale * self.outer_dropout(self.contract(hidden)))
        found: Tensor = z[:, :, 0]
        return found

    def positions(self, like: Float[Tensor, "K F N"]) -> Float[Tensor, "N F"]:
        """The sinusoid table in use."""
        return positions_of(like.transpose(1, 2)) * self.config.position_scale

    def _path(self, branch: Float[Tensor, "K F N"]) -> Float[Tensor, "K F N"]:
        """Stochastic depth: a class's branch is left out with probability p and scaled by 1 / (1 - p) otherwise."""
        p = self.config.drop_path
        if not self.training or p == 0:
            return branch
        return branch * (torch.rand_like(branch[:, :1, :1]) >= p) / (1 - p)
