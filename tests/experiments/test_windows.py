"""The study of windows: what is kept of a training, what is concluded from it, and the page that shows it."""

import json
import shutil
from pathlib import Path

import pytest

from tools.pages import docs
from tools.pages import windows as page
from vmlkit.config import to_dict, with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments import windows
from vmlkit.experiments.experiment import experiment_of_settings, run_experiment
from vmlkit.methods import STUDIES, preset
from vmlkit.training.study import Row, Study

ROOT = Path(__file__).parents[2]
TINY = {"data.train_videos": 6, "data.validation_videos": 6, "data.test_videos": 3, "train.epochs": 3}


def row(own: list[float], gap: list[float], r2: list[float]) -> dict:
    """A row of two whens; ``own`` and ``gap`` are at the turn, their negatives at the end."""
    seeds = len(r2)

    def when(sign: int) -> dict:
        return {
            "negative own IoU": [0.1 + sign * o for o in own],
            "negative others' IoU": [0.1] * seeds,
            "negative NLL gap": [1 + sign * g for g in gap],
            "positive center R2": r2,
        }

    return {"turn": when(1), "end": when(-1)}


def test_the_four_answers_are_computed() -> None:
    good = windows.reached(row([-0.05, -0.06, -0.04], [0.1, 0.12, 0.11], [0.5, 0.5, 0.51]))
    assert set(good.values()) == {"holds"}
    void = windows.reached(row([0.05, -0.06, 0.01], [0.1, -0.12, 0.01], [0.1, 0.3, 0.4]))
    assert set(void.values()) == {"open"}
    wrong = windows.reached(row([0.05, 0.06, 0.05], [-0.1, -0.11, -0.1], [0.1, 0.1, 0.11]))
    assert set(wrong.values()) == {"contradicted"}


def test_an_interval_is_students() -> None:
    mean, low, high = windows.interval([1.0, 2.0, 3.0, 4.0])
    assert (mean, high - mean) == (2.5, pytest.approx(3.182446 * 1.2909944 / 2, rel=1e-6))
    assert mean - low == pytest.approx(high - mean)
    assert str(windows.interval([1.0])[1]) == "nan"


def test_a_study_keeps_the_turn_and_the_end_of_every_seed(tmp_path: Path, monkeypatch) -> None:
    rows = tuple(Row(name=name, experiment=with_overrides(preset(name), TINY)) for name in ("lnp-cpl", "cpl"))
    study = Study(name="tiny", title="T", rows=rows, claims=(), seeds=(0, 1))
    monkeypatch.setitem(windows.STUDIES, "tiny", lambda: study)
    found = windows.measure_study("tiny", tmp_path)
    learned, rule = found["rows"]["lnp-cpl"], found["rows"]["cpl"]
    assert [set(learned) & {"turn", "end"}, set(rule) & {"turn", "end"}] == [{"turn", "end"}, {"end"}]
    assert learned["turn"]["epoch"] == [1, 1]  # c = (e / 3)^.5 - .8 is below 0 at e = 1 alone
    assert len(learned["end"]["negative NLL gap"]) == 2
    assert "negative NLL gap" not in rule["end"]
    assert "curves" not in rule
    assert learned["epochs"] == [1, 2, 3]
    assert [c < 0 for c in learned["c"]] == [True, False, False]
    assert [seed[-1] for seed in learned["curves"]["negative NLL gap"]] == learned["end"]["negative NLL gap"]
    assert experiment_of_settings(learned["settings"]) == rows[0].experiment
    run = next((tmp_path / "windows").glob("*-1"))
    before = (run / "metrics.json").stat().st_mtime_ns
    assert windows.measure_study("tiny", tmp_path) == found
    assert (run / "metrics.json").stat().st_mtime_ns == before  # nothing is trained twice
    shutil.rmtree(run)
    few = windows.measure_study("tiny", tmp_path, train_missing=False)["rows"]
    assert sorted(row["seeds"] for row in few.values()) == [[0], [0, 1]]
    with pytest.raises(ConfigError, match="'lnp-cpl' of 'tiny' has no finished run"):
        windows.measure_study("tiny", tmp_path / "empty", train_missing=False)


