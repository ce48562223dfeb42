"""The command line: what it passes on, what it prints, and one line with exit code 2 for bad input."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import get_args

import pytest
import torch

from vmlkit import check, cli, tour
from vmlkit.data.sources import Splits
from vmlkit.errors import ConfigError, DataError, MissingDependency, TrainingDiverged
from vmlkit.experiments import experiment as running
from vmlkit.methods import preset
from vmlkit.training.experiment import Size
from vmlkit.training.task import MomentTask

ROW = dict.fromkeys((*MomentTask.columns, "R@1,IoU=0.1"), 0.25)
METRICS = {
    "chosen_epoch": 4,
    "chosen_by": "validation R@1,mIoU",
    "test": {**ROW, "R@1,mIoU": 0.431, "R@1,mIoN": 0.2},
    "validation": ROW,
    "spread": {"test": {"R@1,mIoU": 0.0012}},
    "baselines": {"whole video": ROW},
    "n_test": 13,
    "draws": 3,
}


@pytest.fixture
def ran(monkeypatch):
    """Replace training by a record of what it was asked to do."""
    calls = []

    def run_experiment(experiment, run_dir, **rest):
        calls.append((experiment, Path(run_dir), rest))
        return types.SimpleNamespace(metrics=METRICS, path=Path(run_dir))

    monkeypatch.setattr(running, "run_experiment", run_experiment)
    return calls


def test_train_passes_settings_on_and_prints_the_baselines(ran, capsys):
    code = cli.main(
        ["train", "cpl", "--seed", "7", "--set", "train.epochs=2", "--set", "train.clip_norm=null", "--run-dir", "r/x"]
    )
    (experiment, folder, rest), out = ran[0], capsys.readouterr().out
    assert code == 0
    assert (experiment.method, experiment.train.seed, experiment.train.epochs) == ("cpl", 7, 2)
    assert experiment.train.clip_norm is None
    assert folder == Path("r/x")
    assert rest == {"resume": True, "progress": True}
    assert "epoch 4 chosen by validation R@1,mIoU" in out
    assert "43.1" in out
    assert "whole video" in out
    assert "0.12 (sd) over 3 draws" in out
    assert "run directory: r/x" in out
    assert "mIoN" not in out


def test_train_names_the_run_directory_after_what_decides_it(ran):
    cli.main(["train", "cnm"])
    cli.main(["train", "cnm", "--seed", "2", "--data", "planted:charades", "--restart", "--quiet"])
    cli.main(["train", "cnm", "--set", "train.lr=0.1"])
    cli.main(["train", "cnm", "--set", "train.lr=0.2"])
    first, second, third, fourth = (call[1] for call in ran)
    assert first == Path("runs/cnm-toy-ci-seed0")
    assert second == Path("runs/cnm-planted_charades-ci-seed2")
    assert ran[1][2] == {"resume": False, "progress": False}
    assert third != fourth
    assert third.name.startswith("cnm-toy-ci-seed0-")


def test_train_takes_a_variant_that_no_paper_has(ran, capsys):
    cli.main(["train", "lnp-cpl"])
    cli.main(["train", "lnp-cpl", "--variant", "follow-sentences"])
    plain, changed = (call[0].model for call in ran)
    assert (plain.lnp.reading.follow_weight, changed.lnp.reading.follow_weight) == (0.0, 3.0)
    assert ran[0][1] != ran[1][1]
    assert cli.main(["train", "cnm", "--variant", "follow-sentences"]) == 2
    assert "'cnm' has no variant 'follow-sentences': leave it out" in capsys.readouterr().err
    assert cli.main(["train", "lnp-pps", "--variant", "x"]) == 2
    assert "choose one of visible-negatives" in capsys.readouterr().err


def test_train_takes_paths(ran):
    cli.main(["train", "cpl", "--data", "charades", "--annotations", "a/b", "--features", "f.h5"])
    data = ran[0][0].data
    assert (data.name, data.annotations, data.features) == ("charades", "a/b", "f.h5")


@pytest.mark.parametrize("option", [["--data", "x"], ["--size", "x"]])
def test_an_unknown_choice_is_answered_with_the_known_ones(capsys, option):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "cpl", *option])
    said = capsys.readouterr().err
    known = {"--data": {"toy", "planted:thumos14", "activitynet1.3"}, "--size": get_args(Size)}
    assert all(repr(name) in said for name in known[option[0]])


def test_help_names_every_choice(capsys):
    known = {"train": {"planted:charades_cd", "ci, demo, paper"}, "evaluate": {"pps_charades", "tvsum"}}
    for command, names in known.items():
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert all(name in said for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "abc"], "unknown method 'abc'"),
        (["train", "cpl", "--set", "train.epoch=2"], "did you mean 'epochs'?"),
        (["train", "cpl", "--set", "train.epochs=two"], "takes int, not 'two'"),
        (["train", "cpl", "--set", "train.deterministic=False"], "takes bool, not 'False'"),
        (["train", "cpl", "--set", "train.epochs=0"], "must be at least 1"),
        (["train", "cpl", "--set", "epochs"], "--set takes KEY=VALUE"),
        (["train", "cpl", "--set", "9" * 4000], f"not '{'9' * 57}...'"),
        (["train", "cpl", "--features", "f.h5"], "the data 'toy' read no features from files: leave out --features"),
        (["train", "cpl", "--data", "planted:charades", "--features", "f.h5"], "read no features from files"),
        (["train", "tsm", "--annotations", "a"], "the data 'toy' read no annotations from files"),
        (["train", "cpl", "--data", "thumos14"], "'cpl' has no preset for the data 'thumos14': choose one of toy, "),
        (["train", "cpl", "--set", "data.moments=early"], "unknown setting 'data.moments' for ToyData: the fields are"),
        (["train", "tsm", "--set", "data.feature_dtype=float16"], "unknown setting 'data.feature_dtype'"),
        (["train", "cpl", "--set", "data.name=charades"], "setting 'data.name' must be one of 'toy', not 'charades'"),
        (["train", "cpl", "--set", "model=3"], "setting 'model' takes its settings by name, not 3 (int)"),
        (["evaluate", "no/such/run"], "no/such/run: is not a directory"),
        (["tour", "--notebooks", "no/such/folder"], "there is no 00_tour.ipynb"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(ran, capsys, arguments, message):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vmlkit: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not ran


@pytest.mark.parametrize(
    "error",
    [
        DataError("a.json", "record 3 has no span", "add one"),
        ConfigError("two\nlines"),
        MissingDependency("papermill", "notebooks", "the tour"),
        TrainingDiverged("the loss term 'rank' is nan"),
        FileNotFoundError(2, "No such file or directory", "x.h5"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_expected_error_is_one_line(monkeypatch, capsys, error):
    def fail(*args, **rest):
        raise error

    monkeypatch.setattr(running, "run_experiment", fail)
    assert cli.main(["train", "cpl"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(getattr(error, "filename", None) or str(error).split("\n")[0]) in err


def test_a_fault_of_vmlkit_is_one_line_that_says_where_to_report_it(monkeypatch, capsys):
    def fail(*args, **rest):
        raise KeyError("R@1,mIoU")

    monkeypatch.setattr(running, "run_experiment", fail)
    assert cli.main(["train", "cpl"]) == cli.FAULT == 70
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "unforeseen KeyError in test_cli.py, line" in err
    assert "R@1,mIoU" in err
    assert "report it" in err


@pytest.mark.parametrize(("error", "code"), [(KeyError("x"), 70), (ConfigError("no such setting"), 2)])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(monkeypatch, capsys, error, code):
    def fail(*args, **rest):
        raise error

    monkeypatch.setattr(running, "run_experiment", fail)
    assert cli.main(["train", "cpl", "--debug"]) == code
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("vmlkit: ")


@pytest.mark.parametrize("command", ["evaluate", "labels", "negatives"])
def test_reports_are_written_in_an_encoding_that_lacks_their_characters(tmp_path, command):
    """What ``> report.txt`` does on a Western Windows: the characters are escaped and nothing is lost."""
    folder = tmp_path / "数据"
    folder.mkdir()
    query = {"qid": 1, "query": "un café — 人", "vid": "视频", "duration": 20.0, "relevant_windows": [[2, 8]]}
    (folder / "gt.jsonl").write_text(json.dumps(query, ensure_ascii=False) + "\n", encoding="utf-8")
    windows = {"qid": 1, "vid": "视频", "pred_relevant_windows": [[2, 8, 0.9]]}
    (folder / "pred.jsonl").write_text(json.dumps(windows, ensure_ascii=False) + "\n", encoding="utf-8")
    video = {"subset": "Test", "duration": 9.0, "annotations": [{"segment": ["1.0", "2.0"], "label": "跳"}]}
    (folder / "actions.json").write_text(json.dumps({"database": {"视频": video}}), encoding="utf-8")
    arguments = {
        "evaluate": ["evaluate", folder / "pred.jsonl", "--ground-truth", folder / "gt.jsonl"],
        "labels": ["labels", folder / "actions.json"],
        "negatives": ["negatives", folder / "gt.jsonl"],
    }[command]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "vmlkit", *arguments], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert "\\u" in done.stdout.decode("cp1252")


def test_interrupting_says_how_to_go_on(monkeypatch, capsys):
    def stop(*args, **rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_experiment", stop)
    assert cli.main(["train", "cpl"]) == 130
    assert "goes on from the last saved state" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(monkeypatch, capfd):
    def leave(*args, **rest):
        raise BrokenPipeError

    monkeypatch.setattr(running, "run_experiment", leave)
    assert cli.main(["train", "cpl"]) == 0
    assert capfd.readouterr().err == ""


def test_unknown_options_are_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "cpl", "--size", "huge"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["tour", "--size", "paper"])
    assert re.search(r"invalid choice: 'paper' \(choose from .*long", capsys.readouterr().err)


def test_evaluate_scores_the_checkpoint_on_test(monkeypatch, capsys):
    from vmlkit.training import final

    calls = {}
    splits = Splits(train="t", validation="v", test="e", notes=("odd",))
    account = {"left_out": {}, "notes": ["odd"]}
    experiment = dataclasses.replace(preset("cpl", "toy"), vote="charades")

    def final_evaluation(*args, **rest):
        calls["final"] = (args, rest)
        return METRICS

    monkeypatch.setenv("VMLKIT_DEVICE", "cpu")
    monkeypatch.setattr(running, "load_run", lambda run_dir: ("method", splits, experiment))
    monkeypatch.setattr(final, "final_evaluation", final_evaluation)
    assert cli.main(["evaluate", "runs/a"]) == 0
    assert calls["final"] == (
        ("method", Path("runs/a"), "t", "v", "e"),
        {"task": MomentTask(vote="charades"), "draws": 3, "account": account, "device": torch.device("cpu")},
    )
    assert cli.main(["evaluate", "runs/a", "--vote", "none", "--draws", "5", "--device", "meta"]) == 0
    assert calls["final"][1] == {
        "task": MomentTask(vote="none"), "draws": 5, "account": account, "device": torch.device("meta"),
    }  # fmt: skip
    assert "whole video" in capsys.readouterr().out


def test_check_reports_what_is_there_and_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(check.OPTIONAL, "llm", ("components", "no_such_package"))
    monkeypatch.setattr(check, "train_for", lambda seconds: (3, 0.1, 2.5))
    assert cli.main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("[ok]", "[missing]")) for line in lines)
    missing = next(line for line in lines if "no_such_package" in line)
    assert missing.startswith("[missing] llm")
    assert "pip install 'vmlkit[llm]'" in missing
    assert any("training: 3 steps" in line for line in lines)


def test_check_fails_where_training_fails(monkeypatch, capsys):
    def broken(seconds):
        raise RuntimeError("no kernel image\nis available")

    monkeypatch.setattr(check, "train_for", broken)
    assert cli.main(["check"]) == 1
    assert "[failed]  training: RuntimeError: no kernel image\n" in capsys.readouterr().out
    monkeypatch.setattr(check, "train_for", lambda seconds: (1, 0.1, float("nan")))
    assert cli.main(["check"]) == 1


def test_check_writes_a_variant_or_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(check, "train_for", lambda seconds: (3, 0.1, 2.5))
    assert cli.main(["check"]) == 0
    assert "[ok]      sentence variants by rules: 'a person opens the door.' -> " in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "textblob", None)
    assert cli.main(["check"]) == 0
    printed = capsys.readouterr().out
    assert "[missing] sentence variants by rules: tagging parts of speech needs the package 'textblob'" in printed


def test_check_trains_for_real():
    steps, _, loss = check.train_for(seconds=0)
    assert steps == 1
    assert 0 < loss < 100


def test_every_extra_of_the_project_is_checked():
    import tomllib

    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert set(check.OPTIONAL) == set(extras["optional-dependencies"]) - {"all"}
    named = {line.split("[")[0].split(">")[0].split("<")[0] for line in extras["dependencies"]}
    assert named == set(check.REQUIRED)


TOUR = {
    "cells": [
        ("code", ["parameters"], 'size = "ci"'),
        (
            "code",
            [],
            "from pathlib import Path\n"
            "Path('figures').mkdir(exist_ok=True)\nPath('figures/00_tour_a.png').write_bytes(b'png')\n"
            "Path('runs/first').mkdir(parents=True)\nPath('runs/first/metrics.json').write_text('{}')\nprint(size)",
        ),
    ]
}


def write_tour(root: Path, cells: list[tuple[str, list[str], str]]) -> Path:
    """A repository with a notebook made of (kind, tags, source)."""
    (root / "pyproject.toml").write_text("")
    folder = root / "notebooks"
    folder.mkdir()
    nodes = [
        {
            "cell_type": kind,
            "id": f"c{number}",
            "metadata": {"tags": tags},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, (kind, tags, source) in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": nodes, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "00_tour.ipynb").write_text(json.dumps(notebook))
    return folder


@pytest.mark.notebook
def test_the_tour_says_where_everything_is(tmp_path, capsys):
    pytest.importorskip("papermill")
    folder = write_tour(tmp_path, TOUR["cells"])
    assert cli.main(["tour", "--notebooks", str(folder), "--size", "demo"]) == 0
    captured = capsys.readouterr()
    assert "cell 3 of 3" in captured.err
    for path in (
        "site/00_tour.html",
        "site/executed/00_tour.ipynb",
        "figures/00_tour_a.png",
        "runs/first/metrics.json",
    ):
        assert str(tmp_path / path) in captured.out
        assert (tmp_path / path).is_file()
    assert "demo" in (tmp_path / "site" / "00_tour.html").read_text(encoding="utf-8")


@pytest.mark.notebook
def test_a_failing_tour_names_the_error(tmp_path, capsys):
    pytest.importorskip("papermill")
    folder = write_tour(tmp_path, [("code", [], "1 / 0")])
    assert cli.main(["tour", "--notebooks", str(folder), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err


def test_the_tour_is_found_from_a_folder_below(tmp_path, monkeypatch):
    folder = write_tour(tmp_path, TOUR["cells"])
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert tour.find_tour() == folder / "00_tour.ipynb"
    with pytest.raises(DataError, match="--notebooks"):
        tour.find_tour(below)
