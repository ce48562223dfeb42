"""Negative queries: the two rules against a naive loop, the fallback, coverage, and the real files."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vmlkit.data.annotations.detr_jsonl import read_queries
from vmlkit.data.toyworld import ToyConfig, toy_splits
from vmlkit.detr import negative_queries
from vmlkit.detr.negative_queries import find_negatives
from vmlkit.errors import ConfigError, DataError
from vmlkit.text.similarity import TfidfSimilarity

point = st.integers(0, 8).map(float)
window = st.tuples(point, point).map(sorted).map(tuple).filter(lambda w: w[1] > w[0])
queries = st.lists(
    st.tuples(st.sampled_from("vwxyz"), st.lists(window, min_size=1, max_size=3)), min_size=1, max_size=14
)


class Table:
    """Similarities given as a table."""

    name = "table"

    def __init__(self, values):
        self.values = values

    def pairs(self, first, second):
        return self.values[first, second]


def naive_iou(a, b):
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def naive(rows, similar, max_iou, max_similarity):
    out = []
    for i, (video, windows) in enumerate(rows):
        out.append([])
        for j, (other, others) in enumerate(rows):
            if i == j or video != other or similar[i, j] >= max_similarity:
                continue
            if max(naive_iou(a, b) for a in windows for b in others) < max_iou:
                out[-1].append(j)
    return out


@settings(max_examples=100, deadline=None)
@given(queries, st.integers(0, 100), st.sampled_from([1, 3, 2_000_000]))
def test_candidates_are_those_of_the_naive_loop(rows, seed, block):
    similar = np.random.default_rng(seed).choice([0.2, 0.8, 0.9], (len(rows), len(rows)))
    similar = np.minimum(similar, similar.T)
    before, negative_queries._BLOCK = negative_queries._BLOCK, block
    try:
        found = find_negatives([v for v, _ in rows], [w for _, w in rows], Table(similar), 0.5, 0.8)
    finally:
        negative_queries._BLOCK = before
    assert [found.of(i).tolist() for i in range(len(rows))] == naive(rows, similar, 0.5, 0.8)
    sizes = [sum(v == video for v, _ in rows) for video in "vwxyz"]
    assert found.pairs == sum(n * (n - 1) for n in sizes)
    assert found.pairs - sum(found.left_out.values()) == len(found.candidates)


def test_both_rules_are_strict():
    # IoU of (0, 4) and (2, 4) is exactly 0.5
    assert find_negatives(["v", "v"], [[(0, 4)], [(2, 4)]]).counts.tolist() == [0, 0]
    assert find_negatives(["v", "v"], [[(0, 4)], [(2, 4)]], max_iou=0.51).counts.tolist() == [1, 1]
    apart = ["v", "v"], [[(0, 4)], [(5, 9)]], Table(np.full((2, 2), 0.8))
    assert find_negatives(*apart, max_similarity=0.8).left_out == {"IoU": 0, "similarity": 2}
    assert find_negatives(*apart, max_similarity=0.81).counts.tolist() == [1, 1]


def test_several_windows_must_all_be_apart():
    assert find_negatives(["v", "v"], [[(0, 4), (10, 14)], [(20, 24), (10, 14)]]).coverage == 0.0


def test_samples_are_uniform_over_the_candidates_and_otherwise_over_other_videos():
    found = find_negatives(list("avbva"), [[(0, 4)], [(0, 4)], [(0, 4)], [(5, 9)], [(0, 4)]])
    draws = 6000
    index = torch.arange(5).repeat(draws)
    drawn = found.sample(index, torch.Generator().manual_seed(0)).reshape(draws, 5)
    # queries 1 and 3 share a video and are apart; 0 and 4 share one and overlap; 2 is alone
    assert set(drawn[:, 1].tolist()) == {3}
    assert set(drawn[:, 3].tolist()) == {1}
    for query, others in ((0, [1, 2, 3]), (4, [1, 2, 3]), (2, [0, 1, 3, 4])):
        counts = np.bincount(drawn[:, query], minlength=5)
        assert set(np.flatnonzero(counts)) == set(others)
        np.testing.assert_allclose(counts[others] / draws, 1 / len(others), atol=0.03)


def test_without_the_rules_every_other_query_of_the_video_is_a_candidate():
    found = find_negatives(list("avbva"), [[(0, 4)], [(0, 4)], [(0, 4)], [(5, 9)], [(0, 4)]])
    assert [found.every.of(i).tolist() for i in range(5)] == [[4], [3], [], [1], [0]]
    assert [found.of(i).tolist() for i in range(5)] == [[], [3], [], [1], []]
    many = find_negatives(list("vvwvw"), [[(0, 4)]] * 5).every
    assert [many.of(i).tolist() for i in range(5)] == [[1, 3], [0, 3], [4], [0, 1], [2]]


def test_samples_follow_the_generator():
    found = find_negatives(["v"] * 30, [[(i, i + 1)] for i in range(30)])
    index = torch.arange(30)
    first, again, other = (found.sample(index, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first != index).all()


def test_without_another_video_a_query_is_its_own_negative():
    found = find_negatives(["v", "v"], [[(0, 4)], [(0, 4)]])
    assert found.sample(torch.tensor([1, 0, 1]), torch.Generator()).tolist() == [1, 0, 1]


def test_the_report_states_rule_denominators_and_coverage():
    found = find_negatives(list("vvvw"), [[(0, 4)], [(1, 4)], [(5, 9)], [(0, 4)]], Table(np.zeros((4, 4))))
    assert found.report.splitlines() == [
        "rule: same video, IoU < 0.5, sentence similarity < 0.8 (table)",
        "pairs of one video: 6; left out: 2 by IoU, 0 by similarity; kept: 4",
        "queries with any candidate: 3 of 4 (75.0 %), 1.3 each",
        "the other 1 draw a query of another video",
    ]


@pytest.mark.parametrize(("videos", "windows"), [([], []), (["v"], [[]]), (["v", "w"], [[(0, 4)]])])
def test_queries_without_windows_are_refused(videos, windows):
    with pytest.raises(DataError, match="no window"):
        find_negatives(videos, windows)


@pytest.mark.parametrize("limits", [{"max_iou": 0.0}, {"max_similarity": 1.5}])
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(ConfigError, match=next(iter(limits))):
        find_negatives(["v"], [[(0, 4)]], **limits)


def test_the_toy_world_has_candidates(tmp_path):
    dataset = toy_splits(
        ToyConfig(train_videos=12, validation_videos=1, test_videos=1, clips=8), cache_dir=tmp_path, progress=False
    )["train"]
    windows = [[tuple(span)] for span in dataset.spans_s.tolist()]
    found = find_negatives(dataset.video_ids, windows, TfidfSimilarity(dataset.sentences))
    assert len(found) == len(dataset)
    drawn = found.sample(torch.arange(len(dataset)), torch.Generator().manual_seed(0)).tolist()
    for i, j in enumerate(drawn):
        same_video = dataset.video_ids[i] == dataset.video_ids[j]
        assert same_video == (found.counts[i] > 0)
        assert not same_video or naive_iou(dataset.spans_s[i], dataset.spans_s[j]) < 0.5


def data_file(name):
    path = Path(os.environ.get("VMLKIT_DATA", "")) / name
    if not path.is_file():
        pytest.skip(f"needs the annotations {name}: set VMLKIT_DATA to the folder that holds {name.split('/')[0]}")
    return path


def test_the_temporal_rule_gives_the_derived_lists_of_charades_cd():
    derived = json.loads(
        gzip.decompress(data_file("charades_cd/train_neg_query_ids_temporal_only.json.gz").read_bytes())
    )
    queries = read_queries(data_file("charades_cd/train.jsonl.gz")).queries
    found = find_negatives([q.vid for q in queries], [q.windows_s for q in queries])
    assert {str(qid): ids for qid, ids in found.ids([q.qid for q in queries]).items()} == derived
    assert round(found.coverage, 3) == 0.641


@pytest.mark.parametrize(
    ("name", "coverage"),
    [("qvhighlights/highlight_train_release.jsonl.gz", 0.021), ("tacos/tacos_train_release.jsonl.gz", 1.0)],
)
def test_coverage_of_other_data_sets(name, coverage):
    queries = read_queries(data_file(name)).queries
    found = find_negatives([q.vid for q in queries], [q.windows_s for q in queries])
    assert round(found.coverage, 3) == coverage
