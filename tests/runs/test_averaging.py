"""The mean of several checkpoints."""

import pytest
import torch
from torch import Tensor

from rnnexp.runs.averaging import average_checkpoints


def checkpoints() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "weight": torch.randn(3, 2, generator=generator),
            "half": torch.randn(4, generator=generator).bfloat16(),
            "steps": torch.tensor(number),
        }
        for number in range(3)
    ]


def test_the_mean_of_each_weight_and_the_last_of_each_count() -> None:
    given = checkpoints()
    averaged = average_checkpoints(given)
    assert {name: tensor.dtype for name, tensor in averaged.items()} == {n: t.dtype for n, t in given[0].items()}
    torch.testing.assert_close(averaged["weight"], torch.stack([each["weight"] for each in given]).mean(dim=0))
    exact = torch.stack([each["half"] for each in given]).double().mean(dim=0)
    assert torch.equal(averaged["half"], exact.bfloat16())
    assert averaged["steps"] == 2
    torch.testing.assert_close(given, checkpoints())


def test_the_mean_of_one_checkpoint_is_that_checkpoint() -> None:
    given = checkpoints()[:1]
    averaged = average_checkpoints(given)
    torch.testing.assert_close(averaged, given[0])
    averaged["weight"].zero_()
    averaged["steps"].fill_(7)
    torch.testing.assert_close(given, checkpoints()[:1])


def test_checkpoints_of_different_networks() -> None:
    first, second, third = checkpoints()
    with pytest.raises(ValueError, match=r"^there are no checkpoints to average$"):
        average_checkpoints([])
    with pytest.raises(
        ValueError, match=r"^checkpoints of different networks: only one of numbers 2 and last has bias$"
    ):
        average_checkpoints([first, second | {"bias": torch.zeros(1)}, third])
    message = r"^checkpoints of different networks: weight is \[9\] in number 1 and \[3, 2\] in the last$"
    with pytest.raises(ValueError, match=message):
        average_checkpoints([first | {"weight": torch.zeros(9)}, second, third])
