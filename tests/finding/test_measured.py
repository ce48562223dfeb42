"""What docs/find.md says was measured is what the benchmark recorded."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORD = json.loads((ROOT / "benchmarks" / "results" / "finding_cpu.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "find.md").read_text(encoding="utf-8")


def test_the_page_has_the_shares_of_the_record() -> None:
    for name, row in (("similarity", "similarity"), ("trained", "trained, the tour's run")):
        numbers = RECORD["answers"][name]
        films, whole = numbers["films"], round(numbers["films"] * numbers["films with three of three"])
        share, iou = f"{100 * numbers['IoU above 0.5']:.0f} % of {numbers['sentences']}", f"{numbers['mIoU']:.2f}"
        assert f"| {row} | {share} | {iou[1:]} | {whole} of {films} |" in PAGE
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{100 * RECORD['answers']['similarity']['IoU above 0.5']:.0f} % of 240 sentences" in readme


def test_cost_grows_with_the_length_and_memory_hardly() -> None:
    rows = RECORD["long videos"]
    for row in rows:
        assert f"| {row['minutes']} | {row['cpu_s']:.2f} | {row['peak_mib']:.0f} MiB |" in PAGE
    short, _, long = rows
    assert long["cpu_s"] / short["cpu_s"] < 1.5 * long["minutes"] / short["minutes"]
    assert long["peak_mib"] < short["peak_mib"] + 100
