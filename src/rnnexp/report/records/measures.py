"""What is compared: the test metrics of each task, the main one first, and what they cost."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A metric of result.json, and how it is shown."""

    name: str
    label: str
    unit: str = ""
    scale: float = 1.0
    """from the metric to what is shown"""
    digits: int = 2
    higher_is_better: bool = True
    highest: float = math.inf
    """as it is shown; the lowest is 0 of all"""

    @property
    def title(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def validation(self) -> str:
        """The name of the same metric on the validation split."""
        return self.name.replace("test/", "val/", 1)

    def show(self, value: float) -> str:
        """A value that is scaled already, without its unit."""
        return f"{value:.{self.digits}f}"

    def interval(self, middle: float, half_width: float) -> tuple[float, float]:
        """Its ends, as far as there can be such values; all as they are shown."""
        return max(0.0, middle - half_width), min(self.highest, middle + half_width)


LOSS = Measure("test/loss", "loss", "nats", digits=4, higher_is_better=False)
MEASURES = {
    "classification": (Measure("test/acc", "accuracy", "%", 100, highest=100), LOSS),
    "translation": (
        Measure("test/bleu", "BLEU", highest=100),
        Measure("test/literature/bleu", "BLEU as in the literature", highest=100),
        Measure("test/chrf", "chrF", highest=100),
        Measure("test/exact_match", "exact match", "%", 100, highest=100),
        Measure("test/loss", "loss", "nats per token", digits=4, higher_is_better=False),
    ),
}
"""By task; of one that stands not here the loss is compared."""


@dataclass(frozen=True)
class Cost:
    """What a setting takes, as result.json has it: a path of keys, and how a number is shown."""

    path: str
    label: str
    scale: float = 1.0
    digits: int = 0

    def show(self, value: float) -> str:
        """A value that is scaled already."""
        return f"{value:,.{self.digits}f}"


PARAMETERS = Cost("model.num_parameters", "parameters")
STATE = Cost("model.state_size", "state size")
FIT_TIME = Cost("timing.fit_seconds", "fit time, s", digits=1)
MEMORY = Cost("peak_memory_bytes", "peak memory, MiB", 2**-20)
SAMPLES = Cost("timing.samples_per_second", "samples/s")
TOKENS = Cost("timing.tokens_per_second", "tokens/s")


def measures_of(task: Any) -> tuple[Measure, ...]:  # noqa: ANN401 (as a config has it)
    return MEASURES.get(str(task), (LOSS,))


def costs_of(task: Any) -> tuple[Cost, ...]:  # noqa: ANN401
    return (PARAMETERS, STATE, FIT_TIME, TOKENS if task == "translation" else SAMPLES, MEMORY)
