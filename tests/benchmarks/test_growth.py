"""The benchmark of growth: every stage runs on a small part of the corpus; committed numbers are about linear."""

import json
from pathlib import Path

import pytest

from benchmarks import growth

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


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


def test_committed_numbers_are_of_the_whole_corpus_and_grow_about_linearly() -> None:
    found = json.loads((RESULTS / "growth_cpu.json").read_text(encoding="utf-8"))
    whole = found["parts"]["1.0"]
    size = growth.part_of(1.0)
    assert (whole["videos"], whole["queries"]) == (sum(size.videos), sum(size.queries))
    assert found["growth"] == {what: growth.growth(found["parts"], what) for what in ("seconds", "memory_gb")}
    # calls of functions grow with exactly the number of queries; Python's collector, which walks over the objects that
    # live, and caches that a part still fits into add the rest
    assert max(found["growth"]["seconds"].values()) <= 1.25
    assert max(found["growth"]["memory_gb"].values()) <= 1
    assert max(whole["memory_gb"].values()) < 2
