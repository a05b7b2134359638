"""Costs of settings, from result.json and inference.json. Scores are a `Measure` of the registry of tasks."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from rnnexp.report.records.runs import Run
from rnnexp.tasks.inference_record import BATCH_SIZES, PERCENTILES
from rnnexp.tasks.registry import TaskKind


@dataclass(frozen=True)
class Cost:
    """A cost in result.json, or below `inference` in inference.json, and its format.

    Args:
        path: its keys, joined by dots.
        label: the name in tables and figures, with the unit.
        unit: the shown unit, in the recorded one.
        digits: digits after the decimal point.
        device_type: the type of the devices on which it was measured; empty for any.
        higher_is_better: whether a higher value costs less, as of a speed.
    """

    path: str
    label: str
    unit: float = 1.0
    digits: int = 0
    device_type: str = ""
    higher_is_better: bool = False

    def of(self, run: Run) -> float | None:
        """Return the cost of a run in the shown unit; None if it did not record it on such a device."""
        value = run.number(self.path) if self.device_type in ("", run.text("device.type")) else None
        # Not multiplied by 1e-6, which is rounded: 7,000 bytes would be less than 0.007 MB.
        return None if value is None else value / self.unit

    def mean(self, runs: Iterable[Run]) -> float | None:
        """Return the mean over runs in the shown unit; None if none recorded it."""
        values = [value for run in runs if (value := self.of(run)) is not None]
        return fmean(values) if values else None

    def show(self, value: float) -> str:
        """Format a value in the shown unit."""
        return f"{value:,.{self.digits}f}"


PARAMETERS = Cost("model.num_parameters", "parameters")
STATE = Cost("model.state_size", "state size")
FIT_TIME = Cost("timing.fit_seconds", "training time, s", digits=1)
# On a CPU the record has the memory of the whole process, most of which is that of libraries.
MEMORY = Cost("peak_memory_bytes", "peak GPU memory, MiB", 2**20, device_type="cuda")


def costs_of(kind: TaskKind) -> tuple[Cost, ...]:
    """Return the costs in the table of costs of a task."""
    speed = Cost(f"timing.{kind.throughput}_per_second", f"{kind.throughput}/s")
    return (PARAMETERS, STATE, FIT_TIME, speed, MEMORY)


def _latencies(name: str, label: str) -> dict[str, Cost]:
    return {
        f"{name}_p{percent}_ms": Cost(f"inference.{name}.p{percent}_ms", f"{label} p{percent}, ms", digits=3)
        for percent in PERCENTILES
    }


def _speed(path: str, label: str) -> Cost:
    return Cost(f"inference.{path}", label, digits=0, higher_is_better=True)


INFERENCE: dict[str, Cost] = {
    **_latencies("latency", "latency"),
    **_latencies("step_latency", "latency of a step"),
    **_latencies("beam5_latency", "latency with beam 5"),
    **{f"throughput_{size}": _speed(f"throughput.batch_{size}", f"samples/s, batch {size}") for size in BATCH_SIZES},
    "words_per_second": _speed("words_per_second", "words/s"),
    "beam5_words_per_second": _speed("beam5_words_per_second", "words/s with beam 5"),
    "weight_mb": Cost("inference.weight_bytes", "weights, MB", 1e6, 3),
    **{
        f"memory_{size}_mib": Cost(f"inference.peak_memory_bytes.batch_{size}", f"memory, MiB, batch {size}", 2**20, 2)
        for size in BATCH_SIZES
    },
    "flops_per_step": Cost("inference.flops_per_step", "FLOPs per step"),
}
"""Name in a budget -> a number of inference.json."""
QUANTITIES: dict[str, Cost] = {**INFERENCE, "parameters": PARAMETERS, "state_size": STATE, "fit_seconds": FIT_TIME}
"""Name -> what a budget may limit."""
