"""``vmlkit study``: what it prints, and one line for what is wrong."""

from pathlib import Path

import pytest

from tests.studies.tiny import tiny
from vmlkit import methods
from vmlkit.cli import main
from vmlkit.studies import merge as merging
from vmlkit.studies import run as running


@pytest.fixture
def here(measured: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the cells and results of ``tiny`` where the command looks for them, and no other study."""
    (measured / "results").rename(measured / "studies")
    (measured / "results").mkdir()
    (measured / "studies").rename(measured / "results" / "studies")
    (measured / "runs").rename(measured / "cells")
    (measured / "runs").mkdir()
    (measured / "cells").rename(measured / "runs" / "studies")
    monkeypatch.chdir(measured)
    monkeypatch.setattr(methods, "STUDIES", {"tiny": tiny})
    monkeypatch.setattr(merging, "KNOWN", {"tiny": tiny})
    return measured


def test_list_and_status_say_how_far_studies_are(here: Path, capsys) -> None:
    assert main(["study", "list"]) == 0
    assert capsys.readouterr().out.split() == ["tiny", "6/25", "Tiny"]
    assert main(["study", "status", "tiny"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["finished", "computing", "stopped", "failed", "to", "do", "s/cell"]
    assert [row[16:].split()[:2] for row in rows] == [["2", "8"], ["2", "8"], ["2", "3"]]


def test_run_takes_its_options_and_says_where_the_results_are(here: Path, capsys) -> None:
    assert main(["study", "run", "tiny", "--seeds", "2", "--allow-dirty"]) == 0
    assert capsys.readouterr().out == "tiny: 6 finished\nresults: results/studies/tiny.json\n"
    assert main(["study", "run", "tiny", "--rows", "CNM", "--minutes", "1e-9", "--out", "new", "--allow-dirty"]) == 0
    assert "8 to do" in capsys.readouterr().out


def test_run_passes_everything_on(here: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(running, "run_study", lambda study, options, results: asked.append((study.name, options)))
    line = "study run tiny --seeds 3 --rows CPL CNM --jobs 2 --device cpu --minutes 5 --executor slurm"
    assert main([*line.split(), "--slurm", "partition=gpu", "--slurm", "mem=4G"]) == 0
    ((name, options),) = asked
    assert name == "tiny"
    assert (options.seeds, options.rows, options.jobs, options.minutes) == (3, ("CPL", "CNM"), 2, 5.0)
    assert (options.device, options.executor, options.allow_dirty) == ("cpu", "slurm", False)
    assert options.cluster == {"partition": "gpu", "mem": "4G"}


def test_merge_says_where_to(here: Path, capsys) -> None:
    assert main(["study", "merge", "results/studies", "--out", "merged"]) == 0
    assert capsys.readouterr().out == "tiny: merged into merged\n"
    assert (here / "merged" / "tiny.parquet").is_file()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run nothing", "unknown study 'nothing': choose one of tiny"),
        ("status nothing", "unknown study 'nothing'"),
        ("run tiny --seeds 0 --allow-dirty", "--seeds is 0"),
        ("run tiny --rows PPS --allow-dirty", "the study 'tiny' has no row 'PPS'"),
        ("run tiny --jobs 0", "--jobs is 0"),
        ("run tiny --slurm partition", "--slurm takes KEY=VALUE"),
        ("run tiny --seeds 3 --device nowhere --allow-dirty", "--device is 'nowhere'"),
        ("merge runs", "runs: holds no results of studies"),
    ],
)
def test_what_is_wrong_is_one_line(line: str, said: str, here: Path, capsys) -> None:
    assert main(["study", *line.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("action", ["run", "list", "status", "merge"])
def test_help_has_an_example(action: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["study", action, "--help"])
    assert f"example: vmlkit study {action}" in capsys.readouterr().out
