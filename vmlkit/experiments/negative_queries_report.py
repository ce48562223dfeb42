"""Which queries of a file can serve as negatives of which: a report, and the file with ``neg_query_ids`` filled in."""

import gzip
import json
from pathlib import Path

from vmlkit.data.annotations.detr_jsonl import QueryFile, read_queries
from vmlkit.data.annotations.json_lines import read_lines
from vmlkit.data.negative_queries import MAX_IOU, MAX_SIMILARITY, NegativeQueries, annotation_negatives
from vmlkit.errors import DataError
from vmlkit.text.similarity import SentenceSimilarity, sentence_similarity

#: the paper does not state its value, so the report shows what each of these would leave
SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9)


def negatives_of_file(
    path: str | Path,
    encoder: str | Path | None = None,
    max_iou: float = MAX_IOU,
    max_similarity: float = MAX_SIMILARITY,
    out: Path | None = None,
) -> str:
    """The report; with ``out`` also the annotations with ``neg_query_ids`` (gzipped where the name ends in .gz).

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
    found = annotation_negatives(file.queries, similarity, max_iou, max_similarity)
    if out is not None:
        _write(path, out, found, file)
    return "\n".join([file.report, found.report, "", *sensitivity(file, similarity, max_iou)])


def sensitivity(file: QueryFile, similarity: SentenceSimilarity, max_iou: float = MAX_IOU) -> list[str]:
    """How many queries keep a candidate under other similarity limits, one line each."""
    lines = [f"similarity below ({similarity.name})   queries with any candidate, of {len(file)}   pairs kept"]
    plain = annotation_negatives(file.queries, None, max_iou)
    for name, found in [
        *((f"{limit:g}", annotation_negatives(file.queries, similarity, max_iou, limit)) for limit in SIMILARITIES),
        ("no filter", plain),
    ]:
        covered = int((found.counts > 0).sum())
        lines.append(f"  {name:>9}   {covered} ({100 * found.coverage:.1f} %)   {len(found.candidates)}")
    return lines


def _write(path: str | Path, out: Path, found: NegativeQueries, file: QueryFile) -> None:
    qids = [q.qid for q in file.queries]
    lines = [
        json.dumps({**fields, "neg_query_ids": [qids[j] for j in found.of(i)]})
        for i, (_, fields) in enumerate(read_lines(path))
    ]
    data = ("\n".join(lines) + "\n").encode()
    out.write_bytes(gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)
