"""A study on a page by one call: what came of its claims as a picture, and its tables behind a line that opens them."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from vmlkit.errors import ConfigError, DataError, required
from vmlkit.files import shipped
from vmlkit.methods import STUDIES
from vmlkit.papers import citations
from vmlkit.studies.report import Finding, drawn, lines_of, what_limits
from vmlkit.studies.results import STUDIES as FOLDER
from vmlkit.studies.results import Results, load_results
from vmlkit.studies.verdicts import Verdict, count, rising_rows, table_of
from vmlkit.training.study import Claim, Study, scale_of
from vmlkit.viz import notebook as nb
from vmlkit.viz.findings import draw_contrasts

#: a picture of more lines than these leaves no room for the page that it is on
LINES = 10


def show_study(
    name: str,
    *,
    about: Sequence[str] = (),
    rows: Sequence[str] = (),
    metrics: Sequence[str] = (),
    folder: Path = FOLDER,
) -> None:
    """Show what a study found, or, where it has no results yet, the command that measures it.

    The picture has a line a claim, with its seeds, its interval and the band of what is no effect; of claims about
    answers that never look at a video the two closest, and of many those of :func:`on_a_page`.  All tables, and how
    they were made, are folded away.

    Args:
        name: of the study.
        about: only claims whose source is one of these labels of papers, such as "P2 Table 7", with their premises,
            controls and priors, and the controls of the whole study.
        rows: only claims that compare nothing else but these rows and baselines.
        metrics: columns of the table of rows; those of the study unless given.
        folder: of the results.

    Raises:
        ConfigError: for an unknown study, a row that it has not, or a choice that leaves none of its claims.
        DataError: for results that are damaged.
        MissingDependency: where IPython or matplotlib is not installed.
    """
    if name not in STUDIES:
        raise ConfigError(f"unknown study '{name}': choose one of {', '.join(STUDIES)}")
    study = STUDIES[name]()
    asked = {(claim.text, claim.metric) for claim in chosen_claims(study, about, rows)}
    show = required("IPython.display", "notebooks", "showing results in a notebook").display
    finding = None
    if shipped(Path(folder) / f"{name}.json").is_file():
        finding = Finding(load_results(name, folder))
    found = [v for v in finding.verdicts if (v.claim.text, v.claim.metric) in asked] if finding else []
    if finding is None or not found:
        show(nb.say(f"**{study.title}**: not measured yet; `make study NAME={name}` does it."))
        return
    show(nb.say(said(finding, found)))
    pictured = on_a_page(drawn(found, ("paper", "control", "ours")))
    show(draw_contrasts(lines_of(finding, pictured)))
    fewer = f" ({len(pictured)} of them drawn)" if len(pictured) < len(found) else ""
    compared = {side for v in found for side in (v.claim.better, v.claim.worse)}
    shown = [name for name in (*finding.results.rows, *finding.results.baselines) if name in compared]
    show(
        nb.fold(
            f"All {len(found)} claims{fewer}, {len(shown)} rows and baselines, and how they were measured",
            nb.say("Percent (ranks as they are): mean ± standard deviation over seeds."),
            table_of_rows(finding.results, shown, metrics),
            nb.say(
                "Differences in points, or in the unit that stands there, with their interval of 95 % over seeds and "
                "test videos."
            ),
            table_of(found),
            nb.say(f"{what_limits(finding)} Made by {finding.results.provenance}."),
        )
    )


def show_studies(*about: str, metrics: Sequence[str] = (), folder: Path = FOLDER) -> None:
    """Show what every study found about some tables, figures or sections of papers, each by :func:`show_study`.

    Args:
        about: labels of papers, such as "P2 Table 7".
        metrics: columns of the tables of rows; those of each study unless given.
        folder: of the results.

    Raises:
        ConfigError: where no study has a claim about them.
    """
    names = [name for name, made in STUDIES.items() if any(_cites(claim, about) for claim in made().claims)]
    if not names:
        raise ConfigError(f"no study has a claim about {', '.join(about)}")
    for name in names:
        show_study(name, about=about, metrics=metrics, folder=folder)


def on_a_page(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """At most :data:`LINES`: what the study is made for, its controls, then the rest, each by one metric, void last."""
    if len(verdicts) <= LINES:
        return list(verdicts)
    first: dict[str, Verdict] = {}
    for verdict in verdicts:
        first.setdefault(verdict.claim.text, verdict)

    def rank(verdict: Verdict) -> tuple[bool, bool, bool]:
        return not verdict.primary, verdict.word == "void", verdict.claim.kind != "control"

    kept = sorted(first.values(), key=rank)[:LINES]
    return [verdict for verdict in verdicts if verdict in kept]


def chosen_claims(study: Study, about: Sequence[str] = (), rows: Sequence[str] = ()) -> list[Claim]:
    """The claims of a study that a page asks for, see :func:`show_study`.

    Raises:
        ConfigError: for a row that the study has not, or where no claim is left.
    """
    own = {row.name for row in study.rows}
    unknown = next((row for row in rows if row not in own), None)
    if unknown is not None:
        raise ConfigError(f"the study '{study.name}' has no row '{unknown}': choose from {', '.join(sorted(own))}")
    wanted = own & set(rows or own)
    claims = [claim for claim in study.claims if {claim.better, claim.worse} & own <= wanted]
    if about:
        core = [claim for claim in claims if _cites(claim, about)]
        texts, premises = {claim.text for claim in core}, {claim.premise for claim in core}
        compared = {side for claim in core for side in (claim.better, claim.worse)}
        claims = [
            claim
            for claim in claims
            if claim in core
            or claim.text in premises
            or claim.premise in texts
            or (claim.kind == "control" and not claim.premise)
            or (claim.kind == "prior" and claim.better in compared)
        ]
    if not claims:
        raise ConfigError(f"the study '{study.name}' has no claim about {', '.join([*about, *rows])}")
    return claims


def _cites(claim: Claim, about: Sequence[str]) -> bool:
    return bool(set(about) & set(citations(claim.source)))


def said(finding: Finding, verdicts: Sequence[Verdict]) -> str:
    """What a page says above the picture: the words by class, and what came of the claims the study is made for."""
    record = finding.results.record
    words = "; ".join(
        f"*{kind}* {', '.join(f'{word} {number}' for word, number in numbers.items() if number)}"
        for kind, numbers in count(verdicts).iterrows()
    )
    lines = [f"- **{v.claim.text}** ({v.claim.metric}): {v.said}, {v.interval} {v.unit}" for v in verdicts if v.primary]
    return "\n\n".join([f"**{record['title']}.** {record['note']}", f"Claims by class: {words}.", "\n".join(lines)])


def table_of_rows(results: Results, names: Iterable[str] = (), metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Rows and baselines by metric: mean and deviation over seeds in percent, ranks as they are.

    Args:
        results: of a study.
        names: of rows and baselines; all unless given.
        metrics: columns; those of the study unless given.  A cell is empty where a row has no such number.
    """
    rising, rows = rising_rows(results), results.record["rows"]
    lines: dict[str, dict[str, str]] = {}
    for name in names or (*results.rows, *results.baselines):
        line = {metric: _cell(results, name, metric) for metric in metrics or results.record["metrics"]}
        own = rows.get(name, {})
        line["seeds"] = str(len(own["seeds"])) if own else ""
        line["published"] = own.get("published", "")
        lines[name + (" (still rising)" if name in rising else "")] = line
    table = pd.DataFrame.from_dict(lines, orient="index")
    return table if table["published"].any() else table.drop(columns="published")


def _cell(results: Results, name: str, metric: str) -> str:
    try:
        values = list(results.values(name, metric).values())
    except DataError:
        return ""
    scale = scale_of(metric)
    spread = f" ± {scale * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{scale * statistics.fmean(values):.1f}{spread}"
