"""Cells on the machines of a cluster, by submitit: jobs that share the folder of cells, each a worker like any other.

A job that the cluster ends early loses no more than the steps since the last epoch of its cell; the same command
submits new jobs, which go on from there.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from vmlkit.errors import ConfigError, required

#: minutes a job has beyond those in which it computes, for loading data and writing
GRACE = 10
#: minutes of a job that was given no limit
DAY = 24 * 60
#: seconds between two looks at the jobs
LOOK = 5.0


class Work(Protocol):
    """What a job does."""

    @property
    def root(self) -> Path: ...
    def carry_out(self) -> None: ...


def submitted(
    works: Sequence[Work],
    told: Mapping[str, str],
    minutes: float | None,
    tick: Callable[[], None] = lambda: None,
    cluster: str = "slurm",
    look: float = LOOK,
) -> None:
    """Submit a job for each work and wait until all have ended.

    Args:
        told: options of the cluster by their name in ``sbatch``, such as ``partition``.
        minutes: how long each computes.
        tick: called while waiting.
        cluster: submitit's name of it; "local" runs the jobs as processes of this machine.
        look: seconds between two looks at the jobs.

    Raises:
        MissingDependency: without submitit.
        ConfigError: for an option that submitit does not know, no such cluster, or jobs that ended with an error.
    """
    submitit = required("submitit", "cluster", "--executor slurm")
    given = {f"{cluster}_{name}": int(value) if value.isdecimal() else value for name, value in told.items()}
    try:
        executor = submitit.AutoExecutor(folder=works[0].root / "jobs", cluster=cluster)
        executor.update_parameters(timeout_min=int((minutes or DAY) + GRACE), **given)
    except (RuntimeError, NameError, TypeError) as error:
        raise ConfigError(f"the jobs cannot be submitted: {str(error).splitlines()[0]}") from error
    jobs: list[Any] = [executor.submit(work.carry_out) for work in works]
    while not all(job.done() for job in jobs):
        tick()
        time.sleep(look)
    failed = [f"job {job.job_id}: {_last_error(str(why))}" for job in jobs if (why := job.exception())]
    if failed:
        raise ConfigError(f"{len(failed)} of {len(jobs)} jobs ended with an error: {'; '.join(failed)}")


def _last_error(text: str) -> str:
    """The line of a traceback that says what happened, or the first line of what else submitit says.

    >>> _last_error("failed with trace:\\nTraceback (most recent call last):\\nValueError: no\\n----\\nlogs")
    'ValueError: no'
    """
    lines = re.findall(r"^[\w.]*(?:Error|Exception|Diverged|Dependency): .*$", text, re.MULTILINE)
    return lines[-1] if lines else text.splitlines()[0]
