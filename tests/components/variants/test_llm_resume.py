"""A generation that is killed goes on without asking again, and without an endpoint nothing leaves the machine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.components.variants.chat_server import ChatServer, well
from vmlkit import cli
from vmlkit.components.variants.rows import COMPONENTS, read_variants

pytest.importorskip("openai")
pytest.importorskip("textblob")

ROOT = Path(__file__).parents[3]
SENTENCES = [f"person opens box {i}." for i in range(144)]
#: 144 sentences of 7 components: more than a thousand variants
WORKERS = 2


def command(folder: Path, url: str) -> list[str]:
    names = [str(folder / "sentences.txt"), "--out", str(folder / "out.jsonl"), "--generator", "openai"]
    options = ["--base-url", url, "--model", "toy", "--workers", str(WORKERS), "--quiet"]
    return [sys.executable, "-m", "vmlkit", "variants", *names, *options]


def start(folder: Path, url: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command(folder, url), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )


def kill_after(process: subprocess.Popen[str], server: ChatServer, answers: int) -> None:
    deadline = time.monotonic() + 120
    while server.requests < answers and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[0]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_a_killed_generation_of_a_thousand_variants_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("\n".join(SENTENCES) + "\n")
    out = tmp_path / "out.jsonl"
    with ChatServer(well) as server:
        kill_after(start(tmp_path, server.url), server, 50)
        before = out.read_bytes()
        assert 0 < before.count(b"\n") < len(SENTENCES) * len(COMPONENTS)
        with open(out, "ab") as file:  # as if the kill had hit the middle of a line
            file.write(b'{"version": 1, "sentence": "per')
        kill_after(start(tmp_path, server.url), server, 100)
        last = start(tmp_path, server.url)
        printed, _ = last.communicate(timeout=120)
    assert last.returncode == 0, printed
    rows = read_variants(out)
    assert [row.sentence for row in rows] == [s for s in SENTENCES for _ in COMPONENTS]
    assert len(rows) == 1008
    assert out.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    # what a killed process was waiting for is all that is asked twice
    assert server.requests <= len(SENTENCES) + 2 * WORKERS
    # the endpoint was told nothing that the file already held
    assert set(server.answered) == set(SENTENCES)
    done = re.search(r"(\d+) of them done before", printed)
    assert done is not None
    assert int(done[1]) >= 90

    with ChatServer(well) as server:
        again = start(tmp_path, server.url)
        assert "144 of them done before" in again.communicate(timeout=60)[0]
        assert server.requests == 0


def test_a_lost_file_is_made_again_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("\n".join(SENTENCES[:5]))
    with ChatServer(well) as server:
        arguments = command(tmp_path, server.url)[3:]
        assert cli.main(arguments) == 0
        first = (tmp_path / "out.jsonl").read_bytes()
        (tmp_path / "out.jsonl").unlink()
        assert cli.main(arguments) == 0
        assert server.requests == 5
    assert (tmp_path / "out.jsonl").read_bytes() == first


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every attempt to reach something, none of which succeeds."""
    tried: list[str] = []

    def refuse(what: str) -> Any:
        def attempt(*args: Any, **options: Any) -> Any:
            tried.append(f"{what} {args!r}")
            raise OSError("no network in this test")

        return attempt

    monkeypatch.setattr(socket, "getaddrinfo", refuse("getaddrinfo"))
    monkeypatch.setattr(socket, "create_connection", refuse("create_connection"))
    monkeypatch.setattr(socket.socket, "connect", refuse("connect"))
    for name, value in (
        ("OPENAI_API_KEY", "sk-private"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("OPENAI_MODEL", "toy"),
    ):
        monkeypatch.setenv(name, value)
    return tried


@pytest.mark.parametrize("generator", ["rules", "openai", "local"])
def test_without_an_endpoint_nothing_leaves_the_machine(
    generator: str, tmp_path: Path, no_network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.txt").write_text("\n".join(SENTENCES[:3]))
    arguments = ["variants", str(tmp_path / "s.txt"), "--out", str(tmp_path / "out.jsonl"), "--generator", generator]
    if generator == "local":
        arguments += ["--folder", "some-org/some-model"]
    assert cli.main(arguments) == (0 if generator == "rules" else 2)
    assert no_network == []
    message = capsys.readouterr().err
    assert {"rules": "", "openai": "needs --base-url and --model", "local": "is not a folder"}[generator] in message
    # with one, the same guard notices
    configured = ["--generator", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "toy", "--retries", "0"]
    other = ["variants", str(tmp_path / "s.txt"), "--out", str(tmp_path / "other.jsonl"), *configured]
    assert cli.main(other) == 2
    assert no_network != []
