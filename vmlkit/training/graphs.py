"""CUDA graphs for :mod:`vmlkit.training.captured`, behind an interface that a test can stand in for."""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch


class Graph(Protocol):
    """What is recorded between two updates; see :class:`torch.cuda.CUDAGraph`."""

    def begin(self) -> None:
        """Record, and do not run, what follows."""

    def end(self) -> None:
        """Stop recording."""

    def replay(self) -> None:
        """Run what was recorded, on the same tensors."""


class CudaGraph:
    """:class:`Graph` on a card.  To be recorded and replayed on a stream that is not the default one."""

    def __init__(self, pool: Any, generators: Sequence[torch.Generator]) -> None:
        self._graph, self._pool = torch.cuda.CUDAGraph(), pool
        for generator in generators:
            self._graph.register_generator_state(generator)

    def begin(self) -> None:
        """See :class:`Graph`.  Other threads may go on using the card."""
        self._graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def end(self) -> None:
        """See :class:`Graph`."""
        self._graph.capture_end()

    def replay(self) -> None:
        """See :class:`Graph`."""
        self._graph.replay()


class CudaGraphs:
    """The graphs of one recording on the current card: they share memory, and draw from ``generators``.

    torch registers the generator that dropout draws from by itself.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        torch.cuda.synchronize()
        gc.collect()  # an old recording's memory, and autograd graphs that still hold on to it
        torch.cuda.empty_cache()
        self._pool, self._registered = torch.cuda.graph_pool_handle(), tuple(generators)
        own = torch.cuda.default_generators[torch.cuda.current_device()]
        self._before = [(generator, generator.get_state()) for generator in (own, *generators)]

    def new(self) -> CudaGraph:
        """An empty graph."""
        return CudaGraph(self._pool, self._registered)

    def abandon(self) -> None:
        """After a recording that broke off: generators that draw, and do not record, from where they were."""
        for generator, state in self._before:
            fresh = torch.Generator(device=generator.device)
            fresh.set_state(state)
            generator.graphsafe_set_state(fresh)


class Graphs(Protocol):
    """The graphs of one recording; see :class:`CudaGraphs`."""

    def new(self) -> Graph:
        """An empty graph."""

    def abandon(self) -> None:
        """Put the generators back after a recording that broke off."""


#: starts a recording whose graphs draw from the generators given
Recorder = Callable[[Sequence[torch.Generator]], Graphs]


def recorder_for(device: torch.device) -> Recorder | None:
    """How steps are recorded on ``device``; None where they cannot be."""
    return CudaGraphs if device.type == "cuda" else None


class OwnStream:
    """A stream of its own on a card, as recordings need and as runs that share the card want; to be entered for a turn.

    What the caller had queued at the first turn is waited for; :meth:`close` makes the caller wait for the rest.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        if self._device.type != "cuda":
            yield
            return
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream = torch.cuda.Stream()
                self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                yield

    def close(self) -> None:
        """Let the current stream wait for this one."""
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
