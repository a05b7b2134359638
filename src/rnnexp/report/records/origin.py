"""How runs were made: seeds, code, devices, times, and the commands of their sweeps."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rnnexp.core.files.atomic import find_json
from rnnexp.report.records.axes import number_order
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.tracking.identity import RUN_ONLY
from rnnexp.tracking.sweep_directory import SweepDirectory, words_of

KEPT = ("optimized_metric", "monitor", "monitor_mode", "ckpt_path")
"""The keys of `RUN_ONLY` that a command needs: other keys use them, or training starts from them."""


def origin(group: ComparisonGroup) -> Iterator[str]:
    """Yield sentences about how the runs behind the tables of a group were made."""
    runs = group.counted
    if not runs:
        return
    yield f"Seeds: {', '.join(sorted({run.seed for run in runs}, key=number_order))}."
    for what, values in (("Code", [run.code for run in runs]), ("Device", [run.device for run in runs])):
        most_common, number = Counter(values).most_common(1)[0]
        yield f"{what}: {most_common or 'unknown'} ({number} of {len(values)} runs)."
    without = [run for run in group.runs if run.status.is_failure]
    yield from _time(runs, without)
    sweeps = dict.fromkeys(sweep for run in runs if (sweep := run.sweep) is not None)
    for command in dict.fromkeys(command for sweep in sweeps if (command := _command(sweep))):
        yield f"Command of the sweep, the last one, without keys that do not affect results: {command}"


def _time(runs: Sequence[Run], without: Sequence[Run]) -> Iterator[str]:
    """Yield the sentence about the time, as far as the runs recorded it.

    Args:
        runs: the runs that count.
        without: those that ended without a result, such as the pruned trials of a search.
    """
    seconds = [total for run in runs if (total := run.number("timing.total_seconds")) is not None]
    if not seconds:
        return
    ended = [*runs, *without]
    try:
        first, last = (
            choose(datetime.fromisoformat(time) for time in times).astimezone()
            for choose, times in (
                (min, [run.queued for run in ended if run.queued]),
                (max, [run.since for run in ended if run.since]),
            )
        )
    # Records without a time, or with one that has no time zone beside others that have one.
    except (ValueError, TypeError, OverflowError):
        period = ""
    else:
        period = f", from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M %Z}"
    number = f"{len(seconds)} run{'s' if len(seconds) > 1 else ''}"
    more = f", {len(without)} more without a result" if without else ""
    yield f"Time: {sum(seconds) / 60:,.1f} minutes in {number}{more}{period}."


def _command(sweep: Path) -> str:
    """Return the last command of a sweep without what does not affect results; empty if it cannot be read."""
    words = words_of(find_json(SweepDirectory(sweep).record_file).get("command"))
    if len(words) > 1 and Path(words[1]).name == "rnnexp":
        # A console script is recorded with its path on that machine.
        words = words[1:]
        words[0] = "rnnexp"
    return shlex.join(word for word in words if _affects_results(word))


def _affects_results(word: str) -> bool:
    key, is_override, _ = word.lstrip("+~").partition("=")
    if not is_override or key in KEPT:
        return True
    return not any(key == other or key.startswith(f"{other}.") for other in (*RUN_ONLY, "hydra.launcher"))
