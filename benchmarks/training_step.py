"""One training step of CPL under each evaluation plan, and of LNP on CPL, side by side.

``python -m benchmarks.training_step [--size toy|charades] [--json PATH]``: same weights, same batch, variants
alternating, medians after one warm-up.  First the correctness gate: at dropout 0 every plan of CPL must have the loss
and the gradients of ``all`` (the released program's computation), else no time is printed.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from pathlib import Path

import torch

from vmlkit import provenance
from vmlkit.data.batches import MomentBatch
from vmlkit.files import write_json
from vmlkit.nn.transformer import TransformerConfig
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.reconstruction.lnp import LNP, LNPConfig
from vmlkit.training.method import DataShape, Method, Progress

PLANS = ("all", "selected", "replay")
LNP_STEP = "lnp on cpl"


@dataclasses.dataclass(frozen=True)
class Size:
    """Dimensions of a benchmark; ``charades`` is the protocol's CPU setting."""

    hidden: int
    layers: int
    proposals: int
    clips: int
    words: int
    batch: int
    frame_dim: int
    vocabulary: int


SIZES = {
    "toy": Size(32, 1, 4, 32, 8, 8, 32, 102),
    "charades": Size(256, 3, 8, 200, 11, 8, 1024, 1112),
}


def make_batch(size: Size) -> MomentBatch:
    """Random features and full-length sentences."""
    g = torch.Generator().manual_seed(0)
    shape = (size.batch, size.words)
    return MomentBatch(
        frames=torch.randn(size.batch, size.clips, size.frame_dim, generator=g),
        frame_mask=torch.ones(size.batch, size.clips, dtype=torch.bool),
        words=torch.randn(*shape, 300, generator=g),
        word_ids=torch.randint(1, size.vocabulary, shape, generator=g),
        word_mask=torch.ones(shape, dtype=torch.bool),
        word_weights=torch.full(shape, 1 / size.words),
        spans=None,
        durations=torch.ones(size.batch),
        query_ids=tuple(map(str, range(size.batch))),
        video_ids=tuple(map(str, range(size.batch))),
    )


def make_model(size: Size, dropout: float) -> CPL:
    """CPL with fixed weights."""
    torch.manual_seed(0)
    network = TransformerConfig(hidden=size.hidden, video_layers=size.layers, text_layers=size.layers, dropout=dropout)
    config = CPLConfig(reconstruction=ReconstructionConfig(transformer=network), proposals=size.proposals)
    return CPL(config, DataShape(frame_dim=size.frame_dim, word_dim=300, vocabulary=size.vocabulary))


def step(model: CPL, batch: MomentBatch, plan: str) -> torch.Tensor:
    """Forward and backward of one plan; returns the loss."""
    model.config = dataclasses.replace(model.config, plan=plan)
    return differentiate(model, batch)


def differentiate(model: Method, batch: MomentBatch) -> torch.Tensor:
    """Forward and backward; returns the loss."""
    model.zero_grad(set_to_none=True)
    loss = model.training_loss(batch, Progress(3, 10), torch.Generator().manual_seed(1)).total
    loss.backward()
    return loss.detach()


def gate(size: Size, batch: MomentBatch) -> dict[str, float]:
    """Largest relative difference of loss and total gradient from plan ``all`` at dropout 0."""
    model, reference, worst = make_model(size, 0.0), None, {}
    for plan in PLANS:
        loss = step(model, batch, plan)
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        if reference is None:
            reference = (loss, gradient)
        loss_gap = float((loss - reference[0]).abs() / reference[0].abs())
        gradient_gap = float((gradient - reference[1]).norm() / reference[1].norm())
        if loss_gap > 1e-6 or gradient_gap > 1e-5:
            raise SystemExit(f"{plan}: loss differs by {loss_gap:.1e}, gradient by {gradient_gap:.1e}; timing is void")
        worst[plan] = max(loss_gap, gradient_gap)
    return worst


def measure(size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds per step of each plan and of LNP: median, smallest, largest."""
    batch, model = make_batch(size), make_model(size, 0.1)
    learned = LNP(LNPConfig(), make_model(size, 0.1), 300)
    steps = {plan: functools.partial(step, model, batch, plan) for plan in PLANS}
    steps[LNP_STEP] = functools.partial(differentiate, learned, batch)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name, run in steps.items():
            started = time.process_time()
            run()
            if round_:
                times[name].append(time.process_time() - started)
    return {p: {"median": statistics.median(t), "min": min(t), "max": max(t)} for p, t in times.items()}


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="charades")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers and where they come from to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = SIZES[arguments.size]
    exact, times = gate(size, make_batch(size)), measure(size, arguments.rounds)
    for name, taken in times.items():
        ratio = times["all"]["median"] / taken["median"]
        note = f"differs from 'all' by {exact[name]:.1e} at dropout 0" if name in exact else "another loss"
        print(f"{name:10s} {taken['median']:7.3f} s CPU ({taken['min']:.3f}-{taken['max']:.3f})  x{ratio:.2f}  {note}")
    if arguments.json:
        record = {
            "benchmark": "training_step",
            "size": dataclasses.asdict(size),
            "dtype": "float32",
            "threads": 1,
            "seconds": times,
            "difference_at_dropout_0": exact,
            **provenance.made_with(None, 1),
        }
        write_json(arguments.json, record)


if __name__ == "__main__":
    main()
