"""Named sources of action data sets: the toy world, planted THUMOS14, THUMOS14 and ActivityNet 1.3 with real features.

The validation split, by which an epoch is chosen, consists of videos set aside from the *training* subset.  The
released programs of this family choose on the test set; the notebook shows what that is worth.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vmlkit.actions import thumos
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.feature_layouts import open_action_features
from vmlkit.actions.label_report import label_report
from vmlkit.actions.planted import SNIPPET_S, PlantedActionConfig, PlantedActionFeatures
from vmlkit.actions.prompts import EncodedPrompts, PromptConfig, class_words, encode_prompts, prompt_vocabulary
from vmlkit.actions.toy import TOY_PROMPT, toy_action_splits
from vmlkit.actions.videos import ActionAnnotations, ActionVideo
from vmlkit.data.corpus import sample
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.sources import DataConfig
from vmlkit.errors import DataError
from vmlkit.text.embeddings import embedding_table, read_word_vectors

#: dimensions of hashed word vectors, where no file of vectors is named
HASHED_DIM = 50


@dataclass(frozen=True, kw_only=True)
class ActionSplits:
    """Three resident splits without a video in common."""

    train: ActionDataset
    validation: ActionDataset  #: for choosing an epoch; never from the test subset
    test: ActionDataset
    notes: tuple[str, ...] = ()  #: what is odd about the data, one line each


def planted_thumos_reduced(annotations: str | None = None) -> DataConfig:
    """Planted THUMOS14 at its reduced size: 64 columns per modality, whole videos at 0.64 s a snippet."""
    return DataConfig(name="planted:thumos14", annotations=annotations, planted_seed=2023, planted_dim=128)


def load_action_splits(config: DataConfig, cache_dir: str | Path | None = None, progress: bool = True) -> ActionSplits:
    """Build or load the three splits of a source: ``toy``, ``planted:thumos14``, ``thumos14``, ``activitynet1.3``.

    Args:
        config: which source, and how its sentences are made (the fields ``prompt_...``).
        cache_dir: where rendered videos are kept between runs.
        progress: show progress bars, and the notes on odd labels.

    Raises:
        DataError: for a source without actions, or unusable input.
    """
    if config.name == "toy":
        splits = _toy(config, cache_dir, progress)
    elif config.name in ("planted:thumos14", "thumos14", "activitynet1.3"):
        splits = _annotated(config, progress)
    else:
        remedy = "use toy, planted:thumos14, thumos14 or activitynet1.3"
        raise DataError(config.name, "this source has sentences, not action classes", remedy)
    for note in splits.notes if progress else ():
        print(note, file=sys.stderr)
    return splits


def prompt_config(config: DataConfig, default: PromptConfig) -> PromptConfig:
    """The source's own way to make sentences, with what the settings change."""
    return replace(
        default,
        template=default.template if config.prompt_template is None else config.prompt_template,
        join=config.prompt_join or default.join,
        adjectives=config.prompt_adjectives,
    )


def _toy(config: DataConfig, cache_dir: str | Path | None, progress: bool) -> ActionSplits:
    prompt = prompt_config(config, TOY_PROMPT)
    made = toy_action_splits(config.toy, None if cache_dir is None else Path(cache_dir), progress, prompt=prompt)
    return _limited(config, (made["train"], made["validation"], made["test"]), ())


def _limited(config: DataConfig, parts: Sequence[ActionDataset], notes: tuple[str, ...]) -> ActionSplits:
    """Seeded samples of the videos, as large as the settings say."""
    limits = (config.max_train_queries, config.max_validation_queries, config.max_test_queries)
    train, validation, test = (
        part if most is None else part.subset(sample(np.arange(len(part)), most, config.seed, i))
        for i, (part, most) in enumerate(zip(parts, limits, strict=True))
    )
    return ActionSplits(train=train, validation=validation, test=test, notes=notes)


def find_actions(config: DataConfig) -> ActionAnnotations:
    """The annotations as named, or those below ``$VMLKIT_DATA``."""
    folder = "activitynet13" if config.name == "activitynet1.3" else "thumos14"
    root = os.environ.get("VMLKIT_DATA")
    path = Path(config.annotations) if config.annotations else Path(root) / folder if root else None
    if path is None:
        remedy = "give the file or folder (--annotations PATH, or the parent in $VMLKIT_DATA)"
        raise DataError(config.name, "no annotations were named", remedy)
    if path.is_dir() and config.name == "activitynet1.3":
        found = sorted(path.glob("activity_net*.json"))
        path = found[0] if found else path / "activity_net.v1-3.min.json"
    return thumos.read_actions(path)


def _annotated(config: DataConfig, progress: bool) -> ActionSplits:
    annotations = find_actions(config)
    planted = config.name.startswith("planted:")
    if not planted and config.features is None:
        remedy = "give a file or folder (--features PATH), or take 'planted:thumos14', which needs none"
        raise DataError(config.name, "no visual features were named", remedy)
    names = [video.video_id for video in annotations.videos]
    opened: AbstractContextManager[FeatureStore]
    if planted:
        settings = PlantedActionConfig(
            seed=config.planted_seed,
            d=config.planted_dim // 2,
            noise=config.planted_action_noise,
            core=config.planted_action_core,
        )
        opened = nullcontext(PlantedActionFeatures(annotations.videos, settings))
    else:
        opened = open_action_features(str(config.features), names)
    training, testing = (
        ("training", "validation") if annotations.layout == "activitynet" else (thumos.TRAIN_SUBSET, thumos.TEST_SUBSET)
    )
    report = label_report(annotations)
    with opened as store:
        text = _Text(config, annotations)
        whole = _dataset(config, "train", annotations.subset(training), store, text, progress)
        test = _dataset(config, "test", annotations.subset(testing), store, text, progress)
    train, validation = whole.split_by_video(config.validation_share, config.seed)
    return _limited(config, (train, validation, test), (*report.lines(), *whole.notes))


