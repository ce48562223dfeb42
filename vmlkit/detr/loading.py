"""From JSON lines, clip features and text features to three resident splits.

The validation split chooses the epoch.  Where a data set publishes none beside its test split, videos of the training
file are set aside.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.data.annotations.detr_jsonl import QueryAnnotation, QueryFile, read_queries
from vmlkit.data.batches import MomentDataset
from vmlkit.data.clock import RowWatch
from vmlkit.data.corpus import sample, set_aside
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.left_out import Ledger
from vmlkit.data.planted import PlantedFeatures
from vmlkit.data.sources import Splits
from vmlkit.detr.corpora import TEXT_FOLDERS, find_files
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.line_features import open_kinds
from vmlkit.detr.lines import lines_of, training_labels
from vmlkit.detr.settings import DetrData, LinesData, PlantedLinesData
from vmlkit.detr.windows import PostProcessing
from vmlkit.errors import ConfigError, DataError
from vmlkit.metrics.protocols import CHARADES_CD_LIMIT_S
from vmlkit.text.embeddings import PAD, WordSource, WordVectors, embedding_table, read_word_vectors
from vmlkit.text.sentence_features import SentenceSource, open_sentences
from vmlkit.text.similarity import words
from vmlkit.text.vocabulary import Vocabulary

#: rows of features beyond the end of a video that are still read
SLACK = 8
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Chosen:
    """Queries of a split and the part of the data each comes from."""

    queries: tuple[QueryAnnotation, ...]
    parts: tuple[str, ...]

    def keep(self, rows: Sequence[int]) -> "Chosen":
        """The queries at these positions."""
        return Chosen(tuple(self.queries[i] for i in rows), tuple(self.parts[i] for i in rows))


def load_lines(config: LinesData, cache_dir: Path | None, progress: bool) -> Splits[DetrDataset]:
    """The three splits of a data set of JSON lines.

    Raises:
        DataError: for a file that is missing, naming where it is published, or unusable; naming file, line and field.
        ConfigError: for a domain that the data set does not have.
    """
    ledger = Ledger(getattr(config, "missing", "leave_out"))
    found = find_files(config.corpus_name, config.annotations, config.test_file)
    files = {part: _read(path, part, config, ledger) for part, path in found.files.items()}
    chosen = _choose(config, files)
    text = _text(config, found.folder, chosen, cache_dir, progress)
    with _features(config, files, text) as store:
        parts = {}
        for split in SPLITS:
            kept = _available(split, chosen[split], store, text, config, ledger)
            parts[split] = _build(config, split, kept, store, text, ledger, progress)
            if config.corpus.protocol == "charades_cd":
                late = [str(q.qid) for q in kept.queries if all(s >= CHARADES_CD_LIMIT_S for s, _ in q.windows_s)]
                what = f"queries lie beyond {CHARADES_CD_LIMIT_S:g} s, where the protocol cuts their windows"
                ledger.note(split, what, "are not scored", len(late), len(kept.queries), late)
    notes = _notes(config, files, parts["test"])
    return Splits(**parts, left_out=tuple(ledger), notes=notes, words=text.described)


def _read(path: Path, part: str, config: LinesData, ledger: Ledger) -> QueryFile:
    """A file without the queries that the released loaders leave out, and with a window late in some kept as it is."""
    test = part.startswith("test")
    file = read_queries(path, config.corpus.profile, unlabelled=test, warn=False)
    split = "test" if test else part
    file.account(ledger, split)
    if config.domain is None:
        return file
    known = sorted({q.domain for q in file.queries if q.domain})
    if config.domain not in known:
        raise ConfigError(f"setting 'data.domain' is {config.domain!r}: {path} has {', '.join(known) or 'no domain'}")
    return replace(file, queries=tuple(q for q in file.queries if q.domain == config.domain))


def _choose(config: LinesData, files: Mapping[str, QueryFile]) -> dict[str, Chosen]:
    """Seeded samples for each split; validation videos are set aside where there is no file of them."""
    everything = {part: np.arange(len(file)) for part, file in files.items()}
    tests = [part for part in files if part.startswith("test")]
    if "validation" in files:
        places = {"train": {"train": everything["train"]}, "validation": {"validation": everything["validation"]}}
    else:
        videos = [q.vid for q in files["train"].queries]
        fit, held = set_aside(videos, config.validation_share, config.seed)
        places = {"train": {"train": fit}, "validation": {"train": held}}
    places["test"] = {part: everything[part] for part in tests}
    chosen = {}
    for number, (split, rows) in enumerate(places.items()):
        picked = [
            (part, int(i))
            for k, (part, at) in enumerate(rows.items())
            for i in sample(at, config.limits[split], config.seed, number, k)
        ]
        chosen[split] = Chosen(tuple(files[p].queries[i] for p, i in picked), tuple(p for p, _ in picked))
    return chosen


@dataclass(frozen=True)
class Text:
    """Where the words of a data set come from: token states of sentences, or one vector a word."""

    described: WordSource
    vocabulary: Vocabulary
    vectors: Float[Tensor, "V Dw"]
    source: SentenceSource | None = None
    unit: bool = False  #: divide token states by their norm
    given: WordVectors | None = None  #: what the vectors were read from

    def read(
        self, queries: Sequence[QueryAnnotation], most: int
    ) -> tuple[Int[Tensor, "N L"], Bool[Tensor, "N L"], Float[Tensor, "V Dw"]]:
        """Rows of a table for each word or token, the mask, and the table, whose row 0 is zero."""
        if self.source is not None:
            found = self.source.read([str(q.qid) for q in queries], [q.query for q in queries], most)
            table, places, there = (found.unit_rows() if self.unit else found).table()
            return places, there, table
        tokens = [words(q.query)[:most] for q in queries]
        lengths = np.array([max(1, len(t)) for t in tokens])
        mask = np.arange(int(lengths.max(initial=1))) < lengths[:, None]
        ids = np.zeros(mask.shape, dtype=np.int64)
        for row, sentence in enumerate(tokens):
            ids[row, : len(sentence)] = self.vocabulary.ids(sentence)
        return torch.from_numpy(ids), torch.from_numpy(mask), self.vectors


def _text(
    config: LinesData, folder: Path, chosen: Mapping[str, Chosen], cache_dir: Path | None, progress: bool
) -> Text:
    """Token states where they are named or lie beside the features, else word vectors, else random ones."""
    path = token_folder(config)
    if path is not None:
        source = open_sentences(path, cache_dir, progress=progress)
        described = WordSource(f"token states of each sentence in {Path(path).resolve().name}")
        unit = isinstance(config, DetrData) and config.unit_text
        return Text(described, Vocabulary(()), torch.zeros(1, 1), source, unit)
    sentences = [words(q.query) for part in chosen.values() for q in part.queries]
    vocabulary = Vocabulary.from_sentences(sentences)
    file = vectors_file(config, folder)
    given = None if file is None else read_word_vectors(file, set(vocabulary.words))
    table, hashed = embedding_table(vocabulary, given)
    described = WordSource.of(file, hashed, len(vocabulary) - 1, "data.word_vectors or data.text_features")
    return Text(described, vocabulary, table, given=given)


def token_folder(config: LinesData) -> Path | None:
    """The folder of token states or of an encoder: named, or beside the clip features where no vectors are named."""
    named = getattr(config, "text_features", None)
    if named is not None or config.word_vectors is not None or not isinstance(config, DetrData) or not config.features:
        return None if named is None else Path(named)
    return next((p for name in TEXT_FOLDERS if (p := Path(config.features) / name).is_dir()), None)


def vectors_file(config: LinesData, folder: Path) -> Path | None:
    """The file of word vectors: named, or beside the annotations in ``folder``."""
    beside = folder / config.corpus.vectors
    return Path(config.word_vectors) if config.word_vectors else beside if beside.is_file() else None


def _features(config: LinesData, files: Mapping[str, QueryFile], text: Text) -> AbstractContextManager[FeatureStore]:
    if isinstance(config, DetrData):
        corpus = config.corpus
        if config.features is None:
            remedy = f"give their folder (--features PATH); they are published at {corpus.features_at}"
            raise DataError(config.name, "no clip features were named", remedy)
        options: Any = {"unit_rows": config.unit_rows, "dataset": config.feature_dataset}
        return open_kinds(config.features, config.kinds, corpus, config.clips, **options)
    assert isinstance(config, PlantedLinesData)
    rows = [
        MomentAnnotation(row=q.line, video_id=q.vid, duration=q.duration_s, start=start, end=end, sentence=q.query)
        for file in files.values()
        for q in file.queries
        for start, end in q.windows_s
    ]
    planted = replace(config.planted, fps=1 / config.seconds_per_row, least_frames=1)
    return nullcontext(PlantedFeatures(rows, [words(row.sentence) for row in rows], _codes(text), planted))


def _codes(text: Text) -> WordVectors:
    """Vectors of all words, those without one by hash, below the padding that the planted features leave out."""
    if text.given is not None and text.given.words[0] == PAD:
        return text.given
    names = (PAD, *text.vocabulary.words)
    return WordVectors(words=names, vectors=text.vectors.numpy())


def _available(
    split: str, chosen: Chosen, store: FeatureStore, text: Text, config: LinesData, ledger: Ledger
) -> Chosen:
    """The queries whose video and sentence have features."""
    videos = list(dict.fromkeys(q.vid for q in chosen.queries))
    gone = [video for video in videos if video not in store]
    if gone:
        ledger.missing(split, "videos have no features", gone, len(videos), store)
    silent: list[str] = []
    if text.source is not None:
        silent = text.source.missing([str(q.qid) for q in chosen.queries])
        ledger.missing(split, "sentences have no token states", silent, len(chosen.queries), text.described.line)
    lost, mute = set(gone), set(silent)
    kept = [i for i, q in enumerate(chosen.queries) if q.vid not in lost and str(q.qid) not in mute]
    if not kept:
        first = f"such as video '{gone[0]}'" if gone else f"such as query '{silent[0]}'"
        what = f"has features for none of the {len(chosen.queries)} queries of the {split} split, {first}"
        raise DataError(store if gone else text.described.line, what, "check that the features are those of the data")
    unseen = sum(q.vid in lost for q in chosen.queries)
    ledger.note(split, "queries ask about a video without features", "are left out", unseen, len(chosen.queries))
    return chosen.keep(kept)


def _build(
    config: LinesData, split: str, chosen: Chosen, store: FeatureStore, text: Text, ledger: Ledger, progress: bool
) -> DetrDataset:
    queries = chosen.queries
    seconds = {q.vid: q.duration_s for q in queries}
    watch = RowWatch(store)
    frames, counts = _clips(config, store, seconds, queries, watch, progress)
    seen = {video: min(s, config.clips * config.seconds_per_row) for video, s in seconds.items()}
    watch.clock(seen, ledger, split, given=config.seconds_per_row)
    position = {video: i for i, video in enumerate(seconds)}
    index = torch.tensor([position[q.vid] for q in queries])
    ids, mask, table = text.read(queries, config.max_words)
    spans = np.array([q.windows_s[0] if q.windows_s else (0.0, q.duration_s) for q in queries], dtype=np.float64)
    durations = np.array([q.duration_s for q in queries], dtype=np.float64)
    grouped = len({*chosen.parts}) > 1
    names = [f"{part}/{q.qid}" if grouped else str(q.qid) for part, q in zip(chosen.parts, queries, strict=True)]
    plain = MomentDataset(
        name=f"{config.name}/{split}",
        frames=frames,
        video_index=index,
        word_ids=ids,
        word_mask=mask,
        word_weights=mask / mask.sum(1, keepdim=True),
        vectors=table,
        spans_s=spans,
        durations=durations,
        query_ids=tuple(names),
        video_ids=tuple(q.vid for q in queries),
        sentences=tuple(q.query for q in queries),
        vocabulary=text.vocabulary,
        fingerprint="",
    )
    lines = lines_of(
        queries,
        clip_length=config.seconds_per_row,
        protocol=config.corpus.protocol,
        processing=_processing(config),
        max_windows=config.max_windows,
    )
    made = DetrDataset.of(
        plain,
        candidates=lines.has_windows and lines.labelled,
        groups=grouped,
        rules=config.negatives,
        counts=counts,
        lines=lines,
        **training_labels(lines, counts[index], frames.shape[1]),
        seconds=np.minimum(durations, config.clips * config.seconds_per_row),
    )
    return replace(made, fingerprint=_fingerprint(made, lines.queries))


def _clips(
    config: LinesData,
    store: FeatureStore,
    seconds: Mapping[str, float],
    queries: Sequence[QueryAnnotation],
    watch: RowWatch,
    progress: bool,
) -> tuple[Float[Tensor, "videos T Dv"], Int[Tensor, " videos"]]:
    """The rows of every video below one another, zero on padding, and how many there are."""
    labels = {q.vid: len(q.clip_labels) for q in queries if q.clip_labels is not None}
    longest = min(config.clips, ceil(max(seconds.values()) / config.seconds_per_row) + SLACK)
    out: np.ndarray | None = None
    counts = np.zeros(len(seconds), dtype=np.int64)
    for i, video in enumerate(tqdm(seconds, desc="reading clips", disable=not progress, leave=False)):
        rows = store.read(video)
        watch.see(video, rows)
        rows = rows[: min(longest, labels.get(video, longest))]
        if out is None:  # zeros cost no memory until they are written
            out = np.zeros((len(seconds), longest, rows.shape[1]), dtype=getattr(config, "feature_dtype", "float32"))
        with np.errstate(over="ignore"):
            out[i, : len(rows)], counts[i] = rows, len(rows)
        if out.dtype == np.float16 and not np.isfinite(out[i]).all():
            raise DataError(store, f"video '{video}' exceeds the range of float16", "use feature_dtype='float32'")
    assert out is not None
    return torch.from_numpy(out[:, : int(counts.max())]), torch.from_numpy(counts)


def _processing(config: LinesData) -> PostProcessing:
    """Windows are cut to what the model sees and rounded to whole clips, as every released inference does."""
    length = config.seconds_per_row
    steps = ("clip_ts", "round_multiple") if config.round_windows else ()
    return PostProcessing(steps=steps, clip_length=length, latest=config.clips * length)  # type: ignore[arg-type]


def _notes(config: LinesData, files: Mapping[str, QueryFile], test: DetrDataset) -> tuple[str, ...]:
    notes = []
    assert test.lines is not None
    if not test.lines.labelled:
        path = next(file.path for part, file in files.items() if part.startswith("test"))
        notes.append(
            f"{path} has no labels: the test split is not scored, `vmlkit predict` writes what it is asked for"
        )
    if "validation" not in files and not config.validation_share:
        what = "every training video is trained on, and the last epoch is taken; the numbers of the validation split"
        notes.append(f"{config.name}: {what} are of training videos")
    elif "validation" not in files:
        share = 100 * config.validation_share
        notes.append(f"{config.name} has no validation file: {share:g} % of the training videos are set aside for it")
    if not test.lines.has_windows and config.domain is None:
        notes.append("one model for all domains; the published numbers are those of one model a domain (data.domain)")
    return tuple(notes)


def _fingerprint(data: DetrDataset, queries: Sequence[QueryAnnotation]) -> str:
    digest = hashlib.sha256(repr((data.name, data.query_ids, queries)).encode())
    for array in (data.frames, data.word_ids, data.vectors, data.counts):
        assert array is not None
        digest.update(str(tuple(array.shape)).encode())
        digest.update(np.ascontiguousarray(array.numpy()).data)
    return digest.hexdigest()[:16]
