"""Every method on every source of data that ``vmlkit train --help`` offers, through the real command line.

A pair trains for one step, is scored, and is scored again by ``vmlkit evaluate``, as is the file of its predictions; a
pair that does not go together ends in one sentence.  All sources but the toy world are small folders in the layouts of
the real ones.
"""

import functools
import itertools
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.components.line_variants import write_variants
from tests.components.msvd_files import msvd_options, write_msvd
from tests.data.conftest import WORDS, write_corpus
from tests.detr.line_folders import LAYOUTS, write_lines
from vmlkit import cli
from vmlkit.cli.options import DATA
from vmlkit.methods import METHODS

OFFERED = [pair for pair in itertools.product(METHODS, DATA) if pair[1] in METHODS[pair[0]].presets]
REFUSED = [pair for pair in itertools.product(METHODS, DATA) if pair[1] not in METHODS[pair[0]].presets]
#: on ActivityNet 1.3 only these have a released configuration, at the published size

#: one epoch of one small batch
STEP = {"train.epochs": 1, "train.batch_size": 4, "train.probe_queries": 2, "train.choose_epoch_by": "last"}


def toy(folder: Path) -> list[str]:
    return settings({"data.train_videos": 5, "data.validation_videos": 3, "data.test_videos": 3})


def charades(folder: Path, name: str = "charades") -> list[str]:
    write_corpus(folder, name)
    return ["--annotations", str(folder), "--features", str(folder / "features.hdf5")]


def planted(folder: Path, name: str) -> list[str]:
    write_corpus(folder, name)
    return ["--annotations", str(folder)]


