"""The jobs of a sweep: composed once, all before the first begins, and compared with what the directory holds."""

import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from rnnexp.cli.main import require_one_of_each
from rnnexp.core.errors import UserError
from rnnexp.runs.create import resolved
from rnnexp.sweeps.devices import ResourceRequest, need_of
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status
from rnnexp.tracking.sweep_directory import SweepDirectory

# The number of a cell's blocks again, since rnnexp.recurrent would make the pool wait for torch; it only orders jobs.
GATES = {"srn": 1, "gru": 3, "lstm": 4}


@dataclass
class Job:
    """One point of a sweep.

    `overrides` are those that tell it from the others, `typed` all of them.
    `cost` orders jobs by how long they will take; it has no unit. `resumes` says that the job goes on from the last
    checkpoint in its directory. `status` is that of its directory, `waiting` if it is to run, `new` if it never ran.
    `is_under_way` says that an earlier command has started it and it goes on without that command.
    """

    overrides: list[str]
    config: dict[str, Any]
    run: RunDirectory
    need: ResourceRequest
    cost: float
    typed: list[str]
    resumes: bool = False
    status: str = "new"
    is_under_way: bool = False

    @property
    def is_final(self) -> bool:
        """Whether running it again would come out the same."""
        return Status(self.status).is_final

    @property
    def label(self) -> str:
        return " ".join(self.overrides) or str(self.config["name"])


def compose_jobs(
    loader: ConfigLoader, config: DictConfig, points: Sequence[Sequence[str]], sweep: SweepDirectory, num_gpus: int
) -> list[Job]:
    """One job for every point of the grid, in its order; points that are the same experiment share one job.

    Args:
        config: of the multirun as a whole.
        points: the overrides of each.
    """
    jobs: dict[str, Job] = {}
    ordered = []
    varying = _varying(points)
    for index, overrides in enumerate(points):
        shown = _of_trial(overrides) or [each for each in overrides if each.partition("=")[0] in varying]
        composed = _compose(loader, config, overrides, index)
        identity = config_hash(resolved(composed))
        if identity not in jobs:
            run = _directory(shown, identity, sweep)
            composed.paths.output_dir = str(run.path)
            plain = resolved(composed)
            _adapt(plain, sweep)
            jobs[identity] = Job(shown, plain, run, need_of(plain, num_gpus), relative_cost(plain), list(overrides))
        ordered.append(jobs[identity])
    return ordered


def _varying(points: Sequence[Sequence[str]]) -> set[str]:
    """The keys that tell the points apart; of a single point none."""
    everywhere = set.intersection(*(set(overrides) for overrides in points))
    return {override.partition("=")[0] for overrides in points for override in overrides if override not in everywhere}


def _of_trial(overrides: Sequence[str]) -> list[str]:
    """The number of a search's trial and what the search asks of it, which follows; empty for a point of a grid."""
    start = next(
        (index for index, override in enumerate(overrides) if override.startswith("trial_number=")), len(overrides)
    )
    return list(overrides[start:])


def _compose(loader: ConfigLoader, config: DictConfig, overrides: Sequence[str], index: int) -> DictConfig:
    composed = loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = str(index)
        composed.hydra.job.num = index
    HydraConfig.instance().set_config(composed)
    require_one_of_each(composed, composed.hydra.runtime.choices)
    with open_dict(composed):
        del composed["hydra"]
        # The same for every job, and known by now.
        composed.sweep_dir = config.sweep_dir
    return composed


def _directory(overrides: Sequence[str], identity: str, sweep: SweepDirectory) -> RunDirectory:
    # Whatever it was called in an earlier grid, its hash ends the name.
    for path in sweep.jobs.glob(f"*{identity}"):
        return RunDirectory(path)
    # Without an equals sign, which Hydra would want quoted in run=.
    slug = "_".join(re.sub(r"[^\w.+-]+", "-", override) for override in overrides)[:80].strip("-_")
    return sweep.job(f"{slug}_{identity}" if slug else identity)


