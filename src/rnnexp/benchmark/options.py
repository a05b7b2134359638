"""The options of a benchmark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from rnnexp.benchmark.translation.peers.registry import PEERS
from rnnexp.core.validation import require_positive, validate_choice


@dataclass(frozen=True)
class Options:
    """The keys of conf/benchmark.yaml that are not keys of train.

    Args:
        steps: timed steps of each candidate in each repetition.
        warmup_steps: steps before these, not timed.
        repetitions: rounds in which the candidates take turns.
        cpu_time: whether the CPU time of the process is counted in place of wall time.
        start_up: whether the start-up of the programs is measured as well.
        sweep_jobs: jobs of a sweep that is timed under rnnexp's launcher and under Hydra's; 0 measures none.
        cells: cells to classify with, one after the other in place of `model.cell`.
        workers: processes of lightning-hydra-template's DataLoader; each number is a candidate.
        pairs: sentence pairs that the tutorial loop trains on in each repetition.
        decode_sentences: the number of test sentences that are translated in each repetition.
        train_minutes: minutes that each decoder of rnnexp and each peer trains before what they learned is compared; 0
            trains none.
        peers: name of another toolkit -> the Python interpreter that has it; None does not measure it.

    Raises:
        ValueError: for a size that is not a whole number, or too small.
        TypeError: for a value of another type.
    """

    steps: int
    warmup_steps: int
    repetitions: int
    cpu_time: bool
    start_up: bool
    sweep_jobs: int
    cells: Sequence[str]
    workers: Sequence[int]
    pairs: int
    decode_sentences: int
    train_minutes: float
    peers: Mapping[str, str | None]

    def __post_init__(self) -> None:
        for name in ("steps", "warmup_steps", "repetitions", "pairs", "decode_sentences"):
            require_positive(**{name: getattr(self, name)})
        for name in ("cells", "workers"):
            if not isinstance(getattr(self, name), list):
                raise TypeError(f"{name} must be a list, not {getattr(self, name)!r}: write {name}=[...]")
        for name, sizes in (("sweep_jobs", [self.sweep_jobs]), ("workers", self.workers)):
            for size in sizes:
                if isinstance(size, bool) or not isinstance(size, int) or size < 0:
                    raise ValueError(f"{name} must be a whole number of at least 0, not {size!r}")
        for name in ("start_up", "cpu_time"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be true or false, not {getattr(self, name)!r}")
        _validate_minutes(self.train_minutes)
        _validate_peers(self.peers)
        if self.cpu_time and any(self.workers):
            raise ValueError("cpu_time=true does not count the processes of a DataLoader: leave out workers")


def _validate_minutes(minutes: object) -> None:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes < math.inf:
        raise ValueError(f"train_minutes must be a number of at least 0, not {minutes!r}")


def _validate_peers(peers: object) -> None:
    if not isinstance(peers, dict):
        raise TypeError(f"peers must be names with interpreters, not {peers!r}: write peers.joeynmt=PYTHON")
    for name, python in peers.items():
        validate_choice("peer", name, PEERS)
        if not isinstance(python, str | None):
            raise TypeError(f"peers.{name} must be the path of a Python interpreter, not {python!r}")


KEYS = tuple(field.name for field in fields(Options))
"""The keys that train does not have."""
