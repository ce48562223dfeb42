"""Answers to a sentence: ranked moments of a trained model, and beside them those that need no training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

#: columns of a table of answers
COLUMNS = ("sentence", "source", "rank", "start", "end", "score")
#: who answers
Source = Literal["trained", "similarity"]
TRAINED: Final = "trained"
SIMILARITY: Final = "similarity"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """The answers to one sentence; times in seconds, the best first."""

    sentence: str
    trained: Float[np.ndarray, "n 3"]  #: start, end, score of the model; empty without one
    similarity: Float[np.ndarray, "n 3"]  #: windows in which frames look like the sentence; empty without a text half
    curve: Float[np.ndarray, " T"] | None  #: how well each row of features fits the sentence
    times: Float[np.ndarray, "T 2"]  #: seconds of the rows
    unknown: tuple[str, ...] = ()  #: words that the model does not know
    model: str | None = None  #: who is trained
    first: Source = TRAINED  #: whose first answer counts as the answer

    def by_source(self) -> dict[Source, Float[np.ndarray, "n 3"]]:
        """The answers by who gives them, the one that counts before the other, without empty ones."""
        every: dict[Source, np.ndarray] = {TRAINED: self.trained, SIMILARITY: self.similarity}
        order = sorted(every, key=lambda name: name != self.first)
        return {name: every[name] for name in order if len(every[name])}

    @property
    def best(self) -> tuple[float, float] | None:
        """Start and end of the answer in seconds; None where nothing was found."""
        rows = next(iter(self.by_source().values()), None)
        return None if rows is None else (float(rows[0, 0]), float(rows[0, 1]))

    def rows(self) -> Iterator[tuple[str, str, int, float, float, float]]:
        """One row for each answer, with :data:`COLUMNS`."""
        for source, found in self.by_source().items():
            for rank, (start, end, score) in enumerate(found.tolist(), start=1):
                yield self.sentence, source, rank, start, end, score

    @property
    def frame(self) -> pd.DataFrame:
        """The answers as a table."""
        return pd.DataFrame(list(self.rows()), columns=list(COLUMNS))

    def __str__(self) -> str:
        lines = [f"“{self.sentence}”"]
        if self.unknown:
            lines.append(f"  unknown to the model, and passed over: {', '.join(self.unknown)}")
        columns = self.by_source()
        if not columns:
            return "\n".join([*lines, "  no moment found"])
        titles = {TRAINED: "trained (s, score)", SIMILARITY: "similarity alone (s, score)"}
        lines.append("  " + " ".join(f"{titles[name]:<29}" for name in columns).rstrip())
        for rank in range(max(map(len, columns.values()))):
            cells = [_cell(rows[rank]) if rank < len(rows) else "" for rows in columns.values()]
            lines.append(f"{rank + 1:>2} " + " ".join(f"{cell:<29}" for cell in cells).rstrip())
        return "\n".join(lines)


def _cell(row: Float[np.ndarray, "3"]) -> str:
    start, end, score = row
    return f"{start:7.2f} – {end:7.2f}  {score:6.3f}"


def table(answers: "list[Moments]") -> pd.DataFrame:
    """The answers to several sentences in one table."""
    return pd.DataFrame([row for found in answers for row in found.rows()], columns=list(COLUMNS))
