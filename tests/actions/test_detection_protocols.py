"""One set of detections under three protocols, and three ways to choose an evaluation of a run."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detection import protocol_table, under_every_protocol
from vmlkit.actions.detections import Detections
from vmlkit.actions.model_selection import read_training_curve, selections
from vmlkit.actions.segments import ActionSegments
from vmlkit.errors import DataError
from vmlkit.text.vocabulary import Vocabulary


def dataset() -> ActionDataset:
    """Two videos of 100 snippets of 0.64 s; the second is not in gt.json, the first has an ambiguous region."""
    truth = ActionSegments.build([("a", 6.3, 12.7, "run"), ("b", 6.4, 12.8, "run")], ["a", "b"], ["run"])
    return ActionDataset(
        name="two",
        rows=torch.zeros(200, 2),
        offsets=torch.tensor([0, 100, 200]),
        labels=torch.ones(2, 1),
        truth=truth,
        durations=np.full(2, 64.0),
        snippet_s=np.full(2, 0.64),
        video_ids=("a", "b"),
        classes=("run",),
        class_words=(("run",),),
        class_vectors=torch.zeros(1, 1, 2),
        sentences=("run", "run"),
        word_ids=torch.ones(2, 1, dtype=torch.long),
        word_mask=torch.ones(2, 1, dtype=torch.bool),
        word_weights=torch.ones(2, 1),
        vectors=torch.zeros(2, 2),
        vocabulary=Vocabulary(("run",)),
        clips=64,
        ambiguous_s=(((32.0, 38.4),), ()),
        unlisted=frozenset({"b"}),
        fingerprint="two",
    )


def test_each_protocol_counts_what_is_its_own() -> None:
    # a false detection in the ambiguous region comes first, then the two true ones
    rows = [[52, 55, 0, 0.9], [10, 20, 0, 0.8]]
    found = Detections.concatenate(
        [Detections.from_rows(rows, "snippets"), Detections.from_rows([[10, 20, 0, 0.7]], "snippets", video=1)]
    )
    results = under_every_protocol(found, dataset())
    assert {name: r.detections for name, r in results.items()} == {"p3": 2, "seconds": 3, "activitynet": 3}
    assert {name: int(r.instances.sum()) for name, r in results.items()} == {"p3": 2, "seconds": 1, "activitynet": 1}
    # rounded to snippets the answer is exact; in seconds it is off by a tenth, and one mistake comes before it
    assert results["p3"].mean_ap.tolist() == [1.0] * 9
    assert results["seconds"].mean_ap.tolist() == [0.5] * 9
    assert results["activitynet"].mean_ap[-1] == 0.5
    table = protocol_table(results)
    assert table.loc["p3", "0.9"] == 100
    assert np.isnan(table.loc["p3", "0.95"])
    assert table.loc["activitynet", "0.95"] == 50
    assert table["instances"].tolist() == [2, 1, 1]


def test_detections_in_seconds_are_refused() -> None:
    with pytest.raises(DataError, match="are in seconds"):
        under_every_protocol(Detections.from_rows([[0, 1, 0, 1]], "seconds"), dataset())


def test_choosing_on_the_test_set_is_never_worse_than_the_others() -> None:
    values = np.random.default_rng(0).normal(30, 1, 140)
    chosen = selections(values)
    assert chosen.best == values.max() >= chosen.last
    assert values[chosen.best_at] == chosen.best
    assert chosen.tail_mean == pytest.approx(values[-20:].mean())
    assert chosen.best - chosen.tail_mean > 1
    short = selections(values[:3])
    assert (short.window, short.evaluations) == (3, 3)
    assert selections(values[:1]).tail_deviation == 0
    for bad in (np.zeros(0), np.array([np.nan])):
        with pytest.raises(DataError, match="no evaluation"):
            selections(bad)


def test_a_training_curve_is_read_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("iteration,map_0.1\n50,1\n")
    with pytest.raises(DataError, match=r"lacks the column 'map_0\.2'"):
        read_training_curve(path)
    with pytest.raises(DataError, match="no such file"):
        read_training_curve(tmp_path / "none.csv")


def test_the_authors_own_curve() -> None:
    path = Path(os.environ.get("VMLKIT_DATA", "")) / "thumos14" / "p3_author_training_curve.csv"
    if not path.is_file():
        pytest.skip("needs thumos14/p3_author_training_curve.csv below $VMLKIT_DATA")
    curve = read_training_curve(path)
    average = curve["mAP@0.3:0.7"]
    chosen = selections(average.to_numpy())
    assert chosen.evaluations == 140
    assert (curve.index[chosen.best_at], round(chosen.best, 2)) == (5350, 37.23)
    assert round(chosen.last, 2) == 34.92
    assert round(float(average[5000]), 2) == 35.53
    assert (round(chosen.tail_mean, 1), round(chosen.tail_deviation, 1)) == (35.3, 0.5)
