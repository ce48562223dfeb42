"""The field for a sentence: a hand types and chooses, the kernel answers, and without one it says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed (extra 'notebooks')")
from vmlkit.errors import DataError
from vmlkit.viz.live import script_json
from vmlkit.viz.sentence_widget import SentenceField

VIDEOS = [
    {"id": "v0", "duration": 20.0, "strip": None, "sentences": ["the star spins", "the </script><b>ring</b> shakes"]},
    {"id": "v1", "duration": 30.0, "strip": None, "sentences": ["a ball rolls"]},
]


def answer(video: int, sentence: str) -> dict[str, Any]:
    if "zebra" in sentence:
        raise DataError(f"the sentence {sentence!r}", "no word of it is known", "use others")
    items = [{"start": 2.0 + video, "end": 8.0, "score": 1.25, "iou": 0.5}]
    items.append({"start": 9.0, "end": 12.0, "score": 2.5, "iou": None})
    return {"items": items, "detr": False, "unknown": ["quickly"], "truths": [[2.0, 6.0]]}


#: a kernel of a few lines in the page: it answers with the length of what it is asked
KERNEL = """
const listeners = {};
const model = { get: (name) => STATE[name], on: (event, call) => (listeners[event] ??= []).push(call), off: () => {},
  save_changes: () => {}, set: (name, value) => {
    STATE[name] = value;
    (listeners[`change:${name}`] ?? []).forEach((call) => call());
    if (name !== "wanted" || !value) return;
    const item = { start: 1, end: 1 + value.length, score: 0.5, iou: null };
    setTimeout(() => {
      model.set("wanted", "");
      const found = { items: [item], truths: [], unknown: [], sentence: value, video: STATE.video };
      model.set("answer", { ...STATE.answer, ...found });
    }, 200);
  } };
render({ model, el: document.body });
"""


def test_what_cannot_be_answered_is_said() -> None:
    field = SentenceField(VIDEOS, answer, "cpl, a run")
    assert repr(field) == "SentenceField: cpl, a run, “the star spins”: 2.0 to 8.0 s"
    field.ask("a zebra", video=1)
    assert (field.video, field.answer["items"]) == (1, [])
    assert field.answer["said"] == "the sentence 'a zebra': no word of it is known; use others."
    field.wanted = "a ball rolls"
    assert (field.wanted, field.answer["video"], field.answer["items"][0]["start"]) == ("", 1, 3.0)


@pytest.mark.browser
def test_without_a_kernel_the_field_is_disabled_and_says_so(watch: Callable, tmp_path: Path) -> None:
    watched = watch()
    page = watched.open(SentenceField(VIDEOS, answer, "cpl").save_html(tmp_path / "field.html"))
    assert page.locator(":is(input, select, button):disabled").count() == 4
    assert "there is no kernel here" in page.inner_text(".note")
    assert page.inner_text(".label") == (
        "“the star spins”: 2.0–8.0 s, NLL 1.25, IoU 0.50; 9.0–12.0 s, NLL 2.50. "
        "Unknown to the model, and passed over: quickly."
    )
    page.set_viewport_size({"width": 340, "height": 700})
    page.wait_for_timeout(600)
    assert page.evaluate("document.documentElement.scrollWidth") <= 340
    assert watched.problems == []


@pytest.mark.browser
def test_a_hand_types_and_chooses(watch: Callable, tmp_path: Path) -> None:
    field = SentenceField(VIDEOS, answer, "cpl")
    state = {name: getattr(field, name) for name in ("roles", "kernel", "wanted", *field.kept)}
    source = f"{field._esm}\nconst STATE = {script_json(state)};\n{KERNEL}"
    file = tmp_path / "live.html"
    file.write_text(
        f"<style>{field._css}</style><meta charset=utf-8><body><script type=module>{source}</script>", encoding="utf-8"
    )
    watched = watch(color_scheme="dark")
    page = watched.open(file)
    page.fill("input.sentence", "  a red star ")
    page.keyboard.press("Enter")
    assert page.inner_text(".label") == "Asking “a red star” …"
    page.wait_for_selector("canvas[data-asked='a red star']")
    assert page.inner_text(".label") == "“a red star”: 1.0–11.0 s, NLL 0.50."
    page.select_option("select.known", index=2)
    page.wait_for_selector("canvas[data-asked*='ring']")
    assert page.input_value("input.sentence") == VIDEOS[0]["sentences"][1], "it is text, not a part of the page"
    page.select_option("select.query", index=1)
    page.wait_for_selector("canvas[data-asked='a ball rolls']")
    page.fill("input.sentence", "   ")
    page.click("button.ask")
    assert page.locator("canvas.stage").get_attribute("data-asked") == "a ball rolls", "nothing is not asked"
    assert watched.problems == []
