"""The benchmark of growth: every stage runs on a small part of the corpus."""

from pathlib import Path

import pytest

from benchmarks import growth


def test_every_stage_runs_and_is_measured(tmp_path: Path) -> None:
    found = growth.measure(0.001, tmp_path)
    assert (found["videos"], found["queries"]) == (15, 72)
    for what in ("seconds", "clock_seconds", "memory_gb"):
        assert found[what].keys() == set(growth.STAGES)
    assert "every query" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_growth_is_the_exponent_between_the_smallest_part_and_all() -> None:
    def part(queries: int, seconds: float) -> dict:
        return {"queries": queries, "seconds": dict.fromkeys(growth.STAGES, seconds)}

    parts = {"0.25": part(100, 1.0), "0.5": part(200, 3.0), "1.0": part(400, 16.0)}
    assert growth.growth(parts, "seconds") == pytest.approx(dict.fromkeys(growth.STAGES, 2.0))
