"""Sentence variants beside a resident split: texts per query, as tensors, and the batches that carry them: P4 Eq. (1).

A split of moments or of the DETR family is extended: its batches carry the variants beside what they had.
Axes: N queries of a split, B of a batch, K components, L words.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.components.variants.rows import MOMENT_NEGATIVES, Component, by_sentence, read_variants
from vmlkit.data.batches import Batch, Draw, MomentBatch, MomentDataset
from vmlkit.data.left_out import Ledger
from vmlkit.detr.batches import DetrBatch
from vmlkit.detr.dataset import DetrDataset, DetrDraw
from vmlkit.errors import DataError
from vmlkit.text.sentence_features import SentenceSource


@dataclass(frozen=True, kw_only=True)
class ComponentTexts:
    """One positive and K negatives of each of N sentences; None where there is none."""

    components: tuple[str, ...]
    positives: tuple[str | None, ...]
    negatives: tuple[tuple[str | None, ...], ...]

    def __post_init__(self) -> None:
        if len(self.positives) != len(self.negatives) or any(len(r) != len(self.components) for r in self.negatives):
            raise DataError("variants", "rows and components disagree", "give a positive and K negatives per sentence")

    @property
    def valid(self) -> Bool[np.ndarray, "N K"]:
        """Where both the negative and the positive of its sentence exist."""
        rows = [
            [positive is not None and text is not None for text in row]
            for positive, row in zip(self.positives, self.negatives, strict=True)
        ]
        return np.asarray(rows, dtype=bool).reshape(len(self.positives), len(self.components))

    def only(self, *components: str) -> "ComponentTexts":
        """Some of the components, in the order given.

        Raises:
            DataError: for a component that is not here.
        """
        for name in components:
            if name not in self.components:
                raise DataError("variants", f"no component '{name}'", f"choose from {', '.join(self.components)}")
        keep = [self.components.index(name) for name in components]
        negatives = tuple(tuple(row[i] for i in keep) for row in self.negatives)
        return dataclasses.replace(self, components=components, negatives=negatives)


@dataclass(frozen=True, kw_only=True)
class VariantBatch(Batch):
    """Word vectors of the variants of B sentences; masks are True on words."""

    positive: Float[Tensor, "B L Dw"]
    positive_mask: Bool[Tensor, "B L"]
    negative: Float[Tensor, "B K L Dw"]
    negative_mask: Bool[Tensor, "B K L"]
    valid: Bool[Tensor, "B K"]

    def texts(self) -> tuple[Float[Tensor, "B K1 L Dw"], Bool[Tensor, "B K1 L"]]:
        """Positive and negatives in one axis of K + 1, the positive first."""
        words = torch.cat((self.positive[:, None], self.negative), dim=1)
        return words, torch.cat((self.positive_mask[:, None], self.negative_mask), dim=1)

    def swapped(self) -> "VariantBatch":
        """Every sentence with the variants of the next one (a control)."""
        return self.map(lambda t: t.roll(-1, 0))


@dataclass(frozen=True, kw_only=True)
class ComponentBatch(DetrBatch):
    """A batch of sentences about moments and the variants of its sentences; windows where the split has them."""

    variants: VariantBatch


@dataclass(frozen=True, kw_only=True)
class RetrievalDataset(MomentDataset):
    """A split of captions and videos, of which some have fewer frames than there is room for."""

    counts: Int[Tensor, " videos"]  #: frames of each video; what follows them is padding

    gathered: ClassVar[tuple[str, ...]] = (*MomentDataset.gathered, "counts")

    def gather(self, draw: Draw, *, with_spans: bool = False) -> MomentBatch:
        """As of any split, with the mask of frames."""
        plain = super().gather(draw, with_spans=with_spans)
        mask = self.frame_masks(self.video_index[draw.rows])[:, : plain.frames.shape[1]]
        return dataclasses.replace(plain, frame_mask=mask)

    def frame_masks(self, videos: Int[Tensor, " V"]) -> Bool[Tensor, "V T"]:
        """True on the frames of some videos."""
        return torch.arange(self.frames.shape[1], device=self.device) < self.counts[videos][:, None]


@dataclass(frozen=True, kw_only=True)
class ComponentDraw(DetrDraw):
    """Rows of a batch with the variants of its sentences."""

    variant_words: int  #: columns that are kept of the padded word axis of the variants


@dataclass(frozen=True, kw_only=True)
class ComponentDataset(DetrDataset):
    """A split of sentences with their variants; ``base`` is the split as its own family reads it."""

    base: MomentDataset
    texts: ComponentTexts
    ids: Int[Tensor, "N K1 L"]  #: rows of ``word_vectors``, the positive first, 0 on padding
    valid: Bool[Tensor, "N K"]
    word_vectors: Float[Tensor, "V Dw"]  #: of every word or token of the variants; row 0 is zero

    gathered: ClassVar[tuple[str, ...]] = (*DetrDataset.gathered, "base", "ids", "valid", "word_vectors")

    def draw(self, indices: Tensor | Sequence[int], *, static: bool = False) -> "ComponentDraw":
        """The rows of a batch; variants are cut to the longest one, which with ``static`` is that of the split."""
        own = self.base.draw(indices, static=static)
        longest = self.ids.shape[-1] if static else max(int(self._longest[own.rows].max()), 1)
        return ComponentDraw(**vars(own), variant_words=longest)

    def gather(self, draw: Draw, *, with_spans: bool = False) -> ComponentBatch:
        """The batch of the split with the variants of its sentences."""
        own = self.base.gather(draw, with_spans=with_spans)
        cut = draw.variant_words if isinstance(draw, ComponentDraw) else self.ids.shape[-1]
        rows = self.ids[draw.rows, :, :cut]
        words, mask = self.word_vectors[rows], rows > 0
        variants = VariantBatch(
            positive=words[:, 0],
            positive_mask=mask[:, 0],
            negative=words[:, 1:],
            negative_mask=mask[:, 1:],
            valid=self.valid[draw.rows],
        )
        return ComponentBatch(**vars(own), variants=variants)

    def batch(
        self, indices: Tensor | Sequence[int], *, with_spans: bool = False, static: bool = False
    ) -> ComponentBatch:
        """The batch of the split with the variants of its sentences."""
        draw = self.draw(indices, static=static)
        return self.named(self.gather(draw.to(self.device), with_spans=with_spans), draw)

    @functools.cached_property
    def _longest(self) -> Int[Tensor, " N"]:
        """Words of the longest variant of each query, on the host."""
        return (self.ids > 0).sum(-1).amax(1).cpu()

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> "ComponentDataset":
        """The queries at ``indices`` with their variants."""
        rows = np.asarray(indices)
        base, i = self.base.subset(rows, name), torch.as_tensor(rows, dtype=torch.long)
        texts = ComponentTexts(
            components=self.texts.components,
            positives=tuple(self.texts.positives[j] for j in rows),
            negatives=tuple(self.texts.negatives[j] for j in rows),
        )
        return self._of(base, texts, self.ids[i], self.valid[i], self.word_vectors)

    @classmethod
    def _of(
        cls, base: MomentDataset, texts: ComponentTexts, ids: Tensor, valid: Tensor, word_vectors: Tensor
    ) -> "ComponentDataset":
        fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
        digest = hashlib.sha256(repr(texts).encode()).hexdigest()[:12]
        fields["fingerprint"] = f"{base.fingerprint}+variants-{digest}"
        return cls(**fields, base=base, texts=texts, ids=ids, valid=valid, word_vectors=word_vectors)


def texts_from_file(
    path: str | Path,
    sentences: Sequence[str],
    components: Sequence[Component] = MOMENT_NEGATIVES,
    *,
    needed: bool = True,
) -> ComponentTexts:
    """Variants of a split's sentences from a file that ``vmlkit variants`` wrote; the positive is the file's too.

    A sentence that the file lacks has none.  Blanks are compared as the command reads them: each run counts as one.

    Args:
        needed: whether the file must know some of the sentences.

    Raises:
        DataError: for a file that cannot be read, or that knows none of the sentences although it must.
    """
    texts = by_sentence(read_variants(path))
    known = [" ".join(sentence.split()) for sentence in sentences]
    if needed and not {sentence for sentence, _ in texts} & set(known):
        raise DataError(path, "knows no sentence of this split", "run `vmlkit variants` on its annotations")
    return ComponentTexts(
        components=tuple(components),
        positives=tuple(texts.get((sentence, "positive")) for sentence in known),
        negatives=tuple(tuple(texts.get((sentence, name)) for name in components) for sentence in known),
    )


def attach(
    base: MomentDataset, texts: ComponentTexts, vector_of: Callable[[str], np.ndarray], *, needed: bool = True
) -> ComponentDataset:
    """Wrap a split with variants of its sentences.

    Args:
        base: the split, of single moments or of the DETR family.
        texts: variants in the order of the split.
        vector_of: vector of any word that occurs.
        needed: whether some sentence must have a positive and a negative.

    Raises:
        DataError: where the numbers of sentences differ or nothing is valid.
    """
    valid = _checked(base, texts, needed)
    rows = [[_tokens(p), *map(_tokens, row)] for p, row in zip(texts.positives, texts.negatives, strict=True)]
    words = sorted({word for row in rows for text in row for word in text})
    number = {word: i for i, word in enumerate(words, start=1)}
    longest = max(len(text) for row in rows for text in row)
    ids = np.zeros((len(rows), 1 + len(texts.components), longest), dtype=np.int64)
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            ids[i, j, : len(text)] = [number[word] for word in text]
    table = np.stack([vector_of(word) for word in words]).astype(np.float32)
    return ComponentDataset._of(
        base,
        texts=texts,
        ids=torch.from_numpy(ids),
        valid=torch.from_numpy(valid),
        word_vectors=torch.from_numpy(np.concatenate((np.zeros_like(table[:1]), table))),
    )


def attach_states(
    base: MomentDataset,
    texts: ComponentTexts,
    source: SentenceSource,
    max_tokens: int,
    *,
    ids: Sequence[str] | None = None,
    needed: bool = True,
) -> ComponentDataset:
    """Wrap a split with variants of its sentences, each as token states.

    Args:
        source: knows a variant by its text, or by the id ``QUERY.COMPONENT``.
        max_tokens: longer variants are cut.
        ids: what the source calls the queries; their own ids unless given.
        needed: whether some sentence must have a positive and a negative.

    Raises:
        DataError: as :func:`attach`, and for states that the source lacks or that have another dimension.
    """
    valid = _checked(base, texts, needed)
    names = ("positive", *texts.components)
    rows = [(positive, *row) for positive, row in zip(texts.positives, texts.negatives, strict=True)]
    there = [(i, j, text) for i, row in enumerate(rows) for j, text in enumerate(row) if text is not None]
    # a text that is missing is never valid, but attention over no token has no meaning: it takes the first one's
    places = torch.ones((len(rows), len(names), 1), dtype=torch.long)
    table = base.vectors[:2]
    if there:
        asked = [f"{(ids or base.query_ids)[i]}.{names[j]}" for i, j, _ in there]
        gone = source.missing(asked)
        if gone:
            what = f"has no token states of the variant '{gone[0]}' (nor of {len(gone) - 1} more)"
            raise DataError(base.name, what, "extract them too, or let data.text name the folder of the encoder")
        table, found, _ = source.read(asked, [text for *_, text in there], max_tokens).table()
        places = torch.zeros((len(rows), len(names), found.shape[1]), dtype=torch.long)
        places[..., 0] = 1
        places[[i for i, _, _ in there], [j for _, j, _ in there]] = found
    if table.shape[1] != base.vectors.shape[1]:
        what = f"variants have states of {table.shape[1]} dimensions and captions of {base.vectors.shape[1]}"
        raise DataError(base.name, what, "extract both with the same encoder")
    return ComponentDataset._of(base, texts=texts, ids=places, valid=torch.from_numpy(valid), word_vectors=table)


def _checked(base: MomentDataset, texts: ComponentTexts, needed: bool = True) -> Bool[np.ndarray, "N K"]:
    """Where a variant is valid, of a split that has some."""
    if len(texts.positives) != len(base):
        what = f"{len(texts.positives)} sentences have variants, the split has {len(base)}"
        raise DataError(base.name, what, "make the variants from the sentences of this split")
    valid = texts.valid
    if needed and not valid.any():
        raise DataError(base.name, "no sentence has a positive and a negative", "look at the rejected variants")
    return valid


def words_of_texts(texts: ComponentTexts) -> set[str]:
    """Every word of the variants, as :func:`attach` asks for it."""
    rows = [(positive, *row) for positive, row in zip(texts.positives, texts.negatives, strict=True)]
    return {word for row in rows for text in row for word in _tokens(text)}


def variants_of_split(
    path: str, name: str, sentences: Sequence[str], ledger: Ledger, components: Sequence[Component], ids: Sequence[str]
) -> ComponentTexts:
    """:func:`texts_from_file` of a split; the training split must have some, and what has none is written down."""
    texts = texts_from_file(path, sentences, components, needed=name == "train")
    without = [query for query, valid in zip(ids, texts.valid, strict=True) if not valid.any()]
    what = "sentences have no positive with a negative among the variants"
    done = "train the host alone" if name == "train" else "are not asked about components"
    ledger.note(name, what, done, len(without), len(ids), without)
    return texts


def _tokens(text: str | None) -> list[str]:
    """Words in lower case without punctuation at their ends; one unknown word stands for a text that is missing.

    A missing text is never valid, but it must not be empty: attention over no word has no meaning.
    """
    if text is None:
        return ["-"]
    return [word.strip(".,;:!?\"'").lower() for word in text.split() if word.strip(".,;:!?\"'")] or ["-"]
