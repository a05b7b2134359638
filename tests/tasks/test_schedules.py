"""Learning rates over training, compared with their formulas."""

import math
from functools import partial

import pytest
import torch
from torch.optim import SGD

from rnnexp.tasks.schedules import constant, cosine, one_cycle

LR, STEPS = 0.4, 20


def rates(make: object, total_steps: int = STEPS) -> list[float]:
    assert callable(make)
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = make(optimizer, total_steps=total_steps)
    found = []
    for _ in range(total_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant() -> None:
    assert rates(constant) == [LR] * STEPS


def test_cosine_rises_linearly_and_falls_along_a_cosine() -> None:
    expected = [LR * (step + 1) / 6 for step in range(5)]
    expected += [LR * (1 + math.cos(math.pi * (step - 5) / 15)) / 2 for step in range(5, STEPS)]
    assert rates(partial(cosine, warmup=0.25)) == pytest.approx(expected)
    assert rates(partial(cosine, warmup=0.0))[0] == LR


def test_one_cycle_begins_low_reaches_the_rate_and_ends_near_zero() -> None:
    found = rates(partial(one_cycle, warmup=0.3, initial_divisor=25.0, final_divisor=1e4))
    assert found[0] == pytest.approx(LR / 25)
    assert max(found) == pytest.approx(LR)
    assert found.index(max(found)) == 5, "0.3 * 20 - 1"
    assert found[-1] == pytest.approx(LR / 25 / 1e4)
    assert found[:6] == sorted(found[:6])
    assert found[5:] == sorted(found[5:], reverse=True)


def test_one_cycle_does_not_change_momentum() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = one_cycle(optimizer, total_steps=STEPS, warmup=0.3, initial_divisor=25.0, final_divisor=1e4)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_a_short_training_has_valid_rates(total_steps: int) -> None:
    cycle = partial(one_cycle, warmup=0.3, initial_divisor=25.0, final_divisor=1e4)
    for make in (constant, partial(cosine, warmup=0.05), cycle):
        assert all(0 <= rate <= LR for rate in rates(make, total_steps))


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_is_a_share(warmup: float) -> None:
    with pytest.raises(ValueError, match=r"warmup must lie in \[0, 1\)"):
        rates(partial(cosine, warmup=warmup))
    with pytest.raises(ValueError, match=r"warmup must lie in \[0, 1\)"):
        rates(partial(one_cycle, warmup=warmup, initial_divisor=25.0, final_divisor=1e4))


@pytest.mark.parametrize(
    ("warmup", "total_steps"), [(0, 20), (0.0, 20), (0.001, 1000), (0.1, 10), (0.1, 12), (0.3, 1), (0.99, 20)]
)
def test_one_cycle_takes_any_share_of_any_number_of_steps(warmup: float, total_steps: int) -> None:
    found = rates(partial(one_cycle, warmup=warmup, initial_divisor=25.0, final_divisor=1e4), total_steps)
    assert all(0 < rate <= LR * (1 + 1e-9) for rate in found)
    assert total_steps == 1 or max(found) > 0.9 * LR
