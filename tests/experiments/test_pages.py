"""Every page on the data that it says it takes: its own cells of knobs and set-up, without its trainings."""

import ast
import re
from pathlib import Path
from typing import Any

import jupytext
import pytest

import vmlkit as vk
from vmlkit.errors import ConfigError
from vmlkit.experiments.notebooks import list_notebooks
from vmlkit.experiments.page import Page

ROOT = Path(__file__).parents[2]
#: these have inputs of their own, or stand on the toy world alone and say so
OTHERS = {"06_sentence_components", "07_your_own_video", "08_data_check"}
PAGES = [path for path in list_notebooks(ROOT / "notebooks") if path.stem not in OTHERS]

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def knobs(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The parameters of a page with their values, and the data that its comment names."""
    source = next(cell.source for cell in jupytext.read(path).cells if "parameters" in cell.metadata.get("tags", []))
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(source).body}
    return values, re.findall(r'"([\w:]+)"', re.search(r"^data = .*?#(.*)$", source, re.MULTILINE).group(1))


def opened(path: Path, values: dict[str, Any]) -> tuple[Page, list[str]]:
    """What the set-up cell of a page opens with these knobs, and the methods that it names."""
    code = next(cell.source for cell in jupytext.read(path).cells if "vk.open_page(" in cell.source)
    opening = ("files = ", "page = vk.open_page(")
    lines = [node for node in ast.parse(code).body if ast.unparse(node).startswith(opening)]
    names: dict[str, Any] = {"vk": vk, **values}
    exec("\n".join(map(ast.unparse, lines)), names)
    (methods,) = (word.value for word in lines[-1].value.keywords if word.arg == "methods")
    return names["page"], ast.literal_eval(methods)


@each_page
def test_a_page_opens_on_the_data_that_it_names(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values, named = knobs(path)
    assert {"data", "annotations", "features"} <= set(values)
    assert named, "the comment names no other data"
    assert opened(path, values)[0].own
    for data in named:
        page, methods = opened(path, {**values, "data": data, "annotations": "folder"})
        assert page.folder.name == f"{Path(values['run_dir']).name}-{data.replace(':', '_')}"
        for method in methods:
            experiment = page.preset(method)
            assert (experiment.data.name, str(experiment.data.annotations)) == (data, "folder")


@each_page
def test_a_page_refuses_other_data_and_names_what_it_takes(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values, named = knobs(path)
    with pytest.raises(ConfigError, match=r"^data is 'msvd': choose one of toy, .*this page can be run on$") as caught:
        opened(path, {**values, "data": "msvd"})
    assert all(data in str(caught.value) for data in named)
