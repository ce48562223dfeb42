"""Parameter names of the released CNM, CPL and PPS, as rules for :mod:`vmlkit.released`."""

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
        (r"^attn_func\.fc\.", "unused_score."),
        (r"^trans_mask_generator\.l_(inv_)?gauss\.", "unused_generator."),
        (r"^trans_mask_generator\.(gauss|laplace)\.", "generator."),
        (r"^trans_reconstructor\.", "reconstructor."),
        *TRANSFORMER,
    ),
}
