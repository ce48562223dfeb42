"""The way to a chat endpoint: the configured host alone, limits on what comes back, and no key in any message."""

import importlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from vmlkit.errors import DataError, required

#: bytes of an answer; seven sentences take less than a thousand
MOST_BYTES = 1 << 20


def address_of(base_url: str) -> str:
    """The address as messages show it: without what could be a key.

    Raises:
        DataError: for what is no http(s) address, or one with a user, a password or a query in it, which would end up
            in logs and provenance.

    >>> address_of("http://host:8000/v1")
    'http://host:8000/v1'
    """
    try:
        parts = urlsplit(base_url or "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable:
        raise DataError("the endpoint", "its address is no http(s) address", "give one, such as http://host/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        what = f"the address of {parts.hostname} holds a user, a password or a query"
        raise DataError("the endpoint", what, "leave it out, and name the variable that holds the key by --api-key-env")
    return base_url


def client(base_url: str, api_key: str | None, timeout: float, retries: int) -> Any:
    """A client of openai that talks to ``base_url`` alone: no redirection, nothing from the environment.

    An answer of more than a megabyte, one that takes longer than ``timeout`` altogether, or one that is packed counts
    as no answer.

    Raises:
        MissingDependency: without openai.
    """
    openai = required("openai", "llm", "asking a language model over the network")
    # openai brings its own: httpx, or a later one of another name
    kinds = openai.DefaultHttpxClient.__mro__
    httpx: Any = importlib.import_module(next(k.__module__ for k in kinds if k.__name__ == "Client").partition(".")[0])

    class Counted(httpx.SyncByteStream):  # type: ignore[misc]
        """The bytes of an answer, as long as they are few and come in time."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.until, self.left = stream, time.monotonic() + timeout, MOST_BYTES

        def __iter__(self) -> Iterator[bytes]:
            for part in self.stream:
                self.left -= len(part)
                if self.left < 0:
                    raise httpx.ReadError(f"the answer has more than {MOST_BYTES} bytes")
                if time.monotonic() > self.until:
                    raise httpx.ReadTimeout("the answer does not end")
                yield part

        def close(self) -> None:
            self.stream.close()

    class Transport(httpx.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            response = super().handle_request(request)
            response.stream = Counted(response.stream)
            if response.headers.get("content-encoding", "identity") != "identity":
                response.close()
                raise httpx.DecodingError("the answer is packed, which was not asked for")
            return response

    omitted: Any = openai.omit if hasattr(openai, "omit") else openai.Omit()
    named = {"OpenAI-Organization": omitted, "OpenAI-Project": omitted, "Accept-Encoding": "identity"}
    return openai.OpenAI(
        base_url=base_url,
        api_key=api_key or "none",
        timeout=timeout,
        max_retries=retries,
        default_headers=named,
        http_client=openai.DefaultHttpxClient(follow_redirects=False, trust_env=False, transport=Transport()),
    )


def without(text: str, key: str | None) -> str:
    """A message of the endpoint on one short line, in which the key does not stand even where the server repeats it."""
    line = " ".join(text.split())
    return (line.replace(key, "(the key)") if key else line)[:120]
