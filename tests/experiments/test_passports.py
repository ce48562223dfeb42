"""A run keeps the passports of its features, and whoever shows it others is told so in a sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.conftest import write_corpus
from tests.experiments.tiny import tiny
from vmlkit import cli
from vmlkit.errors import DataError
from vmlkit.experiments.experiment import load_run, run_experiment
from vmlkit.experiments.passports import passports_of, recorded_passports
from vmlkit.runs import RunDirectory
from vmlkit.video.passport import Passport, passport_path, read_passport, write_passport
from vmlkit.video.toy_encoder import ToyEncoder

ONE = Passport(encoder="clip", revision="abc", rate=0.5, size=224, norm="none", dimension=6, clip_seconds=2.0)
OTHER = replace(ONE, revision="def")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    write_passport(tmp_path / "arrays", ONE)
    return tmp_path


def train(corpus: Path, *more: str) -> int:
    command = ["train", "cnm", "--data", "charades", "--annotations", str(corpus), "--quiet"]
    command += ["--features", str(corpus / "arrays"), "--run-dir", str(corpus / "run"), "--set", "train.epochs=1"]
    return cli.main([*command, "--set", "train.batch_size=4", "--set", "data.clips=8", *more])


def test_a_run_keeps_them_and_accepts_the_same(corpus: Path, capsys) -> None:
    assert train(corpus) == 0
    assert recorded_passports(RunDirectory(corpus / "run")) == {".": ONE}
    write_passport(corpus / "arrays", replace(ONE, encoder="the same model in another folder"))
    assert cli.main(["predict", str(corpus / "run"), "--split", "validation"]) == 0
    assert cli.main(["evaluate", str(corpus / "run")]) == 0
    assert train(corpus) == 0
    assert "passport" not in capsys.readouterr().err


COMMANDS = {
    "predict": lambda corpus: cli.main(["predict", str(corpus / "run"), "--split", "validation"]),
    "score": lambda corpus: cli.main(
        ["evaluate", str(corpus / "run" / "predictions-test.jsonl"), "--run", str(corpus / "run")]
    ),
    "continue": lambda corpus: cli.main(["continue", str(corpus / "run"), "--epochs", "2", "--other-schedule"]),
    "train": train,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_corpus(folder)
    write_passport(folder / "arrays", ONE)
    assert train(folder) == 0
    assert cli.main(["predict", str(folder / "run")]) == 0
    write_passport(folder / "arrays", OTHER)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_features_of_another_kind_are_refused(command: str, trained: Path, capsys) -> None:
    before = {path: path.read_bytes() for path in (trained / "run").iterdir()}
    assert COMMANDS[command](trained) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == (
        f"vmlkit: {trained / 'arrays'}: features are not those that {trained / 'run'} was trained on: revision is def "
        "here and abc there; extract them with clip, or train on these."
    )
    assert {path: path.read_bytes() for path in (trained / "run").iterdir()} == before


def test_a_run_in_memory_is_refused_likewise(trained: Path) -> None:
    with pytest.raises(DataError, match="revision is def here and abc there"):
        load_run(trained / "run", progress=False)


def test_a_passport_that_is_absent_is_said(corpus: Path, capsys) -> None:
    assert train(corpus) == 0
    passport_path(corpus / "arrays").unlink()
    assert cli.main(["predict", str(corpus / "run"), "--split", "validation"]) == 0
    assert capsys.readouterr().err.count(f"{corpus / 'arrays'} has no passport of its features") == 1


def test_a_run_without_one_says_so_where_features_have_one(corpus: Path, capsys) -> None:
    passport_path(corpus / "arrays").unlink()
    assert train(corpus) == 0
    assert "passports" not in RunDirectory(corpus / "run").config
    assert "passport" not in capsys.readouterr().err
    write_passport(corpus / "arrays", ONE)
    load_run(corpus / "run", progress=False)
    assert capsys.readouterr().err.count(f"{corpus / 'run'} has no passport of its features") == 1


def test_a_clock_against_the_passport_is_refused(corpus: Path, capsys) -> None:
    assert train(corpus, "--set", "data.seconds_per_row=1") == 2
    said = capsys.readouterr().err
    assert "arrays: rows stand for 2 s by their passport, and data.seconds_per_row is 1; correct the setting" in said
    assert not (corpus / "run").exists()


def test_packed_features_keep_their_passport(corpus: Path) -> None:
    command = ["data", "pack", "charades", "--annotations", str(corpus), "--features", str(corpus / "arrays")]
    assert cli.main([*command, "--out", str(corpus / "p.safetensors"), "--clips", "8", "--quiet"]) == 0
    assert read_passport(corpus / "p.safetensors") == ONE


def test_a_toy_run_has_that_of_its_world(tmp_path: Path) -> None:
    experiment = tiny("cnm")
    run = run_experiment(experiment, tmp_path / "run", progress=False)
    assert recorded_passports(run) == {".": ToyEncoder(experiment.data.toy).passport()}
    assert passports_of(tiny("cnm", **{"data.world_seed": 1}).data) != recorded_passports(run)
