"""The criterion of the DETR family: one matching of predicted and true windows, and the losses built on it.

Spans are (center, width) in fractions of the video; targets are padded; ``match[b, n]`` is the
prediction matched to window n of item b and -1 where there is none.  Class 0 is *foreground*, class 1 background.
Axes: B queries, Q moment queries, N windows, T clips, C clips that a span head can name.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from vmlkit.config import at_least
from vmlkit.detr.assignment import assign
from vmlkit.detr.batches import Targets
from vmlkit.nn.tables import device_table
from vmlkit.spans import generalized_iou, to_start_end

FOREGROUND, BACKGROUND = 0, 1


@dataclass(frozen=True, kw_only=True)
class SetWeights:
    """Weights of the terms and of the matching costs; defaults are Moment-DETR's and QD-DETR's."""

    span: float = 10.0  #: L1 on (center, width)
    giou: float = 1.0
    label: float = 4.0
    saliency: float = 1.0
    match_span: float = 10.0
    match_giou: float = 1.0
    match_class: float = 4.0
    background: float = 0.1  #: class weight of unmatched queries (``eos_coef``)
    margin: float = 0.2  #: of the saliency hinge

    def __post_init__(self) -> None:
        at_least(self, 0, " ".join(self.__dataclass_fields__))


@torch.no_grad()
def match_costs(
    logits: Float[Tensor, "B Q 2"], spans: Float[Tensor, "B Q 2"], targets: Targets, weights: SetWeights
) -> Float[Tensor, "B Q N"]:
    """``l1 |s - t|_1 - lg gIoU(s, t) - lc p(foreground)`` for every pair."""
    predicted, true = spans[:, :, None], targets.windows[:, None]
    distance = (predicted - true).abs().sum(-1)
    overlap = generalized_iou(to_start_end(predicted), to_start_end(true))
    probability = logits.softmax(-1)[..., FOREGROUND, None]
    return weights.match_span * distance - weights.match_giou * overlap - weights.match_class * probability


@torch.no_grad()
def match(
    logits: Float[Tensor, "B Q 2"], spans: Float[Tensor, "B Q 2"], targets: Targets, weights: SetWeights
) -> Int[Tensor, "B N"]:
    """The least-cost assignment; no gradient."""
    return assign(match_costs(logits, spans, targets, weights), targets.mask)


def window_losses(
    spans: Float[Tensor, "B Q 2"], targets: Targets, matched: Int[Tensor, "B N"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """L1 and ``1 - gIoU``, means over the matched pairs of the whole batch (not per item)."""
    there = matched >= 0
    count = there.sum()
    index = matched.clamp_min(0)[..., None].expand(-1, -1, 2)
    chosen = torch.where(there[..., None], spans.gather(1, index), targets.windows)
    distance = (chosen - targets.windows).abs().sum() / (2 * count)
    overlap = generalized_iou(to_start_end(chosen), to_start_end(targets.windows))
    return distance, torch.where(there, 1 - overlap, 0.0).sum() / count


@torch.no_grad()
def match_clips(
    logits: Float[Tensor, "B Q 2"], ends: Float[Tensor, "B Q 2 C"], targets: Targets, weights: SetWeights
) -> Int[Tensor, "B N"]:
    """The assignment where spans are a first and a last clip: their probabilities stand for distance and overlap."""
    clips = target_clips(targets)
    probability = ends.softmax(-1)
    right = [probability[:, :, i].gather(2, clips[:, None, :, i].expand(-1, ends.shape[1], -1)) for i in (0, 1)]
    foreground = logits.softmax(-1)[..., FOREGROUND, None]
    return assign(-weights.match_span * (right[0] + right[1]) - weights.match_class * foreground, targets.mask)


def clip_loss(ends: Float[Tensor, "B Q 2 C"], targets: Targets, matched: Int[Tensor, "B N"]) -> Float[Tensor, ""]:
    """Cross entropy of first and last clip, the mean over both and over the matched pairs of the whole batch."""
    there = matched >= 0
    index = matched.clamp_min(0)[..., None, None].expand(-1, -1, *ends.shape[2:])
    nll = -ends.gather(1, index).log_softmax(-1).gather(-1, target_clips(targets)[..., None])[..., 0]  # (B, N, 2)
    return torch.where(there[..., None], nll, 0.0).sum() / (2 * there.sum())


def target_clips(targets: Targets) -> Int[Tensor, "B N 2"]:
    """First and last clip of each window, both inclusive."""
    assert targets.clips is not None, "a span head over clips needs the number of clips of each video"
    return targets.clips


def class_weights(background: float) -> Float[Tensor, " 2"]:
    """Weights of foreground and background in :func:`label_loss`."""
    return torch.tensor([1.0, background])


def label_loss(logits: Float[Tensor, "B Q 2"], matched: Int[Tensor, "B N"], background: float) -> Float[Tensor, ""]:
    """Weighted cross entropy over all slots, a plain mean of the weighted terms (not over the weights' sum)."""
    slots = torch.arange(logits.shape[1], device=logits.device)
    foreground = (matched[..., None] == slots).any(1)  # (B, Q)
    target = torch.where(foreground, FOREGROUND, BACKGROUND)
    weight = device_table(class_weights, background, device=logits.device, dtype=logits.dtype)
    return F.cross_entropy(logits.transpose(1, 2), target, weight, reduction="none").mean()


@torch.no_grad()
def class_error(logits: Float[Tensor, "B Q 2"], matched: Int[Tensor, "B N"]) -> Float[Tensor, ""]:
    """``100 - accuracy(%)`` of the matched slots."""
    there = matched >= 0
    right = logits.argmax(-1).gather(1, matched.clamp_min(0)) == FOREGROUND
    return 100 - 100 * (right & there).sum() / there.sum()


def saliency_hinge(
    scores: Float[Tensor, "B T"], inside: Int[Tensor, "B K"], outside: Int[Tensor, "B K"], margin: float
) -> Float[Tensor, ""]:
    """``2 / (B K) sum max(0, margin + s_outside - s_inside)`` over K drawn pairs of clips."""
    gap = margin + scores.gather(1, outside) - scores.gather(1, inside)
    return 2 * gap.clamp_min(0).mean()


def all_pairs_hinge(
    scores: Float[Tensor, "B T"], inside: Bool[Tensor, "B T"], mask: Bool[Tensor, "B T"], margin: float
) -> Float[Tensor, ""]:
    """``max(0, margin + s_outside - s_inside)`` over all pairs of a clip inside and one outside (P2 Eq. (15)).

    The mean over the pairs of each item, then over the items; an item without a pair counts as zero.
    """
    pairs = inside[:, :, None] & (mask & ~inside)[:, None]
    gap = (margin + scores[:, None] - scores[:, :, None]).clamp_min(0)
    return (torch.where(pairs, gap, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)).mean()


def negative_pair_loss(scores: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """QD-DETR: ``-log(1 - sigmoid(s))`` of a sentence that is not of this video, *summed* over the clips.

    Written as softplus, which stays finite where the released form overflows.
    """
    return torch.where(mask, F.softplus(scores), 0.0).sum(1).mean()


def rank_loss(
    scores: Float[Tensor, "B T"],
    negative: Float[Tensor, "B T"],
    levels: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    temperature: float = 0.5,
    highest: int = 12,
) -> Float[Tensor, ""]:
    """QD-DETR: clips rated at least u against all others and the negative sentence's, for u = 1 .. highest - 1.

    # PAPER: a mean over the levels / CODE: 11 levels, divided by 12 -> no switch, because the factor 11/12 is a matter
    # of the term's weight
    """
    both, valid = torch.cat((scores, negative), dim=1), torch.cat((mask, mask), dim=1)
    rating = torch.cat((levels, torch.zeros_like(levels)), dim=1)
    z = torch.where(valid, both, -1e3) / temperature
    z = z - z.amax(dim=1, keepdim=True)
    logp = z - torch.log(z.exp().sum(1, keepdim=True) + 1e-6)
    thresholds = torch.arange(1, highest, device=scores.device)
    positive = (rating >= thresholds[:, None, None]).to(z.dtype)  # (u, B, 2T)
    mean = (positive * torch.where(valid, logp, 0.0)).sum(-1) / (positive.sum(-1) + 1e-6)
    return -torch.where(positive.any(-1), mean, 0.0).mean(1).sum() / highest


def frame_probability_loss(
    probability: Float[Tensor, "B T"], inside: Bool[Tensor, "B T"], mask: Bool[Tensor, "B T"], bound: float = 1.0
) -> Float[Tensor, ""]:
    """BM-DETR: ``bound - mean p inside the windows + mean p outside``; an empty side counts as zero."""
    return (bound - masked_mean(probability, inside) + masked_mean(probability, mask & ~inside)).mean()


def masked_mean(values: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Mean over the True entries of each row; 0 where there is none."""
    return torch.where(mask, values, 0.0).sum(1) / mask.sum(1).clamp_min(1)


def semantic_alignment(
    video: Float[Tensor, "B a"], text: Float[Tensor, "B a"], *, temperature: float = 0.07, others_only: bool = False
) -> Float[Tensor, ""]:
    """BM-DETR: videos find their sentence among those of the batch (video to text only); unit vectors.

    # PAPER: P2 Eq. (17): the denominator holds the negatives j != i / CODE: it holds i as well -> alignment_negatives
    """
    logits = video @ text.T / temperature
    target = torch.arange(len(logits), device=logits.device)
    if not others_only or len(logits) == 1:  # a batch of one has no others: 0 in either form
        return F.cross_entropy(logits, target)
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return (logits.masked_fill(own, -torch.inf).logsumexp(1) - logits.diagonal()).mean()


def contrastive_alignment(
    queries: Float[Tensor, "B Q a"], words: Float[Tensor, "B L a"], matched: Int[Tensor, "B N"], temperature: float
) -> Float[Tensor, ""]:
    """Moment-DETR (off by default): matched queries against all, by their similarity to the words.

    The sum runs over the padding as well, as released.
    """
    logits = (queries @ words.sum(1)[..., None])[..., 0] / temperature  # (B, Q)
    there = matched >= 0
    positive = torch.where(there, logits.gather(1, matched.clamp_min(0)), 0.0).sum(1) / there.sum(1)
    return (logits.logsumexp(1) - positive).mean()
