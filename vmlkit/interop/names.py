"""Parameter names of the released implementations, and the way from them to ours and back.

A released name is translated piece by piece by an ordered list of rewriting rules; a name that no rule accepts is an
error, never silently skipped.  The one reshaping: the authors keep the packed attention projection as bare
``in_proj_weight`` / ``in_proj_bias``, we keep it as a linear layer.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vmlkit.errors import DataError
from vmlkit.interop.names_detr import DETR
from vmlkit.interop.names_xclip import XCLIP, core_of_checkpoint

Rules = tuple[tuple[str, str], ...]

#: layers of the dual transformer, common to CNM, CPL and PPS
TRANSFORMER: Rules = (
    (r"\bdecoder1\.decoder_layers\.", "video_stack."),
    (r"\bdecoder2\.decoder_layers\.", "text_stack."),
    (r"\bself_attn_layer_norm\.", "self_norm."),
    (r"\bencoder_attn_layer_norm\.", "cross_norm."),
    (r"\bfinal_layer_norm\.", "final_norm."),
    (r"\bself_attn\.", "self_attention."),
    (r"\bencoder_attn\.", "cross_attention."),
    (r"\bin_proj_(weight|bias)$", r"in_proj.\1"),
    (r"\bfc1\.", "expand."),
    (r"\bfc2\.", "contract."),
)
FRONT: Rules = (
    (r"^frame_fc\.", "front.frame_projection."),
    (r"^word_fc\.", "front.word_projection."),
    (r"^mask_vec$", "front.mask"),
    (r"^start_vec$", "front.start"),
)
#: the attention parts of CO2-Net, TSM and VLC
CROSS_MODAL: Rules = (
    (r"^vAttn\.", "attention.rgb."),
    (r"^fAttn\.", "attention.flow."),
    (r"\.bit_wise_attn\.0\.", ".local.conv."),
    (r"\.channel_conv\.0\.", ".channel.conv."),
    (r"\.AE_e\.0\.", ".encode.conv."),
    (r"\.AE_d\.0\.", ".decode.conv."),
    (r"\.attention\.0\.", ".head.blocks.0.conv."),
    (r"\.attention\.3\.", ".head.blocks.1.conv."),
    (r"\.attention\.5\.", ".head.logit."),
)
RULES: dict[str, Rules] = {
    "dual_transformer": TRANSFORMER,
    "cnm": (
        *FRONT,
        (r"^fc_rec\.", "front.vocabulary_head."),
        (r"^fc_mask_gen\.", "proposal_head."),
        (r"^trans\.", "transformer."),
        *TRANSFORMER,
    ),
    "cpl": (
        *FRONT,
        (r"^pred_vec$", "front.token"),
        (r"^fc_comp\.", "front.vocabulary_head."),
        (r"^fc_gauss\.", "proposal_head."),
        (r"^trans\.", "transformer."),
        *TRANSFORMER,
    ),
    "pps": (
        *FRONT,
        (r"^pred_vec_v$", "front.token"),
        (r"^pred_vec_q$", "query_token"),
        (r"^fc_comp\.", "front.vocabulary_head."),
        (r"^fc_mask\.l_(inv_)?gauss\.(gauss|laplace)\.", "negative_head."),
        (r"^fc_mask\.(gauss|laplace)\.", "proposal_heads."),
        (r"^attn_func\.feat2att\.", "component_score.project."),
        (r"^attn_func\.to_alpha\.", "component_score.score."),
        (r"^attn_func\.fc\.", "component_score.unused."),
        (r"^trans_mask_generator\.l_(inv_)?gauss\.", "unused_generator."),
        (r"^trans_mask_generator\.(gauss|laplace)\.", "generator."),
        (r"^trans_reconstructor\.", "reconstructor."),
        *TRANSFORMER,
    ),
    "moment_detr": DETR,
    "qd_detr": DETR,
    "bm_detr": DETR,
    "basnet": (
        (r"^filter_module\.conv_1\.0\.", "attention.head.blocks.0.conv."),
        (r"^filter_module\.conv_2\.0\.", "attention.head.logit."),
        (r"^cas_module\.conv_1\.0\.", "body.0.conv."),
        (r"^cas_module\.conv_2\.0\.", "body.1.conv."),
        (r"^cas_module\.conv_3\.0\.", "classifier."),
    ),
    "hamnet": (
        (r"^classifier\.0\.", "body.0.conv."),
        (r"^classifier\.2\.", "body.1.conv."),
        (r"^classifier\.5\.", "classifier."),
        (r"^attention\.0\.", "attention.head.blocks.0.conv."),
        (r"^attention\.2\.", "attention.head.blocks.1.conv."),
        (r"^attention\.4\.", "attention.head.logit."),
    ),
    "co2net": (
        (r"^feat_encoder\.0\.", "unused_encoder.conv."),
        (r"^fusion\.0\.", "fusion.conv."),
        (r"^classifier\.1\.", "body.conv."),
        (r"^classifier\.4\.", "classifier."),
        *CROSS_MODAL,
    ),
    "tsm": (
        (r"^weight$", "queries.prompts"),
        (r"^b_enc$", "queries.background"),
        (r"^add_weight$", "queries.offsets"),
        (r"^txt_emb\.0\.", "queries.embed.conv."),
        (r"^MHA\.", "queries.attention."),
        (r"^mlp\.0\.", "queries.expand."),
        (r"^mlp\.3\.", "queries.contract."),
        (r"^drop_path_attn\.scale$", "queries.attention_scale"),
        (r"^drop_path_mlp\.scale$", "queries.feedforward_scale"),
        (r"^fusion\.0\.", "fusion.conv."),
        (r"^fusion2\.0\.", "body.conv."),
        *CROSS_MODAL,
    ),
    "vlc": (
        *FRONT,
        (r"^fc_rec\.", "front.vocabulary_head."),
        (r"^trans\.", "transformer."),
        (r"^trans_a\.", "unused_transformer."),
        *CROSS_MODAL,
        (r"^attention\.", "own_attention."),
        *TRANSFORMER,
    ),
    "xclip": XCLIP,
}


def our_name(released: str, model: str) -> str:
    """The name in our state dict of a parameter of the released ``model``.

    >>> our_name("trans.decoder1.decoder_layers.0.self_attn.in_proj_bias", "cpl")
    'transformer.video_stack.0.self_attention.in_proj.bias'
    """
    for pattern, replacement in RULES[model]:
        released = re.sub(pattern, replacement, released)
    return released


def to_our_names(released: Mapping[str, Tensor], model: str) -> dict[str, Tensor]:
    """A released state dict under our names."""
    return {our_name(name, model): value for name, value in released.items()}


def load_released(module: nn.Module, released: Mapping[str, Tensor], model: str, source: object = "state dict") -> None:
    """Copy released parameters into ``module``.

    Parts of a release that it never uses (``unused_...`` under our names) are left out where the module lacks them.

    Raises:
        DataError: naming every missing, left-over or misshapen parameter.
    """
    state, own = to_our_names(released, model), module.state_dict()
    state = {name: value for name, value in state.items() if name in own or not name.startswith("unused_")}
    wrong = [f"missing {n}" for n in own.keys() - state.keys()]
    wrong += [f"unknown {n}" for n in state.keys() - own.keys()]
    wrong += [
        f"{n} is {tuple(state[n].shape)}, expected {tuple(own[n].shape)}"
        for n in state.keys() & own.keys()
        if state[n].shape != own[n].shape
    ]
    if wrong:
        shown = ", ".join(sorted(wrong)[:6]) + (f" and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise DataError(source, f"does not fit {model}: {shown}", "check the model's sizes against the checkpoint's")
    module.load_state_dict(state)


def load_checkpoint(path: Path | str, module: nn.Module, model: str) -> None:
    """Load an authors' checkpoint file (``.pt``/``.pth`` or ``.safetensors``) by the authors' parameter names.

    Pickles are opened with ``weights_only=True``; the state dict may sit under ``model``, ``state_dict`` or
    ``model_parameters``, and names may carry the ``module.`` of data-parallel training.

    Raises:
        DataError: for a file that is absent, cannot be read safely, or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "no such checkpoint", "give the path of a downloaded checkpoint file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _open_checkpoint(path)
    except Exception as error:
        raise DataError(
            path,
            f"cannot be opened without running code from it ({type(error).__name__})",
            "save its state dict alone with torch.save(model.state_dict(), ...) or as safetensors",
        ) from error
    state = _state_dict(content, path)
    load_released(module, core_of_checkpoint(state) if model == "xclip" else state, model, path)


def _open_checkpoint(path: Path) -> object:
    """Open a ``.pt`` without running code from it.

    The DETR releases keep their options beside the weights as an ``argparse.Namespace``, a bag of attributes that runs
    nothing when it is rebuilt; it is let through (and ignored), everything else that is not plain data is refused.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    for key in ("model_parameters", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(path, "holds no state dict", "save a mapping from parameter names to tensors")
    return {name.removeprefix("module."): value for name, value in content.items()}