class _Text:
    """Vocabulary, vectors and sentences, shared by the splits."""

    def __init__(self, config: DataConfig, annotations: ActionAnnotations) -> None:
        activitynet = annotations.layout == "activitynet"
        # CODE: "one video of " and five slots without repetition on ActivityNet; "one video of the ", two on THUMOS14
        default = PromptConfig(template="one video of ", max_words=10) if activitynet else PromptConfig()
        self.prompt = prompt_config(config, default)
        self.texts = [thumos.class_text(name) for name in annotations.classes]
        prompts = (annotations.path if annotations.path.is_dir() else annotations.path.parent) / thumos.PROMPTS
        self.known = thumos.read_prompts(prompts) if prompts.is_file() else None
        self.vocabulary = prompt_vocabulary(self.texts, self.prompt)
        labels = [thumos.label_text(name) for name in annotations.classes]
        self.words = class_words(labels, slots=5 if activitynet else 2, repeat=not activitynet)
        vectors = read_word_vectors(config.word_vectors, set(self.vocabulary.words)) if config.word_vectors else None
        self.vectors, _ = embedding_table(self.vocabulary, vectors, dim=HASHED_DIM)

    def encode(self, videos: Sequence[ActionVideo], classes: Sequence[str]) -> EncodedPrompts:
        """The sentences of these videos."""
        number = {name: i for i, name in enumerate(classes)}
        labels = [[number[c] for c in video.labels] for video in videos]
        return encode_prompts(labels, self.texts, self.vocabulary, self.prompt, thumos.WORD_TAGS, self.known)

    def class_vectors(self) -> torch.Tensor:
        """Vectors of the words of each class, which all occur in the sentences; an empty slot has the zero vector."""
        ids = [[self.vocabulary.ids([w])[0] if w else 0 for w in words] for words in self.words]
        return self.vectors[torch.tensor(ids)]


def _dataset(
    config: DataConfig,
    split: str,
    annotations: ActionAnnotations,
    store: FeatureStore,
    text: _Text,
    progress: bool,
) -> ActionDataset:
    missing = [video.video_id for video in annotations.videos if video.video_id not in store]
    videos = [video for video in annotations.videos if video.video_id in store]
    if not videos:
        raise DataError(store, f"has no video of the {split} subset", "check the names of the files")
    rows, lengths = _rows(store, videos, progress)
    ids = tuple(video.video_id for video in videos)
    truth = annotations.truth(ids)
    encoded = text.encode(videos, annotations.classes)
    number = {name: i for i, name in enumerate(annotations.classes)}
    labels = torch.zeros(len(videos), len(annotations.classes))
    for row, video in enumerate(videos):
        labels[row, [number[c] for c in video.labels]] = 1.0
    thumos_clock = annotations.layout != "activitynet"
    seconds = [video.duration or n * SNIPPET_S for video, n in zip(videos, lengths, strict=True)]
    durations = np.array(seconds, dtype=np.float64)
    snippet_s = np.full(len(videos), SNIPPET_S) if thumos_clock else durations / np.array(lengths)
    digest = hashlib.sha256()
    for part in (rows.numpy(), truth.spans_s, truth.labels, labels.numpy(), encoded.word_weights.numpy()):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update("\n".join((*ids, *encoded.sentences)).encode())
    notes = [f"{config.name}/{split}: {len(missing)} videos have no features and are left out"] if missing else []
    if encoded.dropped:
        words = ", ".join(encoded.dropped[:3])
        notes.append(
            f"{config.name}/{split}: {len(encoded.dropped)} words of the sentences are not known, e.g. {words}"
        )
    return ActionDataset(
        name=f"{config.name}/{split}",
        rows=rows,
        offsets=torch.tensor([0, *np.cumsum(lengths).tolist()]),
        labels=labels,
        truth=truth,
        durations=durations,
        snippet_s=snippet_s,
        video_ids=ids,
        classes=annotations.classes,
        class_words=text.words,
        class_vectors=text.class_vectors(),
        sentences=encoded.sentences,
        word_ids=encoded.word_ids,
        word_mask=encoded.word_mask,
        word_weights=encoded.word_weights,
        vectors=text.vectors,
        vocabulary=text.vocabulary,
        ambiguous_s=tuple(video.ambiguous for video in videos),
        unlisted=frozenset(video.video_id for video in videos if video.in_gt_json is False),
        notes=tuple(notes),
        fingerprint=f"{config.name}/{split}-{digest.hexdigest()[:16]}",
    )


def _rows(store: FeatureStore, videos: Sequence[ActionVideo], progress: bool) -> tuple[torch.Tensor, list[int]]:
    parts = []
    for video in tqdm(videos, desc="features", unit="video", disable=not progress, leave=False):
        parts.append(torch.from_numpy(np.array(store.read(video.video_id), dtype=np.float32)))
        if parts[-1].shape[1] != parts[0].shape[1]:
            what = f"video '{video.video_id}' has {parts[-1].shape[1]} dimensions where others have {parts[0].shape[1]}"
            raise DataError(store, what, "extract all videos with the same network")
    return torch.cat(parts), [len(part) for part in parts]
