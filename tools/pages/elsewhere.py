"""The generated part of ``docs/elsewhere.md``: what was measured here for each question, from the committed files."""

import json
from pathlib import Path
from typing import Any

from tools.pages.readme import updated
from vmlkit.tables import every
from vmlkit.viz.notebook import markdown_table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
NONE = "not measured"


def page(text: str) -> str:
    """The page with its table as the files of ``benchmarks/results`` are now."""
    finding, encoding = (_read(f"{name}_cpu.json") for name in ("finding", "encoding"))
    tables = list(every())
    rows = [
        ("Run it on my one video", "OpenTAD #30, QD-DETR #7, moment_detr #17", "`vmlkit find` ([page](find.md))",
         _found(finding)),
        ("Which encoder, the same at training and test?", "lighthouse #44, CGDETR #10, UMT #5",
         "a passport; another encoder is refused ([page](video.md))", NONE),
        ("Train on my own annotations", "lighthouse #44, CGDETR #10",
         "`vmlkit data convert`, `vmlkit data check`", NONE),
        ("Dead links, truncated features", "pps #2, cpl #4, LGI #5",
         "features are checked against durations; planted ones stand in ([data sheet](datasheet_planted.md))", NONE),
        ("I cannot reproduce the numbers", "cpl #3, EaTR #1, QD-DETR #45",
         "every published cell as data, with what contradicts what ([page](tables.md)), and verdicts over seeds "
         "([page](findings.md))",
         f"{len(tables)} tables and figures, {sum(len(t.notes) for t in tables)} notes on what does not agree"),
        ("Longer videos", "moment_detr #27, FlashVTG #6, lighthouse #37",
         "windows over the video, times in seconds ([page](find.md))", _long(finding["long videos"], "answered")),
        ("Time and memory", "cpl #3, ShufflingVideos #1, LGI #11",
         "`vmlkit cost METHOD`, [on a card](gpu.md)", _long(encoding["lengths"], "encoded by the toy encoder")),
    ]  # fmt: skip
    head = ["question", "asked for instance in", "answer here", "measured here"]
    return updated(text, markdown_table(head, rows), "docs/elsewhere.md", "elsewhere")


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text(encoding="utf-8")))


def _found(record: dict[str, Any]) -> str:
    parts = [
        f"{kind}: {100 * answers['IoU above 0.5']:.0f} % of {answers['sentences']} sentences right"
        for kind, answers in record["answers"].items()
    ]
    return "; ".join(parts) + " (rendered films, IoU above .5)"


def _long(rows: list[dict[str, Any]], done: str) -> str:
    last = rows[-1]
    return f"{last['minutes']} minutes {done} in {last['cpu_s']:.1f} processor seconds, {last['peak_mib']:.0f} MiB"
