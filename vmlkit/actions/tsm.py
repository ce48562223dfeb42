"""TSM: text-segment mining (P3, CVPR 2023, section 3.2), as settings of :class:`vmlkit.actions.co2net.CO2Net`.

=================== ======================================= =================================================
paper               here                                    meaning
=================== ======================================= =================================================
``X_v``             ``final``                               (B, T, F), two convolutions of width 3
``q_c`` (Eq. 1)     :class:`vmlkit.actions.text_queries.TextQueries` (C + 1, F), from prompts and the class name
``S`` (Eq. 2)       ``final @ queries.T``                   no bias, no temperature
``att``             ``attention``                           mean of the two cross-modal branches
=================== ======================================= =================================================

# PAPER: (silent) / CODE: the cross-modal module has an auto-encoder with a loss of weight 1.5 -> ``rebuild_weight``
# PAPER: baseline CO2-Net / CODE: its mutual loss is dropped, its fusion is wider -> ``mutual_weight, fusion_kernel``
"""

from typing import Any

from vmlkit.actions.co2net import CO2NetConfig
from vmlkit.actions.cross_modal import AttentionConfig
from vmlkit.actions.text_queries import TextQueryConfig


def tsm_config(**changes: Any) -> CO2NetConfig:
    """The released THUMOS14 network; ``classifier="conv"`` is the baseline of Table 3."""
    settings: dict[str, Any] = {
        "attention": AttentionConfig(kind="reconstruct"),
        "classifier": "text",
        "fusion_kernel": 3,
        "inner_dropout": 0.0,
        "mutual_weight": 0.0,
        "rebuild_weight": 1.5,
    }
    return CO2NetConfig(**{**settings, **changes})


def tsm_activitynet(features: int = 2048, **changes: Any) -> CO2NetConfig:
    """The released ActivityNet 1.3 network, which differs in more than its sizes."""
    return tsm_config(
        **{
            "attention": AttentionConfig(kind="reconstruct", code=features // 2, head_dropout=0.7, gate_main=True),
            "text": TextQueryConfig(prompts=3, heads=2, offset_scale=0.01, position_scale=features**-0.5),
            "fusion_kernel": 1,
            "fusion_dropout": 0.5,
            "body_dropout": 0.5,
            "ratio": 5,
            "rebuild_weight": 0.15,
            "pool": 13,
            **changes,
        }
    )
