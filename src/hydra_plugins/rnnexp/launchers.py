"""Hydra's launchers `pool`, `submitit_local`, `submitit_slurm` and `ray`: their configs and their classes.

Hydra imports this module for every program, so it imports nothing that is slow.
"""

import shutil
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from rnnexp.sweeps.backends.base import Engine
    from rnnexp.sweeps.backends.pool import Pool
    from rnnexp.sweeps.sweep import Outcome, Sweep


@dataclass
class LauncherConf:
    """Settings of every rnnexp.sweeps.backends.base.Engine, and the one home of their defaults."""

    on_error: str = "continue"
    max_failures: Any = None


@dataclass
class TimedLauncherConf(LauncherConf):
    """Of those where nobody else limits the time of a job."""

    job_timeout: Any = None


class SweepLauncher(Launcher):
    """Hands the jobs that a sweeper asks for to one engine, which lasts as long as the sweep.

    Args:
        settings: the fields of the launcher's config.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.sweep: Sweep | None = None

    @abstractmethod
    def make_engine(self) -> "Engine[Any]":
        """Raises UserError if this machine lacks what the engine needs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.config, self.hydra_context = config, hydra_context
        if not isinstance(config.sweep_dir, str) or not config.sweep_dir:
            from rnnexp.core.errors import UserError

            raise UserError(f"sweep_dir must be the path of a directory, not {config.sweep_dir!r}")

    def check(self, job_overrides: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """The configs of these jobs. Raises UserError if one cannot be composed, or can never run here."""
        return self._sweep().check(job_overrides)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence["Outcome"]:  # noqa: ARG002
        return self._sweep().launch(job_overrides)

    def _sweep(self) -> "Sweep":
        from rnnexp.sweeps.sweep import Sweep

        if self.sweep is None:
            self.sweep = Sweep(self.config, self.hydra_context.config_loader, self.make_engine())
        return self.sweep


@dataclass
class PoolLauncherConf(TimedLauncherConf):
    """Settings of rnnexp.sweeps.backends.pool.Pool."""

    _target_: str = "hydra_plugins.rnnexp.launchers.PoolLauncher"
    jobs: Any = "auto"
    jobs_per_device: int = 1


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="rnnexp")


class PoolLauncher(SweepLauncher):
    """See rnnexp.sweeps.backends.pool.Pool."""

    def make_engine(self) -> "Pool":
        from rnnexp.sweeps.backends.pool import Pool

        return Pool(self.settings)


@dataclass
class SubmititConf(LauncherConf):
    """What both have, under the names of submitit; None leaves the choice to SLURM, or to the job's own config."""

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
    """Takes what it cannot use as well, so that a command for SLURM is tried by changing the launcher's name."""

    _target_: str = "hydra_plugins.rnnexp.launchers.SubmititLocalLauncher"
    timeout_min: int = 10080  # a week: nobody else waits for this machine
    max_num_timeout: int = 5
    array_parallelism: int | None = None  # jobs at once; as many as there are devices for


@dataclass
class SubmititSlurmConf(SubmititConf):
    """Adds what only SLURM has."""

    _target_: str = "hydra_plugins.rnnexp.launchers.SubmititSlurmLauncher"
    timeout_min: int = 60
    max_num_timeout: int = 24  # how often a job that ran out of time goes back into the queue
    signal_delay_s: int = 120  # before its end a job is told to save
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
    setup: list[str] | None = None  # commands of the shell before the job
    srun_args: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # of sbatch: {mail-type: END}


@dataclass
class RayConf(TimedLauncherConf):
    """Of a local cluster `num_cpus` and `num_gpus` are those of the machine unless they are given."""

    _target_: str = "hydra_plugins.rnnexp.launchers.RayLauncher"
    address: str = "local"  # local starts a cluster on this machine; auto or host:port joins one that stands
    num_cpus: int | None = None
    num_gpus: int | None = None
    jobs_per_device: int = 1  # jobs that share a GPU


for _name, _node in {"submitit_local": SubmititLocalConf, "submitit_slurm": SubmititSlurmConf, "ray": RayConf}.items():
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_node, provider="rnnexp")


class SubmititLocalLauncher(SweepLauncher):
    """See rnnexp.sweeps.backends.submitit_local.LocalEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("submitit", launcher="submitit_local", extra="slurm")
        from rnnexp.sweeps.backends.submitit_local import LocalEngine

        return LocalEngine(self.settings)


class SubmititSlurmLauncher(SweepLauncher):
    """See rnnexp.sweeps.backends.slurm.SlurmEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("submitit", launcher="submitit_slurm", extra="slurm")
        if missing := [command for command in ("sbatch", "srun", "sacct", "scancel") if shutil.which(command) is None]:
            raise _user_error(
                f"hydra/launcher=submitit_slurm needs a machine of a SLURM cluster, and there is no {missing[0]} here; "
                "hydra/launcher=submitit_local runs the same jobs on this machine"
            )
        from rnnexp.sweeps.backends.slurm import SlurmEngine

        return SlurmEngine(self.settings)


class RayLauncher(SweepLauncher):
    """See rnnexp.sweeps.backends.ray.RayEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("ray", launcher="ray", extra="ray")
        from rnnexp.sweeps.backends.ray import RayEngine

        return RayEngine(self.settings)


def _require(package: str, launcher: str, extra: str) -> None:
    if find_spec(package) is None:
        raise _user_error(f"hydra/launcher={launcher} needs {package}: pip install rnnexp[{extra}]")


def _user_error(line: str) -> Exception:
    from rnnexp.core.errors import UserError

    return UserError(line)
