"""Text of a stranger's run or results on every page that is made of it: nothing of it runs, and nothing breaks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.browsing import ROOT
from tests.viz.make_run import write_run
from vmlkit.errors import DataError
from vmlkit.studies.results import load_results
from vmlkit.viz import notebook as nb
from vmlkit.viz.scrubber import save_html, scrubber
from vmlkit.viz.style import png_bytes, styled
from vmlkit.viz.timeline import draw_epochs

FIRED = "window.fired = (window.fired || 0) + 1"
#: what ends an element or an attribute, opens one, turns the writing direction, is long, or is a formula that is none
HOSTILE = (
    f"</script><script>{FIRED}</script>",
    f'"><img src=x onerror="{FIRED}">',
    f"<!--</title></style><svg onload='{FIRED}'>",
    f"\u202e\u2066 [here](javascript:{FIRED}) \u0000\u0007\u200f ${{title}} {{{{ 7*7 }}}}",
    "word " * 1990 + "a" * 50,
    f"'; {FIRED}; ` $x_{{ $ \\u003c/script> &lt;b&gt; <details open ontoggle='{FIRED}'>",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose sentences, words, ids, signals and name are hostile, and whose files are otherwise in order."""
    return write_hostile(tmp_path_factory.mktemp("hostile") / "run")


def write_hostile(path: Path) -> Path:
    write_run(path, name=HOSTILE[0] + HOSTILE[1], signals=True)
    probe = json.loads((path / "probe.json").read_text())
    ids = {}
    for query, text in zip(probe, HOSTILE, strict=True):
        ids[query["query_id"]] = text[:300] + query["query_id"]
        query |= {"sentence": text, "words": text.split(" "), "query_id": ids[query["query_id"]]}
        query["video_id"] = text[:300] + query["video_id"]
    (path / "probe.json").write_text(json.dumps(probe))
    proposals = pd.read_parquet(path / "proposals.parquet")
    proposals["query_id"] = proposals["query_id"].cat.rename_categories(ids)
    proposals.to_parquet(path / "proposals.parquet", index=False)
    videos = np.array([query["video_id"] for query in probe])
    for name, columns in (("strips", {"video_ids": videos}), ("clip_scores", {"query_ids": np.array([*ids.values()])})):
        with np.load(path / f"{name}.npz") as stored:
            arrays = dict(stored) | columns
        if name == "clip_scores":
            arrays[HOSTILE[1]] = arrays.pop("saliency")
        np.savez(path / f"{name}.npz", **arrays)
    epochs = pd.read_parquet(path / "epochs.parquet")
    epochs.rename(columns={"loss/total": f"loss/{HOSTILE[2]}"}).to_parquet(path / "epochs.parquet", index=False)
    return path


@pytest.fixture
def opened(watch: Callable, tmp_path: Path) -> Iterator[Callable[[Path], Any]]:
    """A function that opens a page; at the end nothing has fired, was asked for, or complained."""
    pages = []

    def start(path: Path) -> Any:
        pages.append(watch())
        pages[-1].page.goto(path.as_uri())
        return pages[-1].page

    yield start
    for watched in pages:
        watched.page.wait_for_timeout(300)
        assert watched.page.evaluate("() => window.fired") is None
        assert watched.problems == []
        assert [r for r in watched.requests if not r.startswith(("file:", "data:", "blob:"))] == []
        wide = watched.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"the page is {wide} pixels wider than its window"


@pytest.mark.browser
@pytest.mark.parametrize("two", [False, True])
def test_a_scrubber_of_a_hostile_run(hostile: Path, opened: Callable, tmp_path: Path, two: bool) -> None:
    film = tmp_path / "film.webm"
    film.write_bytes(b"no film")
    video = json.loads((hostile / "probe.json").read_text())[1]["video_id"]
    more = {"compare": hostile, "names": (HOSTILE[3], HOSTILE[4])} if two else {"films": {video: film}}
    page = opened(save_html(hostile, tmp_path / "page.html", **more))
    page.wait_for_selector("canvas.stage[data-ready]")
    shown = set()
    for index in range(len(HOSTILE)):
        page.select_option(".query", index=index)
        shown.add(page.locator("canvas.stage").first.get_attribute("data-query"))
        page.focus("input[type=range]")
        page.keyboard.press("End")
    assert len(shown) == len(HOSTILE), "a query cannot be chosen"
    page.locator("details summary").first.click()


