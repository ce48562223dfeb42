"""A run stopped anywhere goes on to the same bits: at every rename it makes, and at random instants by SIGKILL."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from tests.training import tiny
from tests.training.tiny import KILLED, TinyMethod, TwoStageMethod, tiny_train
from vmlkit.errors import DataError
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_state, load_weights

#: two stages with a clip that bites, so that gradients left over from before the stop matter
SETTINGS = {"epochs": 2, "clip_norm": 0.05, "checkpoint_every_steps": 2, "check_every_steps": 3}


class Stopped(BaseException):
    """Stands for a kill: no handler of ours catches it."""


def assert_same_run(run: RunDirectory, expected: RunDirectory) -> None:
    """Every file that matters, bit by bit; only the seconds may differ."""
    for table in ("epochs", "proposals"):
        a, b = getattr(run, table), getattr(expected, table)
        pd.testing.assert_frame_equal(
            a.drop(columns="seconds", errors="ignore"), b.drop(columns="seconds", errors="ignore"), check_exact=True
        )
    for name in ("checkpoint.safetensors", "last.safetensors", "probe.json", "state.json"):
        assert (run.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    ours, theirs = (comparable_state(r.path / "state.pt") for r in (run, expected))
    assert_same_values(ours, theirs, "state")
    assert not list(run.path.glob(".*"))


def comparable_state(path: Path) -> dict:
    """The saved state without the seconds, and without Python's and numpy's global generators.

    Every thread of the process draws from those two (a test runner's and a notebook kernel's do), and no training step
    does; that they come back on resuming is tested below.
    """
    state = torch.load(path, weights_only=True)
    theirs = {name: state["generators"].pop(name) for name in ("python", "numpy")}
    assert all(theirs.values())
    return {**state, "seconds": 0}


def assert_same_values(a, b, where: str) -> None:
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same_values(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_values(x, y, f"{where}[{number}]")
    else:
        assert a == b, where


def stop_at(monkeypatch, count: int, after: bool) -> list[str]:
    """Raise :class:`Stopped` just before (or just after) the ``count``-th rename; returns the renames seen."""
    seen: list[str] = []
    originals = {name: getattr(os, name) for name in ("replace", "rename")}

    def stopping(name):
        def rename(source, target, **rest):
            seen.append(str(target))
            if len(seen) == count and not after:
                raise Stopped
            originals[name](source, target, **rest)
            if len(seen) == count:
                raise Stopped

        return rename

    for name in originals:
        monkeypatch.setattr(os, name, stopping(name))
    return seen


def test_stopped_at_every_rename(tmp_path, monkeypatch):
    expected, finished = tiny_train(tmp_path / "expected", method=TwoStageMethod(), **SETTINGS)
    last_weights = finished.state_dict()
    with monkeypatch.context() as patch:
        renames = stop_at(patch, -1, after=False)
        tiny_train(tmp_path / "counted", method=TwoStageMethod(), **SETTINGS)
    assert len(renames) > 20
    assert sum(name.endswith("state.pt") for name in renames) == 1 + 2 * 3
    for count in range(1, len(renames) + 1):
        folder = tmp_path / "stopped"
        with monkeypatch.context() as patch:
            stop_at(patch, count, after=bool(count % 2))
            with pytest.raises(Stopped):
                tiny_train(folder, method=TwoStageMethod(), **SETTINGS)
        # a run stopped before its directory appeared starts from the weights it is given; any other from its own
        seed = count if folder.exists() else 0
        run, method = tiny_train(folder, method=TwoStageMethod(seed=seed), **SETTINGS)
        assert_same_run(run, expected)
        assert_same_values(method.state_dict(), last_weights, f"weights after rename {count}")
        shutil.rmtree(folder)


def test_a_kill_right_after_the_last_state_leaves_no_run_that_never_ends(tmp_path, monkeypatch):
    """``state.json`` is written after ``state.pt``, and no later epoch would write it again."""
    expected, _ = tiny_train(tmp_path / "expected", epochs=2)
    with monkeypatch.context() as patch:
        renames = stop_at(patch, -1, after=False)
        tiny_train(tmp_path / "counted", epochs=2)
    last = max(number for number, name in enumerate(renames, 1) if name.endswith("state.json"))
    with monkeypatch.context() as patch:
        stop_at(patch, last, after=False)
        with pytest.raises(Stopped):
            tiny_train(tmp_path / "run", epochs=2)
    assert not RunDirectory(tmp_path / "run").finished
    run, _ = tiny_train(tmp_path / "run", epochs=2)
    assert run.finished
    assert_same_run(run, expected)


def test_two_and_two_epochs_are_four(tmp_path, monkeypatch):
    """The plainest form: stopped at the end of an epoch."""
    expected, _ = tiny_train(tmp_path / "expected", epochs=4)
    original = TinyMethod.step

    def stopping(self, batch, progress, generator, optimizers):
        if progress.step == 10:
            raise KeyboardInterrupt
        return original(self, batch, progress, generator, optimizers)

    with monkeypatch.context() as patch:
        patch.setattr(TinyMethod, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            tiny_train(tmp_path / "run", epochs=4)
    halfway = RunDirectory(tmp_path / "run")
    assert (halfway.state["epoch"], halfway.finished) == (2, False)
    assert halfway.epochs["epoch"].tolist() == [0, 1, 2]
    run, _ = tiny_train(tmp_path / "run", epochs=4)
    assert_same_run(run, expected)


def test_gradients_left_by_the_other_stage_survive_a_stop(tmp_path):
    """Without them in the state, the first clip after resuming would see another norm."""
    _, method = tiny_train(tmp_path / "run", method=TwoStageMethod(), epochs=1)
    fresh = TwoStageMethod(seed=5)
    bundle = load_state(tmp_path / "run" / "state.pt", fresh)
    assert bundle["epoch"] == 1
    for (name, mine), theirs in zip(fresh.named_parameters(), method.parameters(), strict=True):
        assert theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad), name


def test_global_generators_come_back(tmp_path):
    """A method's dependency may draw from any of them."""
    _, method = tiny_train(tmp_path / "run", epochs=1)
    load_state(tmp_path / "run" / "state.pt", method)
    draws = random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002
    load_state(tmp_path / "run" / "state.pt", method)
    assert draws == (random.random(), float(np.random.rand()), float(torch.rand(())))  # noqa: NPY002


