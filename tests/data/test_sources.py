"""From a data configuration to three resident splits: toy, planted and real features."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.text.encoders import save_encoder
from vmlkit.config import from_dict, to_dict, with_overrides
from vmlkit.data import sources
from vmlkit.data.annotations.charades import read_annotations
from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.corpus import sample, set_aside
from vmlkit.data.features import open_features
from vmlkit.data.planted import PlantedConfig
from vmlkit.data.settings import CorpusData, DataConfig, PlantedData, ToyData, planted_charades_reduced
from vmlkit.data.sources import MOMENTS, Splits
from vmlkit.errors import ConfigError, DataError
from vmlkit.text import tagging
from vmlkit.text.embeddings import read_word_vectors
from vmlkit.text.sentence_features import EncoderStates
from vmlkit.text.tagging import TaggedSentence, matches_sentence, read_tagged, tag_sentences
from vmlkit.text.vocabulary import Vocabulary


def load(config: DataConfig, **options: object) -> Splits[MomentDataset]:
    return sources.load(config, **{"progress": False, **options})


def planted(corpus: Path, **settings: object) -> PlantedData:
    return PlantedData(annotations=str(corpus), clips=16, validation_share=0.2, **settings)


def real(corpus: Path, **settings: object) -> CorpusData:
    path = str(settings.pop("features", corpus / "features.hdf5"))
    return CorpusData(name="charades", annotations=str(corpus), features=path, clips=16, **settings)


def test_splits_share_no_video_and_validation_comes_from_training(corpus: Path) -> None:
    splits = load(planted(corpus))
    videos = [set(d.video_ids) for d in (splits.train, splits.validation, splits.test)]
    assert [len(v) for v in videos] == [8, 2, 3]
    assert len(set.union(*videos)) == 13
    assert {q.split("/")[0] for q in splits.validation.query_ids} == {"train"}
    assert {q.split("/")[0] for q in splits.test.query_ids} == {"test"}
    assert len(splits.train) + len(splits.validation) == 20


def test_a_split_is_what_the_batches_need(corpus: Path) -> None:
    split = load(planted(corpus, planted=PlantedConfig(dim=24))).train
    assert split.frames.shape == (8, 16, 24)
    assert split.film_strip is None
    assert len(split.vocabulary) == 9
    assert split.vectors.shape == (9, 12)
    assert split.vectors[0].abs().max() == 0
    batch = split.batch([0, 1, 5])
    assert batch.frames.shape == (3, 16, 24)
    assert batch.word_mask.sum(1).tolist() == [4, 4, 4]
    assert torch.allclose(batch.word_weights.sum(1), torch.ones(3))
    assert [split.vocabulary.word(i) for i in batch.word_ids[0].tolist()] == ["person", "opens", "a", "door"]
    assert batch.spans is None
    assert split.spans[0].tolist() == pytest.approx([1.0 / split.durations[0], 4.5 / split.durations[0]])


def test_splits_are_deterministic_and_fingerprints_follow_the_content(corpus: Path) -> None:
    first, again = load(planted(corpus)), load(planted(corpus))
    assert torch.equal(first.train.frames, again.train.frames)
    assert first.train.fingerprint == again.train.fingerprint
    for changed in (
        planted(corpus, planted=PlantedConfig(sigma=2.0)),
        planted(corpus, seed=1),
        planted(corpus, vocab_size=7),
    ):
        assert load(changed).train.fingerprint != first.train.fingerprint


def test_reduced_sizes_are_seeded_samples(corpus: Path) -> None:
    full = load(planted(corpus))
    small = load(planted(corpus, max_train_queries=5, max_validation_queries=1, max_test_queries=4))
    assert [len(d) for d in (small.train, small.validation, small.test)] == [5, 1, 4]
    assert set(small.train.query_ids) < set(full.train.query_ids)
    assert set(small.test.query_ids) < set(full.test.query_ids)
    assert len(small.train.frames) == len(set(small.train.video_ids))  # features of the used videos only
    row = small.train.video_index[0]
    at = full.train.video_index[full.train.query_ids.index(small.train.query_ids[0])]
    assert torch.equal(small.train.frames[row], full.train.frames[at])


def test_no_video_is_on_both_sides_of_what_is_set_aside() -> None:
    videos = tuple(f"v{i % 8}" for i in range(40))
    fit, held = set_aside(videos, 0.25, 3)
    sides = [{videos[i] for i in side} for side in (fit, held)]
    assert len(sides[1]) == 2
    assert not sides[0] & sides[1]
    assert sorted([*fit.tolist(), *held.tolist()]) == list(range(40))
    assert held.tolist() != set_aside(videos, 0.25, 4)[1].tolist()


def test_a_video_remains_on_each_side() -> None:
    for share in (0.01, 0.99):
        fit, held = set_aside(["b", "a", "b"], share, 0)
        assert sorted([*fit.tolist(), *held.tolist()]) == [0, 1, 2]
        assert min(len(fit), len(held)) == 1
    with pytest.raises(DataError, match="there is only one, and validation videos are set aside"):
        set_aside(["a", "a"], 0.5, 0)


def test_one_query_of_each_split_and_one_clip(corpus: Path) -> None:
    one = {"max_train_queries": 1, "max_validation_queries": 1, "max_test_queries": 1}
    for config in (planted(corpus, **one), real(corpus, **one)):
        splits = load(dataclasses.replace(config, clips=1))
        assert [part.frames.shape[:2] for part in (splits.train, splits.validation, splits.test)] == [(1, 1)] * 3


def test_durations_are_refused_where_the_files_hold_them(corpus: Path) -> None:
    with pytest.raises(DataError, match=r"train\.json: holds durations itself; leave 'durations' out"):
        load(planted(corpus, durations="seconds.csv"))


def test_sample_is_ordered_and_keyed() -> None:
    positions = np.arange(100)
    chosen = sample(positions, 10, 0, 1)
    assert len(set(chosen.tolist())) == 10
    assert chosen.tolist() == sorted(chosen.tolist())
    assert chosen.tolist() != sample(positions, 10, 0, 2).tolist()
    assert sample(positions, None, 0).tolist() == positions.tolist() == sample(positions, 100, 0).tolist()


def test_real_features_from_file_and_folder(corpus: Path, tmp_path: Path) -> None:
    by_file = load(real(corpus))
    by_folder = load(real(corpus, features=corpus / "arrays"), cache_dir=tmp_path / "cache")
    cached = load(real(corpus, features=corpus / "arrays"), cache_dir=tmp_path / "cache")
    assert by_file.train.frames.shape[1:] == (16, 6)
    assert torch.equal(by_file.train.frames, by_folder.train.frames)
    assert by_file.train.fingerprint == by_folder.train.fingerprint == cached.train.fingerprint
    half = load(real(corpus, feature_dtype="float16"))
    assert half.train.frames.dtype == torch.float16
    assert half.train.batch([0]).frames.dtype == torch.float32


def test_dropped_tokens_are_counted(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # the three most frequent words: person, a, door
    splits = sources.load(planted(corpus, vocab_size=3), progress=False)
    line = "40 of 64 tokens are not among the 3 words of the vocabulary and are dropped"
    assert str(splits.left_out[0]) == f"train: {line}"
    assert f"planted:charades/train: {line}" in capsys.readouterr().err.splitlines()


def test_long_sentences_are_cut_before_the_softmax() -> None:
    long = TaggedSentence(("a",) * 30, ("NN",) * 25 + ("DT",) * 5)
    words = encode_sentences([long, TaggedSentence(("a", "b", "zebu"), ("DT", "NN", "NN"))], Vocabulary(("a", "b")), 20)
    assert words.word_ids.shape == (2, 20)
    assert words.truncated == 1
    assert words.dropped == 1
    assert words.word_weights[0].tolist() == pytest.approx([1 / 20] * 20)
    assert float(words.word_weights[1, 1] / words.word_weights[1, 0]) == pytest.approx(np.e, rel=1e-5)


def test_real_features_do_without_word_vectors_and_say_so_even_when_quiet(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(real(corpus), progress=False)
    assert "words: " not in capsys.readouterr().err
    (corpus / "glove_charades.npz").unlink()
    splits = load(real(corpus), progress=False)
    assert splits.words is not None
    assert splits.words.line.startswith("NO WORD VECTORS: all 8 words have random ones")
    assert splits.words.line in capsys.readouterr().err
    assert splits.account()["words"] == splits.words.line
    assert splits.train.vectors.shape == (9, 300)
    (corpus / "v.txt").write_text("door 1 2\na 3 4\n")
    splits = load(real(corpus, word_vectors=str(corpus / "v.txt")))
    assert splits.train.vectors.shape == (9, 2)
    assert splits.train.vectors[splits.train.vocabulary.ids(["door"])[0]].tolist() == [1, 2]
    assert splits.words is not None
    assert splits.words.random
    assert "6 of 8 words have NO VECTOR" in splits.words.line


def test_the_folder_may_come_from_the_environment(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = corpus.parent / "data"
    moved.mkdir()
    (moved / "charades_sta").symlink_to(corpus)
    monkeypatch.setenv("VMLKIT_DATA", str(moved))
    config = dataclasses.replace(planted(corpus), annotations=None)
    assert load(config).train.fingerprint == load(planted(corpus)).train.fingerprint
    file = dataclasses.replace(planted(corpus), annotations=str(corpus / "train.json"))
    assert load(file).train.fingerprint == load(planted(corpus)).train.fingerprint


def test_original_text_layout(corpus: Path) -> None:
    before = load(real(corpus))
    for split in ("train", "test"):
        rows = json.loads((corpus / f"{split}.json").read_text())
        text = "\n".join(f"{v} {s} {e}##{sentence}" for v, _, (s, e), sentence in rows)
        (corpus / f"charades_sta_{split}.txt").write_text(text)
        table = "\n".join(dict.fromkeys(f"{v},{d}" for v, d, *_ in rows))
        (corpus / f"Charades_v1_{split}.csv").write_text("id,length\n" + table)
        (corpus / f"{split}.json").unlink()
    assert load(real(corpus)).train.fingerprint == before.train.fingerprint


def test_fresh_tags_are_made_once(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (corpus / "tokens_pos.jsonl.gz").unlink()
    calls = []

    def tag(sentences: list[str], *, progress: bool) -> list[TaggedSentence]:
        calls.append(len(sentences))
        return [TaggedSentence(tuple(s.lower().split()), ("NN",) * len(s.split())) for s in sentences]

    monkeypatch.setattr("vmlkit.data.corpus.tag_sentences", tag)
    first = load(planted(corpus), cache_dir=tmp_path / "cache")
    second = load(planted(corpus), cache_dir=tmp_path / "cache")
    assert calls == [20, 6]
    assert first.train.fingerprint == second.train.fingerprint
    for kept in (tmp_path / "cache").glob("tags-*.json.gz"):
        kept.write_bytes(kept.read_bytes()[:-9])
    third = load(planted(corpus), cache_dir=tmp_path / "cache")
    assert calls == [20, 6, 20, 6], "damaged files are written anew"
    assert third.train.fingerprint == first.train.fingerprint


def test_toy_world() -> None:
    config = ToyData(clips=16, train_videos=4, validation_videos=2, test_videos=2, max_test_queries=3, feature_dim=24)
    assert config.toy.clips == 16
    splits = load(config)
    assert splits.train.frames.shape == (4, 16, 24)
    assert len(splits.test) == 3
    assert not set(splits.train.video_ids) & set(splits.test.video_ids)


def test_settings_survive_json_and_refuse_nonsense() -> None:
    config = planted_charades_reduced("somewhere")
    assert from_dict(MOMENTS.settings, to_dict(config)) == config
    assert (config.name, config.vocab_size, config.max_train_queries, config.max_test_queries, config.clips) == (
        "planted:charades", 300, 3200, 600, 64,
    )  # fmt: skip
    assert with_overrides(config, {"planted.sigma": 2}).planted.sigma == 2.0
    for override in (
        {"clips": 0},
        {"validation_share": 1.0},
        {"name": "youcook"},
        {"planted.fps": 0.0},
        {"sead": 1},
        {"seed": -1},
        {"planted.seed": -1},
    ):
        with pytest.raises(ConfigError):
            with_overrides(config, override)


def test_annotations_given_as_objects(corpus: Path) -> None:
    rows = read_annotations(corpus / "train.json")[:4]
    words = encode_sentences([TaggedSentence(("door",), ("NN",))] * 4, Vocabulary(("door",)))
    with open_features(corpus / "features.hdf5") as features:
        split = build_dataset("mine", rows, words, features, Vocabulary(("door",)), torch.zeros(2, 5), clips=4)
    assert split.query_ids == ("mine/0", "mine/1", "mine/2", "mine/3")
    assert split.frames.shape == (2, 4, 6)
    assert split.video_index.tolist() == [0, 0, 1, 1]


def test_reduced_planted_charades(charades_folder: Path) -> None:
    splits = load(planted_charades_reduced(str(charades_folder)))
    assert [len(d) for d in (splits.train, splits.validation, splits.test)] == [3200, 300, 600]
    assert splits.train.frames.shape[1:] == (64, 128)
    assert len(splits.train.vocabulary) == 301
    assert splits.train.vocabulary.words[:4] == (".", "person", "a", "the")
    assert splits.train.vectors.shape == (301, 300)
    width = np.diff(splits.train.spans, axis=1).mean()
    assert width == pytest.approx(0.27, abs=0.01)


def test_real_tokens(charades_folder: Path) -> None:
    pytest.importorskip("nltk")
    pytest.importorskip("textblob")
    stored = read_tagged(charades_folder / "tokens_pos.jsonl.gz")
    rows = read_annotations(charades_folder / "test.json")
    expected = [stored["test", row.row] for row in rows]
    assert all(matches_sentence(tags, row.sentence) for tags, row in zip(expected, rows, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whichever tagger is installed here
        made = tag_sentences([row.sentence for row in rows])
    assert [m.tokens for m in made] == [e.tokens for e in expected]
    pairs = [(a, b) for m, e in zip(made, expected, strict=True) for a, b in zip(m.tags, e.tags, strict=True)]
    same = np.mean([tagging.masking_weight(a) == tagging.masking_weight(b) for a, b in pairs])
    assert same > 0.99


def test_words_may_have_vectors_that_depend_on_their_sentence(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = ["person opens a door", "The window closes slowly"]
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), sentences)
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    plain, made = load(real(corpus, vocab_size=7)), load(real(corpus, vocab_size=7, text_encoder=str(encoder)))
    assert made.words is not None
    assert made.words.line.startswith("words in context: states of the encoder")
    assert torch.equal(made.train.word_ids, plain.train.word_ids), "what is predicted stays the vocabulary's word"
    batch = made.train.batch([0, 1])
    states, _ = EncoderStates(encoder).words([s.lower().split() for s in made.train.sentences[:2]]).padded()
    for row, sentence in enumerate(made.train.sentences[:2]):
        kept = [i for i, word in enumerate(sentence.lower().split()) if word in made.train.vocabulary]
        torch.testing.assert_close(batch.words[row, : len(kept)], states[row, kept])
        assert not batch.words[row, len(kept) :].any()
    some = made.train.subset([1, 0]).batch([0, 1])
    torch.testing.assert_close(some.words[0, : batch.words.shape[1]], batch.words[1])
    assert made.train.fingerprint != plain.train.fingerprint


def test_an_encoder_stands_for_a_file_of_word_vectors(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), ["person opens a door"])
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    splits = load(real(corpus, word_vectors=str(encoder)))
    assert splits.train.vectors.shape == (9, 16)
    assert splits.words is not None
    assert not splits.words.random
    with pytest.raises(DataError, match="answers for given words alone"):
        read_word_vectors(encoder)
