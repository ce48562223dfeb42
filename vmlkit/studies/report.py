"""The page "What we found": every number on it is computed from ``results/studies``, every direction from a verdict.

``python -m tools.pages findings`` writes ``docs/findings.md`` and a figure a paper; the README shows :func:`summary`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vmlkit.methods import STUDIES
from vmlkit.papers import citations, papers
from vmlkit.studies.results import STUDIES as FOLDER
from vmlkit.studies.results import Results, load_results, studies_in, told
from vmlkit.studies.verdicts import CLASSES, Verdict, count, rising_rows, sample_of, table_of, verdicts_of
from vmlkit.training.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vmlkit.viz.findings import Line

HEAD = """# What we found

Claims of five papers and of ours, measured with several seeds on data that anyone can make again. A verdict follows
from an interval that counts seeds and test videos, by rules that were fixed before (`vmlkit.studies.verdicts`):
**holds** and **contradicted** mean that the interval of 95 % leaves zero, also after Holm's correction over the claims
of the same class; **no difference** that the interval of 90 % lies within delta; **open** is all else, and says which
difference the study could have found. The toy world and planted features are not the papers' data: what is open or
contradicted here may hold there. This page is written by `python -m tools.pages findings`."""

_TOLD = {"holds": "hold", "contradicted": "are contradicted", "no difference": "make no difference", "open": "are open",
         "void": "are void"}  # fmt: skip


class Finding:
    """A measured study with its verdicts."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Of every claim."""
        return verdicts_of(self.results)

    @property
    def name(self) -> str:
        """Of the study."""
        return str(self.results.record["study"])

    @property
    def paper(self) -> str:
        """Key of the paper that its claims are about."""
        methods = (self.results.settings(row)["method"] for row in self.results.rows)
        return paper_of((claim["source"] for claim in self.results.record["claims"]), methods)

    @property
    def primary(self) -> list[Verdict]:
        """Verdicts on the claims that the study is made for."""
        return [verdict for verdict in self.verdicts if verdict.primary]


def paper_of(sources: Iterable[str], methods: Iterable[str] = ()) -> str:
    """The paper that most of the sources cite; where none does, that after whose method one is named; else "".

    >>> paper_of(["P1 Table 2", "sanity", "P1 Table 4", "P0 Fig. 4"])
    'P1'
    >>> paper_of(["ours"], ["qd-detr", "bm-detr"])
    'P2'
    """
    keys = Counter(citation.split()[0] for source in sources for citation in citations(source))
    names = " ".join(methods).upper()
    named = (key for key, about in papers().items() if str(about["short"]).upper() in names)
    return keys.most_common(1)[0][0] if keys else next(named, "")


def findings(folder: Path = FOLDER) -> dict[str, list[Finding]]:
    """The measured studies of a folder by paper."""
    found: dict[str, list[Finding]] = {key: [] for key in (*papers(), "")}
    for name in studies_in(folder):
        finding = Finding(load_results(name, folder))
        found[finding.paper].append(finding)
    return found


def page(folder: Path = FOLDER, studies: Mapping[str, Study] | None = None) -> str:
    """The page as Markdown.

    Args:
        folder: of the results.
        studies: all that there are, by name; those of the package unless given.
    """
    studies = studies if studies is not None else {name: made() for name, made in STUDIES.items()}
    found = findings(folder)
    every = [finding for group in found.values() for finding in group]
    parts = [HEAD, _counts(every)]
    for key, group in found.items():
        missing = [s for n, s in studies.items() if n not in {f.name for f in every} and _paper(s) == key]
        if group or missing:
            title = f"{key}: {papers()[key]['short']}" if key else "Without a paper"
            parts.append(f"## {title}")
            parts += _group(key, group)
            parts += [_missing(missing)] if missing else []
    return "\n\n".join(parts) + "\n"


def summary(groups: Mapping[str, list[Finding]]) -> str:
    """How many claims got each word, by class, and what came of the claims that each study is made for."""
    every = [finding for group in groups.values() for finding in group]
    tables = [_primary(finding, "study", f"`{finding.name}`") for finding in every if finding.primary]
    return "\n\n".join([_counts(every), *([_markdown(pd.concat(tables))] if tables else [])])


