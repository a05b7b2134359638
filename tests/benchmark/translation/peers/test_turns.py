"""A training takes turns with others, for a time that the slices share exactly."""

import math
from typing import Any

import pytest

from rnnexp.benchmark.translation.peers.turns import Turns


class Clock:
    """A clock that is set by hand."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


def make_turns(requests: list[str], rates: list[float] | None = None) -> tuple[Turns, Clock, list[dict[str, Any]]]:
    """Return a training of 10 seconds in two slices, its clock and its answers."""
    answers: list[dict[str, Any]] = []
    task = {"cpu_time": False, "learning": {"seconds": 10, "slices": 2, "rates": rates}}
    clock = Clock()
    turns = Turns(task, answers.append, iter(requests), clock)
    return turns, clock, answers


def test_what_a_slice_exceeds_is_missing_in_the_next() -> None:
    turns, clock, answers = make_turns(["learn", "score"])
    goes_on = []
    for seconds, tokens in ((3, 30), (3, 40), (3, 50), (1, 60)):
        turns.count(2, tokens)
        turns.loss = float(tokens)
        clock.time += seconds
        goes_on.append(turns.goes_on())
    assert goes_on == [True, True, True, False]
    assert answers == [
        {"seconds": 6, "amount": 70, "loss": 40},
        {"seconds": 4, "amount": 110, "loss": 60},
    ]
    assert turns.request == "score"
    assert (turns.steps, turns.sentences) == (4, 8)


def test_the_end_of_the_requests_ends_the_training() -> None:
    turns, clock, answers = make_turns([])
    turns.count(1, 5)
    clock.time = 6
    assert not turns.goes_on()
    assert turns.request is None
    assert answers[0]["amount"] == 5
    assert math.isnan(answers[0]["loss"])


def test_the_time_begins_with_the_first_step() -> None:
    turns, clock, answers = make_turns(["score"])
    clock.time = 100
    assert turns.goes_on()
    turns.count(1, 5)
    clock.time = 104
    assert turns.goes_on()
    clock.time = 106
    assert not turns.goes_on()
    assert answers[0]["seconds"] == 6


@pytest.mark.parametrize(("time", "rate"), [(0, 0.1), (2.4, 0.1), (2.6, 0.2), (9.9, 0.4), (12, 0.4)])
def test_the_rate_is_that_of_the_time(time: float, rate: float) -> None:
    turns, clock, _answers = make_turns([], rates=[0.1, 0.2, 0.3, 0.4])
    clock.time = time
    groups = [{"lr": 1.0}]
    turns.set_rate(groups)
    assert groups == [{"lr": rate}]


def test_without_rates_the_optimizer_keeps_its_own() -> None:
    turns, _clock, _answers = make_turns([])
    groups = [{"lr": 1.0}]
    turns.set_rate(groups)
    assert groups == [{"lr": 1.0}]
