"""Claims of the papers, measured: several seeds of several settings, one verdict a claim, committed with provenance.

A :class:`Study` is data: rows (settings), seeds, and claims that compare rows.  ``vmlkit claims NAME`` trains what is
missing and writes ``results/NAME.json``: every number of every seed, the settings, versions,
hardware and revision.  Notebooks and README read that file; nothing is typed.

A verdict is computed, never chosen, and never from the sign of a mean.  A claim "row A beats row B in metric m"
**holds** where the interval of 95 % of the mean difference over seeds lies above zero, is **contradicted** where it
lies below, and is **open** otherwise.  The error of the test set is not in that interval, for no outcome of a query is
kept here; :mod:`vmlkit.studies` keeps them, and its verdicts replace these as studies are measured again.
"""

import dataclasses
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import vmlkit
from vmlkit import provenance
from vmlkit.config import config_hash, to_dict, with_overrides
from vmlkit.errors import ConfigError, DataError, required
from vmlkit.experiments.experiment import run_experiments
from vmlkit.files import write_json
from vmlkit.methods import METHODS, STUDIES
from vmlkit.runs import RunDirectory, read_json
from vmlkit.training.history import turn_and_end
from vmlkit.training.study import METRICS, Study

RESULTS = Path("results")
SCHEMA = 1


def run_study(
    study: Study,
    *,
    seeds: Sequence[int] | None = None,
    results: Path = RESULTS,
    runs: Path = Path("runs"),
    progress: bool = True,
) -> Path:
    """Train and evaluate every missing cell of the study, then write ``results/NAME.json``.

    Runs are kept under ``runs/claims`` by a hash of their settings: a row that two studies share is trained once, a
    finished run is not repeated, an interrupted one resumes.

    The seeds of a row run in one process, on a card at the same time (:mod:`vmlkit.training.many`).

    Returns:
        The file written.

    Raises:
        ConfigError: after everything else is done, where runs failed; names each, and nothing is written.
    """
    chosen = tuple(seeds) if seeds is not None else study.seeds
    loaded: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    failed: list[str] = []
    for row in study.rows:
        entry = METHODS[row.experiment.method]
        key = f"{entry.view.what} {config_hash(row.experiment.data)}"
        if key not in loaded:
            loaded = {key: entry.load(row.experiment.data, progress=progress)}  # one data set at a time
        cells = {}
        seeded = {
            runs / "claims" / f"{config_hash(row.experiment)}-{seed}": with_overrides(
                row.experiment, {"train.seed": seed}
            )
            for seed in chosen
        }
        outcomes = run_experiments(seeded, splits=loaded[key], progress=progress)
        for seed, outcome in zip(chosen, outcomes, strict=True):
            said = f"{study.name}: {row.name}, seed {seed}: "
            if outcome.error is not None:
                failed.append(f"{said}{outcome.error}")
                continue
            cells[str(seed)] = cell_of(outcome.run)
            if progress:
                print(said + _line(cells[str(seed)]["test"], study), flush=True)
        rows[row.name] = {"settings": to_dict(row.experiment), "published": row.published, "seeds": cells}
    if failed:
        kept = "the others are kept, and the same command repeats only these"
        raise ConfigError(f"{len(failed)} of the study's runs failed, {kept}: {'; '.join(failed)}")
    record = {
        "schema": SCHEMA,
        "study": study.name,
        "title": study.title,
        "note": study.note,
        "command": f"vmlkit claims {study.name}",
        "seeds": list(chosen),
        "metrics": list(study.metrics),
        "rows": rows,
        "claims": [dataclasses.asdict(c) for c in study.claims],
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "hardware": provenance.hardware(),
    }
    path = results / f"{study.name}.json"
    write_json(path, record)
    return path


def cell_of(run: RunDirectory) -> dict[str, Any]:
    """What a study keeps of one run: test and validation metrics, spread over word masks, baselines, cost.

    ``dependence`` says how far windows followed their sentence on validation (:mod:`vmlkit.metrics.dependence`).
    """
    metrics, epochs = run.metrics, run.epochs
    return {
        "test": metrics["test"],
        "validation": metrics["validation"],
        "word_mask_spread": metrics["spread"]["test"],
        "baselines": metrics["baselines"],
        "n_test": metrics["n_test"],
        "chosen_epoch": metrics["chosen_epoch"],
        **({"words": metrics["words"]} if "words" in metrics else {}),
        **({"dependence": dependence} if (dependence := turn_and_end(epochs)) else {}),
        "seconds_per_epoch": float(epochs.loc[epochs.epoch > 0, "seconds"].median()),
    }


def _line(metrics: Mapping[str, float], study: Study) -> str:
    return ", ".join(f"{name} {100 * metrics[name]:.1f}" for name in study.metrics[:2])


