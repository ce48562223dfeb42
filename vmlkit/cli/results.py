"""The table of results that a command prints."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def results(method: str, metrics: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The test metrics in percent with the baselines beneath them; a cell is empty where a baseline lacks a metric."""
    from vmlkit.metrics.report import metrics_table

    if not metrics["test"]:
        return _unlabelled(method, metrics, columns)
    rows = {method: metrics["test"], **metrics["baselines"]}
    measured = [column for column in columns if column in metrics["test"]]
    shown = {name: {column: row.get(column, float("nan")) for column in measured} for name, row in rows.items()}
    table = metrics_table(shown, metrics["n_test"]).to_string(float_format=lambda value: f"{value:.1f}", na_rep="")
    how = metrics["chosen_by"]
    epoch = f"epoch {metrics['chosen_epoch']}{' chosen by' if how.startswith('validation') else ','} {how}"
    lines = [f"test split, percent; {epoch}", "", table]
    lost = [e for e in metrics.get("left_out", {}).get("test", ()) if e["done"].endswith("left out")]
    lines += ["", *(f"not in these numbers: {e['count']} of {e['of']} {e['what']}" for e in lost)] if lost else []
    spread = metrics["spread"].get("test", {}).get("R@1,mIoU")
    if spread is not None:
        lines += ["", f"R@1,mIoU varies by {100 * spread:.2f} (sd) over {metrics['draws']} draws of the masked words"]
    return "\n".join(lines + _words(metrics))


def _unlabelled(method: str, metrics: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The validation metrics in one line, where the labels of the test split are held back."""
    found = metrics["validation"]
    shown = ", ".join(f"{name} {100 * found[name]:.1f}" for name in columns if name in found)
    head = f"the test split ({metrics['n_test']} queries) has no labels and is not scored"
    where = f"epoch {metrics['chosen_epoch']}, {metrics['chosen_by']}"
    return "\n".join([head, f"{method} on the validation split, percent; {where}: {shown}", *_words(metrics)])


def _words(metrics: Mapping[str, Any]) -> list[str]:
    """Where the words came from: without vectors a method of texts has learned from names alone."""
    return ["", f"words: {metrics['words']}"] if metrics.get("words") else []


def beside_the_run(found: Mapping[str, float], own: Mapping[str, float] | None, split: str) -> str:
    """Every metric of a file of predictions beside the run's own; ranks are no shares, all others percent."""
    lines = [f"{split} split, percent", "", f"{'':<32} {'file':>9} {'run':>9}"]
    for name, value in found.items():
        scale = 1 if "MnR" in name or "MdR" in name else 100
        kept = None if own is None else own.get(name)  # also None for what no query decides, which JSON cannot say
        run = f"{'':>9}" if kept is None else f"{scale * kept:>9.2f}"
        lines.append(f"{name:<32} {scale * value:>9.2f} {run}".rstrip())
    if own is None:
        return "\n".join([*lines, "", f"the run keeps no numbers of its {split} split"])
    equal = sum(own.get(name) == (None if math.isnan(value) else value) for name, value in found.items())
    lines += ["", f"{equal} of {len(found)} metrics are the run's own, to the last digit"]
    other = [name for name in own if name not in found]
    if other:
        shown = ", ".join(other[:6]) + (" ..." if len(other) > 6 else "")
        lines.append(f"{len(other)} more of the run ask the model or its other answers: {shown}")
    return "\n".join(lines)
