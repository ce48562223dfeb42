"""Serving batches from a resident split against reading every item from HDF5, side by side, without any model.

``python -m benchmarks.loader [--size toy charades] [--json PATH]``: the same queries, variants alternating, medians
after one warm-up.  The variants:

* ``per item``: as the released loaders do it, the file is opened for each item, its rows averaged clip by clip, the
  sentence encoded, and the items copied into one batch (tagging, which they also repeat, is left out in their favour);
* ``per item, one file handle``: the file stays open, and the package's own resampling is used;
* ``resident``: the split in memory, in float32 and in float16; with a card, also on it, where only row numbers are
  copied;
* ``packed float16``: the split in the file that ``vmlkit data pack`` writes, mapped into memory and not read before.

First the correctness gate: all variants must give the same batch (features in float16 to its precision), else no time
is printed.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from benchmarks import _frame
from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentBatch, MomentDataset
from vmlkit.data.features import open_features, resample_clips
from vmlkit.data.packed import pack_features
from vmlkit.data.resident import Residence
from vmlkit.text.tagging import TaggedSentence, masking_weight
from vmlkit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Size:
    """Videos, queries, clips, feature and word dimensions, batch; ``rows`` of a video lie between these two."""

    videos: int
    queries: int
    clips: int
    dim: int
    word_dim: int
    batch: int
    rows: tuple[int, int]
    words: int = 11


SIZES = {"toy": Size(40, 120, 32, 64, 48, 32, (16, 64)), "charades": Size(96, 192, 200, 1024, 300, 32, (60, 400))}
RELEASED, OPEN_FILE = "per item", "per item, one file handle"


@dataclass(frozen=True)
class Corpus:
    """A small corpus with its features in one HDF5 file."""

    size: Size
    path: Path
    annotations: list[MomentAnnotation]
    sentences: list[TaggedSentence]
    vocabulary: Vocabulary
    vectors: Tensor

    @classmethod
    def made(cls, size: Size, folder: Path) -> "Corpus":
        """Random features and sentences."""
        rng, path = np.random.default_rng(0), folder / "features.hdf5"
        with h5py.File(path, "w") as file:
            for video in range(size.videos):
                rows = rng.standard_normal((rng.integers(*size.rows), size.dim), dtype=np.float32)
                file.create_group(f"v{video}").create_dataset("i3d_rgb_features", data=rows)
        words = tuple(f"w{i}" for i in range(1111))
        tagged, annotations = [], []
        for row in range(size.queries):
            tokens = tuple(map(str, rng.choice(words, rng.integers(3, size.words + 1))))
            tagged.append(TaggedSentence(tokens, ("NN",) * len(tokens)))
            where = {"video_id": f"v{row % size.videos}", "duration": 30.0, "start": 3.0, "end": 12.0}
            annotations.append(MomentAnnotation(**where, sentence=" ".join(tokens), row=row))
        vectors = torch.from_numpy(rng.standard_normal((len(words) + 1, size.word_dim), dtype=np.float32))
        vectors[0] = 0
        return cls(size, path, annotations, tagged, Vocabulary(words), vectors)

    def resident(self, dtype: str) -> MomentDataset:
        """The split in memory."""
        return self._split(self.path, dtype)

    def packed(self) -> MomentDataset:
        """The split in a packed file."""
        out, clips = self.path.with_name("packed.safetensors"), self.size.clips
        with open_features(self.path) as store:
            names = [f"v{video}" for video in range(self.size.videos)]
            pack_features(store, names, out, resample=lambda rows: resample_clips(rows, clips), clips=clips)
        return self._split(out, "float16")

    def _split(self, path: Path, dtype: str) -> MomentDataset:
        words = encode_sentences(self.sentences, self.vocabulary)
        with open_features(path) as store:
            return build_dataset(
                "loader/train", self.annotations, words, store, self.vocabulary, self.vectors,
                clips=self.size.clips, feature_dtype=dtype,
            )  # fmt: skip


def released_clips(rows: np.ndarray, clips: int) -> np.ndarray:
    """Means over the rows of each clip, one after the other, as the released programs take them."""
    edges = np.minimum(np.round(np.arange(clips + 1) / clips * len(rows)).astype(np.int64), len(rows) - 1)
    kept = []
    for first, last in pairwise(edges):
        kept.append(rows[first] if first >= last else np.mean(rows[first:last], axis=0))
    return np.stack(kept, 0).astype(np.float32)


def per_item(corpus: Corpus, indices: Sequence[int], file: h5py.File | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, word vectors and masking probabilities of a batch, item by item."""
    size, items = corpus.size, []
    for i in indices:
        name = corpus.annotations[i].video_id
        if file is None:
            with h5py.File(corpus.path, "r") as opened:
                frames = released_clips(np.asarray(opened[name]["i3d_rgb_features"]).astype(np.float32), size.clips)
        else:
            frames = resample_clips(np.asarray(file[name]["i3d_rgb_features"]), size.clips)
        sentence = corpus.sentences[i]
        ids = [corpus.vocabulary.ids([token])[0] for token in sentence.tokens]
        weights = np.exp([masking_weight(tag) for tag in sentence.tags])
        items.append((frames, corpus.vectors.numpy()[ids], weights / weights.sum()))
    longest = max(len(words) for _, words, _ in items)
    clips = np.zeros((len(items), size.clips, size.dim), dtype=np.float32)
    words = np.zeros((len(items), longest, size.word_dim), dtype=np.float32)
    chances = np.zeros((len(items), longest), dtype=np.float32)
    for row, (frames, vectors, weights) in enumerate(items):
        clips[row], words[row, : len(vectors)], chances[row, : len(weights)] = frames, vectors, weights
    return torch.from_numpy(clips), torch.from_numpy(words), torch.from_numpy(chances)


