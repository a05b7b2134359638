"""Hydra's launchers `pool`, `submitit_local`, `submitit_slurm` and `ray`: one class, and a config for each backend.

Hydra imports this module in every program, so it has no slow imports at the top.
"""

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from rnnexp.core.errors import missing_extra_errors

if TYPE_CHECKING:
    from rnnexp.sweeps.backends.base import Backend
    from rnnexp.sweeps.jobs import Job
    from rnnexp.sweeps.sweep import JobOutcome, Points, Sweep


@dataclass
class LauncherConf:
    """Settings of every `rnnexp.sweeps.backends.base.Backend`. The defaults are defined here only.

    Args:
        backend: `module:class` of the backend.
        on_error: `continue` with the other jobs when one fails, or `stop`.
        max_failures: the number of failed jobs at which the sweep stops; None never stops it.
        retries: how often a job that ended by a cause that may be transient is started again in the same sweep.
    """

    backend: str
    _target_: str = "hydra_plugins.rnnexp.launchers.SweepLauncher"
    on_error: str = "continue"
    max_failures: Any = None
    retries: Any = 0


@dataclass
class TimedLauncherConf(LauncherConf):
    """Settings of backends without a scheduler that limits the time of a job.

    Args:
        job_timeout: the seconds after which a job is stopped as hung; None lets it run.
    """

    job_timeout: Any = None


@dataclass
class PoolConf(TimedLauncherConf):
    """Settings of `rnnexp.sweeps.backends.pool.PoolBackend`."""

    backend: str = "rnnexp.sweeps.backends.pool:PoolBackend"
    jobs: Any = "auto"
    jobs_per_device: int = 1


@dataclass
class SubmititConf(LauncherConf):
    """Settings of both submitit backends, named as in submitit. None leaves a value to SLURM or to the job's config."""

    submitit_folder: str = "${sweep_dir}/submitit"
    name: str = "rnnexp"
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    stderr_to_stdout: bool = False


@dataclass
class SubmititLocalConf(SubmititConf, TimedLauncherConf):
    """Settings of `rnnexp.sweeps.backends.submitit_local.SubmititLocalBackend`.

    It also accepts settings that only SLURM uses, so that a command for SLURM runs here with another launcher's name.
    """

    backend: str = "rnnexp.sweeps.backends.submitit_local:SubmititLocalBackend"
    timeout_min: int = 10080  # one week: this machine has no queue
    max_num_timeout: int = 5
    array_parallelism: int | None = None  # jobs at once; None: as many as the devices allow


@dataclass
class SubmititSlurmConf(SubmititConf):
    """Settings of `rnnexp.sweeps.backends.slurm.SlurmBackend`."""

    backend: str = "rnnexp.sweeps.backends.slurm:SlurmBackend"
    timeout_min: int = 60
    max_num_timeout: int = 24  # how often a job that reached its time limit is requeued
    signal_delay_s: int = 120  # the time before the limit at which a job is signaled to save
    mem_per_cpu: str | None = None
    mem_per_gpu: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    comment: str | None = None
    array_parallelism: int = 256  # jobs at once
    setup: list[str] | None = None  # shell commands that run before the job
    srun_args: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # options of sbatch, {mail-type: END}


@dataclass
class RayConf(TimedLauncherConf):
    """Settings of `rnnexp.sweeps.backends.ray.RayBackend`."""

    backend: str = "rnnexp.sweeps.backends.ray:RayBackend"
    address: str = "local"  # local starts a cluster on this machine; auto or host:port joins a running one
    num_cpus: int | None = None  # of a local cluster; None: those of the machine
    num_gpus: int | None = None
    jobs_per_device: int = 1  # jobs that share a GPU


LAUNCHERS = {"pool": PoolConf, "submitit_local": SubmititLocalConf, "submitit_slurm": SubmititSlurmConf, "ray": RayConf}
for _name, _node in LAUNCHERS.items():
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_node, provider="rnnexp")


class SweepLauncher(Launcher):
    """A launcher that runs the jobs of a sweeper with one backend, which is kept for the whole sweep.

    Args:
        backend: `module:class` of the backend.
        settings: the other fields of the launcher's config.
    """

    def __init__(self, backend: str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.backend = backend
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self._sweep: Sweep | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        from rnnexp.sweeps.compose import JobComposer, read_settings

        self.name = config.hydra.runtime.choices["hydra/launcher"]
        self.sweep_settings = read_settings(config)
        self.composer = JobComposer(hydra_context.config_loader, config)

    def check(self, points: "Points") -> "list[Job]":
        """Return the jobs of these points. Raise UserError if one cannot be composed or cannot run here."""
        return self.open().check(points)

    def run_batch(self, points: "Points") -> "list[JobOutcome]":
        """Run the jobs of these points without a report, and return their outcomes, in order."""
        return self.open().launch(points, report=False)

    def launch(self, job_overrides: "Points", initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Run the jobs of these points, and return their results to a sweeper of Hydra.

        Raises:
            UserError: after all jobs have ended, if one failed or did not measure the optimized metric.
        """
        outcomes = self.open().launch(job_overrides, report=self.sweep_settings.report)
        # Hydra would print an additional line for an error in JobReturn.
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        returns = []
        # A dry run has no outcomes.
        for overrides, outcome in zip(job_overrides, outcomes, strict=False):
            returned = JobReturn(overrides, working_dir=str(outcome.directory), status=JobStatus.COMPLETED)
            returned.return_value = outcome.value
            returns.append(returned)
        return returns

    def open(self) -> "Sweep":
        """Return the sweep. The first call opens its directory.

        Raises:
            UserError: see `rnnexp.sweeps.sweep.Sweep`.
        """
        if self._sweep is None:
            from rnnexp.sweeps.sweep import Sweep

            self._sweep = Sweep(self.sweep_settings, self.composer, self._make_backend())
        return self._sweep

    def _make_backend(self) -> "Backend[Any]":
        """Return the backend. Raise UserError if it needs a package that is not installed."""
        with missing_extra_errors(f"hydra/launcher={self.name}", "slurm", "ray"):
            backend_class = pkgutil.resolve_name(self.backend)
        backend: Backend[Any] = backend_class(self.settings)
        return backend
