"""Parameter names of the released BaS-Net, HAM-Net, CO2-Net and P3, as rules for :mod:`vmlkit.released`."""

from vmlkit.reconstruction.released import FRONT, TRANSFORMER, Rules

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
        (r"^(add_weight|position)$", "queries.offsets"),  # the second is ActivityNet's name
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
}
