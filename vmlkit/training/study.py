"""Studies as data: rows of experiments, seeds, and claims that compare rows."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal, get_args

from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.files import read_json
from vmlkit.training.experiment import Experiment, Size

#: columns of a table of single moments
METRICS = ("R@1,mIoU", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,mIoU")
#: what a claim is about, counted apart: a sentence or cell of a paper; more than a location prior says; that a gain
#: needs what it is said to need; a question of this project
ClaimClass = Literal["paper", "prior", "control", "ours"]
#: seeds of the rows of primary claims, and of all others
PRIMARY_SEEDS, OTHER_SEEDS = 10, 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a study: an experiment, and the paper's number beside it where there is one."""

    name: str
    experiment: Experiment
    published: str = ""  #: what the paper reports for this row on its own data, with the table


@dataclass(frozen=True, kw_only=True)
class Claim:
    """``better`` beats ``worse`` in ``metric`` (test split); ``worse`` may be a row or a baseline.

    Raises:
        ConfigError: for a class that does not exist, or a ``delta`` that is not positive.
    """

    text: str
    source: str
    better: str
    worse: str
    metric: str = "R@1,mIoU"
    kind: ClaimClass = "ours"  #: written as ``class`` in files
    #: the largest difference that would not matter, in the unit of the metric: a hundredth is one point of a share
    delta: float = 0.01
    #: text of the claim that must hold before this one means anything, in the same metric: a gain needs the positive
    #: control of its study, and a control of the gain needs the gain
    premise: str = ""

    @property
    def scale(self) -> float:
        """Times the metric's own unit is what people read: shares in percent, ranks as they are."""
        return scale_of(self.metric)

    def __post_init__(self) -> None:
        if self.kind not in get_args(ClaimClass):
            known = ", ".join(get_args(ClaimClass))
            raise ConfigError(f"the claim '{self.text}' is of the class {self.kind!r}: choose one of {known}")
        if not self.delta > 0:
            raise ConfigError(f"'delta' of the claim '{self.text}' must be positive, not {self.delta}")


def scale_of(metric: str) -> float:
    """100 for shares and probabilities, 1 for ranks and differences of losses.

    >>> scale_of("R@1,mIoU"), scale_of("t2v MnR"), scale_of("dependence/negative NLL gap")
    (100.0, 1.0, 1.0)
    """
    return 1.0 if unit_of(metric) != "points" else 100.0


def unit_of(metric: str) -> str:
    """What its differences are said in, once they are scaled by :func:`scale_of`.

    >>> unit_of("R@1,mIoU"), unit_of("t2v MnR"), unit_of("dependence/negative NLL gap")
    ('points', 'ranks', 'nats')
    """
    return "ranks" if metric.endswith("MnR") else "nats" if metric.endswith("NLL gap") else "points"


@dataclass(frozen=True, kw_only=True)
class Study:
    """Rows, seeds and claims; ``note`` says what the setting can and cannot show.

    Raises:
        ConfigError: for two rows of one name, a claim about a row that is not there, or a primary claim or premise
            that is not among the claims.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    note: str = ""
    #: columns of the table: metrics of the test split, or ``dependence/NAME``, a measure of
    #: :mod:`vmlkit.metrics.dependence` on validation at the last epoch
    metrics: tuple[str, ...] = METRICS
    primary: tuple[str, ...] = ()  #: texts of the claims that the study is made for; their rows have more seeds
    #: what results keep by epoch on validation, of rows that have it: R@n,mIoN, that of random intervals, or a measure
    #: of :data:`vmlkit.studies.summary.FOLLOWED` as ``dependence/NAME``
    curves: tuple[str, ...] = ()
    other_seeds: int = OTHER_SEEDS  #: seeds of the rows that no primary claim compares
    command: str = ""  #: what computes it; empty: ``vmlkit study run NAME``

    def __post_init__(self) -> None:
        rows, texts = [row.name for row in self.rows], {claim.text for claim in self.claims}
        wrong = [f"two rows are called '{name}'" for name in dict.fromkeys(rows) if rows.count(name) > 1]
        wrong += [f"the claim '{c.text}' is about '{c.better}', no row" for c in self.claims if c.better not in rows]
        wrong += [f"the primary claim '{text}' is not among its claims" for text in self.primary if text not in texts]
        premises = {claim.premise for claim in self.claims} - {""} - texts
        wrong += [f"the premise '{text}' is not among its claims" for text in sorted(premises)]
        if wrong:
            raise ConfigError(f"study '{self.name}': {wrong[0]}")

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds of ``vmlkit study run``: more for a row that a primary claim compares."""
        compared = {side for c in self.claims if c.text in self.primary for side in (c.better, c.worse)}
        return tuple(range(PRIMARY_SEEDS if row in compared else self.other_seeds))


