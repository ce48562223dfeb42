"""Kills trainings, lets them go on, and compares what they leave with a run that nobody disturbed.

``python -m tests.crashing.runner --kills 50`` kills the method of each family at so many random instants, and
``--points 1`` just before each file operation that a run makes (2: before every second one).  Every attempt is a
process of its own, forked from this one, that ends by SIGKILL; it makes its data anew, so their cache is among what is
cut short.  The seed is that of the day unless given.  The exit status is 1 where a run went on to other bits, or ended
in a traceback.
"""

import argparse
import contextlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.experiments.tiny import tiny
from tests.fuzz.runner import today
from tests.training.test_resume import assert_same_run, assert_same_values
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import run_experiment
from vmlkit.runs import RunDirectory

#: one method of each family
FAMILIES = {"reconstruction": "cpl", "detr": "bm-detr", "actions": "co2net", "components": "p4-xclip"}
#: what a process that was not killed ends with: all is well, a clear refusal, anything else
DONE, REFUSED, BROKEN = 0, 2, 70
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")


@dataclass(frozen=True)
class Outcome:
    """What became of a run that was killed and went on."""

    when: str
    kind: str  #: same, refused, or a fault: other, broken
    detail: str = ""


def started(work: Callable[[], object]) -> tuple[int, int]:
    """The number of a process forked to do ``work``, and where what it gives or says can be read."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        status, said = DONE, ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = str(work() or "")
        except (ConfigError, DataError) as error:
            status, said = REFUSED, str(error)
        except BaseException:
            status, said = BROKEN, traceback.format_exc()
        os.write(writing, said.encode()[-4000:])  # less than a pipe holds
        os._exit(status)
    os.close(writing)
    return pid, reading


def ended(pid: int, reading: int) -> tuple[int, str]:
    """The status of such a process, ``-SIGKILL`` where it was killed, and what it gave or said."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with os.fdopen(reading, encoding="utf-8", errors="replace") as file:
        return code, file.read()


def in_child(work: Callable[[], object], *, kill_after: float | None = None) -> tuple[int, str]:
    """Do ``work`` in a process forked for it, which is killed after so many seconds; its status and what it said."""
    pid, reading = started(work)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)  # it is still ours to wait for, so the number is no other's
    return ended(pid, reading)


class Trial:
    """A method on tiny data, in a folder of its own; every attempt goes on where the last was stopped."""

    def __init__(self, method: str, folder: Path) -> None:
        self.method, self.folder, self.path = method, folder, folder / "run"

    def attempt(self) -> None:
        """Train to the end, or until somebody stops it."""
        os.environ["VMLKIT_CACHE"] = str(self.folder / "cache")
        run_experiment(tiny(self.method, **{"train.epochs": 2}), self.path, progress=False)

    def compare(self, expected: "Trial") -> None:
        """Every file of both runs, bit by bit but for the seconds, and nothing left over.

        Raises:
            AssertionError: where they differ.
        """
        ours, theirs = RunDirectory(self.path), RunDirectory(expected.path)
        assert_same_run(ours, theirs)
        assert ours.metrics == theirs.metrics
        for name in ("clip_scores", "strips", "predictions"):
            a, b = getattr(ours, name), getattr(theirs, name)
            assert_same_values({k: v.tolist() for k, v in a.items()}, {k: v.tolist() for k, v in b.items()}, name)
        assert "resumed" not in ours.config
        assert sorted(p.name for p in self.folder.iterdir()) == ["cache", "run"]
        assert sorted(p.name for p in self.path.iterdir()) == sorted(p.name for p in expected.path.iterdir())


def operations(folder: Path, at: Callable[[int], None]) -> None:
    """Call ``at`` with 1, 2, ... just before each file operation below ``folder``, for the rest of this process."""
    count, sync = 0, os.fsync

    def reached() -> None:
        nonlocal count
        count += 1
        at(count)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path, changes = arguments[0] if arguments else "", event in _CHANGES
        if changes and str(path).startswith(str(folder)):
            reached()

    def counted_sync(handle: int) -> None:
        reached()
        sync(handle)

    os.fsync = counted_sync  # type: ignore[assignment]  # it has no audit event
    sys.addaudithook(hook)


def killed_at(trial: Trial, number: int) -> Callable[[], None]:
    """An attempt that is killed just before its operation of that number."""

    def work() -> None:
        def kill(count: int) -> None:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        operations(trial.folder, kill)
        trial.attempt()

    return work


@dataclass(frozen=True)
class Undisturbed:
    """A run to compare others with: how long it took, and how many file operations it made."""

    trial: Trial
    seconds: float
    operations: int

    def another(self) -> Trial:
        """The same run in a folder where nothing is yet."""
        trial = Trial(self.trial.method, self.trial.folder.parent / "trial")
        trial.folder.mkdir()
        return trial


