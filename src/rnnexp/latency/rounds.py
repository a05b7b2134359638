"""The timing of runs in turns, and the numbers that the record keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from rnnexp.benchmark.measurement import take_turns
from rnnexp.core.clock import now
from rnnexp.latency.machine import peak_growth
from rnnexp.latency.subject import Subject
from rnnexp.tasks.inference_record import BATCH_SIZES, LATENCIES, PERCENTILES

LEAST_CALLS, MOST_CALLS = 20, 1000
"""Calls on one sample in each round, whatever their time."""
LEAST_BATCHES = 3
"""Calls on a batch in each round."""


@dataclass
class Round:
    """The times of one round of one run.

    Args:
        seconds: name of a latency -> the time of each call.
        words: name of a latency -> the number of words that these calls made.
        batches: batch size -> the time of each call on a batch.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    batches: dict[int, list[float]] = field(default_factory=dict)


def measure_in_turns(
    subjects: Sequence[Subject], rounds: int, seconds: float, advance: Callable[[], object]
) -> list[list[Round]]:
    """Return the rounds of each run. In every round all runs are measured, one after the other.

    Args:
        subjects: the runs.
        rounds: the number of rounds.
        seconds: the time for each number of a run in a round.
        advance: a function that is called after each round of each run.
    """

    def measure(subject: Subject) -> Round:
        measured = measure_round(subject, seconds)
        advance()
        return measured

    turns = {str(number): partial(measure, subject) for number, subject in enumerate(subjects)}
    return list(take_turns(turns, rounds).values())


def measure_round(subject: Subject, seconds: float) -> Round:
    """Time the calls of a run, `seconds` for each latency and each batch size."""
    measured = Round()
    with subject.computing():
        for name, calls in subject.workload.calls.items():
            measured.seconds[name], measured.words[name] = _time_samples(subject, name, calls, seconds)
        for size, call in subject.workload.batches.items():
            if size > 1:
                measured.batches[size] = _time_batches(subject, call, seconds)
    return measured


def _time_samples(
    subject: Subject, name: str, calls: Sequence[Callable[[], Any]], limit: float
) -> tuple[list[float], int]:
    """Return the time of each call, and the number of words made. Each round continues with the next samples."""
    first, words, times = subject.positions.get(name, 0), 0, list[float]()
    device, counts_words = subject.device, subject.workload.counts_words
    end = now(device) + limit
    while len(times) < MOST_CALLS:
        call = calls[(first + len(times)) % len(calls)]
        start = now(device)
        result = call()
        stop = now(device)
        times.append(stop - start)
        words += result if counts_words else 0
        if stop > end and len(times) >= LEAST_CALLS:
            break
    subject.positions[name] = first + len(times)
    return times, words


def _time_batches(subject: Subject, call: Callable[[], Any], limit: float) -> list[float]:
    times: list[float] = []
    end = now(subject.device) + limit
    while len(times) < LEAST_BATCHES or times[-1] + now(subject.device) < end:
        start = now(subject.device)
        call()
        times.append(now(subject.device) - start)
    return times


def peak_memory(subject: Subject) -> dict[str, int | None]:
    """Return the bytes of the weights and the most that a pass takes beside them, by batch size."""
    peaks: dict[str, int | None] = {}
    with subject.computing():
        for size, call in subject.workload.batches.items():
            growth = peak_growth(call, subject.device)
            peaks[f"batch_{size}"] = None if growth is None else subject.weight_bytes + growth
    return peaks


def summarize_rounds(subject: Subject, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the measured numbers of a run or of an export for inference.json, null for those that it does not have."""
    times = {name: np.concatenate([each.seconds[name] for each in rounds]) for name in subject.workload.calls}
    numbers: dict[str, Any] = {name: _percentiles(times[name]) if name in times else None for name in LATENCIES}
    batches = {size: [time for each in rounds for time in each.batches[size]] for size in BATCH_SIZES if size > 1}
    throughput = {size: size * len(found) / sum(found) for size, found in batches.items()}
    numbers["throughput"] = {
        "batch_1": len(times["latency"]) / float(times["latency"].sum()),
        **{f"batch_{size}": value for size, value in throughput.items()},
    }
    for name, speed in (("latency", "words_per_second"), ("beam5_latency", "beam5_words_per_second")):
        words = sum(each.words.get(name, 0) for each in rounds)
        is_counted = subject.workload.counts_words and name in times
        numbers[speed] = words / float(times[name].sum()) if is_counted else None
    numbers["reasons"] = dict(subject.workload.reasons)
    return numbers


def _percentiles(times: Any) -> Mapping[str, float | int]:  # noqa: ANN401 (a NumPy array)
    milliseconds = 1e3 * np.percentile(times, PERCENTILES)
    found = {f"p{percent}_ms": float(value) for percent, value in zip(PERCENTILES, milliseconds, strict=True)}
    return {**found, "num_calls": len(times)}
