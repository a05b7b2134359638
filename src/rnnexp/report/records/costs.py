"""Costs of settings, from result.json. Scores are a `Measure` of the registry of tasks."""

from dataclasses import dataclass

from rnnexp.report.records.runs import Run
from rnnexp.tasks.registry import TaskKind


@dataclass(frozen=True)
class Cost:
    """A cost in result.json and its format.

    Args:
        path: its keys in result.json, joined by dots.
        label: the name in tables and figures, with the unit.
        scale: the factor from the recorded to the shown value.
        digits: digits after the decimal point.
        device_type: the type of the devices on which it was measured; empty for any.
    """

    path: str
    label: str
    scale: float = 1.0
    digits: int = 0
    device_type: str = ""

    def of(self, run: Run) -> float | None:
        """Return the scaled cost of a run; None if it did not record it on such a device."""
        value = run.number(self.path) if self.device_type in ("", run.text("device.type")) else None
        return None if value is None else self.scale * value

    def show(self, value: float) -> str:
        """Format a scaled value."""
        return f"{value:,.{self.digits}f}"


PARAMETERS = Cost("model.num_parameters", "parameters")
STATE = Cost("model.state_size", "state size")
FIT_TIME = Cost("timing.fit_seconds", "fit time, s", digits=1)
# On a CPU the record has the memory of the whole process, most of which is that of libraries.
MEMORY = Cost("peak_memory_bytes", "peak GPU memory, MiB", 2**-20, device_type="cuda")


def costs_of(kind: TaskKind) -> tuple[Cost, ...]:
    """Return the costs in the table of costs of a task."""
    speed = Cost(f"timing.{kind.throughput}_per_second", f"{kind.throughput}/s")
    return (PARAMETERS, STATE, FIT_TIME, speed, MEMORY)
