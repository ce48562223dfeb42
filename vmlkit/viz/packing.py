"""A recorded run as one block of bytes and a description, small enough to live inside a notebook or a web page.

Fractions are stored as 16-bit integers (a step of 1/65534 of the range, 65535 for a missing value), pictures as JPEG.
What does not fit is left out by rule, and the description says so in words.
"""

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vmlkit.errors import MissingDependency
from vmlkit.viz.snapshots import RunView, Snapshot, thin_log
from vmlkit.viz.style import ROLES, Role

#: the code of a missing value
MISSING = 65535

_NEGATIVE_ROLES = ("easy_negative", "hard_negative", "negative")


@dataclass(frozen=True)
class Packed:
    """``data`` is little-endian and holds the arrays that ``meta["arrays"]`` and ``meta["strips"]`` locate."""

    meta: dict[str, Any]
    data: bytes

    def array(self, name: str) -> np.ndarray:
        """One array as stored, in its own units again: float64 with NaN for missing values, or integers."""
        entry = self.meta["arrays"][name]
        count = int(np.prod(entry["shape"]))
        raw = np.frombuffer(self.data, np.dtype(entry["dtype"]).newbyteorder("<"), count, entry["offset"])
        raw = raw.reshape(entry["shape"])
        return raw if "low" not in entry else dequantize(raw, entry["low"], entry["high"])

    def strip_bytes(self, video: int) -> bytes | None:
        """The JPEG file with the pictures of one video side by side, or its trace as uint8; None without either."""
        entry = self.meta["strips"]["videos"][video] if self.meta["strips"] else None
        return self.data[entry["offset"] : entry["offset"] + entry["length"]] if entry else None


