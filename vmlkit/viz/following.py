"""Do the windows of a run follow their sentence?  One sentence in plain words, written from the measure.

Every page that shows windows over epochs says this below them, so that none states a movement that its own numbers
deny.  The measure is :mod:`vmlkit.metrics.dependence`.
"""

from collections.abc import Mapping

import numpy as np

from vmlkit.metrics.dependence import sentence_dependence
from vmlkit.viz.snapshots import AnyRun, RunView, as_view

#: windows *settle* where their centers vary by less than this share of what the true centers do
SETTLED = 0.25

#: windows *follow* where their centers explain at least this share of the true centers' variance, *in part* from the
#: second number on
FOLLOWS, IN_PART = 1 / 3, 0.1

#: negatives know their sentence where overlap with its moment and with the others of the video differ by this
APART = 0.02

_COUNTS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def following(run: AnyRun, epoch: int = -1) -> str:
    """Whether the windows of a run follow their sentence, in words; empty where the measure cannot say.

    Read from the columns ``dependence/...`` of the run (all validation sentences), or computed from the recorded
    sentences where an older run has none.

    Args:
        run: a run directory or its path.
        epoch: the recorded epoch nearest to this is described; -1 is the last.
    """
    view = as_view(run)
    (epoch,) = view.pick_epochs([epoch])
    found, windows = dependence_at(view, epoch), view.windows
    said = " ".join(s for s in (positives_in_words(found, windows, epoch > 0), negatives_in_words(found)) if s)
    whose = "all validation" if _recorded(view, epoch) else f"the {len(view.queries)} recorded"
    return f"{said} (Over {whose} sentences.)" if said else ""


def dependence_at(view: RunView, epoch: int) -> dict[str, float]:
    """The measures at an epoch, ``<role> <measure>`` as in a history; {} where they do not apply."""
    return _recorded(view, epoch) or _computed(view, epoch)


def positives_in_words(found: Mapping[str, float], windows: int, trained: bool = True) -> str:
    """What the positives do, chosen by the measure: settle, follow the sentence (or only in part), or only the video.

    Args:
        found: the measures of :func:`dependence_at`.
        windows: how many positives a sentence has.
        trained: False before training, where nothing can have settled yet.

    >>> found = {"positive center spread": 0.03, "positive center R2": 0.1, "chosen center R2": 0.34}
    >>> positives_in_words(found, 4).split(":")[0]
    'Four windows settle'
    """
    spread, explained = found.get("positive center spread", np.nan), found.get("positive center R2", np.nan)
    if np.isnan(spread) or np.isnan(explained):
        return ""
    one = windows == 1
    count = _COUNTS[windows] if windows < len(_COUNTS) else str(windows)
    their, noun = ("its center varies", "window") if one else ("their centers vary", "windows")
    of_truth = f"{_percent(spread)} of what the true centers do"
    share = f"{_percent(explained)} of their variance"
    inside = found.get("positive center spread in a video", np.nan)
    choice = found.get("chosen center R2", np.nan)
    if spread < SETTLED:
        verb = ("settles" if one else "settle") if trained else ("stands still" if one else "stand still")
        by_choice = f"the choice among them explains {_percent(choice)} of the true centers' variance"
        end = f"; it explains {share}." if one else "." if np.isnan(choice) else f"; {by_choice}."
        return f"{count} {noun} {verb}: from sentence to sentence {their} by {of_truth}{end}"
    s = "s" if one else ""
    chosen = "" if one or np.isnan(choice) else f" (the chosen one {_percent(choice)})"
    numbers = f"{their} by {of_truth} and {'explains' if one else 'explain'} {share}{chosen}."
    if inside < SETTLED:
        return f"The {noun} var{'ies' if one else 'y'} with the video, not with the sentence: {numbers}"
    if explained >= FOLLOWS:
        whom = "the moment" if np.isnan(inside) else f"{'its' if one else 'their'} sentence"
        return f"The {noun} follow{s} {whom}: {numbers}"
    if explained >= IN_PART:
        return f"The {noun} follow{s} the moment in part: {numbers}"
    return f"The {noun} move{s} from sentence to sentence, but not with the moment: {numbers}"


def negatives_in_words(found: Mapping[str, float]) -> str:
    """Where the negatives lie: away from their own moment, on it, or without regard to it; empty without any."""
    own, others = found.get("negative own IoU", np.nan), found.get("negative others' IoU", np.nan)
    gap = found.get("negative NLL gap", np.nan)
    worse = ""
    if np.isfinite(gap):
        side = "worse" if gap >= 0 else "better"
        worse = f"they explain the sentence {side} than the answer by {abs(gap):.2f} nats per word"
    if np.isnan(own) or np.isnan(others):
        return f"The negatives: {worse}." if worse else ""
    numbers = f"they overlap it by {own:.2f}, the other moments of the video by {others:.2f}"
    if own <= others - APART:
        said = f"The negatives keep off their own moment: {numbers}"
    elif own >= others + APART:
        said = f"The negatives lie nearer to their own moment than to others: {numbers}"
    else:
        said = f"Where the negatives lie has little to do with their own moment: {numbers}"
    return f"{said}; {worse}." if worse else f"{said}."


def _recorded(view: RunView, epoch: int) -> dict[str, float]:
    """The columns ``dependence/...`` of an epoch; {} for a run without them."""
    columns = [c for c in view.epochs.columns if c.startswith("dependence/")]
    rows = view.epochs.loc[view.epochs["epoch"] == epoch, columns]
    if not columns or not len(rows):
        return {}
    return {c.removeprefix("dependence/"): float(rows[c].iloc[0]) for c in columns if np.isfinite(rows[c].iloc[0])}


def _computed(view: RunView, epoch: int) -> dict[str, float]:
    """The measures over the recorded queries, where each has one true moment and as many proposals as the others."""
    if any(len(view.truths(query)) != 1 for query in view.queries):
        return {}
    rows = view.columns(epoch)
    ids, whose = np.unique(rows["query_id"], return_inverse=True)
    queries = [view.query(q) for q in ids]
    truth = np.array([np.divide(view.truths(q["query_id"])[0], q["duration_s"]) for q in queries]).reshape(-1, 2)
    videos = [str(q["video_id"]) for q in queries]
    is_positive = rows["role"] == "positive"
    groups = {"positive": is_positive, "chosen": is_positive & rows["chosen"], "negative": ~is_positive}
    found: dict[str, float] = {}
    for role, mine in groups.items():
        counts = np.bincount(whose[mine], minlength=len(ids))
        if not mine.any() or (counts != counts[0]).any():
            continue
        shape = (len(ids), counts[0])
        centers, widths = (rows[name][mine].reshape(shape) for name in ("center", "width"))
        if np.isfinite(centers).all() and np.isfinite(widths).all():
            said = sentence_dependence(centers, widths, truth, videos)
            found |= {f"{role} {name}": value for name, value in said.items()}
        if role == "negative" and "chosen center spread" in found:
            gap = rows["nll"][mine].reshape(shape) - rows["nll"][groups["chosen"]][:, None]
            found["negative NLL gap"] = float(gap.mean())
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
