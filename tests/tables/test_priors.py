"""Answers that never look at a video, on real labels where they are: the numbers, the way of counting, the queries."""

import gzip
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import find_data, write_corpus
from vmlkit import cli
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.priors import CONVENTIONS, priors_of, sha256
from vmlkit.metrics.baselines import baseline_metrics
from vmlkit.tables import load, priors

#: thresholds that whole-video answers on ActivityNet Captions meet exactly
TIED = ("R@1,IoU=0.1", "R@1,IoU=0.3", "R@1,IoU=0.5")


def real(name: str) -> str:
    folder = find_data(name)
    if folder is None:
        pytest.skip(f"needs real annotations: set VMLKIT_DATA to the folder that holds {name}")
    return str(folder)


def given(name: str) -> dict[str, str]:
    return {"data.annotations": real(name)}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    return tmp_path


def row(source: str, name: str, split: str, convention: str, prior: str) -> dict[str, float]:
    (part,) = priors_of(source, given(name), split=split, convention=convention, draws=1)
    return part.table.loc[prior].to_dict()


@pytest.mark.parametrize(
    ("convention", "wanted"),
    [("plain", (82.57, 48.02, 21.18)), ("released", (82.61, 48.02, 21.21)), ("exact", (82.61, 48.02, 21.21))],
)
def test_the_whole_video_on_activitynet(convention: str, wanted: tuple[float, ...]) -> None:
    found = row("activitynet", "activitynet_captions", "val_2", convention, "whole video")
    assert tuple(round(found[name], 2) for name in TIED) == wanted
    assert round(found["R@1,mIoU"], 2) == 34.57


def test_the_constant_window_on_charades() -> None:
    (part,) = priors_of("charades", given("charades_sta"), draws=1)
    assert part.window == (0, 0.475)
    found = part.table.loc["best constant window"]
    assert [round(found[f"R@1,IoU={m}"], 1) for m in (0.3, 0.5, 0.7)] == [58.0, 31.6, 12.8]
    assert part.scored == 3158
    assert "3,720" in str(part)


def test_what_the_smaller_test_file_of_charades_lacks() -> None:
    """The 562 queries are those whose moment lasts to the end of the video; no other one does."""
    folder = Path(real("charades_sta"))
    kept = json.loads((folder / "test.json").read_text())
    with gzip.open(folder / "official_test.jsonl.gz", "rt") as lines:
        whole = [json.loads(line) for line in lines]
    to_the_end = sum(query["relevant_windows"][0][1] >= query["duration"] for query in whole)
    assert (len(whole), len(kept), to_the_end) == (3720, 3158, 562)
    assert not any(end >= duration for _, duration, (_, end), _ in kept)


SOURCES = {"charades": "charades_sta", "thumos14": "thumos14"}
#: scored by official programs, query by query
SLOW = {"charades_sta": "charades_sta_detr", "charades_cd": "charades_cd", "tacos": "tacos",
        "qvhighlights": "qvhighlights", "activitynet": "activitynet_captions"}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "folder"),
    [*SOURCES.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in SLOW.items())],
)
def test_the_committed_numbers_are_those_of_the_command(source: str, folder: str) -> None:
    committed = {p["split"]: p for p in priors.records()[source]["parts"] if p["convention"] in priors.BESIDE}
    found = priors_of(source, given(folder))
    assert {part.split for part in found} == committed.keys()
    for part in found:
        record, wanted = part.record(), committed[part.split]
        numbers = {key: value for key, value in record.items() if key != "percent"}
        assert numbers == {key: wanted[key] for key in numbers}
        for name, metrics in record["percent"].items():
            assert metrics == pytest.approx(wanted["percent"][name], abs=0.002), f"{part.split} {name}"


def test_every_committed_file_has_all_its_ways_of_counting() -> None:
    for source, record in priors.records().items():
        ways = [(part["split"], part["convention"]) for part in record["parts"]]
        assert len(set(ways)) == len(ways)
        if source in ("charades", "activitynet"):
            assert {way for _, way in ways} == set(CONVENTIONS)
        for part in record["parts"]:
            assert len(part["sha256"]) == 64
            assert part["scored"] == part["in_file"] - sum(part["left_out"].values()) > 0


