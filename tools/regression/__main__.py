"""``python -m tools.regression check | learn | exact | mutations``: what ``make regression`` and its relatives call.

Examples:
    python -m tools.regression check 01_cnm
    python -m tools.regression learn 01_cnm 04_bm_detr --seeds 10
    python -m tools.regression exact 07_your_own_video
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tools.regression import mutations
from tools.regression.learn import SEEDS, learn, relearn_exact
from tools.regression.quantities import drift, load, recorded
from vmlkit.errors import ConfigError, DataError, escape_what_cannot_be_written
from vmlkit.experiments import notebooks as nb


def main(arguments: list[str] | None = None) -> int:
    """0 where every number is where it was, 1 where one drifted or a notebook failed."""
    escape_what_cannot_be_written()
    parser = argparse.ArgumentParser(
        prog="python -m tools.regression", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="compare what notebooks record with tests/regression")
    exact = commands.add_parser("exact", help="write what no training changes from one execution; bands stay")
    for command in (check, exact):
        command.add_argument(
            "--executed", type=Path, default=Path("site/executed"), help="executed copies, used where current"
        )
    learning = commands.add_parser("learn", help="learn the bands again (long; goes on where it was stopped)")
    learning.add_argument("--seeds", type=int, default=SEEDS)
    broken = commands.add_parser("mutations", help="break the package in known ways; every page concerned must notice")
    for command in (check, exact, learning, broken):
        command.add_argument("notebooks", nargs="*", help="names, such as 01_cnm; default: all")
    options = parser.parse_args(arguments)
    try:
        chosen = choose(options.notebooks)
        if options.command == "learn":
            return learn_all(chosen, options.seeds)
        if options.command == "exact":
            return exact_all(chosen, options.executed)
        if options.command == "mutations":
            return break_all(options.notebooks)
        return check_all(chosen, options.executed)
    except (ConfigError, DataError, nb.NotebookFailed) as error:
        print(error, file=sys.stderr)
        return 1


def choose(names: list[str]) -> list[Path]:
    """The notebooks of these names; without any, all.

    Raises:
        ConfigError: for a name that no notebook has.
    """
    every = {path.stem: path for path in nb.list_notebooks()}
    unknown = next((name for name in names if name not in every), None)
    if unknown is not None:
        raise ConfigError(f"there is no notebook '{unknown}': choose from {', '.join(every)}")
    return [every[name] for name in names or every]


def check_all(paths: list[Path], executed: Path) -> int:
    """Compare every notebook, running those without a current executed copy, and say what drifted."""
    drifted: list[str] = []
    for path in paths:
        lines = drift(load(path.stem), found := recorded(current(path, executed)))
        print(f"{path.stem}: {len(found.every)} quantities, {len(lines)} drifted", flush=True)
        drifted += lines
    print("\n".join(drifted))
    return 1 if drifted else 0


def current(path: Path, executed: Path) -> Path:
    """The executed copy of a notebook, run now where there is none of it as the sources stand."""
    copy = executed / path.name
    return copy if nb.is_current(copy, path) else nb.run_notebook(path, executed)


def exact_all(paths: list[Path], executed: Path) -> int:
    """Write the exact numbers of every notebook from one execution."""
    for path in paths:
        print(relearn_exact(path, recorded(current(path, executed))), flush=True)
    return 0


def break_all(names: list[str]) -> int:
    """Run every fault on every page that must notice it, and say which went unnoticed."""
    missed = 0
    for key, page in mutations.chosen(names):
        with tempfile.TemporaryDirectory() as folder:
            lines = mutations.caught(key, page, stand_in(Path(folder)))
        missed += not lines
        print(f"{'caught' if lines else 'MISSED'}  {key} on {page}: {len(lines)} lines", flush=True)
        print("".join(f"    {line}\n" for line in lines[:3]), end="", flush=True)
    return 1 if missed else 0


def stand_in(folder: Path) -> Path:
    """A folder in which a page finds all of the repository, but writes beside it."""
    root = Path(__file__).parents[2]
    for entry in root.iterdir():
        if entry.name not in mutations.OWN:
            (folder / entry.name).symlink_to(entry)
    return folder


def learn_all(paths: list[Path], seeds: int) -> int:
    """Learn the bands of every notebook, and say what other seeds raise."""
    for path in paths:
        written, raised = learn(path, range(seeds))
        print("\n".join([str(written), *raised]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
