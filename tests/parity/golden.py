"""Golden vectors: numbers computed by the authors' own programs, and how ours are held against them.

A case is ``NAME.npz`` (arrays under ``param/ input/ output/ grad/ ...``) with ``NAME.json`` (configuration).  Its kind
is the longest known prefix of its name; every size and switch comes from the JSON and the arrays, never from the name.
"""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

VALUE_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
#: after several Adam steps an element is compared only where its gradient is above this
TINY_GRADIENT = 1e-6
#: how often the parameters are moved by a rounding error where float32 has to be judged
JITTERS = 4


@dataclass(frozen=True)
class GoldenCase:
    """One case: its name, its arrays by key, and its description."""

    name: str
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    folder: Path | None = None  #: where it lies, for a case of several files

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays below ``prefix/``, without it."""
        return {k[len(prefix) + 1 :]: v for k, v in self.arrays.items() if k.startswith(prefix + "/")}

    def input(self, name: str) -> Tensor:
        """An input as a tensor (masks, stored as uint8, become boolean)."""
        value = torch.from_numpy(self.arrays[f"input/{name}"].copy())
        return value.bool() if value.dtype == torch.uint8 else value

    def parameters(self) -> dict[str, Tensor]:
        """The released model's parameters: stored, or drawn by the ``param_recipe`` of the JSON."""
        recipe = self.meta.get("param_recipe")
        if recipe is None:
            return {k: torch.from_numpy(v.copy()) for k, v in self.group("param").items()}
        return draw_parameters(recipe["seed"], recipe["names"])


