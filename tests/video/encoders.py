"""Small models of pictures with random weights, saved as the published ones are."""

import json
from pathlib import Path

import pytest
import torch

from tests.text.encoders import save_encoder

CLIP_NORM = {"image_mean": [0.48, 0.45, 0.41], "image_std": [0.27, 0.26, 0.28]}
#: as CLIP prepares pictures, and as SigLIP does, at the size of the small models
CLIP = {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}, "do_center_crop": True, "resample": 3}
SIGLIP = {"size": {"height": 8, "width": 8}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SENTENCES = ["a red circle moves left", "the blue star spins"]


def save_pictures(folder: Path, kind: str) -> Path:
    """CLIP, SigLIP, ViT (a class token and no pooled vector) or a convolutional network."""
    transformers = pytest.importorskip("transformers", reason="saved encoders are optional: vmlkit[video]")
    if kind in ("clip", "siglip"):
        save_encoder(folder, SENTENCES, kind)
        record = {**CLIP, **CLIP_NORM} if kind == "clip" else SIGLIP
    else:
        torch.manual_seed(0)
        if kind == "vit":
            size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
            config = transformers.ViTConfig(**size, image_size=8, patch_size=4)
            model = transformers.ViTModel(config, add_pooling_layer=False)
        else:
            config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
            model = transformers.ResNetModel(config)
        model.save_pretrained(folder, safe_serialization=True)
        record = {**SIGLIP, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(record))
    return folder
