"""The check of X-CLIP's optimiser on schedules and clips that no recorded case holds."""

import math
from typing import Any

import numpy as np
import pytest

from tests.parity.cases import check_of
from tests.parity.golden import GoldenCase


def factor(name: str, x: float, warmup: float) -> float:
    if x < warmup:
        return x / warmup
    after = {"warmup_cosine": (1 + math.cos(math.pi * x)) / 2, "warmup_constant": 1.0}
    return after[name] if name in after else max((x - 1) / (warmup - 1), 0.0)


def made_case(**fields: Any) -> GoldenCase:
    """Three tensors over a few updates in float64."""
    config: dict[str, Any] = {
        "steps": 7,
        "t_total": 5,
        "warmup": 0.3,
        "schedule": "warmup_cosine",
        "betas": [0.8, 0.95],
    }
    config |= {"eps": 1e-5, "lr_per_param": [0.02, 0.01, 0.03], "weight_decay_per_param": [0.1, 0.0, 0.3]}
    config |= {"per_parameter_grad_clip": 0.5, **fields}
    draw, shapes = np.random.default_rng(0), ((2, 3), (4,), ())
    arrays: dict[str, np.ndarray] = {}
    rates = []
    for n in range(config["steps"]):
        share = 1.0 if config["t_total"] < 0 else factor(config["schedule"], n / config["t_total"], config["warmup"])
        rates.append([lr * share for lr in config["lr_per_param"]])
    for i, shape in enumerate(shapes):
        value, gradients = draw.standard_normal(shape), draw.standard_normal((config["steps"], *shape))
        arrays |= {f"param/p{i}": value.astype(np.float32), f"input/grads_p{i}": gradients.astype(np.float32)}
        mean, square, seen = np.zeros(shape), np.zeros(shape), []
        for n, gradient in enumerate(gradients):
            norm = float(np.sqrt((gradient**2).sum()))
            if config["per_parameter_grad_clip"] > 0:
                gradient = gradient * min(1.0, config["per_parameter_grad_clip"] / (norm + 1e-6))
            first, second = config["betas"]
            mean, square = first * mean + (1 - first) * gradient, second * square + (1 - second) * gradient**2
            update = mean / (np.sqrt(square) + config["eps"]) + config["weight_decay_per_param"][i] * value
            value = value - rates[n][i] * update
            seen.append(value)
        arrays[f"output/p{i}"] = np.stack(seen).astype(np.float32)
    return GoldenCase("bertadam_x", arrays | {"output/lr": np.array(rates)}, {"config": config})


OPTIONS = ({}, {"schedule": "warmup_linear"}, {"schedule": "warmup_constant"}, {"t_total": -1}, {"warmup": -1})


@pytest.mark.parametrize("fields", [*OPTIONS, {"per_parameter_grad_clip": -1, "t_total": 30}])
def test_other_schedules_and_clips(fields: dict[str, Any]) -> None:
    case = made_case(**fields)
    check_of(case.name)(case)
