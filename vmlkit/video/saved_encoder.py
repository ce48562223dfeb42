"""Encoders from saved models: CLIP and SigLIP, whose texts compare with pictures, and any backbone for features alone.

Weights are read from safetensors only.  A model is a local folder, or a name on the hub of Hugging Face, whose files
are downloaded once into the cache of ``huggingface_hub``.
"""

import importlib
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from vmlkit.errors import ConfigError, DataError, required
from vmlkit.files import read_json
from vmlkit.text.encoder import TextEncoder, folder_fingerprint
from vmlkit.video.decode import Frame
from vmlkit.video.encoders import Kept, Rows, VideoEncoder, row_times, unit
from vmlkit.video.pictures import Preparation

Norm = Literal["none", "l2"]
#: pictures encoded at a time; fixed, since sums depend on it in their last bits
BATCH = 16
#: rows a second unless another rate is asked for: the clips of two seconds of QVHighlights
RATE = 0.5
_PURPOSE = "features of pictures by a saved model"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class SavedEncoder(VideoEncoder):
    """Rows of a saved model, one for each picture.

    * CLIP: the projected vector of the picture, which compares with that of a sentence.
    * SigLIP (also SigLIP 2 of a fixed size): the pooled vector, likewise.
    * any other model of pictures, from transformers or timm: its pooled vector, or the mean of its last states.

    Args:
        folder: a local folder with ``config.json``, ``model.safetensors`` and (of transformers)
            ``preprocessor_config.json``; or a name on the hub, such as ``openai/clip-vit-base-patch32``.
        rate: pictures a second.
        norm: "l2" makes every row one long; "none" leaves it as the model gives it, as published features are.
        device: where the model runs; None takes a card where there is one.

    Raises:
        ConfigError: for a rate or a norm that there is not.
        DataError: for a folder that is missing or holds no usable model of pictures, or a name that cannot be had.
        MissingDependency: without ``transformers``.
    """

    def __init__(
        self, folder: str | Path, *, rate: float = RATE, norm: Norm = "none", device: str | None = None
    ) -> None:
        if not rate > 0:
            raise ConfigError(f"the rate of an encoder must be above 0 pictures a second, not {rate:g}")
        if norm not in get_args(Norm):
            raise ConfigError(f"the norm of an encoder must be 'none' or 'l2', not {norm!r}")
        self.folder = local_folder(folder)
        self.name = str(folder) if _HUB_NAME.fullmatch(str(folder)) else self.folder.resolve().name
        self.rate, self.norm = float(rate), norm
        self.device = _device(device)
        self.revision = folder_fingerprint(self.folder)
        config = _json(self.folder / "config.json")
        if "architecture" in config and "model_type" not in config:
            self._model, self._prepare = _timm(self.folder, config)
            self.kind = "timm"
        else:
            self._model, self._prepare = _transformers(self.folder)
            self.kind = str(config.get("model_type"))
        self._model.to(self.device)
        self.size = self._prepare.side
        self.dimension = int(self._rows([np.zeros((8, 8, 3), np.uint8)]).shape[1])

    def encode(self, frames: Iterator[Frame]) -> Rows:
        """Rows ``(T, D)``, float32.

        Raises:
            DataError: where there is no picture.
        """
        centers, rows = list[float](), Kept()
        while chunk := list(itertools.islice(frames, BATCH)):
            centers += [time for time, _ in chunk]
            for row in self._rows([picture for _, picture in chunk]):
                rows.add(row)
        if not rows:
            raise DataError(self.name, "was given no picture", "check the video")
        return rows.stacked(), row_times(centers, self.rate)

    def text(self, sentences: Sequence[str]) -> Float[np.ndarray, "K D"] | None:
        """Unit vectors by the text half of CLIP or SigLIP; ``None`` of a model of pictures alone."""
        if self.kind not in ("clip", "siglip"):
            return None
        return self._texts.vectors(list(sentences))

    @cached_property
    def _texts(self) -> TextEncoder:
        return TextEncoder(self.folder)

    @torch.inference_mode()
    def _rows(self, pictures: Sequence[np.ndarray]) -> Float[np.ndarray, "B D"]:
        rows = self._pooled(self._prepare.batch(pictures).to(self.device)).float().cpu().numpy()
        if not np.isfinite(rows).all():
            raise DataError(self.name, "gives NaN or infinity for a picture", "check the weights of the model")
        return unit(rows) if self.norm == "l2" else rows

    def _pooled(self, pixels: Tensor) -> Tensor:
        if self.kind == "timm":
            found: Tensor = self._model(pixels)
            return found
        tower = getattr(self._model, "vision_model", self._model)
        out = tower(pixel_values=pixels)
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            states = out.last_hidden_state
            # tokens (B, n, D), or a map (B, D, h, w)
            pooled = states.mean(dim=1) if states.ndim == 3 else states.mean(dim=(2, 3))
        if self.kind == "clip" and hasattr(self._model, "visual_projection"):
            pooled = self._model.visual_projection(pooled)
        rows: Tensor = pooled.flatten(1)
        return rows


