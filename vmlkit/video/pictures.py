"""Pictures as a published model saw them in training: size, crop and norm, as its folder states them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vmlkit.errors import DataError

#: how transformers numbers the ways to resize
_MODES = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """From a picture of any size to what a model takes."""

    #: pixels of the shorter side, or height and width
    resize: int | tuple[int, int]
    crop: tuple[int, int] | None  #: height and width, cut out of the middle
    mean: tuple[float, ...]  #: of red, green, blue in 0..1
    deviation: tuple[float, ...]
    mode: str  #: "bilinear" or "bicubic", both averaging where a picture is made smaller

    @classmethod
    def of_transformers(cls, record: Mapping[str, Any], where: Path) -> "Preparation":
        """From ``preprocessor_config.json``.

        Raises:
            DataError: for a way of preparation that is not known.
        """
        size = record.get("size")
        sides = {"shortest_edge": size} if isinstance(size, int) else dict(size or {})
        crop = record.get("crop_size") if record.get("do_center_crop") else None
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        mode = _MODES.get(record.get("resample", 3))
        norm = [record.get(name) for name in ("image_mean", "image_std")]
        if "shortest_edge" in sides:
            resize: Any = sides["shortest_edge"]
        else:
            resize = (sides.get("height"), sides.get("width"))
        if mode is None or None in norm or resize == (None, None):
            remedy = "give a folder with size, resample, image_mean and image_std, as CLIP, SigLIP and DINOv2 have it"
            raise DataError(where, "does not say how pictures are prepared in a way that is read", remedy)
        cut = None if crop is None else (int(crop["height"]), int(crop["width"]))
        mean, deviation = (tuple(map(float, values)) for values in norm if values is not None)
        return cls(resize=resize, crop=cut, mean=mean, deviation=deviation, mode=mode)

    @classmethod
    def of_timm(cls, record: Mapping[str, Any]) -> "Preparation":
        """From ``pretrained_cfg`` of a timm model's ``config.json``."""
        _, height, width = record.get("input_size", (3, 224, 224))
        share = float(record.get("crop_pct") or 0.875)
        return cls(
            resize=int(min(height, width) / share),
            crop=(int(height), int(width)),
            mean=tuple(map(float, record.get("mean", (0.485, 0.456, 0.406)))),
            deviation=tuple(map(float, record.get("std", (0.229, 0.224, 0.225)))),
            mode="bilinear" if record.get("interpolation") == "bilinear" else "bicubic",
        )

    @property
    def side(self) -> int:
        """Pixels of the shorter side of what a model takes."""
        return min(self.crop or (self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)))

    def batch(self, pictures: Sequence[UInt8[np.ndarray, "H W 3"]]) -> Float[Tensor, "B 3 h w"]:
        """Prepared pictures; each alone, so that a row does not depend on its neighbours."""
        planes = torch.stack([self._one(picture) for picture in pictures])
        mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.deviation))
        return (planes / 255 - mean) / deviation

    def _one(self, picture: np.ndarray) -> Tensor:
        planes = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
        height, width = planes.shape[2:]
        target = self.resize
        if isinstance(target, int):
            short = min(height, width)
            target = (int(height * target / short), int(width * target / short))
        made = torch.nn.functional.interpolate(planes, target, mode=self.mode, antialias=True, align_corners=False)
        made = made.round().clamp(0, 255)[0]
        if self.crop is None:
            return made
        tall, wide = (max(cut - side, 0) for cut, side in zip(self.crop, made.shape[1:], strict=True))
        made = torch.nn.functional.pad(made, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))
        top, left = ((side - cut) // 2 for cut, side in zip(self.crop, made.shape[1:], strict=True))
        return made[:, top : top + self.crop[0], left : left + self.crop[1]]
