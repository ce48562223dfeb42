"""Commands on files of somebody else: runs and predictions of them, corpora, studies, films; and what caches keep."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import safetensors.torch

from tests.fuzz import records
from tests.fuzz.runs import command
from tests.fuzz.target import SENTENCES, VIDEOS, Target, dump, finite, lines
from tests.studies.tiny import tiny
from vmlkit.data.corpus import _fresh
from vmlkit.experiments import selection, sweeps
from vmlkit.experiments.predict import score_file
from vmlkit.files.arrays import read_npz
from vmlkit.studies import merge, progress
from vmlkit.studies.assembly import Measured, add_cells
from vmlkit.studies.cells import Store, cells_of
from vmlkit.studies.run import Options, run_study
from vmlkit.text.sentence_features import _kept

# ---- runs of a family, and predictions of them

_FEW = ("train.epochs=1", "data.train_videos=12", "data.validation_videos=4", "data.test_videos=4",
        "train.batch_size=8", "train.probe_queries=2", "train.strip_pixels=8")  # fmt: skip
KINDS = {"cnm": ("jsonl", "csv"), "hamnet": ("jsonl", "csv", "json"), "p4-xclip": ("jsonl", "csv")}


@cache
def _trained(method: str) -> Path:
    """A run of the method, with what it predicts in every layout beside it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-run-"))
    settings = [word for setting in _FEW for word in ("--set", setting)]
    command("train", method, "--quiet", "--run-dir", str(folder / "run"), *settings)
    for kind in KINDS[method]:
        command("predict", str(folder / "run"), "--out", str(folder / f"p.{kind}"))
    return folder


def _scored(method: str, kind: str) -> Target:
    def make(folder: Path) -> None:
        shutil.copytree(_trained(method) / "run", folder / "run")
        shutil.copy(_trained(method) / f"p.{kind}", folder)

    def read(folder: Path) -> None:
        found, _ = score_file(folder / f"p.{kind}", folder / "run", "test")
        finite(value for value in found.values() if isinstance(value, float))

    return Target(f"predictions of {method} as {kind}", make, read, files=f"p.{kind}")


def make_run(folder: Path) -> None:
    shutil.copytree(_trained("cnm") / "run", folder / "run")


# ---- corpora


def make_corpus(folder: Path) -> None:
    """A corpus of CNM's layout with a file of features for each video, and its words."""
    names = [*VIDEOS, *("t_" + v for v in VIDEOS)]
    dump(folder / "train.json", records.CNM * 2)
    dump(folder / "test.json", [["t_" + video, *rest] for video, *rest in records.CNM])
    (folder / "features").mkdir()
    for name in names:
        np.save(folder / "features" / f"{name}.npy", np.ones((6, 4), np.float32))
    records.make_glove(folder)


def pack(folder: Path) -> str:
    return command("data", "pack", "charades", "--annotations", str(folder), "--features", str(folder / "features"),
            "--out", str(folder / "out.safetensors"), "--quiet")  # fmt: skip


def check(source: str) -> Any:
    def read(folder: Path) -> str:
        return command("data", "check", source, "--annotations", str(folder), "--features", str(folder / "features"),
                "--json", str(folder / "out.json"), "--quiet")  # fmt: skip

    return read


def make_highlights(folder: Path) -> None:
    for part in ("train_release", "val_release", "test_with_gt"):
        lines(folder / f"highlight_{part}.jsonl", records.QUERIES)
    for i, name in enumerate(VIDEOS):
        for kind, file, rows in (("clip", name, 10), ("slowfast", name, 10), ("clip_text", f"qid{i}", 4)):
            (folder / "features" / kind).mkdir(parents=True, exist_ok=True)
            key = "last_hidden_state" if kind == "clip_text" else "features"
            np.savez(folder / "features" / kind / f"{file}.npz", **{key: np.ones((rows, 4), np.float32)})


def make_actions(folder: Path) -> None:
    dump(folder / "activity_net.v1-3.min.json", records.DATABASE)
    (folder / "features").mkdir()
    for name in VIDEOS:
        np.save(folder / "features" / f"{name}.npy", np.ones((9, 4), np.float32))


def variants(folder: Path) -> str:
    return command("variants", str(folder / "s.json"), "--out", str(folder / "out.jsonl"), "--quiet")


# ---- studies and what is kept of measurements


@cache
def _study() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-study-"))
    asked = Options(seeds=1, rows=("CNM",), allow_dirty=True)
    run_study(tiny(), asked, store=Store(folder / "runs"), results=folder / "results")
    return folder


def make_cells(folder: Path) -> None:
    shutil.copytree(_study() / "runs", folder / "runs")


