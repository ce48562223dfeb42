"""No cut text, no label without ticks, nothing wider than a page: found where it is; the package itself has none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties, findfont

from vmlkit.errors import DataError
from vmlkit.viz.actions import draw_class_activation
from vmlkit.viz.components import draw_accuracies, draw_similarities
from vmlkit.viz.curves import compare_runs, draw_curves
from vmlkit.viz.data import draw_clock, draw_locations, draw_priors, draw_words
from vmlkit.viz.faults import PAGE_INCHES, figure_faults
from vmlkit.viz.mixtures import draw_mixtures, draw_paths
from vmlkit.viz.panels import draw_panels
from vmlkit.viz.style import new_figure, save_figure, styled, use_style
from vmlkit.viz.timeline import draw_epochs
from vmlkit.viz.tracks import draw_tracks


def plain(**arguments: Any) -> tuple[Any, Any]:
    fig = new_figure(figsize=(4, 3), **arguments)
    ax = fig.add_axes((0.2, 0.2, 0.6, 0.6))
    ax.set(xlabel="time (s)", ylabel="loss", title="one run")
    ax.text(0.5, 0.5, "in the middle")
    ax.plot([0, 1], [0, 1], label="a line")
    ax.legend()
    return fig, ax


def test_a_figure_with_room_has_no_fault() -> None:
    assert figure_faults(plain()[0]) == []


@pytest.mark.parametrize(
    ("place", "side"), [((-0.05, 0.5), "left"), ((1.0, 0.5), "right"), ((0.5, -0.1), "bottom"), ((0.5, 0.99), "top")]
)
def test_text_that_stands_out_is_named_with_its_side(place: tuple[float, float], side: str) -> None:
    fig, _ = plain()
    fig.text(*place, "words")
    assert figure_faults(fig) == [f"'words' is cut at the {side}"]


def test_every_kind_of_text_is_looked_at() -> None:
    fig, ax = plain()
    ax.set_title("a heading that is far too long to stand above so small a picture, as anyone would see")
    ax.text(5.0, 0.5, "beside")
    ax.text(7.0, 0.5, "clipped on purpose", clip_on=True)
    ax.legend(["a line whose name leaves the figure and goes on"], loc="upper left", bbox_to_anchor=(0.9, 1.0))
    ax.set_yticks([0, 1], ["zero", "a name of a row that is longer than its margin"])
    said = figure_faults(fig)
    cut = ["a heading", "beside", "a line whose", "a name of a row"]
    assert [any(sentence.startswith(f"'{words}") for sentence in said) for words in cut] == [True] * 4
    assert not any("clipped" in sentence for sentence in said)


def test_a_label_needs_ticks_and_a_figure_fits_a_page() -> None:
    fig, ax = plain()
    ax.set_yticks([])
    assert figure_faults(fig) == ["the y axis 'loss' has no ticks"]
    ax.set_axis_off()
    assert figure_faults(fig) == []
    wide, _ = plain()
    wide.set_figwidth(PAGE_INCHES + 1)
    assert figure_faults(wide) == ["the figure is 12.0 inches wide; a page has 11"]


def test_another_font_and_a_letter_that_it_has_not_are_named() -> None:
    fig, ax = plain()
    ax.texts[0].set(text="σ ≤ ½ ↗ $\\alpha_1$")
    assert figure_faults(fig) == []
    ax.title.set_family("serif")
    ax.xaxis.label.set_family("Helvetica of nobody")
    ax.yaxis.label.set_family("monospace")
    said = figure_faults(fig)
    assert "'one run' is in DejaVu Serif, not in DejaVu Sans" in said
    assert any("another font than 'Helvetica of nobody', which is not installed" in each for each in said)
    assert len(said) == 2
    fig, ax = plain()
    ax.texts[0].set_text("a \u9580 opens")
    assert figure_faults(fig) == [r"DejaVu Sans has no letter \N{CJK UNIFIED IDEOGRAPH-9580}"]


def test_the_style_names_the_font_that_matplotlib_ships() -> None:
    with styled():
        path = Path(findfont(FontProperties(), fallback_to_default=False))
    assert path.is_relative_to(matplotlib.get_data_path())
    assert path.stem == "DejaVuSans"


def test_saving_refuses_a_fault_only_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fig, ax = plain()
    ax.set_yticks([])
    monkeypatch.delenv("VMLKIT_CHECK_FIGURES", raising=False)
    assert save_figure(fig, tmp_path / "taken.png").is_file()
    monkeypatch.setenv("VMLKIT_CHECK_FIGURES", "1")
    with pytest.raises(DataError, match=r"refused\.png.*the y axis 'loss' has no ticks"):
        save_figure(fig, tmp_path / "refused.png")
    assert [file.name for file in tmp_path.iterdir()] == ["taken.png"]
    assert save_figure(plain()[0], tmp_path / "fine.png").is_file()


def activation(run: Path) -> Any:
    from tests.viz.test_class_activation import recorded

    return draw_class_activation(recorded(), "v/spin")


def of_data(draw: Callable[..., Any]) -> Callable[[Path], Any]:
    rows = [("train", 10.0, 1.0, 4.0, "a red ball falls")] * 7 + [("test", 20.0, 5.0, 20.0, "it stops")] * 3
    return lambda run: draw(pd.DataFrame(rows, columns=["split", "duration", "start", "end", "sentence"]))


def clock(run: Path) -> Any:
    videos = {"split": ["train"] * 3, "duration": [5.0, 10.0, 40.0], "rows": [10, 20, 80]}
    return draw_clock(pd.DataFrame(videos), 0.5)


def priors(run: Path) -> Any:
    rows = [("test", "whole video", 80.0, 20.0, 3), ("test", "random windows", 50.0, 10.0, 3)]
    table = pd.DataFrame(rows, columns=["split", "prior", "R@1,IoU=0.1", "R@1,IoU=0.5", "N"])
    return draw_priors(table, published={"CNM": {"R@1,IoU=0.1": 78.13}})


def mixtures(run: Path) -> Any:
    rows = {"push": [([0.5], [0.3], [1.0])], "pull": [([0.2], [0.1], [1.0]), ([0.6, 0.8], [0.2, 0.2], [0.5, 0.5])]}
    return draw_mixtures(None, 30.0, (3.0, 9.0), rows, sigma=4, sentence="a dot moves")


CURVE = pd.Series(np.linspace(-0.5, 0.5, 9), np.arange(9))
FIGURES: dict[str, Callable[[Path], Any]] = {
    "epochs": lambda run: draw_epochs(run, "test/0", (0, 3, -1)),
    "one epoch": lambda run: draw_epochs(run, "test/0", (-1,)),
    "tracks": lambda run: draw_tracks(run, "test/0"),
    "curves": draw_curves,
    "two runs": lambda run: compare_runs({"the paper's own design": run, "the released code": run}),
    "panels": lambda run: draw_panels({"one": {"up": CURVE, "down": -CURVE}, "two": {"down": -CURVE}}, xlabel="x"),
    "three panels": lambda run: draw_panels({t: {"learned": CURVE, "random intervals": -CURVE} for t in "abc"}),
    "paths": lambda run: draw_paths({"pull": (np.full((9, 2), 0.4), np.full((9, 2), 0.2))}, 40.0, sigma=4, every=10),
    "mixtures": mixtures,
    "locations": of_data(draw_locations),
    "words": of_data(draw_words),
    "clock": clock,
    "priors": priors,
    "activation": activation,
    "similarities": lambda run: draw_similarities({"before": (np.arange(9) / 9, np.arange(9) / 12)}),
    "accuracies": lambda run: draw_accuracies(pd.DataFrame({"a view": [0.2, 0.6]}, index=["SOV", "active"])),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_of_the_package_have_no_fault(name: str, run_path: Path) -> None:
    use_style()
    assert figure_faults(FIGURES[name](run_path)) == []
