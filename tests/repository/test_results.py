"""Committed results of studies: measured clean, at a revision of this history, with settings that still stand."""

import subprocess
from pathlib import Path

import pytest

from vmlkit.methods import STUDIES
from vmlkit.studies.results import load_results

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "studies"
COMMITTED = sorted(FOLDER.glob("*.json"))
#: bytes of all results
LIMIT = 2_000_000


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_results_were_measured_at_a_revision_of_this_history(path: Path) -> None:
    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the history is not here: a shallow clone, or no clone")
    record = load_results(path.stem, FOLDER).record
    assert record["dirty"] is False
    for made in record["made"]:
        for revision in {made["revision"], *made["revisions"]}:
            found = git("merge-base", "--is-ancestor", revision, "HEAD")
            assert found.returncode == 0, f"{path.name}: {revision} is not in the history"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_results_belong_to_a_study_as_it_is_now(path: Path) -> None:
    results, study = load_results(path.stem, FOLDER), STUDIES[path.stem]()
    rows = {row.name: row for row in study.rows}
    for name in results.rows:
        assert results.experiment(name) == rows[name].experiment, f"{name}: settings have changed"
    assert not results.record["missing"]


def test_results_stay_small() -> None:
    everything = [path for path in (ROOT / "results").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in everything) < LIMIT
    assert {path.suffix for path in everything if path.parent == FOLDER} <= {".json", ".parquet"}
