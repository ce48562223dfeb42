"""``vmlkit data check``: each thing that can be wrong with data is found, weighed, and decides the exit code."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.conftest import find_data, write_corpus, write_tags
from vmlkit import cli
from vmlkit.data.published import PUBLISHED
from vmlkit.detr.corpora import CORPORA
from vmlkit.errors import DataError
from vmlkit.experiments.data_check import DataReport, check_data
from vmlkit.methods import DATA


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    with h5py.File(tmp_path / "features.hdf5", "a") as file:
        rng = np.random.default_rng(2)
        for video in list(file):
            del file[video]
        for split, count in (("train", 10), ("test", 3)):
            for i in range(count):
                file[f"{split[:2]}{i:02d}"] = rng.normal(size=(2 * (10 + i), 6)).astype(np.float32)
    return tmp_path


def check(folder: Path, **settings) -> DataReport:
    given = {"data.annotations": str(folder), "data.features": str(folder / "features.hdf5")}
    return check_data("charades", given | {f"data.{key}": value for key, value in settings.items()}, size="ci")


def found(report: DataReport, what: str) -> list[tuple[str, str, int, int]]:
    return [(f.weight, f.split, f.count, f.total) for f in report.findings if what in f.what]


def change(folder: Path, split: str, edit) -> None:
    """Edit the records of a split, and let their tags follow."""
    path = folder / f"{split}.json"
    records = json.loads(path.read_text())
    edit(records)
    path.write_text(json.dumps(records))
    splits = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("train", "test")}
    write_tags(folder, splits)


def test_clean_data_have_notes_alone(corpus: Path) -> None:
    report = check(corpus)
    assert not report.damaged
    assert {f.weight for f in report.findings} == {"note"}
    assert report.scan is not None
    assert report.scan.seconds_per_row == 0.5
    assert report.scan.dimensions == (6,)
    assert report.sizes.loc["train"].to_dict() == {"videos": 10, "moments": 20, "hours": 145 / 3600, "median s": 3.75}
    assert found(report, "also in the training split, word for word") == [("note", "test", 6, 6)]


def mutate(folder: Path, video: str, array: np.ndarray | None) -> None:
    with h5py.File(folder / "features.hdf5", "a") as file:
        del file[video]
        if array is not None:
            file[video] = array


FEATURES = {
    "missing": (None, "have no features", ("damage", "train", 1, 10)),
    "nan": (np.full((20, 6), np.nan), "have unusable features", ("damage", "train", 1, 10)),
    "transposed": (np.ones((6, 20)), "have unusable features", ("damage", "train", 1, 10)),
    "pictures": (np.ones((4, 3, 2)), "have unusable features", ("damage", "train", 1, 10)),
    "constant": (np.ones((28, 6)), "the same row throughout", ("warning", "train", 1, 10)),
    "zero": (np.zeros((28, 6)), "that are all zero", ("warning", "train", 1, 10)),
    "one row": (np.ones((1, 6)), "of one row", ("warning", "train", 1, 10)),
    "cut off": (np.eye(12, 6) + 1, "that end early", ("warning", "train", 1, 10)),
}


@pytest.mark.parametrize(("array", "what", "expected"), FEATURES.values(), ids=FEATURES)
def test_odd_features_are_found(corpus: Path, array: np.ndarray | None, what: str, expected: tuple) -> None:
    mutate(corpus, "tr04", array)
    report = check(corpus)
    assert found(report, what) == [expected]
    assert report.damaged == (expected[0] == "damage")


def test_features_of_another_video_and_of_none(corpus: Path) -> None:
    with h5py.File(corpus / "features.hdf5", "a") as file:
        del file["te01"]
        file["te01"] = file["te00"][()]
        file["other"] = np.ones((3, 6))
    report = check(corpus)
    assert found(report, "exactly the features of a video before them") == [("warning", "test", 1, 3)]
    assert found(report, "belong to no video of the annotations") == [("note", "", 1, 14)]


def test_names_that_differ_by_a_prefix_are_shown(corpus: Path) -> None:
    with h5py.File(corpus / "features.hdf5", "a") as file:
        for video in list(file):
            file.move(video, f"v_{video}")
    report = check(corpus)
    missing = next(f for f in report.findings if f.what == "videos have no features" and f.split == "test")
    assert (missing.count, missing.total) == (3, 3)
    assert "it has 'v_te00' (3 of 3 match without the prefix 'v_')" in missing.remedy
    assert any("attempts to load" in f.what for f in report.findings)


def test_a_clock_that_does_not_fit_the_setting_is_damage(corpus: Path) -> None:
    report = check(corpus, seconds_per_row=0.1)
    assert found(report, "features and durations fit 0.5 s a row, not 0.1 s")[:2] == [
        ("damage", "train", 10, 10),
        ("damage", "test", 3, 3),
    ]


ANNOTATIONS = {
    "inverted": ("train", lambda r: r[2].__setitem__(2, [4.0, 2.0]), "end before or where", ("damage", "train", 1, 20)),
    "negative": ("train", lambda r: r[2].__setitem__(2, [-1.0, 2.0]), "start before 0", ("damage", "train", 1, 20)),
    "outside": ("test", lambda r: r[1].__setitem__(2, [90.0, 95.0]), "after the end of", ("damage", "test", 1, 6)),
    "late": ("test", lambda r: r[1].__setitem__(2, [5.0, 10.5]), "end after their video", ("warning", "test", 1, 6)),
    "twice": ("train", lambda r: r.append(list(r[3])), "are there twice", ("warning", "train", 1, 21)),
    "no text": ("train", lambda r: r[2].__setitem__(3, " "), "have an empty sentence", ("damage", "train", 1, 20)),
    "durations": ("train", lambda r: r[2].__setitem__(1, 99.0), "have several durations", ("warning", "train", 1, 10)),
    "length 0": ("test", lambda r: r[2].__setitem__(1, 0.0), "duration that is not above 0", ("damage", "test", 1, 3)),
    "leak": ("test", lambda r: r[0].__setitem__(0, "tr03"), "also in the training split", ("damage", "test", 1, 4)),
    "long": ("test", lambda r: r[0].__setitem__(2, [0.0, 10.0]), "as long as their video", ("note", "test", 1, 6)),
    "short": ("test", lambda r: r[0].__setitem__(2, [1.0, 1.01]), "shorter than a hundredth", ("note", "test", 1, 6)),
}


@pytest.mark.parametrize(("split", "edit", "what", "expected"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_what_is_wrong_with_annotations_is_found(corpus: Path, split: str, edit, what: str, expected: tuple) -> None:
    change(corpus, split, edit)
    report = check_data("charades", {"data.annotations": str(corpus)})
    assert found(report, what)[:1] == [expected]
    assert report.damaged == (expected[0] == "damage")
    assert any("no features were named" in note for note in report.notes)


def test_hashed_words_and_words_outside_the_vocabulary(corpus: Path) -> None:
    change(corpus, "train", lambda r: r[0].__setitem__(3, "zebu zebu zebu"))
    (corpus / "glove_charades.npz").unlink()
    report = check(corpus, vocab_size=4)
    assert found(report, "words have a random vector") == [("warning", "", 4, 4)]
    assert "NO WORD VECTORS" in str(report)
    assert found(report, "tokens are not among the 4 words of the vocabulary and are dropped")


def test_exit_codes_and_json(corpus: Path, tmp_path: Path, capsys) -> None:
    command = ["data", "check", "charades", "--annotations", str(corpus), "--quiet", "--size", "ci"]
    features = ["--features", str(corpus / "features.hdf5")]
    assert cli.main([*command, *features, "--json", str(tmp_path / "report.json")]) == 0
    out = capsys.readouterr().out
    record = json.loads((tmp_path / "report.json").read_text())
    assert "nothing damages training" in out
    assert "answers that never look at a video, percent" in out
    assert (record["damaged"], record["features"]["seconds_per_row"], record["files"]["test"]) == (
        False,
        0.5,
        "test.json",
    )
    assert {row["prior"] for row in record["priors_percent"]} >= {"whole video", "best constant window"}
    mutate(corpus, "te00", None)
    assert cli.main([*command, *features]) == 1
    assert "damage  test: 1 of 3 videos have no features (te00)" in capsys.readouterr().out
    assert cli.main([*command, "--features", str(corpus / "no.h5")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "check", "charades", "--annotations", "no/such"], "no/such: there is no such file or folder"),
        (["data", "check", "toy", "--features", "f.h5"], "the data 'toy' read no features from files"),
        (["data", "check", "charades", "--set", "train.lr=3"], "--set takes settings of the data here"),
        (["data", "check", "charades", "--set", "data.clip=3"], "unknown setting 'data.clip'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, arguments: list[str], message: str) -> None:
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_a_source_without_tables_says_so(capsys) -> None:
    assert cli.main(["data", "check", "msvd"]) == 2
    assert "msvd: is checked by training alone" in capsys.readouterr().err


def test_debug_shows_the_traceback_wherever_it_stands(capsys) -> None:
    for arguments in (["data", "--debug", "check", "charades"], ["data", "check", "charades", "--debug"]):
        assert cli.main([*arguments, "--annotations", "no/such"]) == 2
        assert "Traceback" in capsys.readouterr().err


def test_help_has_an_example(capsys) -> None:
    for what in ("check", "pack", "convert"):
        with pytest.raises(SystemExit, match="0"):
            cli.main(["data", what, "--help"])
        assert f"Example: vmlkit data {what} " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("source", ["toy", "planted:charades"])
def test_sources_that_need_no_features(source: str, corpus: Path) -> None:
    given = {} if source == "toy" else {"data.annotations": str(corpus)}
    small = {"data.train_videos": 6, "data.validation_videos": 3, "data.test_videos": 4}
    report = check_data(source, given or small)
    assert not report.damaged
    assert set(report.priors["split"]) >= {"test"}
    assert "best constant window" in str(report)


def test_action_sources(tmp_path: Path) -> None:
    videos = [
        {"name": f"{split}{i}", "subset": split, "duration": 64.0, "labels": ["A"], "segments": [[1.0, 9.0, "A"]]}
        for split, count in (("validation", 6), ("test", 3))
        for i in range(count)
    ]
    videos[-1]["segments"].append([70.0, 80.0, "A"])
    (tmp_path / "thumos14_reduced.json").write_text(json.dumps({"classes": ["A"], "videos": videos}))
    (tmp_path / "f").mkdir()
    rng = np.random.default_rng(0)
    for video in videos[:-1]:
        np.save(tmp_path / "f" / f"{video['name']}.npy", rng.normal(size=(100, 8)).astype(np.float32))
    given = {"data.annotations": str(tmp_path), "data.features": str(tmp_path / "f")}
    report = check_data("thumos14", given)
    assert found(report, "have no features") == [("damage", "test", 1, 3)]
    assert found(report, "segments start after the end of their video") == [("warning", "test", 1, 4)]
    assert report.scan is not None
    assert report.scan.seconds_per_row == pytest.approx(0.64)
    whole = report.priors.set_index("prior").loc["whole video (true classes)"]
    assert 0 < whole["mAP@0.1"] < 100
    assert check_data("thumos14", {"data.annotations": str(tmp_path)}).damaged is False


def write_lines(folder: Path, name: str, lines: list[dict]) -> None:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A folder in the layout of QVHighlights with one kind of features, a row every two seconds."""
    rng = np.random.default_rng(0)
    (tmp_path / "clip_features").mkdir()
    for part, name in (("train", "highlight_train_release"), ("val", "highlight_val_release"), ("test", "x")):
        rows = []
        for i in range(4):
            vid, windows = f"{part}{i}_0_60", [[0, 10], [20, 30]][: 1 + i % 2]
            row = {"qid": len(rows), "query": "a dog runs", "duration": 60, "vid": vid, "relevant_windows": windows}
            rows.append(row | {"relevant_clip_ids": [0], "saliency_scores": [[1, 2, 3]]})
            np.savez(tmp_path / "clip_features" / f"{vid}.npz", features=rng.normal(size=(30, 4)).astype(np.float32))
        write_lines(tmp_path, "highlight_test_with_gt.jsonl" if part == "test" else f"{name}.jsonl", rows)
    return tmp_path


