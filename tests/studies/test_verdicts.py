"""Four words and one for void controls: how often they are wrong, and what decides them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.studies.measured import study
from tests.studies.simulated import one, rows
from vmlkit.errors import ConfigError
from vmlkit.studies.results import load_results
from vmlkit.studies.statistics import Sample, scalar_sample
from vmlkit.studies.verdicts import Verdict, count, judge, rising_rows, still_rising, table_of, verdicts_of
from vmlkit.training.study import Claim


def claim(better: str, worse: str = "plain", **more) -> Claim:
    given = {"text": f"{better} beats {worse}", "source": "", "better": better, "worse": worse, "metric": "R@1,mIoU"}
    return Claim(**given | more)


def words(samples: dict[str, Sample], *claims: Claim, rising: tuple[str, ...] = ()) -> list[Verdict]:
    return judge(claims, lambda row, _: samples[row], rising)


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_nothing_holds_and_nothing_is_contradicted_where_nothing_is_different(seeds: int) -> None:
    """Four claims about nothing in each study: a study with any false word is counted once."""
    studies = 400
    samples = dict(zip("abcd", rows([0.0] * 4, "toy world", seeds=seeds, studies=studies), strict=True))
    held = contradicted = 0
    for i in range(studies):
        of_study = {name: one(sample, i) for name, sample in samples.items()}
        found = {v.word for v in words(of_study, *(claim(x, "d") for x in "abc"))}
        held += "holds" in found
        contradicted += "contradicted" in found
    assert held / studies <= 0.05
    assert contradicted / studies <= 0.05


@pytest.mark.parametrize(("effect", "word"), [(0.08, "holds"), (-0.08, "contradicted")])
def test_a_large_difference_is_seen(effect: float, word: str) -> None:
    samples = rows([effect, 0.0], "toy world", seeds=10, studies=200)
    found = [words({"a": one(samples[0], i), "plain": one(samples[1], i)}, claim("a"))[0].word for i in range(200)]
    assert found.count(word) > 180
    assert set(found) <= {word, "open"}


def test_a_sign_decides_nothing() -> None:
    """The same mean, below or above zero, is open with a wide interval and no difference with a narrow one."""
    for sign in (1, -1):
        values = 0.5 + sign * 0.004 + np.array([-0.1, 0.1, -0.05, 0.05, 0.0])
        wide = {"a": scalar_sample(values.tolist()), "plain": scalar_sample([0.5] * 5)}
        assert words(wide, claim("a"))[0].word == "open"
        narrow = {"a": scalar_sample((0.5 + sign * 0.004 + 0.06 * (values - values.mean())).tolist())}
        assert words(narrow | {"plain": wide["plain"]}, claim("a"))[0].word == "no difference"


def test_a_small_difference_that_is_sure_holds_and_says_how_small() -> None:
    values = {"a": scalar_sample([0.504, 0.5041, 0.5039]), "plain": scalar_sample([0.5, 0.5001, 0.4999])}
    (found,) = words(values, claim("a"))
    assert found.word == "holds"
    assert "less than 1" in found.said
    assert "not counted" in found.said


def test_every_claim_of_a_class_makes_the_others_harder() -> None:
    samples = {"a": scalar_sample([0.53, 0.56, 0.54, 0.57]), "plain": scalar_sample([0.50, 0.52, 0.49, 0.50])}
    (alone,) = words(samples, claim("a"))
    crowd = [claim("a"), *(claim("plain") for _ in range(9))]
    among = words(samples, *crowd)[0]
    assert alone.word == "holds"
    assert among.p == pytest.approx(10 * alone.p)
    assert among.word == "open"
    assert among.detectable > alone.detectable
    apart = words(samples, crowd[0], *(claim("plain", kind="prior") for _ in range(9)))[0]
    assert apart.p == alone.p


def test_a_control_is_void_where_its_premise_does_not_hold() -> None:
    samples = {
        "a": scalar_sample([0.50, 0.52, 0.48]),
        "b": scalar_sample([0.80, 0.81, 0.79]),
        "plain": scalar_sample([0.50, 0.51, 0.49]),
    }
    control = claim("b", "a", kind="control", premise="a beats plain")
    assert [v.word for v in words(samples, claim("a"), control)] == ["open", "void"]
    premised = claim("b", "a", kind="control", premise="b beats plain")
    assert [v.word for v in words(samples, claim("b"), premised)] == ["holds", "holds"]
    with pytest.raises(ConfigError, match="no claim of the study"):
        words(samples, claim("b", "a", kind="control", premise="z beats plain"))


def test_classes_are_counted_apart() -> None:
    samples = {"a": scalar_sample([0.80, 0.81, 0.79]), "plain": scalar_sample([0.50, 0.51, 0.49])}
    table = count(words(samples, claim("a"), claim("a", kind="prior"), claim("plain", "a", kind="paper")))
    assert table.loc["ours", "holds"] == table.loc["prior", "holds"] == table.loc["paper", "contradicted"] == 1
    assert table.to_numpy().sum() == 3
    assert "control" not in table.index


def test_a_row_that_still_rises_marks_the_verdicts_that_rest_on_it() -> None:
    flat = [(2, 0.30), (4, 0.40), (8, 0.45), (10, 0.452)]
    rises = [(2, 0.30), (4, 0.40), (8, 0.45), (10, 0.46)]
    assert not still_rising([flat, flat])
    assert still_rising([rises, rises])
    assert not still_rising([flat, [*flat[:-1], (10, 0.456)]]), "the mean curve decides, not the best seed"
    assert not still_rising([])
    assert not still_rising([[(1, 0.2)]])
    samples = {"a": scalar_sample([0.80, 0.81, 0.79]), "plain": scalar_sample([0.50, 0.51, 0.49])}
    (found,) = words(samples, claim("a"), rising=("plain",))
    assert found.rising == ("plain",)
    assert "plain still rising" in table_of([found])["verdict"].iloc[0]


def test_an_open_verdict_says_what_the_study_could_have_found() -> None:
    samples = {"a": scalar_sample([0.50, 0.54, 0.52, 0.50]), "plain": scalar_sample([0.50, 0.52, 0.49, 0.50])}
    (found,) = words(samples, claim("a"))
    assert found.word == "open"
    assert f"could find {100 * found.detectable:.1f}" in found.said
    assert found.detectable > found.difference


def test_a_claim_is_void_where_what_its_premise_rests_on_does_not_hold() -> None:
    high, low = scalar_sample([0.80, 0.81, 0.79]), scalar_sample([0.50, 0.51, 0.49])
    samples = {"a": high, "b": high, "plain": low, "worse": low, "alike": low}
    control = claim("alike", "plain", kind="control", text="positive control")
    gain = claim("a", "plain", kind="paper", text="gain", premise="positive control")
    needs = claim("b", "worse", kind="control", text="the gain needs it", premise="gain")
    assert [v.word for v in words(samples, control, gain, needs)] == ["open", "void", "void"]
    works = dataclasses.replace(control, better="b")
    assert [v.word for v in words(samples, works, gain, needs)] == ["holds", "holds", "holds"]


def test_differences_of_ranks_are_shown_in_ranks() -> None:
    samples = {"a": scalar_sample([8.5, 8.7, 8.6]), "plain": scalar_sample([7.0, 7.2, 7.1])}
    (found,) = words(samples, dataclasses.replace(claim("a"), metric="t2v MnR", delta=0.5))
    assert found.interval.startswith("+1.5 (")
    assert found.unit == "ranks"
    assert table_of([found]).iloc[0]["difference"].endswith(") ranks")
    assert dataclasses.replace(found, claim=claim("a")).interval.startswith("+150.0 (")


CLAIMS = [
    {"better": "good", "worse": "plain", "class": "paper"},
    {"better": "alike", "worse": "plain"},
    {"better": "good", "worse": "whole video", "class": "prior"},
    {"better": "bad", "worse": "plain", "class": "paper", "metric": "R@1,IoU=0.5"},
    {"better": "bad", "worse": "plain", "class": "control", "premise": "alike beats plain"},
    {"better": "good", "worse": "plain", "class": "ours", "metric": "attention_fnr", "text": "rates"},
]


def test_the_verdicts_of_a_measured_study() -> None:
    """From outcomes, or from one number a seed where there are none; a prior has no seeds, and its error is counted."""
    measured = study(
        {"good": 0.1, "alike": 0.0, "bad": -0.1, "plain": 0.0}, CLAIMS, rising=("bad",), primary=("good beats plain",)
    )
    found = verdicts_of(measured)
    assert [v.word for v in found] == ["holds", "open", "holds", "contradicted", "void", "open"]
    assert [v.primary for v in found] == [True, False, False, False, False, False]
    assert [v.videos_counted for v in found] == [True] * 5 + [False]
    assert found[0].difference == pytest.approx(0.1, abs=0.03)
    assert found[2].difference == pytest.approx(0.2, abs=0.04)
    assert found[3].rising == ("bad",)
    assert rising_rows(measured) == ("bad",)
    assert count(found).loc["paper"].to_dict() == {
        "holds": 1, "contradicted": 1, "no difference": 0, "open": 0, "void": 0}  # fmt: skip


def test_the_verdicts_of_files_that_a_study_wrote(once: Path) -> None:
    """Two seeds of two epochs on three videos settle nothing; the claim about a prior has no seeds on one side."""
    found = verdicts_of(load_results("tiny", once / "results"))
    assert [(v.claim.kind, v.word, v.primary) for v in found] == [("ours", "open", True), ("prior", "open", False)]
    assert all(v.low < v.difference < v.high for v in found)
    assert all(v.videos_counted for v in found)
