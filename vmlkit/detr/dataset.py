"""Resident splits for the DETR family: a moment data set whose batches carry endpoints, windows and negatives."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.batches import Draw, MomentDataset
from vmlkit.detr.batches import DetrBatch, clips_inside, with_endpoints
from vmlkit.detr.lines import Lines
from vmlkit.detr.negative_queries import NegativeQueries, NegativeRules, find_negatives
from vmlkit.errors import DataError

NegativeSource = Literal["same_video", "same_video_any", "other_video"]

#: a moment centered in this part of its video is early; ``DetrToyData.moments`` says what training sees of the others
EARLY = 0.55
#: with ``moments="mostly_early"``, the share of late moments in training
SELDOM = 0.1


@dataclass(frozen=True, kw_only=True)
class DetrDraw(Draw):
    """Rows of a batch, where queries may have a negative sentence and some of their windows."""

    negatives: Int[Tensor, " B"] | None = None  #: rows of the queries whose sentences serve; None draws none
    negative_words: int = 0  #: columns that are kept of their padded word axis
    windows: Int[Tensor, "B N"] | None = None  #: columns of the windows that train; None: all


@dataclass(frozen=True, kw_only=True)
class DetrDataset(MomentDataset):
    """A split with the candidates for negative queries and named groups of queries that are reported apart.

    Videos of JSON lines keep their own numbers of clips: ``frames`` are padded and ``counts`` says how far.
    """

    candidates: NegativeQueries | None = None  #: by the paper's rules
    rules: NegativeRules = field(default_factory=NegativeRules)  #: what made the candidates
    groups: dict[str, Bool[np.ndarray, " N"]] = field(default_factory=dict)  #: e.g. ``iid`` and ``ood``
    counts: Int[Tensor, " videos"] | None = None  #: clips of each video; None: all T
    lines: Lines | None = None  #: what JSON lines say beyond one span a query
    windows: Float[Tensor, "N W 2"] | None = None  #: of the lines, (center, width) as they train; None: the spans
    window_mask: Bool[Tensor, "N W"] | None = None
    ratings: Float[Tensor, "N T"] | None = None  #: what annotators say of the clips, NaN where one is not relevant
    #: (N,) float64, seconds that 1 stands for in a prediction; the durations, cut where the features were; None: those
    seconds: np.ndarray | None = None

    gathered: ClassVar[tuple[str, ...]] = (
        *MomentDataset.gathered, "counts", "windows", "window_mask", "ratings",
    )  # fmt: skip

    @classmethod
    def of(
        cls,
        dataset: MomentDataset,
        *,
        candidates: bool = False,
        groups: bool = False,
        rules: NegativeRules | None = None,
        **more: Any,
    ) -> "DetrDataset":
        """A split with its candidates found by time and sentence, and its groups by :func:`query_groups`.

        Args:
            rules: which sentences are too similar; TF-IDF's unless given.
            more: further fields.
        """
        fields = {f.name: getattr(dataset, f.name) for f in dataclasses.fields(MomentDataset)}
        rules, found, lines = rules or NegativeRules(), None, more.get("lines")
        if candidates:
            windows = [[(float(start), float(end))] for start, end in dataset.spans_s]
            if lines is not None:
                windows = [rows[mask].tolist() for rows, mask in zip(lines.windows_s, lines.window_mask, strict=True)]
            similarity = rules.measure(dataset.sentences)
            found = find_negatives(dataset.video_ids, windows, similarity, max_similarity=rules.max_similarity)
        return cls(**fields, candidates=found, rules=rules, groups=query_groups(dataset) if groups else {}, **more)

    @property
    def spans(self) -> np.ndarray:
        """``(N, 2)`` start/end (of the first window) in fractions of what a prediction's 1 stands for."""
        found: np.ndarray = self.spans_s / self.prediction_seconds[:, None]
        return found

    @property
    def prediction_seconds(self) -> np.ndarray:
        """``(N,)`` seconds that 1 stands for in a prediction."""
        return self.durations if self.seconds is None else self.seconds

    @property
    def labelled(self) -> bool:
        """Whether the truth is known; it is not for a test split whose labels are held back."""
        return self.lines is None or self.lines.labelled

    def batch(self, indices: Tensor | Sequence[int], *, with_spans: bool = False, static: bool = False) -> DetrBatch:
        """A DETR batch without negatives; ``windows`` and ``ratings`` only with ``with_spans``.

        Args:
            static: keep the axes of clips and words of the whole split instead of cutting them to the longest.
        """
        draw = self.draw(indices, static=static)
        return self.named(self.gather(draw.to(self.device), with_spans=with_spans), draw)

    def draw(self, indices: Tensor | Sequence[int], *, static: bool = False) -> "DetrDraw":
        """The rows of a batch, on the host; without ``static``, clips are cut to those of the longest video."""
        own = super().draw(indices, static=static)
        cut = None if static or self._clips is None else int(self._clips[own.rows].max())
        return DetrDraw(**{**vars(own), "clips": cut})

    @functools.cached_property
    def _clips(self) -> Int[Tensor, " N"] | None:
        """Clips of each query's video, on the host."""
        return None if self.counts is None else self.counts[self.video_index].cpu()

    def gather(self, draw: Draw, *, with_spans: bool = False) -> DetrBatch:
        """As of any split, with endpoint features, windows, ratings and the negative sentences that were drawn."""
        plain = super().gather(draw, with_spans=with_spans)
        fields = {**vars(plain)}
        if self.counts is not None:
            counts = self.counts[self.video_index[draw.rows]]
            fields["frame_mask"] = torch.arange(plain.frames.shape[1], device=self.device) < counts[:, None]
        fields["frames"] = with_endpoints(plain.frames, fields["frame_mask"])
        if plain.spans is not None:
            fields |= self._labels(plain.spans, draw, plain.frames.shape[1])
        batch = DetrBatch(**fields)
        return self.with_sentences(batch, draw) if isinstance(draw, DetrDraw) and draw.negatives is not None else batch

    def _labels(self, spans: Float[Tensor, "B 2"], draw: Draw, clips: int) -> dict[str, Tensor]:
        if self.windows is None or self.window_mask is None:
            there = torch.ones(len(spans), 1, dtype=torch.bool, device=self.device)
            return {"windows": spans[:, None], "window_mask": there}
        windows, mask = self.windows[draw.rows], self.window_mask[draw.rows]
        if isinstance(draw, DetrDraw) and draw.windows is not None:
            windows = windows.gather(1, draw.windows[..., None].expand(-1, -1, 2))
            mask = mask.gather(1, draw.windows)
        found = {"windows": windows, "window_mask": mask}
        return found if self.ratings is None else found | {"ratings": self.ratings[draw.rows, :clips]}

    def fewer_windows(self, draw: "DetrDraw", most: int, generator: torch.Generator) -> "DetrDraw":
        """A draw on the host with at most ``most`` windows of each query, drawn where it has more.

        # PAPER: (silent) / CODE: the annotation is shuffled for good, so later epochs see it reordered -> no switch,
        #        because only temporal shifting heeds the order, and it is off where queries have several windows
        """
        if self.lines is None or self.lines.window_mask.shape[1] <= most:
            return draw
        there = torch.from_numpy(self.lines.window_mask[draw.rows.numpy()])
        noise = torch.rand(there.shape, generator=generator).masked_fill(~there, -1.0)
        return dataclasses.replace(draw, windows=noise.topk(most, dim=1).indices.sort(dim=1).values)

    def inside(self) -> Bool[np.ndarray, "N T"] | None:
        """Clips inside any true window of each query; None for a split of single spans, which says it itself."""
        if self.lines is None:
            return None
        out = np.zeros((len(self), self.frames.shape[1]), dtype=bool)
        for rows in torch.arange(len(self)).split(1024):
            batch = self.batch(rows, with_spans=True, static=True)
            assert batch.windows is not None
            assert batch.window_mask is not None
            out[rows.numpy()] = clips_inside(batch.windows, batch.window_mask, batch.frame_mask).cpu().numpy()
        return out

    def draw_negatives(
        self, draw: "DetrDraw", source: NegativeSource, generator: torch.Generator, *, static: bool
    ) -> "DetrDraw":
        """A draw on the host with a negative sentence for each query.

        ``same_video`` follows the paper and falls back to another video where a query has no candidate;
        ``same_video_any`` is the same without its rules, as P2 Fig. 3 leaves them out; ``other_video`` is the released
        rule without ``neg_query_ids``: any query of another video.

        Raises:
            DataError: where candidates were not prepared.
        """
        if self.candidates is None:
            raise DataError(self.name, "has no negative queries prepared", "make it with candidates=True")
        found = self.candidates
        if source != "same_video":
            found = found.every if source == "same_video_any" else found.none
        rows = found.sample(draw.rows, generator)
        return dataclasses.replace(draw, negatives=rows, negative_words=self._columns(rows, static))

    def with_negatives(
        self, batch: DetrBatch, indices: Tensor, source: NegativeSource, generator: torch.Generator, *, static: bool
    ) -> DetrBatch:
        """A batch of this split with a negative sentence for each query; see :meth:`draw_negatives`."""
        draw = self.draw_negatives(self.draw(indices, static=static), source, generator, static=static)
        return self.with_sentences(batch, draw.to(self.device))

    def with_sentences(self, batch: DetrBatch, draw: "DetrDraw") -> DetrBatch:
        """The batch with the negative sentences of a draw that lies where the split does."""
        assert draw.negatives is not None
        ids = self.word_rows[draw.negatives, : draw.negative_words]
        mask = self.word_mask[draw.negatives, : draw.negative_words]
        return dataclasses.replace(batch, negative_words=self.vectors[ids], negative_mask=mask)

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> "DetrDataset":
        """The queries at ``indices``; candidates and groups are those of what is kept."""
        kept: Any = super().subset(indices, name)
        rows = np.asarray(indices)
        places = torch.as_tensor(rows, dtype=torch.long)
        return DetrDataset.of(
            kept,
            candidates=self.candidates is not None,
            groups=bool(self.groups),
            rules=self.rules,
            counts=self.counts,
            lines=None if self.lines is None else self.lines.subset(rows),
            seconds=None if self.seconds is None else self.seconds[rows],
            windows=None if self.windows is None else self.windows[places],
            window_mask=None if self.window_mask is None else self.window_mask[places],
            ratings=None if self.ratings is None else self.ratings[places],
        )


def query_groups(dataset: MomentDataset) -> dict[str, Bool[np.ndarray, " N"]]:
    """Where the moments are as in training (``iid``) and where they are not (``ood``).

    By the file where the queries come from (Charades-CD), else by whether the moment lies in the early part.
    """
    files = np.array([query.split("/")[0] for query in dataset.query_ids])
    if set(files) <= {"test_iid", "test_ood"}:
        return {"iid": files == "test_iid", "ood": files == "test_ood"}
    early = dataset.spans.mean(axis=1) <= EARLY
    return {"iid": early, "ood": ~early}
