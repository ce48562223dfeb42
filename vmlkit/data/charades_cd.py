"""Charades-CD over planted features: real sentences and moments whose distribution changes between splits.

``train`` trains, ``val`` chooses the epoch, and the test split holds ``test_iid`` and ``test_ood``, told apart by the
beginning of their query ids.  The files are those of the Moment-DETR layout; windows that end after their video are
cut, and queries whose window fills the video are left out, as the released loader does.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, read_queries
from vmlkit.data.corpus import Rows, chosen_rows
from vmlkit.data.left_out import Ledger
from vmlkit.errors import DataError
from vmlkit.text.similarity import words
from vmlkit.text.tagging import TaggedSentence

FILES = {"train": "train", "validation": "val", "test_iid": "test_iid", "test_ood": "test_ood"}


def read_charades_cd(folder: Path, ledger: Ledger) -> dict[str, Rows]:
    """The four files; what was left out of each, or cut, is written down.

    Raises:
        DataError: for a missing file, or a bad record.
    """
    files = {}
    for name, path in annotation_files(folder).items():
        read = read_queries(path, "charades_cd", outside="clip", warn=False)
        tokens = [tuple(words(q.query)) for q in read.queries]
        files[name] = Rows(
            path=folder,
            annotations=_rows(read.queries),
            sentences=[TaggedSentence(t, ("NN",) * len(t)) for t in tokens],
            names=[str(q.qid) for q in read.queries],
        )
        read.account(ledger, "test" if name.startswith("test") else name)
    return files


def annotation_files(folder: Path) -> dict[str, Path]:
    """The four files; raises :class:`DataError` for one that is missing."""
    return {name: _file(folder, stem) for name, stem in FILES.items()}


def choose_queries(files: dict[str, Rows], limits: dict[str, int | None], seed: int) -> dict[str, Rows]:
    """Seeded samples for each split; the largest number of test queries is that of each of its two files."""
    splits = {"train": ("train",), "validation": ("validation",), "test": ("test_iid", "test_ood")}
    chosen = {}
    for number, (split, names) in enumerate(splits.items()):
        sizes = {name: len(files[name].annotations) for name in names}
        keys = {name: [seed, number, i] for i, name in enumerate(names)}
        chosen[split] = chosen_rows(files, {n: _sample(sizes[n], limits[split], keys[n]) for n in names})
    return chosen


def _rows(queries: Sequence[QueryAnnotation]) -> list[MomentAnnotation]:
    return [
        MomentAnnotation(
            row=q.line, video_id=q.vid, duration=q.duration_s, start=q.windows_s[0][0], end=q.windows_s[0][1],
            sentence=q.query,
        )
        for q in queries
    ]  # fmt: skip


def _sample(count: int, most: int | None, seed: list[int]) -> list[int]:
    """A seeded sample of positions, ascending."""
    if most is None or count <= most:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, most, replace=False).tolist())


def _file(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.jsonl", f"{stem}.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(folder, f"has no {stem}.jsonl", "put the four files of Charades-CD there")
