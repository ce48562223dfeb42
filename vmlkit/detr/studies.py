"""Studies of P2: BM-DETR in both modes beside its ancestors, its ablations, and Charades-CD over planted features.

All toy rows train on *early* moments (centered in the first 55 % of their video), so that each run reports an in- and
an out-of-distribution group of the same test split.  The epoch is chosen on validation, which is early as well.
"""

from collections.abc import Callable
from typing import Any

from vmlkit.config import with_overrides
from vmlkit.detr.presets import planted_charades_cd, toy_detr
from vmlkit.training.study import Claim, Row, Study

METRICS = (
    "R@1,IoU=0.5 (iid)", "R@1,IoU=0.7 (iid)", "R@1,IoU=0.5 (ood)", "R@1,IoU=0.7 (ood)",
    "joint,inside", "joint,outside", "p,inside", "p,outside",
)  # fmt: skip
IID, OOD = METRICS[0], METRICS[2]
#: small enough for a study of many rows on one core: 16 clips, about 280 steps
STUDY_SIZE: dict[str, Any] = {
    "data.clips": 16,
    "data.moments": "early",
    "train.epochs": 8,
    "train.drop_epochs": 7,
    "train.evaluate_every": 4,
    "train.probe_queries": 8,
}
NOTE = (
    "Toy world at 16 clips, 8 epochs; trained on the moments centered in the first 55 % of their video (iid), "
    "tested on these and on the later ones (ood). joint: p+ (1 - p-) with one drawn negative; p: p+ alone, as in "
    "prediction. No shifting unless a row says so. In both modes the denominator of P2 Eq. (17) is the released one."
)
#: what was examined where a claim does not hold
STAYS_EARLY = (
    "answers stay where the training windows lay: hardly any late query gets a late answer, though in most runs "
    "one of the five windows is late"
)
PRODUCT = "p+ (1 - p-) is at most 1/4 where a model does not tell the two sentences apart, whatever p+ is: notebook 04"
SMALL_MEMORY = "the decoder reads clips scaled by about 1/T: notebook 04, and the row that keeps their size"
SHIFTS = "shifted copies take the location prior away, which is right in distribution; the gain is out of distribution"
UNLUCKY = "within the spread over seeds: a run of the full model stayed below the location priors, notebook 04 by seed"
FASTER = "clips that read the sentence by cross-attention learn in fewer steps: the curves of notebook 04"
PRIORS = ("uniform random", "best constant window (IoU=0.5)")


def _row(name: str, method: str, published: str = "", **overrides: Any) -> Row:
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    if method == "bm-detr":
        settings = {"model.shifting": False, "model.alignment_negatives": "all", **settings}
    experiment = with_overrides(toy_detr(method, "demo"), {**STUDY_SIZE, **settings})
    return Row(name=name, experiment=experiment, published=published)


def _claim(text: str, source: str, better: str, worse: str, metric: str = IID, looked_at: str = "") -> Claim:
    return Claim(text=text, source=source, better=better, worse=worse, metric=metric, looked_at=looked_at)


def _priors(row: str) -> tuple[Claim, ...]:
    return tuple(
        _claim(f"{row} beats {prior} {where}", "honesty", row, prior, metric, STAYS_EARLY if metric == OOD else "")
        for prior in PRIORS
        for where, metric in (("in distribution", IID), ("out of distribution", OOD))
    )


def bm_detr() -> Study:
    """Both modes, with and without negatives, beside Moment-DETR and QD-DETR."""
    authors, paper = "BM-DETR (authors)", "BM-DETR (paper)"
    bare, bare_authors = "BM-DETR (paper), no negatives", "BM-DETR (authors), no negatives"
    inside, outside = METRICS[4], METRICS[5]
    return Study(
        name="bm-detr",
        title="BM-DETR: the released code and the paper, on the toy world",
        rows=(
            _row("Moment-DETR", "moment-detr", "QVHighlights R@1 .5/.7: 52.89/33.02"),
            _row("QD-DETR", "qd-detr", "QVHighlights R@1 .5/.7: 62.40/44.98"),
            _row(authors, "bm-detr", "QVHighlights R@1 .5/.7: 60.12/43.05", model__mode="authors"),
            _row(bare_authors, "bm-detr", "", model__mode="authors", model__use_negatives=False),
            _row(paper, "bm-detr"),
            _row(bare, "bm-detr", "", model__use_negatives=False),
        ),
        claims=(
            _claim("BM-DETR beats Moment-DETR (released code)", "P2 Table 4", authors, "Moment-DETR"),
            _claim("BM-DETR beats Moment-DETR (paper mode)", "P2 Table 4", paper, "Moment-DETR",
                   looked_at=SMALL_MEMORY),
            _claim("BM-DETR beats QD-DETR (released code)", "P2 Table 4", authors, "QD-DETR", looked_at=FASTER),
            _claim("BM-DETR beats QD-DETR (paper mode)", "P2 Table 4", paper, "QD-DETR", looked_at=FASTER),
            _claim("negatives help localisation (released code)", "P2 Table 7", authors, bare_authors),
            _claim("negatives help localisation (paper mode)", "P2 Table 7", paper, bare, looked_at=SMALL_MEMORY),
            _claim("negatives raise joint p inside (released code)", "P2 Table 9", authors, bare_authors, inside,
                   PRODUCT),
            _claim("negatives raise joint p inside (paper mode)", "P2 Table 9", paper, bare, inside, PRODUCT),
            _claim("negatives lower joint p outside (released code)", "P2 Table 9", bare_authors, authors, outside),
            _claim("negatives lower joint p outside (paper mode)", "P2 Table 9", bare, paper, outside),
            _claim("BM-DETR beats Moment-DETR out of distribution (released code)", "P2 Table 6", authors,
                   "Moment-DETR", OOD, STAYS_EARLY),
            _claim("BM-DETR beats Moment-DETR out of distribution (paper mode)", "P2 Table 6", paper, "Moment-DETR",
                   OOD, STAYS_EARLY),
            _claim("the paper's decoder input beats the released one", "paper against code", paper, authors,
                   looked_at=SMALL_MEMORY),
            *_priors(authors),
            *_priors(paper),
        ),
        seeds=(0, 1, 2, 3, 4),
        note=NOTE,
        metrics=METRICS,
    )  # fmt: skip


