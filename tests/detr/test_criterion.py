"""The criterion against slow, literal loops over items, pairs and clips."""

import math

import numpy as np
import pytest
import torch

from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import Targets
from vmlkit.detr.criterion import SetWeights
from vmlkit.spans import generalized_iou, to_start_end

DRAW = torch.Generator().manual_seed(5)
LOGITS, SPANS = torch.randn(3, 4, 2, generator=DRAW), torch.rand(3, 4, 2, generator=DRAW) * 0.5 + 0.2
TARGETS = Targets(
    torch.rand(3, 2, 2, generator=DRAW) * 0.5 + 0.2, torch.tensor([[True, True], [True, False], [True, True]])
)


def test_window_and_label_losses_are_the_loops() -> None:
    matched = sp.match(LOGITS, SPANS, TARGETS, SetWeights())
    distances, overlaps, terms, right = [], [], [], []
    for b in range(3):
        labels = {}
        for n in range(2):
            if TARGETS.mask[b, n]:
                q = int(matched[b, n])
                labels[q] = 0
                distances += (SPANS[b, q] - TARGETS.windows[b, n]).abs().tolist()
                pair = to_start_end(SPANS[b, q]), to_start_end(TARGETS.windows[b, n])
                overlaps.append(1 - float(generalized_iou(*pair)))
                right.append(bool(LOGITS[b, q, 0] > LOGITS[b, q, 1]))
        for q in range(4):
            label = labels.get(q, 1)
            terms.append(-float(LOGITS[b, q].log_softmax(0)[label]) * (1.0 if label == 0 else 0.1))
    distance, overlap = sp.window_losses(SPANS, TARGETS, matched)
    assert float(distance) == pytest.approx(np.mean(distances), rel=1e-5)
    assert float(overlap) == pytest.approx(np.mean(overlaps), rel=1e-5)
    assert float(sp.label_loss(LOGITS, matched, 0.1)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(sp.class_error(LOGITS, matched)) == pytest.approx(100 - 100 * np.mean(right))


def test_padded_targets_change_nothing_and_get_no_gradient() -> None:
    spans = SPANS.clone().requires_grad_()
    moved = torch.where(TARGETS.mask[..., None], TARGETS.windows, torch.tensor([0.9, 0.1]))
    losses = []
    for windows in (TARGETS.windows, moved):
        targets = Targets(windows, TARGETS.mask)
        losses.append(sum(sp.window_losses(spans, targets, sp.match(LOGITS, spans, targets, SetWeights()))))
    assert torch.equal(losses[0], losses[1])
    losses[0].backward()
    assert torch.isfinite(spans.grad).all()


def test_saliency_losses() -> None:
    scores, negative = (
        torch.tensor([[1.0, 0.2, -0.5], [0.0, 2.0, 9.0]]),
        torch.tensor([[0.5, 0.0, 0.0], [1.0, -1.0, 9.0]]),
    )
    mask = torch.tensor([[True, True, True], [True, True, False]])
    inside, outside = torch.tensor([[0, 0], [1, 1]]), torch.tensor([[1, 2], [0, 0]])
    gaps = [max(0, 0.2 + 0.2 - 1.0), max(0, 0.2 - 0.5 - 1.0), 0.0, 0.0]
    assert float(sp.saliency_hinge(scores, inside, outside, 0.2)) == pytest.approx(2 * np.mean(gaps))
    absent = [[0.5, 0.0, 0.0], [1.0, -1.0]]
    expected = np.mean([sum(-math.log(1 - 1 / (1 + math.exp(-x))) for x in row) for row in absent])
    assert float(sp.negative_pair_loss(negative, mask)) == pytest.approx(expected, rel=1e-6)
    assert torch.isfinite(sp.negative_pair_loss(torch.full((1, 2), 200.0), torch.ones(1, 2).bool()))


def test_rank_loss_is_the_loop_over_levels() -> None:
    scores, negative = torch.randn(2, 5, generator=DRAW), torch.randn(2, 5, generator=DRAW)
    levels = torch.tensor([[0.0, 3.0, 12.0, 1.0, 0.0], [2.0, 2.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    total = 0.0
    for u in range(1, 12):
        rows = []
        for b in range(2):
            valid = torch.cat((mask[b], mask[b]))
            z = torch.where(valid, torch.cat((scores[b], negative[b])), torch.tensor(-1e3)) / 0.5
            logp = (z - z.max()) - ((z - z.max()).exp().sum() + 1e-6).log()
            positive = torch.cat((levels[b] >= u, torch.zeros(5).bool()))
            rows.append(float(logp[positive & valid].sum() / positive.sum()) if positive.any() else 0.0)
        total -= np.mean(rows) / 12
    assert float(sp.rank_loss(scores, negative, levels, mask)) == pytest.approx(total, rel=1e-4)


def test_frame_probability_and_alignment() -> None:
    p = torch.tensor([[0.9, 0.8, 0.1], [0.5, 0.5, 0.7]])
    inside = torch.tensor([[True, True, False], [True, True, False]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expected = np.mean([1 - 0.85 + 0.1, 1 - 0.5])
    assert float(sp.frame_probability_loss(p, inside, mask)) == pytest.approx(expected, rel=1e-6)
    video, text = (torch.nn.functional.normalize(torch.randn(3, 4, generator=DRAW), dim=-1) for _ in range(2))
    similarity = video @ text.T / 0.07
    code = np.mean([float(similarity[i].logsumexp(0) - similarity[i, i]) for i in range(3)])
    others = [[j for j in range(3) if j != i] for i in range(3)]
    paper = np.mean([float(similarity[i, others[i]].logsumexp(0) - similarity[i, i]) for i in range(3)])
    assert float(sp.semantic_alignment(video, text)) == pytest.approx(code, rel=1e-5)
    assert float(sp.semantic_alignment(video, text, others_only=True)) == pytest.approx(paper, rel=1e-5)
