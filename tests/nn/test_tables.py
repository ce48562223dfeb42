"""Tables that are made once and kept on each device."""

import torch

from vmlkit.nn.tables import device_table, weighted_sum
from vmlkit.nn.transformer import positions_of, word_positions

CPU, META = torch.device("cpu"), torch.device("meta")


def test_a_table_is_made_once_for_each_device_type_and_size() -> None:
    made: list[tuple[int, ...]] = []

    def numbers(*sizes: int) -> torch.Tensor:
        made.append(sizes)
        return torch.arange(sizes[0])

    first = device_table(numbers, 3, device=CPU)
    assert device_table(numbers, 3, device=CPU) is first
    assert device_table(numbers, 3, device=META).device == META
    assert device_table(numbers, 3, device=CPU, dtype=torch.float64).dtype == torch.float64
    assert device_table(numbers, 4, device=CPU).tolist() == [0, 1, 2, 3]
    assert made == [(3,), (3,), (3,), (4,)]


def test_a_table_serves_training_wherever_it_was_first_asked_for() -> None:
    def numbers(size: int) -> torch.Tensor:
        return torch.ones(size)

    with torch.inference_mode(), torch.device("meta"):
        device_table(numbers, 2, device=CPU)
    weight = torch.ones(2, requires_grad=True)
    (weight * device_table(numbers, 2, device=CPU)).sum().backward()
    assert weight.grad.tolist() == [1.0, 1.0]


def test_word_positions_are_those_of_the_last_two_axes() -> None:
    found = positions_of(torch.zeros(2, 5, 8, dtype=torch.float64))
    assert torch.equal(found, word_positions(5, 8).double())


def test_a_weighted_sum_counts_every_number_of_a_term() -> None:
    one, layers = torch.tensor(3.0, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert float(weighted_sum([one, layers], [0.1, 10.0])) == 0.1 * 3 + 30
