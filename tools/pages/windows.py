"""Results of ``python -m vmlkit.experiments.windows`` as sentences, tables and pictures, for docs/windows.md.

Nothing on the page is typed: every number is read, and a sentence that says where something goes is chosen by it.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.step.page import markdown
from vmlkit.experiments.windows import METRIC, differences, interval, load, reached
from vmlkit.files import RESULTS

PAGE = Path("docs") / "windows.md"
FIGURES = ("windows-epochs.png", "windows-remedy.png", "windows-cause.png")
#: what the question asks of learned negatives and positives, with what has to be so
BARS = {
    "own - others, turn": "below 0",
    "own - others, end": "above 0",
    "NLL gap, turn - end": "above 0",
    "R2 of all positives, end": "at least 1/3",
}
BASE, FOLLOWS, THIRD = "the paper's design", "windows that follow", 1 / 3


def said(values: Sequence[float], digits: int = 3) -> str:
    """Mean with its interval, or every value where there are too few for one.

    >>> said([0.1, 0.2, 0.3]), said([0.1])
    ('.200 (-.048 to .448)', '.100')
    """
    mean, low, high = interval(values)
    text = _short(mean, digits)
    return text if len(values) < 3 else f"{text} ({_short(low, digits)} to {_short(high, digits)})"


def _short(value: float, digits: int = 3) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _rows(results: Path) -> dict[str, Mapping[str, Any]]:
    """Every row with learned negatives."""
    found = {**load("windows-remedy", results)["rows"], **load("windows-controls", results)["rows"]}
    return {name: row for name, row in found.items() if "turn" in row}


def remedy(results: Path = RESULTS) -> str:
    """Every row with learned negatives against what the question asks."""
    headings = ("row", "seeds", *(f"{name}: {bar}" for name, bar in BARS.items()), "R2 of the chosen", "R@1,mIoU")
    lines = []
    for name, row in _rows(results).items():
        end = row["end"]
        cells = [said(values) for values in differences(row).values()]
        lines.append([name, str(len(end[METRIC])), *cells, said(end["chosen center R2"]), said(end[METRIC])])
    return markdown(headings, lines)


def verdicts(results: Path = RESULTS) -> str:
    """What holds of each row, and the sentence that follows for the remedy."""
    rows = _rows(results)
    found = {name: reached(row) for name, row in rows.items()}
    table = markdown(("row", *BARS), [[name, *word.values()] for name, word in found.items()])
    words, own = found[FOLLOWS], differences(rows[FOLLOWS])
    held = [name for name, word in words.items() if word == "holds"]
    count = len(rows[FOLLOWS]["end"][METRIC])
    if len(held) == len(BARS):
        first = f"Over {count} seeds all four hold for the variant: its negatives become easy and then hard by sentence"
    else:
        missed = ", ".join(f"{name} ({words[name]})" for name in BARS if name not in held)
        first = f"Over {count} seeds {len(held)} of four hold for the variant; not so: {missed}"
    share = statistics.fmean(own["R2 of all positives, end"])
    return f"{first}, and its positives explain {100 * share:.0f} % of the true center's variance.\n\n{table}"


def answer(results: Path = RESULTS) -> str:
    """The first paragraph: what windows do in the paper's design, and in the variant."""
    rows = load("windows-remedy", results)["rows"]
    base, follows = (rows[name]["end"] for name in (BASE, FOLLOWS))

    def share(row: Mapping[str, Sequence[float]], name: str) -> float:
        return 100 * statistics.fmean(row[name])

    spread, all_of, chosen = (share(base, f"{n}") for n in ("positive center spread", "positive center R2",
                                                            "chosen center R2"))  # fmt: skip
    still = "hardly move" if all_of < 10 else "move"
    gain = paired(rows[FOLLOWS], rows[BASE], METRIC)
    mean, low, high = (100 * value for value in interval(gain))
    sure = "more" if low > 0 else "less" if high < 0 else "which these seeds do not tell from none"
    return (
        f"In the paper's design windows {still}: their centers vary by {spread:.0f} % of what the true centers do, and "
        f"a window's center explains {all_of:.0f} % of the variance of the true one. The center of the window that is "
        f"*chosen* explains {chosen:.0f} %: the model learns which window to choose. In the variant `follow-sentences` "
        f"all positives explain {share(follows, 'positive center R2'):.0f} %, the chosen one "
        f"{share(follows, 'chosen center R2'):.0f} %, and the mean IoU of the answer differs by {mean:+.1f} points "
        f"({low:+.1f} to {high:+.1f}, {len(gain)} seeds): {sure}."
    )


