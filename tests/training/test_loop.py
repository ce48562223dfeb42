"""The loop: what it writes, what it refuses, and that nothing but the seed decides the result."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training import tiny
from tests.training.tiny import TRAIN, VALIDATION, TinyMethod, TwoStageMethod, tiny_dataset, tiny_train
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError, DataError, TrainingDiverged
from vmlkit.runs import PROPOSAL_COLUMNS, RunDirectory
from vmlkit.training.checkpoints import load_weights, weights_info
from vmlkit.training.evaluate import EVALUATION, derive_seed, evaluate
from vmlkit.training.loop import TrainConfig, train
from vmlkit.training.method import LossTerms, Progress
from vmlkit.training.task import batch_order


def same_history(a: RunDirectory, b: RunDirectory) -> bool:
    """Equal tables but for the seconds."""
    pd.testing.assert_frame_equal(a.epochs.drop(columns="seconds"), b.epochs.drop(columns="seconds"), check_exact=True)
    pd.testing.assert_frame_equal(a.proposals, b.proposals, check_exact=True)
    return True


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_run_holds_every_file_of_the_schema(tmp_path):
    run, _ = tiny_train(tmp_path / "run")
    assert sorted(p.name for p in run.path.iterdir()) == [
        "checkpoint.safetensors",
        "config.json",
        "epochs.parquet",
        "last.safetensors",
        "probe.json",
        "proposals.parquet",
        "state.json",
        "state.pt",
        "strips.npz",
    ]
    assert run.finished
    config = run.config
    assert (config["schema"], config["name"], config["method"], config["seed"]) == (1, "tiny", "tiny", 0)
    assert config["settings"]["train"]["epochs"] == 3
    assert config["settings"]["model"] == {"hidden": tiny.HIDDEN}
    assert {"python", "torch", "numpy", "pandas", "vmlkit"} <= config["versions"].keys()
    assert config["hardware"]["threads"] == 1
    assert config["data"] == {
        "name": "tiny/train",
        "fingerprint": "tiny/train-37-1+tiny/validation-11-2",
        "train_queries": 37,
        "validation_queries": 11,
        "test_queries": None,
    }


def test_epochs_table(tmp_path):
    epochs = tiny_train(tmp_path / "run")[0].epochs
    assert epochs["epoch"].tolist() == [0, 1, 2, 3]
    assert {"loss/pull", "loss/push", "loss/total", "curriculum/c", "lr/all", "grad_norm/all"} <= set(epochs)
    assert {"metric/R@1,mIoU", "metric/R@1,IoU=0.5", "metric/R@5,mIoU"} <= set(epochs)
    assert epochs["loss/total"].isna().tolist() == [True, False, False, False]
    assert epochs["metric/R@1,mIoU"].notna().all()
    np.testing.assert_allclose(epochs["curriculum/c"][1:], [1 / 3, 2 / 3, 1])
    # five steps an epoch, four of warm-up: the last update of epoch 1 is the fifth, at the peak
    assert epochs["lr/all"][1] == pytest.approx(2e-2)
    assert epochs["lr/all"][2] == pytest.approx(2e-2 * (4 / 9) ** 0.5)


def test_epoch_means_equal_a_hand_written_loop(tmp_path):
    losses, norms = [], []

    class Watched(TinyMethod):
        def step(self, batch, progress, generator, optimizers):
            loss = super().step(batch, progress, generator, optimizers)
            losses.append(loss.terms["pull"].item())
            norms.append(float(optimizers["all"].last_norm))
            return loss

    run, _ = tiny_train(tmp_path / "run", method=Watched(), check_every_steps=2)
    assert len(losses) == 15
    np.testing.assert_allclose(run.epochs["loss/pull"][1:], np.reshape(losses, (3, 5)).mean(1), rtol=1e-6)
    np.testing.assert_allclose(run.epochs["grad_norm/all"][1:], np.reshape(norms, (3, 5)).mean(1), rtol=1e-6)


def test_what_a_method_measures_gets_columns_and_disturbs_nothing(tmp_path):
    class Measuring(TinyMethod):
        def diagnose(self, batch, progress, generator):
            assert torch.is_grad_enabled()
            torch.rand(3, generator=generator)
            return {"pull on heads": torch.tensor(float(progress.epoch))}

    plain, _ = tiny_train(tmp_path / "plain")
    run, _ = tiny_train(tmp_path / "run", method=Measuring())
    assert run.epochs["gradient/pull on heads"][1:].tolist() == [1, 2, 3]
    kept = run.epochs.drop(columns=["gradient/pull on heads", "seconds"])
    pd.testing.assert_frame_equal(kept, plain.epochs.drop(columns="seconds"), check_exact=True)


def test_proposals_table_holds_what_the_method_predicts(tmp_path):
    run, method = tiny_train(tmp_path / "run", choose_epoch_by="last")
    table = run.proposals
    assert list(table) == list(PROPOSAL_COLUMNS)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == PROPOSAL_COLUMNS
    assert len(table) == 4 * 6 * (tiny.POSITIVES + tiny.NEGATIVES)
    positives = table[table["role"] == "positive"]
    assert (positives.groupby(["epoch", "query_id"], observed=True)["chosen"].sum() == 1).all()
    assert positives["ion"].isna().all()
    assert positives["weight"].isna().all()
    negatives = table[table["role"] == "negative"]
    assert not negatives["chosen"].any()
    assert negatives["ion"].between(0, 1).all()
    assert (negatives["weight"] == 0.5).all()

    query = run.probe[2]
    index = VALIDATION.query_ids.index(query["query_id"])
    # the numbers of the last epoch are those of an evaluation with the same seed
    _, arrays = evaluate(method, VALIDATION, derive_seed(0, EVALUATION, 3), progress=Progress(3, 3, 15))
    rows = positives[(positives["epoch"] == 3) & (positives["query_id"] == query["query_id"])].sort_values("index")
    np.testing.assert_array_equal(rows["start"].to_numpy(), arrays.proposals[index, :, 0])
    np.testing.assert_array_equal(rows["nll"].to_numpy(), arrays.nll[index])
    assert rows["chosen"].to_numpy().argmax() == arrays.top1[index]


def test_probe_is_spread_over_videos_and_described(tmp_path):
    probe = tiny_train(tmp_path / "run")[0].probe
    assert len({record["video_id"] for record in probe[:4]}) == 4
    assert len({record["query_id"] for record in probe}) == 6
    record = probe[0]
    index = VALIDATION.query_ids.index(record["query_id"])
    assert record["span_s"] == VALIDATION.spans_s[index].tolist()
    assert " ".join(record["words"]) == record["sentence"] == VALIDATION.sentences[index]


def test_strips_or_heat(tmp_path):
    heat = tiny_train(tmp_path / "heat")[0].strips
    assert heat["heat"].shape == (4, tiny.CLIPS)
    assert heat["heat"].dtype == np.float16
    assert float(heat["heat"].max()) == 1.0
    pictures = tiny_dataset("tiny/validation", 11, 2, strips=True)
    config = dataclasses.replace(tiny.CONFIG, epochs=1, strip_frames=5, strip_pixels=16)
    run = train(TinyMethod(), TRAIN, pictures, config, tmp_path / "strips", tiny.DESCRIPTION, progress=False)
    strips = run.strips
    assert strips["video_ids"].tolist() == ["v0", "v1", "v2", "v3"]
    assert strips["strips"].shape == (4, 5, 16, 16, 3)
    assert strips["strips"][3, 0, 0, 0].tolist() == [30, 30, 30]


def test_the_seed_alone_decides(tmp_path):
    torch.manual_seed(1)
    first, a = tiny_train(tmp_path / "a")
    torch.manual_seed(2)
    second, b = tiny_train(tmp_path / "b")
    other, c = tiny_train(tmp_path / "c", seed=1)
    assert same_history(first, second)
    assert same_weights(a, b)
    assert not same_weights(a, c)
    assert first.epochs["loss/total"][1] != other.epochs["loss/total"][1]


def test_the_callers_generators_and_threads_are_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    tiny_train(tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_evaluating_does_not_disturb_training(tmp_path):
    _, often = tiny_train(tmp_path / "often", choose_epoch_by="last")
    run, rarely = tiny_train(tmp_path / "rarely", choose_epoch_by="last", evaluate_every=3, evaluation_batch_size=3)
    assert same_weights(often, rarely)
    assert run.epochs["metric/R@1,mIoU"].isna().tolist() == [False, True, True, False]
    assert sorted(run.proposals["epoch"].unique()) == [0, 3]


def test_batch_order_covers_every_query_once():
    batches = batch_order(37, 8, seed=3, epoch=2)
    assert [len(b) for b in batches] == [8, 8, 8, 8, 5]
    assert sorted(torch.cat(batches).tolist()) == list(range(37))
    assert not torch.equal(batches[0], batch_order(37, 8, seed=3, epoch=3)[0])
    assert not torch.equal(batches[0], batch_order(37, 8, seed=4, epoch=2)[0])


def test_the_checkpoint_is_the_best_validation_epoch(tmp_path):
    run, _ = tiny_train(tmp_path / "run", epochs=6, lr=0.2)
    scores = run.epochs["metric/R@1,mIoU"].to_numpy()
    best = 1 + int(np.argmax(scores[1:]))
    assert best < 6, "the fixture should not be best at the end"
    assert weights_info(run.checkpoint) == {"epoch": best, "step": 5 * best}
    assert run.state["best_epoch"] == best
    shorter_is_not_the_same = TinyMethod()
    load_weights(shorter_is_not_the_same, run.checkpoint)
    assert float(shorter_is_not_the_same.steps_seen) == 5 * best
    assert weights_info(run.path / "last.safetensors")["epoch"] == 6


class Exploding(TinyMethod):
    """NaN in one named term at one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.at = step

    def training_loss(self, batch, progress, generator):
        loss = super().training_loss(batch, progress, generator)
        bad = torch.where(torch.tensor(progress.step == self.at), float("nan"), 0.0)
        return LossTerms(loss.total + bad, {**loss.terms, "push": loss.terms["push"] + bad})


