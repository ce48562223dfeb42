"""LNP: learnable negative proposals with a dual-signed cross-entropy (P0, ACM MM 2024), on any positive generator.

A generator (CNM, CPL or PPS) keeps its positives and its own losses; its rule-based negatives are replaced by M learned
ones.  While c(e) < 0 the negatives learn to explain the sentence badly (easy), then, with c(e) > 0, ever better (hard).
Nothing of it is used at inference.

================================ ============================================ =================================
paper                            here                                         shape
================================ ============================================ =================================
``mu_m, sigma_m`` (P0 Sec. 3.2)  :class:`NegativeHead`, ``negatives.centers`` (B, M), fractions of the video
``p_neg^(m)`` P0 Eq. (1)         :func:`paper_gaussian`, ``negatives.masks``  (B, M, S)
``s_m`` (P0 Sec. 3.2)            :class:`SelectionHead`, ``select``           (B, M), sums to one
``L_ce(p_pos)``                  ``positive``, NLL of the best proposal (A8)  (B,)
``L_ce(s_m p_m)`` (P0 Sec. 3.3)  ``nll``                                      (B, M)
``c`` P0 Eq. (2)                 :func:`dual_sign`                            one number an epoch
``L_dce`` P0 Eq. (3)             :func:`dual_signed`                          sum over m, mean over B (A7)
``L_mt`` P0 Eq. (4)              :func:`multi_triplet`                        sum over m, mean over B (A7)
``L`` (P0 Sec. 3.4)              :meth:`LNP.losses`
``lambda_1, lambda_2, gamma``    ``dual_signed_weight, triplet_weight, margin``
================================ ============================================ =================================

There is no released code; where the paper leaves something open, A1 to A16 of ``docs/reconstruction.md`` say how it is
read here, and CODE below is that of its generators.

# PAPER: ``s_m p_m`` masks the attention / CODE: renormalising cancels s_m -> selection_action
# PAPER: "the network for negative proposal generation" is frozen in L_mt / CODE: nothing is frozen -> freeze_triplet
# PAPER: L_dce trains "the overall network" / CODE: (silent) -> dual_signed_reaches
# PAPER: CE(pos) counts once / CODE: half, beside half of the whole video's (CPL, PPS) -> keep_reference
"""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.nn.transformer import Conditioning, DropoutTape
from vmlkit.reconstruction.front import Encoded, Generator, Proposals, pick
from vmlkit.reconstruction.gaussian import paper_gaussian, present
from vmlkit.reconstruction.losses import Divide, Unite, gradient_norms, margin
from vmlkit.reconstruction.negatives import NegativeKind, NegativeProposals, remedies, rule_based
from vmlkit.reconstruction.reading import ReadingConfig
from vmlkit.training.method import LossTerms, Method, Progress

Selection = Literal["random", "uniform", "hard", "soft"]


@dataclass(frozen=True, kw_only=True)
class LNPConfig:
    """Settings of P0; defaults are the paper's, with the readings of ``docs/reconstruction.md`` where it is open."""

    negatives: NegativeKind = "learned"  #: P0 Table 4
    count: int = 3  #: M, P0 Table 5c
    alpha: float = 0.5  #: shape of c(e), P0 Table 3; 0 constant, < 1 logarithmic, 1 linear, > 1 exponential
    beta: float = 0.8  #: offset of c(e), P0 Fig. 5
    margin: float = 0.15  #: gamma of L_mt, NLL
    dual_signed_weight: float = 0.03  #: lambda_1
    triplet_weight: float = 1.0  #: lambda_2
    selection: Selection = "soft"  #: P0 Table 5b
    selection_action: Literal["gate", "literal", "logits", "loss"] = "gate"  #: A1: how s_m acts
    freeze_triplet: Literal["masks", "negatives", "nothing"] = "masks"  #: A10 (i), (ii), (iii); P0 Table 5a
    dual_signed_reaches: Literal["everything", "negatives"] = "everything"  #: A11 (i), (ii)
    keep_reference: bool = True  #: A9: the generator's whole-video terms; False gives CE(pos) its full weight
    keep_regularisers: bool = True  #: A9: diversity, pull and push
    gamma: float = 0.5  #: growth of ``variable`` negatives, (epoch / epochs)^gamma
    rule_sigma: float = 9.0  #: sigma of the positives that rule-based Gaussians follow
    width_floor: float = 0.01  #: A4, clamp on sigma_m; 0.1 and more keep negatives from vanishing while c < 0
    exponent: float = 1.0  #: A5, factor in the exponent of P0 Eq. (1)
    # Remedies against the collapse of the negatives while c < 0; all off by default.
    center_spread: float = 0.0  #: initial center biases run from -spread to spread
    width_bias: float = 0.0  #: initial width bias (negative: narrow)
    logit_decay: float = 0.0  #: weight of the mean square of the values before the sigmoid
    negative_diversity: float = 0.0  #: weight of the overlap between the M masks of a query
    reading: ReadingConfig = field(default_factory=ReadingConfig)  #: where the centers of learned negatives come from

    def c(self, progress: Progress) -> float:
        """P0 Eq. (2) at this clock."""
        return dual_sign(progress.epoch, progress.max_epochs, self.alpha, self.beta)