@contextlib.contextmanager
def undisturbed(family: str) -> Iterator[Undisturbed]:
    """A run that nobody disturbs, in a folder that goes at the end of the block; all that it imports is imported."""
    folder = Path(tempfile.mkdtemp(prefix="crashing-"))
    modules, expected = folder / "modules", Trial(FAMILIES[family], folder / "expected")

    def first() -> None:
        Trial(expected.method, folder / "first").attempt()
        modules.write_text(" ".join(sys.modules))

    def second() -> int:
        counts: list[int] = []
        operations(expected.folder, counts.append)
        expected.attempt()
        return len(counts)

    try:
        code, said = in_child(first)
        assert code == DONE, said
        for name in modules.read_text().split():  # once here, and not in every process that is killed
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        expected.folder.mkdir()  # as those that are killed find theirs: making it would be operations of its own
        begun = time.monotonic()
        code, said = in_child(second)
        assert code == DONE, said
        yield Undisturbed(expected, time.monotonic() - begun, int(said))
    finally:
        shutil.rmtree(folder)


def judged(whole: Undisturbed, when: str, trial: Trial, status: tuple[int, str] | None = None) -> Outcome:
    """Let the run go on to its end, unless it has a ``status`` already, compare, and clear the place."""
    code, said = status or in_child(trial.attempt)
    if code == DONE:
        code, said = in_child(lambda: trial.compare(whole.trial))
        kind = "same" if code == DONE else "other"
    else:
        kind = "refused" if code == REFUSED else "broken"
    shutil.rmtree(trial.folder)
    return Outcome(when, kind, said)


def points(whole: Undisturbed, every: int, draws: random.Random) -> Iterator[Outcome]:
    """Kill just before file operations, each one in a run of its own, and let that run go on.

    Args:
        every: 1 for all operations; else every such, from one drawn among the first on.
    """
    for number in range(draws.randint(1, every), whole.operations + 1, every):
        trial = whole.another()
        code, said = in_child(killed_at(trial, number))
        assert code == -signal.SIGKILL, f"operation {number} of {whole.operations} was not reached: {said}"
        yield judged(whole, f"killed before operation {number} of {whole.operations}", trial)


def kills(whole: Undisturbed, count: int, draws: random.Random) -> Iterator[Outcome]:
    """Kill at random instants, the same run again and again until it ends, then the next, ``count`` times in all."""
    left = count
    while left > 0:
        trial, moments, status = whole.another(), [], None
        while left > 0 and status is None:
            moment = draws.uniform(0, whole.seconds)
            code, said = in_child(trial.attempt, kill_after=moment)
            if code == -signal.SIGKILL:
                moments.append(f"{moment:.2f}")
                left -= 1
            else:
                status = code, said
        yield judged(whole, f"killed after {', '.join(moments) or 'no'} s", trial, status)


def writers(whole: Undisturbed) -> Outcome:
    """Begin a run in two processes at once: one is refused in a sentence, or finds it finished, and does no harm."""
    trial = whole.another()
    pairs = [started(trial.attempt) for _ in range(2)]
    found = [ended(*pair) for pair in pairs]
    wrong = [said for code, said in found if code != DONE and "is being written by another process" not in said]
    if wrong or all(code != DONE for code, _ in found):
        shutil.rmtree(trial.folder)
        return Outcome("begun twice at once", "broken", "\n".join(said for _, said in found))
    return judged(whole, "begun twice at once", trial, (DONE, ""))


def main() -> int:
    """Kill, compare and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all unless given")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="random instants of each family")
    parser.add_argument("--points", type=int, default=0, metavar="K", help="every K-th file operation; 1 for all")
    parser.add_argument("--seed", type=int, default=today())
    options = parser.parse_args()
    if unknown := set(options.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}")
    print(f"seed {options.seed}", flush=True)
    faults = 0
    for family in options.families or FAMILIES:
        draws = random.Random(f"{options.seed} {family}")
        with undisturbed(family) as whole:
            found = [writers(whole)]
            found += points(whole, options.points, draws) if options.points else []
            found += kills(whole, options.kills, draws) if options.kills else []
        for outcome in found:
            if outcome.kind not in ("same", "refused"):
                faults += 1
                print(f"{family}, {outcome.when}: {outcome.kind}\n{outcome.detail}", flush=True)
        counts = Counter(outcome.kind for outcome in found)
        print(f"{family}: {len(found)} runs: {', '.join(f'{n} {kind}' for kind, n in counts.items())}", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
