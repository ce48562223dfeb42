"""The command ``vmlkit``: its commands, their errors and exit codes.

What a user can get wrong ends in one line on stderr and exit code 2, never in a traceback; a fault of vmlkit itself
ends in one line that says where to report it, and exit code 70.  ``--debug`` shows the traceback of either.  Everything
heavy is imported by the command that needs it, so ``vmlkit --help`` answers at once.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from vmlkit import __version__
from vmlkit.cli.cost import add_cost_command
from vmlkit.cli.data import add_data_command
from vmlkit.cli.evaluation import add_evaluate_command
from vmlkit.cli.finding import add_find_command, add_toy_video_command
from vmlkit.cli.prediction import add_predict_command
from vmlkit.cli.reports import add_labels_command, add_negatives_command
from vmlkit.cli.study import add_study_command
from vmlkit.cli.table import add_table_command
from vmlkit.cli.tables import add_priors_command, add_tables_command
from vmlkit.cli.training import add_continue_command, add_import_command, add_train_command
from vmlkit.cli.video import add_extract_command
from vmlkit.cli.welcome import add_check_command, add_tour_command
from vmlkit.components.variants.options import add_variants_command
from vmlkit.errors import ConfigError, DataError, MissingDependency, TrainingDiverged, escape_what_cannot_be_written

#: exit code of a fault of vmlkit itself (EX_SOFTWARE of sysexits.h)
FAULT = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 (a check failed), 2 (bad input), 70 (a fault of vmlkit) or 130 (interrupted).
    """
    escape_what_cannot_be_written()
    options = parser().parse_args(arguments)
    try:
        found: int = options.run(options)
        return found
    except BrokenPipeError:
        # whoever read the output, such as `head`, has seen enough; Python would complain once more on leaving
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"\nvmlkit: stopped; {options.stopped}", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        code, message = _sentence(error)
        print(f"vmlkit: {' '.join(message.split())}", file=sys.stderr)
        return code


def _sentence(error: Exception) -> tuple[int, str]:
    """Exit code and message of an error."""
    if isinstance(error, (ConfigError, DataError, MissingDependency, TrainingDiverged)):
        return 2, str(error)
    if isinstance(error, OSError):
        return 2, f"{error.filename}: {error.strerror}" if error.filename else str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return FAULT, (
        f"unforeseen {type(error).__name__} in {Path(where.filename).name}, line {where.lineno}: {error}. This is a "
        "fault of vmlkit: please report it where you got vmlkit from, with this command, what it shows with --debug, "
        "and what `vmlkit check` shows."
    )


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="vmlkit", description="Weakly supervised video-language localisation.")
    top.add_argument("--version", action="version", version=f"vmlkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        add_tour_command,
        add_check_command,
        add_data_command,
        add_extract_command,
        add_train_command,
        add_continue_command,
        add_import_command,
        add_evaluate_command,
        add_predict_command,
        add_find_command,
        add_toy_video_command,
        add_negatives_command,
        add_study_command,
        add_labels_command,
        add_tables_command,
        add_table_command,
        add_priors_command,
        add_cost_command,
        add_variants_command,
    ):
        add(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(stopped=command.get_default("stopped") or "nothing is left half-written")
    return top
