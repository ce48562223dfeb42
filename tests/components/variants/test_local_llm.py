"""A model in a folder: a random one through transformers, and the contract with a stand-in."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.components.variants.chat_server import fields
from vmlkit.components.variants.generation import variants_of
from vmlkit.components.variants.local_llm import LocalGenerator
from vmlkit.components.variants.prompts import prompts
from vmlkit.errors import DataError, MissingDependency

pytest.importorskip("pydantic")
pytest.importorskip("textblob")

FRIDGE = "person opens the fridge."
TEMPLATE = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}assistant :"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer model with a word tokenizer and a chat template."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("model")
    words = ["<unk>", "<eos>", "person", "opens", "the", "fridge", ".", "{", "}", "null", ":", "Caption", "assistant"]
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(words), n_positions=1024, n_embd=16, n_layer=2, n_head=2, eos_token_id=1, bos_token_id=1
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_random_model_answers_nonsense_which_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = LocalGenerator(tiny_model, max_new_tokens=8)
    text = generator.complete(prompts().messages(FRIDGE))
    assert text == generator.complete(prompts().messages(FRIDGE))  # the most probable words
    assert len(text.split()) <= 8
    rows = variants_of(generator, FRIDGE)
    assert {(row.generator, row.model, row.prompt_version) for row in rows} == {
        ("local", tiny_model.name, prompts().version)
    }
    assert not any(row.valid for row in rows)
    assert all(len(row.rejected) == 3 and "JSON" in row.rejected[0].reason for row in rows)
    monkeypatch.setattr(generator, "complete", lambda messages: fields(FRIDGE))
    assert any(row.valid for row in variants_of(generator, FRIDGE))


@pytest.mark.slow
def test_a_tokenizer_without_a_template_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    for path in tiny_model.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match="no chat template"):
        LocalGenerator(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match="cannot be loaded"):
        LocalGenerator(tmp_path)


class StandIn:
    """Remembers how transformers was called."""

    def __init__(self, answer: str) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer, self.chat_template = answer, "x"

    def from_pretrained(self, folder: str, **options: Any) -> "StandIn":
        self.calls.append({"folder": folder, **options})
        return self

    def to(self, device: str) -> "StandIn":
        return self

    def eval(self) -> "StandIn":
        return self

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        self.calls.append({"messages": messages, **options})
        batch = types.SimpleNamespace(to=lambda device: {"input_ids": torch.zeros(1, 3, dtype=torch.long)})
        return batch

    def generate(self, **options: Any) -> torch.Tensor:
        self.calls.append({k: v for k, v in options.items() if k != "input_ids"})
        return torch.arange(5)[None]

    def decode(self, tokens: torch.Tensor, **options: Any) -> str:
        self.calls.append({"tokens": tokens.tolist()})
        return self.answer


def test_only_the_folder_is_read_and_only_the_answer_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    stand_in = StandIn(fields(FRIDGE))
    module = types.ModuleType("transformers")
    module.AutoTokenizer = module.AutoModelForCausalLM = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", module)
    rows = {row.component: row for row in variants_of(LocalGenerator(tmp_path), FRIDGE)}
    assert rows["negated_verb"].text == "person does not open the fridge."
    tokenizer, model, asked, generated, decoded = stand_in.calls
    for call in (tokenizer, model):
        assert call["folder"] == str(tmp_path)
        assert call["local_files_only"] is True
        assert call["trust_remote_code"] is False
    assert model["use_safetensors"] is True
    assert asked["messages"] == prompts().messages(FRIDGE)
    assert generated == {"do_sample": False, "max_new_tokens": 512}
    assert decoded["tokens"] == [3, 4]


def test_a_name_is_no_folder_and_missing_packages_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="is not a folder with a config"):
        LocalGenerator("some-org/some-model")
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependency, match=r"'transformers': run `pip install 'vmlkit\[text\]'`"):
        LocalGenerator(tmp_path)
