"""``docs/tables.md`` and the pages of the papers show records, priors and results as they are."""

from dataclasses import replace
from pathlib import Path

from tests.studies.conftest import once as once
from tools.pages import paper_tables, tables
from vmlkit.files import read_json
from vmlkit.papers import papers
from vmlkit.studies.results import load_results
from vmlkit.studies.verdicts import verdicts_of
from vmlkit.tables import every, load

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == tables.page(text), "run `python -m tools.pages docs`"


def test_the_page_has_every_table_and_the_numbers_that_people_look_for() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{table.id}` |" in text for table in every())
    assert "| 82.57, 48.02, 21.18 | 34.57 |" in text
    assert "| best constant window | 72.07 | 58.04 | 31.57 | 12.79 |" in text


def test_the_pages_of_the_papers_are_up_to_date_and_have_every_table() -> None:
    made = dict(paper_tables.pages())
    assert list(made) == [f"tables_{key.lower()}.md" for key in papers()]
    for name, text in made.items():
        assert (PAGE.parent / name).read_text(encoding="utf-8") == text, "run `python -m tools.pages docs`"
    whole = "".join(made.values())
    for table in every():
        assert f"## {table.label}: {table.about}" in whole
        assert all(note in whole for note in table.notes)


def test_a_page_shows_what_a_study_measured(once: Path) -> None:
    """Of a study of a few toy videos, under the table that names it."""
    results = once / "results"
    measured = replace(load("P1/1"), rows=(replace(load("P1/1").rows[-1], measured=(("tiny", "CNM"),)),))
    shown = paper_tables._table(measured, results)
    assert "ours: toy, study tiny R@1,IoU=0.5" in shown
    assert "not measured yet" not in shown
    assert "not measured yet" in paper_tables._table(load("P0/2"), results), "TV show Retrieval has no annotations here"


def test_a_claim_about_ranks_is_told_in_ranks() -> None:
    """As the page of what was found tells it: a percent is a hundred times its number, and a rank is not."""
    text = (PAGE.parent / "tables_p4.md").read_text(encoding="utf-8")
    told = [v for v in verdicts_of(load_results("components-retrieval")) if v.unit == "ranks"]
    assert told
    assert all(f"{v.claim.text}, {v.claim.metric}: {v.interval} ranks, {v.said}" in text for v in told)


def test_weak_supervision_stands_beside_answers_without_video() -> None:
    text = (PAGE.parent / "weak_2026.md").read_text(encoding="utf-8")
    assert paper_tables.weak() in text, "run `python -m tools.pages docs`"
    assert "| CPL | 2022 | weak | 66.40 / 49.24 / 22.39 | P0 Table 1 |" in text
    assert "| best constant window | | none, sees no video | 58.04 / 31.57 / 12.79 |" in text


def test_a_row_without_training_is_what_the_benchmark_measured() -> None:
    text = (PAGE.parent / "weak_2026.md").read_text(encoding="utf-8")
    assert paper_tables.without_training() in text, "run `python -m tools.pages docs`"
    found = read_json(paper_tables.FILMS)["answers"]["similarity"]
    assert f"| {100 * found['IoU above 0.5']:.2f} | {100 * found['mIoU']:.2f} |" in text
    assert f"{found['sentences']} sentences on {found['films']} rendered films" in text