def bm_detr_ablation() -> Study:
    """Components (P2 Table 7) and losses (P2 Table 8) of the paper's mode, and where its negatives come from."""
    full = "all but shifting"
    none, shifted = "none of the four", "all, with shifting"
    off = {"model__background_aware": False, "model__alignment_weight": 0.0, "model__learnable_spans": False}
    published = "Charades-STA R@1 .5/.7"
    return Study(
        name="bm-detr-ablation",
        title="BM-DETR (paper mode): components and losses, on the toy world",
        rows=(
            _row(none, "bm-detr", f"{published}: 51.43/28.87", **off),
            _row("background-aware alone", "bm-detr", f"{published}: 54.73/33.28",
                 **{**off, "model__background_aware": True}),
            _row("learnable spans alone", "bm-detr", f"{published}: 54.39/32.23",
                 **{**off, "model__learnable_spans": True}),
            _row("no semantic alignment", "bm-detr", "", model__alignment_weight=0.0),
            _row("negatives of other videos", "bm-detr", "", model__negative_source="other_video"),
            _row("memory kept in size", "bm-detr", "", model__attention_scale="clips"),
            _row(full, "bm-detr"),
            _row(shifted, "bm-detr", f"{published}: 59.48/38.33", model__shifting=True),
        ),
        claims=(
            _claim("all components together beat none", "P2 Table 7", shifted, none, looked_at=SHIFTS),
            _claim("background-aware detection helps", "P2 Table 7", "background-aware alone", none),
            _claim("learnable spans help", "P2 Table 7", "learnable spans alone", none),
            _claim("temporal shifting helps", "P2 Table 7", shifted, full, looked_at=SHIFTS),
            _claim("temporal shifting helps out of distribution", "P2 Sec. 3.4", shifted, full, OOD),
            _claim("semantic alignment helps", "P2 Table 8", full, "no semantic alignment",
                   looked_at=UNLUCKY),
            _claim("same-video negatives beat those of other videos", "P2 Sec. 3.2", full,
                   "negatives of other videos", looked_at=UNLUCKY),
            _claim("a memory that keeps its size is better", "ours", "memory kept in size", full),
        ),
        seeds=(0, 1, 2),
        note=NOTE,
        metrics=METRICS,
    )  # fmt: skip


def charades_cd() -> Study:
    """The real Charades-CD sentences and moments over planted features, at the documented reduced size."""
    size = {"data.clips": 16, "train.epochs": 2, "train.drop_epochs": 2, "train.probe_queries": 8}

    def row(name: str, method: str, published: str = "", **overrides: Any) -> Row:
        experiment = with_overrides(planted_charades_cd(method, "demo"), {**size, **overrides})
        return Row(name=name, experiment=experiment, published=published)

    authors, paper = "BM-DETR (authors)", "BM-DETR (paper)"
    off = {"model.shifting": False, "model.alignment_negatives": "all"}
    published = "test-ood, I3D, R@1 .5/.7: 55.02/29.52"
    return Study(
        name="planted-charades-cd",
        title="Charades-CD over planted features (3,200 training, 600 + 600 test queries)",
        rows=(
            row("QD-DETR", "qd-detr"),
            row(authors, "bm-detr", published, **{**off, "model.mode": "authors"}),
            row(paper, "bm-detr", "", **off),
        ),
        claims=(*_priors("QD-DETR"), *_priors(authors), *_priors(paper)),
        note="Trained on train, chosen on val by R@1,IoU=0.7, test_iid and test_ood reported once each; 16 clips, 2 "
        "epochs. The features are planted, so only the rise above the location priors counts. In both modes the "
        "denominator of P2 Eq. (17) is the released one.",
        metrics=METRICS[:4],
    )


STUDIES: dict[str, Callable[[], Study]] = {
    "bm-detr": bm_detr,
    "bm-detr-ablation": bm_detr_ablation,
    "planted-charades-cd": charades_cd,
}
