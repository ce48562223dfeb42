"""What a layout holds, checked by our own declarations and by pydantic: seconds for 72,000 queries.

``python -m benchmarks.records [--json PATH]``: the queries of ActivityNet Captions' size in the layout of Moment-DETR,
parsed already.  ``ours`` is :mod:`vmlkit.files.records`, all queries together as readers call it, and ``ours, one by
one`` its slow path, which names the place of a fault.  Of pydantic there are a model per query, and a typed dictionary,
which builds no objects; both strict, as our declarations are.  They are tried in turn; medians and the fastest.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from benchmarks import _frame
from vmlkit.files.records import COUNT, SECONDS, TEXT, TIME, Entry, Fixed, Many, checked

QUERIES = 72_000
LAYOUT = Many(
    Entry({"qid": COUNT, "query": TEXT, "vid": TEXT, "duration": SECONDS, "relevant_windows": Many(Fixed(TIME, TIME))})
)


def queries(count: int) -> list[dict[str, Any]]:
    """Parsed lines of Moment-DETR."""
    return [
        {
            "qid": i,
            "query": f"a person opens the door number {i}",
            "vid": f"v_{i // 5}",
            "duration": 30.5 + i % 7,
            "relevant_windows": [[float(i % 5), 9.5]],
        }
        for i in range(count)
    ]


def checkers() -> dict[str, Callable[[list[dict[str, Any]]], object]]:
    """What checks a list of queries, by name; each raises for one that does not fit."""
    import pydantic
    from typing_extensions import TypedDict

    seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
    fields: dict[str, Any] = {
        "qid": Annotated[int, pydantic.Field(ge=0)],
        "query": str,
        "vid": str,
        "duration": Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)],
        "relevant_windows": list[Annotated[list[seconds], pydantic.Field(min_length=2, max_length=2)]],
    }
    strict = pydantic.ConfigDict(strict=True)
    model: Any = pydantic.create_model("Query", __config__=strict, **fields)
    dictionary: Any = pydantic.with_config(strict)(TypedDict("dictionary", fields))  # type: ignore[misc]
    return {
        "ours": lambda values: checked(values, LAYOUT, "FILE"),
        "ours, one by one": lambda values: LAYOUT.fault(values),
        "pydantic, models": pydantic.TypeAdapter(list[model]).validate_python,
        "pydantic, typed dictionaries": pydantic.TypeAdapter(list[dictionary]).validate_python,
    }


def measure(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Processor seconds of each way."""
    values = queries(count)
    return _frame.in_turn({name: partial(check, values) for name, check in checkers().items()}, rounds, warm=0)


def main() -> None:
    """Run the benchmark and print, optionally write, its numbers."""
    parser = _frame.options(__doc__, "python -m benchmarks.records --rounds 5")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    seconds = measure(QUERIES, options.rounds)
    for name, found in seconds.items():
        print(f"{name:30s} median {found['median']:.3f} s   fastest {found['min']:.3f} s")
    _frame.keep(options.json, "records", queries=QUERIES, seconds=seconds)


if __name__ == "__main__":
    main()
