"""``vmlkit variants``: layouts, options that do not go together, going on, the summary."""

import gzip
import json
from pathlib import Path

import pytest

from tests.components.variants.chat_server import ChatServer, chat, fields, well
from vmlkit import cli
from vmlkit.components.variants.cache import AnswerCache, key_of
from vmlkit.components.variants.rows import COMPONENTS, read_variants
from vmlkit.components.variants.sentences import LAYOUTS, read_sentences
from vmlkit.errors import DataError

pytest.importorskip("textblob")
pytest.importorskip("lemminflect")

TWO = ["person opens the fridge.", "a dog runs."]


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    (tmp_path / "s.txt").write_text("\n".join(TWO) + "\n\n")
    return tmp_path / "s.txt"


def files(folder: Path) -> dict[str, Path]:
    """The two sentences in every layout, the first of them twice."""
    three = [*TWO, TWO[0]]
    texts = {
        "charades.txt": "".join(f"V{i} 0.0 5.{i}##{s}\n" for i, s in enumerate(three)),
        "moments.json": json.dumps([[f"v{i}", 20.0, [0, 5], f" {s} "] for i, s in enumerate(three)]),
        "plain.json": json.dumps(three),
        "queries.jsonl": "".join(json.dumps({"qid": i, "query": s}) + "\n" for i, s in enumerate(three)),
        "captions.jsonl": "".join(json.dumps({"caption": s}) + "\n" for s in three),
        "text.txt": "\n\n".join(three),
        "train_list.txt": "v1\nv2\n",
        "raw-captions.json": json.dumps({"v1": [TWO[0]], "v2": [TWO[1], TWO[0]], "v3": ["a cat sits."]}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(texts["queries.jsonl"].encode()))
    return {name: folder / name for name in [*texts, "queries.jsonl.gz"]}


def test_every_layout_gives_each_sentence_once(tmp_path: Path) -> None:
    found = files(tmp_path)
    for name in ("charades.txt", "moments.json", "plain.json", "queries.jsonl", "captions.jsonl", "text.txt"):
        assert read_sentences(found[name]) == TWO, name
    assert read_sentences(found["queries.jsonl.gz"]) == TWO
    assert read_sentences(tmp_path) == TWO
    assert read_sentences(tmp_path, "msvd", "train") == TWO
    assert read_sentences(found["charades.txt"], "text")[0].startswith("V0 0.0")
    assert len(LAYOUTS) == 5


@pytest.mark.parametrize(
    ("name", "text", "layout", "message"),
    [
        ("s.txt", "", None, "holds no sentence"),
        ("s.txt", "V 0 1##a\nV 0 1 b\n", None, "line 2 is not 'id start end##sentence'"),
        ("s.json", "{", None, "is not valid JSON"),
        ("s.json", "{}", None, "holds a JSON dict"),
        ("s.json", '["a", 3]', None, "record 1 is not a sentence"),
        ("s.jsonl", '{"query": "a"}\n{"qid": 3}\n', None, "line 2 has none of sentence, query"),
        ("s.jsonl", '{"query": " "}\n', None, "line 1, 'query' is not a sentence"),
        ("s.txt", "x", "jsonl", "line 1 is not valid JSON"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, layout: str | None, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_sentences(tmp_path / name, layout)  # type: ignore[arg-type]


def test_rules_from_the_command_line(sentences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "v.jsonl"
    arguments = ["variants", str(sentences), "--out", str(out), "--quiet"]
    assert cli.main([*arguments, "--limit", "1"]) == 0
    assert len(read_variants(out)) == len(COMPONENTS)
    capsys.readouterr()
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "2 sentences, 1 of them done before" in printed
    table = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith(COMPONENTS)}
    assert table["negated_verb"] == ["2", "2", "0", "0"]
    assert table["changed_object"] == ["2", "1", "1", "0"]
    rows = read_variants(out)
    assert [row.sentence for row in rows] == [s for s in TWO for _ in COMPONENTS]
    assert {(row.generator, row.prompt_version) for row in rows} == {("rules", None)}


def test_an_endpoint_from_the_command_line(
    sentences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("MY_KEY", "abc")
    arguments = ["variants", str(sentences), "--out", str(tmp_path / "v.jsonl"), "--generator", "openai", "--quiet"]
    arguments += ["--model", "toy", "--api-key-env", "MY_KEY"]
    wrong = "person opens a fridge."
    with ChatServer(lambda s, body: (200, chat(fields(s, negated_verb=wrong)))) as server:
        assert cli.main([*arguments, "--base-url", server.url, "--components", "negated_verb", "changed_subject"]) == 0
        assert server.headers[0]["authorization"] == "Bearer abc"
    printed = capsys.readouterr().out
    assert f"refused: negated_verb of '{TWO[0]}': '{wrong}' is not negated" in printed
    table = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith(COMPONENTS)}
    assert table["negated_verb"] == ["2", "0", "0", "2", "negation", "6"]
    assert "6 answers of the endpoint (600 + 120 tokens), 0 from the cache" in printed
    rows = read_variants(tmp_path / "v.jsonl")
    assert [row.component for row in rows] == 2 * ["negated_verb", "changed_subject"]
    assert [row.valid for row in rows] == [False, True, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--generator", "openai", "--base-url", "http://127.0.0.1:9"], "needs --base-url and --model"),
        (["--generator", "openai", "--model", "m"], "needs --base-url and --model"),
        (["--base-url", "http://127.0.0.1:9"], "are for --generator openai"),
        (["--generator", "local"], "goes together"),
        (["--generator", "completion"], "goes together"),
        (["--folder", "x"], "goes together"),
        (["--temperature", "1"], "are for --generator completion"),
        (["--seed", "1"], "are for --generator completion"),
        (["--generator", "completion", "--folder", "x", "--temperature", "-1"], "--temperature must be at least 0"),
        (["--ask-again", "-1"], "--ask-again must be at least 0"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--timeout", "0"], "--timeout must be positive"),
        (["--format", "csv"], "--format: 'csv' is none of charades"),
        (["--components", "negated_verb", "verb"], "--components: 'verb' is none of negated_verb"),
        (
            ["--generator", "openai", "--base-url", "http://127.0.0.1:9", "--model", "m", "--api-key-env", "UNSET_KEY"],
            "UNSET_KEY holds no key",
        ),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, sentences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["variants", str(sentences), "--out", str(tmp_path / "v.jsonl"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "v.jsonl").exists()


def test_a_file_of_another_generator_is_left_alone(
    sentences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    out = tmp_path / "v.jsonl"
    assert cli.main(["variants", str(sentences), "--out", str(out), "--quiet"]) == 0
    before = out.read_bytes()
    with ChatServer(well) as server:
        options = ["--generator", "openai", "--base-url", server.url, "--model", "toy"]
        assert cli.main(["variants", str(sentences), "--out", str(out), "--quiet", *options]) == 2
        assert server.requests == 0
    assert "holds variants of rules, model rules-2, prompts None; choose another --out" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_the_cache_tells_model_prompts_and_text_apart(tmp_path: Path) -> None:
    assert len({key_of("a", "b", "c"), key_of("ab", "", "c"), key_of("a", "bc", ""), key_of("a", "b", "d")}) == 4
    cache = AnswerCache(tmp_path / "new" / "c.sqlite")
    cache.put("m", "1", "x", {"é": [1, None]})
    cache.put("m", "1", "x", "second")
    assert cache.get("m", "1", "x") == "second"
    assert cache.get("m", "2", "x") is None
    cache.close()
    assert len(AnswerCache(tmp_path / "new" / "c.sqlite")) == 1


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(DataError, match="is not a cache of answers"):
        AnswerCache(tmp_path / "c.sqlite")
