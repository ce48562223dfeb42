"""Data sheets and answers are what code and committed files say, and `vmlkit check` knows where notebooks run."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import ROOT
from tools.pages import datasheets, elsewhere
from tools.pages.docs import GENERATED
from vmlkit import check
from vmlkit.data.toyworld import ToyConfig, toy_sentences
from vmlkit.errors import DataError


@pytest.mark.parametrize("name", ["datasheet_toy", "datasheet_planted", "elsewhere"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert GENERATED[name](text) == text, "run python -m tools.pages docs"


def test_the_toy_world_is_counted() -> None:
    text = datasheets.toy("<!-- counts: begin --><!-- counts: end --><!-- facts: begin --><!-- facts: end -->")
    config = ToyConfig()
    assert f"| test | {config.test_videos} | {len(toy_sentences(config, 'test'))} |" in text
    assert "| videos in two splits | 0 |" in text


def test_answers_are_read_from_the_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = {"minutes": 7, "cpu_s": 3.25, "peak_mib": 11.6}
    answers = {"trained": {"IoU above 0.5": 0.125, "sentences": 8}}
    (tmp_path / "finding_cpu.json").write_text(json.dumps({"answers": answers, "long videos": [last]}))
    (tmp_path / "encoding_cpu.json").write_text(json.dumps({"lengths": [last]}))
    monkeypatch.setattr(elsewhere, "RESULTS", tmp_path)
    text = elsewhere.page("<!-- elsewhere: begin --><!-- elsewhere: end -->")
    assert "trained: 12 % of 8 sentences right" in text
    assert "7 minutes answered in 3.2 processor seconds, 12 MiB" in text
    with pytest.raises(DataError, match="elsewhere"):
        elsewhere.page("no marks")


@pytest.mark.parametrize(("version", "told"), [("7.4.0", True), ("6.29.5", False)])
def test_check_says_which_kernel_hangs_in_vs_code(monkeypatch: pytest.MonkeyPatch, version: str, told: bool) -> None:
    monkeypatch.setattr(check, "_version", lambda name: version)
    lab, code, colab = check._places()
    assert ("ipykernel<7" in code.text) is told
    assert "make lab" in lab.text
    assert "torch" in colab.text


def test_check_says_what_is_missing_for_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec("json")

    def find(name: str) -> Any:
        return None if name in ("anywidget", "ipykernel") else there

    monkeypatch.setattr(check.importlib.util, "find_spec", find)
    lab, code, _ = check._places()
    assert (lab.status, code.status) == ("missing", "missing")
    assert "no anywidget;" in lab.text