def read_cells(folder: Path) -> None:
    store, cells = Store(folder / "runs"), cells_of(tiny(), seeds=1, rows=["CNM"])
    progress.status(cells, store)
    progress.epochs(cells[0], store)
    add_cells(Measured(tiny()), store, cells)


def make_merged(folder: Path) -> None:
    shutil.copytree(_study() / "results", folder / "results")


def read_merged(folder: Path) -> None:
    with mock.patch.dict(merge.KNOWN, {"tiny": tiny}):
        merge.merge([folder / "results"], folder / "merged", store=Store(folder / "locks"))


def make_measured(folder: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "results" / "selection", folder / "selection")


def read_measured(folder: Path) -> None:
    selection.load_selection(folder)
    for name in sweeps.sweeps():
        if (folder / "selection" / f"{name}.json").is_file():
            sweeps.load_sweep(name, folder)


# ---- caches of words


def make_tags(folder: Path) -> None:
    _fresh(list(SENTENCES), folder, progress=False)


def read_tags(folder: Path) -> None:
    found = _fresh(list(SENTENCES), folder, progress=False)
    assert len(found) == len(SENTENCES), "tags of other sentences"
    assert all(len(tagged.tokens) == len(tagged.tags) for tagged in found), "a word without its tag"


def make_states(folder: Path) -> None:
    np.savez(folder / "s.npz", rows=np.ones((6, 4), np.float32), starts=np.array([0, 3]), lengths=np.array([3, 3]),
             pooled=np.ones((2, 4), np.float32), source=np.array("x"))  # fmt: skip


def read_states(folder: Path) -> None:
    found = _kept(read_npz(folder / "s.npz"))
    assert np.isfinite(found.rows).all()
    assert (found.starts >= 0).all()
    assert (found.starts + found.lengths <= len(found.rows)).all()
    assert found.pooled is None or np.isfinite(found.pooled).all()


# ---- films


def make_film(folder: Path) -> None:
    command("toy-video", str(folder / "v.mp4"), "--seconds", "20", "--pixels", "32", "--rate", "2", "--codec", "h264")


def read_film(folder: Path) -> None:
    from vmlkit.video.opening import decoder

    for _ in zip(range(3), decoder().frames(folder / "v.mp4", times=1.0, size=16), strict=False):
        pass


def make_checkpoint(folder: Path) -> None:
    weights = safetensors.torch.load_file(_trained("cnm") / "run" / "last.safetensors")
    safetensors.torch.save_file(weights, folder / "r.safetensors")


def import_checkpoint(folder: Path) -> str:
    settings = [word for setting in _FEW for word in ("--set", setting)]
    return command("import", str(folder / "r.safetensors"), "--method", "cnm", "--size", "ci", "--quiet", *settings,
            "--run-dir", str(folder / "run"))  # fmt: skip


TARGETS = (
    *(_scored(method, kind) for method, kinds in KINDS.items() for kind in kinds),
    Target("vmlkit evaluate RUN", make_run, lambda f: command("evaluate", str(f / "run")), files="run/*"),
    Target("vmlkit predict", make_run, lambda f: command("predict", str(f / "run")), files="run/*"),
    Target("vmlkit continue", make_run,
           lambda f: command("continue", str(f / "run"), "--epochs", "2", "--quiet"), files="run/*"),
    Target("vmlkit import", make_checkpoint, import_checkpoint),
    Target("vmlkit data pack", make_corpus, pack),
    Target("vmlkit data check, ids as names", make_corpus, check("charades"), files="*.json"),
    Target("vmlkit data check, highlights", make_highlights, check("qvhighlights")),
    Target("vmlkit data check, actions", make_actions, check("activitynet1.3")),
    Target("vmlkit priors", make_corpus,
           lambda f: command("priors", "charades", "--annotations", str(f)), files="*.json"),
    Target("vmlkit labels of a folder", records.make_objects, lambda f: command("labels", str(f))),
    Target("vmlkit negatives", lambda f: lines(f / "q.jsonl", records.QUERIES),
           lambda f: command("negatives", str(f / "q.jsonl"), "--out", str(f / "out.jsonl"))),
    Target("vmlkit variants", lambda f: dump(f / "s.json", records.CNM), variants),
    Target("cells of a study", make_cells, read_cells, weight=2),
    Target("vmlkit study merge", make_merged, read_merged, files="results/*"),
    Target("results of sweeps", make_measured, read_measured),
    Target("kept tags", make_tags, read_tags),
    Target("kept states of tokens", make_states, read_states),
    Target("film", make_film, read_film, files="*.mp4"),
)  # fmt: skip
