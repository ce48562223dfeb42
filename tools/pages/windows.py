"""What studies and levers say about windows: sentences, tables and pictures of docs/windows.md.

Nothing on the page is typed: every number is read, a sentence that says where something goes is chosen by it, and what
is not measured names its command.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.runs import read_json
from vmlkit.studies.results import STUDIES, load_results, studies_in
from vmlkit.studies.statistics import contrast, scalar_sample
from vmlkit.studies.summary import FOLLOWED
from vmlkit.viz.notebook import markdown_table
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, new_figure, save_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path("docs") / "windows.md"
LEVERS = Path(__file__).parents[2] / "benchmarks" / "results" / "levers.json"
REMEDY, CONTROLS, CAUSE, PLANTED = "windows-remedy", "windows-controls", "windows-cause", "windows-planted"
#: pictures, and what they show
FIGURES = {
    "windows-epochs.png": "Negatives become easy and then hard by epoch, in the variant and in the paper's design",
    "windows-remedy.png": "What the question asks, by row: a dot for each seed, the mean with its interval",
    "windows-cause.png": "R2 of all positives and of the chosen window by lever; a dot a seed, a line at a third",
}
METRIC = "R@1,mIoU"
#: what the question asks of learned negatives and positives, with what has to be so
BARS = {
    "own - others, turn": "below 0",
    "own - others, end": "above 0",
    "NLL gap, turn - end": "above 0",
    "R2 of all positives, end": "at least 1/3",
}
BASE, FOLLOWS, THIRD = "the paper's design", "windows that follow", 1 / 3
#: how far windows follow at the last epoch
LAST = ("positive center spread", "positive center R2")


def load(name: str, results: Path = STUDIES) -> dict[str, dict[str, Any]]:
    """By row of a measured study: ``seeds``, and by measure a list over them at the ``turn``, where there is one, and
    the ``end``; ``curves`` by epoch where the study keeps them.  {} where it is not measured.
    """
    if name not in studies_in(results):
        return {}
    found, rows = load_results(name, results), {}
    for row in found.rows:
        cells = [cell for cell in found.record["cells"] if cell["row"] == row]
        one: dict[str, Any] = {"seeds": [cell["seed"] for cell in cells]}
        for when in cells[0]["dependence"]:
            each = [cell["dependence"][when] for cell in cells]
            one[when] = {measure: [numbers[measure] for numbers in each] for measure in each[0]}
        one["end"][METRIC] = list(found.values(row, METRIC).values())
        kept = [cell["curves"] for cell in cells if "curves" in cell]
        if "turn" in one and len(kept) == len(cells):
            one["epochs"] = [epoch for epoch, _ in kept[0][f"dependence/{FOLLOWED[0]}"]]
            one["curves"] = {
                name: [[value for _, value in curves[f"dependence/{name}"]] for curves in kept] for name in FOLLOWED
            }
        rows[row] = one
    return rows


def missing(*names: str, results: Path = STUDIES) -> str:
    """What a part says where a study that it needs is not measured; empty where all are."""
    lacking = [name for name in names if name not in studies_in(results)]
    commands = ", ".join(f"`vmlkit study run {name}`" for name in lacking)
    return f"Not measured yet; {commands}, then `python -m tools.pages docs`, write this part." if lacking else ""


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval by Student's t over seeds; one value has no ends.

    >>> tuple(round(value, 3) for value in interval([0.1, 0.2, 0.3]))
    (0.2, -0.048, 0.448)
    """
    if len(values) < 2:
        return values[0], float("nan"), float("nan")
    found = contrast(scalar_sample(values), scalar_sample([0.0], deterministic=True))
    low, high = found.interval()
    return float(found.difference), float(low), float(high)


def differences(row: Mapping[str, Any]) -> dict[str, list[float]]:
    """Of a row with learned negatives, what the question is about, a value a seed."""
    turn, end = row["turn"], row["end"]

    def apart(when: Mapping[str, list[float]]) -> list[float]:
        return [own - other for own, other in zip(when["negative own IoU"], when["negative others' IoU"], strict=True)]

    gaps = zip(turn["negative NLL gap"], end["negative NLL gap"], strict=True)
    return {
        "own - others, turn": apart(turn),
        "own - others, end": apart(end),
        "NLL gap, turn - end": [first - last for first, last in gaps],
        "R2 of all positives, end": list(end["positive center R2"]),
    }


