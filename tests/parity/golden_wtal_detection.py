"""Golden cases of weakly supervised action localisation that need no model: proposals, suppression, sampling, mAP,
frame rates and planted features.  Every size, threshold and switch is read from the JSON and the arrays.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.golden import GoldenCase, assert_close
from tests.parity.golden_data import SkipCase
from tests.parity.golden_wtal import Settings
from vmlkit.actions import thumos
from vmlkit.actions.detection import Protocol, detection_map
from vmlkit.actions.detections import SNIPPETS_PER_S, Detections, Unit
from vmlkit.actions.frame_rates import FrameCounts, frame_counts
from vmlkit.actions.nms import Decay, hard_nms, soft_nms
from vmlkit.actions.planted import PlantedActionConfig, PlantedActionFeatures
from vmlkit.actions.proposals import (
    HAMNET,
    P3,
    BasNetProposalConfig,
    ProposalConfig,
    activation_proposals,
    attention_proposals,
    class_scores,
    drop_ambiguous,
)
from vmlkit.actions.sampling import random_indices, uniform_indices
from vmlkit.actions.segments import ActionSegments
from vmlkit.actions.videos import ActionAnnotations

SCORE, EXACT = 1e-5, 1e-9


def is_action_case(case: GoldenCase) -> bool:
    """Whether a ``sampling_`` or ``planted_`` case is of this family, by what it holds; both names exist elsewhere."""
    indices = any(re.fullmatch(r"output/\d+/(uniform|random)", key) for key in case.arrays)
    return indices or "core" in (case.meta.get("config") or {})


def check_action_case(case: GoldenCase) -> None:
    """Hold a ``sampling_`` or ``planted_`` case against this package."""
    planted = "core" in (case.meta.get("config") or {})
    _compare(case, _planted(case) if planted else _sampling(case))


def _compare(case: GoldenCase, computed: Mapping[str, np.ndarray]) -> None:
    golden = {key: value for key, value in case.arrays.items() if not key.startswith("input")}
    missing = sorted(golden.keys() - computed.keys())
    assert golden, f"{case.name}: no output array"
    assert not missing, f"{case.name}: not computed by us: {missing}"
    for key, expected in golden.items():
        ours, name = np.asarray(computed[key]), f"{case.name}:{key}"
        if expected.dtype.kind in "iu":
            assert np.array_equal(ours, expected), f"{name}: differs"
        elif key.split("/")[-1].startswith("proposals"):
            assert ours.shape == expected.shape, f"{name}: shape {ours.shape}, golden {expected.shape}"
            assert_close(f"{name} (start, end, class)", ours[:, :3], expected[:, :3], EXACT)
            assert_close(f"{name} (score)", ours[:, 3], expected[:, 3], SCORE)
        else:
            loose = expected.dtype == np.float32 or key.startswith("summary/")
            assert_close(name, ours, expected, SCORE if loose else EXACT)


def annotations_of(case: GoldenCase) -> ActionAnnotations:
    """The annotations of THUMOS14 below ``$VMLKIT_DATA``; raises :class:`SkipCase` where they are not."""
    root = os.environ.get("VMLKIT_DATA")
    path = Path(root) / "thumos14" / thumos.REDUCED if root else None
    if path is None or not path.is_file():
        raise SkipCase(f"{case.name} needs the THUMOS14 annotations: thumos14/{thumos.REDUCED} below $VMLKIT_DATA")
    return thumos.read_reduced(path)


def _planted(case: GoldenCase) -> dict[str, np.ndarray]:
    videos = annotations_of(case).videos
    store = PlantedActionFeatures(videos, PlantedActionConfig(**case.meta["config"]))
    computed = {key: store.read(key.split("/")[1]) for key in case.arrays if key.startswith("output/")}
    named = [key for key in case.arrays if key.startswith("summary/")]
    if named:
        wide = PlantedActionFeatures(videos, PlantedActionConfig(**case.meta["summary_config"]))
        computed |= {key: _summary(wide.read(key.split("/")[1])) for key in named}
    return computed


def _summary(x: np.ndarray) -> np.ndarray:
    """T, columns, mean, standard deviation, share above zero, first and last element."""
    return np.array([*x.shape, x.mean(dtype=np.float64), x.std(dtype=np.float64), (x > 0).mean(), x[0, 0], x[-1, -1]])


def _sampling(case: GoldenCase) -> dict[str, np.ndarray]:
    computed = {}
    for key, values in case.group("input").items():
        target, length, seed = values.tolist()
        computed[f"output/{key}/uniform"] = uniform_indices(length, target)
        computed[f"output/{key}/random"] = random_indices(length, target, np.random.RandomState(seed))
    return computed


def _suppression(case: GoldenCase) -> dict[str, np.ndarray]:
    """Rows are class, score, start, end; method and threshold stand in the name of the output."""
    computed = {}
    for key in (k for k in case.arrays if k.startswith("output/")):
        _, number, method = key.split("/")
        rows = case.arrays[f"input/{number}/dets"]
        kind, value = method.rsplit("_", 1)
        if kind == "nms":
            computed[key] = rows[hard_nms(rows[:, 2:], rows[:, 1], float(value))]
            continue
        decay: Decay = kind.removeprefix("soft_nms_")  # type: ignore[assignment]
        order, scores = soft_nms(rows[:, 2:], rows[:, 1], decay, sigma=float(value), threshold=float(value))
        computed[key] = np.column_stack((rows[order, 0], scores, rows[order, 2:]))
    return computed


def _map(case: GoldenCase) -> dict[str, np.ndarray]:
    annotations, meta, c = annotations_of(case), case.meta, Settings(case)
    names, classes = meta["video_names"], meta["class_list"]
    tested = [video for video in annotations.videos if video.subset == annotations.subsets[1]]
    computed: dict[str, np.ndarray] = {}
    for key in (k for k in case.arrays if k.endswith("_ap")):
        prefix = key.removeprefix("output/").removesuffix("_ap")
        protocol: Protocol = {"p3": "p3", "seconds": "seconds"}.get(prefix, "activitynet")  # type: ignore[assignment]
        counted = [v for v in tested if protocol == "p3" or v.in_gt_json]
        truth = ActionSegments.build([(v.video_id, *s) for v in counted for s in v.segments], names, classes)
        unit: Unit = "snippets" if protocol == "p3" else "seconds"
        rows = case.arrays[f"input/detections_{unit}"]
        found = Detections(
            video=rows[:, 0].astype(np.int64),
            spans=rows[:, 1:3],
            labels=rows[:, 3].astype(np.int64),
            scores=rows[:, 4],
            unit=unit,
        )
        c.agree(**{f"{prefix}_videos": len(counted), f"{prefix}_instances": len(truth)})
        name = prefix if prefix.endswith("_thresholds") else f"{prefix}_thresholds"
        levels = c.take(name) if name in c.values else None
        result = detection_map(found, truth, protocol, None if levels is None else levels_of(levels))
        computed[key], computed[f"output/{prefix}_map"] = result.ap, result.mean_ap
        computed[f"output/{prefix}_gt_count"] = result.instances
    c.close()
    return computed


_NUMBER = r"([\d.]+)"


def levels_of(given: str | list[float]) -> tuple[float, ...]:
    """Thresholds of the JSON: a list, or one of the texts in which the cases describe them.

    >>> levels_of("linspace(0.5, 1, 3)"), levels_of("arange(.1,.35,.1)"), levels_of("0, 0.5, ... 1.0")
    ((0.5, 0.75, 1.0), (0.1, 0.2, 0.30000000000000004), (0.0, 0.5, 1.0))
    """
    if not isinstance(given, str):
        return tuple(given)
    if found := re.fullmatch(rf"linspace\({_NUMBER}, *{_NUMBER}, *(\d+)\)", given):
        return tuple(np.linspace(float(found[1]), float(found[2]), int(found[3])).tolist())
    if found := re.fullmatch(rf"(\d+) evenly spaced values from {_NUMBER} to {_NUMBER}( inclusive)?", given):
        return tuple(np.linspace(float(found[2]), float(found[3]), int(found[1])).tolist())
    if found := re.fullmatch(rf"arange\({_NUMBER}, *{_NUMBER}, *{_NUMBER}\)", given):
        return tuple(np.arange(*map(float, found.groups())).tolist())
    if found := re.fullmatch(rf"{_NUMBER}, *{_NUMBER},? *\.\.\.,? *{_NUMBER}", given):
        low, step, high = map(float, found.groups())
        return tuple(np.arange(low, high + (step - low) / 2, step - low).tolist())
    raise AssertionError(f"thresholds that nothing here understands: {given!r}")


def _frame_rates(case: GoldenCase) -> dict[str, np.ndarray]:
    computed: dict[str, Any] = {}
    total, c = FrameCounts(), Settings(case)
    settings = {
        "snippet_s": c.take("snippet_s", "seconds_per_snippet", default=1 / SNIPPETS_PER_S),
        "threshold": c.take("threshold", "attention_threshold", default=0.5),
    }
    for number in _numbers(case, "cas"):
        rows = case.arrays[f"input/{number}/segments"]
        cas, attention = case.arrays[f"input/{number}/cas"], case.arrays[f"input/{number}/attn"]
        c.agree(classes=cas.shape[1] - 1)
        counts = frame_counts(cas, attention, rows[:, :2], rows[:, 2].astype(np.int64), **settings)
        order = ("attention_fp", "background", "attention_fn", "foreground", "class_fp", "class_fn")
        computed[f"output/{number}/counts"] = np.array([getattr(counts, name) for name in order])
        total = total + counts
    c.close()
    return computed | {f"output/{name}": np.array(value) for name, value in total.rates().items()}


def _numbers(case: GoldenCase, name: str) -> list[str]:
    return [key.split("/")[1] for key in case.arrays if re.fullmatch(rf"input/\d+/{name}", key)]


def _config(case: GoldenCase, start: ProposalConfig) -> ProposalConfig:
    """The settings of the JSON under our names."""
    c = Settings(case)
    names = {"top_ratio": "score_topk_ratio", "class_weight": "gamma", "sigma": "soft_nms_sigma"}
    names |= {name: name for name in ("class_threshold", "outer_margin")} | {"snippet_s": "seconds_per_snippet"}
    changed = {ours: c.take(theirs) for ours, theirs in names.items() if theirs in c.values}
    if "attention_thresholds" in c.values:
        changed["attention_thresholds"] = levels_of(c.take("attention_thresholds"))
    c.agree(classes=case.arrays[f"input/{_numbers(case, 'cas')[0]}/cas"].shape[2] - 1)
    c.close()
    return replace(start, **changed)


def _p3(case: GoldenCase) -> dict[str, np.ndarray]:
    config = _config(case, P3)
    videos = [entry.get("video", "") for entry in case.meta["cases"]]
    regions = _regions(case) if any(map(_is_real, videos)) else {}
    computed: dict[str, np.ndarray] = {}
    unchecked = []
    for number in _numbers(case, "cas"):
        cas, attention = case.arrays[f"input/{number}/cas"][0], case.arrays[f"input/{number}/attn"][0, :, 0]
        found, out = attention_proposals(cas, attention, config), f"output/{number}"
        computed[f"{out}/class_score"] = class_scores(cas * attention[:, None], len(cas) // config.top_ratio)
        computed[f"{out}/proposals_before_ambiguity_filter"] = found.rows()
        if regions is None and _is_real(videos[int(number)]):
            unchecked.append(f"{out}/proposals")
        else:
            computed[f"{out}/proposals"] = drop_ambiguous(found, (regions or {}).get(videos[int(number)], ())).rows()
    if unchecked:
        rest = {key: value for key, value in case.arrays.items() if key not in unchecked}
        _compare(GoldenCase(case.name, rest, case.meta), computed)
        raise SkipCase(f"{case.name}: {len(unchecked)} arrays after the ambiguity filter need the THUMOS14 annotations")
    return computed


def _is_real(video: str) -> bool:
    return video.startswith("video_")


def _regions(case: GoldenCase) -> dict[str, Any] | None:
    try:
        return {video.video_id: video.ambiguous for video in annotations_of(case).videos}
    except SkipCase:
        return None


def _hamnet(case: GoldenCase) -> dict[str, np.ndarray]:
    config = _config(case, HAMNET)
    return {
        f"output/{n}/proposals": attention_proposals(
            case.arrays[f"input/{n}/cas"][0], case.arrays[f"input/{n}/attn"][0, :, 0], config
        ).rows()
        for n in _numbers(case, "cas")
    }


def _basnet(case: GoldenCase) -> dict[str, np.ndarray]:
    c = Settings(case)
    names = {field.name: field.name for field in fields(BasNetProposalConfig)}
    names |= {"nms_threshold": "nms", "class_weight": "gamma"}
    changed = {ours: c.take(theirs) for ours, theirs in names.items() if theirs in c.values}
    if "thresholds" in c.values:
        changed["activation_thresholds"] = levels_of(c.take("thresholds"))
    config = BasNetProposalConfig(**changed)
    computed = {}
    for number in _numbers(case, "cas_supp"):
        cas, scores = case.arrays[f"input/{number}/cas_supp"][0], case.arrays[f"input/{number}/score_supp"][0]
        c.agree(num_segments=len(cas), classes=cas.shape[1] - 1)
        snippets = case.meta["cases"][int(number)]["num_snippets"]
        computed[f"output/{number}/proposals"] = activation_proposals(cas, scores, snippets, config).rows()
    c.close()
    return computed


def _check(compute: Callable[[GoldenCase], dict[str, np.ndarray]], case: GoldenCase) -> None:
    _compare(case, compute(case))


#: kinds of cases that belong to this family by their name alone
DETECTION_CHECKS: dict[str, Callable[[GoldenCase], None]] = {
    kind: partial(_check, compute)
    for kind, compute in {
        "proposals_p3_": _p3,
        "proposals_hamnet_": _hamnet,
        "proposals_basnet_": _basnet,
        "nms_": _suppression,
        "map_": _map,
        "frame_rates_": _frame_rates,
    }.items()
}
