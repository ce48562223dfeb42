"""What JSON lines say of the queries of a split beyond one span each: several windows, ratings of clips, file order.

Axes: N queries, W windows, T clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vmlkit.data.annotations.detr_jsonl import QueryAnnotation
from vmlkit.detr.batches import span_targets
from vmlkit.detr.corpora import Protocol
from vmlkit.detr.windows import PostProcessing
from vmlkit.metrics.windows import pad_rows

#: TVSum: 20 annotators rate from 1 to 5; the released loader maps their sum to the scale of QVHighlights, 0 to 12
TVSUM_SCALE = 12 / 80


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The annotations of N queries as they train and score a model; times in seconds."""

    queries: tuple[QueryAnnotation, ...]
    windows_s: Float[np.ndarray, "N W 2"]
    window_mask: Bool[np.ndarray, "N W"]
    clip_length: float
    protocol: Protocol
    processing: PostProcessing  #: of predicted windows before they are scored
    labelled: bool = True  #: False: nothing can be scored
    max_windows: int = 5  #: true windows of a query that train; of more, so many are drawn

    def __len__(self) -> int:
        return len(self.queries)

    def subset(self, rows: np.ndarray) -> "Lines":
        """The queries at these positions."""
        return replace(
            self,
            queries=tuple(self.queries[int(i)] for i in rows),
            windows_s=self.windows_s[rows],
            window_mask=self.window_mask[rows],
        )

    @property
    def rated(self) -> bool:
        """Whether annotators rated clips."""
        return any(q.saliency_scores is not None or q.clip_labels is not None for q in self.queries)

    @property
    def has_windows(self) -> bool:
        """Whether moments are asked for, rather than ratings of clips alone."""
        return self.protocol not in ("tvsum", "youtube")


def lines_of(
    queries: Sequence[QueryAnnotation],
    *,
    clip_length: float,
    protocol: Protocol,
    processing: PostProcessing,
    max_windows: int,
) -> Lines:
    """The annotations of a split."""
    # without windows one over the whole video stands for them: matching needs one, and its losses have no weight
    windows = [q.windows_s or ((0.0, q.duration_s),) for q in queries]
    padded, mask = pad_rows(windows, columns=2)
    scored = protocol in ("tvsum", "youtube")
    return Lines(
        queries=tuple(queries),
        windows_s=padded,
        window_mask=mask,
        clip_length=clip_length,
        protocol=protocol,
        processing=processing,
        labelled=all(q.clip_labels if scored else q.windows_s for q in queries),
        max_windows=max_windows,
    )


def training_labels(lines: Lines, counts: Int[Tensor, " N"], width: int) -> dict[str, Tensor | None]:
    """``windows``, ``window_mask`` and ``ratings`` of N queries, as they train.

    Args:
        counts: clips of each query's video.
        width: T.
    """
    mask = torch.from_numpy(lines.window_mask)
    # released: a fraction of the clips that there are, not of the annotated duration
    length = counts[:, None, None] * lines.clip_length
    windows = span_targets(torch.from_numpy(lines.windows_s), length).float()
    windows = torch.where(mask[..., None], windows, windows.new_tensor([0.5, 1.0]))
    ratings = rated_clips(lines.queries, counts.tolist(), width, binary=lines.protocol == "youtube")
    return {"windows": windows, "window_mask": mask, "ratings": ratings}


def rated_clips(
    queries: Sequence[QueryAnnotation], counts: Sequence[int], width: int, *, binary: bool = False
) -> Float[Tensor, "N T"] | None:
    """Ratings of the clips: QVHighlights' three annotators summed (0 to 12), TVSum's likewise, YouTube's 0 or 1.

    A relevant clip beyond the last feature row counts for the last row, as released.  None where the file has none.

    Args:
        counts: clips of each query's video.
        width: T.
        binary: labels are those of YouTube Highlights.
    """
    if all(q.saliency_scores is None and q.clip_labels is None for q in queries):
        return None
    out = torch.full((len(queries), width), torch.nan)
    for row, (query, count) in enumerate(zip(queries, counts, strict=True)):
        if query.clip_labels is not None:
            labels = np.asarray(query.clip_labels, dtype=np.float64)[:count]
            rating = labels[:, 0] if binary else (labels - 1).sum(axis=1) * TVSUM_SCALE
            out[row, : len(rating)] = torch.from_numpy(rating).float()
        elif query.relevant_clip_ids:
            scores = np.asarray(query.saliency_scores, dtype=np.float64).sum(axis=1)
            places = np.minimum(query.relevant_clip_ids, count - 1)
            out[row, torch.from_numpy(places)] = torch.from_numpy(scores).float()
    return out
