"""Studies as data: rows of experiments, seeds, and claims that compare rows."""

from dataclasses import dataclass

from vmlkit.training.experiment import Experiment

#: columns of a table of single moments
METRICS = ("R@1,mIoU", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,mIoU")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a study: an experiment, and the paper's number beside it where there is one."""

    name: str
    experiment: Experiment
    published: str = ""  #: what the paper reports for this row on its own data, with the table


@dataclass(frozen=True, kw_only=True)
class Claim:
    """``better`` beats ``worse`` in ``metric`` (test split); ``worse`` may be a row or a baseline."""

    text: str
    source: str
    better: str
    worse: str
    metric: str = "R@1,mIoU"
    looked_at: str = ""  #: what was examined where it does not hold


@dataclass(frozen=True, kw_only=True)
class Study:
    """Rows, seeds and claims; ``note`` says what the setting can and cannot show."""

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    note: str = ""
    metrics: tuple[str, ...] = METRICS  #: columns of the table
