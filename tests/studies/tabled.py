"""``vmlkit table`` as tests call it."""

import pytest

from vmlkit.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0, **settings: object) -> str:
    """What the command prints: its output, or its errors where it is to end with another ``code`` than 0.

    Args:
        settings: given as ``--set KEY=VALUE``.
    """
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert main(["table", *arguments, *given]) == code
    said = capsys.readouterr()
    return said.err if code else said.out
