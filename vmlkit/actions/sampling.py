"""Choosing a fixed number of snippets of a video: the sampler shared by BaS-Net, HAM-Net, CO2-Net and P3.

With ``L`` snippets and ``S`` wanted, position ``i`` belongs to ``d_i = i L / S``.  Short videos are stretched by
repetition, so batches never hold padding.
"""

import numpy as np
from jaxtyping import Int

from vmlkit.errors import DataError


def uniform_indices(length: int, count: int) -> Int[np.ndarray, " S"]:
    """``floor(d_i)``; the identity where ``length == count``.

    >>> uniform_indices(3, 5).tolist(), uniform_indices(7, 3).tolist()
    ([0, 0, 1, 1, 2], [0, 2, 4])
    """
    if length < 1 or count < 1:
        raise DataError("snippet sampling", f"{count} of {length} snippets", "give positive numbers")
    return (np.arange(count) * length / count).astype(np.int64)


def random_indices(length: int, count: int, rng: np.random.Generator | np.random.RandomState) -> Int[np.ndarray, " S"]:
    """A random snippet near every ``d_i``; the identity where ``length == count``.

    Drawn from the *inclusive* range ``int(d_i) .. int(d_{i+1})`` where the two differ (ranges share an end, so an index
    may be one smaller than the one before it), else ``int(d_i)``; the last from ``int(d_i) .. length - 1``.

    Args:
        rng: the indices are those of one ``choice`` after another.  The released code uses NumPy's legacy generator;
            ``numpy.random.RandomState(seed)`` reproduces its indices.
    """
    starts = uniform_indices(length, count)
    if length == count:
        return starts
    chosen, ends = starts.copy(), np.append(starts[1:], length - 1)
    wide = np.flatnonzero(starts < ends)
    below = rng.integers if isinstance(rng, np.random.Generator) else rng.randint
    chosen[wide] += below(0, (ends - starts)[wide] + 1)  # all at once: the numbers that one choice each would draw
    return chosen
