"""Encode a video once, ask often: a trained model's moments, and beside them those that need no training."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import vmlkit
from vmlkit.data.toyworld.config import ToyConfig
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.experiment import experiment_of
from vmlkit.finding.checkpoints import released_model
from vmlkit.finding.models import MomentModel, Windows, run_model
from vmlkit.finding.moments import SIMILARITY, TRAINED, Moments, Source
from vmlkit.finding.videos import encoded, from_folders
from vmlkit.finding.windows import best_windows
from vmlkit.runs import RunDirectory
from vmlkit.text.encoder import is_encoder
from vmlkit.training.start import choose_device
from vmlkit.video.encoders import VideoEncoder
from vmlkit.video.opening import EncodedVideo, open_encoder
from vmlkit.video.passport import RUN_KEY, passport_of
from vmlkit.video.toy_encoder import TOY, ToyEncoder
from vmlkit.video.toy_reader import toy_words

#: where the tour leaves its run
TOUR = Path("runs", "00_tour")


def tour_run() -> Path | None:
    """The run of the tour: here, in a folder above, or beside the package; None before ``make tour``."""
    here = Path.cwd()
    for place in (here, *here.parents, Path(vmlkit.__file__).resolve().parents[1]):
        if (place / TOUR / "metrics.json").is_file():
            return place / TOUR
    return None


@dataclass(frozen=True)
class _Encoded:
    """A video that was encoded, and its windows as the model reads them."""

    path: Path
    video: EncodedVideo
    windows: Windows | None


class Finder:
    """Looks sentences up in files of video.

    Args:
        run: a run directory; None without a checkpoint answers by similarity alone.
        checkpoint: a released Moment-DETR or QD-DETR checkpoint, instead of a run.
        encoder: folder of a saved CLIP or SigLIP, or ``"toy"``; None is the toy world's own.
        features: folders in which the features of the video lie ready, instead of encoding it.
        first: whose first answer counts as the answer; None is the model's, and without one the similarity's.
        device: where the model and the encoder answer, see :func:`vmlkit.training.start.choose_device`.
        cache_dir: where encoded videos are kept; ``$VMLKIT_CACHE`` or ``~/.cache/vmlkit`` if None.
        progress: show bars and notes while the run's data are loaded.

    Raises:
        ConfigError: for a run and a checkpoint at once, or a run that does not look for moments.
        DataError: for a run or checkpoint that cannot be read, or an encoder that does not make its features.

    Example::

        finder = Finder("runs/00_tour")
        finder.encode("film.mp4")
        print(finder.ask("the red circle slides to the left"))
    """

    def __init__(
        self,
        run: str | Path | None = None,
        *,
        checkpoint: str | Path | None = None,
        encoder: str | Path | None = None,
        features: Sequence[str | Path] = (),
        first: Source | None = None,
        device: str = "auto",
        cache_dir: str | Path | None = None,
        progress: bool = False,
    ) -> None:
        if run is not None and checkpoint is not None:
            raise ConfigError("a run and a checkpoint were given: leave one of --run and --checkpoint out")
        self.features, self.folder = tuple(features), encoder
        self.first: Source = first or (TRAINED if run is not None or checkpoint is not None else SIMILARITY)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.encoder = encoder_for(run, encoder, device)
        self.model: MomentModel | None = None
        if run is not None:
            self.model = run_model(run, device, self.encoder, ready=bool(features), progress=progress)
        elif checkpoint is not None:
            self.model = released_model(checkpoint, device)
            if self.encoder.name == TOY:
                remedy = "give the folder of the CLIP that its features are of with --encoder"
                raise DataError(checkpoint, "reads features of photographs and token states of CLIP", remedy)
        self._current: _Encoded | None = None

    def encode(self, path: str | Path) -> EncodedVideo:
        """Decode and encode a file; the sentences that are asked next are about it.

        A file whose content was encoded before, by the same encoder, is read from the cache.

        Raises:
            DataError: for a file that is no video, is shorter than one clip, or has features of another kind than the
                model was trained on.
        """
        if self.features:
            unit = self.model is not None and self.model.unit_rows
            video = from_folders(path, self.features, unit_rows=unit)
        else:
            video = encoded(path, self.encoder, self.cache_dir)
        self.show(path, video)
        return video

    def show(self, path: str | Path, video: EncodedVideo) -> None:
        """Take rows of features that were made before; raises as :meth:`encode` for those of another kind."""
        windows = None if self.model is None else self.model.windows(video, self.encoder)
        self._current = _Encoded(Path(path), video, windows)

    @property
    def windows(self) -> Windows | None:
        """The windows of the video that was encoded last, as the model reads them."""
        return None if self._current is None else self._current.windows

    def ask(self, sentence: str, top: int = 5) -> Moments:
        """The moments of one sentence; see :meth:`ask_all`."""
        return self.ask_all([sentence], top)[0]

    def ask_all(self, sentences: Sequence[str], top: int = 5) -> list[Moments]:
        """The ranked moments of each sentence in the video that was encoded last.

        Args:
            top: most answers of each kind.

        Raises:
            ConfigError: before any video was encoded, for no sentence, or for fewer than one answer.
            DataError: for a sentence of which neither the model nor the encoder knows a word.
        """
        if self._current is None:
            raise ConfigError("no video was encoded: call encode(path) before ask(sentence)")
        if not sentences or top < 1:
            raise ConfigError("give at least one sentence and ask for at least one answer")
        for sentence in sentences:
            if not any(c.isalnum() for c in sentence):
                raise DataError(f"the sentence {sentence!r}", "has no word", "say what happens in the video")
        video, curves = self._current.video, self._curves(sentences)
        unknown = [self._unknown(sentence) for sentence in sentences]
        trained = [np.zeros((0, 3))] * len(sentences)
        if self.model is not None and self._current.windows is not None:
            asked = self.model.read(sentences, self._text_folder(), self.cache_dir)
            unknown = list(asked.unknown)
            trained = [a.moments for a in self.model.answer(self._current.windows, asked, top)]
        end = video.info.duration_s
        return [
            Moments(
                sentence=sentence,
                trained=within(trained[k], end),
                similarity=np.zeros((0, 3))
                if curves is None
                else within(best_windows(curves[k], video.times, top), end),
                curve=None if curves is None else curves[k],
                times=video.times,
                unknown=unknown[k],
                model=None if self.model is None else self.model.name,
                first=self.first,
            )
            for k, sentence in enumerate(sentences)
        ]

    def _curves(self, sentences: Sequence[str]) -> np.ndarray | None:
        """How well each row fits each sentence; None where the encoder has no text half or the rows are not its own."""
        assert self._current is not None
        rows = self._current.video.rows
        if self.features and rows.shape[1] != self.encoder.dimension:
            return None
        return self.encoder.similarity(rows, sentences)

    def _unknown(self, sentence: str) -> tuple[str, ...]:
        """Words that the encoder does not know; one with pieces of words knows all."""
        if self.encoder.name != TOY:
            return ()
        return tuple(word for word in toy_words(sentence) if word not in LEXICON)

    def _text_folder(self) -> Path | None:
        folder = None if self.folder is None else Path(self.folder)
        return folder if folder is not None and is_encoder(folder) else None


def encoder_for(run: str | Path | None, encoder: str | Path | None, device: str) -> VideoEncoder:
    """The encoder that is named; the toy world's own as the run's world scales it where none is.

    Raises:
        DataError: for a folder that holds no encoder.
    """
    if encoder is not None and str(encoder) != TOY:
        return open_encoder(encoder, **as_trained(run), device=str(choose_device(device, "--device")))
    data = experiment_of(RunDirectory(run)).data if run is not None else None
    return ToyEncoder(toy_world(data) if isinstance(data, ToyConfig) else None)


def as_trained(run: str | Path | None) -> dict[str, Any]:
    """Rate and norm of the features that a run was trained on, where it knows of one kind."""
    kept = {} if run is None else RunDirectory(run).config.get(RUN_KEY) or {}
    if len(kept) != 1:
        return {}
    (made,) = (passport_of(record, run) for record in kept.values())
    return {"rate": made.rate, **({"norm": made.norm} if made.norm in ("none", "l2") else {})}


def toy_world(settings: ToyConfig) -> ToyConfig:
    """The world alone, without what a source of data adds to its settings."""
    return ToyConfig(**{f.name: getattr(settings, f.name) for f in fields(ToyConfig)})


def within(rows: np.ndarray, end: float) -> np.ndarray:
    """The answers, cut to the video."""
    found: np.ndarray = np.column_stack((np.clip(rows[:, :2], 0, end), rows[:, 2]))
    return found
