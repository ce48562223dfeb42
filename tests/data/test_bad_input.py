"""Bad input to a data source: one sentence that names file, record and remedy."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from vmlkit.data import sources
from vmlkit.data.annotations.charades import read_annotations
from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.features import open_features
from vmlkit.data.settings import CorpusData, DataConfig, PlantedData
from vmlkit.data.sources import Splits
from vmlkit.errors import DataError
from vmlkit.text.tagging import TaggedSentence
from vmlkit.text.vocabulary import Vocabulary


def load(config: DataConfig, **options: object) -> Splits[MomentDataset]:
    return sources.load(config, **{"progress": False, **options})


def planted(corpus: Path, **settings: object) -> PlantedData:
    return PlantedData(annotations=str(corpus), clips=16, validation_share=0.2, **settings)


def real(corpus: Path, **settings: object) -> CorpusData:
    path = str(settings.pop("features", corpus / "features.hdf5"))
    return CorpusData(name="charades", annotations=str(corpus), features=path, clips=16, **settings)


def edit(path: Path, row: int, record: object) -> None:
    rows = json.loads(path.read_text())
    rows[row] = record
    path.write_text(json.dumps(rows))


def test_sentence_without_a_known_word(corpus: Path) -> None:
    splits = load(planted(corpus, vocab_size=3))
    kept = splits.test
    said = [str(entry) for entry in splits.left_out if "no word" in entry.what]
    assert said[-1] == (
        "test: 3 of 6 sentences have no word of the vocabulary and are kept as one padding word "
        "(unknown_sentence='skip' drops them) (record 1 of te00, record 3 of te01, record 5 of te02)"
    )
    assert kept.word_ids[1].tolist() == [0] * kept.word_ids.shape[1]
    assert kept.word_mask[1].sum() == 1
    assert kept.word_weights[1, 0] == 1
    left = load(planted(corpus, vocab_size=3, unknown_sentence="skip"))
    assert left.test.query_ids == ("test/0", "test/2", "test/4")
    assert left.account()["left_out"]["test"][1]["done"] == "are left out"
    with pytest.raises(DataError, match=r"train\.json: record 1 .* has no word .*; enlarge vocab_size, or set"):
        load(planted(corpus, vocab_size=3, unknown_sentence="error"))


def test_no_sentence_left(corpus: Path) -> None:
    tokens = [TaggedSentence(("zebu",), ("NN",))] * 20
    vocabulary = Vocabulary(("a",))
    words = encode_sentences(tokens, vocabulary)
    assert words.unknown == tuple(range(20))
    rows = read_annotations(corpus / "train.json")
    with (
        open_features(corpus / "arrays") as features,
        pytest.warns(UserWarning, match="20 of 20 sentences have no word of the vocabulary and are left out"),
        pytest.raises(DataError, match="no sentence of 'mine' has a word of the vocabulary"),
    ):
        build_dataset("mine", rows, words, features, vocabulary, torch.zeros(2, 5), clips=4, unknown_sentence="skip")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (["tr00", 10.0, [1.0, 4.5]], "record 0 has 3 columns"),
        (["tr00", 10.0, [4.5, 1.0], "person opens a door"], "is not after the start"),
        (["tr00", 10.0, [1.0, 12.0], "person opens a door"], "goes beyond the duration 10 s"),
        (["tr00", 10.0, [1.0, 4.5], ""], "has an empty sentence"),
    ],
)
def test_bad_annotations(corpus: Path, record: list, message: str) -> None:
    edit(corpus / "train.json", 0, record)
    with pytest.raises(DataError, match=message) as caught:
        load(planted(corpus))
    assert str(caught.value).startswith(str(corpus / "train.json"))


def test_spans_beyond_the_duration_can_be_cut(corpus: Path) -> None:
    edit(corpus / "train.json", 0, ["tr00", 10.0, [1.0, 12.0], "person opens a door"])
    splits = load(planted(corpus, beyond_duration="clip"))
    assert str(splits.left_out[0]) == "train: 1 of 20 spans end after their video and are cut there (record 0 of tr00)"
    both = {**dict(zip(splits.train.query_ids, splits.train.spans_s.tolist(), strict=True))}
    both |= dict(zip(splits.validation.query_ids, splits.validation.spans_s.tolist(), strict=True))
    assert both["train/0"] == [1.0, 10.0]


def test_tags_of_other_sentences_are_noticed(corpus: Path) -> None:
    edit(corpus / "test.json", 2, ["te01", 11.0, [1.0, 4.5], "person closes a door"])
    with pytest.raises(DataError, match=r"has the words of another sentence for test record 2 .*; remove the file"):
        load(planted(corpus))
    rows = json.loads((corpus / "test.json").read_text())
    (corpus / "test.json").write_text(json.dumps([*rows[:2], *rows[3:], rows[1], rows[1]]))
    with pytest.raises(DataError, match="has the words of another sentence for test record 2"):
        load(planted(corpus))


def test_a_video_in_both_files_is_refused(corpus: Path) -> None:
    edit(corpus / "test.json", 0, ["tr00", 10.0, [1.0, 4.5], "person opens a door"])
    with pytest.raises(DataError, match=r"test\.json: video 'tr00' is also in train\.json \(1 such videos\)"):
        load(planted(corpus))


def test_bad_features(corpus: Path) -> None:
    with h5py.File(corpus / "features.hdf5", "a") as file:
        del file["tr04"]
    with pytest.raises(DataError, match=r"hdf5: validation: 1 of 1 videos have no features \(tr04\); add them"):
        load(real(corpus, missing="refuse"))
    np.save(corpus / "arrays" / "tr04.npy", np.full((3, 6), np.nan))
    with pytest.raises(DataError, match=r"tr04\.npy: video 'tr04' has NaN or infinity in 3 of 3 rows"):
        load(real(corpus, features=corpus / "arrays"))
    path = corpus / "features.hdf5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"features\.hdf5: is not a readable HDF5 file"):
        load(real(corpus))


def test_nothing_is_written_on_failure(corpus: Path, tmp_path: Path) -> None:
    for path in (corpus / "arrays").iterdir():
        np.save(path, np.full((3, 6), np.nan))
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match="has NaN or infinity"):
        load(real(corpus, features=corpus / "arrays"), cache_dir=cache)
    assert not cache.exists()


def test_what_is_missing_is_named(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMLKIT_DATA", raising=False)
    with pytest.raises(DataError, match="charades: no annotations were named; give the folder"):
        load(PlantedData())
    with pytest.raises(DataError, match="there is no such file or folder"):
        load(planted(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"charades: no visual features were named; .*planted:charades"):
        load(CorpusData(name="charades", annotations=str(corpus)))
    (corpus / "test.json").unlink()
    with pytest.raises(DataError, match=r"holds none of test\.json, charades_sta_test\.txt"):
        load(planted(corpus))


def test_planted_features_need_word_vectors(corpus: Path) -> None:
    (corpus / "glove_charades.npz").unlink()
    with pytest.raises(DataError, match="planted features need word vectors; put glove_charades"):
        load(planted(corpus))