def gate(corpus: Corpus, splits: dict[str, MomentDataset], indices: Tensor) -> dict[str, float]:
    """Largest difference of each variant's batch from that of the released way, which has to be rounding alone."""
    frames, words, chances = per_item(corpus, indices.tolist())
    worst = {}
    with h5py.File(corpus.path, "r") as file:
        worst[OPEN_FILE] = float((per_item(corpus, indices.tolist(), file)[0] - frames).abs().max())
    for name, split in splits.items():
        batch: MomentBatch = split.batch(indices).to("cpu")
        worst[name] = float((batch.frames - frames).abs().max())
        exact = torch.equal(batch.words, words) and torch.allclose(batch.word_weights, chances, atol=1e-6)
        if not exact or worst[name] > (1e-6 if split.frames.dtype == torch.float32 else 4e-3):
            raise SystemExit(f"{name}: its batch differs by {worst[name]:.1e}; timing is void")
    return worst


def measure(corpus: Corpus, splits: dict[str, MomentDataset], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds per batch of each variant, of the processor or, with a card, of the clock: median, smallest, largest."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    order = torch.randperm(corpus.size.queries, generator=torch.Generator().manual_seed(0)).split(corpus.size.batch)
    batches = [indices for indices in order if len(indices) == corpus.size.batch]
    with h5py.File(corpus.path, "r") as file:
        variants: dict[str, Callable[[Tensor], object]] = {
            RELEASED: lambda indices: per_item(corpus, indices.tolist()),
            OPEN_FILE: lambda indices: per_item(corpus, indices.tolist(), file),
            **{name: partial(served, split) for name, split in splits.items()},
        }
        return _frame.in_turn(variants, rounds, clock=clock, each=batches)


def served(split: MomentDataset, indices: Tensor) -> MomentBatch:
    """One batch of a resident split, ready where it lies."""
    batch = split.batch(indices)
    if split.device.type == "cuda":
        torch.cuda.synchronize(split.device)
    return batch


def run(size: Size, rounds: int) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Gate and times of a size."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.made(size, Path(folder))
        splits = {f"resident {dtype}": corpus.resident(dtype) for dtype in ("float32", "float16")}
        splits["packed float16"] = corpus.packed()
        if torch.cuda.is_available():
            home = Residence(torch.device("cuda"), "on")
            splits |= {f"{name} on the card": home.admit(split) for name, split in splits.items()}
        return gate(corpus, splits, torch.arange(size.batch)), measure(corpus, splits, rounds)


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = _frame.options(__doc__)
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["toy", "charades"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in options.size:
        exact, times = run(SIZES[name], options.rounds)
        found[name] = {"size": vars(SIZES[name]), "seconds": times, "difference": exact}
        print(name)
        for variant, taken in times.items():
            ratio = times[RELEASED]["median"] / taken["median"]
            note = f"differs by {exact[variant]:.1e}" if variant in exact else "as the released loaders read"
            span = f"({1e3 * taken['min']:.2f}-{1e3 * taken['max']:.2f})"
            print(f"  {variant:32s} {1e3 * taken['median']:9.2f} ms a batch {span:>18s}  x{ratio:<7.1f} {note}")
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    _frame.keep(options.json, "loader", card, sizes=found)


if __name__ == "__main__":
    main()
