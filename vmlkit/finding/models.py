"""What answers: a run of this package, or a checkpoint that the authors of a method released.

Both are asked about windows of rows (:mod:`vmlkit.finding.windows`) and say where in each window a sentence is shown.
Axes: W windows, T clips of a window, K sentences, Dv columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from vmlkit.components.method import WithComponents
from vmlkit.data.batches import MomentDataset
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.settings import LinesData
from vmlkit.detr.task import DetrTask
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import load_run, task_of
from vmlkit.experiments.predicted_moments import falling
from vmlkit.finding.windows import place_windows, suppressed
from vmlkit.finding.words import Asked, read_words, token_states
from vmlkit.runs import RunDirectory
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.training.evaluate import EvaluationArrays, evaluate
from vmlkit.training.experiment import Experiment
from vmlkit.training.method import Method
from vmlkit.training.task import MomentTask
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.opening import EncodedVideo
from vmlkit.video.passport import RUN_KEY, passport_of, require_same

#: windows and sentences that are answered at a time
BATCH = 64
#: of the masked words
SEED = 0
_NO_WORDS = Vocabulary(())


@dataclass(frozen=True, kw_only=True)
class MomentModel:
    """A method with what it needs to be asked about any video.

    A *stretched* model reads so many clips of a window however long it lasts, as the weakly supervised papers do; any
    other reads one row for ``row_s`` seconds, as the DETR family does.
    """

    name: str
    method: Method[Any]
    clips: int  #: T; the most, where rows follow a clock
    window_s: float  #: seconds of a window
    row_s: float | None  #: seconds of a row; None is a stretched model
    columns: int | None  #: Dv of the features that it was trained on; None takes any
    detr: bool  #: whether batches are those of the DETR family
    unit_rows: bool = False
    vote: Any = None
    of_run: tuple[Any, MomentDataset] | None = None  #: settings of the data and the training split
    text: Any = None  #: settings of the text of a released checkpoint
    where: str = ""  #: the run directory or the checkpoint, for messages

    def read(self, sentences: Sequence[str], encoder: Path | None, cache_dir: Path | None) -> Asked:
        """The sentences as the model reads them; raises as :func:`vmlkit.finding.words.read_words`."""
        if self.of_run is not None:
            return read_words(sentences, *self.of_run, encoder, cache_dir)
        if encoder is None:
            raise DataError(self.where, "reads token states of a CLIP text encoder", "give its folder with --encoder")
        return token_states(sentences, encoder, self.text, cache_dir)

    def windows(self, video: EncodedVideo, encoder: VideoEncoder) -> "Windows":
        """The windows of a video as the model reads them.

        Raises:
            DataError: for features of another number of columns than those of training.
        """
        per_s = len(video.rows) / max(float(video.times[-1, 1] - video.times[0, 0]), 1e-9)
        places = place_windows(len(video.rows), max(1, round(self.window_s * per_s)))
        parts = [self._clips(video.rows[a:b], per_s, encoder) for a, b in places]
        counts = np.array([len(part) for part in parts])
        frames = np.zeros((len(parts), counts.max(), parts[0].shape[1]), dtype=np.float32)
        for row, part in zip(frames, parts, strict=True):
            row[: len(part)] = part
        if self.columns is not None and frames.shape[2] != self.columns:
            what = f"reads features of {self.columns} columns, and these have {frames.shape[2]}"
            raise DataError(self.where, what, "give the encoder, or the folders of features, that it was trained on")
        bounds = np.column_stack((video.times[places[:, 0], 0], video.times[places[:, 1] - 1, 1]))
        return Windows(frames, counts, np.maximum(bounds, 0))

    def _clips(self, rows: Float[np.ndarray, "R D"], per_s: float, encoder: VideoEncoder) -> np.ndarray:
        if self.row_s is None:
            return encoder.clips(rows, self.clips)
        count = int(np.clip(round(len(rows) / per_s / self.row_s), 1, self.clips))
        made = encoder.clips(rows, count) if count != len(rows) else rows.astype(np.float32)
        if self.unit_rows:
            made = made / (np.linalg.norm(made, axis=1, keepdims=True) + 1e-5)
        return made

    def answer(self, windows: "Windows", asked: Asked, top: int, seed: int = SEED) -> list["Answer"]:
        """Ranked moments of each sentence over all windows, suppressed where they overlap.

        Args:
            seed: of the words that weakly supervised methods hide to rank their proposals.
        """
        data = self.data_set(windows, asked)
        arrays = evaluate(self.method, data, seed, BATCH, self.vote)[1]
        return [self._merged(windows, arrays, row, top) for row in range(len(asked.sentences))]

    def data_set(self, windows: "Windows", asked: Asked) -> MomentDataset:
        """Every sentence about every window, sentences first; the true spans are unknown, so whole windows stand."""
        count, many = len(windows.frames), len(asked.sentences)
        which = torch.arange(count).repeat(many)
        sentence = torch.arange(many).repeat_interleave(count)
        seconds = np.tile(windows.bounds[:, 1] - windows.bounds[:, 0], many)
        plain = MomentDataset(
            name="your video",
            frames=torch.from_numpy(windows.frames),
            video_index=which,
            word_ids=asked.ids[sentence],
            word_mask=asked.mask[sentence],
            word_weights=asked.weights[sentence],
            vectors=asked.vectors,
            vector_ids=None if asked.vector_ids is None else asked.vector_ids[sentence],
            spans_s=np.column_stack((np.zeros_like(seconds), seconds)),
            durations=seconds,
            query_ids=tuple(f"{k}/{w}" for k in range(many) for w in range(count)),
            video_ids=tuple(f"window {w}" for _ in range(many) for w in range(count)),
            sentences=tuple(s for s in asked.sentences for _ in range(count)),
            vocabulary=self.of_run[1].vocabulary if self.of_run else _NO_WORDS,
            fingerprint="",
        )
        if not self.detr:
            return plain
        counts = None if self.row_s is None else torch.from_numpy(windows.counts)
        return DetrDataset.of(plain, counts=counts)

    def _merged(self, windows: "Windows", arrays: EvaluationArrays, sentence: int, top: int) -> "Answer":
        found: list[np.ndarray] = []
        count = len(windows.frames)
        for w, (start, end) in enumerate(windows.bounds):
            i = sentence * count + w
            scores = falling(arrays.nll[i], arrays.order[i])
            scores[arrays.top1[i]] = scores.max()
            spans = start + arrays.proposals[i].astype(np.float64) * (end - start)
            found.append(np.column_stack((spans, scores)))
        signal = next(iter(arrays.clip_scores.values()), None)
        curve = None if signal is None else signal[sentence * count : (sentence + 1) * count]
        return Answer(suppressed(np.concatenate(found), top), curve)


@dataclass(frozen=True)
class Windows:
    """Windows of one video."""

    frames: Float[np.ndarray, "W T Dv"]  #: zero on padding
    counts: Int[np.ndarray, " W"]  #: clips of each
    bounds: Float[np.ndarray, "W 2"]  #: seconds


@dataclass(frozen=True)
class Answer:
    """What a model says about one sentence."""

    moments: Float[np.ndarray, "n 3"]  #: start, end (seconds), score; best first
    signal: Float[np.ndarray, "W T"] | None  #: a score of each clip of each window, where the method has one


def run_model(
    run_dir: str | Path, device: str, encoder: VideoEncoder, *, ready: bool = False, progress: bool = True
) -> MomentModel:
    """The chosen epoch of a run.

    Args:
        ready: whether features lie ready, so that the encoder makes none.

    Raises:
        ConfigError: for a run that does not look for moments.
        DataError: for a run of planted features, or features that the encoder does not make.
    """
    run = RunDirectory(run_dir)
    method, splits, experiment = load_run(run_dir, progress=progress, device=device)
    model = model_of(run, method, splits.train, experiment)
    if not ready:
        check_features(run, experiment.data, encoder)
    return model


def model_of(run: RunDirectory, method: Method[Any], train: MomentDataset, experiment: Experiment) -> MomentModel:
    """What a run was loaded as (:func:`vmlkit.experiments.experiment.load_run`), to be asked about any video.

    Args:
        train: the training split.

    Raises:
        ConfigError: for a run that does not look for moments.
    """
    task, config = task_of(experiment), experiment.data
    if isinstance(method, WithComponents):
        method = method.model  # variants of a sentence play no part in an answer
    if not isinstance(task, MomentTask):
        remedy = "use --actions" if hasattr(task, "detect") else "give a run of a method that looks for moments"
        raise ConfigError(f"{run.path} ('{experiment.method}') does not look for moments in a video: {remedy}")
    lines = isinstance(config, LinesData)
    row_s = config.seconds_per_row if isinstance(config, LinesData) else None
    window = config.clips * row_s if row_s else float(np.median(train.durations))
    return MomentModel(
        name=f"{experiment.method}, {run.path.name}",
        method=method,
        clips=config.clips,
        window_s=window,
        row_s=row_s,
        columns=train.frames.shape[2],
        detr=isinstance(task, DetrTask),
        unit_rows=lines and getattr(config, "unit_rows", False),
        vote=task.vote,
        of_run=(config, train),
        where=str(run.path),
    )


def check_features(run: RunDirectory, config: Any, encoder: VideoEncoder) -> None:
    """Refuse an encoder that does not make the features that a run was trained on.

    Raises:
        DataError: in one sentence, by the passports where the run has one.
    """
    if "planted" in config.name:
        what = "was trained on planted features, which no video file has"
        raise DataError(run.path, what, "train on features that an encoder made (vmlkit extract)")
    if isinstance(config, ToyConfig):
        if encoder.name != "toy":
            raise DataError(run.path, f"was trained on the toy world, not on {encoder.name}", "leave --encoder out")
        return
    passports = run.config.get(RUN_KEY) or {}
    if encoder.name == "toy":
        made = next((str(record["encoder"]) for record in passports.values()), "an encoder")
        raise DataError(run.path, f"was trained on features of {made}", "give its folder with --encoder")
    if len(passports) > 1:
        kinds = ", ".join(sorted(passports))
        raise DataError(run.path, f"reads features of several kinds ({kinds})", "give their folders with --features")
    for record in passports.values():
        require_same(encoder.passport(), passport_of(record, run.path / "config.json"), "the encoder", run.path)
