"""Answers of language models by model, prompt version and text, in one SQLite file; values are JSON."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

from vmlkit.files import parse_json
from vmlkit.files.tables import answered, connect

_CREATE = "CREATE TABLE answers (key TEXT PRIMARY KEY, model TEXT, prompt_version TEXT, value TEXT)"
_WHAT = "a cache of answers"


def key_of(model: str, prompt_version: str, text: str) -> str:
    """SHA-256 of the three, unambiguously joined."""
    return hashlib.sha256(json.dumps([model, prompt_version, text]).encode("utf-8")).hexdigest()


class AnswerCache:
    """A mapping that outlives the process; every entry is on the disk before :meth:`put` returns.

    Threads may share it, and so may processes.

    Raises:
        DataError: if the file is not such a cache.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = connect(self.path, _CREATE, _WHAT)

    def get(self, model: str, prompt_version: str, text: str) -> Any:
        """The stored value, or ``None``; raises :class:`~vmlkit.errors.DataError` for one that is no JSON."""
        with self._lock, answered(self.path, _WHAT):
            rows = self._connection.execute(
                "SELECT CAST(value AS TEXT) FROM answers WHERE key = ? AND value IS NOT NULL",
                (key_of(model, prompt_version, text),),
            ).fetchall()
        return parse_json(rows[0][0], self.path, what="has an answer that is", remedy="delete it") if rows else None

    def put(self, model: str, prompt_version: str, text: str, value: Any) -> None:
        """Store a value that JSON can hold."""
        row = (key_of(model, prompt_version, text), model, prompt_version, json.dumps(value, ensure_ascii=False))
        with self._lock, answered(self.path, _WHAT):
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)

    def __len__(self) -> int:
        with self._lock, answered(self.path, _WHAT):
            return int(self._connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
