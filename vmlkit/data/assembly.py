"""From annotations, tagged sentences and features to a resident data set."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.data.batches import MomentDataset
from vmlkit.data.clock import RowWatch
from vmlkit.data.feature_files import FeatureStore
from vmlkit.data.features import meant, place_clips
from vmlkit.data.left_out import Ledger
from vmlkit.data.packed import PackedFeatures
from vmlkit.errors import DataError
from vmlkit.text.sentence_features import SentenceFeatures
from vmlkit.text.tagging import TaggedSentence, masking_probabilities, masking_weight
from vmlkit.text.vocabulary import Vocabulary

Unknown = Literal["keep", "skip", "error"]


@dataclass(frozen=True, kw_only=True)
class EncodedSentences:
    """N sentences as padded word ids, and what was lost on the way."""

    word_ids: Int[Tensor, "N L"]
    word_mask: Bool[Tensor, "N L"]
    word_weights: Float[Tensor, "N L"]  #: masking probabilities
    places: Int[Tensor, "N L"]  #: position of each word among the tokens of its sentence
    tokens: int  #: tokens before anything was dropped
    dropped: int  #: tokens outside the vocabulary
    truncated: int  #: sentences cut to the longest allowed length
    unknown: tuple[int, ...]  #: sentences without any known word; they hold one padding word

    def rows_of(self, states: SentenceFeatures) -> Int[Tensor, "N L"]:
        """Row of each word in the table of token states; 0 on padding, and for a sentence without a known word."""
        rows = torch.from_numpy(states.starts)[:, None] + self.places + 1
        return torch.where(self.word_mask & (self.word_ids > 0), rows, 0)

    def report(self, ledger: Ledger, split: str, vocabulary: Vocabulary) -> None:
        """Write the losses down.

        >>> ledger = Ledger()
        >>> words = encode_sentences([TaggedSentence(("a", "zebu"), ("DT", "NN"))], Vocabulary(("a",)), 20)
        >>> words.report(ledger, "test", Vocabulary(("a",)))
        >>> print(*ledger)
        test: 1 of 2 tokens are not among the 1 words of the vocabulary and are dropped
        """
        what = f"tokens are not among the {len(vocabulary) - 1} words of the vocabulary"
        ledger.note(split, what, "are dropped", self.dropped, self.tokens)
        most = self.word_ids.shape[1]
        ledger.note(split, f"sentences have more than {most} words", "are cut", self.truncated, len(self.word_ids))


def encode_sentences(
    sentences: Sequence[TaggedSentence], vocabulary: Vocabulary, max_words: int = 20
) -> EncodedSentences:
    """Word ids, masks and masking probabilities of N sentences.

    Words outside the vocabulary are dropped (the references have no unknown word), the rest is cut to ``max_words``,
    and the probabilities are a softmax over what remains.  L is the longest remaining sentence.  A sentence of which
    nothing remains gets one word with id 0.
    """
    kept = [
        [
            (vocabulary.ids((token,))[0], masking_weight(tag), place)
            for place, (token, tag) in enumerate(zip(sentence.tokens, sentence.tags, strict=True))
            if token in vocabulary
        ]
        for sentence in sentences
    ]
    unknown = tuple(i for i, words in enumerate(kept) if not words)
    for i in unknown:
        kept[i].append((0, 1.0, 0))
    lengths = np.minimum([len(words) for words in kept], max_words).astype(np.int64)
    ids = np.zeros((len(kept), int(lengths.max(initial=1))), dtype=np.int64)
    weights, places = np.zeros(ids.shape, dtype=np.float32), np.zeros_like(ids)
    for i, words in enumerate(kept):
        part = words[:max_words]
        ids[i, : len(part)] = [word for word, _, _ in part]
        weights[i, : len(part)] = [weight for _, weight, _ in part]
        places[i, : len(part)] = [place for _, _, place in part]
    mask = torch.from_numpy(np.arange(ids.shape[1]) < lengths[:, None])
    total = sum(len(s.tokens) for s in sentences)
    return EncodedSentences(
        word_ids=torch.from_numpy(ids),
        word_mask=mask,
        word_weights=masking_probabilities(torch.from_numpy(weights), mask),
        places=torch.from_numpy(places),
        tokens=total,
        dropped=total - sum(map(len, kept)) + len(unknown),
        truncated=sum(len(words) > max_words for words in kept),
        unknown=unknown,
    )


def build_dataset(
    name: str,
    annotations: Sequence[MomentAnnotation],
    words: EncodedSentences,
    features: FeatureStore,
    vocabulary: Vocabulary,
    vectors: Float[Tensor, "V Dw"],
    *,
    clips: int,
    query_ids: Sequence[str] | None = None,
    source: object = "annotations",
    split: str | None = None,
    ledger: Ledger | None = None,
    seconds_per_row: float | None = None,
    contextual: SentenceFeatures | None = None,
    unknown_sentence: Unknown = "keep",
    feature_dtype: str = "float32",
    cache_dir: str | Path | None = None,
    progress: bool = False,
) -> MomentDataset:
    """Assemble a split whose features are resampled and resident.

    Args:
        name: of the split, e.g. ``"charades/train"``.
        annotations: N rows.
        words: the N encoded sentences.
        features: read once per video, only for videos that occur.
        vectors: word vector of each id.
        clips: T.
        query_ids: of the N rows; by default ``name/row``.
        source: the annotation file, for messages.
        split: its name in the account; ``name`` by default.
        ledger: the account of what is left out, which decides about videos without features; without one, they are
            left out and a Python warning says so.
        seconds_per_row: of the features; ``None`` takes it from the durations.  Rows and durations are compared, and
            features that do not fit are counted, unless they are planted.
        contextual: a state of each token in its sentence, instead of ``vectors``.
        unknown_sentence: keep a sentence without a known word as one padding word, leave it out, or raise.
        feature_dtype: ``"float32"`` or ``"float16"``.
        cache_dir: where resampled features may be kept.

    Raises:
        DataError: for unusable features, or if no sentence remains.
    """
    account, split = ledger or Ledger(warn=True), split or name
    keep = _with_words(source, annotations, words, unknown_sentence, account, split)
    if not keep:
        raise DataError(source, f"no sentence of '{name}' has a word of the vocabulary", "check the language")
    keep = _with_features(features, annotations, keep, account, split)
    rows = [annotations[i] for i in keep]
    videos = list(dict.fromkeys(row.video_id for row in rows))
    watch = RowWatch(features)
    options: Any = {"dtype": feature_dtype, "cache_dir": cache_dir, "progress": progress}
    frames, position = place_clips(features, videos, clips, watch=watch, **options)
    watch.clock({row.video_id: row.duration for row in rows}, account, split, given=seconds_per_row)
    names = query_ids if query_ids is not None else [f"{name}/{row.row}" for row in annotations]
    dataset = MomentDataset(
        name=name,
        frames=torch.from_numpy(frames),
        video_index=torch.tensor([position[row.video_id] for row in rows]),
        word_ids=words.word_ids[keep],
        word_mask=words.word_mask[keep],
        word_weights=words.word_weights[keep],
        vectors=vectors if contextual is None else contextual.table()[0],
        vector_ids=None if contextual is None else words.rows_of(contextual)[keep],
        spans_s=np.array([(row.start, row.end) for row in rows], dtype=np.float64),
        durations=np.array([row.duration for row in rows], dtype=np.float64),
        query_ids=tuple(names[i] for i in keep),
        video_ids=tuple(row.video_id for row in rows),
        sentences=tuple(row.sentence for row in rows),
        vocabulary=vocabulary,
        fingerprint="",
    )
    packed = features.fingerprint if isinstance(features, PackedFeatures) else None
    return dataclasses.replace(dataset, fingerprint=_fingerprint(dataset, packed))


def _with_words(
    source: object,
    annotations: Sequence[MomentAnnotation],
    words: EncodedSentences,
    action: Unknown,
    ledger: Ledger,
    split: str,
) -> list[int]:
    """Positions of the sentences that stay, whatever is done about those without a known word."""
    everything = list(range(len(annotations)))
    if not words.unknown:
        return everything
    names = [f"record {annotations[i].row} of {annotations[i].video_id}" for i in words.unknown]
    if action == "error":
        first = annotations[words.unknown[0]]
        more = f" (nor do {len(names) - 1} more)" if len(names) > 1 else ""
        what = f"record {first.row} ({first.video_id}) has no word of the vocabulary: {first.sentence!r}{more}"
        raise DataError(source, what, "enlarge vocab_size, or set unknown_sentence to 'keep' or 'skip'")
    skip = action == "skip"
    done = "are left out" if skip else "are kept as one padding word (unknown_sentence='skip' drops them)"
    ledger.note(split, "sentences have no word of the vocabulary", done, len(names), len(annotations), names)
    return sorted(set(everything) - set(words.unknown)) if skip else everything


def _with_features(
    features: FeatureStore, annotations: Sequence[MomentAnnotation], keep: Sequence[int], ledger: Ledger, split: str
) -> list[int]:
    """The positions among ``keep`` whose videos have features."""
    videos = list(dict.fromkeys(annotations[i].video_id for i in keep))
    gone = [video for video in videos if video not in features]
    if not gone:
        return list(keep)
    hint = meant(features, gone)
    ledger.missing(split, "videos have no features", gone, len(videos), features, hint)
    if len(gone) == len(videos):
        what = f"has none of the {len(videos)} videos of the {split} split, such as '{videos[0]}'"
        remedy = hint or "check the names of the videos, and that the features are those of the data"
        raise DataError(features, what, remedy)
    lost = set(gone)
    left = [i for i in keep if annotations[i].video_id not in lost]
    ledger.note(split, "queries ask about a video without features", "are left out", len(keep) - len(left), len(keep))
    return left


def _fingerprint(dataset: MomentDataset, packed: str | None) -> str:
    """Of everything in the split; packed features, which are not read for it, have their own."""
    digest = hashlib.sha256(repr(dataset.vocabulary.words).encode())
    digest.update((packed or "").encode())
    for name, value in vars(dataset).items():
        if name == "frames" and packed is not None:
            continue
        array = value.numpy() if isinstance(value, Tensor) else value
        if isinstance(array, np.ndarray):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        elif isinstance(array, (str, tuple)):
            digest.update(f"{name}{array!r}".encode())
    return digest.hexdigest()[:16]
