"""LNP as a method: one step, its losses and who learns from them; the parts are in ``lnp``."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.nn.dropout import DropoutTape
from vmlkit.nn.transformer import Conditioning
from vmlkit.reconstruction.cnm import CNM, CNMConfig
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.dual_signed import dual_sign, dual_signed, multi_triplet
from vmlkit.reconstruction.front import Encoded, Proposals, pick
from vmlkit.reconstruction.gradients import Valve, frozen, gradient_norm
from vmlkit.reconstruction.lnp import Drawn, LearnableNegatives, LNPConfig
from vmlkit.reconstruction.negatives import NegativeProposals
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import DataShape, LossTerms, Method, Progress, StepOptimizer


@dataclass(frozen=True)
class LNPOutput:
    """One forward pass."""

    encoded: Encoded
    proposals: Proposals
    best: Int[Tensor, " B"]
    positive: Float[Tensor, " B"]  #: NLL of the best proposal, with graph
    whole_video: Float[Tensor, " B"]
    drawn: Drawn
    nll: Float[Tensor, "B M"]  #: under each negative; what L_dce differentiates
    nll_triplet: Float[Tensor, "B M"]  #: the same numbers as L_mt differentiates them
    valve: Valve  #: scales what the masks and selection weights receive


class LNP(Method[MomentBatch]):
    """A positive generator with P0's negatives; see :mod:`vmlkit.reconstruction.lnp`."""

    def __init__(self, config: LNPConfig, host: CNM | CPL | PPS, word_dim: int) -> None:
        super().__init__()
        self.config = config
        self.host: Any = host  # a Host; PPS narrows the type of what it encodes
        self.learner = LearnableNegatives(config, host.config.reconstruction.transformer.hidden, word_dim)

    def forward(
        self, batch: MomentBatch, masked: Bool[Tensor, "B L"], progress: Progress, generator: torch.Generator
    ) -> LNPOutput:
        """Positives without a graph to find the best; then the best, the whole video and M negatives with one.

        The best row is replayed under the dropout that made it win, so dropping the other rows' graph changes nothing.
        """
        host, tape = self.host, DropoutTape()
        encoded = host.encode(batch, masked)
        proposals = host.positives(encoded)
        with torch.no_grad():
            best = host.reconstruct(encoded, proposals.masks, tape=tape).argmin(dim=1)
        drawn, conditioning, valve = self._draw(encoded, proposals, best, progress, generator)
        chosen = pick(proposals.masks, best)[:, None]
        kept = host.reconstruct(encoded, torch.cat((chosen, torch.ones_like(chosen)), dim=1), tape=tape.rewind(best))
        nll, triplet = self._negative_nll(encoded, conditioning)
        return LNPOutput(encoded, proposals, best, kept[:, 0], kept[:, 1], drawn, nll, triplet, valve)

    def _draw(
        self,
        encoded: Encoded,
        proposals: Proposals,
        best: Int[Tensor, " B"],
        progress: Progress,
        generator: torch.Generator,
    ) -> tuple[Drawn, Conditioning, Valve]:
        valve = Valve()
        if self.config.negatives == "none":
            empty = proposals.masks[:, :0]
            nothing = NegativeProposals(empty, empty[..., 0], empty[..., 0])
            return Drawn(nothing, None, empty[..., 0], empty[..., 0]), Conditioning(empty), valve
        ratio = progress.fraction**self.config.gamma
        negatives, raw = self.learner.propose(encoded, proposals, best, ratio, generator)
        select, counted = self.learner.weigh(self.host, encoded, negatives.masks, generator)
        counted = counted * negatives.present
        conditioning = self.learner.conditioning(valve(negatives.masks), valve(select))
        return Drawn(negatives, raw, select, counted), conditioning, valve

    def _negative_nll(self, encoded: Encoded, at: Conditioning) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M"]]:
        """NLL under the negatives, once for each way in which the two losses differentiate it.

        One pass serves both unless L_dce may not touch the shared network (A11 ii).  The values agree at dropout 0.
        """
        cfg = self.config
        if at.weight.shape[1] == 0:
            return at.weight[..., 0], at.weight[..., 0]
        if cfg.negatives != "learned" or cfg.dual_signed_reaches == "everything":
            nll = self._reconstruct(encoded, at)
            return nll, (nll.detach() if cfg.freeze_triplet == "negatives" else nll)
        with frozen(self.host):
            nll = self._reconstruct(encoded, at)
        if cfg.freeze_triplet == "negatives":
            return nll, nll.detach()
        if cfg.freeze_triplet == "masks":
            at = dataclasses.replace(at, weight=at.weight.detach(), gate=None if at.gate is None else at.gate.detach())
        return nll, self._reconstruct(encoded, at)

    def _reconstruct(self, encoded: Encoded, at: Conditioning) -> Float[Tensor, "B M"]:
        out = self.host.reconstructor.reconstruct(encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask, at)
        return self.host.front.nll(out.hidden, encoded)

    def c(self, progress: Progress) -> float:
        """Eq. (2): ``c(e) = (e / e_max)^alpha - beta``."""
        return dual_sign(progress.epoch, progress.max_epochs, self.config.alpha, self.config.beta)

    def losses(self, out: LNPOutput, progress: Progress) -> LossTerms:
        """``L = L_generator + lambda_1 L_dce + lambda_2 L_mt``, with the valve set so that A10 (i) holds.

        Rule-based negatives have no L_dce.  The triplet of A10 (i) reaches the reconstructor, not the masks: each row's
        NLL depends on its own mask and weight alone, so scaling what those receive by (L_dce's share) / (both shares)
        leaves them exactly L_dce's gradient.
        """
        cfg = self.config
        whole = out.whole_video if cfg.keep_reference else None
        base = self.host.base_loss(out.proposals, out.positive, whole, regularise=cfg.keep_regularisers)
        if not out.nll.shape[1]:
            return base
        counted, terms = out.drawn.counted, dict(base.terms)
        # with action "loss" the weight of a term is s_m itself, which the triplet may not train either
        weights = counted if cfg.freeze_triplet == "nothing" else counted.detach()
        triplet = multi_triplet(out.positive, out.nll_triplet, weights, cfg.margin)
        total = base.total + cfg.triplet_weight * triplet
        terms |= {"triplet": triplet, "nll_negative": out.nll.detach().mean()}
        if cfg.negatives == "learned":
            dce = dual_signed(out.nll, counted, self.c(progress))
            total = total + cfg.dual_signed_weight * dce
            terms["dual_signed"] = dce
            out.valve.factor = self.mask_share(out, progress)
        extra = self.learner.remedies(out.drawn)
        return LossTerms(total + sum(extra.values(), torch.zeros_like(total)), terms | extra)

    def mask_share(self, out: LNPOutput, progress: Progress) -> Tensor | float:
        """What of the combined gradient on a negative's NLL the masks may see: L_dce's share under A10 (i)."""
        cfg = self.config
        if cfg.freeze_triplet != "masks" or cfg.dual_signed_reaches == "negatives":
            return 1.0
        wanted = cfg.dual_signed_weight * self.c(progress)
        active = (out.positive[:, None] - out.nll + cfg.margin > 0).to(out.nll.dtype)
        both = wanted - cfg.triplet_weight * active.detach()
        return torch.where(both == 0, torch.zeros_like(both), wanted / torch.where(both == 0, 1.0, both))

    def masked_words(self, batch: MomentBatch, generator: torch.Generator) -> Bool[Tensor, "B L"]:
        """One draw for positives, selection and negatives (A15)."""
        return draw_masked_words(batch.word_weights, batch.word_mask, generator)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Section 3.4: the total loss."""
        return self.losses(self(batch, self.masked_words(batch, generator), progress, generator), progress)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The generator's groups; on CNM the negatives learn in the second stage (A12)."""
        if not isinstance(self.host, CNM):
            return super().parameter_groups()
        groups = self.host.parameter_groups()
        token = self.host.front.token
        own = [*self.learner.parameters(), *([] if token is None else [token])]
        return {
            "reconstructor": [p for p in groups["reconstructor"] if p is not token],
            "generator": [*groups["generator"], *own],
        }

    def step(
        self,
        batch: MomentBatch,
        progress: Progress,
        generator: torch.Generator,
        optimizers: dict[str, StepOptimizer],
    ) -> LossTerms:
        """One update; on CNM two (A12).

        Stage 1, everything but the heads: ``CE(pos) + CE(whole video)`` and, under A11 (i), L_dce's share.  Stage 2,
        the proposal head and the negatives: the hard margin, L_mt through the positive, L_dce through the negatives.
        """
        if not isinstance(self.host, CNM):
            return super().step(batch, progress, generator, optimizers)
        groups, records = self.parameter_groups(), []
        for stage in ("reconstructor", "generator"):
            out = self(batch, self.masked_words(batch, generator), progress, generator)
            losses = self.losses(out, progress)
            out.valve.factor = 1.0  # the groups already keep the two routes apart
            gradients = torch.autograd.grad(
                self._stage_loss(stage, out, losses.terms), groups[stage], allow_unused=True
            )
            for parameter, gradient in zip(groups[stage], gradients, strict=True):
                parameter.grad = gradient
            stale = self.host.config.stale_gradient_clipping
            optimizers[stage].step(clip=list(self.parameters()) if stale else groups[stage])
            records.append(losses)
        return LossTerms(records[-1].total.detach(), {k: v.detach() for k, v in records[-1].terms.items()})

    def _stage_loss(self, stage: str, out: LNPOutput, terms: dict[str, Tensor]) -> Tensor:
        cfg = self.config
        signed = cfg.dual_signed_weight * terms["dual_signed"] if "dual_signed" in terms else 0.0
        if stage == "reconstructor":
            share = signed if cfg.dual_signed_reaches == "everything" else 0.0
            return terms["nll"] + terms.get("nll_whole_video", 0.0) + share
        extra = sum((terms[n] for n in ("logit_decay", "negative_diversity") if n in terms), torch.zeros(()))
        loss = terms.get("rank_whole_video", 0.0) + signed + extra.to(out.positive)
        if out.nll.shape[1]:
            learned = cfg.negatives == "learned" and cfg.freeze_triplet != "nothing"
            against = out.nll.detach() if learned else out.nll_triplet
            loss = loss + cfg.triplet_weight * multi_triplet(out.positive, against, out.drawn.counted, cfg.margin)
        return loss

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """c(e), for the history."""
        return {"c": self.c(progress)} if self.config.negatives == "learned" else {}

    def curves(self) -> dict[str, dict[str, float]]:
        """The host's positives; P0 Eq. (1) is a Gaussian of sigma ``sqrt(2 exponent)``, rules follow CPL."""
        cfg = self.config
        negative = {"sigma": cfg.rule_sigma / 2}
        if cfg.negatives == "learned":
            negative = {"sigma": math.sqrt(2 * cfg.exponent), "floor": cfg.width_floor}
        return {**self.host.curves(), "negative": negative}

    def diagnose(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """Gradient norms of each term, weights included, on the negative heads and on the reconstructor (A11)."""
        out = self(batch, self.masked_words(batch, generator), progress, generator)
        losses, cfg = self.losses(out, progress), self.config
        parts = {"heads": list(self.learner.parameters()), "reconstructor": list(self.host.reconstructor.parameters())}
        weights = {"nll": 1.0, "triplet": cfg.triplet_weight, "dual_signed": cfg.dual_signed_weight}
        norms = {}
        for term, weight in weights.items():
            if term not in losses.terms:
                continue
            out.valve.factor = 0.0 if term == "triplet" and cfg.freeze_triplet == "masks" else 1.0
            for part, parameters in parts.items():
                if parameters:
                    norms[f"{term} on {part}"] = gradient_norm(weight * losses.terms[term], parameters)
        return norms

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """The generator's own inference; the negatives are reported beside it, they have no part in it."""
        state = generator.get_state()
        said = self.host.predict(batch, generator, progress)
        if self.config.negatives == "none":
            return dataclasses.replace(
                said, negative_centers=None, negative_widths=None, negative_weights=None, negative_nll=None
            )
        replay = torch.Generator(device=generator.device)
        replay.set_state(state)
        encoded = self.host.encode(batch, self.masked_words(batch, replay))
        clock = progress or Progress(1, 1)
        drawn, at, _ = self._draw(encoded, self.host.positives(encoded), said.order[:, 0], clock, replay)
        shown = not bool(drawn.negatives.centers.isnan().any())
        return dataclasses.replace(
            said,
            negative_centers=drawn.negatives.centers if shown else None,
            negative_widths=drawn.negatives.widths if shown else None,
            negative_weights=drawn.select if shown else None,
            negative_nll=self._reconstruct(encoded, at) if shown else None,
        )


@dataclass(frozen=True, kw_only=True)
class LNPOnCNM:
    """P0 on CNM: the generator's settings and the negatives'."""

    host: CNMConfig = field(default_factory=CNMConfig)
    lnp: LNPConfig = field(default_factory=LNPConfig)


@dataclass(frozen=True, kw_only=True)
class LNPOnCPL:
    """P0 on CPL."""

    host: CPLConfig = field(default_factory=CPLConfig)
    lnp: LNPConfig = field(default_factory=LNPConfig)


@dataclass(frozen=True, kw_only=True)
class LNPOnPPS:
    """P0 on PPS, whose own learnable negatives it replaces."""

    host: PPSConfig = field(default_factory=lambda: PPSConfig(use_negatives=False))
    lnp: LNPConfig = field(default_factory=LNPConfig)


def build_lnp(config: LNPOnCNM | LNPOnCPL | LNPOnPPS, shape: DataShape) -> LNP:
    """A generator with freshly drawn weights and P0's negatives on it."""
    host: CNM | CPL | PPS
    if isinstance(config, LNPOnCNM):
        host = CNM(config.host, shape, token=True)
    elif isinstance(config, LNPOnCPL):
        host = CPL(config.host, shape)
    else:
        host = PPS(config.host, shape)
    return LNP(config.lnp, host, shape.word_dim)
