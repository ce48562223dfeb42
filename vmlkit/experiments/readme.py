"""The results section of README.md, from the committed files: ``python -m vmlkit.experiments readme``."""

import re
from pathlib import Path

from vmlkit.errors import DataError
from vmlkit.experiments.claims import RESULTS, Results, load_results

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
STUDIES = ("cpl", "planted-charades", "lnp-generators")


def section(results: Path = RESULTS) -> str:
    """A table per study with the baselines under it, its verdicts counted, and where it comes from."""
    parts = [_part(load_results(name, results)) for name in STUDIES if (results / f"{name}.json").is_file()]
    return "\n\n".join(parts)


def _part(results: Results) -> str:
    table = results.table().drop(columns="published", errors="ignore")
    lines = [["", *table.columns], ["---"] * (len(table.columns) + 1)]
    lines += [[str(name), *map(str, row)] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    counts = results.verdicts()["verdict"].value_counts()
    verdicts = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("holds", "not settled", "does not hold"))
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


def updated(text: str, body: str, where: object = "README.md") -> str:
    """``text`` with ``body`` between its markers."""
    if BEGIN not in text or END not in text:
        raise DataError(where, "the markers of the results section are missing", f"put back {BEGIN} and {END}")
    pattern = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), flags=re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{body}\n\n{END}", text)