def one_finding(groups: Mapping[str, list[Finding]]) -> str:
    """What came of the papers' claims as a whole, and of those that the studies of the first paper are made for."""
    verdicts = [verdict for group in groups.values() for finding in group for verdict in finding.verdicts]
    theirs, priors = (Counter(v.word for v in verdicts if v.claim.kind == kind) for kind in ("paper", "prior"))
    if not theirs:
        return _counts([])
    words = ", ".join(f"{theirs[word]} {words}" for word, words in _TOLD.items() if theirs[word])
    alone = sum(not verdict.videos_counted for verdict in verdicts)
    said = f"**Of {theirs.total()} claims of the papers, {words}.** Open: after Holm's correction neither an effect "
    said += (
        "nor its absence is shown; void: what the claim rests on is not there. Intervals count seeds and test videos"
    )
    said += f", {alone} only seeds." if alone else "."
    if priors:
        said += f" Of {priors.total()} comparisons with answers that never see the video, the trained model wins in "
        said += f"{priors['holds']} and loses in {priors['contradicted']}."
    key = next(iter(groups))
    lines = {  # studies share rows, and with them contrasts
        (verdict.claim.text, verdict.effect): f"- *{verdict.claim.text}*, {verdict.claim.metric}: "
        f"{verdict.effect}, {verdict.word} (`{finding.name}`)"
        for finding in reversed(groups[key])
        for verdict in finding.primary
    }
    if lines:
        said += f"\n\nWhat the studies of {papers()[key]['short']} are made for, with intervals of 95 %:\n\n"
    return said + "\n".join(sorted(lines.values()))


def _paper(study: Study) -> str:
    return paper_of((claim.source for claim in study.claims), (row.experiment.method for row in study.rows))


def _counts(every: Sequence[Finding]) -> str:
    verdicts = [verdict for finding in every for verdict in finding.verdicts]
    if not verdicts:
        return "No study has been measured yet."
    dirty = [finding.name for finding in every if finding.results.record["dirty"]]
    said = f"**{len(verdicts)} claims of {len(every)} measured studies**, counted by class:"
    said += f"\n\n{_markdown(count(verdicts))}"
    said += "\n\n*Paper*: a sentence or a cell of the paper. *Prior*: beats an answer that never sees the video. "
    said += "*Control*: a gain needs what it is said to need; void where there is no gain."
    computed = {cell: origin for finding in every for cell, origin in finding.results.origins.items()}
    said += f"\n\nMeasured: {told(computed)}; studies share the cells of rows that they have in common."
    return said + (f"\n\n**Measured with changes that no revision names: {', '.join(dirty)}.**" if dirty else "")


def _group(key: str, group: Sequence[Finding]) -> list[str]:
    """Figure, primary contrasts, what would change our mind, and every claim folded away."""
    parts = []
    if any(drawn(finding.verdicts) for finding in group):
        parts.append(f"![Differences between rows, with intervals]({picture(key)})")
    for finding in group:
        record = finding.results.record
        parts.append(f"**{record['title']}.** {record['note']}")
        if finding.primary:
            parts.append(_markdown(_primary(finding)))
        parts.append(what_limits(finding))
        rows = _markdown(table_of(finding.verdicts))
        counts = f"{len(finding.verdicts)} claims"
        parts.append(
            f"<details><summary>All {counts}</summary>\n\n{rows}\n\nMade by {finding.results.provenance}.\n\n</details>"
        )
    return parts


def _primary(finding: Finding, *first: str) -> pd.DataFrame:
    """Only the claims that the study is made for; ``first`` is the name and the text of a column before them."""
    table = table_of(finding.primary)[["metric", "difference", "verdict"]].rename_axis("primary contrast")
    return table.reset_index().assign(**{first[0]: first[1]}).set_index(first[0]) if first else table


