"""A training step of the toy world in this revision and in another one, alternating in one process on a CPU.

``python -m benchmarks.revisions [METHOD ...] [--against REVISION]``: the package of that revision is taken from the
history of the repository and imported beside this one under another name.  Both models get the same weights and draw
the same batch; a step is forward and backward through all stages of the method, with optimisers that do nothing.
First the correctness gate: without dropout both must have the same loss and gradient, else no time is printed.
"""

import dataclasses
import importlib
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import _frame
from vmlkit.methods import METHODS

HERE, OTHER = Path(__file__).resolve().parent.parent, "vmlkit_before"
#: the last revision before passes were packed
BEFORE = "762a775"
#: the methods with a step of their own
NAMES = ("cnm", "cpl", "pps", "lnp-cpl", "lnp-pps", "moment-detr", "qd-detr", "bm-detr", "co2net", "tsm-vlc",
         "p4-qd-detr", "p4-xclip")  # fmt: skip


def git(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """What git answers in the repository."""
    return subprocess.run(["git", *words], cwd=HERE, capture_output=True)


def import_revision(revision: str, folder: Path) -> None:
    """Make the package of another revision importable as ``vmlkit_before``, from a copy below ``folder``.

    Raises:
        SystemExit: where the repository has no such revision.
    """
    done = git("archive", revision, "vmlkit")
    if done.returncode:
        raise SystemExit(f"the repository has no revision {revision}: name another with --against")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=done.stdout, check=True)
    (folder / "vmlkit").rename(folder / OTHER)
    for path in (folder / OTHER).rglob("*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace("vmlkit", OTHER), encoding="utf-8")
    sys.path.insert(0, str(folder))


class Side:
    """A method of the toy world as one package builds it, with a batch."""

    def __init__(self, package: str, name: str) -> None:
        methods, building, contract = (
            importlib.import_module(f"{package}.{module}")
            for module in ("methods", "experiments.experiment", "training.method")
        )
        experiment = methods.preset(name, "toy", "ci")
        few = dataclasses.replace(experiment.data, train_videos=64, validation_videos=4, test_videos=4)
        split = methods.METHODS[name].load(few, progress=False).train
        self.model, task = building.build(experiment, split), building.task_of(experiment)
        self.batch = task.batch(split, task.order(split, experiment.train.batch_size, 0, 1)[0], 0)
        self.progress = contract.Progress(3, 10, 0)
        groups = self.model.parameter_groups()
        self.optimizers = {key: _frame.IdleOptimizer(group) for key, group in groups.items()}

    def step(self) -> Tensor:
        """Forward and backward from fixed draws; returns the loss."""
        self.model.zero_grad(set_to_none=True)
        terms = self.model.step(self.batch, self.progress, torch.Generator().manual_seed(1), self.optimizers)
        loss: Tensor = terms.total.detach()
        return loss

    def exact(self) -> tuple[Tensor, Tensor]:
        """Loss and gradient without dropout."""
        self.model.eval()
        loss = self.step()
        self.model.train()
        return loss, _frame.gradient_of(self.model)


def compare(name: str, rounds: int) -> dict[str, Any]:
    """Gate and seconds of the processor of one method: ``before``, ``after``, ``difference``."""
    sides = {"after": Side("vmlkit", name), "before": Side(OTHER, name)}
    sides["before"].model.load_state_dict(sides["after"].model.state_dict())
    gap = _frame.apart({key: side.exact() for key, side in sides.items()})["before"]
    return {**_frame.in_turn({key: side.step for key, side in sides.items()}, rounds, warm=3), "difference": gap}


def main() -> None:
    """Print a table; with ``--json`` write it down."""
    parser = _frame.options(__doc__, "python -m benchmarks.revisions lnp-cpl bm-detr --against HEAD~20")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"{', '.join(NAMES)} unless given")
    parser.add_argument("--against", default=BEFORE, metavar="REVISION", help="the other one (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"unknown method '{min(unknown)}': choose from {', '.join(METHODS)}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        import_revision(options.against, Path(folder))
        for name in options.methods or NAMES:
            rows[name] = row = compare(name, options.rounds)
            before, after = (1e3 * row[side]["median"] for side in ("before", "after"))
            said = f"before {before:7.2f} ms  after {after:7.2f} ms  x{before / after:.2f}"
            print(f"{name:12s} {said}  differs by {row['difference']:.1e}", flush=True)
    _frame.keep(options.json, "revisions", against=options.against, rounds=options.rounds, seconds=rows)


if __name__ == "__main__":
    main()
