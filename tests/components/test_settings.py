"""A setting of the P4 family acts or is refused: each field is moved from its default and changes what is learned."""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.tiny import tiny_dataset
from vmlkit.components.dataset import ComponentDataset, ComponentTexts, attach
from vmlkit.components.losses import ComponentLossConfig
from vmlkit.components.method import ComponentsConfig, XCLIPWithComponents, xclip_with_components
from vmlkit.components.on_detr import MomentDetrWithComponents, QDDetrWithComponents, detr_with_components
from vmlkit.components.xclip import XCLIPConfig
from vmlkit.detr.dataset import DetrDataset
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetrConfig
from vmlkit.errors import ConfigError
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

NOW = Progress(1, 1, 0)
LOSS = ComponentLossConfig(hidden=4, tau=0.3)
SIZES = DetrSizes(hidden=8, heads=2, feed_forward=12, encoder_layers=1, decoder_layers=1, queries=3, dropout=0.0, input_dropout=0.0)  # fmt: skip # noqa: E501
DETR = MomentDetrWithComponents(host=MomentDetrConfig(sizes=SIZES), components=ComponentsConfig(loss=LOSS))
QD = QDDetrWithComponents(
    host=QDDetrConfig(sizes=SIZES, text_to_video_layers=1), components=ComponentsConfig(loss=LOSS)
)
XCLIP = XCLIPWithComponents(
    host=XCLIPConfig(width=8, heads=2, words=7, frames=4, temporal_layers=1, text_layers=1, positions=9),
    components=ComponentsConfig(loss=LOSS),
)
#: another value of each field; a pair names the base on which it is tried
OTHERS: dict[type, dict[str, Any]] = {
    ComponentLossConfig: {
        "kind": "simple", "tau": 0.5, "weight": 0.4, "hidden": 6, "scaled": False, "detach_importance": True,
        "entropy_bonus": 0.7, "use_invalid": True,
    },
    ComponentsConfig: {
        "names": ("one",), "loss": ComponentLossConfig(hidden=4, tau=0.9), "control": "shuffled_variants",
        "text_similarity": "aosm",
    },
    XCLIPConfig: {
        "width": 12, "words": 9, "frames": 6, "header": "seqLSTM", "temporal_layers": 2, "text_layers": 2, "heads": 4,
        "positions": 3, "temperature": 0.3, "mask_padding": True, "initial_scale": 20.0, "max_scale": 14.0,
        "clip_states": True,
    },
}  # fmt: skip


def vector(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=4)


@functools.cache
def split(detr: bool) -> ComponentDataset:
    base = tiny_dataset("settings", 4)
    negatives = tuple((f"not {s}", f"{s} twice now", "other" if i % 2 else None) for i, s in enumerate(base.sentences))
    positives = tuple(f"indeed {s}" for s in base.sentences)
    texts = ComponentTexts(components=("one", "two", "three"), positives=positives, negatives=negatives)
    return attach(DetrDataset.of(base) if detr else base, texts, vector)


def same_parameters(model: nn.Module) -> None:
    """Every parameter by its name and shape alone, so that no setting acts through the draws of another one."""
    for name, parameter in model.named_parameters():
        draw = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        with torch.no_grad():
            if parameter.dim() > 0:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))


