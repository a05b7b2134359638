"""The command line of the measurement."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import positive_number, positive_whole


@dataclass(frozen=True)
class Options:
    """The options of a measurement.

    Args:
        directories: sweeps, runs, or directories of them.
        rounds: rounds in which the runs take turns.
        seconds: the time of a round for each measured number of a run, after a least number of calls.
        num_threads: the number of CPU threads.
        accelerator: `auto`, `cpu` or `gpu`.
        data: other values for the config group `data` of the runs.
        trust: modules whose code the configs of the runs may name, see `rnnexp.runs.frozen.config`.
    """

    directories: Sequence[Path]
    rounds: int
    seconds: float
    num_threads: int
    accelerator: str
    data: Mapping[str, str]
    trust: Sequence[str]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnexp.latency",
        description="Measure latency, throughput and memory of finished runs on this machine, in turns, and write "
        "inference.json into each run directory. python -m rnnexp.report shows the numbers.",
    )
    add = parser.add_argument
    add("directories", metavar="dir", nargs="+", type=Path, help="a sweep, a run, or a directory of them")
    add("--rounds", type=positive_whole, default=5, help="rounds in which the runs take turns (5)")
    add("--seconds", type=positive_number, default=1.0, help="time of a round for each measured number of a run (1)")
    add("--threads", type=positive_whole, default=1, help="CPU threads (1)")
    add("--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="where the networks run (auto)")
    moved = "another value of the config group data, where the data have moved: --data root=DIR"
    add("--data", metavar="key=value", action="append", default=[], help=moved)
    trusted = "a module of your own that the configs of the runs may name"
    add("--trust", metavar="module", action="append", default=[], help=trusted)
    return parser


def options_of(parsed: argparse.Namespace) -> Options:
    """Return the options of a parsed command line.

    Raises:
        UserError: for `--data` without a key.
    """
    pairs = [text.partition("=") for text in parsed.data]
    if wrong := next((key for key, sign, _ in pairs if not sign or not key), None):
        raise UserError(f"--data must be key=value, as in --data root=DIR, not {wrong!r}")
    return Options(
        directories=parsed.directories,
        rounds=parsed.rounds,
        seconds=parsed.seconds,
        num_threads=parsed.threads,
        accelerator=parsed.accelerator,
        data={key: value for key, _, value in pairs},
        trust=parsed.trust,
    )
