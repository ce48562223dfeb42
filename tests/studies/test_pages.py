"""One call shows a study on a page: measured or not, whole or in part; and what pages ask for exists."""

import ast
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import vmlkit
from tests.studies.measured import study
from tests.studies.test_verdicts import CLAIMS
from vmlkit.actions.baselines import NAMES
from vmlkit.errors import ConfigError, DataError
from vmlkit.methods import STUDIES
from vmlkit.studies import pages
from vmlkit.studies.pages import chosen_claims, said, show_studies, show_study, table_of_rows
from vmlkit.studies.report import Finding, lines_of, what_limits
from vmlkit.studies.results import Results, load_results
from vmlkit.studies.verdicts import Verdict
from vmlkit.training.study import Claim, Row, Study
from vmlkit.viz.findings import draw_contrasts

ROOT = Path(__file__).parents[2]
EFFECTS = {"good": 0.1, "alike": 0.0, "bad": -0.1, "plain": 0.0}
SOURCED = [claim | {"source": "P0 Table 4" if claim["better"] == "good" else "ours"} for claim in CLAIMS]


def known() -> Study:
    """The study of which :func:`shown` has the results."""
    experiment = STUDIES["cnm"]().rows[0].experiment
    claims = tuple(
        Claim(
            **{"text": f"{c['better']} beats {c['worse']}"}
            | {("kind" if name == "class" else name): value for name, value in c.items()}
        )
        for c in SOURCED
    )
    rows = tuple(Row(name=name, experiment=experiment) for name in EFFECTS)
    return Study(name="known", title="A study called known", rows=rows, claims=claims)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What pages displayed, in order; the study "known" is measured, "cnm" is not."""
    import IPython.display

    outputs: list[Any] = []
    results = study(EFFECTS, SOURCED, rising=("bad",), primary=("good beats plain",))
    monkeypatch.setattr(pages, "STUDIES", {"known": known, "cnm": STUDIES["cnm"]})
    monkeypatch.setattr(pages, "load_results", lambda name, folder: results)
    monkeypatch.setattr(pages, "shipped", lambda path: ROOT / ("README.md" if path.stem == "known" else "nothing"))
    monkeypatch.setattr(IPython.display, "display", outputs.append)
    return outputs


def test_a_measured_study_shows_its_words_its_picture_and_its_tables(shown: list[Any]) -> None:
    show_study("known")
    text, figure, tables = shown[0].data, shown[1], shown[2].data
    assert "*paper* holds 1, contradicted 1" in text
    assert "**good beats plain** (R@1,mIoU): holds, +1" in text
    labels = {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert len(labels) == 6
    assert "bad beats plain, R@1,IoU=0.5 ↗" in labels, "a row that was still rising"
    assert "still rising" in figure.axes[0].get_xlabel()
    assert "good beats whole video, R@1,mIoU" in labels, "the prior"
    assert tables.startswith("<details><summary>All 6 claims, 5 rows and baselines")
    assert "| bad (still rising) |" in tables
    assert "revision 0123456789" in tables


def test_a_picture_on_a_page_keeps_what_the_study_is_made_for_and_its_controls() -> None:
    def verdict(text: str, metric: str = "R@1,mIoU", kind: str = "paper", **changes: Any) -> Verdict:
        claim = Claim(text=text, source="ours", better="good", worse="plain", metric=metric, kind=kind)
        known = {"word": "open", "difference": 0.0, "low": -1.0, "high": 1.0, "p": 1.0, "detectable": 1.0}
        return Verdict(claim=claim, videos_counted=True, **known | changes)

    aim, control = verdict("aim", primary=True), verdict("control", kind="control", word="holds")
    void = [verdict(f"void {i}", word="void") for i in range(5)]
    papers = [verdict(f"paper {i}", metric) for i in range(9) for metric in ("R@1,mIoU", "R@1,IoU=0.5")]
    found = pages.on_a_page([*void, *papers, aim, control])
    assert found == [*papers[:16:2], aim, control], "each by its first metric, in their order"
    few = [*void, aim, control]
    assert pages.on_a_page(few) == few, "where there is room, all of them"


def test_numbers_on_a_page_follow_the_results(shown: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    worse = study(EFFECTS | {"good": -0.3}, SOURCED, primary=("good beats plain",))
    monkeypatch.setattr(pages, "load_results", lambda name, folder: worse)
    show_study("known")
    assert "(R@1,mIoU): contradicted" in shown[0].data


def test_a_page_shows_the_part_that_it_teaches(shown: list[Any]) -> None:
    show_study("known", rows=("alike", "bad", "plain"), metrics=("R@1,IoU=0.5",))
    assert "All 3 claims, 3 rows" in shown[2].data
    assert "R@1,mIoU | seeds" not in shown[2].data
    show_studies("P0 Table 4")
    assert "All 3 claims, 3 rows and baselines" in shown[5].data
    with pytest.raises(ConfigError, match="no study has a claim about P4 Table 1"):
        show_studies("P4 Table 1")
    with pytest.raises(ConfigError, match="has no row 'best': choose from alike, bad"):
        show_study("known", rows=("best",))
    with pytest.raises(ConfigError, match="has no claim about P4 Table 1"):
        show_study("known", about=("P4 Table 1",))


def test_controls_premises_and_priors_come_along() -> None:
    claims = chosen_claims(known(), ("P0 Table 4",))
    assert {claim.text for claim in claims} == {"good beats plain", "good beats whole video", "rates"}
    premised = Claim(
        text="c", source="control", better="bad", worse="plain", kind="control", premise="good beats plain"
    )
    first = Claim(text="d", source="control", better="alike", worse="plain", kind="control")
    other = Claim(text="e", source="control", better="bad", worse="plain", kind="control", premise="alike beats plain")
    beside = Study(name="n", title="", rows=known().rows, claims=(first, *known().claims, premised, other))
    chosen = chosen_claims(beside, ("P0 Table 4",))
    assert {premised, first} <= set(chosen)
    assert other not in chosen


def test_ranks_are_said_in_ranks() -> None:
    claims = [{"better": "good", "worse": "plain", "metric": "t2v MnR"}, {"better": "alike", "worse": "bad"}]
    results = study(EFFECTS, claims, primary=("good beats plain", "alike beats bad"))
    for cell in results.record["cells"]:
        cell["test"]["t2v MnR"] = (3.0 if cell["row"] == "plain" else 3.1) + 0.2 * cell["seed"]
    finding = Finding(results)
    text = said(finding, finding.verdicts)
    assert re.search(r"\(t2v MnR\): open .* ranks$", text, re.MULTILINE)
    assert re.search(r"\(R@1,mIoU\): holds, .* points$", text, re.MULTILINE)
    axes = draw_contrasts(lines_of(finding, finding.verdicts)).axes
    assert [ax.get_yticklabels()[0].get_text() for ax in axes] == ["★ good beats plain", "★ alike beats bad"]
    scales = [ax.get_xlabel() for ax in axes]
    assert scales[0] == "difference of t2v MnR in ranks, with its interval of 95 %"
    assert scales[1].startswith("difference of R@1,mIoU in points, with its interval of 95 %\n★: the study is made")
    assert re.search(r"finds differences of \d\.\d ranks with a power", what_limits(finding))


def test_a_study_without_results_names_its_command(shown: list[Any]) -> None:
    show_study("cnm")
    (said,) = shown
    assert said.data.endswith("not measured yet; `make study NAME=cnm` does it.")
    with pytest.raises(ConfigError, match="unknown study 'cmn': choose one of known, cnm"):
        show_study("cmn")


def test_the_table_has_rows_and_baselines_and_leaves_out_what_is_not_kept() -> None:
    results = study(EFFECTS, SOURCED)
    results.record["rows"]["good"]["published"] = "44.0 (P0 Table 4)"
    table = table_of_rows(results, metrics=("R@1,mIoU", "t2v R@1"))
    assert list(table.index) == [*EFFECTS, "whole video"]
    assert table["t2v R@1"].unique().tolist() == [""]
    assert "±" in table.loc["good", "R@1,mIoU"]
    assert "±" not in table.loc["whole video", "R@1,mIoU"], "chance decides nothing there"
    assert table["published"].tolist() == ["44.0 (P0 Table 4)", "", "", "", ""]
    assert "published" not in table_of_rows(study(EFFECTS, SOURCED))


def calls_of_pages() -> list[tuple[str, ast.Call]]:
    """Every call of ``show_study`` and ``show_studies`` on a notebook, with the page's name."""
    found = []
    for page in sorted((ROOT / "notebooks").glob("*.py")):
        for node in ast.walk(ast.parse(page.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("show_study", "show_studies"):
                found.append((page.stem, node))
    return found


@pytest.mark.parametrize(("page", "call"), calls_of_pages(), ids=lambda item: getattr(item, "lineno", item))
def test_what_pages_ask_for_is_in_a_study(page: str, call: ast.Call) -> None:
    """A study, a row or a label that is renamed or dropped is found here before a page fails."""
    names = [ast.literal_eval(argument) for argument in call.args]
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    if ast.unparse(call.func).endswith("show_study"):
        (name,) = names
        assert name in STUDIES, f"{page} shows the study '{name}', which does not exist"
        assert chosen_claims(STUDIES[name](), options.get("about", ()), options.get("rows", ()))
    else:
        claims = [claim for made in STUDIES.values() for claim in made().claims]
        for label in names:
            assert any(pages._cites(claim, (label,)) for claim in claims), f"{page}: no study is about {label}"


def test_the_pages_of_the_papers_show_studies() -> None:
    assert {page for page, _ in calls_of_pages()} >= {
        "00_tour", "01_cnm", "02_gaussian_proposals", "03_dual_signed_negatives", "04_bm_detr",
        "05_actions_with_text", "06_sentence_components",
    }  # fmt: skip


def test_names_of_studies_rows_and_baselines_agree() -> None:
    baselines = {"uniform random", "best constant window", "best constant window (IoU=0.5)", "whole video"}
    baselines |= {*NAMES, "chance"}
    for name, make in STUDIES.items():
        made = make()
        assert made.name == name
        assert {claim.worse for claim in made.claims} <= {row.name for row in made.rows} | baselines


def test_results_are_found_from_any_folder(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied notebook has no ``results/``: what is there comes first, then the clone, then a wheel."""
    monkeypatch.chdir(tmp_path)
    prefix, clone = tmp_path / "prefix", tmp_path / "site"
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(vmlkit, "__file__", str(clone / "vmlkit" / "__init__.py"))
    with pytest.raises(DataError, match="there are no results of this study"):
        load_results("tiny")

    def lands(home: Path) -> Results:
        shutil.copytree(once / "results", home / "results" / "studies")
        return load_results("tiny")

    assert lands(prefix / "share" / "vmlkit").path.is_relative_to(prefix)
    assert lands(clone).path.is_relative_to(clone)
    assert lands(tmp_path).path == Path("results/studies/tiny.json")
