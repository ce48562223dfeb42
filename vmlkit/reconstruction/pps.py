"""PPS: Gaussian mixture proposals with pull-push learning (AAAI 2024).

Proposal i of a query is a mixture of i + 1 masks.  How much each component counts is read off the reconstructor, the
components of one proposal are pulled together and pushed apart at the same time, and each proposal has a negative
whose place is learned.

============================ ============================================== =====================================
paper                        here                                           shape
============================ ============================================== =====================================
components ``c_ij, w_ij``    ``component_centers, component_widths``        (B, P, P) padded, fractions of video
their masks                  ``component_masks``                            (B, P, P, S) padded, largest cell 1
importance ``q_ij``          ``weights``                                    (B, P, P), rows sum to one
mixture proposals            ``masks`` = ``sum_j q_ij g_ij``                (B, P, S)
``k*``                       ``best``                                       (B,), lowest NLL
negatives                    :meth:`PPS.negatives`                          (B, P, S)
pull, intra-, inter-push     :meth:`PPS.regularisers`                       means over B
============================ ============================================== =====================================

# PAPER: widths belong to the query / CODE: they come from another query of the batch -> component_widths
# PAPER: one learnable query token / CODE: a scalar per *place in the batch* -> query_token
# PAPER: (silent) / CODE: a second generator is run for the negatives -> no switch, because its output is never read
# PAPER: (silent) / CODE: the default negative is learnable, and trained by the ranking loss -> neg_type
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.config import at_least, positive
from vmlkit.data.batches import MomentBatch
from vmlkit.errors import ConfigError
from vmlkit.nn.attention import precisely
from vmlkit.nn.transformer import Conditioning, DualTransformer, positions_of
from vmlkit.reconstruction.front import (
    ContrastingGenerator,
    Encoded,
    Explained,
    FrontEnd,
    Proposals,
    ReconstructionConfig,
    Spans,
    pick,
)
from vmlkit.reconstruction.gaussian import peak_gaussian
from vmlkit.reconstruction.losses import diversity, margin
from vmlkit.reconstruction.mixtures import (
    ComponentWidths,
    component_diversity,
    component_table,
    component_weights,
    outside_spans,
    peak_laplace,
    peak_mixture,
    pull,
    rule_negative,
    share_widths,
    tabulate,
)
from vmlkit.training.method import DataShape, LossTerms, Progress

NegativeType = Literal[
    "learnable_gaussian", "learnable_inverse_gaussian", "inverse_gaussian", "gaussian", "saturated_gaussian"
]


@dataclass(frozen=True, kw_only=True)
class PPSConfig:
    """Settings of PPS; defaults are the paper's Charades-STA configuration, ActivityNet's in the comments."""

    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    mask_type: Literal["gaussian", "laplace"] = "gaussian"  #: shape of a component
    proposals: int = 7  #: P; proposal i has i + 1 components; 5 on ActivityNet
    sigma_gauss: float = 9.0  #: a component's standard deviation is width / sigma; 4 on ActivityNet
    sigma_laplace: float = 9.0  #: its scale is width / sigma (``mask_type="laplace"``)
    component_widths: ComponentWidths = "first"  #: see ``share_widths``; "released" mixes queries (code)
    use_attention: bool = True  #: importance from the reconstructor; False: sum of components, largest cell 1
    query_token: Literal["vector", "released_scalar"] = "vector"  #: one learnable word, or a number per batch place
    pred_gamma: float = 0.0  #: share of the width cut off a predicted span; 0.15 on ActivityNet
    use_negatives: bool = True
    neg_type: NegativeType = "learnable_gaussian"  #: learned per query, or a rule on the proposal's span
    negative_components: int = 3  #: M, components of a learnable negative; 2 on ActivityNet
    sigma_neg_gauss: float = 9.0  #: as sigma_gauss, of "(learnable_|saturated_)gaussian" negatives; 3 on ActivityNet
    sigma_neg_inverse: float = 1.0  #: as sigma_gauss, of "(learnable_)inverse_gaussian" negatives
    whole_video_margin: float = 0.1  #: NLL, against the whole video (margin_hneg in the code)
    negative_margin: float = 0.15  #: NLL, against the negative (margin_eneg in the code)
    rank_weight: float = 3.0  #: alpha_ivc in the code; 1 on ActivityNet
    inter_push_target: float = 0.15  #: lambda of the push between proposals, tied to sigma and the grid
    inter_push_weight: float = 1.0  #: 3 in the refactored code; 0.1 on ActivityNet (0.2)
    intra_push_target: float = 0.15  #: lambda of the push within a proposal
    intra_push_weight: float = 0.001  #: 0.0012 in the refactored code; 0.01 on ActivityNet (0.005)
    pull_weight: float = 5.0  #: 0.2 on ActivityNet
    published_cells: int | None = 50  #: both lambdas are rescaled by this over the grid in use; None takes them as is
    plan: Literal["selected", "all"] = "selected"  #: which negatives are evaluated; equal at dropout 0

    def __post_init__(self) -> None:
        positive(self, "sigma_gauss sigma_laplace sigma_neg_gauss sigma_neg_inverse")
        at_least(self, 1, "proposals negative_components published_cells")
        at_least(self, 0, "pred_gamma whole_video_margin negative_margin rank_weight inter_push_target pull_weight")
        at_least(self, 0, "inter_push_weight intra_push_target intra_push_weight")

    def push_scale(self, cells: int) -> float:
        """What both lambdas are multiplied by on a grid of ``cells``, to keep the meaning they were published with.

        A push also fixes widths, through lambda times the grid (:func:`vmlkit.reconstruction.gaussian.natural_width`).
        """
        return self.published_cells / cells if self.published_cells else 1.0


@dataclass(frozen=True)
class PPSEncoded(Encoded):
    """A batch after projection and generation, and the sentence with the query token behind its last word."""

    prompt: Float[Tensor, "B L2 D"]  #: L2 = L + 2: start, masked words, token, with positions
    prompt_mask: Bool[Tensor, "B L2"]  #: keys: the token only asks
    token_column: Int[Tensor, " B"]


@dataclass(frozen=True)
class MixtureProposals(Proposals):
    """Mixture proposals; ``centers`` and ``widths`` are means of the components', weighted as the masks are.

    ``starts`` and ``ends`` are ``center -+ (1 - pred_gamma) width / 2``, clipped to [0, 1].
    """

    component_centers: Float[Tensor, "B P P"]  #: zero where a proposal has no further component
    component_widths: Float[Tensor, "B P P"]
    component_masks: Float[Tensor, "B P P S"]
    weights: Float[Tensor, "B P P"]  #: q, sums to one over the last axis


class ComponentScore(nn.Module):
    """``score = v^T tanh(W h)`` of a reconstructor feature h."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, features: Float[Tensor, "B R D"]) -> Float[Tensor, "B R"]:
        """One number for each row."""
        found: Tensor = self.score(torch.tanh(self.project(features))).squeeze(-1)
        return found


