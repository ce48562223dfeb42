"""``vmlkit study merge``: results of several machines in one."""

from collections.abc import Sequence
from pathlib import Path

from vmlkit.errors import ConfigError, DataError
from vmlkit.methods import STUDIES as KNOWN
from vmlkit.studies.assembly import Measured, add_results, known_elsewhere, write_results
from vmlkit.studies.cells import Store
from vmlkit.studies.results import STUDIES, load_results, studies_in
from vmlkit.training.study import Study


def merge(folders: Sequence[Path], into: Path = STUDIES, *, store: Store | None = None) -> dict[str, list[str]]:
    """Add the cells of other folders of results to those of ``into``, study by study.

    Of two copies of a cell the first is kept: that of ``into``, then of the folders in their order.

    Args:
        folders: each with ``NAME.json`` and ``NAME.parquet`` of one or more studies.

    Returns:
        By the study's name, what was not as it should be: copies that differ.

    Raises:
        ConfigError: for a study that does not exist, or a row with settings that it does not have now.
        DataError: for a folder without results, damaged ones, or cells on other data.
    """
    names = []
    for folder in folders:
        found = list(studies_in(folder))
        if not found:
            raise DataError(folder, "holds no results of studies", "name the folder with NAME.json and NAME.parquet")
        names += found
    said = {}
    for name in dict.fromkeys(names):
        if name not in KNOWN:
            raise ConfigError(f"there is no study '{name}' now: choose among {', '.join(KNOWN)}")
        with (store or Store()).alone(f"results-{name}"):
            said[name] = _merged(KNOWN[name](), [folder for folder in folders if name in studies_in(folder)], into)
    return said


def _merged(study: Study, folders: Sequence[Path], into: Path) -> list[str]:
    measured = Measured(study)
    own = known_elsewhere(study, into, measured.said.append)
    if own is not None:
        add_results(measured, own, strict=False)
    for folder in folders:
        add_results(measured, load_results(study.name, folder), strict=True)
    write_results(measured, into)
    return measured.said
