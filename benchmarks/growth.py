"""How seconds and memory grow with a data set: a quarter, half and all of ActivityNet Captions' videos and queries.

``python -m benchmarks.growth [--json PATH]``: 14,926 videos and 71,953 synthetic queries at the most.  Loaded are the
annotations and packed features (small ones; ``benchmarks.data_scale`` has the published ones); evaluated is a file of
ten windows for each query against its annotations; recorded are proposals of *every* query at three epochs, where a
run records a few dozen; and of that record the page of the scrubber is packed.  Each part of the corpus has a process
of its own.  ``growth`` is the exponent between a quarter and all: 1 is linear.
"""

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _frame
from benchmarks.data_scale import SIZES, Meter, Size, Synthetic, write_annotations
from vmlkit.data.batches import MomentDataset
from vmlkit.data.packed import pack_features
from vmlkit.data.settings import CorpusData
from vmlkit.data.sources import load
from vmlkit.experiments.prediction_report import evaluate_file
from vmlkit.files import write_json, write_npz
from vmlkit.training.history import History, probe_records, probe_strips, proposal_rows
from vmlkit.viz.scrubber import save_html

SHARES = (0.25, 0.5, 1.0)
STAGES = ("load", "evaluate", "record", "pack")
#: recorded epochs, and proposals of a query at each
EPOCHS, POSITIVES, NEGATIVES = 3, 4, 3
WINDOWS = 10


def part_of(share: float) -> Size:
    """The size of a part of the corpus, with features of a small dimension."""
    whole = SIZES["activitynet"]
    videos, queries = ((round(n * share) for n in counts) for counts in (whole.videos, whole.queries))
    return Size(whole.source, (*videos,), (*queries,), clips=32, dim=16)  # type: ignore[arg-type]


def write_answers(splits: list[MomentDataset], folder: Path) -> None:
    """Annotations in the layout of Moment-DETR, and ten windows for each query."""
    draws = np.random.default_rng(2)
    with open(folder / "truth.jsonl", "w") as truth, open(folder / "answers.jsonl", "w") as answers:
        for split in splits:
            windows = np.sort(draws.random((len(split), WINDOWS, 2)), axis=2) * split.durations[:, None, None]
            for i, (start, end) in enumerate(split.spans_s.tolist()):
                qid, duration = str(split.query_ids[i]), float(split.durations[i])
                about = {"qid": qid, "query": split.sentences[i], "vid": split.video_ids[i], "duration": duration}
                truth.write(json.dumps({**about, "relevant_windows": [[start, end]]}) + "\n")
                found = np.column_stack((windows[i], np.linspace(1, 0.1, WINDOWS))).round(3).tolist()
                answers.write(json.dumps({"qid": qid, "pred_relevant_windows": found}) + "\n")


def record(splits: list[MomentDataset], run: Path) -> None:
    """A run directory that records every query at every epoch."""
    draws, history, queries = np.random.default_rng(3), History(), []
    for split in splits:
        queries += probe_records(split, np.arange(len(split)))
    ids = [query["query_id"] for query in queries]
    for epoch in range(EPOCHS):
        roles = {}
        for role, count in (("positive", POSITIVES), ("negative", NEGATIVES)):
            spans = np.sort(draws.random((len(ids), count, 2)), axis=2)
            numbers = {name: draws.random((len(ids), count)) for name in ("iou", "nll", "ion", "weight")}
            roles[role] = {"spans": spans, "center": spans.mean(2), "width": np.ptp(spans, axis=2), **numbers}
        roles["positive"]["chosen"] = np.arange(POSITIVES) == roles["positive"]["nll"].argmin(1)[:, None]
        history.append({"epoch": epoch, "seconds": 1.0}, proposal_rows(epoch, ids, roles))
    run.mkdir()
    history.write(run)
    write_json(run / "probe.json", queries)
    write_json(run / "config.json", {"schema": 1, "name": "every query"})
    strips = [probe_strips(split, np.arange(len(split)), 4, 8) for split in splits]
    write_npz(run / "strips.npz", {name: np.concatenate([part[name] for part in strips]) for name in strips[0]})


def measure(share: float, folder: Path) -> dict[str, Any]:
    """All stages of a part in this process."""
    size = part_of(share)
    videos = write_annotations(size, folder)
    features = folder / "packed.safetensors"
    pack_features(Synthetic(size), videos, features, resample=np.asarray, clips=size.clips)
    with Meter() as meter:
        with meter.stage("load"):
            source: Any = size.source
            data = CorpusData(name=source, annotations=str(folder), features=str(features), clips=size.clips)
            loaded = load(data, progress=False)
        splits = [loaded.train, loaded.validation, loaded.test]
        write_answers(splits, folder)
        with meter.stage("evaluate"):
            evaluate_file(folder / "answers.jsonl", folder / "truth.jsonl")
        with meter.stage("record"):
            record(splits, folder / "run")
        with meter.stage("pack"):
            save_html(folder / "run", folder / "page.html")
    counts = {"videos": len(videos), "queries": sum(map(len, splits))}
    return {**counts, "seconds": meter.seconds, "clock_seconds": meter.clock_seconds, "memory_gb": meter.memory_gb}


def growth(parts: dict[str, Any], what: str) -> dict[str, float]:
    """The exponent of each stage between the smallest part and all; 1 is linear."""
    first, *_, last = parts.values()
    times = last["queries"] / first["queries"]
    return {name: round(math.log(last[what][name] / first[what][name], times), 2) for name in STAGES}


def child(share: float, rounds: int) -> dict[str, Any]:
    """The numbers of a part, each time from a process of its own: medians."""
    found = [_frame.of_a_process("growth", "--inside", str(share)) for _ in range(rounds)]
    for what in ("seconds", "clock_seconds", "memory_gb"):
        found[0][what] = {name: statistics.median(each[what][name] for each in found) for name in STAGES}
    return dict(found[0])


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = _frame.options(__doc__, "python -m benchmarks.growth --rounds 1")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each part; medians are kept")
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(options.inside, Path(folder))))
        return
    parts = {}
    for share in SHARES:
        parts[str(share)] = part = child(share, options.rounds)
        said = ", ".join(f"{name} {part['seconds'][name]:.1f} s, {part['memory_gb'][name]:.2f} GB" for name in STAGES)
        print(f"{part['queries']} queries of {part['videos']} videos: {said}", flush=True)
    grown = {what: growth(parts, what) for what in ("seconds", "memory_gb")}
    print(f"growth: {grown}")
    _frame.keep(options.json, "growth", parts=parts, growth=grown, features=dataclasses.asdict(part_of(1.0)))


if __name__ == "__main__":
    main()