def studies_of(path: Path, presets: Mapping[str, Callable[[str, Size], Experiment]]) -> dict[str, Callable[[], Study]]:
    """The studies that a JSON file describes, by name; each is built when it is asked for.

    A study has ``title``, ``note``, perhaps ``metrics``, ``primary``, ``curves`` and ``other_seeds``, and

    * ``data`` and ``size``: the preset that its rows start from;
    * ``settings``: groups of overrides by name; those of ``every row`` apply to all, those of ``every METHOD`` to the
      rows of a method;
    * ``rows``: ``name``, ``method``, perhaps ``published``, ``with`` (groups, later ones win) and ``set`` (overrides);
    * ``like``: another study of the file, whose fields, and groups of settings, stand where it has none of its own;
    * ``claims``: the fields of :class:`Claim`; ``text`` is "{better} beats {worse}" and ``metric`` the first of the
      study's unless given.  Lists of rows or metrics stand for one claim each.  ``class`` follows from the rest unless
      given, see :func:`class_of`.

    Args:
        presets: by the name of the data.
    """
    records = read_json(path)
    return {name: partial(_study, name, _whole(record, records), presets) for name, record in records.items()}


def _whole(record: dict[str, Any], records: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A record with what it takes from the one that it is ``like``."""
    if "like" not in record:
        return record
    base = _whole(records[record["like"]], records)
    return {**base, **record, "settings": {**base["settings"], **record.get("settings", {})}}


def _study(name: str, record: dict[str, Any], presets: Mapping[str, Callable[[str, Size], Experiment]]) -> Study:
    names = {entry["name"] for entry in record["rows"]}
    groups, metrics = record["settings"], tuple(record.get("metrics", METRICS))

    def row(entry: dict[str, Any]) -> Row:
        overrides: dict[str, Any] = {**groups.get("every row", {}), **groups.get(f"every {entry['method']}", {})}
        for group in entry.get("with", "").split():
            overrides |= groups[group]
        experiment = presets[record["data"]](entry["method"], record["size"])
        experiment = with_overrides(experiment, overrides | entry.get("set", {}))
        return Row(name=entry["name"], experiment=experiment, published=entry.get("published", ""))

    def claims(entry: dict[str, Any]) -> Iterator[Claim]:
        given = {"text": "{better} beats {worse}", "metric": metrics[0], **entry}
        lists = (given[key] if isinstance(given[key], list) else [given[key]] for key in ("better", "worse", "metric"))
        for better, worse, metric in product(*lists):
            one = {**given, "better": better, "worse": worse, "metric": metric}
            one["text"] = given["text"].format(better=better, worse=worse)
            one["kind"] = one.pop("class", None) or class_of(given["source"], worse in names)
            yield Claim(**one)

    return Study(
        name=name,
        title=record["title"],
        rows=tuple(map(row, record["rows"])),
        claims=tuple(chain.from_iterable(map(claims, record["claims"]))),
        note=record["note"],
        metrics=metrics,
        primary=tuple(record.get("primary", ())),
        curves=tuple(record.get("curves", ())),
        other_seeds=record.get("other_seeds", OTHER_SEEDS),
    )


def class_of(source: str, against_row: bool) -> ClaimClass:
    """The class of a claim whose file names none: a baseline is a prior, a label of P0 to P4 is that paper's.

    >>> class_of("P0 Table 4", True), class_of("P0 Table 4", False), class_of("control", True), class_of("CPL", True)
    ('paper', 'prior', 'control', 'ours')
    """
    if not against_row:
        return "prior"
    if source == "control":
        return "control"
    return "paper" if re.match(r"P[0-4] (Table|Fig\.|Sec\.|Eq\.)", source) else "ours"
