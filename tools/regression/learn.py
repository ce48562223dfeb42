"""Learning the bands of a notebook: one execution a seed, kept, so that a stopped run goes on where it was."""

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.regression.quantities import LEARN, Quantities, learned, load, recorded, save
from vmlkit import provenance
from vmlkit.errors import DataError
from vmlkit.experiments import notebooks as nb
from vmlkit.files import write_json
from vmlkit.runs import read_json

KEPT = Path("runs/regression")
SEEDS = 10


def execute(path: Path, seed: int, out: Path) -> tuple[Quantities, list[str]]:
    """Run a notebook at ``ci`` size with a seed, in a run folder of its own.

    An assertion that names its seed may fail with another; the page goes on, and what failed is returned.

    Returns:
        What it recorded, and one line for every cell that raised.

    Raises:
        NotebookFailed: where the kernel died.
        DataError: where a cell raised before anything was recorded.
    """
    with tempfile.TemporaryDirectory() as folder:
        parameters = {"size": "ci", "seed": seed, "run_dir": f"{folder}/run"}
        try:
            executed = nb.run_notebook(path, out, parameters, keep_going=True)
        except nb.NotebookFailed as error:
            if error.executed is None:
                raise
            executed = error.executed
    cells = nb.read(executed).cells
    raised = [
        f"cell {i} with seed {seed}: {output.ename}: {output.evalue}"
        for i in nb.failing_cells(cells)
        for output in cells[i].outputs
        if output.output_type == "error"
    ]
    return recorded(executed), raised


def learn(path: Path, seeds: Iterable[int] = range(SEEDS), kept: Path = KEPT) -> tuple[Path, list[str]]:
    """Learn the bands of one notebook and write its file.

    Args:
        path: the notebook.
        seeds: the first is the page's own.
        kept: folder of what each seed recorded; one of the same notebook and sources is not run again.

    Returns:
        The file written, and what was raised on the way.

    Raises:
        DataError: where tracked files differ from the revision that the file would name.
    """
    made = _made(path)
    mark = nb.fingerprint(path)
    found, raised = {}, []
    for seed in seeds:
        note = kept / f"{path.stem}-{mark}-{seed}.json"
        if not note.is_file():
            quantities, failed = execute(path, seed, kept / "executed" / str(seed))
            write_json(note, {"quantities": dataclasses.asdict(quantities), "raised": failed})
            print(f"{path.stem}, seed {seed}: {len(quantities.every)} quantities", flush=True)
        record = read_json(note)
        pairs = [(a, b) for a, b in record["quantities"]["above"]]
        found[seed] = Quantities(record["quantities"]["exact"], record["quantities"]["band"], pairs)
        raised += record["raised"]
    return save(learned(path.stem, found, made)), raised


def relearn_exact(path: Path, found: Quantities) -> Path:
    """Write the exact numbers of one execution into a notebook's file; bands and pairs stay as they were learned.

    No training changes an exact number, so one execution says as much of it as ten.

    Args:
        path: the notebook.
        found: what an execution of it recorded.

    Raises:
        DataError: where tracked files differ from the revision that the file would name, or the page records other
            bands or pairs than the file has.
    """
    made, record = _made(path), load(path.stem)
    if set(found.band) != set(record["band"]) or {tuple(pair) for pair in record["above"]} - set(found.above):
        raise DataError(path.stem, "records other bands or pairs than its file", f"run `{LEARN} {path.stem}`")
    exact = learned(path.stem, {0: found, 1: found}, {})["exact"]
    provenance_of = {**record["provenance"], "revision_of_exact": made["revision"]}
    return save({**record, "exact": exact, "provenance": provenance_of})


def _made(path: Path) -> dict[str, Any]:
    made = provenance.made_with(threads=None)
    if str(made["revision"]).endswith("+changes"):
        raise DataError(path.parent, "tracked files differ from the last commit", "commit before bands are learned")
    return made
