"""The page "What we found": computed from results, current with them, and honest about what is not known."""

import dataclasses
from pathlib import Path

import pytest

from tests.studies.measured import study
from tests.studies.test_verdicts import CLAIMS
from tools.pages import readme
from vmlkit.errors import DataError
from vmlkit.studies import report
from vmlkit.studies.results import STUDIES as FOLDER
from vmlkit.studies.results import Results, studies_in
from vmlkit.viz.faults import figure_faults
from vmlkit.viz.findings import MARKS, Line, draw_contrasts

ROOT = Path(__file__).parents[2]
EFFECTS = {"good": 0.1, "alike": 0.0, "bad": -0.1, "plain": 0.0}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Results:
    """One study about P0, in place of the committed ones."""
    claims = [claim | {"source": "P0 Fig. 4"} for claim in CLAIMS]
    results = study(EFFECTS, claims, rising=("bad",), primary=("good beats plain",), name="lnp-known")
    monkeypatch.setattr(report, "studies_in", lambda folder: ["lnp-known"])
    monkeypatch.setattr(report, "load_results", lambda name, folder: results)
    return results


def test_the_page_counts_classes_apart_and_says_what_is_open(measured: Results) -> None:
    text = report.page(Path("nowhere"), {})
    assert "6 claims of 1 measured studies" in text
    assert "| paper | 1 | 1 | 0 | 0 | 0 |" in text
    assert "| control | 0 | 0 | 0 | 0 | 1 |" in text
    assert "| good beats plain | R@1,mIoU | +1" in text
    assert "points with a power of 80 %" in text
    assert "Still rising when their training ended: bad" in text
    assert "For 1 claims only seeds are counted" in text
    assert "revision 0123456789" in text
    assert "with changes" not in text
    measured.record["dirty"] = True
    assert "Measured with changes that no revision names: lnp-known" in report.page(Path("nowhere"), {})


def test_the_page_says_how_many_cells_come_from_which_machine(measured: Results) -> None:
    assert "Measured: 24 cells on a processor, AVX2, torch 2.13.0;" in report.page(Path("nowhere"), {})
    card = {"processor": "another", "capability": "AVX512", "accelerator": "a card"}
    measured.record["made"].append({**measured.record["made"][0], "versions": {"torch": "2.9"}, "hardware": card})
    for cell in measured.record["cells"][:4]:
        cell["made"] = 1
    del measured.__dict__["origins"]  # it is kept, and the record was another
    said = "20 cells on a processor, AVX2, torch 2.13.0; 4 cells on a card beside another, AVX512, torch 2.9"
    text = report.page(Path("nowhere"), {})
    assert f"Measured: {said};" in text
    assert f"`vmlkit study run lnp-known`; {said}; revision 0123456789" in text


def test_a_number_on_the_page_changes_with_the_results(measured: Results) -> None:
    before = report.page(Path("nowhere"), {})
    better = measured.outcomes["row"] == "good"
    measured.outcomes.loc[better, "iou1"] -= 0.2
    after = report.page(Path("nowhere"), {})
    assert "| paper | 0 | 2 | 0 | 0 | 0 |" in after
    assert before != after


def test_studies_that_are_not_measured_are_listed_with_their_command(measured: Results) -> None:
    text = report.page(Path("nowhere"))
    assert text.count("## P") == 5
    for name in report.STUDIES:
        assert f"`vmlkit study run {name}`" in text


def test_the_readme_lists_the_contrasts_that_studies_are_made_for(measured: Results) -> None:
    text = report.summary(report.findings(Path("nowhere")))
    assert "| paper | 1 | 1 | 0 | 0 | 0 |" in text
    assert "| `lnp-known` | good beats plain | R@1,mIoU | +1" in text
    assert "alike beats plain" not in text


def test_the_readme_begins_with_how_many_claims_of_the_papers_hold(measured: Results) -> None:
    text = report.one_finding(report.findings(Path("nowhere")))
    assert text.startswith("**Of 2 claims of the papers, 1 hold, 1 are contradicted.**")
    assert "1 only seeds." in text
    assert "- *good beats plain*, R@1,mIoU: +1" in text
    assert "alike beats plain" not in text
    measured.outcomes.loc[measured.outcomes["row"] == "good", "iou1"] -= 0.2
    assert "Of 2 claims of the papers, 2 are contradicted" in report.one_finding(report.findings(Path("nowhere")))


