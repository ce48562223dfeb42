"""Options of the releases and of the paper beside the published runs: what each does, and what refuses it."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.detr.batches import SHAPE, bm_detr, detr_batch, sizes
from vmlkit.detr import bm_detr as bm
from vmlkit.detr import criterion as sp
from vmlkit.detr.batches import DetrBatch
from vmlkit.detr.bm_detr import AttentivePooling
from vmlkit.detr.layers import FeedForward
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig, likeliest_span
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.detr.shift import shifted_branch
from vmlkit.errors import ConfigError
from vmlkit.methods import preset
from vmlkit.training.method import Progress

CLOCK = Progress(1, 1)


def over_clips(**changes: object) -> MomentDetr:
    torch.manual_seed(0)
    config = {"span_loss_type": "ce", "max_clips": 12, **changes}
    return MomentDetr(MomentDetrConfig(sizes=sizes(pre_norm=True), **config), SHAPE)  # type: ignore[arg-type]


def test_spans_over_clips_train_predict_and_come_nearer_to_the_truth() -> None:
    method, batch = over_clips(), detr_batch()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    totals = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = method.training_loss(batch, CLOCK, torch.Generator().manual_seed(1))
        assert loss.terms["giou"] == 0
        loss.total.backward()
        optimizer.step()
        totals.append(float(loss.terms["span"].detach()))
    assert totals[0] == pytest.approx(math.log(12), abs=0.7), "a head that knows nothing spreads over twelve clips"
    assert totals[-1] < totals[0] / 2
    said = method.eval().predict(batch, torch.Generator())
    clips = batch.frame_mask.sum(1, keepdim=True)
    for edges in (said.starts, said.ends):
        torch.testing.assert_close(edges * clips, (edges * clips).round())
    assert (said.ends >= said.starts).all()
    assert (said.nll.gather(1, said.order).diff(dim=1) >= 0).all()


def test_more_clips_than_can_be_named_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"12 clips, model.max_clips is 9"):
        over_clips(max_clips=9).predict(detr_batch(), torch.Generator())


def test_the_likeliest_span_stays_in_the_video_and_is_empty_where_its_ends_cross() -> None:
    ends = torch.full((1, 1, 3, 2, 6), -9.0)
    for query, (first, last) in enumerate([(1, 2), (3, 1), (2, 5)]):
        ends[0, 0, query, 0, first], ends[0, 0, query, 1, last] = 1.0, 1.0
    mask = torch.tensor([[True, True, True, True, False, False]])
    expected = torch.tensor([[0.5, 0.5], [0.75, 0.0], [0.75, 0.5]])  # clips 1-2, 3-3 and 2-3 of four
    torch.testing.assert_close(likeliest_span(ends, mask)[0, 0], expected)


def test_pre_norm_of_bm_detr_is_one_norm_more_and_qd_detr_has_none() -> None:
    batch = detr_batch()
    plain, normed = bm_detr(), bm_detr(sizes=sizes(pre_norm=True))
    missing = normed.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ["encoder.norm.weight", "encoder.norm.bias"]
    one, two = (m(batch.frames, batch.frame_mask, batch.words, batch.word_mask).memory.tokens for m in (plain, normed))
    torch.testing.assert_close(two, nn.functional.layer_norm(one, one.shape[-1:]))
    with pytest.raises(ConfigError, match="no pre-norm form"):
        QDDetr(QDDetrConfig(sizes=sizes(pre_norm=True)), SHAPE)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: x.clamp_min(0)),
        ("gelu", lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2),
        ("prelu", lambda x: torch.where(x > 0, x, 0.25 * x)),
        ("selu", lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * torch.expm1(x))),
    ],
)
def test_activations(name, formula) -> None:
    made = FeedForward(sizes(), name)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(made(x), made.contract(formula(made.expand(x))))
    slopes = [n for n, _ in made.named_parameters() if n.startswith("activation")]
    assert slopes == (["activation.weight"] if name == "prelu" else [])


def test_every_model_takes_an_activation() -> None:
    for method in (
        MomentDetr(MomentDetrConfig(sizes=sizes(), activation="selu"), SHAPE),
        QDDetr(QDDetrConfig(sizes=sizes(), activation="selu"), SHAPE),
        bm_detr(activation="selu"),
    ):
        kinds = {type(m.activation) for m in method.modules() if isinstance(m, FeedForward)}
        assert kinds == {nn.SELU}


def test_without_windows_qd_detr_learns_saliency_alone() -> None:
    torch.manual_seed(0)
    method = QDDetr(QDDetrConfig(sizes=sizes(), supervise_windows=False), SHAPE)
    loss = method.training_loss(detr_batch(), CLOCK, torch.Generator().manual_seed(1))
    assert loss.terms.keys() == {"hinge", "rank", "negative_pair"}
    loss.total.backward()
    assert method.span_head.layers[0].weight.grad is None
    assert method.clip_saliency.weight.grad is not None


def alignment(**changes: object) -> float:
    terms = bm_detr(**changes).training_loss(detr_batch(), CLOCK, torch.Generator().manual_seed(1)).terms
    return float(terms["alignment"].detach())


def test_the_paper_leaves_a_pair_out_of_its_own_denominator() -> None:
    paper = alignment(mode="paper")
    assert paper == alignment(mode="paper", alignment_negatives="others")
    released = alignment(mode="paper", alignment_negatives="all")
    # -log(e / (e + o)) against -log(e / o), item by item: never larger
    assert paper < released
    assert alignment() == alignment(alignment_negatives="all") != alignment(alignment_negatives="others")


def test_a_batch_of_one_has_no_other_pair() -> None:
    unit = nn.functional.normalize(torch.randn(1, 4, generator=torch.Generator().manual_seed(3)), dim=-1)
    for others in (False, True):
        assert float(sp.semantic_alignment(unit, unit, others_only=others)) == 0


def test_pooling_by_one_vector_is_the_weighted_mean() -> None:
    pooling = AttentivePooling(4, linear=True)
    assert [name for name, _ in pooling.named_parameters()] == ["score.weight"]
    x, mask = (
        torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(3)),
        torch.arange(5) < torch.tensor([[5], [2]]),
    )
    for item in range(2):
        rows = x[item][mask[item]]
        weights = torch.softmax(rows @ pooling.score.weight[0], dim=0)
        torch.testing.assert_close(pooling(x, mask)[item], weights @ rows)
    method = bm_detr(pooling="linear")
    method.training_loss(detr_batch(), CLOCK, torch.Generator().manual_seed(1)).total.backward()
    assert all(pool.score.weight.grad is not None for pool in method.pooling.values())
    assert not list(method.alignment.parameters())


def test_all_pairs_of_the_margin_loss_are_the_loops() -> None:
    draw = torch.Generator().manual_seed(3)
    scores, mask = torch.randn(3, 6, generator=draw), torch.arange(6) < torch.tensor([[6], [4], [3]])
    inside = (torch.rand(3, 6, generator=draw) < 0.5) & mask
    inside[2] = mask[2]  # nothing outside
    items = []
    for b in range(3):
        fore = [t for t in range(6) if inside[b, t]]
        back = [t for t in range(6) if mask[b, t] and not inside[b, t]]
        gaps = [max(0.0, 0.2 + float(scores[b, j] - scores[b, i])) for i in fore for j in back]
        items.append(np.mean(gaps) if gaps else 0.0)
    assert float(sp.all_pairs_hinge(scores, inside, mask, 0.2)) == pytest.approx(np.mean(items), rel=1e-5)
    drawn, every = (
        bm_detr(margin_pairs=kind)
        .training_loss(detr_batch(), CLOCK, torch.Generator().manual_seed(1))
        .terms["saliency"]
        for kind in ("drawn", "all")
    )
    assert float(drawn.detach()) != float(every.detach())


def test_the_variant_has_every_equation_of_the_paper() -> None:
    model = preset("bm-detr", variant="equations-as-written").model
    assert (model.mode, model.pooling, model.margin_pairs) == ("paper", "linear", "all")
    assert model.alignment_negatives == "by mode", "P2 Eq. (17) follows the mode"
    plain = preset("bm-detr").model
    assert (plain.mode, plain.pooling, plain.margin_pairs) == ("paper", "tanh", "drawn"), "numbers of studies stay"
    with pytest.raises(ConfigError, match="choose one of equations-as-written"):
        preset("bm-detr", variant="equations")


@pytest.mark.parametrize(
    ("mode", "limit", "moved"),
    [("paper", 60.0, (True, False)), ("paper", 1e6, (True, True)), ("paper", 0.0, (False, False)),
     ("authors", 0.0, (True, True))],
)  # fmt: skip
def test_long_videos_are_shifted_only_where_it_is_asked(
    mode: str, limit: float, moved: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2 Sec. 3.4 shifts below 60 s; P2 Fig. 3 asks what it does to videos of any length."""
    seen: list[torch.Tensor] = []

    def watched(batch: DetrBatch, inside: torch.Tensor, short: torch.Tensor, *rest: Any, **named: Any) -> Any:
        seen.append(short)
        return shifted_branch(batch, inside, short, *rest, **named)

    monkeypatch.setattr(bm, "shifted_branch", watched)
    batch = detr_batch()
    half = len(batch.durations) // 2
    durations = torch.cat((torch.full((half,), 30.0), torch.full((len(batch.durations) - half,), 287.0)))
    batch = dataclasses.replace(batch, durations=durations)
    method = bm_detr(mode=mode, shifting=True, shift_below_s=limit)
    method.train().training_loss(batch, CLOCK, torch.Generator().manual_seed(1))
    assert seen[0].tolist() == [moved[0]] * half + [moved[1]] * (len(durations) - half)
