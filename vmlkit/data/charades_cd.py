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
from vmlkit.data.assembly import build_dataset, encode_sentences
from vmlkit.data.batches import MomentDataset
from vmlkit.data.corpus import find_folder
from vmlkit.data.planted import PlantedFeatures
from vmlkit.data.settings import CharadesCDData
from vmlkit.errors import DataError
from vmlkit.text.embeddings import embedding_table, read_word_vectors
from vmlkit.text.similarity import words
from vmlkit.text.tagging import TaggedSentence
from vmlkit.text.vocabulary import Vocabulary

FILES = {"train": "train", "validation": "val", "test_iid": "test_iid", "test_ood": "test_ood"}


def charades_cd_datasets(config: CharadesCDData) -> tuple[dict[str, MomentDataset], tuple[str, ...]]:
    """``train``, ``validation`` and ``test``, and notes on what was left out.

    The largest number of test queries is that of each of its two files.  Word vectors are ``glove_charades.npz`` beside
    the files or in the ``charades_sta`` folder next to theirs, unless the settings name others.

    Raises:
        DataError: for a missing folder or file.
    """
    folder = find_folder(config.annotations, "charades_cd")
    files = {name: read_queries(_file(folder, stem), "charades_cd", outside="clip") for name, stem in FILES.items()}
    queries = {name: file.queries for name, file in files.items()}
    vectors = read_word_vectors(_vectors(folder, config.word_vectors))
    rows = {name: _rows(part) for name, part in queries.items()}
    tokens = {name: [tuple(words(q.query)) for q in part] for name, part in queries.items()}
    everything = [row for name in FILES for row in rows[name]]
    planter = PlantedFeatures(everything, [t for name in FILES for t in tokens[name]], vectors, config.planted)
    model_words = vectors.model_words
    vocabulary = (
        Vocabulary(model_words[: config.vocab_size])
        if model_words is not None
        else Vocabulary.from_sentences(tokens["train"], config.vocab_size)
    )
    table, _ = embedding_table(vocabulary, vectors)
    made = {}
    for number, (split, parts) in enumerate(
        {"train": ("train",), "validation": ("validation",), "test": ("test_iid", "test_ood")}.items()
    ):
        kept = {p: _sample(len(rows[p]), config.limits[split], [config.seed, number, i]) for i, p in enumerate(parts)}
        sentences = [TaggedSentence(tokens[p][i], ("NN",) * len(tokens[p][i])) for p in parts for i in kept[p]]
        made[split] = build_dataset(
            f"planted:charades_cd/{split}",
            [rows[p][i] for p in parts for i in kept[p]],
            encode_sentences(sentences, vocabulary, config.max_words),
            planter,
            vocabulary,
            table,
            clips=config.clips,
            query_ids=[f"{p}/{queries[p][i].qid}" for p in parts for i in kept[p]],
            source=folder,
        )
    return made, tuple(file.report for file in files.values())


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


def _vectors(folder: Path, given: str | None) -> Path:
    if given:
        return Path(given)
    for place in (folder, folder.parent / "charades_sta"):
        if (place / "glove_charades.npz").is_file():
            return place / "glove_charades.npz"
    raise DataError(folder, "planted features need word vectors", "put glove_charades.npz beside the annotations")
