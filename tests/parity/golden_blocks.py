"""Checks of the building blocks against golden vectors: the dual transformer and the Gaussian masks."""

import re
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity.golden import GRADIENT_TOLERANCE, VALUE_TOLERANCE, GoldenCase, assert_close, hold
from vmlkit.nn.transformer import Conditioning, DualTransformer, TransformerConfig
from vmlkit.reconstruction.gaussian import cnm_mask, outer_spans, peak_gaussian
from vmlkit.released import load_released, our_name


def transformer_config(sizes: dict) -> TransformerConfig:
    """Sizes of the released dual transformer as ours."""
    return TransformerConfig(
        hidden=sizes["d_model"],
        heads=sizes["num_heads"],
        video_layers=sizes["num_decoder_layers1"],
        text_layers=sizes["num_decoder_layers2"],
        dropout=sizes["dropout"],
    )


def check_dual_transformer(case: GoldenCase) -> None:
    """Both modes, with and without a mask, scaled masks, and gradients of the probed outputs."""
    hold(case, _dual_transformer)


def _dual_transformer(case: GoldenCase, dtype: torch.dtype) -> dict[str, Tensor]:
    model = DualTransformer(transformer_config(case.meta["config"]))
    load_released(model, case.parameters(), "dual_transformer", case.name)
    model.to(dtype)
    video, text, gauss = (case.input(n).to(dtype).requires_grad_() for n in ("video", "text", "gauss"))
    masks = case.input("video_mask"), case.input("text_mask")
    generated, memory = model.generate(video, masks[0], text, masks[1])

    def reconstruct(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model.reconstruct(video, masks[0], text, masks[1], Conditioning(weight[:, None], maps=True))
        assert out.attention is not None
        return out.hidden[:, 0], out.memory[:, 0], out.attention[:, 0].mean(1)

    ours = {"output/d1_out": generated, "output/d1_text_memory": memory}
    under = reconstruct(gauss)
    for name, value in zip(("out", "video_memory", "last_cross_attention"), under, strict=True):
        ours[f"output/d2_{name}"] = value
    ours["output/d2_out_nomask"], ours["output/d2_video_memory_nomask"], _ = reconstruct(torch.ones_like(gauss))
    for name in case.group("output"):
        if scaled := re.fullmatch(r"d2_out_gauss_times_(.+)", name):
            ours[f"output/{name}"] = reconstruct(gauss * float(scaled[1]))[0]
    probes = case.input("probe_d1").to(dtype), case.input("probe_d2").to(dtype)
    ((generated * probes[0]).sum() + (under[0] * probes[1]).sum()).backward()
    for name, tensor in (("video", video), ("text", text), ("gauss", gauss)):
        assert tensor.grad is not None
        ours[f"grad/{name}"] = tensor.grad
    ours |= gradients_by_released_name(model, case.parameters(), "dual_transformer", ("grad", "gradnorm"))
    return ours


def gradients_by_released_name(
    model: nn.Module, released: Iterable[str], kind: str, groups: tuple[str, str]
) -> dict[str, Tensor]:
    """The gradients left on ``model`` as ``GROUP/<released name>``: in full, and their norms (zero where none)."""
    named = dict(model.named_parameters())
    ours = {}
    for name in released:
        parameter = named[our_name(name, kind)]
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        ours[f"{groups[0]}/{name}"], ours[f"{groups[1]}/{name}"] = gradient, gradient.norm()
    return ours


def check_gauss_cnm(case: GoldenCase) -> None:
    """CNM's mask function with its corner cases, values and gradients."""
    for name in case.group("output"):
        cells, alpha = re.fullmatch(r"cnm_L(\d+)_alpha([\d.]+)", name).groups()  # type: ignore[union-attr]
        _check_mask(case, name, lambda c, w, s=int(cells), a=float(alpha): cnm_mask(c, w, s, alpha=a))


def check_gauss_cpl(case: GoldenCase) -> None:
    """CPL's positive and rule-based negative masks; finite where the released code divides zero by zero."""
    for name in case.group("output"):
        if match := re.fullmatch(r"cpl_pos_L(\d+)_sigma([\d.]+)", name):
            cells, sigma = int(match[1]), float(match[2])
            _check_mask(case, name, lambda c, w, s=cells, g=sigma: peak_gaussian(c, w, s, sigma=g))
            continue
        match = re.fullmatch(r"cpl_neg_(left|right)_L(\d+)_sigma([\d.]+)_gamma([\d.]+)_epoch(\d+)", name)
        assert match, f"output/{name}: unknown array"
        side = ("left", "right").index(match[1])
        ratio = min(int(match[5]) / case.meta["config"]["max_epoch"], 1.0) ** float(match[4])

        def negative(c, w, s=int(match[2]), g=float(match[3]) / 2, r=ratio, i=side):  # type: ignore[no-untyped-def]
            spans = outer_spans(c, w, r)[..., i, :]
            return peak_gaussian(spans[..., 0], spans[..., 1], s, sigma=g)

        _check_mask(case, name, negative)


def _check_mask(case: GoldenCase, name: str, function) -> None:  # type: ignore[no-untyped-def]
    center, width = case.input("center").requires_grad_(), case.input("width").requires_grad_()
    mask = function(center, width)
    assert torch.isfinite(mask).all(), f"output/{name}: not finite"
    _close_where_finite(f"output/{name}", mask, case.arrays[f"output/{name}"], VALUE_TOLERANCE)
    gradients = case.group(f"grad/{name}")
    if gradients:
        (mask * torch.linspace(-1, 1, mask.shape[-1])).sum().backward()
        for key, value in gradients.items():
            ours = {"center": center, "width": width}[key].grad
            assert ours is not None
            assert torch.isfinite(ours).all(), f"grad/{name}/{key}: not finite"
            _close_where_finite(f"grad/{name}/{key}", ours, value, GRADIENT_TOLERANCE)


def _close_where_finite(name: str, ours: torch.Tensor, golden: np.ndarray, tolerance: float) -> None:
    kept = np.isfinite(golden)
    assert_close(name, ours.detach().numpy()[kept], golden[kept], tolerance)
