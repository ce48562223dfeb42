"""Checks of golden cases about data: clip resampling, proposal grids, word positions and planted features.

A check takes the arrays of a case (keys ``input/...`` and ``output/...``) and its JSON, compares every output array
and returns the largest deviation of each.  Dimensions come from the arrays and the JSON, never from a file name.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vmlkit.data.corpus import VECTORS, read_corpus
from vmlkit.data.features import resample_clips
from vmlkit.data.planted import PlantedConfig, PlantedFeatures
from vmlkit.reconstruction.front import proposal_grid
from vmlkit.text.embeddings import read_npz_vectors

#: tolerance for float32 arrays, relative to values above 1 and absolute below; indices must be equal
TOLERANCE = 1e-6


class SkipCase(Exception):
    """A case that cannot be checked here; the message says what it needs."""


def check_sampling_case(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> dict[str, float]:
    """Compare ``sampled_N_to_K``, ``keep_idx_T`` and ``sinusoid_H``.

    Raises:
        AssertionError: for a deviation above the tolerance, an array of an unknown kind, or a case without outputs.
    """
    # nn is needed for one kind of array only
    from vmlkit.nn.transformer import word_positions

    deviations = {}
    for key, expected in _outputs(arrays).items():
        if match := re.fullmatch(r"sampled_(\d+)_to_\d+", key):
            got = resample_clips(arrays[f"input/frames_{match[1]}"], len(expected))
        elif match := re.fullmatch(r"keep_idx_(\d+)", key):
            got = proposal_grid(int(match[1]), len(expected)).numpy()
        elif re.fullmatch(r"sinusoid_\d+", key):
            got = word_positions(*expected.shape).numpy()
        else:
            raise AssertionError(f"output '{key}' is of a kind that no check knows")
        deviations[key] = _compare(key, got, expected)
    return deviations


def check_planted_case(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], annotations: str | Path | None
) -> dict[str, float]:
    """Compare ``features_VIDEO``, ``pooledK_VIDEO``, ``projection_first_rows`` and ``sentence_WORD_WORD_...``.

    Args:
        annotations: folder of the real Charades-STA annotations, tags and word vectors.

    Raises:
        SkipCase: if the annotations are not here.
        AssertionError: as :func:`check_sampling_case`.
    """
    needed = ("train.json", "test.json", "tokens_pos.jsonl.gz", VECTORS["charades"])
    folder = Path(annotations) if annotations is not None else None
    if folder is None or not all((folder / name).is_file() for name in needed):
        raise SkipCase(f"needs the Charades-STA annotations: a folder with {', '.join(needed)}")
    rows = read_corpus(folder, "charades")
    store = PlantedFeatures(
        [row for part in rows.values() for row in part.annotations],
        [sentence.tokens for part in rows.values() for sentence in part.sentences],
        read_npz_vectors(folder / VECTORS["charades"]),
        PlantedConfig(**meta["config"]),
    )
    deviations = {}
    for key, expected in _outputs(arrays).items():
        if key == "projection_first_rows":
            got = store.projection[: len(expected)]
        elif key.startswith("sentence_"):
            got = store.sentence_code(key.split("_")[1:])
        elif key.startswith("features_"):
            got = store.read(key.split("_", 1)[1])
        elif re.match(r"pooled\d+_", key):
            got = resample_clips(store.read(key.split("_", 1)[1]), len(expected))
        else:
            raise AssertionError(f"output '{key}' is of a kind that no check knows")
        deviations[key] = _compare(key, got.astype(expected.dtype), expected)
    return deviations


def _outputs(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {key.removeprefix("output/"): array for key, array in arrays.items() if key.startswith("output/")}
    assert found, "the case has no output arrays"
    return found


def _compare(key: str, got: np.ndarray, expected: np.ndarray) -> float:
    assert got.shape == expected.shape, f"'{key}' has shape {got.shape} instead of {expected.shape}"
    if expected.dtype.kind in "iub":
        assert np.array_equal(got, expected), f"'{key}' differs in {int((got != expected).sum())} entries"
        return 0.0
    deviation = float((np.abs(got.astype(np.float64) - expected) / np.maximum(np.abs(expected), 1.0)).max(initial=0.0))
    assert deviation <= TOLERANCE, f"'{key}' deviates by {deviation:.3g}, more than {TOLERANCE:g}"
    return deviation
