"""The evaluation programs of CNM, CPL and PPS and P0's formulas, from the committed golden vectors."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.golden_metrics import check_metrics_case

FOLDER = Path(__file__).parents[1] / "golden" / "wsml"
CASES = ("metrics_cnm_b", "metrics_cpl_b", "metrics_pps_b", "p0_formulas_a")


def load(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    return arrays, json.loads((FOLDER / f"{name}.json").read_text())


def passes(arrays, meta):
    check_metrics_case(arrays, meta)
    return True


@pytest.mark.parametrize("name", CASES)
def test_every_output_of_the_case_is_reproduced(name):
    assert passes(*load(name))


@pytest.mark.parametrize("name", CASES)
def test_a_change_in_any_output_is_noticed_and_named(name):
    arrays, meta = load(name)
    outputs = [key for key in arrays if key.startswith("output/")]
    assert outputs
    for key in outputs:
        changed = arrays[key].astype(np.float64).copy()
        changed.flat[-1] += 1e-4
        with pytest.raises(AssertionError, match=key.replace("+", r"\+")):
            check_metrics_case(arrays | {key: changed}, meta)


def test_an_output_without_a_rule_a_wrong_size_and_a_wrong_configuration_fail():
    arrays, meta = load("metrics_cpl_b")
    for key in ("output/median", "output/vote_tacos/R@1,mIoU", "output/loss/R@1,gIoU"):
        with pytest.raises(AssertionError, match="no rule for this array"):
            check_metrics_case(arrays | {key: np.float32(0)}, meta)
    with pytest.raises(AssertionError, match="output/nll"):
        check_metrics_case(arrays | {"output/nll": arrays["output/nll"][:, :2]}, meta)
    with pytest.raises(AssertionError, match="configuration states 4"):
        check_metrics_case(arrays, meta | {"config": {"num_props": 4}})
    with pytest.raises(AssertionError, match="no output"):
        check_metrics_case({"input/center": arrays["input/center"]}, meta)
