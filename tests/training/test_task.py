"""What a task decides: batches and their draws, whether spans are handed over, and which signals are recorded."""

import dataclasses

import numpy as np
import pytest

from tests.training import tiny
from tests.training.tiny import TRAIN, VALIDATION, TinyMethod, tiny_train
from vmlkit.training.history import History
from vmlkit.training.loop import train
from vmlkit.training.task import MomentTask


class Signalling(TinyMethod):
    """Gives a signal per clip: how far the first feature is above zero."""

    def predict(self, batch, generator, progress=None):
        signal = batch.frames[..., 0].masked_fill(~batch.frame_mask, float("nan"))
        return dataclasses.replace(super().predict(batch, generator, progress), clip_scores={"signal": signal})


def test_signals_per_clip_are_recorded_and_survive_a_stop(tmp_path):
    run, _ = tiny_train(tmp_path / "run", method=Signalling(), epochs=2)
    recorded = run.clip_scores
    assert recorded["epochs"].tolist() == [0, 1, 2]
    assert recorded["query_ids"].tolist() == [record["query_id"] for record in run.probe]
    rows = [VALIDATION.query_ids.index(q) for q in recorded["query_ids"]]
    expected = VALIDATION.batch(rows).frames[..., 0].numpy().astype(np.float16)
    assert recorded["signal"].shape == (3, 6, tiny.CLIPS)
    assert np.array_equal(recorded["signal"][-1], expected)
    assert History.read(run, 1).clips[-1][0] == 1, "an epoch beyond the training state is dropped"
    assert tiny_train(tmp_path / "plain", epochs=1)[0].clip_scores == {}


def test_the_task_decides_batches_and_their_draws(tmp_path):
    seen = []

    class Halves(MomentTask):
        def order(self, dataset, batch_size, seed, epoch):
            return super().order(dataset, batch_size, seed, epoch)[: 2 + epoch % 2]

        def batch(self, dataset, indices, seed, *, static=False):
            seen.append(seed)
            return super().batch(dataset, indices, seed, static=static)

    config = dataclasses.replace(tiny.CONFIG, epochs=2, warmup_updates=0)
    run = train(TinyMethod(), TRAIN, VALIDATION, config, tmp_path / "run", tiny.DESCRIPTION, task=Halves())
    assert run.state["step"] == 3 + 2
    assert len(set(seen)) == 5 + 1, "each batch draws by a seed of its own; the diagnosis always by the same"


def test_spans_are_handed_over_only_on_request(tmp_path):
    class Supervised(TinyMethod):
        def training_loss(self, batch, progress, generator):
            assert batch.spans is not None
            return super().training_loss(dataclasses.replace(batch, spans=None), progress, generator)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class SupervisedTask(MomentTask):
        supervised = True

    config = dataclasses.replace(tiny.CONFIG, epochs=1)
    run = train(
        Supervised(),
        TRAIN,
        VALIDATION,
        config,
        tmp_path / "run",
        tiny.DESCRIPTION,
        task=SupervisedTask(),
        progress=False,
    )
    assert run.finished
    with pytest.raises(AssertionError):
        train(Supervised(), TRAIN, VALIDATION, config, tmp_path / "weak", tiny.DESCRIPTION, progress=False)
