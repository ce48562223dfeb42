"""Studies of P0: learnable negatives against their generators, schedules, rule-based negatives, freezing, selection.

Everything runs on the toy world at a *study size*: 400 training videos and 8 epochs, with the full validation and
test splits, so that the many rows of the paper's ablations fit into an evening on one core.
"""

from collections.abc import Callable
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.reconstruction.lnp import LNPConfig
from vmlkit.reconstruction.presets import planted_charades, toy, visible_negatives
from vmlkit.reconstruction.studies import STUDY_NOTE, STUDY_SIZE, baseline_claims
from vmlkit.training.experiment import Experiment
from vmlkit.training.study import Claim, Row, Study

LOOKED = "per-epoch width, IoU with the truth and IoN of the negatives, and gradient norms per term, in notebook 03"
TASK = (
    "the task of the toy world is learnable without negatives (row 'no negatives'), so it cannot rank them; notebook 03"
)


def study_experiment(method: str, **overrides: Any) -> Experiment:
    """The toy experiment of a method at study size; keyword ``lnp__beta=0`` sets ``model.lnp.beta``."""
    settings = {f"model.{key.replace('__', '.')}": value for key, value in overrides.items()}
    return with_overrides(toy(method, "demo"), {**STUDY_SIZE, **settings})


def _row(name: str, method: str = "lnp-cpl", published: str = "", **overrides: Any) -> Row:
    return Row(name=name, experiment=study_experiment(method, **overrides), published=published)


def _lnp(name: str = "LNP on CPL", published: str = "") -> Row:
    return _row(name, published=published)


def _visible() -> Row:
    """The variant that notebook 03 shows."""
    settings = {f"lnp__{k}": v for k, v in vars(visible_negatives()).items() if v != getattr(LNPConfig(), k)}
    return _row("LNP on CPL, visible negatives", **settings)


def generators() -> Study:
    """LNP against its generator: CNM, CPL and PPS (P0 Fig. 4)."""
    detached = {"lnp__freeze_triplet": "negatives"}
    rows = (
        _row("CNM", "cnm"),
        _row("LNP on CNM", "lnp-cnm"),
        _row("CPL", "cpl", published="Charades-STA R@1 .3/.5/.7: 66.40/49.24/22.39"),
        _lnp(),
        _row("LNP on CPL, A10 (ii)", **detached),
        _row("the same, negatives without a say", **detached, lnp__margin=100.0),
        _visible(),
        _row("PPS", "pps", published="Charades-STA R@1 .3/.5/.7: 69.06/51.49/26.16"),
        _row("LNP on PPS", "lnp-pps", published="Charades-STA R@1 .3/.5/.7: 70.74/53.04/26.69"),
        _row("LNP on PPS, A10 (ii)", "lnp-pps", **detached),
    )
    pairs = [("LNP on CNM", "CNM"), ("LNP on CPL", "CPL"), ("LNP on CPL, A10 (ii)", "CPL"), ("LNP on PPS", "PPS")]
    pairs.append(("LNP on PPS, A10 (ii)", "PPS"))
    improves = [
        Claim(text=f"{a} beats {b}", source="P0 Fig. 4", better=a, worse=b, metric=metric, looked_at=LOOKED)
        for a, b in pairs
        for metric in ("R@1,mIoU", "R@1,IoU=0.5")
    ]
    say = Claim(
        text="with A10 (ii) it is the negatives that help, not the weight on CE(pos)",
        source="ours",
        better="LNP on CPL, A10 (ii)",
        worse="the same, negatives without a say",
        looked_at="with a margin nobody meets, L_mt of A10 (ii) is M CE(pos) plus a constant; notebook 03",
    )
    priors = [c for name in ("PPS", "LNP on CPL", "LNP on PPS") for c in baseline_claims(name, "sanity")]
    return Study(
        name="lnp-generators",
        title="Learnable negatives on each generator",
        rows=rows,
        claims=(*improves, say, *priors),
        note=STUDY_NOTE,
    )


def schedule() -> Study:
    """The curve of c(e) (P0 Table 3): constant, logarithmic, linear, exponential."""
    published = {0.0: "26.96", 0.5: "38.49", 1.0: "36.21", 2.0: "33.36"}
    names = {
        0.0: "alpha 0 (constant)",
        0.5: "LNP on CPL",
        1.0: "alpha 1 (linear)",
        2.0: "alpha 2 (exponential)",
    }
    rows = tuple(_row(names[a], lnp__alpha=a, published=f"ActivityNet R@1 mIoU {published[a]}") for a in names)
    claims = tuple(
        Claim(text=f"alpha 0.5 beats {name}", source="P0 Table 3", better="LNP on CPL", worse=name, looked_at=TASK)
        for a, name in names.items()
        if a != 0.5
    )
    return Study(name="lnp-schedule", title="The schedule c(e), beta 0.8", rows=rows, claims=claims, note=STUDY_NOTE)