def quantize(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers in low..high as uint16; others are clipped, NaN becomes :data:`MISSING`.

    >>> quantize(np.array([0.0, 0.5, 1.0, np.nan]), 0.0, 1.0).tolist()
    [0, 32767, 65534, 65535]
    """
    scaled = (np.clip(values, low, high) - low) / (high - low) * (MISSING - 1)
    return np.where(np.isnan(scaled), MISSING, np.round(np.nan_to_num(scaled))).astype(np.uint16)


def dequantize(codes: np.ndarray, low: float, high: float) -> np.ndarray:
    """The inverse of :func:`quantize`, off by at most (high - low) / 131068."""
    return np.where(codes == MISSING, np.nan, low + codes / (MISSING - 1) * (high - low))


def pack(run: Any, *, max_bytes: int = 1_500_000, max_epochs: int = 48) -> Packed:
    """Choose what to embed and encode it.

    Epochs beyond ``max_epochs`` are thinned on a log scale, because most happens early.  Queries come in an order that
    alternates the largest gain in IoU with the worst final IoU (successes and failures), as many as fit.

    Args:
        run: a run directory, its path, or a :class:`~vmlkit.viz.snapshots.RunView`.
        max_bytes: of ``data``; in a page base64 adds a third.  One query is embedded in any case.
        max_epochs: how many epochs to keep at most.

    Raises:
        DataError: when the run has no recorded proposals.
        MissingDependency: when matplotlib, which encodes the pictures, is not installed.
    """
    view = RunView(run)
    epochs = [view.recorded_epochs[i] for i in thin_log(len(view.recorded_epochs), max_epochs)]
    ranked = _rank(view)
    sizes = max((_counts(view, q) for q in ranked), key=sum)
    strips: dict[str, tuple[dict[str, Any], bytes] | None] = {}
    chosen: list[str] = []
    total = 0
    for query in ranked:
        video = str(view.query(query)["video_id"])
        new = {} if video in strips else {video: _encode_strip(view.film_strip(video))}
        cost = len(epochs) * sum(sizes) * 15 + sum(len(s[1]) for s in new.values() if s)
        if chosen and total + cost > max_bytes:
            break
        chosen.append(query)
        strips.update(new)
        total += cost
    block = _Block()
    _add_proposals(block, view, epochs, chosen, sizes)
    curves = _add_curves(block, view)
    meta = {
        "version": 1,
        "epochs": epochs,
        "queries": [_describe(view, q, list(strips)) for q in chosen],
        "counts": {"positives": sizes[0], "negatives": sizes[1]},
        "shapes": [asdict(shape) for shape in view.shapes()],
        "negative_roles": list(_NEGATIVE_ROLES),
        "curves": curves,
        "strips": block.add_strips(strips),
        "arrays": block.table,
        "roles": {name: _role(role) for name, role in ROLES.items()},
        "left_out": _left_out(view, epochs, chosen, max_bytes),
    }
    return Packed(meta, bytes(block.data))


class _Block:
    """Bytes under construction; every array starts at a multiple of four."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.table: dict[str, dict[str, Any]] = {}

    def put(self, raw: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.data += raw
        return len(self.data) - len(raw)

    def add(self, name: str, values: np.ndarray, low: float | None = None, high: float | None = None) -> None:
        stored = values if low is None or high is None else quantize(values, low, high)
        offset = self.put(stored.astype(stored.dtype.newbyteorder("<")).tobytes())
        self.table[name] = {"offset": offset, "dtype": stored.dtype.name, "shape": list(stored.shape)}
        if low is not None:
            self.table[name] |= {"low": low, "high": high}

    def add_strips(self, strips: dict[str, tuple[dict[str, Any], bytes] | None]) -> dict[str, Any] | None:
        kept = {v: s for v, s in strips.items() if s is not None}
        if not kept:
            return None
        videos = [
            {**s[0], "offset": self.put(s[1]), "length": len(s[1])} if (s := kept.get(v)) else None for v in strips
        ]
        return {"videos": videos}


def _role(role: Role) -> dict[str, Any]:
    colors = {"light": role.color, "text": role.text, "dark": role.dark}
    return {"label": role.label, **colors, "dash": list(role.dash), "width": role.width}


def _rank(view: RunView) -> list[str]:
    """Recorded queries: largest gain, worst end, second largest gain, ..."""
    first, last = view.recorded_epochs[0], view.recorded_epochs[-1]
    table = view.proposals[view.proposals["chosen"]].set_index(["query_id", "epoch"])["iou"]
    table = table[~table.index.duplicated()].astype(float).unstack("epoch")
    ids = [q for q in view.queries if q in table.index and not np.isnan(table.loc[q, last])]
    ids = ids or [
        q for q in view.queries if (last, q) in set(zip(view.proposals.epoch, view.proposals.query_id, strict=True))
    ]
    end = {q: float(table.loc[q, last]) if q in table.index else 0.0 for q in ids}
    gain = {q: end[q] - float(np.nan_to_num(table.loc[q, first])) if q in table.index else 0.0 for q in ids}
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
        "truth": [float(x) for x in query["span_s"]],
        "video": videos.index(str(query["video_id"])),
    }


def _add_proposals(block: _Block, view: RunView, epochs: list[int], queries: list[str], sizes: tuple[int, int]) -> None:
    """Arrays (epochs, queries, positives then negatives); proposals that do not exist are missing values."""
    shape = (len(epochs), len(queries), sum(sizes))
    names = ("center", "width", "start", "end", "weight", "score", "nll")
    arrays = {n: np.full(shape, np.nan) for n in names}
    chosen = np.full(shape[:2], 255, np.uint8)
    role = np.zeros((*shape[:2], sizes[1]), np.uint8)
    for e, epoch in enumerate(epochs):
        for q, query in enumerate(queries):
            shot = view.snapshot(query, epoch)
            _fill({n: a[e, q] for n, a in arrays.items()}, shot, sizes)
            chosen[e, q] = 255 if shot.chosen is None else shot.chosen
            for m, name in enumerate(shot.negative_roles[: sizes[1]]):
                role[e, q, m] = _NEGATIVE_ROLES.index(name) if name in _NEGATIVE_ROLES else 2
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


def _add_curves(block: _Block, view: RunView) -> list[dict[str, str]]:
    """One loss, one metric and one schedule value over all epochs, as far as the run has them."""
    picked = []
    for group, favourite in (("loss", "total"), ("metric", "R@1,mIoU"), ("curriculum", "c")):
        columns = [c for c in view.epochs.columns if c.startswith(f"{group}/")]
        columns = [c for c in columns if c == f"{group}/{favourite}"] or columns
        if columns and np.isfinite(view.epochs[columns[0]].to_numpy(dtype=float)).any():
            picked.append(columns[0])
    block.add("curve_epochs", view.epochs["epoch"].to_numpy(dtype=np.int32))
    values = [view.epochs[c].to_numpy(dtype=np.float32) for c in picked]
    block.add("curves", np.stack(values) if values else np.zeros((0, len(view.epochs)), np.float32))
    return [{"name": c, "title": "loss" if c == "loss/total" else c.split("/", 1)[1].replace("_", " ")} for c in picked]


def _encode_strip(strip: np.ndarray | None) -> tuple[dict[str, Any], bytes] | None:
    if strip is None:
        return None
    if strip.ndim == 1:
        values = strip.astype(float)
        spread = float(np.nanmax(values) - np.nanmin(values)) or 1.0
        return {"kind": "heat", "count": len(values)}, (
            np.nan_to_num((values - np.nanmin(values)) / spread * 255).round().astype(np.uint8).tobytes()
        )
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise MissingDependency("matplotlib", "notebooks", "encoding film strips") from error
    file = io.BytesIO()
    quality = {"quality": 88, "subsampling": 0, "optimize": True}
    imsave(file, np.concatenate(list(strip), axis=1), format="jpeg", pil_kwargs=quality)
    return {"kind": "film", "count": len(strip)}, file.getvalue()


def _left_out(view: RunView, epochs: list[int], queries: list[str], max_bytes: int) -> str:
    """What was left out, in words; empty when nothing was."""
    parts = []
    if len(epochs) < len(view.recorded_epochs):
        parts.append(f"{len(epochs)} of {len(view.recorded_epochs)} epochs (denser at the start)")
    if len(queries) < len(view.queries):
        parts.append(f"{len(queries)} of {len(view.queries)} queries (largest gains and worst ends)")
    return f"Embedded: {' and '.join(parts)}, to stay below {max_bytes / 1000:,.0f} kB." if parts else ""
