"""The benchmark of training steps: it runs without a card, and the page that shows it says what its files say."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import card, precision
from benchmarks.step import cases, measure, page
from tools.pages import docs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def record() -> dict:
    torch.set_num_threads(1)
    *_, found = card.everything("tiny", torch.device("cpu"), card.EFFORTS["dry"])
    versions, hardware = {"torch": "2"}, {"accelerator": None, "processor": "some"}
    return {**found, "seconds": 1.0, "versions": versions, "revision": "0123456789ab", "hardware": hardware}


def test_everything_is_measured_once(record: dict) -> None:
    rows = record["step"]["rows"]
    assert {"CPL, released style, eager", "LNP on CPL, eager", "BM-DETR, eager", "TSM+VLC, eager, bf16"} <= rows.keys()
    assert not any("graph" in name for name in rows), "a CPU has none"
    assert all(row["kernels"] > 0 and row["gflop"] > 0 and row["ms"]["median"] > 0 for row in rows.values())
    assert rows["CPL, eager"]["kernels"] < rows["CPL, released style, eager"]["kernels"]
    assert record["many_steps_a_second"].keys() == {"1", "2"}
    assert record["whole"]["epochs"] == 1


def test_the_report_says_what_there_is_no_number_for(record: dict, tmp_path: Path) -> None:
    said = page.report(record)
    assert "| a step of the loop, captured, ms | not measured |" in said
    assert "| CPL, eager | " in said
    (tmp_path / "step_cpu.json").write_text(json.dumps(record))
    tables = page.tables(tmp_path)
    assert "### On a card\n\nNot measured." in tables["step"]
    assert said in tables["step"]
    assert tables["precision"] == "Not measured."
    page.draw(tmp_path / "figure.png", tmp_path)
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_the_page_shows_the_results() -> None:
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert docs.measured(text) == text, "run `python -m tools.pages docs`"
    assert (ROOT / page.FIGURE).is_file()


def test_a_dry_run_prints_and_writes_nothing(record: dict, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(card, "everything", lambda size, device, effort: iter([record]))
    card.main(["--dry-run", "--device", "cpu"])
    assert "| CPL, eager | " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        card.main(["--dry-run", "--json", str(tmp_path / "x.json")])
    assert "--dry-run writes nothing" in capsys.readouterr().err
    card.main(["--device", "cpu", "--json", str(tmp_path / "x.json")])
    assert json.loads((tmp_path / "x.json").read_text())["benchmark"] == "step"


def test_parts_that_were_measured_stay_when_a_later_one_fails(record: dict, monkeypatch, tmp_path: Path) -> None:
    def breaks_off(size, device, effort):
        yield {key: record[key] for key in ("size", "step")}
        raise KeyboardInterrupt

    monkeypatch.setattr(card, "everything", breaks_off)
    path = tmp_path / "step_cpu.json"
    with pytest.raises(KeyboardInterrupt):
        card.main(["--device", "cpu", "--json", str(path)])
    said = page.report(json.loads(path.read_text()))
    assert "| CPL, eager | " in said
    assert "| a step of the loop, plain, ms | not measured |" in said


def test_a_captured_variant_must_have_the_loss_of_the_plain_one() -> None:
    captured = next(v for v in cases.variants() if v.name == "CPL, graph")
    card._gate(captured, {"CPL, graph": 1.0, "CPL, eager": 1.0})
    with pytest.raises(SystemExit, match="no time is meaningful"):
        card._gate(captured, {"CPL, graph": 1.0, "CPL, eager": 1.0000001})


def test_operations_of_a_product_are_counted() -> None:
    a = torch.randn(8, 16, requires_grad=True)
    assert measure.gigaflops(lambda: (a @ torch.randn(16, 4)).sum().backward()) == 2 * 2 * 8 * 16 * 4 / 1e9


def test_number_formats_are_compared_with_float64() -> None:
    found = precision.measure("lnp-cpl")
    assert found["fp32"]["gradient"] < 1e-4 < found["bf16"]["gradient"] < 0.5
    assert found["fp32"]["other_best"] == 0
