"""TSM: text-segment mining (P3 Sec. 3.2), as settings of :class:`vmlkit.actions.co2net.CO2Net`.

========================== ======================== ==============================================================
paper                      here                     meaning
========================== ======================== ==============================================================
``X_e``                    ``final``                (B, T, F), two convolutions of width 3
``att_m``, P3 Eq. (1)      ``attention``            (B, T), mean of the two cross-modal branches
``L_q``, P3 Eq. (2)        ``queries``              :class:`vmlkit.actions.text_queries.TextQueries`
``X_q``                    ``queries()``            (C + 1, F), from prompts and the class name
``S``                      ``final @ queries().T``  (B, T, C + 1), no bias, no temperature
``v``, P3 Eq. (3)          ``topk_mean(S, T // r)`` mean of the largest values of each class
``L_mil``, P3 Eq. (4)      ``mil, mil_suppressed``  with and without background
========================== ======================== ==============================================================

# PAPER: (silent) / CODE: the cross-modal module has an auto-encoder with a loss of weight 1.5 -> rebuild_weight
# PAPER: the losses of CO2-Net / CODE: without its mutual loss -> mutual_weight
# PAPER: (silent) / CODE: the fusion is wider than CO2-Net's on THUMOS14 -> fusion_kernel
# PAPER: learning rate 5e-4, about 5,000 iterations on THUMOS14 / CODE: 5e-5 and 7,000 -> lr
"""

from typing import Any

from vmlkit.actions.co2net import CO2NetConfig
from vmlkit.actions.cross_modal import AttentionConfig
from vmlkit.actions.text_queries import TextQueryConfig


def tsm_config(**changes: Any) -> CO2NetConfig:
    """The released THUMOS14 network; ``text=None`` is the baseline of P3 Table 3."""
    settings: dict[str, Any] = {
        "attention": AttentionConfig(kind="reconstruct"),
        "text": TextQueryConfig(),
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
            "pool": 5,
            **changes,
        }
    )
