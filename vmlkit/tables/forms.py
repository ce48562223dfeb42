"""Published tables with what was measured and the priors, as text, CSV, Markdown, LaTeX and HTML; the list of all."""

from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from vmlkit.data.published import PUBLISHED
from vmlkit.detr.corpora import CORPORA
from vmlkit.errors import ConfigError
from vmlkit.tables import priors
from vmlkit.tables.ours import Estimate, Ours
from vmlkit.tables.records import PublishedTable
from vmlkit.tables.regenerate import measured_on
from vmlkit.viz.notebook import to_markdown

Form = Literal["text", "csv", "markdown", "latex", "html"]
#: ending of a file -> its form
ENDINGS: dict[str, Form] = {".txt": "text", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html"}


def written(table: PublishedTable, form: str, ours: Sequence[Ours] = ()) -> str:
    """A table in one of the forms, with what was measured in columns of their own.

    Raises:
        ConfigError: for an unknown form.
    """
    if form not in get_args(Form):
        raise ConfigError(f"unknown form '{form}': choose one of {', '.join(get_args(Form))}")
    if form == "text":
        return _text(table, ours)
    frame, title = lines_of(table, ours), f"{table.label}: {table.about}"
    if form == "csv":
        return _csv(frame)
    shown, said = _strings(frame), _said(table, ours)
    if form == "html":
        body = shown.to_html(index=False, border=0) if len(shown.columns) else ""
        return f"<h3>{_html(title)}</h3>\n{body}\n" + "".join(f"<p>{_html(note)}</p>\n" for note in said)
    if form == "latex":
        plain = shown.map(lambda cell: cell.replace("±", "$\\pm$")) if ours else shown
        latex = plain.to_latex(index=False, escape=True, caption=_latex(title), label=f"tab:{table.id}")
        return str(latex).replace(r"\$\textbackslash pm\$", r"$\pm$")
    notes = "\n".join(f"- {note}" for note in said)
    return f"### {title}\n\n{_markdown(shown)}\n\n{notes}\n"


def lines_of(table: PublishedTable, ours: Sequence[Ours] = ()) -> pd.DataFrame:
    """Published rows, then priors, as they are printed: names, factors, cells as numbers, whose result, method.

    What was measured (:class:`~vmlkit.tables.ours.Estimate`) follows the published columns, a group a data set.
    """
    lines, frame, under = table.lines, table.frame(), priors.beside(table)
    if not lines or not (len(table.columns) or ours):
        return pd.DataFrame()
    published = frame.to_numpy() if lines is table.rows else [[float("nan")] * len(table.columns)] * len(lines)
    grouped, factors = any(row.group for row in lines), table.factors if lines is table.rows else ()
    heads = [*(["group"] if grouped else []), "row", *factors]
    measured = [(group, head) for group in ours for head in group.heads]
    parts = []
    for number, (row, cells) in enumerate(zip(lines, published, strict=True)):
        own = [group.cells.get((number, head)) for group, head in measured]
        parts.append([*([row.group] if grouped else []), row.name, *row.factors, *cells, *own, row.by, row.method])
    for name in dict.fromkeys([*under.index, *(name for group in ours for name in group.priors)]):
        known = under.loc[name].tolist() if name in under.index else [float("nan")] * len(table.columns)
        beside = [group.priors.get(name, {}).get(head, float("nan")) for group, head in measured]
        parts.append([*([""] if grouped else []), name, *[""] * len(factors), *known, *beside, "prior", ""])
    columns = [*(("", head) for head in heads), *(frame.columns if len(table.columns) else ())]
    columns += [(f"ours: {group.label}", " ".join(filter(None, head))) for group, head in measured]
    return pd.DataFrame(parts, columns=pd.MultiIndex.from_tuples([*columns, ("", "by"), ("", "vmlkit")]))


def _csv(frame: pd.DataFrame) -> str:
    """Numbers alone: of what was measured also the ends of the interval and the seeds, in columns of their own."""
    out = {}
    for i, head in enumerate(frame.columns):
        name, column = " ".join(filter(None, head)), frame.iloc[:, i]
        out[name] = column.map(lambda cell: cell.value if isinstance(cell, Estimate) else cell)
        for part in ("low", "high", "seeds") if str(head[0]).startswith("ours: ") else ():
            out[f"{name} {part}"] = column.map(lambda cell, part=part: getattr(cell, part, None))
    return str(pd.DataFrame(out).to_csv(index=False))


def listing(tables: Sequence[PublishedTable]) -> pd.DataFrame:
    """One line a table: its id, label, what it shows, its data, how many of its rows vmlkit has, and their studies."""
    rows = []
    for table in tables:
        own = sum(bool(row.method or row.measured or table.hosts) for row in table.rows)
        studies = dict.fromkeys(study for row in table.lines for study, _ in row.measured)
        own_of = f"{own} of {len(table.rows)}" if table.rows else "drawn"
        names = ", ".join(studies)
        rows.append((table.id, table.label, table.about, ", ".join(table.data), own_of, names))
    return pd.DataFrame(rows, columns=["table", "label", "about", "data", "rows", "studies"])


def overview(tables: Sequence[PublishedTable]) -> str:
    """The list as text, a paper after the other, with the sources on which ``vmlkit table`` measures each."""
    lines = []
    for table, row in zip(tables, listing(tables).itertuples(index=False), strict=True):
        lines.append(f"{row.table:9}{row.about}")
        runs = measured_on(table)
        parts = [f"data {row.data}" if row.data else "", "drawn" if row.rows == "drawn" else f"rows {row.rows}",
                 f"runs on {', '.join(runs)}" if runs else "compares texts"]  # fmt: skip
        lines.append(" " * 9 + "; ".join(filter(None, [*parts, f"studies {row.studies}" if row.studies else ""])))
    end = (
        "rows: those that vmlkit has a method for; measure one: vmlkit table P0/3 --data toy; print it with where its "
    )
    end += "data are published: vmlkit tables P0/3"
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


def _text(table: PublishedTable, ours: Sequence[Ours] = ()) -> str:
    lines = [f"{table.id} ({table.label}, {table.kind}): {table.about}"]
    frame = lines_of(table, ours)
    if len(frame):
        lines += ["", _strings(frame).to_string(index=False)]
    lines += ["", *_said(table, ours)]
    return "\n".join(lines) + "\n"


def _said(table: PublishedTable, ours: Sequence[Ours] = ()) -> list[str]:
    """Everything that is said under a table."""
    lines = [f"only drawn: {table.drawn}"] if table.drawn else []
    if any(cell.seeds for group in ours for cell in group.cells.values()):
        lines.append("ours: the mean over seeds ± half its interval of 95 %, in which seeds and test videos count")
    lines += [f"ours, {group.label}: {group.source}" for group in ours]
    for group in ours:
        for (number, (_, metric)), curve in group.curves.items():
            points = ", ".join(f"{epoch}: {value:.2f}" for epoch, value in curve.items())
            lines.append(f"by epoch, {group.label}, {table.lines[number].name}, {metric}: {points}")
    lines += [*_below(table, blind=True), *_below(table, blind=False)]
    lines += [f"queries: {line}" for line in priors.counts(table)]
    lines += [f"note: {note}" for note in table.notes]
    lines += [f"text: {table.text}"] if table.text else []
    studies: dict[str, list[str]] = {}
    for row in table.lines:
        for study, name in row.measured:
            studies.setdefault(study, []).append(name)
    rows = "; ".join(f"{study}: {', '.join(dict.fromkeys(names))}" for study, names in studies.items())
    lines += [f"measured in the studies {rows}"] if rows else []
    return [*lines, *([f"see {table.see}"] if table.see else []), *needs(table)]


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
        if str(frame.columns[i][0]).startswith("ours: "):
            out[i] = column.map(_measured)
            continue
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


def _measured(cell: object) -> str:
    """An estimate, the number of a prior, or a dash."""
    if isinstance(cell, Estimate):
        return cell.text()
    return f"{cell:.2f}" if isinstance(cell, float) and cell == cell else "-"


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
