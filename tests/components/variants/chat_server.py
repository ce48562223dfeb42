"""A chat endpoint on this machine that answers as a test tells it to."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vmlkit.components.variants.rows import COMPONENTS
from vmlkit.components.variants.rules import RuleGenerator

#: what an answer is made from: the sentence and the request's body; (status, body of the answer)
Behaviour = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any] | str | bytes]]


def sentence_in(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"].split("\n")[0].removeprefix("Caption: ")


def chat(content: str | None) -> dict[str, Any]:
    """A chat completion with this text."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "toy",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def fields(sentence: str, **changes: str | None) -> str:
    """Good variants of a sentence, as JSON, some of them changed."""
    return json.dumps({**dict.fromkeys(COMPONENTS), **RuleGenerator().answer(sentence, {}), **changes})


def well(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, chat(fields(sentence))


def slowly(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    time.sleep(0.3)
    return well(sentence, body)


def broken_json(sentence: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, chat(fields(sentence)[:-20])


def status(code: int) -> Behaviour:
    return lambda sentence, body: (code, {"error": {"message": f"status {code}", "type": "x"}})


class ChatServer:
    """Answers with each behaviour once, then with the last one; remembers every request."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered: Counter[str] = Counter()  #: full answers by sentence
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._handle(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def requests(self) -> int:
        return len(self.bodies)

    def never(self, sentence: str, body: dict[str, Any]) -> tuple[int, str]:
        """Keep the client waiting until the test is over."""
        self.stopped.wait(30)
        return 503, ""

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.bodies.append(body)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        code, answer = behaviour(sentence_in(body), body)
        text = answer if isinstance(answer, str | bytes) else json.dumps(answer)
        data = text.encode() if isinstance(text, str) else text
        try:
            handler.send_response(code)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.send_header("retry-after-ms", "5")  # keeps the tests short
            if 300 <= code < 400:
                handler.send_header("Location", str(answer))
            handler.end_headers()
            handler.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client was killed or gave up
        if code == 200:
            with self._lock:
                self.answered[sentence_in(body)] += 1

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
