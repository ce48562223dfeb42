"""Results of ``benchmarks/card.py`` and ``benchmarks/precision.py`` as tables and a picture, for docs/gpu.md.

A result that no machine has written yet is said to be not measured; nothing on the page is typed.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmlkit.viz.notebook import markdown_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
FIGURE = Path("docs") / "gpu.png"
#: files of results by what they were measured on
FILES = {"a card": "step_gpu.json", "a CPU": "step_cpu.json"}
NOT_MEASURED = "not measured"
_HEADINGS = ("step", "ms", "from to", "busy ms", "kernels", "host waits", "peak GiB", "GFLOP", "times the floor")


def read(name: str, results: Path = RESULTS) -> dict[str, Any] | None:
    """A file of results; None where there is none."""
    path = results / name
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def number(value: float | None, digits: int = 1) -> str:
    """A number, or that there is none."""
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    ms, counts = row["ms"], (row["kernels"], row["host_waits"])
    spread = f"{number(ms['min'], 2)} to {number(ms['max'], 2)}"
    return [
        name, number(ms["median"], 2), spread, number(row["busy_ms"], 2), *(number(c, 0) for c in counts),
        number(row["peak_gib"], 2), number(row["gflop"], 2), number(row["times_the_floor"]),
    ]  # fmt: skip


def report(record: Mapping[str, Any]) -> str:
    """Everything that one machine measured."""
    machine, torch_version = record["hardware"], record["versions"]["torch"]
    where = (
        f"{machine['accelerator'] or machine['processor']}, torch {torch_version}, revision {record['revision'][:10]}"
    )
    parts = [f"Measured on {where}, in {number(record['seconds'], 0)} s.", _steps(record["size"], record["step"])]
    if "toy" in record:
        parts.append("At the size of the toy world:\n\n" + _steps(None, record["toy"]))
    parts.append(markdown_table(("beside the step", "measured"), tuple(_beside(record))))
    return "\n\n".join(parts)


def _steps(size: Mapping[str, Any] | None, found: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{name} {number(rate, 0)}" for name, rate in found["gflops_a_second"].items())
    sizes = "" if size is None else f"Sizes of CPL: {', '.join(f'{k} {v}' for k, v in size.items())}. "
    table = markdown_table(_HEADINGS, [_cells(name, row) for name, row in found["rows"].items()])
    return f"{sizes}Floor: GFLOP at the rate of one large product ({rates} GFLOP/s).\n\n{table}"


def _beside(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    loop = record.get("loop_ms", {})
    for graph, said in (("off", "plain"), ("auto", "captured")):
        yield f"a step of the loop, {said}, ms", number(loop.get(graph), 2)
    for count, rate in record.get("many_steps_a_second", {}).items():
        yield f"toy steps in a second, {count} run{'s' * (count != '1')} in one process", number(rate)
    if loader := record.get("loader_ms"):
        for how, ms in loader.items():
            yield f"a batch on the host, {how}, ms", number(ms, 2)
        gain = loader["per item"] / loader["by index"]
        yield "a batch by index against per item", f"{number(gain)} times faster"
    if whole := record.get("whole"):
        epochs = f"{whole['epochs']} epoch{'s' * (whole['epochs'] != 1)}"
        said = f"a training of {epochs} ({whole['steps']:,} steps), evaluated and recorded, s"
        yield said, number(whole["seconds"], 1)


def precisions(record: Mapping[str, Any] | None) -> str:
    """What number formats change, by method."""
    if record is None:
        return f"{NOT_MEASURED.capitalize()}."
    headings = ("method", "gradient, fp32", "gradient, bf16", "of the heads, bf16", "loss, bf16", "another best")
    rows = [
        (
            name, f"{row['fp32']['gradient']:.1e}", f"{row['bf16']['gradient']:.1e}", f"{row['bf16']['heads']:.1e}"
            if row["bf16"]["heads"] is not None else "no heads", f"{row['bf16']['loss']:.1e}",
            "ranks nothing" if row["bf16"]["other_best"] is None else f"{100 * row['bf16']['other_best']:.0f} %",
        )
        for name, row in record["methods"].items()
    ]  # fmt: skip
    where = (
        f"{record['hardware']['processor']}, torch {record['versions']['torch']}, revision {record['revision'][:10]}"
    )
    return f"Measured on {where}.\n\n{markdown_table(headings, rows)}"


def tables(results: Path = RESULTS) -> dict[str, str]:
    """The parts of the page by their marks."""
    found = {"step": [], "precision": [precisions(read("precision_cpu.json", results))]}  # type: dict[str, list[str]]
    for where, name in FILES.items():
        record = read(name, results)
        found["step"].append(f"### On {where}\n\n{report(record) if record else NOT_MEASURED.capitalize() + '.'}")
    return {mark: "\n\n".join(parts) for mark, parts in found.items()}


def draw(path: Path, results: Path = RESULTS) -> None:
    """A dot for each step, dark where products are taken in bf16, on a logarithmic axis; a panel for each machine."""
    from matplotlib.ticker import LogLocator, NullFormatter

    from vmlkit.viz.style import FAINT, ROLES, new_figure, save_figure, styled

    records = {where: record for where, name in FILES.items() if (record := read(name, results)) is not None}
    with styled():
        figure = new_figure(figsize=(5.5 * max(len(records), 1), 3.6), layout="constrained")
        axes = figure.subplots(1, len(records) or 1, squeeze=False)[0]
        for ax, (where, record) in zip(axes, records.items(), strict=False):
            rows = record["step"]["rows"]
            values = [row["ms"]["median"] for row in rows.values()]
            colors = [ROLES["chosen" if name.endswith("bf16") else "positive"].color for name in rows]
            ax.scatter(values, range(len(rows)), s=60, color=colors, zorder=2)
            ax.set_yticks(range(len(rows)), list(rows))
            ax.set(title=f"On {where}; dark: bf16", xscale="log", xlabel="ms a step")
            ax.set(xlim=(min(values) / 2, max(values) * 2), ylim=(len(rows) - 0.5, -0.5))
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.grid(axis="x", color=FAINT, alpha=0.3)
        save_figure(figure, path)
