"""`hydra/launcher=submitit_slurm`, `submitit_local` and `ray`: every job of a multirun is a job of a cluster."""

import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.rnnexp_pool.sweep_launcher import LauncherConf, SweepLauncher, TimedLauncherConf

if TYPE_CHECKING:
    from rnnexp.launch.engine import Engine


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

    _target_: str = "hydra_plugins.rnnexp_cluster.cluster_launchers.SubmititLocalLauncher"
    timeout_min: int = 10080  # a week: nobody else waits for this machine
    max_num_timeout: int = 5
    array_parallelism: int | None = None  # jobs at once; as many as there are devices for


@dataclass
class SubmititSlurmConf(SubmititConf):
    """Adds what only SLURM has."""

    _target_: str = "hydra_plugins.rnnexp_cluster.cluster_launchers.SubmititSlurmLauncher"
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

    _target_: str = "hydra_plugins.rnnexp_cluster.cluster_launchers.RayLauncher"
    address: str = "local"  # local starts a cluster on this machine; auto or host:port joins one that stands
    num_cpus: int | None = None
    num_gpus: int | None = None
    jobs_per_device: int = 1  # jobs that share a GPU


for _name, _node in {"submitit_local": SubmititLocalConf, "submitit_slurm": SubmititSlurmConf, "ray": RayConf}.items():
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_node, provider="rnnexp")


class SubmititLocalLauncher(SweepLauncher):
    """See rnnexp.launch.local_engine.LocalEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("submitit", launcher="submitit_local", extra="slurm")
        from rnnexp.launch.local_engine import LocalEngine

        return LocalEngine(self.settings)


class SubmititSlurmLauncher(SweepLauncher):
    """See rnnexp.launch.slurm_engine.SlurmEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("submitit", launcher="submitit_slurm", extra="slurm")
        if missing := [command for command in ("sbatch", "srun", "sacct", "scancel") if shutil.which(command) is None]:
            raise _user_error(
                f"hydra/launcher=submitit_slurm needs a machine of a SLURM cluster, and there is no {missing[0]} here; "
                "hydra/launcher=submitit_local runs the same jobs on this machine"
            )
        from rnnexp.launch.slurm_engine import SlurmEngine

        return SlurmEngine(self.settings)


class RayLauncher(SweepLauncher):
    """See rnnexp.launch.ray_engine.RayEngine."""

    def make_engine(self) -> "Engine[Any]":
        _require("ray", launcher="ray", extra="ray")
        from rnnexp.launch.ray_engine import RayEngine

        return RayEngine(self.settings)


def _require(package: str, launcher: str, extra: str) -> None:
    if find_spec(package) is None:
        raise _user_error(f"hydra/launcher={launcher} needs {package}: pip install rnnexp[{extra}]")


def _user_error(line: str) -> Exception:
    from rnnexp.errors import UserError

    return UserError(line)
