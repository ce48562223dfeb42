"""Small encoders with random weights, saved as the published ones are."""

from pathlib import Path

import pytest
import torch

from vmlkit.text.similarity import words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def save_encoder(folder: Path, sentences: list[str], kind: str = "bert") -> Path:
    """A model of this kind that knows the words of the sentences: 16 columns, one layer."""
    transformers = pytest.importorskip("transformers", reason="encoders of texts are optional: vmlkit[text]")
    vocabulary = [*SPECIAL, *sorted({word for sentence in sentences for word in words(sentence)})]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**size, "vocab_size": len(vocabulary), "max_position_embeddings": 64}
    if kind == "bert":
        model = transformers.BertModel(transformers.BertConfig(**text))
    else:
        vision = {**size, "image_size": 8, "patch_size": 4}
        if kind == "clip":
            text |= {"eos_token_id": vocabulary.index("[SEP]"), "projection_dim": 12}
            config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
            model = transformers.CLIPModel(config)
        else:
            config = transformers.SiglipConfig(text_config=text | {"projection_size": 16}, vision_config=vision)
            model = transformers.SiglipModel(config)
    model.save_pretrained(folder, safe_serialization=True)
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
