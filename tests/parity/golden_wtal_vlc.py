"""The completion network (VLC) and P3's alternating step against their golden vectors, and the list of all checks."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tests.parity.golden import GoldenCase, assert_close, compare
from tests.parity.golden_models import word_accuracy
from tests.parity.golden_wtal import (
    Settings,
    check_basnet,
    check_co2net,
    check_hamnet,
    check_tsm,
    cross_modal_of,
    gradients,
    is_activitynet,
    no_dropout,
    shape_of,
    tsm_of,
)
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.losses import consistency, reconstruction_error
from vmlkit.actions.method import ATTENTION, LOCALISER, RECONSTRUCTOR, ActionCO2Net, ActionMethod
from vmlkit.actions.vlc import VLC, VLCConfig, completion_contrast, completion_loss
from vmlkit.nn.transformer import TransformerConfig, word_positions
from vmlkit.released import load_released, our_name
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam


def vlc_of(c: Settings, parameters: Mapping[str, Tensor], *, masked: bool, activitynet: bool = False) -> VLCConfig:
    """The VLC of a case's sizes, from its settings and its parameters by released name."""
    base = VLCConfig()
    stacks = ({name.split(".")[3] for name in parameters if name.startswith(f"trans.decoder{i}.")} for i in (1, 2))
    video, text = map(len, stacks)
    network = TransformerConfig(
        hidden=parameters["frame_fc.weight"].shape[0],
        heads=c.take("vlc_heads", "heads"),
        video_layers=video,
        text_layers=text,
        dropout=0.0,
    )
    c.agree(hid=network.hidden, vlc_hid=network.hidden, layers=text, vlc_layers=text)
    c.agree(vocab=parameters["fc_rec.weight"].shape[0])
    smoothing = c.take("label_smoothing", default=base.reconstruction.label_smoothing)
    return VLCConfig(
        attention=cross_modal_of(c, parameters, activitynet),
        reconstruction=dataclasses.replace(base.reconstruction, transformer=network, label_smoothing=smoothing),
        mask_input=masked,
        hard_margin=c.take("margin_hard", default=base.hard_margin),
        easy_margin=c.take("margin_easy", default=base.easy_margin),
        consistency_weight=c.take("consistency_weight"),
        rebuild_weight=c.take("ae_weight"),
    )


def vlc_batch(case: GoldenCase, dtype: torch.dtype, prefix: str = "") -> ActionBatch:
    """The case's inputs (below ``input/PREFIX``) as a batch; a training step ends it at the longest video."""
    get = {name: torch.from_numpy(value.copy()) for name, value in case.group(f"input/{prefix}".rstrip("/")).items()}
    features, ids = get["features"].to(dtype), get["words_id"].long()
    # CODE: without a stored length, as many snippets as have a feature that is not zero
    lengths = get.get("frames_len", (features != 0).any(dim=2).sum(dim=1))
    features = features[:, : int(lengths.max())] if prefix else features
    count, snippets = features.shape[:2]
    weights = get["words_weight"].to(dtype)
    mask = torch.arange(ids.shape[1]) < get["words_len"][:, None]
    return ActionBatch(
        frames=features,
        frame_mask=torch.arange(snippets) < lengths[:, None],
        words=get["words_feat"][:, 1:].to(dtype),
        word_ids=ids,
        word_mask=mask,
        word_weights=weights,
        durations=torch.ones(count),
        snippet_s=torch.ones(count),
        video_index=torch.arange(count),
        video_ids=tuple(map(str, range(count))),
        labels=get.get("labels", torch.zeros(count, 1)).to(dtype),
    )


def check_vlc(case: GoldenCase) -> None:
    """Three passes, per-video NLL, both losses, gradients with either half frozen."""
    compare(case, _vlc(case, torch.float32), _vlc(case, torch.float64))


