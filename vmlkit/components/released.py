"""Parameter names of the released X-CLIP without CLIP itself, as rules for :mod:`vmlkit.released`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vmlkit.files import read_json

XCLIP: tuple[tuple[str, str], ...] = tuple(
    (pattern, ours) for pattern, ours in read_json(Path(__file__).with_suffix(".json"))
)


def core_of_checkpoint(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a released X-CLIP state dict that :class:`vmlkit.components.xclip.XCLIPCore` holds.

    CLIP's own weights (``clip.*``, but for the scale) are left out.  So are the frame positions beside an LSTM: the
    released program makes them for ``seqLSTM`` as well and never reads them.
    """
    unread = ("clip.", "frame_position_embeddings.") if "lstm_visual.weight_ih_l0" in released else ("clip.",)
    return {n: value for n, value in released.items() if n == "clip.logit_scale" or not n.startswith(unread)}


RULES = {"xclip": XCLIP}
