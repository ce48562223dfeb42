"""Checks of the DETR family's elementary operations and of BM-DETR's labels and temporal shifting."""

import re
from collections.abc import Sequence

import numpy as np
import torch

from tests.parity.golden import VALUE_TOLERANCE, GoldenCase, assert_close
from tests.parity.golden_detr import pad_windows, pairs
from vmlkit import spans as sp
from vmlkit.detr.batches import clip_range, span_targets
from vmlkit.detr.criterion import SetWeights, match, match_costs
from vmlkit.detr.shift import shift_order, shifted_window_indices
from vmlkit.detr.windows import PostProcessing, suppress
from vmlkit.nn.positions import clip_positions


def check_ops(case: GoldenCase) -> None:
    """Spans, IoU and gIoU (with the NaN of two equal empty spans), positions, matching; then the JSON's lists."""
    checked = _spans(case) | _positions(case) | _matching(case)
    missing = {k for k in case.arrays if k.startswith("output/")} - checked
    assert not missing, f"{case.name}: not computed by us: {sorted(missing)}"
    _lists(case)


def _same(case: GoldenCase, name: str, ours: torch.Tensor) -> str:
    golden = case.arrays[f"output/{name}"]
    assert np.array_equal(np.isnan(ours.numpy()), np.isnan(golden)), f"{name}: NaN elsewhere"
    kept = ~np.isnan(golden)
    assert_close(f"{case.name}:{name}", ours.numpy()[kept], golden[kept], VALUE_TOLERANCE)
    return f"output/{name}"


def _spans(case: GoldenCase) -> set[str]:
    boxes = case.input("cxw")
    edges = sp.to_start_end(boxes)
    a, b = case.input("iou_a")[:, None], case.input("iou_b")[None]
    overlap, union = sp.overlap_and_union(a, b)
    found = {
        "cxw_to_xx": edges,
        "xx_to_cxw": sp.to_center_width(edges),
        "iou": overlap / union,
        "union": union,
        "giou": sp.generalized_iou(a, b),
        "inter_over_b": overlap / (b[..., 1] - b[..., 0]),
    }
    return {_same(case, name, value) for name, value in found.items()}


def _positions(case: GoldenCase) -> set[str]:
    names = [name for name in case.group("output") if re.fullmatch(r"pe\d+", name)]
    return {
        _same(case, n, clip_positions(case.input(f"{n}_mask") > 0, case.arrays[f"output/{n}"].shape[2])) for n in names
    }


def _matching(case: GoldenCase) -> set[str]:
    checked = set()
    for name in {key.split("_")[0] for key in case.group("input") if key.startswith("match")}:
        logits, spans = case.input(f"{name}_logits"), case.input(f"{name}_spans")
        costs = case.arrays[f"input/{name}_costs_span_giou_class"]
        weights = SetWeights(match_span=float(costs[0]), match_giou=float(costs[1]), match_class=float(costs[2]))
        rows = [case.input(f"{name}_targets_{i}") for i in range(len(logits))]
        targets = pad_windows(rows)
        found = pairs(f"{name}_pairs", match(logits, spans, targets, weights))
        cost = match_costs(logits, spans, targets, weights)
        found |= {f"{name}_cost_{i}": cost[i, :, : len(row)] for i, row in enumerate(rows)}
        checked |= {_same(case, key, value) for key, value in found.items()}
    return checked


def _lists(case: GoldenCase) -> None:
    for number, row in enumerate(case.meta["temporal_nms"]):
        found = suppress(row["predictions"], row["nms_thd"], row["max_after_nms"])
        assert found == row["result"], f"{case.name}: temporal_nms {number}: {found}"
    for number, row in enumerate(case.meta["post_processing"]):
        process = PostProcessing(
            steps=tuple(row["process"]),
            clip_length=row["clip_length"],
            earliest=row["min_ts_val"],
            latest=row["max_ts_val"],
            shortest=row["min_w_l"],
            longest=row["max_w_l"],
            keep=row["move_window_method"],
        )
        processed = process(np.array(row["input"])).tolist()
        assert processed == row["output"], f"{case.name}: post_processing {number}: {processed}"
    for row in case.meta["clip_ids_to_windows"]:
        assert clips_to_windows(row["clip_ids"]) == row["windows"], f"{case.name}: {row['clip_ids']}"
    for number, row in enumerate(case.meta["labels"]):
        seconds = row["n_clips"] * row["clip_length"]
        label = span_targets(torch.tensor(row["windows"], dtype=torch.float32), seconds)
        assert_close(f"{case.name}: span label {number}", label, np.array(row["span_labels"]), VALUE_TOLERANCE)
        hard = hard_clips(row["relevant_clip_ids"], np.array(row["saliency_scores"]), row["n_clips"])
        assert hard == (row["hard_pos"], row["hard_neg"]), f"{case.name}: hard clips {number}: {hard}"


def check_bm_shift(case: GoldenCase) -> None:
    """Clip ranges, clip labels, the order of clips after a shift to a forced place, and the label as released."""
    for number, row in enumerate(case.meta["cases"]):
        count, clip_s = torch.tensor([row["n_clips"]]), row["clip_length"]
        window = torch.tensor([row["window"]], dtype=torch.float64)
        first, last = clip_range(window[:, 0] / clip_s, window[:, 1] / clip_s, count)
        name = f"{case.name}: case {number}"
        assert [int(first), int(last)] == row["clip_range_inclusive"], f"{name}: clip range"
        assert list(range(int(first), int(last) + 1)) == row["match_clips"], f"{name}: clips of the moment"
        label = span_targets(window.float(), row["n_clips"] * clip_s)[0]
        assert_close(f"{name}: span label", label, np.array(row["span_label"]), VALUE_TOLERANCE)
        mask = torch.ones(1, row["n_clips"], dtype=torch.bool)
        shifted = shift_order(first, last, mask, torch.tensor([row["shift_start"] or 0]))
        assert shifted.order[0].tolist() == row["order"], f"{name}: order"
        assert [int(shifted.first), int(shifted.last)] == row["shifted_window_clip_indices"], f"{name}: shifted clips"
        found = shifted_window_indices(shifted, count, clip_s)[0]
        assert_close(f"{name}: shifted label", found, np.array(row["shifted_span_label"]), VALUE_TOLERANCE)


def clips_to_windows(clips: Sequence[int]) -> list[list[int]]:
    """Runs of consecutive clip numbers as inclusive ``[first, last]``: a step of labelling that no command needs.

    >>> clips_to_windows([3, 4, 9])
    [[3, 4], [9, 9]]
    """
    windows: list[list[int]] = []
    for clip in clips:
        if windows and clip == windows[-1][1] + 1:
            windows[-1][1] = clip
        else:
            windows.append([clip, clip])
    return windows


def hard_clips(clips: Sequence[int], scores: np.ndarray, count: int) -> tuple[int, int]:
    """(highest, lowest) rated relevant clip by the annotators' sum, cut to the last clip (QVHighlights).

    Ties are decided by numpy's default sort, as released.  No command trains on ratings, so it stands here.
    """
    order = np.argsort(np.asarray(scores).sum(axis=1))
    return min(clips[int(order[-1])], count - 1), min(clips[int(order[0])], count - 1)
