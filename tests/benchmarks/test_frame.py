"""What benchmarks share: turns, gates, processes, records; and two revisions side by side."""

import json
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from benchmarks import _frame, revisions


def test_ways_alternate_and_warm_rounds_do_not_count() -> None:
    order: list[str] = []
    ticks = iter(range(1000))
    ways = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    found = _frame.in_turn(ways, 2, clock=lambda: float(next(ticks)))
    assert order == ["a", "b"] * 3
    assert found == {name: {"median": 1.0, "min": 1.0, "max": 1.0} for name in "ab"}
    calls: list[int] = []
    _frame.in_turn({"a": calls.append}, 1, warm=0, each=[3, 4])
    assert calls == [3, 4]


def test_a_gate_names_what_differs() -> None:
    one, two = torch.ones(()), torch.ones(3)
    assert _frame.apart({"a": (one, two), "b": (one, two)}) == {"a": 0.0, "b": 0.0}
    with pytest.raises(SystemExit, match=r"b: loss differs by 1.0e-01, gradient by 0.0e\+00; timing is void"):
        _frame.apart({"a": (one, two), "b": (1.1 * one, two)})
    with pytest.raises(SystemExit, match=r"b: loss differs by 0.0e\+00, gradient by 2.0e-01"):
        _frame.apart({"a": (one, two), "b": (one, 1.2 * two)})


def test_a_record_has_its_command_without_folders_of_the_machine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", str(tmp_path / "x.json"), "--rounds", "2"])
    options = _frame.options("One line.\n\nMore.", "an example").parse_args(["--json", str(tmp_path / "x.json")])
    _frame.keep(options.json, "records", found=[1])
    record = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert record["command"] == "python -m benchmarks.records --json x.json --rounds 2"
    assert record["found"] == [1]
    assert {"versions", "revision", "hardware"} <= record.keys()
    _frame.keep(None, "records", found=[1])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_process_that_fails_ends_the_benchmark_with_its_message() -> None:
    with pytest.raises(SystemExit, match=r"(?s)records --nothing.*unrecognized arguments"):
        _frame.of_a_process("records", "--nothing")


def test_a_revision_is_compared_with_itself_and_an_unknown_one_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(SystemExit, match="has no revision nobody"):
        revisions.import_revision("nobody", Path(folder))
    if revisions.git("cat-file", "-e", "HEAD").returncode:
        pytest.skip("needs a checkout with its history")
    path, modules = list(sys.path), set(sys.modules)
    with tempfile.TemporaryDirectory() as folder:
        revisions.import_revision("HEAD", Path(folder))
        found = revisions.compare("cnm", 1)
    assert found["difference"] == 0
    assert found["before"]["median"] > 0 < found["after"]["median"]
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(revisions.OTHER):
            del sys.modules[name]