def outcome(settings: Any) -> dict[str, Tensor]:
    """The loss of a batch, all gradients, and the scale of the scores after an update."""
    torch.manual_seed(0)
    on_xclip = isinstance(settings, XCLIPWithComponents)
    data = split(not on_xclip)
    method: Any = xclip_with_components(settings, data) if on_xclip else detr_with_components(settings, data)
    same_parameters(method.train())
    batch = data.batch(range(4), with_spans=True)
    loss = method.training_loss(batch, NOW, torch.Generator().manual_seed(0)).total
    loss.backward()
    found = {"loss": loss.detach()}
    found |= {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
    optimizers: Any = {"all": ScheduledAdam(method.parameters(), lr=1e-6, warmup_updates=0)}
    method.step(batch, NOW, torch.Generator().manual_seed(0), optimizers)
    return found | {f"after: {k}": v for k, v in method.state_dict().items() if k.endswith("logit_scale")}


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() != other.keys() or any(
        one[k].shape != other[k].shape or not torch.allclose(one[k], other[k], rtol=1e-6, atol=1e-9) for k in one
    )


def moved(base: Any, owner: type, name: str) -> Any:
    """``base`` with one field of ``owner`` at its other value."""
    value = {name: OTHERS[owner][name]}
    if owner is XCLIPConfig:
        return dataclasses.replace(base, host=dataclasses.replace(base.host, **value))
    components = base.components
    if owner is ComponentLossConfig:
        value = {"loss": dataclasses.replace(components.loss, **value)}
    return dataclasses.replace(base, components=dataclasses.replace(components, **value))


CASES = [(owner, name) for owner, fields in OTHERS.items() for name in fields]


@pytest.mark.parametrize("owner", OTHERS)
def test_no_field_is_forgotten(owner: type) -> None:
    assert OTHERS[owner].keys() == {f.name for f in dataclasses.fields(owner)}


@pytest.mark.parametrize("base", [XCLIP, DETR, QD], ids=["xclip", "moment", "qd"])
def test_the_outcome_is_repeatable(base: Any) -> None:
    assert not differ(outcome(base), outcome(base))


@pytest.mark.parametrize(("owner", "name"), CASES, ids=[f"{o.__name__}.{n}" for o, n in CASES])
def test_a_setting_acts_on_xclip_or_is_refused(owner: type, name: str) -> None:
    try:
        found = outcome(moved(XCLIP, owner, name))
    except ConfigError:
        assert name in ("positions", "clip_states")  # the latter asks for states of the model's width
    else:
        assert differ(found, outcome(XCLIP))


@pytest.mark.parametrize("base", [DETR, QD], ids=["moment", "qd"])
@pytest.mark.parametrize(("owner", "name"), [case for case in CASES if case[0] is not XCLIPConfig])
def test_a_setting_acts_on_detr_or_is_refused(base: Any, owner: type, name: str) -> None:
    try:
        found = outcome(moved(base, owner, name))
    except ConfigError:
        assert name == "text_similarity"
    else:
        assert differ(found, outcome(base))


@pytest.mark.parametrize("control", ["text_only", "shuffled_video", "shuffled_variants"])
@pytest.mark.parametrize("base", [XCLIP, DETR, QD], ids=["xclip", "moment", "qd"])
def test_a_control_acts_or_is_refused(base: Any, control: str) -> None:
    settings = dataclasses.replace(base, components=dataclasses.replace(base.components, control=control))
    if base is XCLIP and control != "shuffled_variants":
        with pytest.raises(ConfigError, match="never sees a video"):
            outcome(settings)
    else:
        assert differ(outcome(settings), outcome(base))


def test_the_pool_acts() -> None:
    assert differ(outcome(dataclasses.replace(QD, pool="global")), outcome(QD))


@pytest.mark.parametrize("header", ["meanP", "seqLSTM"])
def test_each_header_acts(header: str) -> None:
    assert differ(
        outcome(dataclasses.replace(XCLIP, host=dataclasses.replace(XCLIP.host, header=header))), outcome(XCLIP)
    )


@pytest.mark.parametrize(
    ("make", "wrong", "word"),
    [
        (ComponentLossConfig, {"kind": "simple", "entropy_bonus": 0.1}, "adaptive"),
        (ComponentLossConfig, {"kind": "discernable", "detach_importance": True}, "adaptive"),
        (ComponentLossConfig, {"tau": 0.0}, "tau"),
        (ComponentsConfig, {"names": ("one", "one")}, "twice"),
        (XCLIPConfig, {"text_layers": -1}, "text_layers"),
        (XCLIPConfig, {"temperature": 0.0}, "temperature"),
        (XCLIPConfig, {"initial_scale": 0.0}, "initial_scale"),
    ],
)
def test_what_cannot_act_is_refused(
    make: Callable[..., object], wrong: dict[str, Any], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match=word):
        make(**wrong)
