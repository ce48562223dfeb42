"""Variants from a language model in a local folder, by transformers; nothing is downloaded or sent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmlkit.components.variants.checks import Answers
from vmlkit.components.variants.prompts import answer_model, prompts, read_answer
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection
from vmlkit.errors import DataError, required


def only_here() -> dict[str, bool]:
    """What keeps transformers from the network and from running code of the folder."""
    return {"local_files_only": True, "trust_remote_code": False}


class LocalGenerator:
    """Asks a chat model that lies in a folder; see :class:`vmlkit.components.variants.generation.VariantGenerator`.

    The most probable word is taken each time.  Only safetensors weights are read, and no code from the folder is run.

    Args:
        folder: configuration, tokenizer with a chat template, and ``*.safetensors``.
        device: such as ``cpu`` or ``cuda``.
        max_new_tokens: where an answer is cut off.

    Raises:
        DataError: if it is not such a folder.
        MissingDependency: without transformers or pydantic.
    """

    name = "local"
    deterministic = False

    def __init__(self, folder: str | Path, *, device: str = "cpu", max_new_tokens: int = 512) -> None:
        self.folder = Path(folder)
        # a name such as "org/model" must never be looked up anywhere
        if not (self.folder / "config.json").is_file():
            raise DataError(folder, "is not a folder with a config.json", "give the folder of a downloaded model")
        answer_model()
        transformers = required("transformers", "text", "running a language model in this process")
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(self.folder), **only_here())
            self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                str(self.folder), use_safetensors=True, **only_here()
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                folder, f"cannot be loaded ({' '.join(str(error).split())[:160]})", "check its files"
            ) from error
        if self.tokenizer.chat_template is None:
            raise DataError(
                folder, "its tokenizer has no chat template", "take a model trained for chat, or --generator completion"
            )
        self._model.to(device).eval()
        self.device, self.max_new_tokens = device, max_new_tokens
        self.model, self.prompt_version = self.folder.resolve().name, prompts().version

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> Answers:
        """One answer, which has all seven components.

        Raises:
            BrokenAnswer: if it is not the JSON object asked for.
        """
        return read_answer(self.complete(prompts().messages(sentence, refused)))

    def complete(self, messages: list[dict[str, str]]) -> str:
        """What the model answers to chat messages."""
        import torch

        inputs = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, do_sample=False, max_new_tokens=self.max_new_tokens)
        return str(self.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