def test_levers_are_measured(tmp_path: Path, monkeypatch) -> None:
    few = {"CPL": windows.Lever(), "taught": windows.Lever(levers=windows.Levers(taught_epochs=1))}
    base = with_overrides(preset("cpl"), TINY)
    study = Study(name="windows-cause", title="T", rows=(Row(name="CPL", experiment=base),), claims=())
    monkeypatch.setattr(windows, "LEVERS", few)
    monkeypatch.setitem(windows.STUDIES, "windows-cause", lambda: study)
    found = windows.measure_levers(tmp_path, (0,))["rows"]
    assert list(found) == ["CPL", "taught"]
    assert found["CPL"]["levers"] != found["taught"]["levers"]
    for one in found.values():
        assert set(one["known"]) == {"token", "clips"}
        assert [len(one["gradient"][name][0]) for name in ("own", "common", "open", "towards")] == [3] * 4
    assert found["CPL"]["end"] != found["taught"]["end"]
    assert "release" not in found["CPL"]
    assert len(found["taught"]["release"]) == 1  # one epoch of three is taught


def test_the_command_says_what_it_takes(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(windows, "measure_study", lambda name, runs, train_missing: {"rows": {name: {}}})
    windows.main(["windows-remedy", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "windows" / "windows-remedy.json").read_text())
    assert written["rows"] == {"windows-remedy": {}}
    assert written["command"] == "python -m vmlkit.experiments.windows windows-remedy"
    assert written["versions"]
    with pytest.raises(SystemExit):
        windows.main(["x"])
    assert "unknown name 'x'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        windows.main(["--help"])
    assert "example: python -m" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"run `python -m vmlkit\.experiments\.windows`"):
        windows.load("none", tmp_path)


@pytest.mark.parametrize("name", windows.STUDIES_HERE)
def test_committed_results_are_of_the_studies_as_they_are(name: str) -> None:
    record, study = windows.load(name, ROOT / "results"), STUDIES[name]()
    assert set(record["rows"]) == {one.name for one in study.rows}
    for one in study.rows:
        found = record["rows"][one.name]
        assert to_dict(experiment_of_settings(found["settings"])) == to_dict(one.experiment)
        assert {len(values) for values in found["end"].values()} == {len(found["seeds"])}
    assert (ROOT / "results" / "windows" / f"{name}.json").stat().st_size < 60_000


def test_ten_seeds_say_that_negatives_become_easy_and_then_hard() -> None:
    """What was asked: per sentence, with intervals that exclude 0, and a third of the true center's variance."""
    record = windows.load("windows-remedy", ROOT / "results")
    assert record["rows"]["windows that follow"]["seeds"] == list(range(10))
    assert set(windows.reached(record["rows"]["windows that follow"]).values()) == {"holds"}
    assert windows.reached(record["rows"]["the paper's design"])["R2 of all positives, end"] == "contradicted"
    void = load_control("judged by another sentence")
    assert "holds" not in {void["own - others, turn"], void["own - others, end"]}


def load_control(name: str) -> dict[str, str]:
    return windows.reached(windows.load("windows-controls", ROOT / "results")["rows"][name])


def test_the_page_shows_the_results(tmp_path: Path) -> None:
    text = (ROOT / page.PAGE).read_text(encoding="utf-8")
    assert docs.windows_measured(text) == text, "run `python -m tools.pages docs`"
    page.draw(tmp_path, ROOT / "results")
    for name in page.FIGURES:
        assert (tmp_path / name).stat().st_size > 10_000
        assert (ROOT / "docs" / name).is_file()
        assert f"]({name})" in text


def test_sentences_follow_the_numbers(monkeypatch) -> None:
    records = {name: windows.load(name, ROOT / "results") for name in ("windows-remedy", "windows-controls", "levers")}
    good = page.verdicts(ROOT / "results")
    rows = records["windows-remedy"]["rows"]
    rows["windows that follow"], rows["the paper's design"] = rows["the paper's design"], rows["windows that follow"]
    monkeypatch.setattr(page, "load", lambda name, results: records[name])
    assert "not so:" in page.verdicts(ROOT / "results")
    assert "windows move" in page.answer(ROOT / "results")
    assert "not so:" not in good
    plain = records["levers"]["rows"]["CPL"]["gradient"]
    plain["own"], plain["common"] = plain["common"], plain["own"]
    assert "A sentence's own part is the larger one at 0 of" in page.gradient(ROOT / "results")


@pytest.mark.slow
def test_a_training_shows_negatives_easy_and_then_hard(tmp_path: Path) -> None:
    """The first seed of the study: a minute and a half on an idle core."""
    (row,) = [r for r in STUDIES["windows-remedy"]().rows if r.name == "windows that follow"]
    cell = windows.cell_of(run_experiment(row.experiment, tmp_path / "run", progress=False))
    apart = {when: found["negative own IoU"] - found["negative others' IoU"] for when, found in cell.items()}
    assert apart["turn"] < 0 < apart["end"]
    assert cell["end"]["negative NLL gap"] < cell["turn"]["negative NLL gap"]
    assert cell["end"]["positive center R2"] > 0.2
