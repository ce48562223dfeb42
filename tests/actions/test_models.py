"""Action localisation: who learns from what, every switch, masks, and videos of zeros."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.parity.golden_wtal import no_dropout
from vmlkit.actions.basnet import BaSNetConfig
from vmlkit.actions.co2net import CO2Net, CO2NetConfig
from vmlkit.actions.cross_modal import AttentionConfig, safe_cosine
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.hamnet import HAMNet, HAMNetConfig
from vmlkit.actions.localiser import ActionShape
from vmlkit.actions.losses import consistency
from vmlkit.actions.method import (
    ATTENTION,
    LOCALISER,
    RECONSTRUCTOR,
    ActionBaSNet,
    ActionCO2Net,
    ActionConfig,
    ActionHAMNet,
    ActionMethod,
)
from vmlkit.actions.text_queries import TextQueries, TextQueryConfig
from vmlkit.actions.tsm import tsm_activitynet, tsm_config
from vmlkit.actions.vlc import VLC, VLCConfig, completion_contrast, completion_loss
from vmlkit.errors import ConfigError
from vmlkit.nn.transformer import TransformerConfig
from vmlkit.reconstruction.front import ReconstructionConfig
from vmlkit.released import load_checkpoint
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

FEATURES, CLASSES, WORDS, VOCABULARY, SNIPPETS, VIDEOS = 16, 3, 6, 9, 12, 6
TEXT = TextQueryConfig(prompts=2, heads=4, layer_scale=0.1)


def small_shape() -> ActionShape:
    g = torch.Generator().manual_seed(3)
    words = torch.randn(CLASSES, 2, WORDS, generator=g)
    return ActionShape(
        features=FEATURES,
        class_words=words,
        vocabulary=VOCABULARY,
        context_words=torch.randn(3, WORDS, generator=g),
        clips=SNIPPETS,
    )


def attention(kind: str) -> AttentionConfig:
    return AttentionConfig(kind=kind, hidden=6)  # type: ignore[arg-type]


def vlc(**changes: Any) -> VLCConfig:
    network = TransformerConfig(hidden=8, heads=4, video_layers=1, text_layers=1, dropout=0.0)
    settings: dict[str, Any] = {
        "attention": attention("reconstruct"),
        "reconstruction": ReconstructionConfig(transformer=network, end_symbol="always"),
    }
    return VLCConfig(**{**settings, **changes})


def host(name: str, **changes: Any) -> ActionConfig:
    if name == "basnet":
        settings = BaSNetConfig(attention=attention("filter"), width=8, **changes)
        return ActionBaSNet(host=settings)
    if name == "hamnet":
        return ActionHAMNet(host=HAMNetConfig(attention=attention("conv"), **changes))
    if name == "co2net":
        return ActionCO2Net(host=CO2NetConfig(attention=attention("consensus"), **changes))
    return ActionCO2Net(host=tsm_config(**{"attention": attention("reconstruct"), "text": TEXT, **changes}))


def batch(seed: int = 0, snippets: int = SNIPPETS) -> ActionBatch:
    g = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([5, 2, 4, 3, 1, 5])
    mask = torch.arange(6) < lengths[:, None]
    ids = torch.randint(1, VOCABULARY, (VIDEOS, 6), generator=g) * mask
    labels = torch.zeros(VIDEOS, CLASSES)
    labels[[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]] = 1.0
    return ActionBatch(
        frames=torch.randn(VIDEOS, snippets, FEATURES, generator=g),
        frame_mask=torch.ones(VIDEOS, snippets, dtype=torch.bool),
        labels=labels,
        words=torch.randn(VIDEOS, 6, WORDS, generator=g) * mask[..., None],
        word_ids=ids,
        word_mask=mask,
        word_weights=mask / mask.sum(1, keepdim=True),
        durations=torch.full((VIDEOS,), 10.0),
        snippet_s=torch.full((VIDEOS,), 10.0 / snippets),
        video_index=torch.arange(VIDEOS),
        video_ids=tuple("abcdef"),
    )


def method(config: ActionConfig, seed: int = 0) -> ActionMethod:
    torch.manual_seed(seed)
    return no_dropout(ActionMethod(config, small_shape())).train()  # type: ignore[return-value]


def optimizers(model: ActionMethod, lr: float = 0.01) -> dict[str, ScheduledAdam]:
    settings = {name: {**own, "lr": lr, "warmup_updates": 0} for name, own in model.optimizer_settings().items()}
    return {name: ScheduledAdam(group, **settings[name]) for name, group in model.parameter_groups().items()}


def with_gradient(model: nn.Module, loss: Tensor) -> set[str]:
    names = [name for name, p in model.named_parameters()]
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, retain_graph=True)
    return {n for n, g in zip(names, found, strict=True) if g is not None and bool((g != 0).any())}


def test_every_phase_moves_its_own_parameters_only() -> None:
    """P3's iteration: after each optimiser's step only its own group has changed."""
    model = method(dataclasses.replace(host("tsm"), vlc=vlc()))
    order: list[str] = []

    class Spy(ScheduledAdam):
        def step(self, clip: list[nn.Parameter]) -> Tensor:
            before = {n: p.detach().clone() for n, p in model.named_parameters()}
            norm = super().step(clip)
            changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
            groups = {name: {id(p) for p in g} for name, g in model.parameter_groups().items()}
            owner = {
                name
                for name, own in groups.items()
                for n, p in model.named_parameters()
                if n in changed and id(p) in own
            }
            assert len(owner) == 1
            order.append(owner.pop())
            return norm

    own = model.optimizer_settings()
    spies = {n: Spy(g, **{**own[n], "lr": 0.01, "warmup_updates": 0}) for n, g in model.parameter_groups().items()}
    model.step(batch(), Progress(1, 1), torch.Generator(), spies)  # type: ignore[arg-type]
    assert order == [RECONSTRUCTOR, ATTENTION, LOCALISER]


def test_what_each_loss_reaches() -> None:
    model = method(dataclasses.replace(host("tsm"), vlc=vlc()))
    assert model.vlc is not None
    out, completed = model.localiser(batch().frames), model.vlc(batch(), None)
    own = model.localiser.loss(out, batch().labels).total
    assert all(name.startswith("localiser.") for name in with_gradient(model, own))
    pull = model.attention_loss(completed, out).total
    assert not any(name.startswith("localiser.") for name in with_gradient(model, pull)), "the localiser is held fixed"
    towards = consistency(out.attention, completed.attention, "mse")
    assert with_gradient(model, towards)
    assert all(name.startswith("localiser.attention.") for name in with_gradient(model, towards))
    contrast = with_gradient(model, completion_contrast(completed.nll, vlc()).total)
    assert any(name.startswith("vlc.own_attention.rgb.head") for name in contrast), "nothing inside L_c is detached"
    assert any(name.startswith("vlc.front.vocabulary_head") for name in contrast)
    rec = with_gradient(model, completion_loss(completed.nll, vlc()).total)
    assert any("own_attention" in name for name in rec), "L_rec would reach the attention: freezing keeps it out"
    assert "vlc.front.mask" not in rec, "released: the mask vector never trains"


def test_the_frozen_pass_is_the_part_of_the_whole_that_l_rec_reads() -> None:
    torch.manual_seed(0)
    model, data = no_dropout(VLC(vlc(), small_shape())), batch()
    frozen, whole = model(data, None, frozen=True), model(data, None)
    torch.testing.assert_close(frozen.nll, whole.nll[:, :2])
    gradients = [with_gradient(model, completion_loss(x.nll, vlc()).total) for x in (frozen, whole)]
    assert not any("own_attention" in name for name in gradients[0])
    assert set(gradients[0]) == {name for name in gradients[1] if "own_attention" not in name}


def test_masked_input_trains_the_mask_vector_and_hides_words() -> None:
    torch.manual_seed(0)
    model = no_dropout(VLC(vlc(mask_input=True), small_shape()))
    data = batch()
    masked = model.masked_words(data, torch.Generator().manual_seed(0))  # type: ignore[operator]
    assert masked is not None
    assert (masked.sum(1) == (data.word_mask.sum(1) // 3).clamp_min(1)).all()
    loss = completion_loss(model(data, masked).nll, vlc()).total
    assert "front.mask" in with_gradient(model, loss)
    changed = dataclasses.replace(data, words=torch.where(masked[..., None], 9.0, data.words))
    torch.testing.assert_close(model(changed, masked).nll, model(data, masked).nll)
    plain = VLC(vlc(), small_shape())
    assert plain.masked_words(data, torch.Generator()) is None


def test_completion_is_a_left_to_right_language_model_without_a_mask() -> None:
    """CODE: word i is predicted from the words before it, so a later word changes nothing before it."""
    torch.manual_seed(0)
    model = no_dropout(VLC(vlc(), small_shape()))
    data = batch()
    other = data.words.clone()
    other[:, 3] += 1
    a, b = (model(d, None).reconstruction.hidden for d in (data, dataclasses.replace(data, words=other)))
    torch.testing.assert_close(a[:, :, :4], b[:, :, :4])
    assert not torch.allclose(a[0, :, 4], b[0, :, 4])


def test_the_three_rows_are_attention_ones_and_complement() -> None:
    torch.manual_seed(0)
    model = no_dropout(VLC(vlc(), small_shape()))
    free = model(batch(), None)
    ones = model(batch(), None, torch.ones(VIDEOS, SNIPPETS))
    torch.testing.assert_close(ones.nll[:, 0], free.nll[:, 1])
    swapped = model(batch(), None, 1 - free.attention.detach())
    torch.testing.assert_close(swapped.nll[:, 0], free.nll[:, 2])


@pytest.mark.parametrize("cell", ["transformer", "gru", "lstm"])
def test_reconstructors_read_under_the_weights(cell: str) -> None:
    """A snippet of weight zero is not read; padding is not read either."""
    torch.manual_seed(0)
    model = no_dropout(VLC(vlc(reconstructor=cell, attention=attention("conv")), small_shape())).double()
    data = dataclasses.replace(batch(), frames=batch().frames.double(), words=batch().words.double())
    data = dataclasses.replace(data, word_weights=data.word_weights.double())
    weights = torch.ones(VIDEOS, SNIPPETS, dtype=torch.float64)
    weights[:, 8:] = 0
    mask = torch.ones(VIDEOS, SNIPPETS, dtype=torch.bool)
    mask[:, 10:] = False
    data = dataclasses.replace(data, frame_mask=mask)
    moved = data.frames.clone()
    moved[:, 10:] += 1  # padding
    a, b = (model(dataclasses.replace(data, frames=f), None, weights).nll for f in (data.frames, moved))
    torch.testing.assert_close(a[:, :2], b[:, :2])
    hidden = data.frames.clone()
    hidden[:, 8:] += 1  # weight zero
    c = model(dataclasses.replace(data, frames=hidden), None, weights).nll
    torch.testing.assert_close(a[:, 0], c[:, 0], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(a[:, 1], c[:, 1]), "the unweighted pass reads it"


CONFIGS = {
    **{name: host(name) for name in ("basnet", "hamnet", "co2net", "tsm")},
    **{f"{name} with text": host(name, text=TEXT) for name in ("basnet", "hamnet", "co2net")},
    "tsm baseline": host("tsm", text=None),
    "handcrafted": host("tsm", text=dataclasses.replace(TEXT, prompt="handcrafted", prompts=9)),
    "pooled": host("tsm", pool=3),
    "activitynet": ActionCO2Net(
        host=tsm_activitynet(
            FEATURES,
            attention=AttentionConfig(hidden=6, code=8, gate_main=True),
            text=dataclasses.replace(TEXT, position_scale=0.25),
        ),
        vlc=vlc(),
    ),
    **{f"vlc {kind}": dataclasses.replace(host("tsm"), vlc=vlc(consistency=kind)) for kind in ("mse", "mae", "kl")},
    **{f"vlc {cell}": dataclasses.replace(host("tsm"), vlc=vlc(reconstructor=cell)) for cell in ("gru", "lstm")},
    "vlc shares": dataclasses.replace(host("tsm"), vlc=vlc(attention=None)),
    "vlc without contrast": dataclasses.replace(host("tsm"), vlc=vlc(contrast_weight=0.0)),
    "vlc without constraint": dataclasses.replace(host("tsm"), vlc=vlc(consistency_weight=0.0)),
    "vlc masked": dataclasses.replace(host("tsm"), vlc=vlc(mask_input=True)),
    "basnet and vlc": dataclasses.replace(host("basnet"), vlc=vlc(attention=attention("filter"))),
    "hamnet and vlc": dataclasses.replace(host("hamnet", text=TEXT), vlc=vlc(attention=attention("conv"))),
    "hamnet and vlc across modalities": dataclasses.replace(host("hamnet"), vlc=vlc()),
    "joint": dataclasses.replace(host("tsm"), vlc=vlc(schedule="joint")),
    "own clip": dataclasses.replace(host("tsm"), vlc=vlc(stale_gradient_clipping=False)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_switch_trains_and_answers(name: str) -> None:
    """Two steps change every group and stay finite, with snippets of zeros in the batch; answers have their shapes."""
    model = method(CONFIGS[name])
    data = batch()
    frames = data.frames.clone()
    frames[:2, 6:] = 0
    data = dataclasses.replace(data, frames=frames)
    groups = optimizers(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    draws = torch.Generator().manual_seed(0)
    for step in range(2):
        loss = model.step(data, Progress(1, 1, step), draws, groups)  # type: ignore[arg-type]
        assert torch.isfinite(loss.total)
        assert all(torch.isfinite(v) for v in loss.terms.values())
    assert all(torch.isfinite(p).all() for p in model.parameters())
    names = dict(model.named_parameters())
    for group, own in model.parameter_groups().items():
        moved = [n for n, p in names.items() if any(p is q for q in own) and not torch.equal(p, before[n])]
        assert moved, f"nothing of '{group}' has moved"
    model.eval()
    out = model.localise(data.frames)
    assert out.cas.shape == (VIDEOS, SNIPPETS, CLASSES + 1)
    assert out.attention.shape == (VIDEOS, SNIPPETS)
    assert bool(((out.attention >= 0) & (out.attention <= 1)).all())
    again = model.localise(data.frames, model.localiser.class_queries())
    torch.testing.assert_close(out.cas, again.cas)


def test_a_shared_attention_has_one_owner() -> None:
    model = method(dataclasses.replace(host("tsm"), vlc=vlc(attention=None)))
    assert model.vlc is not None
    assert model.vlc.attention is model.localiser.attention
    assert set(model.parameter_groups()) == {LOCALISER, RECONSTRUCTOR}
    groups = model.parameter_groups()
    assert not {id(p) for p in groups[LOCALISER]} & {id(p) for p in groups[RECONSTRUCTOR]}
    assert len(model.state_dict()) == len({v.data_ptr() for v in model.state_dict().values()}), "saved once"


def test_the_paper_settings_are_the_released_sizes() -> None:
    """Parameter counts of the releases without the parts that nothing reads, on the meta device."""
    with torch.device("meta"):
        words = torch.zeros(20, 2, 300)
        sizes = ActionShape(features=2048, class_words=words, vocabulary=8001, clips=320)
        counts = [
            sum(p.numel() for p in m.parameters())
            for m in (
                CO2Net(CO2NetConfig(), sizes),
                CO2Net(tsm_config(), sizes),
                VLC(VLCConfig(), sizes),
            )
        ]
    assert [round(c / 1e6, 1) for c in counts] == [34.1, 97.1, 44.7]


def test_zero_vectors_have_no_cosine_and_no_gradient() -> None:
    u, v = torch.zeros(1, 4, 1, requires_grad=True), torch.randn(1, 4, 3, requires_grad=True)
    cosine = safe_cosine(u, v)
    cosine.sum().backward()
    assert bool((cosine == 0).all())
    assert torch.isfinite(u.grad).all()  # type: ignore[arg-type]
    assert torch.isfinite(v.grad).all()  # type: ignore[arg-type]
    same = torch.randn(2, 5, 1)
    torch.testing.assert_close(safe_cosine(same, same), torch.ones(2, 1))


def test_query_of_a_class_depends_on_its_own_words_only() -> None:
    torch.manual_seed(0)
    queries = no_dropout(TextQueries(TEXT, FEATURES, small_shape().class_words)).eval()
    first = queries()
    queries.class_words[1] += 1  # type: ignore[union-attr, operator, index]
    second = queries()
    torch.testing.assert_close(first[[0, 2, 3]], second[[0, 2, 3]])
    assert not torch.allclose(first[1], second[1])
    assert "class_words" not in queries.state_dict(), "the label words are data, not weights"


def test_handcrafted_prompt_has_one_free_token() -> None:
    config = dataclasses.replace(TEXT, prompt="handcrafted", prompts=9)
    sizes = small_shape()
    queries = TextQueries(config, FEATURES, sizes.class_words, sizes.context_words)
    assert queries.prompts.shape == (1, WORDS, 1)
    assert queries.offsets.shape[2] == 1 + 3 + 2
    with pytest.raises(ConfigError, match="needs the vectors"):
        TextQueries(config, FEATURES, sizes.class_words)


def test_stochastic_depth_is_per_class() -> None:
    queries = TextQueries(dataclasses.replace(TEXT, drop_path=0.5), FEATURES, small_shape().class_words).train()
    torch.manual_seed(1)
    branch = queries._path(torch.ones(200, FEATURES, 4))
    values = branch.flatten(1)
    assert bool((values == values[:, :1]).all()), "a class keeps or loses its branch as a whole"
    assert set(values.unique().tolist()) == {0.0, 2.0}


def test_semi_soft_drop_is_for_training_only() -> None:
    torch.manual_seed(0)
    model = HAMNet(host("hamnet").host, small_shape())  # type: ignore[arg-type]
    out = model.eval()(batch().frames)
    torch.testing.assert_close(model.dropped(out), out.attention)
    model.train()
    assert float((model.dropped(out) > 0).float().mean()) < 1


def test_released_checkpoint_loads_by_name(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A file with the authors' names, the unused convolution included, opened without unpickling."""
    from vmlkit.released import RULES

    config = CO2NetConfig(attention=attention("consensus"))
    torch.manual_seed(0)
    full = CO2Net(config, small_shape())
    back = {
        "attention.rgb.local.conv.": "vAttn.bit_wise_attn.0.", "attention.rgb.channel.conv.": "vAttn.channel_conv.0.",
        "attention.rgb.head.blocks.0.conv.": "vAttn.attention.0.", "attention.rgb.head.logit.": "vAttn.attention.5.",
        "attention.rgb.head.blocks.1.conv.": "vAttn.attention.3.", "fusion.conv.": "fusion.0.",
        "body.conv.": "classifier.1.", "classifier.": "classifier.4.",
    }  # fmt: skip
    back |= {k.replace(".rgb.", ".flow."): v.replace("vAttn", "fAttn") for k, v in back.items() if ".rgb." in k}
    released = {"module.feat_encoder.0.weight": torch.zeros(FEATURES, FEATURES, 3)}
    for name, value in full.state_dict().items():
        (start,) = [k for k in back if name.startswith(k)]
        released["module." + back[start] + name.removeprefix(start)] = value
    torch.save({"state_dict": released}, tmp_path / "best.pkl")
    loaded = CO2Net(config, small_shape())
    load_checkpoint(tmp_path / "best.pkl", loaded, "co2net")
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, full.state_dict()[name])
    assert {"basnet", "hamnet", "co2net", "tsm", "vlc"} <= RULES.keys()
