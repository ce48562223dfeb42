"""Variants from any endpoint that speaks the OpenAI chat protocol, if one is configured.

Nothing is sent anywhere unless ``base_url`` is given: environment variables alone, such as ``OPENAI_API_KEY`` or
``OPENAI_BASE_URL``, enable nothing and are not sent.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmlkit.components.variants.cache import AnswerCache
from vmlkit.components.variants.checks import Answers
from vmlkit.components.variants.endpoint import address_of, client, without
from vmlkit.components.variants.generation import BrokenAnswer
from vmlkit.components.variants.prompts import answer_schema, prompts, read_answer
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.errors import DataError


@dataclass
class Usage:
    """What was asked and what it took; threads may share it."""

    requests: int = 0  #: answers that came from the endpoint
    cached: int = 0  #: answers that were at hand
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __str__(self) -> str:
        return (
            f"{self.requests} answers of the endpoint ({self.prompt_tokens} + {self.completion_tokens} tokens), "
            f"{self.cached} from the cache"
        )

    def add(self, **counts: int) -> None:
        """Count what one answer took."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


class OpenAIGenerator:
    """Asks a chat endpoint; see :class:`vmlkit.components.variants.generation.VariantGenerator`.

    Temperature 0 and a fixed seed.  Busy, failing and silent servers are asked again with growing pauses.

    Args:
        base_url: such as ``http://localhost:8000/v1``; this is where the sentences go.
        model: the name that the endpoint knows it by.
        api_key: sent to the endpoint, if it wants one.
        timeout: seconds for one answer.
        retries: how often a request is repeated that got no answer, or status 429 or 5xx.
        schema: send the JSON schema; servers that do not know ``response_format`` need it off.
        cache: where answers are kept, so that none is asked for twice.

    Raises:
        DataError: without an address or a model.
        MissingDependency: without openai or pydantic.
    """

    name = "openai"
    deterministic = False

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        seed: int = 0,
        schema: bool = True,
        cache: AnswerCache | None = None,
    ) -> None:
        base_url = address_of(base_url)
        if not model:
            raise DataError(base_url, "no model was named", "name a model that the endpoint serves")
        self.base_url, self.model, self.prompt_version = base_url, model, prompts().version
        self.retries, self.seed, self.timeout = retries, seed, timeout
        self.format: dict[str, Any] = {"response_format": answer_schema()} if schema else {}
        self.cache, self.usage = cache, Usage()
        self._key, self._client = api_key, client(base_url, api_key, timeout, retries)

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> Answers:
        """One answer, which has all seven components, from the cache or from the endpoint.

        Raises:
            BrokenAnswer: if the answer is not the JSON object asked for; such an answer is not kept.
            DataError: if the endpoint refuses, or does not answer after all retries.
        """
        messages = prompts().messages(sentence, refused)
        text = sentence if not refused else messages[-1]["content"]
        stored = None if self.cache is None else self.cache.get(self.model, self.prompt_version, text)
        if isinstance(stored, str):
            self.usage.add(cached=1)
            return read_answer(stored)
        content = self._ask(messages)
        answers = read_answer(content)
        if self.cache is not None:
            self.cache.put(self.model, self.prompt_version, text, content)
        return answers

    def close(self) -> None:
        """Let go of connections and cache; requests that still wait are not repeated."""
        self._client.close()
        if self.cache is not None:
            self.cache.close()

    def _ask(self, messages: list[dict[str, str]]) -> str:
        import openai

        try:
            reply = self._client.chat.completions.create(
                model=self.model, messages=messages, temperature=0, seed=self.seed, **self.format
            )
        except openai.APITimeoutError as error:
            raise self._gave_up(f"did not answer within {self.timeout:g} s, {self.retries + 1} times") from error
        except openai.APIConnectionError as error:
            raise self._gave_up(f"cannot be reached ({self._brief(error.__cause__ or error)})") from error
        except (openai.RateLimitError, openai.InternalServerError) as error:
            raise self._gave_up(f"answered with status {error.status_code}, {self.retries + 1} times") from error
        except openai.APIStatusError as error:
            raise DataError(
                self.base_url,
                f"refused the request with status {error.status_code} ({self._brief(error)})",
                "check address, model and key, and whether it takes a JSON schema",
            ) from error
        except (openai.APIError, ValueError) as error:  # no JSON, or no UTF-8
            raise BrokenAnswer(f"is not a chat answer ({self._brief(error)})") from error
        usage, choices = getattr(reply, "usage", None), getattr(reply, "choices", None)
        counts = (getattr(usage, name, 0) for name in ("prompt_tokens", "completion_tokens"))
        asked, answered = (count if type(count) is int else 0 for count in counts)
        self.usage.add(requests=1, prompt_tokens=asked, completion_tokens=answered)
        message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
        content = getattr(message, "content", None)
        if message is None or not isinstance(content, str | None):
            raise BrokenAnswer("is not a chat answer")
        return content or ""

    def _brief(self, error: BaseException) -> str:
        return without(str(error), self._key)

    def _gave_up(self, what: str) -> DataError:
        remedy = "check that the server runs; the same command goes on where this one stopped"
        return DataError(self.base_url, what, remedy)
