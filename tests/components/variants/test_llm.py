"""A chat endpoint over real HTTP: good, slow, broken, busy, failing and silent answers; what is sent, what not."""

import socket
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.components.variants.chat_server import ChatServer, broken_json, chat, fields, slowly, status, well
from vmlkit.components.variants.cache import AnswerCache
from vmlkit.components.variants.generation import generate, variants_of
from vmlkit.components.variants.llm import OpenAIGenerator
from vmlkit.components.variants.prompts import answer_schema, prompts
from vmlkit.components.variants.rows import COMPONENTS, VariantWriter
from vmlkit.errors import DataError, MissingDependency

pytest.importorskip("openai")
pytest.importorskip("textblob")

FRIDGE = "person opens the fridge."


def ask(server: ChatServer, **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator(server.url, "toy", **{"timeout": 5.0, **options})


def test_a_good_answer_becomes_rows() -> None:
    with ChatServer(well) as server:
        generator = ask(server, api_key="secret-key")
        rows = {row.component: row for row in variants_of(generator, FRIDGE)}
    assert rows["negated_verb"].text == "person does not open the fridge."
    assert rows["changed_attribute"].text is None
    assert not rows["changed_attribute"].valid
    assert {(row.generator, row.model, row.prompt_version, row.attempts) for row in rows.values()} == {
        ("openai", "toy", prompts().version, 1)
    }
    (body,) = server.bodies
    assert body["temperature"] == 0
    assert "seed" in body
    assert body["response_format"] == answer_schema()
    assert body["messages"] == prompts().messages(FRIDGE)
    assert server.headers[0]["authorization"] == "Bearer secret-key"
    assert (generator.usage.requests, generator.usage.prompt_tokens, generator.usage.completion_tokens) == (1, 100, 20)


def test_without_a_schema_none_is_sent() -> None:
    with ChatServer(well) as server:
        variants_of(ask(server, schema=False), FRIDGE)
    assert "response_format" not in server.bodies[0]


def test_a_slow_answer_is_waited_for() -> None:
    with ChatServer(slowly) as server:
        rows = variants_of(ask(server), FRIDGE)
        assert server.requests == 1
    assert any(row.valid for row in rows)


@pytest.mark.parametrize("code", [429, 500])
def test_busy_and_failing_servers_are_asked_again(code: int) -> None:
    with ChatServer(status(code), status(code), well) as server:
        rows = variants_of(ask(server, retries=2), FRIDGE)
        assert server.requests == 3
    assert any(row.valid for row in rows)
    with ChatServer(status(code)) as server:
        with pytest.raises(DataError, match=rf"status {code}, 2 times; check that the server runs"):
            variants_of(ask(server, retries=1), FRIDGE)
        assert server.requests == 2


def test_a_silent_server_ends_in_one_sentence() -> None:
    with ChatServer(well) as server:
        server.behaviours = [server.never]
        with pytest.raises(DataError, match=r"did not answer within 0\.2 s, 2 times"):
            variants_of(ask(server, timeout=0.2, retries=1), FRIDGE)
        assert server.requests == 2


def test_an_address_without_a_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(DataError, match="cannot be reached"):
        variants_of(OpenAIGenerator(url, "toy", retries=0), FRIDGE)


def test_a_refusal_is_not_repeated() -> None:
    with ChatServer(status(401)) as server:
        with pytest.raises(DataError, match="refused the request with status 401"):
            variants_of(ask(server), FRIDGE)
        assert server.requests == 1


def test_broken_json_is_asked_for_again_then_null() -> None:
    with ChatServer(broken_json, well) as server:
        rows = {row.component: row for row in variants_of(ask(server), FRIDGE)}
        assert server.requests == 2
    assert rows["negated_verb"].valid
    assert rows["negated_verb"].attempts == 2
    assert rows["negated_verb"].rejected[0].text is None
    assert "JSON" in rows["negated_verb"].rejected[0].reason
    assert "is not a JSON object" in server.bodies[1]["messages"][-1]["content"]
    with ChatServer(broken_json) as server:
        rows = {row.component: row for row in variants_of(ask(server), FRIDGE)}
        assert server.requests == 3
    assert not any(row.valid for row in rows.values())
    assert all(len(row.rejected) == 3 for row in rows.values())


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "I cannot do that.",
        "[1, 2]",
        '{"negated_verb": "x"}',
        fields(FRIDGE).replace("null", "3"),
        fields(FRIDGE)[:-1] + ', "more": "x"}',
    ],
)
def test_what_is_not_the_object_asked_for_is_broken(content: str | None) -> None:
    with ChatServer(lambda sentence, body: (200, chat(content))) as server:
        rows = variants_of(ask(server), FRIDGE, retries=0)
    assert not any(row.valid for row in rows)
    assert all("JSON object" in row.rejected[0].reason for row in rows)