def test_sources_of_json_lines(lines: Path, tmp_path: Path) -> None:
    given = {"data.annotations": str(lines), "data.features": str(lines), "data.kinds": ("clip",)}
    report = check_data("qvhighlights", given)
    assert not report.damaged, str(report)
    assert report.sizes["moments"].to_dict() == {"train": 6, "validation": 6, "test": 6}
    assert report.scan is not None
    assert report.scan.seconds_per_row == 2.0
    assert found(report, "also in the training split, word for word")[0] == ("note", "validation", 4, 4)
    assert set(report.priors["N"]) == {2}  # of four queries, two have one window
    assert "github.com/jayleicn/moment_detr" in str(report)
    (lines / "clip_features" / "test1_0_60.npz").unlink()
    np.savez(lines / "clip_features" / "val0_0_60.npz", features=np.zeros((60, 4), dtype=np.float32))
    broken = check_data("qvhighlights", given)
    assert found(broken, "videos have no features") == [("damage", "test", 1, 4)]
    assert found(broken, "go on after the video") == [("warning", "validation", 1, 4)]
    with pytest.raises(DataError, match=r"github\.com/jayleicn/moment_detr"):
        check_data("qvhighlights", given | {"data.kinds": ("slowfast", "clip")})


def test_lines_without_moments_and_windows_outside(tmp_path: Path) -> None:
    for name in ("tvsum_train.jsonl", "tvsum_val.jsonl"):
        vid = name.removesuffix(".jsonl")
        write_lines(tmp_path, name, [{"qid": vid, "query": "a film", "vid": vid, "duration": 4, "domain": "BK",
                                      "label": [[1], [5]], "relevant_windows": None}])  # fmt: skip
    report = check_data("tvsum", {"data.annotations": str(tmp_path)})
    assert not report.findings
    assert report.priors.empty
    line = {"qid": 1, "query": "a", "vid": "v", "duration": 9, "relevant_windows": [[10, 12]]}
    for part in ("train", "val", "test_iid", "test_ood"):
        write_lines(tmp_path, f"{part}.jsonl", [line | {"vid": part}])
    report = check_data("charades_cd", {"data.annotations": str(tmp_path)})
    assert [f.weight for f in report.findings if "start after" in f.what] == ["warning"] * 4


