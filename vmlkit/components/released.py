"""Parameter names of the released X-CLIP without CLIP itself, as rules for :mod:`vmlkit.released`."""

from collections.abc import Mapping

from torch import Tensor

XCLIP: tuple[tuple[str, str], ...] = (
    (r"^clip\.logit_scale$", "logit_scale"),
    (r"^frame_position_embeddings\.", "temporal.positions."),
    (r"^transformerClip\.resblocks\.", "temporal.blocks."),
    (r"^lstm_visual\.", "temporal.lstm."),
    (r"\battn\.", "attention."),
    (r"\bln_1\.", "attention_norm."),
    (r"\bln_2\.", "mlp_norm."),
    (r"\bmlp\.c_fc\.", "expand."),
    (r"\bmlp\.c_proj\.", "contract."),
    (r"\bin_proj_(weight|bias)$", r"in_proj.\1"),
    (r"^global_mat_weight$", "heads.video_sentence"),
    (r"^local_mat_weight$", "heads.local"),
    (r"^word_logit_weight$", "heads.video_words"),
    (r"^word_mat_weight$", "heads.words_first"),
    (r"^word_mat_weight2$", "heads.words_second"),
    (r"^frame_logit_weight$", "heads.sentence_frames"),
    (r"^frame_mat_weight$", "heads.frames_first"),
    (r"^frame_mat_weight2$", "heads.frames_second"),
)


def core_of_checkpoint(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a released X-CLIP state dict that :class:`vmlkit.components.xclip.XCLIPCore` holds.

    CLIP's own weights (``clip.*``, but for the scale) are left out.  So are the frame positions beside an LSTM: the
    released program makes them for ``seqLSTM`` as well and never reads them.
    """
    unread = ("clip.", "frame_position_embeddings.") if "lstm_visual.weight_ih_l0" in released else ("clip.",)
    return {n: value for n, value in released.items() if n == "clip.logit_scale" or not n.startswith(unread)}


RULES = {"xclip": XCLIP}
