"""One training step of CPL under each evaluation plan, and of LNP on CPL, side by side.

``python -m benchmarks.training_step [--size toy|charades] [--json PATH]``: same weights, same batch, variants
alternating, medians after one warm-up.  First the correctness gate: at dropout 0 every plan of CPL must have the loss
and the gradients of ``all`` (the released program's computation), else no time is printed.
"""

import dataclasses
import functools

import torch

from benchmarks import _frame
from vmlkit.data.batches import MomentBatch
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
    model = make_model(size, 0.0)
    return _frame.apart({plan: (step(model, batch, plan), _frame.gradient_of(model)) for plan in PLANS})


def measure(size: Size, batch: MomentBatch, rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds per step of each plan and of LNP."""
    model, learned = make_model(size, 0.1), LNP(LNPConfig(), make_model(size, 0.1), 300)
    steps = {plan: functools.partial(step, model, batch, plan) for plan in PLANS}
    return _frame.in_turn({**steps, LNP_STEP: functools.partial(differentiate, learned, batch)}, rounds)


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = _frame.options(__doc__)
    parser.add_argument("--size", choices=SIZES, default="charades")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size, batch = SIZES[options.size], make_batch(SIZES[options.size])
    exact, times = gate(size, batch), measure(size, batch, options.rounds)
    for name, taken in times.items():
        ratio = times["all"]["median"] / taken["median"]
        note = f"differs from 'all' by {exact[name]:.1e} at dropout 0" if name in exact else "another loss"
        print(f"{name:10s} {taken['median']:7.3f} s CPU ({taken['min']:.3f}-{taken['max']:.3f})  x{ratio:.2f}  {note}")
    facts = {"size": dataclasses.asdict(size), "dtype": "float32", "difference_at_dropout_0": exact}
    _frame.keep(options.json, "training_step", **facts, seconds=times)


if __name__ == "__main__":
    main()
