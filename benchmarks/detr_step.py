"""One training step of BM-DETR as one batch against the released passes, side by side.

``python -m benchmarks.detr_step [--size toy charades] [--json PATH]``: same weights, same batch, variants alternating,
medians after one warm-up.  The variants:

* ``separate``: every branch and every sentence through projection, encoder *and decoder* by itself, as released (the
  decoder's result on the negative pair is thrown away);
* ``separate, no discarded decoder``: without that pass;
* ``one batch``: what the package does.

First the correctness gate: at dropout 0 all variants must have the same loss and gradients, else no time is printed.
"""

import functools

import torch
from torch import Tensor

from benchmarks import _frame
from vmlkit.detr.batches import DetrBatch, with_endpoints
from vmlkit.detr.bm_detr import BMDetr, BMDetrConfig, BMDetrOutput
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.shift import Branch
from vmlkit.training.method import DataShape, Progress

#: hidden, layers, batch, clips, words, clip features, word features
SIZES = {"toy": (64, 2, 32, 32, 10, 128, 48), "charades": (256, 3, 8, 32, 16, 1024, 512)}
SIZES["qvhighlights"] = (256, 3, 32, 75, 32, 2816, 512)
VARIANTS = ("separate", "separate, no discarded decoder", "one batch")


def make_batch(size: str) -> DetrBatch:
    """Random features; every query has one window and a negative sentence."""
    _, _, count, clips, words, frame_dim, word_dim = SIZES[size]
    g = torch.Generator().manual_seed(0)
    mask, word_mask = torch.ones(count, clips, dtype=torch.bool), torch.ones(count, words, dtype=torch.bool)
    windows = torch.stack((0.3 + 0.4 * torch.rand(count, generator=g), torch.full((count,), 0.25)), dim=-1)
    return DetrBatch(
        frames=with_endpoints(torch.randn(count, clips, frame_dim, generator=g), mask),
        frame_mask=mask,
        words=torch.randn(count, words, word_dim, generator=g),
        word_ids=torch.ones(count, words, dtype=torch.long),
        word_mask=word_mask,
        word_weights=word_mask / words,
        spans=windows,
        durations=torch.full((count,), 30.0),
        query_ids=tuple(map(str, range(count))),
        video_ids=tuple(map(str, range(count))),
        windows=windows[:, None],
        window_mask=torch.ones(count, 1, dtype=torch.bool),
        negative_words=torch.randn(count, words, word_dim, generator=g),
        negative_mask=word_mask,
    )


def make_model(size: str, dropout: float, variant: str) -> BMDetr:
    """The released mode with shifting, under one of the variants."""
    hidden, layers, *_, frame_dim, word_dim = SIZES[size]
    sizes = DetrSizes(
        hidden=hidden, heads=8, feed_forward=4 * hidden, encoder_layers=layers, decoder_layers=layers,
        dropout=dropout, input_dropout=5 * dropout,
    )  # fmt: skip
    torch.manual_seed(0)
    shape = DataShape(frame_dim=frame_dim + 2, word_dim=word_dim, vocabulary=2)
    model = BMDetr(BMDetrConfig(sizes=sizes), shape)
    if variant != "one batch":
        discard = variant == "separate"
        model.together = functools.partial(separately, model, discard)  # type: ignore[method-assign]
    return model


def separately(
    model: BMDetr, discard: bool, branches: list[Branch], words: tuple[Tensor, Tensor], negative: tuple[Tensor, Tensor]
) -> list[BMDetrOutput]:
    """As released: each pass by itself."""
    found = []
    for branch in branches:
        memories = [
            model.encode(model.video_projection(branch.clips), branch.mask, model.text_projection(text), mask)
            for text, mask in (words, negative)
        ]
        if discard:
            model.decode(memories[1])
        found.append(model.answer(*memories))
    return found


def step(model: BMDetr, batch: DetrBatch) -> Tensor:
    """Forward and backward; returns the loss."""
    model.zero_grad(set_to_none=True)
    loss = model.training_loss(batch, Progress(1, 1), torch.Generator().manual_seed(0)).total
    loss.backward()
    return loss.detach()


def exact(size: str, batch: DetrBatch, variant: str) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a variant at dropout 0."""
    model = make_model(size, 0.0, variant)
    return step(model, batch), _frame.gradient_of(model)


def main() -> None:
    """Print a table; with ``--json`` write it down."""
    parser = _frame.options(__doc__)
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["toy"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {}
    for size in options.size:
        batch = make_batch(size)
        apart = _frame.apart({variant: exact(size, batch, variant) for variant in VARIANTS})
        runs = {name: functools.partial(step, make_model(size, 0.1, name), batch) for name in VARIANTS}
        seconds = _frame.in_turn(runs, options.rounds)
        sizes[size] = {"dimensions": SIZES[size], "gate": apart, "cpu_seconds": seconds}
        print(f"size {size} {SIZES[size]}, one thread, CPU seconds a step; gate: {apart}")
        for name, row in seconds.items():
            ratio = seconds["separate"]["median"] / row["median"]
            print(f"{name:32s} {row['median']:.3f} ({row['min']:.3f} to {row['max']:.3f})  x {ratio:.2f}")
    _frame.keep(options.json, "detr_step", sizes=sizes, rounds=options.rounds)


if __name__ == "__main__":
    main()
