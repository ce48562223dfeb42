"""``vmlkit cost``: operations counted by hand, the parameters of the model, published times beside ours."""

import json
from pathlib import Path

import pytest
import torch

from vmlkit.cli import main
from vmlkit.config import with_overrides
from vmlkit.experiments.cost import Operations, cost_of, devices_of, published
from vmlkit.experiments.experiment import build
from vmlkit.methods import METHODS, preset

FEW = {"data.train_videos": 12, "data.validation_videos": 3, "data.test_videos": 4}
TYPED = [word for key, value in FEW.items() for word in ("--set", f"{key}={value}")]


def test_a_product_of_matrices_counts_twice_its_multiplications() -> None:
    weight, rows = torch.ones(5, 7, requires_grad=True), torch.ones(3, 7, requires_grad=True)
    with Operations() as forward:
        product = rows @ weight.T
    assert forward.total == 2 * 3 * 5 * 7
    with Operations() as backward:
        torch.autograd.grad(product.sum(), (weight, rows))
    assert backward.total == 2 * forward.total


@pytest.mark.parametrize("method", ["cnm", "lnp-cpl", "bm-detr", "tsm-vlc", "p4-xclip"])
def test_a_method_of_every_family_has_its_cost(method: str) -> None:
    experiment = with_overrides(preset(method), FEW)
    cost = cost_of(experiment, {"cpu": torch.device("cpu")})
    model = build(experiment, METHODS[method].load(experiment.data, progress=False).train)
    assert cost.parameters == cost.trained == sum(p.numel() for p in model.parameters())
    assert cost.step_flops > cost.answer_flops > 0
    assert all(set(times) == {"cpu"} and times["cpu"] > 0 for times in (cost.step_ms, cost.answer_ms))


def test_more_proposals_cost_more_operations() -> None:
    few, many = (
        cost_of(with_overrides(preset("cpl"), {**FEW, "model.proposals": n}), {"cpu": torch.device("cpu")})
        for n in (2, 8)
    )
    assert many.answer_flops > few.answer_flops
    assert many.parameters > few.parameters


def test_the_command_prints_ours_and_what_the_paper_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "cnm", "cpl", "--device", "cpu", *TYPED, "--json", str(tmp_path / "cost.json")]) == 0
    shown = capsys.readouterr().out
    for part in ("cnm on toy: ", "cpl on toy: ", "ms on cpu", "published, P1 Table 3", "CNM: time per video 55.8 ms",
                 "SCN: time per video 124 ms"):  # fmt: skip
        assert part in shown
    record = json.loads((tmp_path / "cost.json").read_text())
    assert record["methods"]["cnm"]["settings"]["data"]["train_videos"] == 12
    assert str(f"{record['methods']['cpl']['parameters']:,} parameters") in shown
    assert record["hardware"]["threads"] == torch.get_num_threads()
    assert [table.id for table in published(["bm-detr"])] == ["P2/10"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing", "unknown method 'nothing'"),
        ("cnm --data thumos14", "'cnm' has no preset for the data 'thumos14'"),
        ("cnm --device nowhere", "--device is 'nowhere'"),
        ("cnm --set model.colour=1", "unknown setting 'model.colour'"),
        ("cnm --features f", "read no features from files"),
    ],
)
def test_what_is_wrong_is_one_line(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", *line.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_card_is_measured_beside_the_processor_where_there_is_one() -> None:
    found = devices_of("auto")
    assert found["cpu"].type == "cpu"
    assert len(found) == 1 + torch.cuda.is_available()


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cost", "--help"])
    assert "example: vmlkit cost cnm lnp-cnm" in capsys.readouterr().out