@pytest.mark.parametrize("check_every", [1, 3, 20])
def test_a_non_finite_loss_names_epoch_batch_queries_and_term(tmp_path, check_every):
    with pytest.raises(TrainingDiverged) as caught:
        tiny_train(tmp_path / "run", method=Exploding(step=7), check_every_steps=check_every)
    message = str(caught.value)
    assert "loss term 'push' is nan in epoch 2, batch 3 of 5" in message
    for index in batch_order(37, 8, seed=0, epoch=2)[2].tolist():
        assert TRAIN.query_ids[index] in message
    assert "pull" not in message
    # nothing of the diverged epoch was kept
    assert RunDirectory(tmp_path / "run").epochs["epoch"].tolist() == [0, 1]
    assert RunDirectory(tmp_path / "run").state["epoch"] == 1


def test_a_diverged_state_is_never_saved(tmp_path):
    with pytest.raises(TrainingDiverged):
        tiny_train(tmp_path / "run", method=Exploding(step=7), check_every_steps=20, checkpoint_every_steps=1)
    assert RunDirectory(tmp_path / "run").state["step"] == 7
    bundle = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert all(value.isfinite().all() for value in bundle["model"].values())


def test_a_non_finite_gradient_is_caught_even_where_the_loss_is_finite(tmp_path):
    class BadGradient(TinyMethod):
        def training_loss(self, batch, progress, generator):
            loss = super().training_loss(batch, progress, generator)
            return LossTerms(loss.total + torch.sqrt(self.scores.bias.sum() * 0), loss.terms)

    with pytest.raises(TrainingDiverged, match="gradient norm of 'all' is nan in epoch 1, batch 1 of 5"):
        tiny_train(tmp_path / "run", method=BadGradient())


