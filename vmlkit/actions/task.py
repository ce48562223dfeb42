"""Action localisation as a task of the training loop: class-aware batches, detections scored as mAP@tIoU.

A training batch holds video-level labels only; the times of a split are read here, after the method has answered.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vmlkit import spans as sp
from vmlkit.actions.baselines import baseline_detection_metrics
from vmlkit.actions.dataset import ActionBatch, ActionDataset, ActionDraw, paired_indices
from vmlkit.actions.detection import DetectionResult, Protocol, detection_map
from vmlkit.actions.detections import COLUMNS, Detections, Unit
from vmlkit.actions.frame_rates import FrameCounts, classification_map, frame_counts
from vmlkit.actions.method import ActionMethod
from vmlkit.actions.proposals import (
    HAMNET,
    P3,
    BasNetProposalConfig,
    activation_proposals,
    attention_proposals,
    class_scores,
    drop_ambiguous,
)
from vmlkit.actions.segments import ActionSegments
from vmlkit.data.batches import Draw
from vmlkit.training import history
from vmlkit.training.evaluate import BATCH_ORDER, PROBE, derive_seed, undisturbed
from vmlkit.training.method import Progress
from vmlkit.training.task import Kept, Metrics, Task, batch_order

ProposalKind = Literal["p3", "hamnet", "basnet"]


@dataclass(frozen=True)
class Activation:
    """What a method says about one video."""

    cas: Float[np.ndarray, "T K"]  #: class activations, background last; BaS-Net: of the suppressed branch
    attention: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " K"] | None = None  #: BaS-Net's video-level class scores


@dataclass(frozen=True)
class ActionArrays:
    """Everything behind the metrics of a split."""

    activations: tuple[Activation, ...]
    detections: Detections
    result: DetectionResult
    counts: FrameCounts
    dataset: ActionDataset
    spread: dict[str, float] = field(default_factory=dict)  #: nothing in an answer is drawn at random


@dataclass(frozen=True, kw_only=True)
class ActionTask(Task[ActionMethod, ActionDataset, ActionArrays]):
    """Video-level labels in, scored instances out."""

    clips: int = 320  #: T, snippets per training video
    sampler: Literal["pairs", "shuffle"] = "pairs"
    pairs: int = 3  #: pairs of videos that share a class, at the head of a batch
    steps_per_epoch: int = 50
    proposals: ProposalKind = "p3"
    protocol: Protocol = "p3"
    shown: int = 6  #: detections recorded for each probe query
    #: those of THUMOS14 and of ActivityNet; a protocol measures its own
    columns: tuple[str, ...] = (
        "mAP@0.3", "mAP@0.5", "mAP@0.7", "mAP@0.75", "mAP@0.95", "mAP@0.3:0.7", "mAP@0.5:0.95",
    )  # fmt: skip

    headline: ClassVar[str] = "mAP@0.3:0.7"

    def order(self, dataset: ActionDataset, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        """``steps_per_epoch`` batches: same-class pairs first and others after them, or shuffles one after another."""
        if self.sampler == "pairs":
            rng = np.random.default_rng(derive_seed(seed, BATCH_ORDER, epoch))
            labels, others = dataset.labels.cpu().numpy(), max(0, batch_size - 2 * self.pairs)
            return tuple(
                torch.from_numpy(paired_indices(labels, rng, self.pairs, others)) for _ in range(self.steps_per_epoch)
            )
        batches: list[Tensor] = []
        while len(batches) < self.steps_per_epoch:
            turn = derive_seed(seed, BATCH_ORDER, epoch, len(batches))
            # a short last batch is left out, as long as there is a full one
            made = batch_order(len(dataset), batch_size, turn, epoch)
            batches += [b for b in made if len(b) == len(made[0])]
        return tuple(batches[: self.steps_per_epoch])

    def draw(self, dataset: ActionDataset, indices: Tensor, seed: int, *, static: bool = False) -> ActionDraw:
        """Snippets drawn at random in order; every video of a batch has ``clips`` of them."""
        return dataset.draw(indices, clips=self.clips, sampling="random", rng=np.random.default_rng(seed))

    def gather(self, dataset: ActionDataset, draw: Draw) -> ActionBatch:
        """Snippets, labels and sentences of the videos."""
        assert isinstance(draw, ActionDraw)
        return dataset.gather(draw)

    def answer(
        self,
        method: ActionMethod,
        dataset: ActionDataset,
        seed: int,
        batch_size: int,
        draws: int,
        progress: Progress | None,
    ) -> tuple[Metrics, ActionArrays]:
        """mAP under the task's protocol, errors per snippet (four rates), and classification mAP."""
        activations = self.activations(method, dataset, batch_size)
        detections = self.detect(activations, dataset)
        result = self._mean_ap(detections, dataset)
        counts = frame_rates(activations, dataset)
        scores = np.stack([class_scores(a.cas, math.ceil(len(a.cas) / 8)) for a in activations])
        metrics = {**result.metrics(), **counts.rates()}
        metrics["classification mAP"] = classification_map(scores, dataset.labels.cpu().numpy())
        return metrics, ActionArrays(tuple(activations), detections, result, counts, dataset)

    def kept(self, arrays: ActionArrays) -> Kept:
        """The columns of the detections, in the unit of the protocol."""
        return {name: getattr(arrays.detections, name) for name in COLUMNS}

    def score(self, dataset: ActionDataset, kept: Kept) -> Metrics:
        """mAP under the task's protocol."""
        return self._mean_ap(Detections(**kept, unit=self.unit), dataset).metrics()

    def fault(self, dataset: ActionDataset, kept: Kept) -> str | None:
        """Whether they are detections in videos of the split, of its classes."""
        if set(kept) != set(COLUMNS):
            return f"holds other arrays than {', '.join(COLUMNS)}"
        video, spans, labels, scores = (kept[name] for name in ("video", "spans", "labels", "scores"))
        alike = spans.shape == (len(video), 2) and video.shape == labels.shape == scores.shape == spans.shape[:1]
        if not alike or [kept[name].dtype.kind for name in ("video", "spans", "labels", "scores")] != [*"ifif"]:
            return "has detections of another shape or type"
        known = ((video >= 0) & (video < len(dataset)) & (labels >= 0) & (labels < len(dataset.classes))).all()
        finite = np.isfinite(spans).all() and np.isfinite(scores).all()
        return None if known and finite else "has a detection in no video, of no class or at no time"

    def _mean_ap(self, detections: Detections, dataset: ActionDataset) -> DetectionResult:
        truth, rate = dataset.truth_under(self.protocol), 1 / dataset.snippet_s
        return detection_map(detections, truth, self.protocol, snippets_per_s=rate)

    @property
    def unit(self) -> Unit:
        """In what the protocol measures time."""
        return "snippets" if self.protocol == "p3" else "seconds"

    def activations(self, method: ActionMethod, dataset: ActionDataset, batch_size: int = 128) -> list[Activation]:
        """Whole videos, those of one length together (no model here takes a mask); BaS-Net resamples to ``clips``."""
        uniform = self.proposals == "basnet"
        lengths = [self.clips] * len(dataset) if uniform else dataset.lengths.tolist()
        same: dict[int, list[int]] = {}
        for index, length in enumerate(lengths):
            same.setdefault(length, []).append(index)
        found: dict[int, Activation] = {}
        with undisturbed(method) as device:
            queries = method.localiser.class_queries()
            for length, indices in same.items():
                step = max(1, min(batch_size, 8192 // length))
                for first in range(0, len(indices), step):
                    chosen = indices[first : first + step]
                    kind: Any = {"clips": self.clips, "sampling": "uniform"} if uniform else {}
                    out = method.localise(dataset.batch(chosen, **kind).frames.to(device), queries)
                    cas = out.cas if out.suppressed is None else out.suppressed
                    scores = method.localiser.video_scores(out)
                    for row, index in enumerate(chosen):
                        said = None if scores is None else scores[row].double().cpu().numpy()
                        found[index] = Activation(
                            cas[row].double().cpu().numpy(), out.attention[row].double().cpu().numpy(), said
                        )
        return [found[i] for i in range(len(dataset))]

    def detect(self, activations: list[Activation], dataset: ActionDataset) -> Detections:
        """Instances of all videos, in the unit of the protocol; P3's protocol leaves out ambiguous regions."""
        parts = []
        for video, said in enumerate(activations):
            seconds = float(dataset.snippet_s[video])
            if self.proposals == "basnet" and said.scores is not None:
                # 16 frames at 25 per second are the 0.64 s of a THUMOS14 snippet
                config = BasNetProposalConfig(frames_per_snippet=seconds * BasNetProposalConfig.fps)
                snippets = int(dataset.lengths[video])
                found = activation_proposals(said.cas, said.scores, snippets, config, video)
            elif self.proposals == "hamnet":
                found = attention_proposals(said.cas, said.attention, replace(HAMNET, snippet_s=seconds), video)
            else:
                found = attention_proposals(said.cas, said.attention, P3, video)
                if self.protocol == "p3" and len(dataset.ambiguous_s[video]):
                    found = drop_ambiguous(found, dataset.ambiguous_s[video], 1 / seconds)
            parts.append(found.in_unit(self.unit, seconds))
        return Detections.concatenate(parts, self.unit)

    # ---- what is recorded

    def probe(self, dataset: ActionDataset, count: int, seed: int) -> Int[np.ndarray, " probes"]:
        """Positions in :func:`queries_of`: (video, class) pairs, one class of every video before a second."""
        pairs = queries_of(dataset.truth)
        rng = np.random.default_rng(derive_seed(seed, PROBE))
        turn: dict[int, int] = {}
        keys = []
        for position in rng.permutation(len(pairs)).tolist():
            video = pairs[position][0]
            keys.append((turn.get(video, 0), position))
            turn[video] = turn.get(video, 0) + 1
        return np.array([position for _, position in sorted(keys, key=lambda k: k[0])[:count]], dtype=np.int64)

    def describe(
        self, dataset: ActionDataset, probes: Int[np.ndarray, " probes"], frames: int, pixels: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """Pairs with all their instances (``span_s`` is the longest); thumbnails, or a trace on a common grid."""
        pairs = [queries_of(dataset.truth)[i] for i in probes]
        records = [pair_record(dataset, pair) for pair in pairs]
        videos = sorted({video for video, _ in pairs}, key=lambda v: dataset.video_ids[v])
        named = {"video_ids": np.array([dataset.video_ids[v] for v in videos], dtype=np.str_)}
        if dataset.film_strip is not None:
            strips = [dataset.film_strip(name, frames, pixels) for name in named["video_ids"]]
            return records, named | {"strips": np.stack(strips)}
        rows = dataset.batch(videos, clips=64, sampling="uniform").frames.cpu().numpy()
        return records, named | {"heat": history.principal_trace(rows)}

    def observe(
        self, epoch: int, arrays: ActionArrays, probes: Int[np.ndarray, " probes"]
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """The best detections of each recorded pair, and the method's signals per snippet."""
        pairs = [queries_of(arrays.dataset.truth)[i] for i in probes]
        return self._detections(epoch, arrays, pairs), pair_signals(arrays, pairs)

    def _detections(self, epoch: int, arrays: ActionArrays, pairs: list[tuple[int, int]]) -> pd.DataFrame:
        """``nll`` is minus the confidence, ``iou`` with the nearest window.

        A pair without a detection keeps one row of no width.
        """
        dataset, shape = arrays.dataset, (len(pairs), self.shown)
        spans, nll, best = np.zeros((*shape, 2)), np.full(shape, np.nan), np.zeros(shape)
        kept, chosen = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        kept[:, 0] = chosen[:, 0] = True
        for row, (video, label) in enumerate(pairs):
            found, scores = best_detections(arrays.detections, dataset, video, label, self.shown)
            spans[row, : len(found)], nll[row, : len(found)] = found, -scores
            kept[row, : len(found)] = True
            windows = windows_of(dataset.truth, video, label) / dataset.durations[video]
            best[row] = sp.iou(spans[row][:, None], windows[None]).max(axis=1)
        columns = {"spans": spans, "nll": nll, "chosen": chosen, "iou": best}
        columns |= {"center": spans.mean(axis=2), "width": spans[..., 1] - spans[..., 0]}
        ids = [query_id(dataset, pair) for pair in pairs]
        return history.proposal_rows(epoch, ids, {"positive": columns})[kept.ravel()].reset_index(drop=True)

    def own_baselines(self, train: ActionDataset, test: ActionDataset) -> dict[str, Metrics]:
        """Rows that never look at a test video; see :mod:`vmlkit.actions.baselines`."""
        return baseline_detection_metrics(
            train.truth,
            train.durations,
            test.truth_under(self.protocol),
            test.durations,
            self.protocol,
            snippets_per_s=1 / test.snippet_s,
        )

    def settings(self) -> Mapping[str, Any]:
        """The protocol and how instances are read off."""
        return {"vote": None, "protocol": self.protocol, "proposals": self.proposals}


def frame_rates(activations: list[Activation], dataset: ActionDataset) -> FrameCounts:
    """Errors per snippet over the split; a resampled video is counted on its own grid."""
    total = FrameCounts()
    for video, said in enumerate(activations):
        spans, labels = dataset.truth.of(video)
        seconds = dataset.snippet_s[video] * int(dataset.lengths[video]) / len(said.attention)
        total = total + frame_counts(said.cas, said.attention, spans, labels, float(seconds))
    return total


def queries_of(truth: ActionSegments) -> list[tuple[int, int]]:
    """Every (video, class) that occurs, in order of appearance."""
    return list(dict.fromkeys(zip(truth.video.tolist(), truth.labels.tolist(), strict=True)))


def query_id(dataset: ActionDataset, pair: tuple[int, int]) -> str:
    """The name of a (video, class) pair."""
    return f"{dataset.video_ids[pair[0]]}/{dataset.classes[pair[1]]}"


def pair_record(dataset: ActionDataset, pair: tuple[int, int]) -> dict[str, Any]:
    """A (video, class) pair for people."""
    video, label = pair
    spans = windows_of(dataset.truth, video, label)
    longest = int(np.argmax(spans[:, 1] - spans[:, 0]))
    return {
        "query_id": query_id(dataset, pair),
        "video_id": dataset.video_ids[video],
        "sentence": " ".join(dict.fromkeys(dataset.class_words[label])),
        "words": list(dataset.class_words[label]),
        "duration_s": float(dataset.durations[video]),
        "span_s": spans[longest].tolist(),
        "spans_s": spans.tolist(),
    }


def pair_signals(arrays: ActionArrays, pairs: list[tuple[int, int]]) -> dict[str, Float[np.ndarray, "probes T"]]:
    """Per snippet: the probability of the pair's class (softmax with background), and the attention."""
    longest = max(len(a.attention) for a in arrays.activations)
    out = {name: np.full((len(pairs), longest), np.nan) for name in ("class_activation", "attention")}
    for row, (video, label) in enumerate(pairs):
        said = arrays.activations[video]
        weights = np.exp(said.cas - said.cas.max(axis=1, keepdims=True))
        out["class_activation"][row, : len(weights)] = weights[:, label] / weights.sum(axis=1)
        out["attention"][row, : len(weights)] = said.attention
    return out


def windows_of(truth: ActionSegments, video: int, label: int) -> Float[np.ndarray, "n 2"]:
    """All true windows of a pair in seconds, by start."""
    spans, labels = truth.of(video)
    chosen = spans[labels == label]
    found: np.ndarray = chosen[np.argsort(chosen[:, 0], kind="stable")]
    return found


def best_detections(
    detections: Detections, dataset: ActionDataset, video: int, label: int, count: int
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """The highest-scoring detections of a pair, in fractions of the video, and their scores."""
    mine = np.flatnonzero((detections.video == video) & (detections.labels == label))
    mine = mine[np.argsort(-detections.scores[mine], kind="stable")][:count]
    seconds = dataset.snippet_s[video] if detections.unit == "snippets" else 1.0
    return np.clip(detections.spans[mine] * seconds / dataset.durations[video], 0, 1), detections.scores[mine]
