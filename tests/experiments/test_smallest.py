"""Sizes at their smallest, through the command line: a run ends with its table, or one sentence says what is needed."""

from pathlib import Path

import pytest

from vmlkit.cli import main

VIDEO = ("data.train_videos=1", "data.validation_videos=1", "data.test_videos=1")
QUERY = ("data.max_train_queries=1", "data.max_validation_queries=1", "data.max_test_queries=1")
STEPS = "model.steps_per_epoch=2"


def run(folder: Path, method: str, *settings: str) -> int:
    given = ("data.feature_dim=2", "train.epochs=1", "train.threads=1", *settings)
    return main(["train", method, "--quiet", "--run-dir", str(folder), *(f"--set={item}" for item in given)])


@pytest.mark.filterwarnings("ignore:lambda was published")
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("cpl", ("data.clips=4", *VIDEO)),
        ("lnp-pps", ("data.clips=4", *VIDEO, *QUERY)),
        ("bm-detr", ("data.clips=1", *VIDEO)),
        ("bm-detr", ("data.clips=2", "data.moments=early", *VIDEO)),
        ("qd-detr", ("data.clips=1", *VIDEO, *QUERY)),
        ("co2net", ("data.clips=1", "model.host.pairs=0", STEPS, *VIDEO)),
        ("co2net", ("data.clips=1", "model.sampler=shuffle", STEPS, *VIDEO)),
        ("p4-xclip", ("data.clips=1", *VIDEO, *QUERY)),
    ],
)
def test_the_smallest_sizes_train(method: str, settings: tuple[str, ...], tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "run", method, *settings) == 0
    said = capsys.readouterr()
    assert f"\n{method}" in said.out
    assert "nan" not in said.out.lower()


@pytest.mark.parametrize(
    ("method", "settings", "sentence"),
    [
        ("cpl", ("data.clips=3", *VIDEO), "setting 'data.clips' must be at least 4"),
        ("cpl", ("data.clips=0",), "setting 'clips' must be at least 1, not 0"),
        ("p4-xclip", ("data.test_videos=0",), "setting 'test_videos' must be at least 1, not 0"),
        ("bm-detr", ("data.max_train_queries=0",), "setting 'max_train_queries' must be at least 1, not 0"),
        ("co2net", (STEPS, *VIDEO), "no class has two videos; use more videos, or none in pairs (model.host.pairs=0)"),
        ("tsm", ("data.feature_dim=6", STEPS, *VIDEO), "setting 'heads' must divide the width 6, which 4 does not"),
    ],
)
def test_smaller_ones_are_refused_in_a_sentence(
    method: str, settings: tuple[str, ...], sentence: str, tmp_path: Path, capsys
) -> None:
    assert run(tmp_path / "run", method, *settings) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert sentence in said
