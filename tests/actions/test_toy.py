"""The toy world as action detection: labels, times, two streams, sentences."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vmlkit.actions.prompts import PromptConfig
from vmlkit.actions.toy import (
    TOY_CLASS_TEXTS,
    appearance_columns,
    project_halves,
    toy_action_splits,
)
from vmlkit.data.toyworld import ACTIONS, ToyConfig, make_video, toy_splits
from vmlkit.data.toyworld.features import RAW_DIM, Scaler
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.errors import ConfigError

CONFIG = ToyConfig(train_videos=12, validation_videos=3, test_videos=4, clips=32, feature_dim=32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def splits(cache: Path):
    return toy_action_splits(CONFIG, cache, progress=False, processes=1)


def test_labels_and_instances_are_those_of_the_scripts(splits) -> None:
    for split, data in splits.items():
        assert data.classes == ACTIONS
        for i, name in enumerate(data.video_ids):
            script = make_video(CONFIG, split, i)
            assert name == script.video_id
            spans, labels = data.truth.of(i)
            assert spans.tolist() == [list(event.span_s) for event in script.events]
            assert labels.tolist() == [event.action_id for event in script.events]
            assert torch.nonzero(data.labels[i])[:, 0].tolist() == sorted(set(labels.tolist()))
            assert data.snippet_s[i] * 32 == pytest.approx(script.duration_s)


def test_a_batch_has_two_streams_and_a_sentence(splits) -> None:
    data = splits["train"]
    batch = data.batch([0, 5])
    assert batch.frames.shape == (2, 32, 32)
    assert batch.frames.dtype == torch.float32
    for row in range(2):
        words = [data.vocabulary.word(int(w)) for w in batch.word_ids[row] if w]
        for label in torch.nonzero(batch.labels[row])[:, 0].tolist():
            for word in TOY_CLASS_TEXTS[ACTIONS[label]].split():
                assert word in words
    assert data.class_vectors.shape == (12, 2, 48)
    assert (data.vectors[0] == 0).all()


def test_class_texts_are_words_of_the_toy_world() -> None:
    assert tuple(TOY_CLASS_TEXTS) == ACTIONS
    for text in TOY_CLASS_TEXTS.values():
        assert len(text.split()) == 2
        assert set(text.split()) <= set(LEXICON)
    assert len(set(TOY_CLASS_TEXTS.values())) == 12


def test_streams_do_not_mix() -> None:
    looks = appearance_columns()
    assert len(looks) == RAW_DIM
    assert looks.sum() == RAW_DIM // 2
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(3, 5, RAW_DIM)).astype(np.float32)
    scaler = Scaler.fit(raw)
    before = project_halves(scaler, raw, 16)
    raw[..., ~looks] += 1.0
    after = project_halves(scaler, raw, 16)
    np.testing.assert_array_equal(before[..., :8], after[..., :8])
    assert (before[..., 8:] != after[..., 8:]).any()


def test_still_actors_move_the_second_stream_less() -> None:
    """In time lines without motion, the motion columns are those of a blank frame."""
    from vmlkit.data.toyworld import frame_features

    frames = np.full((6, 32, 32, 3), 40, dtype=np.uint8)
    frames[:, 10:16, 10:16] = (230, 25, 25)
    columns = frame_features(frames)
    looks = appearance_columns()
    assert np.abs(columns[:, looks]).max() > 0.1
    np.testing.assert_allclose(columns[:, ~looks], 0, atol=1e-6)


def test_the_second_time_comes_from_the_cache_and_serves_the_sentence_task(cache: Path, splits, monkeypatch) -> None:
    monkeypatch.setattr("vmlkit.actions.toy.raw_features", None)
    monkeypatch.setattr("vmlkit.data.toyworld.dataset.raw_features", None)
    again = toy_action_splits(CONFIG, cache, progress=False)
    for split, data in splits.items():
        torch.testing.assert_close(again[split].rows, data.rows)
        assert again[split].fingerprint == data.fingerprint
    assert len(toy_splits(CONFIG, cache, progress=False)["test"]) > 4


def test_settings_change_sentences_and_fingerprint(cache: Path, splits) -> None:
    glued = toy_action_splits(CONFIG, cache, progress=False, prompt=PromptConfig(template="a ", join="released"))
    assert glued["train"].fingerprint != splits["train"].fingerprint
    several = int((glued["train"].labels.sum(1) > 1).nonzero()[0, 0])
    assert glued["train"].word_mask[several].sum() < splits["train"].word_mask[several].sum()


def test_an_odd_number_of_columns_is_refused(cache: Path) -> None:
    with pytest.raises(ConfigError, match="must be even"):
        toy_action_splits(ToyConfig(feature_dim=33), cache)


def test_film_strips_are_drawn_from_the_scripts(splits) -> None:
    data = splits["test"]
    assert data.film_strip(data.video_ids[0], 5, 32).shape == (5, 32, 32, 3)
