"""CNM: weakly supervised moment localisation with contrastive negative sample mining (AAAI 2022).

One Gaussian proposal a query.  Its mask conditions a transformer that reconstructs masked words of the sentence; the
whole video is the hard negative and the proposal's complement the easy one.

====================== ==================================================== ======================================
paper                  here                                                 shape
====================== ==================================================== ======================================
``c, w``               ``center, width``                                    (B, 1), fractions of the video
``m`` (Eq. 5)          ``masks[:, 0]``, the positive mask                   (B, S)
hard / easy negative   ``masks[:, 1]`` = 1 / ``masks[:, 2]`` = 1 - m        (B, S)
``L_rec`` (Eq. 9-10)   ``nll[:, 0] + nll[:, 1]``                            mean over B
``L_ivc`` (Eq. 11)     :func:`intra_video_contrast`                         mean over B
``beta_1, beta_2``     ``hard_margin, easy_margin``                         NLL
====================== ==================================================== ======================================

# PAPER: the mask multiplies scores before the softmax / CODE: probabilities after it -> ``transformer.attention``
# PAPER: plain word loss, summed / CODE: label smoothing 0.1, mean -> ``label_smoothing``, ``nll_reduction``
# PAPER: generator and reconstructor alternate / CODE: only the two-output head is frozen -> ``alternate``
# PAPER: (silent) / CODE: each stage clips the other's stale gradients too -> ``stale_gradient_clipping``
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.nn.dropout import DropoutTape
from vmlkit.nn.transformer import Conditioning, DualTransformer, Reconstruction
from vmlkit.reconstruction.front import (
    DataShape,
    Encoded,
    FrontEnd,
    Proposals,
    ReconstructionConfig,
    encode,
    reconstruct,
)
from vmlkit.reconstruction.gaussian import cnm_mask
from vmlkit.reconstruction.ranking import margin
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import LossTerms, Method, Progress, StepOptimizer


@dataclass(frozen=True, kw_only=True)
class CNMConfig:
    """Settings of CNM; defaults are the released Charades-STA configuration."""

    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    alpha: float = 5.5  #: sharpness of the mask (Eq. 5); 5 on ActivityNet
    width_floor: float = 0.1  #: narrower widths use this one in the mask (code only)
    max_width: float = 0.45  #: the head's sigmoid is scaled by it; 1 on ActivityNet
    hard_margin: float = 0.1  #: beta_1, NLL against the whole video
    easy_margin: float = 0.15  #: beta_2, NLL against the complement
    alternate: Literal["head", "modules"] = "head"  #: what is frozen in turn; "modules" gives the generator its own
    stale_gradient_clipping: bool = True  #: clip over all parameters, left-over gradients included (code)


@dataclass(frozen=True)
class CNMOutput:
    """One forward pass: proposal, masks of (positive, hard, easy) and what they reconstruct."""

    encoded: Encoded
    proposals: Proposals
    masks: Float[Tensor, "B 3 S"]
    nll: Float[Tensor, "B 3"]
    reconstruction: Reconstruction


class CNM(Method[MomentBatch]):
    """Contrastive negative sample mining; see the module docstring."""

    def __init__(self, config: CNMConfig, shape: DataShape, *, token: bool = False) -> None:
        """``token`` appends a learnable vector to the frames for P0's negatives to be read from; CNM has none."""
        super().__init__()
        self.config = config
        network = config.reconstruction
        self.front = FrontEnd(network, shape, token=token)
        self.transformer = DualTransformer(network.transformer)
        self.generator = DualTransformer(network.transformer) if config.alternate == "modules" else None
        self.proposal_head = nn.Linear(network.transformer.hidden, 2)

    def propose(self, encoded: Encoded) -> tuple[Float[Tensor, "B 1"], Float[Tensor, "B 1"]]:
        """Section 3.2: center and width from the generator's output at the last frame."""
        last_frame = -1 if self.front.token is None else -2
        values = torch.sigmoid(self.proposal_head(encoded.hidden[:, last_frame]))  # (B, 2)
        return values[:, :1], values[:, 1:] * self.config.max_width

    @property
    def reconstructor(self) -> DualTransformer:
        """What reads masked sentences from masked clips."""
        return self.transformer

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """Projection, generation and the masked sentence."""
        return encode(self.front, self.generator or self.transformer, batch, masked)

    def positives(self, encoded: Encoded) -> Proposals:
        """Eq. (5): the one proposal and its mask ``m_i = exp(-alpha (x_i - c)^2 / w^2)``."""
        center, width = self.propose(encoded)
        cells, cfg = encoded.clips.shape[1], self.config
        mask = cnm_mask(center, width, cells, alpha=cfg.alpha, floor=cfg.width_floor)
        starts, ends = (center - width / 2).clamp_min(0), (center + width / 2).clamp_max(1)
        return Proposals(center, width, mask, starts, ends)

    def reconstruct(
        self, encoded: Encoded, masks: Float[Tensor, "B R S"], tape: DropoutTape | None = None
    ) -> Float[Tensor, "B R"]:
        """The NLL of the sentence under each mask, in one batched pass."""
        return reconstruct(self.front, self.transformer, encoded, Conditioning(masks, tape=tape))[0]

    def base_loss(
        self, proposals: Proposals, best: Float[Tensor, " B"], whole: Float[Tensor, " B"] | None, *, regularise: bool
    ) -> LossTerms:
        """Both stages' losses without the easy negative: ``CE(pos) + CE(hard)`` and the hard margin."""
        terms = {"nll": best.mean()}
        total = terms["nll"]
        if whole is not None:
            terms["nll_whole_video"] = whole.mean()
            terms["rank_whole_video"] = margin(best, whole, self.config.hard_margin).mean()
            total = total + terms["nll_whole_video"] + terms["rank_whole_video"]
        return LossTerms(total, terms)

    def forward(self, batch: MomentBatch, masked: Bool[Tensor, "B L"], *, detach_mask: bool = False) -> CNMOutput:
        """Eq. (5): ``m_i = exp(-alpha (x_i - c)^2 / w^2)``; then the sentence from m, from everything, from 1 - m.

        Args:
            masked: words to hide, True = hidden.
            detach_mask: cut the gradient from the reconstructions into the proposal.
        """
        encoded = self.encode(batch, masked)
        proposals = self.positives(encoded)
        positive = proposals.masks.detach() if detach_mask else proposals.masks
        masks = torch.cat((positive, torch.ones_like(positive), 1 - positive), dim=1)
        nll, reconstruction = reconstruct(self.front, self.transformer, encoded, Conditioning(masks))
        return CNMOutput(encoded, proposals, masks, nll, reconstruction)

    def masked_words(self, batch: MomentBatch, generator: torch.Generator) -> Bool[Tensor, "B L"]:
        """A third of the words of each sentence, drawn by their weights."""
        return draw_masked_words(batch.word_weights, batch.word_mask, generator)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Both stages' losses on one forward pass (recorded; :meth:`step` optimises them in turn)."""
        out = self(batch, self.masked_words(batch, generator))
        rec, ivc = reconstruction_loss(out.nll), intra_video_contrast(out.nll, self.config)
        return LossTerms(rec.total + ivc.total, {**rec.terms, **ivc.terms})

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Stage 1 trains everything but the head; stage 2 the head (``alternate="modules"``: the whole generator)."""
        parts = [self.proposal_head] + ([self.generator] if self.generator is not None else [])
        proposal = [p for part in parts for p in part.parameters()]
        own = {id(p) for p in proposal}
        return {"reconstructor": [p for p in self.parameters() if id(p) not in own], "generator": proposal}

    def step(
        self,
        batch: MomentBatch,
        progress: Progress,
        generator: torch.Generator,
        optimizers: dict[str, StepOptimizer],
    ) -> LossTerms:
        """Section 3.4: the reconstruction loss updates the reconstructor, then the contrast updates the generator.

        Each stage has its own forward pass with fresh word masks and dropout, and the second sees the first's update.
        In the released form ("head") the reconstruction loss still reaches the shared transformer through the mask.
        """
        groups = self.parameter_groups()
        separate = self.config.alternate == "modules"
        losses = []
        for stage, objective in (("reconstructor", reconstruction_loss), ("generator", self._contrast)):
            out = self(batch, self.masked_words(batch, generator), detach_mask=separate and stage == "reconstructor")
            loss = objective(out.nll)
            gradients = torch.autograd.grad(loss.total, groups[stage], allow_unused=True)
            for parameter, gradient in zip(groups[stage], gradients, strict=True):
                parameter.grad = gradient
            optimizers[stage].step(
                clip=list(self.parameters()) if self.config.stale_gradient_clipping else groups[stage]
            )
            losses.append(loss)
        return LossTerms(
            (losses[0].total + losses[1].total).detach(),
            {name: value.detach() for loss in losses for name, value in loss.terms.items()},
        )

    def _contrast(self, nll: Float[Tensor, "B 3"]) -> LossTerms:
        return intra_video_contrast(nll, self.config)

    def curves(self) -> dict[str, dict[str, float]]:
        """``exp(-alpha (t - c)^2 / w^2)`` is a Gaussian of sigma ``sqrt(2 alpha)``; a complement has no curve."""
        return {"positive": {"sigma": math.sqrt(2 * self.config.alpha), "floor": self.config.width_floor}}

    @torch.no_grad()
    def predict(self, batch: MomentBatch, generator: torch.Generator, progress: Progress | None = None) -> Predictions:
        """Section 3.5: the one proposal, clipped to the video; the NLL is recorded, nothing is ranked by it."""
        out = self(batch, self.masked_words(batch, generator))
        found = out.proposals
        only = torch.zeros_like(found.centers, dtype=torch.long)
        return Predictions(
            centers=found.centers,
            widths=found.widths,
            starts=found.starts,
            ends=found.ends,
            nll=out.nll[:, :1],
            order=only,
            top1=only[:, 0],
        )


def reconstruction_loss(nll: Float[Tensor, "B 3"]) -> LossTerms:
    """Eq. (10): ``L_rec = CE(positive) + CE(hard)``, each a mean over the batch."""
    positive, hard = nll[:, 0].mean(), nll[:, 1].mean()
    return LossTerms(positive + hard, {"nll": positive, "nll_whole_video": hard})


def intra_video_contrast(nll: Float[Tensor, "B 3"], config: CNMConfig) -> LossTerms:
    """Eq. (11): ``L_ivc = max(CE(pos) - CE(hard) + beta_1, 0) + max(CE(pos) - CE(easy) + beta_2, 0)``."""
    hard = margin(nll[:, 0], nll[:, 1], config.hard_margin).mean()
    easy = margin(nll[:, 0], nll[:, 2], config.easy_margin).mean()
    return LossTerms(hard + easy, {"nll_easy": nll[:, 2].mean(), "rank_whole_video": hard, "rank_easy": easy})
