"""BaS-Net: background suppression network (AAAI 2020), a host of P3 Table 8.

Two branches share one classifier: the base branch sees all snippets and must find the background class, the other sees
them weighted by a filter and must *not* find it.

================ ============================== =====================================================
paper            here                           shape
================ ============================== =====================================================
``w``            ``attention``                  (B, T), foreground weight of the filter module
``A, A_supp``    ``cas, suppressed``            (B, T, C + 1)
``L_base/supp``  ``mil, mil_suppressed``        binary cross-entropy of softmax scores
``L_norm``       ``norm``                       mean over B of the *sum* over time
================ ============================== =====================================================

# PAPER: (silent) / CODE: k follows from the number of snippets of training, whatever a video's own length -> clips
# PAPER: (silent) / CODE: after the first epoch only the first batch of each shuffle is trained on -> no switch, because
# it is a slip of the loader that nothing else depends on
"""

from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.actions.cross_modal import AttentionConfig, ConvBlock
from vmlkit.actions.localiser import ActionShape, Localised, Localiser, LocaliserConfig, total
from vmlkit.actions.losses import bag_cross_entropy, topk_mean
from vmlkit.training.method import LossTerms


@dataclass(frozen=True, kw_only=True)
class BaSNetConfig(LocaliserConfig):
    """Settings of BaS-Net; defaults are the released THUMOS14 configuration."""

    attention: AttentionConfig = field(default_factory=lambda: AttentionConfig(kind="filter"))
    width: int = 2048  #: of the class activation module
    ratio: int = 8  #: k = S // ratio, S the snippets of a training video
    norm_weight: float = 1e-4  #: alpha
    dropout: float = 0.7


class BaSNet(Localiser):
    """See the module docstring."""

    config: BaSNetConfig

    def __init__(self, config: BaSNetConfig, shape: ActionShape) -> None:
        super().__init__(config, shape)
        self.count = max(1, shape.clips // config.ratio)
        self.body = nn.Sequential(
            ConvBlock(shape.features, config.width, 3, slope=0.01),
            ConvBlock(config.width, config.width, 3, slope=0.01, dropout=config.dropout),
        )
        self.build_classifier(shape, config.width, bias=False)

    def forward(self, features: Float[Tensor, "B T F"], queries: Float[Tensor, "K D"] | None = None) -> Localised:
        """Both branches; ``cas`` is the base one."""
        attended = self.attention(features)
        out = self.read(features, self._final(features), attended, queries)
        suppressed = self.classify(self._final(out.attention[..., None] * features), queries)
        return replace(out, suppressed=self.pooled(suppressed))

    def _final(self, features: Float[Tensor, "B T F"]) -> Float[Tensor, "B T D"]:
        found: Tensor = self.body(features.transpose(1, 2)).transpose(1, 2)
        return found

    def scores(self, out: Localised) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Softmax over classes of the top-k mean: base and suppressed branch."""
        assert out.suppressed is not None
        count = min(self.count, out.cas.shape[1])
        base, suppressed = topk_mean(out.cas, count), topk_mean(out.suppressed, count)
        return base.softmax(dim=1), suppressed.softmax(dim=1)

    def video_scores(self, out: Localised) -> Float[Tensor, "B K"]:
        """Those of the suppressed branch."""
        return self.scores(out)[1]

    def loss(self, out: Localised, labels: Float[Tensor, "B C"]) -> LossTerms:
        """``L_base + L_supp + alpha L_norm``."""
        base, suppressed = self.scores(out)
        terms = {
            "mil": bag_cross_entropy(base, labels, background=1.0),
            "mil_suppressed": bag_cross_entropy(suppressed, labels, background=0.0),
            "norm": out.attention.sum(dim=1).mean(),
        }
        return total(terms, {"norm": self.config.norm_weight})