def test_the_readme_is_what_the_results_say() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for part, body in readme.parts(ROOT / "results").items():
        assert text == readme.updated(text, body, part=part), "run `python -m tools.pages readme`"
    with pytest.raises(DataError, match="markers"):
        readme.updated("no markers", "body")


def test_claims_about_rows_that_are_not_measured_yet_are_left_out(measured: Results) -> None:
    measured.record["rows"].pop("bad")
    assert "4 claims of 1 measured studies" in report.page(Path("nowhere"), {})


def test_the_figure_shows_the_seeds_the_interval_and_the_band(measured: Results) -> None:
    figure = report.draw("P0", report.findings(Path("nowhere"))["P0"])
    (ax,) = figure.axes
    words = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"holds", "contradicted", "void", "seeds", "no effect (delta)"} <= words
    assert figure_faults(figure) == []
    labels = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert "★ good beats plain, R@1,mIoU" in labels
    assert ax.get_title(loc="left") == "lnp-known"
    assert ax.get_xlabel().startswith("difference in points, with its interval of 95 %\n")
    assert "↗: a row of it was still rising" in ax.get_xlabel()
    shown = len(labels)
    seeds = sum(len(points.get_offsets()) for points in ax.collections)
    assert seeds == 6 * shown
    assert len(ax.patches) == shown


@pytest.mark.parametrize("text", ["short", "a claim that is long, " * 3 + "of a metric"])
def test_a_figure_with_every_verdict_has_room_for_all_its_words(text: str) -> None:
    line = Line(
        text=text, group="", word="holds", difference=1, low=0, high=2, delta=1, seeds=(0.5, 1.5), metric="R@1,mIoU",
        unit="points", primary=True, rising=True,
    )  # fmt: skip
    figure = draw_contrasts([dataclasses.replace(line, word=word) for word in MARKS], title="every verdict")
    assert [each.get_text() for each in figure.legends[0].get_texts()] == [*MARKS, "seeds", "no effect (delta)"]
    assert figure_faults(figure) == []


def test_each_unit_has_a_panel_that_names_it() -> None:
    line = Line(
        text="a", group="paper", word="open", difference=1, low=0, high=2, delta=1, seeds=(0.5,), metric="R@1,mIoU",
        unit="points",
    )  # fmt: skip
    gap = dataclasses.replace(line, metric="dependence/negative NLL gap", unit="nats")
    other = dataclasses.replace(line, metric="R@5,mIoU", rising=True)
    figure = draw_contrasts([line, gap, dataclasses.replace(gap, study="another")])
    ends = [f"in {unit}, with its interval of 95 %" for unit in ("points", "nats", "nats")]
    assert all(ax.get_xlabel().endswith(end) for ax, end in zip(figure.axes, ends, strict=True))
    assert figure.axes[0].get_xlabel().startswith("difference of R@1,mIoU in")
    (ax,) = draw_contrasts([line, other]).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a, R@1,mIoU", "a, R@5,mIoU ↗"]
    assert ax.get_xlabel().startswith("difference in points")
    long = dataclasses.replace(line, text="a claim of so many words that its metric ends it", metric="t2v R@1")
    (ax,) = draw_contrasts([line, long]).axes
    assert ax.get_yticklabels()[1].get_text().endswith("\nt2v R@1")


def test_the_page_and_its_figures_written_twice_are_the_same_bytes(
    measured: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMLKIT_CHECK_FIGURES", "1")
    first, second = (report.write(tmp_path / name, Path("nowhere")) for name in ("first", "second"))
    assert [path.name for path in first] == ["findings.md", "findings_p0.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_committed_page_is_what_the_results_say() -> None:
    written = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert written == report.page(ROOT / FOLDER), "run `python -m tools.pages findings`"
    found = report.findings(ROOT / FOLDER)
    assert sum(len(group) for group in found.values()) == len(list(studies_in(ROOT / FOLDER)))
    assert all(
        (ROOT / "docs" / report.picture(key)).is_file() for key in found if f"({report.picture(key)})" in written
    )


def test_the_page_says_what_makes_it_and_the_readme_leads_to_it() -> None:
    assert "python -m tools.pages findings" in report.HEAD
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8")[:2000]
    assert "(docs/findings.md)" in first_screen
