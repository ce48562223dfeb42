"""Named sources of action data sets: the toy world, planted THUMOS14, THUMOS14 and ActivityNet 1.3 with real features.

The validation split, by which an epoch is chosen, consists of videos set aside from the *training* subset.  The
released programs of this family choose on the test set; the notebook shows what that is worth.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from vmlkit.actions import thumos
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detections import SNIPPET_S
from vmlkit.actions.feature_layouts import open_action_features
from vmlkit.actions.label_report import label_report
from vmlkit.actions.planted import PlantedActionConfig, PlantedActionFeatures
from vmlkit.actions.prompts import PromptConfig, class_words, encode_prompts, prompt_vocabulary
from vmlkit.actions.toy import TOY_PROMPT, toy_action_splits
from vmlkit.actions.videos import ActionAnnotations, ActionVideo
from vmlkit.data.clock import RowWatch, misfits
from vmlkit.data.corpus import find_annotations
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import meant
from vmlkit.data.left_out import Ledger, Missing
from vmlkit.data.published import published
from vmlkit.data.settings import DataConfig, ToyData
from vmlkit.data.sources import Splits, View, limited
from vmlkit.errors import DataError
from vmlkit.text.embeddings import WordSource, embedding_table, read_word_vectors

#: dimensions of hashed word vectors, where no file of vectors is named
HASHED_DIM = 50


@dataclass(frozen=True, kw_only=True)
class _Sentences:
    """How the sentence about a video is made from its classes."""

    prompt_template: str | None = None  #: what stands before the classes; None takes the source's own
    prompt_join: Literal["released", "spaced"] | None = None  #: how several classes are joined in it
    prompt_adjectives: bool = False  #: adjectives weigh as much as nouns when words are masked (P3: not, by a slip)

    def prompt(self, default: PromptConfig) -> PromptConfig:
        """The source's own way to make sentences, with what the settings change."""
        return replace(
            default,
            template=default.template if self.prompt_template is None else self.prompt_template,
            join=self.prompt_join or default.join,
            adjectives=self.prompt_adjectives,
        )


@dataclass(frozen=True, kw_only=True)
class ToyActionData(_Sentences, ToyData):
    """The toy world with its twelve actions as classes."""


@dataclass(frozen=True, kw_only=True)
class _Annotated(_Sentences, DataConfig):
    """Classes and segments from annotation files."""

    annotations: str | None = None  #: the file or its folder; None looks below $VMLKIT_DATA
    #: GloVe as .npz or text, the folder of a saved text encoder, or ``package:NAME`` for one inside an installed
    #: package; None gives the words of the labels random vectors
    word_vectors: str | None = None
    validation_share: float = 0.1  #: of the training videos; 0 trains on all of them


@dataclass(frozen=True, kw_only=True)
class ActionData(_Annotated):
    """THUMOS14 or ActivityNet 1.3 with real features."""

    name: Literal["thumos14", "activitynet1.3"]
    features: str | None = None  #: file or folder of arrays
    feature_dataset: str | None = None  #: name of the array to read where a video has several
    seconds_per_row: float | None = None  #: of the features; None finds it from the durations; held against them
    missing: Missing = "leave_out"  #: videos without features: left out, counted and said, or an error
    feature_dtype: Literal["float32", "float16"] = "float32"  #: in memory; batches are float32


@dataclass(frozen=True, kw_only=True)
class PlantedActionData(_Annotated):
    """THUMOS14 over planted features; ``planted.noise`` 0.6 to 0.7 is about as hard as the real ones."""

    name: Literal["planted:thumos14"] = "planted:thumos14"
    planted: PlantedActionConfig = field(default_factory=PlantedActionConfig)


def load_toy_actions(config: ToyActionData, cache_dir: Path | None, progress: bool) -> Splits[ActionDataset]:
    """The toy world."""
    made = toy_action_splits(config.toy, cache_dir, progress, prompt=config.prompt(TOY_PROMPT))
    return limited(Splits(train=made["train"], validation=made["validation"], test=made["test"]), config)


def find_actions(config: _Annotated) -> ActionAnnotations:
    """The annotations as named, or those below ``$VMLKIT_DATA``."""
    return thumos.read_actions(find_annotations(config.annotations, config.name.removeprefix("planted:")))


