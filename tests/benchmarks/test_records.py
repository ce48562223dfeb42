"""The benchmark of records: every way takes what fits and refuses what does not."""

import pytest

from benchmarks import records


@pytest.mark.parametrize("name", ["ours", "pydantic, models", "pydantic, typed dictionaries"])
@pytest.mark.parametrize("wrong", [{"qid": -1}, {"query": 3}, {"duration": "3"}, {"relevant_windows": [[0.0]]}])
def test_all_ways_mean_the_same(name: str, wrong: dict) -> None:
    pytest.importorskip("pydantic", reason="needs pydantic (extra 'llm')")
    check, good = records.checkers()[name], records.queries(3)
    check(good)
    with pytest.raises(ValueError, match=r"qid|query|duration|relevant_windows"):
        check([*good, good[0] | wrong])


def test_the_ways_are_measured_in_turn() -> None:
    pytest.importorskip("pydantic", reason="needs pydantic (extra 'llm')")
    assert records.measure(4, 2).keys() == records.checkers().keys()
