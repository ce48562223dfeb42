"""A published table as a study: the rows that vmlkit has, as experiments on one source of data.

A row of a record names a method, and ``set`` and ``take`` say what of the method's preset makes the row; the source
gives everything else.  The source need not be the paper's: the toy world and planted features run the same rows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from shlex import quote
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.methods import DATA, METHODS, preset
from vmlkit.tables.records import Column, PublishedRow, PublishedTable
from vmlkit.training.experiment import Experiment
from vmlkit.training.study import Claim, Row, Study

#: units of what a run measures; the cost of a method and the size of a data set are measured by other commands
MEASURED = ("%", "points", "probability", "rank")
#: settings that have options of their own; the folders they name are a reader's
PATHS = ("data.annotations", "data.features")
#: the answer without video that every row is held against, by what a method is trained on
_CHANCE = {"action classes": "uniform random segments", "sentence components": "chance"}
#: a metric that is the difference of two others
DIFFERENCES: Mapping[str, tuple[str, str]] = {"joint,difference": ("joint,inside", "joint,outside")}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A table on a source."""

    table: PublishedTable
    data: str
    size: str
    study: Study
    left_out: Mapping[str, str]  #: name of a line that vmlkit has and this source has not -> why


def plan(
    table: PublishedTable, data: str, size: str = "ci", settings: Mapping[str, Any] | None = None,
    rows: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """The study of a table on a source.

    Args:
        data: one of :data:`vmlkit.methods.DATA`.
        settings: of every row, such as the folders of real files; they win over the table's.
        rows: names of the lines wanted; all unless given.

    Raises:
        ConfigError: for a table that no training measures, a source that none of its methods reads, a line that the
            table lacks, or a setting that a row does not have.
    """
    given, lines, metrics = settings or {}, table.lines, metrics_of(table, data)
    if not lines or not metrics:
        raise ConfigError(f"{table.label} is not measured by training rows: {_instead(table)}")
    for name in rows:
        if name not in {line.name for line in lines}:
            names = ", ".join(dict.fromkeys(line.name for line in lines))
            raise ConfigError(f"{table.id} has no row '{name}': choose among {names}")
    found: dict[str, Row] = {}
    left_out: dict[str, str] = {}
    for line in lines:
        for host, method in _methods(table, line).items():
            name = _name(table, line, host)
            if (rows and line.name not in rows) or not about(table, line, data):
                continue
            try:
                experiment = experiment_of(table, line, method, data, size, given)
            except NotHereError as error:
                left_out[name] = str(error)
                continue
            found[name] = Row(name=name, experiment=experiment, published=_published(table, line, host))
    if not found:
        whys = "; ".join(dict.fromkeys(left_out.values())) or "vmlkit has no method for its rows"
        raise ConfigError(f"no row of {table.id} runs on '{data}': {whys}")
    return Plan(
        table=table, data=data, size=size, left_out=left_out,
        study=_study(table, data, size, given, tuple(found.values()), metrics),
    )  # fmt: skip


def _study(
    table: PublishedTable,
    data: str,
    size: str,
    given: Mapping[str, Any],
    rows: tuple[Row, ...],
    metrics: tuple[str, ...],
) -> Study:
    name, where = f"{table.id}-{data}-{size}".replace("/", "-").replace(":", "-"), f"{data}, size {size}"
    if own := {key: value for key, value in given.items() if key not in PATHS}:
        where += f", settings {_hash(own)}"  # two sets of settings are two columns; the command says which they are
    if given:
        name += f"-{_hash(given)}"
    claims = (Claim(text=f"{row.name} beats chance", source="prior", better=row.name, worse=_chance(row), kind="prior",
                    metric=metrics[0]) for row in rows)  # fmt: skip
    return Study(
        name=name,
        title=f"{table.label} on {where}: {table.about}",
        note=f"The rows of {table.label} on {data}; published values are of the paper's own data.",
        rows=rows,
        claims=tuple(claims),
        metrics=metrics,
        curves=metrics if table.draws is not None and table.draws.over == "epochs" else (),
        command=command_of(table, data, size, given),
    )


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def command_of(table: PublishedTable, data: str, size: str, settings: Mapping[str, Any]) -> str:
    """What a reader types to measure the same; folders of data are the reader's own."""
    said = [f"vmlkit table {table.id} --data {data} --size {size}"]
    said += [
        f"--{key[5:]} PATH" if key in PATHS else f"--set {quote(f'{key}={value}')}" for key, value in settings.items()
    ]
    return " ".join(said)


class NotHereError(ConfigError):
    """A row that this source cannot have."""


def experiment_of(
    table: PublishedTable, line: PublishedRow, method: str, data: str, size: str, settings: Mapping[str, Any]
) -> Experiment:
    """The experiment of a line with a method on a source.

    Raises:
        NotHereError: where the method does not read the source, or the source lacks what makes the row.
        ConfigError: for a setting that does not exist.
    """
    makers = METHODS[method].presets
    if data not in makers:
        raise NotHereError(f"'{method}' does not read '{data}' but {', '.join(makers)}")
    experiment = preset(method, data, size)
    parts = {key: attrgetter(key)(preset(other, data, size)) for key, other in line.take.items()}
    for key in line.set:
        first, _, rest = key.partition(".")
        if first == "data" and not hasattr(experiment.data, rest.partition(".")[0]):
            raise NotHereError(f"'{data}' has no '{key}', which makes the row")
    for key in settings:
        if key in PATHS and not hasattr(experiment.data, key[5:]):
            raise ConfigError(f"the data '{data}' read no {key[5:]} from files: leave out --{key[5:]}")
    own = {**table.on.get(data, {}), **line.set}
    return with_overrides(with_overrides(experiment, parts), {**own, **settings})


def columns_of(table: PublishedTable, data: str) -> tuple[Column, ...]:
    """The columns that a source can fill: those about its data set, else all; of a figure what it draws."""
    if table.draws is not None:
        return tuple(Column(metric=metric, unit="%", split="test") for metric in table.draws.metrics)
    base = data.removeprefix("planted:")
    own = tuple(column for column in table.columns if column.data in (base, ""))
    return tuple(column for column in own or table.columns if column.unit in MEASURED)


def metric_of(column: Column) -> str:
    """The metric of a run that stands in a column: on a part out of the training distribution, that of its group."""
    return f"{column.metric} (ood)" if column.split == "test-ood" else column.metric


def metrics_of(table: PublishedTable, data: str) -> tuple[str, ...]:
    """What the runs of a table have to keep."""
    names = [metric_of(column) for column in columns_of(table, data)]
    parts = (DIFFERENCES.get(name, (name,)) for name in names)
    return tuple(dict.fromkeys(name for group in parts for name in group))


def sources_of(table: PublishedTable) -> Iterator[str]:
    """The sources on which some row of a table runs, the paper's own first."""
    methods = {method for line in table.lines for method in _methods(table, line).values()}
    known = dict.fromkeys(data for method in METHODS if method in methods for data in METHODS[method].presets)
    own = [name for data in table.data for name in (data, f"planted:{data}") if name in known]
    yield from dict.fromkeys([*own, *(["toy"] if "toy" in known else [])])


def measured_otherwise(table: PublishedTable) -> bool:
    """Whether a table is of costs or of sizes, which no training of rows measures."""
    return table.kind in ("cost", "statistics")


def measured_on(table: PublishedTable) -> list[str]:
    """The sources on which ``vmlkit table`` measures a table.

    >>> from vmlkit.tables import load
    >>> measured_on(load("P1/speed")), measured_on(load("P4/1"))
    (['activitynet', 'planted:activitynet', 'toy'], [])
    """
    if table.kind == "statistics":
        names = (data for name in (*table.data, "toy") for data in (name, f"planted:{name}"))
        return [data for data in names if data in DATA]
    return [data for data in sources_of(table) if measured_otherwise(table) or metrics_of(table, data)]


def about(table: PublishedTable, line: PublishedRow, data: str) -> bool:
    """Whether a line that is about one data set of several is about this source; toy stands for the first of them."""
    base = data.removeprefix("planted:")
    return not line.data or line.data == (base if base in table.data else table.data[0])


def _methods(table: PublishedTable, line: PublishedRow) -> Mapping[str, str]:
    """The method of a line, by the host of its columns."""
    if table.hosts and not line.method:
        return table.hosts
    return {"": line.method} if line.method else {}


def names_of(table: PublishedTable) -> Mapping[tuple[int, str], str]:
    """The row of the study by the number of its line and its host; what is measured is found again by it."""
    return {
        (number, host): _name(table, line, host)
        for number, line in enumerate(table.lines)
        for host in _methods(table, line)
    }


def _name(table: PublishedTable, line: PublishedRow, host: str) -> str:
    """Group and name, with the factors or the host where these alone are not enough."""
    lines = table.lines
    same = [other for other in lines if (other.group, other.name) == (line.group, line.name)]
    factors = ", ".join(f"{key} {value}" for key, value in zip(table.factors, line.factors, strict=True))
    parts = [f"{line.group}: {line.name}" if line.group else line.name, factors if len(same) > 1 else "", host]
    return ", ".join(filter(None, parts))


def _published(table: PublishedTable, line: PublishedRow, host: str) -> str:
    cells = zip(table.columns, line.cells, strict=True) if line.cells else ()
    own = [f"{c.metric} {cell:g}" for c, cell in cells if cell is not None and c.host == host]
    return f"{table.label}: {', '.join(own)}" if own else ""


def _chance(row: Row) -> str:
    return _CHANCE.get(METHODS[row.experiment.method].view.what, "uniform random")


def _instead(table: PublishedTable) -> str:
    return table.see or table.drawn or "vmlkit has no method for its rows"
