"""Published tables with the priors beneath them, as text, CSV, Markdown, LaTeX and HTML, and the list of all tables."""

from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from vmlkit.data.published import PUBLISHED
from vmlkit.detr.corpora import CORPORA
from vmlkit.errors import ConfigError
from vmlkit.tables import priors
from vmlkit.tables.records import PublishedTable
from vmlkit.viz.notebook import to_markdown

Form = Literal["text", "csv", "markdown", "latex", "html"]
#: ending of a file -> its form
ENDINGS: dict[str, Form] = {".txt": "text", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html"}


def written(table: PublishedTable, form: str) -> str:
    """A table in one of the forms.

    Raises:
        ConfigError: for an unknown form.
    """
    if form not in get_args(Form):
        raise ConfigError(f"unknown form '{form}': choose one of {', '.join(get_args(Form))}")
    if form == "text":
        return _text(table)
    frame, title = lines_of(table), f"{table.label}: {table.about}"
    if form == "csv":
        frame.columns = [" ".join(filter(None, head)) for head in frame.columns]
        return str(frame.to_csv(index=False))
    shown = _strings(frame)
    if form == "html":
        body = shown.to_html(index=False, border=0) if len(shown.columns) else ""
        return f"<h3>{_html(title)}</h3>\n{body}\n" + "".join(f"<p>{_html(note)}</p>\n" for note in _said(table))
    if form == "latex":
        return str(shown.to_latex(index=False, escape=True, caption=_latex(title), label=f"tab:{table.id}"))
    said = "\n".join(f"- {note}" for note in _said(table))
    return f"### {title}\n\n{_markdown(shown)}\n\n{said}\n"


def lines_of(table: PublishedTable) -> pd.DataFrame:
    """Published rows, then priors, as they are printed: names, factors, cells as numbers, whose result, method."""
    frame, under = table.frame(), priors.beside(table)
    grouped = any(row.group for row in table.rows)
    heads = [*(["group"] if grouped else []), "row", *table.factors]
    lines = [
        [*([row.group] if grouped else []), row.name, *row.factors, *cells, row.by, row.method]
        for row, cells in zip(table.rows, frame.to_numpy(), strict=True)
    ]
    gap = [""] * len(table.factors)
    lines += [[*([""] if grouped else []), name, *gap, *under.loc[name], "prior", ""] for name in under.index]
    columns = [*(("", head) for head in heads), *frame.columns, ("", "by"), ("", "vmlkit")]
    return pd.DataFrame(lines, columns=pd.MultiIndex.from_tuples(columns)) if table.rows else pd.DataFrame()


def listing(tables: Sequence[PublishedTable]) -> pd.DataFrame:
    """One line a table: its id, label, what it shows, its data, how many of its rows vmlkit has, and their studies."""
    rows = []
    for table in tables:
        own = sum(bool(row.method or row.measured) for row in table.rows)
        studies = dict.fromkeys(study for row in table.rows for study, _ in row.measured)
        own_of = f"{own} of {len(table.rows)}" if table.rows else "drawn"
        names = ", ".join(studies)
        rows.append((table.id, table.label, table.about, ", ".join(table.data), own_of, names))
    return pd.DataFrame(rows, columns=["table", "label", "about", "data", "rows", "studies"])


def overview(tables: Sequence[PublishedTable]) -> str:
    """The list as text, a paper after the other."""
    lines = []
    for row in listing(tables).itertuples(index=False):
        lines.append(f"{row.table:9}{row.about}")
        parts = [f"data {row.data}" if row.data else "", "only drawn" if row.rows == "drawn" else f"rows {row.rows}"]
        lines.append(" " * 9 + "; ".join(filter(None, [*parts, f"studies {row.studies}" if row.studies else ""])))
    end = "rows: those that vmlkit has a method for; print one with its sources: vmlkit tables P0/3"
    return "\n".join([*lines, "", end])


def needs(table: PublishedTable) -> list[str]:
    """What it takes to measure a table with real features: for each data set, where its files are published."""
    lines = [f"features: {table.features}"] if table.features else []
    for data in table.data:
        place = PUBLISHED.get(data, {})
        corpus = CORPORA.get(data)
        annotations = place.get("annotations") or (corpus.annotations_at if corpus else "")
        features = place.get("features") or (corpus.features_at if corpus else "")
        lines.append(f"--data {data}: annotations {annotations}; features {features}")
    return lines


def _text(table: PublishedTable) -> str:
    lines = [f"{table.id} ({table.label}, {table.kind}): {table.about}"]
    frame = lines_of(table)
    if len(frame):
        lines += ["", _strings(frame).to_string(index=False)]
    lines += ["", *_said(table)]
    return "\n".join(lines) + "\n"


def _said(table: PublishedTable) -> list[str]:
    """Everything that is said under a table."""
    lines = [f"only drawn: {table.drawn}"] if table.drawn else []
    lines += [*_below(table, blind=True), *_below(table, blind=False)]
    lines += [f"queries: {line}" for line in priors.counts(table)]
    lines += [f"note: {note}" for note in table.notes]
    lines += [f"text: {table.text}"] if table.text else []
    studies: dict[str, list[str]] = {}
    for row in table.rows:
        for study, name in row.measured:
            studies.setdefault(study, []).append(name)
    rows = "; ".join(f"{study}: {', '.join(dict.fromkeys(names))}" for study, names in studies.items())
    return [*lines, *([f"measured in the studies {rows}"] if rows else []), *needs(table)]


def _below(table: PublishedTable, *, blind: bool) -> list[str]:
    """Which published cells an answer without video beats, in one line."""
    below = priors.below(table, blind=blind)
    if not len(below):
        return []
    cells = table.frame().notna().sum()
    hit = [f"{' '.join(head)} {below[head]} of {cells[head]}" for head in below.index if below[head]]
    which = "the whole video or random windows" if blind else "answers fitted on the training moments"
    return [f"published cells below {which}: {', '.join(hit) or 'none'}"]


def _strings(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells with the decimals of their column, a dash where there is none."""
    out = {}
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if column.dtype == float:
            known = [f"{value:.3f}".rstrip("0") for value in column[frame[("", "by")] != "prior"].dropna()]
            digits = max((len(text.partition(".")[2]) for text in known), default=2)
            column = column.map(lambda value, digits=digits: "-" if value != value else f"{value:.{digits}f}")
        out[i] = column.map(
            lambda value: {True: "yes", False: ""}.get(value, value) if isinstance(value, bool) else value
        )
    shown = pd.DataFrame(out)
    shown.columns = frame.columns
    return shown.astype(str)


def _markdown(shown: pd.DataFrame) -> str:
    """With the two lines of its head joined, and without an index."""
    if not len(shown.columns):
        return ""
    flat = shown.copy()
    flat.columns = [" ".join(filter(None, head)) for head in shown.columns]
    return to_markdown(flat.set_index(flat.columns[0]))


def _latex(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
