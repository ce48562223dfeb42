"""LNP: learnable negative proposals with a dual-signed cross-entropy (P0, ACM MM 2024), on any positive generator.

The paper is written here as a *difference*: a generator (CNM, CPL or PPS) keeps its positives and its own losses, its
rule-based negatives are replaced by M learned ones.  While c(e) < 0 the negatives learn to explain the sentence badly
(easy), then, with c(e) > 0, ever better (hard).  Nothing of it is used at inference.

============================ ============================================== =====================================
paper                        here                                           shape
============================ ============================================== =====================================
``mu_m, sigma_m`` (Sec. 3.2) ``negatives.centers, .widths``                 (B, M), fractions of the video
``p_neg^(m)`` (Eq. 1)        ``negatives.masks``                            (B, M, S)
``s_m`` (Sec. 3.3)           ``select``                                     (B, M), sums to one
``CE(pos)``                  ``positive``, NLL of the best proposal         (B,)
``CE(s_m p_m)``              ``nll``                                        (B, M)
``c(e)`` (Eq. 2)             :func:`vmlkit.reconstruction.dual_signed.dual_sign`
``L_dce, L_mt`` (Eq. 2, 4)   ``terms["dual_signed"], terms["triplet"]``     sum over m, mean over B
``lambda_1, lambda_2``       ``dual_signed_weight, triplet_weight``
============================ ============================================== =====================================

There is no released code: the ambiguities A1 to A16 of the specification are fields of :class:`LNPConfig`.

# PAPER: ``s_m p_m`` masks the attention / CODE of its generators: renormalising cancels s_m -> ``selection_action``
# PAPER: "the network for negative proposal generation" is frozen in L_mt / CODE: none -> ``freeze_triplet``
# PAPER: L_dce trains "the overall network" / CODE: none -> ``dual_signed_reaches``
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch
from vmlkit.nn.dropout import DropoutTape
from vmlkit.nn.positions import word_positions
from vmlkit.nn.transformer import Conditioning, DualTransformer
from vmlkit.reconstruction.front import Encoded, FrontEnd, Proposals
from vmlkit.reconstruction.gaussian import paper_gaussian
from vmlkit.reconstruction.negatives import (
    NegativeHead,
    NegativeKind,
    NegativeProposals,
    Selection,
    SelectionHead,
    rule_based,
    select,
)
from vmlkit.training.method import LossTerms

SelectionAction = Literal["gate", "literal", "logits", "loss"]


@dataclass(frozen=True, kw_only=True)
class LNPConfig:
    """Settings of P0; defaults are the paper's, ambiguities resolved as the specification names (12.2)."""

    negatives: NegativeKind = "learned"  #: Table 4
    count: int = 3  #: M
    alpha: float = 0.5  #: shape of c(e); 0 constant, < 1 logarithmic, 1 linear, > 1 exponential
    beta: float = 0.8  #: offset of c(e)
    margin: float = 0.15  #: gamma of L_mt, NLL
    dual_signed_weight: float = 0.03  #: lambda_1
    triplet_weight: float = 1.0  #: lambda_2
    selection: Selection = "soft"  #: Table 5b
    selection_action: SelectionAction = "gate"  #: A1: how s_m acts
    freeze_triplet: Literal["masks", "negatives", "nothing"] = "masks"  #: A10 (i), (ii), (iii)
    dual_signed_reaches: Literal["everything", "negatives"] = "everything"  #: A11 (i), (ii)
    keep_reference: bool = True  #: A9: the generator's whole-video terms
    keep_regularisers: bool = True  #: A9: diversity, pull and push
    gamma: float = 0.5  #: growth of ``variable`` negatives, (epoch / epochs)^gamma
    rule_sigma: float = 9.0  #: sigma of the positives that rule-based Gaussians follow
    width_floor: float = 0.01  #: A4, clamp on sigma_m; 0.1 and more keep negatives from vanishing while c < 0
    exponent: float = 1.0  #: A5, factor in the exponent of Eq. (1)
    # Remedies against the collapse of the negatives while c < 0; all off by default.
    center_spread: float = 0.0  #: initial center biases run from -spread to spread
    width_bias: float = 0.0  #: initial width bias (negative: narrow)
    logit_decay: float = 0.0  #: weight of the mean square of the values before the sigmoid
    negative_diversity: float = 0.0  #: weight of the overlap between the M masks of a query


@runtime_checkable
class Host(Protocol):
    """What LNP needs of a positive generator; CNM, CPL and PPS have it."""

    front: FrontEnd

    @property
    def reconstructor(self) -> DualTransformer:
        """Reads the masked sentence from masked clips."""

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """Project and generate."""

    def positives(self, encoded: Encoded) -> Proposals:
        """The generator's own proposals."""

    def reconstruct(
        self, encoded: Encoded, masks: Float[Tensor, "B R S"], tape: DropoutTape | None = None
    ) -> Float[Tensor, "B R"]:
        """NLL of the sentence under each mask."""

    def base_loss(
        self, proposals: Proposals, best: Float[Tensor, " B"], whole: Float[Tensor, " B"] | None, *, regularise: bool
    ) -> LossTerms:
        """The generator's loss without negatives."""


