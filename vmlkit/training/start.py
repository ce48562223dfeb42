"""Before the first step: what is written about a run, whether a directory may take it, and how chance is fixed.

A run directory appears complete or not at all: it is filled under a hidden name beside its place and renamed, after
the untrained method has been evaluated on the real data.  Settings or data that cannot work therefore leave nothing.
"""

import contextlib
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vmlkit import provenance
from vmlkit.errors import ConfigError, DataError
from vmlkit.files import plain, sync_directory, write_json
from vmlkit.runs import SCHEMA, RunDirectory
from vmlkit.training.checkpoints import global_generators, set_global_generators
from vmlkit.training.task import Split

#: what must agree for a run to be continued
_IDENTITY = ("method", "seed", "settings", "data")
#: what is written down where it is otherwise
_MADE_WITH = ("versions", "revision", "hardware")


def choose_device(name: str, asked_by: str = "setting 'train.device'") -> torch.device:
    """``"auto"`` is ``$VMLKIT_DEVICE``, or a GPU where there is one; anything else is torch's own name of a device.

    Args:
        asked_by: where ``name`` was given, for the message.

    Raises:
        ConfigError: for a device that torch does not know or cannot use here.
    """
    asked = os.environ.get("VMLKIT_DEVICE") or "auto" if name == "auto" else name
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=asked).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        source = "$VMLKIT_DEVICE" if name == "auto" else asked_by
        raise ConfigError(f"{source} is {asked!r}: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def moved(method: nn.Module, device: torch.device | None) -> Iterator[None]:
    """The method on ``device`` for the time of the block (None: where it lies); afterwards it lies where it did."""
    home = next(method.parameters()).device
    method.to(device or home)
    try:
        yield
    finally:
        method.to(home)


def run_record(
    description: Mapping[str, Any], settings: Mapping[str, Any], train: Split, validation: Split, device: torch.device
) -> dict[str, Any]:
    """The content of ``config.json``.

    Args:
        description: ``name, method, settings, data`` as the caller knows them; missing parts are filled in from the
            data sets, ``settings["train"]`` is always what the loop uses.
        settings: the training settings.
    """
    data = {
        "name": train.name,
        "fingerprint": f"{train.fingerprint}+{validation.fingerprint}",
        "train_queries": len(train),
        "validation_queries": len(validation),
        "test_queries": None,
    }
    named = None if device.type == "cpu" else torch.get_device_module(device).get_device_name(device)
    record = {
        "schema": SCHEMA,
        "name": None,
        "method": None,
        **{key: value for key, value in description.items() if key not in ("settings", "data")},
        "settings": {**description.get("settings", {}), "train": dict(settings)},
        "seed": settings["seed"],
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "hardware": provenance.hardware(named, settings["threads"] or torch.get_num_threads()),
        "data": {**data, **description.get("data", {})},
    }
    found: dict[str, Any] = plain(record)
    return found


def matching_run(
    folder: Path, record: Mapping[str, Any], added: Mapping[str, Any] | None = None
) -> RunDirectory | None:
    """The run that ``folder`` already holds, if it is the same run; None where the place is free.

    Args:
        added: what training settings were before they existed, for runs recorded without them.

    Raises:
        ConfigError: if it holds a run with other settings, or something that is not a run.
        DataError: if its ``config.json`` is unreadable or of another schema version.
    """
    if not folder.name:
        raise ConfigError(f"'{folder}' cannot be a run directory: name a new one, such as runs/first")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / "config.json").is_file():
        raise ConfigError(f"'{folder}' exists and is not a run directory: choose another one")
    run = RunDirectory(folder)
    recorded = dict(run.config)
    if isinstance(settings := recorded.get("settings"), dict):
        recorded["settings"] = {**settings, "train": {**(added or {}), **settings.get("train", {})}}
    differences = [
        f"{name} is {_short(there)} there and {_short(here)} here"
        for key in _IDENTITY
        for name, there, here in _differences(key, recorded.get(key), record[key])
    ]
    if differences:
        more = f", and {len(differences) - 3} more" if len(differences) > 3 else ""
        again = ""
        if all(difference.startswith("settings.train.epochs is") for difference in differences):
            again = f" `vmlkit continue {folder} --epochs {record['settings']['train']['epochs']}` trains it for more."
        raise ConfigError(
            f"'{folder}' holds another run: {'; '.join(differences[:3])}{more}. "
            f"Choose another run directory, or delete that one.{again}"
        )
    return run