def test_bad_input_fails_before_the_directory_exists(tmp_path):
    empty = TRAIN.subset([])
    nan = dataclasses.replace(VALIDATION, frames=torch.full_like(VALIDATION.frames, float("nan")))
    config = tiny.CONFIG
    with pytest.raises(DataError, match="has no queries"):
        train(TinyMethod(), empty, VALIDATION, config, tmp_path / "new" / "run", tiny.DESCRIPTION, progress=False)
    with pytest.raises(TrainingDiverged, match="prediction for query 'tiny/validation/q000'"):
        train(TinyMethod(), TRAIN, nan, config, tmp_path / "new" / "run", tiny.DESCRIPTION, progress=False)
    with pytest.raises(ConfigError, match="choose_epoch_by"):
        tiny_train(tmp_path / "new" / "run", choose_epoch_by="R@1,miou")
    with pytest.raises(ConfigError, match=r"train\.device"):
        tiny_train(tmp_path / "new" / "run", device="abacus")
    wrong_strip = dataclasses.replace(VALIDATION, film_strip=lambda video, count, pixels: np.zeros((1, 2)))
    with pytest.raises(DataError, match="film strip of video 'v0'"):
        train(TinyMethod(), TRAIN, wrong_strip, config, tmp_path / "new" / "run", tiny.DESCRIPTION, progress=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("clip_norm", -1.0), ("seed", -1), ("lr", float("nan"))],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"'{name}'"):
        dataclasses.replace(TrainConfig(), **{name: value})


