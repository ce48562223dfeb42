"""The runner itself: a notebook that must fail, an unknown parameter, a dead kernel, rendering, the site."""

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.pages.__main__ import main, student_edition
from tools.pages.chapters import shown_picture, summary
from tools.pages.site import build_site
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments import notebooks as nb
from vmlkit.experiments.rendering import asides, html_cells, render_html

v4 = nbformat.v4


def make(path: Path, *code: str, metadata: dict[int, dict[str, Any]] | None = None) -> Path:
    """A notebook with a heading, a parameters cell (``size``) and cells of code."""
    cells = [v4.new_markdown_cell("# A *small* page\n\nIt says [what](x.md) it does.\nAnd more.\n\nNot this.")]
    cells += [v4.new_code_cell('size = "ci"', metadata={"tags": ["parameters"]})]
    cells += [v4.new_code_cell(text, metadata=(metadata or {}).get(i, {})) for i, text in enumerate(code)]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def text_outputs(executed: Path) -> str:
    return "".join(o.get("text", "") for cell in nb.read(executed).cells for o in cell.get("outputs", []))


def test_parameters_working_directory_and_progress(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    path = make(tmp_path / "notebooks" / "a.ipynb", "import os; print(size, os.getcwd())", "1 + 1")
    source = path.read_bytes()
    seen: list[tuple[int, int]] = []
    executed = nb.run_notebook(path, tmp_path / "out", {"size": "demo"}, progress=lambda *c: seen.append(c))
    assert executed == tmp_path / "out" / "a.ipynb"
    assert text_outputs(executed) == f"demo {tmp_path}\n"
    assert seen == [(i, 4) for i in range(5)]
    assert path.read_bytes() == source
    assert nb.is_current(executed, path)
    make(path, "print('changed')")
    assert not nb.is_current(executed, path)


def test_the_cpu_of_a_notebook_and_of_what_it_starts_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="this system does not count the CPU seconds of children")
    burn = "import time\nwhile time.process_time() < {}: pass"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn.format(1.5)!r}], check=True)"
    taken = nb.cpu_seconds(nb.run_notebook(make(tmp_path / "idle.ipynb", "1"), tmp_path / "out"))
    more = nb.cpu_seconds(nb.run_notebook(make(tmp_path / "busy.ipynb", below), tmp_path / "out"))
    assert more > 1.5
    assert more > taken > 0


def test_a_failing_notebook_keeps_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "bad.ipynb", "print('before')", "1 / 0", "print('after')")
    with pytest.raises(nb.NotebookFailed, match="ZeroDivisionError: division by zero") as caught:
        nb.run_notebook(path, tmp_path / "out")
    executed = nb.read(tmp_path / "out" / "bad.ipynb")
    assert caught.value.executed == tmp_path / "out" / "bad.ipynb"
    assert executed.cells[caught.value.cell].source == "1 / 0"
    assert "exception" in executed.cells[0].source.lower()
    assert executed.metadata.papermill.exception is True
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.metadata.papermill.status for cell in code] == ["completed", "completed", "failed", "pending"]
    assert text_outputs(caught.value.executed) == "before\n"
    assert not nb.is_current(caught.value.executed, path)

    assert main(["notebooks", str(path), "--executed", str(tmp_path / "again")]) == 1
    assert "FAILED" in capsys.readouterr().err


def test_keep_going_runs_the_rest(tmp_path: Path) -> None:
    path = make(tmp_path / "bad.ipynb", "1 / 0", "print('after')", "[][1]")
    with pytest.raises(nb.NotebookFailed, match="ZeroDivisionError"):
        nb.run_notebook(path, tmp_path / "out", keep_going=True)
    cells = nb.read(tmp_path / "out" / "bad.ipynb").cells
    assert [cells[i].source for i in nb.failing_cells(cells)] == ["1 / 0", "[][1]"]
    assert text_outputs(tmp_path / "out" / "bad.ipynb") == "after\n"


def test_a_dead_kernel_is_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "dies.ipynb", "import os; os._exit(3)")
    with pytest.raises(nb.NotebookFailed, match="kernel died") as caught:
        nb.run_notebook(path, tmp_path / "out")
    assert caught.value.executed is None


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ipynb")
    with pytest.raises(ConfigError, match="no parameter 'sise'; did you mean 'size'"):
        nb.run_notebook(path, tmp_path / "out", {"sise": "demo"})
    assert not (tmp_path / "out").exists()
    assert main(["notebooks", str(path), "--size", "demo", "--executed", str(tmp_path / "out")]) == 0


def test_kernels_start_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nb.run_notebook(make(tmp_path / "a.ipynb", "print(1)"), tmp_path / "out")
    assert "encryption" not in (captured := capfd.readouterr()).err + captured.out
    assert "frozen modules" not in captured.err


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="clone the repository"):
        nb.list_notebooks(tmp_path / "none")


def test_student_edition_drops_solutions_only(tmp_path: Path) -> None:
    tags = {0: {"tags": ["exercise"]}, 1: {"tags": ["solution"]}, 2: {"tags": ["check"]}}
    path = make(tmp_path / "a.ipynb", "def f(): ...", "def f(): return 1", "assert f() == 1", metadata=tags)
    original = nb.read(path)
    edition = student_edition(original)
    assert [cell.source for cell in edition.cells[2:]] == ["def f(): ...", "assert f() == 1"]
    assert len(original.cells) == len(edition.cells) + 1


