r"""How far a difference of two rows may be trusted: seeds and test videos both count.

A row of a study has ``n`` seeds, each evaluated on the same ``V`` test videos.  Its metric is a mean over queries, then
over seeds; a contrast is the difference ``d`` of two rows.  Two things would differ in a repetition: the seeds, which
are drawn for each row by itself, and the videos, which all rows share.  With ``u[s, v]`` what video ``v`` adds to the
metric of seed ``s`` (:class:`Sample`), a bar for a mean over seeds, and rows ``a`` and ``b``,

* ``seeds  = var(m_a) / n_a + var(m_b) / n_b``, unpaired: the same seed on two processors differs as two seeds do;
* ``videos = var_v(ubar_a[v] - ubar_b[v]) / V``: queries of one video stay together;
* ``both   = sum over rows of mean square of (u[s, v] - ubar[v]) / (n V)``, which is in ``seeds`` and in ``videos``.

``SE^2 = seeds + videos - both``, and never less than the larger of the first two: the variance of a mean under
clusters in two directions (Cameron, Gelbach and Miller, 2011).  Without the last term an interval for 95 % covers 98 %
where queries answer differently from seed to seed.  Degrees of freedom: Welch-Satterthwaite over the parts.

Metrics that are no mean of queries (mAP) are stored as what each video adds to them by the jackknife, whose mean is the
metric and whose spread is its error (:func:`vmlkit.studies.outcomes.influences`), so they need no formula of their own.
Every function takes arrays with leading dimensions, one study each; differences are in the units of the metric
(fractions).  scipy is needed (the extra ``notebooks``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vmlkit.errors import ConfigError, required

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]
#: the smallest power that an effect must have to be called detectable
POWER = 0.8
#: two-sided risk of a false verdict
RISK = 0.05


@dataclass(frozen=True)
class Sample:
    """One metric of one row."""

    values: Array = field(repr=False)  #: (..., n) metric of each seed
    #: (..., n, V) what each video adds to it, of mean zero over videos; None where no outcome per query is stored
    videos: Array | None = field(repr=False)
    #: a repetition with another seed would give the same: one value, and no spread over seeds
    deterministic: bool = False

    @property
    def mean(self) -> Array:
        """Mean over seeds, (...)."""
        return np.asarray(self.values.mean(axis=-1))


def mean_sample(outcomes: pd.DataFrame, column: str, deterministic: bool = False) -> Sample:
    """The sample of a metric that is the mean over queries of a stored outcome.

    ``u[s, v] = V / Q * sum over the queries q of v of (x[s, q] - mean of seed s)``, with Q queries in all.

    Args:
        outcomes: of one row; columns ``seed``, ``query``, ``video`` and ``column``, one line a seed and query.
        column: the outcome of a query, such as its IoU, or 1 and 0 for a hit and a miss.
        deterministic: see :class:`Sample`.

    Raises:
        ConfigError: where seeds do not have the same queries.
    """
    table = outcomes.pivot(index="seed", columns="query", values=column)
    if table.isna().to_numpy().any():
        raise ConfigError("the seeds of a row were evaluated on different queries: measure the study again")
    values = table.to_numpy(np.float64)
    of_query = outcomes.drop_duplicates("query").set_index("query")["video"].reindex(table.columns)
    codes, names = pd.factorize(of_query.astype(str))
    centred = values - values.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(codes, weights=row, minlength=len(names)) for row in centred])
    return Sample(values.mean(axis=1), sums * (len(names) / values.shape[1]), deterministic)


def scalar_sample(values: Sequence[float], deterministic: bool = False) -> Sample:
    """The sample of a metric of which only one number a seed is stored: the error of the test set is not counted."""
    return Sample(np.asarray(values, dtype=np.float64), None, deterministic)


@dataclass(frozen=True)
class Contrast:
    """A difference of two rows with its standard error; every field of shape (...)."""

    difference: Array
    se: Array  #: infinite where a row has a single seed and is not deterministic
    df: Array  #: degrees of freedom
    se_seeds: Array
    se_videos: Array  #: 0 where the test set's own error is not counted
    videos_counted: bool = True

    def interval(self, level: float = 1 - RISK) -> tuple[Array, Array]:
        """``difference -+ t(df) se``, two-sided at this level."""
        reach = _quantile(self.df, 0.5 + level / 2) * self.se
        return self.difference - reach, self.difference + reach

    @property
    def p(self) -> Array:
        """Two-sided p-value of no difference."""
        return np.asarray(2 * _cumulative(self.df, -np.abs(_ratio(self.difference, self.se))))

    def p_equivalent(self, delta: float) -> Array:
        """Larger p-value of the two one-sided tests of ``|difference| >= delta``.

        It is at most 0.05 exactly where the two-sided interval of 90 % lies within ``-delta`` to ``delta``.
        """
        return np.asarray(_cumulative(self.df, _ratio(np.abs(self.difference) - delta, self.se)))

    def detectable(self, risk: float = RISK, power: float = POWER) -> Array:
        """The true difference that a study of this size finds with this power, by the noncentral t distribution."""
        special = _special()
        shift = special.nctdtrinc(self.df, 1 - power, _quantile(self.df, 1 - risk / 2))
        return np.asarray(shift * self.se)


def contrast(a: Sample, b: Sample) -> Contrast:
    """``a`` minus ``b`` with the standard error of the head of this module.

    Raises:
        ConfigError: for rows that were evaluated on different videos.
    """
    parts = [_seed_part(sample) for sample in (a, b)]
    shape = np.broadcast_shapes(a.mean.shape, b.mean.shape)
    seeds = sum((variance for variance, _ in parts), np.zeros(shape))
    squares = sum((variance**2 / df for variance, df in parts if df), np.zeros(shape))
    videos = np.zeros(shape)
    if a.videos is not None and b.videos is not None:
        count = a.videos.shape[-1]
        if count != b.videos.shape[-1]:
            raise ConfigError("two rows of a claim were evaluated on different videos: measure the study again")
        apart = a.videos.mean(axis=-2) - b.videos.mean(axis=-2)
        videos = apart.var(axis=-1, ddof=1) / count
        squares = squares + videos**2 / (count - 1)
        both = [_both(sample) for sample in (a, b)]
        squares = squares + sum((v**2 / df for v, df in both if df), np.zeros(shape))
        variance = np.maximum(seeds + videos - sum(v for v, _ in both), np.maximum(seeds, videos))
    else:
        variance = seeds
    if any(np.isinf(part).any() for part, _ in parts):
        variance, df = np.full(shape, np.inf), np.ones(shape)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            df = np.where(squares > 0, variance**2 / squares, 1.0)
        df = np.maximum(df, 1.0)  # below one degree, which the difference of variances can give, a t has no use
    counted = a.videos is not None and b.videos is not None
    return Contrast(a.mean - b.mean, np.sqrt(variance), np.asarray(df), np.sqrt(seeds), np.sqrt(videos), counted)


def holm(p: Sequence[float]) -> list[float]:
    """p-values of one family of claims, adjusted by Holm's step-down rule.

    The k-th smallest of m becomes ``(m - k + 1) p``, never below the one before it, at most 1.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(np.asarray(p), kind="stable")
    adjusted, largest = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(p[index])))
        adjusted[index] = largest
    return adjusted


