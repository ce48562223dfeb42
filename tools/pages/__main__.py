"""``python -m tools.pages notebooks | site | students | readme | docs | findings``: what the Makefile calls."""

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

from tools.pages import docs, readme
from tools.pages.site import build_site
from vmlkit.errors import ConfigError, escape_what_cannot_be_written
from vmlkit.experiments import notebooks as nb
from vmlkit.studies import report


def main(arguments: list[str] | None = None) -> int:
    """0 when everything ran, 1 when a notebook failed."""
    escape_what_cannot_be_written()
    parser = argparse.ArgumentParser(prog="python -m tools.pages", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("notebooks", help="execute notebooks")
    run.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    run.add_argument("--size", help="the 'size' parameter, e.g. demo (default: the notebook's own, ci)")
    site = commands.add_parser("site", help="render all notebooks, running those whose last run is out of date")
    site.add_argument("--figures", type=Path, default=Path("figures"))
    site.add_argument("--out", type=Path, default=Path("site"))
    site.add_argument("--repository", default="", metavar="OWNER/NAME", help="on GitHub, for links to source and Colab")
    students = commands.add_parser("students", help="write all notebooks without their solutions")
    students.add_argument("--out", type=Path, default=Path("site/students"))
    commands.add_parser("readme", help="write the results section of README.md from results/")
    commands.add_parser("docs", help="write departures and timings on the pages of docs/")
    commands.add_parser("findings", help="write docs/findings.md and its figures from results/studies")
    for command in (run, site):
        command.add_argument("--executed", type=Path, default=Path("site/executed"), help="where executed copies go")
    options = parser.parse_args(arguments)
    if options.command in ("readme", "docs"):
        (readme if options.command == "readme" else docs).write()
        return 0
    if options.command == "findings":
        print("\n".join(map(str, report.write())))
        return 0
    if options.command == "students":
        return write_student_editions(options.out)
    return run_all(options) if options.command == "notebooks" else render_all(options)


def student_edition(notebook: Any) -> Any:
    """A copy of the notebook (nbformat node) without the cells tagged ``solution``."""
    edition = copy.deepcopy(notebook)
    edition.cells = [cell for cell in edition.cells if "solution" not in cell.metadata.get("tags", [])]
    return edition


def write_student_editions(out: Path) -> int:
    """Every notebook without the cells tagged ``solution``; each check fails there until its exercise is done."""
    out.mkdir(parents=True, exist_ok=True)
    for path in nb.list_notebooks():
        nb.write(student_edition(nb.read(path)), out / path.name)
        print(out / path.name)
    return 0


def run_all(options: argparse.Namespace) -> int:
    """Execute every notebook, also those after one that failed."""
    failures = 0
    for path in options.notebooks or nb.list_notebooks():
        parameters = {"size": options.size} if options.size else {}
        try:
            executed = nb.run_notebook(path, options.executed, parameters, progress=_show(path.stem))
        except (ConfigError, nb.NotebookFailed) as error:
            failures += 1
            print(f"\nFAILED  {error}", file=sys.stderr)
        else:
            print(f"{nb.read(executed).metadata.papermill.duration:6.1f} s  {executed}", flush=True)
    return 1 if failures else 0


def render_all(options: argparse.Namespace) -> int:
    """Build the site; stop at the first notebook that fails."""
    try:
        index = build_site(
            nb.list_notebooks(), options.executed, options.figures, options.out, Path("docs"), options.repository
        )
    except nb.NotebookFailed as error:
        print(f"FAILED  {error}", file=sys.stderr)
        return 1
    print(f"open {index}")
    return 0


def _show(name: str) -> nb.ProgressCallback:
    """One line that counts on a terminal, a first and a last line in a log."""
    live = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if live or done in (0, total):
            text = f"{name}: {done} of {total} cells"
            print(text, end="\r" if live and done < total else "\n", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
