"""A sentence of one's own asked of a run: answers are the model's, and what it does not know is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.finding.conftest import trained
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import load_run
from vmlkit.finding.asking import ask_run
from vmlkit.finding.models import SEED
from vmlkit.training.evaluate import evaluate

pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")


@pytest.fixture(scope="module")
def loaded(cpl_run: Path) -> Any:
    return load_run(cpl_run, progress=False)


def test_a_known_sentence_is_answered_as_the_run_answers_it(cpl_run: Path, loaded: Any) -> None:
    method, splits, _ = loaded
    field = ask_run(cpl_run, loaded=loaded, videos=2)
    assert [video["id"] for video in field.videos] == list(dict.fromkeys(splits.test.video_ids))[:2], "of three"
    row = splits.test.sentences.index(field.videos[1]["sentences"][0])
    field.ask(splits.test.sentences[row], video=1)
    arrays = evaluate(method, splits.test.subset([row]), SEED)[1]
    best = arrays.proposals[0, arrays.top1[0]] * splits.test.durations[row]
    found = field.answer["items"][0]
    np.testing.assert_allclose([found["start"], found["end"]], best, atol=1e-3)
    assert found["score"] == pytest.approx(float(arrays.nll[0].min()), abs=1e-5)
    assert field.answer["truths"] == [splits.test.spans_s[row].tolist()]
    (start, end), (first, last) = best, splits.test.spans_s[row]
    iou = max(min(end, last) - max(start, first), 0) / (max(end, last) - min(start, first))
    assert found["iou"] == pytest.approx(iou, abs=1e-3)


def test_new_words_are_answered_without_a_truth_and_unknown_ones_are_said(cpl_run: Path, loaded: Any) -> None:
    field = ask_run(cpl_run, loaded=loaded, top=2)
    field.wanted = "the red zebra moves"
    assert (field.answer["unknown"], field.answer["truths"], field.answer["said"]) == (["zebra"], [], "")
    assert len(field.answer["items"]) <= 2
    assert field.answer["items"][0]["iou"] is None
    field.wanted = "zebra"
    assert field.answer["items"] == []
    assert "no word of it is known" in field.answer["said"]
    assert "nowhere" in repr(field)


@pytest.mark.parametrize("method", ["moment-detr", "p4-qd-detr"])
def test_detections_have_confidences(method: str, runs: Path) -> None:
    folder = runs / f"asked-{method}"
    field = ask_run(trained(method, folder))
    assert field.answer["detr"]
    assert all(0 < item["score"] <= 1 for item in field.answer["items"])


def test_what_cannot_be_asked_is_refused(cpl_run: Path, loaded: Any) -> None:
    with pytest.raises(ConfigError, match="take test, validation or train"):
        ask_run(cpl_run, split="night", loaded=loaded)
