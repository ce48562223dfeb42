"""HAM-Net: hybrid attention mechanism (AAAI 2021), a host of P3 Table 8.

================ ================================ =======================================================
paper            here                             meaning
================ ================================ =======================================================
soft attention   ``attention`` (a)                (B, T)
semi-soft        ``dropped`` (d)                  a below ``drop_threshold max_t a``, else 0 (training)
hard             ``d > 0``                        everything but the most salient snippets
``L_BCL ...``    ``mil, mil_hard, mil_soft, mil_semi``
================ ================================ =======================================================

# PAPER: (silent) / CODE: the released ``drop_prob`` is a fixed weight, not the probability of a drop -> drop_weight
# PAPER: (silent) / CODE: the suppressed branch is the plain product ``a X``, the dropped ones keep the smallest logit
# -> no switch, because both are part of the released loss and neither is P3's
"""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.actions.cross_modal import AttentionConfig, ConvBlock, kaiming_
from vmlkit.actions.localiser import ActionShape, Localised, Localiser, LocaliserConfig, total
from vmlkit.actions.losses import dropped_attention, guide, mil_of_bags, suppress
from vmlkit.training.method import LossTerms


@dataclass(frozen=True, kw_only=True)
class HAMNetConfig(LocaliserConfig):
    """Settings of HAM-Net; defaults are the released THUMOS14 configuration (ActivityNet 1.2 in brackets)."""

    attention: AttentionConfig = field(default_factory=lambda: AttentionConfig(kind="conv"))
    ratio: int = 10  #: k = T // ratio (20)
    dropout: float = 0.7  #: (0.5)
    drop_threshold: float = 0.2  #: delta
    drop_from_min: bool = False  #: delta counts from the smallest attention, not from 0 (an option of the release)
    drop_weight: float = 0.2  #: w, share of the dropped branches (0.5)
    keep_weight: float = 1.0  #: of L1, the branches with background (0.25)
    suppress_weight: float = 1.0  #: of L2, the branches without (2)
    norm_weight: float = 0.8  #: (0.5)
    guide_weight: float = 0.8  #: (0.1)


class HAMNet(Localiser):
    """See the module docstring."""

    config: HAMNetConfig

    def __init__(self, config: HAMNetConfig, shape: ActionShape) -> None:
        super().__init__(config, shape)
        width = shape.features
        self.body = nn.Sequential(ConvBlock(width, width, 3), ConvBlock(width, width, 3, dropout=config.dropout))
        self.build_classifier(shape, width)
        kaiming_(self)

    def forward(self, features: Float[Tensor, "B T F"], queries: Float[Tensor, "K D"] | None = None) -> Localised:
        """Activation from all features, attention beside it."""
        attended = self.attention(features)
        final = self.body(features.transpose(1, 2)).transpose(1, 2)
        return self.read(features, final, attended, queries)

    def dropped(self, out: Localised) -> Float[Tensor, "B T"]:
        """Semi-soft attention: in training the most salient snippets are dropped, otherwise none is."""
        c = self.config
        return dropped_attention(out.attention, c.drop_threshold, c.drop_from_min) if self.training else out.attention

    def bags(self, out: Localised) -> dict[str, Float[Tensor, "B T K"]]:
        """The four activation sequences that the loss looks at."""
        dropped = self.dropped(out)
        return {
            "mil": out.cas,
            "mil_hard": suppress(out.cas, (dropped > 0).to(out.cas.dtype)),
            "mil_soft": out.attention[..., None] * out.cas,
            "mil_semi": suppress(out.cas, dropped),
        }

    def loss(self, out: Localised, labels: Float[Tensor, "B C"]) -> LossTerms:
        """``L1 + L2 + 0.8 norm + 0.8 guide``, with ``L = (1 - w) plain + w dropped`` in each of L1 and L2."""
        c = self.config
        bags = self.bags(out)
        backgrounds = [float(name in ("mil", "mil_hard")) for name in bags]
        losses = mil_of_bags(list(bags.values()), labels, backgrounds=backgrounds, ratio=c.ratio).mean(1)
        terms = dict(zip(bags, losses.unbind(0), strict=True))
        terms |= {"norm": out.attention.mean(), "guide": guide(out.attention, out.cas)}
        keep, dropped = 1 - c.drop_weight, c.drop_weight
        weights = {
            "mil": c.keep_weight * keep,
            "mil_hard": c.keep_weight * dropped,
            "mil_soft": c.suppress_weight * keep,
            "mil_semi": c.suppress_weight * dropped,
            "norm": c.norm_weight,
            "guide": c.guide_weight,
        }
        return total(terms, weights)
