"""Resident action data sets: what a batch holds, what it must not hold, and how videos are chosen."""

import dataclasses

import numpy as np
import pytest
import torch

from vmlkit.actions.dataset import ActionBatch, ActionDataset, paired_indices
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError
from vmlkit.text.vocabulary import Vocabulary

LENGTHS = (3, 5, 8)


def dataset() -> ActionDataset:
    names, classes = ("a", "b", "c"), ("run", "jump")
    truth = ActionSegments.build(
        [("a", 0.0, 1.0, "run"), ("c", 1.0, 2.0, "jump"), ("c", 0.5, 2.0, "run")], names, classes
    )
    return ActionDataset(
        name="tiny",
        rows=torch.arange(sum(LENGTHS), dtype=torch.float32)[:, None].repeat(1, 4),
        offsets=torch.tensor([0, 3, 8, 16]),
        labels=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        truth=truth,
        durations=np.array([1.5, 2.5, 4.0]),
        snippet_s=np.full(3, 0.5),
        video_ids=names,
        classes=classes,
        class_words=(("run",), ("jump",)),
        class_vectors=torch.zeros(2, 1, 3),
        sentences=("run", "jump", "run jump"),
        word_ids=torch.tensor([[1, 0], [2, 0], [1, 2]]),
        word_mask=torch.tensor([[True, False], [True, False], [True, True]]),
        word_weights=torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]),
        vectors=torch.arange(9, dtype=torch.float32).reshape(3, 3),
        vocabulary=Vocabulary(("run", "jump")),
        clips=64,
        ambiguous_s=((), ((0.0, 1.0),), ()),
        unlisted=frozenset({"c"}),
        fingerprint="tiny-1",
    )


def test_whole_videos_are_padded_and_masked() -> None:
    batch = dataset().batch([2, 0])
    assert batch.frames.shape == (2, 8, 4)
    assert batch.frame_mask.sum(1).tolist() == [8, 3]
    assert batch.frames[0, :, 0].tolist() == list(range(8, 16))
    assert batch.frames[1, 3:].abs().sum() == 0
    assert batch.snippet_s.tolist() == [0.5, 0.5]
    assert batch.video_ids == ("c", "a")
    assert batch.words.shape == (2, 2, 3)
    assert batch.video_index.tolist() == [2, 0]
    assert len(batch) == 2


def test_resampled_videos_have_one_length_and_their_own_clock() -> None:
    data = dataset()
    batch = data.batch([0, 2], clips=4, sampling="uniform")
    assert batch.frames[:, :, 0].tolist() == [[0, 0, 1, 2], [8, 10, 12, 14]]
    assert batch.frame_mask.all()
    # three snippets of half a second became four, eight became four
    assert batch.snippet_s.tolist() == [0.375, 1.0]
    first = data.batch([1, 2], clips=4, sampling="random", rng=np.random.default_rng(3))
    again = data.batch([1, 2], clips=4, sampling="random", rng=np.random.default_rng(3))
    torch.testing.assert_close(first.frames, again.frames)
    assert ((first.frames[0, :, 0] >= 3) & (first.frames[0, :, 0] < 8)).all()


def test_a_batch_holds_no_time_of_an_instance() -> None:
    names = {field.name for field in dataclasses.fields(ActionBatch)}
    assert not names & {"spans", "spans_s", "truth", "segments"}
    # the labels are those of the data set, whatever its instances say
    assert dataset().batch([1]).labels.tolist() == [[0.0, 1.0]]


def test_sampling_without_what_it_needs_is_an_error() -> None:
    with pytest.raises(DataError, match="a random generator"):
        dataset().batch([0], clips=4, sampling="random")
    with pytest.raises(DataError, match="a number of clips"):
        dataset().batch([0], sampling="uniform")


def test_a_subset_keeps_everything_of_its_videos() -> None:
    part = dataset().subset([2, 1], "part")
    assert part.video_ids == part.query_ids == ("c", "b")
    assert part.lengths.tolist() == [8, 5]
    torch.testing.assert_close(part.batch([0]).frames, dataset().batch([2]).frames)
    assert part.truth.of(0)[0].tolist() == [[1.0, 2.0], [0.5, 2.0]]
    assert len(part.truth.of(1)[0]) == 0
    assert part.ambiguous_s == ((), ((0.0, 1.0),))
    assert part.fingerprint != dataset().fingerprint
    assert part.name == "part"


def test_splitting_by_video_loses_none() -> None:
    rest, held = dataset().split_by_video(0.34, seed=1)
    assert len(rest) == 2
    assert len(held) == 1
    assert {*rest.video_ids, *held.video_ids} == {"a", "b", "c"}


def test_instances_of_unlisted_videos_count_under_p3_only() -> None:
    data = dataset()
    assert len(data.truth_under("p3")) == 3
    assert data.truth_under("seconds").video.tolist() == [0]
    assert data.truth_under("seconds").video_ids == ("a", "b", "c")


def test_moving_a_batch_keeps_its_texts() -> None:
    moved = dataset().batch([0]).to("cpu")
    assert moved.video_ids == ("a",)
    assert moved.frames.device.type == "cpu"


@pytest.mark.parametrize("generator", [np.random.default_rng(0), np.random.RandomState(0)])
def test_pairs_share_a_class(generator) -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])
    seen = set()
    for _ in range(50):
        chosen = paired_indices(labels, generator, pairs=3, others=4)
        assert len(chosen) == 10
        for i, j in chosen[:6].reshape(3, 2):
            assert i != j
            assert (labels[i] * labels[j]).any()
        seen |= set(chosen[6:].tolist())
    assert seen == {0, 1, 2, 3}
    with pytest.raises(DataError, match="no class has two videos"):
        paired_indices(np.eye(3), generator)


def test_segments_refuse_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="not in the list"):
        ActionSegments.build([("a", 0.0, 1.0, "swim")], ["a"], ["run"])
    with pytest.raises(DataError, match="occurs twice"):
        ActionSegments.build([], ["a", "a"], ["run"])
    with pytest.raises(DataError, match="a label index is outside"):
        ActionSegments(
            video=np.zeros(1, int), spans_s=np.zeros((1, 2)), labels=np.array([3]), video_ids=("a",), classes=("run",)
        )
    with pytest.raises(DataError, match="arrays of shapes"):
        ActionSegments(
            video=np.zeros(2, int),
            spans_s=np.zeros((1, 2)),
            labels=np.zeros(1, int),
            video_ids=("a",),
            classes=("run",),
        )


def test_labels_of_segments_as_multi_hot() -> None:
    truth = dataset().truth
    assert truth.multi_hot().tolist() == [[1, 0], [0, 0], [1, 1]]
    assert truth.counts().tolist() == [2, 1]