def draw_parameters(seed: int, names: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """Parameters by recipe, in sorted order from NumPy's legacy generator.

    ``1 + 0.1 v`` for one-dimensional norm weights, ``0.25 + 0.05 v`` for "activation", ``v / sqrt(last dimension)`` for
    matrices, ``0.1 v`` otherwise, with ``v`` standard normal.
    """
    draw = np.random.RandomState(seed)
    out = {}
    for name in sorted(names):
        shape = tuple(names[name])
        v = draw.standard_normal(shape)
        if len(shape) == 1 and "weight" in name and "norm" in name.lower():
            v = 1 + 0.1 * v
        elif "activation" in name:
            v = 0.25 + 0.05 * v
        else:
            v = v / np.sqrt(shape[-1]) if len(shape) >= 2 else 0.1 * v
        out[name] = torch.from_numpy(np.asarray(v, dtype=np.float32))
    return out


def load_case(path: Path) -> GoldenCase:
    """Read ``NAME.npz`` and its ``NAME.json``; a case may also be JSON alone (``.json`` or ``.json.gz``)."""
    stem = path.name.removesuffix(".npz").removesuffix(".gz").removesuffix(".json")
    arrays: dict[str, np.ndarray] = {}
    archive = path.with_name(stem + ".npz")
    if archive.is_file():
        with np.load(archive, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    plain, packed = path.with_name(stem + ".json"), path.with_name(stem + ".json.gz")
    if plain.is_file():
        meta = json.loads(plain.read_text())
    else:
        meta = json.loads(gzip.decompress(packed.read_bytes())) if packed.is_file() else {}
    return GoldenCase(stem, arrays, meta, path.parent)


def assert_close(
    name: str, ours: Tensor | np.ndarray, golden: np.ndarray, tolerance: float, slack: np.ndarray | float = 0.0
) -> None:
    """Fail unless ``ours`` is ``golden`` up to ``tolerance`` of the array's largest value, plus ``slack``."""
    value = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    assert value.shape == golden.shape, f"{name}: shape {value.shape}, golden {golden.shape}"
    if not golden.size:
        return
    difference = np.abs(value.astype(np.float64) - golden.astype(np.float64))
    assert np.isfinite(difference).all(), f"{name}: not finite"
    allowed = tolerance * max(float(np.abs(golden).max()), 1e-3)
    worst = np.unravel_index(np.argmax(difference - slack), difference.shape)
    assert (difference <= allowed + slack).all(), (
        f"{name}{list(map(int, worst))}: differs by {difference[worst]:.3g}, allowed {allowed:.3g}"
    )


Compute = Callable[["GoldenCase", torch.dtype], Mapping[str, Tensor]]


def hold(case: GoldenCase, compute: Compute, *equivalents: Compute) -> None:
    """Hold what ``compute`` and its ``equivalents`` give in float32, granting what float32 itself cannot settle.

    The authors' numbers are rounded too, on another processor.  Where ours miss them, the parameters are moved by one
    unit in the last place, :data:`JITTERS` times, and three times the largest distance of those results from float64 is
    granted, element by element (a mask value near the 1e-10 floor moves by 1e-4 when its center moves by one unit).  A
    wrong formula is wrong in float64 as well and gains nothing from it.

    Args:
        equivalents: other ways to compute the same (a cheaper order of evaluation); their exact values are the first's.
    """
    double = compute(case, torch.float64)
    again: list[Mapping[str, Tensor]] = []
    for way in (compute, *equivalents):
        single = way(case, torch.float32)
        try:
            compare(case, single, double, again)
        except AssertionError:
            again = again or [compute(jittered(case, seed), torch.float32) for seed in range(JITTERS)]
            compare(case, single, double, again)


def jittered(case: GoldenCase, seed: int) -> GoldenCase:
    """The case with every parameter moved by at most one unit in the last place of float32."""
    draw, moved = np.random.default_rng(seed), {}
    for name, value in case.parameters().items():
        array = value.numpy()
        if value.dtype.is_floating_point:
            factor = 1 + float(np.finfo(np.float32).eps) * draw.uniform(-1, 1, array.shape)
            array = (array.astype(np.float64) * factor).astype(array.dtype)
        moved[f"param/{name}"] = array
    meta = {key: value for key, value in case.meta.items() if key != "param_recipe"}
    return GoldenCase(case.name, {**case.arrays, **moved}, meta)


def compare(
    case: GoldenCase,
    single: Mapping[str, Tensor],
    double: Mapping[str, Tensor],
    again: Sequence[Mapping[str, Tensor]] = (),
) -> None:
    """Hold everything computed against every golden array of the case; :func:`hold` is the whole check.

    Args:
        single: our arrays by full key (``output/...``, ``grad.../...``), computed in float32.
        double: the same in float64.  Where the two differ, float32 itself is that uncertain, so twice that is
            granted.
        again: ``single`` with jittered parameters; three times their largest distance from ``double`` is granted.
    """
    wanted = {k: v for k, v in case.arrays.items() if not k.startswith(("param/", "input/", "buffer/"))}
    missing = sorted(wanted.keys() - single.keys())
    assert not missing, f"{case.name}: not computed by us: {missing}"
    for name, golden in wanted.items():
        tolerance = GRADIENT_TOLERANCE if name.startswith("grad") else VALUE_TOLERANCE
        ours = single[name].detach().cpu()
        exact = double[name].detach().cpu().double()
        rounding = 2 * (ours.double() - exact).abs().numpy()
        for other in again:
            rounding = np.maximum(rounding, 3 * (other[name].detach().cpu().double() - exact).abs().numpy())
        if name.startswith("after4steps"):
            rounding = rounding + _adam_slack(name, single)
        assert_close(f"{case.name}:{name}", ours, golden, tolerance, rounding)


def _adam_slack(name: str, arrays: Mapping[str, Tensor]) -> np.ndarray | float:
    """Unbounded where a parameter's gradient is mere rounding: Adam blows that up to full steps of random sign."""
    gradient = arrays["gradient of " + name.split("/", 1)[1]].abs()
    if name.startswith("after4steps_norm/"):
        return np.inf if bool((gradient < TINY_GRADIENT).any()) else 0.0
    return np.where(gradient.numpy() < TINY_GRADIENT, np.inf, 0.0)
