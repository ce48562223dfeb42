"""P0 on each of its generators: settings, construction, and the two stages of CNM (A12)."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import ConfigError
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.cnm import CNM, CNMConfig, in_turn
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.front import Encoded
from vmlkit.reconstruction.lnp import LNP, Drawn, LNPConfig
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.training.method import DataShape, LossTerms, Progress, StepOptimizer


def _idle(*names: str, why: str = "P0 puts its negatives in the place of the generator's") -> dict[str, str]:
    return dict.fromkeys((f"host.{name}" for name in names), f"{why}, see model.lnp")


@dataclass(frozen=True, kw_only=True)
class _OnHost:
    lnp: LNPConfig = field(default_factory=LNPConfig)

    def __post_init__(self) -> None:
        positive(self.lnp, "rule_sigma width_floor exponent")
        at_least(self.lnp, 1, "count")
        at_least(self.lnp, 0, "alpha margin dual_signed_weight triplet_weight gamma logit_decay negative_diversity")
        at_least(self.lnp, 0, "center_spread")
        if self.lnp.reading.centers == "sentence":
            at_least(self.lnp.reading, self.lnp.count, "candidates")  # each negative has one of its own
            if self.lnp.negatives != "learned":
                raise ConfigError("setting 'lnp.reading' acts on learned negatives: leave it out, or set "
                                  "lnp.negatives=learned")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LNPOnCNM(_OnHost):
    """P0 on CNM: the generator's settings and the negatives'."""

    #: settings that do nothing here; :func:`vmlkit.config.with_overrides` refuses them
    idle: ClassVar = {**_idle("easy_margin"), "lnp.keep_regularisers": "CNM has no regularisers"}

    host: CNMConfig = field(default_factory=CNMConfig)


@dataclass(frozen=True, kw_only=True)
class LNPOnCPL(_OnHost):
    """P0 on CPL."""

    idle: ClassVar = _idle("gamma", "negative_margin", "use_negatives", "plan")

    host: CPLConfig = field(default_factory=CPLConfig)


@dataclass(frozen=True, kw_only=True)
class LNPOnPPS(_OnHost):
    """P0 on PPS, whose own learnable negatives it replaces."""

    idle: ClassVar = _idle(
        "use_negatives", "neg_type", "negative_components", "sigma_neg_gauss", "sigma_neg_inverse", "negative_margin",
        "plan",
    )  # fmt: skip

    host: PPSConfig = field(default_factory=lambda: PPSConfig(use_negatives=False))


def build_lnp(config: LNPOnCNM | LNPOnCPL | LNPOnPPS, shape: DataShape) -> LNP:
    """A generator with freshly drawn weights and P0's negatives on it."""
    if isinstance(config, LNPOnCNM):
        if config.host.alternate == "jointly":
            return LNP(config.lnp, CNM(config.host, shape, token=True), shape.word_dim)
        return AlternatingLNP(config.lnp, CNM(config.host, shape, token=True), shape.word_dim)
    host = CPL(config.host, shape) if isinstance(config, LNPOnCPL) else PPS(config.host, shape)
    return LNP(config.lnp, host, shape.word_dim)


class AlternatingLNP(LNP):
    """P0 on CNM, whose two stages stay (A12).

    Stage 1, everything but the heads: ``CE(pos) + CE(whole video)`` and, under A11 (i), L_dce's share.  Stage 2, the
    proposal head and the negatives: the hard margin, L_mt through the positive, L_dce through the negatives.  Each
    stage differentiates in its own parameters alone, which keeps the routes of A10 and A11 apart.
    """

    host: CNM

    def explain(
        self, encoded: Encoded, kept: Conditioning, drawn: Drawn, progress: Progress
    ) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B M"], Float[Tensor, "B M"]]:
        """One pass; what L_mt may not train is a constant to it."""
        masks, freeze = drawn.negatives.masks, self.config.freeze_triplet
        if not masks.shape[1]:
            return self.host.reconstruct(encoded, kept), drawn.select, drawn.select
        at = self.learner.conditioning(masks, drawn.select)
        positive, nll = self.host.reconstruct_beside(encoded, kept, at)
        frozen = freeze == "negatives" or (freeze == "masks" and self.config.negatives == "learned")
        return positive, nll, nll.detach() if frozen else nll

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """CNM's groups; the negatives and the token they are read from learn in the second stage."""
        groups, token = self.host.parameter_groups(), self.host.front.token
        return {
            "reconstructor": [p for p in groups["reconstructor"] if p is not token],
            "generator": [*groups["generator"], *self.learner.parameters(), *([] if token is None else [token])],
        }

    def step(
        self, batch: MomentBatch, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        """Two updates, each with its own forward pass; the losses of the second are recorded."""
        seen = []

        def stage(name: str) -> LossTerms:
            seen.append(self.training_loss(batch, progress, generator))
            return LossTerms(self.stage_loss(name, seen[-1].terms), seen[-1].terms)

        stages = {name: partial(stage, name) for name in ("reconstructor", "generator")}
        done = in_turn(self, stages, optimizers, stale=self.host.config.stale_gradient_clipping)
        return LossTerms(seen[-1].total.detach(), done[-1].terms)

    def stage_loss(self, name: str, terms: dict[str, Tensor]) -> Tensor:
        """The part of the total that trains a stage; L_dce is in both, unless A11 (ii) keeps it from the first."""
        if name == "generator":
            return terms.get("rank_whole_video", 0.0) + self.weighted(terms)
        shared = {"dual_signed"} & terms.keys() if self.config.dual_signed_reaches == "everything" else ()
        return terms["nll"] + terms.get("nll_whole_video", 0.0) + self.weighted({k: terms[k] for k in shared})
