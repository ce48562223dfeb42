"""Class activation and attention of a recorded run, epoch by epoch."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from vmlkit.errors import DataError
from vmlkit.viz.actions import draw_class_activation


def recorded(**changes: object) -> SimpleNamespace:
    """Two epochs of one pair with two windows; eight snippets of which the last is padding."""
    rows = [
        {"epoch": e, "query_id": "v/spin", "role": "positive", "index": i, "center": 0.5, "width": w,
         "start": 0.5 - w / 2, "end": 0.5 + w / 2, "weight": np.nan, "nll": -1.0, "chosen": i == 0, "iou": 0.4,
         "ion": np.nan}
        for e in (0, 3)
        for i, w in enumerate((0.4, 0.2))
    ]  # fmt: skip
    signal = np.linspace(0, 1, 8, dtype=np.float16)[None, None].repeat(2, axis=0)
    signal[..., -1] = np.nan
    scores = {"epochs": np.array([0, 3]), "query_ids": np.array(["v/spin"]), "attention": signal}
    fields: dict[str, object] = {
        "config": {},
        "epochs": pd.DataFrame({"epoch": [0, 3]}),
        "proposals": pd.DataFrame(rows),
        "probe": [
            {"query_id": "v/spin", "video_id": "v", "sentence": "spins", "words": ["spins"], "duration_s": 10.0,
             "span_s": [1.0, 4.0], "spans_s": [[1.0, 4.0], [6.0, 7.0]]}
        ],
        "strips": None,
        "clip_scores": {**scores, "class_activation": 1 - signal},
        **changes,
    }  # fmt: skip
    return SimpleNamespace(**fields)


def test_every_epoch_shows_signals_windows_and_the_best_detection(tmp_path: Path) -> None:
    figure = draw_class_activation(recorded(), "v/spin")
    panels = figure.axes[1:]
    assert [ax.get_ylabel() for ax in panels] == ["epoch 0", "epoch 3"]
    for ax in panels:
        lines = {line.get_label(): line for line in ax.lines}
        assert {"class probability", "attention", "best detection"} <= lines.keys()
        assert len(lines["attention"].get_xdata()) == 7, "padding is not drawn"
        assert lines["best detection"].get_xdata().tolist() == pytest.approx([3.0, 7.0]), "seconds, not fractions"
        windows = [patch.get_x() for patch in ax.patches]
        assert windows == pytest.approx([1.0, 6.0]), "all true windows"
    figure.savefig(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 2000


def test_a_run_without_signals_or_an_unknown_epoch_is_refused() -> None:
    with pytest.raises(DataError, match="no class activation"):
        draw_class_activation(recorded(clip_scores={}), "v/spin")
    with pytest.raises(DataError, match="epoch 7"):
        draw_class_activation(recorded(), "v/spin", epochs=(0, 7))
