"""How numbers and pictures become bytes: quantised little-endian arrays in one block, with a table of what is where."""

import base64
import io
from typing import Any

import numpy as np

from vmlkit.errors import required

#: the code of a missing value among 16-bit codes; 255 among 8-bit ones
MISSING = 65535


def quantize(values: np.ndarray, low: float, high: float, missing: int = MISSING) -> np.ndarray:
    """Numbers in low..high as unsigned integers below ``missing``; others are clipped, NaN becomes ``missing``.

    >>> quantize(np.array([0.0, 0.5, 1.0, np.nan]), 0.0, 1.0).tolist()
    [0, 32767, 65534, 65535]
    """
    scaled = (np.clip(values, low, high) - low) / (high - low) * (missing - 1)
    codes = np.where(np.isnan(scaled), missing, np.round(np.nan_to_num(scaled)))
    return codes.astype(np.uint16 if missing == MISSING else np.uint8)


def dequantize(codes: np.ndarray, low: float, high: float) -> np.ndarray:
    """The inverse of :func:`quantize`, off by at most half a step."""
    missing = np.iinfo(codes.dtype).max
    return np.where(codes == missing, np.nan, low + codes / (missing - 1) * (high - low))


class Block:
    """Bytes under construction; every array starts at a multiple of four."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.table: dict[str, dict[str, Any]] = {}

    def put(self, raw: bytes) -> int:
        """Append bytes and return where they begin."""
        self.data += b"\0" * (-len(self.data) % 4)
        self.data += raw
        return len(self.data) - len(raw)

    def add(
        self, name: str, values: np.ndarray, low: float | None = None, high: float | None = None, missing: int = MISSING
    ) -> None:
        """Append an array under ``name``, quantised where a range is given."""
        stored = values if low is None or high is None else quantize(values, low, high, missing)
        offset = self.put(stored.astype(stored.dtype.newbyteorder("<")).tobytes())
        self.table[name] = {"offset": offset, "dtype": stored.dtype.name, "shape": list(stored.shape)}
        if low is not None:
            self.table[name] |= {"low": low, "high": high}

    def add_strips(self, strips: dict[str, tuple[dict[str, Any], bytes] | None]) -> dict[str, Any] | None:
        """Append pictures or traces, and say per video where they are; None where no video has any."""
        kept = {v: s for v, s in strips.items() if s is not None}
        if not kept:
            return None
        videos = [
            {**s[0], "offset": self.put(s[1]), "length": len(s[1])} if (s := kept.get(v)) else None for v in strips
        ]
        return {"videos": videos}


def encode_strip(strip: np.ndarray | None) -> tuple[dict[str, Any], bytes] | None:
    """A film strip ``(n, px, px, 3)`` uint8 as one JPEG, a trace ``(T,)`` as bytes, each with its kind and count.

    Raises:
        MissingDependency: when matplotlib is not installed.
    """
    if strip is None:
        return None
    if strip.ndim == 1:
        values = strip.astype(float)
        spread = float(np.nanmax(values) - np.nanmin(values)) or 1.0
        return {"kind": "heat", "count": len(values)}, (
            np.nan_to_num((values - np.nanmin(values)) / spread * 255).round().astype(np.uint8).tobytes()
        )
    imsave = required("matplotlib.image", "notebooks", "encoding film strips").imsave
    file = io.BytesIO()
    quality = {"quality": 88, "subsampling": 0, "optimize": True}
    imsave(file, np.concatenate(list(strip), axis=1), format="jpeg", pil_kwargs=quality)
    return {"kind": "film", "count": len(strip)}, file.getvalue()


def film_address(strip: np.ndarray | None) -> str | None:
    """A film strip as an address that holds the picture itself; None where there are no pictures but features."""
    encoded = encode_strip(strip)
    if encoded is None or encoded[0]["kind"] != "film":
        return None
    return "data:image/jpeg;base64," + base64.b64encode(encoded[1]).decode("ascii")
