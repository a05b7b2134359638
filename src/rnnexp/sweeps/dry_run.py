"""A sweep before it runs: its jobs, what cannot run here, and about how long the rest takes."""

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from rich.console import Console
from rich.table import Table

from rnnexp.core.errors import UnsupportedError, UserError
from rnnexp.sweeps.devices import Devices
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.forkserver import start_server
from rnnexp.sweeps.process.watchdog import exit_with_parent
from rnnexp.sweeps.progress import clock
from rnnexp.tracking.identity import SEEDS, config_hash

NUM_STEPS = 30


def dry_run_report(jobs: Sequence[Job], devices: Devices) -> None:
    """Shows the jobs in a table. Each configuration takes some training steps, whatever its seeds, to be timed."""
    table = Table(box=None, pad_edge=False)
    for column in ("job", "needs", "state", "estimate"):
        table.add_column(column)
    context = start_server()
    tried: dict[str, tuple[float | None, str]] = {}
    estimates: list[float | None] = []
    for job in jobs:
        if job.is_final:
            table.add_row(job.label, "", job.status, "")
            continue
        configuration = config_hash(job.config, *SEEDS)
        if configuration not in tried:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_try, args=(job.config, sender))
            process.start()
            sender.close()
            try:
                tried[configuration] = receiver.recv()
            except EOFError:
                tried[configuration] = None, "fails: its process died in the trial"
            process.join()
        seconds, trouble = tried[configuration]
        estimates += [] if trouble else [seconds]
        needs = f"{job.need.gpus} gpu" if job.need.gpus else f"{job.need.cores} core"
        state = trouble or ("to be continued" if job.resumes else "to run")
        table.add_row(job.label, needs, state, "" if trouble else "unknown" if seconds is None else clock(seconds))
    console = Console()
    if not console.is_terminal:
        # A log has no width: one line a job.
        console = Console(width=250)
    console.print(table)
    at_once = max(1, len(devices.gpus) * devices.jobs_per_device or devices.cores)
    known = [seconds for seconds in estimates if seconds is not None]
    total = sum(known)
    unknown = len(estimates) - len(known)
    console.print(
        f"{len(jobs)} job{'s' * (len(jobs) > 1)}, about {clock(total)} one after the other, at best "
        f"{clock(total / at_once)} here" + f", and {unknown} that were too short to be timed" * bool(unknown)
    )


def _try(config: dict[str, Any], answer: Connection) -> None:
    """Trains some steps and sends (seconds of the whole training or None, what stands in the way or nothing)."""
    from omegaconf import OmegaConf

    from rnnexp.callbacks.training_metrics import Throughput
    from rnnexp.runs.build import assemble
    from rnnexp.runs.stages import fit, probe

    exit_with_parent()
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (not a file)
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    few = {
        "max_steps": NUM_STEPS,
        "limit_val_batches": 0,
        "default_root_dir": None,
        "devices": 1,
        "log_every_n_steps": 5,
    }
    callbacks = {"throughput": {"_target_": "rnnexp.callbacks.training_metrics.Throughput"}}
    small = OmegaConf.create({**config, "logger": {}, "callbacks": callbacks, "trainer": {**config["trainer"], **few}})
    try:
        experiment = assemble(small)
        probe(small, experiment)
        fit(small, experiment)
        throughput = next(callback for callback in experiment.callbacks if isinstance(callback, Throughput))
        samples = int(str(experiment.datamodule.data_info["num_train"])) * float(config["trainer"]["max_epochs"] or 1)
        rate = throughput.samples_per_second
        answer.send((samples / rate if rate else None, ""))
    except UserError as error:
        answer.send((None, str(error) if error.exit_code == UnsupportedError.exit_code else f"fails: {error}"))
    except Exception as error:
        answer.send((None, f"fails: {type(error).__name__}: {error}"))
    finally:
        answer.close()
