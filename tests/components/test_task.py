"""P4 in the loop: metrics and controls of a small X-CLIP run, retrieval as a task, resuming with BertAdam."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny import tiny_dataset
from vmlkit.components.dataset import ComponentTexts, attach
from vmlkit.components.losses import ComponentLossConfig
from vmlkit.components.method import ComponentsConfig, XCLIPWithComponents, xclip_with_components
from vmlkit.components.retrieval import RetrievalTask, caption_rows, embed_split
from vmlkit.components.task import (
    MATCH_ACCURACY,
    Triplets,
    bag_of_words,
    compare_split,
    component_accuracy,
    match_split,
)
from vmlkit.components.xclip import XCLIPConfig
from vmlkit.training.final import final_evaluation
from vmlkit.training.loop import TrainConfig, train

TASK = RetrievalTask(also=(component_accuracy("own"), MATCH_ACCURACY))
HOST = XCLIPConfig(width=8, heads=2, words=6, frames=4, temporal_layers=1, text_layers=1, mask_padding=True)
SETTINGS = XCLIPWithComponents(host=HOST, components=ComponentsConfig(loss=ComponentLossConfig(hidden=4)))
TRAIN = TrainConfig(
    epochs=2, batch_size=4, lr=1e-3, warmup_updates=0, probe_queries=2, strip_frames=2, strip_pixels=8,
    choose_epoch_by="last",
)  # fmt: skip


def vector(word: str) -> np.ndarray:
    return np.random.default_rng(sum(map(ord, word))).normal(size=4)


def split(name: str, queries: int = 9):  # type: ignore[no-untyped-def]
    base = tiny_dataset(name, queries, seed=len(name))
    texts = ComponentTexts(
        components=("one", "two"),
        positives=tuple(f"{s} indeed" for s in base.sentences),
        negatives=tuple((f"not {s}", "other words" if i % 2 else None) for i, s in enumerate(base.sentences)),
    )
    return attach(base, texts, vector)


def made(seed: int = 0, settings: XCLIPWithComponents = SETTINGS):  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    return xclip_with_components(settings, split("train"))


def run(folder: Path, config: TrainConfig = TRAIN, **options: object):  # type: ignore[no-untyped-def]
    about = {"name": "p4", "method": "p4-xclip", "settings": {}, "data": {"name": "tiny"}}
    method = made()
    done = train(method, split("train"), split("val"), config, folder, about, task=TASK, progress=False, **options)  # type: ignore[arg-type]
    return method, done


def test_a_run_records_entropy_importance_and_both_tasks(tmp_path: Path) -> None:
    method, done = run(tmp_path / "run")
    columns = set(done.epochs.columns)
    wanted = {"loss/importance_entropy", "loss/components", "gradient/importance one", "metric/t2v R@1"}
    wanted |= {"metric/component accuracy: two", "metric/match accuracy, shuffled video", "curriculum/scale"}
    assert wanted <= columns
    assert done.proposals.empty
    final = final_evaluation(method, done.path, split("train"), split("val"), split("test"), task=TASK)
    assert final["baselines"]["chance"]["t2v R@1"] == 1 / 4
    assert 0 <= final["baselines"]["mean word vector"]["component accuracy"] <= 1
    assert final["ties"] == "optimistic"


def test_component_accuracy_counts_valid_pairs_only() -> None:
    triplets = Triplets(
        np.array([1.0, 0.0, 0.5]), np.array([[0.0, 9.0], [1.0, -1.0], [0.5, 0.0]]),
        np.array([[True, False], [True, True], [True, False]]), ("one", "two"),
    )  # fmt: skip
    assert triplets.accuracy() == {"": 0.5, "one": pytest.approx(1 / 3), "two": 1.0}


def test_batches_of_any_size_compare_alike() -> None:
    method, data = made().eval(), split("val")
    whole, parts = (compare_split(method.host, data, "own", batch_size=n) for n in (64, 2))
    np.testing.assert_allclose(whole.positive, parts.positive, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whole.negatives[whole.valid], parts.negatives[whole.valid], rtol=1e-4, atol=1e-5)


def test_matches_are_the_logits_of_the_video_with_its_sentence() -> None:
    method, data = made().eval(), split("val")
    texts, videos = embed_split(method.model, data.base, 64)
    logits = method.model.core.logits(texts, videos).numpy()
    own = match_split(method.host, data, shuffled=False)  # type: ignore[arg-type]
    np.testing.assert_allclose(own.positive, logits[np.arange(len(data)), caption_rows(data)], rtol=1e-3, atol=1e-4)
    other = match_split(method.host, data, shuffled=True)  # type: ignore[arg-type]
    assert not np.allclose(own.positive, other.positive)


def test_a_bag_of_words_sees_neither_video_nor_training() -> None:
    data = split("val")
    assert bag_of_words(data).negatives.shape == (9, 2)
    moved = dataclasses.replace(data, base=dataclasses.replace(data.base, frames=data.base.frames * 0))
    np.testing.assert_array_equal(bag_of_words(moved).positive, bag_of_words(data).positive)


def test_bert_adam_resumes_to_the_same_bits(tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, optimizer="bert_adam", epochs=3)
    whole, _ = run(tmp_path / "whole", config)

    class Stop(Exception):
        pass

    method = made()
    steps, own_step = [], method.step

    def step(*arguments: object):  # type: ignore[no-untyped-def]
        if len(steps) == 5:
            raise Stop
        steps.append(1)
        return own_step(*arguments)  # type: ignore[arg-type]

    method.step = step  # type: ignore[method-assign, assignment]
    about = {"name": "p4", "method": "p4-xclip", "settings": {}, "data": {"name": "tiny"}}
    with pytest.raises(Stop):
        train(method, split("train"), split("val"), config, tmp_path / "cut", about, task=TASK, progress=False)
    again, _ = run(tmp_path / "cut", config)
    for (name, one), (_, other) in zip(whole.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    plain, _ = run(tmp_path / "adam", dataclasses.replace(TRAIN, epochs=3))
    assert not torch.equal(plain.model.frame_projection.weight, whole.model.frame_projection.weight)
