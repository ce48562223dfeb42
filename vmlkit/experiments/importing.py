"""``vmlkit import``: a checkpoint of the authors' own program becomes a run directory that other commands open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmlkit.config import to_dict
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import build, task_of
from vmlkit.experiments.passports import as_record, passports_of
from vmlkit.files import file_digest, write_json, write_npz
from vmlkit.methods import METHODS
from vmlkit.released import load_checkpoint
from vmlkit.runs import SCHEMA, RunDirectory
from vmlkit.training.checkpoints import save_weights
from vmlkit.training.evaluate import EVALUATION, derive_seed
from vmlkit.training.experiment import Experiment
from vmlkit.training.final import final_evaluation
from vmlkit.training.history import History, epoch_row
from vmlkit.training.method import Progress
from vmlkit.training.start import choose_device, create_run, matching_run, run_record


@dataclass(frozen=True)
class Release:
    """What the authors of a method released."""

    project: str
    rules: str  #: the name of its rules in :data:`vmlkit.released.RULES`
    settings: Mapping[str, Any] = field(default_factory=dict)  #: where the release differs from our presets


#: by the name of the method
RELEASES = {
    "cnm": Release("CNM", "cnm"),
    "cpl": Release("CPL", "cpl"),
    "pps": Release("PPS", "pps"),
    "moment-detr": Release("Moment-DETR", "moment_detr"),
    "qd-detr": Release("QD-DETR", "qd_detr"),
    "bm-detr": Release("BM-DETR", "bm_detr", {"model.mode": "authors"}),
    "basnet": Release("BaS-Net", "basnet"),
    "hamnet": Release("HAM-Net", "hamnet"),
    "co2net": Release("CO2-Net", "co2net"),
    "tsm": Release("P3's localiser", "tsm"),
}


def release_of(method: str) -> Release:
    """The release of a method.

    Raises:
        ConfigError: for a method of which no whole model was released (P0, P4), or whose release is two models.
    """
    if method not in RELEASES:
        raise ConfigError(f"no released checkpoint makes a whole '{method}': choose one of {', '.join(RELEASES)}")
    return RELEASES[method]


def import_checkpoint(
    path: Path | str, experiment: Experiment, run_dir: Path | str, *, progress: bool = True
) -> RunDirectory:
    """Load released weights, evaluate them once on validation and test, and write a run directory.

    The one state counts as the end of the preset's training, which is all that schedules ask of an epoch.  The
    directory has no training state, so ``vmlkit train`` refuses to continue it.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors`` under the authors' parameter names; no code in it is run.
        experiment: method, data and sizes; they must be the checkpoint's.
        run_dir: a new directory, or one that holds the same import.

    Raises:
        ConfigError: for a method without a release, or a directory that holds something else.
        DataError: for a file that cannot be read, or that does not fit; names the parameters.
    """
    path, folder, task = Path(path), Path(run_dir), task_of(experiment)
    release = release_of(experiment.method)
    splits = METHODS[experiment.method].load(experiment.data, progress=progress)
    method = build(experiment, splits.train)
    load_checkpoint(path, getattr(method, "localiser", method), release.rules)
    device, settings = choose_device(experiment.train.device), experiment.train
    method.to(device).eval()
    origin = {"project": release.project, "file": path.name, "sha256": file_digest(path)}
    description = {
        "name": folder.name,
        "method": experiment.method,
        "settings": to_dict(experiment),
        "imported": origin,
        "curves": method.curves(),
        **as_record(passports_of(experiment.data)),
        "data": {"name": experiment.data.name, "test_queries": len(splits.test)},
    }
    record = run_record(description, to_dict(settings), splits.train, splits.validation, device)
    existing = matching_run(folder, record)
    if existing is not None and existing.config.get("imported") != origin:
        raise ConfigError(f"'{folder}' holds another run of these settings: choose another run directory")
    epoch = settings.epochs
    seed = derive_seed(settings.seed, EVALUATION, epoch)
    clock = Progress(epoch, epoch)
    metrics, arrays = task.evaluate(method, splits.validation, seed, settings.evaluation_batch_size, progress=clock)
    probe = task.probe(splits.validation, settings.probe_queries, settings.seed)
    history = History()
    history.append(epoch_row(epoch, 0.0, metric=metrics), *task.observe(epoch, arrays, probe))
    records, strips = task.describe(splits.validation, probe, settings.strip_frames, settings.strip_pixels)

    def fill(folder: Path) -> None:
        write_json(folder / "config.json", record)
        write_json(folder / "probe.json", records)
        write_npz(folder / "strips.npz", strips)
        history.write(folder)
        for name in ("checkpoint", "last"):
            save_weights(method, folder / f"{name}.safetensors", epoch=epoch, step=0)
        done = {"epoch": epoch, "epochs": epoch, "batch": 0, "step": 0, "best_epoch": epoch}
        write_json(folder / "state.json", {"schema": SCHEMA, **done})

    create_run(folder, fill)
    parts = (splits.train, splits.validation, splits.test)
    final_evaluation(method, folder, *parts, task=task, draws=experiment.test_draws, account=splits.account())
    return RunDirectory(folder)
