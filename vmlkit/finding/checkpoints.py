"""A released Moment-DETR or QD-DETR checkpoint as a model to ask, with all its sizes read off the file.

The number of heads is not in the weights: it is taken from the options that the releases keep beside them (``opt``),
else it is the published 8.  Rows stand for two seconds and a video has at most 75, as on QVHighlights, unless the
options say otherwise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vmlkit.detr.layers import Activation, DetrSizes
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.errors import ConfigError, DataError
from vmlkit.finding.models import MomentModel
from vmlkit.released import load_released, read_checkpoint
from vmlkit.training.method import DataShape
from vmlkit.training.start import choose_device

#: columns that the models append to every row: where it starts and ends in the video
ENDPOINTS = 2


@dataclass(frozen=True, kw_only=True)
class ReleasedText:
    """How the releases read sentences."""

    max_words: int = 32
    unit_text: bool = True


def released_model(path: str | Path, device: str) -> MomentModel:
    """The model in an authors' checkpoint; no code in the file is run.

    Raises:
        DataError: for a file that cannot be read, or that holds another model.
    """
    state, options = read_checkpoint(path)
    kind = _kind(path, state)
    frame_columns = _rows(state, "input_vid_proj.0.LayerNorm.weight", path)
    word_columns = _rows(state, "input_txt_proj.0.LayerNorm.weight", path)
    shape = DataShape(frame_dim=frame_columns, word_dim=word_columns, vocabulary=1)
    try:
        method = _build(kind, state, options, shape, path)
    except ConfigError as error:
        raise DataError(path, f"cannot be built ({error})", "give the checkpoint as its authors saved it") from error
    load_released(method, state, kind, path)
    row_s = _option(options, "clip_length", 2)
    clips = int(_option(options, "max_v_l", 75))
    return MomentModel(
        name=f"{'QD-DETR' if kind == 'qd_detr' else 'Moment-DETR'}, {Path(path).name}",
        method=method.to(choose_device(device, "--device")).eval(),
        clips=clips,
        window_s=clips * row_s,
        row_s=row_s,
        columns=frame_columns - ENDPOINTS,
        detr=True,
        unit_rows=True,
        text=ReleasedText(max_words=int(_option(options, "max_q_l", 32))),
        where=str(path),
    )


def _kind(path: str | Path, state: Mapping[str, Tensor]) -> str:
    if any(name.startswith("FPM.") for name in state) or "class_embed.weight" not in state:
        what = "is not a checkpoint of Moment-DETR or QD-DETR"
        raise DataError(path, what, "make a run of another method's checkpoint with `vmlkit import` and give --run")
    return "qd_detr" if "global_rep_token" in state else "moment_detr"


def _build(
    kind: str, state: Mapping[str, Tensor], options: Mapping[str, Any], shape: DataShape, path: str | Path
) -> MomentDetr | QDDetr:
    sizes = DetrSizes(
        hidden=_rows(state, "class_embed.weight", path, axis=1),
        heads=int(_option(options, "nheads", 8)),
        feed_forward=_rows(state, "transformer.encoder.layers.0.linear1.weight", path),
        encoder_layers=_count(state, r"transformer\.encoder\.layers\.(\d+)\."),
        decoder_layers=_count(state, r"transformer\.decoder\.layers\.(\d+)\."),
        queries=_rows(state, "query_embed.weight", path),
        projection_layers=_count(state, r"input_vid_proj\.(\d+)\."),
        text_positions=bool(options.get("use_txt_pos")),
        max_words=_rows(state, "txt_position_embed.position_embeddings.weight", path),
        pre_norm=bool(options.get("pre_norm")) and kind == "moment_detr",
    )
    if kind == "qd_detr":
        layers = _count(state, r"transformer\.t2v_encoder\.layers\.(\d+)\.")
        activation: Activation = "prelu" if any(".activation." in name for name in state) else "relu"
        return QDDetr(QDDetrConfig(sizes=sizes, text_to_video_layers=layers, activation=activation), shape)
    ends = _rows(state, "span_embed.layers.2.bias", path)
    aligned = state.get("contrastive_align_projection_query.weight")
    config = MomentDetrConfig(sizes=sizes, alignment_size=None if aligned is None else len(aligned))
    if ends != 2:
        config = replace(config, span_loss_type="ce", max_clips=ends // 2)
    return MomentDetr(config, shape)


def _option(options: Mapping[str, Any], name: str, published: float) -> float:
    """An option of the release, a number above 0, or the published value."""
    value = options.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else published


def _rows(state: Mapping[str, Tensor], name: str, path: str | Path, axis: int = 0) -> int:
    if name not in state or state[name].dim() <= axis:
        raise DataError(path, f"has no '{name}'", "give the checkpoint as its authors saved it")
    return int(state[name].shape[axis])


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    numbers = [int(found[1]) for name in state if (found := re.match(pattern, name))]
    return max(numbers, default=-1) + 1
