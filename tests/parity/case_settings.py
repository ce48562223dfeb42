"""The ``config`` of a golden case, of which no field may be overlooked."""

from collections.abc import Iterable
from typing import Any

from tests.parity.golden import GoldenCase


class CaseSettings:
    """Fields of a case's ``config``; :meth:`finish` fails where the case has one that the check did not look at.

    A check that ignores a field would hold a case of another setting against the wrong numbers, or pass by chance.
    """

    def __init__(self, case: GoldenCase) -> None:
        self._name, self._fields, self._seen = case.name, dict(case.meta["config"]), set[str]()

    def __getitem__(self, name: str) -> Any:
        assert name in self._fields, f"{self._name}: the config lacks '{name}'"
        self._seen.add(name)
        return self._fields[name]

    def get(self, name: str, default: Any) -> Any:
        """The field, or ``default`` where the case has none."""
        return self[name] if name in self._fields else default

    def expect(self, **values: Any) -> None:
        """Fields that the check cannot vary, or that the arrays already say; a case may leave them out."""
        for name, value in values.items():
            found = self.get(name, value)
            assert found == value, f"{self._name}: '{name}' is {found!r} and this check is for {value!r}"

    def describe(self, names: Iterable[str]) -> None:
        """Fields that only say how the case was made."""
        self._seen.update(names)

    def finish(self) -> None:
        """Fail for a field that nobody looked at."""
        unknown = sorted(self._fields.keys() - self._seen)
        assert not unknown, f"{self._name}: the check knows nothing of {unknown}"
