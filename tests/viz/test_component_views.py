"""Pictures of sentence components: what they draw, from plain arrays."""

import numpy as np
import pandas as pd
import pytest

from vmlkit.errors import DataError
from vmlkit.viz.components import changed_words, draw_accuracies, draw_similarities, draw_variants
from vmlkit.viz.style import ROLES, new_figure


def texts(ax) -> dict[str, str]:
    return {t.get_text(): t.get_color() for t in ax.texts}


def test_only_changed_words_are_coloured() -> None:
    ax = new_figure().subplots()
    variants = {"positive": "the crimson ball sinks", "changed_verb": "a red ball rises", "changed_object": None}
    draw_variants(ax, "a red ball falls", variants)
    found = texts(ax)
    assert found["crimson"] == ROLES["positive"].text
    assert found["rises"] == ROLES["negative"].text
    assert found["falls"] not in (ROLES["positive"].text, ROLES["negative"].text)
    assert "no such part" in found


def test_a_repeated_word_is_matched_in_order() -> None:
    assert changed_words("a ball hits a box", "a ball hits a ring") == [
        ("a", False), ("ball", False), ("hits", False), ("a", False), ("ring", True),
    ]  # fmt: skip


def test_similarities_have_a_panel_per_model_with_common_scales() -> None:
    draw = np.random.default_rng(0)
    fig = draw_similarities({"before": (draw.random(30), draw.random(60)), "after": (draw.random(9), draw.random(9))})
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["before", "after"]
    assert fig.axes[0].get_xlim() == fig.axes[1].get_xlim()


def test_accuracies_draw_every_value_and_refuse_too_many_views() -> None:
    table = pd.DataFrame({"own": [0.9, 0.4], "shuffled": [0.8, np.nan]}, index=["negated_verb", "changed_object"])
    ax = draw_accuracies(table).axes[0]
    drawn = sorted(float(x) for line in ax.lines if line.get_linestyle() == "None" for x in line.get_xdata())
    assert [x for x in drawn if not np.isnan(x)] == [0.4, 0.8, 0.9]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["negated verb", "changed object"]
    with pytest.raises(DataError, match="at most"):
        draw_accuracies(pd.DataFrame(np.zeros((1, 5))))