@pytest.mark.browser
def test_a_film_with_a_hostile_name_and_sentences(opened: Callable, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs the package imageio-ffmpeg (extra 'video')")
    from vmlkit.finding.moments import Moments
    from vmlkit.finding.page import write_page
    from vmlkit.finding.toy_video import write_toy_video
    from vmlkit.video.ffmpeg import FfmpegDecoder

    video = tmp_path / f"\u202e\"><img src=x onerror='{FIRED}'>.mp4"
    write_toy_video(video, seed=1, px=64, rate=4)
    rows, no = np.array([[1.0, 3.0, 0.5]]), np.zeros((0, 3))
    answers = [
        Moments(sentence=text, trained=rows, similarity=no, curve=None, times=np.zeros((0, 2)), unknown=(text[:60],))
        for text in HOSTILE
    ]
    page = opened(write_page(tmp_path / "page.html", video, FfmpegDecoder().probe(video), answers))
    page.wait_for_selector(".vmlkit-found[data-ready=true]")
    assert page.locator("section.found").count() == len(HOSTILE)


@pytest.mark.browser
def test_tables_and_sentences_of_an_executed_notebook(hostile: Path, opened: Callable, tmp_path: Path) -> None:
    """What the package shows in a notebook, rendered as the tour and the book are."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra 'notebooks')")
    from vmlkit.experiments.rendering import render_html

    table = pd.DataFrame({text: [text, 1.0] for text in HOSTILE}, index=[HOSTILE[1], HOSTILE[5]])
    shown = scrubber(hostile)
    bundles = [
        {"text/markdown": nb.fold(HOSTILE[2], table).data},
        {"text/markdown": nb.to_markdown(table.rename_axis(HOSTILE[0]))},
        {"text/html": shown.source.fragment(0, shown.source.query_ids[0])},
        {"text/html": table.to_html(), "text/plain": str(table)},
    ]
    outputs = [nbformat.v4.new_output("display_data", data) for data in bundles]
    outputs.append(nbformat.v4.new_output("stream", name="stdout", text="\n".join(HOSTILE)))
    cells = [nbformat.v4.new_code_cell("shown", outputs=outputs, execution_count=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "executed.ipynb")
    page = opened(render_html(tmp_path / "executed.ipynb", tmp_path / "page.html"))
    page.wait_for_selector("canvas.stage[data-ready]")
    for summary in page.locator("main summary, body summary").all():
        summary.evaluate("node => { node.parentElement.open = true; }")
    assert page.locator("[onerror], [onload], [ontoggle], a[href^='javascript']").count() == 0


def test_results_with_markup_are_refused(tmp_path: Path) -> None:
    """Words of results become headings, rows and sources of pages, so they are refused where they are read."""
    for file in ("cpl.json", "cpl.parquet"):
        (tmp_path / file).write_bytes((ROOT / "results" / "studies" / file).read_bytes())
    load_results("cpl", tmp_path)
    record = json.loads((tmp_path / "cpl.json").read_text())
    name = next(iter(record["rows"]))
    for change in ({"note": HOSTILE[1]}, {"rows": record["rows"] | {f"{name}{HOSTILE[2]}": record["rows"][name]}}):
        (tmp_path / "cpl.json").write_text(json.dumps(record | change))
        with pytest.raises(DataError, match=r"cpl\.json: has markup in its text \(.<"):
            load_results("cpl", tmp_path)


def test_the_pictures_of_a_hostile_run_are_drawn(hostile: Path) -> None:
    view = scrubber(hostile).source.view
    for query in view.queries:
        with styled():
            assert png_bytes(draw_epochs(view, query, (0,))).startswith(b"\x89PNG")
