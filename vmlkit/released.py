"""Parameter names of the released implementations, and the way from them to ours and back.

A released name is translated piece by piece by an ordered list of rewriting rules; a name that no rule accepts is an
error, never silently skipped.  The one reshaping: the authors keep the packed attention projection as bare
``in_proj_weight`` / ``in_proj_bias``, we keep it as a linear layer.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vmlkit.actions import released as actions
from vmlkit.components import released as components
from vmlkit.components.released import core_of_checkpoint
from vmlkit.detr import released as detr
from vmlkit.errors import DataError
from vmlkit.files.arrays import read_tensors, read_torch, require_finite
from vmlkit.files.reading import check_file
from vmlkit.reconstruction import released as reconstruction

_SAVE = (
    "save its state dict alone with torch.save(model.state_dict(), ...) or as safetensors: a file is opened without "
    "running code from it"
)
#: rewriting rules by the name of a released model
RULES = {**reconstruction.RULES, **detr.RULES, **actions.RULES, **components.RULES}


def our_name(released: str, model: str) -> str:
    """The name in our state dict of a parameter of the released ``model``.

    >>> our_name("trans.decoder1.decoder_layers.0.self_attn.in_proj_bias", "cpl")
    'transformer.video_stack.0.self_attention.in_proj.bias'
    """
    for pattern, replacement in RULES[model]:
        released = re.sub(pattern, replacement, released)
    return released


def to_our_names(released: Mapping[str, Tensor], model: str) -> dict[str, Tensor]:
    """A released state dict under our names."""
    return {our_name(name, model): value for name, value in released.items()}


def load_released(module: nn.Module, released: Mapping[str, Tensor], model: str, source: object = "state dict") -> None:
    """Copy released parameters into ``module``.

    Parts of a release that it never uses (``unused_...`` under our names) are left out where the module lacks them.

    Raises:
        DataError: naming every missing, left-over or misshapen parameter.
    """
    state, own = to_our_names(released, model), module.state_dict()
    state = {name: value for name, value in state.items() if name in own or not name.startswith("unused_")}
    wrong = [f"missing {n}" for n in own.keys() - state.keys()]
    wrong += [f"unknown {n}" for n in state.keys() - own.keys()]
    wrong += [
        f"{n} is {tuple(state[n].shape)}, expected {tuple(own[n].shape)}"
        for n in state.keys() & own.keys()
        if state[n].shape != own[n].shape
    ]
    if wrong:
        shown = ", ".join(sorted(wrong)[:6]) + (f" and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise DataError(source, f"does not fit {model}: {shown}", "check the model's sizes against the checkpoint's")
    module.load_state_dict(state)


def load_checkpoint(path: Path | str, module: nn.Module, model: str) -> None:
    """Load an authors' checkpoint file (``.pt``/``.pth`` or ``.safetensors``) by the authors' parameter names.

    Pickles are opened with ``weights_only=True``; the state dict may sit under ``model``, ``state_dict`` or
    ``model_parameters``, and names may carry the ``module.`` of data-parallel training.

    Raises:
        DataError: for a file that is absent, cannot be read safely, or does not fit.
    """
    state, _ = read_checkpoint(path)
    load_released(module, core_of_checkpoint(state) if model == "xclip" else state, model, path)


def read_checkpoint(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict of a checkpoint file, and the plain options that the DETR releases keep beside it (``opt``).

    Raises:
        DataError: as :func:`load_checkpoint`.
    """
    path = Path(path)
    check_file(path, missing="no such checkpoint", remedy="give the path of a downloaded checkpoint file")
    content = read_tensors(path) if path.suffix == ".safetensors" else _open_checkpoint(path)
    options = content.get("opt") if isinstance(content, Mapping) else None
    return _state_dict(content, path), vars(options) if isinstance(options, argparse.Namespace) else {}


def _open_checkpoint(path: Path) -> object:
    """Open a ``.pt`` without running code from it.

    The DETR releases keep their options beside the weights as an ``argparse.Namespace``, a bag of attributes that runs
    nothing when it is rebuilt; it is let through, everything else that is not plain data is refused.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        return read_torch(path, kind="checkpoint", remedy=_SAVE)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    for key in ("model_parameters", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(path, "holds no state dict", "save a mapping from parameter names to tensors")
    if not all(isinstance(name, str) for name in content):
        raise DataError(path, "holds parameters without names", "save a mapping from parameter names to tensors")
    require_finite(content, path)
    return {name.removeprefix("module."): value for name, value in content.items()}
