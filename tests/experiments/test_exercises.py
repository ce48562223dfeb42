"""A check says whether an exercise is not done yet, wrong at some input, or right, and counts."""

import numpy as np
import pandas as pd
import pytest
import torch

from vmlkit.experiments.exercises import Exercises

CASES = [((np.array([0.0, 1.0]),), 0.5, "It is the mean."), ((np.zeros(3),), 0.0, "Zeros have the mean zero.")]


def mean(x):
    return x.mean()


def test_a_stub_is_not_done_yet() -> None:
    def stub(x):
        raise NotImplementedError

    said = Exercises(3).check(stub, CASES, then=lambda: 1 / 0).data
    assert said == "○ `stub`: not done yet.\n\n*0 of 3 exercises are right.*"


def test_a_wrong_answer_is_named_with_its_input_and_a_help() -> None:
    def total(x):
        return x.sum()

    said = Exercises(3).check(total, CASES).data
    assert "✗ `total`: wrong at `total([0.0, 1.0])`: it gives 1, and 0.5 is right. It is the mean." in said
    said = Exercises(3).check(lambda x: x.mean() if len(x) == 2 else 7.0, CASES).data
    assert "it gives 7, and 0 is right. Zeros have the mean zero." in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: None, "it gives None (is a `return` missing?)"),
        (lambda x: x[9], "it raises IndexError: index 9"),
        (lambda x: "half", "it gives 'half', and 0.5 is right"),
        (lambda x: x, "it gives [0.0, 1.0], and 0.5 is right"),
        (lambda x, y: 0.5, "it raises TypeError"),
        (lambda x: float("nan"), "it gives nan"),
    ],
)
def test_whatever_a_learner_returns_nothing_is_raised(answer, said: str) -> None:
    assert said in Exercises(1).check(answer, CASES).data


def test_right_answers_are_counted_once_and_shown_what_follows() -> None:
    exercises = Exercises(2)
    assert "0 of 2" in exercises.check(lambda x: 1.0, CASES).data
    said = exercises.check(mean, CASES, then=lambda: f"The mean is {mean(np.ones(2))}.").data
    assert said == "✓ `mean`: **right**. The mean is 1.0.\n\n*1 of 2 exercises are right.*"
    assert "1 of 2" in exercises.check(mean, CASES, then="Again.").data

    def other(x):
        return torch.tensor(x).mean()

    assert "2 of 2" in exercises.check(other, CASES).data


def test_an_answer_that_was_right_and_is_changed_counts_no_more() -> None:
    exercises = Exercises(1)
    exercises.check(mean, CASES)
    broken = lambda x: 0.0  # noqa: E731
    broken.__name__ = "mean"
    assert "0 of 1" in exercises.check(broken, CASES).data


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (None, "x", None),
        ("left", "right", "left"),
        ([1, 2], [2, 1], [1, 2]),
        ((0.1, 0.3), (0.1, 0.2), (0.1, 0.3)),
        (torch.tensor([0.5, 0.5]), torch.tensor([0.5]), torch.tensor([0.5, 0.5])),
        (np.array([[True, False]]), np.array([[True, True]]), np.array([[True, False]])),
        (2, 1, lambda given: given == 2),
        (2, None, lambda given: given > 1),
    ],
)
def test_answers_of_every_kind_are_compared(right, wrong, expected) -> None:
    assert "**right**" in Exercises(1).check(lambda: right, [((), expected, "")]).data
    assert "wrong at" in Exercises(1).check(lambda: wrong, [((), expected, "")]).data


def test_large_inputs_are_named_by_their_shape() -> None:
    frame = pd.DataFrame({"nll": range(20)})
    said = Exercises(1).check(lambda *inputs: 1, [((np.zeros((4, 9)), frame, "a" * 99, len), 0, "")]).data
    assert "(ndarray of shape (4, 9), dataframe of shape (20, 1), 'aaaa" in said
    assert "..., len)" in said
