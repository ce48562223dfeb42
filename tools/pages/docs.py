"""What ``python -m tools.pages docs`` writes on the pages of docs/: departures from the papers, their tables, timings.

Where a paper and the program that its authors released differ, the line says so in a comment:

    # PAPER: what the paper says / CODE: what the released code does -> setting

or, in place of the setting, ``no switch, because REASON``.  Every page of ``docs/`` shows those of its own folder.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.step import page as steps
from tools.pages import datasheets, elsewhere, paper_tables, windows
from tools.pages import tables as published
from tools.pages.readme import updated

PACKAGE = Path(__file__).parents[2] / "vmlkit"
FAMILIES = ("reconstruction", "detr", "actions", "components")
NO_SWITCH = "no switch, because "
_MARKER = re.compile(r"PAPER: (?P<paper>.+?) / CODE: (?P<code>.+?) -> (?P<outcome>.+)")


@dataclass(frozen=True)
class Departure:
    """One place where a paper and its released code differ."""

    file: str  #: below the package
    line: int
    text: str  #: the whole comment on one line, from ``PAPER`` on

    @property
    def parts(self) -> tuple[str, str, str] | None:
        """What the paper says, what the code does, and the outcome; None for a comment of another form."""
        match = _MARKER.fullmatch(self.text)
        return (match["paper"], match["code"], match["outcome"]) if match else None

    @property
    def settings(self) -> list[str]:
        """Names of the settings that choose; empty where there is none."""
        outcome = self.parts[2] if self.parts else ""
        return [] if outcome.startswith(NO_SWITCH) else re.findall(r"[\w.]+", outcome)


def departures(source: str, file: str = "") -> Iterator[Departure]:
    """All departures in the text of one module.  A comment goes on until a line that is none, or the next departure."""
    lines = source.splitlines()
    for number, line in enumerate(lines):
        start = re.search(r"#:? (PAPER\b.*)", line)
        if start:
            text = [start[1]]
            for more in lines[number + 1 :]:
                match = re.match(r"\s*#:? (?!PAPER\b)(.*)", more)
                if not match:
                    break
                text.append(match[1].strip())
            yield Departure(file, number + 1, " ".join(text).strip())


def all_departures(package: Path = PACKAGE) -> list[Departure]:
    """Those of every module, by file and line."""
    paths = sorted(package.rglob("*.py"))
    texts = ((path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")) for path in paths)
    return [found for file, text in texts for found in departures(text, file)]


def table(page: str, found: list[Departure]) -> str:
    """The departures of a page (a family's name, or ``core`` for every other folder) as a table of Markdown."""
    rows = ["| where | the paper | the released code | which is chosen by |", "| --- | --- | --- | --- |"]
    for departure in found:
        folder = departure.file.split("/")[0]
        if departure.parts and page == (folder if folder in FAMILIES else "core"):
            paper, code, outcome = (part.replace("``", "`").replace("|", "\\|") for part in departure.parts)
            chosen = ", ".join(f"`{name}`" for name in departure.settings) or outcome
            rows.append(f"| `{departure.file}` | {paper} | {code} | {chosen} |")
    return "\n".join(rows)


def write(folder: Path = Path("docs"), package: Path = PACKAGE) -> None:
    """Bring the departures on every page of ``folder`` up to date."""
    found = all_departures(package)
    for page in (*FAMILIES, "core"):
        path = folder / f"{page}.md"
        text = updated(path.read_text(encoding="utf-8"), table(page, found), path, "departures")
        path.write_text(text, encoding="utf-8")
    path = folder / "tables.md"
    path.write_text(published.page(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in paper_tables.pages():
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / "weak_2026.md"
    path.write_text(weakly(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name, bring_up_to_date in GENERATED.items():
        path = folder / f"{name}.md"
        path.write_text(bring_up_to_date(path.read_text(encoding="utf-8")), encoding="utf-8")
    steps.draw(steps.ROOT / steps.FIGURE)
    windows.draw(folder)


def weakly(text: str) -> str:
    """The page about weak supervision with the rows of records, priors and films as they are now."""
    text = updated(text, paper_tables.weak(), "docs/weak_2026.md", "weak")
    return updated(text, paper_tables.without_training(), "docs/weak_2026.md", "free")


def measured(text: str) -> str:
    """The page about cards with what ``benchmarks/results`` has now."""
    for mark, body in steps.tables().items():
        text = updated(text, body, "docs/gpu.md", mark)
    return text


def windows_measured(text: str) -> str:
    """The page about windows with what studies and ``benchmarks/results/levers.json`` have now."""
    for mark, body in windows.tables().items():
        text = updated(text, body, "docs/windows.md", f"windows-{mark}")
    return text


#: pages of docs/ with generated parts, besides the departures and the list of tables
GENERATED: dict[str, Callable[[str], str]] = {
    "gpu": measured,
    "windows": windows_measured,
    "datasheet_toy": datasheets.toy,
    "datasheet_planted": datasheets.planted_features,
    "elsewhere": elsewhere.page,
}
