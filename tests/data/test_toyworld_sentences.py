"""Sentences of the toy world: vocabulary, tags, roles, truth, word vectors."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from vmlkit.data.toyworld import (
    ToyConfig,
    ToySentence,
    make_video,
    toy_sentences,
    toy_vocabulary,
    word_vector,
    word_vectors,
)
from vmlkit.data.toyworld.dataset import mask_weights
from vmlkit.data.toyworld.grammar import NounPhrase, Wording
from vmlkit.data.toyworld.lexicon import LEXICON, OBJECT, VERB_PHRASES
from vmlkit.data.toyworld.world import ACTORS
from vmlkit.errors import DataError

CONFIG = ToyConfig()
SUBJECT = r"S{2,4}"


@pytest.fixture(scope="module")
def sentences() -> list[ToySentence]:
    return toy_sentences(CONFIG, "train")


def cosine(a: str, b: str) -> float:
    x, y = word_vector(a), word_vector(b)
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def test_counts_and_lengths(sentences: list[ToySentence]) -> None:
    lengths = [len(s.tokens) for s in sentences]
    assert len(sentences) == pytest.approx(2011, abs=60)
    assert np.mean(lengths) == pytest.approx(6.3, abs=0.15)
    assert max(lengths) == 10
    assert len({s.text for s in sentences}) / len(sentences) == pytest.approx(0.92, abs=0.03)
    assert len({s.query_id for s in sentences}) == len(sentences)


def test_the_vocabulary_is_the_lexicon_and_all_of_it_is_used(sentences: list[ToySentence]) -> None:
    vocabulary = toy_vocabulary()
    assert len(vocabulary.words) == 101
    assert {word for s in sentences for word in s.tokens} == set(vocabulary.words)


def test_tags_follow_the_word(sentences: list[ToySentence]) -> None:
    assert all(s.tags == tuple(LEXICON[word].tag for word in s.tokens) for s in sentences)
    expected = {
        "the": "DT", "disc": "NN", "screen": "NN", "crimson": "JJ", "little": "JJ", "bigger": "JJR", "slides": "VBZ",
        "blink": "VB", "chasing": "VBG", "left": "RB", "repeatedly": "RB", "into": "IN", "and": "CC",
    }  # fmt: skip
    assert {word: LEXICON[word].tag for word in expected} == expected
    assert {entry.tag for entry in LEXICON.values()} == set(expected.values())


def test_roles_are_a_subject_a_verb_and_where_there_is_one_an_object(sentences: list[ToySentence]) -> None:
    for s in sentences:
        pattern = rf"{SUBJECT}V+" if len(s.actor_ids) == 1 else rf"{SUBJECT}V+OOOV?"
        assert re.fullmatch(pattern, "".join(s.roles)), s.text
        assert len(s.tokens) == len(s.tags) == len(s.roles)


def test_words_name_the_actors_and_their_colours(sentences: list[ToySentence]) -> None:
    for s in sentences:
        for role, actor_id in zip("SO", s.actor_ids, strict=False):
            concepts = [LEXICON[w].concept for w, r in zip(s.tokens, s.roles, strict=True) if r == role]
            actor = ACTORS[actor_id]
            assert [c for c in concepts if c.startswith("shape:")] == [f"shape:{actor.shape}"]
            assert [c for c in concepts if c.startswith("color:")] in ([], [f"color:{actor.color}"])
        assert tuple(s.tokens) == s.wording.tokens


def test_size_words_are_true_and_colours_are_dropped_only_where_nothing_is_lost() -> None:
    sized = dropped = 0
    for video in (make_video(CONFIG, "train", i) for i in range(400)):
        for s in video.sentences:
            event, subject = video.events[s.event], s.wording.subject
            assert s.span_s == event.span_s
            assert s.action_id == event.action_id
            if subject.size is not None:
                sized += 1
                assert event.action not in ("grow", "shrink")
                assert event.radius < 0.10 if subject.size in ("small", "little") else event.radius > 0.15
            if subject.color is None:
                dropped += 1
                alike = [e for e in video.events if (e.actor.shape, e.action) == (event.actor.shape, event.action)]
                assert alike == [event]
    assert sized > 50
    assert dropped > 50


def test_phrases_and_synonyms_are_all_drawn(sentences: list[ToySentence]) -> None:
    uses = {(s.wording.action, s.wording.phrasing) for s in sentences}
    assert uses == {(action, i) for action in VERB_PHRASES for i in range(4)}
    reds = [w for s in sentences for w in s.tokens if w in ("red", "crimson")]
    assert reds.count("crimson") / len(reds) == pytest.approx(0.25, abs=0.06)
    rounds = [w for s in sentences for w in s.tokens if w in ("circle", "ball", "disc")]
    assert [rounds.count(w) / len(rounds) for w in ("ball", "disc")] == pytest.approx([0.2, 0.2], abs=0.06)


def test_an_object_in_the_middle_of_a_verb_phrase() -> None:
    assert OBJECT in VERB_PHRASES["bump"][3]
    wording = Wording(
        subject=NounPhrase(det="a", shape="star"),
        action="bump",
        phrasing=3,
        object=NounPhrase(det="the", color="blue", shape="box"),
    )
    assert " ".join(wording.tokens) == "a star knocks the blue box away"
    assert "".join(wording.roles) == "SSVOOOV"


def test_mask_weights_follow_the_reference_rule() -> None:
    weights = mask_weights(("DT", "JJ", "NN", "VBZ", "IN", "RB", "CC", "JJR"))
    assert weights.sum() == pytest.approx(1)
    content = [True * (i in (1, 2, 3, 5, 7)) for i in range(8)]
    assert weights / weights[0] == pytest.approx([np.e if c else 1.0 for c in content])


def test_vectors_of_synonyms_are_near_and_of_other_meanings_are_not() -> None:
    assert word_vectors().shape == (102, 48)
    assert not word_vectors()[0].any()
    near = [cosine("circle", "ball"), cosine("red", "crimson"), cosine("blinks", "flashing")]
    kin = [cosine("circle", "square"), cosine("red", "blue"), cosine("left", "right")]
    strangers = [cosine("red", "circle"), cosine("spins", "yellow")]
    assert min(near) > 0.65 > 0.5 > max(kin)
    assert max(np.abs(strangers)) < 0.45
    assert np.linalg.norm(word_vectors()[1:], axis=1).mean() == pytest.approx(4.8, abs=0.5)


def test_vectors_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = "from vmlkit.data.toyworld import word_vector; print(repr(float(word_vector('hoop').sum())))"
    values = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        values.add(done.stdout.strip() or done.stderr)
    assert values == {repr(float(word_vector("hoop").sum()))}


def test_a_word_outside_the_lexicon_is_refused() -> None:
    with pytest.raises(DataError, match="zebra"):
        word_vector("zebra")
