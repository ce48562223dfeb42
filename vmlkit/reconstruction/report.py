"""What the negatives of a recorded run did, by epoch (P0 Fig. 6) and by query (P0 Fig. 7); no model is needed.

Everything here is over the *recorded* queries of a run directory.  Overlap with the truth rises with width alone, so
each number that could mislead has its control beside it: the truth of other queries, random intervals, the width.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from vmlkit import spans as sp
from vmlkit.errors import ConfigError, DataError
from vmlkit.metrics.negatives import ion_metrics
from vmlkit.reconstruction.gaussian import outer_spans
from vmlkit.runs import RunDirectory

Curve = Literal["constant", "logarithmic", "linear", "exponential"]
#: largest mean IoU with the ground truth at which the negatives of a query count as outside of it
OUTSIDE = 0.02


@dataclass(frozen=True)
class RecordedNegatives:
    """The recorded negatives and answers of one epoch, in fractions of the video."""

    negatives: Float[np.ndarray, "N M 2"]  #: start/end, clipped
    centers: Float[np.ndarray, "N M"]  #: not clipped
    widths: Float[np.ndarray, "N M"]  #: not clipped
    nll: Float[np.ndarray, "N M"]
    weights: Float[np.ndarray, "N M"]  #: selection weights s
    answers: Float[np.ndarray, "N 2"]  #: start/end of the chosen positive
    answer_nll: Float[np.ndarray, " N"]


def recorded_negatives(run: RunDirectory, epoch: int) -> RecordedNegatives:
    """One epoch of ``proposals.parquet`` as arrays, queries in the order of ``probe.json``.

    Raises:
        DataError: if the epoch was not recorded or its negatives are no intervals.
    """
    table = run.proposals
    table = table[table["epoch"] == epoch].sort_values(["query_id", "index"])
    negative = table[(table["role"] == "negative") & table["center"].notna()]
    chosen = table[(table["role"] == "positive") & table["chosen"]]
    if not len(chosen):
        raise DataError(run.path, f"epoch {epoch} was not recorded", f"choose from {sorted(set(run.proposals.epoch))}")
    if not len(negative):
        raise DataError(run.path, "recorded no negatives that are intervals", "use a run with learned negatives")
    order = [q["query_id"] for q in run.probe]
    chosen = chosen.set_index(chosen["query_id"].astype(str)).loc[order]
    groups = {str(q): rows for q, rows in negative.groupby("query_id", observed=True)}

    def column(*names: str) -> np.ndarray:
        return np.stack([groups[q][list(names)].to_numpy(dtype=float) for q in order])

    return RecordedNegatives(
        negatives=np.clip(column("start", "end"), 0, 1),
        centers=column("center")[..., 0],
        widths=column("width")[..., 0],
        nll=column("nll")[..., 0],
        weights=column("weight")[..., 0],
        answers=chosen[["start", "end"]].to_numpy(dtype=float),
        answer_nll=chosen["nll"].to_numpy(dtype=float),
    )


def recorded_truth(run: RunDirectory) -> Float[np.ndarray, "N 2"]:
    """Start/end of the ground truth of the recorded queries, in fractions of the video."""
    return np.array([np.array(q["span_s"]) / q["duration_s"] for q in run.probe])


def recorded_epochs(run: RunDirectory) -> list[int]:
    """The epochs with recorded proposals, ascending; 0 is the untrained method."""
    return sorted(int(e) for e in run.proposals["epoch"].unique())


def last_easy_epoch(run: RunDirectory) -> int:
    """The last recorded epoch trained with c < 0.

    Raises:
        DataError: if there is none.
    """
    c = _schedule(run)
    easy = [e for e in recorded_epochs(run) if e in c.index and c[e] < 0]
    if not easy:
        raise DataError(run.path, "has no recorded epoch with c < 0", "use a run of P0 with alpha above 0")
    return easy[-1]


def sign_change(alpha: float | int, beta: float | int) -> float | None:
    """The share ``e / e_max = beta^(1 / alpha)`` of the training at which c is 0, or None where c keeps its sign.

    >>> round(sign_change(0.5, 0.8), 2)
    0.64
    """
    if curve_family(alpha) == "constant" or not 0 < beta <= 1:
        return None
    found: float | None = beta ** (1 / alpha)
    return found


def curve_family(alpha: float | int) -> Curve:
    """The name in P0 Table 3 for the shape that ``alpha`` gives the schedule.

    ``constant`` at 0; below 1 the curve rises fast and levels off (``logarithmic``), at 1 it is ``linear``, above 1 it
    starts slowly (``exponential``).  All are powers of e / e_max; the names describe the look.

    Raises:
        ConfigError: for a negative alpha.

    >>> [curve_family(alpha) for alpha in (0, 0.5, 1, 5)]
    ['constant', 'logarithmic', 'linear', 'exponential']
    """
    if not alpha >= 0:
        raise ConfigError(f"alpha must be 0 or larger, not {alpha}")
    if alpha == 0:
        return "constant"
    if alpha == 1:
        return "linear"
    return "logarithmic" if alpha < 1 else "exponential"


def negatives_by_epoch(run: RunDirectory, gamma: float = 0.5) -> pd.DataFrame:
    """One row per recorded epoch; means over the recorded queries, lengths in fractions of the video.

    Columns: ``c``; ``width`` (clipped to the video); ``spread``, the standard deviation of the m-th center over
    queries, mean over m; ``distance`` between the centers of negative and truth; ``overlap``, the IoU with the truth;
    ``overlap, others``, the IoU with the truth of the *other* queries: as high, if the negatives do not know their
    query; ``largest s``, the weight of the negative that the selection prefers; ``NLL negative`` and ``NLL positive``
    (the answer's); ``IoN`` with the answer, the best over m, and the same for ``IoN random`` intervals and ``IoN
    variable``, CPL's two Gaussians around the same answer.

    Args:
        gamma: growth of CPL's Gaussians.
    """
    truth, c = recorded_truth(run), _schedule(run)
    most = int(run.config["settings"]["train"]["epochs"])
    rows = {}
    for epoch in recorded_epochs(run):
        seen = recorded_negatives(run, epoch)
        learned = _ion(seen.answers, seen.negatives, truth)
        rule = _variable(seen.answers, (max(epoch, 1) / most) ** gamma)
        rows[epoch] = {
            "c": c.get(epoch, np.nan),
            "width": learned["negative width"],
            "spread": seen.centers.std(axis=0, ddof=1).mean(),
            "distance": np.abs(seen.centers - truth.mean(axis=1)[:, None]).mean(),
            "overlap": learned["negative-truth IoU"],
            "overlap, others": overlap_with_others(seen.negatives, truth),
            "largest s": seen.weights.max(axis=1).mean(),
            "NLL negative": seen.nll.mean(),
            "NLL positive": seen.answer_nll.mean(),
            "IoN": learned["R@1,mIoN"],
            "IoN random": learned["R@1,mIoN random intervals"],
            "IoN variable": _ion(seen.answers, rule, truth)["R@1,mIoN"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("epoch")


def negatives_by_query(run: RunDirectory, easy: int, hard: int, outside: float = OUTSIDE) -> pd.DataFrame:
    """One row per recorded query: where its negatives lie at epoch ``easy`` (c < 0) and at epoch ``hard`` (c > 0).

    Columns: ``sentence``; mean IoU with the truth, ``overlap easy`` and ``overlap hard``; mean gap to the truth in
    fractions of the video (0 where they touch), ``gap easy`` and ``gap hard``; ``outside``: overlap at most
    ``outside`` while easy; ``nearer``: a smaller gap when hard; ``as claimed``: both; ``blind``: for which share of the
    *other* queries' moments the very same negatives would have done as claimed.
    """
    truth = recorded_truth(run)
    table = pd.DataFrame({"sentence": [q["sentence"] for q in run.probe]}, index=[q["query_id"] for q in run.probe])
    pairs = {}  # every query's negatives against every query's truth
    for name, epoch in (("easy", easy), ("hard", hard)):
        spans = recorded_negatives(run, epoch).negatives[:, None]
        for what, measure in (("overlap", sp.iou), ("gap", gap)):
            pairs[what, name] = measure(spans, truth[:, None]).mean(axis=-1)  # (N, N)
            table[f"{what} {name}"] = pairs[what, name].diagonal()
    away, closer = pairs["overlap", "easy"] <= outside, pairs["gap", "hard"] < pairs["gap", "easy"]
    table["outside"], table["nearer"] = away.diagonal(), closer.diagonal()
    table["as claimed"] = table["outside"] & table["nearer"]
    others = ~np.eye(len(truth), dtype=bool)
    table["blind"] = (away & closer & others).sum(axis=1) / others.sum(axis=1)
    return table


def gap(a: Float[np.ndarray, "*N 2"], b: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N"]:
    """Distance between the nearest ends of two spans; 0 where they touch or overlap.

    >>> gap(np.array([0.0, 0.2]), np.array([0.5, 0.75])).item(), gap(np.array([0.4, 0.6]), np.array([0.5, 0.9])).item()
    (0.3, 0.0)
    """
    found: np.ndarray = np.maximum(np.maximum(b[..., 0] - a[..., 1], a[..., 0] - b[..., 1]), 0)
    return found


def overlap_with_others(negatives: Float[np.ndarray, "N M 2"], truth: Float[np.ndarray, "N 2"]) -> float:
    """Mean IoU of each query's negatives with the truth of every other query: what blind negatives would score."""
    pairs = sp.iou(negatives[:, None], truth[None, :, None]).mean(axis=-1)  # (N, N)
    return float(pairs[~np.eye(len(truth), dtype=bool)].mean())


def _schedule(run: RunDirectory) -> pd.Series:
    epochs = run.epochs
    if "curriculum/c" not in epochs:
        raise DataError(run.path, "records no schedule c", "use a run of P0 with learned negatives")
    return epochs.set_index("epoch")["curriculum/c"].dropna()


def _ion(answers: np.ndarray, negatives: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return ion_metrics(answers[:, None], np.zeros((len(truth), 1), dtype=int), negatives, truth, n=(1,))


def _variable(answers: np.ndarray, ratio: float) -> Float[np.ndarray, "N 2 2"]:
    center, width = torch.tensor(sp.to_center_width(answers)).unbind(-1)
    return sp.to_start_end(outer_spans(center, width, ratio)).numpy()
