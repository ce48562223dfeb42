"""What was measured for a published table: estimates by line and column, one group of columns for each data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: of a column of a group: the host of the table, if any, and the metric
Head = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds in the unit of its column, with its interval of 95 %, in which seeds and test videos count."""

    value: float
    low: float | None  #: None where one seed was measured: nothing is known of the others
    high: float | None
    seeds: int  #: 0 where nothing is trained
    digits: int = 2  #: after the point, for people

    def text(self) -> str:
        """``41.23 ± 1.10``, or ``41.23 (1 seed)``.

        >>> Estimate(value=41.234, low=40.0, high=42.468, seeds=5).text(), Estimate(
        ...     value=1.0, low=None, high=None, seeds=1, digits=1).text()
        ('41.23 ± 1.23', '1.0 (1 seed)')
        """
        digits = self.digits
        if not self.seeds:
            return f"{self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f} ({self.seeds} seed{'s' if self.seeds > 1 else ''})"
        return f"{self.value:.{digits}f} ± {(self.high - self.low) / 2:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class Ours:
    """One data set, of one size: never another one's numbers beside it in a column."""

    label: str  #: the data set with its size, or with the study that measured it
    heads: tuple[Head, ...]
    cells: Mapping[tuple[int, Head], Estimate]  #: by the number of the line
    priors: Mapping[str, Mapping[Head, float]] = field(default_factory=dict)  #: answers without video, on these data
    source: str = ""  #: how it was made
    #: of a figure over the epochs, on validation: percent by epoch, by the number of the line; means over the seeds
    curves: Mapping[tuple[int, Head], Mapping[int, float]] = field(default_factory=dict)