def _adapt(config: dict[str, Any], sweep: SweepDirectory) -> None:
    """To a process that sees its own devices alone, counted from 0, and whose W&B run is one of the sweep's group."""
    if isinstance(config["trainer"]["devices"], list):
        config["trainer"]["devices"] = len(config["trainer"]["devices"])
    wandb = (config.get("logger") or {}).get("wandb")
    if wandb and wandb.get("group") == config["name"]:
        wandb["group"] = sweep.path.name


def relative_cost(config: Mapping[str, Any]) -> float:
    """How long a job takes beside others, from its config alone: epochs x products of the recurrent layers."""
    model, trainer, data = config["model"], config["trainer"], config["data"]
    directions = 2 if model["bidirectional"] else 1
    hidden = model["hidden_size"]
    products = GATES.get(model["cell"], 4) * directions * model["num_layers"] * hidden * (hidden + 64)
    steps = 784 if data.get("view") == "pixels" else 28
    share = trainer["limit_train_batches"]
    epochs = max(trainer["max_epochs"] or 1, 1)
    return float(epochs * steps * (products + 20_000) * (share if isinstance(share, float) else 1.0))


def load_statuses(jobs: Sequence[Job]) -> None:
    """Sets each job's `status` and `resumes` from what its directory holds.

    Raises:
        UserError: for a status that cannot be read.
    """
    for job in jobs:
        if not job.run.status_file.exists():
            continue
        try:
            job.status = job.run.status
        except UserError as error:
            raise UserError(f"{error}; remove {job.run.path} to run that job again") from None
        if job.status in ("running", "queued"):
            # Nobody else holds the sweep's lock, so whoever ran it is gone, but for SLURM, whom the engine asks.
            job.status = "interrupted"
        job.resumes = job.status == "interrupted" and job.run.last_checkpoint.exists()


def require_gpus(jobs: Sequence[Job], there_are: int) -> None:
    """Raises UserError for a job that needs more GPUs than a job can get."""
    for job in jobs:
        if job.need.gpus > there_are:
            raise UserError(f"{job.label}: needs {job.need.gpus} GPUs, and there are {there_are}")


def prepare(job: Job, code: Mapping[str, Any]) -> None:
    """Makes the job's directory ready to begin in, or to continue in; what an earlier, failed attempt left goes."""
    job.status = "waiting"
    if job.resumes:
        # The same experiment, but perhaps with another logger.
        job.run.write_config(job.config, job.typed)
        job.run.set_status(Status.QUEUED, "to be continued")
        return
    if job.run.path.exists():
        for entry in job.run.path.iterdir():
            if entry == job.run.output_file:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    job.run.path.mkdir(parents=True, exist_ok=True)
    job.run.freeze(job.config, job.typed, code)


def finalize(job: Job, ended: str, verdict: str = "failed", why: str = "") -> str:
    """Finds out what became of a job whose process is gone, and writes it down where the job could not.

    Args:
        ended: how the process ended, the reason if nothing better is known.
        verdict: the status of a job that died without a word.
        why: the reason for which it was asked to stop.

    Returns:
        The reason for its status.
    """
    try:
        record = job.run.read_status()
        job.status, reason = str(record["status"]), str(record["reason"])
        died_silently = job.status in ("queued", "running")
        if died_silently or (why and job.status == "interrupted"):
            job.status, reason = verdict, why or ended
            job.run.end(Status(job.status), reason)
    except (OSError, UserError) as error:
        # A full disk, say: the other jobs may still have somewhere to write.
        job.status, reason = "failed", f"{ended}, and its status could not be recorded ({error})"
    return reason


def exit_reason(code: int | None) -> str:
    """Of a process with that exit code, which has left no status behind."""
    if code == -signal.SIGKILL:
        return "killed with SIGKILL, by somebody or because the machine ran out of memory"
    if code is not None and code < 0:
        return f"killed with {signal.Signals(-code).name}"
    return f"ended with exit code {code} without a word in its status"
