"""The table of results that a command prints."""

from collections.abc import Mapping, Sequence
from typing import Any


def results(method: str, metrics: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The test metrics in percent with the baselines beneath them; a cell is empty where a baseline lacks a metric."""
    from vmlkit.metrics.report import metrics_table

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
    return "\n".join(lines)
