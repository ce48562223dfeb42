"""P4 on hosts: what the loss reaches, what the controls cut off, and that nothing changes where its weight is 0."""

import dataclasses

import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch
from vmlkit.components.dataset import ComponentBatch, VariantBatch
from vmlkit.components.losses import ComponentLossConfig, component_loss
from vmlkit.components.method import (
    ComponentsConfig,
    JointEmbedding,
    WithComponents,
    XCLIPHost,
    compare_jointly,
    end_token,
    other_video,
)
from vmlkit.components.on_detr import DetrHost
from vmlkit.components.xclip import XCLIP, XCLIPConfig
from vmlkit.data.batches import MomentBatch
from vmlkit.detr.batches import DetrBatch, with_endpoints
from vmlkit.detr.layers import DetrSizes
from vmlkit.detr.moment_detr import MomentDetr, MomentDetrConfig
from vmlkit.detr.qd_detr import QDDetr, QDDetrConfig
from vmlkit.errors import ConfigError
from vmlkit.nn.similarity import cosine, masked_mean
from vmlkit.training.method import DataShape, Progress, StepOptimizer

NAMES = ("one", "two", "three")
NOW = Progress(1, 1, 0)


def variants(seed: int = 0, samples: int = 3) -> VariantBatch:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(samples, 1 + len(NAMES), 4, generator=draw) > 0.3
    mask[..., 0] = True
    words = torch.randn(*mask.shape, SHAPE.word_dim, generator=draw) * mask[..., None]
    valid = torch.tensor([[True, True, False], [False, True, True], [False, False, False]])
    return VariantBatch(
        positive=words[:, 0],
        positive_mask=mask[:, 0],
        negative=words[:, 1:],
        negative_mask=mask[:, 1:],
        valid=valid[:samples],
    )


def detr_batch(seed: int = 0) -> DetrBatch:
    plain = random_batch(seed)
    spans = torch.tensor([[0.3, 0.2], [0.5, 0.4], [0.7, 0.3]])
    fields = {**vars(plain), "spans": spans, "frames": with_endpoints(plain.frames, plain.frame_mask)}
    return DetrBatch(**fields, windows=spans[:, None], window_mask=torch.ones(3, 1).bool())


def detr(kind: str, dropout: float = 0.0, **settings: object) -> WithComponents:
    torch.manual_seed(3)
    sizes = DetrSizes(
        hidden=8, heads=2, feed_forward=12, encoder_layers=1, decoder_layers=1, queries=3, dropout=0.0,
        input_dropout=dropout,
    )  # fmt: skip
    shape = DataShape(frame_dim=SHAPE.frame_dim + 2, word_dim=SHAPE.word_dim, vocabulary=SHAPE.vocabulary)
    if kind == "moment":
        model: MomentDetr | QDDetr = MomentDetr(MomentDetrConfig(sizes=sizes), shape)
    else:
        model = QDDetr(QDDetrConfig(sizes=sizes, text_to_video_layers=1), shape)
    return WithComponents(DetrHost(model, shape.word_dim), config(**settings), NAMES)


def xclip(**settings: object) -> WithComponents:
    torch.manual_seed(3)
    sizes = XCLIPConfig(width=8, heads=2, words=7, frames=4, temporal_layers=1, text_layers=1, positions=9)
    return WithComponents(XCLIPHost(XCLIP(sizes, SHAPE.frame_dim, SHAPE.word_dim)), config(**settings), NAMES)


def config(control: str = "none", names: tuple[str, ...] = (), **loss: object) -> ComponentsConfig:
    made = ComponentLossConfig(**{"hidden": 4, "tau": 0.3, **loss})  # type: ignore[arg-type]
    return ComponentsConfig(loss=made, control=control, names=names)  # type: ignore[arg-type]


def batch_for(kind: str, seed: int = 0) -> ComponentBatch:
    base: MomentBatch = random_batch(seed) if kind == "xclip" else detr_batch(seed)
    return ComponentBatch(**vars(base), variants=variants(seed))


def make(kind: str, **settings: object) -> WithComponents:
    return xclip(**settings) if kind == "xclip" else detr(kind, **settings)  # type: ignore[arg-type]


each_host = pytest.mark.parametrize("kind", ["moment", "qd", "xclip"])
each_detr = pytest.mark.parametrize("kind", ["moment", "qd"])


