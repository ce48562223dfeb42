"""P0's schedule c(e): the published values, its sign, its shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmlkit.errors import ConfigError
from vmlkit.reconstruction.lnp import dual_sign
from vmlkit.reconstruction.report import curve_family, sign_change


def test_the_papers_setting_runs_from_negative_to_a_fifth():
    assert dual_sign(1, 30, 0.5, 0.8) == pytest.approx((1 / 30) ** 0.5 - 0.8)
    assert dual_sign(50, 50, 0.5, 0.8) == pytest.approx(0.2)
    assert sign_change(0.5, 0.8) == pytest.approx(0.64)


@given(st.floats(0.05, 5), st.floats(0.05, 1))
def test_c_is_zero_where_sign_change_says(alpha, beta):
    share = sign_change(alpha, beta)
    assert dual_sign(share, 1, alpha, beta) == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 5), st.floats(0, 1), st.integers(2, 60))
def test_c_never_falls_and_ends_at_1_minus_beta(alpha, beta, epochs):
    values = [dual_sign(e, epochs, alpha, beta) for e in range(1, epochs + 1)]
    assert values == sorted(values)
    assert values[-1] == 1 - beta == dual_sign(epochs + 3, epochs, alpha, beta)


def test_alpha_0_is_constant_and_never_changes_sign():
    assert {dual_sign(e, 30, 0, 0.8) for e in range(1, 31)} == {1 - 0.8}
    assert sign_change(0, 0.8) is None
    assert sign_change(0.5, 0) is None
    assert sign_change(0.5, 1.2) is None


def test_the_families_are_above_on_and_below_the_line():
    middle = {alpha: dual_sign(15, 30, alpha, 0) for alpha in (0.5, 1, 2)}
    assert middle[0.5] > middle[1] > middle[2]
    assert [curve_family(a) for a in (0, 0.2, 1, 2)] == ["constant", "logarithmic", "linear", "exponential"]


@pytest.mark.parametrize(
    "arguments", [(1, 0, 0.5, 0.8), (-1, 30, 0.5, 0.8), (1, 30, -0.5, 0.8), (1, 30, float("nan"), 0)]
)
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ConfigError):
        dual_sign(*arguments)
