"""What language models are asked, and how their answers are read.

The prompts are data: ``prompts.json``, whose ``version`` is stored with every row.  P4 prints only "Change ⟨part⟩ of
the sentence" and "Alter voice of the sentence"; the rest of the wording is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vmlkit.components.variants.checks import Answers
from vmlkit.components.variants.generation import BrokenAnswer
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.errors import required
from vmlkit.files import read_json

PROMPTS = Path(__file__).with_name("prompts.json")


@dataclass(frozen=True)
class Prompts:
    """The texts of ``prompts.json``."""

    version: str
    system: str
    caption: str
    fields: dict[str, str]
    again: str
    refused: str

    def messages(
        self, sentence: str, refused: Mapping[Component, Sequence[Rejection]] | None = None
    ) -> list[dict[str, str]]:
        """The chat messages for one sentence.

        Args:
            sentence: the caption.
            refused: answers to correct, with the reasons why they were refused, the last one at the end.
        """
        lines = [self.caption.format(sentence=sentence)]
        lines += [f"{component}: {self.fields[component]}" for component in COMPONENTS]
        if refused:
            lines.append(self.again)
            for component, rejection in ((c, r) for c, rejections in refused.items() for r in rejections):
                text = "the answer" if rejection.text is None else f'"{rejection.text}"'
                lines.append(self.refused.format(component=component, text=text, reason=rejection.reason))
        return [{"role": "system", "content": self.system}, {"role": "user", "content": "\n".join(lines)}]


@cache
def prompts() -> Prompts:
    """The prompts that come with the package."""
    return Prompts(**read_json(PROMPTS))


@cache
def answer_model() -> Any:
    """A pydantic model with the seven fields, each a string or null.

    Raises:
        MissingDependency: without pydantic.
    """
    pydantic = required("pydantic", "llm", "reading the answers of a language model")
    fields: dict[str, Any] = dict.fromkeys(COMPONENTS, (str | None, ...))
    return pydantic.create_model("Variants", __config__=pydantic.ConfigDict(extra="forbid"), **fields)


def answer_schema() -> dict[str, Any]:
    """The JSON schema of an answer, in the form that chat endpoints take as ``response_format``."""
    schema = answer_model().model_json_schema()
    return {"type": "json_schema", "json_schema": {"name": "variants", "strict": True, "schema": schema}}


def read_answer(content: str | None) -> Answers:
    """The texts in a model's answer.

    Words around the JSON object, such as a Markdown fence, are passed over; empty texts count as null.

    Raises:
        BrokenAnswer: if it holds no object with exactly the seven fields.
    """
    text = content or ""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise BrokenAnswer("is not a JSON object")
    import pydantic

    try:
        fields = answer_model().model_validate_json(text[start : end + 1]).model_dump()
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the object"
        raise BrokenAnswer(f"is not the JSON object asked for ({where}: {first['msg'][:80]})") from error
    return {component: cleaned(fields[component]) for component in COMPONENTS}


def cleaned(text: str | None) -> str | None:
    """Without blanks around it; what only says that there is nothing becomes ``None``."""
    text = " ".join((text or "").split())
    return None if text.lower().strip(".") in ("", "null", "none", "n/a") else text