@pytest.mark.slow
def test_killed_at_five_random_moments(tmp_path):
    """SIGKILL, five times, at moments nobody chose; then left alone."""
    expected, _ = tiny_train(tmp_path / "expected", method=TwoStageMethod(), **KILLED)
    folder, rng, killed = tmp_path / "run", random.Random(), 0
    seed = rng.randrange(10**6)
    rng.seed(seed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(tiny.__file__)), str(folder)]
    while killed < 5:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            process.stdout.readline()  # the first step: imports are over
            time.sleep(rng.uniform(0, 0.22))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        assert code == -signal.SIGKILL, f"seed {seed}: the run ended before it could be killed {killed + 1} times"
        killed += 1
    assert not RunDirectory(folder).finished
    assert subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode == 0
    assert_same_run(RunDirectory(folder), expected)


def test_damaged_states_are_one_clear_sentence(tmp_path):
    run, _ = tiny_train(tmp_path / "run", epochs=1)
    state = run.path / "state.pt"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"state\.pt: is not a readable training state"):
        tiny_train(run.path, epochs=1)
    state.unlink()
    with pytest.raises(DataError, match=r"state\.pt: is missing, so this run cannot be resumed"):
        tiny_train(run.path, epochs=1)
    torch.save({"schema": 2}, state)
    with pytest.raises(DataError, match="schema version 1"):
        tiny_train(run.path, epochs=1)
    state.write_bytes(whole)
    (run.path / "epochs.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"epochs\.parquet: is not a readable parquet file"):
        tiny_train(run.path, epochs=1)


def test_weights_of_another_model_are_refused(tmp_path):
    class Wider(TinyMethod):
        def __init__(self) -> None:
            super().__init__()
            self.scores = torch.nn.Linear(2 * tiny.HIDDEN, 1)

    run, _ = tiny_train(tmp_path / "run", epochs=1)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors: holds the weights of another model \(size mismatch"):
        load_weights(Wider(), run.checkpoint)
    with pytest.raises(DataError, match=r"state\.pt: holds the weights of another model"):
        tiny_train(run.path, method=Wider(), epochs=1)
    run.checkpoint.write_bytes(b"no")
    with pytest.raises(DataError, match="is not a readable safetensors file"):
        load_weights(TinyMethod(), run.checkpoint)


def test_a_lost_checkpoint_of_an_earlier_epoch_is_reported(tmp_path):
    run, _ = tiny_train(tmp_path / "run", epochs=6, lr=0.2)
    assert run.state["best_epoch"] < 6
    run.checkpoint.unlink()
    with pytest.raises(DataError, match="which was chosen"):
        tiny_train(run.path, epochs=6, lr=0.2)


def test_nothing_in_a_run_directory_is_a_pickle_of_objects(tmp_path):
    run, _ = tiny_train(tmp_path / "run", epochs=1)
    assert torch.load(run.path / "state.pt", weights_only=True)["schema"] == 1
    assert safetensors.torch.load_file(run.checkpoint).keys() == TinyMethod().state_dict().keys()
    assert run.strips["video_ids"].dtype.kind == "U"