def kinds() -> Study:
    """Learned against rule-based negatives and none (P0 Table 4)."""
    published = {
        "none": "24.81 / 46.27",
        "random": "23.09 / 40.35",
        "square": "27.25 / 46.10",
        "gaussian": "34.87 / 48.48",
        "reversed": "34.54 / 50.19",
        "variable": "36.07 / 44.79",
    }
    learned = _lnp(published="ActivityNet mIoU R@1 / R@5 38.49 / 61.72")
    rows = (
        learned,
        *(
            _row(
                "no negatives" if kind == "none" else f"{kind} negatives",
                lnp__negatives=kind,
                published=f"ActivityNet mIoU R@1 / R@5 {value}",
            )
            for kind, value in published.items()
        ),
    )
    claims = tuple(
        Claim(
            text=f"learned negatives beat {row.name}",
            source="P0 Table 4",
            better="LNP on CPL",
            worse=row.name,
            metric=metric,
            looked_at=TASK,
        )
        for row in rows[1:]
        for metric in ("R@1,mIoU", "R@5,mIoU")
    )
    ion = Claim(
        text="learned negatives have a higher mIoN than rule-based ones (variable)",
        source="P0 Fig. 6",
        better="LNP on CPL",
        worse="variable negatives",
        metric="R@1,mIoN",
        looked_at=LOOKED,
    )
    return Study(name="lnp-kinds", title="Kinds of negatives", rows=rows, claims=(*claims, ion), note=STUDY_NOTE)


def ablations() -> Study:
    """Freezing, selection and the number of negatives (P0 Table 5a, P0 Table 5b, P0 Table 5c)."""
    rows = (
        _lnp(published="ActivityNet mIoU R@1 / R@5 38.49 / 61.72"),
        _row("not freezing, A10 (iii)", lnp__freeze_triplet="nothing", published="ActivityNet 37.32 / 60.25"),
        _row("triplet detached, A10 (ii)", lnp__freeze_triplet="negatives"),
        _row("random selection", lnp__selection="random", published="ActivityNet 32.62 / 55.54"),
        _row("uniform selection", lnp__selection="uniform", published="ActivityNet 35.73 / 60.28"),
        _row("hard selection", lnp__selection="hard", published="ActivityNet 34.81 / 55.63"),
        _row("1 negative", lnp__count=1, published="ActivityNet 33.84 / 56.53"),
        _row("2 negatives", lnp__count=2, published="ActivityNet 35.29 / 58.71"),
        _row("4 negatives", lnp__count=4, published="ActivityNet 38.17 / 61.63"),
        _row("5 negatives", lnp__count=5, published="ActivityNet 37.88 / 61.45"),
    )
    sources = {"not": "P0 Table 5a", **dict.fromkeys(("random", "uniform", "hard"), "P0 Table 5b")}
    claims = tuple(
        Claim(
            text=f"the default beats {row.name}",
            source=sources.get(row.name.split()[0], "P0 Table 5c"),
            better="LNP on CPL",
            worse=row.name,
            looked_at=TASK,
        )
        for row in rows[1:]
        if row.published
    )
    return Study(
        name="lnp-ablations",
        title="Freezing, selection, number of negatives",
        rows=rows,
        claims=claims,
        note=STUDY_NOTE,
    )


def planted() -> Study:
    """CPL and LNP on CPL on real sentences over planted features, at the documented reduced size."""
    rows = tuple(
        Row(name=name, experiment=with_overrides(planted_charades(method, "demo"), settings))
        for name, method, settings in (
            ("CPL", "cpl", {}),
            ("LNP on CPL", "lnp-cpl", {}),
            ("LNP on CPL, A10 (ii)", "lnp-cpl", {"model.lnp.freeze_triplet": "negatives"}),
        )
    )
    claims = (
        *baseline_claims("LNP on CPL", "sanity"),
        *(
            Claim(text=f"{n} beats CPL", source="P0 Fig. 4", better=n, worse="CPL", looked_at=LOOKED)
            for n in ("LNP on CPL", "LNP on CPL, A10 (ii)")
        ),
    )
    return Study(
        name="lnp-planted-charades",
        title="CPL and LNP on planted Charades-STA (3,200 training and 600 test queries)",
        rows=rows,
        claims=claims,
        note="Real sentences and spans; the features are planted, so only the rise above the priors counts.",
    )


STUDIES: dict[str, Callable[[], Study]] = {
    "lnp-generators": generators,
    "lnp-schedule": schedule,
    "lnp-kinds": kinds,
    "lnp-ablations": ablations,
    "lnp-planted-charades": planted,
}