def component_gradients(method: WithComponents, batch: ComponentBatch) -> dict[str, bool]:
    """Which parameters the component loss alone reaches."""
    view = {"text_only": "none", "shuffled_video": "shuffled"}.get(method.config.control, "own")
    chosen = method.chosen(batch.variants)
    _, said = method.host.loss(batch, chosen, view, NOW, torch.Generator())  # type: ignore[arg-type]
    assert method.importance is not None
    importance = method.importance(said.sentence, said.words, said.word_mask)
    loss = component_loss(said.positive, said.negatives, chosen.valid, method.config.loss, importance).loss
    gradients = torch.autograd.grad(loss, list(method.parameters()), allow_unused=True)
    named = [name for name, _ in method.named_parameters()]
    return {n: g is not None and bool((g != 0).any()) for n, g in zip(named, gradients, strict=True)}


@each_host
def test_weight_zero_is_the_host_itself(kind: str) -> None:
    method, batch = make(kind, weight=0.0), batch_for(kind)
    ours = method.training_loss(batch, NOW, torch.Generator().manual_seed(5)).total
    theirs = method.model.training_loss(batch, NOW, torch.Generator().manual_seed(5)).total
    assert torch.equal(ours, theirs)
    assert method.importance is None


@each_host
def test_the_total_is_the_hosts_loss_and_lambda_times_the_component_loss(kind: str) -> None:
    batch = batch_for(kind)
    parts = {w: make(kind, weight=w).training_loss(batch, NOW, torch.Generator().manual_seed(1)) for w in (0.5, 2.0)}
    host = make(kind, weight=0.0).training_loss(batch, NOW, torch.Generator().manual_seed(1)).total
    for weight, loss in parts.items():
        torch.testing.assert_close(loss.total, host + weight * loss.terms["components"], rtol=1e-4, atol=1e-5)


@each_detr
def test_the_loss_reaches_encoder_and_importance_but_no_head(kind: str) -> None:
    reached = component_gradients(detr(kind), batch_for(kind))
    kept = {name.split(".")[1] if name.startswith("model.") else name.split(".")[0] for name, r in reached.items() if r}
    expected = {"video_projection", "text_projection", "encoder", "importance"}
    expected |= {"text_to_video", "global_token", "global_position"} if kind == "qd" else set()
    assert kept == expected


def test_on_xclip_it_reaches_texts_alone() -> None:
    reached = component_gradients(xclip(), batch_for("xclip"))
    assert {name.split(".")[1] for name, r in reached.items() if r and name.startswith("model.")} == {"text"}
    assert any(r for name, r in reached.items() if name.startswith("importance."))


@each_detr
def test_text_only_never_meets_the_video(kind: str) -> None:
    reached = component_gradients(detr(kind, control="text_only"), batch_for(kind))
    parts = {name.split(".")[1] for name, r in reached.items() if r and name.startswith("model.")}
    assert parts == {"text_projection"}


@each_detr
def test_shuffled_video_compares_on_another_video_and_keeps_the_hosts_own(kind: str) -> None:
    batch = batch_for(kind)
    method = detr(kind).eval()
    said = {v: method.host.compare(batch, batch.variants, v).positive for v in ("own", "shuffled")}
    moved = dataclasses.replace(batch, frames=other_video(batch.frames))
    torch.testing.assert_close(said["shuffled"], method.host.compare(moved, batch.variants, "own").positive)
    assert not torch.allclose(said["own"], said["shuffled"])
    losses = [
        detr(kind, control=c).training_loss(batch, NOW, torch.Generator().manual_seed(0))
        for c in ("none", "shuffled_video")
    ]
    for term in losses[0].terms.keys() - {"components", "component_accuracy", "importance_entropy"}:
        torch.testing.assert_close(losses[0].terms[term], losses[1].terms[term])
    assert losses[0].terms["components"] != losses[1].terms["components"]


@each_detr
def test_training_and_evaluation_compare_alike(kind: str) -> None:
    """The anchor of the shared pass is the anchor of a pass of its own, whatever stands beside it in the batch."""
    method, batch = detr(kind).eval(), batch_for(kind)
    _, shared = method.host.loss(batch, batch.variants, "own", NOW, torch.Generator().manual_seed(0))
    alone = method.host.compare(batch, batch.variants, "own")
    torch.testing.assert_close(shared.positive, alone.positive, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shared.negatives, alone.negatives, rtol=1e-4, atol=1e-5)


@each_detr
def test_dropout_of_the_video_is_shared_by_a_samples_texts(kind: str) -> None:
    """A text compared with itself has cosine 1, because both meet the very same projected video."""
    method, batch = detr(kind).train(), batch_for(kind)
    method.model.video_projection.train()
    for module in method.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for module in method.model.video_projection.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    same = batch.variants.map(lambda t: t)
    texts = batch.words[:, None].expand(-1, 2, -1, -1), batch.word_mask[:, None].expand(-1, 2, -1)
    g = method.host.joint(batch, *texts, "own")  # type: ignore[attr-defined]
    torch.testing.assert_close(g[:, 0], g[:, 1])
    assert same.valid.equal(batch.variants.valid)