@dataclass(frozen=True)
class Results:
    """A committed result file."""

    path: Path
    record: dict[str, Any] = field(repr=False)

    @property
    def provenance(self) -> str:
        """One line: command, seeds, versions, hardware, revision, and where the words of the data came from."""
        r = self.record
        cells = (cell for row in r["rows"].values() for cell in row["seeds"].values())
        words = "; ".join(dict.fromkeys(f"words: {cell['words']}" for cell in cells if "words" in cell))
        versions = ", ".join(f"{k} {v}" for k, v in r["versions"].items())
        return (
            f"`{r['command']}`, seeds {', '.join(map(str, r['seeds']))}; {versions}; "
            f"{r['hardware'].get('processor') or r['hardware']}; revision {str(r['revision'])[:10]}"
            + (f"; {words}" if words else "")
        )

    def values(self, row: str, metric: str) -> list[float]:
        """The metric of a row (or baseline) for each seed, as fractions."""
        rows = self.record["rows"]
        seeds = [str(s) for s in self.record["seeds"]]
        if row in rows:
            return [rows[row]["seeds"][s]["test"][metric] for s in seeds]
        first = next(iter(rows.values()))["seeds"]
        if row not in first[seeds[0]]["baselines"]:
            raise ConfigError(f"{self.path}: no row or baseline '{row}'")
        return [first[s]["baselines"][row][metric] for s in seeds]

    def table(self, metrics: Sequence[str] = ()) -> pd.DataFrame:
        """Rows and baselines by metric (the study's unless given): mean and deviation over seeds, in percent."""
        metrics, rows = metrics or self.record.get("metrics", METRICS), self.record["rows"]
        baselines = next(iter(next(iter(rows.values()))["seeds"].values()))["baselines"]
        table = {}
        for name in [*rows, *baselines]:
            kept = [m for m in metrics if self._has(name, m)]
            table[name] = {m: mean_and_spread(self.values(name, m)) for m in kept}
            table[name]["published"] = rows[name]["published"] if name in rows else ""
        frame = pd.DataFrame.from_dict(table, orient="index", columns=[*metrics, "published"]).fillna("")
        return frame if frame["published"].any() else frame.drop(columns="published")

    def per_seed(self, metric: str = "R@1,mIoU") -> pd.DataFrame:
        """Rows by seed, in percent."""
        seeds = self.record["seeds"]
        values = {name: [100 * v for v in self.values(name, metric)] for name in self.record["rows"]}
        return pd.DataFrame.from_dict(values, orient="index", columns=[f"seed {s}" for s in seeds]).round(1)

    def verdicts(self) -> pd.DataFrame:
        """One line a claim: difference in percent points and verdict."""
        lines = []
        for claim in self.record["claims"]:
            better, worse = (self.values(claim[side], claim["metric"]) for side in ("better", "worse"))
            word, text = verdict([a - b for a, b in zip(better, worse, strict=True)])
            line = {"claim": claim["text"], "source": claim["source"], "metric": claim["metric"], "difference": text}
            lines.append({**line, "verdict": word, "looked at": claim["looked_at"] if word != "holds" else ""})
        return pd.DataFrame(lines)

    def _has(self, row: str, metric: str) -> bool:
        try:
            return all(math.isfinite(v) for v in self.values(row, metric))
        except KeyError:
            return False


def verdict(differences: Sequence[float]) -> tuple[str, str]:
    """(verdict, mean difference and its range in percent points) of paired differences over seeds.

    The interval is ``mean -+ t(0.975, n - 1) deviation / sqrt(n)``; a single seed leaves everything open.

    >>> verdict([0.03, 0.04, 0.05])
    ('holds', '+4.0 (+3.0 to +5.0)')
    >>> verdict([0.03, -0.05, 0.01])[0], verdict([-0.03, -0.04, -0.05])[0]
    ('open', 'contradicted')

    Raises:
        MissingDependency: where scipy is not installed.
    """
    mean = statistics.fmean(differences)
    text = f"{100 * mean:+.1f} ({100 * min(differences):+.1f} to {100 * max(differences):+.1f})"
    if len(differences) < 2:
        return "open", text
    special = required("scipy.special", "notebooks", "telling a difference from chance")
    reach = special.stdtrit(len(differences) - 1, 0.975) * statistics.stdev(differences) / math.sqrt(len(differences))
    if abs(mean) <= reach:
        return "open", text
    return ("holds" if mean > 0 else "contradicted"), text


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds in percent.

    >>> mean_and_spread([0.40, 0.42])
    '41.0 ± 1.4'
    """
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 and min(values) != max(values) else ""
    return f"{100 * statistics.fmean(values):.1f}{spread}"


def shipped(path: Path) -> Path:
    """``path`` where it is a file; else the file of that name that came with the package, from a clone or a wheel."""
    homes = (Path(vmlkit.__file__).parents[1], Path(sys.prefix) / "share" / "vmlkit")
    return next((file for file in (path, *(home / path for home in homes)) if file.is_file()), path)


def load_results(name: str, results: Path = RESULTS) -> Results:
    """The committed results of a study: of the folder, or those that came with the package (:func:`shipped`).

    Raises:
        DataError: if there are none, with the command that makes them.
    """
    path = shipped(Path(results) / f"{name}.json")
    if not path.is_file():
        raise DataError(path, "there are no results of this study", f"run `vmlkit claims {name}`")
    return Results(path, read_json(path))


def run_claims(name: str, *, seeds: int | None = None, out: Path = RESULTS) -> Path:
    """Run a study by name and print its table and verdicts.

    Args:
        seeds: how many seeds, counted from 0; None takes the study's own.
        out: folder of the result file.

    Raises:
        ConfigError: for an unknown study.
    """
    if name not in STUDIES:
        raise ConfigError(f"unknown study '{name}': choose one of {', '.join(STUDIES)}")
    path = run_study(STUDIES[name](), seeds=None if seeds is None else range(seeds), results=out)
    results = load_results(name, out)
    print(f"\n{results.table().to_string()}\n\n{results.verdicts().to_string(index=False)}")
    return path
