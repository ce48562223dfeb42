"""Runs cases: each in a worker process that is watched for time and memory.

``python -m tests.fuzz.runner --cases 2000 --seed 7`` prints what escaped, with the number of each case;
``--only N`` runs one case alone with its traceback, and ``--readers run`` only readers with that in their name.  A case
is decided by seed, number and readers, so a number names it for ever.  The seed is that of the day unless given, and is
printed.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: seconds of processor that a case may take, seconds that it may wait for something, bytes that it may add
CPU_S, WALL_S, MEMORY = 3.0, 30.0, 1 << 30
#: what the readers are told they may take, 10^9 bytes; a quarter of MEMORY: parsed values take more than their text
BUDGET_GB = "0.25"


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    number: int
    target: str
    change: str
    kind: str  #: read, refused, traceback, unclear, silent, hang, memory, died
    detail: str = ""

    @property
    def escaped(self) -> bool:
        """Whether it is a fault of ours."""
        return self.kind not in ("read", "refused")


def today() -> int:
    """The seed of the day."""
    return int(datetime.datetime.now(datetime.UTC).strftime("%Y%m%d"))


# ---- in the worker


def run_case(seed: int, number: int, good: Path, *, show: bool = False) -> Outcome:
    """One case: copy good files, change one or two, read them."""
    from tests.fuzz import mutators, targets
    from vmlkit.errors import ConfigError, DataError, MissingDependency

    draws = random.Random(f"{seed} {number}")
    target = targets.draw(draws, os.environ.get("VMLKIT_FUZZ_READERS", ""))
    if fault := os.environ.get("VMLKIT_FUZZ_FAULT"):  # a test of this file
        target = dataclasses.replace(target, read=targets.FAULTS[fault])
    source = good / target.name.replace(" ", "_").replace("/", "_")
    if not source.is_dir():
        unfinished = Path(tempfile.mkdtemp(dir=good))  # a worker may be stopped while it makes them
        target.make(unfinished)
        unfinished.rename(source)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        home = Path(temporary) / "home"
        mutators.copied(source, home)
        files = sorted(path for path in home.rglob("*") if path.is_file() and path.match(target.files))
        changes = [mutators.mutate(draws.choice(files), draws)]
        outcome = Outcome(number, target.name, "; ".join(changes)[:300], "read")
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(open(os.devnull, "w")):
                warnings.simplefilter("ignore")
                target.read(home)
        except (DataError, ConfigError, MissingDependency) as error:
            text = str(error)
            clear = "\n" not in text.strip() and 10 < len(text) < 3000
            outcome = _changed(outcome, "refused" if clear else "unclear", text)
        except AssertionError as error:
            outcome = _changed(outcome, "silent", f"{error} {_last(error)}")
        except BaseException as error:
            if show:
                traceback.print_exc()
            outcome = _changed(outcome, "traceback", f"{type(error).__name__}: {str(error)[:200]} {_last(error)}")
        left = [path.name for path in Path(temporary).iterdir() if path.name != "home"]
        if left:
            outcome = _changed(outcome, "outside", f"left {left}")
        for path in home.rglob("*"):  # a folder that was made unreadable would stay
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
    return outcome


def _changed(outcome: Outcome, kind: str, detail: str) -> Outcome:
    return Outcome(outcome.number, outcome.target, outcome.change, kind, detail[:600])


def _last(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "vmlkit" in f.filename or "fuzz" in f.filename]
    return " < ".join(reversed(ours[-4:]))


def _peak() -> int:
    """Bytes of the largest resident size since it was last forgotten."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def _work(pipe: Any, seed: int, good: Path) -> None:
    os.environ["VMLKIT_MEMORY_GB"] = BUDGET_GB
    os.environ["VMLKIT_CACHE"] = str(good / "cache")
    import matplotlib as mpl

    mpl.use("agg")
    import torch

    torch.set_num_threads(1)
    from tests.fuzz import targets  # noqa: F401 - the imports are slow

    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (virtual + 4 * MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        before, started = _peak(), time.process_time()
        outcome = run_case(seed, number, good)
        spent, added = time.process_time() - started, _peak() - before
        if added > MEMORY and not outcome.escaped:
            outcome = _changed(outcome, "memory", f"{added / 1e9:.2f} GB; {outcome.detail}")
        pipe.send((outcome, spent))


class Worker:
    """A process that runs cases; it is replaced when one of them takes it down."""

    def __init__(self, seed: int, good: Path) -> None:
        self.seed, self.good = seed, good
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.seed, self.good), daemon=True)
        self.process.start()
        theirs.close()
        assert self.pipe.recv() == "ready"

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, number: int) -> tuple[Outcome, float]:
        """The outcome of a case and the seconds of processor that it took."""
        self.pipe.send(number)
        started, before = time.monotonic(), self._cpu()
        while not self.pipe.poll(0.25):
            if not self.process.is_alive():
                break
            # the good files of a target are made at its first case, which takes longer
            spent, since = self._cpu() - before, time.monotonic() - started
            if spent > 4 * CPU_S or (since > WALL_S and spent < 0.1 * since / WALL_S):
                self.process.kill()
                self.process.join()
                self._start()
                return Outcome(number, "?", "?", "hang", "ran until it was stopped"), time.monotonic() - started
        try:
            outcome, spent = self.pipe.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            self._start()
            return Outcome(number, "?", "?", "died", f"exit code {code}"), time.monotonic() - started
        return outcome, spent

    def close(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join()


def run(cases: int, seed: int, first: int = 0, stop_s: float = 1e9) -> list[Outcome]:
    """The outcomes of the cases ``first`` to ``first + cases``, or of those that fit into ``stop_s`` seconds."""
    good = Path(tempfile.mkdtemp(prefix="fuzz-good-"))
    worker, found, started = Worker(seed, good), [], time.monotonic()
    slow: Counter[str] = Counter()
    try:
        for number in range(first, first + cases):
            outcome, spent = worker.run(number)
            if spent > CPU_S and not outcome.escaped:
                slow[outcome.target] += 1
                if slow[outcome.target] > 1:  # the first case of a target makes its good files
                    outcome = _changed(outcome, "hang", f"{spent:.1f} s of processor")
            found.append(outcome)
            if outcome.escaped:
                print(json.dumps(vars(outcome)), flush=True)
            if time.monotonic() - started > stop_s:
                break
        worker.close()
    finally:
        worker.process.kill()
        shutil.rmtree(good, ignore_errors=True)
    return found


def main() -> int:
    """Run cases and count what became of them; 1 where one escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=today())
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--only", type=int, help="run this case alone, with its traceback")
    parser.add_argument("--readers", default="", help="only those with this in their name")
    options = parser.parse_args()
    os.environ["VMLKIT_FUZZ_READERS"] = options.readers
    if options.only is not None:
        os.environ["VMLKIT_MEMORY_GB"] = BUDGET_GB
        with tempfile.TemporaryDirectory(prefix="fuzz-good-") as good:
            print(run_case(options.seed, options.only, Path(good), show=True))
        return 0
    print(f"seed {options.seed}", flush=True)
    found = run(options.cases, options.seed, options.first, options.seconds)
    counts = Counter(outcome.kind for outcome in found)
    print(f"{len(found)} cases: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return int(any(outcome.escaped for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
