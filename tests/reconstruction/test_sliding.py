"""CNM without its mask generator: windows, their masks, how they are drawn, and what the policy learns."""

import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.errors import ConfigError
from vmlkit.methods import preset
from vmlkit.reconstruction.sliding import (
    SlidingCNM,
    SlidingConfig,
    box_masks,
    near_windows,
    policy_gradient,
    spread_out,
    window_spans,
)
from vmlkit.training.method import Progress

LENGTHS = (0.2, 0.5)


def model(**settings: object) -> SlidingCNM:
    torch.manual_seed(0)
    network = small()
    return SlidingCNM(SlidingConfig(reconstruction=network, lengths=LENGTHS, places=4, **settings), SHAPE)


def test_windows_slide_from_one_end_to_the_other_and_stay_inside() -> None:
    spans = window_spans(*LENGTHS, 4)
    assert spans.shape == (8, 2)
    torch.testing.assert_close(spans[:, 1] - spans[:, 0], torch.tensor([0.2] * 4 + [0.5] * 4))
    for own in spans.unflatten(0, (2, 4)):
        assert own[0, 0] == 0
        assert own[-1, 1] == pytest.approx(1)
        torch.testing.assert_close(own[1:, 0] - own[:-1, 0], (own[1, 0] - own[0, 0]).expand(3))


def test_a_mask_has_the_cells_of_its_window_and_never_none() -> None:
    masks, spans = box_masks(*LENGTHS, 4, 11), window_spans(*LENGTHS, 4)
    cells = torch.linspace(0, 1, 11)
    for mask, (start, end) in zip(masks, spans, strict=True):
        within = (cells >= start - 1e-5) & (cells <= end + 1e-5)
        assert mask.bool().tolist() == within.tolist()
    assert (box_masks(0.01, 7, 4).sum(dim=1) >= 1).all(), "a window between two cells has the nearest"


def test_near_copies_are_drawn_only_when_nothing_else_is_left() -> None:
    near = near_windows(*LENGTHS, 4, 0.3)
    scores = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    drawn = spread_out(scores, near, 8)
    assert drawn.sort(dim=1).values.tolist() == [list(range(8))] * 3, "each window once"
    torch.testing.assert_close(drawn[:, 0], scores.argmax(dim=1))
    second = [int(max((i for i in range(8) if not near[d, i] and i != d), key=lambda i: float(row[i])))
              for row, d in zip(scores, drawn[:, 0].tolist(), strict=True)]  # fmt: skip
    assert drawn[:, 1].tolist() == second


def test_the_window_that_explains_its_sentence_gains_and_the_worst_one_loses() -> None:
    scores = torch.zeros(1, 5, requires_grad=True)
    drawn, nll = torch.tensor([[4, 0, 2]]), torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    policy_gradient(scores, drawn, nll).backward()
    assert nll.grad is None, "the reward is no way to the reconstructor"
    assert scores.grad is not None
    assert scores.grad[0, 0] < 0 < scores.grad[0, 4]
    assert scores.grad[0, [1, 2, 3]].abs().max() < 1e-6, "the mean reward is taken off"


def test_each_window_is_scored_at_the_clip_where_it_ends() -> None:
    method, videos = model(), random_batch()
    encoded = method.encode(videos, torch.zeros_like(videos.word_mask))
    scores, clips = method.scores(encoded), videos.frames.shape[1]
    for number, (_, end) in enumerate(window_spans(*LENGTHS, 4).tolist()):
        read = method.score_head(encoded.hidden[:, round(end * (clips - 1))])
        torch.testing.assert_close(scores[:, number], read[:, number // 4])


def test_a_step_teaches_scores_by_the_policy_alone() -> None:
    found = {}
    for weight in (0.0, 1.0):
        method = model(policy_weight=weight)
        loss = method.training_loss(random_batch(), Progress(1, 2), torch.Generator().manual_seed(1))
        loss.total.backward()
        found[weight] = method.score_head.weight.grad
        assert method.reconstructor.text_stack[0] is not None
        assert all(p.grad is not None for p in method.front.parameters())
    assert not found[0.0].any()
    assert found[1.0].any()


def test_answers_are_the_best_scored_windows_ordered_by_the_reconstruction() -> None:
    method, videos = model(drawn=3).eval(), random_batch()
    answer = method.predict(videos, torch.Generator().manual_seed(1))
    assert answer.starts.shape == (len(videos.frames), 3)
    assert (answer.nll.gather(1, answer.order).diff(dim=1) >= 0).all()
    spans = window_spans(*LENGTHS, 4)
    both = torch.stack((answer.starts, answer.ends), dim=-1)
    assert ((both[:, :, None] - spans).abs().amax(dim=-1).amin(dim=-1) < 1e-6).all()


def test_where_there_are_few_windows_all_are_drawn() -> None:
    answer = model(drawn=99).eval().predict(random_batch(), torch.Generator().manual_seed(1))
    assert answer.starts.shape[1] == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lengths": ()}, "fractions of the video"),
        ({"lengths": (0.5, 1.2)}, "fractions of the video"),
        ({"places": 0}, "at least 1"),
        ({"max_overlap": 0.0}, "must be positive"),
    ],
)
def test_windows_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SlidingConfig(**settings)


def test_presets_have_windows_up_to_the_largest_width_of_cnm() -> None:
    for data in ("charades", "activitynet", "toy", "planted:activitynet"):
        assert max(preset("cnm-windows", data, "paper").model.lengths) == preset("cnm", data, "paper").model.max_width
