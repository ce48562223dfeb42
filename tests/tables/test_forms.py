"""``vmlkit tables``: the list, one table in every form, several into a folder, and what is refused."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest

from vmlkit import cli
from vmlkit.data.published import PUBLISHED
from vmlkit.detr.corpora import CORPORA
from vmlkit.errors import ConfigError
from vmlkit.tables import every, load
from vmlkit.tables.forms import ENDINGS, lines_of, listing, needs, overview, written


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["tables", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["tables", *arguments]) == 2
    return capsys.readouterr().err


def test_the_list_has_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys)
    assert re.findall(r"^(P\d/\w+)", shown, re.MULTILINE) == [table.id for table in every()]
    assert "lnp-activitynet-schedule" in shown
    table = listing(every()).set_index("table")
    assert table.loc["P0/3", "rows"] == "6 of 6"
    assert table.loc["P0/fig6", "rows"] == "drawn"
    assert overview(every()) in shown


def test_a_table_is_printed_with_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "P1/1")
    for part in ("CNM (ours)", "33.33", "whole video", "prior", "17,031", "activitynet-hub", "sub_activitynet"):
        assert (part in shown) == (part != "activitynet-hub"), part
    assert "published cells below the whole video or random windows: activitynet val_2 R@1,IoU=0.1 11 of 11" in shown
    assert "only drawn" in run(capsys, "P0/fig6")
    assert run(capsys, "P0/5").count("P0 Table 5") == 3


@pytest.mark.parametrize("table", every(), ids=lambda t: t.id)
def test_data_say_where_they_are_published(table) -> None:
    assert len(needs(table)) == len(table.data) + bool(table.features)
    for line in needs(table):
        assert not re.search(r"annotations ;|features $", line), line
    assert set(table.data) <= {*PUBLISHED, *CORPORA}


@pytest.mark.parametrize("form", ENDINGS.values())
@pytest.mark.parametrize("name", ["P0/3", "P2/2", "P2/7", "P3/5", "P0/fig5", "P2/10"])
def test_every_form_can_be_written(name: str, form: str) -> None:
    table = load(name)
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", written(table, form))}
    for row in table.rows:
        assert {cell for cell in row.cells if cell is not None} <= numbers, row.name


def test_csv_has_the_numbers_and_whose_they_are() -> None:
    read = pd.read_csv(io.StringIO(written(load("P0/3"), "csv")))
    assert read["activitynet val_2 R@1,mIoU"].tolist()[:6] == [26.96, 34.7, 38.49, 36.21, 33.36, 31.49]
    assert read["by"].tolist()[:7] == ["paper"] * 6 + ["prior"]
    assert read["alpha"].tolist()[:6] == [0, 0.2, 0.5, 1, 2, 5]


def test_decimals_are_the_columns_and_a_dash_stays_one() -> None:
    text = written(load("P1/1"), "markdown")
    assert "| WSTG (Chen et al. 2020) | 74.20 | 44.30 | 23.60 | cited |  |" in text
    assert "| MARN (Song et al. 2020) | - | 47.01 | 29.95 | cited |  |" in text
    assert "& - & 47.01" in written(load("P1/1"), "latex")
    assert "<td>47.01</td>" in written(load("P1/1"), "html")


def test_priors_follow_the_published_rows() -> None:
    lines = lines_of(load("P2/7"))
    by = lines[("", "by")].tolist()
    assert by == ["paper"] * 11 + ["prior"] * (len(by) - 11)
    assert len(by) > 11


def test_a_file_or_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending, form in ENDINGS.items():
        run(capsys, "P0/3", "--out", str(tmp_path / f"a{ending}"))
        assert (tmp_path / f"a{ending}").read_text() == written(load("P0/3"), form)
    run(capsys, "P0/5", "--format", "csv", "--out", str(tmp_path / "all"))
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["P0-5a.csv", "P0-5b.csv", "P0-5c.csv"]


def test_what_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no published table 'P7/1'" in refused(capsys, "P7/1")
    assert "name some" in refused(capsys, "--format", "csv")
    assert "3 tables do not go into" in refused(capsys, "P0/5", "--out", str(tmp_path / "a.csv"))
    assert "ends in .txt, .csv, .md, .tex, .html" in refused(capsys, "P0/3", "--out", str(tmp_path / "a.doc"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="unknown form 'pdf'"):
        written(load("P0/3"), "pdf")
