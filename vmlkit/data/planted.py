"""Planted video features: a stand-in for I3D that lets localisers train on real sentences without any video.

Every frame is background plus noise plus the codes of the sentences active at its time.  Only this generator sees
the spans; a weakly supervised model never does, so what it gains over the location priors was learned.  The arrays
are a deterministic function of annotations, word vectors and settings: a video can be generated alone.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Float

from vmlkit.config import at_least, positive
from vmlkit.data.annotations.charades import MomentAnnotation
from vmlkit.errors import DataError
from vmlkit.text.embeddings import PAD, WordVectors

_STOP = """. , a an the of to in on at by with from into onto for and or then 's is are be being was it its this that he
she they them his her their him person another other one some out up off down over around"""
#: words that say nothing about what is seen
STOP_WORDS = frozenset(_STOP.split())


@dataclass(frozen=True, kw_only=True)
class PlantedConfig:
    """Settings of the generator.

    Raises:
        ConfigError: for less than one dimension, a negative seed, or a frame rate that is not positive.
    """

    seed: int = 2024  #: S
    dim: int = 128  #: D, dimensions of a frame
    fps: float = 2.0  #: frames per second
    least_frames: int = 8  #: of a video, however short
    a: float = 1.0  #: norm of each active sentence's signal
    b: float = 1.0  #: bound of the background's norm
    sigma: float = 1.0  #: root mean square norm of the noise of one frame

    def __post_init__(self) -> None:
        at_least(self, 1, "dim least_frames")
        at_least(self, 0, "seed")
        positive(self, "fps")


class PlantedFeatures:
    """A store of features (see :class:`vmlkit.data.feature_files.FeatureStore`) that makes them on demand.

    Args:
        annotations: all rows of all splits, in file order (training file first): a video's frames carry every
            sentence about it.
        tokens: lower-cased tokens of each row.
        vectors: word vectors; row 0 is padding and does not count in the mean.

    Raises:
        DataError: if two rows give one video different durations, or the vectors do not begin with padding.
    """

    def __init__(
        self,
        annotations: Sequence[MomentAnnotation],
        tokens: Sequence[Sequence[str]],
        vectors: WordVectors,
        config: PlantedConfig | None = None,
    ) -> None:
        self.config = config or PlantedConfig()
        self.vectors = vectors
        if vectors.words[0] != PAD:
            what = f"row 0 of the word vectors is '{vectors.words[0]}'"
            raise DataError(self, what, f"put '{PAD}' there, the recipe leaves that row out of the mean")
        self.projection = self._projection(vectors.dim)
        self.word_codes = self._word_codes()
        self._rows: dict[str, list[tuple[MomentAnnotation, tuple[str, ...]]]] = {}
        for row, words in zip(annotations, tokens, strict=True):
            rows = self._rows.setdefault(row.video_id, [])
            if rows and rows[0][0].duration != row.duration:
                lengths = f"{rows[0][0].duration:g} s in one record and {row.duration:g} s in another"
                raise DataError(self, f"video '{row.video_id}' lasts {lengths}", "correct the annotations")
            rows.append((row, tuple(words)))

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._rows

    def __str__(self) -> str:
        return "planted features"

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: generating is about as fast as reading."""

    def read(self, video_id: str) -> Float[np.ndarray, "rows Dv"]:
        """``max(least_frames, ceil(duration * fps))`` frames of a video, float32.

        Raises:
            DataError: for a video without a sentence.
        """
        if video_id not in self._rows:
            raise DataError(self, f"video '{video_id}' has no sentence", "check the annotations")
        cfg, rows = self.config, self._rows[video_id]
        duration = rows[0][0].duration
        frames = max(cfg.least_frames, ceil(duration * cfg.fps))
        tau = (np.arange(frames) + 0.5) / frames
        rng = _rng(cfg.seed, 1, zlib.crc32(video_id.encode()))
        scene = rng.standard_normal((2, cfg.dim))
        scene /= np.linalg.norm(scene, axis=1, keepdims=True)
        noise = rng.standard_normal((frames, cfg.dim)) / np.sqrt(cfg.dim)
        signal = np.zeros((frames, cfg.dim))
        for row, words in rows:
            active = (row.start <= tau * duration) & (tau * duration <= row.end)
            signal[active] += self.sentence_code(words)
        background = (1 - tau)[:, None] * scene[0] + tau[:, None] * scene[1]
        found: np.ndarray = (cfg.sigma * noise + cfg.b * background + cfg.a * signal).astype(np.float32)
        return found

    def sentence_code(self, tokens: Sequence[str]) -> Float[np.ndarray, " Dv"]:
        """Unit vector of a sentence: the direction of the mean code of its content words, or zero without any.

        Content words are the tokens that have a vector and are not stop words, with repetition; if there is none,
        all tokens that have a vector.
        """
        known = [t for t in tokens if t in self.vectors]
        words = [t for t in known if t not in STOP_WORDS] or known
        if not words:
            return np.zeros(self.config.dim)
        mean = self.word_codes[self.vectors.rows(words)].mean(axis=0)
        norm = float(np.linalg.norm(mean))
        found: np.ndarray = mean / norm if norm > 0 else mean
        return found

    def _projection(self, word_dim: int) -> Float[np.ndarray, "Dw Dv"]:
        found: np.ndarray = _rng(self.config.seed, 0).standard_normal((word_dim, self.config.dim)) / np.sqrt(word_dim)
        return found

    def _word_codes(self) -> Float[np.ndarray, "W Dv"]:
        vectors = self.vectors.vectors.astype(np.float64)
        centred = vectors - vectors[1:].mean(axis=0)
        unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        found: np.ndarray = unit @ self.projection
        return found


def _rng(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key))))
