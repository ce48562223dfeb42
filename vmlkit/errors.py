"""The errors a user can meet: each says in one sentence what is wrong, where, and what to do about it."""

import importlib
import sys
from typing import Any

#: characters of a part of a message, and of one about settings, which may list the choices
_LONGEST, _LONGEST_CHOICE = 600, 2000


class DataError(ValueError):
    """Input that cannot be used.

    Args:
        where: the file (or the object) at fault.
        what: the record or field, and what is wrong with it.
        remedy: what the reader can do about it.
    """

    def __init__(self, where: object, what: str, remedy: str) -> None:
        self.where, self.what, self.remedy = str(where), _one_line(what), remedy
        super().__init__(f"{_one_line(self.where)}: {self.what}; {remedy}.")


def _one_line(text: str, longest: int = _LONGEST) -> str:
    """The text of a file in a message: without what breaks or turns a line, and not longer than some lines."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return plain if len(plain) <= longest else f"{plain[: longest - 100]} ... {plain[-90:]}"


class ConfigError(ValueError):
    """A setting that does not exist, or whose value has the wrong type or range."""

    def __init__(self, said: str) -> None:
        super().__init__(_one_line(said, _LONGEST_CHOICE))


class MissingDependency(ImportError):
    """An optional package is absent.

    Args:
        package: the import name.
        extra: the extra of vmlkit that installs it.
        purpose: what needs it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': run `pip install 'vmlkit[{extra}]'`.")


def required(module: str, extra: str, purpose: str) -> Any:
    """An optional module, imported now.

    Raises:
        MissingDependency: where it is not installed; arguments as there.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependency(package, extra, purpose) from error


class TrainingDiverged(RuntimeError):
    """A loss term stopped being a finite number; says which term, which epoch and which batch."""


def escape_what_cannot_be_written() -> None:
    """Let both streams escape a character that their encoding lacks.

    A redirected report is written in the system's own encoding (cp1252 on a Western Windows), which lacks most names
    of files and most words of the world.
    """
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