@pytest.mark.parametrize("answer", ["not even JSON", {"choices": []}, {"error": "x"}])
def test_what_is_no_chat_completion_is_broken(answer: str | dict[str, Any]) -> None:
    with ChatServer(lambda sentence, body: (200, answer)) as server:
        rows = variants_of(ask(server), FRIDGE, retries=0)
    assert all("is not a" in row.rejected[0].reason for row in rows)


def test_a_fence_and_words_around_the_object_are_passed_over() -> None:
    content = f"Here you are:\n```json\n{fields(FRIDGE, changed_attribute='None')}\n```"
    with ChatServer(lambda sentence, body: (200, chat(content))) as server:
        rows = {row.component: row for row in variants_of(ask(server), FRIDGE)}
    assert rows["negated_verb"].valid
    assert rows["changed_attribute"].text is None
    assert not rows["changed_attribute"].rejected


def test_only_what_was_refused_is_replaced_and_the_reason_is_told() -> None:
    same = "person opened the fridge."

    def first(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, chat(fields(sentence, changed_verb=same, negated_verb="person opens a fridge."))

    def second(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, chat(fields(sentence, changed_verb=same, changed_object="person opens the box."))

    with ChatServer(first, second, well) as server:
        rows = {row.component: row for row in variants_of(ask(server), FRIDGE)}
        assert server.requests == 3
    assert [(r.text, r.reason) for r in rows["changed_verb"].rejected] == 2 * [
        (same, "'opened' means the same as 'opens'")
    ]
    assert (rows["changed_verb"].attempts, rows["changed_verb"].text) == (3, "person closes the fridge.")
    assert [r.reason for r in rows["negated_verb"].rejected] == ["is not negated"]
    assert rows["negated_verb"].attempts == 2
    assert (rows["changed_object"].attempts, rows["changed_object"].rejected) == (1, ())
    assert rows["changed_object"].text != "person opens the box."
    told = server.bodies[1]["messages"][-1]["content"]
    assert '"person opens a fridge." was refused because it is not negated' in told
    assert "was refused" not in server.bodies[0]["messages"][-1]["content"]


def test_nothing_of_the_environment_is_sent_and_redirections_are_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", f"private-{name}")
    with ChatServer(well) as elsewhere:
        monkeypatch.setenv("OPENAI_BASE_URL", elsewhere.url)
        with ChatServer(well) as server:
            variants_of(ask(server), FRIDGE)
            assert server.requests == 1
        assert "private" not in str(server.headers)
        with ChatServer(lambda sentence, body: (307, f"{elsewhere.url}/chat/completions")) as server:
            with pytest.raises(DataError, match="status 307"):
                variants_of(ask(server, retries=0), FRIDGE)
            assert server.requests == 1
        assert elsewhere.requests == 0


def test_answers_are_asked_for_once(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.sqlite")
    with ChatServer(well) as server:
        first = variants_of(ask(server, cache=cache), FRIDGE)
        again = ask(server, cache=AnswerCache(tmp_path / "answers.sqlite"))
        assert variants_of(again, FRIDGE) == first
        assert (server.requests, again.usage.requests, again.usage.cached) == (1, 0, 1)
        variants_of(OpenAIGenerator(server.url, "other", cache=cache), FRIDGE)
        variants_of(ask(server, cache=cache), "person closes the fridge.")
        assert server.requests == 3
    assert len(cache) == 3


def test_broken_answers_are_not_kept(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers.sqlite")
    with ChatServer(broken_json) as server:
        variants_of(ask(server, cache=cache), FRIDGE)
    assert len(cache) == 0


def test_several_sentences_at_once_keep_their_order(tmp_path: Path) -> None:
    sentences = [f"person opens the {thing}." for thing in ("door", "window", "box", "book", "bag", "oven")]
    running, most, lock = 0, 0, threading.Lock()

    def counting(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        answer = slowly(sentence, body)
        with lock:
            running -= 1
        return answer

    with ChatServer(counting) as server, VariantWriter(tmp_path / "out.jsonl") as writer:
        written = list(generate(ask(server), sentences, writer, workers=3))
    assert [rows[0].sentence for rows in written] == sentences
    assert len(writer.rows) == len(sentences) * len(COMPONENTS)
    assert 2 <= most <= 3


def test_an_error_in_one_sentence_keeps_those_before(tmp_path: Path) -> None:
    with ChatServer(well, well, status(401)) as server, VariantWriter(tmp_path / "out.jsonl") as writer:
        with pytest.raises(DataError, match="401"):
            list(generate(ask(server), [f"person opens box {i}." for i in range(5)], writer))
        assert len(writer.rows) == 2 * len(COMPONENTS)


def test_a_closed_generator_asks_nothing(tmp_path: Path) -> None:
    with ChatServer(well) as server:
        generator = ask(server, retries=0, cache=AnswerCache(tmp_path / "answers.sqlite"))
        variants_of(generator, FRIDGE)
        generator.close()
        other = ask(server, retries=0)
        other.close()
        with pytest.raises(RuntimeError, match="closed"):
            variants_of(other, FRIDGE)
        assert server.requests == 1


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://", None])
def test_an_endpoint_needs_an_address(url: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(DataError, match="is no http"):
        OpenAIGenerator(url, "toy")
    with pytest.raises(DataError, match="no model"):
        OpenAIGenerator("http://127.0.0.1:9/v1", "")


def test_a_key_stands_in_no_message() -> None:
    for url in ("http://me:secret@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?key=secret", "ftp://me:secret@x/v1"):
        with pytest.raises(DataError) as caught:
            OpenAIGenerator(url, "toy")
        assert "secret" not in str(caught.value)
    with ChatServer(lambda sentence, body: (401, {"error": {"message": "no such key: sk-secret"}})) as server:
        with pytest.raises(DataError, match=r"no such key: \(the key\)") as caught:
            variants_of(ask(server, retries=0, api_key="sk-secret"), FRIDGE)
        assert "secret" not in str(caught.value)
        assert server.headers[0]["authorization"] == "Bearer sk-secret"


def test_answers_that_are_too_long_or_no_text_are_none() -> None:
    long = "[" + "1," * (1 << 20) + "1]"
    with (
        ChatServer(lambda sentence, body: (200, long)) as server,
        pytest.raises(DataError, match="more than 1048576 bytes"),
    ):
        variants_of(ask(server, retries=0), FRIDGE)
    with ChatServer(lambda sentence, body: (200, b'{"id": "\xff\xfe"}')) as server:
        rows = variants_of(ask(server, retries=0), FRIDGE, retries=0)
    assert all("is not a chat answer" in row.rejected[0].reason for row in rows)


def test_an_answer_in_the_cache_that_is_no_text_is_asked_for_again(tmp_path: Path) -> None:
    with ChatServer(well) as server, closing(AnswerCache(tmp_path / "a.sqlite")) as cache:
        generator = ask(server, cache=cache)
        cache.put("toy", generator.prompt_version, FRIDGE, {"a": 1})
        assert any(row.valid for row in variants_of(generator, FRIDGE))
        assert server.requests == 1


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingDependency, match=r"'openai': run `pip install 'vmlkit\[llm\]'`"):
        OpenAIGenerator("http://127.0.0.1:9/v1", "toy")
