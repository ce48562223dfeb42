"""Changed inputs for every reader: each is read or refused in one sentence, in three seconds and a gigabyte.

Continuous integration takes the seed of the day; ``make fuzz N=100000`` runs longer.  What once escaped is a small test
of its reader beside the others.
"""

import os
import random
import sys
from pathlib import Path

import pytest

from tests.fuzz import mutators, records, runner, targets

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc to watch time and memory")
#: a developer's run takes a few; continuous integration sets 2000
CASES = int(os.environ.get("VMLKIT_FUZZ_CASES", "60"))


@pytest.mark.filterwarnings("default")  # the runner's workers see warnings, not errors
def test_the_good_files_of_every_target_are_read(tmp_path: Path) -> None:
    for number, target in enumerate(targets.TARGETS):
        folder = tmp_path / str(number)
        folder.mkdir()
        target.make(folder)
        assert any(path.match(target.files) for path in folder.rglob("*")), target.name
        said = target.read(folder)
        assert not isinstance(said, str) or said[:2] in ("0 ", "1 "), f"{target.name}: {said}"


def test_changed_inputs_are_read_or_refused() -> None:
    found = runner.run(CASES, runner.today(), stop_s=float(os.environ.get("VMLKIT_FUZZ_SECONDS", "1e9")))
    escaped = [vars(outcome) for outcome in found if outcome.escaped]
    assert escaped == [], f"seed {runner.today()}: repeat one with python -m tests.fuzz.runner --only NUMBER"
    kinds = {outcome.kind for outcome in found}
    assert kinds == {"read", "refused"}, "changes that are all refused, or all read, test nothing"


def test_a_case_is_decided_by_its_number(tmp_path: Path) -> None:
    changes = []
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        records.dump(tmp_path / part / "x.json", records.CNM)
        changes.append(mutators.mutate(tmp_path / part / "x.json", random.Random("7 3")))
    assert changes[0] == changes[1]
    assert (tmp_path / "a" / "x.json").read_bytes() == (tmp_path / "b" / "x.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "kind"), [("escape", "traceback"), ("swallow", "memory"), ("spin", "hang")])
def test_a_fault_is_noticed(fault: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMLKIT_FUZZ_FAULT", fault)
    assert [outcome.kind for outcome in runner.run(1, 0)] == [kind]
