"""A setting of action localisation acts or is refused, and numbers that follow from the data do follow."""

import dataclasses
import functools
import typing
from typing import Any

import numpy as np
import pytest
import torch

from tests.actions.test_models import CONFIGS, FEATURES, TEXT, VOCABULARY, WORDS, attention, host, vlc
from vmlkit.actions.co2net import CO2Net
from vmlkit.actions.cross_modal import average_over_time
from vmlkit.actions.dataset import ActionDataset
from vmlkit.actions.detection import detection_map
from vmlkit.actions.method import LOCALISER, ActionConfig, ActionMethod
from vmlkit.actions.methods import action_shape, action_task
from vmlkit.actions.segments import ActionSegments
from vmlkit.actions.text_queries import TextQueryConfig
from vmlkit.actions.vlc import VLCConfig
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.methods import preset
from vmlkit.text.vocabulary import Vocabulary
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

CLIPS, VIDEOS, CLASSES = 24, 12, ("run", "jump", "dive")


@functools.cache
def data(clips: int = CLIPS) -> ActionDataset:
    """Videos of three lengths with one class each and two instances of it."""
    g = torch.Generator().manual_seed(0)
    lengths = torch.tensor([20, 26, 31] * (VIDEOS // 3))
    names = tuple(f"v{i}" for i in range(VIDEOS))
    rows = [(name, start, start + 3.2, CLASSES[i // 4]) for i, name in enumerate(names) for start in (1.0, 7.0)]
    ids = torch.randint(1, VOCABULARY, (VIDEOS, 6), generator=g)
    return ActionDataset(
        name="small",
        rows=torch.randn(int(lengths.sum()), FEATURES, generator=g),
        offsets=torch.cat((torch.zeros(1, dtype=torch.long), lengths.cumsum(0))),
        labels=torch.eye(3)[torch.arange(VIDEOS) // 4],
        truth=ActionSegments.build(rows, names, CLASSES),
        durations=lengths.double().numpy() * 0.64,
        snippet_s=np.full(VIDEOS, 0.64),
        video_ids=names,
        classes=CLASSES,
        class_words=(("a", "b"),) * 3,
        class_vectors=torch.randn(3, 2, WORDS, generator=g),
        sentences=("a",) * VIDEOS,
        word_ids=ids,
        word_mask=torch.arange(6) < torch.tensor([5, 3, 4] * (VIDEOS // 3))[:, None],
        word_weights=torch.full((VIDEOS, 6), 1 / 6),
        vectors=torch.randn(VOCABULARY, WORDS, generator=g),
        vocabulary=Vocabulary(tuple("abcdefgh")),
        clips=clips,
        ambiguous_s=((),) * VIDEOS,
        fingerprint="small",
    )


def outcome(config: ActionConfig) -> list[Any]:
    """What three training steps and an evaluation leave behind; every setting must be able to change some of it."""
    experiment = preset("tsm", "toy", "ci")
    experiment = dataclasses.replace(experiment, model=config, data=dataclasses.replace(experiment.data, clips=CLIPS))
    task, split = action_task(experiment), data()
    torch.manual_seed(0)
    method = ActionMethod(config, action_shape(split)).train()
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if name.endswith("head.logit.weight"):
                parameter *= 2  # attention on both sides of the thresholds
    settings = method.optimizer_settings()
    settings[LOCALISER]["lr"] = 0.01
    groups = {name: ScheduledAdam(group, **settings[name]) for name, group in method.parameter_groups().items()}
    draws, order = torch.Generator().manual_seed(0), task.order(split, 10, 0, 1)
    found: list[Any] = [len(order), order[0].tolist()]
    for step in range(3):
        loss = method.step(task.batch(split, order[0], step), Progress(1, 1, step), draws, groups)
        found += [float(loss.total), {name: float(value) for name, value in loss.terms.items()}]
    found.append([float(p.detach().double().sum()) for p in method.parameters()])
    method.eval()
    activations = task.activations(method, split)
    detections = task.detect(activations, split)
    rate = 1 / split.snippet_s
    result = detection_map(detections, split.truth, task.protocol, snippets_per_s=rate)
    found += [[float(a.cas.sum() + a.attention.sum()) for a in activations], detections.rows().tolist()]
    return [*found, sorted(result.metrics())]


def moves(config: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every field below ``config`` by its dotted name, with each other value that is tried."""
    found: list[tuple[str, Any]] = []
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, key, hint = getattr(config, field.name), prefix + field.name, hints[field.name]
        if dataclasses.is_dataclass(value):
            found += moves(value, key + ".")
        elif typing.get_origin(hint) is typing.Literal:
            found += [(key, option) for option in typing.get_args(hint) if option != value]
        elif isinstance(value, bool):
            found.append((key, not value))
        elif isinstance(value, int):
            found.append((key, 2 * value))
        elif isinstance(value, float):
            found.append((key, 0.3 + value / 2))
        elif field.name in ("pool", "cells", "code"):
            found.append((key, 3))
        else:
            found.append((key, {"text": TEXT, "vlc": vlc(), "attention": attention("reconstruct")}[field.name]))
    return found


#: losses so large that the norm is clipped
HEAVY = vlc(reconstruction_weight=100.0, contrast_weight=100.0)
#: settings to start from, and below which name every one is moved; the others are those of an earlier start
STARTS = {
    "tsm and vlc": (dataclasses.replace(host("tsm", pool=5, text=TEXT), vlc=HEAVY), ""),
    "basnet": (host("basnet"), "host."),
    "hamnet": (host("hamnet", drop_threshold=0.5, ratio=2), "host."),
    "co2net": (host("co2net"), "host."),
    "handcrafted": (CONFIGS["handcrafted"], "host.text."),
    "proposals of basnet": (dataclasses.replace(host("basnet"), proposals="basnet"), "proposals"),
    "basnet and vlc": (CONFIGS["basnet and vlc"], "vlc.attention."),
    "joint": (CONFIGS["joint"], "vlc.s"),
    "vlc shares": (CONFIGS["vlc shares"], "vlc.consistency"),
    "vlc gru": (CONFIGS["vlc gru"], "vlc.reconstruction.transformer."),
    "vlc without contrast": (CONFIGS["vlc without contrast"], "vlc.hard_margin"),
}
MOVES = [
    (start, key, value)
    for start, (config, below) in STARTS.items()
    for key, value in moves(config)
    if key.startswith(below)
]


def moved(start: str, key: str, value: Any) -> list[Any] | str:
    """The outcome with one setting moved, or the sentence that refuses it."""
    try:
        return outcome(with_overrides(STARTS[start][0], {key: value}))
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize(("start", "key", "value"), MOVES, ids=[f"{s}: {k}={str(v)[:20]}" for s, k, v in MOVES])
def test_a_setting_acts_or_is_refused(start: str, key: str, value: Any) -> None:
    changed = moved(start, key, value)
    if isinstance(changed, str):
        name = key.rsplit(".", 1)[-1]
        assert "\n" not in changed
        assert name in changed or name == "kind", "a refusal names the setting"
    else:
        assert changed != unmoved(start)


@functools.cache
def unmoved(start: str) -> list[Any]:
    return outcome(STARTS[start][0])


def test_the_same_settings_give_the_same_outcome() -> None:
    assert outcome(STARTS["tsm and vlc"][0]) == unmoved("tsm and vlc")


def averaged(values: list[float], kernel: int) -> list[float]:
    """A moving average written out: what lies beyond either end counts as zero."""
    reach, out = (kernel - 1) // 2, []
    for t in range(len(values)):
        inside = [values[u] for u in range(t - reach, t + reach + 1) if 0 <= u < len(values)]
        out.append(sum(inside) / kernel)
    return out


@pytest.mark.parametrize(
    ("clips", "kernel"),
    [(1, 1), (4, 1), (5, 1), (9, 1), (10, 3), (19, 3), (20, 5), (25, 5), (31, 7), (59, 11), (60, 13), (80, 17)],
)
@pytest.mark.parametrize("name", ["co2net", "hamnet", "basnet", "tsm"])
def test_pooling_is_as_wide_as_the_training_snippets_make_it(name: str, clips: int, kernel: int) -> None:
    """The width comes from S alone: a video of another length is averaged over as many snippets."""
    torch.manual_seed(0)
    sizes = action_shape(data(clips))
    plain, pooled = (ActionMethod(host(name, pool=pool), sizes).eval().localiser for pool in (None, 5))
    pooled.load_state_dict(plain.state_dict())
    assert pooled.kernel == kernel
    for length in {clips, 1, 2, 7, 8, 33}:
        frames = torch.randn(1, length, FEATURES)
        if name == "basnet":  # the pooled attention also feeds the second branch
            before, after = plain.attention(frames).attention, pooled(frames).attention
        else:
            before, after = plain(frames).attention, pooled(frames).attention
            cas = averaged(plain(frames).cas[0, :, 1].tolist(), kernel)
            torch.testing.assert_close(pooled(frames).cas[0, :, 1], torch.tensor(cas), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(after[0], torch.tensor(averaged(before[0].tolist(), kernel)), rtol=1e-4, atol=1e-6)


def test_an_average_over_one_snippet_changes_nothing() -> None:
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(average_over_time(x, 1), x)


def test_the_paper_averages_as_widely_as_its_clips_say() -> None:
    experiment = preset("tsm-vlc", "activitynet1.3", "paper")
    for clips, kernel in ((60, 13), (30, 7)):
        sizes = dataclasses.replace(action_shape(data(clips)), clips=clips, features=FEATURES)
        small = host("tsm", pool=experiment.model.host.pool).host
        assert CO2Net(small, sizes).kernel == kernel  # type: ignore[arg-type]
    assert "pool" not in {field.name for field in dataclasses.fields(VLCConfig)}, "released: VLC does not pool"


def made(override: dict[str, Any]) -> ActionMethod:
    experiment = with_overrides(preset("tsm", "toy", "ci"), override)
    action_task(experiment)
    return ActionMethod(experiment.model, action_shape(data()))


SIZES: dict[str, Any] = {
    "model.host.pairs": 6, "model.host.pool": 0, "model.host.fusion_kernel": 2, "model.host.text.heads": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name.rsplit(".", 1)[-1]):
        made({name: SIZES[name]})


def test_the_text_of_a_query_is_off_where_there_are_no_settings_for_it() -> None:
    assert preset("co2net", "toy", "ci").model.host.text is None
    assert preset("tsm", "thumos14", "paper").model.host.text == TextQueryConfig()
