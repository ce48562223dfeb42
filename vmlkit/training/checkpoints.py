"""Weights as safetensors, and the one file from which a run resumes to the same bits.

``state.pt`` is a single bundle, renamed into place, so no two files can disagree about where a run is: parameters,
gradients, optimisers, generators, and the loss terms of the running epoch.  The gradients are in it because CNM's clip
sees those that the other stage left behind at the previous step.  Whatever else the run directory holds may be *ahead*
of the state after a kill, and is cut back or written again on resuming.
"""

import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import nn

from vmlkit.errors import DataError
from vmlkit.files import parse_json, write_bytes
from vmlkit.files.arrays import read_tensors, read_torch, readable, require_finite, tensors_header
from vmlkit.files.reading import check_file
from vmlkit.files.records import ANY, COUNT, Entry, Plain, Table, checked
from vmlkit.runs import SCHEMA

_REMEDY = "delete the run directory and train again"
_INFO = Entry({"epoch": COUNT, "step": COUNT})
_TENSOR = Plain(lambda value: isinstance(value, torch.Tensor), "a tensor")
#: what a bundle must hold beside what :class:`vmlkit.training.steps.TrainingState` asks of it
_BUNDLE = Entry({"model": Table(_TENSOR), "gradients": Table(_TENSOR), "generators": Table(ANY)})


def save_weights(method: nn.Module, path: Path, *, epoch: int, step: int) -> None:
    """Write the parameters and buffers of ``method`` under their names, with the epoch and step in the header."""
    # safetensors refuses tensors that share memory: a module registered under two names is stored twice
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in method.state_dict().items()}
    # one entry only: safetensors writes several in no fixed order, and equal weights should be equal files
    write_bytes(path, safetensors.torch.save(tensors, {"vmlkit": json.dumps({"epoch": epoch, "step": step})}))


def weights_info(path: Path) -> dict[str, int]:
    """The header of a weights file: ``epoch`` and ``step``.

    Raises:
        DataError: if it is missing, unreadable, or written by something else.
    """
    about = tensors_header(path, remedy=_REMEDY)[1].get("__metadata__", {})
    if "vmlkit" not in about:
        raise DataError(path, "was not written by vmlkit's training loop", _REMEDY)
    found: dict[str, int] = parse_json(about["vmlkit"], path, what="has metadata that are", remedy=_REMEDY)
    checked(found, _INFO, path, "its metadata", _REMEDY)
    return found


def load_weights(method: nn.Module, path: Path) -> dict[str, int]:
    """Load weights into ``method`` in place and return the header.

    Raises:
        DataError: if the file is missing, unreadable, of another model, or has a weight that is not finite.
    """
    info, tensors = weights_info(path), read_tensors(path)
    require_finite(tensors, path, _REMEDY)
    _load_state_dict(method, tensors, path)
    return info


def _load_state_dict(method: nn.Module, tensors: Mapping[str, Any], path: Path) -> None:
    try:
        method.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        detail = " ".join(lines[1:2] or lines).rstrip(". ")
        raise DataError(path, f"holds the weights of another model ({detail})", _REMEDY) from error


def save_state(path: Path, method: nn.Module, state: Mapping[str, Any]) -> None:
    """Write the bundle: ``state`` (plain values and tensors), weights, gradients and the global generators."""
    bundle = {
        "schema": SCHEMA,
        **state,
        "model": method.state_dict(),
        "gradients": {n: p.grad for n, p in method.named_parameters() if p.grad is not None},
        "generators": global_generators(next(method.parameters()).device),
    }
    file = io.BytesIO()  # given a path, torch reports a full disk as a fault of its own
    torch.save(bundle, file)
    write_bytes(path, file.getvalue())


def load_state(path: Path, method: nn.Module) -> dict[str, Any]:
    """Put a bundle back into ``method`` and the global generators, and return the rest of it.

    Raises:
        DataError: if the file is missing, unreadable, of another schema version or of another model.
    """
    device = next(method.parameters()).device
    check_file(path, missing="is missing, so this run cannot be resumed", remedy=_REMEDY)
    bundle = read_torch(path, kind="training state", remedy=_REMEDY)
    if not isinstance(bundle, dict) or type(bundle.get("schema")) is not int or bundle["schema"] != SCHEMA:
        raise DataError(path, f"is not a training state of schema version {SCHEMA}", _REMEDY)
    checked(bundle, _BUNDLE, path, remedy=_REMEDY)
    require_finite(bundle["model"], path, _REMEDY)
    _load_state_dict(method, bundle.pop("model"), path)
    gradients = bundle.pop("gradients")
    for name, parameter in method.named_parameters():
        if name in gradients and gradients[name].shape != parameter.shape:
            raise DataError(path, f"holds a gradient of another shape for '{name}'", _REMEDY)
        parameter.grad = gradients[name].to(parameter) if name in gradients else None
    with readable(path, "training state", _REMEDY):
        set_global_generators(bundle.pop("generators"), device)
    return bundle


def global_generators(device: torch.device) -> dict[str, Any]:
    """State of the global generators (torch, accelerator, Python, numpy) as tensors and plain values."""
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))  # noqa: NPY002 - theirs
    return {
        "torch": torch.get_rng_state(),
        "accelerator": None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(*_which(device)),
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
    }


def set_global_generators(state: Mapping[str, Any], device: torch.device) -> None:
    """The inverse of :func:`global_generators`."""
    torch.set_rng_state(state["torch"])
    if device.type != "cpu" and state["accelerator"] is not None:
        torch.get_device_module(device).set_rng_state(state["accelerator"], *_which(device))
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002


def _which(device: torch.device) -> tuple[torch.device, ...]:
    """Which card, for a module that tells several apart; without it, that of the current one would be saved."""
    return () if device.type == "mps" else (device,)