def paired(row: Mapping[str, Any], other: Mapping[str, Any], name: str) -> list[float]:
    """Differences at the end, over the seeds that both rows have."""
    values = [dict(zip(one["seeds"], one["end"][name], strict=True)) for one in (row, other)]
    return [values[0][seed] - values[1][seed] for seed in values[0] if seed in values[1]]


def gradient(results: Path = RESULTS) -> str:
    """What the loss says to the centers of CPL, and whether what is common outweighs what is one sentence's own."""
    row = load("levers", results)["rows"]["CPL"]["gradient"]
    epochs = range(1, len(row["own"][0]) + 1)

    def mean(name: str, epoch: int) -> float:
        return statistics.fmean(seed[epoch - 1] for seed in row[name])

    lines = [[str(e), *(_short(mean(n, e)) for n in ("own", "common")), f"{mean('own', e) / mean('common', e):.1f}",
              _short(mean("open", e), 2), f"{100 * mean('towards', e):.0f} %"] for e in epochs]  # fmt: skip
    larger = [e for e in epochs if mean("own", e) > mean("common", e)]
    right = statistics.fmean(mean("towards", e) for e in epochs)
    if len(larger) == len(epochs):
        first = "At every epoch a sentence's own part is larger than the common one, so the loss does speak to it alone"
    else:
        first = f"A sentence's own part is the larger one at {len(larger)} of {len(epochs)} epochs"
    then = f"and it draws the chosen window towards the truth in {100 * right:.0f} % of the cases (50 % is chance)"
    heads = ("epoch", "own part", "common part", "own / common", "open (1: not saturated)", "towards the truth")
    return f"{first}, {then}.\n\n{markdown(heads, lines)}"


def known(results: Path = RESULTS) -> str:
    """What can be known of the center, and what is said of it by windows that were taught."""
    rows = load("levers", results)["rows"]
    plain, taught = rows["CPL"], rows["taught with true spans"]
    token, clips = (100 * statistics.fmean(plain["known"][name]) for name in ("token", "clips"))
    lesson = 100 * statistics.fmean(taught["end"]["positive center R2"])
    verdict = (
        "cannot say a center even when it is told the right one" if lesson < 10 else "can say a center when taught"
    )
    freed = "taught so for eight epochs, then released for eight"
    before, after = (100 * statistics.fmean(v) for v in (
        rows[freed]["release"], rows[freed]["end"]["positive center R2"]))  # fmt: skip
    kept = "keeps what they learned" if after > before / 2 else "takes it away again"
    lines = [
        [name, said(row["known"]["token"]), said(row["known"]["clips"]), said(row["end"]["positive center R2"])]
        for name, row in rows.items()
    ]
    heads = ("trained", "R2 from the token", "R2 from the clips", "R2 of all positives")
    return (
        f"From the token a linear reader explains {token:.0f} % of the true center, from the clips that have read the "
        f"sentence {clips:.0f} %. Taught with true spans, windows that are read from the token explain {lesson:.0f} %: "
        f"the token {verdict}. Windows that are read from the clips explain {before:.0f} % when they have been taught, "
        f"and {after:.0f} % after as many epochs of the weak loss alone, which {kept}.\n\n{markdown(heads, lines)}"
    )


def _levers(results: Path) -> dict[str, Mapping[str, Any]]:
    """Every lever on CPL, settings first; the base appears once, and last the variant of CPL."""
    rows: dict[str, Mapping[str, Any]] = {}
    for name in ("windows-cause", "levers", "windows-planted", "windows-controls"):
        for lever, row in load(name, results)["rows"].items():
            known = len(rows[lever]["seeds"]) if lever in rows else 0  # two studies may hold the same row
            if len(row["seeds"]) > known and "turn" not in row:
                rows[lever] = row
    return rows


def cause(results: Path = RESULTS) -> str:
    """How far each lever went."""
    rows = _levers(results)
    lines = [
        [name, str(len(row["end"][METRIC])), *(said(row["end"][key]) for key in (
            "positive center spread", "positive center R2", "chosen center R2", METRIC))]
        for name, row in rows.items()
    ]  # fmt: skip
    follows = load("windows-remedy", results)["rows"][FOLLOWS]
    means = [statistics.fmean(values) for values in zip(*follows["curves"]["positive center R2"], strict=True)]
    begun = next((e for e, mean in zip(follows["epochs"], means, strict=True) if mean > 0.1), None)
    began = (
        "P0's windows that are drawn to candidates (below) begin to follow (R2 above .1) in epoch "
        f"{begun} of {follows['epochs'][-1]}."
        if begun
        else "P0's windows that are drawn to candidates (below) do not follow either."
    )
    far = [n for n, row in rows.items() if statistics.fmean(row["end"]["positive center R2"]) >= THIRD]
    text = f"{len(far)} of {len(rows)} reach a third: {'; '.join(far)}." if far else "No row reaches a third."
    heads = ("lever", "seeds", "spread of centers", "R2 of all positives", "R2 of the chosen", "R@1,mIoU")
    return f"{text} {began}\n\n{markdown(heads, lines)}"


