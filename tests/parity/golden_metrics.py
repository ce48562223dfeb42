"""Golden vectors of the evaluation programs of CNM, CPL and PPS, and of the formulas of P0.

:func:`check_metrics_case` recomputes every output array of one case and compares.  All sizes come from the arrays.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from vmlkit.metrics.moments import VoteRule, discounted_recall, moment_iou, moment_metrics, order_by_nll, vote
from vmlkit.metrics.negatives import mean_ion, pairwise_ion
from vmlkit.reconstruction.lnp import dual_sign

Arrays = Mapping[str, np.ndarray]

#: absolute tolerance where the reference logged float32 results of float32 spans
LOGGED = 1e-6
#: relative tolerance of float32 exponentials and logarithms
VALUE = 1e-5

#: how each variant of a metrics case chooses its answer
_RULES: dict[str, VoteRule] = {
    "top1": "none",
    "loss": "none",
    "vote_activitynet": "activitynet",
    "vote_charades": "charades",
    "vote_ActivityNet": "activitynet",
    "vote_CharadesSTA": "pps_charades",
}
_METRIC = re.compile(r"(?:(?:R@|Rank)(?P<n>\d+),)?(?P<name>mIoU|IoU@(?P<m>[\d.]+))")
_SCHEDULE = re.compile(r"c_alpha(?P<alpha>[\d.]+)_beta(?P<beta>[\d.]+)_emax(?P<epochs>\d+)")
_ION = re.compile(r"R@(?P<n>\d+),mIoN_(?P<over>max|mean)(?:_over_negatives)?")


def check_metrics_case(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Compare every output of a ``metrics_*`` or ``p0_formulas_*`` case with this package.

    Args:
        arrays: the case's npz, keys ``input/...`` and ``output/...``.
        meta: the case's json; its configuration must agree with the arrays.

    Raises:
        AssertionError: naming the array that differs, that has no rule, or that the configuration contradicts.
    """
    outputs = [key for key in arrays if key.startswith("output/")]
    assert outputs, "the case holds no output array"
    config = meta.get("config") or {}
    if "input/center" in arrays:
        _check_size("input/center", arrays["input/center"].shape[1], config.get("num_props"))
        expect = _metrics_rule(arrays)
    else:
        _check_size("input/pos_boundaries_ranked", arrays["input/pos_boundaries_ranked"].shape[1], config.get("K"))
        _check_size("input/neg_boundaries", arrays["input/neg_boundaries"].shape[1], config.get("M"))
        expect = _formula_rule(arrays)
    for key in outputs:
        value, tolerance, relative = expect(key.removeprefix("output/"))
        logged = np.asarray(arrays[key], dtype=np.float64)
        value = np.asarray(value, dtype=np.float64)
        assert value.size == logged.size, f"{key}: {value.shape} computed, {logged.shape} expected"
        np.testing.assert_allclose(
            value.reshape(logged.shape), logged, rtol=relative, atol=tolerance, err_msg=key, verbose=True
        )


def _check_size(key: str, found: int, stated: int | None) -> None:
    assert stated in (None, found), f"{key}: {found} proposals, but the configuration states {stated}"


#: name of an output -> (value, absolute tolerance, relative tolerance)
_Rule = Callable[[str], tuple[Any, float, float]]


