"""JupyterLab as ``make lab`` starts it, with default settings: the tour open, twins hidden, no blobs below the fold.

With the defaults a cell below the fold is in the document without being drawn, so that a live picture there may be made
before its colours are known.
"""

import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browsing import Complaints, Lab, jupyterlab
from tests.pages.touching import deaf, misfits, turn, unfold, unstyled
from tests.viz.make_run import write_run
from tools.lab import HIDDEN, ROOT, main, options
from vmlkit.experiments.notebooks import list_notebooks

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIVE = """
import numpy as np
from vmlkit.viz.moment_playground import moment_playground
from vmlkit.viz.playgrounds import gaussian_playground, overlap_playground, schedule_playground
from vmlkit.viz.scrubber import scrubber
frames = np.random.default_rng(0).integers(0, 255, (8, 24, 24, 3), np.uint8)
"""
SHOWN = (
    "scrubber('runs/a')",
    "gaussian_playground()",
    "schedule_playground()",
    "overlap_playground()",
    "moment_playground(frames, 12.0, 'the ball rolls', (3.0, 6.0), (4.0, 9.0))",
)

#: every page takes minutes of training, for each of these; this runs them all (``-k "03 and seed"`` chooses)
EVERY = "VMLKIT_EVERY_PAGE"
KNOBS = {"own": "", "seed": "seed = 1", "size": 'size = "demo"'}
#: written below other knobs: fewer sentences to train on, for this is about what the page shows
FEWER = """
from vmlkit.config import with_overrides
from vmlkit.experiments.page import Page
def fewer(self, method, changes=None, preset=Page.preset, changed=with_overrides):  # a page may use these names too
    made = preset(self, method, changes)
    whole = hasattr(made.data, "max_train_queries") and made.data.max_train_queries is None
    return changed(made, {"data.max_train_queries": 450}) if whole else made
Page.preset = fewer
"""


def write_notebook(path: Path, cells: list[Any]) -> None:
    """Write a notebook of these cells, for Python."""
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def run_cell(lab: Lab, page: Any, path: Path, code: str) -> None:
    """Write a notebook of one cell into the folder that JupyterLab serves, open it, and run it without an error."""
    write_notebook(path, [nbformat.v4.new_code_cell(code.strip())])
    assert lab.open(page, path.name, kernel=True)["error"] is None
    assert [cell["errors"] for cell in lab.run_all(page)] == [[]]


