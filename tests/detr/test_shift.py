"""Temporal shifting: the moment moves as a block, with the right label; the release's differences, one by one."""

import numpy as np
import torch

from vmlkit.detr.batches import DetrBatch, clips_inside, draw_clips, endpoints, with_endpoints
from vmlkit.detr.shift import shift_order, shifted_branch

COUNTS = torch.tensor([10, 8, 6])
MASK = torch.arange(10) < COUNTS[:, None]
#: seconds are clips here: 2.5 to 5.25 of 10, 0 to 8 of 8 (the whole video), 4 to 6 of 6
WINDOWS = torch.tensor([[3.875 / 10, 2.75 / 10], [0.5, 1.0], [5 / 6, 2 / 6]])


def batch() -> DetrBatch:
    frames = torch.arange(30.0).view(3, 10, 1) * MASK[..., None]
    return DetrBatch(
        frames=with_endpoints(frames, MASK),
        frame_mask=MASK,
        words=torch.zeros(3, 2, 4),
        word_ids=torch.zeros(3, 2, dtype=torch.long),
        word_mask=torch.ones(3, 2).bool(),
        word_weights=torch.ones(3, 2) / 2,
        spans=WINDOWS,
        durations=torch.tensor([10.0, 8.0, 6.0]),
        query_ids=("a", "b", "c"),
        video_ids=("a", "b", "c"),
        windows=WINDOWS[:, None],
        window_mask=torch.ones(3, 1).bool(),
    )


def shifted(as_released: bool, seed: int = 0, short: tuple[bool, ...] = (True, True, True)):  # type: ignore[no-untyped-def]
    data = batch()
    inside = clips_inside(data.windows, data.window_mask, MASK)
    draw = torch.Generator().manual_seed(seed)
    return data, *shifted_branch(data, inside, torch.tensor(short), draw, as_released=as_released)


def test_clips_of_a_window() -> None:
    one = torch.ones(3, 1).bool()
    released = clips_inside(WINDOWS[:, None], one, MASK)
    whole = clips_inside(WINDOWS[:, None], one, MASK, whole=True)
    assert released[0].nonzero().flatten().tolist() == [2, 3, 4], "the clip the moment ends in does not count"
    assert whole[0].nonzero().flatten().tolist() == [2, 3, 4, 5]
    assert released[2].nonzero().flatten().tolist() == whole[2].nonzero().flatten().tolist() == [4, 5]


def test_order_is_a_permutation_that_keeps_padding() -> None:
    for start in range(4):
        found = shift_order(torch.tensor([4]), torch.tensor([5]), MASK[2:], torch.tensor([start]))
        order = found.order[0].tolist()
        assert sorted(order) == list(range(10))
        assert order[6:] == [6, 7, 8, 9]
        assert order[start : start + 2] == [4, 5]


def test_paper_moves_window_and_clips_together_and_computes_endpoints_anew() -> None:
    moved = 0
    for seed in range(6):
        data, branch, targets, inside = shifted(False, seed)
        assert torch.equal(branch.clips[..., -2:], endpoints(MASK))
        assert torch.allclose(targets.windows[:, 0, 1], WINDOWS[:, 1]), "the moment keeps its length"
        for b in range(3):
            n = int(COUNTS[b])
            step = float(targets.windows[b, 0, 0] - WINDOWS[b, 0]) * n
            assert abs(step - round(step)) < 1e-4, "it moves by whole clips"
            old = clips_inside(WINDOWS[b : b + 1, None], torch.ones(1, 1).bool(), MASK[b : b + 1], whole=True)[0]
            new = old.roll(round(step))
            assert torch.equal(branch.clips[b, new, 0], data.frames[b, old, 0])
            assert inside[b].any()
            moved += abs(step) > 0.5
        assert torch.equal(branch.clips[1], data.frames[1]), "a moment that fills its video stays"
    assert moved > 3


def test_release_label_loses_a_clip_and_endpoints_give_the_old_place_away() -> None:
    _, branch, targets, inside = shifted(True, seed=1)
    first = int(inside[0].nonzero()[0])
    assert inside[0].sum() == 3
    assert torch.allclose(targets.windows[0, 0], torch.tensor([(first + 1) / 10, 2 / 10])), "three clips, labelled two"
    old = branch.clips[0, inside[0], 0].long()
    assert torch.equal(branch.clips[0, inside[0], -2], old / 10), "endpoint features of where the clips came from"
    assert torch.equal(targets.windows[1, 0], WINDOWS[1])


def test_long_videos_stay_in_paper_mode() -> None:
    data, branch, targets, _ = shifted(False, short=(False, False, False))
    assert torch.equal(branch.clips, data.frames)
    assert torch.equal(targets.windows[:, 0], WINDOWS)


def test_the_last_place_is_the_papers_alone() -> None:
    ends = {True: set(), False: set()}
    for released in (True, False):
        for seed in range(40):
            _, _, _, inside = shifted(released, seed)
            ends[released].add(int(inside[2].nonzero()[-1]))
    assert max(ends[True]) == 4, "the release never puts the moment last"
    assert max(ends[False]) == 5


def test_drawn_clips() -> None:
    allowed = torch.tensor([[True, False, True, True], [False, True, False, False], [False] * 4])
    seen = set()
    for seed in range(30):
        drawn = draw_clips(allowed, torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)))
        assert drawn[1].tolist() == [1, 1]
        assert drawn[2].tolist() == [0, 0]
        seen.add(tuple(sorted(drawn[0].tolist())))
    assert seen == {(0, 2), (0, 3), (2, 3)}
    assert np.all(np.diff(endpoints(MASK)[0].numpy(), axis=1) > 0)