def _metrics_rule(arrays: Arrays) -> _Rule:
    center, width = arrays["input/center"], arrays["input/width"]
    proposals = np.stack((np.maximum(center - width / 2, 0), np.minimum(center + width / 2, 1)), axis=-1)
    duration = _two_decimals(arrays["input/duration"])
    truth = _two_decimals(arrays["input/gt_seconds"]) / duration[:, None]
    nll = label_smoothed_nll(arrays["input/words_logit"], arrays["input/words_id"], arrays["input/words_mask"])
    # the logged float32 values rank: rounding must not decide an order here and the other one there
    ranking = arrays.get("output/nll", nll)
    order = order_by_nll(ranking)

    def expect(name: str) -> tuple[Any, float, float]:
        if name == "nll":
            return nll, 0.0, VALUE
        if name == "single_iou":
            return moment_iou(proposals, truth), LOGGED, 0.0
        variant, _, metric = name.partition("/")
        match = _METRIC.fullmatch(metric)
        assert match, f"output/{name}: no rule for this array"
        n = int(match["n"] or 1)
        key = f"IoU={float(match['m']):g}" if match["m"] else "mIoU"
        threshold = (float(match["m"]),) if match["m"] else ()
        if variant == "discounted_first":
            # the program's name for the proposal of index 0, whatever its NLL
            if threshold:
                return discounted_recall(proposals[:, 0], truth, threshold)[f"dR@1,{key}"], LOGGED, 0.0
            return moment_iou(proposals[:, :1], truth).mean(), LOGGED, 0.0
        assert variant in _RULES, f"output/{name}: no rule for this array"
        top1 = vote(proposals, ranking, _RULES[variant])
        return moment_metrics(proposals, order, top1, truth, threshold, (n,))[f"R@{n},{key}"], LOGGED, 0.0

    return expect


def _formula_rule(arrays: Arrays) -> _Rule:
    positives, negatives = arrays["input/pos_boundaries_ranked"], arrays["input/neg_boundaries"]
    truth = arrays["input/gt"]

    def expect(name: str) -> tuple[Any, float, float]:
        if match := re.fullmatch(r"eq1_T(\d+)", name):
            return paper_gaussian(arrays["input/mu"], arrays["input/sigma"], int(match[1])), LOGGED, VALUE
        if match := _SCHEDULE.fullmatch(name):
            epochs, alpha, beta = int(match["epochs"]), float(match["alpha"]), float(match["beta"])
            return [dual_sign(e, epochs, alpha, beta) for e in range(1, epochs + 1)], LOGGED, 0.0
        if name == "ion":
            return pairwise_ion(positives, negatives, truth), LOGGED, 0.0
        match = _ION.fullmatch(name)
        assert match, f"output/{name}: no rule for this array"
        over: Literal["max", "mean"] = "max" if match["over"] == "max" else "mean"
        return mean_ion(positives[:, : int(match["n"])], negatives, truth, over), LOGGED, 0.0

    return expect


def label_smoothed_nll(
    logits: Float[np.ndarray, "NP L V"], ids: Int[np.ndarray, "N L"], mask: np.ndarray, smoothing: float = 0.1
) -> Float[np.ndarray, "N P"]:
    """Reconstruction NLL of each proposal in float64, as the evaluation of CNM, CPL and PPS computes it.

    Per position ``(1 - smoothing) (-log p[target]) + smoothing / V sum_v (-log p[v])``, averaged over the positions
    where ``mask (N, L)`` is not 0.  Row ``b * P + k`` of the logits is proposal k of query b.
    """
    count, words = ids.shape
    logits = logits.astype(np.float64).reshape(count, -1, words, logits.shape[-1])
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    target = np.take_along_axis(log_p, np.broadcast_to(ids[:, None, :, None], (*log_p.shape[:3], 1)), axis=-1)[..., 0]
    each = -(1 - smoothing) * target - smoothing * log_p.mean(axis=-1)
    valid = np.asarray(mask != 0)[:, None]
    return np.where(valid, each, 0).sum(axis=-1) / valid.sum(axis=-1)


def paper_gaussian(
    center: Float[np.ndarray, " M"], width: Float[np.ndarray, " M"], clips: int
) -> Float[np.ndarray, "M T"]:
    """P0 Eq. (1): ``p_m(t) = exp(-(t / (T - 1) - mu_m)^2 / sigma_m^2)``, t = 0 .. T-1, without any floor."""
    x = np.arange(clips) / (clips - 1)
    center, width = (np.asarray(a, dtype=np.float64)[:, None] for a in (center, width))
    return np.exp(-(((x - center) / width) ** 2))


def _two_decimals(values: np.ndarray) -> np.ndarray:
    return np.round(values.astype(np.float64), 2)
