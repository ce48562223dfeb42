"""Variants from a base language model in a local file or folder: few examples, then a sentence to complete.

A base model has never been told to answer in JSON, but it goes on with a pattern.  So every component has a prompt of
its own: pairs of sentences in quotation marks from ``completions.json``, and one of which the second is open.  What the
model adds up to the next quotation mark is the answer.  It is checked like any other.
"""

import copy
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vmlkit.components.variants.checks import Answers
from vmlkit.components.variants.local_llm import only_here
from vmlkit.components.variants.prompts import cleaned
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.errors import ConfigError, DataError, required
from vmlkit.files import read_json

EXAMPLES = Path(__file__).with_name("completions.json")
#: where an answer ends
ENDS = ('"', "\n")


@dataclass(frozen=True)
class FewShot:
    """The texts of ``completions.json``."""

    version: str
    headings: dict[str, str]
    first: str
    examples: list[dict[str, str | None]]

    def before(self, component: Component) -> str:
        """The prompt of a component up to the sentence, which is the same for every sentence."""
        pairs = [self.open(str(example["sentence"])) + (example[component] or "none") for example in self.examples]
        return "\n".join([self.headings[component], *(f'{pair}"' for pair in pairs), ""])

    def open(self, sentence: str) -> str:
        """A pair of which the second sentence is to come."""
        return self.first.format(sentence=sentence.replace('"', "'"))


@cache
def few_shot() -> FewShot:
    """The examples that come with the package."""
    return FewShot(**read_json(EXAMPLES))


class CompletionGenerator:
    """Completes patterns; see :class:`vmlkit.components.variants.generation.VariantGenerator`.

    The most probable words come first; where the checks refuse them, words are drawn.  The same sentence, component and
    attempt give the same answer, whatever was asked before: each draws from a seed of its own.  Only safetensors or
    GGUF weights are read, and no code from the folder is run.

    Args:
        path: folder with configuration, tokenizer and ``*.safetensors``, or a ``.gguf`` file.
        device: such as ``cpu`` or ``cuda``.
        temperature: of the draws; 0 draws nothing, and then nothing is asked twice.
        seed: fixes the draws.
        max_new_tokens: where an answer is cut off.

    Raises:
        ConfigError: for a temperature below 0.
        DataError: if it is not such a folder or file.
        MissingDependency: without transformers; for ``.gguf`` also without gguf or accelerate.
    """

    name = "completion"

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "cpu",
        temperature: float = 0.8,
        seed: int = 0,
        max_new_tokens: int = 48,
    ) -> None:
        if not temperature >= 0:
            raise ConfigError(f"--temperature must be at least 0, not {temperature:g}")
        self.path = Path(path)
        self.tokenizer, self._model = _loaded(self.path)
        self._model.to(device).eval()
        self.device, self.temperature, self.seed, self.max_new_tokens = device, temperature, seed, max_new_tokens
        drawn = f"temperature {temperature:g}" + (f", seed {seed}" if temperature else "")
        self.model, self.prompt_version = f"{self.path.resolve().name}, {drawn}", few_shot().version
        self.deterministic = temperature == 0
        # transformers 5 renamed what a model remembers of the tokens before
        called = inspect.signature(self._model.forward).parameters
        self._memory = "cache" if "cache" in called else "past_key_values"
        self._starts: dict[Component, Any] = {}

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> Answers:
        """A completion for each component; ``none`` is no answer."""
        return {part: cleaned(self.complete(sentence, part, len(refused.get(part, ())))) for part in wanted}

    @torch.inference_mode()
    def complete(self, sentence: str, component: Component, attempt: int = 0) -> str:
        """What the model adds to the prompt of a component, up to the next quotation mark or the end of the line."""
        key = json.dumps([self.seed, sentence, component, attempt]).encode()
        draws = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1)
        memory, found, text = copy.deepcopy(self._start(component)), list[int](), ""
        tokens = self._tokens(few_shot().open(sentence), special=False)
        while len(found) < self.max_new_tokens and not any(end in text for end in ENDS):
            said = self._model(tokens, use_cache=True, **{self._memory: memory})
            memory = getattr(said, self._memory)
            found.append(self._chosen(said.logits[0, -1].float().cpu(), draws if attempt else None))
            if found[-1] == self.tokenizer.eos_token_id:
                break
            tokens = torch.tensor([found[-1:]], device=self.device)
            text = str(self.tokenizer.decode(found, skip_special_tokens=True))
        return re.split("|".join(ENDS), text)[0].strip()

    def _chosen(self, scores: Float[Tensor, " V"], draws: torch.Generator | None) -> int:
        if draws is None or not self.temperature:
            return int(scores.argmax())
        return int(torch.multinomial((scores / self.temperature).softmax(dim=-1), 1, generator=draws))

    def _start(self, component: Component) -> Any:
        """What the model remembers of the part of the prompt that every sentence shares."""
        if component not in self._starts:
            tokens = self._tokens(few_shot().before(component), special=True)
            self._starts[component] = getattr(self._model(tokens, use_cache=True), self._memory)
        return self._starts[component]

    def _tokens(self, text: str, special: bool) -> Int[Tensor, "1 L"]:
        found: Tensor = self.tokenizer(text, return_tensors="pt", add_special_tokens=special)["input_ids"]
        return found.to(self.device)


def _loaded(path: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, or of a GGUF file, whose weights are unpacked to float32."""
    transformers = required("transformers", "text", "running a language model in this process")
    options: dict[str, Any] = dict(only_here())
    folder = path
    if path.suffix == ".gguf":
        for package in ("gguf", "accelerate"):
            required(package, "gguf", "reading a GGUF file")
        if not path.is_file():
            raise DataError(path, "there is no such file", "give a .gguf file or the folder of a model")
        folder, options["gguf_file"] = path.parent, path.name
    elif not (path / "config.json").is_file():
        raise DataError(path, "is neither a .gguf file nor a folder with a config.json", "give a downloaded model")
    weights = {"dtype": torch.float32} | ({} if "gguf_file" in options else {"use_safetensors": True})
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **options)
        return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(str(folder), **options, **weights)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(path, f"cannot be loaded ({' '.join(str(error).split())[:160]})", "check its files") from error
