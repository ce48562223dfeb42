"""A training step of the toy world before and after a change, alternating in one process on a CPU.

``python -m benchmarks.before_after [--before REVISION]``: the package of that revision is taken from the history of
the repository and imported beside this one under another name, both models get the same weights and batch, and their
steps (forward and backward) alternate.  First the correctness gate: without dropout both must have the same loss and
gradient, else no time is printed.  ``--threads`` names the numbers of CPU threads to measure; for one thread the times
printed are of the CPU, for more they are of the clock.
"""

import argparse
import dataclasses
import functools
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vmlkit import provenance
from vmlkit.files import write_json
from vmlkit.methods import METHODS

METHOD_NAMES = ("cnm", "cpl", "pps", "lnp-cpl", "lnp-pps")
OTHER = "vmlkit_before"
#: the last revision before passes were packed
BEFORE = "762a775"
#: largest relative difference between the two trees at dropout 0, of the loss and of the whole gradient
LOSS_GAP, GRADIENT_GAP = 1e-6, 1e-5


def import_revision(revision: str, folder: Path) -> None:
    """Make the package of another revision importable as ``vmlkit_before``, from a copy below ``folder``.

    Raises:
        SystemExit: where the repository has no such revision.
    """
    here = Path(__file__).resolve().parent.parent
    done = subprocess.run(["git", "archive", revision, "vmlkit"], cwd=here, capture_output=True)
    if done.returncode:
        raise SystemExit(f"the repository has no revision {revision}: name another with --before")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=done.stdout, check=True)
    (folder / "vmlkit").rename(folder / OTHER)
    for path in (folder / OTHER).rglob("*.py"):
        path.write_text(path.read_text().replace("vmlkit", OTHER))
    sys.path.insert(0, str(folder))


def toy_batch(name: str) -> Any:
    """32 queries of the toy world, the batch of its trainings."""
    settings = importlib.import_module("vmlkit.methods").preset(name, "toy", "ci")
    few = dataclasses.replace(settings.data, train_videos=60, validation_videos=3, test_videos=3)
    splits = METHODS[name].load(few, progress=False)
    batch = METHODS[name].task(settings).batch(splits.train, torch.arange(settings.train.batch_size), seed=1)
    return splits.train, batch


def model_of(package: str, name: str, train: Any) -> nn.Module:
    """The method's toy model as a package builds it."""
    settings = importlib.import_module(f"{package}.methods").preset(name, "toy", "ci")
    model: nn.Module = importlib.import_module(f"{package}.experiments.experiment").build(settings, train)
    return model.train()


def step(model: Any, batch: Any, package: str) -> Tensor:
    """Forward and backward from fixed draws of words; returns the loss."""
    progress = importlib.import_module(f"{package}.training.method").Progress(3, 10)
    model.zero_grad(set_to_none=True)
    loss: Tensor = model.training_loss(batch, progress, torch.Generator().manual_seed(1)).total
    loss.backward()
    return loss.detach()


def gate(models: dict[str, nn.Module], batch: Any) -> float:
    """Largest relative difference of loss and gradient in evaluation mode.

    Raises:
        SystemExit: where it is more than rounding.
    """
    found = []
    for package, model in models.items():
        loss = step(model.eval(), batch, package)
        model.train()
        gradient = torch.cat([torch.zeros(1) if p.grad is None else p.grad.flatten() for p in model.parameters()])
        found.append((loss, gradient))
    (new, ours), (old, theirs) = found
    loss_gap, gradient_gap = float((new - old).abs() / old.abs()), float((ours - theirs).norm() / theirs.norm())
    if loss_gap > LOSS_GAP or gradient_gap > GRADIENT_GAP:
        raise SystemExit(f"loss differs by {loss_gap:.1e}, gradient by {gradient_gap:.1e}; timing is void")
    return max(loss_gap, gradient_gap)


def measure(models: dict[str, nn.Module], batch: Any, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of CPU and of the clock per step of each package, in turn: smallest, median."""
    steps = {package: functools.partial(step, model, batch, package) for package, model in models.items()}
    cpu: dict[str, list[float]] = {package: [] for package in steps}
    clock: dict[str, list[float]] = {package: [] for package in steps}
    for round_ in range(rounds + 3):
        for package, run in steps.items():
            started, at = time.process_time(), time.perf_counter()
            run()
            if round_ >= 3:
                cpu[package].append(time.process_time() - started)
                clock[package].append(time.perf_counter() - at)
    return {
        package: {
            "cpu_min": min(cpu[package]),
            "cpu_median": statistics.median(cpu[package]),
            "clock_min": min(clock[package]),
            "clock_median": statistics.median(clock[package]),
        }
        for package in steps
    }


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--before", default=BEFORE, metavar="REVISION", help="what to compare with (default: %(default)s)"
    )
    parser.add_argument("--methods", nargs="+", choices=METHOD_NAMES, default=METHOD_NAMES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the numbers and where they come from to this file")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        import_revision(arguments.before, Path(folder))
        for name in arguments.methods:
            train, batch = toy_batch(name)
            models = {package: model_of(package, name, train) for package in ("vmlkit", OTHER)}
            models[OTHER].load_state_dict(models["vmlkit"].state_dict())
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                gap, taken = gate(models, batch), measure(models, batch, arguments.rounds)
                after, before = taken["vmlkit"], taken[OTHER]
                kind = "cpu" if threads == 1 else "clock"
                ratio = before[f"{kind}_median"] / after[f"{kind}_median"]
                print(
                    f"{name:8s} {threads} thread(s)  before {before[f'{kind}_median'] * 1e3:6.1f} ms  "
                    f"after {after[f'{kind}_median'] * 1e3:6.1f} ms  x{ratio:.2f}  differs by {gap:.1e}",
                    flush=True,
                )
                rows.append({"method": name, "threads": threads, "before": before, "after": after, "difference": gap})
    if arguments.json:
        record = {
            "benchmark": "before_after",
            "command": f"python -m benchmarks.before_after --before {arguments.before} "
            f"--methods {' '.join(arguments.methods)} --threads {' '.join(map(str, arguments.threads))}",
            "before": arguments.before,
            "seconds": rows,
            **provenance.made_with(None, max(arguments.threads)),
        }
        write_json(arguments.json, record)


if __name__ == "__main__":
    main()