def planted_charades_cd(folder: Path) -> list[str]:
    write_corpus(folder, "charades")
    number = itertools.count()
    for split in ("train", "val", "test_iid", "test_ood"):
        rows = [
            {"qid": next(number), "vid": f"{split}{i}", "query": query, "duration": 20.0, "relevant_windows": [window]}
            for i in range(4)
            for query, window in ((" ".join(WORDS[1:5]), [1.0, 5.0]), (" ".join(WORDS[5:8]), [9.0, 15.0]))
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--annotations", str(folder)]


def thumos14(folder: Path) -> list[str]:
    classes = ["Diving", "HighJump", "Shotput"]
    videos = [
        {
            "name": f"v{i:02d}",
            "subset": "validation" if i < 10 else "test",
            "duration": 20.0 + i,
            "labels": [classes[i % 3]],
            "segments": [[2.0, 6.0, classes[i % 3]]],
            "ambiguous": [],
            "in_gt_json": True,
        }
        for i in range(14)
    ]
    (folder / "thumos14_reduced.json").write_text(json.dumps({"classes": classes, "videos": videos}))
    return ["--annotations", str(folder), "--features", str(two_streams(folder, [v["name"] for v in videos]))]


def planted_thumos14(folder: Path) -> list[str]:
    return thumos14(folder)[:2]


def activitynet_actions(folder: Path) -> list[str]:
    database = {
        f"v{i}": {
            "duration": 30.0,
            "subset": "training" if i < 10 else "validation",
            "annotations": [{"segment": [1.0, 9.0], "label": ["Playing ten pins", "Archery"][i % 2]}],
        }
        for i in range(13)
    }
    (folder / "activity_net.v1-3.min.json").write_text(json.dumps({"database": database}))
    return ["--annotations", str(folder), "--features", str(two_streams(folder, list(database)))]


def two_streams(folder: Path, names: list[str]) -> Path:
    rng = np.random.default_rng(0)
    for stream, name in itertools.product(("rgb", "flow"), names):
        (folder / "two" / stream).mkdir(parents=True, exist_ok=True)
        np.save(folder / "two" / stream / f"{name}.npy", rng.random((30, 8)).astype(np.float32))
    return folder / "two"


def msvd(folder: Path) -> list[str]:
    write_msvd(folder)
    return msvd_options(folder)


SOURCES: dict[str, Callable[[Path], list[str]]] = {
    "msvd": msvd,
    "toy": toy,
    **{f"planted:{name}": functools.partial(planted, name=name) for name in ("charades", "activitynet", "tvr")},
    "planted:charades_cd": planted_charades_cd,
    **{name: functools.partial(charades, name=name) for name in ("charades", "activitynet", "tvr")},
    "planted:thumos14": planted_thumos14,
    "thumos14": thumos14,
    "activitynet1.3": activitynet_actions,
    **{name: partial(write_lines, name=name) for name in LAYOUTS},
    "planted:qvhighlights": lambda folder: write_lines(folder, "qvhighlights")[:2],
    "planted:tacos": lambda folder: write_lines(folder, "tacos")[:2],
}


def settings(items: dict[str, object]) -> list[str]:
    return [part for key, value in items.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def step(method: str, data: str, folder: Path) -> list[str]:
    """The command that trains for one step."""
    actions = any("thumos" in name for name in METHODS[method].presets)
    # three pairs of videos that share a class are the head of a batch of actions
    limits: dict[str, object] = (
        {"model.steps_per_epoch": 1, "train.batch_size": 6} if actions else {"data.max_train_queries": 4}
    )
    made = folder / "data"
    made.mkdir()
    where = ["--data", data, "--run-dir", str(folder / "run"), "--quiet"]
    files = SOURCES[data](made)
    if method.startswith("p4-") and (name := data.removeprefix("planted:")) in LAYOUTS:
        limits |= {"data.variants": str(write_variants(made, name))}
    return ["train", method, *where, *files, *settings({**STEP, **limits})]


def table(shown: str, method: str) -> list[float]:
    """The numbers of the method's row; the last is the number of queries."""
    (row,) = re.findall(rf"^{method} +(.*)$", shown, re.MULTILINE)
    return [float(value) for value in row.split()]


def test_the_help_offers_these_sources() -> None:
    assert set(SOURCES) == set(DATA)
    assert {data for entry in METHODS.values() for data in entry.presets} == set(DATA)


@pytest.mark.filterwarnings("ignore:lambda was published for a grid")
@pytest.mark.parametrize(("method", "data"), OFFERED)
def test_a_pair_trains_and_evaluates(
    method: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = step(method, data, tmp_path)
    code = cli.main(command)
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "test split, percent; epoch 1, the last epoch" in said.out
    numbers = table(said.out, method)
    assert np.isfinite(numbers).all()
    assert len(numbers) >= 3, "a table of at least two metrics and N"
    assert min(numbers) >= 0
    baselines = json.loads((tmp_path / "run" / "metrics.json").read_text())["baselines"]
    assert baselines
    assert all(name in said.out for name in baselines)
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    assert table(capsys.readouterr().out, method) == numbers
    answers = tmp_path / "predictions.jsonl"
    assert cli.main(["predict", str(tmp_path / "run"), "--out", str(answers)]) == 0
    assert cli.main(["evaluate", str(answers), "--run", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    (equal, count) = re.findall(r"(\d+) of (\d+) metrics are the run's own, to the last digit", shown)[0]
    assert equal == count, shown


@pytest.mark.parametrize(("method", "data"), REFUSED)
def test_a_pair_that_does_not_go_together_is_refused(
    method: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", method, "--data", data]) == 2
    message = capsys.readouterr().err
    assert f"'{method}' has no preset for the data '{data}'" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("data", [name for name in SOURCES if name != "toy"])
def test_missing_files_are_named(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = next(name for name in reversed(METHODS) if data in METHODS[name].presets)
    more = [] if data.startswith("planted:") else ["--features", "none"]
    for annotations in (tmp_path / "nowhere", tmp_path):
        arguments = ["train", method, "--data", data, *more, "--annotations", str(annotations)]
        assert cli.main([*arguments, "--run-dir", str(tmp_path / "run")]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert str(annotations) in message
