"""CO2-Net: cross-modal consensus network (ACM MM 2021), the network that P3 starts from.

=================== ==================================== =================================================
paper               here                                 meaning
=================== ==================================== =================================================
CCM                 :class:`vmlkit.actions.cross_modal.Branch` each modality filtered by the other's guidance
``A_rgb, A_flow``   ``branches``                         (B, T); their mean is ``attention``
``S, S_bar``        ``cas``, ``suppress(cas, a)``        (B, T, C + 1)
``L_mil``           ``mil``, ``mil_suppressed``          with and without background
``L_cas``           ``coactivity``                       pairs of videos that share a class
``L_ml``            ``mutual``                           the two attentions imitate each other
=================== ==================================== =================================================

P3's TSM is the same network with other parts (:mod:`vmlkit.actions.tsm`), so both are settings of one class.

# PAPER: P3's S-bar is ``att * S`` / CODE: the smallest logit of a snippet is kept in training -> keep_minimum
# PAPER: (silent) / CODE: a convolution (``feat_encoder``) is built and never used -> no switch, because it is dead
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vmlkit.actions.cross_modal import AttentionConfig, ConvBlock, kaiming_, refuse_idle
from vmlkit.actions.localiser import ActionShape, Localised, Localiser, LocaliserConfig, total
from vmlkit.actions.losses import coactivity, guide, mil_of_bags, mutual, reconstruction_error, suppress
from vmlkit.errors import ConfigError
from vmlkit.nn.dropout import Dropout
from vmlkit.training.method import LossTerms


@dataclass(frozen=True, kw_only=True)
class CO2NetConfig(LocaliserConfig):
    """Settings of CO2-Net; defaults are the released THUMOS14 configuration (ActivityNet in brackets)."""

    attention: AttentionConfig = field(default_factory=lambda: AttentionConfig(kind="consensus"))
    fusion_kernel: int = 1  #: of the convolution over both filtered modalities
    fusion_dropout: float = 0.7
    inner_dropout: float = 0.7  #: a second dropout before the next convolution
    body_dropout: float = 0.7  #: after it
    ratio: int = 7  #: r; k = T // r (5)
    pairs: int = 3  #: pairs of same-class videos at the head of the batch
    norm_weight: float = 0.8  #: alpha_1
    guide_weight: float = 0.8  #: alpha_2
    coactivity_weight: float = 1.0  #: alpha_3
    mutual_weight: float = 1.0  #: alpha_4; P3: 0
    rebuild_weight: float = 0.0  #: of the cross-modal auto-encoders; P3: 1.5, code only (.15)
    keep_minimum: bool = True  #: suppress towards the smallest logit (code) instead of ``att * S`` (P3's S-bar)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fusion_kernel % 2 == 0:
            raise ConfigError(
                f"setting 'fusion_kernel' must be odd to keep the number of snippets, not {self.fusion_kernel}"
            )
        if self.attention.kind in ("filter", "conv"):
            refuse_idle(self, "a host with one attention for both modalities", "mutual_weight")
        if self.attention.kind != "reconstruct":
            refuse_idle(self, "a host without cross-modal auto-encoders", "rebuild_weight")


class CO2Net(Localiser):
    """See the module docstring."""

    config: CO2NetConfig

    def __init__(self, config: CO2NetConfig, shape: ActionShape) -> None:
        super().__init__(config, shape)
        width = shape.features
        self.fusion = ConvBlock(width, width, config.fusion_kernel, dropout=config.fusion_dropout)
        self.inner_dropout = Dropout(config.inner_dropout)
        self.body = ConvBlock(width, width, 3, dropout=config.body_dropout)
        self.build_classifier(shape, width)
        kaiming_(self)

    def forward(self, features: Float[Tensor, "B T F"], queries: Float[Tensor, "K D"] | None = None) -> Localised:
        """Filter, fuse, classify."""
        attended = self.attention(features)
        fused = self.fusion(attended.filtered.transpose(1, 2))
        final = self.body(self.inner_dropout(fused)).transpose(1, 2)
        return self.read(fused.transpose(1, 2), final, attended, queries)

    def suppressed(self, out: Localised) -> Float[Tensor, "B T K"]:
        """The activation where attention is low pulled to the smallest logit, or to 0."""
        if self.config.keep_minimum:
            return suppress(out.cas, out.attention)
        return out.attention[..., None] * out.cas

    def loss(self, out: Localised, labels: Float[Tensor, "B C"]) -> LossTerms:
        """Both bags, co-activity, mutual learning, and norm and guide averaged over the three attentions."""
        c = self.config
        suppressed = self.suppressed(out)
        attentions = torch.stack((out.attention, *out.branches))  # all of one size: means of means are plain means
        bags = mil_of_bags([out.cas, suppressed], labels, backgrounds=[1.0, 0.0], ratio=c.ratio)
        plain, without = bags.mean(1).unbind(0)
        terms = {
            "mil": plain,
            "mil_suppressed": without,
            "coactivity": coactivity(out.features, suppressed, labels, pairs=c.pairs),
            "norm": attentions.mean(),
            "guide": guide(attentions, out.cas),
        }
        weights = {"norm": c.norm_weight, "guide": c.guide_weight, "coactivity": c.coactivity_weight}
        if c.mutual_weight and len(out.branches) == 2:
            terms["mutual"], weights["mutual"] = mutual(*out.branches), c.mutual_weight
        if c.rebuild_weight and out.rebuilt:
            terms["rebuild"] = torch.stack(reconstruction_error(out.rebuilt)).sum()
            weights["rebuild"] = c.rebuild_weight
        return total(terms, weights)