def what_limits(finding: Finding) -> str:
    """What the study could have found, and what still limits it."""
    open_ones = [v for v in finding.verdicts if v.word == "open" and math.isfinite(v.detectable)]
    said = []
    if open_ones:
        found = " and ".join(_detectable(unit, open_ones) for unit in dict.fromkeys(v.unit for v in open_ones))
        said.append(
            f"{len(open_ones)} of its claims are open: with its seeds and videos it finds differences of {found} with "
            "a power of 80 %."
        )
    rising = rising_rows(finding.results)
    if rising:
        said.append(
            f"Still rising when their training ended: {', '.join(rising)}; more epochs may change what rests on them."
        )
    uncounted = sum(not v.videos_counted for v in finding.verdicts)
    if uncounted:
        said.append(f"For {uncounted} claims only seeds are counted: their metric is kept as one number a seed.")
    return "What would change our mind: " + (" ".join(said) or "nothing is open, and no row was still rising.")


def _detectable(unit: str, verdicts: Sequence[Verdict]) -> str:
    sizes = [f"{v.claim.scale * v.detectable:.1f}" for v in verdicts if v.unit == unit]
    ends = dict.fromkeys((min(sizes, key=float), max(sizes, key=float)))
    return f"{' to '.join(ends)} {unit}"


def _missing(studies: Sequence[Study]) -> str:
    lines = [f"- {study.title}: `vmlkit study run {study.name}`" for study in studies]
    return "Not measured by these rules yet:\n\n" + "\n".join(lines)


def _markdown(table: pd.DataFrame) -> str:
    from vmlkit.viz.notebook import to_markdown

    return to_markdown(table)


def picture(key: str) -> str:
    """File name of the figure of a paper."""
    return f"findings_{key.lower() or 'other'}.png"


def drawn(verdicts: Sequence[Verdict], kinds: Sequence[str] = ("paper", "control")) -> list[Verdict]:
    """What a figure shows: primary claims and those of some classes; of priors one a row and metric would hide them."""
    chosen = [v for v in verdicts if v.primary or v.claim.kind in kinds]
    best = [v for v in verdicts if v.claim.kind == "prior" and v.claim.metric.endswith("mIoU")]
    closest = sorted(best, key=lambda v: v.difference)[:2]
    return list(dict.fromkeys([*chosen, *closest]))


def draw(key: str, group: Sequence[Finding]) -> "Figure":
    """The figure of a paper: what its studies are for, what the paper says, and the priors that came closest."""
    from vmlkit.viz.findings import draw_contrasts

    lines = [line for finding in group for line in lines_of(finding, drawn(finding.verdicts), finding.name)]
    return draw_contrasts(lines, title=f"{key}: {papers()[key]['short']}" if key else "")


def lines_of(finding: Finding, verdicts: Sequence[Verdict], study: str = "") -> "list[Line]":
    """Lines of a figure, class by class, primary claims first.

    Args:
        finding: the study, of whose rows every seed is a point.
        verdicts: those of its claims that are drawn.
        study: what stands above its panels.
    """
    from vmlkit.viz.findings import Line

    return [
        Line(
            text=v.claim.text,
            group=v.claim.kind,
            word=v.word,
            delta=v.claim.scale * v.claim.delta,
            seeds=_seeds(finding.results, v),
            metric=v.claim.metric,
            unit=v.unit,
            study=study,
            primary=v.primary,
            rising=bool(v.rising),
            **{name: v.claim.scale * getattr(v, name) for name in ("difference", "low", "high")},
        )
        for v in sorted(verdicts, key=lambda v: (CLASSES.index(v.claim.kind), not v.primary))
    ]


def _seeds(results: Results, verdict: Verdict) -> tuple[float, ...]:
    better, worse = (
        sample_of(results, row, verdict.claim.metric) for row in (verdict.claim.better, verdict.claim.worse)
    )
    return tuple((verdict.claim.scale * (better.values - float(worse.mean))).tolist())


def write(docs: Path = Path("docs"), folder: Path = FOLDER) -> list[Path]:
    """Write the page and its figures, and return what was written."""
    from vmlkit.files import write_text
    from vmlkit.viz.style import save_figure

    written = [docs / "findings.md"]
    write_text(written[0], page(folder))
    for key, group in findings(folder).items():
        if any(drawn(finding.verdicts) for finding in group):
            written.append(docs / picture(key))
            save_figure(draw(key, group), written[-1])
    return written