def test_the_global_token_is_an_alternative_of_qd_detr_only() -> None:
    batch = batch_for("qd")
    for kind in ("qd", "moment"):
        method = detr(kind).eval()
        host = DetrHost(method.host.model, SHAPE.word_dim, pool="global")  # type: ignore[attr-defined, arg-type]
        if kind == "qd":
            pooled = method.host.compare(batch, batch.variants, "own")
            assert not torch.allclose(host.compare(batch, batch.variants, "own").positive, pooled.positive)
        else:
            with pytest.raises(ConfigError, match="global token"):
                host.compare(batch, batch.variants, "own")


@each_host
def test_only_the_chosen_components_take_part(kind: str) -> None:
    batch = batch_for(kind)
    method = make(kind, names=("three", "one"))
    assert method.columns.tolist() == [2, 0]
    spoilt = dataclasses.replace(batch.variants, negative=batch.variants.negative.clone())
    spoilt.negative[:, 1] = 9.0
    losses = [
        method.training_loss(dataclasses.replace(batch, variants=v), NOW, torch.Generator().manual_seed(0)).total
        for v in (batch.variants, spoilt)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    with pytest.raises(ConfigError, match="no component 'four'"):
        make(kind, names=("four",))


def test_shuffled_variants_belong_to_another_sentence() -> None:
    batch = batch_for("xclip")
    one, other = (
        xclip(control=c).training_loss(batch, NOW, torch.Generator()).terms["components"]
        for c in ("none", "shuffled_variants")
    )
    assert not torch.isclose(one, other)
    assert torch.equal(batch.variants.swapped().positive[0], batch.variants.positive[1])


@pytest.mark.parametrize("kind", ["simple", "discernable"])
def test_only_the_adaptive_loss_has_an_importance_module(kind: str) -> None:
    assert xclip(kind=kind).importance is None
    assert xclip().importance is not None
    assert xclip(kind=kind).diagnose(batch_for("xclip"), NOW, torch.Generator()) == {}


def test_importance_is_recorded_per_component() -> None:
    found = xclip().diagnose(batch_for("xclip"), NOW, torch.Generator())
    assert set(found) == {f"importance {name}" for name in NAMES}
    assert all(0 <= float(v) <= 1 for v in found.values())


def test_the_scale_of_xclip_is_cut_after_a_step() -> None:
    class Still(StepOptimizer):
        def zero_grad(self) -> None:
            pass

        def step(self, clip: list) -> torch.Tensor:
            return torch.zeros(())

    method = xclip()
    with torch.no_grad():
        method.model.core.logit_scale.fill_(9.0)
    method.step(batch_for("xclip"), NOW, torch.Generator(), {"all": Still()})
    assert float(method.model.core.logit_scale.detach().exp()) == pytest.approx(100.0)


def test_end_token_is_the_last_word() -> None:
    batch = random_batch()
    last = end_token(batch.words, batch.word_mask)
    for i, count in enumerate(batch.word_mask.sum(1).tolist()):
        assert torch.equal(last[i], batch.words[i, count - 1])


def test_any_joint_embedding_can_be_compared() -> None:
    """The protocol asks for one method."""

    class Sum:
        def joint(self, batch: MomentBatch, words: torch.Tensor, mask: torch.Tensor, view: str) -> torch.Tensor:
            text = masked_mean(words, mask)  # (B, R, Dw)
            video = other_video(batch.frames) if view == "shuffled" else batch.frames
            return text + (0 if view == "none" else video[..., : text.shape[-1]].mean(1)[:, None])

    embedder, batch = Sum(), batch_for("xclip")
    assert isinstance(embedder, JointEmbedding)
    for view in ("own", "shuffled", "none"):
        said = compare_jointly(embedder, batch, batch.variants, view)  # type: ignore[arg-type]
        words = torch.cat((batch.words, torch.zeros(3, 0, SHAPE.word_dim)), 1)
        anchor = embedder.joint(batch, words[:, None], batch.word_mask[:, None], view)[:, 0]
        positive = batch.variants.positive[:, None], batch.variants.positive_mask[:, None]
        expected = cosine(anchor, embedder.joint(batch, *positive, view)[:, 0])
        torch.testing.assert_close(said.positive, expected)
