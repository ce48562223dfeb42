"""``vmlkit find`` and ``vmlkit toy-video``: what they print and write, and their errors in one line."""

import csv
import json
import re
from pathlib import Path

import pytest

from vmlkit.cli import main
from vmlkit.data.toyworld.films import make_film
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.errors import ConfigError
from vmlkit.finding.toy_video import write_toy_video
from vmlkit.video.opening import decoder

Film = tuple[Path, ToyVideo]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMLKIT_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)


def test_everything_is_written_at_once(film: Film, cpl_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'notebooks')")
    sentences = [s.text for s in film[1].sentences[:2]]
    files = {"--csv": "a.csv", "--json": "a.json", "--srt": "a.srt", "--edl": "a.edl", "--clips": "clips"}
    files["--page"] = "page.html"
    options = [word for pair in files.items() for word in pair]
    assert main(["find", str(film[0]), *sentences, "--run", str(cpl_run), "--top", "3", *options]) == 0
    said = capsys.readouterr().out
    assert all(f"“{sentence}”" in said for sentence in sentences)
    assert "trained (s, score)" in said
    with open("a.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {row["sentence"] for row in table} == set(sentences)
    assert {row["source"] for row in table} == {"trained", "similarity"}
    assert all(float(row["start"]) <= float(row["end"]) <= 60 for row in table)
    content = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert content["duration"] == pytest.approx(60, abs=0.2)
    assert len(content["sentences"][0]["trained"]) <= 3
    answers = sorted((s["answer"][0], s["answer"][1], s["sentence"]) for s in content["sentences"])
    times = re.findall(r"00:00:(\d\d),(\d\d\d) --> 00:0[01]:(\d\d),(\d\d\d)\n(.+)\n", Path("a.srt").read_text("utf-8"))
    assert [(int(a) + int(b) / 1000, words) for a, b, *_, words in times] == [
        (pytest.approx(start, abs=1e-3), words) for start, _, words in answers
    ]
    cuts = re.findall(r"^\d{3}  AX       V     C        (\S+) (\S+) (\S+) (\S+)$", Path("a.edl").read_text(), re.M)
    assert len(cuts) == 2
    assert cuts[0][2] == "00:00:00:00"
    assert cuts[0][3] == cuts[1][2], "cuts follow one another"
    clips = sorted(Path("clips").iterdir())
    assert len(clips) == 2
    start, end = content["sentences"][0]["answer"]
    assert decoder().probe(clips[0]).duration_s == pytest.approx(end - start, abs=0.3)
    assert Path("film-moments.png").stat().st_size > 5000
    assert Path("page.html").stat().st_size > film[0].stat().st_size


def test_without_a_run_similarity_answers_and_says_so(
    film: Film, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmlkit.finding.finder.tour_run", lambda: None)
    assert main(["find", str(film[0]), film[1].sentences[0].text, "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    assert "no run was given or made by `vmlkit tour`; similarity comes first" in err
    assert "trained" not in out
    assert json.loads(Path("a.json").read_text())["model"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no sentence was given"),
        (("the red circle moves left", "--actions", "RUN"), "--actions lists actions: leave sentences"),
        (("the red circle moves left", "--run", "gone"), "gone"),
        (("the red circle moves left", "--encoder", "gone"), "gone"),
        (("the red circle moves left", "--top", "0"), "at least one answer"),
        (("somebody opens a door",), "has no colour, shape or action of the toy world"),
        (("the red circle moves left", "--checkpoint", "gone.ckpt"), "gone.ckpt: no such checkpoint"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: tuple[str, ...], words: str, film: Film, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(Path().iterdir())
    assert main(["find", str(film[0]), *arguments, "--csv", "a.csv"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in error
    assert error.startswith("vmlkit: ")
    assert set(Path().iterdir()) == before, "nothing is left behind"


def test_toy_video_renders_a_film_with_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy-video", "f.webm", "--seed", "4", "--seconds", "20", "--pixels", "64", "--rate", "4"]) == 0
    said = json.loads(Path("f.json").read_text(encoding="utf-8"))
    film = make_film(4, 20)
    assert [s["sentence"] for s in said["sentences"]] == [s.text for s in film.sentences]
    assert said["duration"] == 20
    assert decoder().probe("f.webm").duration_s == pytest.approx(20, abs=0.3)
    assert film.sentences[0].text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seconds": 5}, "from 20 to 600 seconds"),
        ({"seed": -1}, "at least 0"),
        ({"px": 33}, "even number of pixels"),
        ({"rate": 0}, "from 1 to 60 pictures"),
    ],
)
def test_films_that_cannot_be_rendered_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_toy_video("f.mp4", **settings)  # type: ignore[arg-type]
    assert not list(Path().iterdir())


def test_films_are_in_no_split_and_have_as_many_events_as_minutes_ask(cpl_run: Path) -> None:
    film = make_film(0, 60)
    assert len(film.sentences) == 6
    assert make_film(0, 60) == film
    assert make_film(1, 60) != film
    assert film.video_id == "toy-film-00000"
    assert len(make_film(0, 300).sentences) == 30