def test_students_get_every_notebook_without_solutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.ipynb", "def f(): return 1", "assert f() == 1", metadata={0: {"tags": ["solution"]}})
    monkeypatch.setattr(nb, "list_notebooks", lambda: [path])
    assert main(["students", "--out", str(tmp_path / "students")]) == 0
    sources = [cell.source for cell in nb.read(tmp_path / "students" / "a.ipynb").cells]
    assert "assert f() == 1" in sources
    assert "def f(): return 1" not in sources


def test_pages_hold_no_widget_and_fold_solutions(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ipynb", "x = 'folded'", "show()", metadata={0: {"jupyter": {"source_hidden": True}}})
    notebook = nb.read(path)
    notebook.metadata["widgets"] = {nb.WIDGET_VIEW: {}}
    both = {nb.WIDGET_VIEW: {"model_id": "1"}, "text/html": "<b id='twin'>still here</b>", "text/plain": "Scrubber"}
    alone = {nb.WIDGET_VIEW: {"model_id": "2"}}
    notebook.cells[3].outputs = [v4.new_output("display_data", data) for data in (both, alone)]
    nb.write(notebook, path)

    stripped = nb.strip_widgets(notebook)
    assert "widgets" not in stripped.metadata
    assert [sorted(o.data) for o in stripped.cells[3].outputs] == [["text/html", "text/plain"], ["text/plain"]]
    assert nb.WIDGET_VIEW in notebook.cells[3].outputs[0].data

    page = render_html(path, tmp_path / "site" / "a.html").read_text(encoding="utf-8")
    assert "<title>A small page</title>" in page
    assert ">still here</b>" in page
    assert "A live widget" in page
    assert "require.min.js" not in page
    opened = page.index('<details class="vmlkit-folded">')
    folded = page[opened : page.index("</details>", opened)]
    assert "'folded'" in folded
    assert "<summary>Code</summary>" in folded


def test_a_section_that_is_an_aside_stands_behind_a_line(tmp_path: Path) -> None:
    texts = ("# T", "## 2. Further: *why*", "### Below", "inside", "## Next", "after", "## Last", "end")
    cells = [v4.new_markdown_cell(text) for text in texts]
    for i in (1, 6):
        cells[i].metadata["tags"] = ["aside"]
    notebook = v4.new_notebook(cells=cells)
    assert asides(notebook) == [(1, 3, "2. Further: *why*"), (6, 7, "Last")]
    page = html_cells(notebook)
    first, second = page.split('<details class="vmlkit-aside">')[1:]
    assert "<summary>2. Further: <em>why</em>" in f"<summary>{first.partition('<summary>')[2]}"
    assert "inside" in first.partition("</details>")[0]
    assert "after" in first.partition("</details>")[2]
    assert "end" in second.partition("</details>")[0]
    cells[2].metadata["tags"] = ["aside"]
    assert asides(notebook) == [(1, 3, "2. Further: *why*"), (2, 3, "Below"), (6, 7, "Last")]
    page = html_cells(notebook)
    assert page.count("</details>") == page.count("<details") == 3
    assert page.index(">after<") > page.index("</details>", page.index("</details>") + 1)
    cells[3].metadata["tags"] = ["aside"]
    with pytest.raises(DataError, match="'aside' and is no heading; begin the cell with one"):
        asides(notebook)


def test_site_renders_and_runs_only_what_is_out_of_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "notebooks" / "00_a.ipynb", "print('ran')")
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "00_a_second.png").write_bytes(b"png")
    site = tmp_path / "site"
    index = build_site([source], tmp_path / "executed", figures, site)
    text = index.read_text(encoding="utf-8")
    assert '<a href="00_a.html"><img alt="" src="figures/00_a.png"/><h3 id="A-small-page">A small page</h3>' in text
    assert "It says what it does. And more." in text
    assert "Not this" not in text
    assert (site / "figures" / "00_a.png").read_bytes() == b"png"
    assert "ran" in (site / "00_a.html").read_text(encoding="utf-8")
    assert "running 00_a.ipynb" in capsys.readouterr().out

    build_site([source], tmp_path / "executed", figures, site)
    assert "running" not in capsys.readouterr().out

    make(source, "1 / 0")
    monkeypatch.setattr(nb, "list_notebooks", lambda: [source])
    assert main(["site", "--executed", str(tmp_path / "executed"), "--out", str(site)]) == 1
    assert "FAILED" in capsys.readouterr().err


def test_a_card_shows_the_first_picture_where_none_was_saved() -> None:
    drawn = v4.new_output("display_data", data={"image/png": base64.b64encode(b"drawn").decode()})
    said = v4.new_output("stream", text="a line")
    cells = [v4.new_markdown_cell("# T"), v4.new_code_cell("x", outputs=[said, drawn])]
    assert shown_picture(v4.new_notebook(cells=cells)) == b"drawn"
    assert shown_picture(v4.new_notebook(cells=cells[:1])) is None


def test_summary_skips_badges_and_lists() -> None:
    cell = v4.new_markdown_cell("# T\n\n[![badge](a)](b)\n\n> quote\n\n- item\n\nThe *claim* in `code`.\n")
    assert summary(v4.new_notebook(cells=[cell])) == "The claim in code."
    assert summary(v4.new_notebook(cells=[v4.new_markdown_cell("# T")])) == ""
