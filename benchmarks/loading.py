"""Loading the annotations of ActivityNet Captions: seconds and memory, in processes of their own.

    python -m benchmarks.loading
    python -m benchmarks.loading --annotations FOLDER

Read are the records of the training and of a validation file, their words and tags, and what a split keeps of them
(word ids, masks, weights).  Without a folder, annotations of the size of the corpus are written in the layout of its
authors: 14,926 videos and 71,953 sentences, the two validation files as one.  The first load tags every sentence; later
ones read the tags from the cache.  Each load is a process; its peak memory has everything that Python imports in it.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import _frame
from vmlkit.data.assembly import encode_sentences
from vmlkit.data.corpus import read_corpus
from vmlkit.data.left_out import Ledger
from vmlkit.text.vocabulary import Vocabulary

#: videos and sentences of each file
SIZES = {"train.json": (10_009, 37_417), "val_1.json": (4_917, 34_536)}
#: most frequent words that models keep
VOCABULARY = 8_000
_STEMS = ("man", "woman", "dog", "ball", "stage", "camera", "water", "horse", "bike", "child", "table", "crowd")
_VERBS = ("walks", "throws", "holds", "is seen speaking", "jumps", "begins to play", "lifts", "cuts", "is riding")


def write_annotations(folder: Path, seed: int = 0) -> None:
    """Sentences of about thirteen words over a vocabulary as large as the corpus's, with spans."""
    rng = np.random.default_rng(seed)
    for name, (videos, sentences) in SIZES.items():
        counts = np.full(videos, sentences // videos)
        counts[: sentences - counts.sum()] += 1
        content = {}
        for video, count in enumerate(counts.tolist()):
            duration = round(float(rng.uniform(10, 240)), 2)
            spans = np.sort(rng.random((count, 2)), axis=1) * duration
            content[f"v_{name[:2]}{video:09d}"] = {
                "duration": duration,
                "timestamps": [[round(float(a), 2), round(float(max(b, a + 0.5)), 2)] for a, b in spans],
                "sentences": [_sentence(rng) for _ in range(count)],
            }
        (folder / name).write_text(json.dumps(content))


def _sentence(rng: np.random.Generator) -> str:
    rare = [f"{_STEMS[int(i) % len(_STEMS)]}{chr(97 + int(i) % 26)}{int(i) // 26}" for i in rng.zipf(1.4, 2) % 9000]
    first, second = rng.choice(_STEMS, 2)
    return f" A {first} in a {rare[0]} {rng.choice(_VERBS)} and the {second} stands next to the {rare[1]}, smiling."


def load_once(folder: Path, cache: Path) -> dict[str, float]:
    """One load: seconds, and the process's peak memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    ledger = Ledger()
    files = read_corpus(folder, "activitynet", beyond_duration="clip", cache_dir=cache, ledger=ledger)
    vocabulary = Vocabulary.from_sentences((s.tokens for s in files["train"].sentences), VOCABULARY)
    for split, rows in files.items():
        encode_sentences(rows.sentences, vocabulary).report(ledger, split, vocabulary)
    rows = [row for part in files.values() for row in part.annotations]
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "videos": len({row.video_id for row in rows}),
        "queries": len(rows),
    }


def main() -> None:
    """Measure the first load and later ones, print, and write the JSON where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--annotations", type=Path, help="folder with the real files (default: as large, written here)")
    parser.add_argument("--rounds", type=int, default=3, help="later loads")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(load_once(options.annotations, options.once)))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = options.annotations or Path(place)
        if not options.annotations:
            write_annotations(folder)
        own = ("loading", "--annotations", str(folder), "--once", str(Path(place, "cache")))
        loads = [_frame.of_a_process(*own) for _ in range(1 + options.rounds)]
    later = min(loads[1:], key=lambda load: load["wall_s"])
    for name, load in (("first load (tags are made)", loads[0]), ("best later load", later)):
        print(f"{name:28} wall {load['wall_s']:6.2f} s   cpu {load['cpu_s']:6.2f} s   peak {load['peak_gb']:.2f} GB")
    source = "the real files" if options.annotations else "made here, as large as the real ones"
    facts = {"source": source, "videos": later["videos"], "queries": later["queries"]}
    _frame.keep(options.json, "loading", **facts, first=loads[0], later=loads[1:])


if __name__ == "__main__":
    main()