class PPS(ContrastingGenerator):
    """Gaussian mixture proposals; see the module docstring."""

    def __init__(self, config: PPSConfig, shape: DataShape) -> None:
        super().__init__()
        self.config = config
        network, hidden = config.reconstruction, config.reconstruction.transformer.hidden
        learnable = config.use_negatives and config.neg_type.startswith("learnable")
        self.front = FrontEnd(network, shape, token=True)
        self.generator = DualTransformer(network.transformer)
        self.reconstructor = DualTransformer(network.transformer)
        self.proposal_heads = nn.ModuleList(nn.Linear(hidden, 2 * (i + 1)) for i in range(config.proposals))
        self.component_score = ComponentScore(hidden) if config.use_attention else None
        size = 2 * config.proposals * config.negative_components
        self.negative_head = nn.Linear(hidden, size) if learnable else None
        self.query_token = nn.Parameter(torch.zeros(shape.word_dim if config.query_token == "vector" else hidden))

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> PPSEncoded:
        """Projection, generation, and the masked sentence, which is read anew (its own dropout) with the token.

        Reconstruction needs neither the token nor what follows it: text attention is causal.

        Args:
            masked: words to hide, True = hidden.
        """
        front = self.front
        video, video_mask = front.frames(batch)
        words = front.behind_start(batch.words)
        prompt, token_column = self._prompt(batch)
        positions = positions_of(prompt)
        read_mask = nn.functional.pad(batch.word_mask, (1, 0), value=True)
        hidden, memory = self.generator.generate(
            video, video_mask, words + positions[:-1], read_mask, last=front.read_places
        )
        prompt = front.masked_words(prompt, masked) + positions
        columns = batch.word_ids.shape[1] + (front.config.end_symbol == "always")
        targets, counted = front.targets(batch, columns)
        clips, clip_mask = front.cells(video, video_mask, batch.frames.shape[1])
        return PPSEncoded(
            hidden=hidden,
            text_memory=memory,
            clips=clips,
            clip_mask=clip_mask,
            text=prompt[:, :columns],
            text_mask=counted,
            targets=targets,
            sentence=prompt[:, :-1],
            sentence_mask=read_mask,
            prompt=prompt,
            prompt_mask=nn.functional.pad(read_mask, (0, 1), value=False),
            token_column=token_column,
        )

    def _prompt(self, batch: MomentBatch) -> tuple[Float[Tensor, "B L2 D"], Int[Tensor, " B"]]:
        """Start vector, words and, right behind the last word, the query token; projected, without positions."""
        count, _, size = batch.words.shape
        start = self.front.start.expand(count, 1, -1)
        raw = torch.cat((start, batch.words, batch.words.new_zeros(count, 1, size)), dim=1)
        token: Tensor = self.query_token
        if self.config.query_token == "released_scalar":
            if count > len(token):
                raise ConfigError(
                    f"query_token='released_scalar' holds {len(token)} numbers, one for each place in the batch: "
                    f"a batch of {count} needs query_token='vector' or a larger hidden size"
                )
            token = token[:count, None, None]
        column = batch.word_mask.sum(dim=1) + 1
        here = torch.arange(raw.shape[1], device=raw.device) == column[:, None]
        raw = torch.where(here[..., None], token, raw)
        return self.front.word_projection(self.front.dropout(raw)), column

    def positives(self, encoded: PPSEncoded) -> MixtureProposals:
        """P mixtures from the token's output: components, their importance, and the weighted sum of their masks."""
        cfg, count = self.config, self.config.proposals
        values = torch.cat([precisely(head, encoded.hidden[:, -1]) for head in self.proposal_heads], dim=-1)
        listed, widths = torch.sigmoid(values).unflatten(-1, (-1, 2)).unbind(-1)  # (B, C)
        widths = share_widths(widths, count, cfg.component_widths)
        cells = encoded.clips.shape[1]
        if cfg.mask_type == "laplace":
            components = peak_laplace(listed, widths, cells, sigma=cfg.sigma_laplace)  # (B, C, S)
        else:
            components = peak_gaussian(listed, widths, cells, sigma=cfg.sigma_gauss)
        weights = self.importance(encoded, components)
        centers, widths, components = (tabulate(v, count) for v in (listed, widths, components))
        masks = (weights[..., None] * components).sum(dim=2) if cfg.use_attention else peak_mixture(components)
        center, width = (weights * centers).sum(dim=-1), (weights * widths).sum(dim=-1)
        reach = (1 - cfg.pred_gamma) / 2 * width
        ends = (center + reach).clamp_max(1)
        return MixtureProposals(
            center, width, masks, (center - reach).clamp_min(0), ends, centers, widths, components, weights
        )

    def importance(self, encoded: PPSEncoded, components: Float[Tensor, "B C S"]) -> Float[Tensor, "B P P"]:
        """q: softmax, within each proposal, of what the query token answers under each component's mask.

        One pass for the components of all proposals; the only component of proposal 0 needs none.
        """
        count = self.config.proposals
        if self.component_score is None or count == 1:
            return component_weights(torch.zeros_like(components[..., 0]), count)
        read = self.reconstructor.reconstruct(
            encoded.clips,
            encoded.clip_mask,
            encoded.prompt,
            encoded.prompt_mask,
            Conditioning(components[:, 1:]),
            column=encoded.token_column,
        ).hidden  # (B, C-1, 1, D)
        scores = precisely(self.component_score, read.squeeze(2))
        return component_weights(nn.functional.pad(scores, (1, 0)), count)

    def negatives(
        self, encoded: Encoded, proposals: MixtureProposals
    ) -> tuple[Float[Tensor, "B P S"], tuple[Float[Tensor, "B P M"], Float[Tensor, "B P M"]] | None]:
        """A negative for each proposal, learned from the token's output or by a rule.

        Rules start from the span that all components of the proposal cover together, whatever their importance.

        Returns:
            Masks, and centers and widths of what they are made of; None for the inverse kinds, which cover a rest.
        """
        cfg, cells = self.config, proposals.masks.shape[-1]
        inverse = cfg.neg_type.endswith("inverse_gaussian")
        sigma = cfg.sigma_neg_inverse if inverse else cfg.sigma_neg_gauss
        if self.negative_head is not None:
            values = torch.sigmoid(precisely(self.negative_head, encoded.hidden[:, -1]))
            centers, widths = values.unflatten(-1, (cfg.proposals, -1, 2)).unbind(-1)  # (B, P, M)
            parts = peak_gaussian(centers, widths, cells, sigma=sigma)  # (B, P, M, S)
            return peak_mixture(1 - parts if inverse else parts), None if inverse else (centers, widths)
        start, end = hull(proposals)
        masks = rule_negative(start, end, cells, kind=cfg.neg_type, sigma=sigma)
        centers, widths = outside_spans(start, end).unbind(-1)
        return masks, None if inverse else (centers, widths)

    def negative_masks(self, encoded: Encoded, proposals: MixtureProposals, progress: Progress) -> Tensor:
        """One negative of each proposal, ``(B, P, 1, S)``; the epoch plays no part."""
        return self.negatives(encoded, proposals)[0][:, :, None]

    def negative_spans(
        self, encoded: Encoded, proposals: MixtureProposals, best: Int[Tensor, " B"], fraction: float
    ) -> Spans | None:
        """What the negative of the best proposal is made of; None where it covers a rest."""
        spans = self.negatives(encoded, proposals)[1] if self.config.use_negatives else None
        return None if spans is None else (pick(spans[0], best), pick(spans[1], best))

    def curves(self) -> dict[str, dict[str, float]]:
        """Gaussians of the components of both mixtures."""
        return {"positive": {"sigma": self.config.sigma_gauss}, "negative": {"sigma": self.config.sigma_neg_gauss}}

    def regularisers(self, proposals: MixtureProposals) -> LossTerms:
        """``a_inter ||l I - G G^T||^2 + a_intra sum_i ||l I - G_i G_i^T||^2 + a_pull sum_i (max c - min c)^2``.

        The two pushes spread proposals and the components of a proposal (and fix widths, see
        :func:`vmlkit.reconstruction.losses.diversity`); the pull holds the components of a proposal together.
        """
        cfg = self.config
        present = component_table(proposals.masks.shape[1], proposals.masks.device)
        scale = cfg.push_scale(proposals.masks.shape[-1])
        inter = diversity(proposals.masks, cfg.inter_push_target * scale)
        intra = component_diversity(proposals.component_masks, present, cfg.intra_push_target * scale)
        together = pull(proposals.component_centers, present)
        total = cfg.inter_push_weight * inter + cfg.intra_push_weight * intra + cfg.pull_weight * together
        return LossTerms(total, {"push_inter": inter, "push_intra": intra, "pull": together})

    def losses(self, out: Explained) -> LossTerms:
        """``L = (a + ref) / 2 + alpha_ivc L_rank + regularisers`` with ``a`` the lowest positive NLL of each query.

        ``L_rank`` demands that ``a`` beats the whole video and the negative of the same proposal by their margins.  No
        stop-gradient anywhere: a learnable negative is trained by the ranking, which also trains the reconstructor.
        Without negatives the other terms stay.
        """
        best = pick(out.nll, out.best)
        base = self.base_loss(out.proposals, best, out.whole_video)
        if out.negatives is None:
            return base
        rank = margin(best, out.negatives[:, 0], self.config.negative_margin).mean()
        return LossTerms(base.total + self.config.rank_weight * rank, {**base.terms, "rank_negative": rank})


def hull(proposals: MixtureProposals) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P"]]:
    """From the first start to the last end of a proposal's components, clipped to [0, 1]."""
    centers, widths = proposals.component_centers, proposals.component_widths
    absent = ~component_table(centers.shape[1], centers.device)
    start = (centers - widths / 2).masked_fill(absent, torch.inf).min(dim=-1).values
    end = (centers + widths / 2).masked_fill(absent, -torch.inf).max(dim=-1).values
    return start.clamp(0, 1), end.clamp(0, 1)
