"""How a step is measured: time, kernels, waits of the host, how busy the device is, memory, arithmetic."""

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vmlkit.training.precision import Precision, at_precision

Run = Callable[[], Any]


def milliseconds(run: Run, steps: int, device: torch.device) -> float:
    """Of one call, mean over ``steps``: by events on a card, of processor time on a CPU (others may share it)."""
    if device.type != "cuda":
        started = time.process_time()
        for _ in range(steps):
            run()
        return 1e3 * (time.process_time() - started) / steps
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(steps):
        run()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / steps


def alternating(runs: dict[str, Run], steps: int, rounds: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Median, smallest and largest over rounds in which every variant has its turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(milliseconds(run, steps, device))
    return {n: {"median": statistics.median(t), "min": min(t), "max": max(t)} for n, t in times.items()}


class _Counted(TorchDispatchMode):
    """Operators that are no views, and the floating-point operations of matrix products as torch counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.launches += not func.is_view
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=found)
        return found


def work(run: Run, device: torch.device) -> dict[str, float | None]:
    """Kernels, busy milliseconds and host waits of one step; on a CPU, its operators that are no views."""
    if device.type != "cuda":
        with _Counted() as counted:
            run()
        return {"kernels": counted.launches, "busy_ms": None, "host_waits": None}
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    spans = sorted((e.time_range.start, e.time_range.end) for e in profile.events() if e.device_type.name == "CUDA")
    busy = reached = 0.0
    for start, end in spans:  # kernels of several streams may overlap
        busy, reached = busy + max(0.0, end - max(start, reached)), max(reached, end)
    return {"kernels": len(spans), "busy_ms": busy / 1e3, "host_waits": host_waits(run)}


def host_waits(run: Run) -> int:
    """How often a step makes the host wait for the card, as torch itself reports it."""
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            run()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in said)


def peak_gib(run: Run, device: torch.device) -> float | None:
    """Largest memory of a step on a card; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30


def gigaflops(run: Run) -> float:
    """Floating-point operations of the matrix products of a step that is not a graph, in 10^9."""
    with _Counted() as counted:
        run()
    return counted.flop / 1e9


def rate(device: torch.device, precision: Precision) -> float:
    """10^9 floating-point operations a second of one large product on the device, the best of some."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    if precision == "bf16":
        a, b = a.bfloat16(), b.bfloat16()
    with at_precision(precision, device), torch.no_grad():
        (a @ b).sum()
        best = min(milliseconds(lambda: a @ b, 3, device) for _ in range(5))
    return 2 * size**3 / best / 1e6
