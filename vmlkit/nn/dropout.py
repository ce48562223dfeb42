"""Dropout that can be played back for a chosen row.

Choosing the best of P proposals needs all P forward passes, but the loss differentiates only the winner.  A tape keeps
the dropout masks of a pass without graph, so that the winner can be run again *with* a graph under the very masks that
made it win: the same loss and gradients as keeping the graph of all P rows, for a fraction of the work.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class DropoutTape:
    """Masks of one forward pass over ``(B, R, ...)`` rows, in the order they were drawn.

    ``with torch.no_grad(): run(tape)`` records; ``tape.rewind(best)`` then makes the next pass use, for its row 0, the
    recorded mask of row ``best[b]``, and fresh masks for any further rows.
    """

    def __init__(self) -> None:
        self._masks: list[Float[Tensor, "B R ..."]] = []
        self._chosen: Int[Tensor, " B"] | None = None
        self._next = 0

    def rewind(self, chosen: Int[Tensor, " B"]) -> "DropoutTape":
        """Switch from recording to playing, with the winner of each query."""
        self._chosen, self._next = chosen, 0
        return self

    def __call__(self, x: Float[Tensor, "B R ..."], p: float) -> Float[Tensor, "B R ..."]:
        """Drop entries of ``x`` with probability ``p`` and scale the rest by ``1 / (1 - p)``."""
        mask = torch.rand_like(x).ge_(p)  # ones and zeros in the type of x: no boolean to convert
        if self._chosen is None:
            self._masks.append(mask)
        else:
            recorded = self._masks[self._next]
            self._next += 1
            index = self._chosen.view(-1, 1, *(1 for _ in x.shape[2:])).expand(-1, 1, *x.shape[2:])
            mask = torch.cat((recorded.gather(1, index), mask[:, 1:]), dim=1)
        return (x * mask).div_(1 - p)
