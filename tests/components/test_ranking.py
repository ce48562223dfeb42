"""Retrieval metrics against loops, and what the conventions do."""

import numpy as np
import pytest

from vmlkit.components.ranking import (
    rank_metrics,
    ranks,
    retrieval_metrics,
    text_to_video_ranks,
    video_to_text_ranks,
)
from vmlkit.errors import DataError


def example(seed: int = 0, videos: int = 7) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    owner = np.repeat(np.arange(videos), draw.integers(1, 5, videos))
    scores = draw.normal(size=(len(owner), videos)).round(1)  # rounding makes ties
    scores[np.arange(len(owner)), owner] += 0.7
    return scores.round(1), owner


@pytest.mark.parametrize("ties", ["optimistic", "pessimistic"])
def test_text_to_video_by_loop(ties: str) -> None:
    scores, owner = example()
    expected = []
    for row, own in zip(scores, owner, strict=True):
        above = [s > row[own] if ties == "optimistic" else s >= row[own] for j, s in enumerate(row) if j != own]
        expected.append(sum(above))
    assert text_to_video_ranks(scores, owner, ties).tolist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("ties", ["optimistic", "pessimistic"])
def test_video_to_text_by_loop_under_both_protocols(ties: str) -> None:
    scores, owner = example(3)
    best_first, every = [], []
    for video in range(scores.shape[1]):
        own = max(scores[owner == video, video])

        def beats(s: float, own: float = own) -> bool:
            return bool(s > own) if ties == "optimistic" else bool(s >= own)

        rivals = [max(scores[owner == o, video]) for o in range(scores.shape[1]) if o != video]
        best_first.append(sum(map(beats, rivals)))
        every.append(sum(beats(s) for s, o in zip(scores[:, video], owner, strict=True) if o != video))
    assert video_to_text_ranks(scores, owner, ties).tolist() == best_first  # type: ignore[arg-type]
    assert video_to_text_ranks(scores, owner, ties, "all_captions").tolist() == every  # type: ignore[arg-type]
    assert rank_metrics(np.array(best_first))["R@1"] == rank_metrics(np.array(every))["R@1"]
    assert np.mean(best_first) < np.mean(every)


def test_a_collapsed_model_is_perfect_or_last() -> None:
    scores, owner = np.zeros((6, 6)), np.arange(6)
    named = retrieval_metrics(scores, owner)
    assert named["t2v R@1"] == named["v2t R@1"] == named["v2t R@1, all captions"] == 100
    assert named["t2v R@1, pessimistic"] == named["v2t R@1, all captions, pessimistic"] == 0
    assert named["t2v MnR, pessimistic"] == 6


def test_with_one_caption_a_video_both_protocols_agree() -> None:
    scores = np.random.default_rng(1).normal(size=(9, 9))
    owner = np.arange(9)
    for ties in ("optimistic", "pessimistic"):
        one, two = (video_to_text_ranks(scores, owner, ties, p) for p in ("best_caption_per_video", "all_captions"))  # type: ignore[arg-type]
        assert one.tolist() == two.tolist() == ranks(scores.T, owner, ties).tolist()  # type: ignore[arg-type]


def test_captions_need_not_be_listed_video_by_video() -> None:
    scores, owner = example(5)
    order = np.random.default_rng(0).permutation(len(owner))
    assert retrieval_metrics(scores, owner) == pytest.approx(retrieval_metrics(scores[order], owner[order]))


def test_what_is_not_a_number_loses() -> None:
    scores = np.array([[np.nan, 0.0], [0.0, 1.0]])
    assert text_to_video_ranks(scores, np.arange(2)).tolist() == [1, 0]
    assert video_to_text_ranks(scores, np.arange(2)).tolist() == [1, 0]


def test_medians_of_an_even_count() -> None:
    found = np.array([0, 1, 4, 9])
    assert rank_metrics(found)["MdR"] == 3.5
    assert rank_metrics(found, median="lower")["MdR"] == 2.0


def test_bad_input(unchecked: None) -> None:
    with pytest.raises(DataError, match="agree"):
        text_to_video_ranks(np.zeros((3, 2)), np.arange(2))
    with pytest.raises(DataError, match="have a caption"):
        video_to_text_ranks(np.zeros((2, 3)), np.array([0, 1]))
    with pytest.raises(DataError, match="no query"):
        rank_metrics(np.array([], dtype=int))
