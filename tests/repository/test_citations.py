"""Every citation of a paper, every ambiguity by its number and every departure with its switch resolves."""

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.pages import docs
from vmlkit.errors import ConfigError
from vmlkit.papers import citations, label, papers

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vmlkit"
SELF = Path(__file__).relative_to(ROOT).as_posix()

#: something with a number that belongs to a paper, whether or not it is a proper citation
_MENTION = re.compile(
    r"\b(?:Eqs?\.?|Equations?|Tables?|Tabs?\.|Figs?\.?|Figures?|Secs?\.|Sections?)\s+\(?\d+(?:\.\d+)*", re.IGNORECASE
)
#: a second number that hangs on a citation without a key of its own
_HANGING = re.compile(
    r"P\d (?:Eq\. \(\d+\)(?:,| and| to|-|/)\s*\(?\d|(?:Table|Fig\.|Sec\.) \d[\w.]*(?: and| to|-|/)\s*\d+[a-c]?\b)"
)
#: documents that are not in the repository
_NOTES = re.compile(r"\bspecifications?\b|\bour notes\b", re.IGNORECASE)
_AMBIGUITY = re.compile(r"\bA\d{1,2}\b")


def one_line(text: str) -> str:
    """``text`` without its line breaks, nor the signs of comments and of joined strings around them."""
    joined = re.sub(r"""["']\s*\n\s*[fr]?["']""", "", text)
    return re.sub(r"\s*\n[ \t]*(?:#:?|>)?[ \t]*", " ", joined)


def wrong_citations(text: str) -> list[str]:
    """What stands in ``text`` for an equation, table, figure or section and is no citation that resolves."""
    line = one_line(text)
    proper = [(m.start(), m.end()) for c in set(citations(line)) for m in re.finditer(re.escape(c), line)]
    stray = [m for m in _MENTION.finditer(line) if not any(a <= m.start() < b for a, b in proper)]
    wrong = [line[max(m.start() - 20, 0) : m.end() + 5] for m in stray]
    for citation in citations(line):
        try:
            label(citation)
        except ConfigError as error:
            wrong.append(str(error))
    return wrong + [m.group() for pattern in (_HANGING, _NOTES) for m in pattern.finditer(line)]


def unknown_ambiguities(text: str, known: Iterable[str]) -> list[str]:
    return sorted(set(_AMBIGUITY.findall(text)) - set(known))


def ambiguities(page: str) -> list[str]:
    """The headings of ``docs/reconstruction.md`` that begin with the number of an ambiguity."""
    return re.findall(r"^#+ (A\d{1,2})\b", page, flags=re.MULTILINE)