def load_annotated(
    config: ActionData | PlantedActionData, cache_dir: Path | None, progress: bool
) -> Splits[ActionDataset]:
    """Annotated videos, with features from files or planted ones; nothing is cached."""
    annotations = find_actions(config)
    opened: AbstractContextManager[FeatureStore]
    if isinstance(config, PlantedActionData):
        opened = nullcontext(PlantedActionFeatures(annotations.videos, config.planted))
    elif config.features is None:
        remedy = "give a file or folder (--features PATH), or take 'planted:thumos14', which needs none"
        raise DataError(config.name, "no visual features were named", remedy + published(config.name, "features"))
    else:
        ids = [video.video_id for video in annotations.videos]
        opened = open_action_features(config.features, ids, config.feature_dataset)
    training, testing = annotations.subsets
    report, ledger = label_report(annotations), Ledger(getattr(config, "missing", "leave_out"))
    with opened as store:
        text = _Text(config, annotations)
        whole = _dataset(config, "train", annotations.subset(training), store, text, ledger, progress)
        test = _dataset(config, "test", annotations.subset(testing), store, text, ledger, progress)
    train, validation = whole.split_by_video(config.validation_share, config.seed)
    notes = report.lines()
    if not config.validation_share:
        notes.append(f"{config.name}: every training video is trained on; validation numbers are of training videos")
    account: dict[str, Any] = {"left_out": tuple(ledger), "notes": tuple(notes), "words": text.words_from}
    return limited(Splits(train=train, validation=validation, test=test, **account), config)


#: videos with their action classes
ACTIONS: View[ActionDataset] = View(
    "action classes", {ToyActionData: load_toy_actions, PlantedActionData: load_annotated, ActionData: load_annotated}
)


class _Text:
    """Vocabulary, vectors and sentences, shared by the splits."""

    def __init__(self, config: _Annotated, annotations: ActionAnnotations) -> None:
        activitynet = not annotations.thumos
        # PAPER: all words of a label / CODE: two slots on THUMOS14, where a single word is repeated, and five on
        # ActivityNet, where it is not -> no switch, because the released weights of the prompts have these sizes
        default = PromptConfig(template="one video of ", max_words=10) if activitynet else PromptConfig()
        self.prompt = config.prompt(default)
        self.texts = [thumos.class_text(name) for name in annotations.classes]
        prompts = (annotations.path if annotations.path.is_dir() else annotations.path.parent) / thumos.PROMPTS
        self.known = thumos.read_prompts(prompts) if prompts.is_file() else None
        self.vocabulary = prompt_vocabulary(self.texts, self.prompt)
        labels = [thumos.label_text(name) for name in annotations.classes]
        self.words = class_words(labels, slots=5 if activitynet else 2, repeat=not activitynet)
        vectors = read_word_vectors(config.word_vectors, set(self.vocabulary.words)) if config.word_vectors else None
        self.vectors, hashed = embedding_table(self.vocabulary, vectors, dim=HASHED_DIM)
        self.words_from = WordSource.of(config.word_vectors, hashed, len(self.vocabulary) - 1, "data.word_vectors")
        # the words of the classes all occur in the sentences; an empty slot has the zero vector
        ids = [[self.vocabulary.ids([w])[0] if w else 0 for w in words] for words in self.words]
        self.class_vectors = self.vectors[torch.tensor(ids)]


