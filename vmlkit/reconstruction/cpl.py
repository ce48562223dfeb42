"""CPL: Gaussian-based contrastive proposal learning (CVPR 2022).

P Gaussian proposals a query, each with two rule-based negatives that creep from the borders of the video towards the
positive as training goes on.  The proposal that explains the sentence best is trained; a diversity term keeps the
others apart.

====================== ==================================================== ======================================
paper                  here                                                 shape
====================== ==================================================== ======================================
``c_k, w_k``           ``centers, widths``                                  (B, P), fractions of the video
``m_k``                ``proposals.masks``                                  (B, P, S), largest cell 1
``k*``                 ``best``                                             (B,), lowest NLL
negatives              ``negatives`` (left, right of ``k*``)                (B, 2, S)
``L_rec, L_ivc``       ``nll*``, ``rank_*``, ``diversity``                  means over B
``alpha_1, alpha_2``   ``rank_weight, diversity_weight``
====================== ==================================================== ======================================

# PAPER: negatives grow with training / CODE: gamma = 0 on ActivityNet switches that off -> gamma
# PAPER: (silent) / CODE: without negatives the NLL is counted twice -> use_negatives
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.nn.attention import precisely
from vmlkit.nn.transformer import DropoutTape, DualTransformer
from vmlkit.reconstruction.front import (
    ContrastingGenerator,
    Encoded,
    Explained,
    FrontEnd,
    Proposals,
    ReconstructionConfig,
    Spans,
    encode,
    pick,
)
from vmlkit.reconstruction.gaussian import outer_spans, peak_gaussian
from vmlkit.reconstruction.losses import diversity, margin
from vmlkit.reconstruction.reading import ReadingConfig, moved
from vmlkit.training.method import DataShape, LossTerms, Progress

Plan = Literal["selected", "all", "replay"]


@dataclass(frozen=True, kw_only=True)
class CPLConfig:
    """Settings of CPL; defaults are the released Charades-STA configuration."""

    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    proposals: int = 8  #: P
    sigma: float = 9.0  #: a proposal's standard deviation is width / sigma
    gamma: float = 0.5  #: growth of the negatives, (epoch / epochs)^gamma; 0 on ActivityNet
    whole_video_margin: float = 0.1  #: beta_1, NLL
    negative_margin: float = 0.15  #: beta_2, NLL
    rank_weight: float = 1.0  #: alpha_1; 2 on ActivityNet
    diversity_weight: float = 5.0  #: alpha_2; 0.1 on ActivityNet
    diversity_target: float = 0.146  #: lambda, as published for a grid of ``published_cells``
    published_cells: int | None = 50  #: lambda is rescaled by this over the grid in use; None takes it as it stands
    use_negatives: bool = True
    reading: ReadingConfig = field(default_factory=ReadingConfig)  #: where centers come from; not in any release
    plan: Plan = "selected"  #: which negatives are evaluated; all plans agree exactly at dropout 0

    def __post_init__(self) -> None:
        positive(self, "sigma")
        at_least(self, 1, "proposals published_cells")
        at_least(self, 0, "gamma whole_video_margin negative_margin rank_weight diversity_weight diversity_target")

    def diversity_at(self, cells: int) -> float:
        """Lambda on a grid of ``cells``.

        The diversity term pulls every width to ``sigma / (2 sqrt(pi) lambda S)``, so the published lambda keeps its
        meaning only if it shrinks as the grid S grows.  Unscaled on 16 cells it asks for widths above the video.
        """
        return self.diversity_target * (self.published_cells / cells if self.published_cells else 1.0)


class CPL(ContrastingGenerator):
    """Contrastive proposal learning; see the module docstring."""

    def __init__(self, config: CPLConfig, shape: DataShape) -> None:
        super().__init__()
        self.config = config
        network = config.reconstruction
        self.front = FrontEnd(network, shape, token=True)
        self.transformer = DualTransformer(network.transformer)
        self.proposal_head = nn.Linear(network.transformer.hidden, 2 * config.proposals)
        self.reader = config.reading.reader(network.transformer.hidden, 1)
        if self.reader is not None:  # one place is read, of all clips; the P windows begin around it
            self.front.read_places = None
            with torch.no_grad():
                self.proposal_head.bias.view(-1, 2)[:, 0] = torch.linspace(-1, 1, config.proposals)

    @property
    def reconstructor(self) -> DualTransformer:  # type: ignore[override]
        """What reads masked sentences from masked clips; CPL generates proposals with the same stacks."""
        return self.transformer

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """Projection, generation and the masked sentence."""
        return encode(self.front, self.transformer, batch, masked)

    def window_masks(
        self, centers: Float[Tensor, "B R"], widths: Float[Tensor, "B R"], cells: int
    ) -> Float[Tensor, "B R S"]:
        """A Gaussian of standard deviation width / sigma, whose largest cell is 1."""
        return peak_gaussian(centers, widths, cells, sigma=self.config.sigma)

    def positives(self, encoded: Encoded) -> Proposals:
        """P centers and widths from the token's output, and their Gaussians on the grid; see also ``reading``."""
        cfg = self.config
        gaussian = partial(self.window_masks, cells=encoded.clips.shape[1])
        values = precisely(self.proposal_head, encoded.hidden[:, -1]).unflatten(-1, (-1, 2))  # (B, P, 2)
        centers, widths = torch.sigmoid(values).unbind(-1)
        toward: dict[str, Tensor] = {}
        if self.reader is not None:
            read = self.reader.read(encoded)
            centers = moved(read, values[..., 0])
            toward = cfg.reading.draw("follow", self, encoded, read, widths, gaussian)
        starts, ends = (centers - widths / 2).clamp_min(0), (centers + widths / 2).clamp_max(1)
        return Proposals(centers, widths, gaussian(centers, widths), starts, ends, follow=toward)

    def negative_masks(self, encoded: Encoded, proposals: Proposals, progress: Progress) -> Float[Tensor, "B P 2 S"]:
        """A Gaussian left and one right of each positive, twice as wide as a positive of their width.

        The exponent of (epoch / epochs) is gamma; 0^0 counts as 1.
        """
        ratio = progress.number(lambda clock: clock.fraction**self.config.gamma)
        spans = outer_spans(proposals.centers, proposals.widths, ratio)
        cells = proposals.masks.shape[-1]
        return peak_gaussian(spans[..., 0], spans[..., 1], cells, sigma=self.config.sigma / 2)

    def negative_spans(
        self, encoded: Encoded, proposals: Proposals, best: Int[Tensor, " B"], fraction: float
    ) -> Spans | None:
        """The two rule-based negatives of the best proposal."""
        if not self.config.use_negatives:
            return None
        best_span = (pick(proposals.centers, best), pick(proposals.widths, best))
        spans = outer_spans(*best_span, fraction**self.config.gamma)
        return spans[..., 0], spans[..., 1]

    def explain(self, encoded: Encoded, proposals: Proposals, progress: Progress) -> Explained:
        """As every contrasting generator; ``plan="replay"`` also spares the graph of the other positives.

        It runs them without one, then the winner again under the dropout masks that made it win.  All three plans have
        the same loss and gradients at dropout 0, and the same distribution under dropout.
        """
        if self.config.plan != "replay":
            return super().explain(encoded, proposals, progress)
        tape = DropoutTape()
        with torch.no_grad():
            nll = self.reconstruct(encoded, proposals.masks, tape=tape)
        best = nll.argmin(dim=1)
        rows = [pick(proposals.masks, best)[:, None], torch.ones_like(proposals.masks[:, :1])]
        if self.config.use_negatives:
            rows.append(pick(self.negative_masks(encoded, proposals, progress), best))
        kept = self.reconstruct(encoded, torch.cat(rows, dim=1), tape=tape.rewind(best))
        nll = nll.scatter(1, best[:, None], kept[:, :1])
        return Explained(encoded, proposals, nll, kept[:, 1], best, kept[:, 2:] if self.config.use_negatives else None)

    def curves(self) -> dict[str, dict[str, float]]:
        """Gaussians; those of the easy negatives are twice as wide for their width."""
        return {"positive": {"sigma": self.config.sigma}, "negative": {"sigma": self.config.sigma / 2}}

    def regularisers(self, proposals: Proposals) -> LossTerms:
        """``alpha_2 L_div``, and what draws centers to their sentence."""
        spread = diversity(proposals.masks, self.config.diversity_at(proposals.masks.shape[-1]))
        total, terms = self.config.diversity_weight * spread, {"diversity": spread}
        return LossTerms(sum(proposals.follow.values(), total), terms | proposals.follow)

    def losses(self, out: Explained) -> LossTerms:
        """``L = L_rec + alpha_1 L_rank + alpha_2 L_div``, all through the best proposal ``k*``.

        ``L_rec = (a + ref) / 2`` with ``a`` the lowest positive NLL and ``ref`` the whole video's; ``L_rank`` demands
        that ``a`` beats the whole video by beta_1 and both negatives by beta_2.  No stop-gradient anywhere: the ranking
        also trains the reconstructor (P1 warns against that; CPL does it).  Without negatives the released code uses
        ``L_rec = a`` and counts ``a`` once more in place of the ranking.
        """
        cfg, best = self.config, pick(out.nll, out.best)
        if out.negatives is None:
            alone = self.base_loss(out.proposals, best, None)
            return LossTerms(alone.total + cfg.rank_weight * alone.terms["nll"], alone.terms)
        base = self.base_loss(out.proposals, best, out.whole_video)
        sides = margin(best[:, None], out.negatives, cfg.negative_margin).mean(dim=0)
        terms = {**base.terms, "rank_left": sides[0], "rank_right": sides[1]}
        return LossTerms(base.total + cfg.rank_weight * sides.sum(), terms)
