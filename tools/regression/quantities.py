"""What a notebook recorded, the bands its numbers must keep, and where they left them.

A file ``tests/regression/NAME.json`` holds for one notebook at its ``ci`` size

* ``exact``: numbers that no training changes, equal up to the rounding of another processor (:data:`ROUNDING`);
* ``band``: numbers that a training decides, with the range in which a further seed must fall;
* ``above``: pairs of names, the first larger than the second with every seed that was learned from;
* ``provenance``: the seeds, versions, processor and revision that the bands were learned with.

The same seed on two processors differs as two seeds do, so a band is a prediction interval for one more seed, and
never the tolerance of a repetition.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError
from vmlkit.experiments import notebooks as nb
from vmlkit.files import write_json
from vmlkit.runs import read_json
from vmlkit.viz.notebook import QUANTITIES

FOLDER = Path(__file__).parents[2] / "tests" / "regression"
LEARN = "python -m tools.regression learn"
SCHEMA = 1

#: relative difference of a number that no training changes, from one processor to another
ROUNDING = 1e-4
#: how often one more seed of an unchanged page leaves the band of one quantity, where seeds are normally distributed
FALSE_ALARM = 0.001
#: where all seeds are equal, which does not show that one more would be: half of the band, as a share of the mean ...
LEAST_SHARE = 0.02
#: ... and where the mean is 0
LEAST = 0.005


@dataclass(frozen=True)
class Quantities:
    """What one execution of a notebook recorded (:func:`vmlkit.viz.notebook.record`)."""

    exact: dict[str, float] = field(default_factory=dict)
    band: dict[str, float] = field(default_factory=dict)
    above: list[tuple[str, str]] = field(default_factory=list)

    @property
    def every(self) -> dict[str, float]:
        """Exact and band quantities together."""
        return self.exact | self.band


def recorded(executed: Path) -> Quantities:
    """What an executed copy of a notebook recorded, over all its cells.

    Raises:
        DataError: where it recorded nothing, or one name twice.
    """
    outputs = (output for cell in nb.read(executed).cells for output in cell.get("outputs", []))
    parts = [output["data"][QUANTITIES] for output in outputs if QUANTITIES in output.get("data", {})]
    if not parts:
        raise DataError(executed, "recorded no quantities", "call vmlkit.viz.notebook.record(...) in the notebook")
    names = [name for part in parts for kind in ("exact", "band") for name in part[kind]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(executed, f"recorded '{twice}' twice", "give every quantity of a page a name of its own")
    kinds = {kind: {name: value for part in parts for name, value in part[kind].items()} for kind in ("exact", "band")}
    return Quantities(**kinds, above=[(a, b) for part in parts for a, b in part["above"]])


def band_of(values: Sequence[float], false_alarm: float = FALSE_ALARM) -> dict[str, float]:
    """The range in which one more seed falls with probability ``1 - false_alarm``, from ``n`` seeds.

    A prediction interval of a normal distribution: ``mean +- t(1 - false_alarm / 2, n - 1) sd sqrt(1 + 1 / n)``.
    Where seeds do not differ, :data:`LEAST_SHARE` of the mean, or :data:`LEAST`, whichever is larger.

    Args:
        values: one number a seed, at least two.
        false_alarm: two-sided.

    Returns:
        ``low``, ``high``, ``mean`` and ``sd``.
    """
    from scipy.special import stdtrit

    n, mean, sd = len(values), statistics.fmean(values), statistics.stdev(values)
    half = float(stdtrit(n - 1, 1 - false_alarm / 2)) * sd * math.sqrt(1 + 1 / n)
    half = half or max(LEAST_SHARE * abs(mean), LEAST)
    return {name: _short(value) for name, value in
            {"low": mean - half, "high": mean + half, "mean": mean, "sd": sd}.items()}  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def learned(name: str, found: Mapping[int, Quantities], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a notebook from one execution a seed.

    Exact numbers are those of the first seed, which is the page's own; a pair that some seed contradicts is left out.

    Args:
        name: of the notebook, without its ending.
        found: by seed.
        provenance: what the executions had in common.

    Raises:
        DataError: where seeds did not record the same names.
    """
    seeds = sorted(found)
    first = found[seeds[0]]
    for seed in seeds[1:]:
        other = set(first.every) ^ set(found[seed].every)
        if other:
            raise DataError(name, f"seeds {seeds[0]} and {seed} did not record the same: {sorted(other)}", "run again")
    bands = {key: band_of([found[seed].band[key] for seed in seeds]) for key in first.band}
    kept = [[a, b] for a, b in first.above if all(found[s].every[a] > found[s].every[b] for s in seeds)]
    exact = {key: _short(value) for key, value in first.exact.items()}
    return {"schema": SCHEMA, "notebook": name, "size": "ci", "seeds": seeds, "exact": exact, "band": bands,
            "above": kept, "provenance": dict(provenance)}  # fmt: skip


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where the record of a notebook lies."""
    return folder / f"{name}.json"


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The record of a notebook.

    Raises:
        DataError: where there is none, or one of another layout.
    """
    path = path_of(name, folder)
    if not path.is_file():
        raise DataError(path, "there are no bands of this notebook", f"run `{LEARN} {name}`")
    record: dict[str, Any] = read_json(path)
    if record.get("schema") != SCHEMA:
        raise DataError(path, f"has schema {record.get('schema')!r}", f"run `{LEARN} {name}`")
    return record


def save(record: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write the record of a notebook; the difference to the committed one is for review."""
    path = path_of(record["notebook"], folder)
    write_json(path, dict(record))
    return path


def drift(record: Mapping[str, Any], found: Quantities) -> list[str]:
    """One sentence for every quantity that left its band, names the page, the quantity, the band and the value."""
    page, lines = record["notebook"], []
    known = {**record["exact"], **record["band"]}
    for name in known.keys() - found.every.keys():
        lines.append(f"{page}: '{name}' is in the file of bands, but the notebook does not record it any more")
    for name in found.every.keys() - known.keys():
        lines.append(f"{page}: '{name}' is recorded but has no band; run `{LEARN} {page}`")
    for name in known.keys() & found.every.keys():
        value = found.every[name]
        if name in record["exact"]:
            wanted = record["exact"][name]
            if not math.isclose(value, wanted, rel_tol=ROUNDING, abs_tol=1e-9):
                lines.append(f"{page}: '{name}' is {value:.6g}, and must be {wanted:.6g}, whatever is trained")
            continue
        band = record["band"][name]
        if not band["low"] <= value <= band["high"]:
            lines.append(
                f"{page}: '{name}' is {value:.6g}, outside its band {band['low']:.6g} to {band['high']:.6g} "
                f"({len(record['seeds'])} seeds)"
            )
    for a, b in record["above"]:
        if a in found.every and b in found.every and not found.every[a] > found.every[b]:
            values = f"{found.every[a]:.6g} against {found.every[b]:.6g}"
            lines.append(f"{page}: '{a}' must be above '{b}', as with every seed learned from, and is not: {values}")
    return sorted(lines)
