"""The sentence on how far windows follow theirs is chosen by the measure, and the measure alone."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.viz.make_run import write_run
from tests.viz.test_snapshots import Altered
from vmlkit.metrics.dependence import sentence_dependence
from vmlkit.runs import RunDirectory
from vmlkit.viz.following import dependence_at, following, negatives_in_words, positives_in_words
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.timeline import draw_epochs
from vmlkit.viz.tracks import draw_tracks


def measures(spread: float, inside: float, explained: float, chosen: float) -> dict[str, float]:
    names = ("positive center spread", "positive center spread in a video", "positive center R2", "chosen center R2")
    return dict(zip(names, (spread, inside, explained, chosen), strict=True))


@pytest.mark.parametrize(
    ("found", "windows", "said"),
    [
        (
            measures(0.03, 0.02, 0.11, 0.34),
            4,
            "Four windows settle: from sentence to sentence their centers vary by 3 % of what the true centers do; "
            "the choice among them explains 34 % of the true centers' variance.",
        ),
        (
            measures(0.1, 0.1, 0.2, 0.2),
            1,
            "One window settles: from sentence to sentence its center varies by 10 % of what the true centers do; it "
            "explains 20 % of their variance.",
        ),
        (
            measures(0.58, 0.6, 0.34, 0.5),
            4,
            "The windows follow their sentence: their centers vary by 58 % of what the true centers do and explain "
            "34 % of their variance (the chosen one 50 %).",
        ),
        (
            measures(0.58, 0.6, 0.2, 0.5),
            4,
            "The windows follow the moment in part: their centers vary by 58 % of what the true centers do and explain "
            "20 % of their variance (the chosen one 50 %).",
        ),
        (
            measures(0.9, 0.9, 0.04, 0.06),
            12,
            "The windows move from sentence to sentence, but not with the moment: their centers vary by 90 % of what "
            "the true centers do and explain 4 % of their variance (the chosen one 6 %).",
        ),
        (
            measures(0.6, 0.05, 0.4, 0.4),
            1,
            "The window varies with the video, not with the sentence: its center varies by 60 % of what the true "
            "centers do and explains 40 % of their variance.",
        ),
    ],
)
def test_each_case_has_its_sentence(found: dict[str, float], windows: int, said: str) -> None:
    assert positives_in_words(found, windows) == said


def test_nothing_has_settled_before_training() -> None:
    assert positives_in_words(measures(0, 0, 0, 0.1), 4, trained=False).startswith("Four windows stand still:")


def test_a_video_with_one_sentence_cannot_tell_sentence_from_video() -> None:
    found = measures(0.58, float("nan"), 0.5, 0.5)
    assert positives_in_words(found, 2).startswith("The windows follow the moment:")


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        (0.09, 0.17, "The negatives keep off their own moment: they overlap it by 0.09"),
        (0.24, 0.05, "The negatives lie nearer to their own moment than to others: they overlap it by 0.24"),
        (0.16, 0.15, "Where the negatives lie has little to do with their own moment: they overlap it by 0.16"),
    ],
)
def test_negatives_are_told_by_overlap_and_gap(own: float, others: float, said: str) -> None:
    found = {"negative own IoU": own, "negative others' IoU": others, "negative NLL gap": 0.2}
    assert negatives_in_words(found).startswith(said)
    assert negatives_in_words(found).endswith("explain the sentence worse than the answer by 0.20 nats per word.")
    assert "better than the answer by 0.10" in negatives_in_words({"negative NLL gap": -0.1})
    assert negatives_in_words({}) == positives_in_words({}, 4) == ""


def test_the_history_is_read_where_it_has_the_measure(run_path: Path) -> None:
    view = RunView(run_path)
    columns = {f"dependence/{name}": value for name, value in measures(0.6, 0.6, 0.5, 0.6).items()}
    told = RunView(Altered(run_path, epochs=view.epochs.assign(**columns)))
    assert dependence_at(told, 12) == measures(0.6, 0.6, 0.5, 0.6)
    assert following(told).startswith("The windows follow their sentence")
    assert following(told).endswith("(Over all validation sentences.)")


def test_an_older_run_is_measured_over_its_recorded_sentences(run_path: Path) -> None:
    view = RunView(run_path)
    rows = view.proposals[(view.proposals["epoch"] == 12) & (view.proposals["role"] == "positive")]
    centers, widths = (rows.pivot(index="query_id", columns="index", values=c).to_numpy() for c in ("center", "width"))
    queries = [view.query(q) for q in sorted(view.queries)]
    truth = np.array([np.divide(q["span_s"], q["duration_s"]) for q in queries])
    wanted = sentence_dependence(centers, widths, truth, [q["video_id"] for q in queries])
    found = dependence_at(view, 12)
    assert found["positive center R2"] == pytest.approx(wanted["center R2"])
    assert found["negative NLL gap"] == pytest.approx(
        np.mean([view.snapshot(q, 12).negative_nll - view.snapshot(q, 12).nll.min() for q in view.queries])
    )
    assert following(view).endswith("(Over the 6 recorded sentences.)")


def test_windows_that_stand_still_are_told_from_windows_that_follow(run_path: Path) -> None:
    view, proposals = RunView(run_path), RunDirectory(run_path).proposals
    moving = proposals["role"] == "positive"
    still = proposals.assign(center=proposals["center"].where(~moving, 0.2 + 0.2 * proposals["index"]))
    assert following(Altered(run_path, proposals=still)).startswith("Four windows settle: from sentence to sentence")
    middle = {q: np.mean(view.query(q)["span_s"]) / view.query(q)["duration_s"] for q in view.queries}
    exact = proposals["query_id"].astype(str).map(middle).astype(np.float32)
    follow = proposals.assign(center=proposals["center"].where(~moving, exact))
    assert "explain 100 % of their variance" in following(Altered(run_path, proposals=follow))


@pytest.mark.parametrize("case", ["several moments", "ragged"])
def test_where_the_measure_does_not_apply_nothing_is_said(run_path: Path, tmp_path: Path, case: str) -> None:
    if case == "several moments":
        assert following(write_run(tmp_path / "run", windows=True)) == ""
        return
    proposals = RunDirectory(run_path).proposals
    few = proposals[~((proposals["query_id"] == "test/3") & (proposals["index"] > 0))]
    assert following(Altered(run_path, proposals=few)) == ""


def test_every_static_picture_says_it(run_path: Path) -> None:
    for figure in (draw_epochs(run_path, "test/0"), draw_tracks(run_path, "test/0")):
        below = " ".join(t.get_text() for t in figure.texts)
        assert following(run_path) in below
        assert (" ".join(below.split())).count("Over the 6 recorded sentences") == 1


def test_words_do_not_hang_on_the_order_of_the_probe(run_path: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    before = following(path)
    probe = json.loads((path / "probe.json").read_text())
    (path / "probe.json").write_text(json.dumps(probe[::-1]))
    table = pd.read_parquet(path / "proposals.parquet").sample(frac=1, random_state=0)
    table.to_parquet(path / "proposals.parquet", index=False)
    assert following(path) == before