# -- P0 Sec. 3.2: negative proposals and their selection


class NegativeHead(nn.Module):
    """P0 Sec. 3.2: ``(mu_m, sigma_m) = sigmoid(FC(token))``, M centers and widths in fractions of the video.

    Args:
        spread: initial bias of the m-th center runs linearly from ``-spread`` to ``spread``.
        width_bias: initial bias of every width.
    """

    def __init__(self, hidden: int, count: int, *, spread: float = 0.0, width_bias: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(hidden, 2 * count)
        with torch.no_grad():
            pairs = self.layer.bias.view(count, 2)
            if spread:
                pairs[:, 0] = torch.linspace(-spread, spread, count)
            if width_bias:
                pairs[:, 1] = width_bias

    def forward(
        self, token: Float[Tensor, "B D"]
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M"], Float[Tensor, "B M 2"]]:
        """Centers, widths, and the values before the sigmoid."""
        raw = self.layer(token).unflatten(-1, (-1, 2))
        centers, widths = torch.sigmoid(raw).unbind(-1)
        return centers, widths, raw


class SelectionHead(nn.Module):
    """P0 Sec. 3.2: two layers read the [CLASS] outputs under each mask; softmax over the M negatives (A14)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, states: Float[Tensor, "B M D"]) -> Float[Tensor, "B M"]:
        """Soft selection weights s, summing to one."""
        return torch.softmax(self.outer(torch.relu(self.inner(states))).squeeze(-1), dim=-1)


def select(
    soft: Float[Tensor, "B M"], strategy: Selection, generator: torch.Generator
) -> tuple[Float[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """P0 Table 5b: selection weights and which loss terms count; a one-hot choice drops the other terms.

    ``soft``: as they are.  ``hard``: one-hot of the largest with the soft weights' gradient (straight-through, A16).
    ``uniform``: 1 / M.  ``random``: one m per query and step.
    """
    count = soft.shape[1]
    if strategy in ("soft", "uniform"):
        weights = soft if strategy == "soft" else torch.full_like(soft, 1 / count)
        return weights, torch.ones_like(soft, dtype=torch.bool)
    if strategy == "hard":
        chosen = nn.functional.one_hot(soft.argmax(dim=1), count)
        return chosen + soft - soft.detach(), chosen.bool()
    drawn = torch.rand(soft.shape, generator=generator, device=generator.device).to(soft.device)
    chosen = nn.functional.one_hot(drawn.argmax(dim=1), count)
    return chosen.to(soft.dtype), chosen.bool()


@dataclass(frozen=True)
class Drawn:
    """Negatives of a batch with what selects and counts them."""

    negatives: NegativeProposals
    raw: Float[Tensor, "B M 2"] | None  #: values before the sigmoid, for learned negatives
    select: Float[Tensor, "B M"]
    counted: Float[Tensor, "B M"]  #: weight of each loss term: 0 dropped, 1 counted (M s_m with action ``loss``)
    follow: dict[str, Tensor] = field(default_factory=dict)  #: draws them to where L_dce wants them, weight included


class LearnableNegatives(nn.Module):
    """Where the negatives lie and how they are selected.

    The token is the generator's own (A2); new are only the heads, the [CLASS] vector and nothing else.
    """

    def __init__(self, config: LNPConfig, hidden: int, word_dim: int) -> None:
        super().__init__()
        self.config = config
        learned = config.negatives == "learned"
        selects = learned and config.selection in ("soft", "hard")
        head = partial(NegativeHead, spread=config.center_spread, width_bias=config.width_bias)
        self.head = head(hidden, config.count) if learned else None
        self.selection = SelectionHead(hidden) if selects else None
        self.class_vector = nn.Parameter(torch.zeros(word_dim)) if selects else None
        self.reader = config.reading.reader(hidden, config.count) if learned else None

    def forward(
        self,
        host: Generator,
        encoded: Encoded,
        proposals: Proposals,
        best: Int[Tensor, " B"],
        progress: Progress,
        generator: torch.Generator,
    ) -> Drawn:
        """P0 Eq. (1) on the grid of the positives (A3), or the masks of a rule; and the weights of P0 Sec. 3.2."""
        cfg, cells = self.config, encoded.clips.shape[1]
        if self.head is None:
            positive = (pick(v, best) for v in (proposals.centers, proposals.widths, proposals.masks))
            ratio = progress.number(lambda clock: clock.fraction**cfg.gamma)
            rule = rule_based(cfg.negatives, *positive, sigma=cfg.rule_sigma, ratio=ratio, generator=generator)
            return Drawn(rule, None, torch.ones_like(rule.centers), present(rule.masks))
        centers, widths, raw = precisely(self.head, encoded.hidden[:, -1])
        gaussian = partial(paper_gaussian, cells=cells, floor=cfg.width_floor, exponent=cfg.exponent)
        toward: dict[str, Tensor] = {}
        if self.reader is not None:  # drawn to the places of highest CE while c < 0, of lowest CE after
            centers, easy = self.reader.read(encoded), progress.choice(lambda now: cfg.c(now) < 0)
            toward = cfg.reading.draw("follow_negatives", host, encoded, centers, widths, gaussian, hardest=easy)
        masks, soft = gaussian(centers, widths), torch.full_like(centers, 1 / cfg.count)
        if self.selection is not None and self.class_vector is not None:
            soft = precisely(self.selection, host.answers(encoded, masks, self.class_vector))
        weights, counted = select(soft, cfg.selection, generator)
        scale = weights * cfg.count if cfg.selection_action == "loss" else 1
        terms = counted.to(soft.dtype) * scale * present(masks)
        return Drawn(NegativeProposals(masks, centers, widths), raw, weights, terms, toward)

    def conditioning(self, masks: Float[Tensor, "B M S"], weights: Float[Tensor, "B M"]) -> Conditioning:
        """A1: how the selection weight enters the query prediction (P0 Sec. 3.3).

        ``gate`` scales the output of every mask-conditioned attention; ``literal`` scales the mask, which the
        renormalised attention cancels; ``logits`` scales the mask of P1 Eq. (8), where it acts as a temperature;
        ``loss`` leaves the prediction alone and weighs the loss terms.
        """
        action = self.config.selection_action
        if self.head is None or action == "loss":
            return Conditioning(masks)
        if action == "gate":
            return Conditioning(masks, gate=weights)
        return Conditioning(masks * weights[..., None], form="logit" if action == "logits" else None)


# -- P0 Sec. 3.3 and P0 Sec. 3.4: the losses


def dual_sign(epoch: float | int, max_epochs: int, alpha: float | int, beta: float | int) -> float:
    """P0 Eq. (2): ``c(e) = (e / e_max)^alpha - beta``, with e counted from 1; alpha 0 is the constant ``1 - beta``.

    Negative c drives the negatives away from what explains the query (deconstruction), positive c towards it
    (reconstruction); with the paper's (0.5, 0.8) it changes sign at 64 % of the training and ends at 0.2.

    Raises:
        ConfigError: for a negative epoch or alpha, or ``max_epochs`` not above 0.

    >>> round(dual_sign(1, 30, alpha=0.5, beta=0.8), 3), round(dual_sign(30, 30, alpha=0.5, beta=0.8), 3)
    (-0.617, 0.2)
    """
    if not (max_epochs > 0 and epoch >= 0 and alpha >= 0):
        raise ConfigError(
            f"the schedule needs 0 <= epoch, 0 < max_epochs and 0 <= alpha, not {epoch}, {max_epochs} and {alpha}"
        )
    return min(epoch / max_epochs, 1.0) ** alpha - beta


def dual_signed(nll: Float[Tensor, "B M"], counted: Float[Tensor, "B M"], c: float | Tensor) -> Float[Tensor, ""]:
    """P0 Eq. (3): ``L_dce = c(e) sum_m CE(negative m)``; mean over queries, sum over m.

    Args:
        nll: word NLL under each negative.
        counted: 1 for a term that counts, 0 for one that is dropped; any other weight scales it (A1, ``loss``).
        c: :func:`dual_sign`; while it is negative the loss *raises* the negatives' NLL.
    """
    return c * (nll * counted).sum(dim=1).mean()


def multi_triplet(
    positive: Float[Tensor, " B"], nll: Float[Tensor, "B M"], counted: Float[Tensor, "B M"], gap: float
) -> Float[Tensor, ""]:
    """P0 Eq. (4): ``L_mt = sum_m max(CE(positive) - CE(negative m) + gamma, 0)``; mean over queries, sum over m."""
    return (margin(positive[:, None], nll, gap) * counted).sum(dim=1).mean()


# -- who learns from what (A10, A11), and the whole


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
    nll_triplet: Float[Tensor, "B M"]  #: the same numbers (at dropout 0) as L_mt differentiates them


class LNP(Method[MomentBatch]):
    """A positive generator with P0's negatives; see the module docstring."""

    def __init__(self, config: LNPConfig, host: Generator, word_dim: int) -> None:
        super().__init__()
        self.config = config
        self.host = host
        self.learner = LearnableNegatives(config, host.front.config.transformer.hidden, word_dim)
        host.front.read_places = host.front.read_places if self.learner.reader is None else None

    def forward(
        self, batch: MomentBatch, masked: Bool[Tensor, "B L"], progress: Progress, generator: torch.Generator
    ) -> LNPOutput:
        """Positives without a graph to find the best; then the best, the whole video and M negatives with one.

        The best row replays the dropout that made it win, so dropping the other rows' graph changes nothing.
        """
        host, tape = self.host, DropoutTape()
        encoded = host.encode(batch, masked)
        proposals = host.positives(encoded)
        with torch.no_grad():
            best = host.reconstruct(encoded, proposals.masks, tape=tape).argmin(dim=1)
        drawn = self.learner(host, encoded, proposals, best, progress, generator)
        chosen = pick(proposals.masks, best)
        kept = Conditioning(torch.stack((chosen, torch.ones_like(chosen)), dim=1), tape=tape.rewind(best))
        positive, nll, triplet = self.explain(encoded, kept, drawn, progress)
        return LNPOutput(encoded, proposals, best, positive[:, 0], positive[:, 1], drawn, nll, triplet)

    def explain(
        self, encoded: Encoded, kept: Conditioning, drawn: Drawn, progress: Progress
    ) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B M"], Float[Tensor, "B M"]]:
        """CE(pos) and that of the whole video, and CE(s_m p_m) as L_dce and as L_mt differentiate it.

        One pass for all of them, unless the network is a constant to the negatives alone.
        """
        cfg, learner, host = self.config, self.learner, self.host
        masks, weights = drawn.negatives.masks, drawn.select
        learned, freeze = cfg.negatives == "learned", cfg.freeze_triplet
        one_pass = progress.choice(lambda clock: cfg.dual_signed_weight * cfg.c(clock) <= cfg.triplet_weight / 2)
        if not masks.shape[1]:
            return host.reconstruct(encoded, kept), weights, weights
        if learned and cfg.dual_signed_reaches == "negatives":
            positive = host.reconstruct(encoded, kept)
            nll = host.reconstruct(encoded, learner.conditioning(masks, weights), fixed=True)
        elif learned and freeze == "masks" and one_pass:
            masks, weights, channel = Divide.apply(masks, weights)
            positive, nll = host.reconstruct_beside(encoded, kept, learner.conditioning(masks, weights))
            return positive, *Unite.apply(nll, channel)
        else:  # nearer to lambda_2, the two gradients would cancel and leave no share to scale by
            positive, nll = host.reconstruct_beside(encoded, kept, learner.conditioning(masks, weights))
        if freeze == "negatives":
            return positive, nll, nll.detach()
        if not learned or (freeze == "nothing" and cfg.dual_signed_reaches == "everything"):
            return positive, nll, nll
        if freeze == "masks":
            masks, weights = masks.detach(), weights.detach()
        return positive, nll, host.reconstruct(encoded, learner.conditioning(masks, weights))

    def losses(self, out: LNPOutput, progress: Progress) -> LossTerms:
        """P0 Sec. 3.4: ``L = L_generator + lambda_1 L_dce + lambda_2 L_mt``; rule-based negatives have no L_dce."""
        cfg, counted = self.config, out.drawn.counted
        whole = out.whole_video if cfg.keep_reference else None
        base = self.host.base_loss(out.proposals, out.positive, whole, regularise=cfg.keep_regularisers)
        if not out.nll.shape[1]:
            return base
        # with action "loss" the weight of a term is s_m itself, which the triplet may not train either
        fixed = counted if cfg.freeze_triplet == "nothing" else counted.detach()
        terms = {"triplet": multi_triplet(out.positive, out.nll_triplet, fixed, cfg.margin)}
        if cfg.negatives == "learned":
            terms["dual_signed"] = dual_signed(out.nll, counted, progress.number(cfg.c))
        if cfg.logit_decay or cfg.negative_diversity:
            terms |= remedies(out.drawn.negatives.masks, out.drawn.raw, cfg.logit_decay, cfg.negative_diversity)
        terms |= out.drawn.follow
        said = base.terms | terms | {"nll_negative": out.nll.detach().mean()}
        return LossTerms(base.total + self.weighted(terms), said)

    def weighted(self, terms: dict[str, Tensor]) -> Tensor:
        """``lambda_1 L_dce + lambda_2 L_mt`` and the remedies, as far as they are among ``terms``."""
        weights = {"triplet": self.config.triplet_weight, "dual_signed": self.config.dual_signed_weight}
        weights |= dict.fromkeys(("logit_decay", "negative_diversity", "follow_negatives"), 1.0)
        parts = [weight * terms[name] for name, weight in weights.items() if name in terms]
        return torch.stack(parts).sum() if parts else torch.zeros((), device=next(self.parameters()).device)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """One draw of words for positives, selection and negatives (A15); see :meth:`losses`."""
        return self.losses(self(batch, self.host.masked_words(batch, generator), progress, generator), progress)

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """c(e), for the history."""
        return {"c": self.config.c(progress)} if self.config.negatives == "learned" else {}

    def curves(self) -> dict[str, dict[str, float]]:
        """The host's positives; P0 Eq. (1) is a Gaussian of sigma ``sqrt(2 exponent)``, rules follow CPL."""
        cfg, negative = self.config, {"sigma": self.config.rule_sigma / 2}
        if cfg.negatives == "learned":
            negative = {"sigma": math.sqrt(2 * cfg.exponent), "floor": cfg.width_floor}
        return {**self.host.curves(), "negative": negative}

    def diagnose(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """Gradient norms of each term, weights included, on the negative heads and on the reconstructor (A11)."""
        terms = self.training_loss(batch, progress, generator).terms
        parts = {"heads": list(self.learner.parameters()), "reconstructor": list(self.host.reconstructor.parameters())}
        weighted = {name: self.weighted({name: terms[name]}) for name in ("triplet", "dual_signed") if name in terms}
        return gradient_norms({"nll": terms["nll"]} | weighted, parts)

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """The generator's own inference; the negatives are reported beside it, they have no part in it."""
        host, replay, clock = self.host, generator.clone_state(), progress or Progress(1, 1)
        said = host.predict(batch, generator, progress)
        encoded = host.encode(batch, host.masked_words(batch, replay))
        drawn = self.learner(host, encoded, host.positives(encoded), said.order[:, 0], clock, replay)
        if not drawn.select.shape[1] or bool(drawn.negatives.centers.isnan().any()):  # none, or no intervals
            return dataclasses.replace(said, negative_centers=None, negative_widths=None)
        return dataclasses.replace(
            said,
            negative_centers=drawn.negatives.centers,
            negative_widths=drawn.negatives.widths,
            negative_weights=drawn.select,
            negative_nll=host.reconstruct(encoded, self.learner.conditioning(drawn.negatives.masks, drawn.select)),
        )