def _device(name: str | None) -> torch.device:
    try:
        return torch.empty(0, device=name or ("cuda" if torch.cuda.is_available() else "cpu")).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from error


def local_folder(name: str | Path) -> Path:
    """The folder of a model: a local one, or where the files of a name on the hub were put.

    Raises:
        DataError: for a name that is neither.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataError(folder, "is no folder with a config.json", "give the folder of a saved encoder")
        return folder
    if not _HUB_NAME.fullmatch(str(name)) or folder.parent.is_dir():
        raise DataError(name, "there is no such folder", "give the folder of a saved encoder, or 'toy'")
    hub = required("huggingface_hub", "video", "a model by its name on the hub")
    files = ["*.json", "*.txt", "*.model", "model.safetensors"]
    try:
        return Path(hub.snapshot_download(str(name), allow_patterns=files, local_files_only=True))
    except (OSError, ValueError):
        print(f"vmlkit: downloading {name} from the hub of Hugging Face", file=sys.stderr)
    try:
        return Path(hub.snapshot_download(str(name), allow_patterns=files))
    except Exception as error:  # the client raises errors of several libraries
        what = f"is no folder here, and cannot be downloaded ({' '.join(str(error).split())[:120]})"
        raise DataError(name, what, "download the model where you can, and give its folder") from error


def _transformers(folder: Path) -> tuple[Any, Preparation]:
    transformers = required("transformers", "video", _PURPOSE)
    try:
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        what = f"holds no usable model ({' '.join(str(error).split())[:160]})"
        raise DataError(folder, what, "give config.json and model.safetensors of a model of pictures") from error
    tower = getattr(model, "vision_model", model)
    if getattr(tower, "main_input_name", None) != "pixel_values":
        raise DataError(folder, f"holds a {model.config.model_type}, no model of pictures", "give CLIP or SigLIP")
    if model.config.model_type.startswith("siglip2"):
        remedy = "take a SigLIP 2 of a fixed size, such as google/siglip2-base-patch16-224"
        raise DataError(folder, "holds a SigLIP 2 of flexible sizes", remedy)
    stated = folder / "preprocessor_config.json"
    if not stated.is_file():
        raise DataError(folder, "has no preprocessor_config.json", "copy it from where the model was published")
    return model.eval(), Preparation.of_transformers(_json(stated), stated)


def _timm(folder: Path, config: dict[str, Any]) -> tuple[Any, Preparation]:
    try:
        timm = importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        remedy = "run `pip install timm` with the torchvision of this torch"
        raise DataError(folder, "holds a model of timm, which cannot be imported here", remedy) from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise DataError(folder, "has no model.safetensors", "download the weights in that form")
    try:
        given = config.get("model_args") or {}
        model = timm.create_model(config["architecture"], checkpoint_path=str(weights), **given)
        model.reset_classifier(0)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        what = f"holds no usable model of timm ({' '.join(str(error).split())[:160]})"
        raise DataError(folder, what, "give config.json and model.safetensors as timm publishes them") from error
    return model.eval(), Preparation.of_timm(config.get("pretrained_cfg") or {})


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path, remedy="copy the model's folder again")
    if not isinstance(found, dict):
        raise DataError(path, "holds no settings", "copy the model's folder again")
    return found
