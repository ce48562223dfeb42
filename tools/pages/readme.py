"""What README.md says of results and of its film, from the committed files: ``python -m tools.pages readme``."""

import json
import re
from pathlib import Path
from typing import Any

from vmlkit.errors import DataError
from vmlkit.files import RESULTS
from vmlkit.studies import report

FILM = Path("film", "scrubber.json")


def film(results: Path = RESULTS) -> str:
    """The film with what is seen in it as its alternative text, and what the whole run measures; from ``make gif``."""
    record = json.loads((results / FILM).read_text(encoding="utf-8"))
    own, epochs = record["overlap_of_its_negatives"], record["epochs"]
    mean, everyone = record["mean_overlap"], record["recorded_sentences"]
    back, in_order = _percent(record["share_back"]), _percent(record["share_in_order"])
    shown = (
        f"*A run of P0's learnable negatives on CPL, toy world, variant `follow-sentences` (no paper's setting), for "
        f"“{record['sentence']}”: the answer above the line, negatives below it, from easy (amber) to hard (red). The "
        f"sentence was picked because it shows this clearly: in {back} of {everyone} sentences more of the negatives "
        f"lies on the moment at the end than at the turn, in {in_order} also more than at the start, with the turn "
        f"below both.*"
    )
    numbers = (
        f"Overlap of these negatives with the moment at epochs {epochs['start']}, {epochs['turn']} and "
        f"{epochs['end']}: {_three(own)} (mean over {everyone} recorded sentences: {_three(mean)}); "
        f"NLL(negative) - NLL(answer): {_three(record['gap_of_its_negatives'])} nats per word. At the last "
        f"epoch: {record['following']}"
    )
    if record["papers_own"]:
        numbers += f" In the design of the CPL paper, as the tour trains it: {record['papers_own']}"
    folded = f"<details><summary>The film in numbers</summary>\n\n{numbers}\n\n</details>"
    return f"![{seen(record)}](figures/scrubber.gif)\n\n{shown}\n\n{folded}"


def seen(record: dict[str, Any]) -> str:
    """What a person sees in the film, in words that its numbers carry."""
    own, answer = record["overlap_of_its_negatives"], record["answer_iou"]
    away = "leave the shaded moment" if own["turn"] < own["start"] else "stay about the shaded moment"
    back = "come back towards it, dashed," if own["end"] > own["turn"] else "do not come back, dashed,"
    return (
        f"Film of a training: pictures of a video, its moment shaded; negatives hang below the line, dotted, and "
        f"{away} while c is below zero; then they {back} while c is above zero. Above the line the answer ends with an "
        f"IoU of {answer['end']:.2f}, from {answer['start']:.2f}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _three(values: dict[str, float]) -> str:
    return ", ".join(f"{values[name]:.2f}" for name in ("start", "turn", "end"))


def write(readme: Path = Path("README.md"), results: Path = RESULTS) -> None:
    """Replace what stands between the markers of ``readme``.

    Raises:
        DataError: if the markers are not there.
    """
    text = readme.read_text(encoding="utf-8")
    for part, body in parts(results).items():
        text = updated(text, body, readme, part)
    readme.write_text(text, encoding="utf-8")


def parts(results: Path = RESULTS) -> dict[str, str]:
    """What is written into README.md, by the name of its marks."""
    found = report.findings(results / "studies")
    return {"film": film(results), "finding": report.one_finding(found), "results": report.summary(found)}


def updated(text: str, body: str, where: object = "README.md", part: str = "results") -> str:
    """``text`` with ``body`` between the two marks of ``part``, which are HTML comments.

    Raises:
        DataError: if the marks are not there.
    """
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    if begin not in text or end not in text:
        raise DataError(where, f"the markers of the section '{part}' are missing", f"put back {begin} and {end}")
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), flags=re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", text)
