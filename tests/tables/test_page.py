"""``docs/tables.md`` shows the records and priors as they are."""

from pathlib import Path

from tools.pages import tables
from vmlkit.tables import every

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == tables.page(text), "run `python -m tools.pages docs`"


def test_the_page_has_every_table_and_the_numbers_that_people_look_for() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{table.id}` |" in text for table in every())
    assert "| 82.57, 48.02, 21.18 | 34.57 |" in text
    assert "| best constant window | 72.07 | 58.04 | 31.57 | 12.79 |" in text
