"""What a data set loses is counted by split and reason, said also without a progress bar, and refused where asked."""

import json
from pathlib import Path

import h5py
import pytest

from tests.data.test_bad_input import load, planted, real
from vmlkit.cli import main
from vmlkit.data.left_out import Ledger
from vmlkit.errors import DataError
from vmlkit.runs import RunDirectory


def without(corpus: Path, *videos: str) -> None:
    with h5py.File(corpus / "features.hdf5", "a") as file:
        for video in videos:
            del file[video]


def test_videos_and_queries_without_features_are_counted_in_each_split(corpus: Path, capsys) -> None:
    without(corpus, "te00", "te02", "tr04")
    splits = load(real(corpus, validation_share=0.2))
    assert len(splits.test) == 2
    assert set(splits.test.video_ids) == {"te01"}
    assert len(splits.train) + len(splits.validation) == 18
    by_split = splits.account()["left_out"]
    assert [(e["what"], e["count"], e["of"], e["such_as"]) for e in by_split["test"]] == [
        ("videos have no features", 2, 3, ["te00", "te02"]),
        ("queries ask about a video without features", 4, 6, []),
    ]
    assert "charades/test: 2 of 3 videos have no features and are left out (te00, te02)" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_is_lost(corpus: Path, capsys) -> None:
    assert not load(real(corpus)).left_out
    assert not capsys.readouterr().err


def test_a_split_without_any_features_is_refused(corpus: Path) -> None:
    without(corpus, "te00", "te01", "te02")
    with pytest.raises(DataError, match="has none of the 3 videos of the test split, such as 'te00'; check the names"):
        load(real(corpus))


def test_planted_features_lack_nothing(corpus: Path) -> None:
    assert "missing" not in vars(planted(corpus))


def test_the_command_line_says_and_records_it_also_when_quiet(corpus: Path, tmp_path: Path, capsys) -> None:
    without(corpus, "te00")
    command = ["train", "cnm", "--data", "charades", "--annotations", str(corpus), "--quiet"]
    command += ["--features", str(corpus / "features.hdf5"), "--run-dir", str(tmp_path / "run")]
    for setting in ("train.epochs=1", "data.clips=16", "test_draws=1", "data.validation_share=0.2"):
        command += ["--set", setting]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "charades/test: 1 of 3 videos have no features and are left out (te00)" in said.err
    assert "not in these numbers: 1 of 3 videos have no features" in said.out
    metrics = RunDirectory(tmp_path / "run").metrics
    assert metrics["left_out"]["test"][0]["such_as"] == ["te00"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["data"]["missing"] == "leave_out"
    assert main([*command, "--set", "data.missing=refuse"]) == 2
    assert "test: 1 of 3 videos have no features (te00); add them, or set data.missing" in capsys.readouterr().err


def test_an_account_without_a_keeper_warns() -> None:
    with pytest.warns(UserWarning, match="test: 1 of 2 spans end late and are cut"):
        Ledger(warn=True).note("test", "spans end late", "are cut", 1, 2)
    ledger = Ledger("refuse")
    ledger.note("test", "spans end late", "are cut", 1, 2)
    ledger.note("test", "spans end late", "are cut", 0, 2)
    assert len(list(ledger)) == 1