def reached(row: Mapping[str, Any]) -> dict[str, str]:
    """Whether negatives become easy and then hard per sentence, and positives say a third of the true center.

    ``holds`` where the interval lies on the right side of the bar, ``contradicted`` on the wrong one, else ``open``, as
    with fewer than three seeds; the third of the variance is asked of the mean, so that the interval only separates
    open from contradicted.
    """
    if len(row["seeds"]) < 3:
        return dict.fromkeys(differences(row), "open")
    found = {name: interval(values) for name, values in differences(row).items()}
    said = {name: _verdict(low, high, below=name == "own - others, turn") for name, (_, low, high) in found.items()}
    mean, _, high = found["R2 of all positives, end"]
    said["R2 of all positives, end"] = "holds" if mean >= THIRD else "open" if high >= THIRD else "contradicted"
    return said


def _verdict(low: float, high: float, *, below: bool) -> str:
    low, high = (-high, -low) if below else (low, high)
    return "holds" if low > 0 else "contradicted" if high < 0 else "open"


def said(values: Sequence[float], digits: int = 3) -> str:
    """Mean with its interval, or the mean alone where there are too few for one.

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
    """Every row with learned negatives; of two copies that with more seeds."""
    return {**load(CONTROLS, results), **load(REMEDY, results)}


def _picture(name: str) -> str:
    return f"![{FIGURES[name]}]({name})"


def remedy(results: Path = STUDIES) -> str:
    """Every row with learned negatives against what the question asks."""
    headings = ("row", "seeds", *(f"{name}: {bar}" for name, bar in BARS.items()), "R2 of the chosen", "R@1,mIoU")
    lines = []
    for name, row in _rows(results).items():
        end = row["end"]
        cells = [said(values) for values in differences(row).values()]
        lines.append([name, str(len(end[METRIC])), *cells, said(end["chosen center R2"]), said(end[METRIC])])
    return f"{markdown_table(headings, lines)}\n\n{_picture('windows-remedy.png')}"


def verdicts(results: Path = STUDIES) -> str:
    """What holds of each row, and the sentence that follows for the remedy."""
    rows = _rows(results)
    found = {name: reached(row) for name, row in rows.items()}
    table = markdown_table(("row", *BARS), [[name, *word.values()] for name, word in found.items()])
    words, own = found[FOLLOWS], differences(rows[FOLLOWS])
    held = [name for name, word in words.items() if word == "holds"]
    count = len(rows[FOLLOWS]["end"][METRIC])
    if len(held) == len(BARS):
        first = f"Over {count} seeds all four hold for the variant: its negatives become easy and then hard by sentence"
    else:
        missed = ", ".join(f"{name} ({words[name]})" for name in BARS if name not in held)
        first = f"Over {count} seeds {len(held)} of four hold for the variant; not so: {missed}"
    share = statistics.fmean(own["R2 of all positives, end"])
    last = f"and its positives explain {100 * share:.0f} % of the true center's variance."
    return f"{first}, {last}\n\n{table}\n\n{_picture('windows-epochs.png')}"


def answer(results: Path = STUDIES) -> str:
    """The first paragraph: what windows do in the paper's design, and in the variant."""
    rows = load(REMEDY, results)
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


def gradient(levers: Path = LEVERS) -> str:
    """What the loss says to the centers of CPL, and whether what is common outweighs what is one sentence's own."""
    row = read_json(levers)["rows"]["CPL"]["gradient"]
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
    return f"{first}, {then}.\n\n{markdown_table(heads, lines)}"


def known(levers: Path = LEVERS) -> str:
    """What can be known of the center, and what is said of it by windows that were taught."""
    rows = read_json(levers)["rows"]
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
        [name, *(said(row["known"][name]) for name in ("token", "clips")), *(said(row["end"][name]) for name in LAST)]
        for name, row in rows.items()
    ]
    heads = ("trained", "R2 from the token", "R2 from the clips", "spread of centers", "R2 of all positives")
    return (
        f"From the token a linear reader explains {token:.0f} % of the true center, from the clips that have read the "
        f"sentence {clips:.0f} %. Taught with true spans, windows that are read from the token explain {lesson:.0f} %: "
        f"the token {verdict}. Windows that are read from the clips explain {before:.0f} % when they have been taught, "
        f"and {after:.0f} % after as many epochs of the weak loss alone, which {kept}.\n\n"
        f"{markdown_table(heads, lines)}"
    )


def _causes(results: Path) -> dict[str, Mapping[str, Any]]:
    """Every row of CPL, on the toy world and then on planted Charades-STA."""
    planted = {f"{name}, planted Charades-STA": row for name, row in load(PLANTED, results).items()}
    return {**load(CAUSE, results), **planted}


