"""Which queries of a file can serve as negatives of which: a report, and the file with ``neg_query_ids`` filled in."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmlkit import provenance
from vmlkit.data.annotations.detr_jsonl import QueryFile, read_queries
from vmlkit.data.annotations.json_lines import read_lines
from vmlkit.detr.negative_queries import MAX_IOU, MAX_SIMILARITY, NegativeQueries, find_negatives
from vmlkit.errors import ConfigError, DataError
from vmlkit.text.similarity import sentence_similarity

#: the paper does not state its value, so the report shows what each of these would leave
SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Coverage:
    """What one file offers: the candidates by the rules asked for, and under other similarity limits."""

    file: QueryFile
    found: NegativeQueries
    by_similarity: Mapping[str, NegativeQueries]  #: "0.5", ..., and "no filter"
    similarity: str  #: what measures it

    def __str__(self) -> str:
        lines = [self.file.report, self.found.report, ""]
        lines.append(
            f"similarity below ({self.similarity})   queries with any candidate, of {len(self.file)}   pairs kept"
        )
        for limit, other in self.by_similarity.items():
            covered = int((other.counts > 0).sum())
            lines.append(f"  {limit:>9}   {covered} ({100 * other.coverage:.1f} %)   {len(other.candidates)}")
        return "\n".join(lines)

    @property
    def record(self) -> dict[str, Any]:
        """The numbers, for a JSON file."""
        return {
            "file": "/".join(Path(self.file.path).parts[-2:]),
            "queries": len(self.file),
            "videos": int(self.found.videos.max()) + 1,
            "rule": self.found.rule,
            "pairs_of_one_video": self.found.pairs,
            "left_out": dict(self.found.left_out),
            "kept": len(self.found.candidates),
            "queries_with_any": int((self.found.counts > 0).sum()),
            "queries_with_any_by_similarity": {
                limit: int((other.counts > 0).sum()) for limit, other in self.by_similarity.items()
            },
        }


def coverage(
    path: str | Path,
    encoder: str | Path | None = None,
    max_iou: float = MAX_IOU,
    max_similarity: float = MAX_SIMILARITY,
) -> Coverage:
    """Find the candidates of every query of a file.

    Args:
        path: annotations in the Moment-DETR layout, with windows.
        encoder: folder of a sentence encoder; None: TF-IDF.

    Raises:
        DataError: for a file that cannot be used, such as one without windows (TVSum).
    """
    file = read_queries(path)
    if file.kind == "labels":
        raise DataError(path, "holds clip labels and no windows", "give a file of moments")
    similarity = sentence_similarity([q.query for q in file.queries], encoder)
    parts = [q.vid for q in file.queries], [q.windows_s for q in file.queries]
    others = {f"{limit:g}": find_negatives(*parts, similarity, max_iou, limit) for limit in SIMILARITIES}
    others["no filter"] = find_negatives(*parts, None, max_iou)
    found = find_negatives(*parts, similarity, max_iou, max_similarity)
    return Coverage(file, found, others, similarity.name)


def negatives_of_files(
    paths: Sequence[str | Path],
    encoder: str | Path | None = None,
    max_iou: float = MAX_IOU,
    max_similarity: float = MAX_SIMILARITY,
    out: Path | None = None,
    json_path: Path | None = None,
) -> str:
    """The reports of several files.

    Args:
        paths, encoder, max_iou, max_similarity: see :func:`coverage`.
        out: where to write the annotations with ``neg_query_ids`` (of one file; gzipped where the name ends in .gz).
        json_path: where to write the numbers and what they were computed with.

    Raises:
        ConfigError: for ``out`` with several files.
        DataError: see :func:`coverage`.
    """
    if out is not None and len(paths) != 1:
        raise ConfigError("--out takes the annotations of one file; run the command once for each")
    found = [coverage(path, encoder, max_iou, max_similarity) for path in paths]
    if out is not None:
        negatives = found[0].found.ids([q.qid for q in found[0].file.queries]).values()
        copied = zip(read_lines(paths[0]), negatives, strict=True)
        data = "".join(json.dumps({**fields, "neg_query_ids": ids}) + "\n" for (_, fields), ids in copied).encode()
        out.write_bytes(gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)
    if json_path is not None:
        record = {
            "command": "vmlkit negatives",
            "similarity": found[0].similarity,
            "files": [one.record for one in found],
            "versions": provenance.versions(),
            "revision": provenance.revision(),
        }
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return "\n\n".join(map(str, found))
