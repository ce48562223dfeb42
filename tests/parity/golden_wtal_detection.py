"""Golden cases of weakly supervised action localisation that need no model: proposals, suppression, sampling, mAP,
frame rates and planted features.  Every size, threshold and switch is read from the JSON and the arrays.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.golden import GoldenCase, assert_close
from tests.parity.golden_data import SkipCase
from vmlkit.actions import thumos
from vmlkit.actions.detection import Protocol, detection_map
from vmlkit.actions.detections import Detections, Unit
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
from vmlkit.errors import DataError

SCORE, EXACT = 1e-5, 1e-9


def is_action_case(case: GoldenCase) -> bool:
    """Whether a ``sampling_`` or ``planted_`` case is of this family, by what it holds; both names exist elsewhere."""
    indices = any(re.fullmatch(r"output/\d+/(uniform|random)", key) for key in case.arrays)
    return indices or "core" in (case.meta.get("config") or {})


def check_action_case(case: GoldenCase) -> None:
    """Hold one case against this package.

    Raises:
        AssertionError: naming the array that differs or that nothing here computes.
        SkipCase: for a case that needs the annotations of THUMOS14, where they are absent.
    """
    keys = case.arrays.keys()
    config = case.meta.get("config") or {}
    if "core" in config:
        computed = _planted(case)
    elif any(re.fullmatch(r"output/\d+/(uniform|random)", key) for key in keys):
        computed = _sampling(case)
    elif "input/detections_seconds" in keys:
        computed = _map(case)
    elif "input/0/dets" in keys:
        computed = _suppression(case)
    elif "input/0/segments" in keys:
        computed = _frame_rates(case)
    elif "input/0/cas_supp" in keys:
        computed = _basnet(case)
    elif "input/0/attn" in keys:
        computed = _hamnet(case) if "seconds_per_snippet" in config else _p3(case)
    else:
        raise AssertionError(f"{case.name}: an action case of no known content")
    _compare(case, computed)


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
    annotations, meta = annotations_of(case), case.meta
    names, classes = meta["video_names"], meta["class_list"]
    tested = [video for video in annotations.videos if video.subset == thumos.TEST_SUBSET]
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
        result = detection_map(found, truth, protocol, _levels(meta["config"], prefix))
        computed[key], computed[f"output/{prefix}_map"] = result.ap, result.mean_ap
        computed[f"output/{prefix}_gt_count"] = result.instances
    return computed


def _levels(config: Mapping[str, Any], prefix: str) -> list[float] | None:
    """Thresholds of the JSON: a list, or the text ``linspace(a,b,n)``."""
    given = config.get(prefix if prefix.endswith("_thresholds") else f"{prefix}_thresholds")
    if isinstance(given, str):
        low, high, count = re.fullmatch(r"linspace\(([\d.]+),([\d.]+),(\d+)\)", given.replace(" ", "")).groups()  # type: ignore[union-attr]
        return np.linspace(float(low), float(high), int(count)).tolist()
    return given


def _frame_rates(case: GoldenCase) -> dict[str, np.ndarray]:
    computed: dict[str, Any] = {}
    total = FrameCounts()
    for number in _numbers(case, "cas"):
        rows = case.arrays[f"input/{number}/segments"]
        cas, attention = case.arrays[f"input/{number}/cas"], case.arrays[f"input/{number}/attn"]
        counts = frame_counts(cas, attention, rows[:, :2], rows[:, 2].astype(np.int64))
        order = ("attention_fp", "background", "attention_fn", "foreground", "class_fp", "class_fn")
        computed[f"output/{number}/counts"] = np.array([getattr(counts, name) for name in order])
        total = total + counts
    return computed | {f"output/{name}": np.array(value) for name, value in total.rates().items()}


def _numbers(case: GoldenCase, name: str) -> list[str]:
    return [key.split("/")[1] for key in case.arrays if re.fullmatch(rf"input/\d+/{name}", key)]


def _config(config: Mapping[str, Any], start: ProposalConfig) -> ProposalConfig:
    """The settings of the JSON under our names; the attention thresholds may be described in words."""
    names = {"top_ratio": "score_topk_ratio", "class_weight": "gamma", "sigma": "soft_nms_sigma"}
    names |= {name: name for name in ("class_threshold", "outer_margin")} | {"snippet_s": "seconds_per_snippet"}
    changed = {ours: config[theirs] for ours, theirs in names.items() if theirs in config}
    levels = config.get("attention_thresholds")
    if isinstance(levels, str):
        count, low, high = re.search(r"(\d+) evenly spaced values from ([\d.]+) to ([\d.]+)", levels).groups()  # type: ignore[union-attr]
        changed["attention_thresholds"] = tuple(np.linspace(float(low), float(high), int(count)).tolist())
    elif levels is not None:
        changed["attention_thresholds"] = tuple(levels)
    return replace(start, **changed)


def _p3(case: GoldenCase) -> dict[str, np.ndarray]:
    config = _config(case.meta["config"], P3)
    videos = [entry.get("video", "") for entry in case.meta["cases"]]
    regions = _regions(case) if any(map(_is_real, videos)) else {}
    computed: dict[str, np.ndarray] = {}
    unchecked = []
    for number in _numbers(case, "cas"):
        cas, attention = case.arrays[f"input/{number}/cas"][0], case.arrays[f"input/{number}/attn"][0, :, 0]
        found, out = attention_proposals(cas, attention, config), f"output/{number}"
        computed[f"{out}/class_score"] = class_scores(cas * attention[:, None], config.top_ratio)
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
    config = _config(case.meta["config"], HAMNET)
    return {
        f"output/{n}/proposals": attention_proposals(
            case.arrays[f"input/{n}/cas"][0], case.arrays[f"input/{n}/attn"][0, :, 0], config
        ).rows()
        for n in _numbers(case, "cas")
    }


def _basnet(case: GoldenCase) -> dict[str, np.ndarray]:
    given = dict(case.meta["config"])
    names = {"nms_threshold": "nms", "class_weight": "gamma"}
    names |= {field.name: field.name for field in fields(BasNetProposalConfig)}
    changed = {ours: given[theirs] for ours, theirs in names.items() if theirs in given}
    levels = given.get("thresholds")
    if isinstance(levels, str):
        low, step, high = map(float, re.fullmatch(r"([\d.]+),\s*([\d.]+),?\s*\.\.\.,?\s*([\d.]+)", levels).groups())  # type: ignore[union-attr]
        changed["activation_thresholds"] = tuple(np.arange(low, high + step / 2, step).tolist())
    elif levels is not None:
        changed["activation_thresholds"] = tuple(levels)
    config = BasNetProposalConfig(**changed)
    computed = {}
    for number in _numbers(case, "cas_supp"):
        cas, scores = case.arrays[f"input/{number}/cas_supp"][0], case.arrays[f"input/{number}/score_supp"][0]
        if len(cas) != given.get("num_segments", len(cas)):
            raise DataError(case.name, f"case {number} has {len(cas)} segments", "check the JSON")
        snippets = case.meta["cases"][int(number)]["num_snippets"]
        computed[f"output/{number}/proposals"] = activation_proposals(cas, scores, snippets, config).rows()
    return computed


#: kinds of cases that belong to this family by their name alone
DETECTION_CHECKS: dict[str, Callable[[GoldenCase], None]] = dict.fromkeys(
    ("proposals_p3_", "proposals_hamnet_", "proposals_basnet_", "nms_", "map_", "frame_rates_"), check_action_case
)
