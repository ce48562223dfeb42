"""Exercises that know the learner: a check runs the learner's function and says how far it is."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vmlkit.viz import notebook as nb

#: numbers are right within this share (or this much, near zero)
TOLERANCE = 1e-4
_LONGEST = 60


class Exercises:
    """The exercises of one page, counted.

    Args:
        count: how many have a check.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._right: set[str] = set()

    def check(
        self,
        answer: Callable[..., Any],
        cases: Sequence[tuple[tuple[Any, ...], Any, str]],
        then: Callable[[], str] | str = "",
    ) -> Any:
        """Run the learner's function and say one of three things: not done yet, wrong at this input, right.

        Nothing is raised, so that a page with open exercises runs to its end.

        Args:
            answer: the learner's function; one that raises NotImplementedError is not done yet.
            cases: (inputs, what is right, a sentence that helps where the answer is another).  What is right is a
                value, compared as numbers or arrays are, or a function that says of the answer whether it is right.
            then: what to see now that it is right; a function is called only then.

        Returns:
            Markdown, to stand as the last line of a cell.
        """
        name = answer.__name__
        self._right.discard(name)
        for inputs, expected, why in cases:
            try:
                given = answer(*inputs)
            except NotImplementedError:
                return self._say("○", name, "not done yet.")
            except Exception as error:
                fault = f"it raises {type(error).__name__}: {error}"
            else:
                if _same(given, expected):
                    continue
                fault = f"it gives {_short(given)}" + (" (is a `return` missing?)" if given is None else "")
                fault += "" if callable(expected) else f", and {_short(expected)} is right"
            return self._say("✗", name, f"wrong at `{name}({', '.join(map(_short, inputs))})`: {fault}. {why}")
        self._right.add(name)
        return self._say("✓", name, f"**right**. {then() if callable(then) else then}")

    def _say(self, mark: str, name: str, words: str) -> Any:
        return nb.say(f"{mark} `{name}`: {words.strip()}\n\n*{len(self._right)} of {self.count} exercises are right.*")


def _same(given: Any, expected: Any) -> bool:
    """Whether an answer is right; one of another type or shape is not, and raises nothing."""
    try:
        if callable(expected):
            return bool(expected(given))
        if expected is None or given is None or isinstance(expected, str | bool | list | dict):
            return bool(type(given) is type(expected) and given == expected)
        a, b = np.asarray(given, dtype=float), np.asarray(expected, dtype=float)
        return a.shape == b.shape and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
    except Exception:
        return False


def _short(value: Any) -> str:
    """A value in a few characters: large arrays and tables by their shape."""
    shape = getattr(value, "shape", None)
    if shape is not None and ((len(shape) and np.prod(shape) > 9) or hasattr(value, "columns")):
        return f"{type(value).__name__.lower()} of shape {tuple(shape)}"
    if shape is not None:
        value = np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=float).round(4).tolist()
    if inspect.isroutine(value):
        return value.__name__
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
