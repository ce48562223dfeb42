"""The results section of README.md, from the committed files: ``python -m tools.pages readme``."""

import re
from pathlib import Path

from vmlkit.errors import DataError
from vmlkit.experiments.claims import RESULTS, Results, load_results

STUDIES = ("cpl", "planted-charades", "lnp-generators")
VERDICTS = ("holds", "open", "contradicted")


def section(results: Path = RESULTS) -> str:
    """A table per study with the baselines under it and where it comes from, then the verdicts of all studies."""
    parts = [_part(load_results(name, results)) for name in STUDIES if (results / f"{name}.json").is_file()]
    return "\n\n".join([*parts, _all(results)])


def _all(results: Path) -> str:
    """One line a study: how many of its claims hold.  The notebooks show the tables and what was looked at."""
    lines = ["**All studies**: how many claims hold, are open, or are contradicted, by intervals over seeds.", ""]
    lines += [f"| study | command | {' | '.join(VERDICTS)} |", "| --- " * (2 + len(VERDICTS)) + "|"]
    for path in sorted(results.glob("*.json")):
        study = load_results(path.stem, results)
        counts = study.verdicts()["verdict"].value_counts()
        numbers = " | ".join(str(counts.get(word, 0)) for word in VERDICTS)
        lines.append(f"| {study.record['title']} | `{study.record['command']}` | {numbers} |")
    return "\n".join(lines)


def _part(results: Results) -> str:
    table = results.table().drop(columns="published", errors="ignore")
    lines = [["", *table.columns], ["---"] * (len(table.columns) + 1)]
    lines += [[str(name), *map(str, row)] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    counts = results.verdicts()["verdict"].value_counts()
    verdicts = ", ".join(f"{counts.get(word, 0)} {word}" for word in VERDICTS)
    rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"**{results.record['title']}**, percent, mean ± standard deviation over seeds. {results.record['note']}\n\n"
        f"{rows}\n\nClaims: {verdicts}. Made by {results.provenance}."
    )


def write(readme: Path = Path("README.md"), results: Path = RESULTS) -> None:
    """Replace what stands between the markers of ``readme``.

    Raises:
        DataError: if the markers are not there.
    """
    readme.write_text(updated(readme.read_text(encoding="utf-8"), section(results), readme), encoding="utf-8")


def updated(text: str, body: str, where: object = "README.md", part: str = "results") -> str:
    """``text`` with ``body`` between the two marks of ``part``, which are HTML comments.

    Raises:
        DataError: if the marks are not there.
    """
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    if begin not in text or end not in text:
        raise DataError(where, f"the markers of the section '{part}' are missing", f"put back {begin} and {end}")
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), flags=re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", text)