def note_resumption(run: RunDirectory, record: Mapping[str, Any]) -> None:
    """Write into ``config.json`` with what an unfinished run goes on, where that is not what it was begun with.

    ``resumed`` lists, for each such time, the ``epoch`` that was finished and what is otherwise from there on of
    ``versions``, ``revision`` and ``hardware``.  It is said on stderr too: the bits may no longer be those of a run
    that was never interrupted.
    """
    if run.finished:
        return
    resumed = list(run.config.get("resumed", []))
    known = {key: run.config.get(key) for key in _MADE_WITH}
    for entry in resumed:
        known |= {key: entry[key] for key in _MADE_WITH if key in entry}
    changed = {key: record[key] for key in _MADE_WITH if record[key] != known[key]}
    if changed:
        names = [name for key in changed for name, _, _ in _differences(key, known[key], record[key])]
        said = f"goes on with other {', '.join(names[:4])} than before; config.json says which"
        print(f"vmlkit: {run.path} {said}.", file=sys.stderr)
        resumed.append({"epoch": run.state["epoch"], **changed})
        write_json(run.path / "config.json", {**run.config, "resumed": resumed})


def _differences(name: str, there: Any, here: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(f"{name}.{key}", there.get(key), here.get(key))
    elif there != here:
        yield name, there, here


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def create_run(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make the run directory appear at once: ``fill`` writes into a hidden sibling, which is then renamed.

    An empty directory or an older run of the same settings at ``folder`` is replaced.
    """
    new, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("new", "old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        fill(new)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    except FileExistsError as error:
        raise DataError(folder, "its parent is a file", "choose another run directory") from error
    except OSError as error:
        what = f"cannot be made ({error.strerror})"
        raise DataError(folder, what, "make room or permission there, or choose another run directory") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    sync_directory(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


class Reproducible:
    """What holds while a run computes: global generators of its own, its threads, deterministic kernels.

    To be entered for the whole run or, where several take turns, for each turn; outside, everything is the caller's.
    Dropout draws from torch's global generator.  Nothing here draws from Python's or numpy's; they are fixed too in
    case a method's dependency does.
    """

    def __init__(self, seed: int, device: torch.device, *, threads: int | None, deterministic: bool) -> None:
        self._seed, self._device, self._threads, self._deterministic = seed, device, threads, deterministic
        self._own: dict[str, Any] | None = None  # generators between two turns

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        generators, before = global_generators(self._device), torch.get_num_threads()
        strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        kernels: Any = torch.utils.deterministic
        filling = kernels.fill_uninitialized_memory
        # where torch only warns, attention in one kernel adds its gradients up in any order
        ordered = self._deterministic and self._device.type == "cuda"
        try:
            self._take_generators()
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            if self._deterministic:
                # an accelerator lacks some deterministic kernels: say so rather than stop
                torch.use_deterministic_algorithms(True, warn_only=self._device.type != "cpu")
            kernels.fill_uninitialized_memory = False  # a kernel for each empty tensor, read by nobody
            with sdpa_kernel(SDPBackend.MATH) if ordered else contextlib.nullcontext():
                yield
        finally:
            self._own = global_generators(self._device)
            set_global_generators(generators, self._device)
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
            kernels.fill_uninitialized_memory = filling

    def _take_generators(self) -> None:
        if self._own is not None:
            set_global_generators(self._own, self._device)
            return
        random.seed(self._seed)
        np.random.seed(self._seed % 2**32)  # noqa: NPY002 - theirs
        torch.manual_seed(self._seed)
