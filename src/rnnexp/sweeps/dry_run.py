"""The dry run of a sweep: it lists the jobs, those that cannot run here, and estimates of their time."""

import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from rnnexp.core.errors import UnsupportedError, UserError
from rnnexp.core.progress import Progress, format_duration
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.forkserver import start_server
from rnnexp.sweeps.process.watchdog import exit_with_parent
from rnnexp.tracking.identity import SEEDS, config_hash

MAX_ESTIMATE_SECONDS = 600.0
"""The time limit of an estimate, including imports and the loading of data."""


class Estimate(NamedTuple):
    """The estimate of a job.

    Args:
        seconds: the estimated time of training; infinite if the config sets no end.
        trouble: the reason for which the job cannot run here; empty if it can.
    """

    seconds: float = 0.0
    trouble: str = ""

    def __str__(self) -> str:
        if self.trouble:
            return ""
        return format_duration(self.seconds) if self.seconds < float("inf") else "without end"


def dry_run_report(jobs: Sequence[Job], num_slots: int) -> None:
    """Print the jobs in a table, with estimates of their training time from some steps of each setting.

    Args:
        jobs: the jobs of the sweep.
        num_slots: the number of jobs that run at once on this machine.
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
            table.add_row(job.label, str(job.request), state, str(estimates[job]))
        else:
            table.add_row(job.label, "", str(job.status), "")
    console.print(table)
    total = Estimate(sum(estimate.seconds for estimate in estimates.values()))
    at_best = Estimate(total.seconds / num_slots)
    counted = f"{len(jobs)} job{'s' * (len(jobs) > 1)}"
    console.print(f"{counted}, about {total} one after the other, at best {at_best} here", markup=False)


def _estimate(jobs: Sequence[Job], console: Console) -> dict[Job, Estimate]:
    """Time one job of each setting, one after the other, so that they do not slow each other down."""
    settings: dict[str, list[Job]] = {}
    for job in jobs:
        settings.setdefault(config_hash(job.config, *SEEDS), []).append(job)
    if not settings:
        return {}
    context = start_server()
    estimates = {}
    write_line = console.print
    with Progress("dry run", len(settings), "settings", patience_seconds=10.0, write_line=write_line) as progress:
        for group in settings.values():
            estimate = _try(context, group[0].config)
            estimates.update(dict.fromkeys(group, estimate))
            progress.advance(1)
    return estimates


def _try(context: ForkServerContext, config: Mapping[str, Any]) -> Estimate:
    """Return the estimate of a config, which is made in a separate process."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_estimate, args=(config, sender))
    process.start()
    sender.close()
    try:
        if receiver.poll(MAX_ESTIMATE_SECONDS):
            return Estimate(*receiver.recv())
        return Estimate(trouble=f"fails: its estimate took more than {MAX_ESTIMATE_SECONDS:g} seconds")
    except EOFError:
        return Estimate(trouble="fails: the process of its estimate was killed")
    finally:
        process.kill()
        process.join()


def _send_estimate(config: Mapping[str, Any], sender: Connection) -> None:
    """Send the estimate of a config. All output is discarded."""
    exit_with_parent()
    with open(os.devnull, "w", encoding="utf-8") as devnull:  # noqa: PTH123 (not a file)
        os.dup2(devnull.fileno(), 1)
        os.dup2(devnull.fileno(), 2)
    # This module imports torch, which the process of the sweep does not need.
    from rnnexp.sweeps.estimate import training_seconds

    try:
        sender.send((training_seconds(config), ""))
    except UnsupportedError as error:
        sender.send((0.0, str(error)))
    except UserError as error:
        sender.send((0.0, f"fails: {error}"))
    except Exception as error:
        sender.send((0.0, f"fails: {type(error).__name__}: {error}"))
    finally:
        sender.close()
