"""Moment retrieval metrics over a whole test set: R@n,IoU=m and R@n,mIoU, and the votes that choose the answer.

Everything here is numpy over arrays of shape (N, P): N queries, P proposals each.  Spans are ``(start, end)`` in
fractions of the video.  Results are fractions too; :mod:`vmlkit.metrics.report` turns them into percent.
The definitions are those of the evaluation programs of CNM, CPL and PPS.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from vmlkit import spans as sp
from vmlkit.errors import DataError

#: m of R@n,IoU=m in the evaluation programs of CNM, CPL and PPS
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
#: n of R@n; papers report 1 and 5
RANKS = (1, 5)

#: queries that vote at a time; keeps the arrays within a processor's cache
_BLOCK = 2048

VoteRule = Literal["none", "activitynet", "charades", "pps_charades"]


def moment_iou(proposals: Float[np.ndarray, "N P 2"], truth: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N P"]:
    """IoU of every proposal with the truth of its query, in float64 (see :func:`vmlkit.spans.iou`)."""
    return sp.iou(_queries_last(proposals), np.asarray(truth, dtype=np.float64)).T


def moment_metrics(
    proposals: Float[np.ndarray, "N P 2"],
    order: Int[np.ndarray, "N P"],
    top1: Int[np.ndarray, " N"],
    truth: Float[np.ndarray, "N 2"],
    thresholds: Sequence[float] = THRESHOLDS,
    n: Sequence[int] = RANKS,
) -> dict[str, float]:
    """``R@n,IoU=m`` and ``R@n,mIoU`` for every n and m, as fractions.

    * **Inclusive**: a query counts for ``R@n,IoU=m`` when the best of its n proposals has IoU **>= m**.  Papers write
      "larger than m"; their programs, and this one, use >=.
    * ``R@1`` is the answer ``top1`` (which a vote may have chosen).  ``R@n`` with n > 1 is the first
      ``k = min(P, n)`` of ``order``, without any vote; the key keeps the n that was asked for.
    * ``R@n,mIoU`` is the mean over queries of the best IoU among those n.
    * **Denominator**: all N queries.  Nothing is left out.
    * The truth is not clipped to the video, as in the reference programs.

    Args:
        proposals: start/end in fractions of the video.
        order: proposal indices from best to worst, see :func:`order_by_nll`.
        top1: index of the answer, see :func:`vote`.
        truth: start/end in fractions of the video.

    Raises:
        DataError: for an empty set, shapes that do not agree, an index out of range or a value that is not finite.

    >>> proposals = np.array([[[0.0, 0.5], [0.5, 1.0]], [[0.0, 1.0], [0.0, 0.25]]])
    >>> truth = np.array([[0.5, 1.0], [0.0, 0.5]])
    >>> order = np.array([[0, 1], [0, 1]])
    >>> results = moment_metrics(proposals, order, order[:, 0], truth, thresholds=(0.5,), n=(1, 2))
    >>> {name: round(value, 6) for name, value in results.items()}
    {'R@1,IoU=0.5': 0.5, 'R@1,mIoU': 0.25, 'R@2,IoU=0.5': 1.0, 'R@2,mIoU': 0.75}

    The second query has IoU 0.5 with its first proposal, exactly the threshold, and counts.
    """
    proposals, order, top1, truth = (np.asarray(a) for a in (proposals, order, top1, truth))
    _check(proposals, order, top1, truth)
    if not len(n) or min(n) < 1:
        raise DataError("moment_metrics", f"n is {tuple(n)}", "give at least one rank, each 1 or larger")
    overlap = moment_iou(proposals, truth)
    results: dict[str, float] = {}
    for rank in n:
        best = overlap[np.arange(len(top1)), top1] if rank == 1 else _best_of(overlap, order[:, :rank])
        for m in thresholds:
            results[f"R@{rank},IoU={m:g}"] = float(np.mean(best >= m))
        results[f"R@{rank},mIoU"] = float(best.mean())
    return results


def discounted_recall(
    answers: Float[np.ndarray, "N 2"], truth: Float[np.ndarray, "N 2"], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, float]:
    """``dR@1,IoU=m``: each hit (IoU >= m) counts ``(1 - |start error|) (1 - |end error|)`` instead of 1.

    Yuan et al. 2021, "A Closer Look at Temporal Sentence Grounding in Videos"; the released CPL logs it.  It makes
    long answers that hit a low threshold by size alone worth less.  Denominator: all N queries.

    >>> discounted_recall(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]), thresholds=(0.5, 0.7))
    {'dR@1,IoU=0.5': 0.5, 'dR@1,IoU=0.7': 0.0}
    """
    answers, truth = np.asarray(answers, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    _check_truth("discounted_recall", answers, truth)
    worth = np.prod(1 - np.abs(answers - truth), axis=1)
    overlap = sp.iou(answers, truth)
    return {f"dR@1,IoU={m:g}": float(np.mean(worth * (overlap >= m))) for m in thresholds}


def order_by_nll(nll: Float[np.ndarray, "N P"]) -> Int[np.ndarray, "N P"]:
    """Proposal indices from the lowest (best) to the highest reconstruction NLL; ties keep the lower index first.

    Raises:
        DataError: where an NLL is not a finite number; any sort would quietly put it last.

    >>> order_by_nll(np.array([[2.0, 1.0, 1.0]]))
    array([[1, 2, 0]])
    """
    nll = np.asarray(nll)
    if nll.ndim != 2:
        raise DataError("order_by_nll", f"the NLL has shape {nll.shape}", "give one row a query, one column a proposal")
    wrong = ~np.isfinite(nll).all(axis=1)
    if wrong.any():
        what = f"the NLL of query {_first(wrong)} is not a finite number"
        raise DataError("order_by_nll", what, "look at the reconstruction loss of that query")
    return np.argsort(nll, axis=1, kind="stable")


def vote(proposals: Float[np.ndarray, "N P 2"], nll: Float[np.ndarray, "N P"], rule: VoteRule) -> Int[np.ndarray, " N"]:
    """Index of the answer among the P proposals of each query.

    Proposal i receives ``v_i = sum_j c_j IoU(i, j)`` (j runs over all proposals, i itself too) and the largest v wins;
    **on ties the one with the lower NLL** (then the lower index).  The rules are those of the released programs:

    ==============  =================================================================================
    ``none``        no vote: the lowest NLL (CPL's default)
    ``activitynet`` ``c_j = 1`` (CPL and PPS on ActivityNet)
    ``charades``    ``c_j = IoU(first, j)``, first = the lowest NLL (CPL on Charades-STA)
    ``pps_charades``  ``c_j = 1 - NLL_j / max_k NLL_k`` within the query (PPS on Charades-STA)
    ==============  =================================================================================

    Args:
        proposals: start/end in fractions of the video.
        nll: reconstruction NLL of each proposal; must not be negative for ``pps_charades``.

    Raises:
        DataError: for a rule that does not exist, shapes that do not agree or an NLL that is not finite.

    >>> spans = np.array([[[0.0, 0.2], [0.5, 0.9], [0.5, 1.0]]])
    >>> nll = np.array([[1.0, 2.0, 3.0]])
    >>> vote(spans, nll, "none"), vote(spans, nll, "activitynet")
    (array([0]), array([1]))
    """
    proposals, nll = np.asarray(proposals), np.asarray(nll)
    if rule not in get_args(VoteRule):
        raise DataError("vote", f"there is no rule {rule!r}", f"choose one of {', '.join(get_args(VoteRule))}")
    if proposals.shape != (*nll.shape, 2):
        raise DataError(
            "vote", f"proposals {proposals.shape} and NLL {nll.shape} disagree", "give (N, P, 2) spans and (N, P) NLL"
        )
    order = order_by_nll(nll)
    if rule == "none":
        return order[:, 0]
    ranked = _queries_last(np.take_along_axis(proposals, order[..., None], axis=1))
    losses = np.take_along_axis(nll, order, axis=1).T
    blocks = [slice(i, i + _BLOCK) for i in range(0, max(len(order), 1), _BLOCK)]
    winners = np.concatenate([_elect(ranked[:, block], losses[:, block], rule) for block in blocks])
    found: np.ndarray = order[np.arange(len(order)), winners]
    return found


def _elect(ranked: Float[np.ndarray, "P N 2"], nll: Float[np.ndarray, "P N"], rule: VoteRule) -> Int[np.ndarray, " N"]:
    weights = _vote_weights(ranked, nll, rule)
    votes = np.zeros(weights.shape)
    # one voter at a time: the reference adds the votes in this order, and ties must stay ties
    for voter, weight in zip(ranked, weights, strict=True):
        votes += sp.iou(ranked, voter) * weight
    found: np.ndarray = votes.argmax(axis=0)
    return found


def _vote_weights(
    ranked: Float[np.ndarray, "P N 2"], nll: Float[np.ndarray, "P N"], rule: VoteRule
) -> Float[np.ndarray, "P N"]:
    if rule == "activitynet":
        return np.ones(nll.shape)
    if rule == "charades":
        return sp.iou(ranked[0], ranked)
    largest = nll[-1]
    return 1 - nll / np.where(largest > 0, largest, 1)


def _queries_last(spans: Float[np.ndarray, "N P 2"]) -> Float[np.ndarray, "P N 2"]:
    """Proposals first, starts and ends each contiguous over the N queries: numpy is fast along a long last axis."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(spans, (2, 1), (0, 1))), 0, -1)


def _best_of(overlap: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.take_along_axis(overlap, chosen, axis=1).max(axis=1)
    return found


def _check(proposals: np.ndarray, order: np.ndarray, top1: np.ndarray, truth: np.ndarray) -> None:
    where = "moment_metrics"
    if proposals.ndim != 3 or proposals.shape[-1] != 2 or proposals.shape[1] == 0:
        raise DataError(where, f"proposals have shape {proposals.shape}", "give (N, P, 2) start/end fractions")
    count, width = proposals.shape[:2]
    for name, array, shape in (
        ("order", order, (count, width)),
        ("top1", top1, (count,)),
        ("truth", truth, (count, 2)),
    ):
        if array.shape != shape:
            raise DataError(where, f"{name} has shape {array.shape}, proposals {proposals.shape}", f"give {shape}")
    _check_truth(where, truth, truth)
    wrong = ~np.isfinite(proposals).all(axis=(1, 2))
    if wrong.any():
        what = f"a proposal of query {_first(wrong)} is not finite"
        raise DataError(where, what, "look at the model's centers and widths")
    for name, index in (("order", order), ("top1", top1)):
        if index.min() < 0 or index.max() >= width:
            raise DataError(where, f"{name} points outside the {width} proposals", f"use indices 0 to {width - 1}")


def _check_truth(where: str, answers: np.ndarray, truth: np.ndarray) -> None:
    if truth.ndim != 2 or truth.shape[-1] != 2 or answers.shape != truth.shape:
        raise DataError(
            where, f"spans have shapes {answers.shape} and {truth.shape}", "give (N, 2) start/end fractions"
        )
    if len(truth) == 0:
        raise DataError(where, "there is no query", "evaluate at least one")
    wrong = ~np.isfinite(truth).all(axis=1) | (truth[:, 1] < truth[:, 0])
    if wrong.any():
        row = _first(wrong)
        raise DataError(where, f"the truth of query {row} is {truth[row].tolist()}", "give finite start <= end")


def _first(wrong: np.ndarray) -> int:
    return int(np.flatnonzero(wrong)[0])
