"""The scrubber in Python: traits, its HTML twin, pages, and the form without anywidget."""

import base64
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.viz.make_run import write_run
from vmlkit.errors import DataError
from vmlkit.viz.live import script_json, stylesheet
from vmlkit.viz.scrubber import save_html, scrubber
from vmlkit.viz.scrubber_source import ScrubberSource, scrubber_module

HOSTILE = "the cyan cross </script><b>shakes</b> & wobbles"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of every script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def source(run_path: Path) -> ScrubberSource:
    return ScrubberSource(run_path, 1_500_000)


@pytest.fixture(scope="module")
def twin(source: ScrubberSource) -> str:
    return source.fragment(3, "test/5")


def constant(script: str, name: str) -> object:
    return json.loads(re.search(rf"^const {name} = (.*);$", script, re.MULTILINE)[1])


def test_the_twin_survives_a_hostile_sentence(twin: str) -> None:
    elements = Elements(twin)
    assert len(elements.scripts) == 1
    assert elements.scripts[0].rstrip().endswith("}"), "the script was not cut short"
    assert "b" not in [tag for tag, _ in elements.tags]
    state = constant(elements.scripts[0], "STATE")
    assert HOSTILE in [q["sentence"] for q in state["meta"]["queries"]]
    assert twin.count("</script") == 1


def test_the_twin_carries_the_same_bytes_and_state(twin: str, source: ScrubberSource) -> None:
    (script,) = Elements(twin).scripts
    assert base64.b64decode(constant(script, "DATA")) == source.packed.data
    state = constant(script, "STATE")
    assert {k: state[k] for k in ("epoch", "query", "selected")} == {"epoch": 3, "query": "test/5", "selected": -1}
    assert state["meta"] == source.packed.meta
    assert scrubber_module() in script


def test_the_twin_shows_a_picture_where_scripts_do_not_run(twin: str) -> None:
    (image,) = [attributes for tag, attributes in Elements(twin).tags if tag == "img"]
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert HOSTILE in image["alt"]


def test_of_two_runs_the_one_with_more_epochs_counts(run_path: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", epochs=20)
    assert ScrubberSource(run_path, compare=other).epochs == list(range(21))
    assert ScrubberSource(other, compare=run_path).nearest_epoch(-1) == 20


def test_two_twins_on_one_page_do_not_meet(source: ScrubberSource) -> None:
    hosts = {Elements(source.fragment(0, "test/0")).tags[1][1]["id"] for _ in range(2)}
    assert len(hosts) == 2


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028", "“é”", 'a"b\\c'])
def test_json_in_a_script_keeps_its_meaning(text: str) -> None:
    encoded = script_json({"a": text})
    assert json.loads(encoded) == {"a": text}
    assert "<" not in encoded
    assert encoded.isascii()


def test_the_module_may_stand_inside_a_script_element() -> None:
    module = scrubber_module()
    assert "</" not in module
    assert "<!--" not in module
    assert "export default { render };" in module
    assert not re.search(r"\bimport\b", module), "one module, nothing to load"
    assert "</" not in stylesheet()


def test_a_page_loads_nothing(run_path: Path, tmp_path: Path) -> None:
    path = save_html(run_path, tmp_path / "pages" / "run.html", query="test/0", epoch=-1)
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//cdn|@import|url\(", page)
    assert all(
        str(value).startswith("data:")
        for _, attributes in Elements(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "data")
    )
    assert "default-src 'none'" in page
    assert constant(Elements(page).scripts[0], "STATE")["epoch"] == 12
    assert "<title>toy: proposals over epochs</title>" in page
    assert [p.name for p in path.parent.iterdir()] == ["run.html"]


def test_a_page_stays_below_its_bound(run_path: Path, tmp_path: Path) -> None:
    small = save_html(run_path, tmp_path / "small.html", max_bytes=20_000).stat().st_size
    assert small < save_html(run_path, tmp_path / "all.html").stat().st_size < 2_000_000


def test_a_query_that_is_not_embedded_is_refused(run_path: Path) -> None:
    with pytest.raises(DataError, match="query 'test/99' is not in the scrubber; choose from"):
        save_html(run_path, "never.html", query="test/99")
    small = ScrubberSource(run_path, 10)
    with pytest.raises(DataError, match="raise max_bytes"):
        small.query_id("test/5" if small.query_ids != ["test/5"] else "test/4")


def test_a_query_that_is_asked_for_is_embedded_however_small_the_bound(run_path: Path) -> None:
    assert ScrubberSource(run_path, 10, query="test/5").query_ids == ["test/5"]


class TestWidget:
    """The anywidget."""

    @pytest.fixture
    def widget(self, run_path: Path):
        pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
        return scrubber(run_path, query="test/0", epoch=2)

    def test_traits_hold_the_packed_run(self, widget) -> None:
        assert type(widget).__name__ == "EpochScrubber"
        assert widget.data == widget.source.packed.data
        assert widget.meta == widget.source.packed.meta
        assert (widget.epoch, widget.query, widget.selected) == (2, "test/0", -1)
        synced = {name for name in widget.trait_names() if widget.trait_metadata(name, "sync")}
        assert {"data", "meta", "epoch", "query", "selected", "trail"} <= synced

    def test_values_are_checked(self, widget) -> None:
        widget.epoch = 400
        assert widget.epoch == 12
        widget.selected = 99
        assert widget.selected == -1
        widget.selected = 5
        assert widget.selected == 5
        with pytest.raises(DataError, match="not in the scrubber"):
            widget.query = "nothing"

    def test_the_bundle_has_three_forms(self, widget) -> None:
        widget.epoch = 7
        data, _ = widget._repr_mimebundle_()
        assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
        assert data["text/plain"] == "EpochScrubber: 6 queries, epochs 0 to 12"
        assert constant(Elements(data["text/html"]).scripts[0], "STATE")["epoch"] == 7

    def test_it_saves_itself_as_it_stands(self, widget, tmp_path: Path) -> None:
        widget.epoch = 9
        widget.trail = widget.boxes = True
        page = widget.save_html(tmp_path / "w.html").read_text(encoding="utf-8")
        state = constant(Elements(page).scripts[0], "STATE")
        assert (state["epoch"], state["trail"], state["boxes"]) == (9, True, True)


class TestWithoutAnywidget:
    """The same module over a plain object in place of the widget's model."""

    @pytest.fixture
    def page(self, run_path: Path, monkeypatch: pytest.MonkeyPatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "anywidget" else find(n, *a))
        return scrubber(run_path, query="test/5", epoch=-1)

    def test_it_opens_where_it_was_asked_to(self, page) -> None:
        bundle = page._repr_mimebundle_()
        state = constant(Elements(bundle["text/html"]).scripts[0], "STATE")
        assert (state["epoch"], state["query"]) == (12, "test/5")
        assert bundle["text/plain"] == "EpochScrubber: 6 queries, epochs 0 to 12"

    def test_it_saves_itself(self, page, tmp_path: Path) -> None:
        saved = page.save_html(tmp_path / "p.html").read_text(encoding="utf-8")
        assert scrubber_module() in saved
        assert constant(Elements(saved).scripts[0], "STATE")["epoch"] == 12
