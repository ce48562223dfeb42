"""From intervals to words: what a study's numbers say about each of its claims, by rules that were fixed before.

============= ======================================================================================================
word          rule, in this order
============= ======================================================================================================
void          a claim whose premise does not hold: a gain without its positive control, a control of no gain
holds         the difference is above zero, and p, adjusted by Holm over the claims of its class, is at most 0.05
contradicted  the same with a difference below zero
no difference the interval of 90 % lies within -delta to +delta (two one-sided tests)
open          otherwise; shown with the difference that this study finds with a power of 80 %
============= ======================================================================================================

Classes are counted apart, for they are not equally hard: *paper* (a sentence or a cell of the paper), *prior* (beats an
answer that never sees the video), *control*, and *ours*.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import pandas as pd

from vmlkit.errors import ConfigError
from vmlkit.studies.results import Results
from vmlkit.studies.statistics import RISK, Contrast, Sample, contrast, holm, mean_sample, scalar_sample
from vmlkit.training.study import Claim, ClaimClass, unit_of

WORDS = ("holds", "contradicted", "no difference", "open", "void")
CLASSES: tuple[ClaimClass, ...] = get_args(ClaimClass)
#: a row whose mean validation curve gains more than this in the last fifth of its epochs is still rising
RISING = 0.005


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim with the word that its numbers earn."""

    claim: Claim
    word: str  #: one of :data:`WORDS`
    difference: float  #: better minus worse, in the unit of the metric
    low: float  #: of the interval of 95 %
    high: float
    p: float  #: two-sided, after Holm
    detectable: float  #: found with a power of 80 % at the strictest step of Holm
    videos_counted: bool  #: whether the error of the test set is in the interval
    rising: tuple[str, ...] = ()  #: rows of the claim that were still rising when they ended
    primary: bool = False  #: one of those that the study is made for

    @property
    def interval(self) -> str:
        """The difference with its interval of 95 % in its :attr:`unit`."""
        shown, low, high = (self.claim.scale * number for number in (self.difference, self.low, self.high))
        return f"{shown:+.1f} ({low:+.1f} to {high:+.1f})"

    @property
    def effect(self) -> str:
        """:attr:`interval` with its unit, where that is not points of percent."""
        return self.interval + ("" if self.unit == "points" else f" {self.unit}")

    @property
    def unit(self) -> str:
        """Points of percent, ranks or nats."""
        return unit_of(self.claim.metric)

    @property
    def said(self) -> str:
        """The word with what limits it."""
        marks = [f"{row} still rising" for row in self.rising]
        marks += [] if self.videos_counted else ["the test set's own error is not counted"]
        if self.word == "open" and math.isfinite(self.detectable):
            marks.insert(0, f"could find {self.claim.scale * self.detectable:.1f}")
        if self.word in ("holds", "contradicted") and abs(self.difference) < self.claim.delta:
            marks.insert(0, f"less than {self.claim.scale * self.claim.delta:g}")
        return self.word + (f" ({'; '.join(marks)})" if marks else "")


def verdicts_of(results: Results) -> list[Verdict]:
    """The verdict on every claim of a measured study, by the claims as they stood when it was measured.

    Claims about rows of which no cell is finished yet are left out.
    """
    fields = {field.name for field in dataclasses.fields(Claim)}
    measured = {*results.rows, *results.baselines}
    claims = [
        Claim(**{name: value for name, value in (entry | {"kind": entry["class"]}).items() if name in fields})
        for entry in results.record["claims"]
        if {entry["better"], entry["worse"]} <= measured
    ]
    return judge(
        claims, lambda row, metric: sample_of(results, row, metric), rising_rows(results), results.record["primary"]
    )


def sample_of(results: Results, row: str, metric: str) -> Sample:
    """One metric of a row or baseline of a study; of stored outcomes, or, where there are none, of one number a seed.

    Raises:
        ConfigError: for a row that is not there.
        DataError: for a metric that the study does not keep.
    """
    outcomes = results.metric(row, metric)
    if outcomes is None:
        return scalar_sample(list(results.values(row, metric).values()))
    return mean_sample(outcomes, "value", deterministic=set(outcomes["seed"]) == {-1})


def rising_rows(results: Results) -> tuple[str, ...]:
    """Rows whose selection metric was still rising on validation when their training ended."""
    curves = results.cells.groupby("row")["validation"].apply(list)
    return tuple(row for row in results.rows if row in curves and still_rising(curves[row]))


