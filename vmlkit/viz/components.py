"""Sentence components in pictures: what a variant changes, how alike texts are, who is told apart and from what."""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from vmlkit.errors import DataError
from vmlkit.viz.style import FAINT, HAIR, INK, ROLES, as_written, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def changed_words(anchor: str, variant: str) -> list[tuple[str, bool]]:
    """Words of a variant, and whether each differs from the anchor.

    >>> changed_words("a red ball falls", "a red ball does not fall")[2:]
    [('ball', False), ('does', True), ('not', True), ('fall', True)]
    """
    old, new = anchor.split(), variant.split()
    same: set[int] = set()
    for block in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks():
        same |= set(range(block.b, block.b + block.size))
    return [(word, i not in same) for i, word in enumerate(new)]


def draw_variants(ax: "Axes", anchor: str, variants: Mapping[str, str | None]) -> "Axes":
    """One line per component: the words that stay in grey, those that change in the colour of their role.

    Args:
        variants: component -> text, or None where the sentence has no such part; ``positive`` keeps the meaning.
    """
    lines = {"anchor": anchor, **variants}
    longest = max(len(text or "") for text in lines.values())
    for row, (name, text) in enumerate(lines.items()):
        role = ROLES["positive" if name == "positive" else "negative"]
        ax.text(-1.5, row, name.replace("_", " "), ha="right", va="center", color=FAINT, fontsize=8.5)
        if text is None:
            ax.text(0, row, "no such part", va="center", color=FAINT, fontsize=8.5, style="italic")
            continue
        at = 0
        for word, changed in changed_words(anchor, text):
            bold = changed and name != "anchor"
            color = role.text if bold else (INK if name == "anchor" else FAINT)
            weight = "bold" if bold else "normal"
            ax.text(at, row, as_written(word), va="center", color=color, fontsize=11, family="monospace", weight=weight)
            at += len(word) + 1
    ax.set(xlim=(-18, max(longest, 20)), ylim=(len(lines) - 0.4, -0.6))
    ax.axis("off")
    return ax


def draw_similarities(
    panels: Mapping[str, tuple[Float[np.ndarray, " N"], Float[np.ndarray, " M"]]],
) -> "Figure":
    """Histograms of the anchors' similarity with positives (filled) and with negatives (hatched), a panel per model.

    The share of pairs in which the positive is nearer is not in the picture: print it beside.

    Args:
        panels: title -> (similarities with positives, similarities with negatives).
    """
    values = np.concatenate([np.concatenate(pair) for pair in panels.values()])
    edges = np.linspace(values.min(), values.max() + 1e-6, 41)
    fig = new_figure(figsize=(4.2 * len(panels), 2.6), layout="constrained")
    axes = fig.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    positive, negative = ROLES["positive"], ROLES["negative"]
    for ax, (title, (near, far)) in zip(axes, panels.items(), strict=True):
        ax.hist(near, edges, density=True, color=positive.color, alpha=0.75, label="positive")
        ax.hist(
            far, edges, density=True, histtype="step", color=negative.color, hatch=negative.hatch, linewidth=1.2,
            label="negatives",
        )  # fmt: skip
        for role, sigma in ((positive, near), (negative, far)):
            ax.axvline(float(np.mean(sigma)), color=role.color, linewidth=1.1, linestyle=(0, (2, 2)))
        ax.set(title=title, xlabel="similarity with the anchor", yticks=[])
        ax.spines["left"].set_visible(False)
    axes[0].legend(loc="upper left", fontsize=8)
    return fig


def draw_accuracies(table: pd.DataFrame, *, title: str = "") -> "Figure":
    """One row per component, one mark per view; the first column is the model, the others are its controls.

    Args:
        table: rows of components, columns of views, values from 0 to 1; guessing lies at 0.5.

    Raises:
        DataError: for more than four columns.
    """
    chosen, edges = ROLES["chosen"].color, (ROLES["hard_negative"].color, FAINT, ROLES["easy_negative"].color)
    marks: list[dict[str, Any]] = [{"marker": "o", "markerfacecolor": chosen, "markeredgecolor": chosen}]
    marks += [{"marker": m, "markerfacecolor": "none", "markeredgecolor": e} for m, e in zip("Ds^", edges, strict=True)]
    if table.shape[1] > len(marks):
        raise DataError("accuracies", f"has {table.shape[1]} columns", f"draw at most {len(marks)}")
    fig = new_figure(figsize=(6.4, 0.9 + 0.34 * len(table)), layout="constrained")
    ax = fig.subplots()
    ax.axvline(0.5, color=FAINT, linewidth=0.8)
    for row, values in enumerate(table.to_numpy(dtype=float)):
        ax.hlines(row, np.nanmin(values), np.nanmax(values), color=HAIR, linewidth=3, zorder=1)
        for value, mark in zip(values, marks, strict=False):
            size = 6 if mark["marker"] == "o" else 8
            ax.plot(value, row, linestyle="none", markersize=size, markeredgewidth=1.4, **mark)
    for name, mark in zip(table.columns, marks, strict=False):
        ax.plot([], [], linestyle="none", markersize=6, label=name, **mark)
    ax.set(xlim=(-0.02, 1.02), ylim=(len(table) - 0.5, -0.5), xlabel="share of pairs told apart", title=title)
    ax.set_yticks(range(len(table)), [str(name).replace("_", " ") for name in table.index])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return fig
