"""A recorded run, or two of them, as one block of bytes and a description: small enough for a notebook or a web page.

Numbers are stored as 16-bit integers (a step of 1/65534 of the range, 65535 for a missing value), per-clip signals as
8-bit ones, pictures as JPEG.  What does not fit is left out by rule, and the description says so in words.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vmlkit.errors import DataError
from vmlkit.viz.blocks import Block, dequantize, encode_strip
from vmlkit.viz.following import following
from vmlkit.viz.hardness import STOPS, HardnessScale, hardness_scale
from vmlkit.viz.signals import Signals, read_signals
from vmlkit.viz.snapshots import RunView, Snapshot, as_view, thin_log
from vmlkit.viz.style import ROLES, Role

_NEGATIVE_ROLES = ("easy_negative", "hard_negative", "pushed_negative", "pulled_negative", "negative")

#: bytes per proposal: eight 16-bit numbers and a kind
_PROPOSAL_BYTES = 17

#: room for the gaps that keep arrays aligned
_PADDING = 128

#: curves over epochs beyond these are left out, in the order of the table
_MAX_CURVES = 60

#: groups of columns of ``epochs.parquet`` that become curves, and what to call them
_GROUPS = {"loss": "loss terms", "metric": "metrics", "dependence": "dependence on the sentence",
           "curriculum": "schedule", "lr": "learning rate", "grad_norm": "gradient norm",
           "gradient": "gradient norm of a term"}  # fmt: skip


@dataclass(frozen=True)
class Packed:
    """``data`` is little-endian and holds the arrays that ``meta["arrays"]`` and ``meta["strips"]`` locate.

    ``meta`` describes the first run; ``meta["other"]`` the second in the same words, or is None.
    """

    meta: dict[str, Any]
    data: bytes

    def array(self, name: str, run: int = 0) -> np.ndarray:
        """One array as stored, in its own units again: float64 with NaN for missing values, or integers."""
        entry = (self.meta["other"] if run else self.meta)["arrays"][name]
        count = int(np.prod(entry["shape"]))
        raw = np.frombuffer(self.data, np.dtype(entry["dtype"]).newbyteorder("<"), count, entry["offset"])
        raw = raw.reshape(entry["shape"])
        return raw if "low" not in entry else dequantize(raw, entry["low"], entry["high"])

    def strip_bytes(self, video: int) -> bytes | None:
        """The JPEG file with the pictures of one video side by side, or its trace as uint8; None without either."""
        entry = self.meta["strips"]["videos"][video] if self.meta["strips"] else None
        return self.data[entry["offset"] : entry["offset"] + entry["length"]] if entry else None


def pack(
    run: Any,
    *,
    other: Any = None,
    first: str | None = None,
    names: Sequence[str] | None = None,
    max_bytes: int = 1_500_000,
    max_epochs: int = 64,
) -> Packed:
    """Choose what to embed and encode it.

    Epochs beyond ``max_epochs`` are thinned on a log scale, because most happens early.  Queries come in an order that
    alternates the largest gain in IoU with the worst final IoU (successes and failures), as many as fit.

    Args:
        run: a run directory, its path, or a :class:`~vmlkit.viz.snapshots.RunView`.
        other: a second run to show beside it; then only queries that both recorded are embedded.
        first: a query to embed in any case, before all others.
        names: what to call the runs; as they call themselves unless given.
        max_bytes: of ``data``; in a page base64 adds a third.  One query is embedded in any case.
        max_epochs: how many epochs to keep at most, of each run.

    Raises:
        DataError: when a run has no recorded proposals, or the two have no query in common.
        MissingDependency: when matplotlib, which encodes the pictures, is not installed.
    """
    views = [as_view(run)] + ([as_view(other)] if other is not None else [])
    epochs = [[view.recorded_epochs[i] for i in thin_log(len(view.recorded_epochs), max_epochs)] for view in views]
    ranked = _common(views)
    if first in ranked:
        ranked = [first, *(q for q in ranked if q != first)]
    sizes = [max((_counts(view, q) for q in ranked), key=sum) for view in views]
    signals = [read_signals(view, kept) for view, kept in zip(views, epochs, strict=True)]
    strips: dict[str, tuple[dict[str, Any], bytes] | None] = {}
    chosen: list[str] = []
    per_query = sum(
        len(kept) * (sum(size) * _PROPOSAL_BYTES + found.bytes_per_epoch)
        for kept, size, found in zip(epochs, sizes, signals, strict=True)
    )
    total = sum(4 * len(view.epochs) * (1 + len(_curve_names(view))) + _PADDING for view in views)
    for query in ranked:
        video = str(views[0].query(query)["video_id"])
        new = {} if video in strips else {video: encode_strip(_film_strip(views, video))}
        cost = per_query + sum(len(s[1]) for s in new.values() if s)
        if chosen and total + cost > max_bytes:
            break
        chosen.append(query)
        strips.update(new)
        total += cost
    block, scale = Block(), hardness_scale(*views)
    parts = [_add_run(block, *run_of, chosen, scale) for run_of in zip(views, epochs, sizes, signals, strict=True)]
    titles = distinct_names(list(names or [view.title for view in views]))
    meta = {
        "version": 2,
        **parts[0],
        "name": titles[0],
        "other": {**parts[1], "name": titles[1]} if len(parts) > 1 else None,
        "queries": [_describe(views[0], q, list(strips)) for q in chosen],
        "strips": block.add_strips(strips),
        "roles": {name: _role(role) for name, role in ROLES.items()},
        "hardness": _describe_scale(scale),
        "left_out": _left_out(views, epochs, chosen, ranked, max_bytes),
    }
    return Packed(meta, bytes(block.data))


def distinct_names(names: list[str]) -> list[str]:
    """Names for two runs, told apart by a number where they are the same.

    >>> distinct_names(["cpl", "cpl"]), distinct_names(["cpl", "cnm"])
    (['cpl (1)', 'cpl (2)'], ['cpl', 'cnm'])
    """
    return [f"{n} ({i + 1})" if names.count(n) > 1 else n for i, n in enumerate(names)]


def _common(views: list[RunView]) -> list[str]:
    """Queries that every run recorded, ranked by the first."""
    ranked = _rank(views[0])
    if not ranked:
        raise DataError(views[0].name, "has no proposals of the queries that it lists", "train it again")
    for other in views[1:]:
        there = set(_rank(other))
        ranked = [q for q in ranked if q in there]
        if not ranked:
            what = f"has no recorded query in common with {other.name}"
            raise DataError(views[0].name, what, "compare runs on the same data with the same probe queries")
    return ranked


def _film_strip(views: list[RunView], video: str) -> np.ndarray | None:
    return next((strip for view in views if (strip := view.film_strip(video)) is not None), None)


def _add_run(
    block: Block,
    view: RunView,
    epochs: list[int],
    sizes: tuple[int, int],
    signals: Signals,
    queries: list[str],
    scale: HardnessScale | None,
) -> dict[str, Any]:
    """Put one run into the block and describe it."""
    block.table = {}
    _add_proposals(block, view, epochs, queries, sizes, scale)
    curves = _add_curves(block, view)
    described = signals.add_to(block, queries)
    return {
        "epochs": epochs,
        "planned": view.planned_epochs,
        "steady": view.steady,
        "following": [following(view, epoch) for epoch in epochs],
        "counts": {"positives": sizes[0], "negatives": sizes[1]},
        "shapes": [asdict(shape) for shape in view.shapes()],
        "negative_roles": list(_NEGATIVE_ROLES),
        "curves": curves,
        "signals": described,
        "arrays": block.table,
    }


def _role(role: Role) -> dict[str, Any]:
    return {"label": role.label, **role.colors, "dash": list(role.dash), "width": role.width, "dots": "." in role.hatch}


def _describe_scale(scale: HardnessScale | None) -> dict[str, Any] | None:
    """The colours of negatives with the two values at their ends."""
    if scale is None:
        return None
    stops = {"light": STOPS["color"], "text": STOPS["text"], "dark": STOPS["dark"]}
    return {
        "easy": scale.easy,
        "hard": scale.hard,
        "words": scale.words,
        "stops": {n: list(s) for n, s in stops.items()},
    }


def _rank(view: RunView) -> list[str]:
    """Recorded queries: largest gain, worst end, second largest gain, ..."""
    first, last = view.recorded_epochs[0], view.recorded_epochs[-1]
    table = view.proposals[view.proposals["chosen"]].set_index(["query_id", "epoch"])["iou"]
    table = table[~table.index.duplicated()].astype(float).unstack("epoch")
    ends, starts = (dict(table[e].dropna()) if e in table else {} for e in (last, first))
    there = set(view.proposals.loc[view.proposals["epoch"] == last, "query_id"])
    ids = [q for q in view.queries if q in ends] or [q for q in view.queries if q in there]
    end = {q: float(ends.get(q, 0.0)) for q in ids}
    gain = {q: end[q] - float(starts.get(q, 0.0)) for q in ids}
    best, worst = sorted(ids, key=lambda q: -gain[q]), sorted(ids, key=lambda q: end[q])
    both = [q for pair in zip(best, worst, strict=True) for q in pair]
    return list(dict.fromkeys(both))


def _counts(view: RunView, query_id: str) -> tuple[int, int]:
    shot = view.snapshot(query_id, view.recorded_epochs[-1])
    return len(shot.positives), len(shot.negatives)


def _describe(view: RunView, query_id: str, videos: list[str]) -> dict[str, Any]:
    query = view.query(query_id)
    return {
        "id": query_id,
        "sentence": str(query["sentence"]),
        "duration": float(query["duration_s"]),
        "truths": [list(span) for span in view.truths(query_id)],
        "video": videos.index(str(query["video_id"])),
    }


def _add_proposals(
    block: Block,
    view: RunView,
    epochs: list[int],
    queries: list[str],
    sizes: tuple[int, int],
    scale: HardnessScale | None,
) -> None:
    """Arrays (epochs, queries, positives then negatives); proposals that do not exist are missing values.

    ``hardness`` is 0 for the colour of the easiest negatives and 1 for that of the hardest.
    """
    shape = (len(epochs), len(queries), sum(sizes))
    names = ("center", "width", "start", "end", "weight", "score", "nll", "hardness")
    arrays = {n: np.full(shape, np.nan) for n in names}
    chosen = np.full(shape[:2], 255, np.uint8)
    role = np.zeros((*shape[:2], sizes[1]), np.uint8)
    for e, epoch in enumerate(epochs):
        for q, query in enumerate(queries):
            shot = view.snapshot(query, epoch)
            _fill({n: a[e, q] for n, a in arrays.items()}, shot, sizes)
            if scale:
                hardness = scale.place(scale.values(shot))[: sizes[1]]
                arrays["hardness"][e, q, sizes[0] : sizes[0] + len(hardness)] = hardness
            chosen[e, q] = 255 if shot.chosen is None else shot.chosen
            for m, name in enumerate(shot.negative_roles[: sizes[1]]):
                role[e, q, m] = _NEGATIVE_ROLES.index(name if name in _NEGATIVE_ROLES else "negative")
    for name in ("nll", "weight"):
        values = arrays.pop(name)
        block.add(name, values, *_range(values))
    for name, values in arrays.items():
        block.add(name, values, 0.0, 1.0)
    block.add("chosen", chosen)
    block.add("role", role)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Lowest and highest finite value, at least a little apart."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def _fill(rows: dict[str, np.ndarray], shot: Snapshot, sizes: tuple[int, int]) -> None:
    positives, negatives = sizes
    for at, places, edges, weight, score, nll in (
        (slice(0, positives), shot.positives, shot.spans, shot.positive_weights, shot.iou, shot.nll),
        (slice(positives, positives + negatives), shot.negatives, shot.negative_spans, shot.negative_weights, shot.ion,
         shot.negative_nll),
    ):  # fmt: skip
        count = min(at.stop - at.start, len(places))
        at = slice(at.start, at.start + count)
        rows["center"][at], rows["width"][at] = places[:count].T
        rows["start"][at], rows["end"][at] = edges[:count].T
        rows["weight"][at], rows["score"][at], rows["nll"][at] = weight[:count], score[:count], nll[:count]


def _curve_names(view: RunView) -> list[str]:
    columns = [c for c in view.epochs.columns if c.split("/")[0] in _GROUPS and "/" in c]
    return [c for c in columns if np.isfinite(view.epochs[c].to_numpy(dtype=float)).any()][:_MAX_CURVES]


def _add_curves(block: Block, view: RunView) -> list[dict[str, Any]]:
    """Every column of the epoch table that has a finite number; ``shown``: one of each group to begin with."""
    table, names = view.epochs, _curve_names(view)
    block.add("curve_epochs", table["epoch"].to_numpy(dtype=np.int32))
    values = [table[c].to_numpy(dtype=np.float32) for c in names]
    block.add("curves", np.stack(values) if values else np.zeros((0, len(table)), np.float32))
    shown = _favourites(view, names)
    return [{"name": c, "title": _title(c), "group": _GROUPS[c.split("/")[0]], "shown": c in shown} for c in names]


#: what P0 asks of its negatives, and when: shown to begin with where a run has both
_OF_NEGATIVES = ("dependence/negative NLL gap", "curriculum/c")


def _favourites(view: RunView, names: list[str]) -> list[str]:
    """Curves to begin with: how hard negatives are and the clock (P0), else a loss, a metric and the schedule."""
    if all(name in names for name in _OF_NEGATIVES) and (view.proposals["role"] == "negative").any():
        return list(_OF_NEGATIVES)
    usual = (("loss", "total"), ("metric", "R@1,mIoU"), ("curriculum", "c"))
    return [found for group, name in usual if (found := _favourite(names, group, name))]


def _favourite(names: list[str], group: str, name: str) -> str | None:
    mine = [c for c in names if c.startswith(f"{group}/")]
    return f"{group}/{name}" if f"{group}/{name}" in mine else next(iter(mine), None)


def _title(column: str) -> str:
    group, name = column.split("/", 1)
    words = name.replace("_", " ")
    group = {"lr": "learning rate, ", "grad_norm": "gradient norm, "}.get(group, "")
    known = {"loss/total": "loss", "dependence/negative NLL gap": "NLL(negative) − NLL(answer)"}
    return known.get(column, group + words)


def _left_out(
    views: list[RunView], epochs: list[list[int]], queries: list[str], ranked: list[str], max_bytes: int
) -> str:
    """What was left out, in words; empty when nothing was."""
    parts = []
    for view, kept in zip(views, epochs, strict=True):
        if len(kept) < len(view.recorded_epochs):
            parts.append(f"{len(kept)} of {len(view.recorded_epochs)} epochs (denser at the start)")
    recorded = len(ranked) if len(views) > 1 else len(views[0].queries)
    if len(queries) < recorded:
        parts.append(f"{len(queries)} of {recorded} queries (largest gains and worst ends)")
    said = f"Embedded: {' and '.join(dict.fromkeys(parts))}, to stay below {max_bytes / 1000:,.0f} kB." if parts else ""
    alone = sum(len(view.queries) for view in views) - len(views) * len(ranked) if len(views) > 1 else 0
    return f"{said} Recorded by one run only, and left out: {alone} queries.".strip() if alone else said