def _dataset(
    config: _Annotated,
    split: str,
    annotations: ActionAnnotations,
    store: FeatureStore,
    text: _Text,
    ledger: Ledger,
    progress: bool,
) -> ActionDataset:
    missing = [video.video_id for video in annotations.videos if video.video_id not in store]
    videos = [video for video in annotations.videos if video.video_id in store]
    if not videos:
        what = f"has none of the {len(missing)} videos of the {split} subset, such as '{missing[0]}'"
        remedy = meant(store, missing) or "check the names of the files, and that the features are those of the data"
        raise DataError(store, what, remedy)
    total, hint = len(annotations.videos), meant(store, missing)
    ledger.missing(split, "videos have no features", missing, total, store, hint)
    dtype = torch.float16 if getattr(config, "feature_dtype", "float32") == "float16" else torch.float32
    rows, watch = _rows(store, videos, dtype, progress)
    lengths = list(watch.rows.values())
    ids = tuple(video.video_id for video in videos)
    truth = annotations.truth(ids)
    number = {name: i for i, name in enumerate(annotations.classes)}
    carried = [[number[c] for c in video.labels] for video in videos]
    encoded = encode_prompts(carried, text.texts, text.vocabulary, text.prompt, thumos.WORD_TAGS, text.known)
    labels = torch.zeros(len(videos), len(annotations.classes))
    for row, classes in enumerate(carried):
        labels[row, classes] = 1.0
    snippet_s, durations = _clock(config, split, annotations.thumos, videos, watch, ledger)
    digest = hashlib.sha256()
    for part in (rows.numpy(), truth.spans_s, truth.labels, labels.numpy(), encoded.word_weights.numpy()):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update("\n".join((*ids, *encoded.sentences)).encode())
    # a clock that needs no saying is left out: runs that recorded a fingerprint without one had it
    if not np.array_equal(snippet_s, np.full(len(ids), SNIPPET_S) if annotations.thumos else durations / lengths):
        digest.update(snippet_s.tobytes())
    dropped = list(encoded.dropped)
    words = len(text.vocabulary) - 1 + len(dropped)
    ledger.note(split, "words are not in the vocabulary of the sentences", "are dropped", len(dropped), words, dropped)
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
        class_vectors=text.class_vectors,
        sentences=encoded.sentences,
        word_ids=encoded.word_ids,
        word_mask=encoded.word_mask,
        word_weights=encoded.word_weights,
        vectors=text.vectors,
        vocabulary=text.vocabulary,
        clips=config.clips,
        ambiguous_s=tuple(video.ambiguous for video in videos),
        unlisted=frozenset(video.video_id for video in videos if video.in_gt_json is False),
        fingerprint=f"{config.name}/{split}-{digest.hexdigest()[:16]}",
    )


def _clock(
    config: _Annotated, split: str, thumos14: bool, videos: Sequence[ActionVideo], watch: RowWatch, ledger: Ledger
) -> tuple[Float[np.ndarray, " videos"], Float[np.ndarray, " videos"]]:
    """Seconds a row, and durations.

    THUMOS14 has one clock for all videos, 0.64 s a row where the durations allow it.  On ActivityNet, whose durations
    are rounded, the rows of a video share its duration, unless they end early or go on after it.
    """
    given: float | None = getattr(config, "seconds_per_row", None)
    usual = SNIPPET_S if thumos14 else None
    known = {video.video_id: video.duration for video in videos}
    clock = watch.clock(known, ledger, split, given=given, usual=usual)
    lengths = np.array(list(watch.rows.values()), dtype=np.float64)
    durations = np.array([video.duration or n * s for video, n, s in zip(videos, lengths, clock.seconds, strict=True)])
    if thumos14 or given is not None:
        return clock.seconds, durations
    shared = durations / lengths
    if clock.common is None:
        return shared, durations
    return np.where(misfits(lengths, durations, clock.common), clock.common, shared), durations


def _rows(
    store: FeatureStore, videos: Sequence[ActionVideo], dtype: torch.dtype, progress: bool
) -> tuple[torch.Tensor, RowWatch]:
    """The rows of all videos one after the other, and who saw them; at no time is there a second copy of all."""
    parts: list[torch.Tensor] = []
    watch = RowWatch(store)
    for video in tqdm(videos, desc="features", unit="video", disable=not progress, leave=False):
        array = store.read(video.video_id)
        watch.see(video.video_id, array)
        parts.append(torch.from_numpy(np.array(array, dtype=np.float32)).to(dtype))
        if not parts[-1].isfinite().all():
            what = f"video '{video.video_id}' exceeds the range of float16"
            raise DataError(store, what, "use feature_dtype='float32'")
    rows = torch.empty(sum(map(len, parts)), parts[0].shape[1], dtype=dtype)
    at = len(rows)
    while parts:
        part = parts.pop()
        at -= len(part)
        rows[at : at + len(part)] = part
    return rows, watch
