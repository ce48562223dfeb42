"""Every golden case below ``--golden DIR`` against our implementation: values, gradients, training steps, metrics."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity.cases import cases_in, check_of
from tests.parity.golden import GoldenCase, draw_parameters, load_case
from tests.parity.golden_data import SkipCase


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden_path" in metafunc.fixturenames:
        paths = cases_in(Path(metafunc.config.getoption("--golden")))
        metafunc.parametrize("golden_path", paths, ids=[p.name.split(".", 1)[0] for p in paths])


def test_case_equals_ours(golden_path: Path) -> None:
    case = load_case(golden_path)
    try:
        check_of(case.name)(case)
    except SkipCase as reason:
        pytest.skip(str(reason))


def test_there_are_cases(pytestconfig: pytest.Config) -> None:
    assert cases_in(Path(pytestconfig.getoption("--golden"))), "no golden case in the folder given"


def test_unknown_case_fails() -> None:
    with pytest.raises(KeyError, match="no known kind"):
        check_of("surprise_a")


@pytest.mark.parametrize("name", ["cnm", "cpl", "dual_transformer"])
def test_a_wrong_number_is_noticed(name: str) -> None:
    """The harness itself: one changed output fails, so does an output that nobody computes."""
    folder = Path(__file__).parent.parent / "golden" / "wsml"
    case = load_case(next(p for p in cases_in(folder) if p.name.startswith(name + "_")))
    key = sorted(k for k in case.arrays if k.startswith("output/") and case.arrays[k].dtype == np.float32)[0]
    wrong = GoldenCase(case.name, {**case.arrays, key: case.arrays[key] * 1.001 + 1e-3}, case.meta)
    with pytest.raises(AssertionError, match=key):
        check_of(case.name)(wrong)
    extra = GoldenCase(case.name, {**case.arrays, "output/nobody": np.zeros(1)}, case.meta)
    with pytest.raises(AssertionError, match="nobody"):
        check_of(case.name)(extra)


def test_drawn_parameters_follow_the_recipe() -> None:
    names = {"b.norm.weight": [4], "a.weight": [3, 5], "c.bias": [2]}
    ours = draw_parameters(7, names)
    draw = np.random.RandomState(7)
    a, b, c = draw.standard_normal((3, 5)), draw.standard_normal(4), draw.standard_normal(2)
    expected = {"a.weight": a / np.sqrt(5), "b.norm.weight": 1 + 0.1 * b, "c.bias": 0.1 * c}
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], torch.from_numpy(value.astype(np.float32)))


def test_the_selection_stays_small() -> None:
    folder = Path(__file__).parent.parent / "golden"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 6_000_000
