"""The dry run of a sweep: it lists the jobs, those that cannot run here, and estimates of their time."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from rnnexp.core.errors import UnsupportedError, UserError
from rnnexp.core.progress import Progress, format_duration
from rnnexp.core.user_code import describe_user_code
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.forkserver import ask
from rnnexp.tracking.identity import SEEDS, config_hash
from rnnexp.tracking.summary import plain

MAX_SECONDS = 120.0
"""The time after which no further shape is tried."""
MIN_SECONDS = 60.0
"""The time that each try has, including the loading of data."""
UNTIMED = (
    *(*SEEDS, "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "optimizer.betas", "optimizer.eps"),
    *("scheduler", "task.label_smoothing"),
)
"""Config keys whose values do not change the time of a training."""


SecondsFor = Callable[[Sequence[tuple[ResourceRequest, float]]], float]
"""A function of the request of each job and of its time in seconds, see `rnnexp.sweeps.devices.Devices.seconds_for`."""


class Estimate(NamedTuple):
    """The estimate of a job.

    Args:
        seconds: the estimated time of training; infinite if the config sets no end.
        trouble: the reason for which the job cannot run here; empty if it can.
        source: the jobs from which the time was estimated if the job was not tried itself.
    """

    seconds: float = 0.0
    trouble: str = ""
    source: str = ""

    def __str__(self) -> str:
        if self.trouble:
            return ""
        if math.isnan(self.seconds):
            return "unknown"
        shown = format_duration(self.seconds) if self.seconds < float("inf") else "without end"
        return f"{shown} ({self.source})" if self.source else shown


def dry_run_report(jobs: Sequence[Job], seconds_for: SecondsFor) -> None:
    """Print the jobs in a table, with estimates of their training time from some steps of each setting.

    Args:
        jobs: the jobs of the sweep.
        seconds_for: returns the time in which this machine runs jobs.
    """
    console = Console()
    if not console.is_terminal:
        # A log has no width, and every row must be one line.
        console = Console(width=250)
    estimates = _estimate([job for job in jobs if not job.status.is_final], console)
    table = Table(box=None, pad_edge=False)
    for column in ("job", "needs", "state", "estimate"):
        table.add_column(column)
    for job in jobs:
        if job in estimates:
            state = estimates[job].trouble or ("to be continued" if job.resumes else "to run")
            table.add_row(plain(job.label), str(job.request), state, str(estimates[job]))
        else:
            table.add_row(plain(job.label), "", str(job.status), "")
    console.print(table)
    known = [(job.request, found.seconds) for job, found in estimates.items() if not math.isnan(found.seconds)]
    total, at_best = Estimate(sum(seconds for _, seconds in known)), Estimate(seconds_for(known))
    counted = f"{len(jobs)} job{'s' * (len(jobs) > 1)}"
    console.print(f"{counted}, about {total} one after the other, at best {at_best} here", markup=False)


def _estimate(jobs: Sequence[Job], console: Console) -> dict[Job, Estimate]:
    """Time one job of each shape, one after the other, so that they do not slow each other down.

    Jobs have the same shape if they differ only in `UNTIMED`. Shapes that are not tried within `MAX_SECONDS` are
    estimated from the others.
    """
    shapes: dict[str, dict[str, Job]] = {}
    places = []
    for job in jobs:
        shape = shapes.setdefault(config_hash(job.config, *UNTIMED), {})
        places.append((job, shape.setdefault(config_hash(job.config, *SEEDS), job), shape))
    if not shapes:
        return {}
    tried = _try_shapes([list(shape.values()) for shape in shapes.values()], console)
    return {job: _estimate_of(job, same, shape.values(), tried) for job, same, shape in places}


def _try_shapes(shapes: Sequence[Sequence[Job]], console: Console) -> dict[Job, Estimate]:
    """Return the estimates of the jobs that were tried: for each shape those up to the first that can run."""
    deadline = time.monotonic() + MAX_SECONDS
    tried: dict[Job, Estimate] = {}
    with Progress("dry run", len(shapes), "shapes", patience_seconds=10.0, write_line=console.print) as progress:
        for number, shape in enumerate(shapes):
            for job in shape:
                if (left := deadline - time.monotonic()) <= 0:
                    line = f"dry run: stopped after {MAX_SECONDS:g} seconds, {number} of {len(shapes)} shapes tried"
                    console.print(line, markup=False)
                    return tried
                tried[job] = _try(job.config, max(left, MIN_SECONDS))
                if not tried[job].trouble:
                    break
            progress.advance(1)
    return tried


def _estimate_of(job: Job, same: Job, shape: Iterable[Job], tried: Mapping[Job, Estimate]) -> Estimate:
    """Return the estimate of a job: that of its setting, or else of its shape, or else from the cost of other jobs.

    Args:
        job: the job.
        same: the first job of the same setting.
        shape: the first job of each setting of the same shape.
        tried: the estimates of the jobs that were tried.
    """
    if same in tried:
        return tried[same]
    for other in shape:
        if other in tried and not tried[other].trouble:
            return tried[other]._replace(source=f"as {other.label}")
    measured = {other: found.seconds for other, found in tried.items() if 0 < found.seconds < float("inf")}
    if not measured:
        return Estimate(math.nan)
    rate = sum(measured.values()) / sum(other.cost for other in measured)
    return Estimate(rate * job.cost, source=f"not tried, from {len(measured)} others")


def _try(config: Mapping[str, Any], max_seconds: float) -> Estimate:
    """Return the estimate of a config, which is made in a separate process; NaN after `max_seconds`."""
    try:
        estimate: Estimate = ask(_train_briefly, config, seconds=max_seconds)
    except TimeoutError:
        return Estimate(math.nan)
    except EOFError:
        return Estimate(trouble="fails: the process of its estimate was killed")
    return estimate


def _train_briefly(config: Mapping[str, Any]) -> Estimate:
    """Return the estimate of a config, from some steps of its training."""
    # This module imports torch, which the process of the sweep does not need.
    from rnnexp.sweeps.estimate import training_seconds

    try:
        return Estimate(training_seconds(config))
    except UnsupportedError as error:
        return Estimate(trouble=str(error))
    except UserError as error:
        return Estimate(trouble=f"fails: {error}")
    except Exception as error:
        return Estimate(trouble=f"fails: {describe_user_code(error) or f'{type(error).__name__}: {error}'}")
