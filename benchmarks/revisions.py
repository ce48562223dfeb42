"""One training step at toy size in this revision and in another one, side by side on one thread.

``python -m benchmarks.revisions [METHOD ...] --against TREE [--json PATH]``: TREE is a checkout of the other revision,
for instance of ``git worktree add TREE 762a775``.  Each revision has a process of its own; the two take turns, a few
steps at a time.  A step is forward and backward through all stages of the method, with optimisers that do nothing, on
the batches of one epoch of the toy world's ci preset.  Printed are CPU seconds, which other processes disturb least:
the median of all steps and the fastest.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent.parent
METHODS = ("moment-detr", "qd-detr", "bm-detr", "co2net", "tsm-vlc", "p4-qd-detr", "p4-xclip")


class Idle:
    """An optimiser that forgets gradients and changes nothing."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        """Leave the parameters."""
        return torch.zeros(())


def work() -> None:
    """Answer each line ``METHOD STEPS`` of the standard input with the CPU seconds of each step, as JSON."""
    from vmlkit.experiments.experiment import build, task_of
    from vmlkit.methods import METHODS as ALL
    from vmlkit.methods import preset
    from vmlkit.training.method import Progress

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ready: dict[str, Any] = {}
    for line in sys.stdin:
        name, count = line.split()
        if name not in ready:
            experiment = preset(name, "toy", "ci")
            data = dataclasses.replace(experiment.data, train_videos=64, validation_videos=4, test_videos=4)
            split, task = ALL[name].load(data, progress=False).train, None
            method, task = build(experiment, split).train(), task_of(experiment)
            order = task.order(split, experiment.train.batch_size, 0, 1)
            batches = [task.batch(split, rows, 0) for rows in order if len(rows) == len(order[0])]
            optimizers = {key: Idle(group) for key, group in method.parameter_groups().items()}
            ready[name] = method, batches, optimizers, torch.Generator().manual_seed(0)
        method, batches, optimizers, generator = ready[name]
        seconds = []
        for number in range(int(count)):
            started = time.process_time()
            method.step(batches[number % len(batches)], Progress(1, 10, number), generator, optimizers)
            seconds.append(time.process_time() - started)
        print(json.dumps(seconds), flush=True)


def start(tree: Path) -> subprocess.Popen[str]:
    """A process that works in the given checkout."""
    command = [sys.executable, str(Path(__file__).resolve()), "--work"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tree, env=environment, stdin=pipe, stdout=pipe, text=True)


def ask(worker: "subprocess.Popen[str]", name: str, steps: int) -> list[float]:
    """CPU seconds of some steps of a method.

    Raises:
        SystemExit: where the process has ended.
    """
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{name} {steps}\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"a process ended at '{name}': see its message above")
    seconds: list[float] = json.loads(answer)
    return seconds


def revision(tree: Path) -> str:
    """The commit of a checkout."""
    found = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), cwd=tree, text=True, capture_output=True, check=True
    )
    return found.stdout.strip()


def main() -> None:
    """Print a table; with ``--json`` write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: python -m benchmarks.revisions bm-detr --against ../old --json benchmarks/results/x.json",
    )
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"{', '.join(METHODS)} unless given")
    parser.add_argument("--against", type=Path, metavar="TREE", help="a checkout of the other revision; else this one")
    parser.add_argument("--rounds", type=int, default=12, help="turns of each revision")
    parser.add_argument("--steps", type=int, default=4, help="steps a turn")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return
    trees = {"other": (options.against or HERE).resolve(), "this": HERE}
    workers = {name: start(tree) for name, tree in trees.items()}
    rows: dict[str, Any] = {}
    print(f"{'method':16s} {'other, ms':>20s} {'this, ms':>20s}   ratio of medians, of fastest")
    for method in options.methods or METHODS:
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for turn in range(options.rounds + 1):
            for name, worker in workers.items():
                found = ask(worker, method, options.steps)
                seconds[name] += found if turn else []  # the first turn warms up
        row = {n: {"median": 1e3 * statistics.median(s), "fastest": 1e3 * min(s)} for n, s in seconds.items()}
        rows[method] = row
        shown = "  ".join(f"{row[n]['median']:9.2f} ({row[n]['fastest']:8.2f})" for n in trees)
        ratios = [row["other"][key] / row["this"][key] for key in ("median", "fastest")]
        print(f"{method:16s} {shown}   {ratios[0]:.2f}, {ratios[1]:.2f}", flush=True)
    for worker in workers.values():
        worker.terminate()
    if options.json:
        from vmlkit import provenance
        from vmlkit.files import write_json

        record = {
            "milliseconds": rows, "revisions": {name: revision(tree) for name, tree in trees.items()}, "threads": 1,
            "command": "python -m benchmarks.revisions --against TREE --json benchmarks/results/revisions_cpu.json",
            "rounds": options.rounds, "steps": options.steps, "versions": provenance.versions(),
            "hardware": provenance.hardware(threads=1),
        }  # fmt: skip
        write_json(options.json, record)


if __name__ == "__main__":
    main()
