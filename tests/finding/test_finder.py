"""A sentence asked of a file: right answers, one encoding, and one sentence for each thing that is wrong."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.finding.conftest import trained
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.errors import ConfigError, DataError
from vmlkit.finding.actions import find_actions
from vmlkit.finding.attention import word_attention
from vmlkit.finding.finder import Finder, tour_run
from vmlkit.finding.moments import COLUMNS
from vmlkit.finding.pictures import draw_answers, film_strip
from vmlkit.spans import hull_iou
from vmlkit.video.writing import write_video
from vmlkit.viz.moments import draw_word_attention

Film = tuple[Path, ToyVideo]


def test_similarity_finds_the_sentences_of_a_film(finder: Finder, film: Film) -> None:
    """Nothing trained on this world or film: the first window of at least five of six sentences is right."""
    sentences = film[1].sentences
    answers = finder.ask_all([s.text for s in sentences])
    right = [
        hull_iou(found.similarity[0, :2], np.array(said.span_s)) > 0.5
        for found, said in zip(answers, sentences, strict=True)
    ]
    assert len(right) == 6
    assert sum(right) >= 5


def test_trained_answers_are_ranked_and_lie_in_the_video(finder: Finder, film: Film) -> None:
    found = finder.ask(film[1].sentences[0].text, top=7)
    assert 2 <= len(found.trained) <= 7
    assert (found.trained[:, 0] <= found.trained[:, 1]).all()
    assert found.trained[:, :2].min() >= 0
    assert found.trained[:, :2].max() <= 60
    assert found.trained[:, 1].max() > 31, "windows behind the first one answer too"
    assert (np.diff(found.trained[:, 2]) <= 0).all()
    assert list(found.frame.columns) == list(COLUMNS)
    assert found.best == tuple(found.trained[0, :2]), "a run that was named gives the answer"
    assert found.model == "cpl, cpl"
    assert "trained" in str(found)
    assert "similarity" in str(found)


def test_asking_again_gives_the_same_and_order_does_not_matter(finder: Finder, film: Film) -> None:
    one, two = (s.text for s in film[1].sentences[:2])
    first, second = finder.ask_all([one, two])
    np.testing.assert_allclose(finder.ask(two).similarity, second.similarity)
    np.testing.assert_allclose(finder.ask(one).similarity, first.similarity)
    np.testing.assert_array_equal(finder.ask_all([one, two])[1].trained, second.trained)


def test_a_video_is_encoded_once_whatever_its_name(cpl_run: Path, film: Film, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = Finder(cpl_run, cache_dir=cache, device="cpu").encode(film[0])
    (kept,) = cache.glob("video-*.npz")
    stamp = kept.stat().st_mtime_ns
    os.link(film[0], tmp_path / "renamed.mp4")
    again = Finder(cpl_run, cache_dir=cache, device="cpu")
    np.testing.assert_array_equal(again.encode(tmp_path / "renamed.mp4").rows, first.rows)
    assert kept.stat().st_mtime_ns == stamp
    kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(again.encode(film[0]).rows, first.rows)
    assert len(list(cache.iterdir())) == 1


def test_unknown_words_are_named(finder: Finder) -> None:
    found = finder.ask("the zebra and the red circle move left")
    assert found.unknown == ("zebra", "move")
    assert "passed over: zebra, move" in str(found)
    without = Finder(cache_dir=finder.cache_dir)
    assert without._unknown("the zebra slides") == ("zebra",)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("somebody opens a door", "the sentence 'somebody opens a door' has no colour, shape or action"),
        ("?!", "the sentence '?!': has no word"),
    ],
)
def test_a_sentence_without_a_known_word_is_refused(finder: Finder, sentence: str, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)):
        finder.ask(sentence)


def test_what_is_no_video_is_refused_and_leaves_nothing(cpl_run: Path, tmp_path: Path) -> None:
    finder = Finder(cpl_run, cache_dir=tmp_path / "cache", device="cpu")
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match=r"notes.mp4: is no video"):
        finder.encode(text)
    with pytest.raises(DataError, match=r"gone.mp4: there is no such file"):
        finder.encode(tmp_path / "gone.mp4")
    short = write_video(tmp_path / "short.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 2, 10)
    with pytest.raises(DataError, match=r"short.mp4: lasts 0.2 s, shorter than one clip"):
        finder.encode(short)
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(DataError, match=r"real.mp4: does not show the toy world"):
        finder.encode(write_video(tmp_path / "real.mp4", noise, 4))
    assert not list(tmp_path.glob("cache/*"))
    with pytest.raises(ConfigError, match="no video was encoded"):
        finder.ask("the red circle")


def test_a_run_and_a_checkpoint_exclude_each_other(cpl_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave one of --run and --checkpoint out"):
        Finder(cpl_run, checkpoint=tmp_path / "x.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cnm", "lnp-pps", "qd-detr", "p4-qd-detr"])
def test_every_family_of_moments_answers(method: str, runs: Path, film: Film, cache: Path) -> None:
    finder = Finder(trained(method, runs / method), cache_dir=cache, device="cpu")
    finder.encode(film[0])
    found = finder.ask(film[1].sentences[1].text)
    assert 1 <= len(found.trained) <= 5
    assert np.isfinite(found.trained).all()


@pytest.mark.slow
def test_actions_are_listed(runs: Path, film: Film, cache: Path, cpl_run: Path) -> None:
    run = trained("co2net", runs / "co2net", **{"train.warmup_updates": 0})
    found = find_actions(film[0], run, top=6, cache_dir=cache, device="cpu")
    assert 1 <= len(found.frame) <= 6
    assert found.frame.start.min() >= 0
    assert found.frame.end.max() <= 60.1
    assert (np.diff(found.frame.score) <= 0).all()
    assert "actions by co2net" in str(found)
    with pytest.raises(ConfigError, match=r"does not look for moments in a video: use --actions"):
        Finder(run, cache_dir=cache)
    with pytest.raises(ConfigError, match="detects no actions: ask it a sentence with --run"):
        find_actions(film[0], cpl_run, cache_dir=cache)


def test_the_tour_is_found_from_a_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "00_tour"
    run.mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert tour_run() == run


def test_attention_of_each_word_covers_the_video(finder: Finder, film: Film) -> None:
    said = film[1].sentences[0]
    looks = word_attention(finder, f"{said.text} zebra")
    assert looks.words == said.tokens
    assert looks.weights.shape == (len(said.tokens), 240)
    assert (looks.weights > 0).all()
    np.testing.assert_allclose(looks.weights.mean(), 1, atol=0.1)
    with pytest.raises(ConfigError, match="needs a run of CNM, CPL, PPS or LNP"):
        word_attention(Finder(cache_dir=finder.cache_dir), said.text)


def test_pictures_have_a_lane_a_sentence_and_a_row_a_word(finder: Finder, film: Film) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'notebooks')")
    answers = finder.ask_all([s.text for s in film[1].sentences[:2]])
    info = finder.encode(film[0]).info
    figure = draw_answers(film[0], info, answers, [s.span_s for s in film[1].sentences[:2]])
    assert len(figure.axes) == 3
    start, end = answers[0].best
    assert f"{start:.1f}–{end:.1f} s" in {t.get_text() for t in figure.axes[1].texts}
    strip = film_strip(film[0], info, 6, 32)
    assert strip.shape == (6, 32, 32, 3)
    rows = draw_word_attention(strip, 60, ["a", "star"], np.ones((2, 10)))
    assert [t.get_text() for t in rows.axes[1].get_yticklabels()] == ["a", "star"]
    with pytest.raises(DataError, match="give a row for each word"):
        draw_word_attention(strip, 60, ["a"], np.ones((2, 10)))
