"""Answers are tried where an exercise stands, and leave nothing behind; open rows of tables are counted."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.notebooks.budget import table_rows
from tests.notebooks.trials import exercises, outcomes, with_trials, without_trials
from vmlkit.experiments.notebooks import read, run_notebook

V4 = nbformat.v4
CHECK = 'exercises.check(double, [((2,), 4, "Twice two."), ((0,), 0, "Nothing twice.")])'


@pytest.fixture
def page() -> Any:
    def code(source: str, *tags: str) -> Any:
        return V4.new_code_cell(source, metadata={"tags": list(tags)})

    cells = [
        V4.new_markdown_cell("# A page"),
        code("size = 'ci'", "parameters"),
        code("import vmlkit as vk\nexercises = vk.Exercises(1)"),
        code("def double(x):\n    raise NotImplementedError", "exercise"),
        code("def solution_double(x):\n    return 2 * x", "solution"),
        code(CHECK, "check"),
        code("double.__name__"),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return V4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_the_stub_three_answers_and_the_solution_are_tried(page: Any, tmp_path: Path) -> None:
    edition = with_trials(page, {"double": ("lambda x: 4", "lambda x: x + 2", "lambda x: x * 2")})
    nbformat.write(edition, tmp_path / "a.ipynb")
    executed = read(run_notebook(tmp_path / "a.ipynb", tmp_path / "out"))
    stub, first, second, third, solution = outcomes(executed)["double"]
    assert "not done yet" in stub
    assert "wrong at `double(0)`: it gives 4, and 0 is right. Nothing twice." in first
    assert "wrong at `double(0)`: it gives 2, and 0 is right" in second
    assert "1 of 1" in third, "an answer that is right must be seen, so that the list of wrong ones cannot lie"
    assert "1 of 1" in solution
    kept = without_trials(executed)
    assert [cell.source for cell in kept.cells] == [cell.source for cell in page.cells]
    assert kept.cells[-1].outputs[0].data["text/plain"] == "'double'"


def test_an_exercise_is_known_by_its_function(page: Any) -> None:
    assert [(name, at) for name, at, _, _ in exercises(page)] == [("double", 5)]
    assert len(with_trials(page, {}).cells) == len(page.cells) + 3


def test_rows_behind_a_line_that_opens_them_do_not_count() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"
    folded = f"<details><summary>more</summary>\n\n{table}\n\n</details>"
    html = "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    cells = [V4.new_markdown_cell(table), V4.new_markdown_cell(folded)]
    cells += [V4.new_code_cell("x", outputs=[V4.new_output("display_data", data={kind: text})])
              for kind, text in (("text/markdown", folded), ("text/html", html), ("text/plain", table))]  # fmt: skip
    assert table_rows(V4.new_notebook(cells=cells)) == 3 + 2
    heading = V4.new_markdown_cell("## Further", metadata={"tags": ["aside"]})
    assert table_rows(V4.new_notebook(cells=[heading, *cells])) == 0
    assert table_rows(V4.new_notebook(cells=[heading, V4.new_markdown_cell("## Next"), *cells])) == 3 + 2