def test_published_places_are_named_for_every_source_with_files() -> None:
    real = {name.removeprefix("planted:") for name in DATA} - {"toy", *CORPORA}
    assert real <= set(PUBLISHED)
    assert all(set(places) == {"annotations", "features"} for places in PUBLISHED.values())


def test_location_priors_on_activitynet_val_2() -> None:
    folder = find_data("activitynet_captions")
    if folder is None:
        pytest.skip("needs the ActivityNet annotations: set VMLKIT_DATA to the folder that holds activitynet_captions")
    report = check_data("activitynet", {"data.annotations": str(folder)})
    assert not report.damaged
    whole = report.priors.set_index("prior").loc["whole video"]
    assert whole["N"] == 17031
    # a few spans have exactly a tenth or a half of their video, which floating point decides
    for column, percent in {
        "R@1,IoU=0.1": 82.57,
        "R@1,IoU=0.3": 48.02,
        "R@1,IoU=0.5": 21.18,
        "R@1,mIoU": 34.57,
    }.items():
        assert whole[column] == pytest.approx(percent, abs=0.05)
    assert report.window == (0.0, 1.0)


def test_location_priors_on_charades_sta() -> None:
    folder = find_data("charades_sta")
    if folder is None:
        pytest.skip("needs the Charades-STA annotations: set VMLKIT_DATA to the folder that holds charades_sta")
    report = check_data("charades", {"data.annotations": str(folder)})
    assert report.window == (0.0, 0.475)
    best = report.priors.set_index("prior").loc["best constant window"]
    assert best["N"] == 3158
    for column, percent in {"R@1,IoU=0.3": 58.0, "R@1,IoU=0.5": 31.6, "R@1,IoU=0.7": 12.8}.items():
        assert best[column] == pytest.approx(percent, abs=0.05)