def test_settings_take_overrides():
    config = with_overrides(TrainConfig(), {"epochs": 2, "clip_norm": None, "schedule": "constant", "lr": 1})
    assert (config.epochs, config.clip_norm, config.schedule, config.lr) == (2, None, "constant", 1.0)
    with pytest.raises(ConfigError, match="eps_rule"):
        with_overrides(TrainConfig(), {"eps_rule": "other"})


def test_a_run_with_other_settings_is_never_touched(tmp_path):
    run, _ = tiny_train(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    for resume in (True, False):
        with pytest.raises(ConfigError, match=r"settings\.train\.lr is 0\.02 there and 0\.5 here"):
            tiny_train(tmp_path / "run", lr=0.5, resume=resume)
    other = tiny_dataset("tiny/train", 37, 9)
    with pytest.raises(ConfigError, match=r"data\.fingerprint"):
        train(TinyMethod(), other, VALIDATION, tiny.CONFIG, run.path, tiny.DESCRIPTION, progress=False)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


def test_a_directory_that_is_no_run_is_never_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(ConfigError, match="is not a run directory"):
        tiny_train(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigError, match="name a new one"):
        tiny_train(".")


def test_a_finished_run_is_returned_as_it_is(tmp_path):
    run, first = tiny_train(tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    again, second = tiny_train(tmp_path / "run", method=TinyMethod(seed=99))
    assert {path.name: path.stat().st_mtime_ns for path in again.path.iterdir()} == before
    assert same_weights(first, second), "the caller's method holds the weights of the last epoch"


def test_starting_anew_replaces_the_run(tmp_path):
    run, _ = tiny_train(tmp_path / "run")
    (run.path / "metrics.json").write_text(json.dumps({"stale": True}))
    again, _ = tiny_train(tmp_path / "run", resume=False)
    assert not (again.path / "metrics.json").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_bar_shows_loss_and_metric_on_stderr(tmp_path, capsys):
    train(TinyMethod(), TRAIN, VALIDATION, tiny.CONFIG, tmp_path / "run", tiny.DESCRIPTION)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 3/3, loss " in captured.err
    assert "R@1,mIoU 0." in captured.err


class HostReads(TorchDispatchMode):
    """Counts the tensors that become a Python number (on an accelerator each waits for the device)."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_from_the_device(tmp_path):
    reads = HostReads()

    class Counted(TwoStageMethod):
        def step(self, batch, progress, generator, optimizers):
            with reads:
                return super().step(batch, progress, generator, optimizers)

    run, _ = tiny_train(tmp_path / "run", method=Counted(), epochs=1)
    assert run.state["step"] == 5
    assert reads.count == 0
    with reads:
        torch.ones(()).item()
    assert reads.count == 1, "the instrument sees a read"