def _vlc(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c, released = Settings(case), case.parameters()
    drawn = case.arrays["output/masked_words"]
    masked = "UNMASKED" not in c.take("decoder_input", default="UNMASKED")
    config = vlc_of(c, released, masked=masked, activitynet=is_activitynet(case))
    batch = vlc_batch(case, dtype)
    c.agree(n_pro2=batch.word_ids.shape[1])
    words = torch.zeros(1, 2, batch.words.shape[2])
    shape = shape_of(c, case.input("features"), words, released["fc_rec.weight"].shape[0])
    c.close()
    model = VLC(config, shape).eval()
    load_released(model, released, "vlc", case.name)
    model.to(dtype)
    hidden_words = torch.from_numpy(drawn[:, 1:, 0].astype(bool)) if masked else None
    out = model(batch, hidden_words, maps=True)
    rec, contrast = completion_loss(out.nll, config), completion_contrast(out.nll, config)
    logits = model.front.vocabulary_head(out.reconstruction.hidden)
    rebuild = torch.stack(reconstruction_error(out.rebuilt)).sum()
    agree = config.consistency_weight * consistency(out.attention, case.input("tal_attn").to(dtype)[..., 0])
    second = contrast.total + config.rebuild_weight * rebuild + agree
    assert out.reconstruction.attention is not None
    (new_rgb, old_rgb), (new_flow, old_flow) = out.rebuilt
    table = word_positions(batch.words.shape[1] + 1, config.reconstruction.transformer.hidden)
    ours = {
        "positional_encoding": table,
        "words_logit": logits[:, 0],
        "hard_neg_words_logit": logits[:, 1],
        "easy_neg_words_logit": logits[:, 2],
        "masked_words": torch.from_numpy(drawn),
        "video_enc": out.reconstruction.memory[:, 0],
        "words_mask": out.text_mask.to(torch.uint8),
        "gauss_weight": out.attention,
        "attn_weight": out.reconstruction.attention[:, 0].mean(1),
        "n_rfeat": new_rgb,
        "o_rfeat": old_rgb,
        "n_ffeat": new_flow,
        "o_ffeat": old_flow,
        "nll_pos_per_video": out.nll[:, 0],
        "nll_hard_per_video": out.nll[:, 1],
        "nll_easy_per_video": out.nll[:, 2],
        "accuracy": word_accuracy(logits[:, :1], batch.word_ids, out.text_mask),
        "loss_rec": rec.total,
        "loss_ivc": contrast.total,
        "loss_ivc_hard": contrast.terms["rank_whole_video"],
        "loss_ivc_easy": contrast.terms["rank_complement"],
        "loss_ae": rebuild,
        "loss_consistency_weighted": agree,
        "loss_phase2_total": second,
    }
    result = {f"output/{k}": v.detach() for k, v in ours.items()}
    own = {id(p) for p in model.attention.parameters()}
    halves = ([p for p in model.parameters() if id(p) not in own], list(model.attention.parameters()))
    for suffix, loss, group in (
        ("1", rec.total, halves[0]),
        ("2", second, halves[1]),
        ("3_ivc_only", contrast.total, halves[1]),
    ):
        model.zero_grad()
        found = torch.autograd.grad(loss, group, allow_unused=True, retain_graph=True)
        for parameter, gradient in zip(group, found, strict=True):
            parameter.grad = gradient
        result |= gradients(model, case, "vlc", suffix)
    return result


class _Recording(ScheduledAdam):
    """An optimiser that remembers the rate and the clip norm of every update."""

    def step(self, clip: list[nn.Parameter]) -> Tensor:
        norm = super().step(clip)
        self.seen = [*getattr(self, "seen", []), (self.lr_used, float(norm))]
        return norm


def check_p3_step(case: GoldenCase) -> None:
    """Four alternating iterations by the product's own step: losses, rates, clip norms, parameters.

    Adam turns rounding into full steps where a gradient is nearly zero: the tolerance is the 1e-4 of the recording.
    """
    single, double = _p3_steps(case, torch.float32), _p3_steps(case, torch.float64)
    wanted = case.group("output")
    missing = sorted(wanted.keys() - single.keys())
    assert not missing, f"{case.name}: not computed by us: {missing}"
    for name, golden in wanted.items():
        rounding = 2 * (single[name].double() - double[name].double()).abs().numpy()
        assert_close(f"{case.name}:output/{name}", single[name], golden, 1e-4, rounding)


def _p3_steps(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    c = Settings(case)
    released = {half: _below(case.parameters(), half + "/") for half in ("tsm", "vlc")}
    anet = is_activitynet(case)
    config = ActionCO2Net(
        host=tsm_of(c, released["tsm"], anet),
        vlc=vlc_of(c, released["vlc"], masked=False, activitynet=anet),
        weight_decay=c.take("tsm_weight_decay"),
    )
    words = torch.from_numpy(case.arrays["buffer/label_embeddings"])
    first = vlc_batch(case, dtype, "it0")
    c.agree(classes=len(words), n_pro2=first.word_ids.shape[1])
    shape = shape_of(c, case.input("it0/features"), words, released["vlc"]["fc_rec.weight"].shape[0])
    rates = {"lr": c.take("vlc_lr"), "warmup_updates": c.take("warmup_updates")}
    rates |= {"warmup_init_lr": c.take("warmup_init_lr"), "clip_norm": float(c.take("clip"))}
    tsm_lr = c.take("tsm_lr")
    c.close()
    method = ActionMethod(config, shape).train()
    no_dropout(method)
    assert method.vlc is not None
    assert method.localiser.queries is not None
    method.localiser.queries.config = dataclasses.replace(method.localiser.queries.config, drop_path=0.0)
    load_released(method.localiser, released["tsm"], "tsm", case.name)
    load_released(method.vlc, released["vlc"], "vlc", case.name)
    method.to(dtype)
    settings = method.optimizer_settings()
    for name in (RECONSTRUCTOR, ATTENTION):
        settings[name] |= rates
    settings[LOCALISER] |= {"lr": tsm_lr}
    optimizers = {name: _Recording(group, **settings[name]) for name, group in method.parameter_groups().items()}
    ours: dict[str, Tensor] = {}
    losses, steps = [], len(case.arrays["output/tsm_total_loss"])
    for step in range(steps):
        batch = vlc_batch(case, dtype, f"it{step}")
        losses.append(method.step(batch, Progress(1, 1, step), torch.Generator(), optimizers).total)  # type: ignore[arg-type]
        for half, model in (("tsm", method.localiser), ("vlc", method.vlc)):
            named = dict(model.named_parameters())
            for name in released[half]:
                ours_is = our_name(name, half)
                # a part that the release never uses is not here, and has not moved there
                at = released[half][name] if ours_is.startswith("unused_") else named[ours_is].detach()
                value = at.clone()
                ours[f"after_it{step}/param/{half}/{name}"] = value
                ours[f"after_it{step}/norm/{half}/{name}"] = value.norm()
    seen = [optimizers[name].seen for name in (RECONSTRUCTOR, ATTENTION)]
    ours["tsm_total_loss"] = torch.stack(losses)
    ours["vlc_lr_used"] = torch.tensor([[a[0], b[0]] for a, b in zip(*seen, strict=True)], dtype=torch.float64)
    ours["clip_total_norms"] = torch.tensor([x[1] for pair in zip(*seen, strict=True) for x in pair])
    return ours


def _below(values: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


WTAL_CHECKS = {
    "basnet_": check_basnet,
    "hamnet_": check_hamnet,
    "co2net_": check_co2net,
    "tsm_": check_tsm,
    "vlc_": check_vlc,
    "p3_train_step_": check_p3_step,
}
