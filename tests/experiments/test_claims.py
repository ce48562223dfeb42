"""Studies, verdicts, and that every committed result still belongs to a study that exists."""

import re
import shutil
import sys
from pathlib import Path

import pytest

import vmlkit
from tools.pages import readme
from vmlkit.actions.baselines import NAMES
from vmlkit.cli import main
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments import claims
from vmlkit.experiments.claims import load_results, run_claims, run_study, verdict
from vmlkit.experiments.experiment import experiment_of_settings
from vmlkit.methods import STUDIES, preset
from vmlkit.training.study import Claim, Row, Study

ROOT = Path(__file__).parents[2]
COMMITTED = sorted((ROOT / "results").glob("*.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.stem)
def test_committed_results_belong_to_a_study_as_it_is_now(path: Path) -> None:
    results = load_results(path.stem, path.parent)
    study = STUDIES[path.stem]()
    record = results.record
    assert record["command"] == f"vmlkit claims {study.name}"
    assert len(record["seeds"]) >= 3
    assert record["rows"].keys() == {row.name for row in study.rows}
    for row in study.rows:
        # a setting that came later must stand at what the code did before it existed: its default
        measured = experiment_of_settings(record["rows"][row.name]["settings"])
        assert measured == row.experiment, f"{row.name}: settings have changed"
        assert set(record["rows"][row.name]["seeds"]) == {str(s) for s in record["seeds"]}
    assert record["versions"]
    assert record["revision"]
    assert record["hardware"]
    assert len(results.verdicts()) == len(study.claims)
    looked = results.verdicts()
    unexplained = looked[(looked.verdict == "contradicted") & (looked["looked at"] == "")]
    assert unexplained.empty, f"a contradicted claim must say what was looked at: {list(unexplained.claim)}"


def test_pages_show_only_results_that_are_committed() -> None:
    names = {path.stem for path in COMMITTED}
    asked = {
        (page.name, name)
        for page in sorted((ROOT / "notebooks").glob("*.py"))
        for name in re.findall(r"load_results\(\"([\w-]+)\"\)", page.read_text(encoding="utf-8"))
    }
    assert asked, "no notebook shows results"
    missing = sorted((page, name) for page, name in asked if name not in names)
    assert not missing, f"notebooks show results that are not committed: {missing}"


def test_readme_shows_the_committed_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    expected = readme.updated(text, readme.section(ROOT / "results"))
    assert text == expected, "run `python -m tools.pages readme`"


def test_verdicts() -> None:
    assert verdict([0.02, 0.03, 0.02])[0] == "holds"
    assert verdict([-0.02, -0.03, -0.02])[0] == "contradicted"
    assert verdict([0.0, -0.01, 0.0])[0] == "open", "the sign of a mean decides nothing"
    assert verdict([0.05, 0.001, 0.0005])[0] == "open", "above zero with every seed, but not by its interval"
    assert verdict([0.05])[0] == "open", "one seed settles nothing"
    assert verdict([0.0, 0.0])[0] == "open"
    assert verdict([0.01, 0.01])[0] == "holds"


def test_names_of_studies_and_rows_agree() -> None:
    for name, make in STUDIES.items():
        study = make()
        assert study.name == name
        rows = {row.name for row in study.rows}
        assert len(rows) == len(study.rows)
        baselines = {"uniform random", "best constant window", "best constant window (IoU=0.5)", "whole video"}
        baselines |= {*NAMES, "chance"}
        for claim in study.claims:
            assert claim.better in rows
            assert claim.worse in rows | baselines


def tiny_study() -> Study:
    small = {
        "data.train_videos": 8,
        "data.validation_videos": 3,
        "data.test_videos": 3,
        "train.epochs": 1,
        "train.warmup_updates": 2,
    }
    rows = tuple(Row(name=m.upper(), experiment=with_overrides(preset(m, "toy", "ci"), small)) for m in ("cpl", "cnm"))
    compared = (
        Claim(text="CPL beats CNM", source="test", better="CPL", worse="CNM"),
        Claim(text="CPL beats everything", source="test", better="CPL", worse="whole video", looked_at="nothing"),
    )
    return Study(name="tiny", title="Tiny", rows=rows, claims=compared, seeds=(0, 1))


def test_a_study_runs_resumes_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"results": tmp_path / "results", "runs": tmp_path / "runs", "progress": False}
    path = run_study(tiny_study(), **options)
    results = load_results("tiny", tmp_path / "results")
    first = path.read_bytes()
    table = results.table()
    assert {"CPL", "CNM", "whole video"} <= set(table.index)
    assert results.per_seed().shape == (2, 2)
    assert len(results.verdicts()) == 2
    assert "vmlkit claims tiny" in results.provenance
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("metrics.json")}
    assert len(kept) == 4
    run_study(tiny_study(), **options)
    assert path.read_bytes() == first, "nothing was trained again, so nothing changed"
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    with pytest.raises(ConfigError, match="no row or baseline"):
        results.values("nobody", "R@1,mIoU")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claims, "STUDIES", {"tiny": tiny_study})
    assert main(["claims", "tiny", "--seeds", "1", "--out", "fewer"]) == 0
    assert "CPL beats CNM" in capsys.readouterr().out
    assert load_results("tiny", tmp_path / "fewer").record["seeds"] == [0]


def test_missing_results_and_unknown_studies_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="vmlkit claims nothing"):
        load_results("nothing", tmp_path)
    with pytest.raises(ConfigError, match="unknown study"):
        run_claims("nothing")


def test_readme_section_needs_its_markers() -> None:
    with pytest.raises(DataError, match="markers"):
        readme.updated("no markers", "body")


def test_results_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied notebook has no ``results/``: what is there comes first, then the clone, then a wheel."""
    monkeypatch.chdir(tmp_path)
    assert load_results("cpl").record == load_results("cpl", ROOT / "results").record
    prefix, package = tmp_path / "prefix", tmp_path / "site" / "vmlkit" / "__init__.py"
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(vmlkit, "__file__", str(package))
    with pytest.raises(DataError, match="no results of this study"):
        load_results("cpl")
    (prefix / "share" / "vmlkit" / "results").mkdir(parents=True)
    shutil.copy(ROOT / "results" / "cpl.json", prefix / "share" / "vmlkit" / "results")
    assert load_results("cpl").path.is_relative_to(prefix)
    (tmp_path / "results").mkdir()
    shutil.copy(ROOT / "results" / "cpl.json", tmp_path / "results")
    assert load_results("cpl").path == Path("results/cpl.json")
