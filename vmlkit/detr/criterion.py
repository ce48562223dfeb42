"""The criterion of the DETR family: one matching of predicted and true windows, and the losses built on it.

Spans are (center, width) in fractions of the video; targets are padded; ``match[b, n]`` is the
prediction matched to window n of item b and -1 where there is none.  Class 0 is *foreground*, class 1 background.
Everything takes groups of predictions, decoder layers or branches of a batch, in leading axes ``*G``, and returns one
number for each; targets may be the same for all groups (``*#G``).
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
    logits: Float[Tensor, "*G B Q 2"], spans: Float[Tensor, "*G B Q 2"], targets: Targets, weights: SetWeights
) -> Float[Tensor, "*G B Q N"]:
    """``l1 |s - t|_1 - lg gIoU(s, t) - lc p(foreground)`` for every pair."""
    distance = (spans[..., :, None, :] - targets.windows[..., None, :, :]).abs().sum(-1)
    overlap = generalized_iou(to_start_end(spans)[..., :, None, :], targets.edges[..., None, :, :])
    probability = logits.softmax(-1)[..., FOREGROUND, None]
    cost = torch.sub(weights.match_span * distance, overlap, alpha=weights.match_giou)
    return torch.sub(cost, probability, alpha=weights.match_class)


@torch.no_grad()
def match(
    logits: Float[Tensor, "*G B Q 2"], spans: Float[Tensor, "*G B Q 2"], targets: Targets, weights: SetWeights
) -> Int[Tensor, "*G B N"]:
    """The least-cost assignment of every group and item, in one call; no gradient."""
    return _assigned(match_costs(logits, spans, targets, weights), targets)


def _assigned(cost: Float[Tensor, "*G B Q N"], targets: Targets) -> Int[Tensor, "*G B N"]:
    groups = cost.shape[:-2]
    mask = targets.mask.expand(*groups, -1)
    return assign(cost.flatten(0, -3), mask.flatten(0, -2)).view(mask.shape)


def window_losses(
    spans: Float[Tensor, "*G B Q 2"], targets: Targets, matched: Int[Tensor, "*G B N"]
) -> tuple[Float[Tensor, "*G"], Float[Tensor, "*G"]]:
    """L1 and ``1 - gIoU``, means over the matched pairs of the whole batch (not per item)."""
    there = (matched >= 0)[..., None]
    count = there.sum((-3, -2, -1))
    index = matched.clamp_min(0)[..., None].expand(*matched.shape, 2)
    windows = targets.windows.expand(*matched.shape, 2)
    chosen = torch.where(there, spans.gather(-2, index), windows)  # a window without a prediction is its own
    distance = (chosen - windows).abs().sum((-3, -2, -1)) / (2 * count)
    overlap = generalized_iou(to_start_end(chosen), targets.edges.expand_as(windows))
    return distance, (1 - overlap).sum((-2, -1)) / count


@torch.no_grad()
def match_clips(
    logits: Float[Tensor, "*G B Q 2"], ends: Float[Tensor, "*G B Q 2 C"], targets: Targets, weights: SetWeights
) -> Int[Tensor, "*G B N"]:
    """The assignment where spans are a first and a last clip: their probabilities stand for distance and overlap."""
    clips = target_clips(targets).transpose(-1, -2)[..., None, :, :]  # (B, 1, 2, N)
    right = ends.softmax(-1).gather(-1, clips.expand(*ends.shape[:-1], -1)).sum(-2)  # (*G, B, Q, N)
    foreground = logits.softmax(-1)[..., FOREGROUND, None]
    return _assigned(-weights.match_span * right - weights.match_class * foreground, targets)


def clip_loss(
    ends: Float[Tensor, "*G B Q 2 C"], targets: Targets, matched: Int[Tensor, "*G B N"]
) -> Float[Tensor, "*G"]:
    """Cross entropy of first and last clip, the mean over both and over the matched pairs of the whole batch."""
    there = matched >= 0
    index = matched.clamp_min(0)[..., None, None].expand(*matched.shape, *ends.shape[-2:])
    clips = target_clips(targets)[..., None].expand(*matched.shape, 2, 1)
    nll = -ends.gather(-3, index).log_softmax(-1).gather(-1, clips)[..., 0]  # (*G, B, N, 2)
    return nll.masked_fill(~there[..., None], 0.0).sum((-3, -2, -1)) / (2 * there.sum((-2, -1)))


def target_clips(targets: Targets) -> Int[Tensor, "B N 2"]:
    """First and last clip of each window, both inclusive."""
    assert targets.clips is not None, "a span head over clips needs the number of clips of each video"
    return targets.clips


def class_weights(background: float) -> Float[Tensor, " 2"]:
    """Weights of foreground and background in :func:`label_loss`."""
    return torch.tensor([1.0, background], dtype=torch.float64)


def label_loss(
    logits: Float[Tensor, "*G B Q 2"], matched: Int[Tensor, "*G B N"], background: float
) -> Float[Tensor, "*G"]:
    """Weighted cross entropy over all slots, a plain mean of the weighted terms (not over the weights' sum)."""
    slots = torch.arange(logits.shape[-2], device=logits.device)
    target = (matched[..., None, :] != slots[:, None]).all(-1).long()  # (*G, B, Q), BACKGROUND where nothing matches
    weight = device_table(class_weights, background, device=logits.device, dtype=logits.dtype)
    terms = F.cross_entropy(logits.flatten(0, -2), target.flatten(), weight, reduction="none")
    return terms.view(target.shape).mean((-2, -1))


@torch.no_grad()
def class_error(logits: Float[Tensor, "*G B Q 2"], matched: Int[Tensor, "*G B N"]) -> Float[Tensor, "*G"]:
    """``100 - accuracy(%)`` of the matched slots."""
    there = matched >= 0
    foreground = logits[..., FOREGROUND] >= logits[..., BACKGROUND]
    right = foreground.gather(-1, matched.clamp_min(0)) & there
    return 100 - 100 * right.sum((-2, -1)) / there.sum((-2, -1))


def saliency_hinge(
    scores: Float[Tensor, "*G B T"], inside: Int[Tensor, "*G B K"], outside: Int[Tensor, "*G B K"], margin: float
) -> Float[Tensor, "*G"]:
    """``2 / (B K) sum max(0, margin + s_outside - s_inside)`` over K drawn pairs of clips."""
    salient, other = scores.gather(-1, torch.cat((inside, outside), dim=-1)).chunk(2, dim=-1)
    return 2 * (margin + other - salient).relu().mean((-2, -1))


def all_pairs_hinge(
    scores: Float[Tensor, "*G B T"], inside: Bool[Tensor, "*G B T"], mask: Bool[Tensor, "B T"], margin: float
) -> Float[Tensor, "*G"]:
    """``max(0, margin + s_outside - s_inside)`` over all pairs of a clip inside and one outside (P2 Eq. (15)).

    The mean over the pairs of each item, then over the items; an item without a pair counts as zero.
    """
    pairs = inside[..., :, None] & (mask & ~inside)[..., None, :]
    gap = (margin + scores[..., None, :] - scores[..., :, None]).clamp_min(0)
    return (gap.masked_fill(~pairs, 0.0).sum((-2, -1)) / pairs.sum((-2, -1)).clamp_min(1)).mean(-1)


def negative_pair_loss(scores: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """QD-DETR: ``-log(1 - sigmoid(s))`` of a sentence that is not of this video, *summed* over the clips.

    Written as softplus, which stays finite where the released form overflows.
    """
    return (F.softplus(scores) * mask).sum(1).mean()


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
    both, padding = torch.cat((scores, negative), dim=1), ~mask.repeat(1, 2)
    rating = F.pad(levels, (0, levels.shape[1]))
    z = both.masked_fill(padding, -1e3) / temperature
    z = z - z.amax(dim=1, keepdim=True)
    logp = z - torch.log(z.exp().sum(1, keepdim=True) + 1e-6)
    thresholds = torch.arange(1, highest, device=scores.device)
    positive = (rating >= thresholds[:, None, None]).to(z.dtype)  # (u, B, 2T)
    # a level that no clip reaches has the sum 0, and so the mean 0
    mean = (positive * logp.masked_fill(padding, 0.0)).sum(-1) / (positive.sum(-1) + 1e-6)
    return -mean.mean(1).sum() / highest


def frame_probability_loss(
    probability: Float[Tensor, "*G B T"], inside: Bool[Tensor, "*G B T"], mask: Bool[Tensor, "B T"], bound: float = 1.0
) -> Float[Tensor, "*G"]:
    """BM-DETR: ``bound - mean p inside the windows + mean p outside``; an empty side counts as zero."""
    sides = torch.stack((inside, mask & ~inside)).to(probability.dtype)
    within, without = (sides / sides.sum(-1, keepdim=True).clamp_min(1)).unbind(0)
    return (bound - (probability * (within - without)).sum(-1)).mean(-1)


def semantic_alignment(
    video: Float[Tensor, "*G B a"],
    text: Float[Tensor, "*G B a"],
    *,
    temperature: float = 0.07,
    others_only: bool = False,
) -> Float[Tensor, "*G"]:
    """BM-DETR: videos find their sentence among those of the batch (video to text only); unit vectors.

    # PAPER: P2 Eq. (17): the denominator holds the negatives j != i / CODE: it holds i as well -> alignment_negatives
    """
    logits = video @ text.transpose(-1, -2) / temperature
    count = logits.shape[-1]
    if not others_only or count == 1:  # a batch of one has no others: 0 in either form
        return -logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(-1)
    own = torch.eye(count, dtype=torch.bool, device=logits.device)
    others = logits.masked_fill(own, -torch.inf).logsumexp(-1)
    return (others - logits.diagonal(dim1=-2, dim2=-1)).mean(-1)


def contrastive_alignment(
    queries: Float[Tensor, "*G B Q a"],
    words: Float[Tensor, "B L a"],
    matched: Int[Tensor, "*G B N"],
    temperature: float,
) -> Float[Tensor, "*G"]:
    """Moment-DETR (off by default): matched queries against all, by their similarity to the words.

    The sum runs over the padding as well, as released.
    """
    logits = (queries @ words.sum(1)[..., None])[..., 0] / temperature  # (*G, B, Q)
    there = matched >= 0
    positive = (logits.gather(-1, matched.clamp_min(0)) * there).sum(-1) / there.sum(-1)
    return (logits.logsumexp(-1) - positive).mean(-1)
