"""Planted I3D-like features for THUMOS14, made from the real annotations because the real ones cannot be shipped.

What is planted: the middle of an instance is specific to its class, its first and last 30 % are sub-actions that
several classes share (a classifier alone covers too little); just outside, the class leaks for 1.5 s (it covers too
much); a weak scene term that goes with the class lets a lazy model classify without localising; the second half of the
columns ("flow") is cleaner than the first ("rgb").  Only this generator sees the instances.  Everything is float64
until the end; each video is generated alone, from NumPy's frozen legacy generator.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vmlkit.actions.detections import SNIPPET_S
from vmlkit.actions.videos import ActionVideo
from vmlkit.errors import ConfigError, DataError

SUB_ACTIONS = ("run-up", "wind-up", "settle", "take-off", "release", "landing")
#: opening and closing sub-action of each class
PHASES: dict[str, tuple[int, int]] = {
    "BaseballPitch": (1, 4), "BasketballDunk": (0, 5), "Billiards": (2, 4), "CleanAndJerk": (2, 5),
    "CliffDiving": (3, 5), "CricketBowling": (0, 4), "CricketShot": (2, 4), "Diving": (3, 5), "FrisbeeCatch": (0, 5),
    "GolfSwing": (1, 4), "HammerThrow": (1, 4), "HighJump": (0, 5), "JavelinThrow": (0, 4), "LongJump": (0, 5),
    "PoleVault": (0, 5), "Shotput": (1, 4), "SoccerPenalty": (0, 4), "TennisSwing": (2, 4), "ThrowDiscus": (1, 4),
    "VolleyballSpiking": (3, 5),
}  # fmt: skip

#: share of an instance, at either end, over which it fades between shared and specific
RAMP = 0.3

Modality = Literal["rgb", "flow"]


@dataclass(frozen=True, kw_only=True)
class PlantedActionConfig:
    """Settings of the generator.

    Raises:
        ConfigError: for no column or no scene.
    """

    seed: int = 2023
    d: int = 64  #: columns per modality; 64 is the reduced size, 1024 the width of I3D
    n_scene: int = 8  #: background scenes
    core: float = 1.0  #: strength of the class-specific middle
    sub: float = 1.0  #: strength of the shared sub-actions
    edge: float = 0.35  #: what is left of the class-specific part at the ends of an instance
    scene_rgb: float = 0.55  #: strength of the scene that goes with the class, appearance
    scene_flow: float = 0.15  #: the same, motion
    ctx: float = 0.45  #: strength of the class just outside an instance
    ctx_sec: float = 1.5  #: how far it reaches, seconds
    hard: float = 0.25  #: strength of sub-actions far from any instance
    bg: float = 0.6  #: strength of the background
    noise: float = 0.45
    ar: float = 0.5  #: correlation of the noise of neighbouring snippets
    offset: float = 0.0  #: added before the negative part is cut off
    gain_flow: float = 1.1
    gain_rgb: float = 0.9

    def __post_init__(self) -> None:
        for name in ("d", "n_scene"):
            if getattr(self, name) < 1:
                raise ConfigError(f"setting '{name}' must be at least 1, not {getattr(self, name)}")


class PlantedActionFeatures:
    """A store of features (see :class:`vmlkit.data.feature_files.FeatureStore`) that makes them on demand.

    Args:
        videos: the annotated videos; their segments are used, never their video-level labels.

    Raises:
        DataError: for a class that has no sub-actions here, or a video without a duration.
    """

    def __init__(self, videos: Sequence[ActionVideo], config: PlantedActionConfig | None = None) -> None:
        self.config = config or PlantedActionConfig()
        self._videos = {video.video_id: video for video in videos}
        unknown = sorted({c for v in videos for _, _, c in v.segments} - PHASES.keys())
        if unknown:
            raise DataError(self, f"the class {unknown[0]!r} has no sub-actions", "plant the 20 classes of THUMOS14")
        endless = [video.video_id for video in videos if video.duration is None]
        if endless:
            what = f"video '{endless[0]}' has no duration"
            raise DataError(self, what, "plant from thumos14_reduced.json or the npy folder; gt.json has no durations")
        self._prototypes: dict[tuple[str, str, Modality], np.ndarray] = {}

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._videos

    def __str__(self) -> str:
        return "planted action features"

    def stamp(self, video_ids: Sequence[str]) -> None:
        """No cache: generating is about as fast as reading."""

    def read(self, video_id: str) -> Float[np.ndarray, "T Dv"]:
        """``max(1, floor(duration * 25 / 16))`` snippets of ``2 d`` columns, rgb first, float32.

        Raises:
            DataError: for a video that is not annotated.
        """
        if video_id not in self._videos:
            raise DataError(self, f"video '{video_id}' is not annotated", "check the annotations")
        video = self._videos[video_id]
        script = _Script(video, self.config)
        halves = [self._modality(script, "rgb"), self._modality(script, "flow")]
        return np.concatenate(halves, axis=1).astype(np.float32)

    def _modality(self, script: "_Script", modality: Modality) -> Float[np.ndarray, "T d"]:
        cfg = self.config
        gain, scene = (cfg.gain_rgb, cfg.scene_rgb) if modality == "rgb" else (cfg.gain_flow, cfg.scene_flow)
        z = np.zeros((script.snippets, cfg.d))
        for name, curves in script.classes.items():
            opening, closing = PHASES[name]
            own = self._prototype("class", name, modality)
            z += gain * (
                cfg.core * np.outer(curves["core"], own)
                + cfg.sub * np.outer(curves["opening"], self._prototype("sub", SUB_ACTIONS[opening], modality))
                + cfg.sub * np.outer(curves["closing"], self._prototype("sub", SUB_ACTIONS[closing], modality))
                + cfg.ctx * np.outer(curves["context"], own)
            )
            z += scene / len(script.classes) * self._prototype("scene", name, modality)
        for s, name in enumerate(SUB_ACTIONS):
            z += gain * cfg.hard * np.outer(script.hard[:, s], self._prototype("sub", name, modality))
        backgrounds = np.stack([self._prototype("bg", str(i), modality) for i in range(cfg.n_scene)])
        z += cfg.bg * (1 - 0.5 * script.foreground)[:, None] * backgrounds[script.scene]
        z += 2 * cfg.noise * self._noise(script, modality)
        return 0.5 * np.maximum(z + cfg.offset, 0)

    def _noise(self, script: "_Script", modality: Modality) -> Float[np.ndarray, "T d"]:
        """Autoregressive of order one, unit variance."""
        cfg = self.config
        fresh = _rng(cfg.seed, "noise", script.video_id, modality, cfg.d).randn(script.snippets, cfg.d)
        noise = fresh.copy()
        for t in range(1, len(noise)):
            noise[t] = cfg.ar * noise[t - 1] + np.sqrt(1 - cfg.ar**2) * fresh[t]
        return noise

    def _prototype(self, kind: str, name: str, modality: Modality) -> Float[np.ndarray, " d"]:
        """A fixed random direction of root mean square 1."""
        key = (kind, name, modality)
        if key not in self._prototypes:
            v = _rng(self.config.seed, kind, name, modality, self.config.d).randn(self.config.d)
            self._prototypes[key] = v / np.sqrt(np.mean(v**2))
        return self._prototypes[key]


class _Script:
    """What happens when in one video, the same for both modalities."""

    def __init__(self, video: ActionVideo, config: PlantedActionConfig) -> None:
        self.video_id = video.video_id
        self.snippets = max(1, int(np.floor((video.duration or 0.0) * 25 / 16)))
        center = (np.arange(self.snippets) + 0.5) * 16 / 25
        names = sorted({name for _, _, name in video.segments})
        self.classes = {
            name: _curves(center, [(a, b) for a, b, c in video.segments if c == name], config) for name in names
        }
        inside = [curves["core"] > 0 for curves in self.classes.values()]
        self.foreground = np.any(inside, axis=0) if inside else np.zeros(self.snippets, dtype=bool)
        self.scene = self._shots(config)
        self.hard = self._hard(config)

    def _shots(self, config: PlantedActionConfig) -> np.ndarray:
        draw = _rng(config.seed, "shots", self.video_id)
        scene, t = np.zeros(self.snippets, dtype=np.int64), 0
        while t < self.snippets:
            length = 4 + draw.randint(0, 16)
            scene[t : t + length] = draw.randint(0, config.n_scene)
            t += length
        return scene

    def _hard(self, config: PlantedActionConfig) -> np.ndarray:
        """Sub-actions outside any instance."""
        draw = _rng(config.seed, "hard", self.video_id)
        out = np.zeros((self.snippets, len(SUB_ACTIONS)))
        for _ in range(self.snippets // 40):
            place, width, which = draw.randint(0, self.snippets), 2 + draw.randint(0, 4), draw.randint(0, 6)
            out[place : place + width, which] = 1
        found: np.ndarray = out * (1 - self.foreground)[:, None]
        return found


def _curves(
    center: np.ndarray, segments: Sequence[tuple[float, float]], config: PlantedActionConfig
) -> dict[str, np.ndarray]:
    """How strongly each part of one class is present at every snippet."""
    a, b = (np.array(column)[:, None] for column in zip(*segments, strict=True))
    u = (center - a) / np.maximum(b - a, SNIPPET_S)
    inside = (u >= 0) & (u <= 1)
    ramp = np.clip(np.minimum(u, 1 - u) / RAMP, 0, 1)
    distance = np.maximum(np.maximum(a - center, center - b), 0)
    near = np.clip(1 - distance / config.ctx_sec, 0, 1)

    def strongest(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.where(where, values, 0.0).max(axis=0)
        return found

    return {
        "core": strongest(config.edge + (1 - config.edge) * ramp, inside),
        "opening": strongest(1 - ramp, inside & (u < 0.5)),
        "closing": strongest(1 - ramp, inside & (u >= 0.5)),
        "context": strongest(near, ~inside),
    }


def _rng(*parts: object) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32("|".join(map(str, parts)).encode()) & 0xFFFFFFFF)
