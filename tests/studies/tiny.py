"""A study of a few seconds: three rows on a handful of toy videos."""

from vmlkit.config import with_overrides
from vmlkit.methods import preset
from vmlkit.training.study import Claim, Row, Study

SMALL = {
    "data.train_videos": 6,
    "data.validation_videos": 3,
    "data.test_videos": 3,
    "train.epochs": 2,
    "train.warmup_updates": 2,
    "train.probe_queries": 2,
}


def tiny() -> Study:
    """CPL and CNM, the second also with its contrast switched off: 20 cells by plan, of two data views one."""
    cnm = with_overrides(preset("cnm", "toy", "ci"), SMALL)
    rows = (
        Row(name="CPL", experiment=with_overrides(preset("cpl", "toy", "ci"), SMALL), published="here"),
        Row(name="CNM", experiment=cnm),
        Row(name="CNM, no contrast", experiment=with_overrides(cnm, {"model.hard_margin": -100.0})),
    )
    claims = (
        Claim(text="CPL beats CNM", source="CPL", better="CPL", worse="CNM"),
        Claim(text="CPL beats a guess", source="sanity", better="CPL", worse="whole video", kind="prior"),
    )
    return Study(name="tiny", title="Tiny", rows=rows, claims=claims, primary=("CPL beats CNM",), note="a test")
