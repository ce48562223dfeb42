"""Every known kind of defect is counted, planted ones and those of the real annotations."""

import os
from pathlib import Path

import pytest

from vmlkit.actions.label_report import label_report
from vmlkit.actions.thumos import read_actions
from vmlkit.actions.videos import ActionAnnotations, ActionVideo
from vmlkit.cli import main


def real() -> ActionAnnotations:
    path = Path(os.environ.get("VMLKIT_DATA", "")) / "thumos14"
    if not path.is_dir():
        pytest.skip("needs the THUMOS14 annotations: thumos14 below $VMLKIT_DATA")
    return read_actions(path)


def video(name: str, subset: str = "test", **fields) -> ActionVideo:
    given = {"duration": 10.0, "labels": ("Diving",), "segments": ((1.0, 3.0, "Diving"),), "in_gt_json": True}
    return ActionVideo(video_id=name, subset=subset, **{**given, **fields})


def report_of(*videos: ActionVideo):
    return label_report(
        ActionAnnotations(path=Path("x"), layout="reduced", classes=("CliffDiving", "Diving"), videos=videos)
    )


@pytest.mark.parametrize(
    ("kind", "count", "bad"),
    [
        ("label_mismatch", 1, video("bad", labels=("CliffDiving",))),
        ("no_label", 1, video("bad", labels=())),
        ("no_segment", 1, video("bad", segments=())),
        ("not_in_gt_json", 1, video("bad", in_gt_json=False)),
        ("beyond_end", 1, video("bad", segments=((1.0, 10.06, "Diving"),))),
        ("shorter_than_snippet", 1, video("bad", segments=((1.0, 1.6, "Diving"),))),
        ("no_length_in_snippets", 1, video("bad", segments=((1.0, 1.1, "Diving"),))),
        ("two_classes_at_once", 2, video("bad", segments=((1.0, 3.0, "Diving"), (1.0, 3.0, "CliffDiving")))),
        ("glued_prompt", 1, video("bad", "validation", labels=("CliffDiving", "Diving"))),
    ],
)
def test_a_planted_defect_is_found_where_it_is(kind: str, count: int, bad: ActionVideo) -> None:
    good = (video("fine"), video("fine too", "validation"))
    assert report_of(*good).count(kind) == 0
    assert report_of(*good).lines() == []
    found = report_of(*good, bad)
    assert found.count(kind) == count
    finding = next(f for f in found.findings if f.kind == kind)
    assert finding.where == ("bad",)
    assert "bad" in "\n".join(found.lines())


def test_an_end_within_the_tolerance_is_fine() -> None:
    assert report_of(video("v", segments=((1.0, 10.04, "Diving"),))).count("beyond_end") == 0


def test_what_a_file_does_not_say_is_not_counted_as_fine() -> None:
    text = str(report_of(video("v", duration=None, in_gt_json=None)))
    assert "not known how many videos are missing from gt.json" in text
    assert "not known how many segments end more than 0.05 s after their video" in text


def test_the_known_defects_of_thumos14() -> None:
    report = label_report(real())
    expected = {
        "label_mismatch": 28,
        "no_label": 1,
        "no_segment": 0,
        "not_in_gt_json": 2,
        "beyond_end": 30,
        "shorter_than_snippet": 175,
        "no_length_in_snippets": 17,
        "glued_prompt": 21,
    }
    assert {kind: report.count(kind) for kind in expected} == expected
    mismatch = next(f for f in report.findings if f.kind == "label_mismatch")
    assert sum("validation" in name for name in mismatch.where) == 8
    assert report.inventory[0].startswith("validation: 200 videos, 3007 segments")
    assert report.inventory[1].startswith("test: 212 videos, 3358 segments")


def test_the_command_prints_the_report(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"classes": ["Diving"], "videos": [{"name": "v", "subset": "test", "duration": 5.0,'
        ' "labels": [], "segments": [[1.0, 2.0, "Diving"]]}]}'
    )
    assert main(["labels", str(path)]) == 0
    assert "1 of 1 videos have no video-level label (v)" in capsys.readouterr().out
    assert main(["labels", str(tmp_path / "nothing.json")]) == 2
    assert "there is no such file" in capsys.readouterr().err
