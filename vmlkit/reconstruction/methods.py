"""The reconstruction family by name: P1 (CNM, also without its mask generator), CPL, PPS, and P0 on the three."""

import warnings
from collections.abc import Callable
from typing import Any

from vmlkit.data.batches import MomentBatch, MomentDataset
from vmlkit.errors import ConfigError
from vmlkit.reconstruction.cnm import CNM, CNMConfig
from vmlkit.reconstruction.cpl import CPL, CPLConfig
from vmlkit.reconstruction.lnp_hosts import LNPOnCNM, LNPOnCPL, LNPOnPPS, build_lnp
from vmlkit.reconstruction.pps import PPS, PPSConfig
from vmlkit.reconstruction.presets import FOLLOWING, PRESETS, VISIBLE, VISIBLE_AND_FOLLOWING
from vmlkit.reconstruction.sliding import SlidingCNM, SlidingConfig
from vmlkit.training.experiment import MethodEntry
from vmlkit.training.method import DataShape, Method


def sized(make: Callable[[Any, DataShape], Method[MomentBatch]]) -> Callable[[Any, MomentDataset], Method[MomentBatch]]:
    """The reconstruction family reads three sizes off the data, and rescales lambda to its grid."""

    def made(settings: Any, data: MomentDataset) -> Method[MomentBatch]:
        _say_rescaled_lambda(settings, data)
        frame_dim, word_dim = data.frames.shape[-1], data.vectors.shape[-1]
        return make(settings, DataShape(frame_dim=frame_dim, word_dim=word_dim, vocabulary=len(data.vocabulary)))

    return made


def _say_rescaled_lambda(settings: Any, data: MomentDataset) -> None:
    """Warn where lambda is rescaled because the grid is not the one it was published for; a grid has a cell."""
    host = getattr(settings, "host", settings)
    cells = host.reconstruction.cells or data.frames.shape[1] // 4
    if cells < 1:
        clips = data.frames.shape[1]
        raise ConfigError(f"setting 'data.clips' must be at least 4, which make one cell of proposals, not {clips}")
    published = getattr(host, "published_cells", None)
    if published not in (None, cells):
        warnings.warn(
            f"lambda was published for a grid of {published} cells; on {cells} it is multiplied by "
            f"{published / cells:.3g}, so that widths keep their size (published_cells=None takes it as it stands)",
            stacklevel=4,
        )


METHODS: dict[str, MethodEntry] = {
    "cnm": MethodEntry(sized(CNM), CNMConfig, PRESETS),
    "cnm-windows": MethodEntry(sized(SlidingCNM), SlidingConfig, PRESETS),
    "cpl": MethodEntry(sized(CPL), CPLConfig, PRESETS, variants=FOLLOWING),
    "pps": MethodEntry(sized(PPS), PPSConfig, PRESETS),
    "lnp-cnm": MethodEntry(sized(build_lnp), LNPOnCNM, PRESETS, variants=VISIBLE),
    "lnp-cpl": MethodEntry(sized(build_lnp), LNPOnCPL, PRESETS, variants=VISIBLE_AND_FOLLOWING),
    "lnp-pps": MethodEntry(sized(build_lnp), LNPOnPPS, PRESETS, variants=VISIBLE),
}