def settings_fields() -> set[str]:
    """Fields of every settings class of the package: its frozen data classes with keywords only."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any("kw_only=True" in ast.unparse(d) for d in node.decorator_list):
                names |= {
                    f.target.id for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)
                }
    return names


def wrong_departures(source: str, fields: set[str]) -> list[str]:
    """Comments on a departure that are in another form, name no switch, or one that does not exist."""
    wrong = []
    found = list(docs.departures(source))
    for departure in found:
        unknown = [name for name in departure.settings if name.split(".")[-1] not in fields]
        if departure.parts is None:
            wrong.append(f"line {departure.line}: not `# PAPER: ... / CODE: ... -> ...`: {departure.text}")
        elif unknown:
            wrong.append(f"line {departure.line}: {', '.join(unknown)} is a field of no settings class")
    starts = {departure.line for departure in found}
    lines = enumerate(source.splitlines(), 1)
    return wrong + [f"line {n}: PAPER: inside a line" for n, line in lines if "PAPER:" in line and n not in starts]


def texts() -> dict[str, str]:
    """Every text of the repository that may cite, by its path."""
    patterns = (
        "vmlkit/**/*.py",
        "vmlkit/*/studies.json",
        "vmlkit/tables/*.json",
        "tests/**/*.py",
        "tools/**/*.py",
        "benchmarks/*.py",
        "notebooks/*.py",
        "notebooks/*.md",
    )
    paths = [p for pattern in (*patterns, "docs/*.md", "*.md", "CITATION.cff") for p in sorted(ROOT.glob(pattern))]
    found = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    for path in sorted((ROOT / "results" / "studies").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        claims = [claim[key] for claim in record["claims"] for key in ("text", "source")]
        found[path.relative_to(ROOT).as_posix()] = "\n\n".join([record["title"], record["note"], *claims])
    return {path: text for path, text in found.items() if path != SELF}


TEXTS = texts()
FIELDS = settings_fields()
KNOWN = ambiguities((ROOT / "docs" / "reconstruction.md").read_text(encoding="utf-8"))


def wrong_in_file(path: str) -> list[str]:
    text, wrong = TEXTS[path], wrong_citations(TEXTS[path])
    if path.startswith("vmlkit/"):
        wrong += wrong_departures(text, FIELDS)
    if path.startswith(("vmlkit/reconstruction/", "notebooks/", "docs/", "README")):
        wrong += unknown_ambiguities(text, KNOWN)
    return wrong


@pytest.mark.parametrize("path", TEXTS)
def test_what_a_file_cites_exists(path: str) -> None:
    wrong = wrong_in_file(path)
    assert not wrong, f"{path}: {wrong}"


def test_every_paper_is_labelled_without_gaps() -> None:
    counts = {"P0": (5, 5, 7), "P1": (15, 5, 3), "P2": (17, 10, 4), "P3": (12, 8, 3), "P4": (7, 5, 5)}
    assert papers().keys() == counts.keys()
    for key, numbers in counts.items():
        labels = papers()[key]["labels"]
        for form, count in zip(("Eq. ({})", "Table {}", "Fig. {}"), numbers, strict=True):
            assert all(form.format(n) in labels for n in range(1, count + 1))
            assert form.format(count + 1) not in labels
        assert all(citations(f"{key} {name}") == [f"{key} {name}"] for name in labels), "a label in no citable form"
        assert all(name.strip() for name in labels.values())


def test_all_ambiguities_of_p0_are_explained() -> None:
    assert sorted(KNOWN, key=lambda name: int(name[1:])) == [f"A{n}" for n in range(1, 17)]


@pytest.mark.parametrize(
    "text",
    [
        "the mask of Eq. (4)",  # no key
        "see P0 Fig. 8",  # no such figure
        "see P1 Sec. 3.2",  # the paper does not number its sections
        "see P5 Table 1",  # no such paper
        "see P0, Table 3",  # another form
        "P0 Eq. (1) to (3)",  # a range
        "P0 Table 1 and 2",
        "CPL, Table 1",  # another work
        "the sum (P0\n    # Eq. (6))",  # over a line break
        "as specification 12.2 says",
        "Section B.10 of our notes",
        "P2 Tables 3",
    ],
)
def test_a_wrong_citation_is_found(text: str) -> None:
    assert wrong_citations(text)


def test_proper_citations_pass() -> None:
    text = "P0 Eq. (1) and P0 Eq. (2), over P0\n    # Table 5a; (P2 Sec. 3.3.4) 'P1\"\n \"Fig. 2b'"
    assert not wrong_citations(text)
    assert citations(one_line(text)) == ["P0 Eq. (1)", "P0 Eq. (2)", "P0 Table 5a", "P2 Sec. 3.3.4"]


@pytest.mark.parametrize(
    "comment",
    [
        "# PAPER: a / CODE: b",
        "# PAPER: a / CODE: b -> nobodys_setting",
        "# PAPER: a / CODE: b -> no switch",
        "# PAPER: a / GAP: b -> alpha",
        "# PAPER Eq. (8): a / CODE: b -> alpha",
        "x = 1  #: unit; PAPER: .2",
        "# PAPER: a / CODE: b\n#   -> nobodys_setting",
    ],
)
def test_a_departure_without_its_switch_is_found(comment: str) -> None:
    assert wrong_departures(comment, {"alpha", "gamma"})


def test_departures_with_a_switch_or_a_reason_pass() -> None:
    good = (
        "# PAPER: a / CODE: b -> ``model.alpha``, gamma\n"
        "# PAPER: a long one\n#   over lines / CODE: b\n#   -> no switch, because it is a slip\nx = 1\n"
    )
    assert not wrong_departures(good, {"alpha", "gamma"})
    assert [d.settings for d in docs.departures(good)] == [["model.alpha", "gamma"], []]


def test_an_unknown_ambiguity_is_found() -> None:
    assert unknown_ambiguities("A10 (ii), A17", KNOWN) == ["A17"]


def test_pages_show_the_departures_of_the_source() -> None:
    found = docs.all_departures()
    for page in (*docs.FAMILIES, "core"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        expected = docs.updated(text, docs.table(page, found), page, "departures")
        assert text == expected, "run `python -m tools.pages docs`"
