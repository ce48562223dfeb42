"""Studies as data: rows of experiments, seeds, and claims that compare rows."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.training.experiment import Experiment, Size

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


def studies_of(path: Path, presets: Mapping[str, Callable[[str, Size], Experiment]]) -> dict[str, Callable[[], Study]]:
    """The studies that a JSON file describes, by name; each is built when it is asked for.

    A study has ``title``, ``note``, perhaps ``metrics`` and ``seeds``, and

    * ``data`` and ``size``: the preset that its rows start from;
    * ``settings``: groups of overrides by name; those of ``every row`` apply to all;
    * ``rows``: ``name``, ``method``, perhaps ``published``, ``with`` (groups, later ones win) and ``set`` (overrides);
    * ``claims``: the fields of :class:`Claim`; ``text`` is "{better} beats {worse}" and ``metric`` the first of the
      study's unless given, and ``looked_at`` may name one of the study's ``texts``.  Lists of rows or metrics stand
      for one claim each.

    Args:
        presets: by the name of the data.
    """
    records = json.loads(path.read_text(encoding="utf-8"))
    return {name: partial(_study, name, record, presets) for name, record in records.items()}


def _study(name: str, record: dict[str, Any], presets: Mapping[str, Callable[[str, Size], Experiment]]) -> Study:
    groups, texts, metrics = record["settings"], record.get("texts", {}), tuple(record.get("metrics", METRICS))

    def row(entry: dict[str, Any]) -> Row:
        overrides: dict[str, Any] = dict(groups.get("every row", {}))
        for group in entry.get("with", "").split():
            overrides |= groups[group]
        experiment = presets[record["data"]](entry["method"], record["size"])
        experiment = with_overrides(experiment, overrides | entry.get("set", {}))
        return Row(name=entry["name"], experiment=experiment, published=entry.get("published", ""))

    def claims(entry: dict[str, Any]) -> Iterator[Claim]:
        given = {"text": "{better} beats {worse}", "metric": metrics[0], "looked_at": "", **entry}
        given["looked_at"] = texts.get(given["looked_at"], given["looked_at"])
        lists = (given[key] if isinstance(given[key], list) else [given[key]] for key in ("better", "worse", "metric"))
        for better, worse, metric in product(*lists):
            text = given["text"].format(better=better, worse=worse)
            yield Claim(**{**given, "text": text, "better": better, "worse": worse, "metric": metric})

    return Study(
        name=name,
        title=record["title"],
        rows=tuple(map(row, record["rows"])),
        claims=tuple(chain.from_iterable(map(claims, record["claims"]))),
        seeds=tuple(record.get("seeds", (0, 1, 2))),
        note=record["note"],
        metrics=metrics,
    )
