"""`hydra/launcher=pool`: every job of a multirun is a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from rnnexp.launch.sweep import Sweep


@dataclass
class PoolLauncherConf:
    """Arguments of rnnexp.launch.pool.PoolSettings, and the one home of their defaults."""

    _target_: str = "hydra_plugins.rnnexp_pool.pool_launcher.PoolLauncher"
    jobs: Any = "auto"
    jobs_per_device: int = 1
    job_timeout: Any = None
    on_error: str = "continue"
    max_failures: Any = None


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="rnnexp")


class PoolLauncher(Launcher):
    """Hands the jobs that a sweeper asks for to one pool, which lasts as long as the sweep.

    Args:
        settings: see rnnexp.launch.pool.PoolSettings.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.settings = settings
        self.sweep: Sweep | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.config, self.hydra_context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        from rnnexp.launch.pool import Pool, PoolSettings
        from rnnexp.launch.sweep import Sweep

        if self.sweep is None:
            self.sweep = Sweep(self.config, self.hydra_context.config_loader, Pool(PoolSettings(**self.settings)))
        return self.sweep.launch(job_overrides)