def judge(
    claims: Sequence[Claim],
    sample: Callable[[str, str], Sample],
    rising: Iterable[str] = (),
    primary: Iterable[str] = (),
) -> list[Verdict]:
    """The verdict on every claim of one study.

    Args:
        claims: all of the study: those of one class are one family.
        sample: of (row, metric).
        rising: rows that were still rising (:func:`still_rising`).
        primary: texts of the claims that the study is made for.

    Raises:
        ConfigError: for a premise that names no claim.
    """
    contrasts = [_contrast(claim, sample) for claim in claims]
    adjusted, families = _adjust(claims, contrasts)
    marked, aims = set(rising), set(primary)
    verdicts = []
    for claim, found, p in zip(claims, contrasts, adjusted, strict=True):
        low, high = found.interval()
        verdicts.append(
            Verdict(
                claim=claim,
                word=word(found, p, claim.delta),
                difference=float(found.difference),
                low=float(low),
                high=float(high),
                p=p,
                detectable=float(found.detectable(RISK / families[claim.kind])),
                videos_counted=found.videos_counted,
                rising=tuple(row for row in (claim.better, claim.worse) if row in marked),
                primary=claim.text in aims,
            )
        )
    return [_void(verdict, verdicts) for verdict in verdicts]


def word(found: Contrast, p: float, delta: float) -> str:
    """The word for one contrast; ``p`` is two-sided and adjusted for the other claims of its class."""
    if p <= RISK:
        return "holds" if float(found.difference) > 0 else "contradicted"
    return "no difference" if float(found.p_equivalent(delta)) <= RISK else "open"


def still_rising(curves: Sequence[Sequence[tuple[int, float]]], gain: float = RISING) -> bool:
    """Whether the mean validation curve of a row gains more than ``gain`` in the last fifth of its epochs.

    Args:
        curves: one a seed: pairs of epoch and value (a fraction; more is better).  Only epochs that every seed
            evaluated count.
        gain: as a fraction.
    """
    tables = [dict(curve) for curve in curves]
    epochs = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    if len(epochs) < 2:
        return False
    before = [epoch for epoch in epochs if epoch <= 0.8 * epochs[-1]] or epochs[:1]
    mean = {epoch: sum(table[epoch] for table in tables) / len(tables) for epoch in (before[-1], epochs[-1])}
    return mean[epochs[-1]] - mean[before[-1]] > gain


def count(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """How many claims of each class (rows) got each word (columns); classes without a claim are left out."""
    table = pd.DataFrame(0, index=list(CLASSES), columns=list(WORDS))
    for verdict in verdicts:
        table.loc[verdict.claim.kind, verdict.word] += 1
    return table[table.sum(axis=1) > 0]


def table_of(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """A line a claim, class by class: the difference with its interval of 95 %, p after Holm, the word."""
    lines = [
        {
            "claim": verdict.claim.text,
            "class": verdict.claim.kind,
            "source": verdict.claim.source,
            "metric": verdict.claim.metric,
            "difference": verdict.effect,
            "p (Holm)": f"{verdict.p:.3f}",
            "verdict": verdict.said,
        }
        for verdict in sorted(verdicts, key=lambda v: CLASSES.index(v.claim.kind))
    ]
    return pd.DataFrame(lines).set_index("claim")


def _contrast(claim: Claim, sample: Callable[[str, str], Sample]) -> Contrast:
    return contrast(sample(claim.better, claim.metric), sample(claim.worse, claim.metric))


def _adjust(claims: Sequence[Claim], contrasts: Sequence[Contrast]) -> tuple[list[float], dict[ClaimClass, int]]:
    """p of each claim after Holm over its class, and the size of each class."""
    adjusted = [1.0] * len(claims)
    sizes: dict[ClaimClass, int] = {}
    for kind in {claim.kind for claim in claims}:
        places = [i for i, claim in enumerate(claims) if claim.kind == kind]
        sizes[kind] = len(places)
        for place, p in zip(places, holm([float(contrasts[i].p) for i in places]), strict=True):
            adjusted[place] = p
    return adjusted, sizes


def _void(verdict: Verdict, every: Sequence[Verdict]) -> Verdict:
    """The same, or void where its premise does not hold, or is void itself."""
    claim = verdict.claim
    if not claim.premise:
        return verdict
    premises = [v for v in every if v.claim.text == claim.premise and v.claim.metric == claim.metric]
    if not premises:
        raise ConfigError(f"the claim '{claim.text}' rests on '{claim.premise}', which is no claim of the study")
    if all(_void(premise, every).word == "holds" for premise in premises):
        return verdict

    return dataclasses.replace(verdict, word="void")
