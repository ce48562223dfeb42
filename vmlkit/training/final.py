"""The final numbers of a run: the one place where a test split is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vmlkit.errors import DataError
from vmlkit.files import write_json, write_npz
from vmlkit.runs import PREDICTIONS, SCHEMA, RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import EVALUATION, derive_seed
from vmlkit.training.method import Progress
from vmlkit.training.start import moved
from vmlkit.training.task import D, Kept, M, MomentTask, Split, Task

#: of the split, among its kept answers
FINGERPRINT = "fingerprint"


def final_evaluation(
    method: M,
    run_dir: str | Path,
    train: D,
    validation: D,
    test: D,
    *,
    task: Task[M, D, Any] | None = None,
    draws: int = 1,
    batch_size: int = 128,
    account: Mapping[str, Any] | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Score the chosen epoch on validation and test, and write ``metrics.json`` with the baselines beside it.

    The answers to the test split are kept in ``predictions.npz``.

    The test split is read here and nowhere else; the epoch was chosen on validation.  The baselines see only the
    time labels of ``train``.

    Args:
        method: of the run's settings; the weights of the chosen epoch are loaded into it.
        task: how answers are scored; single moments by the method's own ranking unless given.
        draws: how many times whatever is random in an answer is drawn.
        account: what the data lost on the way, see :meth:`vmlkit.data.sources.Splits.account`.
        device: where the method answers (afterwards it lies where it did); where it lies unless given.

    Returns:
        What was written: ``chosen_epoch, chosen_by, validation, test, dependence, spread, baselines, n_test, draws``
        and what the task records of itself.

    Raises:
        DataError: if the run has no checkpoint or it is of another model.
    """
    run, scoring = RunDirectory(run_dir), task or MomentTask[Any, Any]()
    info = load_weights(method, run.checkpoint)
    seed, settings = int(run.config["seed"]), run.config["settings"]["train"]
    epoch = info["epoch"]
    clock = Progress(epoch, settings["epochs"], info["step"])
    scores, arrays = {}, {}
    with moved(method, device):
        for number, (name, split) in enumerate((("validation", validation), ("test", test))):
            generator_seed = derive_seed(seed, EVALUATION, epoch, number)
            scores[name], arrays[name] = scoring.evaluate(
                method, split, generator_seed, batch_size, draws=draws, progress=clock
            )
    rule, imported = settings["choose_epoch_by"], run.config.get("imported")
    if imported:
        chosen_by = f"imported from {imported['file']} of {imported['project']}"
    else:
        chosen_by = "the last epoch" if rule == "last" else f"validation {rule}"
    written = {
        "schema": SCHEMA,
        "chosen_epoch": epoch,
        "chosen_by": chosen_by,
        **scores,
        "dependence": {name: scoring.dependence(a) for name, a in arrays.items()},
        "spread": {name: a.spread for name, a in arrays.items()},
        "baselines": scoring.baselines(train, test),
        "n_test": len(test),
        **scoring.settings(),
        "draws": draws,
        **(account or {}),
    }
    write_npz(run.path / PREDICTIONS, {**scoring.kept(arrays["test"]), FINGERPRINT: np.array(test.fingerprint)})
    write_json(run.path / "metrics.json", written)
    return written


def kept_predictions(run: RunDirectory, test: Split, task: Task[Any, Any, Any]) -> Kept | None:
    """The answers that the run keeps of its test split; None for a run of an earlier version, which kept none.

    Raises:
        DataError: where the test split is another one now, or the file holds no answers to it.
    """
    if not (run.path / PREDICTIONS).is_file():
        return None
    kept = run.predictions
    if str(kept.pop(FINGERPRINT, None)) != test.fingerprint:
        what = f"holds answers to another version of '{test.name}' than the data are now"
        raise DataError(run.path / PREDICTIONS, what, f"restore the data, or run `vmlkit evaluate {run.path}` on these")
    if (fault := task.fault(test, kept)) is not None:
        raise DataError(run.path / PREDICTIONS, fault, f"run `vmlkit evaluate {run.path}` to answer anew")
    return kept
