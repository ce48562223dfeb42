"""A passport lies with features, and features of another kind than a run's are refused in a sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from vmlkit.errors import DataError
from vmlkit.video.passport import Passport, passport_path, passports_at, read_passport, require_same, write_passport

ONE = Passport(encoder="clip", revision="abc", rate=0.5, size=224, norm="none", dimension=512, clip_seconds=2.0)


def test_it_lies_inside_a_folder_and_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "a.npz").write_bytes(b"")
    assert passport_path(tmp_path / "store") == tmp_path / "store" / "passport.json"
    assert passport_path(tmp_path / "a.npz") == tmp_path / "a.npz.passport.json"
    for store in (tmp_path / "store", tmp_path / "a.npz"):
        assert read_passport(store) is None
        write_passport(store, ONE)
        assert read_passport(store) == ONE


def test_those_of_several_folders_are_found_by_name(tmp_path: Path) -> None:
    for name in ("clip", "slowfast", "bare"):
        (tmp_path / name).mkdir()
    assert passports_at(tmp_path) == {}
    write_passport(tmp_path / "clip", ONE)
    write_passport(tmp_path / "slowfast", replace(ONE, encoder="slowfast"))
    assert {name: passport.encoder for name, passport in passports_at(tmp_path).items()} == {
        "clip": "clip",
        "slowfast": "slowfast",
    }
    assert passports_at(tmp_path / "absent") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1]", "is no passport of features"), ('{"encoder": "x"}', "is no passport of features"),
     ("{", "is not valid JSON"), (None, "the field 'rate' is \"2\"")],
)  # fmt: skip
def test_what_is_no_passport_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    write_passport(tmp_path, ONE)
    path = tmp_path / "passport.json"
    path.write_text(path.read_text().replace('"rate": 0.5', '"rate": "2"') if content is None else content)
    with pytest.raises(DataError, match=message):
        read_passport(tmp_path)


def test_a_difference_is_named() -> None:
    require_same(ONE, ONE, "features", "runs/a")
    require_same(replace(ONE, encoder="another folder's name"), ONE, "features", "runs/a")
    with pytest.raises(DataError) as caught:
        require_same(replace(ONE, rate=1.0, clip_seconds=1.0), ONE, "features", "runs/a")
    assert str(caught.value) == (
        "features: features are not those that runs/a was trained on: rate is 1.0 here and 0.5 there; clip_seconds is "
        "1.0 here and 2.0 there; extract them with clip, or train on these."
    )