@pytest.fixture(scope="module")
def folder(workspace: Path) -> Path:
    """The workspace with a notebook whose live pictures stand far below the fold."""
    write_run(workspace / "runs" / "a", epochs=4, name="a", queries=3)
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell(f"# Part {i}\n\n" + "Words. \n\n" * 12) for i in range(12)]
    cells.insert(0, v4.new_code_cell(LIVE.strip()))
    cells += [v4.new_code_cell(line) for line in SHOWN]
    write_notebook(workspace / "below.ipynb", cells)
    (workspace / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    git(workspace, "init", "--quiet")
    git(workspace, "add", "--all")
    git(workspace, "-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "--quiet", "--message", "all of it")
    return workspace


def git(folder: Path, *arguments: str) -> str:
    """What git says there."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def default_lab(folder: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra 'notebooks')")
    with jupyterlab(folder, tmp_path_factory.mktemp("home"), every_cell=False) as server:
        yield server


@pytest.fixture(scope="module")
def entered(default_lab: Lab, browser: Any) -> tuple[Any, Complaints]:
    page = browser()
    complaints = Complaints(page, default_lab.home)
    default_lab.enter(page)
    return page, complaints


def run_and_touch(lab: Lab, page: Any, path: str, seconds: float, knobs: str = "") -> None:
    """Open a notebook, run all of it, and put a hand on every live picture in it.

    Args:
        knobs: what is written at the end of the cell with parameters.
    """
    assert lab.open(page, path, kernel=True)["error"] is None
    if knobs:
        turn(page, knobs)
    assert [cell["errors"] for cell in lab.run_all(page, seconds) if cell["errors"]] == []
    page.wait_for_timeout(1500)
    if not page.locator(".vmlkit-live").count():
        return  # a page may have none
    page.locator(".vmlkit-live canvas[data-ready]").first.wait_for(state="attached")
    assert unstyled(page) == 0, "a picture was drawn before its colours were known"
    unfold(page)  # what was folded is drawn at its width when it comes into view, where the hand goes
    assert deaf(page) == []
    assert unstyled(page) == 0
    assert misfits(page) == []


def test_pictures_below_the_fold_have_the_colours_of_the_page_and_follow_the_hand(
    default_lab: Lab, entered: tuple[Any, Complaints]
) -> None:
    page, complaints = entered
    run_and_touch(default_lab, page, "below.ipynb", 120)
    assert page.locator(".vmlkit-live").count() == len(SHOWN)
    default_lab.close(page)
    assert complaints.found == []


TRAINING = """
import shutil, time
import pandas as pd
from pathlib import Path
from vmlkit.viz.training_widget import LiveTraining
whole, folder = Path("runs/a"), Path("runs/live")
rows = pd.read_parquet(whole / "epochs.parquet")
def begin():
    folder.mkdir(exist_ok=True)
    shutil.copy(whole / "config.json", folder)
    done = len(pd.read_parquet(folder / "epochs.parquet")) if (folder / "epochs.parquet").is_file() else 0
    for count in range(done + 1, len(rows) + 1):
        for _ in range(12):
            time.sleep(0.05)
            yield
        rows.iloc[:count].to_parquet(folder / "epochs.parquet")
LiveTraining(begin, folder, 4)
"""


def test_a_training_starts_and_stops_at_a_button_while_the_kernel_answers(
    default_lab: Lab, entered: tuple[Any, Complaints], folder: Path
) -> None:
    page, complaints = entered
    run_cell(default_lab, page, folder / "live.ipynb", TRAINING)
    picture = ".vmlkit-training"
    page.wait_for_selector(f"{picture}[data-state='ready']")
    page.click(f"{picture} .go")
    page.wait_for_selector(f"{picture}[data-state='training'][data-epoch='1']")
    assert default_lab.execute(page, "print(2 + 2)") == "4", "the kernel answers while it trains"
    page.focus(f"{picture} .stop")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{picture}[data-state='stopped']")
    assert page.locator(picture).get_attribute("data-epoch") != "4"
    page.click(f"{picture} .go")
    page.wait_for_selector(f"{picture}[data-state='done'][data-epoch='4']")
    assert page.locator(f"{picture} .go").is_disabled()
    default_lab.close(page)
    assert complaints.found == []


ASKING = """
from vmlkit.viz.sentence_widget import SentenceField
videos = [{"id": "v", "duration": 60.0, "strip": None, "sentences": ["a star spins"]}]
def answer(video, sentence):
    item = {"start": 0.0, "end": float(len(sentence)), "score": 0.5, "iou": None}
    return {"items": [item], "detr": True, "unknown": [], "truths": []}
SentenceField(videos, answer, "a model")
"""


def test_a_sentence_that_is_typed_is_answered_by_the_kernel(
    default_lab: Lab, entered: tuple[Any, Complaints], folder: Path
) -> None:
    page, complaints = entered
    run_cell(default_lab, page, folder / "ask.ipynb", ASKING)
    picture = ".vmlkit-sentence"
    page.wait_for_selector(f"{picture} canvas[data-asked='a star spins']")
    page.fill(f"{picture} input.sentence", "")
    page.type(f"{picture} input.sentence", "x marks a bad day")  # letters that are shortcuts of JupyterLab
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{picture} canvas[data-asked='x marks a bad day']")
    assert page.inner_text(f"{picture} .label") == "“x marks a bad day”: 0.0–17.0 s, confidence 0.50."
    default_lab.close(page)
    assert complaints.found == []


def test_a_run_is_picked_from_a_menu(default_lab: Lab, entered: tuple[Any, Complaints], folder: Path) -> None:
    page, complaints = entered
    for name, epochs in (("short", 3), ("long", 7)):
        os.utime(write_run(folder / "two" / name, epochs=epochs) / "proposals.parquet", (epochs, epochs))
    run_cell(default_lab, page, folder / "pick.ipynb", "from vmlkit.viz.run_picker import pick_run\npick_run('two')")
    shown = ".vmlkit-scrubber .at:text-is('epoch 0 / {}')"
    page.wait_for_selector(shown.format(7))
    menu = ".vmlkit-menu select"
    page.select_option(menu, index=1)
    page.wait_for_selector(shown.format(3))
    page.focus(menu)
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(shown.format(7))
    assert page.locator(".vmlkit-scrubber").count() == 1
    default_lab.close(page)
    assert complaints.found == []


@pytest.mark.skipif(not os.environ.get(EVERY), reason=f"every page trains for minutes: set {EVERY}=1 to run them")
@pytest.mark.parametrize("knobs", KNOBS)
@pytest.mark.parametrize("source", list_notebooks(ROOT / "notebooks"), ids=lambda path: path.stem)
def test_a_page_after_run_all_has_no_blob_no_complaint_and_follows_the_hand(
    default_lab: Lab, entered: tuple[Any, Complaints], folder: Path, source: Path, knobs: str
) -> None:
    """With its own knobs, with another seed and with another size, in one clone; nothing that git knows changes."""
    page, complaints = entered
    complaints.found.clear()
    before = git(folder, "status", "--porcelain")
    try:
        run_and_touch(default_lab, page, f"notebooks/{source.name}", 1500, KNOBS[knobs] and KNOBS[knobs] + FEWER)
    finally:
        default_lab.close(page)
    assert complaints.found == []
    assert git(folder, "status", "--porcelain") == before


def test_the_tour_is_open_and_twins_are_not_listed(default_lab: Lab) -> None:
    def ask(path: str) -> Any:
        return urllib.request.urlopen(f"{default_lab.home}{path}?token={default_lab.token}", timeout=60)

    with ask("") as answer:
        assert urllib.parse.urlsplit(answer.url).path == "/lab/tree/notebooks/00_tour.ipynb"
    with ask("api/contents/notebooks") as answer:
        listed = [entry["name"] for entry in json.load(answer)["content"]]
    assert "00_tour.ipynb" in listed
    assert [name for name in listed if name.endswith(".py")] == []


def test_make_lab_starts_that_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Done:
        returncode = 3

    monkeypatch.setattr("tools.lab.subprocess.run", lambda command, **_: started.append(command) or Done)
    assert main(["--no-browser"]) == 3
    assert started[0][2:4] == ["jupyter", "lab"]
    assert started[0][4:] == [*options(ROOT), "--no-browser"]
    assert f"--ServerApp.root_dir={ROOT}" in options(ROOT)
    assert [f"--ContentsManager.hide_globs={pattern}" for pattern in HIDDEN] == options(ROOT)[3:]
    assert "[0-9][0-9]_*.py" in HIDDEN
    assert "@$(BIN)/python -m tools.lab" in (ROOT / "Makefile").read_text(encoding="utf-8")