def tables(results: Path = RESULTS) -> dict[str, str]:
    """The parts of the page by their marks."""
    parts = {"answer": answer, "gradient": gradient, "known": known, "cause": cause, "remedy": remedy,
             "verdicts": verdicts}  # fmt: skip
    return {mark: write(results) for mark, write in parts.items()}


def draw(folder: Path, results: Path = RESULTS) -> None:
    """The :data:`FIGURES`: easy and then hard by epoch; each row's differences; how far every lever went."""
    import matplotlib.pyplot as plt

    rows, levers = _rows(results), _levers(results)
    epochs, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
    _curves(axes, {name: rows[name] for name in (BASE, FOLLOWS)})
    remedies, axes = plt.subplots(1, len(BARS), figsize=(13, 3.2), layout="constrained", sharey=True)
    for ax, name in zip(axes, BARS, strict=True):
        _points(ax, {row: differences(found)[name] for row, found in rows.items()}, bar=THIRD * (name[:2] == "R2"))
        ax.set_title(f"{name}\n({BARS[name]})", fontsize=10)
        if name.startswith("NLL"):  # easy negatives of the paper's design are far beyond all others
            ax.set_xscale("symlog", linthresh=0.1)
    causes, axes = plt.subplots(1, 2, figsize=(11, 0.3 * len(levers) + 1.2), layout="constrained", sharey=True)
    titles = {"positive center R2": "R2 of all positives", "chosen center R2": "R2 of the chosen window"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        _points(ax, {row: found["end"][name] for row, found in levers.items()}, bar=THIRD)
        ax.set_title(title, fontsize=10)
        ax.set_xlim(-0.05, 1)
    for figure, name in zip((epochs, remedies, causes), FIGURES, strict=True):
        figure.savefig(folder / name, dpi=120, metadata={"Software": None})
        plt.close(figure)


def _curves(axes: Sequence[Any], rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Mean over seeds with its interval by epoch; the ground is grey while c < 0."""
    styles = (("#6B737C", "--"), ("#4477AA", "-"))
    for (name, row), (color, dash) in zip(rows.items(), styles, strict=True):
        curves, epochs = row["curves"], row["epochs"]
        own, others = curves["negative own IoU"], curves["negative others' IoU"]
        apart = [[a - b for a, b in zip(*seeds, strict=True)] for seeds in zip(own, others, strict=True)]
        shown = (apart, curves["negative NLL gap"], curves["positive center R2"])
        for ax, seeds in zip(axes, shown, strict=True):
            found = [interval(values) for values in zip(*seeds, strict=True)]
            ax.plot(epochs, [mean for mean, _, _ in found], dash, color=color, label=name)
            ax.fill_between(
                epochs, *zip(*[ends for _, *ends in found], strict=True), color=color, alpha=0.2, linewidth=0
            )
    clock = next(iter(rows.values()))
    turn = max(e for e, c in zip(clock["epochs"], clock["c"], strict=True) if c < 0)
    titles = ("negatives: own - others' overlap", "NLL(negative) - NLL(positive)", "R2 of all positives")
    for ax, title in zip(axes, titles, strict=True):
        ax.axvspan(clock["epochs"][0], turn, color="#D5DADF", alpha=0.6, linewidth=0)
        ax.set_title(f"{title}\n(grey: c < 0)", fontsize=10)
        ax.set_xlabel("epoch")
        ax.grid(axis="y", alpha=0.3)
    axes[0].axhline(0, color="#22262B", linewidth=1)
    axes[1].set_yscale("log")
    axes[2].axhline(THIRD, color="#22262B", linewidth=1)
    axes[2].legend(frameon=False, loc="upper left", fontsize=9)


def _points(ax: Any, rows: Mapping[str, Sequence[float]], bar: float) -> None:
    """A point a seed and, from three seeds on, the mean with its interval; a line at what is asked."""
    ax.axvline(bar, color="#6B737C", linewidth=1)
    for place, values in enumerate(rows.values()):
        ax.plot(values, [place] * len(values), "o", color="#4477AA", alpha=0.45, markersize=5, markeredgewidth=0)
        mean, low, high = interval(values)
        if len(values) > 2:
            ax.plot([low, high], [place, place], color="#22262B", linewidth=2)
        ax.plot([mean], [place], "D", color="#22262B", markersize=5)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
