"""Studies of action localisation: P3's tables at toy size, and planted THUMOS14."""

from collections.abc import Callable
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.experiments.claims import Claim, Row, Study
from vmlkit.experiments.presets import preset
from vmlkit.training.action_baselines import RANDOM, WHOLE
from vmlkit.training.action_task import ActionTask

AVERAGE = ActionTask.headline
COLUMNS = (AVERAGE, "mAP@0.3", "mAP@0.5", "mAP@0.7", "attention_fpr", "attention_fnr", "classification mAP")


def _row(name: str, method: str, data: str = "toy", published: str = "", **overrides: Any) -> Row:
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    size = "ci" if data.startswith("planted") else "demo"
    return Row(name=name, experiment=with_overrides(preset(method, data, size), settings), published=published)


def _beats(better: str, worse: str, source: str, text: str = "", looked_at: str = "", metric: str = AVERAGE) -> Claim:
    text = text or f"{better} beats {worse}"
    return Claim(text=text, source=source, better=better, worse=worse, metric=metric, looked_at=looked_at)


def planted_thumos() -> Study:
    """CO2-Net and P3 on the real THUMOS14 annotations over planted features, 200 iterations."""
    return Study(
        name="planted-thumos14",
        title="CO2-Net, TSM and TSM+VLC on planted THUMOS14 (200 iterations, P3's protocol, 212 test videos)",
        rows=(
            _row("CO2-Net", "co2net", "planted:thumos14", "35.6 (P3, Table 1)"),
            _row("TSM", "tsm", "planted:thumos14"),
            _row("TSM+VLC", "tsm-vlc", "planted:thumos14", "37.2 (P3, Table 1)"),
        ),
        claims=(
            _beats("CO2-Net", RANDOM, "CO2-Net, Table 1"),
            _beats("CO2-Net", WHOLE, "CO2-Net, Table 1"),
            _beats("TSM+VLC", RANDOM, "P3, Table 1"),
            _beats("TSM+VLC", "CO2-Net", "P3, Table 1", looked_at="200 iterations are early for the larger network"),
            _beats("TSM+VLC", "TSM", "P3, Table 8", looked_at="200 iterations; half of them are the VLC's warm-up"),
        ),
        metrics=COLUMNS,
        note="Planted features are easier than I3D, so only the order of the rows and the distance to the baselines "
        "count. The last iteration is scored; the published numbers are the best of 140 evaluations on the test set.",
    )


STUDIES: dict[str, Callable[[], Study]] = {"planted-thumos14": planted_thumos}
