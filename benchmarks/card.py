"""A training step on a card, side by side: released habits, ours, captured as a graph, in three number formats.

    python -m benchmarks.card                          # on a card at paper size, below five minutes: make bench-gpu
    python -m benchmarks.card --device cpu --size tiny # its twin on a CPU, one thread: part of make bench
    python -m benchmarks.card --dry-run                # everything once, as small as it gets; writes nothing

Kernels are deterministic, as in the loop.  First the gate: after some updates, a method captured in fp32 must have the
loss of the plain one to the bit, else no time is taken.  Then variants alternate.  Beside the step: the loop, the toy
size, several runs in one process, the loader, and a whole training at the size of Charades-STA.  What a machine cannot
do has no number.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import _frame
from benchmarks.step import measure, page, runs
from benchmarks.step.cases import SIZES, Size, Variant, variants
from vmlkit import provenance
from vmlkit.training.graphs import OwnStream
from vmlkit.training.start import Reproducible, choose_device

RESULTS = Path(__file__).resolve().parent / "results"


@dataclasses.dataclass(frozen=True)
class Effort:
    """How often things are done."""

    warm_up: int
    steps: int
    rounds: int
    loop_steps: int
    many: tuple[int, ...]
    many_steps: int
    whole_seconds: float  #: what a whole training may take; fewer epochs where fifty would take longer


EFFORTS = {
    "dry": Effort(4, 1, 1, 5, (1, 2), 2, 0.0),
    "cpu": Effort(4, 2, 5, 10, (1, 2), 8, 0.0),
    "cuda": Effort(8, 10, 5, 40, (1, 2, 4, 8), 60, 45.0),
}
EPOCHS = 50


def steps_of(size: Size, device: torch.device, effort: Effort, chosen: list[Variant]) -> dict[str, Any]:
    """The rows of the table."""
    ready, flops, losses = {}, {}, {}
    for variant in chosen:
        run, _, _ = variant.step(size, device)
        method = variant.name.split(",")[0]
        if not (variant.graph or variant.released) and variant.precision == "fp32":
            flops[method] = measure.gigaflops(variant.step(size, device)[0])
        torch.manual_seed(1)
        for _ in range(effort.warm_up):
            loss = run()
        losses[variant.name] = _value(loss)
        ready[variant.name] = run
    for variant in chosen:
        _gate(variant, losses)
    times = measure.alternating(ready, effort.steps, effort.rounds, device)
    rates = {p: measure.rate(device, p) for p in dict.fromkeys(v.precision for v in chosen)}
    rows = {}
    for variant in chosen:
        run, name = ready[variant.name], variant.name
        method = name.split(",")[0]
        floor = 1e3 * flops[method] / rates[variant.precision]
        rows[name] = {
            "ms": times[name],
            **measure.work(run, device),
            "peak_gib": measure.peak_gib(run, device),
            "gflop": flops[method],
            "floor_ms": floor,
            "times_the_floor": times[name]["median"] / floor,
        }
    return {"rows": rows, "gflops_a_second": rates}


def _value(loss: Any) -> float:
    return float(loss if isinstance(loss, float) else loss.total.detach())


def _gate(variant: Variant, losses: dict[str, float]) -> None:
    plain = losses[f"{variant.name.split(',')[0]}, eager"]
    if variant.precision == "fp32" and not variant.released and losses[variant.name] != plain:
        raise SystemExit(f"{variant.name}: the loss is {losses[variant.name]}, not {plain}; no time is meaningful")


def everything(size: Size, device: torch.device, effort: Effort) -> Iterator[dict[str, Any]]:
    """All numbers of one machine, part by part, with those before."""
    chosen = [variant for variant in variants() if variant.on(device)]
    record: dict[str, Any] = {"size": dataclasses.asdict(SIZES[size])}
    fixed = Reproducible(1, device, threads=1, deterministic=True)  # as in the loop
    with contextlib.closing(OwnStream(device)) as stream, fixed(), stream():
        record["step"] = steps_of(size, device, effort, chosen)
    yield record
    graphs = ("off", "auto") if device.type == "cuda" else ("off",)
    record["loop_ms"] = {graph: runs.loop_ms(size, device, graph, effort.loop_steps) for graph in graphs}
    yield record
    record["many_steps_a_second"] = {str(k): runs.many(device, k, effort.many_steps, 4) for k in effort.many}
    yield record
    record["loader_ms"] = runs.loader_ms(size, 5)
    epochs = 1
    if effort.whole_seconds:
        estimate = record["loop_ms"][graphs[-1]] / 1e3 * -(-runs.CHARADES[0] // runs.EXTENTS[size].batch)
        epochs = max(1, min(EPOCHS, int(effort.whole_seconds / estimate)))
    record["whole"] = runs.whole(size, device, epochs)
    yield record
    if size != "tiny":
        with contextlib.closing(OwnStream(device)) as stream, fixed(), stream():
            record["toy"] = steps_of("tiny", device, effort, chosen)
        yield record


def main(arguments: list[str] | None = None) -> None:
    """Print the table; keep the numbers unless it is a dry run."""
    parser = _frame.options(__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--size", choices=SIZES, help="default: paper on a card, tiny on a CPU")
    parser.add_argument("--dry-run", action="store_true", help="everything once at tiny size; writes nothing")
    options = parser.parse_args(arguments)
    if options.dry_run and options.json:
        parser.error("--dry-run writes nothing: leave out --json")
    device = choose_device(options.device)
    size: Size = "tiny" if options.dry_run else options.size or ("paper" if device.type == "cuda" else "tiny")
    torch.set_num_threads(1)
    started = time.perf_counter()
    named = None if device.type == "cpu" else torch.get_device_module(device).get_device_name(device)
    record: dict[str, Any] = {}
    for part in everything(size, device, EFFORTS["dry" if options.dry_run else device.type]):
        record = {**part, "benchmark": "step", "seconds": time.perf_counter() - started}
        _frame.keep(options.json, "card", named, **record)  # after each part: what ends the process loses one
    print(page.report({**record, **provenance.made_with(named, 1)}))


if __name__ == "__main__":
    main()
