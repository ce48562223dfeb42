"""CNM: weakly supervised moment localisation with contrastive negative sample mining (P1, AAAI 2022).

One Gaussian proposal a query.  Its mask conditions a transformer that reconstructs masked words of the sentence; the
whole video is the hard negative and the proposal's complement the easy one.

=============================== =========================================== ======================================
paper                           here                                        shape
=============================== =========================================== ======================================
``c, w`` P1 Eq. (2), P1 Eq. (3) ``proposals.centers``, ``proposals.widths`` (B, 1), fractions of the video
``m^p`` P1 Eq. (4)              ``masks[:, 0]``, the positive mask          (B, S)
``m^e`` P1 Eq. (5)              ``masks[:, 2]`` = 1 - m, the easy negative  (B, S)
``m^h`` P1 Eq. (6)              ``masks[:, 1]`` = 1, the hard negative      (B, S)
``L_ce`` P1 Eq. (11)            ``nll``, see ``losses.word_nll``            (B, 3)
``L_rec`` P1 Eq. (12)           :func:`reconstruction_loss`                 mean over B
``L_IVC`` P1 Eq. (13)           :func:`intra_video_contrast`                mean over B
``beta_1, beta_2``              ``hard_margin``, ``easy_margin``            NLL
alternation P1 Eq. (14)         :func:`in_turn`                             two updates a step
``s, e`` P1 Eq. (15)            ``proposals.starts``, ``proposals.ends``    (B, 1), fractions of the video
=============================== =========================================== ======================================

# PAPER: the mask multiplies scores before the softmax / CODE: probabilities after it, renormalised -> attention
# PAPER: the mask takes the width as it is / CODE: at least 0.1 -> width_floor
# PAPER: generator and reconstructor alternate / CODE: only the two-output head is frozen -> alternate
# PAPER: (silent) / CODE: each stage clips the other's stale gradients too -> stale_gradient_clipping
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vmlkit.config import positive
from vmlkit.data.batches import MomentBatch
from vmlkit.nn.attention import precisely
from vmlkit.nn.transformer import Conditioning, DualTransformer, Reconstruction
from vmlkit.reconstruction.front import Encoded, FrontEnd, Generator, Proposals, ReconstructionConfig, encode
from vmlkit.reconstruction.gaussian import cnm_mask
from vmlkit.reconstruction.losses import margin
from vmlkit.training.method import DataShape, LossTerms, Method, Progress, StepOptimizer, outside_autocast


@dataclass(frozen=True, kw_only=True)
class CNMConfig:
    """Settings of CNM; defaults are the released Charades-STA configuration."""

    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    alpha: float = 5.5  #: sharpness of the mask, P1 Eq. (4); 5 on ActivityNet
    width_floor: float = 0.1  #: narrower widths use this one in the mask (code only)
    max_width: float = 0.45  #: the head's sigmoid is scaled by it; 1 on ActivityNet
    hard_margin: float = 0.1  #: beta_1, NLL against the whole video; -100 leaves that contrast out
    easy_margin: float = 0.15  #: beta_2, NLL against the complement
    #: what is frozen in turn; "modules" gives the generator its own transformer, and "jointly" trains that and the
    #: reconstructor by both losses in one update (P1 Table 5)
    alternate: Literal["head", "modules", "jointly"] = "head"
    stale_gradient_clipping: bool = True  #: clip over all parameters, left-over gradients included (code)

    def __post_init__(self) -> None:
        positive(self, "alpha width_floor max_width")


@dataclass(frozen=True)
class CNMOutput:
    """One forward pass: proposal, masks of (positive, hard, easy) and what they reconstruct."""

    encoded: Encoded
    proposals: Proposals
    masks: Float[Tensor, "B 3 S"]
    nll: Float[Tensor, "B 3"]
    reconstruction: Reconstruction


class CNM(Generator):
    """Contrastive negative sample mining; see the module docstring."""

    def __init__(self, config: CNMConfig, shape: DataShape, *, token: bool = False) -> None:
        """``token`` appends a learnable vector to the frames for P0's negatives to be read from; CNM has none."""
        super().__init__()
        self.config = config
        network = config.reconstruction
        self.front = FrontEnd(network, shape, token=token)
        self.transformer = DualTransformer(network.transformer)
        self.generator = DualTransformer(network.transformer) if config.alternate != "head" else None
        self.proposal_head = nn.Linear(network.transformer.hidden, 2)

    @property
    def reconstructor(self) -> DualTransformer:  # type: ignore[override]
        """What reads masked sentences from masked clips; in the released form it generates proposals as well."""
        return self.transformer

    def encode(self, batch: MomentBatch, masked: Bool[Tensor, "B L"]) -> Encoded:
        """P1 Eq. (1): projection, generation and the masked sentence."""
        return encode(self.front, self.generator or self.transformer, batch, masked)

    def window_masks(
        self, centers: Float[Tensor, "B R"], widths: Float[Tensor, "B R"], cells: int
    ) -> Float[Tensor, "B R S"]:
        """P1 Eq. (4)."""
        return cnm_mask(centers, widths, cells, alpha=self.config.alpha, floor=self.config.width_floor)

    def positives(self, encoded: Encoded) -> Proposals:
        """Center and width, P1 Eq. (2) and P1 Eq. (3), read at the last frame, and their mask, P1 Eq. (4)."""
        cells, cfg = encoded.clips.shape[1], self.config
        last_frame = -1 if self.front.token is None else -2
        values = torch.sigmoid(precisely(self.proposal_head, encoded.hidden[:, last_frame]))  # (B, 2)
        center, width = values[:, :1], values[:, 1:] * cfg.max_width
        mask = self.window_masks(center, width, cells)
        starts, ends = (center - width / 2).clamp_min(0), (center + width / 2).clamp_max(1)
        return Proposals(center, width, mask, starts, ends)

    def base_loss(
        self,
        proposals: Proposals,
        best: Float[Tensor, " B"],
        whole: Float[Tensor, " B"] | None,
        *,
        regularise: bool = True,
    ) -> LossTerms:
        """Both stages' losses without the easy negative; there is nothing to regularise."""
        nll = torch.stack((best,) if whole is None else (best, whole), dim=1)
        return both(reconstruction_loss(nll), intra_video_contrast(nll, self.config))

    def forward(
        self, batch: MomentBatch, masked: Bool[Tensor, "B L"], *, detach_mask: bool = False, maps: bool = False
    ) -> CNMOutput:
        """The sentence from the proposal's mask m, from everything, and from 1 - m (P1 Eq. (9)).

        Args:
            masked: words to hide, True = hidden.
            detach_mask: cut the gradient from the reconstructions into the proposal.
            maps: keep the attention map of the last layer.
        """
        encoded = self.encode(batch, masked)
        proposals = self.positives(encoded)
        positive = proposals.masks.detach() if detach_mask else proposals.masks
        masks = torch.cat((positive, torch.ones_like(positive), 1 - positive), dim=1)
        inputs = (encoded.clips, encoded.clip_mask, encoded.text, encoded.text_mask)
        out = self.reconstructor(*inputs, Conditioning(masks, maps=maps))
        nll = self.front.nll(self.front.vocabulary_head(out.hidden), encoded)
        return CNMOutput(encoded, proposals, masks, nll, out)

    def training_loss(self, batch: MomentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Both stages' losses on one forward pass (recorded; :meth:`step` optimises them in turn, or jointly)."""
        nll = self(batch, self.masked_words(batch, generator)).nll
        return both(reconstruction_loss(nll), intra_video_contrast(nll, self.config))

    def curves(self) -> dict[str, dict[str, float]]:
        """P1 Eq. (4) is a Gaussian of sigma ``sqrt(2 alpha)``; a complement has no curve."""
        return {"positive": {"sigma": math.sqrt(2 * self.config.alpha), "floor": self.config.width_floor}}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Stage 1 trains everything but the head; stage 2 the head (``alternate="modules"``: the whole generator).

        ``alternate="jointly"`` has one stage.
        """
        if self.config.alternate == "jointly":
            return super().parameter_groups()
        parts = [self.proposal_head] + ([self.generator] if self.generator is not None else [])
        proposal = [p for part in parts for p in part.parameters()]
        own = {id(p) for p in proposal}
        return {"reconstructor": [p for p in self.parameters() if id(p) not in own], "generator": proposal}

    def step(
        self, batch: MomentBatch, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        """Each stage has its own forward pass with fresh words and dropout, and the second sees the first's update.

        In the released form ("head") the reconstruction loss still reaches the shared transformer through the mask.
        ``alternate="jointly"`` makes one update by :meth:`training_loss`.
        """
        if self.config.alternate == "jointly":
            return super().step(batch, progress, generator, optimizers)
        separate = self.config.alternate == "modules"

        def reconstruct_better() -> LossTerms:
            return reconstruction_loss(self(batch, self.masked_words(batch, generator), detach_mask=separate).nll)

        def propose_better() -> LossTerms:
            return intra_video_contrast(self(batch, self.masked_words(batch, generator)).nll, self.config)

        stages = {"reconstructor": reconstruct_better, "generator": propose_better}
        return both(*in_turn(self, stages, optimizers, stale=self.config.stale_gradient_clipping))


def in_turn(
    method: Method[MomentBatch],
    stages: Mapping[str, Callable[[], LossTerms]],
    optimizers: dict[str, StepOptimizer],
    *,
    stale: bool,
) -> list[LossTerms]:
    """P1 Eq. (14): one update after the other, each loss computed anew and differentiated in its own group alone.

    Args:
        stages: the loss of each parameter group, in the order of the updates.
        stale: clip the norm over all parameters, the gradients that other stages left behind included.
    """
    groups, losses = method.parameter_groups(), []
    for name, loss in stages.items():
        now = loss()
        with outside_autocast(now.total):
            gradients = torch.autograd.grad(now.total, groups[name], allow_unused=True)
        for parameter, gradient in zip(groups[name], gradients, strict=True):
            parameter.grad = gradient
        optimizers[name].step(clip=list(method.parameters()) if stale else groups[name])
        losses.append(LossTerms(now.total.detach(), {name: value.detach() for name, value in now.terms.items()}))
    return losses


def both(one: LossTerms, other: LossTerms) -> LossTerms:
    """The sum of two losses, with the terms of each."""
    return LossTerms(one.total + other.total, one.terms | other.terms)


def reconstruction_loss(nll: Float[Tensor, "B R"]) -> LossTerms:
    """P1 Eq. (12): ``L_rec = CE(positive) + CE(hard)``, each a mean over the batch; CE(positive) of a single column."""
    terms = {"nll": nll[:, 0].mean()}
    if nll.shape[1] == 1:
        return LossTerms(terms["nll"], terms)
    terms["nll_whole_video"] = nll[:, 1].mean()
    return LossTerms(terms["nll"] + terms["nll_whole_video"], terms)


def intra_video_contrast(nll: Float[Tensor, "B R"], config: CNMConfig) -> LossTerms:
    """P1 Eq. (13): ``max(CE(pos) - CE(hard) + beta_1, 0) + max(CE(pos) - CE(easy) + beta_2, 0)``, means over the batch.

    Args:
        nll: of positive, hard and easy negative; a column that is absent leaves its margin out.
    """
    total, terms = nll.new_zeros(()), {}
    if nll.shape[1] > 1:
        total = terms["rank_whole_video"] = margin(nll[:, 0], nll[:, 1], config.hard_margin).mean()
    if nll.shape[1] > 2:
        terms["rank_easy"] = margin(nll[:, 0], nll[:, 2], config.easy_margin).mean()
        terms["nll_easy"] = nll[:, 2].mean()
        total = total + terms["rank_easy"]
    return LossTerms(total, terms)