@dataclass(frozen=True)
class Drawn:
    """Negatives of a batch with what selects and counts them."""

    negatives: NegativeProposals
    raw: Float[Tensor, "B M 2"] | None  #: values before the sigmoid, for learned negatives
    select: Float[Tensor, "B M"]
    counted: Float[Tensor, "B M"]  #: weight of each loss term: 0 dropped, 1 counted (M s_m with action ``loss``)


class LearnableNegatives(nn.Module):
    """Sections 3.2 and 3.3: where the negatives lie and how they are selected.

    The token is the generator's own (A2); new are only the heads, the [CLASS] vector and nothing else.
    """

    def __init__(self, config: LNPConfig, hidden: int, word_dim: int) -> None:
        super().__init__()
        self.config = config
        learned = config.negatives == "learned"
        self.head = (
            NegativeHead(hidden, config.count, spread=config.center_spread, width_bias=config.width_bias)
            if learned
            else None
        )
        selects = learned and config.selection in ("soft", "hard")
        self.selection = SelectionHead(hidden) if selects else None
        self.class_vector = nn.Parameter(torch.zeros(word_dim)) if selects else None

    def propose(
        self,
        encoded: Encoded,
        proposals: Proposals,
        best: Int[Tensor, " B"],
        ratio: float,
        generator: torch.Generator,
    ) -> tuple[NegativeProposals, Float[Tensor, "B M 2"] | None]:
        """Eq. (1): ``p_m(t) = exp(-(x - mu_m)^2 / sigma_m^2)`` on the grid, or the masks of a rule."""
        cfg, cells = self.config, encoded.clips.shape[1]
        if self.head is not None:
            centers, widths, raw = self.head(encoded.hidden[:, -1])
            masks = paper_gaussian(centers, widths, cells, floor=cfg.width_floor, exponent=cfg.exponent)
            return NegativeProposals(masks, centers, widths), raw
        index = best[:, None]
        center, width = (v.gather(1, index)[:, 0] for v in (proposals.centers, proposals.widths))
        mask = proposals.masks.gather(1, index[..., None].expand(-1, 1, cells))[:, 0]
        negatives = rule_based(
            cfg.negatives, center, width, mask, sigma=cfg.rule_sigma, ratio=ratio, generator=generator
        )
        return negatives, None

    def weigh(
        self, host: Host, encoded: Encoded, masks: Float[Tensor, "B M S"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M"]]:
        """Section 3.3: selection weights s, and the weight of each loss term."""
        if self.head is None:
            ones = torch.ones_like(masks[..., 0])
            return ones, ones
        if self.selection is None:
            soft = torch.full_like(masks[..., 0], 1 / masks.shape[1])
        else:
            soft = self.selection(self.class_states(host, encoded, masks))
        weights, counted = select(soft, self.config.selection, generator)
        terms = counted.to(soft.dtype)
        if self.config.selection_action == "loss":
            terms = terms * weights * weights.shape[1]
        return weights, terms

    def class_states(self, host: Host, encoded: Encoded, masks: Float[Tensor, "B M S"]) -> Float[Tensor, "B M D"]:
        """The reconstructor's output at a [CLASS] token right behind the last word, under each mask (A13).

        The text is causal, so the token changes nothing for the words; its key is valid for itself.
        """
        sentence = nn.functional.pad(encoded.sentence, (0, 0, 0, 1))
        column = encoded.sentence_mask.sum(dim=1)  # first column behind start token and words
        columns = torch.arange(sentence.shape[1], device=sentence.device)
        here = columns == column[:, None]
        assert self.class_vector is not None
        projected = host.front.word_projection(self.class_vector)
        token = projected + word_positions(sentence.shape[1], sentence.shape[2]).to(sentence)
        text = torch.where(here[..., None], token, sentence)
        out = host.reconstructor.reconstruct(
            encoded.clips, encoded.clip_mask, text, columns <= column[:, None], Conditioning(masks)
        ).hidden
        index = column[:, None, None, None].expand(-1, out.shape[1], 1, out.shape[3])
        return out.gather(2, index).squeeze(2)

    def conditioning(self, masks: Float[Tensor, "B M S"], weights: Float[Tensor, "B M"]) -> Conditioning:
        """A1: how the selection weight enters the query prediction.

        ``gate`` scales the output of every mask-conditioned attention; ``literal`` scales the mask, which the
        renormalised attention cancels; ``logits`` scales the mask of the CNM paper's attention, where it acts as a
        temperature; ``loss`` leaves the prediction alone and weighs the loss terms.
        """
        action = self.config.selection_action
        if self.head is None or action == "loss":
            return Conditioning(masks)
        if action == "gate":
            return Conditioning(masks, gate=weights)
        return Conditioning(masks * weights[..., None], form="logit" if action == "logits" else None)

    def remedies(self, drawn: Drawn) -> dict[str, Tensor]:
        """Optional terms that keep the negatives readable while c < 0 (weights included)."""
        cfg, terms = self.config, {}
        if cfg.logit_decay and drawn.raw is not None:
            terms["logit_decay"] = cfg.logit_decay * (drawn.raw**2).mean()
        if cfg.negative_diversity:
            rows = torch.nn.functional.normalize(drawn.negatives.masks, dim=-1)
            gram = rows @ rows.transpose(1, 2)
            apart = gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))
            terms["negative_diversity"] = cfg.negative_diversity * (apart**2).sum(dim=(1, 2)).mean()
        return terms