def cause(results: Path = STUDIES) -> str:
    """How far each lever went."""
    rows = _causes(results)
    lines = [
        [name, str(len(row["end"][METRIC])), *(said(row["end"][key]) for key in (
            *LAST, "chosen center R2", METRIC))]
        for name, row in rows.items()
    ]  # fmt: skip
    follows = load(REMEDY, results)[FOLLOWS]
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
    return f"{text} {began}\n\n{markdown_table(heads, lines)}\n\n{_picture('windows-cause.png')}"


def tables(results: Path = STUDIES) -> dict[str, str]:
    """The parts of the page by their marks."""
    measured = {
        "answer": (answer, (REMEDY,)),
        "cause": (cause, (CAUSE, PLANTED, REMEDY)),
        "remedy": (remedy, (REMEDY, CONTROLS)),
        "verdicts": (verdicts, (REMEDY, CONTROLS)),
    }
    parts = {mark: missing(*needs, results=results) or write(results) for mark, (write, needs) in measured.items()}
    return {**parts, "gradient": gradient(), "known": known()}


def draw(folder: Path, results: Path = STUDIES) -> None:
    """Those of :data:`FIGURES` whose studies are measured: easy and then hard; each row's differences; every lever."""
    drawn: dict[str, Callable[[], Figure]] = {}
    if not missing(REMEDY, CONTROLS, results=results):
        rows = _rows(results)
        drawn["windows-epochs.png"] = partial(_epochs, {name: rows[name] for name in (BASE, FOLLOWS)})
        drawn["windows-remedy.png"] = partial(_remedies, rows)
    if not missing(CAUSE, PLANTED, REMEDY, results=results):
        drawn["windows-cause.png"] = partial(_by_lever, _causes(results))
    for name, make in drawn.items():
        with styled():
            save_figure(make(), folder / name)


def _remedies(rows: Mapping[str, Mapping[str, Any]]) -> "Figure":
    figure = new_figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(BARS), sharey=True)
    for ax, name in zip(axes, BARS, strict=True):
        _points(ax, {row: differences(found)[name] for row, found in rows.items()}, bar=THIRD * (name[:2] == "R2"))
        ax.set_title(f"{name}\n({BARS[name]})")
        ax.set_xlabel(_unit(name))
        if name.startswith("NLL") and np.abs(ax.get_xlim()).max() > 1:  # easy negatives are far beyond all others
            ax.set_xscale("symlog", linthresh=0.1)
    return figure


def _by_lever(rows: Mapping[str, Mapping[str, Any]]) -> "Figure":
    figure = new_figure(figsize=(11, 0.3 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    titles = {"positive center R2": "R2 of all positives", "chosen center R2": "R2 of the chosen window"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        _points(ax, {row: found["end"][name] for row, found in rows.items()}, bar=THIRD)
        ax.set(title=title, xlabel="R2 (1: the centers follow from the truth)", xlim=(-0.05, 1))
    return figure


def _epochs(rows: Mapping[str, Mapping[str, Any]]) -> "Figure":
    """Mean over seeds with its interval by epoch; the ground is grey while c < 0."""
    figure = new_figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    styles = ((FAINT, "--"), (ROLES["chosen"].color, "-"))
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
    turn = clock["turn"]["epoch"][0]
    titles = ("negatives: own - others' overlap", "NLL(negative) - NLL(positive)", "R2 of all positives")
    for ax, title in zip(axes, titles, strict=True):
        ax.axvspan(clock["epochs"][0], turn, color=HAIR, alpha=0.6, linewidth=0)
        ax.set(title=f"{title}\n(grey: c < 0)", xlabel="epoch", ylabel=_unit(title))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(axis="y", alpha=0.3)
    axes[0].axhline(0, color=INK, linewidth=1)
    axes[1].set_yscale("log")
    axes[2].axhline(THIRD, color=INK, linewidth=1)
    axes[2].legend(loc="best")
    return figure


def _unit(name: str) -> str:
    return "nats per word" if name.startswith("NLL") else "R2" if name.startswith("R2") else "IoU"


def _points(ax: Any, rows: Mapping[str, Sequence[float]], bar: float) -> None:
    """A point a seed and, from three seeds on, the mean with its interval; a line at what is asked."""
    ax.axvline(bar, color=FAINT, linewidth=1)
    for place, values in enumerate(rows.values()):
        ax.scatter(values, [place] * len(values), s=25, color=ROLES["positive"].color, linewidths=0, zorder=3)
        mean, low, high = interval(values)
        if len(values) > 2:
            ax.plot([low, high], [place, place], color=INK, linewidth=2)
        ax.plot([mean], [place], "D", color=INK, markersize=5, zorder=4)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
