"""Dropout as one operator: what a card does in any case, and the CPU by the same numbers of the same draws."""

import torch
from torch import Tensor, nn


def drop(x: Tensor, p: float, training: bool) -> Tensor:
    """Entries of ``x`` zeroed with probability ``p`` while training, and the others scaled by ``1 / (1 - p)``.

    ``torch.nn.functional.dropout`` is three operators more on any device but a card.
    """
    return torch.native_dropout(x, p, True)[0] if training and p else x


class Dropout(nn.Dropout):
    """:func:`drop` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with some of its entries dropped."""
        return drop(x, self.p, self.training)
