"""Good runs, checkpoints and results, how they are read, and commands."""

import contextlib
import dataclasses
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from tests.fuzz.records import CNM, PREDICTED, QUERIES, make_tags
from tests.fuzz.target import VIDEOS, dump, finite, lines
from tests.studies import measured
from tests.training import tiny
from vmlkit.cli import main
from vmlkit.cli.options import parse_settings
from vmlkit.config import to_dict, with_overrides
from vmlkit.experiments.experiment import experiment_of
from vmlkit.files import file_digest
from vmlkit.methods import preset
from vmlkit.released import read_checkpoint
from vmlkit.runs import PROPOSAL_COLUMNS, RunDirectory
from vmlkit.studies import results as study_results
from vmlkit.studies.storage import write_outcomes, write_record
from vmlkit.training import checkpoints
from vmlkit.video.passport import Passport, passport_path
from vmlkit.viz import scrubber, snapshots, timeline

# ---- runs


@cache
def _trained() -> Path:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="fuzz-run-")) / "run"
    run, _ = tiny.tiny_train(folder, epochs=2, checkpoint_every_steps=3, strip_pixels=8, strip_frames=4)
    config = json.loads((folder / "config.json").read_text())
    experiment = with_overrides(preset("cpl", "toy", "ci"), {"train.epochs": 2})
    dump(folder / "config.json", {**config, "curves": {"positive": {"sigma": 9.0}}, "experiment": to_dict(experiment)})
    dump(folder / "metrics.json", {"schema": 1, "chosen_epoch": 1, "chosen_by": "x", "validation": {"R@1,mIoU": 0.2},
                                   "test": {"R@1,mIoU": 0.2}, "spread": {}, "baselines": {}, "n_test": 3})  # fmt: skip
    np.savez(folder / "predictions.npz", nll=np.ones((1, 3, 2), np.float32), fingerprint=np.array("x"))
    assert run.path == folder
    return folder


def make_run(folder: Path) -> None:
    import shutil

    shutil.copytree(_trained(), folder / "run")


def read_run(folder: Path) -> None:
    run = RunDirectory(folder / "run")
    finite(run.epochs["epoch"])
    table = run.proposals
    assert set(PROPOSAL_COLUMNS) <= set(table)
    view = snapshots.RunView(run)
    for query in list(view.queries)[:2]:
        view.snapshot(query, view.recorded_epochs[-1])
        view.truths(query)
        view.film_strip(view.query(query)["video_id"])
    assert isinstance(run.metrics, dict)
    assert isinstance(run.state, dict)
    _ = run.finished, run.clip_scores, run.strips, run.predictions, view.shapes(), view.title, view.planned_epochs


def read_page(folder: Path) -> None:
    page = scrubber.save_html(folder / "run", folder / "page.html")
    text = Path(page).read_text(encoding="utf-8")
    assert "<script>document.title='taken'" not in text, "text became a script"
    assert "<img src=x onerror" not in text, "text became a page"


def read_figure(folder: Path) -> None:
    import matplotlib.pyplot as plt

    view = snapshots.RunView(folder / "run")
    timeline.draw_epochs(view, next(iter(view.queries)), view.recorded_epochs[-1:])
    plt.close("all")


def resume_run(folder: Path) -> None:
    tiny.tiny_train(folder / "run", epochs=2, checkpoint_every_steps=3, strip_pixels=8, strip_frames=4)


def read_weights(folder: Path) -> None:
    checkpoints.load_weights(tiny.TinyMethod(), folder / "run" / "last.safetensors")


def read_settings(folder: Path) -> None:
    """The settings of a run as ``vmlkit evaluate`` reads them."""
    experiment_of(RunDirectory(folder / "run"))


def make_settings(folder: Path) -> None:
    (folder / "run").mkdir()
    experiment = with_overrides(preset("lnp-cpl", "toy", "ci"), {"train.epochs": 2})
    dump(
        folder / "run" / "config.json", {"schema": 1, "name": "x", "method": "lnp-cpl", "settings": to_dict(experiment)}
    )


# ---- released checkpoints, results, records


def weights() -> dict[str, Any]:
    return {"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3), "steps": torch.tensor(3)}


def make_released(folder: Path) -> None:
    torch.save({"epoch": 3, "model_parameters": weights()}, folder / "r.pt")


def make_released_tensors(folder: Path) -> None:
    safetensors.torch.save_file(weights(), folder / "r.safetensors", {"by": "somebody"})


def read_released(path: Path) -> None:
    state, options = read_checkpoint(path)
    assert all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items())
    assert all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point()), "weights are not finite"
    assert isinstance(options, dict)


def make_results(folder: Path) -> None:
    claim = {"text": "a beats b", "better": "a", "worse": "b"}
    known = measured.study({"a": 0.1, "b": 0.0}, [claim], videos=4, seeds=2)
    write_outcomes(folder / "known.parquet", known.outcomes)
    write_record(folder / "known.json", {**known.record, "outcomes": file_digest(folder / "known.parquet")})


def read_results(folder: Path) -> None:
    with contextlib.suppress(Exception):  # a stranger's hash fits his table
        table = folder / "known.parquet"
        if (folder / "known.json").is_file() and table.is_file() and table.stat().st_size < 2**20:
            record = json.loads((folder / "known.json").read_text())
            dump(folder / "known.json", {**record, "outcomes": file_digest(table)})
    found = study_results.load_results("known", folder)
    for row in found.rows:
        values = found.values(row, "R@1,mIoU")
        finite(values.values())
    _ = found.cells, found.baselines, found.provenance


def make_passport(folder: Path) -> None:
    known = {
        "encoder": "toy",
        "revision": "1",
        "rate": 2.0,
        "norm": "l2",
        "size": 32,
        "dimension": 4,
        "clip_seconds": 0.5,
    }
    dump(passport_path(folder), {**{f.name: known.get(f.name, "x") for f in dataclasses.fields(Passport)}})


# ---- commands


def command(*arguments: str) -> str:
    """What a command says; it ends with a code of ours, which begins the answer."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(arguments)
        except SystemExit as left:
            code = int(left.code or 0)
    assert code in (0, 1, 2), f"exit code {code}: {said.getvalue()[-600:]}"
    assert "Traceback" not in said.getvalue()
    return f"{code} {said.getvalue()}"


def make_evaluated(folder: Path) -> None:
    lines(folder / "p.jsonl", PREDICTED)
    lines(folder / "t.jsonl", QUERIES)


def make_corpus(folder: Path) -> None:
    dump(folder / "train.json", CNM * 2)
    dump(folder / "test.json", [["t_" + video, *rest] for video, *rest in CNM])
    make_tags(folder)
    names = [*VIDEOS, *("t_" + v for v in VIDEOS)]
    np.savez(folder / "f.npz", **{name: np.ones((6, 4), np.float32) for name in names})


def check_corpus(folder: Path) -> None:
    command("data", "check", "charades", "--annotations", str(folder), "--features", str(folder / "f.npz"))


def convert(folder: Path) -> None:
    command("data", "convert", str(folder / "a.json"), "--out", str(folder / "out.jsonl"))
    outside = [path.name for path in folder.iterdir() if path.name not in ("a.json", "out.jsonl")]
    assert not outside, f"left {outside}"


def settings_line(folder: Path) -> None:
    if (folder / "s.txt").is_file():
        with (folder / "s.txt").open("rb") as file:
            parse_settings([file.read(100_000).decode(errors="surrogateescape")])