def test_released_is_what_a_run_prints(corpus: Path) -> None:
    (part,) = priors_of("charades", {"data.annotations": str(corpus)}, draws=3)
    parts = {name: json.loads((corpus / f"{name}.json").read_text()) for name in ("train", "test")}
    spans = {name: np.array([[s / d, e / d] for _, d, (s, e), _ in rows]) for name, rows in parts.items()}
    wanted = baseline_metrics(spans["train"], spans["test"], draws=3)
    for name, metrics in wanted.items():
        assert part.table.loc[name].to_dict() == pytest.approx({k: 100 * metrics[k] for k in part.table.columns})


def corpus_of(folder: Path, test: list[list]) -> dict[str, str]:
    (folder / "train.json").write_text(json.dumps([["a", 10.0, [0.0, 10.0], "x."], ["b", 10.0, [0.0, 9.0], "x."]]))
    (folder / "test.json").write_text(json.dumps(test))
    return {"data.annotations": str(folder)}


def test_a_threshold_that_is_met_exactly_is_a_hit(tmp_path: Path) -> None:
    """A tenth of a video in decimals that binary fractions miss."""
    tenths = [(float(f"{start / 100:.2f}"), float(f"{(start + 471) / 100:.2f}")) for start in range(0, 4000, 37)]
    test = [["v", 47.1, [start, end], "x."] for start, end in tenths]
    assert all(Fraction(str(end)) - Fraction(str(start)) == Fraction("4.71") for start, end in tenths)
    settings, reached = corpus_of(tmp_path, test), {}
    for convention in CONVENTIONS:
        (part,) = priors_of("charades", settings, convention=convention, draws=1)
        reached[convention] = part.table.loc["whole video", "R@1,IoU=0.1"]
    assert reached["exact"] == reached["released"] == 100
    assert 0 < reached["plain"] < 100


def test_queries_that_are_left_out_are_counted(tmp_path: Path) -> None:
    test = [["v", 10.0, [0.0, 10.0], "x."], ["v", 10.0, [4.0, 4.0], "x."], ["w", 10.0, [0.0, 5.0], "x."]]
    (part,) = priors_of("charades", corpus_of(tmp_path, test), draws=1)
    assert (part.in_file, part.scored) == (3, 2)
    assert part.left_out == {"no moment of a positive length, or no duration": 1}
    assert part.table.loc["whole video", "R@1,mIoU"] == pytest.approx(75)
    assert "1 left out: no moment of a positive length" in str(part)


def test_the_digest_is_that_of_the_unpacked_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[]"))
    assert sha256(tmp_path / "a.json") == sha256(tmp_path / "a.json.gz")


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("toy", {}, "no place to fit"),
        ("msvd", {}, "no place to fit"),
        ("tvsum", {}, "rates clips and has no moments"),
        ("qvhighlights", {"convention": "exact"}, "counted in one way"),
        ("nothing", {}, "unknown source"),
        ("charades", {"convention": "rough"}, "unknown convention 'rough': choose one of released, plain, exact"),
    ],
)
def test_what_has_no_priors_is_refused(source: str, options: dict, said: str, monkeypatch) -> None:
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    with pytest.raises(ConfigError, match=said):
        priors_of(source, **options)


def test_a_part_that_is_not_there_is_refused(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="'charades' has no part 'val_1': choose one of test"):
        priors_of("charades", {"data.annotations": str(corpus)}, split="val_1")
    with pytest.raises(DataError, match="holds none of"):
        priors_of("activitynet", {"data.annotations": str(corpus / "..")})


def test_the_command_prints_and_writes(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = corpus / "priors.json"
    assert cli.main(["priors", "charades", "--annotations", str(corpus), "--split", "test", "--json", str(out)]) == 0
    assert "best constant window" in capsys.readouterr().out
    record = json.loads(out.read_text())
    assert [(p["split"], p["convention"]) for p in record["parts"]] == [("test", way) for way in CONVENTIONS]
    assert cli.main(["priors", "charades", "--annotations", str(corpus), "--convention", "plain"]) == 0
    assert "counted the plain way" in capsys.readouterr().out
    assert cli.main(["priors", "charades", "--annotations", str(corpus / "none")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_priors_stand_in_the_columns_of_a_table() -> None:
    table = load("P1/3")
    beside = priors.beside(table)
    assert list(beside.columns) == list(table.frame().columns)
    whole = beside.loc["whole video"]
    assert whole.round(2).tolist() == [82.61, 48.02, 21.21, 34.57]
    blind = priors.below(table, blind=True)
    assert blind.tolist() == (table.frame() < whole).sum().tolist()
    assert priors.beside(load("P1/speed")).empty
    assert priors.below(load("P0/fig5"), blind=True).empty
    assert priors.counts(table) == ["activitynet val_2: 17,031 of test_data.json.gz"]
