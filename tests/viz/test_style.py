"""Roles stay apart for every eye and printer; saved files are the same each time."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from vmlkit.errors import DataError, MissingDependency
from vmlkit.viz import style

# the two phases of the clock and negatives of no kind have the colour of hard ones until theirs is measured
UNCOLOURED = ("negative", "pushed_negative", "pulled_negative")
ROLES = {name: role for name, role in style.ROLES.items() if name not in UNCOLOURED}

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = matrix @ rgb / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(color: str, ground: str) -> float:
    a, b = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (color, ground))
    return b / a


@pytest.mark.parametrize("shade", ["color", "dark"])
def test_roles_differ_in_grey(shade: str) -> None:
    lightness = sorted(lab(linear(getattr(role, shade)))[0] for role in ROLES.values())
    assert len(ROLES) == 6
    assert np.diff(lightness).min() >= 7


@pytest.mark.parametrize("shade", ["color", "dark"])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_roles_differ_for_the_colour_blind(kind: str, shade: str) -> None:
    seen = {n: lab(np.clip(np.array(BLINDNESS[kind]) @ linear(getattr(r, shade)), 0, 1)) for n, r in ROLES.items()}
    distances = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(seen, 2)}
    assert min(distances.values()) > 12, min(distances, key=lambda pair: distances[pair])


def test_words_and_dark_colours_are_readable() -> None:
    for name, role in ROLES.items():
        assert contrast(role.text, "#FFFFFF") >= 4.5, name
        assert contrast(role.dark, "#15181C") >= 3.0, name


def test_negatives_differ_from_positives_in_more_than_colour() -> None:
    drawn = {name: (role.dash, role.hatch) for name, role in ROLES.items()}
    assert drawn["easy_negative"] != drawn["hard_negative"]
    assert all(drawn[n][0] and drawn[n][1] for n in ("easy_negative", "hard_negative"))
    assert ROLES["chosen"].width > 1.5 * ROLES["positive"].width
    assert {style.ROLES[name].color for name in UNCOLOURED} == {ROLES["hard_negative"].color}
    assert style.ROLES["pushed_negative"].dash != style.ROLES["pulled_negative"].dash


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_saving_twice_gives_the_same_bytes_without_metadata(tmp_path: Path, suffix: str) -> None:
    style.use_style()

    def picture() -> bytes:
        fig = style.new_figure(figsize=(2, 1))
        fig.subplots().plot([0, 1], [1, 0], label="a")
        return style.save_figure(fig, tmp_path / "deep" / f"figure{suffix}").read_bytes()

    first = picture()
    assert first == picture()
    assert not any(word in first for word in (b"Software", b"matplotlib.org", b"CreationDate", b"<dc:date>"))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [f"figure{suffix}"]


def test_png_has_the_size_of_the_figure(tmp_path: Path) -> None:
    path = style.save_figure(style.new_figure(figsize=(3, 2)), tmp_path / "a.png")
    assert path.read_bytes()[16:24] == (480).to_bytes(4, "big") + (320).to_bytes(4, "big")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.png, \.svg or \.pdf"):
        style.save_figure(style.new_figure(), tmp_path / "a.gif")


def test_a_missing_matplotlib_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vmlkit\[notebooks\]'"):
        style.use_style()


def test_attention_darkens_steadily() -> None:
    colors = style.attention_colormap()(np.linspace(0, 1, 64))[:, :3]
    lightness = [lab(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))[0] for c in colors]
    assert (np.diff(lightness) < 0).all()


def test_labels_are_spread_within_bounds() -> None:
    moved = style.spread_apart([0.02, 0.03, 0.5, 0.99, 1.0], 0.1, 0.0, 1.0)
    assert (np.diff(moved) >= 0.1 - 1e-6).all()
    assert moved[2] == 0.5
    assert moved[0] >= 0
    assert moved[-1] <= 1
    assert style.spread_apart([], 0.1, 0.0, 1.0) == []


def test_the_style_file_has_the_colours_of_the_package() -> None:
    with style.styled():
        shown = {name: style.pyplot().rcParams[f"{name}color"] for name in ("text.", "axes.label", "grid.")}
    assert shown == {"text.": style.INK, "axes.label": style.FAINT, "grid.": style.HAIR}
