"""The command that tests kill: the study ``tiny`` with so many seeds, in the folder given.

``python -m tests.studies.sweep FOLDER SEEDS JOBS``
"""

import sys
from pathlib import Path

from tests.studies.tiny import tiny
from vmlkit.studies.cells import Store
from vmlkit.studies.run import Options, run_study

if __name__ == "__main__":
    folder, seeds, jobs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    options = Options(seeds=seeds, jobs=jobs, allow_dirty=True)
    run_study(tiny(), options, store=Store(folder / "runs"), results=folder / "results")
