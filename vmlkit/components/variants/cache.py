"""Answers of language models by model, prompt version and text, in one SQLite file; values are JSON."""

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError


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
        self._connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT, prompt_version TEXT, value TEXT)"
            )
            self._connection.execute("SELECT key, model, prompt_version, value FROM answers LIMIT 1").fetchall()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise DataError(path, f"is not a cache of answers ({error})", "choose another file or delete it") from error

    def get(self, model: str, prompt_version: str, text: str) -> Any:
        """The stored value, or ``None``."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT value FROM answers WHERE key = ?", (key_of(model, prompt_version, text),)
            ).fetchall()
        return json.loads(rows[0][0]) if rows else None

    def put(self, model: str, prompt_version: str, text: str, value: Any) -> None:
        """Store a value that JSON can hold."""
        row = (key_of(model, prompt_version, text), model, prompt_version, json.dumps(value, ensure_ascii=False))
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