def _seed_part(sample: Sample) -> tuple[Array, int]:
    """Variance of a row's mean over its seeds, and degrees of freedom (0 where nothing is random)."""
    n = sample.values.shape[-1]
    if sample.deterministic:
        return np.zeros(sample.values.shape[:-1]), 0
    if n < 2:
        return np.full(sample.values.shape[:-1], np.inf), 0
    return np.asarray(sample.values.var(axis=-1, ddof=1) / n), n - 1


def _both(sample: Sample) -> tuple[Array, int]:
    """What :func:`contrast` finds in the seeds and again in the videos, and its degrees of freedom."""
    assert sample.videos is not None
    n, count = sample.videos.shape[-2:]
    if sample.deterministic or n < 2:
        return np.zeros(sample.values.shape[:-1]), 0
    rest = sample.videos - sample.videos.mean(axis=-2, keepdims=True)
    df = (n - 1) * (count - 1)
    return np.asarray((rest**2).sum(axis=(-1, -2)) / df / (n * count)), df


def _ratio(difference: Array, se: Array) -> Array:
    """Difference by standard error; infinite with its sign where nothing varies, 0 where no error can be told."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.asarray(difference) / se
    return np.where((np.asarray(difference) == 0) & (np.asarray(se) == 0), 0.0, ratio)


def _special() -> Any:
    return required("scipy.special", "notebooks", "telling a difference from chance")


def _quantile(df: Array, p: float) -> Array:
    return np.asarray(_special().stdtrit(df, p))


def _cumulative(df: Array, t: Array) -> Array:
    return np.asarray(_special().stdtr(df, t))
