"""What the cells of a notebook share: its knobs, checked before anything runs, and folders that no second value meets.

page = vk.open_page("runs/00_tour", size="ci", seed=0)
experiment = page.preset("cpl")
run = page.train(experiment, splits=page.load(experiment))
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vmlkit.actions.dataset import ActionDataset
from vmlkit.config import config_hash, with_overrides
from vmlkit.data.sources import Splits
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import as_recorded, run_experiment
from vmlkit.methods import DATA, METHODS, preset
from vmlkit.runs import RunDirectory
from vmlkit.training.experiment import Experiment, Size
from vmlkit.training.start import choose_device
from vmlkit.viz import notebook as nb

#: the sizes of a page; ``paper`` is the published setting, and the toy world, of which nothing was published, has
#: a long run of itself in its place
SIZES: dict[str, Size] = {"ci": "ci", "demo": "demo", "long": "paper", "paper": "paper"}
TOY_SIZES = ("ci", "demo", "long")
#: the values with which a page states its numbers
OWN = ("ci", 0, "toy")


@dataclass(frozen=True, kw_only=True)
class Page:
    """The knobs of one notebook; see :func:`open_page`, which makes it."""

    folder: Path  #: of the page's first run; the others lie beside it
    size: str  #: a key of :data:`SIZES`
    seed: int
    data: str
    device: str
    annotations: str
    features: str

    @property
    def own(self) -> bool:
        """Whether the knobs stand as the page was written, so that its numbers are those it speaks of."""
        return (self.size, self.seed, self.data) == OWN

    def preset(self, method: str, changes: Mapping[str, Any] | None = None) -> Experiment:
        """A method's preset with the knobs of the page.

        Args:
            changes: further settings by dotted key, such as ``{"train.epochs": 8}``.

        Raises:
            ConfigError: where the method has no preset for the data, or a setting does not exist.
        """
        experiment = preset(method, self.data, SIZES[self.size])
        paths = {"data.annotations": self.annotations, "data.features": self.features}
        given: dict[str, Any] = {key: path for key, path in paths.items() if path}
        given |= {"train.seed": self.seed, "train.device": self.device}
        return with_overrides(experiment, {**given, **(changes or {})})

    def load(self, experiment: Experiment) -> Splits[Any]:
        """The experiment's splits; where they have no pictures, stripes of their features stand in for them."""
        splits = METHODS[experiment.method].load(experiment.data, progress=False)
        if splits.test.film_strip is None:
            print(
                "These data have no pictures: grey stripes of their features stand in. The text is about the toy world."
            )

        def pictured(name: str, data: Any) -> Any:
            return data if data.film_strip is not None else dataclasses.replace(data, film_strip=Stripes(data))

        return splits.map(pictured)

    def path(self, name: str = "", experiment: Experiment | None = None) -> Path:
        """The folder of a run of this page; with the hash of the settings where it holds a run of other ones.

        Args:
            name: of the run, where a page has several.
        """
        folder = self.folder.with_name(f"{self.folder.name}_{name}") if name else self.folder
        if experiment is None or not (folder / "config.json").is_file() or as_recorded(experiment, folder):
            return folder
        return folder.with_name(f"{folder.name}-{config_hash(experiment)}")

    def train(self, experiment: Experiment, name: str = "", *, splits: Any = None) -> RunDirectory:
        """Train and score an experiment in a folder of its own; a finished run is returned as it is.

        Args:
            name: of the run, where a page has several.
            splits: the experiment's data, where the page has loaded it.
        """
        return run_experiment(experiment, self.path(name, experiment), splits=splits, progress=False)

    def expect(self, holds: Any, otherwise: str) -> None:
        """Fail where the page, with its own knobs, does not show what it speaks of; with others, say so and go on.

        Args:
            otherwise: a sentence about what is not as the page says.
        """
        if holds:
            return
        if self.own:
            raise AssertionError(otherwise)
        print(f"Not as on the page with its own size, seed and data: {otherwise}.")


def open_page(
    run_dir: str | Path,
    *,
    size: str = "ci",
    seed: int = 0,
    data: str = "toy",
    device: str = "auto",
    annotations: str = "",
    features: str = "",
    methods: Sequence[str] = (),
) -> Page:
    """Check the knobs of a notebook and prepare it; call it once, in the set-up cell.

    Args:
        run_dir: where the page with its own knobs keeps its first run; other values get folders beside it, named by
            size, seed and data.
        size: ``ci``, ``demo`` or ``long`` of the toy world; ``ci``, ``demo`` or ``paper`` of published data.
        data: a source for which all methods of the page have a preset.
        device: ``cpu``, ``cuda``, or ``auto`` for a card where there is one.
        annotations: files or folder of a source that does not make its own; empty looks in ``$VMLKIT_DATA``.
        features: likewise.
        methods: what the page trains, by which the data that it takes are known; empty takes all data.

    Raises:
        ConfigError: for a value out of range, in one sentence.
    """
    taken = [name for name in DATA if all(name in METHODS[method].presets for method in methods)]
    if data not in taken:
        raise ConfigError(f"data is {data!r}: choose one of {', '.join(taken)}, which this page can be run on")
    allowed = TOY_SIZES if data == "toy" else ("ci", "demo", "paper")
    if size not in allowed:
        raise ConfigError(f"size is {size!r}: on the data '{data}' choose one of {', '.join(allowed)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ConfigError(f"seed is {seed!r}: choose a whole number from 0 to {2**31 - 1}")
    if data == "toy" and (annotations or features):
        raise ConfigError("the toy world makes its own videos: leave annotations and features empty, or change data")
    choose_device(device, "device")
    nb.start()
    marks = ["" if size == OWN[0] else size, "" if seed == OWN[1] else f"seed{seed}"]
    marks += ["" if data == OWN[2] else data.replace(":", "_")]
    folder = Path(run_dir)
    folder = folder.with_name("-".join([folder.name, *filter(None, marks)]))
    return Page(
        folder=folder, size=size, seed=seed, data=data, device=device, annotations=annotations, features=features
    )


class Stripes:
    """Stands in for the pictures of a video of which there are features only: grey levels of eight groups of them.

    Args:
        data: a resident split of videos for actions, or one of sentences: ``frames`` (videos, T, D), ``video_index``
            (N) and ``video_ids`` (N).
    """

    BANDS = 8

    def __init__(self, data: Any) -> None:
        if isinstance(data, ActionDataset):
            self._rows = dict(zip(data.video_ids, data.rows.split(data.lengths.tolist()), strict=True))
        else:
            each = zip(data.video_ids, data.video_index.tolist(), strict=True)
            self._rows = {video: data.frames[row] for video, row in each}

    def __call__(self, video: str, count: int, pixels: int) -> np.ndarray:
        """``count`` pictures (count, pixels, pixels, 3), uint8, at evenly spaced times."""
        rows = self._rows[video].float()
        clips = ((torch.arange(count) + 0.5) / count * len(rows)).long()
        groups = torch.stack([group.mean(dim=1) for group in rows.tensor_split(self.BANDS, dim=1)], dim=1)
        spread = (groups - groups.mean(dim=0)) / groups.std(dim=0).clamp_min(1e-6)
        grey = (160 + 45 * spread[clips]).clamp(40, 250).to(torch.uint8).numpy()
        bands = np.arange(pixels) * self.BANDS // pixels
        return np.broadcast_to(grey[:, bands, None, None], (count, pixels, pixels, 3)).copy()
